// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The disk as the log uses it. `SystemVolume` is the machine's; the proof of the log's promises puts a simulated one in
/// its place, which loses what was not synced.
package protocol Volume: Sendable {
    /// - Parameters:
    ///   - flags: as of `open(2)`; the descriptor closes when the last reference to the file goes.
    ///   - mode: counts only with `O_CREAT`.
    func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile
    /// Replaces what `target` was; durable when the directories of both names were synced.
    func rename(_ source: String, to target: String) throws(SystemError)
    func unlink(_ path: String) throws(SystemError)
    /// One that is there already is none of the errors.
    func createDirectory(_ path: String) throws(SystemError)
    /// Names in `directory`, sorted, without `.` and `..`.
    func entries(_ directory: String) throws(SystemError) -> [String]
    func exists(_ path: String) -> Bool
    /// Makes new, renamed and removed entries of `directory` itself durable.
    func synchronizeDirectory(_ directory: String) throws(SystemError)
    /// Bytes that the archive may still write where `path` is.
    func freeBytes(_ path: String) throws(SystemError) -> UInt64
}

extension Volume {
    package func open(_ path: String, _ flags: Int32) throws(SystemError) -> any VolumeFile {
        try open(path, flags, mode: 0o640)
    }

    /// Creates `path` and its missing parents.
    package func createDirectories(_ path: String) throws(SystemError) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for component in path.split(separator: "/") {
            partial += component
            try createDirectory(partial)
            partial += "/"
        }
    }

    /// Whether a file is there, where to take no answer for a no would do harm.
    package func has(_ path: String) throws(SystemError) -> Bool {
        do { _ = try open(path, O_RDONLY) } catch {
            if error.code == ENOENT { return false }
            throw error
        }
        return true
    }

    /// The whole of a small file.
    package func contents(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try open(path, O_RDONLY)
        let size = try file.size()
        // The disk may be another machine's, which says what it likes.
        guard size <= 64 << 20 else { throw SystemError("read", path, code: EFBIG) }
        var bytes = [UInt8](repeating: 0, count: Int(size))
        let count = try bytes.withMutableRawBytes { buffer throws(SystemError) in
            try file.read(into: buffer, at: 0)
        }
        bytes.removeSubrange(count...)
        return bytes
    }

    /// Writes a small file so that after a power cut either the old content stands there or the new one.
    package func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        let temporary = path + ".new"
        let file = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
        try bytes.withRawBytes { buffer throws(SystemError) in try file.write(buffer, at: 0) }
        try file.synchronize()
        try rename(temporary, to: path)
        try synchronizeDirectory(FileSystem.parent(of: path))
    }
}
