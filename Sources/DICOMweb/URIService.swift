// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Imaging
import Platform

/// WADO-URI (PS3.18 section 9): one instance by query parameters, for Weasis and older viewers.
struct URIService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker
    private let request: HTTPRequest

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
        request = exchange.request
    }

    func run() throws {
        guard request[query: "requestType"] == "WADO" else {
            throw HTTPProblem(400, "requestType must be WADO")
        }
        let version = try self.version()
        let types = MediaType.list(request[query: "contentType"] ?? "").map(\.name)
        let record = try service.archive.record(of: version)
        let wanted = types.first { ["application/dicom", "image/jpeg", "image/png", "*/*", "image/*"].contains($0) }
        guard types.isEmpty || wanted != nil else {
            throw HTTPProblem(406, "contentType is none of what is offered: application/dicom, image/jpeg, image/png")
        }
        // Single-frame images are JPEG by default, everything else is DICOM (PS3.18 section 9.1.2.1.2 and 8.7.4).
        let isPicture = types.isEmpty && (try? StoredImage(record).description.numberOfFrames) == 1
        switch wanted ?? (isPicture ? "image/jpeg" : "application/dicom") {
        case "image/png": try sendPicture(version, record, .png, "image/png")
        case "image/jpeg", "image/*": try sendPicture(version, record, .jpeg, "image/jpeg")
        default: try sendInstance(version, record)
        }
    }

    private func version() throws -> CatalogVersion {
        func uid(_ name: String) throws -> String {
            guard let text = request[query: name], UIDGrammar.check(text) != .unacceptable else {
                throw HTTPProblem(400, "\(name) is missing, or no UID")
            }
            return text
        }
        var selection = CatalogSelection()
        selection.sopInstanceUIDs = [try uid("objectUID")]
        selection.studyInstanceUIDs = [try uid("studyUID")]
        selection.seriesInstanceUIDs = [try uid("seriesUID")]
        let versions = try service.archive.versions(selection, scope: asker.scope)
        guard let version = versions.first else {
            throw HTTPProblem(404, "The archive has no instance under these UIDs")
        }
        exchange.audit?.event.take([version], patients: service.archive.readers)
        return version
    }

    private func sendInstance(_ version: CatalogVersion, _ record: StoredRecord) throws {
        // PS3.18 section 9.1.2.2.1: Explicit VR Little Endian where none is named.
        let wanted = WantedSyntax(request[query: "transferSyntax"])
        let syntax: TransferSyntax? =
            switch wanted {
            case .stored: nil
            case .standard: .explicitVRLittleEndian
            case .named(let named): named
            }
        if let syntax, syntax.uid != version.transferSyntaxUID {
            let stored = TransferSyntax(uid: version.transferSyntaxUID)
            // What cannot be given in that syntax goes out as it is (PS3.18 section 9.1.2.2.1: the server may).
            if !syntax.isDeflated, service.transcoder.canMake(syntax, from: stored) {
                return try sendTranscoded(version, record, syntax)
            }
        }
        let tag = EntityTag.make([version], "instance")
        try RangedResponse(exchange, type: Media.dicom, tag: tag).send(record, 0..<record.header.payloadLength)
    }

    private func sendTranscoded(_ version: CatalogVersion, _ record: StoredRecord, _ syntax: TransferSyntax) throws {
        var hasBegun = false
        try InstanceFile(service, version, record, syntax).forEachPiece { bytes in
            if !hasBegun { try exchange.begin(HTTPResponse(contentType: Media.dicom), length: nil) }
            hasBegun = true
            try exchange.write(bytes)
        }
        exchange.finish()
    }

    private func sendPicture(
        _ version: CatalogVersion, _ record: StoredRecord, _ format: RenderingOptions.Format, _ type: String
    ) throws {
        var options = try self.options()
        options.format = format
        let annotation = try RenderingParameters.annotation(request)
        let frames = try request[query: "frameNumber"].map { try FrameService.numbers($0) }
        let picture = RenderedService.PictureRequest(
            version: version, frames: frames, options: options, annotation: annotation)
        let tag = EntityTag.make([version], "\(frames ?? []) \(options) \(annotation) \(type)")
        try service.previews.use(tag) {
            try PictureSource(service, picture).picture(frames?.first ?? 1)
        } send: {
            exchange.respond(HTTPResponse(contentType: type, body: $0))
        }
    }

    /// PS3.18 section 9.1.2.2.2.
    private func options() throws -> RenderingOptions {
        var options = RenderingOptions()
        func number<Number: LosslessStringConvertible>(_ name: String) throws -> Number? {
            guard let text = request[query: name] else { return nil }
            guard let value = Number(text) else { throw HTTPProblem(400, "\(name) is no number") }
            return value
        }
        let rows: UInt32? = try number("rows")
        let columns: UInt32? = try number("columns")
        if rows != nil || columns != nil {
            // One of both bounds the picture, which keeps its aspect ratio.
            (options.viewportHeight, options.viewportWidth) = (rows ?? 16_384, columns ?? 16_384)
            guard (1...16_384).contains(options.viewportHeight), (1...16_384).contains(options.viewportWidth) else {
                throw HTTPProblem(400, "rows and columns must be from 1 to 16384")
            }
        }
        let center: Double? = try number("windowCenter")
        let width: Double? = try number("windowWidth")
        if let center, let width {
            guard center.isFinite, width.isFinite, width > 0 else {
                throw HTTPProblem(400, "windowWidth must be above 0")
            }
            options.window = RenderingOptions.Window(center: center, width: width, function: .linear)
        } else if center != nil || width != nil {
            throw HTTPProblem(400, "windowCenter and windowWidth belong together")
        }
        if let quality: UInt32 = try number("imageQuality") {
            guard (1...100).contains(quality) else { throw HTTPProblem(400, "imageQuality must be from 1 to 100") }
            options.quality = quality
        }
        if let text = request[query: "region"] {
            let parts = text.split(separator: ",").compactMap { Double($0) }
            guard parts.count == 4, parts.allSatisfy({ (0...1).contains($0) }), parts[2] > parts[0], parts[3] > parts[1]
            else { throw HTTPProblem(400, "region must be four numbers from 0 to 1: left, top, right, bottom") }
            options.relativeRegion = parts
        }
        return options
    }
}
