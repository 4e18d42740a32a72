// SPDX-License-Identifier: Apache-2.0
import Database
import Glibc
import Testing

@testable import Control

@Suite("Users, tokens and sessions in control.db")
struct AccountTests {
    @Test("A database from before there were users keeps what it holds and takes users")
    func migrates() throws {
        let test = try TestControl()
        test.control.close()
        for suffix in ["", "-wal", "-shm"] { unlink(test.path + suffix) }
        let old = try Database(path: test.path, isReadOnly: false, cacheKiB: 64, functions: [])
        try old.execute(ControlSchema.steps[0])
        try old.execute("PRAGMA user_version=1")
        try old.execute(
            """
            INSERT INTO commitment(transaction_uid, ae_title, called_ae_title, organisation, peer_address, received_at,
                instances, state) VALUES('1.2.3', 'CT1', 'SNIMOK', 'hospital', '10.0.0.1', 1, 0, 0)
            """)
        old.close()
        try test.reopen()
        #expect(try test.control.pendingCommitments().map(\.aeTitle) == ["CT1"])
        let user = UserAccount(
            name: "Анна", password: "hash", organisation: "clinic", roles: ["viewer", "auditor"],
            createdAtNanoseconds: 7)
        try test.control.put(user)
        try test.reopen()
        #expect(try test.control.users() == [user])
    }

    @Test("A user's sessions go with him; others' stay")
    func removal() throws {
        let test = try TestControl()
        for name in ["anna", "bert"] {
            try test.control.put(
                UserAccount(name: name, password: "", organisation: "c", roles: [], createdAtNanoseconds: 1))
            try test.control.add(
                WebSession(secret: Array(name.utf8), user: name, createdAtNanoseconds: 1, expiresAtNanoseconds: 2))
        }
        try test.control.removeUser("anna")
        try test.reopen()
        #expect(try test.control.users().map(\.name) == ["bert"])
        #expect(try test.control.sessions().map(\.user) == ["bert"])
    }

    @Test("What is written of a use does not bring back a user who is gone, or a password")
    func use() throws {
        let test = try TestControl()
        var user = UserAccount(name: "anna", password: "old", organisation: "c", roles: [], createdAtNanoseconds: 1)
        try test.control.put(user)
        var used = user
        used.failedAttempts = 3
        used.lastUsedAtNanoseconds = 9
        user.password = "new"
        try test.control.put(user)
        try test.control.noteUse(users: [used], tokens: [], sessions: [])
        let read = try test.control.users()[0]
        #expect(read.password == "new" && read.failedAttempts == 3 && read.lastUsedAtNanoseconds == 9)
        try test.control.removeUser("anna")
        try test.control.noteUse(users: [used], tokens: [], sessions: [])
        #expect(try test.control.users().isEmpty)
    }
}
