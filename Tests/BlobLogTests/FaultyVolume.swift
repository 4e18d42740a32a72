// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// The machine's disk, with faults where a test wants some, and a list of what was done to it.
final class FaultyVolume: Volume {
    struct State {
        /// Reads of these bytes of files whose name ends so fail.
        var unreadable: (suffix: String, range: Range<UInt64>)?
        /// Files whose names end so cannot be removed.
        var unremovable: String?
        var takesDirectCalls = true
        var failsSyncs = false
        /// The next sync of data finds no room.
        var isFull = false
        var calls: [String] = []
    }

    private let system = SystemVolume()
    let state = Monitor(State())

    var calls: [String] { state.withLock { $0.calls } }

    func change(_ body: (inout State) -> Void) { state.withLock(body) }

    fileprivate func note(_ call: String) { state.withLock { $0.calls.append(call) } }

    func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        if flags & csystem_o_direct() != 0, !state.withLock({ $0.takesDirectCalls }) {
            throw SystemError("open", path, code: EINVAL)
        }
        return FaultyFile(self, try system.open(path, flags, mode: mode))
    }

    func rename(_ source: String, to target: String) throws(SystemError) {
        note("rename to \(target)")
        try system.rename(source, to: target)
    }

    func unlink(_ path: String) throws(SystemError) {
        if let suffix = state.withLock({ $0.unremovable }), path.hasSuffix(suffix) {
            throw SystemError("unlink", path, code: EIO)
        }
        try system.unlink(path)
    }

    func createDirectory(_ path: String) throws(SystemError) { try system.createDirectory(path) }
    func entries(_ directory: String) throws(SystemError) -> [String] { try system.entries(directory) }
    func exists(_ path: String) -> Bool { system.exists(path) }

    func synchronizeDirectory(_ directory: String) throws(SystemError) {
        note("sync \(directory)")
        try system.synchronizeDirectory(directory)
    }

    func freeBytes(_ path: String) throws(SystemError) -> UInt64 { try system.freeBytes(path) }
}

private final class FaultyFile: VolumeFile {
    private let volume: FaultyVolume
    private let file: any VolumeFile

    init(_ volume: FaultyVolume, _ file: any VolumeFile) {
        self.volume = volume
        self.file = file
    }

    var path: String { file.path }

    func sizeOnce() -> Int { file.sizeOnce() }

    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        let unreadable = volume.state.withLock { $0.unreadable }
        if let unreadable, path.hasSuffix(unreadable.suffix),
            unreadable.range.overlaps(offset..<offset + UInt64(buffer.count))
        {
            return Int(failed())
        }
        return file.readOnce(into: buffer, at: offset)
    }

    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        volume.note("write \(bytes.count) at \(offset) of \(path)")
        return file.writeOnce(bytes, at: offset)
    }

    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        file.writeOnce(gathering: vectors, at: offset)
    }

    func synchronizeOnce(dataOnly: Bool) -> Int32 {
        if volume.state.withLock({ $0.failsSyncs }) { return failed() }
        let isFull = volume.state.withLock { state in
            defer { if dataOnly { state.isFull = false } }
            return dataOnly && state.isFull
        }
        if isFull { return failed(ENOSPC) }
        volume.note("\(dataOnly ? "fdatasync" : "fsync") \(path)")
        return file.synchronizeOnce(dataOnly: dataOnly)
    }

    func truncateOnce(to length: UInt64) -> Int32 {
        volume.note("truncate \(path)")
        return file.truncateOnce(to: length)
    }

    func tryLock() -> Bool { file.tryLock() }
    func startWriteBack(_ range: Range<UInt64>) { file.startWriteBack(range) }
    func advise(_ advice: Int32, _ range: Range<UInt64>) { file.advise(advice, range) }

    private func failed(_ code: Int32 = EIO) -> Int32 {
        errno = code
        return -1
    }
}
