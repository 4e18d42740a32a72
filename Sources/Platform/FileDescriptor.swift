// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// An open file, closed when the last reference goes: shared by the threads that read it by position.
package final class FileDescriptor: Sendable {
    package let raw: Int32
    /// For error sentences only.
    package let path: String

    package init(adopting raw: Int32, path: String) {
        self.raw = raw
        self.path = path
    }

    deinit { close(raw) }

    /// Opens `path`; `mode` counts only with `O_CREAT`.
    package static func open(_ path: String, _ flags: Int32, mode: mode_t = 0o640) throws(SystemError) -> FileDescriptor
    {
        let raw = try retryingInterrupts("open", path) { csystem_open(path, flags, mode) }
        return FileDescriptor(adopting: raw, path: path)
    }

    package func size() throws(SystemError) -> UInt64 {
        var status = stat()
        try retryingInterrupts("fstat", path) { fstat(raw, &status) }
        return UInt64(status.st_size)
    }

    /// Reads at `offset` until `buffer` is full or the file ends; returns the bytes read.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retryingInterrupts("pread", path) {
                pread(raw, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try retryingInterrupts("pwrite", path) {
                pwrite(raw, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
            }
        }
    }

    /// Writes all vectors one behind the other at `offset`, in as few calls as the system allows (1,024 vectors each).
    package func write(gathering vectors: inout [iovec], at offset: UInt64) throws(SystemError) {
        var position = off_t(offset)
        var first = 0
        while first < vectors.count {
            let batch = min(vectors.count - first, 1024)
            var written = try retryingInterrupts("pwritev", path) {
                vectors.withUnsafeBufferPointer { pwritev(raw, $0.baseAddress! + first, Int32(batch), position) }
            }
            position += off_t(written)
            // A short write: step over what is done and go on behind it.
            while first < vectors.count, written >= vectors[first].iov_len {
                written -= vectors[first].iov_len
                first += 1
            }
            if written > 0 {
                vectors[first].iov_base += written
                vectors[first].iov_len -= written
            }
        }
    }

    /// Waits until the data, and the size needed to read it, are on the device. An error is final: Linux reports a
    /// failed write-back once, and a later call would say success over pages that never arrived.
    package func synchronizeData() throws(SystemError) {
        try retryingInterrupts("fdatasync", path) { fdatasync(raw) }
    }

    package func synchronize() throws(SystemError) {
        try retryingInterrupts("fsync", path) { fsync(raw) }
    }

    package func truncate(to length: UInt64) throws(SystemError) {
        try retryingInterrupts("ftruncate", path) { ftruncate(raw, off_t(length)) }
    }
}

/// The few directory operations of the archive.
package enum FileSystem {
    /// Makes a new, renamed or removed entry of `directory` itself durable.
    package static func synchronizeDirectory(_ directory: String) throws(SystemError) {
        try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// Creates `path` and its missing parents.
    package static func createDirectories(_ path: String) throws(SystemError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for component in path.split(separator: "/") {
            partial += component
            if mkdir(partial, 0o750) != 0, errno != EEXIST { throw SystemError("mkdir", partial) }
            partial += "/"
        }
    }

    /// Names in `directory`, sorted, without `.` and `..`.
    package static func entries(_ directory: String) throws(SystemError) -> [String] {
        guard let stream = opendir(directory) else { throw SystemError("opendir", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Bytes that the archive may still write on the file system holding `path`.
    package static func freeBytes(_ path: String) throws(SystemError) -> UInt64 {
        var status = statvfs()
        try retryingInterrupts("statvfs", path) { statvfs(path, &status) }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// The whole of a small file.
    package static func contents(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor.open(path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
        let count = try bytes.withMutableRawBytes { buffer throws(SystemError) in
            try file.read(into: buffer, at: 0)
        }
        bytes.removeSubrange(count...)
        return bytes
    }

    /// Writes a small file so that after a power cut either the old content stands there or the new one.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        let temporary = path + ".new"
        let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
        try bytes.withRawBytes { buffer throws(SystemError) in try file.write(buffer, at: 0) }
        try file.synchronize()
        try retryingInterrupts("rename", path) { rename(temporary, path) }
        try synchronizeDirectory(parent(of: path))
    }

    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
