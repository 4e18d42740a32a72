// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

extension Archive {
    /// Reads a stored version again from the device, past the page cache, and recomputes its blob id. Damage is noted in
    /// the log, so that everybody knows of it.
    /// - Throws: `.log` when the record is damaged or cannot be read.
    package func verifyFromDevice(_ version: CatalogVersion) throws(ArchiveError) {
        do throws(ArchiveError) { try verifyWhereItIs(version) } catch {
            if case .log(let found) = error, found.isDamage { noteDamage(version, found) }
            throw error
        }
    }

    private func noteDamage(_ version: CatalogVersion, _ found: LogError) {
        guard !version.flags.contains(.damaged) else { return }
        do {
            try annotate(
                ControlRecord.Annotation.damaged.rawValue, value: "\(found)",
                target: "instance \(version.sopInstanceUID)", blobID: BlobID(version.blobID), by: .archive)
        } catch {
            Log.error("damage cannot be noted", ["instance": version.sopInstanceUID, "why": "\(error)"])
        }
    }

    private func verifyWhereItIs(_ version: CatalogVersion) throws(ArchiveError) {
        let known = RecordLocation(version.location)
        do throws(LogError) { try verifyFromDevice(version, at: known) } catch {
            // It may have moved since the catalog was asked.
            guard let found = try? readers.withReader({ try $0.location(ofBlob: version.blobID) }),
                RecordLocation(found.0) != known
            else {
                if error.isDamage { noteDamage(BlobID(version.blobID), at: known) }
                throw .log(error)
            }
            do throws(LogError) { try verifyFromDevice(version, at: RecordLocation(found.0)) } catch {
                if error.isDamage { noteDamage(BlobID(version.blobID), at: RecordLocation(found.0)) }
                throw .log(error)
            }
        }
    }

    private func verifyFromDevice(_ version: CatalogVersion, at location: RecordLocation) throws(LogError) {
        let record = try log.reader.recordFromDevice(at: location)
        guard record.header.blobID == BlobID(version.blobID) else {
            throw .damaged("another record stands where \(version.sopInstanceUID) was")
        }
        try record.verifyFromDevice()
    }
}
