// SPDX-License-Identifier: Apache-2.0
import CZlib
import Platform

/// Inflates a Deflated data set as it arrives (PS3.5 section A.5: raw deflate, RFC 1951), against a cap.
package final class Inflater {
    private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let maximumBytes: Int
    private var total = 0
    package private(set) var isFinished = false

    /// - Parameter maximumBytes: of output; a bomb ends here.
    package init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
        stream.initialize(to: z_stream())
        let result = inflateInit2_(stream, -MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(result == Z_OK, "zlib cannot start")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Inflates all of `input`, handing out pieces of at most 64 KiB.
    package func inflate(
        _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(DataSetError) -> Void
    ) throws(DataSetError) {
        guard let base = input.baseAddress, !isFinished else { return }
        stream.pointee.next_in = UnsafeMutablePointer(mutating: base.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(input.count)
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 8)
        defer { output.deallocate() }
        while true {
            stream.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(output.count)
            let result = CZlib.inflate(stream, Z_NO_FLUSH)
            let count = output.count - Int(stream.pointee.avail_out)
            total += count
            guard total <= maximumBytes else { throw .inflatesTooMuch }
            if count > 0 { try body(UnsafeRawBufferPointer(rebasing: output[..<count])) }
            if result == Z_STREAM_END { isFinished = true }
            if isFinished { return }
            guard result == Z_OK || result == Z_BUF_ERROR else { throw .inflationFailed }
            if stream.pointee.avail_out > 0 { return }
        }
    }
}
