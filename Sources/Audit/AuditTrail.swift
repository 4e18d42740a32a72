// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform
import Synchronization

/// The audit trail: an append-only log of its own, each line tied to all before it (`AuditChain`).
///
/// An entry is written before the first byte of the answer that it is about. The first look of somebody at something within a
/// minute is synced before that, too, together with whatever others wait for; the further ones within 50 ms. So killing the
/// process leaves no gap, and a power cut takes at most details of an access that is itself on record. What cannot be written is
/// refused by whoever asked for it to be written.
package final class AuditTrail: Sendable {
    package struct Settings: Sendable {
        /// A file is followed by another one beyond this.
        package var fileBytes: UInt64 = 64 << 20
        /// Room that is set aside on the disk.
        package var reserveBytes: UInt64 = 16 << 20
        /// For so long a second look of the same need not be synced by itself.
        package var lookSeconds = 60.0
        /// Until what was written without waiting is synced.
        package var lingerSeconds = 0.05

        package init() {}
    }

    /// Somebody's access to something.
    private struct Look: Hashable {
        let kind: AuditParty.Kind
        let name: String
        let address: String
        let object: String
    }

    /// Refusals at the door that were told already, and how often they came since.
    private struct Repetition {
        var event: AuditEvent
        var since: UInt64
        var count = 0
    }

    private struct State {
        var file: AuditFile?
        var end = AuditHead(number: 0, chain: [])
        var synced: UInt64 = 0
        var isSyncing = false
        /// Since when something is written and not synced, on the monotonic clock; nil: nothing is.
        var dirtySince: UInt64?
        var looks: [Look: UInt64] = [:]
        var repetitions: [AuditEvent: Repetition] = [:]
        /// For good.
        var failure: AuditError?
        /// The last attempt found no room.
        var shortage: AuditError?
        var head: (any VolumeFile)?
        var isHeadDirty = false
        var isStopped = false
        /// Keeps other processes from writing.
        var lock: (any VolumeFile)?
    }

    private static let looksMaximum = 20_000
    private static let repetitionsMaximum = 1_000

    package let directory: AuditDirectory
    private let settings: Settings
    private let state: Monitor<State>
    private let chain: AuditChain?
    private let clock = AuditClock()
    private let written: Metrics.Counter
    private let syncs: Metrics.Counter
    private let refused: Metrics.Counter
    private let thread = Monitor<SystemThread?>(nil)

    /// Opens the trail and brings its end in order. One that cannot be opened refuses every entry, and with them all reading:
    /// storing needs no entry and goes on.
    package init(_ directory: AuditDirectory, settings: Settings = Settings(), metrics: Metrics = Metrics()) {
        self.directory = directory
        self.settings = settings
        written = metrics.counter("snimok_audit_entries_total", "Entries written into the audit trail since the start.")
        syncs = metrics.counter("snimok_audit_syncs_total", "Syncs of the audit trail since the start.")
        refused = metrics.counter(
            "snimok_audit_refusals_total",
            "Accesses refused since the start because the audit trail could not be written.")
        var state = State()
        var findings: [String] = []
        chain = Self.open(directory, settings, &state, &findings)
        self.state = Monitor(state)
        metrics.gauge("snimok_audit_writable", "1 while accesses can be audited, 0 while reading is refused.") {
            [weak self] in self?.refusal == nil ? 1 : 0
        }
        metrics.gauge("snimok_audit_number", "The number of the last entry of the audit trail.") { [weak self] in
            Int(self?.head.number ?? 0)
        }
        if let failure = state.failure { Log.error("audit trail cannot be opened", ["why": "\(failure)"]) }
        for finding in findings { tell(finding) }
        start()
    }

    private static func open(
        _ directory: AuditDirectory, _ settings: Settings, _ state: inout State, _ findings: inout [String]
    ) -> AuditChain? {
        do {
            let volume = directory.volume
            try volume.createDirectories(directory.path)
            try volume.synchronizeDirectory(FileSystem.parent(of: directory.path))
            let lock = try volume.open(directory.lock, O_RDWR | O_CREAT, mode: 0o600)
            guard lock.tryLock() else { throw AuditError.inUse(directory.path) }
            let chain = try directory.chain(mayCreate: true)
            let result = try AuditRecovery(directory, chain).run()
            findings = result.findings
            state.end = result.end
            state.synced = result.end.number
            // The head first: a start that is stopped here leaves no trail without one.
            state.head = try openHead(directory, chain, result.end)
            state.file = try AuditFile(
                directory, result.file?.name ?? AuditDirectory.Name(result.end.number + 1), size: result.file?.size,
                fileBytes: settings.fileBytes, reserveBytes: settings.reserveBytes)
            state.lock = lock
            return chain
        } catch let error as AuditError {
            state.failure = error
        } catch {
            state.failure = .stopped("\(error)")
        }
        return nil
    }

    private static func openHead(
        _ directory: AuditDirectory, _ chain: AuditChain, _ end: AuditHead
    ) throws(SystemError) -> any VolumeFile {
        let isNew = !directory.volume.exists(directory.head)
        let file = try directory.volume.open(directory.head, O_RDWR | O_CREAT, mode: 0o600)
        try end.encoded(chain).withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
        try file.synchronize()
        if isNew { try directory.volume.synchronizeDirectory(directory.path) }
        return file
    }

    /// What recovery has found goes into the trail before anything else.
    private func tell(_ finding: String) {
        Log.warning("audit trail", ["found": finding])
        var event = AuditEvent(
            .alert, "recovery", by: .archive, outcome: finding.hasPrefix("an unfinished") ? .success : .seriousFailure,
            detail: finding)
        event.alert = .auditRecording
        try? record(event)
    }

    // MARK: Recording

    /// Writes and syncs an entry: for what is rare, as logins, deletions, changes of users.
    package func record(_ event: AuditEvent) throws(AuditError) {
        try waitUntilSynced(try write(event, lingers: false))
    }

    /// Writes the entry of an access to patients' data; to be called before the first byte of the answer. Synced, too, if it is
    /// the asker's first one at this study, or the first query, within a minute.
    package func recordAccess(_ event: AuditEvent) throws(AuditError) {
        let object =
            event.event == .query ? "query" : (event.studies ?? []).map(\.uid).joined(separator: " ")
        let look = Look(kind: event.who.kind, name: event.who.name, address: event.who.address, object: object)
        let now = Clock.monotonicNanoseconds()
        let isKnown = state.withLock { state in
            state.looks[look].map { Clock.elapsed(since: $0, now: now) < UInt64(settings.lookSeconds * 1e9) } ?? false
        }
        let number = try write(event, lingers: isKnown)
        if isKnown { return }
        try waitUntilSynced(number)
        state.withLock { state in
            if state.looks.count >= Self.looksMaximum {
                let oldest = UInt64(settings.lookSeconds * 1e9)
                state.looks = state.looks.filter { Clock.elapsed(since: $0.value, now: now) < oldest }
                if state.looks.count >= Self.looksMaximum { state.looks = [:] }
            }
            state.looks[look] = now
        }
    }

    /// Writes an entry that belongs to one that is there already, as the end of a transfer; synced soon. That it fails is told
    /// to nobody: what it is about has happened.
    package func recordEnd(_ event: AuditEvent) {
        do throws(AuditError) { _ = try write(event, lingers: true) } catch {
            Log.error("audit entry lost", ["action": event.action, "why": "\(error)"])
        }
    }

    /// Writes what strangers have tried. The same within a minute is counted and told once, so that nobody fills the disk by
    /// knocking.
    package func recordAlert(_ event: AuditEvent) {
        let now = Clock.monotonicNanoseconds()
        let isRepeated = state.withLock { state -> Bool in
            var key = event
            key.who.connection = ""
            // A stranger may call himself anything: his address counts.
            if event.who.kind == .unknown { (key.who.name, key.detail) = ("", nil) }
            if state.repetitions[key] == nil, state.repetitions.count >= Self.repetitionsMaximum {
                key = AuditEvent(event.event, event.action, by: AuditParty(.unknown, name: ""), outcome: event.outcome)
                key.alert = event.alert
                key.detail = "further callers"
            }
            guard state.repetitions[key] == nil else {
                state.repetitions[key]!.count += 1
                return true
            }
            state.repetitions[key] = Repetition(event: event, since: now)
            return false
        }
        if !isRepeated { recordEnd(event) }
    }

    /// Throws if an entry could not be written now; asked before what must not be done without one.
    package func check() throws(AuditError) {
        if let refusal { throw refusal }
    }

    /// Why reading is refused; nil while it is not.
    package var refusal: AuditError? { state.withLock { $0.failure ?? $0.shortage } }

    /// The last entry that was written.
    package var head: AuditHead { state.withLock { $0.end } }

    /// The last entry that was synced.
    package var syncedNumber: UInt64 { state.withLock { $0.synced } }

    /// - Parameter lingers: nobody waits for it to be synced, so the thread has to see to it.
    private func write(_ event: AuditEvent, lingers: Bool) throws(AuditError) -> UInt64 {
        let body = AuditLine.encoded(event, at: clock.timestamp())
        do throws(AuditError) {
            let (number, isFirst) = try state.withLock { state throws(AuditError) -> (UInt64, Bool) in
                try write(body, &state)
            }
            written.add()
            if lingers, isFirst { state.update { _ in } }
            return number
        } catch {
            refused.add()
            throw error
        }
    }

    private func write(_ body: [UInt8], _ state: inout State) throws(AuditError) -> (UInt64, Bool) {
        if let failure = state.failure { throw failure }
        guard let chain, !state.isStopped else { throw .stopped("the archive is stopping") }
        var isTorn = false
        do throws(SystemError) {
            if state.file!.isFull, !state.isSyncing { try rotate(&state) }
            let number = state.end.number + 1
            let signed = AuditChain.signedPart(number, body)
            let value = chain.value(of: signed, after: state.end.chain)
            try state.file!.append(AuditChain.line(signed, value), isTorn: &isTorn)
            state.end = AuditHead(number: number, chain: value)
        } catch {
            if error.isOutOfSpace, !isTorn {
                state.shortage = .full("\(error)")
                throw state.shortage!
            }
            state.failure = .stopped("\(error)")
            throw state.failure!
        }
        state.shortage = nil
        let isFirst = state.dirtySince == nil
        if isFirst { state.dirtySince = Clock.monotonicNanoseconds() }
        return (state.end.number, isFirst)
    }

    /// Begins the next file. With no room for one the trail goes on in the old one, as long as that has room set aside.
    private func rotate(_ state: inout State) throws(SystemError) {
        try state.file!.end()
        state.synced = state.end.number
        do throws(SystemError) {
            state.file = try AuditFile(
                directory, AuditDirectory.Name(state.end.number + 1), size: nil, fileBytes: settings.fileBytes,
                reserveBytes: settings.reserveBytes)
        } catch {
            guard error.isOutOfSpace else { throw error }
        }
    }

    // MARK: Syncing

    private enum Turn {
        case done
        case failed(AuditError)
        /// Nobody syncs: the caller does, for all who wait.
        case sync(any VolumeFile, AuditHead)
    }

    /// Returns when the entry would survive a power cut. Only one thread syncs at a time: Linux reports a failed write-back
    /// once for each open file, so of two at once one would be told that all is well.
    private func waitUntilSynced(_ number: UInt64) throws(AuditError) {
        while true {
            let turn = state.wait { state -> Turn? in
                if state.synced >= number { return .done }
                if let failure = state.failure { return .failed(failure) }
                guard !state.isSyncing else { return nil }
                state.isSyncing = true
                state.dirtySince = nil
                return .sync(state.file!.file, state.end)
            }!
            switch turn {
            case .done: return
            case .failed(let error):
                refused.add()
                throw error
            case .sync(let file, let end): synchronize(file, end)
            }
        }
    }

    private func synchronize(_ file: any VolumeFile, _ end: AuditHead) {
        var failure: AuditError?
        do { try file.synchronizeData() } catch { failure = .stopped("\(error)") }
        syncs.add()
        state.update { state in
            state.isSyncing = false
            if failure == nil { failure = keepHead(end, &state) }
            if let failure {
                state.failure = state.failure ?? failure
                Log.error("audit trail stopped", ["why": "\(failure)"])
            } else {
                state.synced = max(state.synced, end.number)
            }
        }
    }

    /// The head goes into the page cache with each sync, where it survives the end of the process, and to the disk once a
    /// second: it never names an entry that a power cut may take.
    private func keepHead(_ end: AuditHead, _ state: inout State) -> AuditError? {
        guard let chain, let head = state.head else { return nil }
        do {
            try end.encoded(chain).withRawBytes { bytes throws(SystemError) in try head.write(bytes, at: 0) }
            state.isHeadDirty = true
            return nil
        } catch { return .stopped("\(error)") }
    }

    // MARK: The thread

    private func start() {
        guard chain != nil else { return }
        do {
            let started = try SystemThread(name: "audit") { [self] in run() }
            thread.withLock { $0 = started }
        } catch {
            state.update { $0.failure = .stopped("\(error)") }
        }
    }

    /// Syncs what was written without waiting, keeps the head durable, and tells what was repeated.
    private func run() {
        var next = Clock.deadline(seconds: 1)
        while true {
            let wake = state.wait(until: next) { state -> Bool? in
                state.isStopped || (state.dirtySince != nil && state.failure == nil) ? state.isStopped : nil
            }
            if wake == true { return }
            if wake == false { lingerAndSync() }
            guard Clock.monotonicNanoseconds() >= next else { continue }
            next = Clock.deadline(seconds: 1)
            keepHouse()
        }
    }

    private func lingerAndSync() {
        guard let since = state.withLock({ $0.dirtySince }) else { return }
        // Whoever syncs meanwhile takes this along.
        _ = state.wait(until: since + UInt64(settings.lingerSeconds * 1e9)) { state -> Bool? in
            state.dirtySince != since || state.isStopped ? true : nil
        }
        guard state.withLock({ $0.dirtySince == since && $0.failure == nil }) else { return }
        try? waitUntilSynced(state.withLock { $0.end.number })
    }

    private func keepHouse() {
        synchronizeHead()
        let now = Clock.monotonicNanoseconds()
        let due = state.withLock { state -> [Repetition] in
            // After a shortage: is there room again?
            if state.shortage != nil, let free = try? directory.volume.freeBytes(directory.path), free > 1 << 20 {
                state.shortage = nil
            }
            let due = state.repetitions.filter {
                Clock.elapsed(since: $0.value.since, now: now) > UInt64(settings.lookSeconds * 1e9)
            }
            for key in due.keys { state.repetitions[key] = nil }
            return due.values.filter { $0.count > 0 }
        }
        tell(due)
    }

    private func tell(_ repetitions: [Repetition]) {
        for repetition in repetitions {
            var event = repetition.event
            event.repeated = repetition.count
            recordEnd(event)
        }
    }

    private func synchronizeHead() {
        let head = state.withLock { state -> (any VolumeFile)? in
            defer { state.isHeadDirty = false }
            return state.isHeadDirty ? state.head : nil
        }
        do { try head?.synchronizeData() } catch {
            state.update { $0.failure = $0.failure ?? .stopped("\(error)") }
        }
    }

    /// Syncs everything and lets others write; further entries are refused.
    package func stop() {
        let repetitions = state.withLock { state -> [Repetition] in
            defer { state.repetitions = [:] }
            return state.repetitions.values.filter { $0.count > 0 }
        }
        tell(repetitions)
        try? waitUntilSynced(state.withLock { $0.end.number })
        synchronizeHead()
        state.update { $0.isStopped = true }
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
        state.withLock { $0.lock = nil }
    }
}

extension AuditParty {
    /// The archive itself.
    package static let archive = AuditParty(.archive, name: "snimok")
}
