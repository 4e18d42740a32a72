// SPDX-License-Identifier: Apache-2.0
import CCodecs
import Testing

@Suite("Decoding of frames, through the façade")
struct DecodingTests {
    private static let isInitialized = ccodecs_initialize() == 0

    private func image(_ photometric: String, samples: UInt16 = 3) -> ccodecs_image {
        var image = ccodecs_image()
        (image.rows, image.columns, image.samples_per_pixel) = (16, 16, samples)
        (image.bits_allocated, image.bits_stored, image.high_bit) = (8, 8, 7)
        withUnsafeMutableBytes(of: &image.photometric) { $0.copyBytes(from: photometric.utf8) }
        return image
    }

    private func name(_ image: ccodecs_image) -> String {
        withUnsafeBytes(of: image.photometric) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private typealias Call = (
        UnsafeMutablePointer<ccodecs_image>, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>,
        UnsafeMutablePointer<Int>, UnsafeMutablePointer<CChar>, Int
    ) -> ccodecs_status

    private func call(_ body: Call) throws -> (ccodecs_image, [UInt8]) {
        try #require(Self.isInitialized)
        var output = ccodecs_image()
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        var why = [CChar](repeating: 0, count: 256)
        let status = body(&output, &bytes, &length, &why, why.count)
        defer { ccodecs_free(bytes) }
        try #require(status == CCODECS_OK, "\(why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })")
        return (output, Array(UnsafeBufferPointer(start: bytes, count: length)))
    }

    /// Decoders give all samples, also of a stream whose data set says that pixels share their chroma: with room for two
    /// samples of three they wrote past the end of the frame.
    @Test(
        "A stream that says YBR_FULL_422 stays within its frame",
        arguments: ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"])
    func sharedChroma(syntax: String) throws {
        let pixels = (0..<16 * 16 * 3).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var full = image("YBR_FULL")
        let (_, stream) = try call { output, bytes, length, why, room in
            ccodecs_encode_frame(syntax, &full, pixels, pixels.count, 90, output, bytes, length, why, room)
        }
        var shared = image("YBR_FULL_422")
        let (told, frame) = try call { output, bytes, length, why, room in
            ccodecs_decode_frame(syntax, &shared, stream, stream.count, output, bytes, length, why, room)
        }
        #expect(frame == pixels)
        #expect(name(told) == "YBR_FULL")
    }

    @Test("A grey frame that says YBR_FULL_422 is as long as its samples")
    func greyWithSharedChroma() throws {
        let pixels = (0..<16 * 16).map { UInt8(truncatingIfNeeded: $0) }
        var grey = image("MONOCHROME2", samples: 1)
        let syntax = "1.2.840.10008.1.2.5"
        let (_, stream) = try call { output, bytes, length, why, room in
            ccodecs_encode_frame(syntax, &grey, pixels, pixels.count, 90, output, bytes, length, why, room)
        }
        var shared = image("YBR_FULL_422", samples: 1)
        let (_, frame) = try call { output, bytes, length, why, room in
            ccodecs_decode_frame(syntax, &shared, stream, stream.count, output, bytes, length, why, room)
        }
        #expect(frame == pixels)
    }

    /// It was taken for two bytes a pixel; of one bit a pixel that was read beyond what had been unpacked, and shown.
    @Test("One sample that says YBR_FULL_422 is one byte a pixel")
    func lengthOfOneSample() throws {
        try #require(Self.isInitialized)
        var shared = image("YBR_FULL_422", samples: 1)
        var options = ccodecs_rendering()
        var picture = ccodecs_rendered()
        let frame = [UInt8](repeating: 1, count: 16 * 16)
        var why = [CChar](repeating: 0, count: 256)
        let status = ccodecs_render(nil, 0, &shared, frame, frame.count, &options, &picture, &why, why.count)
        defer { ccodecs_free(picture.bytes) }
        let told = why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        #expect(status == CCODECS_OK || !told.contains("shorter"), "\(told)")
    }
}
