// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

/// The checks of what is stored, for the scrub and for `verify`: they read from the device, not from the page cache.
struct RecordCheck: Sendable {
    let reader: LogReader
    let readers: CatalogReaders

    /// Whether readers are sent to this record. A copy that was damaged and replaced, or deleted for good, is history.
    func isServed(_ record: StoredRecord) -> Bool {
        guard let found = try? readers.withReader({ try $0.location(ofBlob: record.header.blobID.bytes) })?.0 else {
            return false
        }
        if RecordLocation(found) == record.location { return true }
        // A compaction may have moved it since.
        return found.segment == record.location.segment && found.writer != record.location.writer
    }

    /// Reads every byte, and recomputes the blob id of content.
    /// - Returns: what is wrong; nil: nothing.
    func fault(
        of record: StoredRecord, onPiece: (Int) throws(LogError) -> Void
    ) throws(LogError) -> String? {
        do throws(LogError) {
            let stored = try reader.recordFromDevice(at: record.location)
            if record.header.hasContent { try stored.verifyFromDevice(onPiece: onPiece) }
            return nil
        } catch {
            // A compaction has removed the file, and has verified what it took over.
            if case .system(let system) = error, system.code == ENOENT { return nil }
            guard error.isDamage else { throw error }
            // What the cache still has is not what is stored.
            reader.forgetCached(record.location)
            record.forgetCached()
            return "\(error)"
        }
    }

    /// The versions that readers are sent to within a place where no record could be read, and still cannot.
    func lost(
        segment: UInt32, _ range: Range<UInt64>
    ) throws(ArchiveError) -> [(version: CatalogVersion, why: String)] {
        let versions: [CatalogVersion]
        do {
            versions = try readers.withReader { try $0.versions(segment: segment, offsets: range) }
        } catch { throw Archive.wrap(error) }
        var lost: [(version: CatalogVersion, why: String)] = []
        for version in versions {
            if let why = try fault(of: version, isFull: false) { lost.append((version, why)) }
        }
        return lost
    }

    /// Whatever the catalog has and whose record cannot be read: how many, and some of them by name.
    func lost() throws(ArchiveError) -> (count: Int, names: String) {
        var count = 0
        var names: [String] = []
        var last: Int64 = 0
        do {
            while true {
                let page = try readers.withReader { try $0.places(after: last, limit: Self.pageRows) }
                for place in page where try fault(ofBlob: place.blobID, isFull: false) != nil {
                    count += 1
                    if names.count < Self.namesMaximum { names.append(place.sopInstanceUID) }
                }
                guard let end = page.last, page.count == Self.pageRows else { break }
                last = end.id
            }
        } catch { throw Archive.wrap(error) }
        return (count, names.joined(separator: ", ") + (count > names.count ? " …" : ""))
    }

    private static let pageRows = 10_000
    private static let namesMaximum = 20
    private static let movesMaximum = 4

    /// What is wrong with a version where it stands now; nil: nothing.
    /// - Parameter isFull: read its content too.
    func fault(of version: CatalogVersion, isFull: Bool) throws(ArchiveError) -> String? {
        try fault(ofBlob: version.blobID, isFull: isFull)
    }

    private func fault(ofBlob blobID: [UInt8], isFull: Bool) throws(ArchiveError) -> String? {
        var last: RecordLocation?
        var why: String?
        // A compaction may move it while it is read; then the new place counts.
        for _ in 0..<Self.movesMaximum {
            guard let now = try location(ofBlob: blobID) else { return nil }
            if now == last { return why }
            why = try fault(at: now, blobID, isFull: isFull)
            if why == nil { return nil }
            last = now
        }
        return why
    }

    /// nil: deleted for good meanwhile.
    private func location(ofBlob blobID: [UInt8]) throws(ArchiveError) -> RecordLocation? {
        do { return try readers.withReader { try $0.location(ofBlob: blobID) }.map { RecordLocation($0.0) } } catch {
            throw Archive.wrap(error)
        }
    }

    private func fault(at location: RecordLocation, _ blobID: [UInt8], isFull: Bool) throws(ArchiveError) -> String? {
        do throws(LogError) {
            let record = try reader.recordFromDevice(at: location)
            guard record.header.blobID == BlobID(blobID), record.header.hasContent else {
                return "another record stands in its place"
            }
            if isFull { try record.verifyFromDevice() }
            return nil
        } catch {
            if case .system(let system) = error, system.code == ENOENT { return "its segment is missing" }
            guard error.isDamage else { throw .log(error) }
            reader.forgetCached(location)
            try? reader.record(at: location).forgetCached()
            return "\(error)"
        }
    }
}
