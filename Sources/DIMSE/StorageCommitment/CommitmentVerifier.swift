// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import Control
import Glibc
import Platform

/// Finds out whether the archive can promise to keep instances.
///
/// An instance is committed if the asker itself sent it, in the class that it names, and all that it sent under that UID
/// stands on the device: each such version is read past the page cache and its blob id recomputed. What others sent under
/// the same UID is no reason to promise anything: the asker may hold other content, and would delete it. A content counts
/// as sent by whoever stored it, be it the first or known content again (`CatalogReader.versions(…sentBy:)`), under the
/// same AE title and for the same organisation as the asker now. Where the asker sent several versions, all must stand, for
/// nobody knows which one it still holds.
struct CommitmentVerifier {
    private typealias FailureReason = StorageCommitment.FailureReason
    /// References looked up before their records are read in the order of the disk.
    private static let chunk = 500
    private static let catalogAttempts = 3

    private let archive: Archive
    private let request: CommitmentRequest
    private let isStopping: () -> Bool

    private enum Finding {
        case failed(UInt16)
        case stored([CatalogVersion])
    }

    init(_ archive: Archive, _ request: CommitmentRequest, isStopping: @escaping () -> Bool) {
        self.archive = archive
        self.request = request
        self.isStopping = isStopping
    }

    /// - Returns: for each instance the failure reason, 0: committed; nil: the archive is stopping.
    func run() -> [UInt16]? {
        let references = request.references
        var failures = [UInt16](repeating: FailureReason.committed, count: references.count)
        // A request may name an instance many times; it is read once.
        var known: [[UInt8]: Bool] = [:]
        for start in stride(from: 0, to: references.count, by: Self.chunk) {
            var versions: [(index: Int, version: CatalogVersion)] = []
            for index in start..<min(start + Self.chunk, references.count) {
                if isStopping() { return nil }
                switch find(references[index]) {
                case .failed(let reason): failures[index] = reason
                case .stored(let found): versions += found.map { (index, $0) }
                }
            }
            versions.sort { Self.isBefore($0.version.location, $1.version.location) }
            for (index, version) in versions {
                if isStopping() { return nil }
                let isGood = known[version.blobID] ?? stands(version)
                known[version.blobID] = isGood
                if !isGood { failures[index] = FailureReason.processingFailure }
            }
        }
        return failures
    }

    private func find(_ reference: CommitmentReference) -> Finding {
        guard ServiceClasses.support(reference.sopClassUID) == .storage else {
            return .failed(FailureReason.sopClassNotSupported)
        }
        guard let own = ownVersions(reference.sopInstanceUID) else { return .failed(FailureReason.processingFailure) }
        guard !own.isEmpty else { return .failed(FailureReason.noSuchObjectInstance) }
        let ofClass = own.filter { $0.sopClassUID == reference.sopClassUID }
        return ofClass.isEmpty ? .failed(FailureReason.classInstanceConflict) : .stored(ofClass)
    }

    /// nil: the catalog does not answer.
    private func ownVersions(_ sopInstanceUID: String) -> [CatalogVersion]? {
        for attempt in 1...Self.catalogAttempts {
            do {
                try archive.checkCatalog()
                return try archive.readers.withReader { reader in
                    try reader.versions(
                        sopInstanceUID: sopInstanceUID, sentBy: request.aeTitle, organisation: request.organisation)
                }
            } catch {
                Log.error("catalog cannot be read for storage commitment", ["why": "\(error)"])
                if attempt < Self.catalogAttempts { usleep(200_000) }
            }
        }
        return nil
    }

    private func stands(_ version: CatalogVersion) -> Bool {
        do {
            try archive.verifyFromDevice(version)
            return true
        } catch {
            Log.error(
                "instance cannot be committed: its stored bytes are bad",
                [
                    "transaction": request.transactionUID, "instance": version.sopInstanceUID,
                    "sequence": "\(version.sequence)", "why": "\(error)",
                ])
            return false
        }
    }

    private static func isBefore(_ left: CatalogLocation, _ right: CatalogLocation) -> Bool {
        (left.segment, left.writer, left.offset) < (right.segment, right.writer, right.offset)
    }
}
