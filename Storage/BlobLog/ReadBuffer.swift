// SPDX-License-Identifier: Apache-2.0
import Platform

/// Memory for reading, reused from piece to piece and from record to record. One thread at a time.
package final class ReadBuffer {
    /// Some of what was used last is kept for the next: the system would have to bring and clear its pages anew, which takes
    /// longer than to read a frame into them.
    private static let kept = Monitor<[UnsafeMutableRawBufferPointer]>([])
    private static let keptMaximum = 8
    /// A mebibyte, as instances are read, with the chunks that it begins and ends within.
    private static let keptBytes = (1 << 20) + 2 * Int(PayloadIndex.chunkBytes) + 2 * marginBytes
    /// Free memory on both sides of what is read, in the same piece: for what is to be sent around it.
    package static let marginBytes = 512

    private var all = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    package init() {}

    deinit { Self.giveBack(all) }

    func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let needed = count + 2 * Self.marginBytes
        if all.count < needed {
            Self.giveBack(all)
            all = Self.take(needed)
        }
        return UnsafeMutableRawBufferPointer(rebasing: all[Self.marginBytes..<Self.marginBytes + count])
    }

    private static func take(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count <= keptBytes, let one = kept.withLock({ $0.popLast() }) { return one }
        return UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, keptBytes), alignment: 4096)
    }

    private static func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        #if DEBUG
            // Who reads it still sees at once that it must not.
            memory.initializeMemory(as: UInt8.self, repeating: 0xA5)
        #endif
        let isKept = kept.withLock { kept in
            guard memory.count == keptBytes, kept.count < keptMaximum else { return false }
            kept.append(memory)
            return true
        }
        if !isKept { memory.deallocate() }
    }
}
