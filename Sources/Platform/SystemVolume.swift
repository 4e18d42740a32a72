// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The disk of this machine: each call is the system's.
package struct SystemVolume: Volume {
    package init() {}

    package func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        try FileDescriptor.open(path, flags, mode: mode)
    }

    package func rename(_ source: String, to target: String) throws(SystemError) {
        try retryingInterrupts("rename", target) { Glibc.rename(source, target) }
    }

    package func unlink(_ path: String) throws(SystemError) {
        try retryingInterrupts("unlink", path) { Glibc.unlink(path) }
    }

    package func createDirectory(_ path: String) throws(SystemError) {
        if mkdir(path, 0o750) != 0, errno != EEXIST { throw SystemError("mkdir", path) }
    }

    package func entries(_ directory: String) throws(SystemError) -> [String] { try FileSystem.entries(directory) }

    package func exists(_ path: String) -> Bool { FileSystem.exists(path) }

    package func synchronizeDirectory(_ directory: String) throws(SystemError) {
        try FileDescriptor.open(directory, O_RDONLY | O_DIRECTORY).synchronize()
    }

    package func freeBytes(_ path: String) throws(SystemError) -> UInt64 { try FileSystem.freeBytes(path) }
}
