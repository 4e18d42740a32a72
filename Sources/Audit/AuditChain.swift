// SPDX-License-Identifier: Apache-2.0
import CSodium
import Platform

/// What ties each line of the trail to all lines before it: a keyed hash (BLAKE2b-256) over the chain value of the line
/// before and the line itself. Without the key nobody makes a line that fits, or takes one out so that the rest fits.
package struct AuditChain: Sendable {
    package static let byteCount = 32
    private static let suffixHead = Array(#","chain":""#.utf8)
    private static let suffixTail = Array("\"}".utf8)
    private let key: [UInt8]

    package init(key: [UInt8]) { self.key = key }

    /// What stands before the first line.
    package var origin: [UInt8] { hash(Array("snimok audit 1".utf8)) }

    func value(of line: some Collection<UInt8>, after previous: [UInt8]) -> [UInt8] { hash(previous + line) }

    /// What vouches for the head that is kept apart.
    func seal(_ number: UInt64, _ chain: [UInt8]) -> [UInt8] {
        var bytes = Array("head".utf8)
        bytes.appendLittleEndian(number)
        return hash(bytes + chain)
    }

    private func hash(_ bytes: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: Self.byteCount)
        crypto_generichash_blake2b(&result, result.count, bytes, UInt64(bytes.count), key, key.count)
        return result
    }

    // MARK: Lines

    /// `{"n":NUMBER,BODY`, what the chain value is of; `…,"chain":"VALUE"}` and a line feed follow.
    static func signedPart(_ number: UInt64, _ body: [UInt8]) -> [UInt8] {
        var part: [UInt8] = []
        // With room for what `line` adds.
        part.reserveCapacity(body.count + 128)
        part.append(contentsOf: "{\"n\":".utf8)
        part.append(contentsOf: String(number).utf8)
        part.append(UInt8(ascii: ","))
        part += body
        return part
    }

    static func line(_ signedPart: consuming [UInt8], _ chain: [UInt8]) -> [UInt8] {
        var line = signedPart
        line += suffixHead
        line += Hexadecimal.encoded(chain)
        line += suffixTail
        line.append(0x0A)
        return line
    }

    /// A line taken apart, without its line feed; nil: it has not the form of one.
    struct Parts {
        let number: UInt64
        let signedPart: ArraySlice<UInt8>
        let chain: [UInt8]

        init?(_ line: ArraySlice<UInt8>) {
            let prefix = Array("{\"n\":".utf8)
            let suffixBytes = suffixHead.count + 2 * byteCount + suffixTail.count
            guard line.count > prefix.count + suffixBytes, line.starts(with: prefix),
                line.suffix(suffixTail.count).elementsEqual(suffixTail)
            else { return nil }
            let digits = line.dropFirst(prefix.count).prefix { (0x30...0x39).contains($0) }
            guard digits.first != UInt8(ascii: "0"), let number = UInt64(String(decoding: digits, as: UTF8.self)) else {
                return nil
            }
            let suffix = line.suffix(suffixBytes)
            let value = suffix.dropFirst(suffixHead.count).dropLast(suffixTail.count)
            guard suffix.starts(with: suffixHead), let chain = Hexadecimal.bytes(value, takesCapitals: false) else {
                return nil
            }
            self.number = number
            self.chain = chain
            signedPart = line.dropLast(suffixBytes)
        }
    }
}
