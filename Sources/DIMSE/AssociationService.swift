// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import DICOM
import DICOMNetwork
import Imaging
import Platform
import Transport

/// The archive's DIMSE services: decides about associations and serves each on its own thread.
package final class DIMSEServer: Sendable {
    let archive: Archive
    let audit: AuditTrail
    let transcoder: Transcoder
    let settings: ServiceSettings
    /// nil: storage commitment is not offered.
    let commitment: CommitmentService?
    private let associations: Metrics.Counter
    private let rejected: Metrics.Counter

    package init(
        _ archive: Archive, _ audit: AuditTrail, _ transcoder: Transcoder, settings: ServiceSettings, metrics: Metrics,
        commitment: CommitmentService? = nil
    ) {
        self.commitment = commitment
        self.archive = archive
        self.audit = audit
        self.transcoder = transcoder
        self.settings = settings
        associations = metrics.counter("snimok_associations_total", "Associations accepted since the start.")
        rejected = metrics.counter("snimok_associations_rejected_total", "Associations rejected since the start.")
    }

    package var handler: Acceptor.Handler {
        { [self] (request, caller) throws(Acceptor.Refusal) in
            do throws(Acceptor.Refusal) {
                return try admit(request, caller)
            } catch {
                note(error, request, caller)
                throw error
            }
        }
    }

    private func admit(_ request: AssociateRequest, _ caller: Caller) throws(Acceptor.Refusal) -> Acceptor.Admission {
        let peer = try settings.directory.admit(
            calling: request.callingAETitle, called: request.calledAETitle, from: caller)
        let station = settings.directory.asker(peer, from: caller)
        let (asker, response) = try identify(request, at: station, from: caller)
        let allowed = peer.services.filter { asker.may($0.permission) }
        var policy = policy(allowed)
        policy.userIdentityResponse = response
        return Acceptor.Admission(policy) { [self] association in serve(association, peer, asker, allowed) }
    }

    private func policy(_ allowed: Set<DICOMService>) -> AcceptorPolicy {
        let offered = offersCommitment ? ServiceClasses.supportWithCommitment : ServiceClasses.support
        return AcceptorPolicy(
            maximumLength: UInt32(settings.limits.maximumPDULength),
            implementationClassUID: FileMeta.implementationClassUID,
            implementationVersionName: FileMeta.implementationVersionName,
            asynchronousOperationsWindowMaximum: settings.asynchronousOperations,
            acceptsAbstractSyntax: { DICOMService.support($0, offered($0), allowed: allowed) },
            extendedNegotiation: ServiceClasses.extendedNegotiation)
    }

    /// Who could not show a certificate that is good here is on record, too.
    package func noteHandshake(from address: String, failed why: String) {
        var event = AuditEvent(
            .alert, "TLS", by: AuditParty(.unknown, name: "", address: address), outcome: .minorFailure, detail: why)
        event.alert = .nodeAuthentication
        audit.recordAlert(event)
    }

    /// Who is turned away at the door is on record (PS3.15 section A.5.3.11).
    private func note(_ refusal: Acceptor.Refusal, _ request: AssociateRequest, _ caller: Caller) {
        rejected.add()
        var event = AuditEvent(
            .alert, "association", by: AuditParty(.unknown, name: request.callingAETitle, address: caller.address),
            outcome: .minorFailure, detail: "rejected: \(refusal.why); called \(request.calledAETitle)")
        event.alert = .nodeAuthentication
        audit.recordAlert(event)
    }

    /// Somebody who is no station has said who he is (PS3.7 section D.3.3.7).
    private func noteIdentity(_ asker: Asker, _ association: Association) {
        guard asker.kind == .user || asker.kind == .token else { return }
        var event = AuditEvent(.loggedIn, "association", by: asker.auditParty)
        event.other = AuditParty(
            .station, name: association.negotiated.callingAETitle, address: association.peerAddress)
        audit.recordEnd(event)
    }

    private var offersCommitment: Bool { commitment != nil }

    private func serve(_ association: Association, _ peer: Peer, _ asker: Asker, _ allowed: Set<DICOMService>) {
        associations.add()
        let negotiated = association.negotiated
        let id = "\(association.id)"
        Log.info(
            "association accepted",
            [
                "association": id, "peer": association.peerAddress, "calling": negotiated.callingAETitle,
                "called": negotiated.calledAETitle, "implementation": negotiated.peerImplementationVersionName ?? "",
                "contexts": "\(negotiated.allContexts.count)", "tls": association.caller.tls?.version ?? "no",
            ])
        var asker = asker
        asker.connection = id
        noteIdentity(asker, association)
        association.rates = settings.rates(of: peer)
        let session = Session(self, association, peer, asker, allowed)
        do {
            try session.run()
            Log.info("association released", ["association": id, "stored": "\(session.store.storedCount)"])
        } catch {
            Log.warning(
                "association ended", ["association": id, "calling": negotiated.callingAETitle, "why": "\(error)"])
        }
        session.commitment?.close()
        // What was handed to the group commit is answered to nobody any more, but the thread's memory is its too.
        session.store.waitForAll()
        // They hold the services, which hold the association.
        association.onWake = nil
        association.onIdle = nil
        association.mayStop = { true }
    }
}

/// One association being served: takes messages and gives each to its service.
final class Session {
    let server: DIMSEServer
    let association: Association
    let peer: Peer
    /// What it sees is found out anew for each operation: an association may last for days, a share ends before.
    private(set) var asker: Asker
    private let allowed: Set<DICOMService>
    let store: StoreService
    /// nil: not offered.
    let commitment: CommitmentSession?
    /// The identifier of the query or retrieval that is running, as it came.
    private(set) var identifier: [UInt8] = []
    /// A query or retrieval is running; a second one on the same association must wait for it to end.
    private var isBusy = false

    init(
        _ server: DIMSEServer, _ association: Association, _ peer: Peer, _ asker: Asker, _ allowed: Set<DICOMService>
    ) {
        self.server = server
        self.association = association
        self.peer = peer
        self.asker = asker
        self.allowed = allowed
        store = StoreService(
            server.archive, association, peer, asker, window: Int(server.settings.asynchronousOperations))
        commitment = server.commitment.map { CommitmentSession($0, association, peer) }
    }

    func run() throws(TransportError) {
        let store = store
        association.mayStop = { store.isIdle }
        association.onWake = { () throws(TransportError) in try store.answerFinished() }
        association.onIdle = { [unowned self] () throws(TransportError) in
            // Nothing unasked for goes out between a request and its answer.
            if !isBusy, store.isIdle { try commitment?.tellNext() }
        }
        while true {
            switch try association.nextMessage() {
            case .releaseRequested:
                try store.finishAll()
                return try association.confirmRelease()
            case .command(let command, let contextID): try handle(command, contextID)
            }
        }
    }

    /// An entry for the audit trail about an operation of this association, to be completed.
    func auditEvent(
        _ kind: AuditEvent.Kind, _ action: String, _ context: NegotiatedContext
    ) -> AuditEvent {
        var event = AuditEvent(kind, action, by: asker.auditParty)
        event.query = AuditQuery(
            subject: context.abstractSyntax, transferSyntax: context.transferSyntax, keys: identifier)
        return event
    }

    /// What a message was that came while a query or retrieval runs.
    enum WhileBusy {
        /// The peer wants the operation of this message id cancelled.
        case cancel(UInt16?)
        /// The answer to a store of ours.
        case stored(CommandSet)
        /// Another operation, which was handled.
        case handled
    }

    /// The message id of the last cancellation seen.
    var cancelled: UInt16?

    /// Takes one message while a query or retrieval runs.
    func handleWhileBusy() throws(TransportError) -> WhileBusy {
        switch try association.nextMessage() {
        case .releaseRequested:
            throw association.refuse(.unexpectedPDU, "release while an operation is running")
        case .command(let command, let contextID):
            switch command.commandField {
            case .cCancelRequest: return .cancel(command.messageIDBeingRespondedTo)
            case .cStoreResponse: return .stored(command)
            default:
                try handle(command, contextID)
                return .handled
            }
        }
    }

    private func handle(_ command: CommandSet, _ contextID: UInt8) throws(TransportError) {
        guard let context = association.negotiated.context(contextID) else {
            throw association.refuse(.invalidPDUParameterValue, "presentation context \(contextID) was not accepted")
        }
        if asker.kind == .user || asker.kind == .token, server.settings.authenticator?.stillCounts(asker) == false {
            throw association.refuse(.notSpecified, "the account of \(asker.name) does not count any more")
        }
        // A request that cannot be answered, for want of a message id (PS3.7 section 9.3), is no request.
        guard
            command.messageID != nil || command.commandField == .cCancelRequest
                || command.commandField?.isResponse == true
        else { throw association.refuse(.invalidPDUParameterValue, "command without a message id") }
        switch command.commandField {
        case .cStoreRequest:
            // The context may be there for the other direction only, or for another service.
            guard context.requestorIsSCU, allowed.contains(.store) else {
                return try refuse(command, contextID, .notAuthorized)
            }
            try store.handle(command, context)
        case .cEchoRequest where context.abstractSyntax == ServiceClasses.verification:
            try association.send(.cEchoResponse(to: command.messageID ?? 0), contextID: contextID)
        case .cFindRequest:
            try query(command, context, ServiceClasses.find) { [self] (identifier, root) throws(TransportError) in
                try FindService(self, command, context).run(identifier, root)
            }
        case .cGetRequest:
            try query(command, context, ServiceClasses.get) { [self] (identifier, root) throws(TransportError) in
                try RetrieveService(self, command, context).get(identifier, root)
            }
        case .cMoveRequest:
            try query(command, context, ServiceClasses.move) { [self] (identifier, root) throws(TransportError) in
                try RetrieveService(self, command, context).move(identifier, root)
            }
        case .nActionRequest where context.abstractSyntax == StorageCommitment.sopClassUID:
            try requestCommitment(command, context)
        case .nEventReportResponse:
            if try commitment?.take(command) != true { try refuse(command, contextID) }
        case .cCancelRequest: break  // What it names has ended already (PS3.7 section 9.3.2.3).
        default: try refuse(command, contextID)
        }
    }

    private func requestCommitment(_ command: CommandSet, _ context: NegotiatedContext) throws(TransportError) {
        guard let commitment else { return try refuse(command, context.id) }
        // What was sent before is part of what may be asked about.
        try store.finishAll()
        try commitment.request(command, context)
    }

    /// A command that is no service of ours (PS3.7 section 9.1, status 0211H), or not for this caller (0124H), or a response
    /// that nobody waits for.
    private func refuse(
        _ command: CommandSet, _ contextID: UInt8, _ status: DIMSEStatus = .unrecognizedOperation
    ) throws(TransportError) {
        if command.hasDataSet {
            try association.receiveDataSet(contextID: contextID, into: MemorySink(maximumBytes: 0))
        }
        guard let field = command.commandField, !field.isResponse else {
            throw association.refuse(.unexpectedPDU, "unexpected command \(command.commandFieldCode)")
        }
        try association.send(
            .response(
                to: command, status: status,
                errorComment: status == .notAuthorized ? "Not allowed" : "Not a service of this archive"),
            contextID: contextID)
    }

    private func query(
        _ command: CommandSet, _ context: NegotiatedContext, _ classes: [String: QueryKeys.Root],
        _ run: (DataSet, QueryKeys.Root) throws(TransportError) -> Void
    ) throws(TransportError) {
        let sink = MemorySink(maximumBytes: 1 << 20)
        if command.hasDataSet { try association.receiveDataSet(contextID: context.id, into: sink) }
        func answer(_ status: DIMSEStatus, _ comment: String) throws(TransportError) {
            try association.send(.response(to: command, status: status, errorComment: comment), contextID: context.id)
        }
        guard let root = classes[context.abstractSyntax] else {
            return try answer(.sopClassNotSupported, "Not offered on this presentation context")
        }
        guard command.hasDataSet, !sink.isOverfull else {
            return try answer(.identifierDoesNotMatchSOPClass, "Identifier missing or longer than 1 MiB")
        }
        guard !isBusy else { return try answer(.unableToProcess, "One query or retrieval at a time on an association") }
        let identifier: DataSet
        do {
            identifier = try sink.bytes.withRawBytes { bytes throws(DataSetError) in
                try DataSet(bytes, transferSyntax: TransferSyntax(uid: context.transferSyntax))
            }
        } catch { return try answer(.unableToProcess, error.description) }
        asker.refresh(from: server.settings.directory.organisations)
        isBusy = true
        cancelled = nil
        self.identifier = sink.bytes
        defer {
            isBusy = false
            self.identifier = []
        }
        try run(identifier, root)
    }
}

/// A small data set in memory; what is beyond the maximum is dropped.
final class MemorySink: DataSetSink {
    private(set) var bytes: [UInt8] = []
    private(set) var isOverfull = false
    private let maximumBytes: Int
    private let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 8)

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    deinit { piece.deallocate() }

    func room() -> UnsafeMutableRawBufferPointer { piece }

    func received(_ count: Int) {
        guard bytes.count + count <= maximumBytes else {
            isOverfull = true
            return
        }
        bytes.append(contentsOf: piece[..<count])
    }
}
