// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// An open file, closed when the last reference goes: shared by the threads that read it by position.
package final class FileDescriptor: VolumeFile {
    package let raw: Int32
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

    package func sizeOnce() -> Int {
        var status = stat()
        return fstat(raw, &status) == 0 ? status.st_size : -1
    }

    package func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        pread(raw, buffer.baseAddress, buffer.count, off_t(offset))
    }

    package func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        pwrite(raw, bytes.baseAddress, bytes.count, off_t(offset))
    }

    package func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        pwritev(raw, vectors.baseAddress, Int32(vectors.count), off_t(offset))
    }

    package func synchronizeOnce(dataOnly: Bool) -> Int32 { dataOnly ? fdatasync(raw) : fsync(raw) }

    package func truncateOnce(to length: UInt64) -> Int32 { ftruncate(raw, off_t(length)) }

    package func tryLock() -> Bool { flock(raw, LOCK_EX | LOCK_NB) == 0 }

    package func startWriteBack(_ range: Range<UInt64>) {
        _ = csystem_start_writeback(raw, off_t(range.lowerBound), off_t(range.count))
    }

    package func reserve(_ range: Range<UInt64>) -> Bool {
        csystem_reserve(raw, off_t(range.lowerBound), off_t(range.count)) == 0
    }

    package func advise(_ advice: Int32, _ range: Range<UInt64>) {
        guard advice == POSIX_FADV_WILLNEED else {
            posix_fadvise(raw, off_t(range.lowerBound), off_t(range.count), advice)
            return
        }
        // Linux brings no more than the device's read-ahead for one call, whatever was asked for.
        for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.readAheadBytes) {
            let count = min(UInt64(Self.readAheadBytes), range.upperBound - start)
            posix_fadvise(raw, off_t(start), off_t(count), advice)
        }
    }

    /// Waits until a range is in the page cache. Advice alone leaves out what the kernel has no memory for at once; to read it
    /// copies what nobody wants yet, in four times the processor time. What cannot be brought is left, without a word.
    package func populate(_ range: Range<UInt64>) {
        let start = range.lowerBound / Self.pageBytes * Self.pageBytes
        let count = Int(range.upperBound - start)
        let pages = mmap(nil, count, PROT_READ, MAP_SHARED, raw, off_t(start))
        guard let pages, pages != MAP_FAILED else { return }
        madvise(pages, count, MADV_POPULATE_READ)
        munmap(pages, count)
    }

    private static let pageBytes = UInt64(sysconf(Int32(_SC_PAGESIZE)))

    /// As Linux sets it for a device of which it knows nothing.
    private static let readAheadBytes = 128 << 10
}

/// The few directory operations of the archive.
package enum FileSystem {
    /// Creates `path` and its missing parents.
    package static func createDirectories(_ path: String) throws(SystemError) {
        try SystemVolume().createDirectories(path)
    }

    /// Names in `directory`, sorted, without `.` and `..`.
    package static func entries(_ directory: String) throws(SystemError) -> [String] {
        var opened = opendir(directory)
        while opened == nil, errno == EINTR { opened = opendir(directory) }
        guard let stream = opened else { throw SystemError("opendir", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // An error ends the list as its end does; half a list would be taken for all there is.
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw SystemError("readdir", directory) }
                break
            }
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
    package static func contents(_ path: String) throws(SystemError) -> [UInt8] { try SystemVolume().contents(path) }

    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
