// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import CXXHash
import Catalog
import DICOM
import HTTP
import Platform

/// The headers of a study, series or instance (PS3.18 section 10.4.1.1.2), read in the order of the disk and written
/// straight into the answer; image bytes are not touched.
struct MetadataService {
    /// So much is gathered before it is written.
    private static let writeBytes = 64 << 10
    /// Headers that the device is asked for ahead of their turn: alone, each would take as long as the device answers.
    private static let readAhead = 64
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    func run(_ resource: ResourcePath) throws {
        let format = try AttributeFormat.choose(Negotiation(exchange.request))
        let versions = try service.versions(resource, exchange, for: asker)
        let root = service.rootURL(exchange.request)
        let tag = EntityTag.make(versions, "\(format) \(root)")
        var headers = HTTPHeaders([("ETag", tag), ("Cache-Control", "private, no-cache")])
        headers.append("Vary", "Accept")
        if EntityTag.matches(exchange.request.headers["If-None-Match"], tag) {
            return exchange.respond(HTTPResponse(status: 304, headers: headers))
        }
        switch format {
        case .json: try writeJSON(versions, root, headers)
        case .xml: try writeXML(versions, root, headers)
        }
    }

    private func writeJSON(_ versions: [CatalogVersion], _ root: String, _ headers: HTTPHeaders) throws {
        var writer = JSONAttributeWriter()
        service.archive.prefetchHeaders(versions.prefix(2 * Self.readAhead))
        // The first one is read before the answer begins, so that it can still be another.
        try append(versions[0], root, to: &writer)
        try exchange.begin(HTTPResponse(contentType: Media.json, headers: headers), length: nil)
        try exchange.write("[")
        for (index, version) in versions.enumerated().dropFirst() {
            if index % Self.readAhead == 0 {
                service.archive.prefetchHeaders(versions[index...].dropFirst(Self.readAhead).prefix(Self.readAhead))
            }
            try append(version, root, to: &writer)
            if writer.bytes.count >= Self.writeBytes {
                try exchange.write(writer.bytes)
                writer.removeAll()
            }
        }
        try exchange.write(writer.bytes)
        try exchange.write("]\n")
        exchange.finish()
    }

    /// One part for each instance (PS3.18 section 8.7.3.2).
    private func writeXML(_ versions: [CatalogVersion], _ root: String, _ headers: HTTPHeaders) throws {
        var writer = XMLAttributeWriter()
        try append(versions[0], root, to: &writer)
        let parts = try MultipartWriter(exchange, type: Media.xml, headers: headers)
        for (index, version) in versions.enumerated() {
            if index > 0 { try append(version, root, to: &writer) }
            try parts.beginPart(Media.xml, length: UInt64(writer.bytes.count))
            try parts.write(writer.bytes)
            writer.removeAll()
        }
        try parts.finish()
    }

    private func append(_ version: CatalogVersion, _ root: String, to writer: inout some AttributeWriter) throws {
        let record = try service.archive.record(of: version, readsAhead: false)
        try StoredHeader.write(
            record, bulkDataPrefix: service.url(version, root: root) + "/bulkdata/", to: &writer)
    }
}

/// Entity tags (RFC 9110 section 8.8.3) from the content's own addresses: without reading it.
enum EntityTag {
    static func make(_ versions: [CatalogVersion], _ representation: String) -> String {
        var bytes = Array(representation.utf8)
        for version in versions { bytes += version.blobID }
        let low = XXH3_64bits(bytes, bytes.count)
        let high = XXH3_64bits_withSeed(bytes, bytes.count, 1)
        return "\"" + String(high, radix: 36) + String(low, radix: 36) + "\""
    }

    /// If-None-Match compares weakly (RFC 9110 section 13.1.2).
    static func matches(_ header: String?, _ tag: String) -> Bool {
        guard let header else { return false }
        if header == "*" { return true }
        return header.split(separator: ",").contains { part in
            var text = part.drop { $0 == " " }
            if text.hasPrefix("W/") { text = text.dropFirst(2) }
            while text.last == " " { text.removeLast() }
            return text == tag
        }
    }
}
