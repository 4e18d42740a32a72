// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog

extension Archive {
    /// Reads a stored version again from the device, past the page cache, and recomputes its blob id.
    /// - Throws: `.log` when the record is damaged or cannot be read.
    package func verifyFromDevice(_ version: CatalogVersion) throws(ArchiveError) {
        do throws(LogError) {
            let record = try log.reader.recordFromDevice(at: RecordLocation(version.location))
            guard record.header.blobID == BlobID(version.blobID) else {
                throw LogError.damaged("another record stands where \(version.sopInstanceUID) was")
            }
            try record.verifyFromDevice()
        } catch {
            throw .log(error)
        }
    }
}
