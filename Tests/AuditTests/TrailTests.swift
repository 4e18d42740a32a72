// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import Audit

@Suite("Audit trail")
struct TrailTests {
    private let folder: Folder
    private let volume = FaultyVolume()

    init() throws { folder = try Folder() }

    private var lineSyncs: Int { volume.calls.count { $0.hasPrefix("sync") && $0.hasSuffix(".jsonl") } }

    @Test("The first look within a minute is synced before its answer, further ones soon")
    func looks() throws {
        let trail = folder.trail(volume)
        let before = lineSyncs
        try trail.recordAccess(Samples.event(1))
        #expect(lineSyncs == before + 1)
        #expect(trail.syncedNumber == trail.head.number)
        try trail.recordAccess(Samples.event(1))
        #expect(trail.head.number == 2)
        // Written all the same.
        #expect(try folder.lines().count == 2)
        let deadline = Clock.deadline(seconds: 2)
        while trail.syncedNumber < 2, Clock.monotonicNanoseconds() < deadline { usleep(5000) }
        #expect(trail.syncedNumber == 2)
        // Another study is another look, and so is another asker.
        try trail.recordAccess(Samples.event(2))
        var other = Samples.event(1)
        other.who.address = "10.9.9.9"
        try trail.recordAccess(other)
        #expect(trail.syncedNumber == 4)
        trail.stop()
        #expect(try folder.verify().problems.isEmpty)
    }

    @Test("Many at once share syncs, and every entry is there once")
    func threads() throws {
        let trail = folder.trail(volume, fileBytes: 20_000)
        let threads = try (0..<8).map { thread in
            try SystemThread(name: "t\(thread)") {
                for number in 0..<100 { try! trail.recordAccess(Samples.event(thread * 1000 + number)) }
            }
        }
        for thread in threads { thread.join() }
        trail.stop()
        let entries = try folder.entries()
        #expect(entries.map(\.number) == Array(1...800))
        #expect(Set(entries.map { $0.event.count! }).count == 800)
        #expect(try folder.verify().problems.isEmpty)
        #expect(lineSyncs < 800)
    }

    @Test("No room refuses, leaves no torn line, and is over when there is room", arguments: [0, 17])
    func full(part: Int) throws {
        let trail = folder.trail(volume)
        try trail.recordAccess(Samples.event(1))
        volume.change {
            $0.isFull = true
            $0.partBytes = part
        }
        #expect(throws: AuditError.self) { try trail.recordAccess(Samples.event(2)) }
        guard case .full? = trail.refusal else {
            Issue.record("\(String(describing: trail.refusal))")
            return
        }
        volume.change { $0.isFull = false }
        try trail.recordAccess(Samples.event(3))
        #expect(trail.refusal == nil)
        trail.stop()
        #expect(try folder.verify().problems.isEmpty)
        #expect(try folder.entries().map(\.event.count) == [1, 3])
    }

    @Test("A failed sync is final")
    func failedSync() throws {
        let trail = folder.trail(volume)
        try trail.recordAccess(Samples.event(1))
        volume.change { $0.failsSyncs = true }
        #expect(throws: AuditError.self) { try trail.recordAccess(Samples.event(2)) }
        volume.change { $0.failsSyncs = false }
        #expect(throws: AuditError.self) { try trail.recordAccess(Samples.event(3)) }
        // Even what is known, and would not be waited for.
        #expect(throws: AuditError.self) { try trail.recordAccess(Samples.event(1)) }
        trail.stop()
        // The next start goes on with what is there.
        let next = folder.trail()
        try next.recordAccess(Samples.event(4))
        next.stop()
        #expect(try folder.verify().problems.isEmpty)
    }

    @Test("The same knock at the door is counted, not written each time")
    func alerts() throws {
        let trail = folder.trail()
        for number in 0..<500 {
            var event = AuditEvent(
                .alert, "association", by: AuditParty(.unknown, name: "X", address: "10.0.0.9"), outcome: .minorFailure)
            event.alert = .nodeAuthentication
            event.who.connection = "\(number)"
            event.who.name = "CALLER\(number)"
            trail.recordAlert(event)
        }
        trail.stop()
        #expect(try folder.entries().map(\.event.repeated) == [nil, 499])
    }

    @Test("Text from the wire neither breaks a line nor steers a terminal")
    func hostileText() throws {
        let hostile = "A\r\n{\"n\":99}\u{1B}[2J\u{202E}\u{2028}\u{0}\u{7F}\u{9B}\"\\\u{E000}\u{10FFFF}Ж"
        let trail = folder.trail()
        var event = AuditEvent(.query, hostile, by: AuditParty(.station, name: hostile), detail: hostile)
        event.other = AuditParty(.media, name: hostile, organisation: hostile, address: hostile, connection: hostile)
        event.take([AuditStudy(hostile, patient: hostile, issuer: hostile, classes: [hostile: 1])])
        event.query = AuditQuery(subject: hostile, transferSyntax: hostile, keys: Array(hostile.utf8))
        try trail.record(event)
        trail.stop()
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.files[0])))
        #expect(bytes.count { $0 == 0x0A } == 1)
        let text = String(decoding: bytes.dropLast(), as: UTF8.self)
        let dangerous: Set<Unicode.GeneralCategory> = [
            .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned,
        ]
        #expect(!text.unicodeScalars.contains { dangerous.contains($0.properties.generalCategory) })
        #expect(text.contains("Ж"))
        #expect(try folder.entries().map(\.event) == [event])
        #expect(try folder.verify().problems.isEmpty)
    }

    @Test("What an entry holds is bounded")
    func bounds() throws {
        let trail = folder.trail()
        var event = AuditEvent(.query, String(repeating: "x", count: 100_000), by: Samples.who)
        event.take((0..<1000).map { AuditStudy("1.\($0)") })
        event.query = AuditQuery(subject: "s", keys: [UInt8](repeating: 1, count: 1 << 20))
        try trail.record(event)
        trail.stop()
        let entry = try folder.entries()[0].event
        #expect(entry.action.count == 1024)
        #expect(entry.studies?.count == 64 && entry.studyCount == 1000)
        #expect(entry.query?.bytes == 1 << 20 && entry.query!.keys.utf8.count <= 24_000)
        #expect(try folder.lines()[0].utf8.count < 40_000)
    }
}
