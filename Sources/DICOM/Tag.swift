// SPDX-License-Identifier: Apache-2.0

/// A data element tag (PS3.5 section 7.1): group and element in one number, so that tags compare in data-set order.
package struct Tag: Hashable, Comparable, Sendable {
    /// Group in the high 16 bits, element in the low 16.
    package let rawValue: UInt32

    @inlinable package init(_ rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable package init(group: UInt16, element: UInt16) {
        rawValue = UInt32(group) << 16 | UInt32(element)
    }

    @inlinable package var group: UInt16 { UInt16(truncatingIfNeeded: rawValue >> 16) }
    @inlinable package var element: UInt16 { UInt16(truncatingIfNeeded: rawValue) }
    /// Private elements have odd groups (PS3.5 section 7.8).
    @inlinable package var isPrivate: Bool { rawValue & 0x0001_0000 != 0 }
    /// (gggg,0010-00FF) with an odd group names the creator of a private block (PS3.5 section 7.8.1).
    @inlinable package var isPrivateCreator: Bool { isPrivate && (0x0010...0x00FF).contains(element) }
    /// (gggg,0000), retired outside groups 0000, 0002 (PS3.5 section 7.2).
    @inlinable package var isGroupLength: Bool { element == 0 }

    @inlinable package static func < (left: Tag, right: Tag) -> Bool { left.rawValue < right.rawValue }
}

extension Tag: CustomStringConvertible {
    /// As the standard prints it: `(0010,0020)`.
    package var description: String { "(\(hexadecimal(group)),\(hexadecimal(element)))" }

    /// As DICOM JSON and DICOMweb print it: `00100020`.
    package var compactDescription: String { hexadecimal(group) + hexadecimal(element) }

    private func hexadecimal(_ value: UInt16) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
