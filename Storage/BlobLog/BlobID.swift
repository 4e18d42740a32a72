// SPDX-License-Identifier: Apache-2.0
import CSodium
import Platform

/// The function that content addresses are made with. It is the archive's, from its first instance to its last, so that
/// equal content has one address there.
package enum ContentHash: Sendable {
    /// Of archives of format 1.
    case blake2b
    /// Several times as fast, which is most of what storing one more instance costs.
    case blake3
}

/// A content address: the hash of the padded transfer syntax UID and the data set (FORMAT.md, "Blob id").
package struct BlobID: Hashable, Sendable, CustomStringConvertible {
    package static let byteCount = 32
    package let words: SIMD4<UInt64>

    package init(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == Self.byteCount)
        words = bytes.loadUnaligned(as: SIMD4<UInt64>.self)
    }

    package init(_ bytes: [UInt8]) { self = bytes.withRawBytes { BlobID($0) } }

    package static let zero = BlobID([UInt8](repeating: 0, count: byteCount))

    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    /// As `b3sum` prints it.
    package var description: String { Hexadecimal.text(bytes) }
}

/// A hash over bytes that come in pieces.
protocol StreamedHash: AnyObject {
    func update(_ bytes: UnsafeRawBufferPointer)
    /// The digest, 32 bytes; the hash is used up.
    func finish() -> [UInt8]
}

/// Makes a content address of bytes that come in pieces.
package final class BlobHasher {
    private let state: any StreamedHash

    /// - Parameter transferSyntaxUID: part of the address, so that equal bytes in another syntax are other content.
    package init(transferSyntaxUID: String, _ hash: ContentHash) {
        state =
            switch hash {
            case .blake2b: BLAKE2b()
            case .blake3: BLAKE3()
            }
        var padded = Array(transferSyntaxUID.utf8.prefix(64))
        padded += [UInt8](repeating: 0, count: 64 - padded.count)
        padded.withUnsafeBytes { state.update($0) }
    }

    package func update(_ bytes: UnsafeRawBufferPointer) { state.update(bytes) }

    /// The address; the hasher is used up.
    package func finish() -> BlobID { BlobID(state.finish()) }
}

private final class BLAKE2b: StreamedHash {
    private let memory = UnsafeMutableRawPointer.allocate(
        byteCount: crypto_generichash_blake2b_statebytes(), alignment: 64)
    // The library's state is a packed struct, which Swift sees only as an address.
    private var state: OpaquePointer { OpaquePointer(memory) }

    init() { crypto_generichash_blake2b_init(state, nil, 0, BlobID.byteCount) }

    deinit { memory.deallocate() }

    func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        crypto_generichash_blake2b_update(state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }

    func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: BlobID.byteCount)
        crypto_generichash_blake2b_final(state, &digest, digest.count)
        return digest
    }
}

/// The short keyed hash of headers.
package enum HeaderChecksum {
    static let byteCount = 16

    package static func compute(_ bytes: [UInt8], key: [UInt8] = []) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        crypto_generichash_blake2b(
            &digest, digest.count, bytes, UInt64(bytes.count), key.isEmpty ? nil : key, key.count)
        return digest
    }
}

extension BlobID {
    /// Reads what `description` gives; nil if it is something else.
    package init?(hexadecimal text: some StringProtocol) {
        guard let bytes = Hexadecimal.bytes(String(text)), bytes.count == Self.byteCount else { return nil }
        self.init(bytes)
    }
}
