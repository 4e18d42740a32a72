// SPDX-License-Identifier: Apache-2.0
import Glibc
import Seeded

/// Errors of the system that a simulated disk will give, by seed.
struct FaultPlan {
    /// What the kernel can be asked, as far as it matters which errors it may answer with.
    enum Call {
        case open, create, size, read, write, synchronize, truncate, rename, unlink, createDirectory, entries
        case synchronizeDirectory

        /// Whether it may find no room.
        var needsRoom: Bool {
            switch self {
            case .create, .write, .synchronize, .rename, .createDirectory: true
            default: false
            }
        }

        /// Whether a signal or a limit of the kernel may end it early.
        var isInterruptible: Bool {
            switch self {
            case .read, .write, .synchronize, .truncate: true
            default: false
            }
        }
    }

    /// Only calls of this kind fail; nil: any.
    private let only: Call?
    private var callsBefore: Int
    private var repeats: Int
    private let code: Int32
    /// One call in so many is interrupted or cut short; 0: none.
    private let interruptions: Int
    private var random: SplitMix
    /// Whether an error was given that is one, not an interruption.
    private(set) var hasFailed = false

    init(_ random: inout SplitMix) {
        only = random.pick([nil, nil, nil, .synchronize, .synchronize, .write, .truncate, .read])
        callsBefore = random.below(only != nil ? 3 : random.oneIn(2) ? 4 : 40)
        repeats = random.oneIn(3) ? 1 + random.below(20) : 1
        code = random.oneIn(2) ? ENOSPC : EIO
        interruptions = random.oneIn(3) ? 3 + random.below(8) : 0
        self.random = SplitMix(seed: random.next(), [])
    }

    /// The error to give; nil: none.
    mutating func fault(_ call: Call) -> Int32? {
        if call.isInterruptible, interruptions > 0, random.oneIn(interruptions) { return EINTR }
        guard repeats > 0, only == nil || only == call, code == EIO || call.needsRoom else { return nil }
        if callsBefore > 0 {
            callsBefore -= 1
            return nil
        }
        repeats -= 1
        hasFailed = true
        return code
    }

    /// How many of `count` bytes a read or write does at once.
    mutating func shortened(_ count: Int, to unit: Int) -> Int {
        guard interruptions > 0, count > unit, random.oneIn(interruptions) else { return count }
        return max(1, random.below(count) / unit) * unit
    }
}
