// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import DICOM
import HTTP
import Platform

/// QIDO-RS (PS3.18 section 10.6): answered from the catalog; stored headers are read for other attributes only, and only of
/// the rows that are returned.
struct SearchService {
    /// Up to here the total is counted; beyond it is said to be at least that.
    static let exactTotalMaximum = 10_000
    private static let writeBytes = 64 << 10
    private let service: DICOMwebService
    private let exchange: HTTPExchange

    init(_ service: DICOMwebService, _ exchange: HTTPExchange) {
        self.service = service
        self.exchange = exchange
    }

    func run(_ resource: ResourcePath) throws {
        let level: CatalogLevel =
            switch resource.tail {
            case ["studies"]: .study
            case ["series"]: .series
            default: .instance
            }
        let format = try AttributeFormat.choose(Negotiation(exchange.request))
        let asked = try SearchKeys(exchange.request, level, resource)
        var keys: QueryKeys
        do {
            keys = try QueryKeys(
                asked.identifier, root: .study, characterSetOverride: nil, combinesDateTime: true,
                organisation: service.settings.organisation, limit: asked.limit)
        } catch { throw HTTPProblem(400, "\(error)") }
        keys.query.offset = asked.offset
        let answers = QueryAnswer(keys, archive: service.archive, retrieveAETitle: service.settings.aeTitle)
        try service.archive.readers.withReader { reader in
            let total = try reader.count(keys.query, upTo: Self.exactTotalMaximum + 1)
            let headers = self.headers(total, keys, asked)
            guard total > asked.offset, asked.limit != 0 else {
                return exchange.respond(HTTPResponse(status: 204, headers: headers))
            }
            switch format {
            case .json: try writeJSON(keys, answers, reader, headers)
            case .xml: try writeXML(keys, answers, reader, headers)
            }
        }
    }

    private func headers(_ total: Int, _ keys: QueryKeys, _ asked: SearchKeys) -> HTTPHeaders {
        let isExact = total <= Self.exactTotalMaximum
        var headers = HTTPHeaders([
            ("X-Total-Count", String(min(total, Self.exactTotalMaximum))),
            ("X-Total-Count-Relation", isExact ? "exact" : "at-least"), ("Cache-Control", "private, no-cache"),
        ])
        if keys.hasUnsupportedKeys {
            headers.append(
                "Warning",
                "299 \(service.settings.aeTitle) \"Some of the attributes cannot be matched on and were ignored\"")
        }
        return headers
    }

    private func writeJSON(
        _ keys: QueryKeys, _ answers: QueryAnswer, _ reader: CatalogReader, _ headers: HTTPHeaders
    ) throws {
        try exchange.begin(HTTPResponse(contentType: Media.json, headers: headers), length: nil)
        let root = service.rootURL(exchange.request)
        var writer = JSONAttributeWriter()
        try exchange.write("[")
        try reader.find(keys.query) { row in
            answers.write(row, retrieveURL: root + Self.path(row, keys.query.level), to: &writer)
            if writer.bytes.count >= Self.writeBytes {
                try exchange.write(writer.bytes)
                writer.removeAll()
            }
            return true
        }
        try exchange.write(writer.bytes)
        try exchange.write("]\n")
        exchange.finish()
    }

    private func writeXML(
        _ keys: QueryKeys, _ answers: QueryAnswer, _ reader: CatalogReader, _ headers: HTTPHeaders
    ) throws {
        let parts = try MultipartWriter(exchange, type: Media.xml, headers: headers)
        let root = service.rootURL(exchange.request)
        var writer = XMLAttributeWriter()
        try reader.find(keys.query) { row in
            answers.write(row, retrieveURL: root + Self.path(row, keys.query.level), to: &writer)
            try parts.beginPart(Media.xml, length: UInt64(writer.bytes.count))
            try parts.write(writer.bytes)
            writer.removeAll()
            return true
        }
        try parts.finish()
    }

    private static func path(_ row: CatalogRow, _ level: CatalogLevel) -> String {
        var path = "/studies/\(row[.studyInstanceUID] ?? "")"
        if level >= .series { path += "/series/\(row[.seriesInstanceUID] ?? "")" }
        if level >= .instance { path += "/instances/\(row[.sopInstanceUID] ?? "")" }
        return path
    }
}
