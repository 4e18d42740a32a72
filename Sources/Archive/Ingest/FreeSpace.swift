// SPDX-License-Identifier: Apache-2.0
import Platform

/// Whether there is room above what is kept free.
final class FreeSpace: Sendable {
    private static let secondsBetweenLooks = 0.2
    private let path: String
    private let floorBytes: UInt64
    private let state = Monitor(State())

    private struct State {
        /// On the monotonic clock.
        var looksAgainAt: UInt64 = 0
        var isEnough = true
    }

    /// - Parameters:
    ///   - path: on the volume.
    ///   - floorBytes: kept free.
    init(path: String, floorBytes: UInt64) {
        (self.path, self.floorBytes) = (path, floorBytes)
    }

    /// The file system is asked at most five times a second.
    var isEnough: Bool {
        state.withLock { state in
            guard Clock.monotonicNanoseconds() > state.looksAgainAt else { return state.isEnough }
            let free = (try? FileSystem.freeBytes(path)) ?? 0
            let isEnough = free > floorBytes
            if isEnough != state.isEnough {
                Log.warning(
                    isEnough ? "storing resumes" : "storing pauses: below the free space floor", ["free": "\(free)"])
            }
            state.isEnough = isEnough
            state.looksAgainAt = Clock.deadline(seconds: Self.secondsBetweenLooks)
            return isEnough
        }
    }

    /// Something found no room: others took it since the last look. What is small might still fit, and take the last of it.
    func foundNone() { state.withLock { $0.looksAgainAt = 0 } }
}
