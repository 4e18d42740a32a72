// SPDX-License-Identifier: Apache-2.0
import Database
import Foundation
import Testing

@testable import Control

/// A control database in a folder of its own, removed with it.
final class TestControl {
    let folder: String
    private(set) var control: Control

    var path: String { "\(folder)/control.db" }

    init() throws {
        folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        control = try Control(path: "\(folder)/control.db")
    }

    deinit {
        control.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func reopen() throws {
        control.close()
        control = try Control(path: path)
    }
}

@Suite("Storage commitment in control.db")
struct CommitmentTests {
    private static let duplicate: UInt16 = 0x0131

    private static func request(
        _ transaction: String = "1.2.3", aeTitle: String = "CT1", instances: Int = 3
    ) -> CommitmentRequest {
        CommitmentRequest(
            transactionUID: transaction, aeTitle: aeTitle, calledAETitle: "SNIMOK", organisation: "hospital",
            peerAddress: "10.0.0.1", receivedAtNanoseconds: 1_700_000_000_000_000_000,
            references: (0..<instances).map {
                CommitmentReference(sopClassUID: "1.2.840.10008.5.1.4.1.1.2", sopInstanceUID: "1.2.3.\($0)")
            })
    }

    private func add(_ test: TestControl, _ request: CommitmentRequest = Self.request()) throws -> CommitmentAddition {
        try test.control.add(request, duplicateFailure: Self.duplicate)
    }

    @Test("A request is there after a reopening, with all its instances in their order")
    func survives() throws {
        let test = try TestControl()
        guard case .added(let id) = try add(test) else { return #expect(Bool(false)) }
        try test.reopen()
        let pending = try test.control.pendingCommitments()
        #expect(pending.map(\.id) == [id] && pending[0].state == .accepted && pending[0].aeTitle == "CT1")
        #expect(try test.control.commitment(id) == Self.request())
    }

    @Test("A request goes from accepted over verified to reported, and its instances are forgotten then")
    func states() throws {
        let test = try TestControl()
        guard case .added(let id) = try add(test) else { return #expect(Bool(false)) }
        try test.control.setVerified(id, failures: [0, 0x0112, 0])
        #expect(try test.control.pendingCommitment(id)?.state == .verified)
        #expect(try test.control.commitment(id)?.references.map(\.failure) == [0, 0x0112, 0])
        try test.control.postpone(id, until: 42, note: "nobody there")
        try test.reopen()
        let pending = try test.control.pendingCommitment(id)
        #expect(pending?.attempts == 1 && pending?.nextAttemptNanoseconds == 42)
        try test.control.finish(id, .reported, note: "")
        #expect(try test.control.pendingCommitment(id) == nil)
        #expect(try test.control.commitment(id) == nil)
        #expect(try test.control.pendingCommitments().isEmpty)
    }

    @Test("The same request again is the same; other instances under its transaction UID are a duplicate")
    func duplicates() throws {
        let test = try TestControl()
        guard case .added(let id) = try add(test) else { return #expect(Bool(false)) }
        #expect(try add(test) == .known(id: id))
        guard case .duplicate(let other) = try add(test, Self.request(instances: 4)) else {
            return #expect(Bool(false))
        }
        #expect(try test.control.commitment(other)?.references.map(\.failure) == .init(repeating: 0x0131, count: 4))
        #expect(try test.control.pendingCommitment(other)?.state == .verified)
        #expect(try add(test, Self.request(instances: 4)) == .known(id: other))
        guard case .added = try add(test, Self.request(aeTitle: "CT2")) else { return #expect(Bool(false)) }
        try test.control.finish(id, .reported, note: "")
        try test.control.finish(other, .reported, note: "")
        guard case .added = try add(test) else { return #expect(Bool(false)) }
    }

    @Test("One asker cannot have any number of instances pending")
    func bounded() throws {
        let test = try TestControl()
        let request = Self.request(instances: Control.pendingInstancesMaximum + 1)
        #expect(try add(test, request) == .tooMany)
        #expect(try test.control.pendingCommitments().isEmpty)
    }

    @Test("A copy has what was there when it was made, needs no other file, and replaces an older one")
    func copies() throws {
        let test = try TestControl()
        _ = try add(test)
        let copy = "\(test.folder)/copy.db"
        try test.control.copy(to: copy)
        _ = try add(test, Self.request("1.2.4"))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: test.folder).filter { $0.hasPrefix("copy") } == [
                "copy.db"
            ])
        let opened = try Control(path: copy)
        #expect(try opened.pendingCommitments().count == 1)
        opened.close()
        // Beside the connection that the archive has.
        try Control.copy(from: test.path, to: copy)
        let again = try Control(path: copy)
        #expect(try again.pendingCommitments().count == 2)
        again.close()
        #expect(throws: DatabaseError.self) { try Control.copy(from: "\(test.folder)/none.db", to: copy) }
    }

    @Test("A later version's file, another program's and rubbish are refused")
    func foreign() throws {
        let test = try TestControl()
        let later = "\(test.folder)/later.db"
        let database = try Database(path: later, isReadOnly: false, cacheKiB: 100, functions: [])
        try database.execute("PRAGMA user_version=99")
        database.close()
        #expect(throws: DatabaseError.self) { try Control(path: later) }
        let other = "\(test.folder)/other.db"
        let foreign = try Database(path: other, isReadOnly: false, cacheKiB: 100, functions: [])
        try foreign.execute("CREATE TABLE theirs(x)")
        foreign.close()
        #expect(throws: DatabaseError.self) { try Control(path: other) }
        let rubbish = "\(test.folder)/rubbish.db"
        try Data((0..<8192).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(to: URL(fileURLWithPath: rubbish))
        let error = #expect(throws: DatabaseError.self) { try Control(path: rubbish) }
        #expect(error?.kind == .corrupt)
    }
}
