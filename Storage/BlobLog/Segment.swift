// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// An open segment file: its block, checked, and its descriptor (FORMAT.md, "Segment").
package final class Segment: Sendable {
    static let blockBytes = 4096
    private static let magic = Array("SNIMOKSG".utf8)

    package let writer: UInt32
    package let number: UInt32
    private let secret: [UInt8]
    let file: any VolumeFile
    private let volume: any Volume
    private let path: String
    private let scatteredFile = Monitor<(any VolumeFile)?>(nil)
    /// Where records are appended: past the page cache if the file system can do that. Only in the writer's own instance.
    private(set) nonisolated(unsafe) var output: any VolumeFile

    /// Opens an existing segment and checks its block.
    /// - Parameter copy: where it stands, if not in the directory.
    init(
        _ directory: DataDirectory, writer: UInt32, number: UInt32, forWriting: Bool = false, copy: String? = nil
    ) throws(LogError) {
        let path = copy ?? directory.segment(writer: writer, number: number)
        let (file, block) = try wrappingSystemErrors { () throws(SystemError) in
            let file = try directory.volume.open(path, forWriting ? O_RDWR : O_RDONLY)
            var block = [UInt8](repeating: 0, count: 96)
            _ = try block.withMutableRawBytes { buffer throws(SystemError) in try file.read(into: buffer, at: 0) }
            return (file, block)
        }
        self.file = file
        volume = directory.volume
        self.path = path
        output = forWriting ? Self.direct(volume, path) ?? file : file
        guard block.starts(with: Self.magic), Array(block[80..<96]) == HeaderChecksum.compute(Array(block[0..<80])),
            Array(block[32..<48]) == directory.archiveUUID
        else { throw .damaged("\(path) has a damaged segment block, or another archive's") }
        secret = Array(block[48..<80])
        self.writer = writer
        self.number = number
    }

    /// Creates a segment under its final name and makes block and name durable before anybody counts on it.
    /// - Parameter suffix: of the file's name, while it is not to be taken for a segment.
    init(
        creatingIn directory: DataDirectory, writer: UInt32, number: UInt32, suffix: String = ""
    ) throws(LogError) {
        self.writer = writer
        self.number = number
        var secret = [UInt8](repeating: 0, count: 32)
        guard getentropy(&secret, secret.count) == 0 else { throw .system(SystemError("getentropy")) }
        self.secret = secret
        var block = Self.magic
        block.appendLittleEndian(UInt32(directory.format))
        block.appendLittleEndian(writer)
        block.appendLittleEndian(number)
        block.appendLittleEndian(UInt32(0))
        block.appendLittleEndian(Clock.wallNanoseconds())
        block += directory.archiveUUID + secret
        block += HeaderChecksum.compute(block)
        block += [UInt8](repeating: 0, count: Self.blockBytes - block.count)
        let path = directory.segment(writer: writer, number: number) + suffix
        self.path = path
        volume = directory.volume
        file = try Self.begin(path, block, directory)
        output = Self.direct(volume, path) ?? file
    }

    /// Begins the same segment in another directory: the block with its secret, durable as one that is created.
    init(copying other: Segment, to directory: DataDirectory) throws(LogError) {
        writer = other.writer
        number = other.number
        secret = other.secret
        let path = directory.segment(writer: other.writer, number: other.number)
        self.path = path
        volume = directory.volume
        let block = try wrappingSystemErrors { () throws(SystemError) in
            var block = [UInt8](repeating: 0, count: Self.blockBytes)
            _ = try block.withMutableRawBytes { buffer throws(SystemError) in try other.file.read(into: buffer, at: 0) }
            return block
        }
        file = try Self.begin(path, block, directory)
        output = Self.direct(volume, path) ?? file
    }

    /// Creates the file with its block; both and the name are durable when this returns.
    private static func begin(
        _ path: String, _ block: [UInt8], _ directory: DataDirectory
    ) throws(LogError) -> any VolumeFile {
        try wrappingSystemErrors { () throws(SystemError) in
            let file = try directory.volume.open(path, O_RDWR | O_CREAT | O_EXCL)
            try block.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
            try file.synchronize()
            try directory.volume.synchronizeDirectory(directory.segments)
            return file
        }
    }

    /// For reads here and there: the kernel reads nothing ahead, which would be image bytes that nobody asked for.
    var scattered: any VolumeFile {
        scatteredFile.withLock { known in
            if let known { return known }
            guard let opened = try? volume.open(path, O_RDONLY) else { return file }
            opened.advise(POSIX_FADV_RANDOM, 0..<0)
            known = opened
            return opened
        }
    }

    private static func direct(_ volume: any Volume, _ path: String) -> (any VolumeFile)? {
        try? volume.open(path, O_WRONLY | csystem_o_direct())
    }

    /// Writes whole pages that lie at a page of memory.
    func append(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        do { try output.write(bytes, at: offset) } catch {
            guard error.code == EINVAL else { throw error }
            writeThroughCache()
            try file.write(bytes, at: offset)
        }
    }

    /// Writes whole pages of memory behind each other.
    func append(gathering vectors: [iovec], at offset: UInt64) throws(SystemError) {
        var remaining = vectors
        do { try output.write(gathering: &remaining, at: offset) } catch {
            // Some file systems take no such writes, or only of larger pieces; nothing of this batch counts yet.
            guard error.code == EINVAL else { throw error }
            writeThroughCache()
            remaining = vectors
            try file.write(gathering: &remaining, at: offset)
        }
    }

    /// Appends through the page cache from now on.
    func writeThroughCache() { output = file }

    /// The checksum that ties a header to this place in this segment.
    func headerChecksum(of bytes: [UInt8], at offset: UInt64) -> [UInt8] {
        var input = bytes
        input.reserveCapacity(bytes.count + 16)
        input.appendLittleEndian(writer)
        input.appendLittleEndian(number)
        input.appendLittleEndian(offset)
        return HeaderChecksum.compute(input, key: secret)
    }

    /// Numbers of the segments that `writer` has left in the directory, rising.
    static func numbers(_ directory: DataDirectory, writer: UInt32) throws(LogError) -> [UInt32] {
        try all(directory).filter { $0.generation == writer }.map(\.number)
    }
}
