// SPDX-License-Identifier: Apache-2.0
import Catalog
import Control
import Foundation
import Synchronization

@testable import Access

/// A time that stands still until a test moves it.
final class TestClock: Sendable {
    private let nanoseconds = Atomic<Int64>(1_800_000_000_000_000_000)

    var clock: AccessClock {
        AccessClock(
            wall: { self.nanoseconds.load(ordering: .relaxed) },
            monotonic: { UInt64(self.nanoseconds.load(ordering: .relaxed)) })
    }

    var now: Int64 { nanoseconds.load(ordering: .relaxed) }

    func advance(seconds: Double) { nanoseconds.wrappingAdd(Int64(seconds * 1e9), ordering: .relaxed) }
}

/// An authenticator on a control database in a folder of its own, with passwords that cost little.
final class TestAccess {
    static let password = "correct horse battery"
    let folder: String
    let time = TestClock()
    private(set) var control: Control
    private(set) var accounts: Accounts
    private(set) var authenticator: Authenticator

    init(authority: JSONWebToken.Authority? = nil) throws {
        folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        (control, accounts, authenticator) = try Self.open(folder, time, authority)
    }

    deinit {
        control.close()
        try? FileManager.default.removeItem(atPath: folder)
    }

    func reopen() throws {
        accounts.flush()
        control.close()
        (control, accounts, authenticator) = try Self.open(folder, time, nil)
    }

    private static func open(
        _ folder: String, _ time: TestClock, _ authority: JSONWebToken.Authority?
    ) throws -> (Control, Accounts, Authenticator) {
        let control = try Control(path: "\(folder)/control.db")
        let accounts = try Accounts(control, clock: time.clock)
        var settings = Authenticator.Settings()
        settings.authority = authority
        settings.clock = time.clock
        settings.cost.passes = 1
        settings.cost.memoryBytes = 8192
        let authenticator = try Authenticator(accounts, settings: settings) {
            CatalogScope(organisation: $0, visible: ["neighbour"])
        }
        return (control, accounts, authenticator)
    }

    func add(_ name: String = "anna", _ roles: Set<Role> = [.viewer], organisation: String = "clinic") throws {
        try accounts.addUser(
            name, password: try authenticator.hash(password: Self.password), organisation: organisation, roles: roles)
    }

    func user(
        _ name: String = "anna", _ password: String = TestAccess.password, at address: String = "10.0.0.1"
    ) throws(AccessError) -> Asker {
        try authenticator.user(name: name, password: password, address: address)
    }
}
