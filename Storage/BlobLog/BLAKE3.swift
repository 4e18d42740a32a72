// SPDX-License-Identifier: Apache-2.0
import CBlake3

/// BLAKE3 over bytes that come in pieces (specification of 2020-01-09): the tree over the compression function, which
/// `CBlake3` computes for as many chunks side by side as the processor's vectors have lanes. That is what makes it fast:
/// 16 lanes hash 6 GB/s of a core where BLAKE2b hashes 0.7, 8 lanes 2.7.
///
/// A *set* is the chaining values of `lanes` subtrees of equal size that lie behind each other. Two sets of one size give
/// one of the next, so parents are computed side by side, too, and none of it can be the root: the last bytes are kept
/// back in `tail` until there are more.
final class BLAKE3: StreamedHash {
    private static let chunkBytes = 1024
    private static let blockBytes = 64
    /// An object has fewer than 2⁶⁴ bytes, so 2⁵⁴ chunks.
    private static let levelsMaximum = 54

    static let lanesOfThisProcessor = Int(cblake3_lanes())

    private let lanes: Int
    private let setBytes: Int
    /// At least one byte from the second update on, and at most `setBytes`.
    private let tail: UnsafeMutableRawPointer
    private var tailCount = 0
    private var setsDone: UInt64 = 0
    /// One for each bit of `setsDone` that is set: level n covers 2ⁿ × `lanes` chunks.
    private var levels: [UnsafeMutablePointer<UInt32>] = []

    /// - Parameter lanes: 4, 8 or 16; the result does not depend on it.
    init(lanes: Int = lanesOfThisProcessor) {
        self.lanes = lanes
        setBytes = lanes * Self.chunkBytes
        // Aligned as malloc does it. With 64, glibc 2.36 leaves holes behind that fit no further one, beside whatever outlives
        // it: memory grew by 70 MB over a million instances.
        tail = .allocate(byteCount: setBytes, alignment: 16)
    }

    deinit {
        tail.deallocate()
        for set in levels { set.deallocate() }
    }

    func update(_ bytes: UnsafeRawBufferPointer) {
        guard var next = bytes.baseAddress else { return }
        var count = bytes.count
        if tailCount > 0 {
            let taken = min(count, setBytes - tailCount)
            keep(next, taken)
            next += taken
            count -= taken
            guard count > 0 else { return }
            add(setAt: tail)
            tailCount = 0
        }
        while count > setBytes {
            add(setAt: next)
            next += setBytes
            count -= setBytes
        }
        keep(next, count)
    }

    private func keep(_ bytes: UnsafeRawPointer, _ count: Int) {
        (tail + tailCount).copyMemory(from: bytes, byteCount: count)
        tailCount += count
    }

    /// Hashes a whole set of chunks, then joins what has the same size, as a binary counter carries.
    private func add(setAt input: UnsafeRawPointer) {
        precondition(setsDone < 1 << (Self.levelsMaximum - 4), "no object has so many bytes")
        let free = (~setsDone).trailingZeroBitCount
        while levels.count <= free { levels.append(.allocate(capacity: 8 * lanes)) }
        let target = levels[free]
        cblake3_chunks(
            UInt32(lanes), input.assumingMemoryBound(to: UInt8.self), setsDone * UInt64(lanes), target)
        for level in levels[..<free] { cblake3_parents(UInt32(lanes), level, target, target) }
        setsDone += 1
    }

    func finish() -> [UInt8] {
        var last = finishTail()
        for (level, set) in levels.enumerated() where setsDone & 1 << level != 0 {
            // The set's own subtrees, to one.
            for _ in 0..<lanes.trailingZeroBitCount { cblake3_parents(UInt32(lanes), set, set, set) }
            last = .parent(ChainingValue { set[$0 * lanes] }, last.chainingValue())
        }
        let root = last.chainingValue(isRoot: true)
        return withUnsafeBytes(of: root.words) { Array($0) }
    }

    /// The tree of the chunks that were kept back, but for its top.
    private func finishTail() -> Node {
        let chunks = max(1, (tailCount + Self.chunkBytes - 1) / Self.chunkBytes)
        let firstChunk = setsDone * UInt64(lanes)
        let lastChunk = lastChunk(chunks - 1, firstChunk + UInt64(chunks - 1))
        guard chunks > 1 else { return lastChunk }
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 8 * lanes) { set in
            // Lanes behind the last whole chunk hash what lies there; nobody looks at them.
            cblake3_chunks(UInt32(lanes), tail.assumingMemoryBound(to: UInt8.self), firstChunk, set.baseAddress!)
            // Subtrees of 2ⁿ chunks, largest first, which is how the tree is cut (section 2.1).
            var stack: [ChainingValue] = []
            for chunk in 0..<chunks - 1 {
                var value = ChainingValue { set[$0 * lanes + chunk] }
                for _ in 0..<(chunk + 1).trailingZeroBitCount {
                    value = Node.parent(stack.removeLast(), value).chainingValue()
                }
                stack.append(value)
            }
            return stack.reversed().reduce(lastChunk) { Node.parent($1, $0.chainingValue()) }
        }
    }

    /// The last chunk up to its last block, which may be the root's.
    private func lastChunk(_ index: Int, _ counter: UInt64) -> Node {
        let start = index * Self.chunkBytes
        var value = ChainingValue.initial
        var flags = Flags.chunkStart
        var offset = start
        while tailCount - offset > Self.blockBytes {
            let block = Node(
                value: value, block: Block(tail + offset, Self.blockBytes), counter: counter,
                length: UInt32(Self.blockBytes), flags: flags)
            value = block.chainingValue()
            flags = 0
            offset += Self.blockBytes
        }
        return Node(
            value: value, block: Block(tail + offset, tailCount - offset), counter: counter,
            length: UInt32(tailCount - offset), flags: flags | Flags.chunkEnd)
    }

    // MARK: What the tree is made of

    /// Section 2.1, table 3.
    private enum Flags {
        static let chunkStart: UInt32 = 1
        static let chunkEnd: UInt32 = 2
        static let parent: UInt32 = 4
        static let root: UInt32 = 8
    }

    private struct ChainingValue {
        var words: SIMD8<UInt32>

        init(_ word: (Int) -> UInt32) {
            words = SIMD8()
            for index in 0..<8 { words[index] = word(index) }
        }

        init(words: SIMD8<UInt32>) { self.words = words }

        /// Section 2.1, table 1.
        static let initial = Self(
            words: [
                0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
            ])
    }

    /// 64 bytes, filled up with zeros.
    private struct Block {
        var bytes = SIMD64<UInt8>()

        init(_ source: UnsafeRawPointer, _ count: Int) {
            withUnsafeMutableBytes(of: &bytes) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: source, count: count))
            }
        }

        init(_ left: ChainingValue, _ right: ChainingValue) {
            withUnsafeMutableBytes(of: &bytes) {
                $0.storeBytes(of: left.words, as: SIMD8<UInt32>.self)
                $0.storeBytes(of: right.words, toByteOffset: 32, as: SIMD8<UInt32>.self)
            }
        }
    }

    /// A compression that is still to be made, since only the root's has its flag.
    private struct Node {
        var value: ChainingValue
        var block: Block
        var counter: UInt64
        var length: UInt32
        var flags: UInt32

        static func parent(_ left: ChainingValue, _ right: ChainingValue) -> Self {
            Self(
                value: .initial, block: Block(left, right), counter: 0, length: UInt32(BLAKE3.blockBytes),
                flags: Flags.parent)
        }

        func chainingValue(isRoot: Bool = false) -> ChainingValue {
            var result = value
            withUnsafeBytes(of: block.bytes) { block in
                withUnsafeMutableBytes(of: &result.words) { words in
                    // The root's counter counts blocks of output, of which there is one.
                    cblake3_compress(
                        words.baseAddress!.assumingMemoryBound(to: UInt32.self),
                        block.baseAddress!.assumingMemoryBound(to: UInt8.self), isRoot ? 0 : counter, length,
                        isRoot ? flags | Flags.root : flags)
                }
            }
            return result
        }
    }
}
