// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

/// A copy of the archive that a server can be started on, made beside the running one. It is as of one moment, to which the
/// catalog had come when the backup began: what the catalog has is durable in the log.
///
/// Sealed segments and large objects never change under their name, so a further backup copies only those that are new. Each
/// file is read again from the device after it was copied, and its records verified, before it gets its final name; what a
/// file replaces goes last. So the directory holds a whole backup at every moment after the first was finished.
package final class Backup {
    package struct Report {
        /// The last record in the backup, and when the archive stood there.
        package var sequence: UInt64 = 0
        package var time = ""
        package var segments = 0
        package var largeObjects = 0
        package var bytes: UInt64 = 0
        package var copiedSegments = 0
        package var copiedLargeObjects = 0
        /// Read from the archive.
        package var copiedBytes: UInt64 = 0
        /// Things of the archive that are damaged or missing.
        package var damaged = 0
    }

    private static let attempts = 5

    private let source: DataDirectory
    private let target: BackupDirectory
    private let readers: CatalogReaders
    private let log: BlobLog
    private let check: SegmentCheck
    private let onDamage: (String) -> Void
    private var report = Report()
    /// Where the last record begins: of the segment that was inspected last, and of the open one.
    private var inspectedOffset: UInt64 = 0
    private var lastOffset: UInt64 = 0

    /// - Parameter onDamage: told what of the archive could not be backed up whole.
    package init(of data: String, to path: String, onDamage: @escaping (String) -> Void) throws {
        guard FileSystem.exists("\(data)/format") else { throw LogError.notAnArchive(data) }
        source = try DataDirectory(data, locking: false)
        guard !Self.isWithin(path, data) else {
            throw ArchiveError.failed("\(path) is within the archive's own directory; choose another")
        }
        log = try BlobLog(source)
        readers = try CatalogReaders(path: source.catalog)
        try? readers.catchUp(with: log)
        check = SegmentCheck(source)
        target = try BackupDirectory(path, archiveUUID: source.archiveUUID)
        self.onDamage = onDamage
    }

    /// - Parameter copyControl: copies the database `control.db` from and to these paths, consistent and synced.
    package func run(copyControl: (_ from: String, _ to: String) throws -> Void) throws -> Report {
        // First of all: what it says of instances is then of instances that the backup has.
        if FileSystem.exists(source.control) { try copyControl(source.control, "\(target.path)/control.db") }
        try copyAudit()
        guard let position = try readers.withReader({ try $0.position() }) else {
            throw ArchiveError.failed("there is nothing in the archive yet")
        }
        report.time = Clock.timestamp()
        report.sequence = position.sequence
        try checkTimeline(position)
        try tellMissing(position)
        try copySegments(position)
        try finish(position)
        try removeReplaced()
        try countAll()
        return report
    }

    /// The audit trail as it stands: its files are only appended to, so of one that is there already only the rest is new. The
    /// head goes first, so that it vouches for nothing that the copy has not. Its key goes along if it is in the archive's
    /// directory; one that is kept elsewhere is to be kept there.
    private func copyAudit() throws {
        let (from, to) = ("\(source.path)/audit", "\(target.path)/audit")
        guard FileSystem.exists(from) else { return }
        try FileSystem.createDirectories(to)
        for name in ["audit.key", "audit/head"] where FileSystem.exists("\(source.path)/\(name)") {
            let bytes = try FileSystem.contents("\(source.path)/\(name)")
            try DurableFile.replace("\(target.path)/\(name)", with: bytes, mode: 0o600)
        }
        for name in try FileSystem.entries(from) where name.hasSuffix(".jsonl") {
            let file = try FileDescriptor.open("\(from)/\(name)", O_RDONLY)
            let copy = try FileDescriptor.open("\(to)/\(name)", O_RDWR | O_CREAT, mode: 0o600)
            // What recovery has cut off here since may stand there still.
            let length = try file.size()
            let done = min(try copy.size(), length > UInt64(AuditCopy.overlap) ? length - UInt64(AuditCopy.overlap) : 0)
            // The report counts what is stored, and the trail grows with each backup.
            _ = try DurableFile.copy(file, done..<length, to: copy)
            try copy.truncate(to: length)
            try copy.synchronize()
        }
        try DurableFile.synchronizeDirectory(to)
    }

    private enum AuditCopy {
        /// The end of a file is always copied anew.
        static let overlap = 1 << 20
    }

    // MARK: What is there

    /// A path that does not exist yet is where its nearest parent that does is.
    private static func isWithin(_ path: String, _ data: String) -> Bool {
        func real(_ path: String) -> String? {
            guard let found = realpath(path, nil) else { return nil }
            defer { free(found) }
            return String(cString: found)
        }
        var existing = path.hasPrefix("/") ? path : "./" + path
        while !FileSystem.exists(existing), existing != "/", existing != "." {
            existing = FileSystem.parent(of: existing)
        }
        guard let inner = real(existing), let outer = real(data) else { return false }
        return inner == outer || inner.hasPrefix(outer + "/")
    }

    /// An archive that was itself restored from a backup may have given the same numbers to other records since.
    private func checkTimeline(_ position: CatalogPosition) throws {
        let note = target.note
        guard note.sequence <= position.sequence else {
            throw ArchiveError.failed(
                "\(target.path) has come to record \(note.sequence), the archive only to \(position.sequence): "
                    + "it was restored from an older state; back it up to another directory")
        }
        let name = SegmentName(generation: BlobLog.writerID, number: note.segment)
        let paths = [source.segment(writer: name.generation, number: name.number), target.segment(name)]
        // Compacted since: its offsets are others.
        guard note.lastOffset > 0, let here = try Self.header(paths[0], at: note.lastOffset),
            let there = try Self.header(paths[1], at: note.lastOffset)
        else { return }
        guard here == there else {
            throw ArchiveError.failed(
                "record \(note.sequence) of \(target.path) is another than the archive's: one of them was restored from an "
                    + "older state, or is damaged; verify both, and back up to another directory")
        }
    }

    /// The header tells records apart: its checksum covers content, place and the segment's secret.
    /// nil: there is no such file.
    private static func header(_ path: String, at offset: UInt64) throws -> [UInt8]? {
        let file: FileDescriptor
        do { file = try FileDescriptor.open(path, O_RDONLY) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        var bytes = [UInt8](repeating: 0, count: RecordHeader.byteCount)
        _ = try bytes.withMutableRawBytes { buffer throws(SystemError) in try file.read(into: buffer, at: offset) }
        return bytes
    }

    private func tellMissing(_ position: CatalogPosition) throws {
        for entry in try Manifest.load(source)?.missing(in: source, reached: position.segment) ?? [] {
            damaged("segment \(entry.number) of the archive is missing or too short")
        }
    }

    private func damaged(_ what: String) {
        report.damaged += 1
        onDamage(what)
    }

    // MARK: Segments

    /// New numbers first and in order, so that a backup that is interrupted has still come to some moment; then the
    /// generations that compaction has made of old ones.
    private func copySegments(_ position: CatalogPosition) throws {
        let known = Set(try target.segments().map(\.number))
        let live = try Segment.live(source).filter { $0.number <= position.segment }
        let isRenewed = { (name: SegmentName) in known.contains(name.number) && name.number < self.target.note.segment }
        for name in live where !isRenewed(name) { try copy(name.number, position) }
        for name in live where isRenewed(name) { try copy(name.number, position) }
    }

    /// Copies the live generation of a segment; should compaction replace it meanwhile, that one.
    private func copy(_ number: UInt32, _ position: CatalogPosition) throws {
        for _ in 0..<Self.attempts {
            guard let name = try Segment.live(source).first(where: { $0.number == number }) else { break }
            if try copy(name, position) { return }
        }
        throw ArchiveError.failed("segment \(number) is replaced whenever it is copied, or the copy is never the same")
    }

    /// - Returns: false: there is another generation now, or the copy has to be made again.
    private func copy(_ name: SegmentName, _ position: CatalogPosition) throws -> Bool {
        let path = source.segment(writer: name.generation, number: name.number)
        let file: FileDescriptor
        do { file = try FileDescriptor.open(path, O_RDONLY) } catch {
            if error.code == ENOENT { return false }
            throw error
        }
        // Of the segment that is appended to, what was durable at the moment of the backup; one that was compacted since is
        // sealed, and durable as a whole.
        let isOpen = name.number == position.segment && name.generation == BlobLog.writerID
        let length = isOpen ? position.endOffset : try file.size()
        let final = target.segment(name)
        if target.holds(final, bytes: length) { return true }
        let part = final + ".part"
        let unreadable = try fill(part, from: file, to: length, earlier: final)
        guard try verify(name, part, path, isUnreadable: unreadable > 0) else {
            unlink(part)
            return false
        }
        try DurableFile.move(part, to: final)
        if isOpen { lastOffset = inspectedOffset }
        report.copiedSegments += 1
        return true
    }

    /// Goes on where an interrupted copy has stopped, or behind what an earlier backup has of the segment.
    /// - Returns: how many bytes of the archive's file could not be read.
    private func fill(
        _ part: String, from source: FileDescriptor, to length: UInt64, earlier: String
    ) throws -> UInt64 {
        let file = try FileDescriptor.open(part, O_RDWR | O_CREAT)
        var done = min(try file.size(), length)
        if done == 0, let before = try? FileDescriptor.open(earlier, O_RDONLY) {
            done = try DurableFile.copy(before, 0..<min(try before.size(), length), to: file).bytes
        }
        let copied = try DurableFile.copy(source, done..<length, to: file)
        report.copiedBytes += copied.bytes
        try file.truncate(to: length)
        try DurableFile.settle(file)
        return copied.unreadable
    }

    /// Reads the copy from the device and checks every byte of its records; copies the large objects that they name.
    /// - Returns: false: the copy is not what the archive has.
    private func verify(_ name: SegmentName, _ part: String, _ path: String, isUnreadable: Bool) throws -> Bool {
        var problems = try inspect(name, part)
        // A large object that was on its way from one folder to the other was in neither.
        if !problems.isEmpty { problems = try inspect(name, part) }
        if !problems.isEmpty {
            // The archive's own damage is copied as it is, for there may be nothing better.
            if !isUnreadable {
                let length = try FileDescriptor.open(part, O_RDONLY).size()
                guard FileSystem.exists(path), try DurableFile.isSame(part, path, length: length) else { return false }
            }
            for problem in problems { damaged(problem) }
        }
        return true
    }

    private func inspect(_ name: SegmentName, _ part: String) throws -> [String] {
        var problems: [String] = []
        var failure: (any Error)?
        try check.forEachRecord(of: name, at: part) { record throws(LogError) in
            guard failure == nil else { return }
            report.sequence = max(report.sequence, record.header.sequence)
            inspectedOffset = record.location.offset
            guard [.instance, .largeInstance].contains(record.header.kind) else { return }
            do {
                try record.header.kind == .instance ? record.verify() : copyLarge(record)
            } catch let error as LogError where error.isDamage {
                // A copy that was damaged and replaced is history.
                if isServed(record) { problems.append("record \(record.header.sequence): \(error)") }
            } catch {
                failure = error
            }
        } gap: { gap throws(LogError) in
            problems.append("no readable record in segment \(gap.segment), bytes \(gap.range)")
        }
        if let failure { throw failure }
        return problems
    }

    private func isServed(_ record: StoredRecord) -> Bool {
        guard let found = try? readers.withReader({ try $0.location(ofBlob: record.header.blobID.bytes) }) else {
            return false
        }
        return RecordLocation(found.0) == record.location
    }

    // MARK: Large objects

    private func copyLarge(_ record: StoredRecord) throws {
        let header = record.header
        let name = source.largeName(header.blobID, number: header.largeNumber)
        let final = target.large(name)
        if target.holds(final, bytes: header.payloadLength) { return }
        let part = final + ".part"
        unlink(part)
        let file = try FileDescriptor.open(part, O_RDWR | O_CREAT | O_EXCL)
        // Each piece passes its checksum as it is read; the sum of all is compared with what the device then has.
        let sent = BlobHasher(transferSyntaxUID: "", .blake3)
        var offset: UInt64 = 0
        do throws(LogError) {
            try record.forEachPiece(
                in: 0..<header.payloadLength,
                { bytes throws(LogError) in
                    sent.update(bytes)
                    do throws(SystemError) { try file.write(bytes, at: offset) } catch { throw .system(error) }
                    offset += UInt64(bytes.count)
                }, onError: { $0 })
        } catch {
            unlink(part)
            throw error
        }
        try DurableFile.settle(file)
        guard try hash(file) == sent.finish() else {
            unlink(part)
            throw ArchiveError.failed("the copy of \(name) is not what was written")
        }
        try DurableFile.move(part, to: final)
        report.copiedLargeObjects += 1
        report.copiedBytes += offset
    }

    private func hash(_ file: FileDescriptor) throws -> BlobID {
        let hasher = BlobHasher(transferSyntaxUID: "", .blake3)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: DurableFile.pieceBytes, alignment: 4096)
        defer { memory.deallocate() }
        var offset: UInt64 = 0
        while true {
            let count = try file.read(into: memory, at: offset)
            guard count > 0 else { return hasher.finish() }
            hasher.update(UnsafeRawBufferPointer(rebasing: memory[..<count]))
            offset += UInt64(count)
        }
    }

    // MARK: The end

    private func finish(_ position: CatalogPosition) throws {
        if FileSystem.exists(source.manifestKey) {
            let key = try FileSystem.contents(source.manifestKey)
            try DurableFile.replace("\(target.path)/manifest.key", with: key, mode: 0o600)
        }
        if !FileSystem.exists("\(target.path)/format") {
            let format = try FileSystem.contents("\(source.path)/format")
            try DurableFile.replace("\(target.path)/format", with: format)
        }
        // Its own: of the segment that was open the backup may have less than the archive's manifest lists by now.
        try Manifest.update(try DataDirectory(target.path, locking: false), discardingDamaged: true)
        let generation = try target.segments().filter { $0.number == position.segment }.map(\.generation).max()
        let isOpen = generation == BlobLog.writerID
        var note = target.note
        // Without a new copy of the open segment the last record is where it was, if that is known.
        let isSame = note.segment == position.segment && note.endOffset == position.endOffset
        if lastOffset == 0, isSame { lastOffset = note.lastOffset }
        note.sequence = report.sequence
        note.time = report.time
        note.segment = position.segment
        note.endOffset = isOpen ? position.endOffset : 0
        note.lastOffset = isOpen ? lastOffset : 0
        try target.save(note)
    }

    /// After the new manifest is durable: what compaction has replaced, and large objects that were deleted for good.
    private func removeReplaced() throws {
        let names = try target.segments()
        let highest = names.reduce(into: [UInt32: UInt32]()) { $0[$1.number] = max($0[$1.number] ?? 0, $1.generation) }
        for name in names where name.generation < highest[name.number]! { unlink(target.segment(name)) }
        for name in try FileSystem.entries("\(target.path)/segments") where name.hasSuffix(".part") {
            unlink("\(target.path)/segments/\(name)")
        }
        for name in try FileSystem.entries("\(target.path)/large") {
            // In the order in which it moves.
            let isThere = [source.incoming, source.large].contains { FileSystem.exists("\($0)/\(name)") }
            if isThere { continue }
            if name.hasSuffix(".part") {
                unlink(target.large(name))
            } else if try isWanted(name) {
                damaged("large object \(name) is gone from the archive; the backup keeps it")
            } else {
                unlink(target.large(name))
            }
        }
        for folder in ["segments", "large"] { try DurableFile.synchronizeDirectory("\(target.path)/\(folder)") }
    }

    /// Whether the catalog still serves an instance out of this file.
    private func isWanted(_ name: String) throws -> Bool {
        guard let (blobID, number) = DataDirectory.parse(largeName: name) else { return false }
        guard let found = try readers.withReader({ try $0.location(ofBlob: blobID.bytes) }) else {
            return try readers.withReader { try $0.isIncomplete() }
        }
        do { return try log.reader.record(at: RecordLocation(found.0)).header.largeNumber == number } catch {
            // Its file is missing: that is what makes the record unreadable.
            return true
        }
    }

    private func countAll() throws {
        let segments = try target.segments()
        let large = try FileSystem.entries("\(target.path)/large")
        report.segments = segments.count
        report.largeObjects = large.count
        for path in segments.map(target.segment) + large.map(target.large) {
            report.bytes += try FileDescriptor.open(path, O_RDONLY).size()
        }
    }
}
