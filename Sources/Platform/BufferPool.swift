// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Receive buffers of one capacity, lent out and taken back. A buffer is address space: a page costs memory only when
/// bytes were received into it, so capacity is no promise of memory, and what was touched beyond `keptBytes` goes back
/// to the system when the buffer returns.
package final class BufferPool: Sendable {
    package let capacity: Int
    private let keptBytes: Int
    private let keptCount: Int
    private let free = Monitor<[Slab]>([])

    private struct Slab: @unchecked Sendable {
        let base: UnsafeMutableRawPointer
        /// Bytes from the start whose pages may be in memory.
        var touched: Int
    }

    /// - Parameters:
    ///   - capacity: bytes of each buffer.
    ///   - keptBytes: of a returned buffer, how much memory stays with it.
    ///   - keptCount: how many returned buffers stay with memory in them.
    package init(capacity: Int, keptBytes: Int = 1 << 20, keptCount: Int = 32) {
        self.capacity = capacity
        self.keptBytes = keptBytes
        self.keptCount = keptCount
    }

    package func borrow() -> PooledBuffer {
        if let slab = free.withLock({ $0.popLast() }) { return PooledBuffer(pool: self, base: slab.base) }
        let base = mmap(nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        precondition(base != MAP_FAILED, "no address space for a receive buffer")
        return PooledBuffer(pool: self, base: base!)
    }

    fileprivate func giveBack(_ base: UnsafeMutableRawPointer, touched: Int) {
        let isKept = free.withLock { slabs in
            guard slabs.count < keptCount else { return false }
            if touched > keptBytes { madvise(base + keptBytes, capacity - keptBytes, MADV_DONTNEED) }
            slabs.append(Slab(base: base, touched: min(touched, keptBytes)))
            return true
        }
        if !isKept { munmap(base, capacity) }
    }

    deinit {
        for slab in free.withLock({ $0 }) { munmap(slab.base, capacity) }
    }
}

/// A buffer on loan from its pool, given back when the last reference goes.
package final class PooledBuffer: @unchecked Sendable {
    private let pool: BufferPool
    package let base: UnsafeMutableRawPointer
    /// Bytes filled from the start.
    package var count = 0

    fileprivate init(pool: BufferPool, base: UnsafeMutableRawPointer) {
        self.pool = pool
        self.base = base
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

    deinit { pool.giveBack(base, touched: count) }
}
