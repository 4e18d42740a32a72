// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Brings a detached mirror to the archive's state, while the archive goes on, and attaches it; follows compaction after
/// that. One thread at a time.
///
/// Every segment file of a mirror but the one with the highest number is complete: it has its name only when it was copied
/// whole, or its successor was begun when all of it was synced. Only the highest one is compared.
package final class MirrorCatchUp {
    private let mirror: Mirror
    private let primary: DataDirectory
    private let target: DataDirectory
    private let primaryReader: LogReader
    private let targetReader: LogReader
    private let isWanted: (BlobID, UInt64) -> Bool
    private let isStopping: () -> Bool
    private var missing: UInt64 = 0
    /// Where the mirror has come to.
    package private(set) var reached = LogPosition.start

    /// - Parameters:
    ///   - mayCreate: an empty or missing directory is made the mirror; else only one that exists.
    ///   - isWanted: whether the archive serves an instance out of the large object's file of that number; then the
    ///     mirror keeps it, even if the archive's own is gone.
    ///   - isStopping: asked from time to time.
    package init(
        _ mirror: Mirror, of log: BlobLog, mayCreate: Bool, isWanted: @escaping (BlobID, UInt64) -> Bool,
        isStopping: @escaping () -> Bool
    ) throws(LogError) {
        self.mirror = mirror
        primary = log.directory
        primaryReader = log.reader
        target = try mirror.open(mayCreate: mayCreate)
        targetReader = LogReader(target)
        self.isWanted = isWanted
        self.isStopping = isStopping
    }

    /// Gives the directory up again.
    package func abandon() { target.releaseLock() }

    private func isMirror() throws(LogError) -> Bool { try target.has(target.mirrorNote) }

    // MARK: All of it

    /// About how many bytes the mirror lacks.
    package func missingBytes(to position: LogPosition) throws(LogError) -> UInt64 {
        var missing: UInt64 = 0
        for name in try live(to: position) {
            let size = try length(name, position)
            missing +=
                size - min(size, try Segment.bytes(target, generation: name.generation, number: name.number) ?? 0)
        }
        for (folder, name) in try missingLarge() { missing += try primary.bytes("\(folder)/\(name)") ?? 0 }
        return missing
    }

    /// Copies everything up to `position`, which is durable in the archive.
    package func run(to position: LogPosition) throws(LogError) {
        missing = try missingBytes(to: position)
        mirror.setLag(missing)
        try removeUnfinished()
        let known = try Segment.all(target)
        let highest = known.map(\.number).max() ?? 0
        let live = try live(to: position)
        try checkGenerations(known, live)
        try removeBegun(known, behind: position)
        for name in live {
            let length = try length(name, position)
            let isThere = known.contains(name)
            let isAppended = name.generation == BlobLog.writerID
            let mayDiffer = isAppended && (name.number == highest || isOpen(name, position))
            if isThere, !mayDiffer, try target.bytes(segmentPath(target, name)) == length { continue }
            if isThere, isAppended { try bring(name, to: length) } else { try copy(name, length: length) }
        }
        try copyLarge()
        try settleIncoming()
        reached = position
        try follow()
        try markAsMirror()
    }

    /// Copies what came since.
    package func advance(to position: LogPosition) throws(LogError) {
        for name in try live(to: position) where name.number >= reached.segment {
            guard name.generation == BlobLog.writerID else {
                // Sealed and compacted since.
                if !(try Segment.all(target).contains(name)) { try copy(name, position) }
                continue
            }
            let length = try length(name, position)
            if try Segment.all(target).contains(name) {
                let done = try target.bytes(segmentPath(target, name)) ?? 0
                if done < length { try append(name, done..<length) }
            } else {
                try copy(name, position)
            }
        }
        try copyLarge()
        reached = position
    }

    /// Attaches the mirror. Nobody appends meanwhile.
    /// - Parameter position: where the log ends.
    package func attach(at position: LogPosition) throws(LogError) {
        try advance(to: position)
        try mirror.attach(target, at: position)
    }

    // MARK: Segments

    private func segmentPath(_ directory: DataDirectory, _ name: SegmentName) -> String {
        directory.segment(writer: name.generation, number: name.number)
    }

    private func live(to position: LogPosition) throws(LogError) -> [SegmentName] {
        try Segment.live(primary).filter { $0.number <= position.segment }
    }

    private func isOpen(_ name: SegmentName, _ position: LogPosition) -> Bool {
        name.number == position.segment && name.generation == BlobLog.writerID
    }

    private func length(_ name: SegmentName, _ position: LogPosition) throws(LogError) -> UInt64 {
        if isOpen(name, position) { return position.endOffset }
        return try Segment.bytes(primary, generation: name.generation, number: name.number) ?? 0
    }

    /// Only the archive compacts: a higher generation says that the mirror was an archive of its own.
    private func checkGenerations(_ known: [SegmentName], _ live: [SegmentName]) throws(LogError) {
        let generations = Dictionary(uniqueKeysWithValues: live.map { ($0.number, $0.generation) })
        for name in known {
            guard let generation = generations[name.number] else {
                if name.number < live.last?.number ?? 0 {
                    Log.error("the mirror has a segment that the archive lost", ["segment": "\(name.number)"])
                }
                continue
            }
            if name.generation > generation { throw .diverged(target.path) }
        }
    }

    /// Removes segments that were begun there and that the archive does not have; they hold nothing.
    private func removeBegun(_ known: [SegmentName], behind position: LogPosition) throws(LogError) {
        for name in known where name.number > position.segment {
            let path = segmentPath(target, name)
            if try target.bytes(path) ?? 0 > UInt64(Segment.blockBytes) {
                let segment = try Segment(target, writer: name.generation, number: name.number, forWriting: true)
                try cut(segment, at: UInt64(Segment.blockBytes))
            }
            try wrappingSystemErrors { () throws(SystemError) in
                try target.volume.unlink(path)
                try target.volume.synchronizeDirectory(target.segments)
            }
            targetReader.forget(writer: name.generation, number: name.number)
        }
    }

    /// Makes a segment that was appended to the same as the archive's, which is `length` long.
    private func bring(_ name: SegmentName, to length: UInt64) throws(LogError) {
        let archive = try Segment(primary, writer: name.generation, number: name.number)
        guard let copy = try sameSegment(name, archive) else { return try self.copy(name, length: length) }
        let comparison = MirrorComparison(
            archive: archive, copy: copy, archiveReader: primaryReader, end: length)
        let agreed = try comparison.run()
        let size = try wrappingSystemErrors { () throws(SystemError) in try copy.file.size() }
        if size > agreed { try cut(copy, at: agreed) }
        if agreed < length {
            try checkRoom(length - agreed)
            try MirrorFile.copy(archive.file, agreed..<length, to: copy.file, pace: pace)
        }
    }

    /// The mirror's file of a segment; nil: it is worth nothing.
    private func sameSegment(_ name: SegmentName, _ archive: Segment) throws(LogError) -> Segment? {
        let path = segmentPath(target, name)
        let copy: Segment
        do throws(LogError) {
            copy = try Segment(target, writer: name.generation, number: name.number, forWriting: true)
        } catch {
            // Its block was never finished, or has gone bad; the archive's own is good.
            guard error.isDamage else { throw error }
            return nil
        }
        if try MirrorFile.isSame(archive.file, copy.file, 0..<UInt64(Segment.blockBytes)) { return copy }
        guard try target.bytes(path) ?? 0 <= UInt64(Segment.blockBytes) else { throw .diverged(target.path) }
        return nil
    }

    /// Cuts what the archive does not have: at most one batch that it refused, and only off what was nothing but a mirror
    /// since it had all of the archive. It goes to the mirror's quarantine.
    private func cut(_ segment: Segment, at offset: UInt64) throws(LogError) {
        let records = try segment.headers(from: offset)
        if let first = records.first {
            guard try isMirror(), records.allSatisfy({ $0.header.durableSequence == first.header.durableSequence })
            else {
                throw .diverged(target.path)
            }
        }
        for (header, place) in records where header.recordLength <= 1 << 30 {
            var bytes = [UInt8](repeating: 0, count: Int(header.recordLength))
            _ = try? bytes.withMutableRawBytes { buffer throws(SystemError) in
                try segment.file.read(into: buffer, at: place)
            }
            let quarantine = try Quarantine(target, maximumBytes: 1 << 30)
            bytes.withRawBytes {
                quarantine.keep(
                    $0, reason: "record \(header.sequence), which the archive did not accept", isSynced: true)
            }
        }
        try wrappingSystemErrors { () throws(SystemError) in
            try segment.file.truncate(to: offset)
            try segment.file.synchronize()
        }
    }

    private func append(_ name: SegmentName, _ range: Range<UInt64>) throws(LogError) {
        let source = try Segment(primary, writer: name.generation, number: name.number)
        let copy = try Segment(target, writer: name.generation, number: name.number, forWriting: true)
        try checkRoom(range.upperBound - range.lowerBound)
        try MirrorFile.copy(source.file, range, to: copy.file, pace: pace)
    }

    private func copy(_ name: SegmentName, _ position: LogPosition) throws(LogError) {
        try copy(name, length: try length(name, position))
    }

    /// Copies a segment whole, under a name that counts only at the end.
    private func copy(_ name: SegmentName, length: UInt64) throws(LogError) {
        let path = segmentPath(target, name)
        let part = path + ".new"
        try? target.volume.unlink(part)
        let source: any VolumeFile
        do throws(SystemError) { source = try primary.volume.open(segmentPath(primary, name), O_RDONLY) } catch {
            // Compacted meanwhile: its next generation is copied at the next look.
            if error.code == ENOENT { return }
            throw .system(error)
        }
        try checkRoom(length)
        let output = try wrappingSystemErrors { () throws(SystemError) in
            try target.volume.open(part, O_RDWR | O_CREAT | O_EXCL)
        }
        try MirrorFile.copy(source, 0..<length, to: output, pace: pace)
        try wrappingSystemErrors { () throws(SystemError) in
            try target.volume.rename(part, to: path)
            try target.volume.synchronizeDirectory(target.segments)
        }
        targetReader.forget(writer: name.generation, number: name.number)
    }

    private func pace(_ count: Int) throws(LogError) {
        missing -= min(missing, UInt64(count))
        mirror.setLag(missing)
        if isStopping() { throw .unmirrored("the archive is stopping") }
    }

    private func checkRoom(_ bytes: UInt64) throws(LogError) {
        let free = try wrappingSystemErrors { () throws(SystemError) in try target.volume.freeBytes(target.path) }
        guard free >= bytes + mirror.settings.freeSpaceFloorBytes else {
            throw .unmirrored("no room: \(bytes) bytes are missing there, \(free) are free")
        }
    }

    private func removeUnfinished() throws(LogError) {
        for folder in [target.segments, target.large, target.incoming] {
            for name in try entries(target, folder) where name.hasSuffix(".part") || name.hasSuffix(".new") {
                try? target.volume.unlink("\(folder)/\(name)")
            }
        }
    }

    // MARK: Following

    /// Copies the generations that compaction made, then removes what they replace, and large objects that are deleted for
    /// good; copies the manifest.
    package func follow() throws(LogError) {
        // Before the segments, so that it lists none that is not there.
        let small = [primary.manifestKey, primary.manifest].map { ($0, try? primary.volume.contents($0)) }
        let live = try Segment.live(primary)
        for name in live where name.generation > BlobLog.writerID {
            if !(try Segment.all(target).contains(name)) {
                try copy(name, length: try primary.bytes(segmentPath(primary, name)) ?? 0)
            }
        }
        let there = Set(try Segment.all(target))
        for name in there {
            guard let now = live.first(where: { $0.number == name.number }), now.generation > name.generation,
                there.contains(now)
            else { continue }
            try wrappingSystemErrors { () throws(SystemError) in try target.volume.unlink(segmentPath(target, name)) }
            targetReader.forget(writer: name.generation, number: name.number)
        }
        try wrappingSystemErrors { () throws(SystemError) in try target.volume.synchronizeDirectory(target.segments) }
        try removeLarge()
        for (path, bytes) in small {
            guard let bytes else { continue }
            let name = path.split(separator: "/").last!
            try replace("\(target.path)/\(name)", with: bytes, isSecret: path == primary.manifestKey)
        }
    }

    /// Copies what does not follow from the log.
    /// - Parameter path: a copy of `control.db` that nobody writes to.
    package func copyControl(_ path: String) throws(LogError) {
        try MirrorFile.copy(path, of: primary, to: target.control, of: target)
    }

    private func replace(_ path: String, with bytes: [UInt8], isSecret: Bool) throws(LogError) {
        let volume = target.volume
        if let known = try? volume.contents(path), known == bytes { return }
        try wrappingSystemErrors { () throws(SystemError) in
            // Made with its mode, before anything stands in it.
            if isSecret { _ = try volume.open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600) }
            try volume.replace(path, with: bytes)
        }
    }

    private func markAsMirror() throws(LogError) {
        if try target.has(target.unfinishedMirrorNote) {
            try wrappingSystemErrors { () throws(SystemError) in
                try target.volume.unlink(target.unfinishedMirrorNote)
                try target.volume.synchronizeDirectory(target.path)
            }
        }
        guard try !isMirror() else { return }
        // A server was started here: what it derived knows nothing of what comes and goes from now on.
        for suffix in ["", "-wal", "-shm"] {
            guard try target.has(target.catalog + suffix) else { continue }
            try wrappingSystemErrors { () throws(SystemError) in try target.volume.unlink(target.catalog + suffix) }
        }
        try wrappingSystemErrors { () throws(SystemError) in
            try target.volume.replace(target.mirrorNote, with: Array("{\"format\":1}\n".utf8))
        }
    }

    // MARK: Large objects

    private func entries(_ directory: DataDirectory, _ folder: String) throws(LogError) -> [String] {
        try wrappingSystemErrors { () throws(SystemError) in try directory.volume.entries(folder) }
    }

    private func largeFiles(_ directory: DataDirectory) throws(LogError) -> [(folder: String, name: String)] {
        var found: [(folder: String, name: String)] = []
        // What moves meanwhile moves from the first to the second.
        for folder in [directory.incoming, directory.large] {
            for name in try entries(directory, folder) where name.hasSuffix(".dcm") { found.append((folder, name)) }
        }
        return found
    }

    private func missingLarge() throws(LogError) -> [(folder: String, name: String)] {
        let there = Set(try largeFiles(target).map(\.name))
        var seen: Set<String> = []
        return try largeFiles(primary).filter { !there.contains($0.name) && seen.insert($0.name).inserted }
    }

    private func copyLarge() throws(LogError) {
        for (folder, name) in try missingLarge() {
            // It may have moved since, or been deleted.
            for place in [folder, primary.large] where primary.volume.exists("\(place)/\(name)") {
                try checkRoom(try primary.bytes("\(place)/\(name)") ?? 0)
                try MirrorFile.copy(
                    "\(place)/\(name)", of: primary, to: "\(target.large)/\(name)", of: target, pace: pace)
                break
            }
        }
    }

    /// A large object that the log refers to has its place in `large`.
    private func settleIncoming() throws(LogError) {
        for name in try entries(target, target.incoming) where primary.volume.exists("\(primary.large)/\(name)") {
            try wrappingSystemErrors { () throws(SystemError) in
                try target.volume.rename("\(target.incoming)/\(name)", to: "\(target.large)/\(name)")
            }
        }
    }

    private func removeLarge() throws(LogError) {
        let mine = Set(try largeFiles(primary).map(\.name))
        for (folder, name) in try largeFiles(target) where !mine.contains(name) {
            guard let (blobID, number) = DataDirectory.parse(largeName: name), !isWanted(blobID, number) else {
                continue
            }
            // What has come since the listing is on its way.
            if [primary.incoming, primary.large].contains(where: { primary.volume.exists("\($0)/\(name)") }) {
                continue
            }
            try? target.volume.unlink("\(folder)/\(name)")
        }
    }
}
