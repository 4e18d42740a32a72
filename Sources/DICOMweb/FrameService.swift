// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Platform

/// Frames (PS3.18 section 10.4.1.1.6), native or encapsulated, as stored or transcoded.
struct FrameService {
    private static let framesMaximum = 100_000
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    /// The numbers of all frames, if they can be given at once: what the header says may be any number.
    static func all(of image: StoredImage) throws -> ClosedRange<Int> {
        let count = image.description.numberOfFrames
        guard count <= framesMaximum else {
            throw HTTPProblem(
                413, "The instance says that it has \(count) frames; ask for at most \(framesMaximum) by number")
        }
        return 1...count
    }

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    func run(_ resource: ResourcePath, list: String) throws {
        let numbers = try Self.numbers(list)
        let version = try service.versions(resource, exchange, for: asker)[0]
        let image = try StoredImage(service.archive.record(of: version, readsAhead: numbers.count > 1))
        for number in numbers where number > image.description.numberOfFrames {
            throw StoredImage.Failure.noSuchFrame(number, of: image.description.numberOfFrames)
        }
        let negotiation = Negotiation(exchange.request)
        let stored = image.transferSyntax
        let form = FrameForm.choose(negotiation, stored: stored) {
            service.transcoder.canMake($0, from: stored, image.description)
        }
        guard let form else {
            throw negotiation.notAcceptable([
                "\(Media.multipart); type=\"\(Media.bytes)\"",
                "\(Media.multipart); type=\"\(FrameMedia.type(of: stored))\"",
            ])
        }
        let syntax = form.syntax ?? stored
        guard numbers.count == 1 else { return try sendAll(image, numbers, syntax) }
        let body = try onlyFrame(image, numbers[0], syntax)
        if form.isMultipart {
            exchange.respond(
                MultipartWriter.response(
                    type: FrameMedia.type(of: syntax), contentType: FrameMedia.contentType(syntax), body: body))
        } else {
            let tag = EntityTag.make([version], "frame \(numbers[0]) \(syntax.uid)")
            try RangedResponse(exchange, type: FrameMedia.contentType(syntax), tag: tag).send(body)
        }
        // Who looks through a series asks for that next. Read in one go with the frame, it would hold the frame up.
        image.prefetchNext()
    }

    /// Frame numbers, from 1, parted by commas.
    static func numbers(_ list: String) throws(HTTPProblem) -> [Int] {
        var numbers: [Int] = []
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            guard part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(part), number >= 1,
                number <= Int32.max
            else {
                throw HTTPProblem(400, "\"\(part.prefix(40))\" is no frame number; frames are counted from 1")
            }
            numbers.append(number)
        }
        guard numbers.count <= framesMaximum else {
            throw HTTPProblem(400, "More than \(framesMaximum) frames in one request; ask for them in several")
        }
        return numbers
    }

    /// One frame to be sent.
    private func onlyFrame(_ image: StoredImage, _ number: Int, _ syntax: TransferSyntax) throws -> HTTPBody {
        if isAsStored(image, syntax), let bytes = try image.onlyFrameInPlace(number) {
            return HTTPBody(bytes, of: image, marginBytes: StoredImage.marginBytes)
        }
        return HTTPBody(try copiedFrame(image, number, syntax, readsAhead: false))
    }

    /// One of several; it may stand in the image's memory, until the next one is read.
    private func frame(_ image: StoredImage, _ number: Int, _ syntax: TransferSyntax, readsAhead: Bool) throws
        -> HTTPBody
    {
        if isAsStored(image, syntax), let bytes = try image.frameInPlace(number, readsAhead: readsAhead) {
            return HTTPBody(bytes, of: image)
        }
        return HTTPBody(try copiedFrame(image, number, syntax, readsAhead: readsAhead))
    }

    private func isAsStored(_ image: StoredImage, _ syntax: TransferSyntax) -> Bool {
        syntax == image.transferSyntax || (!syntax.isEncapsulated && !image.isEncapsulated)
    }

    private func copiedFrame(_ image: StoredImage, _ number: Int, _ syntax: TransferSyntax, readsAhead: Bool) throws
        -> [UInt8]
    {
        if isAsStored(image, syntax) { return try image.frame(number, readsAhead: readsAhead) }
        return try image.withFrame(number, readsAhead: readsAhead) {
            try service.transcoder.transcode($0, image.description, from: image.transferSyntax, to: syntax).bytes
        }
    }

    private func sendAll(_ image: StoredImage, _ numbers: [Int], _ syntax: TransferSyntax) throws {
        // The first frame is there before the answer begins, so that it can still be an error.
        var next: HTTPBody? = try frame(image, numbers[0], syntax, readsAhead: true)
        let contentType = FrameMedia.contentType(syntax)
        // Native frames are all as long as the first.
        let isKnown = !syntax.isEncapsulated && !image.isEncapsulated
        let lengths = numbers.map { _ in UInt64(next!.count) }
        let writer = try MultipartWriter(
            exchange, type: FrameMedia.type(of: syntax), parts: isKnown ? (contentType, lengths) : nil)
        for (index, number) in numbers.enumerated() {
            let readsAhead = index + 1 < numbers.count && numbers[index + 1] == number + 1
            let body = try next ?? frame(image, number, syntax, readsAhead: readsAhead)
            next = nil
            try writer.beginPart(contentType, length: UInt64(body.count))
            try writer.write(body)
        }
        try writer.finish()
    }
}
