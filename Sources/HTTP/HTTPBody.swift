// SPDX-License-Identifier: Apache-2.0

/// The body of an answer in memory: pieces, one behind the other, which are sent from where they stand.
///
/// A frame of half a megabyte used to be copied three times on its way out, each time into memory that the system had to
/// bring first, which cost more than the copies: two thirds of the time of a request.
package final class HTTPBody: @unchecked Sendable {
    /// Nobody changes the bytes as long as their keeper lives.
    struct Piece {
        let bytes: UnsafeRawBufferPointer
        let keeper: AnyObject
    }

    /// None is empty.
    let pieces: [Piece]

    package convenience init(_ bytes: [UInt8] = []) {
        let copy = Copy(bytes)
        self.init(UnsafeRawBufferPointer(copy.memory), of: copy)
    }

    /// - Parameter keeper: whose memory the bytes are; it is held until they are sent.
    package init(_ bytes: UnsafeRawBufferPointer, of keeper: AnyObject) {
        pieces = bytes.isEmpty ? [] : [Piece(bytes: bytes, keeper: keeper)]
    }

    private init(pieces: [Piece]) { self.pieces = pieces }

    package var count: Int { pieces.reduce(0) { $0 + $1.bytes.count } }

    package static func + (left: HTTPBody, right: HTTPBody) -> HTTPBody {
        HTTPBody(pieces: left.pieces + right.pieces)
    }

    /// A range of it, in the same memory.
    package func part(_ range: Range<Int>) -> HTTPBody {
        var parts: [Piece] = []
        var start = 0
        for piece in pieces {
            let own = range.clamped(to: start..<start + piece.bytes.count)
            if !own.isEmpty {
                let bytes = piece.bytes[own.lowerBound - start..<own.upperBound - start]
                parts.append(Piece(bytes: UnsafeRawBufferPointer(rebasing: bytes), keeper: piece.keeper))
            }
            start += piece.bytes.count
        }
        return HTTPBody(pieces: parts)
    }

    /// Memory that stays where it is, which that of an array need not.
    private final class Copy {
        let memory: UnsafeMutableRawBufferPointer

        init(_ bytes: [UInt8]) {
            memory = .allocate(byteCount: bytes.count, alignment: 16)
            memory.copyBytes(from: bytes)
        }

        deinit { memory.deallocate() }
    }
}
