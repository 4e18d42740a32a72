// SPDX-License-Identifier: Apache-2.0

/// An encoding that mixes ASCII with characters of several bytes without escape sequences: GB18030, GBK, or what an
/// AE's override names (Shift JIS, Big5 ...). The second byte of a character may be 5CH.
struct MultiByteEncoding: Sendable {
    /// As the C library knows it.
    let name: String
    /// What the C library makes of 5CH where that is no backslash, e.g. YEN SIGN for Shift JIS. DICOM's delimiter is
    /// the byte, so that such a character is read as a backslash.
    private let backslashStandIn: UInt32?

    /// Nil for a name the C library does not know and for encodings that ASCII is no part of (UTF-16, EBCDIC).
    init?(name: String) {
        guard let ascii = Self.scalars(of: Array(0x20...0x7E), in: name), ascii.count == 95 else { return nil }
        for (index, scalar) in ascii.enumerated() where scalar != UInt32(index + 0x20) {
            // National variants of ISO 646 differ in these two.
            guard index + 0x20 == 0x5C || index + 0x20 == 0x7E else { return nil }
        }
        self.name = name
        backslashStandIn = ascii[0x3C] == 0x5C ? nil : ascii[0x3C]
    }

    private static func scalars(of bytes: [UInt8], in name: String) -> [UInt32]? {
        guard let converter = IconvConverter(from: name, to: "UTF-8") else { return nil }
        guard let text = bytes.withUnsafeBytes({ converter.convert($0) }) else { return nil }
        return String(decoding: text, as: UTF8.self).unicodeScalars.map(\.value)
    }

    func decode(_ bytes: UnsafeRawBufferPointer) -> String {
        guard let converter = IconvConverter(from: name, to: "UTF-8") else {
            return String(decoding: bytes.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
        }
        let text = String(decoding: converter.convertLeniently(bytes), as: UTF8.self)
        guard let backslashStandIn else { return text }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: text.unicodeScalars.map { $0.value == backslashStandIn ? "\\" : $0 })
        return String(scalars)
    }

    /// Nil when the encoding does not have one of the characters.
    func encode(_ text: String) -> [UInt8]? {
        guard let converter = IconvConverter(from: "UTF-8", to: name) else { return nil }
        let runs = Array(text.utf8)
        guard backslashStandIn != nil else { return runs.withUnsafeBytes { converter.convert($0) } }
        return encodeAroundBackslashes(runs, converter)
    }

    /// The C library would refuse the backslash here, which the standard wants as it is.
    private func encodeAroundBackslashes(_ text: [UInt8], _ converter: borrowing IconvConverter) -> [UInt8]? {
        var output: [UInt8] = []
        for (index, run) in text.split(separator: 0x5C, omittingEmptySubsequences: false).enumerated() {
            if index > 0 { output.append(0x5C) }
            guard !run.isEmpty else { continue }
            guard let bytes = run.withUnsafeBytes({ converter.convert($0) }) else { return nil }
            output.append(contentsOf: bytes)
        }
        return output
    }
}
