// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// A large object on its way to disk: received into a file of its own, so that memory stays flat.
package final class LargeObjectFile {
    private let directory: DataDirectory
    private var path: String
    private let file: any VolumeFile
    private var isOwned = true
    /// nil: there is no mirror, or it is detached.
    private let copy: MirrorLargeFile?
    package let number: UInt64
    package private(set) var length: UInt64 = 0

    package init(_ directory: DataDirectory, mirror: Mirror? = nil) throws(LogError) {
        self.directory = directory
        number = UInt64.random(in: 1...UInt64.max)
        path = "\(directory.incoming)/\(number).part"
        let path = path
        file = try wrappingSystemErrors { () throws(SystemError) in
            try directory.volume.open(path, O_RDWR | O_CREAT | O_EXCL)
        }
        copy = mirror.flatMap { [number] in MirrorLargeFile($0, number: number) }
    }

    /// A file that nobody kept is removed.
    deinit {
        guard isOwned else { return }
        try? directory.volume.unlink(path)
        copy?.remove()
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(LogError) {
        try wrappingSystemErrors { () throws(SystemError) in try file.write(bytes, at: length) }
        copy?.append(bytes, at: length)
        // Start write-back now, so that the sync at the end of gigabytes does not wait for all of them.
        let before = length
        length += UInt64(bytes.count)
        if before >> 25 != length >> 25 {
            let start = (before >> 25) << 25
            file.startWriteBack(start..<start + 1 << 25)
            copy?.startWriteBack(start..<start + 1 << 25)
        }
    }

    /// Makes the file durable under its final name in `incoming`.
    package func finish(_ blobID: BlobID) throws(LogError) {
        let name = directory.largeName(blobID, number: number)
        let final = "\(directory.incoming)/\(name)"
        // So that both devices are at work while one of them is waited for.
        copy?.startWriteBack(0..<length)
        try wrappingSystemErrors { () throws(SystemError) in
            try file.synchronize()
            try directory.volume.rename(path, to: final)
            path = final
            try directory.volume.synchronizeDirectory(directory.incoming)
        }
        copy?.finish(name)
    }

    /// The log refers to the file now: it stays, whatever happens, and moves to its place.
    package func keep(_ blobID: BlobID) {
        isOwned = false
        let name = directory.largeName(blobID, number: number)
        try? directory.volume.rename(path, to: "\(directory.large)/\(name)")
        copy?.keep(name)
    }

    /// The log may or may not refer to the file: it stays where it is, for the next start to decide.
    package func leave() { isOwned = false }

    /// Reads a part of what was appended.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(LogError) -> Int {
        try wrappingSystemErrors { () throws(SystemError) in try file.read(into: buffer, at: offset) }
    }

    /// Moves the refused file to `target`.
    func move(to target: String) throws(LogError) {
        try wrappingSystemErrors { () throws(SystemError) in
            try directory.volume.rename(path, to: target)
        }
        copy?.remove()
        isOwned = false
    }
}
