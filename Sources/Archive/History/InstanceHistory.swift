// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// Everything the log says about one instance, read from the log alone.
package struct InstanceHistory {
    /// One record.
    package struct Event: Encodable, Equatable, Sendable {
        package enum Kind: String, Encodable, Sendable { case instance, sighting, tombstone, annotation }

        package var sequence: UInt64
        package var kind: Kind
        /// When it was received, UTC.
        package var time: String
        package var blobID: String?
        /// Length of the data set.
        package var bytes: UInt64?
        package var sopClassUID: String?
        package var transferSyntaxUID: String?
        package var studyInstanceUID: String?
        package var seriesInstanceUID: String?
        package var replacesDamaged: Bool?
        /// Of a sighting: what compaction has left of a record that was found damaged.
        package var wasReplaced: Bool?
        /// What a tombstone or annotation is about, and what an annotation says.
        package var target: String?
        package var name: String?
        package var value: String?
        package var callingAETitle: String?
        package var calledAETitle: String?
        package var peerAddress: String?
        package var organisation: String?
        package var association: String?
        package var route: String?
    }

    /// In the order of the log.
    package private(set) var events: [Event] = []
    /// Places of the log where no record could be read: something may be lacking.
    package private(set) var gaps: [LogScan.Gap] = []

    private let uid: String
    private var blobs: Set<String> = []
    private var studies: Set<String> = []
    private var series: Set<String> = []
    /// Of anything: what they belong to may be known only later.
    private var others: [Event] = []

    /// Reads the whole log of the archive in `data`.
    package init(of uid: String, data: String) throws(ArchiveError) {
        self.uid = uid
        guard FileSystem.exists("\(data)/format") else { throw .log(.notAnArchive(data)) }
        do throws(LogError) {
            let log = try BlobLog(try DataDirectory(data, locking: false))
            try log.forEachRecord { record throws(LogError) in
                take(record)
            } gap: { gap throws(LogError) in
                gaps.append(gap)
            }
            if !gaps.isEmpty { gaps = try Self.lasting(gaps, log) }
        } catch { throw .log(error) }
        keepOwn()
    }

    /// What was just being written is there the next time.
    private static func lasting(_ gaps: [LogScan.Gap], _ log: BlobLog) throws(LogError) -> [LogScan.Gap] {
        var again: [LogScan.Gap] = []
        try log.forEachRecord { _ in
        } gap: { gap throws(LogError) in
            again.append(gap)
        }
        return gaps.filter(again.contains)
    }

    private mutating func take(_ record: StoredRecord) {
        switch record.header.kind {
        case .instance, .largeInstance:
            guard record.provenance[.sopInstanceUID] == uid else { return }
            var event = Event(record, .instance)
            event.bytes = record.header.dataSetLength
            event.replacesDamaged = record.header.flags.contains(.heals) ? true : nil
            if case .instance(let entry) = try? CatalogEntries.event(of: record) {
                event.studyInstanceUID = entry.values[CatalogColumn.studyInstanceUID.rawValue]
                event.seriesInstanceUID = entry.values[CatalogColumn.seriesInstanceUID.rawValue]
            }
            event.studyInstanceUID.map { _ = studies.insert($0) }
            event.seriesInstanceUID.map { _ = series.insert($0) }
            event.blobID.map { _ = blobs.insert($0) }
            events.append(event)
        case .sighting:
            let isOwn = record.provenance[.sopInstanceUID] == uid
            guard isOwn || blobs.contains("\(record.header.blobID)") else { return }
            var event = Event(record, .sighting)
            if event.name == ControlRecord.replaced { (event.name, event.wasReplaced) = (nil, true) }
            events.append(event)
        case .tombstone: others.append(Event(record, .tombstone))
        case .annotation: others.append(Event(record, .annotation))
        case nil: return
        }
    }

    /// Of tombstones and annotations, those about the instance, its series and study; then those about these tombstones.
    private mutating func keepOwn() {
        let uids = [studies, series, [uid]]
        var tombstones: Set<String> = []
        for event in others {
            let target = event.target ?? ""
            // Where a tombstone names an upper level, too, it must be this instance's.
            var isOwn =
                DeletionTarget(target).map { target in
                    zip(uids, target.uids).allSatisfy { own, named in named.map(own.contains) ?? true }
                } ?? (target == "instance \(uid)")
            if event.kind == .annotation {
                isOwn = isOwn || tombstones.contains(target) || event.blobID.map(blobs.contains) ?? false
            }
            guard isOwn else { continue }
            if event.kind == .tombstone { tombstones.insert("\(event.sequence)") }
            events.append(event)
        }
        others = []
        events.sort { $0.sequence < $1.sequence }
    }
}

extension InstanceHistory.Event {
    fileprivate init(_ record: StoredRecord, _ kind: Kind) {
        let header = record.header
        let provenance = record.provenance
        func text(_ key: Provenance.Key) -> String? { provenance[key].isEmpty ? nil : provenance[key] }
        self.init(
            sequence: header.sequence, kind: kind, time: Clock.timestamp(header.receivedAtNanoseconds),
            blobID: header.blobID == .zero ? nil : "\(header.blobID)", bytes: nil, sopClassUID: text(.sopClassUID),
            transferSyntaxUID: text(.transferSyntaxUID), target: text(.target), name: text(.annotationName),
            value: text(.annotationValue), callingAETitle: text(.callingAETitle), calledAETitle: text(.calledAETitle),
            peerAddress: text(.peerAddress), organisation: text(.organisation), association: text(.associationID),
            route: text(.route))
    }
}
