// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Bytes on their way from one thread to another, at most `capacity` of them. Memory is taken with the first byte.
final class ByteRing {
    private let capacity: Int
    private var memory: UnsafeMutableRawPointer?
    private var start = 0
    private(set) var count = 0

    init(capacity: Int) { self.capacity = capacity }

    deinit { free(memory) }

    var room: Int { capacity - count }

    /// Takes as many bytes as there is room for; returns how many.
    func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = min(room, bytes.count)
        guard taken > 0 else { return 0 }
        if memory == nil { memory = malloc(capacity)! }
        let end = (start + count) % capacity
        let first = min(taken, capacity - end)
        memcpy(memory! + end, bytes.baseAddress!, first)
        if first < taken { memcpy(memory!, bytes.baseAddress! + first, taken - first) }
        count += taken
        return taken
    }

    /// Gives as many bytes as `target` holds; returns how many.
    func take(into target: UnsafeMutableRawBufferPointer) -> Int {
        let given = min(count, target.count)
        guard given > 0 else { return 0 }
        let first = min(given, capacity - start)
        memcpy(target.baseAddress!, memory! + start, first)
        if first < given { memcpy(target.baseAddress! + first, memory!, given - first) }
        start = (start + given) % capacity
        count -= given
        return given
    }
}
