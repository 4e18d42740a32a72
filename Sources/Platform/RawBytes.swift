// SPDX-License-Identifier: Apache-2.0
import Glibc

extension UnsafeRawBufferPointer {
    /// A little-endian number at any offset; the caller has checked that it lies within the buffer.
    @inlinable @inline(__always)
    package func littleEndian<Number: FixedWidthInteger>(at offset: Int, as: Number.Type = Number.self) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    /// A big-endian number at any offset; the caller has checked that it lies within the buffer.
    @inlinable @inline(__always)
    package func bigEndian<Number: FixedWidthInteger>(at offset: Int, as: Number.Type = Number.self) -> Number {
        Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    /// The part in `range`, still pointing into this buffer.
    @inlinable @inline(__always)
    package func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self[range]) }
}

extension Array where Element == UInt8 {
    @inlinable
    package mutating func appendLittleEndian<Number: FixedWidthInteger>(_ number: Number) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    @inlinable
    package mutating func appendBigEndian<Number: FixedWidthInteger>(_ number: Number) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }
}

// The library's `withUnsafeBytes` of arrays forgets the type of what its body throws; these keep it.
extension Array where Element == UInt8 {
    @inlinable
    package func withRawBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { bytes throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
    }

    @inlinable
    package mutating func withMutableRawBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeMutableBufferPointer { bytes throws(Failure) in try body(UnsafeMutableRawBufferPointer(bytes)) }
    }
}

extension Array where Element == iovec {
    /// After a short gathered write: what follows the first `count` bytes from `first` on is left to be written.
    package mutating func stepOver(_ count: Int, from first: inout Int) {
        var count = count
        while first < self.count, count >= self[first].iov_len {
            count -= self[first].iov_len
            first += 1
        }
        if count > 0 {
            self[first].iov_base += count
            self[first].iov_len -= count
        }
    }
}
