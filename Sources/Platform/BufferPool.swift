// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Receive buffers of one capacity, lent out and taken back. A buffer is address space: a page costs memory only when
/// bytes were received into it, so capacity is no promise of memory, and what was touched beyond `keptBytes` goes back
/// to the system when the buffer returns.
package final class BufferPool: Sendable {
    package let capacity: Int
    private let keptBytes: Int
    private let keptTotalBytes: Int
    private let free = Monitor(Free())
    private static let keptMaximum = 1024

    private struct Free {
        var slabs: [Slab] = []
        var touched = 0
    }

    private struct Slab: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        /// Bytes from the start whose pages may be in memory.
        var touched: Int
    }

    /// - Parameters:
    ///   - capacity: bytes of each buffer.
    ///   - keptBytes: of a returned buffer, how much memory stays with it.
    ///   - keptTotalBytes: how much memory stays with all of them.
    package init(capacity: Int, keptBytes: Int = 1 << 20, keptTotalBytes: Int = 32 << 20) {
        self.capacity = (capacity + 4095) / 4096 * 4096
        self.keptBytes = keptBytes
        self.keptTotalBytes = keptTotalBytes
    }

    package func borrow() -> PooledBuffer {
        let slab = free.withLock { free in
            let slab = free.slabs.popLast()
            free.touched -= slab?.touched ?? 0
            return slab
        }
        if let slab { return PooledBuffer(pool: self, base: slab.base, touched: slab.touched) }
        let base = mmap(nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        precondition(base != MAP_FAILED, "no address space for a receive buffer")
        return PooledBuffer(pool: self, base: base!, touched: 0)
    }

    fileprivate func giveBack(_ base: UnsafeMutableRawPointer, touched: Int) {
        let kept = min(touched, keptBytes)
        let isKept = free.withLock { free in
            guard free.touched + kept <= keptTotalBytes, free.slabs.count < Self.keptMaximum else { return false }
            if touched > keptBytes { madvise(base + keptBytes, capacity - keptBytes, MADV_DONTNEED) }
            free.slabs.append(Slab(base: base, touched: kept))
            free.touched += kept
            return true
        }
        if !isKept { munmap(base, capacity) }
    }

    deinit {
        for slab in free.withLock({ $0.slabs }) { munmap(slab.base, capacity) }
    }
}

/// A buffer on loan from its pool, given back when the last reference goes.
package final class PooledBuffer: @unchecked Sendable {
    private let pool: BufferPool
    package let base: UnsafeMutableRawPointer
    /// Bytes whose pages may be in memory: what this borrower or an earlier one filled.
    private var touched: Int
    /// Bytes filled from the start.
    package var count = 0 { didSet { touched = max(touched, count) } }

    fileprivate init(pool: BufferPool, base: UnsafeMutableRawPointer, touched: Int) {
        self.pool = pool
        self.base = base
        self.touched = touched
    }

    package var capacity: Int { pool.capacity }
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    /// What is still free behind the filled part.
    package var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base + count, count: capacity - count)
    }

    /// Writes zeros behind the filled part up to the next multiple of `alignment`, where another's bytes may stand.
    /// - Returns: the length with them.
    package func zeroPadded(to alignment: UInt64) -> Int {
        let length = (count + Int(alignment) - 1) / Int(alignment) * Int(alignment)
        precondition(length <= capacity)
        memset(base + count, 0, length - count)
        return length
    }

    deinit { pool.giveBack(base, touched: touched) }
}
