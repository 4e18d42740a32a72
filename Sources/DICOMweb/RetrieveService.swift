// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Imaging
import Platform

/// Whole instances (PS3.18 section 10.4.1.1.1): ranges of segments, verified, to the socket; or in another transfer syntax
/// where the client names one.
struct RetrieveService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange
    private let asker: Asker

    /// With the syntax in which each instance goes out.
    private enum Form {
        case multipart([TransferSyntax])
        case single(TransferSyntax)
        case zip([TransferSyntax])
        case frames
    }

    init(_ service: DICOMwebService, _ exchange: HTTPExchange, _ asker: Asker) {
        self.service = service
        self.exchange = exchange
        self.asker = asker
    }

    func run(_ resource: ResourcePath) throws {
        let versions = try service.versions(resource, exchange, for: asker)
        switch try chooseForm(versions, isInstance: resource.instance != nil) {
        case .multipart(let targets): try sendMultipart(versions, targets)
        case .single(let target): try sendSingle(versions[0], target)
        case .zip(let targets): try ZipService(service, exchange).send(versions, targets)
        case .frames:
            let image = try StoredImage(service.archive.record(of: versions[0]))
            let all = try FrameService.all(of: image).map(String.init).joined(separator: ",")
            try FrameService(service, exchange, asker).run(resource, list: all)
        }
    }

    /// What the client likes best of what can be had.
    private func chooseForm(_ versions: [CatalogVersion], isInstance: Bool) throws(HTTPProblem) -> Form {
        let negotiation = Negotiation(exchange.request)
        for wanted in negotiation.accepted {
            if let form = form(wanted, versions, isInstance: isInstance) { return form }
        }
        throw negotiation.notAcceptable(
            ["\(Media.multipart); type=\"\(Media.dicom)\"; transfer-syntax=*", Media.zip]
                + (isInstance ? ["\(Media.dicom); transfer-syntax=*"] : []))
    }

    private func form(_ wanted: MediaType, _ versions: [CatalogVersion], isInstance: Bool) -> Form? {
        let syntax = WantedSyntax(wanted["transfer-syntax"])
        switch wanted.name {
        case "*/*", "multipart/*": return targets(syntax, versions).map { .multipart($0) }
        case Media.multipart:
            switch wanted["type"]?.lowercased() ?? Media.dicom {
            case Media.dicom, "application/*", "*/*": return targets(syntax, versions).map { .multipart($0) }
            case let type where isInstance && (type == Media.bytes || type.hasPrefix("image/")): return .frames
            default: return nil
            }
        case Media.dicom where isInstance, "application/*" where isInstance:
            return targets(syntax, versions).map { .single($0[0]) }
        // A disc is made of files as they are, unless another syntax is named.
        case Media.zip: return targets(syntax == .standard ? .stored : syntax, versions).map { .zip($0) }
        default: return nil
        }
    }

    /// The syntax in which each instance goes out; nil: one of them cannot be had so.
    private func targets(_ wanted: WantedSyntax, _ versions: [CatalogVersion]) -> [TransferSyntax]? {
        var targets: [TransferSyntax] = []
        for version in versions {
            let stored = TransferSyntax(uid: version.transferSyntaxUID)
            switch wanted {
            case .stored: targets.append(stored)
            // What cannot be decoded here, a video above all, is worth more as it is than not at all.
            case .standard:
                let canMake = service.transcoder.canMake(.explicitVRLittleEndian, from: stored)
                targets.append(canMake ? .explicitVRLittleEndian : stored)
            case .named(let syntax):
                guard stored == syntax || (!syntax.isDeflated && service.transcoder.canMake(syntax, from: stored))
                else {
                    return nil
                }
                targets.append(syntax)
            }
        }
        return targets
    }

    // MARK: Sending

    private func sendMultipart(_ versions: [CatalogVersion], _ targets: [TransferSyntax]) throws {
        let buffer = ReadBuffer()
        let root = service.rootURL(exchange.request)
        var writer: MultipartWriter?
        for (index, version) in versions.enumerated() {
            let record = try service.archive.record(of: version)
            let target = targets[index]
            let isStored = target.uid == version.transferSyntaxUID
            // The answer begins with the first bytes that are there, so that what goes wrong before is still an error.
            func begin() throws {
                if writer == nil { writer = try MultipartWriter(exchange, type: Media.dicom) }
                try writer!.beginPart(
                    "\(Media.dicom); transfer-syntax=\(target.uid)",
                    length: isStored ? record.header.payloadLength : nil,
                    location: service.url(version, root: root))
            }
            if isStored {
                try begin()
                try record.sendPieces(in: 0..<record.header.payloadLength, buffer: buffer) { try exchange.write($0) }
                continue
            }
            var hasBegun = false
            try InstanceFile(service, version, record, target).forEachPiece { bytes in
                if !hasBegun { try begin() }
                hasBegun = true
                try exchange.write(bytes)
            }
        }
        try writer?.finish()
    }

    private func sendSingle(_ version: CatalogVersion, _ target: TransferSyntax) throws {
        let record = try service.archive.record(of: version)
        let type = "\(Media.dicom); transfer-syntax=\(target.uid)"
        if target.uid == version.transferSyntaxUID {
            let tag = EntityTag.make([version], "instance")
            return try RangedResponse(exchange, type: type, tag: tag).send(record, 0..<record.header.payloadLength)
        }
        // What cannot be decoded shows with the first frame, before the answer begins.
        var hasBegun = false
        try InstanceFile(service, version, record, target).forEachPiece { bytes in
            if !hasBegun { try exchange.begin(HTTPResponse(contentType: type), length: nil) }
            hasBegun = true
            try exchange.write(bytes)
        }
        exchange.finish()
    }
}

/// The transfer syntax that a client asks for.
enum WantedSyntax: Equatable {
    /// `*`: whatever it is stored in.
    case stored
    /// None named, which means Explicit VR Little Endian (PS3.18 section 8.7.3.5.2).
    case standard
    case named(TransferSyntax)

    init(_ parameter: String?) {
        switch parameter {
        case nil: self = .standard
        case "*": self = .stored
        case let uid?: self = .named(TransferSyntax(uid: uid))
        }
    }
}

/// A stored instance as a file in another transfer syntax.
struct InstanceFile {
    private let transcoder: InstanceTranscoder
    private let meta: [UInt8]

    init(_ service: DICOMwebService, _ version: CatalogVersion, _ record: StoredRecord, _ syntax: TransferSyntax) {
        transcoder = InstanceTranscoder(service.transcoder, record, to: syntax)
        meta = FileMeta.encoded(
            sopClassUID: version.sopClassUID, sopInstanceUID: version.sopInstanceUID, transferSyntaxUID: syntax.uid)
    }

    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var hasBegun = false
        try transcoder.forEachPiece { bytes, _ in
            if !hasBegun { try meta.withUnsafeBytes(body) }
            hasBegun = true
            if bytes.count > 0 { try body(bytes) }
        }
    }
}
