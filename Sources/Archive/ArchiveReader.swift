// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import DICOM
import Glibc
import Platform

/// Reads an archive's directory, beside a running server or without one.
package final class ArchiveReader {
    package struct Verification {
        package var records = 0
        package var instances = 0
        package var bytes: UInt64 = 0
        package var damaged = 0
    }

    let directory: DataDirectory
    let log: BlobLog
    package let readers: CatalogReaders
    package var contentHash: ContentHash { directory.contentHash }

    package init(_ path: String) throws(ArchiveError) {
        guard FileSystem.exists("\(path)/format") else { throw .log(.notAnArchive(path)) }
        do {
            directory = try DataDirectory(path, locking: false)
            log = try BlobLog(directory)
            readers = try CatalogReaders(path: directory.catalog)
            // What cannot be read here is told where it is wanted.
            try? readers.catchUp(with: log)
        } catch {
            throw Archive.wrap(error)
        }
    }

    package func versions(_ selection: CatalogSelection, scope: CatalogScope) throws(ArchiveError) -> [CatalogVersion] {
        do { return try readers.versions(selection, scope: scope) } catch { throw Archive.wrap(error) }
    }

    /// Writes an instance as a file, verified; `asHashed`: the bytes that its blob id is the hash of.
    package func write(_ version: CatalogVersion, to path: String, asHashed: Bool) throws(ArchiveError) {
        do {
            let record = try log.reader.record(at: RecordLocation(version.location))
            guard record.header.hasContent else {
                throw LogError.damaged("a record without content stands in its place")
            }
            let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC)
            var offset: UInt64 = 0
            func append(_ bytes: UnsafeRawBufferPointer) throws(LogError) {
                do { try file.write(bytes, at: offset) } catch { throw .system(error) }
                offset += UInt64(bytes.count)
            }
            if asHashed {
                let uid = Array(version.transferSyntaxUID.utf8.prefix(64))
                try (uid + [UInt8](repeating: 0, count: 64 - uid.count)).withRawBytes { bytes throws(LogError) in
                    try append(bytes)
                }
            }
            let start = asHashed ? record.dataSetOffset : 0
            try record.forEachPiece(in: start..<record.header.payloadLength, append, onError: { $0 })
        } catch {
            unlink(path)
            throw Archive.wrap(error)
        }
    }

    /// Walks through the log up to where the catalog has come, and checks what it finds.
    /// - Parameter full: read every byte of what the catalog serves and recompute its blob id.
    package func verify(full: Bool, onDamage: (String) -> Void) throws(ArchiveError) -> Verification {
        var report = Verification()
        do {
            // Before the position, so that what is stored meanwhile is not missed.
            let statistics = try readers.withReader { try $0.statistics() }
            guard let position = try readers.withReader({ try $0.position() }) else { return report }
            let check = RecordCheck(reader: log.reader, readers: readers)
            func damaged(_ what: String) {
                report.damaged += 1
                onDamage(what)
            }
            try log.forEachRecord { record throws(LogError) in
                guard record.header.sequence <= position.sequence else { return }
                report.records += 1
                guard !record.header.hasContent || check.isServed(record) else { return }
                if record.header.hasContent {
                    report.instances += 1
                    report.bytes += record.header.payloadLength
                }
                guard full, let why = try check.fault(of: record, onPiece: { _ throws(LogError) in }) else { return }
                guard record.header.hasContent else { return damaged("record \(record.header.sequence): \(why)") }
                // Compaction may have taken it away while it was read.
                if check.isServed(record) { damaged("instance \(record.provenance[.sopInstanceUID]): \(why)") }
            } gap: { gap throws(LogError) in
                guard gap.segment <= position.segment,
                    gap.segment < position.segment || gap.range.lowerBound < position.endOffset
                else { return }
                damaged("no readable record in segment \(gap.segment), bytes \(gap.range)")
            }
            do throws(LogError) {
                for entry in try Manifest.load(directory)?.missing(in: directory, reached: position.segment) ?? [] {
                    damaged("segment \(entry.number) is missing or too short: the manifest lists \(entry.bytes) bytes")
                }
            } catch {
                guard case .damaged(let what) = error else { throw error }
                damaged(what)
            }
            // Alarm number one: the catalog speaks of a record that the log does not have. Deletions may have gone on, too.
            if statistics.versions > report.instances {
                let lost = try check.lost()
                if lost.count > 0 {
                    damaged("\(lost.count) instances of the catalog have no readable record: \(lost.names)")
                }
            }
        } catch {
            throw Archive.wrap(error)
        }
        return report
    }

    /// The figures of `stats`, in a fixed order.
    package func figures() throws(ArchiveError) -> [(key: String, value: Int)] {
        do {
            let statistics = try readers.withReader { try $0.statistics() }
            let quarantine = log.quarantine.totals
            let scrub = ScrubProgress(directory)
            return [
                ("patients", statistics.patients), ("studies", statistics.studies), ("series", statistics.series),
                ("instances", statistics.instances), ("versions", statistics.versions),
                ("sightings", statistics.sightings), ("storedBytes", statistics.storedBytes),
                ("savedBytes", statistics.savedBytes), ("flagged", statistics.flagged),
                ("quarantinedFiles", quarantine.files), ("quarantinedBytes", Int(quarantine.bytes)),
                ("damaged", try readers.withReader { try $0.damaged() }.count),
                ("lastScrubSeconds", Int(scrub.lastFullPass)), ("lastScrubDamaged", scrub.lastFound),
            ]
        } catch {
            throw Archive.wrap(error)
        }
    }
}

/// Makes the catalog anew from the log.
package enum ArchiveRebuild {
    /// - Returns: how many records were replayed.
    package static func run(_ path: String, settings: Archive.Settings) throws(ArchiveError) -> Int {
        guard FileSystem.exists("\(path)/format") else { throw .log(.notAnArchive(path)) }
        let directory: DataDirectory
        do { directory = try DataDirectory(path) } catch { throw .log(error) }
        for suffix in ["", "-wal", "-shm"] { unlink(directory.catalog + suffix) }
        let archive = try Archive(directory, settings: settings, metrics: Metrics())
        archive.close()
        return archive.recovery.replayed
    }
}
