// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// What an archive and the receiver of its second copy say to each other over one connection: the archive asks, the
/// receiver does it on its disk and answers, in the order of the questions. Numbers are little-endian.
///
/// Both begin with `Greeting`. Then each request is a head of 40 bytes, the names that it is about (below the receiver's
/// directory, with `/` between folder and name, and NUL between two of them), and the bytes to be written; each reply
/// is a head of 16 bytes and the bytes that were read. A file belongs to the connection that opened it.
enum MirrorProtocol {
    static let version: UInt32 = 1
    /// Bytes that one request or reply carries.
    static let dataMaximum = 1 << 20
    static let namesMaximum = 1024
    /// Bytes that one digest is of: it is to be computed well within a timeout.
    static let digestMaximum: UInt64 = 64 << 20

    enum Operation: UInt8 {
        case open = 1, close, size, read, write, synchronize, truncate, lock, startWriteBack, advise, digest
        case rename, unlink, createDirectory, entries, exists, synchronizeDirectory, freeBytes
    }

    /// How a file is opened; Linux's own numbers are not the same on all processors.
    struct OpenFlags: OptionSet {
        let rawValue: UInt32
        static let write = OpenFlags(rawValue: 1)
        static let readWrite = OpenFlags(rawValue: 2)
        static let create = OpenFlags(rawValue: 4)
        static let exclusive = OpenFlags(rawValue: 8)
        static let truncate = OpenFlags(rawValue: 16)
        private static let pairs: [(OpenFlags, Int32)] = [
            (.write, O_WRONLY), (.readWrite, O_RDWR), (.create, O_CREAT), (.exclusive, O_EXCL), (.truncate, O_TRUNC),
        ]
        private static let known = OpenFlags(rawValue: 31)

        init(rawValue: UInt32) { self.rawValue = rawValue }

        /// nil: there are others among them, such as those for writing past the page cache.
        init?(system flags: Int32) {
            self = Self.pairs.reduce(into: []) { if flags & $1.1 != 0 { $0.insert($1.0) } }
            guard flags & ~O_CLOEXEC == system else { return nil }
        }

        var isValid: Bool { isSubset(of: Self.known) && !isSuperset(of: [.write, .readWrite]) }

        var system: Int32 { Self.pairs.reduce(0) { contains($1.0) ? $0 | $1.1 : $0 } }
    }

    /// 28 bytes: `SNIMOKMR`, version, and 16 bytes that say which connections belong together.
    struct Greeting: Equatable {
        static let byteCount = 28
        private static let magic = Array("SNIMOKMR".utf8)
        var version = MirrorProtocol.version
        var session: [UInt8]

        var encoded: [UInt8] {
            var bytes = Self.magic
            bytes.appendLittleEndian(version)
            return bytes + session
        }

        init(session: [UInt8]) { self.session = session }

        /// nil: somebody else calls.
        init?(decoding bytes: [UInt8]) {
            guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic) else { return nil }
            version = bytes.withUnsafeBytes { $0.littleEndian(at: 8) }
            session = Array(bytes[12...])
        }
    }

    struct Request {
        static let byteCount = 40
        var operation: Operation
        var file: UInt32 = 0
        var offset: UInt64 = 0
        var length: UInt64 = 0
        /// Flags of `open`, advice of `advise`; 1 with `synchronize`: data only.
        var argument: UInt32 = 0
        /// Of a file that `open` creates.
        var mode: UInt32 = 0
        var namesBytes: UInt32 = 0
        var dataBytes: UInt32 = 0

        init(
            _ operation: Operation, file: UInt32 = 0, offset: UInt64 = 0, length: UInt64 = 0, argument: UInt32 = 0,
            mode: UInt32 = 0
        ) {
            self.operation = operation
            self.file = file
            self.offset = offset
            self.length = length
            self.argument = argument
            self.mode = mode
        }

        var encoded: [UInt8] {
            var bytes: [UInt8] = [operation.rawValue, 0, 0, 0]
            bytes.reserveCapacity(Self.byteCount)
            bytes.appendLittleEndian(file)
            bytes.appendLittleEndian(offset)
            bytes.appendLittleEndian(length)
            for number in [argument, mode, namesBytes, dataBytes] { bytes.appendLittleEndian(number) }
            return bytes
        }

        /// nil: nothing that this version knows.
        init?(decoding bytes: [UInt8]) {
            guard bytes.count == Self.byteCount, let operation = Operation(rawValue: bytes[0]) else { return nil }
            self.operation = operation
            (file, offset, length, argument, mode, namesBytes, dataBytes) = bytes.withUnsafeBytes {
                (
                    $0.littleEndian(at: 4), $0.littleEndian(at: 8), $0.littleEndian(at: 16), $0.littleEndian(at: 24),
                    $0.littleEndian(at: 28), $0.littleEndian(at: 32), $0.littleEndian(at: 36)
                )
            }
            // Places and lengths are added without further tests.
            guard namesBytes <= MirrorProtocol.namesMaximum, dataBytes <= MirrorProtocol.dataMaximum,
                max(offset, length) <= 1 << 60, operation != .read || length <= MirrorProtocol.dataMaximum,
                operation != .digest || length <= MirrorProtocol.digestMaximum
            else { return nil }
        }
    }

    struct Reply {
        static let byteCount = 16
        /// `errno`; 0: it was done.
        var code: Int32 = 0
        var dataBytes: UInt32 = 0
        var value: UInt64 = 0

        var encoded: [UInt8] {
            var bytes: [UInt8] = []
            bytes.appendLittleEndian(code)
            bytes.appendLittleEndian(dataBytes)
            bytes.appendLittleEndian(value)
            return bytes
        }

        init(code: Int32 = 0, value: UInt64 = 0) {
            self.code = code
            self.value = value
        }

        init?(decoding bytes: [UInt8]) {
            guard bytes.count == Self.byteCount else { return nil }
            (code, dataBytes, value) = bytes.withUnsafeBytes {
                ($0.littleEndian(at: 0), $0.littleEndian(at: 4), $0.littleEndian(at: 8))
            }
            guard dataBytes <= MirrorProtocol.dataMaximum else { return nil }
        }
    }
}
