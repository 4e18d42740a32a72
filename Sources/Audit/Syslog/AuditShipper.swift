// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Platform

/// A connection to a repository.
package protocol SyslogConnection: AnyObject {
    /// Returns when the system has taken all of it.
    func send(_ bytes: [UInt8]) throws
    /// Of what was sent, bytes that the other machine has not acknowledged.
    var unacknowledgedBytes: Int { get }
    /// Whether the other end has closed or broken it.
    var isBroken: Bool { get }
    func close()
}

/// Stores, which are on record in the log and not in the trail, as entries for the repository.
package protocol StoreAccountSource: Sendable {
    /// Where a repository begins that has got nothing yet: what was stored before is not told.
    func beginning() throws -> StoreCursor
    /// What was stored behind a place, and how far that goes.
    func accounts(after cursor: StoreCursor) throws -> (entries: [AuditEntry], cursor: StoreCursor)
}

/// How far into the log of what was stored something has come.
package struct StoreCursor: Codable, Equatable, Sendable {
    package var sequence: UInt64
    package var segment: UInt32
    package var offset: UInt64

    package init(sequence: UInt64, segment: UInt32, offset: UInt64) {
        self.sequence = sequence
        self.segment = segment
        self.offset = offset
    }
}

/// Sends the trail, and accounts of stores, to an audit repository by syslog over TLS. The trail itself is the spool: what the
/// repository's machine has acknowledged is remembered in a small file, and sending goes on behind it after an outage.
///
/// Syslog has no acknowledgement of its own (RFC 5425 section 7). An entry counts as sent when the repository's system has
/// acknowledged its bytes and the connection still stands: a repository that dies with bytes in its socket loses those, and after
/// a broken connection the last entries may come twice, with the same sequenceId.
package final class AuditShipper: Sendable {
    package struct Settings: Sendable {
        package var source: AuditSource
        package var retrySeconds = 1.0
        package var retryMaximumSeconds = 60.0
        /// For so long a repository may leave bytes unacknowledged.
        package var patienceSeconds = 30.0
        package var storeSeconds = 10.0

        package init(source: AuditSource) { self.source = source }
    }

    private struct Cursor: Codable, Equatable {
        var number: UInt64
        var stores: StoreCursor
    }

    private struct State {
        var isStopped = false
        /// The last entry that the repository has.
        var shipped: UInt64 = 0
        /// Since when something waits, on the monotonic clock.
        var waitingSince: UInt64?
        var isConnected = false
        var isReadingStores = false
    }

    private static let batchBytes = 256 << 10
    private static let entriesMaximum = 500

    private let directory: AuditDirectory
    private let trail: AuditTrail
    private let settings: Settings
    private let stores: any StoreAccountSource
    private let connect: @Sendable () throws -> any SyslogConnection
    private let state = Monitor(State())
    private let sent: Metrics.Counter

    package init(
        _ trail: AuditTrail, settings: Settings, stores: any StoreAccountSource, metrics: Metrics,
        connect: @escaping @Sendable () throws -> any SyslogConnection
    ) {
        directory = trail.directory
        self.trail = trail
        self.settings = settings
        self.stores = stores
        self.connect = connect
        sent = metrics.counter("snimok_audit_sent_total", "Audit messages sent to the repository since the start.")
        metrics.gauge("snimok_audit_unsent", "Entries of the audit trail that the repository has not got yet.") {
            [weak self] in self?.unsent ?? 0
        }
        metrics.gauge("snimok_audit_unsent_seconds", "For how long entries of the audit trail have waited to be sent.")
        {
            [weak self] in
            guard let since = self?.state.withLock({ $0.waitingSince }) else { return 0 }
            return Int((Clock.monotonicNanoseconds() - since) / 1_000_000_000)
        }
        metrics.gauge("snimok_audit_connected", "1 while the repository is connected.") { [weak self] in
            self?.state.withLock { $0.isConnected } == true ? 1 : 0
        }
    }

    private var unsent: Int { Int(trail.head.number - min(trail.head.number, state.withLock { $0.shipped })) }

    package func run() throws(SystemError) {
        try SystemThread(name: "audit-ship") { [self] in
            SystemThread.yieldToOthers()
            keepSending()
        }.detach()
    }

    /// Sends no more; what is left is sent after the next start. The log of what was stored is not read any more.
    package func stop() {
        state.update { $0.isStopped = true }
        state.wait { $0.isReadingStores ? nil : true }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    // MARK: Sending

    private func keepSending() {
        var pause = settings.retrySeconds
        var isTold = false
        while !isStopped {
            do {
                var cursor = try loadCursor()
                state.update { $0.shipped = cursor.number }
                noteWaiting()
                let connection = try connect()
                defer { connection.close() }
                state.update { $0.isConnected = true }
                Log.info("audit repository connected")
                (pause, isTold) = (settings.retrySeconds, false)
                try send(over: connection, from: &cursor)
            } catch {
                if !isTold { Log.warning("audit repository cannot be reached", ["why": "\(error)"]) }
                isTold = true
            }
            state.update { $0.isConnected = false }
            let end = Clock.deadline(seconds: pause)
            while !isStopped, Clock.monotonicNanoseconds() < end {
                noteWaiting()
                sleep(min(0.5, pause))
            }
            pause = min(pause * 2, settings.retryMaximumSeconds)
        }
    }

    private func send(over connection: any SyslogConnection, from cursor: inout Cursor) throws {
        var reader = AuditEntryReader(directory, after: cursor.number)
        var nextStores = Clock.monotonicNanoseconds()
        while !isStopped {
            guard !connection.isBroken else { throw ShippingFailure("the repository has closed the connection") }
            var frames: [UInt8] = []
            var next = cursor
            var count = try takeEntries(&reader, &next, &frames)
            if Clock.monotonicNanoseconds() >= nextStores {
                nextStores = Clock.deadline(seconds: settings.storeSeconds)
                count += try takeStores(&next, &frames)
            }
            guard next != cursor else {
                noteWaiting()
                sleep(0.5)
                continue
            }
            if !frames.isEmpty { try deliver(frames, connection) }
            try save(next)
            cursor = next
            sent.add(count)
            state.update { $0.shipped = next.number }
            noteWaiting()
        }
    }

    /// Entries that are durable here: what a power cut may still take is told to nobody.
    private func takeEntries(
        _ reader: inout AuditEntryReader, _ cursor: inout Cursor, _ frames: inout [UInt8]
    ) throws -> Int {
        var count = 0
        let last = trail.syncedNumber
        while cursor.number < last, count < Self.entriesMaximum, frames.count < Self.batchBytes,
            let (number, line) = try reader.next()
        {
            // What cannot be read is passed over; `verify` tells of it.
            if let entry = try? JSONDecoder().decode(AuditEntry.self, from: Data(line)) { append(entry, to: &frames) }
            cursor.number = number
            count += 1
        }
        return count
    }

    private func takeStores(_ cursor: inout Cursor, _ frames: inout [UInt8]) throws -> Int {
        guard
            state.withLock({
                $0.isReadingStores = !$0.isStopped; return $0.isReadingStores
            })
        else { return 0 }
        defer { state.update { $0.isReadingStores = false } }
        let found = try stores.accounts(after: cursor.stores)
        for entry in found.entries { append(entry, to: &frames) }
        cursor.stores = found.cursor
        return found.entries.count
    }

    private func append(_ entry: AuditEntry, to frames: inout [UInt8]) {
        for message in AuditMessage.messages(entry, source: settings.source) {
            frames += SyslogFrame.encoded(message, entry, source: settings.source, process: getpid())
        }
    }

    private func deliver(_ frames: [UInt8], _ connection: any SyslogConnection) throws {
        try connection.send(frames)
        let deadline = Clock.deadline(seconds: settings.patienceSeconds)
        while connection.unacknowledgedBytes > 0 {
            guard !connection.isBroken, Clock.monotonicNanoseconds() < deadline else {
                throw ShippingFailure("the repository does not take what is sent")
            }
            usleep(2_000)
        }
        guard !connection.isBroken else { throw ShippingFailure("the repository has closed the connection") }
    }

    private func noteWaiting() {
        let waits = unsent > 0
        state.update { state in
            state.waitingSince = waits ? state.waitingSince ?? Clock.monotonicNanoseconds() : nil
        }
    }

    private func sleep(_ seconds: Double) {
        _ = state.wait(until: Clock.deadline(seconds: seconds)) { $0.isStopped ? true : nil }
    }

    // MARK: The cursor

    private var cursorFile: String { "\(directory.path)/sent" }

    private func loadCursor() throws -> Cursor {
        if directory.volume.exists(cursorFile) {
            let bytes = try directory.volume.contents(cursorFile)
            if let cursor = try? JSONDecoder().decode(Cursor.self, from: Data(bytes)) { return cursor }
            Log.warning("the place to go on sending audit messages from is lost; all are sent again")
        }
        let cursor = Cursor(number: 0, stores: try stores.beginning())
        try save(cursor)
        return cursor
    }

    private func save(_ cursor: Cursor) throws {
        try directory.volume.replace(cursorFile, with: Array(try JSONEncoder().encode(cursor)) + [0x0A])
    }
}

private struct ShippingFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
