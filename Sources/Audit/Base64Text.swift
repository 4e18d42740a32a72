// SPDX-License-Identifier: Apache-2.0
import CSodium

/// Base64 (RFC 4648 section 4), with padding.
enum Base64Text {
    static func encode(_ bytes: some Collection<UInt8>) -> String {
        let bytes = Array(bytes)
        let variant = Int32(sodium_base64_VARIANT_ORIGINAL)
        var text = [CChar](repeating: 0, count: sodium_base64_encoded_len(bytes.count, variant))
        sodium_bin2base64(&text, text.count, bytes, bytes.count, variant)
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
