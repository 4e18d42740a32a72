// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Imaging
import Platform

/// Pictures for people (PS3.18 sections 10.4.1.1.3 and 10.4.1.1.4): one of an instance or frame, or of the middle of a
/// series or study, as JPEG, PNG, animated GIF, or several in one multipart.
struct RenderedService {
    private static let thumbnailPixels: UInt32 = 128
    private static let animatedMaximum = 500
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    private enum Form { case jpeg, png, animation, multipartJPEG, multipartPNG }

    /// - Parameters:
    ///   - frames: the list of frames in the path; nil: none.
    func run(_ resource: ResourcePath, frames: String?, isThumbnail: Bool) throws {
        let form = try chooseForm(isThumbnail)
        var options = try RenderingParameters.options(exchange.request, isThumbnail: isThumbnail)
        options.format = form == .png || form == .multipartPNG ? .png : .jpeg
        if isThumbnail, options.viewportWidth == 0 {
            (options.viewportWidth, options.viewportHeight) = (Self.thumbnailPixels, Self.thumbnailPixels)
        }
        let version = try representative(resource)
        let wanted = try frames.map { try FrameService.numbers($0) }
        let annotation = try RenderingParameters.annotation(exchange.request)
        let picture = PictureRequest(version: version, frames: wanted, options: options, annotation: annotation)
        switch form {
        case .jpeg, .png: try sendOne(picture, form == .png ? "image/png" : "image/jpeg")
        case .animation: try sendAnimation(picture)
        case .multipartJPEG, .multipartPNG:
            try sendMultipart(picture, form == .multipartPNG ? "image/png" : "image/jpeg")
        }
    }

    struct PictureRequest {
        let version: CatalogVersion
        let frames: [Int]?
        var options: RenderingOptions
        let annotation: RenderingParameters.Annotation
    }

    private func chooseForm(_ isThumbnail: Bool) throws -> Form {
        let negotiation = Negotiation(exchange.request)
        for wanted in negotiation.accepted {
            switch wanted.name {
            case "image/jpeg", "image/*", "*/*": return .jpeg
            case "image/png": return .png
            case "image/gif" where !isThumbnail: return .animation
            case Media.multipart where !isThumbnail:
                switch wanted["type"] ?? "image/jpeg" {
                case "image/jpeg", "image/*", "*/*": return .multipartJPEG
                case "image/png": return .multipartPNG
                default: continue
                }
            default: continue
            }
        }
        throw negotiation.notAcceptable(
            ["image/jpeg", "image/png"] + (isThumbnail ? [] : ["image/gif", "\(Media.multipart); type=\"image/jpeg\""]))
    }

    /// Of several instances one in the middle that has pixels shows best what they are.
    private func representative(_ resource: ResourcePath) throws -> CatalogVersion {
        let versions = try service.versions(resource, exchange, for: asker)
        guard versions.count > 1 else { return versions[0] }
        let middle = versions.count / 2
        let candidates = [middle] + stride(from: 0, to: versions.count, by: max(1, versions.count / 16))
        for index in candidates {
            let record = try service.archive.record(of: versions[index])
            if (try? StoredImage(record)) != nil { return versions[index] }
        }
        return versions[middle]
    }

    // MARK: Sending

    private func sendOne(_ request: PictureRequest, _ type: String) throws {
        let tag = EntityTag.make(
            [request.version], "\(request.frames ?? []) \(request.options) \(request.annotation) \(type)")
        if EntityTag.matches(exchange.request.headers["If-None-Match"], tag) {
            return exchange.respond(HTTPResponse(status: 304, headers: HTTPHeaders([("ETag", tag)])))
        }
        try service.previews.use(tag) {
            let source = try PictureSource(service, request)
            return try source.picture(request.frames?.first ?? source.middleFrame)
        } send: { bytes in
            exchange.respond(
                HTTPResponse(
                    contentType: type, body: bytes,
                    headers: HTTPHeaders([("ETag", tag), ("Cache-Control", "private, no-cache")])))
        }
    }

    private func sendMultipart(_ request: PictureRequest, _ type: String) throws {
        let source = try PictureSource(service, request)
        let numbers = try request.frames ?? Array(FrameService.all(of: source.image))
        let first = try source.picture(numbers[0])
        let writer = try MultipartWriter(exchange, type: type)
        for (index, number) in numbers.enumerated() {
            let bytes = index == 0 ? first : try source.picture(number)
            try writer.beginPart(type, length: UInt64(bytes.count))
            try writer.write(bytes)
        }
        try writer.finish()
    }

    private func sendAnimation(_ request: PictureRequest) throws {
        let source = try PictureSource(service, request)
        let numbers = try request.frames ?? Array(FrameService.all(of: source.image))
        guard numbers.count <= Self.animatedMaximum else {
            throw HTTPProblem(
                413,
                "An animation has at most \(Self.animatedMaximum) frames; ask for a list of frames, or for multipart")
        }
        exchange.respond(HTTPResponse(contentType: "image/gif", body: try source.animation(numbers)))
    }
}

/// One stored image on its way to pictures.
struct PictureSource {
    let image: StoredImage
    private let service: DICOMwebService
    private let header: [UInt8]
    private var options: RenderingOptions

    init(_ service: DICOMwebService, _ request: RenderedService.PictureRequest) throws {
        self.service = service
        let record = try service.archive.record(of: request.version)
        image = try StoredImage(record)
        header = try image.renderingHeader()
        options = request.options
        options.annotation = request.annotation.text(image.header)
    }

    /// The one that shows most of an instance of several.
    var middleFrame: Int { image.description.numberOfFrames / 2 + 1 }

    func picture(_ number: Int) throws -> [UInt8] {
        try image.withFrame(number) {
            try service.transcoder.render(
                $0, number: number, header: header, image.description, from: image.transferSyntax, options
            ).bytes
        }
    }

    func animation(_ numbers: [Int]) throws -> [UInt8] {
        for number in numbers where number > image.description.numberOfFrames {
            throw StoredImage.Failure.noSuchFrame(number, of: image.description.numberOfFrames)
        }
        return try service.transcoder.animate(
            numbers, delayMilliseconds: delayMilliseconds, header: header, image.description,
            from: image.transferSyntax, options
        ) { try image.withFrame($0, readsAhead: true, $1) }
    }

    /// Frame Time (0018,1063), or a Recommended Display Frame Rate (0008,2144); else ten frames a second.
    private var delayMilliseconds: UInt32 {
        if let text = image.header[Tag(0x0018_1063)]?.plainValue, let time = Double(text), time >= 1, time < 10_000 {
            return UInt32(time)
        }
        if let text = image.header[Tag(0x0008_2144)]?.plainValue, let rate = Double(text), rate >= 0.1, rate < 1000 {
            return UInt32(1000 / rate)
        }
        return 100
    }
}
