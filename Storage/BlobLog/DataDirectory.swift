// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Platform

/// The archive's directory: its layout, its identity, and the lock that keeps other processes out.
package final class DataDirectory: Sendable {
    /// That of new archives. Those of format 1 stay what they are.
    package static let newestFormat = 2

    package let path: String
    let format: Int
    /// Identity of the archive, 16 bytes, made once.
    package let archiveUUID: [UInt8]
    /// The disk that all of it is on.
    package let volume: any Volume
    /// nil: read beside the process that has it.
    private let lock: Monitor<(any VolumeFile)?>

    private struct FormatFile: Codable {
        var format: Int
        var archive: String
    }

    /// Opens the directory, or makes it a new archive if it is empty or missing.
    /// - Parameter locking: false only for reading beside a process that holds the lock.
    package init(_ path: String, locking: Bool = true, volume: any Volume = SystemVolume()) throws(LogError) {
        self.path = path
        self.volume = volume
        try wrappingSystemErrors { () throws(SystemError) in
            try volume.createDirectories(path)
        }
        lock = Monitor(locking ? try Self.lock(path, volume) : nil)
        (format, archiveUUID) = try Self.identity(path, volume, mayCreate: locking)
        guard !volume.exists(unfinishedMirrorNote) else { throw .unfinishedMirror(path) }
        try Self.makeFolders(path, volume)
        if locking, volume.exists(mirrorNote) { try endMirroring() }
    }

    /// Opens an archive's second copy and locks it.
    /// - Parameter mayCreate: one that is missing is made; an empty one is taken in any case.
    init(mirror path: String, of archive: DataDirectory, mayCreate: Bool, volume: any Volume) throws(LogError) {
        self.path = path
        self.volume = volume
        if mayCreate {
            try wrappingSystemErrors { () throws(SystemError) in try volume.createDirectories(path) }
        }
        lock = Monitor(try Self.lock(path, volume))
        if !volume.exists("\(path)/format") { try Self.noteUnfinishedMirror(path, volume) }
        (format, archiveUUID) = try Self.identity(
            path, volume, mayCreate: true, wanted: (archive.format, archive.archiveUUID))
        guard (format, archiveUUID) == (archive.format, archive.archiveUUID) else {
            throw .unmirrored("\(path) holds another archive; choose another directory for the mirror")
        }
        try Self.makeFolders(path, volume)
    }

    /// Until all of the archive was copied here, nobody is to take it for an archive.
    private static func noteUnfinishedMirror(_ path: String, _ volume: any Volume) throws(LogError) {
        let names = try wrappingSystemErrors { () throws(SystemError) in try volume.entries(path) }
        guard names.allSatisfy(isHarmless) else { throw .notAnArchive(path) }
        try wrappingSystemErrors { () throws(SystemError) in
            try volume.replace("\(path)/\(unfinishedMirrorName)", with: Array("{\"format\":1}\n".utf8))
        }
    }

    /// What may stand in a directory that is to become an archive.
    private static func isHarmless(_ name: String) -> Bool {
        ["lock", "format.new", "lost+found", unfinishedMirrorName, unfinishedMirrorName + ".new"].contains(name)
    }

    /// Whoever is started on a mirror makes it an archive of its own: from here on it may have what the other has not.
    private func endMirroring() throws(LogError) {
        try wrappingSystemErrors { () throws(SystemError) in
            try volume.unlink(mirrorNote)
            try volume.synchronizeDirectory(path)
        }
        Log.warning("the directory was an archive's mirror and is an archive of its own now", ["data": path])
    }

    /// Others may open the directory from now on.
    func releaseLock() {
        // Giving it back may take a while, where the directory is another machine's.
        let held = lock.withLock { lock in
            defer { lock = nil }
            return lock
        }
        withExtendedLifetime(held) {}
    }

    /// Whether the file that is locked is still there for us.
    func probeLock() throws(SystemError) {
        if let held = lock.withLock({ $0 }) { _ = try held.size() }
    }

    private static func makeFolders(_ path: String, _ volume: any Volume) throws(LogError) {
        try wrappingSystemErrors { () throws(SystemError) in
            for folder in ["segments", "large", "incoming", "quarantine"] {
                try volume.createDirectories("\(path)/\(folder)")
            }
            try volume.synchronizeDirectory(path)
        }
    }

    /// Whether a file of this directory is there.
    func has(_ path: String) throws(LogError) -> Bool {
        try wrappingSystemErrors { () throws(SystemError) in try volume.has(path) }
    }

    /// How long a file of this directory is; nil: there is none of that name.
    func bytes(_ path: String) throws(LogError) -> UInt64? {
        do throws(SystemError) { return try volume.open(path, O_RDONLY).size() } catch {
            if error.code == ENOENT { return nil }
            throw .system(error)
        }
    }

    /// What content addresses are made with.
    package var contentHash: ContentHash { format == 1 ? .blake2b : .blake3 }

    package var segments: String { "\(path)/segments" }
    package func segment(writer: UInt32, number: UInt32) -> String {
        "\(segments)/\(SegmentName(generation: writer, number: number).fileName)"
    }

    /// A large object's file name, the same in `incoming` and `large`.
    package func largeName(_ blobID: BlobID, number: UInt64) -> String {
        "\(blobID)-\(Hexadecimal.text(number, width: 16)).dcm"
    }
    /// Reads what `largeName` gives; nil: the file is no large object.
    package static func parse(largeName name: String) -> (blobID: BlobID, number: UInt64)? {
        let parts = name.dropLast(4).split(separator: "-")
        guard name.hasSuffix(".dcm"), parts.count == 2, let blobID = BlobID(hexadecimal: parts[0]),
            let number = UInt64(parts[1], radix: 16)
        else { return nil }
        return (blobID, number)
    }
    package var incoming: String { "\(path)/incoming" }
    package var large: String { "\(path)/large" }

    package var manifest: String { "\(path)/manifest.json" }
    /// The secret that signs manifests; nobody but the archive's own user reads it.
    package var manifestKey: String { "\(path)/manifest.key" }

    /// Says that nobody but the archive whose mirror this is has ever written here.
    var mirrorNote: String { "\(path)/mirror.json" }
    /// Stands there until all of the archive was copied for the first time.
    var unfinishedMirrorNote: String { "\(path)/\(Self.unfinishedMirrorName)" }
    private static let unfinishedMirrorName = "mirror.unfinished"

    package var catalog: String { "\(path)/catalog.db" }
    /// What does not follow from the log; see module `Control`.
    package var control: String { "\(path)/control.db" }
    package var quarantine: String { "\(path)/quarantine" }
    package var importSocket: String { "\(path)/import.socket" }
    /// Where `snimok delete` and its like reach the running server.
    package var controlSocket: String { "\(path)/control.socket" }

    private static func lock(_ path: String, _ volume: any Volume) throws(LogError) -> any VolumeFile {
        let file = try wrappingSystemErrors { () throws(SystemError) in
            try volume.open("\(path)/lock", O_RDWR | O_CREAT)
        }
        guard file.tryLock() else { throw .inUse(path) }
        return file
    }

    private static func identity(
        _ path: String, _ volume: any Volume, mayCreate: Bool, wanted: (format: Int, archiveUUID: [UInt8])? = nil
    ) throws(LogError) -> (format: Int, archiveUUID: [UInt8]) {
        let file = "\(path)/format"
        if volume.exists(file) {
            let bytes = try wrappingSystemErrors { () throws(SystemError) in try volume.contents(file) }
            guard let content = try? JSONDecoder().decode(FormatFile.self, from: Data(bytes)),
                let uuid = UUID(uuidString: content.archive)
            else { throw .notAnArchive(path) }
            guard content.format >= 1 else { throw .notAnArchive(path) }
            guard content.format <= newestFormat else { throw .newerFormat(content.format, path) }
            // The file may be from a start that stopped before its name was durable; folders that outlive it would be taken
            // for somebody else's.
            if mayCreate {
                try wrappingSystemErrors { () throws(SystemError) in try volume.synchronizeDirectory(path) }
            }
            return (content.format, withUnsafeBytes(of: uuid.uuid) { Array($0) })
        }
        let others = try wrappingSystemErrors { () throws(SystemError) in try volume.entries(path) }
        guard mayCreate, others.allSatisfy(isHarmless) else {
            throw .notAnArchive(path)
        }
        try wrappingSystemErrors { () throws(SystemError) in try makeNameDurable(path, volume) }
        let format = wanted?.format ?? newestFormat
        let uuid =
            wanted.map { UUID(uuid: $0.archiveUUID.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }) } ?? UUID()
        let text = "{\"format\":\(format),\"archive\":\"\(uuid.uuidString)\"}\n"
        try wrappingSystemErrors { () throws(SystemError) in try volume.replace(file, with: Array(text.utf8)) }
        return (format, withUnsafeBytes(of: uuid.uuid) { Array($0) })
    }

    /// Makes the names of the directory and those above it durable, before the file that says that there is an archive: a
    /// start that stopped earlier may have made them.
    package static func makeNameDurable(_ path: String, _ volume: any Volume) throws(SystemError) {
        var path = path
        while path != "/", path != "." {
            path = FileSystem.parent(of: path)
            do { try volume.synchronizeDirectory(path) } catch {
                // Nobody makes names in a directory that is closed to him.
                guard error.code == EACCES else { throw error }
            }
        }
    }
}
