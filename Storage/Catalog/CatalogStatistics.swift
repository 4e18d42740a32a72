// SPDX-License-Identifier: Apache-2.0

/// Totals over the whole archive, maintained with every transaction.
package struct CatalogStatistics: Hashable, Sendable {
    package var patients = 0
    package var studies = 0
    package var series = 0
    package var instances = 0
    /// Distinct contents, that is blobs.
    package var versions = 0
    /// How often content came again.
    package var sightings = 0
    /// In the records that versions are read from.
    package var bytesStored: UInt64 = 0
    /// Data sets that came again and were not stored again.
    package var bytesSaved: UInt64 = 0
    package var flaggedInstances = 0
    package var flaggedStudies = 0

    package init() {}
}
