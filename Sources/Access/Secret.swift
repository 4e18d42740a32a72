// SPDX-License-Identifier: Apache-2.0
import CSodium

/// Secrets made by chance, their digests, and the text they are written in (base64url without padding, RFC 4648
/// section 5).
package enum Secret {
    package static let bytes = 32
    private static let isReady = sodium_init() >= 0

    /// Of 256 bits: nobody guesses one, so a plain digest of it may be kept.
    package static func random() -> [UInt8] {
        precondition(isReady)
        var secret = [UInt8](repeating: 0, count: bytes)
        randombytes_buf(&secret, bytes)
        return secret
    }

    /// BLAKE2b-256; with a key, only who has that can compute it.
    package static func digest(_ message: [UInt8], key: [UInt8] = []) -> [UInt8] {
        precondition(isReady)
        var digest = [UInt8](repeating: 0, count: bytes)
        crypto_generichash(&digest, bytes, message, UInt64(message.count), key.isEmpty ? nil : key, key.count)
        return digest
    }

    /// In a time that does not tell where they differ.
    package static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && sodium_memcmp(left, right, left.count) == 0
    }

    package static func text(_ bytes: [UInt8]) -> String {
        let variant = Int32(sodium_base64_VARIANT_URLSAFE_NO_PADDING)
        var text = [CChar](repeating: 0, count: sodium_base64_encoded_len(bytes.count, variant))
        sodium_bin2base64(&text, text.count, bytes, bytes.count, variant)
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// - Parameter isURLSafe: false: ordinary base64 with padding, as HTTP Basic has it.
    /// - Returns: nil: the text is no base64.
    package static func bytes(_ text: some StringProtocol, isURLSafe: Bool = true) -> [UInt8]? {
        let letters = Array(text.utf8)
        let variant = isURLSafe ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL
        var bytes = [UInt8](repeating: 0, count: letters.count / 4 * 3 + 3)
        var count = 0
        let result = letters.withUnsafeBufferPointer { pointer in
            pointer.withMemoryRebound(to: CChar.self) {
                sodium_base642bin(
                    &bytes, bytes.count, $0.baseAddress, $0.count, nil, &count, nil, Int32(variant))
            }
        }
        return result == 0 ? Array(bytes[..<count]) : nil
    }
}
