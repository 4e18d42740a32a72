// SPDX-License-Identifier: Apache-2.0
import Access
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
    /// Stored headers that one search reads to match on.
    private static let headersMaximum = 10_000
    private static let writeBytes = 64 << 10
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
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
        let limit = [asked.limit, service.settings.resultLimit].compactMap { $0 }.min()
        var keys: QueryKeys
        do {
            keys = try QueryKeys(
                asked.identifier, root: .study, characterSetOverride: nil, combinesDateTime: true,
                scope: asker.scope, shownReasons: asker.shownReasons, limit: limit)
        } catch { throw HTTPProblem(400, "\(error)") }
        if asked.isFuzzy { keys.matchFuzzily() }
        let answers = QueryAnswer(keys, archive: service.archive, retrieveAETitle: service.settings.aeTitle)
        let found: Found
        do {
            found = try search(&keys, answers, asked)
        } catch let error as CatalogError where error.kind == .tooLong {
            Log.warning("search given up", ["client": exchange.request.peerAddress, "why": "\(error)"])
            // PS3.18 table 8.5-1 (413): so broad that it is up to the client to ask for less.
            throw HTTPProblem(413, "The search takes too long; narrow it")
        }
        exchange.audit?.event.count = found.total
        let headers = self.headers(found, keys, asked)
        guard !found.isEmpty(asked) else { return exchange.respond(HTTPResponse(status: 204, headers: headers)) }
        let source = RowSource(query: keys.query, readers: service.archive.readers, found: found)
        switch format {
        case .json: try writeJSON(source, answers, headers)
        case .xml: try writeXML(source, answers, headers)
        }
    }

    /// Everything that the answer's head must know.
    private func search(_ keys: inout QueryKeys, _ answers: QueryAnswer, _ asked: SearchKeys) throws -> Found {
        guard keys.headerConditions.isEmpty else { return try searchHeaders(keys, answers, asked) }
        keys.query.offset = asked.offset
        let page = try service.archive.readers.page(keys.query, countingUpTo: Self.exactTotalMaximum + 1)
        return Found(total: page.total, page: page)
    }

    private struct Found {
        var total = 0
        /// Rows that had to be looked at to be counted; nil: they are still to be read.
        var rows: [CatalogRow]?
        var page: CatalogReader.Page?
        /// More rows than we look at came into question.
        var isCut = false

        /// Whether there is nothing on the page; the total is counted up to a number only, so it may lie behind that.
        func isEmpty(_ asked: SearchKeys) -> Bool {
            if asked.limit == 0 { return true }
            return page?.isEmpty ?? rows?.isEmpty ?? true
        }
    }

    private struct RowSource {
        let query: CatalogQuery
        let readers: CatalogReaders
        let found: Found

        func forEach(_ body: (CatalogRow) throws -> Bool) throws {
            if let page = found.page { return try readers.rows(page, body) }
            for row in found.rows ?? [] where try !body(row) { return }
        }
    }

    /// Conditions that the catalog has no column for: each row in question is held against its stored header.
    private func searchHeaders(_ keys: QueryKeys, _ answers: QueryAnswer, _ asked: SearchKeys) throws -> Found {
        var query = keys.query
        query.limit = Self.headersMaximum + 1
        var found = Found(rows: [])
        var seen = 0
        try service.archive.readers.find(query) { row in
            seen += 1
            if seen > Self.headersMaximum {
                found.isCut = true
                return false
            }
            guard answers.meetsHeaderConditions(row) else { return true }
            found.total += 1
            if found.total > asked.offset, found.rows!.count < keys.query.limit ?? Int.max { found.rows!.append(row) }
            return true
        }
        return found
    }

    private func headers(_ found: Found, _ keys: QueryKeys, _ asked: SearchKeys) -> HTTPHeaders {
        let isExact = found.total <= Self.exactTotalMaximum && !found.isCut
        var headers = HTTPHeaders([
            ("X-Total-Count", String(min(found.total, Self.exactTotalMaximum))),
            ("X-Total-Count-Relation", isExact ? "exact" : "at-least"), ("Cache-Control", "private, no-cache"),
        ])
        if let limit = service.settings.resultLimit, asked.limit ?? Int.max > limit, found.total > asked.offset + limit
        {
            headers.append(
                "Warning",
                "299 \(service.settings.aeTitle) \"Only \(limit) results are given at once; ask for the rest with offset, or narrow the search\""
            )
        }
        if found.isCut {
            headers.append(
                "Warning",
                "299 \(service.settings.aeTitle) \"Only the first \(Self.headersMaximum) objects in question were looked at for attributes outside the catalog; narrow the search\""
            )
        }
        return headers
    }

    private func writeJSON(_ source: RowSource, _ answers: QueryAnswer, _ headers: HTTPHeaders) throws {
        try exchange.begin(HTTPResponse(contentType: Media.json, headers: headers), length: nil)
        let root = service.rootURL(exchange.request)
        var writer = JSONAttributeWriter()
        try exchange.write("[")
        try source.forEach { row in
            answers.write(row, retrieveURL: root + Self.path(row, source.query.level), to: &writer)
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

    private func writeXML(_ source: RowSource, _ answers: QueryAnswer, _ headers: HTTPHeaders) throws {
        let parts = try MultipartWriter(exchange, type: Media.xml, headers: headers)
        let root = service.rootURL(exchange.request)
        var writer = XMLAttributeWriter()
        try source.forEach { row in
            answers.write(row, retrieveURL: root + Self.path(row, source.query.level), to: &writer)
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
