// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// An attached mirror: its directory, and the segment that is appended to. Segments are touched by one thread at a time.
final class MirrorLink: @unchecked Sendable {
    let directory: DataDirectory
    let reader: LogReader
    private var segment: Segment?

    /// - Parameter position: where the log ends, here and in the archive.
    init(_ directory: DataDirectory, at position: LogPosition) throws(LogError) {
        self.directory = directory
        reader = LogReader(directory)
        let writer = BlobLog.writerID
        if try directory.has(directory.segment(writer: writer, number: position.segment)) {
            segment = try Segment(directory, writer: writer, number: position.segment, forWriting: true)
        }
    }

    /// Begins the same segment: its block, with the secret, and its name are durable when this returns.
    func begin(_ created: Segment) throws(LogError) { segment = try Segment(copying: created, to: directory) }

    /// Durable when this returns.
    func write(_ vectors: [iovec], at offset: UInt64) throws(SystemError) {
        guard let segment else { throw SystemError("pwritev", directory.path, code: ENOENT) }
        try segment.append(gathering: vectors, at: offset)
        try segment.output.synchronizeData()
    }

    func truncate(to offset: UInt64) throws(SystemError) {
        try segment?.file.truncate(to: offset)
        try segment?.file.synchronize()
    }

    /// Makes sure that a large object is here before a record refers to it. Most are: they are written to both as they come.
    func ensureLarge(_ blobID: BlobID, number: UInt64, from primary: DataDirectory) throws(LogError) {
        let name = directory.largeName(blobID, number: number)
        for folder in [directory.incoming, directory.large] {
            if try directory.has("\(folder)/\(name)") { return }
        }
        for folder in [primary.incoming, primary.large] where primary.volume.exists("\(folder)/\(name)") {
            return try MirrorFile.copy(
                "\(folder)/\(name)", of: primary, to: "\(directory.large)/\(name)", of: directory)
        }
        throw .damaged("the file of a large object is missing: \(name)")
    }

    /// Whether the directory is still there and can be opened for writing, and what is open is still good: where it is
    /// another machine's, that may have been started anew, and hold no lock for us.
    func probe() throws(SystemError) {
        try directory.probeLock()
        if let segment { _ = try segment.file.size() }
        _ = try directory.volume.open("\(directory.path)/lock", O_RDWR)
        if let path = segment?.file.path { _ = try directory.volume.open(path, O_RDWR) }
    }
}
