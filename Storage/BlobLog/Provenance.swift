// SPDX-License-Identifier: Apache-2.0
import Platform

/// Where a record came from and what configuration decided about it at receipt (FORMAT.md, "Provenance").
package struct Provenance: Equatable, Sendable {
    package enum Key: UInt8, CaseIterable, Sendable {
        case callingAETitle = 1
        case calledAETitle, peerAddress, organisation, issuer, characterSetOverride, associationID, route
        case sopClassUID, sopInstanceUID, transferSyntaxUID, note, target, annotationName, annotationValue, asker
    }

    private var values: [String] = [String](repeating: "", count: Key.allCases.count + 1)

    package init() {}

    package subscript(key: Key) -> String {
        get { values[Int(key.rawValue)] }
        set { values[Int(key.rawValue)] = newValue }
    }

    package func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        for key in Key.allCases where !self[key].isEmpty {
            let value = self[key].utf8.prefix(4096)
            bytes.append(key.rawValue)
            bytes.append(0)
            bytes.appendLittleEndian(UInt16(value.count))
            bytes.append(contentsOf: value)
        }
        return bytes
    }

    /// Reads what `encoded` wrote; keys of later versions are passed over.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(LogError) {
        var offset = 0
        while offset < bytes.count {
            guard offset + 4 <= bytes.count else { throw .damaged("provenance ends early") }
            let length = Int(bytes.littleEndian(at: offset + 2, as: UInt16.self))
            guard offset + 4 + length <= bytes.count else { throw .damaged("provenance ends early") }
            if let key = Key(rawValue: bytes[offset]) {
                self[key] = String(decoding: bytes.part(offset + 4..<offset + 4 + length), as: UTF8.self)
            }
            offset += 4 + length
        }
    }
}
