// SPDX-License-Identifier: Apache-2.0
import CZlib
import HTTP
import Platform

/// Writes a ZIP archive as a stream (APPNOTE 6.3): entries are stored, not deflated, with their sums and lengths behind
/// them, and the directory at the end in the 64-bit form where it is needed.
struct ZipWriter {
    private struct Entry {
        let name: [UInt8]
        let offset: UInt64
        /// Its lengths have 64 bits.
        let isLarge: Bool
        var length: UInt64 = 0
        var sum: UInt32 = 0
    }

    private let exchange: HTTPExchange
    private var entries: [Entry] = []
    private var offset: UInt64 = 0
    /// MS-DOS date and time of all entries: 1 January 1980, for the archive's own times are in the data sets.
    private static let timestamp: UInt32 = 0x0021_0000
    /// Names in UTF-8 (bit 11), sums and lengths behind the data (bit 3).
    private static let flags: UInt16 = 0x0808
    private static let version: UInt16 = 45

    init(_ exchange: HTTPExchange) { self.exchange = exchange }

    /// - Parameter mayBeLarge: the entry may have 4 GiB or more.
    mutating func beginEntry(_ name: String, mayBeLarge: Bool) throws {
        let entry = Entry(name: Array(name.utf8), offset: offset, isLarge: mayBeLarge)
        var extra: [UInt8] = []
        if mayBeLarge {
            extra.appendLittleEndian(UInt16(1))
            extra.appendLittleEndian(UInt16(16))
            extra += [UInt8](repeating: 0, count: 16)
        }
        entries.append(entry)
        var head: [UInt8] = []
        head.appendLittleEndian(UInt32(0x0403_4B50))
        head.appendLittleEndian(Self.version)
        head.appendLittleEndian(Self.flags)
        head.appendLittleEndian(UInt16(0))
        head.appendLittleEndian(Self.timestamp)
        head.appendLittleEndian(UInt32(0))
        for _ in 0..<2 { head.appendLittleEndian(mayBeLarge ? UInt32.max : 0) }
        head.appendLittleEndian(UInt16(entry.name.count))
        head.appendLittleEndian(UInt16(extra.count))
        try put(head + entry.name + extra)
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        let last = entries.count - 1
        entries[last].length += UInt64(bytes.count)
        entries[last].sum = UInt32(
            crc32_z(uLong(entries[last].sum), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
        offset += UInt64(bytes.count)
        try exchange.write(bytes)
    }

    mutating func endEntry() throws {
        let entry = entries[entries.count - 1]
        var tail: [UInt8] = []
        tail.appendLittleEndian(UInt32(0x0807_4B50))
        tail.appendLittleEndian(entry.sum)
        // With the extra field of 64-bit lengths in the local header, the descriptor has 64 bits (section 4.3.9.2).
        for _ in 0..<2 {
            if entry.isLarge {
                tail.appendLittleEndian(entry.length)
            } else {
                tail.appendLittleEndian(UInt32(entry.length))
            }
        }
        try put(tail)
    }

    mutating func finish() throws {
        let start = offset
        for entry in entries { try put(Self.directoryEntry(entry)) }
        let length = offset - start
        var end: [UInt8] = []
        let is64 = entries.count >= 0xFFFF || start + length >= 0xFFFF_FFFF
        if is64 {
            let record = offset
            end.appendLittleEndian(UInt32(0x0606_4B50))
            end.appendLittleEndian(UInt64(44))
            end.appendLittleEndian(Self.version)
            end.appendLittleEndian(Self.version)
            end.appendLittleEndian(UInt64(0))
            for number in [UInt64(entries.count), UInt64(entries.count), length, start] {
                end.appendLittleEndian(number)
            }
            end.appendLittleEndian(UInt32(0x0706_4B50))
            end.appendLittleEndian(UInt32(0))
            end.appendLittleEndian(record)
            end.appendLittleEndian(UInt32(1))
        }
        end.appendLittleEndian(UInt32(0x0605_4B50))
        end.appendLittleEndian(UInt32(0))
        for _ in 0..<2 { end.appendLittleEndian(UInt16(clamping: entries.count)) }
        end.appendLittleEndian(UInt32(clamping: length))
        end.appendLittleEndian(UInt32(clamping: start))
        end.appendLittleEndian(UInt16(0))
        try put(end)
        exchange.finish()
    }

    private static func directoryEntry(_ entry: Entry) -> [UInt8] {
        var bytes: [UInt8] = []
        var extra: [UInt8] = []
        if entry.length >= 0xFFFF_FFFF || entry.offset >= 0xFFFF_FFFF {
            extra.appendLittleEndian(UInt16(1))
            extra.appendLittleEndian(UInt16(24))
            for number in [entry.length, entry.length, entry.offset] { extra.appendLittleEndian(number) }
        }
        bytes.appendLittleEndian(UInt32(0x0201_4B50))
        bytes.appendLittleEndian(version)
        bytes.appendLittleEndian(version)
        bytes.appendLittleEndian(flags)
        bytes.appendLittleEndian(UInt16(0))
        bytes.appendLittleEndian(timestamp)
        bytes.appendLittleEndian(entry.sum)
        let is64 = !extra.isEmpty
        bytes.appendLittleEndian(is64 ? UInt32.max : UInt32(entry.length))
        bytes.appendLittleEndian(is64 ? UInt32.max : UInt32(entry.length))
        bytes.appendLittleEndian(UInt16(entry.name.count))
        bytes.appendLittleEndian(UInt16(extra.count))
        bytes += [UInt8](repeating: 0, count: 10)
        bytes.appendLittleEndian(is64 ? UInt32.max : UInt32(entry.offset))
        return bytes + entry.name + extra
    }

    private mutating func put(_ bytes: [UInt8]) throws {
        offset += UInt64(bytes.count)
        try exchange.write(bytes)
    }
}
