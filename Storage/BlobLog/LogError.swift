// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// What the log refuses, finds damaged or cannot do.
package enum LogError: Error, CustomStringConvertible {
    case system(SystemError)
    /// Another process has the data directory open.
    case inUse(String)
    /// Written by a later version of the format.
    case newerFormat(Int, String)
    /// The directory holds something, but not this archive's data.
    case notAnArchive(String)
    /// Stored bytes do not match their checksum; never served.
    case damaged(String)
    /// An earlier write or sync failed; nothing is accepted until the archive was started again.
    case stopped(String)
    /// The device does not read, or sync, what stands behind the last record that the catalog is sure of.
    case unreadableEnd(String)
    /// There is no second copy now, and without one nothing is to be stored.
    case unmirrored(String)
    /// The mirror has records that the archive has not; neither is touched.
    case diverged(String)
    /// There is no archive, but a copy of one.
    case onlyMirror(String, String)
    /// Not all of the archive was copied there yet.
    case unfinishedMirror(String)

    package var description: String {
        switch self {
        case .system(let error): error.description
        case .inUse(let path): "the data directory \(path) is in use by another process"
        case .newerFormat(let version, let path):
            "\(path) was written by a newer version (format \(version), this one reads \(DataDirectory.newestFormat)); "
                + "update snimok or use another directory"
        case .notAnArchive(let path): "\(path) is not empty and holds no archive; choose another directory"
        case .damaged(let what): "stored bytes are damaged: \(what)"
        case .stopped(let reason): "the log is stopped after an error: \(reason); restart after the disk was checked"
        case .unreadableEnd(let what):
            "the end of the log cannot be read (\(what)); what was stored last may stand there, so nothing is cut off: "
                + "check the disk, then start again"
        case .unmirrored(let why): why
        case .diverged(let path):
            "\(path) holds records that this archive does not: one of them was used without the other, or restored from an "
                + "older state, and nothing of either is touched; start on the one that has more, and empty the other"
        case .unfinishedMirror(let path): "\(path) is a mirror to which not all of the archive was copied yet"
        case .onlyMirror(let data, let mirror):
            "\(data) holds no archive, but its mirror \(mirror) does: start with --data \(mirror) (where a receiver keeps it: there, with its directory), or copy it back to \(data)"
        }
    }

    /// Whether the bytes on the device are wrong or unreadable; anything else (no descriptors, no memory) says nothing
    /// about them.
    package var isDamage: Bool {
        if case .damaged = self { return true }
        return isUnreadable
    }

    /// The device fails, now; it may work at the next start.
    package var isUnreadable: Bool {
        if case .system(let error) = self { return error.code == EIO }
        return false
    }

    /// The next batch may be stored.
    var costsBatchOnly: Bool {
        if case .unmirrored = self { return true }
        return isOutOfSpace
    }

    package var isUnmirrored: Bool {
        if case .unmirrored = self { return true }
        return false
    }

    package var isOutOfSpace: Bool {
        if case .system(let error) = self { return error.isOutOfSpace }
        return false
    }
}

/// Runs `body`, whose only errors are the system's, and wraps them.
@discardableResult
func wrappingSystemErrors<Result>(_ body: () throws(SystemError) -> Result) throws(LogError) -> Result {
    do { return try body() } catch { throw .system(error) }
}
