// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import DICOM
import Platform

/// The archive: a log of everything accepted, a catalog derived from it, and the group commit between them. The only
/// module that knows both DICOM and storage.
package final class Archive: @unchecked Sendable {
    package struct Settings: Sendable {
        package var segmentBytes: UInt64 = 1 << 30
        /// An object longer than this goes to a file of its own.
        package var largeObjectBytes = 4 << 20
        /// Below so much free space nothing is stored, so that catalog and deletions still have room.
        package var freeSpaceFloorBytes: UInt64 = 1 << 30
        package var quarantineBytes: UInt64 = 1 << 30
        /// How long a deletion may be taken back.
        package var deletionGraceSeconds = 30.0 * 86_400
        package var retention: [RetentionRule] = []
        /// The file that knows of deletions for good; empty: beside the data directory, `DATA.deletions`.
        package var deletionRegister = ""
        /// What looking for the next rows of an answer may take; nil: however long it takes.
        package var searchSecondsMaximum: Double?
        /// At which compaction copies, so that storing has the disk; 0: no compaction by itself.
        package var compactionBytesPerSecond: UInt64 = 50_000_000
        /// How much of a segment must be garbage for it to be compacted.
        package var compactionGarbagePercent: UInt64 = 20
        /// What was stored last is brought into the page cache when storing rests: for a server, which is asked for it.
        package var bringsRecent = false
        /// A second copy; nil: none.
        package var mirror: Mirror.Settings?

        package init() {}
    }

    package let directory: DataDirectory
    package let quarantine: Quarantine
    package let readers: CatalogReaders
    /// Apart from those of queries, which a slow asker may hold for long, and without waiting for the catalog to follow.
    let ingestReaders: CatalogReaders
    package let recovery: RecoveryReport
    package let metrics: ArchiveMetrics
    let committer: Committer
    /// Drops what is deleted for good.
    package private(set) lazy var reclaimer = Reclaimer(self)
    let register: DeletionRegister
    /// Looks after the second copy; nil: none is wanted.
    package private(set) var mirrorKeeper: MirrorKeeper?
    let buffers: BufferPool
    let log: BlobLog
    let settings: Settings
    private let checkpointer: CatalogCheckpointer
    private let recent: RecentRecords?
    let space: FreeSpace

    /// Opens the archive and brings log and catalog together: what the catalog has not seen is replayed.
    package init(_ directory: DataDirectory, settings: Settings, metrics: Metrics) throws(ArchiveError) {
        self.directory = directory
        self.settings = settings
        self.metrics = ArchiveMetrics(metrics)
        register = DeletionRegister(
            path: settings.deletionRegister.isEmpty ? directory.path + ".deletions" : settings.deletionRegister,
            archiveUUID: directory.archiveUUID)
        buffers = BufferPool(capacity: settings.largeObjectBytes + 65_536)
        space = FreeSpace(path: directory.path, floorBytes: settings.freeSpaceFloorBytes)
        do {
            let mirror = try settings.mirror.map { settings throws(LogError) in try Mirror(settings, of: directory) }
            log = try BlobLog(
                directory, segmentBytes: settings.segmentBytes, quarantineBytes: settings.quarantineBytes,
                mirror: mirror)
            let catalog = try CatalogWriter(path: directory.catalog, nameKey: NameKeys.key)
            let (writer, report) = try Replay(log, catalog).run()
            quarantine = log.quarantine
            recovery = report
            ingestReaders = try CatalogReaders(path: directory.catalog, maximum: 8)
            checkpointer = try CatalogCheckpointer(path: directory.catalog, turn: catalog.turn)
            try Reclaimer.finishInterrupted(log, catalog)
            try Self.settleIncoming(log, catalog)
            let follower = try CatalogFollower(catalog)
            readers = try CatalogReaders(
                path: directory.catalog, searchSecondsMaximum: settings.searchSecondsMaximum,
                catchUp: { follower.catchUp() })
            recent = settings.bringsRecent ? try RecentRecords(log.reader) : nil
            committer = Committer(
                writer, follower, ingestReaders, space, recent: recent, metrics: self.metrics)
            try committer.run()
        } catch {
            throw Self.wrap(error)
        }
        if let mirror = log.mirror { mirrorKeeper = MirrorKeeper(self, mirror) }
        mirrorKeeper?.attachAtStart()
        // Where nothing may be written without the mirror, the keeper does it when that is there.
        if log.mirror?.refusal == nil { try recordSettings() }
        do {
            try mirrorKeeper?.run()
            try reclaimer.run()
        } catch { throw .failed("\(error)") }
    }

    /// Writes down what holds from this start on.
    func recordSettings() throws(ArchiveError) {
        try recordRetention()
        try repeatDeletions()
    }

    static func wrap(_ error: any Error) -> ArchiveError {
        switch error {
        case let error as ArchiveError: error
        case let error as LogError: .log(error)
        case let error as CatalogError: .catalog(error)
        default: .failed("\(error)")
        }
    }

    private static func settleIncoming(_ log: BlobLog, _ catalog: CatalogWriter) throws(LogError) {
        try log.settleIncoming { blobID, number in
            guard let found = try? catalog.location(ofBlob: blobID.bytes) else { return false }
            let record = try? log.reader.record(at: RecordLocation(found.0))
            return record?.header.largeNumber == number
        }
    }

    /// Commits what waits and closes the catalog. Nothing may be submitted any more.
    package func close() {
        reclaimer.stop()
        mirrorKeeper?.stop()
        committer.stop()
        recent?.stop()
        log.mirror?.close()
        checkpointer.stop()
    }

    // MARK: Storing

    /// Begins to take in one instance.
    package func beginIngest(
        sopClassUID: String, sopInstanceUID: String, transferSyntaxUID: String, source: IngestSource
    ) -> Ingest {
        Ingest(
            self, sopClassUID: sopClassUID, sopInstanceUID: sopInstanceUID,
            transferSyntax: TransferSyntax(uid: transferSyntaxUID), source: source)
    }

    /// Why nothing is stored now.
    package var stopReason: String? { committer.stopReason ?? log.mirror?.refusal }

    /// What is not as it should be, though instances are stored; nil: all is well.
    package var degradation: String? { log.mirror?.problem }

    /// What becomes of an instance whose own file could not be written. A device that fails is not tried again.
    func storingFailed(_ error: LogError) -> ArchiveError {
        if error.isOutOfSpace {
            space.foundNone()
            return .outOfSpace
        }
        if error.isUnreadable { committer.stop("\(error)") }
        return .log(error)
    }

    /// Whether the archive has this content, but no good copy of it.
    func isDamaged(_ blobID: BlobID, length: UInt64) -> Bool {
        guard let found = try? ingestReaders.withReader({ try $0.location(ofBlob: blobID.bytes) }) else { return false }
        do {
            let record = try log.reader.record(at: RecordLocation(found.0))
            guard record.header.blobID == blobID, record.header.hasContent, record.header.dataSetLength == length else {
                return true
            }
            try record.check()
            return false
        } catch {
            // Compaction may have moved it meanwhile, or a purge taken it away.
            let now = (try? ingestReaders.withReader({ try $0.location(ofBlob: blobID.bytes) }))?.0
            guard now == found.0 else { return now == nil ? false : isDamaged(blobID, length: length) }
            Log.error("damaged content comes again and is replaced", ["blob": "\(blobID)", "why": "\(error)"])
            return true
        }
    }

    // MARK: Reading

    /// Throws unless the catalog has all that was answered: for who decides by what is not found there.
    package func checkCatalog() throws(ArchiveError) { try committer.checkCatalog() }

    /// Has the device bring headers that are read soon.
    package func prefetchHeaders(_ versions: some Sequence<CatalogVersion>) {
        log.reader.prefetchHeaders(versions.lazy.map { RecordLocation($0.location) })
    }

    /// The stored record of a version that a query or a selection gave.
    /// - Parameter readsAhead: whether all of it will be read, and perhaps what lies behind it.
    package func record(of version: CatalogVersion, readsAhead: Bool = true) throws(ArchiveError) -> StoredRecord {
        do throws(LogError) {
            let record = try currentRecord(version, readsAhead: readsAhead)
            guard record.header.blobID == BlobID(version.blobID), record.header.hasContent else {
                throw LogError.damaged("another record stands where \(version.sopInstanceUID) was")
            }
            return record
        } catch {
            if error.isDamage { noteDamage(BlobID(version.blobID), at: RecordLocation(version.location)) }
            Log.error("stored instance cannot be read", ["instance": version.sopInstanceUID, "why": "\(error)"])
            throw .log(error)
        }
    }

    /// A good copy is looked for in the mirror, and written anew.
    func noteDamage(_ blobID: BlobID, at location: RecordLocation) { mirrorKeeper?.heal(blobID, at: location) }

    /// Compaction may have moved the record since the catalog was asked, and taken the old file away.
    private func currentRecord(_ version: CatalogVersion, readsAhead: Bool) throws(LogError) -> StoredRecord {
        let known = RecordLocation(version.location)
        do { return try log.reader.record(at: known, readsAhead: readsAhead) } catch {
            guard let found = try? readers.withReader({ try $0.location(ofBlob: version.blobID) }),
                RecordLocation(found.0) != known
            else { throw error }
            return try log.reader.record(at: RecordLocation(found.0), readsAhead: readsAhead)
        }
    }
}

extension Archive {
    /// The selected instances, each in the version that the asker gets.
    package func versions(_ selection: CatalogSelection, scope: CatalogScope) throws(ArchiveError) -> [CatalogVersion] {
        do { return try readers.versions(selection, scope: scope) } catch { throw Archive.wrap(error) }
    }
}
