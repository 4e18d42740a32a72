// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import DICOM
import DICOMNetwork
import Glibc
import Platform
import Transport

extension Ingest: DataSetSink {}

/// C-STORE as SCP (PS3.7 section 9.1.1, PS3.4 annex B). Success is answered only after the group commit has made the
/// instance durable; several may be outstanding, and then share a commit.
final class StoreService {
    private struct Finished {
        let command: CommandSet
        let contextID: UInt8
        let result: Result<StoreOutcome, ArchiveError>
    }

    private struct Shared {
        var outstanding = 0
        var finished: [Finished] = []
    }

    private let archive: Archive
    private let association: Association
    private let source: IngestSource
    private let window: Int
    private let shared = Monitor(Shared())
    private(set) var storedCount = 0
    private var isYielding = false

    init(_ archive: Archive, _ association: Association, _ peer: Peer, _ asker: Asker, window: Int) {
        self.archive = archive
        self.association = association
        self.window = max(1, window)
        var source = IngestSource(
            callingAETitle: association.negotiated.callingAETitle, calledAETitle: association.negotiated.calledAETitle,
            peerAddress: association.peerAddress, organisation: peer.organisation, issuer: peer.issuer,
            characterSetOverride: peer.characterSet, associationID: "\(association.id)",
            route: association.peerAddress.isEmpty ? .import : .dimse)
        if asker.kind == .user || asker.kind == .token { source.asker = "\(asker.kind.rawValue) \(asker.name)" }
        self.source = source
    }

    func handle(_ command: CommandSet, _ context: NegotiatedContext) throws(TransportError) {
        if !isYielding {
            // Somebody sits before a query or a retrieval; a modality has time. With 200 associations storing on two
            // processors, queries took 83 ms (p99) without this.
            isYielding = true
            SystemThread.yieldToOthers()
        }
        // A peer that keeps to the window never gets here; one that does not waits.
        while shared.withLock({ $0.outstanding }) >= window { try waitForOne() }
        let ingest = archive.beginIngest(
            sopClassUID: command.affectedSOPClassUID ?? "", sopInstanceUID: command.affectedSOPInstanceUID ?? "",
            transferSyntaxUID: context.transferSyntax, source: source)
        if command.hasDataSet { try association.receiveDataSet(contextID: context.id, into: ingest) }
        shared.withLock { $0.outstanding += 1 }
        do {
            guard command.affectedSOPClassUID == context.abstractSyntax else {
                throw ArchiveError.mismatch(
                    .sopClassUID, "SOP Class UID differs between command and presentation context")
            }
            guard command.hasDataSet else { throw ArchiveError.notUnderstood(nil, "C-STORE without a data set") }
            let association = association
            let shared = shared
            nonisolated(unsafe) let wake = { association.wake() }
            let thread = pthread_self()
            // A peer without further operations in flight waits for this answer, and so may its thread.
            try ingest.finish(mayCommit: association.negotiated.operationsWindow.requestorMayInvoke == 1) { result in
                shared.update { $0.finished.append(Finished(command: command, contextID: context.id, result: result)) }
                if pthread_equal(pthread_self(), thread) == 0 { wake() }
            }
            try answerFinished()
        } catch let error as TransportError {
            throw error
        } catch {
            shared.withLock {
                $0.finished.append(
                    Finished(command: command, contextID: context.id, result: .failure(error as! ArchiveError)))
            }
            try answerFinished()
        }
    }

    /// Answers what is finished, all in one write. Runs on the association's thread.
    func answerFinished() throws(TransportError) {
        let finished = shared.withLock { shared in
            defer { shared.finished.removeAll() }
            shared.outstanding -= shared.finished.count
            return shared.finished
        }
        guard !finished.isEmpty else { return }
        for entry in finished { association.queue(response(entry), contextID: entry.contextID) }
        try association.flush()
    }

    /// Whether nothing is outstanding.
    var isIdle: Bool { shared.withLock { $0.outstanding == 0 } }

    /// Answers all that is outstanding.
    func finishAll() throws(TransportError) {
        while shared.withLock({ $0.outstanding }) > 0 { try waitForOne() }
    }

    /// Waits until the group commit has let go of everything, without answering.
    func waitForAll() {
        shared.wait { $0.finished.count >= $0.outstanding ? true : nil }
    }

    private func waitForOne() throws(TransportError) {
        shared.wait { $0.finished.isEmpty ? nil : true }
        try answerFinished()
    }

    // MARK: Responses

    private func response(_ entry: Finished) -> CommandSet {
        let command = entry.command
        switch entry.result {
        case .success(let outcome):
            storedCount += 1
            // The importer counts what was there already; to others success is success.
            let tellsMore = source.route == .import && outcome == .alreadyThere
            return .cStoreResponse(
                to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID,
                sopInstanceUID: command.affectedSOPInstanceUID,
                status: .success, offendingElements: [], errorComment: tellsMore ? "Already there" : nil)
        case .failure(let error):
            archive.metrics.refused.add()
            let (status, tag) = Self.status(error)
            Log.warning(
                "instance refused",
                [
                    "association": "\(association.id)", "instance": command.affectedSOPInstanceUID ?? "",
                    "status": String(status.rawValue, radix: 16, uppercase: true), "why": "\(error)",
                ])
            return .cStoreResponse(
                to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID,
                sopInstanceUID: command.affectedSOPInstanceUID,
                status: status, offendingElements: tag.map { [$0.rawValue] } ?? [],
                errorComment: String("\(error)".prefix(64)))
        }
    }

    /// PS3.4 table B.2-1.
    private static func status(_ error: ArchiveError) -> (DIMSEStatus, Tag?) {
        switch error {
        case .outOfSpace, .unavailable: (.outOfResources, nil)
        case .mismatch(let tag, _): (.dataSetDoesNotMatchSOPClass, tag)
        case .notUnderstood(let tag, _): (.cannotUnderstand, tag)
        case .failed, .notFound, .retained, .log, .catalog: (.processingFailure, nil)
        }
    }
}
