// SPDX-License-Identifier: Apache-2.0
import CCodecs
import DICOM
import Glibc
import Platform

extension FuzzTarget {
    /// The decoders: what they give has the size that the data set says.
    static let image = FuzzTarget(
        name: "image", about: "decoders of frames, through the façade", maximumBytes: 2048,
        prepare: { Codec.start() }, seeds: { Codec.encodedSamples }, seedsFromFile: { Codec.frames(of: $0) }
    ) { bytes in
        var input = FuzzInput(bytes)
        let syntax = input.pick(Codec.syntaxes)
        var described = Codec.description(&input)
        withExactCopy(input.rest) { stream in
            guard let (image, frame) = Codec.decode(syntax, &described, stream) else { return }
            let size =
                Int(image.rows) * Int(image.columns) * Int(image.samples_per_pixel) * Int(image.bits_allocated / 8)
            require(frame.count == size, "a decoded frame has the size that its description has")
            require(
                image.rows == described.rows && image.columns == described.columns, "a decoder changes no dimensions")
            Codec.encode(image, frame)
        }
    }

    /// Showing a frame, whatever its header says.
    static let render = FuzzTarget(
        name: "render", about: "rendering of frames, through the façade", maximumBytes: 1024,
        prepare: { Codec.start() },
        seeds: {
            let header = SampleDataSets.image(.explicitVRLittleEndian)
            let options: [UInt8] = [0, 40, 0, 144, 1]
            return [options + [8, 0, 8, 0, 1, 16, 12, 11, 0, 0, 0], options + [4, 0, 4, 0, 3, 8, 8, 7, 0, 0, 2]].map {
                $0 + [UInt8(header.count & 255), UInt8(header.count >> 8)] + header + [UInt8](repeating: 5, count: 128)
            }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        var options = Codec.options(&input)
        var described = Codec.description(&input)
        let header = input.bytes(Int(input.number()))
        let wanted = Int(described.rows) * Int(described.columns) * Int(described.samples_per_pixel)
        guard wanted <= 1 << 14 else { return }
        // As a decoder would give it: of the right size.
        var frame = [UInt8](repeating: 0x55, count: wanted * Int(max(8, described.bits_allocated) / 8))
        for (index, byte) in input.rest.prefix(frame.count).enumerated() { frame[index] = byte }
        withExactCopy(header) { header in
            var result = ccodecs_rendered()
            var why = [CChar](repeating: 0, count: 256)
            let status = frame.withUnsafeBufferPointer {
                ccodecs_render(
                    header.baseAddress?.assumingMemoryBound(to: UInt8.self), header.count, &described, $0.baseAddress,
                    $0.count, &options, &result, &why, why.count)
            }
            guard status == CCODECS_OK else { return }
            defer { ccodecs_free(result.bytes) }
            require(result.samples == 1 || result.samples == 3, "a picture is grey or RGB")
            if options.format == CCODECS_RAW {
                require(
                    result.length == Int(result.width) * Int(result.height) * Int(result.samples),
                    "a raw picture has the size that it says")
            }
        }
    }
}

/// What inputs and the façade have in common.
private enum Codec {
    static let syntaxes = ["5", "4.80", "4.81", "4.90", "4.91", "4.50", "4.51", "4.57", "4.70", "4.201"].map {
        "1.2.840.10008.1.2.\($0)"
    }
    private static let photometric = ["MONOCHROME2", "MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR"]
    /// So that inputs spend their time on streams and not on memory.
    private static let samplesMaximum = 1 << 16

    static func start() { require(ccodecs_initialize() == 0, "the codecs start") }

    /// Eleven bytes that describe an image.
    static func description(_ input: inout FuzzInput) -> ccodecs_image {
        var image = ccodecs_image()
        image.rows = input.number()
        image.columns = input.number()
        image.samples_per_pixel = UInt16(input.byte())
        image.bits_allocated = UInt16(input.byte())
        image.bits_stored = UInt16(input.byte())
        image.high_bit = UInt16(input.byte())
        image.pixel_representation = UInt16(input.byte())
        image.planar_configuration = UInt16(input.byte())
        let name = input.pick(photometric)
        withUnsafeMutableBytes(of: &image.photometric) { $0.copyBytes(from: name.utf8) }
        return image
    }

    private static func bytes(of image: ccodecs_image, _ photometricIndex: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(image.rows)
        bytes.appendLittleEndian(image.columns)
        return bytes + [
            UInt8(image.samples_per_pixel), UInt8(image.bits_allocated), UInt8(image.bits_stored),
            UInt8(image.high_bit),
            UInt8(image.pixel_representation), 0, photometricIndex,
        ]
    }

    static func options(_ input: inout FuzzInput) -> ccodecs_rendering {
        var options = ccodecs_rendering()
        let choices = input.byte()
        options.format = choices & 3 == 0 ? CCODECS_RAW : choices & 3 == 1 ? CCODECS_JPEG : CCODECS_PNG
        options.window_center = Double(Int8(bitPattern: input.byte()))
        options.viewport_width = UInt32(input.byte())
        options.window_width = Double(input.byte())
        options.viewport_height = UInt32(input.byte())
        options.has_window = UInt32(choices >> 2 & 1)
        options.window_function = ccodecs_window_function(rawValue: UInt32(choices >> 3) % 3)
        options.show_overlays = 1
        options.frame = UInt32(choices >> 5)
        return options
    }

    static func decode(
        _ syntax: String, _ image: inout ccodecs_image, _ stream: UnsafeRawBufferPointer
    ) -> (ccodecs_image, [UInt8])? {
        guard Int(image.rows) * Int(image.columns) * Int(image.samples_per_pixel) <= samplesMaximum else { return nil }
        var output = ccodecs_image()
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        var why = [CChar](repeating: 0, count: 256)
        let status = ccodecs_decode_frame(
            syntax, &image, stream.baseAddress?.assumingMemoryBound(to: UInt8.self), stream.count, &output, &bytes,
            &length, &why, why.count)
        defer { ccodecs_free(bytes) }
        guard status == CCODECS_OK else { return nil }
        return (output, Array(UnsafeBufferPointer(start: bytes, count: length)))
    }

    /// What was decoded can be encoded without loss.
    static func encode(_ image: ccodecs_image, _ frame: [UInt8]) {
        guard let stream = encoded("1.2.840.10008.1.2.5", image, frame) else { return }
        var described = image
        let again = stream.withUnsafeBytes { decode("1.2.840.10008.1.2.5", &described, $0) }
        require(again?.1 == frame, "RLE gives back what was encoded")
    }

    private static func encoded(_ syntax: String, _ image: ccodecs_image, _ frame: [UInt8]) -> [UInt8]? {
        var input = image
        var output = ccodecs_image()
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        var why = [CChar](repeating: 0, count: 256)
        let status = ccodecs_encode_frame(
            syntax, &input, frame, frame.count, 90, &output, &bytes, &length, &why, why.count)
        defer { ccodecs_free(bytes) }
        return status == CCODECS_OK ? Array(UnsafeBufferPointer(start: bytes, count: length)) : nil
    }

    static var encodedSamples: [[UInt8]] {
        var seeds: [[UInt8]] = []
        for (samples, allocated, photometricIndex) in [(1, 8, 0), (1, 16, 0), (3, 8, 2)] as [(UInt8, UInt8, UInt8)] {
            let head: [UInt8] = [9, 0, 7, 0, samples, allocated, allocated, allocated - 1, 0, 0, photometricIndex]
            let image = head.withUnsafeBytes { bytes in
                var input = FuzzInput(bytes)
                return description(&input)
            }
            let frame = (0..<9 * 7 * Int(samples) * Int(allocated / 8)).map { UInt8(truncatingIfNeeded: $0 &* $0 / 3) }
            for (number, syntax) in syntaxes.enumerated() {
                if let stream = encoded(syntax, image, frame) { seeds.append([UInt8(number)] + head + stream) }
            }
        }
        return seeds
    }

    /// The first fragment of an encapsulated image.
    static func frames(of file: [UInt8]) -> [[UInt8]] {
        file.withUnsafeBytes { all in
            guard let meta = FileMeta(head: all), let syntaxIndex = syntaxes.firstIndex(of: meta.transferSyntaxUID),
                let dataSet = try? DataSet(
                    all.part(meta.dataSetOffset..<all.count),
                    transferSyntax: TransferSyntax(uid: meta.transferSyntaxUID)),
                let image = ImageDescription(dataSet)
            else { return [] }
            var cursor = ElementCursor(
                transferSyntax: TransferSyntax(uid: meta.transferSyntaxUID), position: meta.dataSetOffset)
            let window = ByteWindow(all, isLast: true)
            var fragments = 0
            while let step = try? cursor.next(in: window) {
                if case .end = step { return [] }
                guard case .fragment(let range) = step else { continue }
                fragments += 1
                guard fragments == 2, let stream = window.part(range) else { continue }
                var described = ccodecs_image()
                described.rows = image.rows
                described.columns = image.columns
                described.samples_per_pixel = image.samplesPerPixel
                described.bits_allocated = image.bitsAllocated
                described.bits_stored = image.bitsStored
                described.high_bit = image.highBit
                described.pixel_representation = image.pixelRepresentation
                let name = photometric.firstIndex(of: image.photometricInterpretation) ?? 0
                return [[UInt8(syntaxIndex)] + bytes(of: described, UInt8(name)) + stream]
            }
            return []
        }
    }
}
