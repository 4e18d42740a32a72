// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform

@testable import Audit

/// A folder of a test's own, removed with it.
final class Folder {
    let path: String

    init() throws {
        path = "\(NSTemporaryDirectory())snimok-audit-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func directory(_ volume: any Volume = SystemVolume()) -> AuditDirectory {
        AuditDirectory(data: path, volume: volume)
    }

    func trail(_ volume: any Volume = SystemVolume(), fileBytes: UInt64 = 64 << 20) -> AuditTrail {
        var settings = AuditTrail.Settings()
        settings.fileBytes = fileBytes
        settings.reserveBytes = 64 << 10
        return AuditTrail(directory(volume), settings: settings)
    }

    /// Writes so many entries and closes the trail.
    func fill(_ count: Int, fileBytes: UInt64 = 64 << 20) throws {
        let trail = trail(fileBytes: fileBytes)
        for number in 1...count { try trail.record(Samples.event(number)) }
        trail.stop()
    }

    var files: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: "\(path)/audit").filter { $0.hasSuffix(".jsonl") }
                .sorted().map { "\(path)/audit/\($0)" }
        }
    }

    /// The lines of a file of the trail, without their line feeds.
    func lines(file: Int = 0) throws -> [String] {
        try String(contentsOfFile: files[file], encoding: .utf8).split(separator: "\n").map(String.init)
    }

    func write(_ lines: [String], file: Int = 0) throws {
        try (lines.joined(separator: "\n") + "\n").write(toFile: files[file], atomically: false, encoding: .utf8)
    }

    func entries() throws -> [AuditEntry] {
        var reader = AuditEntryReader(directory())
        var entries: [AuditEntry] = []
        while let (_, line) = try reader.next() {
            entries.append(try JSONDecoder().decode(AuditEntry.self, from: Data(line)))
        }
        return entries
    }

    func verify(kept: AuditHead? = nil) throws -> AuditVerification { try AuditVerification(directory(), kept: kept) }
}

enum Samples {
    static let who = AuditParty(.station, name: "WS1", organisation: "north", address: "10.1.2.3", connection: "7")

    static func event(_ number: Int) -> AuditEvent {
        var event = AuditEvent(.accessed, "WADO-RS metadata", by: who)
        event.access = .read
        event.take([AuditStudy("1.2.\(number)", patient: "P\(number)", classes: ["1.2.840.10008.5.1.4.1.1.2": number])])
        event.count = number
        return event
    }
}
