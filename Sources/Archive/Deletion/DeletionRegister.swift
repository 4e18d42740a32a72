// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import FoundationEssentials
import Glibc
import Platform

/// What was deleted for good, in a file beside the data directory: should an older state of that directory be restored
/// from a backup, which does not know of these deletions, they are made again at its first start.
final class DeletionRegister: Sendable {
    private struct Entry: Codable {
        /// A register may serve several archives, one after the other.
        var archive: String
        var target: String
        /// Of the tombstone, by which it is known again.
        var deletedAtNanoseconds: Int64
        /// Of what this organisation sent only; nil: of everything.
        var organisation: String?
    }

    /// A deletion that the archive does not know.
    struct Missing {
        let target: DeletionTarget
        let deletedAtNanoseconds: Int64
        let organisation: String?
    }

    private let path: String
    private let archive: String

    init(path: String, archiveUUID: [UInt8]) {
        self.path = path
        archive = Hexadecimal.text(archiveUUID)
    }

    /// Notes deletions; durable when this returns. That the file cannot be written is told and does not stop a deletion.
    func add(_ deletions: [CatalogDeletion]) {
        guard !deletions.isEmpty else { return }
        var text: [UInt8] = []
        for deletion in deletions {
            let entry = Entry(
                archive: archive, target: deletion.target.description,
                deletedAtNanoseconds: deletion.deletedAtNanoseconds,
                organisation: deletion.isOwnOnly ? deletion.organisation : nil)
            guard let line = try? JSONEncoder().encode(entry) else { continue }
            text += Array(line) + [0x0A]
        }
        do {
            let isNew = !FileSystem.exists(path)
            let file = try FileDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600)
            // A line that a power cut left unfinished is ended first, so that it spoils no other.
            let size = try file.size()
            try text.withRawBytes { bytes throws(SystemError) in
                var end = size
                if end > 0 {
                    try [UInt8(0x0A)].withRawBytes { newline throws(SystemError) in try file.write(newline, at: end) }
                    end += 1
                }
                try file.write(bytes, at: end)
            }
            try file.synchronize()
            if isNew { try SystemVolume().synchronizeDirectory(FileSystem.parent(of: path)) }
        } catch {
            Log.error(
                "register of deletions cannot be written; a backup that is restored would bring back what was deleted",
                ["register": path, "why": "\(error)"])
        }
    }

    /// The deletions of this archive that it does not know.
    func unknown(to reader: CatalogReader) throws -> [Missing] {
        guard FileSystem.exists(path) else { return [] }
        let known = Set(
            try reader.deletions().map { "\($0.deletedAtNanoseconds) \($0.target)" })
        let lines = try FileSystem.contents(path).split(separator: 0x0A)
        return lines.compactMap { line in
            guard let entry = try? JSONDecoder().decode(Entry.self, from: Data(line)), entry.archive == archive,
                !known.contains("\(entry.deletedAtNanoseconds) \(entry.target)"),
                let target = DeletionTarget(entry.target)
            else { return nil }
            return Missing(
                target: target, deletedAtNanoseconds: entry.deletedAtNanoseconds, organisation: entry.organisation)
        }
    }
}
