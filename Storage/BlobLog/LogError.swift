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

    package var description: String {
        switch self {
        case .system(let error): error.description
        case .inUse(let path): "the data directory \(path) is in use by another process"
        case .newerFormat(let version, let path):
            "\(path) was written by a newer version (format \(version), this one reads \(DataDirectory.format)); "
                + "update snimok or use another directory"
        case .notAnArchive(let path): "\(path) is not empty and holds no archive; choose another directory"
        case .damaged(let what): "stored bytes are damaged: \(what)"
        case .stopped(let reason): "the log is stopped after an error: \(reason); restart after the disk was checked"
        }
    }

    /// Whether the bytes on the device are wrong or unreadable; anything else (no descriptors, no memory) says nothing
    /// about them.
    package var isDamage: Bool {
        switch self {
        case .damaged: true
        case .system(let error): error.code == EIO
        default: false
        }
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
