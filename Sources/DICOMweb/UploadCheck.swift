// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import DICOM
import HTTP
import Platform

/// Which of a list of digests need not be sent again: for uploads over thin links that were cut off. Nothing is recorded,
/// and of what the asker's organisation never sent nothing is told: it is "unknown", and its bytes must be sent.
struct UploadCheck {
    private static let bodyMaximum = 4 << 20
    private static let digestsMaximum = 20_000
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    func run() throws {
        let digests = try self.digests()
        exchange.audit?.event.count = digests.count
        let organisation = asker.organisation
        let start = Clock.monotonicNanoseconds()
        let states = try service.archive.readers.withReader { reader in
            // Each once: what is asked a thousand times takes a thousand times as long, which could be measured.
            let sent = try Set(digests).filter { try reader.hasSent(blob: $0.bytes, organisation: organisation) }
            return digests.map { sent.contains($0) ? "present" : "unknown" }
        }
        if states.contains("unknown") { asker.scope.concealAbsence(since: start) }
        let items = zip(digests, states).map { #"{"digest":"\#($0)","state":"\#($1)"}"# }
        let body = "{\"instances\":[" + items.joined(separator: ",") + "]}\n"
        exchange.respond(HTTPResponse(contentType: Media.plainJSON, body: Array(body.utf8)))
    }

    private func digests() throws -> [BlobID] {
        let wanted = HTTPProblem(
            400,
            "Wanted is {\"instances\": [{\"digest\": \"64 hexadecimal digits\"}]} with at most \(Self.digestsMaximum) of them"
        )
        guard case .array(let instances)? = try body()["instances"], instances.count <= Self.digestsMaximum else {
            throw wanted
        }
        return try instances.map { instance in
            guard case .string(let text)? = instance["digest"], let blobID = BlobID(hexadecimal: text) else {
                throw wanted
            }
            return blobID
        }
    }

    private func body() throws -> JSONValue {
        guard let bytes = try exchange.body(atMost: Self.bodyMaximum) else {
            throw HTTPProblem(413, "The list is longer than 4 MiB")
        }
        do { return try JSONParser.value(of: bytes, nestingMaximum: 8) } catch {
            throw HTTPProblem(400, "The body is no JSON that can be read: \(error)")
        }
    }
}
