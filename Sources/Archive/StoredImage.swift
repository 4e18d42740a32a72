// SPDX-License-Identifier: Apache-2.0
import BlobLog
import DICOM
import Platform

/// The pixels of a stored instance, frame by frame. One thread at a time.
package final class StoredImage {
    package enum Failure: Error, CustomStringConvertible {
        case noImage
        case noSuchFrame(Int, of: Int)
        /// The offset tables do not say where a frame begins, and its fragments do not either.
        case framesUnknown
        /// Rows, Columns and Frames promise more than there is.
        case endsEarly(frame: Int)
        case tooLarge

        package var description: String {
            switch self {
            case .noImage: "This instance holds no image"
            case .noSuchFrame(let number, let count): "There is no frame \(number); the instance has \(count)"
            case .framesUnknown:
                "The frames of this instance cannot be told apart: its offset tables and fragments do not match; fetch the whole instance"
            case .endsEarly(let frame): "Frame \(frame) lies beyond the end of the instance's pixel data"
            case .tooLarge: "The image is too large to be unpacked in memory; fetch the whole instance"
            }
        }
    }

    /// Of a frame in memory.
    private static let frameMaximum = 1 << 30
    private static let readAheadBytes: UInt64 = 1 << 20

    package let header: DataSet
    package let description: ImageDescription
    package let transferSyntax: TransferSyntax
    private let record: StoredRecord
    private let place: StoredHeader.Place
    private let inflated: [UInt8]?
    private let buffer = ReadBuffer()
    private var window: Range<UInt64> = 0..<0
    private var windowBytes = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Where the last reading ended.
    private var readEnd: UInt64 = 0

    package init(_ record: StoredRecord) throws {
        self.record = record
        transferSyntax = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        header = try StoredHeader.dataSet(record)
        guard let description = ImageDescription(header) else { throw Failure.noImage }
        self.description = description
        let tags = [Tag.pixelData, .floatPixelData, .doubleFloatPixelData]
        guard let tag = tags.first(where: { [header] in header[$0] != nil }),
            let place = try StoredHeader.locate(record, AttributePath([], tag))
        else { throw Failure.noImage }
        self.place = place
        let bytes = (description.frameBits / 8 + 1).multipliedReportingOverflow(by: UInt64(description.numberOfFrames))
        let wanted =
            place.range.lowerBound
            + Int(clamping: bytes.overflow ? UInt64(Int32.max) : min(bytes.partialValue, UInt64(Int32.max)))
        inflated = transferSyntax.isDeflated ? try StoredValue.inflated(record, atMost: wanted) : nil
    }

    package var isEncapsulated: Bool { place.isEncapsulated }

    /// Everything in front of the pixel data in Explicit VR Little Endian.
    /// - Parameter replacements: elements to stand in place of those that are there.
    package func renderingHeader(replacing replacements: [DataSet.Element] = []) throws -> [UInt8] {
        try StoredValue.headerBeforePixels(record, place, replacing: replacements)
    }

    /// Everything behind the pixel data, likewise.
    package func trailer() throws -> [UInt8] { try StoredValue.trailerBehindPixels(record, place) }

    /// Checks that all frames are there, before the first of them goes out.
    package func checkFrames() throws {
        let count = description.numberOfFrames
        if isEncapsulated {
            guard count <= record.index.frames.count else { throw Failure.framesUnknown }
            return
        }
        let bits = description.frameBits.multipliedReportingOverflow(by: UInt64(count))
        guard !bits.overflow, bits.partialValue <= UInt64(place.range.count) * 8 else {
            throw Failure.endsEarly(frame: count)
        }
    }

    /// Reads a frame.
    /// - Parameters:
    ///   - number: from 1.
    ///   - readsAhead: whether the frames behind it will be read too.
    /// - Returns: native pixels in little endian, or the whole compressed bit stream.
    package func frame(_ number: Int, readsAhead: Bool = false) throws -> [UInt8] {
        guard number >= 1, number <= description.numberOfFrames else {
            throw Failure.noSuchFrame(number, of: description.numberOfFrames)
        }
        return try isEncapsulated ? bitStream(number, readsAhead) : native(number, readsAhead)
    }

    /// The same where it was read, without a copy; nil: it has to be put together.
    /// - Returns: bytes that stand until the next frame is read or the image goes.
    package func frameInPlace(_ number: Int, readsAhead: Bool) throws -> UnsafeRawBufferPointer? {
        guard number >= 1, number <= description.numberOfFrames, inflated == nil else { return nil }
        if isEncapsulated {
            guard number <= record.index.frames.count else { return nil }
            let bytes = try readInPlace(record.index.frames[number - 1], readsAhead)
            let isOneItem =
                bytes.count >= 8 && bytes.littleEndian(at: 0, as: UInt32.self) == 0xE000_FFFE
                && Int(bytes.littleEndian(at: 4, as: UInt32.self)) == bytes.count - 8
            return isOneItem ? bytes.part(8..<bytes.count) : nil
        }
        let range = try nativeBits(number)
        guard range.lowerBound % 8 == 0, range.upperBound % 8 == 0, !isToBeTurned else { return nil }
        let start = UInt64(place.range.lowerBound)
        return try readInPlace(start + range.lowerBound / 8..<start + range.upperBound / 8, readsAhead)
    }

    /// Lends a frame, without a copy where it need not be put together.
    package func withFrame<Result>(
        _ number: Int, readsAhead: Bool = false, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        if let bytes = try frameInPlace(number, readsAhead: readsAhead) { return try body(bytes) }
        return try frame(number, readsAhead: readsAhead).withUnsafeBytes(body)
    }

    /// The same for the one frame that is asked for: the bytes stand until the image goes, and so much as `marginBytes` on both
    /// sides of them may be written over.
    package func onlyFrameInPlace(_ number: Int) throws -> UnsafeRawBufferPointer? {
        guard let bytes = try frameInPlace(number, readsAhead: false) else { return nil }
        window = 0..<0
        return bytes
    }

    package static let marginBytes = ReadBuffer.marginBytes

    /// Has the device bring what lies behind the frame that was read last.
    package func prefetchNext() {
        if inflated == nil { record.prefetch(behind: readEnd, count: Self.readAheadBytes) }
    }

    // MARK: Native

    /// Where a frame lies in the pixel data, in bits.
    private func nativeBits(_ number: Int) throws -> Range<UInt64> {
        let bits = description.frameBits
        let (first, overflow) = bits.multipliedReportingOverflow(by: UInt64(number - 1))
        let length = UInt64(place.range.count)
        guard !overflow, first <= length * 8, bits <= length * 8 - first else { throw Failure.endsEarly(frame: number) }
        return first..<first + bits
    }

    private func native(_ number: Int, _ readsAhead: Bool) throws -> [UInt8] {
        let bits = try nativeBits(number)
        let range = bits.lowerBound / 8..<(bits.upperBound + 7) / 8
        let start = UInt64(place.range.lowerBound)
        let bytes = try swapped(range, from: start, within: UInt64(place.range.count), readsAhead)
        guard bits.lowerBound % 8 != 0 || bits.count % 8 != 0 else { return bytes }
        return Self.bits(bytes, from: Int(bits.lowerBound % 8), count: bits.count)
    }

    /// A part of the pixels in little endian. Words that it begins or ends within are read whole to be turned.
    private func swapped(
        _ range: Range<UInt64>, from start: UInt64, within length: UInt64, _ readsAhead: Bool
    ) throws -> [UInt8] {
        guard isToBeTurned else {
            return try read(start + range.lowerBound..<start + range.upperBound, readsAhead)
        }
        let size = UInt64(wordSize)
        let whole = range.lowerBound / size * size..<min((range.upperBound + size - 1) / size * size, length)
        let bytes = try read(start + whole.lowerBound..<start + whole.upperBound, readsAhead)
        let turned = bytes.withRawBytes { ByteOrder.swapped($0, wordSize: wordSize) }
        return Array(turned.dropFirst(Int(range.lowerBound - whole.lowerBound)).prefix(range.count))
    }

    private var isToBeTurned: Bool { place.isBigEndian && wordSize > 1 }

    /// Bytes of one number in the pixel data: of a cell where it is that long, else by the VR.
    private var wordSize: Int {
        description.bitsAllocated > 16 ? Int(description.bitsAllocated) / 8 : place.vr == .ow ? 2 : place.vr.wordSize
    }

    /// Frames of single bits follow each other without a gap (PS3.5 section 8.1.1); the first pixel is the lowest bit.
    private static func bits(_ bytes: [UInt8], from shift: Int, count: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: (count + 7) / 8)
        for index in result.indices {
            let low = bytes[index] >> UInt8(shift)
            let high = shift > 0 && index + 1 < bytes.count ? bytes[index + 1] << UInt8(8 - shift) : 0
            result[index] = low | high
        }
        if count % 8 > 0 { result[result.count - 1] &= UInt8(1 << (count % 8)) - 1 }
        return result
    }

    // MARK: Encapsulated

    private func bitStream(_ number: Int, _ readsAhead: Bool) throws -> [UInt8] {
        guard number <= record.index.frames.count else { throw Failure.framesUnknown }
        let items = try read(record.index.frames[number - 1], readsAhead)
        return try items.withRawBytes { bytes in
            var stream: [UInt8] = []
            stream.reserveCapacity(bytes.count)
            var offset = 0
            while offset + 8 <= bytes.count {
                let length = Int(bytes.littleEndian(at: offset + 4, as: UInt32.self))
                guard bytes.littleEndian(at: offset, as: UInt32.self) == 0xE000_FFFE, length <= bytes.count - offset - 8
                else { throw Failure.framesUnknown }
                stream.append(contentsOf: bytes.part(offset + 8..<offset + 8 + length))
                offset += 8 + length
            }
            return stream
        }
    }

    // MARK: Reading

    private func read(_ range: Range<UInt64>, _ readsAhead: Bool) throws -> [UInt8] {
        if let inflated {
            guard range.upperBound <= UInt64(inflated.count) else { throw Failure.framesUnknown }
            return Array(inflated[Int(range.lowerBound)..<Int(range.upperBound)])
        }
        return [UInt8](try readInPlace(range, readsAhead))
    }

    private func readInPlace(_ range: Range<UInt64>, _ readsAhead: Bool) throws -> UnsafeRawBufferPointer {
        guard range.count <= Self.frameMaximum else { throw Failure.tooLarge }
        if !(range.lowerBound >= window.lowerBound && range.upperBound <= window.upperBound) {
            let end = readsAhead ? max(range.upperBound, range.lowerBound + Self.readAheadBytes) : range.upperBound
            let next = range.lowerBound..<min(end, max(range.upperBound, UInt64(place.range.upperBound)))
            // Where the read fails, there is nothing in the buffer any more.
            window = 0..<0
            windowBytes = try record.read(next, into: buffer)
            window = next
            readEnd = next.upperBound
        }
        let start = Int(range.lowerBound - window.lowerBound)
        return windowBytes.part(start..<start + range.count)
    }
}
