// SPDX-License-Identifier: Apache-2.0
import BlobLog
import FoundationEssentials
import Glibc
import Platform

/// Where a backup goes: a data directory but for its catalog, which the first start makes anew, and with a note of what it
/// is a backup of.
final class BackupDirectory {
    /// What the last finished backup has reached. `format`, without which no server takes the directory, is written when the
    /// first one is finished.
    struct Note: Codable, Equatable {
        var format = 1
        var archive: String
        /// Sequence number of the last record; 0: no backup is finished yet.
        var sequence: UInt64 = 0
        var time = ""
        var segment: UInt32 = 0
        var endOffset: UInt64 = 0
        /// Where the last record begins in that segment, if it was open.
        var lastOffset: UInt64 = 0
    }

    let path: String
    private(set) var note: Note
    private let lock: FileDescriptor

    /// Opens the directory for a backup of this archive, and keeps others out; an empty or missing one is made.
    init(_ path: String, archiveUUID: [UInt8]) throws {
        self.path = path
        try FileSystem.createDirectories(path)
        let names = try FileSystem.entries(path).filter { $0 != "lock" && $0 != "lost+found" }
        lock = try FileDescriptor.open("\(path)/lock", O_RDWR | O_CREAT)
        guard flock(lock.raw, LOCK_EX | LOCK_NB) == 0 else { throw LogError.inUse(path) }
        let archive = Self.text(archiveUUID)
        if FileSystem.exists(Self.notePath(path)) {
            note = try Self.read(path)
        } else {
            guard names.allSatisfy({ $0 == "backup.json.part" }) else { throw LogError.notAnArchive(path) }
            note = Note(archive: archive)
            try save(note)
        }
        guard note.archive == archive else {
            throw ArchiveError.failed("\(path) holds the backup of another archive (\(note.archive)); choose another")
        }
        guard !names.contains("catalog.db") else {
            throw ArchiveError.failed("\(path) was served and may hold more than the backup; back up elsewhere")
        }
        for folder in ["segments", "large"] { try FileSystem.createDirectories("\(path)/\(folder)") }
        try DurableFile.synchronizeDirectory(path)
    }

    /// Whether a server would take it: some backup was finished.
    var isComplete: Bool { note.sequence > 0 || FileSystem.exists("\(path)/format") }

    func segment(_ name: SegmentName) -> String { "\(path)/segments/\(name.fileName)" }
    func large(_ name: String) -> String { "\(path)/large/\(name)" }

    /// Every generation that is there, of every number.
    func segments() throws -> [SegmentName] {
        try FileSystem.entries("\(path)/segments").compactMap(SegmentName.init(fileName:))
    }

    /// What has its final name is whole and was verified.
    func holds(_ file: String, bytes: UInt64) -> Bool {
        (try? FileDescriptor.open(file, O_RDONLY).size()) == bytes
    }

    func save(_ note: Note) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try DurableFile.replace(Self.notePath(path), with: Array(encoder.encode(note)) + [UInt8(ascii: "\n")])
        self.note = note
    }

    private static func notePath(_ path: String) -> String { "\(path)/backup.json" }

    private static func read(_ path: String) throws -> Note {
        let bytes = try FileSystem.contents(notePath(path))
        guard JSONValue.isNested(atMost: 4, bytes), let note = try? JSONDecoder().decode(Note.self, from: Data(bytes))
        else { throw ArchiveError.failed("\(notePath(path)) cannot be read; back up to another directory") }
        guard note.format <= 1 else { throw LogError.newerFormat(note.format, path) }
        return note
    }

    private static func text(_ uuid: [UInt8]) -> String {
        uuid.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }.uuidString
    }
}
