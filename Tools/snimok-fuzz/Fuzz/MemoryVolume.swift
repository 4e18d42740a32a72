// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// A disk in memory whose files can be written from outside. One thread at a time.
final class MemoryVolume: Volume, @unchecked Sendable {
    private var files: [String: MemoryFile] = [:]
    private var folders: Set<String> = ["/"]

    /// A copy whose files are its own.
    func copy() -> MemoryVolume {
        let other = MemoryVolume()
        other.folders = folders
        for (path, file) in files { other.files[path] = MemoryFile(path, file.bytes) }
        return other
    }

    subscript(path: String) -> [UInt8]? {
        get { files[path]?.bytes }
        set { files[path] = newValue.map { MemoryFile(path, $0) } }
    }

    func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        // As file systems answer that have no reads and writes past the page cache.
        if flags & csystem_o_direct() != 0 { throw SystemError("open", path, code: EINVAL) }
        if let file = files[path] {
            if flags & O_EXCL != 0 { throw SystemError("open", path, code: EEXIST) }
            if flags & O_TRUNC != 0 { file.bytes = [] }
            return file
        }
        guard flags & O_CREAT != 0 else { throw SystemError("open", path, code: ENOENT) }
        let file = MemoryFile(path, [])
        files[path] = file
        return file
    }

    func rename(_ source: String, to target: String) throws(SystemError) {
        guard let file = files.removeValue(forKey: source) else { throw SystemError("rename", source, code: ENOENT) }
        files[target] = file
    }

    func unlink(_ path: String) throws(SystemError) {
        guard files.removeValue(forKey: path) != nil else { throw SystemError("unlink", path, code: ENOENT) }
    }

    func createDirectory(_ path: String) throws(SystemError) { folders.insert(path) }

    func entries(_ directory: String) throws(SystemError) -> [String] {
        let prefix = directory + "/"
        return (Array(files.keys) + folders).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
            .filter { !$0.contains("/") }.sorted()
    }

    func exists(_ path: String) -> Bool { files[path] != nil || folders.contains(path) }
    func synchronizeDirectory(_ directory: String) throws(SystemError) {}
    func freeBytes(_ path: String) throws(SystemError) -> UInt64 { 1 << 40 }
}

private final class MemoryFile: VolumeFile, @unchecked Sendable {
    let path: String
    var bytes: [UInt8]

    init(_ path: String, _ bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    func sizeOnce() -> Int { bytes.count }

    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let count = min(buffer.count, bytes.count - Int(offset))
        bytes.withRawBytes { buffer.copyMemory(from: $0.part(Int(offset)..<Int(offset) + count)) }
        return count
    }

    func writeOnce(_ source: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let end = Int(offset) + source.count
        if end > bytes.count { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
        bytes.withMutableRawBytes { $0[Int(offset)..<end].copyBytes(from: source) }
        return source.count
    }

    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        var written = 0
        for vector in vectors {
            written += writeOnce(
                UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len), at: offset + UInt64(written))
        }
        return written
    }

    func synchronizeOnce(dataOnly: Bool) -> Int32 { 0 }

    func truncateOnce(to length: UInt64) -> Int32 {
        bytes.removeSubrange(min(Int(length), bytes.count)...)
        return 0
    }

    func tryLock() -> Bool { true }
    func startWriteBack(_ range: Range<UInt64>) {}
    func advise(_ advice: Int32, _ range: Range<UInt64>) {}
}
