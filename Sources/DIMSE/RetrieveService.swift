// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import Catalog
import DICOM
import DICOMNetwork
import Platform
import Transport

/// C-GET and C-MOVE as SCP (PS3.4 sections C.4.2 and C.4.3): the same run of sub-operations, over the asker's own
/// association or over one opened to a configured destination.
struct RetrieveService {
    private let session: Session
    private let command: CommandSet
    private let context: NegotiatedContext
    private var isMove: Bool { command.commandField == .cMoveRequest }
    private var association: Association { session.association }

    init(_ session: Session, _ command: CommandSet, _ context: NegotiatedContext) {
        self.session = session
        self.command = command
        self.context = context
    }

    func get(_ identifier: DataSet, _ root: QueryKeys.Root) throws(TransportError) {
        guard let versions = try select(identifier, root, for: session.peer) else { return }
        guard let audit = try begin(versions, to: nil) else { return }
        try run(versions, GetTarget(session), audit, moveOriginator: nil)
    }

    func move(_ identifier: DataSet, _ root: QueryKeys.Root) throws(TransportError) {
        let title = command.moveDestination ?? ""
        // Only destinations that the operator has named: an archive that sends anywhere sends to thieves.
        guard let destination = session.server.settings.directory.peer(title), destination.host != nil,
            destination.port != nil
        else {
            var event = session.auditEvent(.alert, "C-MOVE", context)
            event.alert = .nodeAuthentication
            (event.outcome, event.detail) = (.minorFailure, "unknown move destination \(title)")
            session.server.audit.recordAlert(event)
            return try answer(.moveDestinationUnknown, comment: "Move destination is not configured here")
        }
        guard let all = try select(identifier, root, for: destination) else { return }
        guard let seen = try seen(all, by: destination) else { return }
        let versions = all.filter { seen.contains($0.blobID) }
        // What the destination's organisation may not see is not sent there, whoever asks: a failed sub-operation, with the
        // reason (PS3.4 section C.4.2.1.5, table C.4-2; PS3.7 section C.4.2: Error Comment).
        let refused = all.filter { !seen.contains($0.blobID) }.map(\.sopInstanceUID)
        guard let audit = try begin(versions, to: destination) else { return }
        guard !all.isEmpty else { return try answer(.success, counts: SubOperationCounts()) }
        guard !versions.isEmpty else {
            audit.end(.minorFailure, completed: 0, detail: "not for the destination's organisation")
            return try answer(
                .unableToPerformSubOperations, counts: SubOperationCounts(failed: UInt16(clamping: refused.count)),
                failed: refused, comment: Self.refusal)
        }
        let target: MoveTarget
        do { target = try MoveTarget(destination, versions, session.server) } catch {
            Log.warning(
                "move destination cannot be reached",
                ["association": "\(association.id)", "to": title, "why": "\(error)"])
            audit.end(.seriousFailure, completed: 0, detail: "destination cannot be reached")
            return try answer(
                .unableToPerformSubOperations, counts: SubOperationCounts(failed: UInt16(clamping: versions.count)),
                failed: versions.map(\.sopInstanceUID), comment: "Move destination cannot be reached")
        }
        try run(
            versions, target, audit, moveOriginator: (association.negotiated.callingAETitle, command.messageID ?? 0),
            refused: refused)
        target.release()
    }

    private static let refusal = "Not for the destination's organisation; share the study first"

    /// What of it the destination may see; nil: that could not be found out, and was answered.
    private func seen(_ versions: [CatalogVersion], by destination: Peer) throws(TransportError) -> Set<[UInt8]>? {
        let scope = session.server.settings.directory.organisations.scope(of: destination.organisation)
        do {
            return try session.server.archive.readers.withReader { try $0.seen(versions.map(\.blobID), scope: scope) }
        } catch {
            Log.error("retrieval failed", ["association": "\(association.id)", "why": "\(error)"])
            try answer(.unableToCalculateMatches, comment: "Retrieval failed; see the archive's log")
            return nil
        }
    }

    /// The versions that the asker gets; nil when the identifier was refused and answered.
    /// - Parameter receiver: whose rules decide about what was rejected.
    private func select(
        _ identifier: DataSet, _ root: QueryKeys.Root, for receiver: Peer
    ) throws(TransportError) -> [CatalogVersion]? {
        do {
            let keys = try RetrieveKeys(
                identifier, root: root, characterSetOverride: SpecificCharacterSet(override: session.peer.characterSet),
                shownReasons: receiver.shownReasons)
            return try session.server.archive.versions(keys.selection, scope: session.asker.scope)
        } catch QueryKeys.Failure.identifierDoesNotMatch(let why) {
            try answer(.identifierDoesNotMatchSOPClass, comment: why)
        } catch {
            Log.error("retrieval failed", ["association": "\(association.id)", "why": "\(error)"])
            try answer(.unableToCalculateMatches, comment: "Retrieval failed; see the archive's log")
        }
        return nil
    }

    // MARK: Audit

    /// What is to be transferred is on record before the first byte of it goes out (PS3.15 section A.5.3.3); nil: it could not
    /// be, and the request was refused and answered.
    private func begin(_ versions: [CatalogVersion], to destination: Peer?) throws(TransportError) -> TransferAudit? {
        var event = session.auditEvent(.transferBegun, isMove ? "C-MOVE" : "C-GET", context)
        if let destination {
            event.other = AuditParty(
                .station, name: destination.aeTitle, organisation: destination.organisation,
                address: destination.host ?? "")
        }
        event.take(versions, patients: session.server.archive.readers)
        do throws(AuditError) {
            try session.server.audit.recordAccess(event)
            return TransferAudit(trail: session.server.audit, begun: event)
        } catch {
            // PS3.4 tables C.4-2 and C.4-3.
            try answer(
                .unableToPerformSubOperations, counts: SubOperationCounts(failed: UInt16(clamping: versions.count)),
                comment: error.comment)
            return nil
        }
    }

    // MARK: Sub-operations

    /// Responses in between are optional (PS3.4 sections C.4.2.3.1 and C.4.3.3.1). One comes behind the first instance, and then
    /// as often as somebody sees how far it has come; one for each instance kept the asker and the processor busy.
    private static let pendingIntervalNanoseconds: UInt64 = 250_000_000

    private struct Tally {
        var completed = 0
        var warning = 0
        var failed: [String] = []
        var isCancelled = false
    }

    private func run(
        _ versions: [CatalogVersion], _ target: some SubOperationTarget, _ audit: TransferAudit,
        moveOriginator: (aeTitle: String, messageID: UInt16)?, refused: [String] = []
    ) throws(TransportError) {
        var tally = Tally()
        tally.failed = refused
        var remaining = versions.count
        var toldAt: UInt64 = 0
        var hasEnded = false
        defer {
            audit.end(
                !hasEnded ? .seriousFailure : tally.failed.isEmpty && !tally.isCancelled ? .success : .minorFailure,
                completed: tally.completed + tally.warning,
                detail: !hasEnded ? "broken off" : tally.isCancelled ? "cancelled" : "\(tally.failed.count) failed")
        }
        for (number, version) in versions.enumerated() {
            let next = number + 1 < versions.count ? versions[number + 1] : nil
            switch try target.store(version, next: next, moveOriginator) {
            case .stored: tally.completed += 1
            case .warning: tally.warning += 1
            case .failed(let why):
                tally.failed.append(version.sopInstanceUID)
                Log.warning(
                    "sub-operation failed",
                    ["association": "\(association.id)", "instance": version.sopInstanceUID, "why": why])
            }
            remaining -= 1
            tally.isCancelled = try wantsCancel()
            if tally.isCancelled { break }
            // Written together with the next instance where that goes the same way.
            let now = Clock.monotonicNanoseconds()
            if remaining > 0, Clock.elapsed(since: toldAt, now: now) >= Self.pendingIntervalNanoseconds {
                toldAt = now
                association.queue(response(.pending, counts(tally, remaining)), contextID: context.id)
                if isMove { try association.flush() }
            }
        }
        hasEnded = true
        try finish(tally, remaining, comment: refused.isEmpty ? nil : Self.refusal)
    }

    private func finish(_ tally: Tally, _ remaining: Int, comment: String?) throws(TransportError) {
        let status: DIMSEStatus =
            if tally.isCancelled { .cancel } else if tally.failed.isEmpty {
                .success
            } else if tally.completed + tally.warning == 0 {
                .unableToPerformSubOperations
            } else { .subOperationsCompleteWithFailures }
        try answer(status, counts: counts(tally, remaining), failed: tally.failed, comment: comment)
    }

    private func counts(_ tally: Tally, _ remaining: Int) -> SubOperationCounts {
        SubOperationCounts(
            remaining: UInt16(clamping: remaining), completed: UInt16(clamping: tally.completed),
            failed: UInt16(clamping: tally.failed.count), warning: UInt16(clamping: tally.warning))
    }

    /// The cancellation that was seen while waiting for a store's response, or waits to be read now.
    private func wantsCancel() throws(TransportError) -> Bool {
        while association.hasInput() {
            if case .cancel(let id) = try session.handleWhileBusy() { session.cancelled = id }
        }
        return session.cancelled == command.messageID
    }

    // MARK: Responses

    private func response(
        _ status: DIMSEStatus, _ counts: SubOperationCounts?, hasDataSet: Bool = false, comment: String? = nil
    ) -> CommandSet {
        let id = command.messageID ?? 0
        return isMove
            ? .cMoveResponse(
                to: id, sopClassUID: context.abstractSyntax, status: status, counts: counts, hasDataSet: hasDataSet,
                errorComment: comment)
            : .cGetResponse(
                to: id, sopClassUID: context.abstractSyntax, status: status, counts: counts, hasDataSet: hasDataSet,
                errorComment: comment)
    }

    private func answer(
        _ status: DIMSEStatus, counts: SubOperationCounts? = nil, failed: [String] = [], comment: String? = nil
    ) throws(TransportError) {
        guard !failed.isEmpty else {
            return try association.send(response(status, counts, comment: comment), contextID: context.id)
        }
        var writer = DataSetWriter(transferSyntax: TransferSyntax(uid: context.transferSyntax))
        // An explicit UI holds 65,534 bytes: about a thousand UIDs; the counts tell of the rest.
        writer.append(.failedSOPInstanceUIDList, .ui, text: failed.prefix(1000).joined(separator: "\\"))
        try writer.bytes.withRawBytes { bytes throws(TransportError) in
            try association.send(
                response(status, counts, hasDataSet: true, comment: comment), contextID: context.id, dataSet: bytes)
        }
    }
}

/// The end of a transfer whose beginning is on record (PS3.15 section A.5.3.7).
private struct TransferAudit {
    let trail: AuditTrail
    let begun: AuditEvent

    func end(_ outcome: AuditEvent.Outcome, completed: Int, detail: String) {
        var event = begun
        event.event = .transferred
        event.query = nil
        event.outcome = outcome
        event.count = completed
        event.detail = detail
        trail.recordEnd(event)
    }
}

/// What became of one sub-operation.
enum SubOperationResult {
    case stored, warning
    case failed(String)
}

/// Where sub-operations send to.
protocol SubOperationTarget {
    /// - Parameter next: what will be stored after it, so that it can be read while this one is on its way.
    func store(
        _ version: CatalogVersion, next: CatalogVersion?, _ moveOriginator: (aeTitle: String, messageID: UInt16)?
    ) throws(TransportError) -> SubOperationResult
}
