// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The file that entries are appended to. One thread at a time.
struct AuditFile {
    private let directory: AuditDirectory
    private let fileBytes: UInt64
    private let reserveBytes: UInt64
    private(set) var file: any VolumeFile
    private(set) var size: UInt64
    /// Up to here the disk has set room aside.
    private var reserved: UInt64 = 0
    /// When reserving was tried in vain, on the monotonic clock.
    private var refusedAt: UInt64 = 0

    /// Goes on in a file, or begins the one whose first entry has this number.
    init(
        _ directory: AuditDirectory, _ name: AuditDirectory.Name, size: UInt64?, fileBytes: UInt64, reserveBytes: UInt64
    ) throws(SystemError) {
        self.directory = directory
        self.fileBytes = fileBytes
        self.reserveBytes = reserveBytes
        self.size = size ?? 0
        let volume = directory.volume
        file = try volume.open(
            directory.file(name), size == nil ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, mode: 0o600)
        if size == nil { try volume.synchronizeDirectory(directory.path) }
        reserve()
    }

    /// Syncs it for the last time, and gives back what was set aside and not used.
    mutating func end() throws(SystemError) {
        try? file.truncate(to: size)
        reserved = 0
        try file.synchronizeData()
    }

    var isFull: Bool { size >= fileBytes }

    /// Appends a line; when it throws, nothing of it stands in the file, or `isTorn` says so.
    mutating func append(_ line: [UInt8], isTorn: inout Bool) throws(SystemError) {
        do throws(SystemError) {
            try line.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: size) }
        } catch {
            do { try file.truncate(to: size) } catch { isTorn = true }
            // It took away what was set aside behind the end, too.
            reserved = 0
            throw error
        }
        size += UInt64(line.count)
        if reserved < size + reserveBytes / 2 { reserve() }
    }

    /// Sets room aside, so that a disk that others fill does not at once forbid reading. Without it writing goes on while
    /// there is room.
    mutating func reserve() {
        let now = Clock.monotonicNanoseconds()
        guard reserveBytes > 0, now - refusedAt > 1_000_000_000 || refusedAt == 0 else { return }
        if file.reserve(size..<size + reserveBytes) {
            reserved = size + reserveBytes
        } else {
            refusedAt = now
        }
    }
}
