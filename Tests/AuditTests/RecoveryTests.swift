// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Audit

@Suite("Audit recovery")
struct RecoveryTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    private func cut(by count: Int) throws {
        let path = try folder.files.last!
        let file = FileHandle(forWritingAtPath: path)!
        try file.truncate(atOffset: try file.seekToEnd() - UInt64(count))
    }

    private func append(_ text: String) throws {
        let file = FileHandle(forWritingAtPath: try folder.files.last!)!
        _ = try file.seekToEnd()
        file.write(Data(text.utf8))
    }

    private var alerts: [String] {
        get throws { try folder.entries().filter { $0.event.alert == .auditRecording }.compactMap(\.event.detail) }
    }

    @Test(
        "An unfinished write behind the last synced entry is cut off, and the trail says so", arguments: [1, 40, 300])
    func unfinished(bytes: Int) throws {
        try folder.fill(5)
        try append(
            String(
                "{\"n\":6,\"at\":\"2026-11-21T10:00:00.000Z\",\"event\":\"query\",".padding(
                    toLength: bytes, withPad: "x", startingAt: 0)))
        #expect(try folder.verify().notes.count == 1)
        try folder.fill(2)
        #expect(try folder.verify().problems.isEmpty)
        #expect(try folder.entries().count == 8)
        #expect(try alerts == ["an unfinished write of \(bytes) bytes behind entry 5 was cut off"])
    }

    @Test(
        "What is missing though it was synced is never papered over: the trail goes on behind it", arguments: [1, 500])
    func cutOff(bytes: Int) throws {
        try folder.fill(5)
        try cut(by: bytes)
        let left = try Data(contentsOf: URL(fileURLWithPath: folder.files[0]))
        try folder.fill(2)
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.files[0])) == left)
        #expect(try folder.files.count == 2)
        #expect(try alerts.first?.hasSuffix("to 5 are missing or changed") == true)
        let problems = try folder.verify().problems
        #expect(problems.contains { $0.contains("missing before 0000000000000006.jsonl line 1") }, "\(problems)")
        #expect(try folder.entries().last?.number == 8)
    }

    @Test("A missing head is told; so is a trail that is gone as a whole")
    func missing() throws {
        try folder.fill(5)
        try FileManager.default.removeItem(atPath: folder.directory().head)
        try folder.fill(1)
        #expect(try alerts.first?.contains("head that is kept apart was missing") == true)
        try FileManager.default.removeItem(atPath: folder.files[0])
        try folder.fill(1)
        #expect(try alerts == ["all entries up to 7 are missing"])
        #expect(try folder.verify().problems.first?.hasPrefix("entries 1 to 7 are missing") == true)
    }

    @Test("Without its key a trail takes nothing more; a new one would make all of it worthless")
    func missingKey() throws {
        try folder.fill(3)
        let before = try folder.lines()
        try FileManager.default.removeItem(atPath: folder.directory().keyFile)
        let trail = folder.trail()
        #expect(throws: AuditError.self) { try trail.record(Samples.event(4)) }
        #expect("\(trail.refusal!)".contains("audit.key is missing"))
        trail.stop()
        #expect(try folder.lines() == before)
        #expect(!FileManager.default.fileExists(atPath: folder.directory().keyFile))
    }

    @Test("Two processes do not write one trail")
    func lock() throws {
        let first = folder.trail()
        let second = folder.trail()
        #expect(second.refusal == .inUse(folder.directory().path))
        #expect(first.refusal == nil)
        first.stop()
    }
}
