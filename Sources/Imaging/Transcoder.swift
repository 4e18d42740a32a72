// SPDX-License-Identifier: Apache-2.0
import Archive
import DICOM
import Platform

/// Frames from one transfer syntax into another, and pictures of them, in worker processes.
package final class Transcoder: Sendable {
    private let pool: CodecPool

    package init(_ pool: CodecPool) { self.pool = pool }

    private static let decodable: Set<String> = [
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.5",
    ]
    private static let encodable: Set<String> = [
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5",
    ]

    /// Whether frames stored in one syntax can be given in another, as far as the syntaxes tell.
    package func canMake(_ target: TransferSyntax, from source: TransferSyntax) -> Bool {
        if target == source { return true }
        guard source.isUncompressed || Self.decodable.contains(source.uid) else { return false }
        return target == .explicitVRLittleEndian || Self.encodable.contains(target.uid)
            || (source.isUncompressed && target.isUncompressed)
    }

    /// Whether frames of this image can be given in that syntax.
    package func canMake(_ target: TransferSyntax, from source: TransferSyntax, _ image: ImageDescription) -> Bool {
        guard canMake(target, from: source) else { return false }
        // JPEG baseline has 8 bits (PS3.5 section 8.2.1).
        return target != .jpegBaseline || target == source || image.bitsAllocated == 8
    }

    /// - Returns: the frame and how its pixels are described now.
    package func transcode(
        _ frame: UnsafeRawBufferPointer, _ image: ImageDescription, from source: TransferSyntax,
        to target: TransferSyntax, quality: UInt32 = 90
    ) throws -> (bytes: [UInt8], image: ImageDescription) {
        var request = CodecMessage()
        request.append(CodecOperation.transcode.rawValue)
        request.append(source.uid)
        request.append(target.uid)
        request.append(quality)
        request.append(image)
        var reply = try pool.withWorker { try $0.call(request, frame) }
        return try broken {
            let described = try reply.image(like: image)
            return (Array(try reply.data()), described)
        }
    }

    /// A picture of one frame.
    /// - Parameters:
    ///   - frame: as stored.
    ///   - number: its number, from 1.
    ///   - header: everything in front of the pixel data, in Explicit VR Little Endian.
    package func render(
        _ frame: UnsafeRawBufferPointer, number: Int, header: [UInt8], _ image: ImageDescription,
        from source: TransferSyntax, _ options: RenderingOptions
    ) throws -> RenderedPicture {
        try Self.checkRegion(options, image)
        var request = CodecMessage()
        request.append(CodecOperation.render.rawValue)
        Self.appendPicture(number, header, image, source, options, to: &request)
        var reply = try pool.withWorker { try $0.call(request, frame) }
        return try broken {
            let (width, height, samples) = (try reply.number(), try reply.number(), try reply.number())
            return RenderedPicture(
                bytes: Array(try reply.data()), width: Int(width), height: Int(height), samples: Int(samples))
        }
    }

    /// An animated GIF.
    /// - Parameter withFrame: lends the stored frame of a number.
    package func animate(
        _ numbers: [Int], delayMilliseconds: UInt32, header: [UInt8], _ image: ImageDescription,
        from source: TransferSyntax, _ options: RenderingOptions,
        withFrame: (Int, (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws -> [UInt8] {
        var options = options
        options.format = .raw
        var size = (width: 0, height: 0)
        try withFrame(numbers[0]) { frame in
            let picture = try render(frame, number: numbers[0], header: header, image, from: source, options)
            size = (picture.width, picture.height)
        }
        return try pool.withWorker { worker in
            var begin = CodecMessage()
            begin.append(CodecOperation.beginAnimation.rawValue)
            begin.append(UInt32(size.width))
            begin.append(UInt32(size.height))
            _ = try worker.call(begin)
            for number in numbers {
                var add = CodecMessage()
                add.append(CodecOperation.addToAnimation.rawValue)
                add.append(delayMilliseconds)
                Self.appendPicture(number, header, image, source, options, to: &add)
                try withFrame(number) { frame in _ = try worker.call(add, frame) }
            }
            var finish = CodecMessage()
            finish.append(CodecOperation.finishAnimation.rawValue)
            var reply = try worker.call(finish)
            return try broken { Array(try reply.data()) }
        }
    }

    private static func region(_ options: RenderingOptions, _ image: ImageDescription) -> [Double] {
        guard let relative = options.relativeRegion else { return options.region }
        let (width, height) = (Double(image.columns), Double(image.rows))
        return [
            relative[0] * width, relative[1] * height, (relative[2] - relative[0]) * width,
            (relative[3] - relative[1]) * height,
        ]
    }

    private static func checkRegion(_ options: RenderingOptions, _ image: ImageDescription) throws(ImagingError) {
        let region = region(options, image)
        guard (0..<Double(image.columns)).contains(region[0]), (0..<Double(image.rows)).contains(region[1]),
            region[0] + region[2].magnitude <= Double(image.columns),
            region[1] + region[3].magnitude <= Double(image.rows)
        else {
            throw .wrongParameter("The region lies outside the image of \(image.columns) × \(image.rows) pixels")
        }
    }

    /// All but the frame, which follows.
    private static func appendPicture(
        _ number: Int, _ header: [UInt8], _ image: ImageDescription, _ source: TransferSyntax,
        _ options: RenderingOptions, to request: inout CodecMessage
    ) {
        request.append(source.uid)
        request.append(image)
        request.append(options.format.rawValue)
        request.append(options.quality)
        request.append(UInt32(clamping: number))
        request.append(options.viewportWidth)
        request.append(options.viewportHeight)
        for value in region(options, image) { request.append(value) }
        request.append(options.window == nil ? 0 : 1 as UInt32)
        request.append((options.window?.function ?? .linear).rawValue)
        request.append(options.window?.center ?? 0)
        request.append(options.window?.width ?? 0)
        request.append(options.showsOverlays ? 1 : 0 as UInt32)
        request.append(options.annotation)
        request.append(header)
    }

    private func broken<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch is CodecMessage.Broken {
            throw ImagingError.decoderStopped("the decoder answered nonsense")
        }
    }
}
