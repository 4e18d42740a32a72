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
        let image = try StoredImage(service.archive.record(of: version))
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
        let isSingle = !form.isMultipart && numbers.count == 1
        if isSingle { return try sendSingle(image, numbers[0], syntax, version) }
        try sendMultipart(image, numbers, syntax)
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

    private func frame(_ image: StoredImage, _ number: Int, _ syntax: TransferSyntax, readsAhead: Bool) throws
        -> [UInt8]
    {
        let frame = try image.frame(number, readsAhead: readsAhead)
        if syntax == image.transferSyntax || (!syntax.isEncapsulated && !image.isEncapsulated) { return frame }
        return try service.transcoder.transcode(
            frame, image.description, from: image.transferSyntax, to: syntax
        ).bytes
    }

    private func sendSingle(_ image: StoredImage, _ number: Int, _ syntax: TransferSyntax, _ version: CatalogVersion)
        throws
    {
        let bytes = try frame(image, number, syntax, readsAhead: false)
        let tag = EntityTag.make([version], "frame \(number) \(syntax.uid)")
        try RangedResponse(exchange, type: FrameMedia.contentType(syntax), tag: tag).send(bytes)
    }

    private func sendMultipart(_ image: StoredImage, _ numbers: [Int], _ syntax: TransferSyntax) throws {
        // The first frame is there before the answer begins, so that it can still be an error.
        var next: [UInt8]? = try frame(image, numbers[0], syntax, readsAhead: numbers.count > 1)
        let contentType = FrameMedia.contentType(syntax)
        if numbers.count == 1 {
            return exchange.respond(
                MultipartWriter.response(type: FrameMedia.type(of: syntax), contentType: contentType, body: next!))
        }
        // Native frames are all as long as the first.
        let isKnown = !syntax.isEncapsulated && !image.isEncapsulated
        let lengths = numbers.map { _ in UInt64(next!.count) }
        let writer = try MultipartWriter(
            exchange, type: FrameMedia.type(of: syntax), parts: isKnown ? (contentType, lengths) : nil)
        for (index, number) in numbers.enumerated() {
            let readsAhead = index + 1 < numbers.count && numbers[index + 1] == number + 1
            let bytes = try next ?? frame(image, number, syntax, readsAhead: readsAhead)
            next = nil
            try writer.beginPart(contentType, length: UInt64(bytes.count))
            try writer.write(bytes)
        }
        try writer.finish()
    }
}
