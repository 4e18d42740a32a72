// SPDX-License-Identifier: Apache-2.0
import Archive
import Control
import DICOMNetwork
import Database
import Glibc
import Platform

/// Storage Commitment, push model, as SCP (PS3.4 annex J). A request is written down in `control.db` and acknowledged; one
/// thread verifies the instances of one request after the other, another tells the results. Results go out on the
/// association on which they were asked for while that is open and idle, else on one that the archive opens to the
/// address configured for the asker, again and again with growing pauses, until they are acknowledged or given up.
package final class CommitmentService: Sendable {
    /// How long an open association of the asker may be too busy for its result.
    private static let sameAssociationSeconds = 10.0
    private static let retrySecondsMaximum = 3600.0
    /// After the archive's own trouble with its databases; verifying is not lightly done twice.
    private static let pauseSeconds = 5.0
    private static let verifyPauseSeconds = 60.0

    let parsing = Monitor(())
    private let archive: Archive
    private let control: Control
    private let settings: ServiceSettings
    private let work = Monitor(CommitmentWork())
    private let requests: Metrics.Counter
    private let committed: Metrics.Counter
    private let failed: Metrics.Counter
    private let reported: Metrics.Counter
    private let givenUp: Metrics.Counter

    /// Goes on with what `control.db` has pending once `run` is called.
    package init(_ archive: Archive, _ control: Control, settings: ServiceSettings, metrics: Metrics) {
        self.archive = archive
        self.control = control
        self.settings = settings
        requests = metrics.counter("snimok_commitment_requests_total", "Storage commitment requests accepted.")
        committed = metrics.counter("snimok_commitment_committed_total", "Instances committed.")
        failed = metrics.counter("snimok_commitment_failed_total", "Instances whose commitment was refused.")
        reported = metrics.counter("snimok_commitment_reported_total", "Results acknowledged by whoever asked.")
        givenUp = metrics.counter("snimok_commitment_given_up_total", "Results that could not be told in time.")
        let work = work
        metrics.gauge("snimok_commitment_pending", "Storage commitment requests neither reported nor given up.") {
            work.withLock { $0.items.count }
        }
    }

    /// Starts the threads; what was pending at the last stop is done at once.
    package func run() throws {
        let now = Clock.monotonicNanoseconds()
        let pending = try control.pendingCommitments()
        work.update { work in
            for request in pending {
                work.items[request.id] = CommitmentWork.Item(
                    aeTitle: request.aeTitle, calledAETitle: request.calledAETitle,
                    step: request.state == .accepted ? .verify(at: now) : .tell(at: now))
            }
        }
        if !pending.isEmpty { Log.info("storage commitment goes on", ["pending": "\(pending.count)"]) }
        try start("commit-verify") { [self] in
            // A modality that waits for its result has time.
            SystemThread.yieldToOthers()
            while let id = nextToVerify() { verify(id) }
        }
        try start("commit-tell") { [self] in
            while let delivery = nextDelivery() { tell(delivery) }
        }
    }

    private func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        try SystemThread(name: name) { [work] in
            body()
            work.update { $0.runningThreads -= 1 }
        }.detach()
        work.update { $0.runningThreads += 1 }
    }

    /// Ends the threads between two instances. What is pending is gone on with at the next start.
    package func stop(withinSeconds seconds: Double) {
        work.update { $0.isStopping = true }
        work.wait(until: Clock.deadline(seconds: seconds)) { $0.runningThreads <= 0 ? true : nil }
    }

    private var isStopping: Bool { work.withLock { $0.isStopping } }

    // MARK: From associations

    /// Takes in a request; durable when this returns.
    /// - Returns: false: too much of this asker is pending.
    func accept(_ request: CommitmentRequest, _ mailbox: CommitmentMailbox) throws(DatabaseError) -> Bool {
        let addition = try control.add(
            request, duplicateFailure: StorageCommitment.FailureReason.duplicateTransactionUID)
        let now = Clock.monotonicNanoseconds()
        var item = CommitmentWork.Item(
            aeTitle: request.aeTitle, calledAETitle: request.calledAETitle, step: .verify(at: now), mailbox: mailbox)
        let accepted: Int64
        switch addition {
        case .tooMany: return false
        case .added(let id):
            work.update { $0.items[id] = item }
            accepted = id
        case .duplicate(let id):
            item.step = offer(id, request.aeTitle, mailbox)
            work.update { $0.items[id] = item }
            failed.add(request.references.count)
            accepted = id
        case .known(let id):
            attach(mailbox, to: id)
            accepted = id
        }
        requests.add()
        Log.info(
            "storage commitment requested",
            [
                "request": "\(accepted)", "transaction": request.transactionUID, "calling": request.aeTitle,
                "instances": "\(request.references.count)",
            ])
        return true
    }

    /// The same request came again, perhaps because its result got lost: it is told here.
    private func attach(_ mailbox: CommitmentMailbox, to id: Int64) {
        work.update { work in
            guard let item = work.items[id] else { return }
            switch item.step {
            case .verify, .busy: break
            case .offered, .sent, .tell:
                _ = item.mailbox?.withdraw(id)
                work.items[id]?.step = offer(id, item.aeTitle, mailbox)
            }
            work.items[id]?.mailbox = mailbox
        }
    }

    /// What is to be told of a request; nil: nothing any more.
    func report(_ id: Int64) -> CommitmentReport? {
        do {
            return try control.commitment(id).map {
                CommitmentReport($0, retrieveAETitle: settings.directory.aeTitle)
            }
        } catch {
            Log.error("result of storage commitment cannot be read", ["request": "\(id)", "why": "\(error)"])
            returned([id])
            return nil
        }
    }

    /// The asker has answered the event.
    /// - Parameter association: 0: one that the archive opened.
    func told(_ id: Int64, _ response: CommandSet, association: UInt64) {
        let status = response.status ?? .processingFailure
        guard status.isSuccess || status.isWarning else {
            let comment = response.errorComment ?? ""
            return postpone(id, "answered with \(status) \(comment)")
        }
        finish(id, .reported, association == 0 ? "association of the archive" : "association \(association)")
        reported.add()
    }

    /// The association ended before these results were told and acknowledged on it.
    func returned(_ ids: [Int64]) {
        let now = Clock.monotonicNanoseconds()
        work.update { work in
            for id in ids {
                switch work.items[id]?.step {
                case .offered, .sent: work.items[id]?.step = .tell(at: now)
                case .verify, .tell, .busy, nil: break
                }
            }
        }
    }

    // MARK: Verifying

    private func nextToVerify() -> Int64? {
        next { $0.nextToVerify(now: $1) }
    }

    /// Waits for something to do; times that are due are looked at twice a second while there is anything pending.
    private func next<Job>(_ take: (inout CommitmentWork, UInt64) -> Job?) -> Job? {
        while true {
            let isIdle = work.withLock { $0.items.isEmpty }
            let found: Job?? = work.wait(until: isIdle ? nil : Clock.deadline(seconds: 0.5)) { work -> Job?? in
                if work.isStopping { return .some(nil) }
                if let job = take(&work, Clock.monotonicNanoseconds()) { return .some(job) }
                // Woken by the first one: from now on with a time limit.
                return isIdle && !work.items.isEmpty ? .some(nil) : nil
            }
            if let job = found ?? nil { return job }
            if isStopping { return nil }
        }
    }

    private func verify(_ id: Int64) {
        do {
            guard let request = try control.commitment(id) else {
                return work.update { $0.items[id] = nil }
            }
            let verifier = CommitmentVerifier(archive, request) { [self] in isStopping }
            guard let failures = verifier.run() else { return }
            try control.setVerified(id, failures: failures)
            let bad = failures.count { $0 != StorageCommitment.FailureReason.committed }
            committed.add(failures.count - bad)
            failed.add(bad)
            Log.info(
                "storage commitment verified",
                [
                    "request": "\(id)", "transaction": request.transactionUID, "calling": request.aeTitle,
                    "committed": "\(failures.count - bad)", "failed": "\(bad)",
                ])
            work.update { work in
                guard let item = work.items[id] else { return }
                work.items[id]?.step = offer(id, item.aeTitle, item.mailbox)
            }
        } catch {
            Log.error("storage commitment cannot be verified", ["request": "\(id)", "why": "\(error)"])
            work.update { $0.items[id]?.step = .verify(at: Clock.deadline(seconds: Self.verifyPauseSeconds)) }
        }
    }

    // MARK: Telling

    /// Puts a result into the mailbox of an open association. Whoever has no address configured gets it there or not at all.
    private func offer(_ id: Int64, _ aeTitle: String, _ mailbox: CommitmentMailbox?) -> CommitmentWork.Step {
        guard let mailbox, mailbox.offer(id) else { return .tell(at: Clock.monotonicNanoseconds()) }
        let isReachable = settings.directory.peer(aeTitle).map { $0.host != nil && $0.port != nil } ?? false
        return .offered(until: isReachable ? Clock.deadline(seconds: Self.sameAssociationSeconds) : .max)
    }

    private func nextDelivery() -> CommitmentWork.Delivery? {
        next { $0.nextDelivery(now: $1) }
    }

    private func tell(_ delivery: CommitmentWork.Delivery) {
        var waiting = delivery.ids[...]
        do throws(CommitmentSender.Failure) {
            guard let peer = settings.directory.peer(delivery.aeTitle) else {
                throw CommitmentSender.Failure(why: "\(delivery.aeTitle) is not among the configured peers")
            }
            var sender = try CommitmentSender(to: peer, callingAETitle: delivery.calledAETitle, settings: settings)
            while let id = waiting.first, !isStopping {
                guard let report = report(id) else {
                    settle(missing: id)
                    waiting.removeFirst()
                    continue
                }
                let response = try sender.tell(report)
                told(id, response, association: 0)
                waiting.removeFirst()
            }
            sender.release()
        } catch {
            for id in waiting { postpone(id, error.why) }
        }
    }

    /// A request that cannot be read now, or is finished.
    private func settle(missing id: Int64) {
        var isFinished = false
        do { isFinished = try control.pendingCommitment(id) == nil } catch {
            Log.warning("pending commitment cannot be read", ["why": "\(error)"])
        }
        let later = Clock.deadline(seconds: Self.pauseSeconds)
        work.update { work in
            if isFinished { work.items[id] = nil } else { work.items[id]?.step = .tell(at: later) }
        }
    }

    /// An attempt has failed: another one later, or none if there was time enough.
    private func postpone(_ id: Int64, _ why: String) {
        do {
            guard let pending = try control.pendingCommitment(id) else { return settle(missing: id) }
            let now = Clock.wallNanoseconds()
            let age = Double(now - pending.receivedAtNanoseconds) / 1e9
            guard age < settings.commitment.giveUpSeconds else {
                Log.error(
                    "storage commitment given up: its result could not be told",
                    ["request": "\(id)", "calling": pending.aeTitle, "attempts": "\(pending.attempts + 1)", "why": why])
                givenUp.add()
                return finish(id, .givenUp, why)
            }
            let doublings = Double(min(pending.attempts, 20))
            let pause = min(
                settings.commitment.retrySeconds * exp2(doublings), Self.retrySecondsMaximum,
                settings.commitment.giveUpSeconds - age + 1)
            try control.postpone(id, until: now + Int64(pause * 1e9), note: why)
            Log.warning(
                "result of storage commitment not told yet",
                ["request": "\(id)", "calling": pending.aeTitle, "nextInSeconds": "\(Int(pause))", "why": why])
            let at = Clock.deadline(seconds: pause)
            work.update { $0.items[id]?.step = .tell(at: at) }
        } catch {
            Log.error("storage commitment cannot be written down", ["request": "\(id)", "why": "\(error)"])
            settle(missing: id)
        }
    }

    private func finish(_ id: Int64, _ state: CommitmentState, _ note: String) {
        do {
            try control.finish(id, state, note: note)
            work.update { $0.items[id] = nil }
            if state == .reported { Log.info("storage commitment reported", ["request": "\(id)", "how": note]) }
        } catch {
            // It is told once more, rather than lost.
            Log.error("storage commitment cannot be written down", ["request": "\(id)", "why": "\(error)"])
            settle(missing: id)
        }
    }
}
