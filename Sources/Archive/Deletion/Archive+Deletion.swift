// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// What a deletion did.
package struct Deletion: Sendable {
    /// By which it is taken back.
    package let sequence: UInt64
    package let instances: Int
    /// Until when, in nanoseconds since 1970.
    package let revocableUntil: Int64
}

/// Deleting hides at once, by one durable record; bytes are dropped when the grace is over (`Reclaimer`).
extension Archive {
    /// - Parameter isOwnOnly: what the organisation of `source` sent; what others sent under the same UIDs stays, and is as if
    ///   it were not there.
    /// - Throws: `.notFound`, `.retained`; otherwise the tombstone is durable when this returns.
    package func delete(
        _ target: DeletionTarget, by source: IngestSource, isOwnOnly: Bool = false
    ) throws(ArchiveError) -> Deletion {
        let scope: CatalogDeletionScope
        let owner = isOwnOnly ? source.organisation : nil
        try checkCatalog()
        do { scope = try readers.deletionScope(under: target.uids, sentBy: owner) } catch { throw Self.wrap(error) }
        guard scope.instances > 0 else { throw .notFound("The archive has no \(target)") }
        try checkRetention(scope)
        var provenance = source.provenance
        provenance[.target] = target.description
        provenance[.annotationValue] = "\(scope.instances)"
        if isOwnOnly { provenance[.annotationName] = ControlRecord.own }
        let sequence = try append(.tombstone, provenance)
        Log.info(
            "deleted",
            [
                "target": target.description, "tombstone": "\(sequence)", "instances": "\(scope.instances)",
                "by": source.callingAETitle, "peer": source.peerAddress,
            ])
        return Deletion(
            sequence: sequence, instances: scope.instances,
            revocableUntil: Clock.wallNanoseconds() + Int64(settings.deletionGraceSeconds * 1e9))
    }

    /// Brings back what a tombstone deleted.
    package func undelete(_ tombstone: UInt64, by source: IngestSource) throws(ArchiveError) {
        let found: CatalogDeletion?
        do { found = try readers.withReader { try $0.deletion(tombstone) } } catch { throw Self.wrap(error) }
        guard let found else { throw .notFound("There is no deletion \(tombstone); snimok deletions lists them") }
        switch found.state {
        case .takenBack: throw .notFound("Deletion \(tombstone) was taken back before")
        case .forGood: throw .notFound("Deletion \(tombstone) is for good: its grace is over")
        case .pending: break
        }
        try annotate(ControlRecord.Annotation.undelete.rawValue, target: "\(tombstone)", by: source)
        Log.info("deletion taken back", ["tombstone": "\(tombstone)", "by": source.callingAETitle])
    }

    package func deletions() throws(ArchiveError) -> [CatalogDeletion] {
        do { return try readers.withReader { try $0.deletions() } } catch { throw Self.wrap(error) }
    }

    private func checkRetention(_ scope: CatalogDeletionScope) throws(ArchiveError) {
        let today = Clock.timestamp().filter { $0.isNumber }.prefix(8)
        for study in scope.studies {
            for rule in settings.retention {
                guard let last = rule.lastDay(studyDate: study.date, organisation: study.organisation), last >= today
                else { continue }
                throw .retained(
                    "Study \(study.uid) of \(study.organisation) must be kept until \(last) (\(rule.years) years); nothing was deleted"
                )
            }
        }
    }

    /// Deletes again what was deleted for good after the state that this archive was restored to.
    func repeatDeletions() throws(ArchiveError) {
        let missing: [DeletionRegister.Missing]
        do { missing = try readers.withReader { try register.unknown(to: $0) } } catch { throw Self.wrap(error) }
        for deletion in missing {
            var provenance = IngestSource.archive.provenance
            provenance[.target] = deletion.target.description
            provenance[.note] = "register of deletions"
            if let organisation = deletion.organisation {
                provenance[.organisation] = organisation
                provenance[.annotationName] = ControlRecord.own
            }
            let sequence = try append(.tombstone, provenance, at: deletion.deletedAtNanoseconds)
            Log.warning(
                "deleted again: this state of the archive is older than the deletion",
                ["target": deletion.target.description, "tombstone": "\(sequence)"])
        }
    }

    /// Writes the rules into the log if they differ from those that were in force.
    func recordRetention() throws(ArchiveError) {
        let rules = RetentionRule.encoded(settings.retention)
        let known: String?
        do {
            known = try readers.withReader { try $0.setting(ControlRecord.Annotation.retention.rawValue) }
        } catch { throw Self.wrap(error) }
        guard rules != known ?? "[]" else { return }
        try annotate(ControlRecord.Annotation.retention.rawValue, value: rules, by: .archive)
    }
}

extension IngestSource {
    /// The archive itself.
    static let archive = IngestSource(
        callingAETitle: "", calledAETitle: "", peerAddress: "", organisation: "", issuer: "", characterSetOverride: "",
        associationID: "", route: .administration)
}
