// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An open file of a `Volume`. The calls named `…Once` are one system call each and answer as it does: a negative number,
/// with `errno` set, when it failed. The loops around interrupted and short calls stand in the extension, so that they
/// are the same over a real disk and over a simulated one.
package protocol VolumeFile: AnyObject, Sendable {
    /// For error sentences only.
    var path: String { get }

    func sizeOnce() -> Int
    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int
    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int
    /// At most 1,024 vectors.
    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int
    /// - Parameter dataOnly: data, and the size needed to read it, but no times.
    func synchronizeOnce(dataOnly: Bool) -> Int32
    func truncateOnce(to length: UInt64) -> Int32

    /// Locks the file against other openings of it until it is closed; false: another has the lock.
    func tryLock() -> Bool
    /// Starts writing back a range without waiting for it; a hint, without an answer.
    func startWriteBack(_ range: Range<UInt64>)
    /// Sets room aside for a range without changing the file's size, so that writing there finds it when the disk is full;
    /// false: it cannot be had.
    func reserve(_ range: Range<UInt64>) -> Bool
    /// Tells how a range will be read (`POSIX_FADV_…`; an empty one at 0: the whole file); a hint, without an answer.
    func advise(_ advice: Int32, _ range: Range<UInt64>)
    /// BLAKE3 of a range, computed where the file is, for one that is far away; nil: read it.
    func digest(of range: Range<UInt64>) -> [UInt8]?
}

extension VolumeFile {
    package func reserve(_ range: Range<UInt64>) -> Bool { false }
    package func digest(of range: Range<UInt64>) -> [UInt8]? { nil }

    package func size() throws(SystemError) -> UInt64 {
        UInt64(try retryingInterrupts("fstat", path) { sizeOnce() })
    }

    /// Reads at `offset` until `buffer` is full or the file ends; returns the bytes read.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = try retryingInterrupts("pread", path) { readOnce(into: rest, at: offset + UInt64(done)) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let rest = bytes.part(done..<bytes.count)
            done += try retryingInterrupts("pwrite", path) { writeOnce(rest, at: offset + UInt64(done)) }
        }
    }

    /// Writes all vectors one behind the other at `offset`, in as few calls as the system allows (1,024 vectors each).
    package func write(gathering vectors: inout [iovec], at offset: UInt64) throws(SystemError) {
        var position = offset
        var first = 0
        while first < vectors.count {
            let batch = first..<min(vectors.count, first + 1024)
            let written = try retryingInterrupts("pwritev", path) {
                vectors.withUnsafeBufferPointer { writeOnce(gathering: .init(rebasing: $0[batch]), at: position) }
            }
            position += UInt64(written)
            vectors.stepOver(written, from: &first)
        }
    }

    /// Waits until the data, and the size needed to read it, are on the device. An error is final: Linux reports a
    /// failed write-back once, and a later call would say success over pages that never arrived.
    package func synchronizeData() throws(SystemError) {
        try retryingInterrupts("fdatasync", path) { synchronizeOnce(dataOnly: true) }
    }

    package func synchronize() throws(SystemError) {
        try retryingInterrupts("fsync", path) { synchronizeOnce(dataOnly: false) }
    }

    package func truncate(to length: UInt64) throws(SystemError) {
        try retryingInterrupts("ftruncate", path) { truncateOnce(to: length) }
    }
}
