// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import DICOM
import Glibc
import HTTP
import Platform

/// STOW-RS (PS3.18 section 10.5): each part goes straight into an ingest as it arrives, and all finished ones share the
/// group commit with everything else that is stored. The answer comes when the last of them is durable.
struct StoreService {
    /// What a part's file meta group is looked for in.
    private static let headBytes = 64 << 10
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker
    private let batch: StoreBatch

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
        batch = StoreBatch()
    }

    func run(_ resource: ResourcePath) throws {
        let format = try AttributeFormat.choose(Negotiation(exchange.request))
        guard let type = exchange.request.headers["Content-Type"].flatMap({ MediaType($0) }) else {
            throw HTTPProblem(
                415, "Content-Type is missing; instances come as \(Media.multipart); type=\"\(Media.dicom)\"")
        }
        switch (type.name, type["type"]?.lowercased()) {
        case (Media.dicom, _): try storeSingle(resource.study)
        case (Media.multipart, Media.dicom?), (Media.multipart, nil): try storeParts(type, resource.study)
        case (Media.multipart, Media.json?):
            try MetadataStore(service, batch, asker).run(exchange, type, resource.study)
        default:
            throw HTTPProblem(
                415,
                "\(type.name) is not stored; offered: \(Media.multipart) with type=\"\(Media.dicom)\" or type=\"\(Media.json)\", \(Media.dicom)"
            )
        }
        let response = batch.finish()
        guard !response.stored.isEmpty || !response.failed.isEmpty else {
            throw HTTPProblem(400, "The request holds no instance")
        }
        exchange.respond(response.response(format, root: service.rootURL(exchange.request)))
    }

    private func storeSingle(_ study: String?) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
        defer { buffer.deallocate() }
        try store(study) { body in
            while true {
                let count = try exchange.read(into: buffer)
                guard count > 0 else { return }
                try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
    }

    private func storeParts(_ type: MediaType, _ study: String?) throws {
        let reader = try MultipartReader(boundary: type["boundary"] ?? "") { try exchange.read(into: $0) }
        while let head = try reader.nextPart() {
            if let partType = head["Content-Type"].flatMap({ MediaType($0) }), partType.name != Media.dicom,
                partType.name != Media.bytes
            {
                batch.refuse(StoreBatch.unknown, .notUnderstood(nil, "a part of type \(partType.name)"))
                continue
            }
            try store(study) { try reader.forEachPiece($0) }
        }
    }

    /// Stores one Part 10 file.
    private func store(_ study: String?, _ forEachPiece: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void)
        throws
    {
        var head: [UInt8] = []
        var ingest: Ingest?
        var failure: ArchiveError?
        func begin() {
            guard var meta = head.withRawBytes({ FileMeta(head: $0) }), !meta.transferSyntaxUID.isEmpty else {
                failure = .notUnderstood(nil, "A part is no DICOM file: preamble and file meta group are missing")
                return
            }
            head.withRawBytes { meta.takeIdentity(fromDataSetIn: $0) }
            ingest = service.archive.beginIngest(
                sopClassUID: meta.sopClassUID, sopInstanceUID: meta.sopInstanceUID,
                transferSyntaxUID: meta.transferSyntaxUID, source: service.source(asker))
            ingest!.expectedStudyInstanceUID = study
            head.withRawBytes { ingest!.take($0.part(meta.dataSetOffset..<$0.count)) }
            head = []
        }
        try forEachPiece { bytes in
            if let ingest { return ingest.take(bytes) }
            guard failure == nil else { return }
            head.append(contentsOf: bytes)
            if head.count >= Self.headBytes { begin() }
        }
        if ingest == nil, failure == nil { begin() }
        if let ingest { batch.submit(ingest) } else { batch.refuse(StoreBatch.unknown, failure!) }
    }
}

extension DICOMwebService {
    /// Who stores over HTTP.
    func source(_ asker: Asker) -> IngestSource {
        var source = IngestSource(
            callingAETitle: "", calledAETitle: settings.aeTitle, peerAddress: asker.address,
            organisation: asker.organisation, issuer: settings.issuer, characterSetOverride: "",
            associationID: asker.connection, route: .stow)
        if !asker.name.isEmpty { source.asker = "\(asker.kind.rawValue) \(asker.name)" }
        return source
    }
}

/// The instances of one request on their way to the group commit.
final class StoreBatch {
    /// Instances that may wait for the commit at once: what bounds this request's memory.
    private static let outstandingMaximum = 16

    private struct State: Sendable {
        var outstanding = 0
        var response = StoreResponse()
    }

    private let state = Monitor(State())

    static let unknown = StoreResponse.Item(
        sopClassUID: "", sopInstanceUID: "", studyInstanceUID: "", seriesInstanceUID: "")

    func submit(_ ingest: Ingest) {
        state.wait { $0.outstanding < Self.outstandingMaximum ? true : nil }
        state.withLock { $0.outstanding += 1 }
        let state = state
        do {
            try ingest.finish(mayCommit: false) { [item = UncheckedItem(ingest)] result in
                state.update { state in
                    state.outstanding -= 1
                    state.response.add(item.value, result.failure)
                }
            }
        } catch {
            state.update { $0.outstanding -= 1 }
            refuse(UncheckedItem(ingest).value, error)
        }
    }

    func refuse(_ item: StoreResponse.Item, _ error: ArchiveError) {
        Log.warning("instance refused", ["instance": item.sopInstanceUID, "route": "stow", "why": "\(error)"])
        state.update { $0.response.add(item, error) }
    }

    /// Waits until all is durable or refused.
    func finish() -> StoreResponse {
        state.wait { $0.outstanding == 0 ? true : nil }
        return state.withLock { $0.response }
    }

    /// What an ingest is about, once its bytes are all there; nothing changes it then.
    private struct UncheckedItem: @unchecked Sendable {
        private let ingest: Ingest
        init(_ ingest: Ingest) { self.ingest = ingest }

        var value: StoreResponse.Item {
            StoreResponse.Item(
                sopClassUID: ingest.sopClassUID, sopInstanceUID: ingest.sopInstanceUID,
                studyInstanceUID: ingest.studyInstanceUID, seriesInstanceUID: ingest.seriesInstanceUID)
        }
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { return error }
        return nil
    }
}
