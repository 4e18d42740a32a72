// SPDX-License-Identifier: Apache-2.0
import Platform

/// The attributes that a scan keeps, each with a place of its own.
package struct WantedTags: Equatable, Sendable {
    /// Ascending.
    private let tags: [Tag]

    package init(_ tags: some Sequence<Tag>) { self.tags = Set(tags).sorted() }

    package var count: Int { tags.count }

    /// nil: the attribute is not wanted. Asked for each element of each instance, so it hashes nothing.
    package func place(of tag: Tag) -> Int? {
        var low = 0
        var high = tags.count
        while low < high {
            let middle = (low + high) / 2
            if tags[middle] < tag { low = middle + 1 } else { high = middle }
        }
        return low < tags.count && tags[low] == tag ? low : nil
    }
}

/// Values of wanted attributes as they stood, all in one piece of memory: a few dozen arrays for each instance would cost more
/// than the scan itself.
package struct KeptValues: Equatable {
    package let wanted: WantedTags
    private var bytes: [UInt8] = []
    /// By place; nil: none was there.
    private var ranges: [Range<Int>?]

    init(_ wanted: WantedTags) {
        self.wanted = wanted
        ranges = [Range<Int>?](repeating: nil, count: wanted.count)
    }

    func has(place: Int) -> Bool { ranges[place] != nil }

    mutating func keep(_ value: UnsafeRawBufferPointer, place: Int) {
        ranges[place] = bytes.count..<bytes.count + value.count
        bytes.append(contentsOf: value)
    }

    /// The value at a place of `wanted`; nil: there was none.
    package func withValue<Result>(place: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        guard let range = ranges[place] else { return nil }
        return bytes.withUnsafeBytes { body($0.part(range)) }
    }

    package subscript(tag: Tag) -> [UInt8]? {
        wanted.place(of: tag).flatMap { place in withValue(place: place) { Array($0) } }
    }
}
