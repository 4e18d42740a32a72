// SPDX-License-Identifier: Apache-2.0

/// What a Range header asks of a body of known length (RFC 9110 section 14).
package enum ByteRange: Equatable {
    /// No range, or none that this server takes: the whole body.
    case whole
    case part(Range<UInt64>)
    case unsatisfiable

    /// Several ranges, and units other than bytes, are answered with the whole body, as section 14.2 allows.
    package init(_ header: String?, length: UInt64) {
        guard let header, header.lowercased().hasPrefix("bytes="), !header.contains(",") else {
            self = .whole
            return
        }
        let ends = header.dropFirst(6).filter { $0 != " " }
            .split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.allSatisfy(\.isASCIIDigit) }), !(ends[0].isEmpty && ends[1].isEmpty)
        else {
            self = .whole
            return
        }
        // Digits beyond all numbers lie beyond the body too.
        let first = UInt64(ends[0]) ?? .max
        let last = UInt64(ends[1]) ?? .max
        if ends[0].isEmpty {
            self = last == 0 || length == 0 ? .unsatisfiable : .part(length - min(last, length)..<length)
        } else if first >= length || (!ends[1].isEmpty && last < first) {
            self = !ends[1].isEmpty && last < first ? .whole : .unsatisfiable
        } else {
            self = .part(first..<(ends[1].isEmpty || last >= length ? length : last + 1))
        }
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
