// SPDX-License-Identifier: Apache-2.0

/// A small generator of numbers (SplitMix64): the same seed gives the same studies and the same disasters on every machine,
/// which the generator of the standard library does not promise.
package struct SplitMix: RandomNumberGenerator {
    @usableFromInline var state: UInt64

    /// - Parameter stream: numbers that tell this use of the seed from others, such as a run's, a study's or an instance's.
    package init(seed: UInt64, _ stream: [Int]) {
        state = seed
        for number in stream {
            state ^= UInt64(bitPattern: Int64(number)) &* 0xD6E8_FEB8_6659_FD93
            state = next()
        }
    }

    @inlinable
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    /// A number from 0 to `bound` - 1. Written out, since the library's way from bits to a range may change.
    @inlinable
    package mutating func below(_ bound: Int) -> Int { Int(next() >> 1) % bound }

    @inlinable
    package mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// True once in `count` times.
    @inlinable
    package mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

    /// True in `percent` of 100 cases.
    @inlinable
    package mutating func percent(_ percent: Int) -> Bool { below(100) < percent }
}
