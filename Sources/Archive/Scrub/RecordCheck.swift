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
            if record.hasContent { try stored.verifyFromDevice(onPiece: onPiece) }
            return nil
        } catch {
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

    /// What is wrong with a version where it stands now; nil: nothing.
    /// - Parameter isFull: read its content too.
    func fault(of version: CatalogVersion, isFull: Bool) throws(ArchiveError) -> String? {
        let now: CatalogLocation?
        do { now = try readers.withReader { try $0.location(ofBlob: version.blobID) }?.0 } catch {
            throw Archive.wrap(error)
        }
        // Deleted for good meanwhile.
        guard let now else { return nil }
        let location = RecordLocation(now)
        do throws(LogError) {
            let record = try reader.recordFromDevice(at: location)
            guard record.header.blobID == BlobID(version.blobID) else { return "another record stands in its place" }
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

extension StoredRecord {
    /// Whether it holds or names an instance's bytes.
    var hasContent: Bool { header.kind == .instance || header.kind == .largeInstance }
}
