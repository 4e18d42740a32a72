// SPDX-License-Identifier: Apache-2.0
import Control
import Testing

@testable import Access

@Suite("Users, tokens and sessions")
struct AuthenticatorTests {
    @Test("A user is known by name and password, with what the role may and the organisation sees")
    func signsIn() throws {
        let test = try TestAccess()
        try test.add("anna", [.viewer])
        try test.add("ulf", [.uploader])
        let anna = try test.user()
        #expect(anna.kind == .user && anna.name == "anna" && anna.address == "10.0.0.1")
        #expect(anna.permissions == [.query, .retrieve])
        #expect(anna.scope.visible == ["clinic", "neighbour"])
        let ulf = try test.user("ulf")
        #expect(ulf.permissions == [.query, .store] && ulf.scope.visible == ["clinic"])
    }

    @Test(
        "Whatever is wrong, the answer is the same",
        arguments: [
            ("anna", "wrong horse battery"), ("nobody", TestAccess.password), ("", ""), ("anna", ""),
            ("ANNA", TestAccess.password), ("anna\0", TestAccess.password), ("off", TestAccess.password),
            ("anna", String(repeating: "x", count: 2000)),
        ])
    func refuses(name: String, password: String) throws {
        let test = try TestAccess()
        try test.add()
        try test.add("off")
        try test.accounts.setDisabled(true, of: "off")
        #expect(throws: AccessError.wrongCredentials) { try test.user(name, password) }
    }

    @Test("No role has what another's work alone needs")
    func roles() {
        #expect(Role.allCases.allSatisfy { $0 == .auditor || !$0.permissions.contains(.audit) })
        #expect(Role.auditor.permissions == [.audit])
        #expect(Role.allCases.allSatisfy { $0 == .administrator || !$0.permissions.contains(.delete) })
        #expect(!Role.uploader.permissions.contains(.retrieve) && !Role.viewer.permissions.contains(.store))
        #expect(Role.least(for: .retrieve) == .viewer && Role.least(for: .delete) == .administrator)
        #expect(Role.least(for: [.audit, .store]) == nil)
    }

    @Test("A changed password, a disabled and a removed user count at once, remembered or not")
    func changes() throws {
        let test = try TestAccess()
        try test.add()
        try test.add("other")
        _ = try test.user()
        try test.accounts.setDisabled(true, of: "anna")
        #expect(throws: AccessError.wrongCredentials) { try test.user() }
        try test.accounts.setDisabled(false, of: "anna")
        _ = try test.user()
        try test.accounts.setPassword(of: "anna", to: try test.authenticator.hash(password: "another long one"))
        #expect(throws: AccessError.wrongCredentials) { try test.user() }
        _ = try test.user("anna", "another long one")
        try test.accounts.removeUser("anna")
        #expect(throws: AccessError.wrongCredentials) { try test.user("anna", "another long one") }
    }

    @Test("Users, tokens, sessions and when they were used are there after a reopening")
    func survives() throws {
        let test = try TestAccess()
        try test.add("anna", [.viewer, .auditor])
        let text = try test.accounts.addToken("robot", organisation: "clinic", permissions: [.store], days: nil)
        let cookie = try test.authenticator.signIn(name: "anna", password: TestAccess.password, address: "::1")
        _ = try? test.user("anna", "wrong horse battery")
        try test.reopen()
        #expect(test.accounts.user("anna")?.failedAttempts == 1)
        #expect(test.accounts.user("anna")?.lastUsedAtNanoseconds == test.time.now)
        #expect(try test.user().permissions == [.query, .retrieve, .audit])
        #expect(try test.authenticator.bearer(token: text, address: "::1").name == "robot")
        #expect(try test.authenticator.session(cookie: cookie, address: "::1").name == "anna")
    }

    @Test("The last account cannot be removed, for that would open the archive")
    func lastUser() throws {
        let test = try TestAccess()
        #expect(!test.authenticator.hasCredentials)
        try test.add()
        #expect(throws: AccountError.self) { try test.accounts.removeUser("anna") }
        try test.accounts.setDisabled(true, of: "anna")
        #expect(test.authenticator.hasCredentials)
    }

    @Test(
        "What cannot be a name is refused",
        arguments: ["", " anna", "a:b", "a\nb", "a\u{202E}b", "a\0b", String(repeating: "я", count: 40)])
    func names(name: String) throws {
        let test = try TestAccess()
        #expect(throws: AccountError.self) { try test.add(name) }
        #expect(test.accounts.users.isEmpty)
    }

    @Test(
        "Short and endless passwords are refused",
        arguments: ["", "elevenchars", String(repeating: "x", count: 1025)])
    func passwords(password: String) throws {
        let test = try TestAccess()
        #expect(throws: AccountError.self) { try test.authenticator.hash(password: password) }
    }

    // MARK: Tokens

    @Test("A token is good until its day, until it is revoked, and whole only")
    func tokens() throws {
        let test = try TestAccess()
        let text = try test.accounts.addToken("robot", organisation: "clinic", permissions: [.query], days: 1)
        func show(_ text: String) throws(AccessError) -> Asker {
            try test.authenticator.bearer(token: text, address: "10.0.0.1")
        }
        let robot = try show(text)
        #expect(robot.kind == .token && robot.permissions == [.query] && robot.organisation == "clinic")
        var other = text
        other.removeLast()
        for wrong in [
            "", "snimok", "snimok_1_", other, other + (text.last == "A" ? "B" : "A"), text + "A", text + "=",
            text.replacing("snimok_1", with: "snimok_2"), text.replacing("snimok_1", with: "snimok_-1"),
            "snimok_99999999999999999999_" + text.dropFirst(9),
        ] {
            #expect(throws: AccessError.wrongCredentials) { try show(wrong) }
        }
        test.time.advance(seconds: 86_399)
        _ = try show(text)
        test.time.advance(seconds: 1)
        #expect(throws: AccessError.wrongCredentials) { try show(text) }

        let second = try test.accounts.addToken("second", organisation: "clinic", permissions: [.query], days: nil)
        _ = try show(second)
        try test.accounts.revokeToken("second")
        #expect(throws: AccessError.wrongCredentials) { try show(second) }
        #expect(throws: AccountError.self) {
            try test.accounts.addToken("second", organisation: "clinic", permissions: [.query], days: nil)
        }
    }

    // MARK: Sessions

    @Test("A session ends when nobody uses it, after its time, at the sign-out, and when the user changes")
    func sessions() throws {
        let test = try TestAccess()
        try test.add()
        func signIn() throws -> String {
            try test.authenticator.signIn(name: "anna", password: TestAccess.password, address: "10.0.0.1")
        }
        func isOpen(_ cookie: String) -> Bool {
            (try? test.authenticator.session(cookie: cookie, address: "10.0.0.1")) != nil
        }
        let idle = try signIn()
        test.time.advance(seconds: 3599)
        #expect(isOpen(idle))
        test.time.advance(seconds: 3600)
        #expect(!isOpen(idle))
        let long = try signIn()
        for _ in 0..<12 {
            #expect(isOpen(long))
            test.time.advance(seconds: 3590)
        }
        #expect(isOpen(long))
        test.time.advance(seconds: 121)
        #expect(!isOpen(long))
        let first = try signIn()
        let second = try signIn()
        #expect(first != second)
        try test.authenticator.signOut(cookie: first)
        #expect(!isOpen(first) && isOpen(second))
        try test.accounts.setDisabled(true, of: "anna")
        try test.accounts.setDisabled(false, of: "anna")
        #expect(!isOpen(second))
        #expect(!isOpen("") && !isOpen("x") && !isOpen(String(repeating: "A", count: 43)))
    }

    @Test("The token against forgery belongs to one session")
    func antiForgery() {
        let token = Authenticator.antiForgeryToken(cookie: "one")
        #expect(Authenticator.isAntiForgeryToken(token, of: "one"))
        #expect(!Authenticator.isAntiForgeryToken(token, of: "two"))
        #expect(!Authenticator.isAntiForgeryToken("", of: "one"))
        #expect(token != "one")
    }

    @Test("A user has at most twenty sessions; the oldest goes")
    func manySessions() throws {
        let test = try TestAccess()
        try test.add()
        var cookies: [String] = []
        for _ in 0..<25 {
            test.time.advance(seconds: 1)
            cookies.append(try test.authenticator.signIn(name: "anna", password: TestAccess.password, address: "::1"))
        }
        let open = cookies.map { (try? test.authenticator.session(cookie: $0, address: "::1")) != nil }
        #expect(open == Array(repeating: false, count: 5) + Array(repeating: true, count: 20))
        #expect(try test.control.sessions().count == 20)
    }
}
