// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Platform

/// Whole instances (PS3.18 section 10.4.1.1.1): ranges of segments, verified, to the socket.
struct RetrieveService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange

    init(_ service: DICOMwebService, _ exchange: HTTPExchange) {
        self.service = service
        self.exchange = exchange
    }

    func run(_ resource: ResourcePath) throws {
        let versions = try service.versions(resource)
        try sendMultipart(versions)
    }

    private func sendMultipart(_ versions: [CatalogVersion]) throws {
        let first = try service.archive.record(of: versions[0])
        let writer = try MultipartWriter(exchange, type: Media.dicom)
        let buffer = ReadBuffer()
        for (index, version) in versions.enumerated() {
            let record = index == 0 ? first : try service.archive.record(of: version)
            try writer.beginPart(
                "\(Media.dicom); transfer-syntax=\(version.transferSyntaxUID)", length: record.header.payloadLength,
                location: service.url(version, exchange.request))
            try send(record, 0..<record.header.payloadLength, buffer)
        }
        try writer.finish()
    }

    private func send(_ record: StoredRecord, _ range: Range<UInt64>, _ buffer: ReadBuffer) throws {
        try Self.send(record, range, buffer, exchange)
    }

    static func send(
        _ record: StoredRecord, _ range: Range<UInt64>, _ buffer: ReadBuffer, _ exchange: HTTPExchange
    ) throws {
        do {
            try record.forEachPiece(
                in: range, buffer: buffer,
                { (bytes) throws(AnyFailure) in
                    do { try exchange.write(bytes) } catch { throw AnyFailure(error: error) }
                }, onError: { AnyFailure(error: $0) })
        } catch { throw error.error }
    }
}

/// Any error, where a typed one is wanted.
struct AnyFailure: Error { let error: any Error }
