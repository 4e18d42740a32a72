// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import DICOM
import DICOMNetwork
import Imaging
import Platform
import Transport

/// The archive's DIMSE services: decides about associations and serves each on its own thread.
package final class DIMSEServer: Sendable {
    let archive: Archive
    let transcoder: Transcoder
    let settings: ServiceSettings
    /// nil: storage commitment is not offered.
    let commitment: CommitmentService?
    private let associations: Metrics.Counter
    private let rejected: Metrics.Counter

    package init(
        _ archive: Archive, _ transcoder: Transcoder, settings: ServiceSettings, metrics: Metrics,
        commitment: CommitmentService? = nil
    ) {
        self.commitment = commitment
        self.archive = archive
        self.transcoder = transcoder
        self.settings = settings
        associations = metrics.counter("snimok_associations_total", "Associations accepted since the start.")
        rejected = metrics.counter("snimok_associations_rejected_total", "Associations rejected since the start.")
    }

    package var handler: Acceptor.Handler {
        Acceptor.Handler(
            authorize: { [self] (request, peer) throws(AssociateReject) in try authorize(request, peer) },
            serve: { [self] association in serve(association) })
    }

    /// PS3.8 section 9.3.4: an unknown title, called or calling, is refused for good with the reason that says which.
    private func authorize(_ request: AssociateRequest, _ address: String) throws(AssociateReject) -> AcceptorPolicy {
        let directory = settings.directory
        if directory.checksCalledAETitle, !address.isEmpty, request.calledAETitle != directory.aeTitle {
            rejected.add()
            throw .calledAETitleNotRecognized
        }
        guard directory.admit(request.callingAETitle, at: address) != nil else {
            rejected.add()
            throw .callingAETitleNotRecognized
        }
        return AcceptorPolicy(
            maximumLength: UInt32(settings.limits.maximumPDULength),
            implementationClassUID: FileMeta.implementationClassUID,
            implementationVersionName: FileMeta.implementationVersionName,
            asynchronousOperationsWindowMaximum: settings.asynchronousOperations,
            acceptsAbstractSyntax: offersCommitment ? ServiceClasses.supportWithCommitment : ServiceClasses.support,
            extendedNegotiation: ServiceClasses.extendedNegotiation)
    }

    private var offersCommitment: Bool { commitment != nil }

    private func serve(_ association: Association) {
        associations.add()
        let negotiated = association.negotiated
        guard let peer = settings.directory.admit(negotiated.callingAETitle, at: association.peerAddress) else {
            return
        }
        let id = "\(association.id)"
        Log.info(
            "association accepted",
            [
                "association": id, "peer": association.peerAddress, "calling": negotiated.callingAETitle,
                "called": negotiated.calledAETitle, "implementation": negotiated.peerImplementationVersionName ?? "",
                "contexts": "\(negotiated.allContexts.count)",
            ])
        let asker = settings.directory.asker(peer, at: association.peerAddress, connection: id)
        let session = Session(self, association, peer, asker)
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
    let store: StoreService
    /// nil: not offered.
    let commitment: CommitmentSession?
    /// A query or retrieval is running; a second one on the same association must wait for it to end.
    private var isBusy = false

    init(_ server: DIMSEServer, _ association: Association, _ peer: Peer, _ asker: Asker) {
        self.server = server
        self.association = association
        self.peer = peer
        self.asker = asker
        store = StoreService(server.archive, association, peer, window: Int(server.settings.asynchronousOperations))
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
        // A request that cannot be answered, for want of a message id (PS3.7 section 9.3), is no request.
        guard
            command.messageID != nil || command.commandField == .cCancelRequest
                || command.commandField?.isResponse == true
        else { throw association.refuse(.invalidPDUParameterValue, "command without a message id") }
        switch command.commandField {
        case .cStoreRequest: try store.handle(command, context)
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

    /// A command that is no service of ours (PS3.7 section 9.1, status 0211H), or a response that nobody waits for.
    private func refuse(_ command: CommandSet, _ contextID: UInt8) throws(TransportError) {
        if command.hasDataSet {
            try association.receiveDataSet(contextID: contextID, into: MemorySink(maximumBytes: 0))
        }
        guard let field = command.commandField, !field.isResponse else {
            throw association.refuse(.unexpectedPDU, "unexpected command \(command.commandFieldCode)")
        }
        try association.send(
            .response(to: command, status: .unrecognizedOperation, errorComment: "Not a service of this archive"),
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
        asker.scope = server.settings.directory.organisations.scope(of: peer.organisation)
        isBusy = true
        cancelled = nil
        defer { isBusy = false }
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
