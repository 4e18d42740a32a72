// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import DICOM
import HTTP
import Platform

/// One value of an instance (PS3.18 section 10.4.1.1.5), by the address that the metadata gives.
struct BulkDataService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    func run(_ resource: ResourcePath, path: String) throws {
        guard let attribute = AttributePath(path) else {
            throw HTTPProblem(
                400, "Bulk data is named by tags of eight hexadecimal digits, as 7FE00010 or 00081140.0.00091010")
        }
        let version = try service.versions(resource, exchange, for: asker)[0]
        let record = try service.archive.record(of: version)
        guard let place = try StoredHeader.locate(record, attribute) else {
            throw HTTPProblem(404, "The instance has no value at \(path)")
        }
        // Encapsulated pixel data is a list of frames, one part each; a video is one stream.
        let videoType = FrameMedia.type(of: TransferSyntax(uid: version.transferSyntaxUID))
        if place.isEncapsulated, videoType.hasPrefix("video/") {
            let tag = EntityTag.make([version], "video")
            return try RangedResponse(exchange, type: videoType, tag: tag).send(
                record, fragments: StoredFragments.ranges(record, place))
        }
        if place.isEncapsulated {
            let frames = try FrameService.all(of: try StoredImage(record))
            return try FrameService(service, exchange, asker).run(
                resource, list: frames.map(String.init).joined(separator: ","))
        }
        let document = try documentType(record, attribute)
        var offers = [(type: Media.multipart, choice: true), (type: Media.bytes, choice: false)]
        if let document { offers.append((type: document, choice: false)) }
        let negotiation = Negotiation(exchange.request)
        let isMultipart = try negotiation.choose(offers)
        let isDocument = negotiation.accepted.contains { $0.name == document }
        let tag = EntityTag.make([version], "bulkdata \(path)")
        let type = isDocument ? document! : Media.bytes
        try send(record, place, RangedResponse(exchange, type: type, tag: tag), isMultipart: isMultipart)
    }

    /// Of an encapsulated document (PS3.3 section C.24.2): only of kinds that a browser shows without running them.
    private func documentType(_ record: StoredRecord, _ attribute: AttributePath) throws -> String? {
        guard attribute == AttributePath([], Tag(0x0042_0011)) else { return nil }
        let type = try StoredHeader.dataSet(record)[Tag(0x0042_0012)]?.plainValue.lowercased()
        return ["application/pdf", "model/stl", "model/obj", "model/mtl"].first { $0 == type }
    }

    private func send(
        _ record: StoredRecord, _ place: StoredHeader.Place, _ response: RangedResponse, isMultipart: Bool
    ) throws {
        let isStoredAsIs =
            !TransferSyntax(uid: record.provenance[.transferSyntaxUID]).isDeflated
            && (!place.isBigEndian || place.vr.wordSize == 1)
        let range = UInt64(place.range.lowerBound)..<UInt64(place.range.upperBound)
        if isStoredAsIs, !isMultipart { return try response.send(record, range) }
        if isStoredAsIs {
            let writer = try MultipartWriter(exchange, type: Media.bytes)
            try writer.beginPart(Media.bytes, length: UInt64(range.count))
            try record.sendPieces(in: range, buffer: ReadBuffer()) { try exchange.write($0) }
            return try writer.finish()
        }
        let bytes = try StoredValue.littleEndian(record, place)
        if !isMultipart { return try response.send(HTTPBody(bytes)) }
        let writer = try MultipartWriter(exchange, type: Media.bytes)
        try writer.beginPart(Media.bytes, length: UInt64(bytes.count))
        try writer.write(bytes)
        try writer.finish()
    }
}
