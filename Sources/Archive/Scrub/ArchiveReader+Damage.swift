// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog

/// A version whose stored bytes are not what was stored.
package struct DamagedVersion: Sendable {
    package let version: CatalogVersion
    package let why: String
}

extension ArchiveReader {
    /// The damaged versions of one instance; all of its content is read.
    package func damaged(sopInstanceUID uid: String) throws(ArchiveError) -> [DamagedVersion] {
        do {
            return try damaged(among: try readers.withReader { try $0.versions(sopInstanceUID: uid) }, isFull: true)
        } catch { throw Archive.wrap(error) }
    }

    /// Everything damaged that is not deleted: what was marked, and what has no readable head now.
    /// - Parameter isFull: read all that is stored.
    package func damaged(isFull: Bool) throws(ArchiveError) -> [DamagedVersion] {
        let check = RecordCheck(reader: log.reader, readers: readers)
        do {
            let marked = try readers.withReader { try $0.damaged() }
            var found = try damaged(among: marked, isFull: true)
            guard let position = try readers.withReader({ try $0.position() }) else { return found }
            var ranges = try (Manifest.load(directory)?.missing(in: directory, reached: position.segment) ?? [])
                .map { (segment: $0.number, range: 0..<UInt64.max) }
            try log.forEachRecord { record throws(LogError) in
                guard isFull, record.header.hasContent, check.isServed(record) else { return }
                if try check.fault(of: record, onPiece: { _ throws(LogError) in }) != nil {
                    ranges.append((record.location.segment, record.location.offset..<record.location.offset + 1))
                }
            } gap: { gap throws(LogError) in
                ranges.append((gap.segment, gap.range))
            }
            for (segment, range) in ranges {
                let versions = try readers.withReader { try $0.versions(segment: segment, offsets: range) }
                found += try damaged(among: versions, isFull: isFull)
            }
            var seen: Set<[UInt8]> = []
            return found.filter { seen.insert($0.version.blobID).inserted }
        } catch { throw Archive.wrap(error) }
    }

    /// What is wrong with a version now; nil: it reads well.
    package func fault(of version: CatalogVersion) throws(ArchiveError) -> String? {
        try RecordCheck(reader: log.reader, readers: readers).fault(of: version, isFull: true)
    }

    private func damaged(among versions: [CatalogVersion], isFull: Bool) throws -> [DamagedVersion] {
        let check = RecordCheck(reader: log.reader, readers: readers)
        return try versions.compactMap { version in
            // Storing it again would bring back what was deleted.
            if try readers.withReader({ try $0.isHidden(sopInstanceUID: version.sopInstanceUID) }) { return nil }
            return try check.fault(of: version, isFull: isFull).map { DamagedVersion(version: version, why: $0) }
        }
    }
}
