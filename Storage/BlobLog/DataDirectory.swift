// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Platform

/// The archive's directory: its layout, its identity, and the lock that keeps other processes out.
package final class DataDirectory: Sendable {
    package static let format = 1

    package let path: String
    /// Identity of the archive, 16 bytes, made once.
    package let archiveUUID: [UInt8]
    /// The disk that all of it is on.
    package let volume: any Volume
    private let lock: (any VolumeFile)?

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
        lock = locking ? try Self.lock(path, volume) : nil
        archiveUUID = try Self.identity(path, volume, mayCreate: locking)
        try wrappingSystemErrors { () throws(SystemError) in
            for folder in ["segments", "large", "incoming", "quarantine"] {
                try volume.createDirectories("\(path)/\(folder)")
            }
            try volume.synchronizeDirectory(path)
        }
    }

    package func segment(writer: UInt32, number: UInt32) -> String {
        "\(path)/segments/\(hexadecimal(UInt64(writer), 8))-\(hexadecimal(UInt64(number), 8)).seg"
    }

    /// A large object's file name, the same in `incoming` and `large`.
    package func largeName(_ blobID: BlobID, number: UInt64) -> String { "\(blobID)-\(hexadecimal(number, 16)).dcm" }
    package var incoming: String { "\(path)/incoming" }
    package var large: String { "\(path)/large" }

    package var catalog: String { "\(path)/catalog.db" }
    package var quarantine: String { "\(path)/quarantine" }
    package var importSocket: String { "\(path)/import.socket" }

    private static func lock(_ path: String, _ volume: any Volume) throws(LogError) -> any VolumeFile {
        let file = try wrappingSystemErrors { () throws(SystemError) in
            try volume.open("\(path)/lock", O_RDWR | O_CREAT)
        }
        guard file.tryLock() else { throw .inUse(path) }
        return file
    }

    private static func identity(_ path: String, _ volume: any Volume, mayCreate: Bool) throws(LogError) -> [UInt8] {
        let file = "\(path)/format"
        if volume.exists(file) {
            let bytes = try wrappingSystemErrors { () throws(SystemError) in try volume.contents(file) }
            guard let content = try? JSONDecoder().decode(FormatFile.self, from: Data(bytes)),
                let uuid = UUID(uuidString: content.archive)
            else { throw .notAnArchive(path) }
            guard content.format <= format else { throw .newerFormat(content.format, path) }
            // The file may be from a start that stopped before its name was durable; folders that outlive it would be taken
            // for somebody else's.
            if mayCreate {
                try wrappingSystemErrors { () throws(SystemError) in try volume.synchronizeDirectory(path) }
            }
            return withUnsafeBytes(of: uuid.uuid) { Array($0) }
        }
        let others = try wrappingSystemErrors { () throws(SystemError) in try volume.entries(path) }
        guard mayCreate, others.allSatisfy({ $0 == "lock" || $0 == "format.new" || $0 == "lost+found" }) else {
            throw .notAnArchive(path)
        }
        try wrappingSystemErrors { () throws(SystemError) in try makeNameDurable(path, volume) }
        let uuid = UUID()
        let text = "{\"format\":\(format),\"archive\":\"\(uuid.uuidString)\"}\n"
        try wrappingSystemErrors { () throws(SystemError) in try volume.replace(file, with: Array(text.utf8)) }
        return withUnsafeBytes(of: uuid.uuid) { Array($0) }
    }

    /// Makes the names of the directory and those above it durable, before the file that says that there is an archive: a
    /// start that stopped earlier may have made them.
    private static func makeNameDurable(_ path: String, _ volume: any Volume) throws(SystemError) {
        var path = path
        while path != "/", path != "." {
            path = FileSystem.parent(of: path)
            do { try volume.synchronizeDirectory(path) } catch {
                // Nobody makes names in a directory that is closed to him.
                guard error.code == EACCES else { throw error }
            }
        }
    }

    private func hexadecimal(_ number: UInt64, _ width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
