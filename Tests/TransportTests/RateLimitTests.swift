// SPDX-License-Identifier: Apache-2.0
import Platform
import Testing

@Suite("Rates")
struct RateLimitTests {
    private static let second: UInt64 = 1_000_000_000

    @Test("What is used is due at the rate, after a quarter of a second's worth at once")
    func rate() {
        let rate = RateLimit(perSecond: 1000)
        let start = 100 * Self.second
        #expect(rate.reserve(250, at: start) == start)
        #expect(rate.reserve(100, at: start) == start + Self.second / 10)
        #expect(rate.reserve(900, at: start) == start + Self.second)
        // Time that has passed counts, but no more of it than the burst.
        #expect(rate.reserve(500, at: start + Self.second) == start + Self.second * 3 / 2)
        #expect(rate.reserve(1, at: start + 50 * Self.second) == start + 50 * Self.second)
        #expect(rate.reserve(349, at: start + 50 * Self.second) == start + Self.second * 501 / 10)
    }

    @Test("Soon after the machine's start nothing is due before it")
    func early() { #expect(RateLimit(perSecond: 10).reserve(1, at: 5) == 100_000_000) }
}
