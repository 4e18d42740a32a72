// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import DICOM

/// Why the archive did not do what it was asked to.
package enum ArchiveError: Error, CustomStringConvertible {
    /// No room, or below the floor that is kept free; the sender may try again later.
    case outOfSpace
    /// Not now, for a reason that may pass; the sender may try again later.
    case unavailable(String)
    /// SOP class of command and data set differ, or the data set lacks what it must have.
    case mismatch(Tag, String)
    /// The bytes are no data set, or a UID is none.
    case notUnderstood(Tag?, String)
    /// There is no such thing, or none that may still be changed.
    case notFound(String)
    /// It must be kept for now.
    case retained(String)
    /// The archive itself cannot: the disk, the catalog.
    case failed(String)
    case log(LogError)
    case catalog(CatalogError)

    /// Whether nothing can be stored any more until the next start.
    var isFinal: Bool {
        switch self {
        case .log, .catalog, .failed: true
        case .outOfSpace, .unavailable, .mismatch, .notUnderstood, .notFound, .retained: false
        }
    }

    /// Failure Reason (0008,1197) and status of C-STORE (PS3.4 table B.2-1).
    package var storageStatus: UInt16 {
        switch self {
        case .outOfSpace, .unavailable: 0xA700
        case .mismatch: 0xA900
        case .notUnderstood: 0xC000
        case .failed, .log, .catalog, .notFound, .retained: 0x0110
        }
    }

    package var description: String {
        switch self {
        case .outOfSpace: "Out of disk space; nothing stored, send again later"
        case .mismatch(_, let what), .notUnderstood(_, let what), .failed(let what), .notFound(let what), .retained(let what),
            .unavailable(let what):
            what
        case .log(let error): error.description
        case .catalog(let error): "catalog: \(error)"
        }
    }
}
