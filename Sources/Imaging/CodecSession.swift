// SPDX-License-Identifier: Apache-2.0
import CCodecs
import DICOM
import Glibc
import Platform

/// What a worker does with its requests.
struct CodecSession {
    private let allowsFaults: Bool
    private var animation: OpaquePointer?

    private struct Refusal: Error {
        let status: ccodecs_status
        let why: String
    }

    init(allowsFaults: Bool) { self.allowsFaults = allowsFaults }

    mutating func answer(_ request: CodecMessage) -> CodecMessage {
        var reply = CodecMessage()
        do {
            var request = request
            reply.append(CCODECS_OK.rawValue)
            reply.append("")
            switch CodecOperation(rawValue: try request.number()) {
            case .transcode: try transcode(&request, &reply)
            case .render: try render(&request, &reply)
            case .beginAnimation: try beginAnimation(&request)
            case .addToAnimation: try addToAnimation(&request)
            case .finishAnimation: try finishAnimation(&reply)
            case nil: throw CodecMessage.Broken()
            }
        } catch {
            let refusal = error as? Refusal
            reply = CodecMessage()
            reply.append((refusal?.status ?? CCODECS_FAILED).rawValue)
            reply.append(refusal?.why ?? "\(error)")
        }
        return reply
    }

    // MARK: Operations

    private func transcode(_ request: inout CodecMessage, _ result: inout CodecMessage) throws {
        let source = TransferSyntax(uid: try request.text())
        let target = TransferSyntax(uid: try request.text())
        let quality = try request.number()
        let image = try request.image(like: .none)
        let frame = try request.data()
        let (native, decoded) = try decode(frame, image, source)
        guard target.isEncapsulated else {
            result.append(decoded)
            result.append(native)
            return
        }
        let (bytes, encoded) = try Self.call(decoded) { input, output, bytes, length, why, room in
            native.withUnsafeBytes {
                ccodecs_encode_frame(
                    target.uid, &input, $0.bindMemory(to: UInt8.self).baseAddress, $0.count, quality, &output, &bytes,
                    &length, why, room)
            }
        }
        result.append(encoded)
        result.append(bytes)
    }

    private func decode(_ frame: ArraySlice<UInt8>, _ image: ImageDescription, _ source: TransferSyntax) throws -> (
        ArraySlice<UInt8>, ImageDescription
    ) {
        if allowsFaults { Self.obeyFault(frame) }
        guard source.isEncapsulated else { return (frame, image) }
        return try Self.call(image) { input, output, bytes, length, why, room in
            frame.withUnsafeBytes {
                ccodecs_decode_frame(
                    source.uid, &input, $0.bindMemory(to: UInt8.self).baseAddress, $0.count, &output, &bytes, &length,
                    why, room)
            }
        }
    }

    private func render(_ request: inout CodecMessage, _ result: inout CodecMessage) throws {
        let rendered = try rendered(&request)
        defer { ccodecs_free(rendered.bytes) }
        result.append(rendered.width)
        result.append(rendered.height)
        result.append(rendered.samples)
        result.append(UnsafeRawBufferPointer(start: rendered.bytes, count: rendered.length))
    }

    private func rendered(_ request: inout CodecMessage) throws -> ccodecs_rendered {
        let source = TransferSyntax(uid: try request.text())
        let image = try request.image(like: .none)
        var options = ccodecs_rendering()
        options.format = ccodecs_format(rawValue: try request.number())
        options.quality = try request.number()
        options.frame = try request.number()
        options.viewport_width = try request.number()
        options.viewport_height = try request.number()
        options.region_x = try request.double()
        options.region_y = try request.double()
        options.region_width = try request.double()
        options.region_height = try request.double()
        options.has_window = try request.number()
        options.window_function = ccodecs_window_function(rawValue: try request.number())
        options.window_center = try request.double()
        options.window_width = try request.double()
        options.show_overlays = try request.number()
        let annotation = try request.text()
        let header = try request.data()
        let (frame, decoded) = try decode(try request.data(), image, source)
        var input = Self.image(decoded)
        var result = ccodecs_rendered()
        var why = [CChar](repeating: 0, count: 512)
        let status = annotation.withCString { text in
            options.annotation = annotation.isEmpty ? nil : text
            return header.withUnsafeBufferPointer { header in
                frame.withUnsafeBufferPointer { frame in
                    ccodecs_render(
                        header.baseAddress, header.count, &input, frame.baseAddress, frame.count, &options, &result,
                        &why, why.count)
                }
            }
        }
        guard status == CCODECS_OK else { throw Self.refusal(status, why) }
        return result
    }

    private mutating func beginAnimation(_ request: inout CodecMessage) throws {
        if let animation { ccodecs_gif_abandon(animation) }
        var why = [CChar](repeating: 0, count: 512)
        animation = ccodecs_gif_begin(try request.number(), try request.number(), &why, why.count)
        guard animation != nil else { throw Self.refusal(CCODECS_TOO_LARGE, why) }
    }

    private func addToAnimation(_ request: inout CodecMessage) throws {
        let delayMilliseconds = try request.number()
        let picture = try rendered(&request)
        defer { ccodecs_free(picture.bytes) }
        var why = [CChar](repeating: 0, count: 512)
        let status = ccodecs_gif_add(
            animation, picture.bytes, picture.samples, delayMilliseconds, &why, why.count)
        guard status == CCODECS_OK else { throw Self.refusal(status, why) }
    }

    private mutating func finishAnimation(_ result: inout CodecMessage) throws {
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        var why = [CChar](repeating: 0, count: 512)
        let status = ccodecs_gif_finish(animation, &bytes, &length, &why, why.count)
        animation = nil
        defer { ccodecs_free(bytes) }
        guard status == CCODECS_OK else { throw Self.refusal(status, why) }
        result.append(UnsafeRawBufferPointer(start: bytes, count: length))
    }

    // MARK: C

    private typealias Call = (
        inout ccodecs_image, inout ccodecs_image, inout UnsafeMutablePointer<UInt8>?, inout Int,
        UnsafeMutablePointer<CChar>, Int
    ) -> ccodecs_status

    private static func call(_ image: ImageDescription, _ body: Call) throws -> (ArraySlice<UInt8>, ImageDescription) {
        var input = Self.image(image)
        var output = ccodecs_image()
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        var why = [CChar](repeating: 0, count: 512)
        let status = why.withUnsafeMutableBufferPointer {
            body(&input, &output, &bytes, &length, $0.baseAddress!, $0.count)
        }
        defer { ccodecs_free(bytes) }
        guard status == CCODECS_OK else { throw refusal(status, why) }
        return (Array(UnsafeBufferPointer(start: bytes, count: length))[...], description(output, like: image))
    }

    private static func refusal(_ status: ccodecs_status, _ why: [CChar]) -> Refusal {
        Refusal(status: status, why: why.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
    }

    private static func image(_ image: ImageDescription) -> ccodecs_image {
        var result = ccodecs_image()
        result.rows = image.rows
        result.columns = image.columns
        result.samples_per_pixel = image.samplesPerPixel
        result.bits_allocated = image.bitsAllocated
        result.bits_stored = image.bitsStored
        result.high_bit = image.highBit
        result.pixel_representation = image.pixelRepresentation
        result.planar_configuration = image.planarConfiguration
        withUnsafeMutableBytes(of: &result.photometric) {
            $0.copyBytes(from: image.photometricInterpretation.utf8.prefix(31))
        }
        return result
    }

    private static func description(_ image: ccodecs_image, like other: ImageDescription) -> ImageDescription {
        var result = other
        result.rows = image.rows
        result.columns = image.columns
        result.samplesPerPixel = image.samples_per_pixel
        result.bitsAllocated = image.bits_allocated
        result.bitsStored = image.bits_stored
        result.highBit = image.high_bit
        result.pixelRepresentation = image.pixel_representation
        result.planarConfiguration = image.planar_configuration
        result.photometricInterpretation = withUnsafeBytes(of: image.photometric) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return result
    }

    // MARK: Faults

    /// For the tests of what the archive does when a decoder misbehaves: an image that begins with such words makes it.
    private static func obeyFault(_ frame: ArraySlice<UInt8>) {
        func begins(_ word: String) -> Bool { frame.starts(with: Array("SNIMOK FAULT \(word)".utf8)) }
        if begins("crash") { raise(SIGSEGV) }
        if begins("loop") { while true { _ = getpid() } }
        if begins("memory") {
            var blocks: [UnsafeMutableRawPointer] = []
            for _ in 0..<100 {
                guard let block = malloc(1 << 30) else { abort() }
                memset(block, 1, 1 << 30)
                blocks.append(block)
            }
        }
    }
}

extension ImageDescription {
    /// Nothing yet; a message fills it.
    fileprivate static let none = ImageDescription(rows: 1, columns: 1)
}
