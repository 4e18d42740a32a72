// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// A tombstone or an annotation: what the archive itself, or somebody who may, says about what is stored (FORMAT.md,
/// "Record").
enum ControlRecord {
    enum Annotation: String {
        /// The stored bytes of the record's blob id were found damaged.
        case damaged
        /// What the tombstone numbered in the target deleted is there again.
        case undelete
        /// It is gone for good; its records may be dropped.
        case purge
        /// The rules of retention from here on.
        case retention
    }

    /// Of a tombstone: it is for what its own organisation sent.
    static let own = "own"

    /// On the record of an instance: the archive wrote it anew from its mirror.
    static let heal = "heal"

    /// On a sighting: it is what compaction has left of the record that first had the content, and was found damaged.
    static let replaced = "replaced"

    /// What the catalog is told; the same when it happens and when the log is replayed.
    static func event(_ header: RecordHeader, _ provenance: Provenance) -> CatalogEvent {
        let sequence = header.sequence
        let target = provenance[.target]
        if header.kind == .tombstone {
            guard let named = DeletionTarget(target) else { return .other(sequence: sequence) }
            return .tombstone(
                CatalogTombstone(
                    sequence: sequence, receivedAtNanoseconds: header.receivedAtNanoseconds,
                    source: CatalogEntries.source(provenance), level: named.level, uids: named.uids,
                    instances: Int(provenance[.annotationValue]) ?? 0,
                    isOwnOnly: provenance[.annotationName] == own))
        }
        switch (Annotation(rawValue: provenance[.annotationName]), UInt64(target)) {
        case (.undelete, let tombstone?): return .undelete(sequence: sequence, tombstone: tombstone)
        case (.purge, let tombstone?): return .purge(sequence: sequence, tombstone: tombstone)
        case (.damaged, _): return .damaged(sequence: sequence, blobID: header.blobID.bytes)
        case (.retention, _):
            return .setting(
                sequence: sequence, name: Annotation.retention.rawValue, value: provenance[.annotationValue])
        default: return .other(sequence: sequence)
        }
    }
}

/// What a tombstone names: `study UID`, `series UID` or `instance UID`; the series and the study that it is meant in may
/// follow in the same form, for the same UID may stand under several.
package struct DeletionTarget: Equatable, Sendable, CustomStringConvertible {
    package let level: CatalogLevel
    /// By level, from the study's down to that of `level`; nil: whatever it is.
    package let uids: [String?]

    package init(study: String) { self.init(.study, [study]) }
    package init(series: String, study: String? = nil) { self.init(.series, [study, series]) }
    package init(instance: String, series: String? = nil, study: String? = nil) {
        self.init(.instance, [study, series, instance])
    }

    fileprivate init(_ level: CatalogLevel, _ uids: [String?]) {
        self.level = level
        self.uids = uids
    }

    package var description: String {
        zip(Self.words, uids).reversed().compactMap { word, uid in uid.map { "\(word) \($0)" } }.joined(separator: " ")
    }

    private static let words = ["study", "series", "instance"]

    /// Reads what `description` wrote; nil: it is something else.
    init?(_ text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard parts.count.isMultiple(of: 2), let first = parts.first, let last = Self.words.firstIndex(of: first) else {
            return nil
        }
        var uids = [String?](repeating: nil, count: last + 1)
        for pair in stride(from: 0, to: parts.count, by: 2) {
            guard let index = Self.words.firstIndex(of: parts[pair]), index <= last, uids[index] == nil else {
                return nil
            }
            uids[index] = parts[pair + 1]
        }
        self.init(CatalogLevel(rawValue: last + 1)!, uids)
    }
}

extension CatalogDeletion {
    package var target: DeletionTarget { DeletionTarget(level, uids) }
}

extension Archive {
    /// Appends an annotation; it is durable when this returns.
    /// - Returns: its sequence number.
    @discardableResult
    package func annotate(
        _ name: String, value: String = "", target: String = "", blobID: BlobID? = nil, by source: IngestSource
    ) throws(ArchiveError) -> UInt64 {
        var provenance = source.provenance
        provenance[.annotationName] = name
        provenance[.annotationValue] = value
        provenance[.target] = target
        let sequence = try append(.annotation, provenance, blobID: blobID)
        if name == ControlRecord.Annotation.damaged.rawValue, let blobID { mirrorKeeper?.heal(blobID) }
        return sequence
    }

    /// Appends a record without content; below the free space floor, too.
    /// - Parameter nanoseconds: when it happened, if not now.
    func append(
        _ kind: RecordHeader.Kind, _ provenance: Provenance, blobID: BlobID? = nil, at nanoseconds: Int64? = nil
    ) throws(ArchiveError) -> UInt64 {
        let record = NewRecord(
            kind: kind, receivedAtNanoseconds: nanoseconds ?? Clock.wallNanoseconds(),
            blobID: blobID ?? .zero, provenance: provenance.encoded())
        let number = Monitor<UInt64>(0)
        try committer.commit(
            record,
            .control { header in
                number.withLock { $0 = header.sequence }
                return ControlRecord.event(header, provenance)
            })
        return number.withLock { $0 }
    }
}

extension IngestSource {
    /// The fields that every record has.
    var provenance: Provenance {
        var provenance = Provenance()
        provenance[.callingAETitle] = callingAETitle
        provenance[.calledAETitle] = calledAETitle
        provenance[.peerAddress] = peerAddress
        provenance[.organisation] = organisation
        provenance[.issuer] = issuer
        provenance[.characterSetOverride] = characterSetOverride
        provenance[.associationID] = associationID
        provenance[.route] = route.rawValue
        provenance[.asker] = asker
        return provenance
    }
}
