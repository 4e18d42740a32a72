// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import DICOM
import Glibc
import HTTP
import Platform

/// Metadata and bulk data in parts of their own (PS3.18 section 10.5.1.2.2): a PDF, a photograph or a video becomes an
/// instance. Bulk data waits in unnamed files, so that memory does not grow with it.
struct MetadataStore {
    private static let metadataMaximum = 32 << 20
    private static let bulkPartsMaximum = 10_000
    /// Of JSON: three levels for each of 64 sequences, and those around and within.
    private static let nestingMaximum = 64 * 3 + 4
    private let service: DICOMwebService
    private let batch: StoreBatch
    private let asker: Asker

    private struct BulkPart {
        let location: String
        let type: MediaType?
        let file: FileDescriptor
        let length: UInt64
    }

    init(_ service: DICOMwebService, _ batch: StoreBatch, _ asker: Asker) {
        self.service = service
        self.batch = batch
        self.asker = asker
    }

    func run(_ exchange: HTTPExchange, _ type: MediaType, _ study: String?) throws {
        let reader = try MultipartReader(boundary: type["boundary"] ?? "") { try exchange.read(into: $0) }
        guard try reader.nextPart() != nil else { throw HTTPProblem(400, "The request has no part with metadata") }
        let dataSets = try metadata(reader)
        var parts: [BulkPart] = []
        while let head = try reader.nextPart() {
            guard parts.count < Self.bulkPartsMaximum else {
                throw HTTPProblem(
                    413, "More than \(Self.bulkPartsMaximum) parts of bulk data; send them in several requests")
            }
            parts.append(try spool(head, reader))
        }
        for dataSet in dataSets { try store(dataSet, parts, study) }
    }

    private func metadata(_ reader: MultipartReader) throws -> [DICOMJSONReader] {
        var bytes: [UInt8] = []
        try reader.forEachPiece { piece in
            guard bytes.count + piece.count <= Self.metadataMaximum else {
                throw HTTPProblem(413, "The metadata is longer than 32 MiB; send large values as bulk data")
            }
            bytes.append(contentsOf: piece)
        }
        var dataSets: [DICOMJSONReader] = []
        do {
            try JSONParser.forEachElement(of: bytes, nestingMaximum: Self.nestingMaximum) { json in
                dataSets.append(try DICOMJSONReader(json))
            }
        } catch let error as JSONParser.Failure {
            throw HTTPProblem(400, "The metadata is no JSON that can be read: \(error)")
        } catch let error as DICOMJSONReader.Failure {
            throw HTTPProblem(400, error.description)
        }
        return dataSets
    }

    private func spool(_ head: HTTPHeaders, _ reader: MultipartReader) throws -> BulkPart {
        // Without a name: gone with the process, and never seen by anybody.
        let file = try FileDescriptor.open(service.archive.directory.incoming, O_RDWR | temporaryFileFlags)
        var length: UInt64 = 0
        try reader.forEachPiece { piece in
            try file.write(piece, at: length)
            length += UInt64(piece.count)
        }
        return BulkPart(
            location: head["Content-Location"] ?? "", type: head["Content-Type"].flatMap { MediaType($0) }, file: file,
            length: length)
    }

    // MARK: One instance

    private func store(_ dataSet: DICOMJSONReader, _ parts: [BulkPart], _ study: String?) throws {
        let item = StoreResponse.Item(
            sopClassUID: dataSet[.sopClassUID]?.plainValue ?? "",
            sopInstanceUID: dataSet[.sopInstanceUID]?.plainValue ?? "", studyInstanceUID: "", seriesInstanceUID: "")
        var values: [(tag: Tag, vr: VR, parts: [BulkPart])] = []
        for bulk in dataSet.bulkValues {
            let found = parts.filter { $0.location == bulk.uri }
            guard !found.isEmpty else {
                return batch.refuse(item, .notUnderstood(bulk.tag, "No part has the location of \(bulk.tag)"))
            }
            values.append((bulk.tag, bulk.vr, found))
        }
        let pixels = values.first { $0.tag == .pixelData }?.parts.first?.type
        let syntax = Self.transferSyntax(pixels)
        // Only the frames of encapsulated pixel data come in several parts (PS3.18 section 10.5.1.1.2).
        for value in values where value.parts.count > 1 && !(value.tag == .pixelData && syntax.isEncapsulated) {
            return batch.refuse(item, .notUnderstood(value.tag, "Several parts have the location of \(value.tag)"))
        }
        let ingest = service.archive.beginIngest(
            sopClassUID: item.sopClassUID, sopInstanceUID: item.sopInstanceUID, transferSyntaxUID: syntax.uid,
            source: service.source(asker))
        ingest.expectedStudyInstanceUID = study
        try write(dataSet.elements, values, syntax, ingest)
        batch.submit(ingest)
    }

    /// Of pixel data by the media type of its part (PS3.18 table 8.7.3-5).
    private static func transferSyntax(_ type: MediaType?) -> TransferSyntax {
        if let uid = type?["transfer-syntax"] { return TransferSyntax(uid: uid) }
        return switch type?.name {
        case "image/jpeg": .jpegBaseline
        case "image/jls": TransferSyntax(uid: "1.2.840.10008.1.2.4.80")
        case "image/jp2": TransferSyntax(uid: "1.2.840.10008.1.2.4.90")
        case "image/jphc": TransferSyntax(uid: "1.2.840.10008.1.2.4.201")
        case "image/dicom-rle": TransferSyntax(uid: "1.2.840.10008.1.2.5")
        case "video/mpeg2", "video/mpeg": TransferSyntax(uid: "1.2.840.10008.1.2.4.100")
        case "video/mp4": TransferSyntax(uid: "1.2.840.10008.1.2.4.102")
        default: .explicitVRLittleEndian
        }
    }

    private func write(
        _ elements: [DataSet.Element], _ values: [(tag: Tag, vr: VR, parts: [BulkPart])], _ syntax: TransferSyntax,
        _ ingest: Ingest
    ) throws {
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        func flush() {
            writer.bytes.withRawBytes { ingest.take($0) }
            writer.removeAll()
        }
        // JSON is UTF-8, and so is what becomes of it.
        let characterSet = DataSet.Element(tag: .specificCharacterSet, vr: .cs, value: Array("ISO_IR 192".utf8))
        let elements = (elements + [characterSet]).sorted { $0.tag < $1.tag }
        var rest = elements[...]
        for value in values.sorted(by: { $0.tag < $1.tag }) {
            let before = rest.prefix { $0.tag < value.tag }
            rest = rest.dropFirst(before.count)
            writer.append(Array(before))
            flush()
            if value.tag == .pixelData, syntax.isEncapsulated {
                try encapsulate(value.parts, &writer, ingest)
            } else {
                let length = value.parts[0].length
                guard length < UInt64(UInt32.max) - 1 else {
                    throw HTTPProblem(413, "\(value.tag) is longer than a data set can hold (4 GiB)")
                }
                writer.appendHeader(value.tag, value.vr, length: UInt32(length + length % 2))
                flush()
                try copy(value.parts[0], padding: value.vr.padding, ingest)
            }
        }
        writer.append(Array(rest))
        flush()
    }

    /// One fragment for each part (PS3.5 section A.4).
    private func encapsulate(_ parts: [BulkPart], _ writer: inout DataSetWriter, _ ingest: Ingest) throws {
        writer.appendHeader(.pixelData, .ob, length: .max)
        var bytes = writer.bytes
        func item(_ length: UInt32) {
            bytes += [0xFE, 0xFF, 0x00, 0xE0]
            bytes.appendLittleEndian(length)
        }
        item(0)
        for part in parts {
            guard part.length < UInt64(UInt32.max) - 1 else { throw HTTPProblem(413, "A frame is longer than 4 GiB") }
            item(UInt32(part.length + part.length % 2))
            bytes.withRawBytes { ingest.take($0) }
            bytes = []
            try copy(part, padding: 0, ingest)
        }
        bytes += [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]
        bytes.withRawBytes { ingest.take($0) }
        writer.removeAll()
    }

    private func copy(_ part: BulkPart, padding: UInt8, _ ingest: Ingest) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while offset < part.length {
            let count = try part.file.read(into: buffer, at: offset)
            guard count > 0 else { throw HTTPProblem(500, "Bulk data that was received cannot be read back") }
            ingest.take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += UInt64(count)
        }
        if part.length % 2 == 1 { [padding].withRawBytes { ingest.take($0) } }
    }
}

/// `O_TMPFILE`, which Swift does not import.
private let temporaryFileFlags: Int32 = 0o20000000 | 0o200000
