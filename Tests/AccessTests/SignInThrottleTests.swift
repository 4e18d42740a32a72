// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Access

@Suite("Guessing is slow, and locks nobody out")
struct SignInThrottleTests {
    private let time = TestClock()

    private func waits(_ throttle: SignInThrottle, _ count: Int, _ user: String, _ address: String) -> [Int] {
        (0..<count).map { _ in
            let seconds = throttle.begin(user, at: address)
            if let seconds { time.advance(seconds: Double(seconds)) }
            if seconds != nil { _ = throttle.begin(user, at: address) }
            return seconds ?? 0
        }
    }

    @Test("A name at an address waits twice as long each time, up to a minute")
    func doubles() {
        let throttle = SignInThrottle(time.clock)
        #expect(waits(throttle, 14, "anna", "10.0.0.1") == [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60])
    }

    @Test("An attempt that is too early does not make the wait longer")
    func early() {
        let throttle = SignInThrottle(time.clock)
        for _ in 0..<6 { #expect(throttle.begin("anna", at: "10.0.0.1") == nil) }
        for _ in 0..<100 { #expect(throttle.begin("anna", at: "10.0.0.1") == 1) }
        time.advance(seconds: 1)
        #expect(throttle.begin("anna", at: "10.0.0.1") == nil)
    }

    @Test("Others at other addresses are not held up; the right password ends the wait")
    func others() {
        let throttle = SignInThrottle(time.clock)
        for _ in 0..<7 { _ = throttle.begin("anna", at: "10.0.0.1") }
        #expect(throttle.begin("anna", at: "10.0.0.1") != nil)
        #expect(throttle.begin("anna", at: "10.0.0.2") == nil)
        #expect(throttle.begin("bert", at: "10.0.0.1") == nil)
        time.advance(seconds: 2)
        #expect(throttle.begin("anna", at: "10.0.0.1") == nil)
        throttle.succeeded("anna", at: "10.0.0.1")
        for _ in 0..<5 { #expect(throttle.begin("anna", at: "10.0.0.1") == nil) }
    }

    @Test("An address that tries many names waits")
    func spraying() {
        let throttle = SignInThrottle(time.clock)
        for number in 0..<31 { #expect(throttle.begin("user\(number)", at: "10.0.0.1") == nil) }
        #expect(throttle.begin("another", at: "10.0.0.1") == 1)
        #expect(throttle.begin("another", at: "10.0.0.2") == nil)
    }

    @Test("Strangers everywhere cannot keep a user out of the place where he signed in before")
    func distributed() {
        let throttle = SignInThrottle(time.clock)
        _ = throttle.begin("anna", at: "10.0.0.1")
        throttle.succeeded("anna", at: "10.0.0.1")
        var refused = 0
        for number in 0..<500 where throttle.begin("anna", at: "192.0.2.\(number)") != nil { refused += 1 }
        #expect(refused > 440, "a name is not guessed at from everywhere without a wait")
        #expect(throttle.begin("anna", at: "198.51.100.1") != nil)
        #expect(throttle.begin("anna", at: "10.0.0.1") == nil)
    }

    @Test("After a quarter of an hour all is forgotten")
    func forgets() {
        let throttle = SignInThrottle(time.clock)
        for _ in 0..<7 { _ = throttle.begin("anna", at: "10.0.0.1") }
        time.advance(seconds: 15 * 60 + 61)
        for _ in 0..<6 { #expect(throttle.begin("anna", at: "10.0.0.1") == nil) }
    }

    @Test("The authenticator asks it, and a remembered password needs no attempt")
    func inUse() throws {
        let test = try TestAccess()
        try test.add()
        _ = try test.user()
        for _ in 0..<6 {
            #expect(throws: AccessError.wrongCredentials) { try test.user("anna", "wrong horse battery") }
        }
        #expect(throws: AccessError.tooManyAttempts(retryAfterSeconds: 1)) {
            try test.user("anna", "wrong horse battery")
        }
        _ = try test.user()
        test.time.advance(seconds: 301)
        for _ in 0..<2 { _ = try? test.user("anna", "wrong horse battery") }
        #expect(throws: AccessError.tooManyAttempts(retryAfterSeconds: 2)) { try test.user() }
        // Of IPv6 a network counts as one address.
        for number in 0..<6 { _ = try? test.user("anna", "wrong horse battery", at: "2001:db8:1:2::\(number)") }
        #expect(throws: AccessError.tooManyAttempts(retryAfterSeconds: 1)) { try test.user(at: "2001:db8:1:2:3:4:5:6") }
    }
}
