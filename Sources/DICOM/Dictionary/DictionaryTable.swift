// SPDX-License-Identifier: Apache-2.0

/// The generated dictionary text in a form to search in: parallel arrays in the order of the tags.
struct DictionaryTable: Sendable {
    private(set) var tags: [UInt32] = []
    private(set) var vrs: [UInt16] = []
    private var keywordStarts: [UInt32] = []
    private var keywordLengths: [UInt8] = []
    private let text: StaticString

    /// Parses lines of `00100010 PN PatientName`, ascending by tag; `count` only reserves room.
    init(parsing text: StaticString, count: Int) {
        self.text = text
        tags.reserveCapacity(count)
        vrs.reserveCapacity(count)
        keywordStarts.reserveCapacity(count)
        keywordLengths.reserveCapacity(count)
        text.withUTF8Buffer { bytes in
            var start = 0
            while start < bytes.count {
                let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
                append(line: bytes[start..<end])
                start = end + 1
            }
        }
    }

    private mutating func append(line: Slice<UnsafeBufferPointer<UInt8>>) {
        let start = line.startIndex
        guard line.count > 12 else { return }
        let tag = line.prefix(8).reduce(UInt32(0)) { $0 << 4 | UInt32(Self.digit($1)) }
        tags.append(tag)
        vrs.append(UInt16(line[start + 9]) << 8 | UInt16(line[start + 10]))
        keywordStarts.append(UInt32(start + 12))
        keywordLengths.append(UInt8(clamping: line.count - 12))
    }

    private static func digit(_ character: UInt8) -> UInt8 {
        character <= UInt8(ascii: "9") ? character & 0x0F : character & 0x0F &+ 9
    }

    /// The row of a tag, by halving.
    func index(of tag: UInt32) -> Int? {
        var low = 0
        var high = tags.count
        while low < high {
            let middle = (low + high) / 2
            if tags[middle] < tag { low = middle + 1 } else { high = middle }
        }
        return low < tags.count && tags[low] == tag ? low : nil
    }

    func withKeyword<Result>(at index: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        let start = Int(keywordStarts[index])
        let end = start + Int(keywordLengths[index])
        return text.withUTF8Buffer { body(UnsafeBufferPointer(rebasing: $0[start..<end])) }
    }

    /// The rows in the order of their keywords' bytes.
    func indexedByKeyword() -> [UInt16] {
        tags.indices.map { UInt16(truncatingIfNeeded: $0) }.sorted { left, right in
            withKeyword(at: Int(left)) { first in
                withKeyword(at: Int(right)) { second in Self.compare(first, second) < 0 }
            }
        }
    }

    /// Byte order: below, equal to or above zero.
    static func compare(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Int {
        for index in 0..<min(left.count, right.count) where left[index] != right[index] {
            return Int(left[index]) - Int(right[index])
        }
        return left.count - right.count
    }
}
