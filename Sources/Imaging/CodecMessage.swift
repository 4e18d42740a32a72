// SPDX-License-Identifier: Apache-2.0
import DICOM
import Platform

/// What goes between the archive and a codec worker. Both are the same executable, so the form is nobody else's business:
/// numbers in little endian, texts and bytes with their length in front.
struct CodecMessage {
    private(set) var bytes: [UInt8] = []
    private var position = 0

    /// No message is longer: a frame, its header, and room.
    static let lengthMaximum = 1 << 30

    init() {}
    init(reading bytes: [UInt8]) { self.bytes = bytes }

    mutating func append(_ number: UInt32) { bytes.appendLittleEndian(number) }
    mutating func append(_ number: Double) { bytes.appendLittleEndian(number.bitPattern) }
    mutating func append(_ data: some Collection<UInt8>) {
        bytes.appendLittleEndian(UInt32(data.count))
        bytes += data
    }
    /// Of data that is sent behind the message, from where it lies.
    mutating func appendLength(of data: UnsafeRawBufferPointer) { bytes.appendLittleEndian(UInt32(data.count)) }
    mutating func append(_ data: UnsafeRawBufferPointer) {
        bytes.appendLittleEndian(UInt32(data.count))
        bytes.append(contentsOf: data)
    }
    mutating func append(_ text: String) { append(Array(text.utf8)) }

    mutating func append(_ image: ImageDescription) {
        for number in [
            image.rows, image.columns, image.samplesPerPixel, image.bitsAllocated, image.bitsStored, image.highBit,
            image.pixelRepresentation, image.planarConfiguration,
        ] { bytes.appendLittleEndian(number) }
        append(image.photometricInterpretation)
    }

    // MARK: Reading

    /// The other side does not keep to the form: it is not what we started, or no longer.
    struct Broken: Error {}

    mutating func number() throws(Broken) -> UInt32 { try fixed() }
    mutating func double() throws(Broken) -> Double { Double(bitPattern: try fixed()) }
    /// In the message's own memory: a frame is half a megabyte and more.
    mutating func data() throws(Broken) -> ArraySlice<UInt8> {
        let count = Int(try number())
        guard count <= bytes.count - position else { throw Broken() }
        defer { position += count }
        return bytes[position..<position + count]
    }
    mutating func text() throws(Broken) -> String { String(decoding: try data(), as: UTF8.self) }

    /// - Parameter like: what the message does not carry is taken from here.
    mutating func image(like other: ImageDescription) throws(Broken) -> ImageDescription {
        var image = other
        image.rows = try fixed()
        image.columns = try fixed()
        image.samplesPerPixel = try fixed()
        image.bitsAllocated = try fixed()
        image.bitsStored = try fixed()
        image.highBit = try fixed()
        image.pixelRepresentation = try fixed()
        image.planarConfiguration = try fixed()
        image.photometricInterpretation = try text()
        return image
    }

    private mutating func fixed<Number: FixedWidthInteger>() throws(Broken) -> Number {
        let size = MemoryLayout<Number>.size
        guard bytes.count - position >= size else { throw Broken() }
        defer { position += size }
        return bytes.withRawBytes { $0.littleEndian(at: position) }
    }
}

/// What a worker is asked to do.
enum CodecOperation: UInt32 {
    /// Decode from one syntax and encode in another; either may be native.
    case transcode = 1
    case render = 2
    case beginAnimation = 3
    case addToAnimation = 4
    case finishAnimation = 5
}
