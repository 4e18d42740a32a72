// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Reads a multipart body (RFC 2046 section 5.1) as it arrives, part by part, in memory that does not grow with it.
package final class MultipartReader {
    private static let bufferBytes = 256 << 10
    private static let headMaximum = 16 << 10
    private static let partsMaximum = 100_000

    /// Fills the buffer; 0 at the end of the body.
    private let source: (UnsafeMutableRawBufferPointer) throws -> Int
    /// CR LF and two hyphens in front.
    private let delimiter: [UInt8]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 16)
    private var start = 0
    private var end = 0
    private var sourceEnded = false
    private var isWithinPart = false
    private var isAtEnd = false
    private var parts = 0

    /// - Parameter boundary: RFC 2046 allows 1 to 70 characters.
    package init(boundary: String, source: @escaping (UnsafeMutableRawBufferPointer) throws -> Int) throws {
        guard (1...70).contains(boundary.utf8.count) else {
            throw HTTPProblem(400, "The boundary of the multipart body must have 1 to 70 characters (RFC 2046)")
        }
        self.source = source
        delimiter = Array("\r\n--\(boundary)".utf8)
        // The first delimiter may stand at the very beginning, without its line break.
        buffer.copyBytes(from: [0x0D, 0x0A])
        end = 2
        isWithinPart = true
    }

    deinit { buffer.deallocate() }

    /// Goes on to the next part, over what is left of this one.
    /// - Returns: the part's header fields; nil: there is none.
    package func nextPart() throws -> HTTPHeaders? {
        if isWithinPart { try forEachPiece { _ in } }
        guard !isAtEnd else { return nil }
        parts += 1
        guard parts <= Self.partsMaximum else {
            throw HTTPProblem(413, "More than \(Self.partsMaximum) parts in one request; send them in several")
        }
        let headers = try readHead()
        isWithinPart = true
        return headers
    }

    /// Hands out the rest of the part's body.
    package func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        func give(upTo end: Int) throws {
            if end > start { try body(UnsafeRawBufferPointer(rebasing: buffer[start..<end])) }
            start = end
        }
        while isWithinPart {
            guard let place = find(delimiter) else {
                // What may be the beginning of a delimiter is kept back.
                try give(upTo: max(start, end - delimiter.count + 1))
                guard try fill() else { throw Self.endsEarly }
                continue
            }
            try give(upTo: place)
            if try !leaveDelimiter() { try give(upTo: start + delimiter.count) }
        }
    }

    private static var endsEarly: HTTPProblem {
        HTTPProblem(400, "The multipart body ends before its last boundary; nothing of the last part was kept")
    }

    /// At a delimiter: two hyphens behind it end the body, a line break begins a part.
    /// - Returns: false: it only begins like one, and belongs to the body.
    private func leaveDelimiter() throws -> Bool {
        var length = delimiter.count
        while true {
            guard try have(length + 2) else { throw Self.endsEarly }
            let next = (buffer[start + length], buffer[start + length + 1])
            if next == (0x2D, 0x2D), length == delimiter.count {
                isWithinPart = false
                isAtEnd = true
                // An epilogue says nothing (RFC 2046 section 5.1.1); it is read so that the connection can go on.
                repeat { start = end } while try fill()
                return true
            }
            if next == (0x0D, 0x0A) {
                isWithinPart = false
                start += length + 2
                return true
            }
            // Space may stand between boundary and line break.
            guard next.0 == 0x20 || next.0 == 0x09, length < delimiter.count + 256 else { return false }
            length += 1
        }
    }

    /// Whether so many bytes are there, after reading more if need be.
    private func have(_ count: Int) throws -> Bool {
        while end - start < count { guard try fill() else { return false } }
        return true
    }

    private func readHead() throws -> HTTPHeaders {
        var headers = HTTPHeaders()
        var bytes = 0
        while true {
            guard let place = find([0x0D, 0x0A]) else {
                guard end - start < Self.headMaximum else { throw Self.headTooLong }
                guard try fill() else { throw Self.endsEarly }
                continue
            }
            let line = String(decoding: buffer[start..<place], as: UTF8.self)
            bytes += place - start
            guard bytes < Self.headMaximum else { throw Self.headTooLong }
            if line.isEmpty {
                // The line break that ends the head may be the one in front of the next delimiter: of an empty body.
                start = place
                if try !(have(delimiter.count) && buffer[start..<start + delimiter.count].elementsEqual(delimiter)) {
                    start += 2
                }
                return headers
            }
            start = place + 2
            guard let colon = line.firstIndex(of: ":") else {
                throw HTTPProblem(400, "A header line of a part has no colon")
            }
            headers.append(
                String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }))
        }
    }

    private static var headTooLong: HTTPProblem { HTTPProblem(400, "The header of a part is longer than 16 KiB") }

    private func find(_ bytes: [UInt8]) -> Int? {
        guard end > start, let found = csystem_find(buffer.baseAddress! + start, end - start, bytes, bytes.count)
        else { return nil }
        return found - UnsafeRawPointer(buffer.baseAddress!)
    }

    private func fill() throws -> Bool {
        guard !sourceEnded else { return false }
        if start > 0 {
            memmove(buffer.baseAddress!, buffer.baseAddress! + start, end - start)
            end -= start
            start = 0
        }
        let count = try source(UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
        sourceEnded = count == 0
        end += count
        return count > 0
    }
}
