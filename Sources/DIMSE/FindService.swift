// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import Catalog
import DICOM
import DICOMNetwork
import Platform
import Transport

/// C-FIND as SCP (PS3.4 section C.4.1): each row goes straight into the output, and a cancellation counts between rows.
struct FindService {
    /// Rows are gathered up to so many bytes for one write.
    private static let writeBytes = 32_768
    private let session: Session
    private let command: CommandSet
    private let context: NegotiatedContext

    init(_ session: Session, _ command: CommandSet, _ context: NegotiatedContext) {
        self.session = session
        self.command = command
        self.context = context
    }

    func run(_ identifier: DataSet, _ root: QueryKeys.Root) throws(TransportError) {
        let settings = session.server.settings
        let keys: QueryKeys
        do {
            // One row beyond the limit tells that there are more.
            keys = try QueryKeys(
                identifier, root: root,
                characterSetOverride: SpecificCharacterSet(override: session.peer.characterSet),
                combinesDateTime: combinesDateTime, scope: session.asker.scope,
                shownReasons: session.asker.shownReasons,
                limit: settings.queryResultLimit.map { $0 + 1 })
        } catch {
            guard case .identifierDoesNotMatch(let why) = error else { return }
            return try answer(.identifierDoesNotMatchSOPClass, comment: why)
        }
        let answers = QueryAnswer(keys, archive: session.server.archive, retrieveAETitle: settings.directory.aeTitle)
        let transferSyntax = TransferSyntax(uid: context.transferSyntax)
        let rows = RowOutput(self, status: keys.hasUnsupportedKeys ? .pendingWithWarning : .pending)
        var outcome = Outcome()
        do {
            try session.server.archive.readers.find(keys.query) { row in
                if let limit = settings.queryResultLimit, outcome.rows == limit {
                    outcome.isLimited = true
                    return false
                }
                outcome.rows += 1
                try rows.add(answers.encoded(row, transferSyntax: transferSyntax))
                outcome.isCancelled = try wantsCancel()
                return !outcome.isCancelled
            }
            try rows.end(outcome.rows)
        } catch let error as TransportError {
            throw error
        } catch let error as AuditError {
            return try answer(.outOfResources, comment: error.comment)
        } catch let error as CatalogError where error.kind == .tooLong {
            Log.warning("query given up", ["association": "\(session.association.id)", "why": "\(error)"])
            try? rows.audit.record(.minorFailure)
            return try answer(.outOfResources, comment: "The search takes too long; narrow the query")
        } catch {
            Log.error("query failed", ["association": "\(session.association.id)", "why": "\(error)"])
            try? rows.audit.record(.seriousFailure)
            return try answer(.unableToProcess, comment: "Query failed; see the archive's log")
        }
        try finish(outcome)
    }

    /// Rows on their way out. The first ones are held back, up to what goes out in one write, so that the audit entry can be
    /// written before them and say how many there are.
    private final class RowOutput {
        let audit: OperationAudit
        private let service: FindService
        private let status: DIMSEStatus
        private var held: [[UInt8]] = []
        private var heldBytes = 0

        init(_ service: FindService, status: DIMSEStatus) {
            self.service = service
            self.status = status
            let event = service.session.auditEvent(.query, "C-FIND", service.context)
            audit = OperationAudit(service.session.server.audit, event)
        }

        func add(_ row: [UInt8]) throws {
            if audit.isRecorded { return try service.send(row, status) }
            held.append(row)
            heldBytes += row.count
            if heldBytes >= FindService.writeBytes { try release() }
        }

        /// No further row comes.
        func end(_ count: Int) throws {
            if !audit.isRecorded { audit.event.count = count }
            try release()
        }

        private func release() throws {
            try audit.record()
            for row in held { try service.send(row, status) }
            held = []
        }
    }

    private struct Outcome {
        var rows = 0
        var isCancelled = false
        var isLimited = false
    }

    private func finish(_ outcome: Outcome) throws(TransportError) {
        if outcome.isCancelled { return try answer(.cancel) }
        // PS3.4 table C.4-1 has no warning for a cut answer, so the limit is a refusal that gives its number.
        if outcome.isLimited {
            return try answer(
                .outOfResources, comment: "More than the configured \(outcome.rows) results; narrow the query")
        }
        try answer(.success)
    }

    /// Sub-field 2 of the extended negotiation (PS3.4 section C.5.1.1).
    private var combinesDateTime: Bool {
        let accepted = session.association.negotiated.extendedNegotiations[context.abstractSyntax] ?? []
        return accepted.count > 1 && accepted[1] == 1
    }

    private func send(_ row: [UInt8], _ status: DIMSEStatus) throws(TransportError) {
        let response = CommandSet.cFindResponse(
            to: command.messageID ?? 0, sopClassUID: context.abstractSyntax, status: status, hasDataSet: true)
        row.withUnsafeBytes { session.association.queue(response, contextID: context.id, dataSet: $0) }
        if session.association.queuedBytes >= Self.writeBytes { try session.association.flush() }
    }

    private func wantsCancel() throws(TransportError) -> Bool {
        while session.association.hasInput() {
            if case .cancel(command.messageID) = try session.handleWhileBusy() { return true }
        }
        return false
    }

    private func answer(_ status: DIMSEStatus, comment: String? = nil) throws(TransportError) {
        try session.association.send(
            .cFindResponse(
                to: command.messageID ?? 0, sopClassUID: context.abstractSyntax, status: status, hasDataSet: false,
                errorComment: comment), contextID: context.id)
    }
}
