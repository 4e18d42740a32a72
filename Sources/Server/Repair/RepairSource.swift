// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DICOM
import DIMSE
import Glibc
import Platform
import Transport

/// Bytes that may be those of a damaged instance.
enum RepairContent {
    case record(StoredRecord)
    case file(DICOMFile)

    /// What they are the content of, all of them read; nil: they are damaged too.
    /// - Parameter contentHash: of the archive that is to be repaired.
    func blobID(_ contentHash: ContentHash) throws -> BlobID? {
        switch self {
        case .record(let record):
            do { try record.verify() } catch {
                guard error.isDamage else { throw error }
                return nil
            }
            return record.header.blobID
        case .file(let file):
            let hasher = BlobHasher(transferSyntaxUID: file.meta.transferSyntaxUID, contentHash)
            try file.forEachPiece(onError: { $0 }) { bytes, _ throws(SystemError) in hasher.update(bytes) }
            return hasher.finish()
        }
    }

    /// Hands out the data set piece by piece, and says which is the last.
    func forEachPiece(
        _ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws(TransportError) -> Void
    ) throws(TransportError) {
        switch self {
        case .file(let file):
            try file.forEachPiece(onError: { .system($0) }, body)
        case .record(let record):
            let length = record.header.payloadLength
            var offset = record.dataSetOffset
            try record.forEachPiece(
                in: offset..<length,
                { bytes throws(TransportError) in
                    offset += UInt64(bytes.count)
                    try body(bytes, offset == length)
                }, onError: { _ in .closed })
        }
    }
}

/// Another place that may have what is damaged here.
protocol RepairSource: AnyObject {
    /// For messages.
    var name: String { get }
    /// Whatever may be the content, as it is asked for; nil: there is none.
    func content(of version: CatalogVersion) throws -> RepairContent?
}

enum RepairSources {
    /// - Parameter wanted: what will be asked for.
    static func open(
        _ name: String, _ configuration: Configuration, _ contentHash: ContentHash, wanted: [CatalogVersion]
    ) throws -> (any RepairSource)? {
        if name.hasPrefix("http://") || name.hasPrefix("https://") {
            return try WebRepairSource(name, folder: configuration.data)
        }
        if FileSystem.exists("\(name)/format") { return try ArchiveRepairSource(name, wanted) }
        if FileSystem.exists(name) { return FolderRepairSource(name, contentHash, wanted) }
        var settings = configuration.serviceSettings
        settings.tls = try configuration.tlsCredentials()
        guard let peer = settings.directory.peer(name), let host = peer.host, let port = peer.port else { return nil }
        return PeerRepairSource(
            InstanceFetcher(
                .tcp(host: host, port: port), tls: try settings.connector(to: peer),
                callingAETitle: configuration.aeTitle,
                calledAETitle: peer.aeTitle),
            name: name, folder: configuration.data)
    }

    /// Where a fetched file is written; a start of the server removes what is left there.
    static func temporaryFile(_ data: String) -> String { "\(data)/incoming/\(UInt64.random(in: 1...UInt64.max)).part" }
}

/// Another archive's data directory, or a backup.
private final class ArchiveRepairSource: RepairSource {
    let name: String
    private let log: BlobLog
    private var places: [BlobID: [RecordLocation]] = [:]

    init(_ path: String, _ wanted: [CatalogVersion]) throws {
        name = path
        log = try BlobLog(try DataDirectory(path, locking: false))
        let blobs = Set(wanted.map { BlobID($0.blobID) })
        var places: [BlobID: [RecordLocation]] = [:]
        try log.forEachRecord { record throws(LogError) in
            if record.header.hasContent, blobs.contains(record.header.blobID) {
                places[record.header.blobID, default: []].append(record.location)
            }
        } gap: { _ throws(LogError) in
        }
        self.places = places
    }

    func content(of version: CatalogVersion) throws -> RepairContent? {
        var last: RepairContent?
        // The newest copy first: it may have replaced one that was damaged there.
        for place in (places[BlobID(version.blobID)] ?? []).reversed() {
            guard let record = try? log.reader.record(at: place) else { continue }
            last = .record(record)
            if (try? record.verify()) != nil { return last }
        }
        return last
    }
}

/// DICOM files in folders.
private final class FolderRepairSource: RepairSource {
    let name: String
    private let contentHash: ContentHash
    private var paths: [String: [String]] = [:]

    init(_ path: String, _ contentHash: ContentHash, _ wanted: [CatalogVersion]) {
        name = path
        self.contentHash = contentHash
        let uids = Set(wanted.map(\.sopInstanceUID))
        for file in ImportFiles.below(path) {
            guard let uid = (try? DICOMFile(file))?.meta.sopInstanceUID, uids.contains(uid) else { continue }
            paths[uid, default: []].append(file)
        }
    }

    func content(of version: CatalogVersion) throws -> RepairContent? {
        var last: RepairContent?
        for path in paths[version.sopInstanceUID] ?? [] {
            guard let file = try? DICOMFile(path) else { continue }
            last = .file(file)
            if try last?.blobID(contentHash) == BlobID(version.blobID) { return last }
        }
        return last
    }
}

/// Another archive that answers C-GET.
private final class PeerRepairSource: RepairSource {
    let name: String
    private let fetcher: InstanceFetcher
    private let folder: String

    init(_ fetcher: InstanceFetcher, name: String, folder: String) {
        self.fetcher = fetcher
        self.name = name
        self.folder = folder
    }

    func content(of version: CatalogVersion) throws -> RepairContent? {
        let path = RepairSources.temporaryFile(folder)
        // Who has it open keeps it.
        defer { unlink(path) }
        let instance = InstanceFetcher.Instance(
            sopClassUID: version.sopClassUID, sopInstanceUID: version.sopInstanceUID,
            seriesInstanceUID: version.seriesInstanceUID, studyInstanceUID: version.studyInstanceUID,
            transferSyntaxUID: version.transferSyntaxUID)
        guard try fetcher.fetch(instance, to: path) else { return nil }
        return try DICOMFile(path).map { .file($0) }
    }
}

/// Another archive that answers WADO-RS.
private final class WebRepairSource: RepairSource {
    let name: String
    private let root: WebAddress
    private let folder: String

    init(_ address: String, folder: String) throws {
        guard let root = WebAddress(address) else {
            throw Arguments.Failure.wrong("\(address) is no address such as http://host:8080/dicom-web (no https)")
        }
        name = address
        self.root = root
        self.folder = folder
    }

    func content(of version: CatalogVersion) throws -> RepairContent? {
        let path = RepairSources.temporaryFile(folder)
        defer { unlink(path) }
        for uid in [version.studyInstanceUID, version.seriesInstanceUID, version.sopInstanceUID]
        where UIDGrammar.check(uid) == .unacceptable { return nil }
        let resource =
            "/studies/\(version.studyInstanceUID)/series/\(version.seriesInstanceUID)/instances/\(version.sopInstanceUID)"
        guard try WebFetcher(root).fetch(resource, to: path) else { return nil }
        return try DICOMFile(path).map { .file($0) }
    }
}
