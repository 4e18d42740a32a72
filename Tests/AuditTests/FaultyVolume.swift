// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The machine's disk, with faults where a test wants some, and a list of what was done to it.
final class FaultyVolume: Volume {
    struct State {
        var failsSyncs = false
        /// Writes find no room; the first one writes so many bytes before.
        var isFull = false
        var partBytes = 0
        var calls: [String] = []
    }

    private let system = SystemVolume()
    let state = Monitor(State())

    var calls: [String] { state.withLock { $0.calls } }
    func change(_ body: (inout State) -> Void) { state.withLock(body) }
    fileprivate func note(_ call: String) { state.withLock { $0.calls.append(call) } }

    func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        FaultyFile(self, try system.open(path, flags, mode: mode))
    }

    func rename(_ source: String, to target: String) throws(SystemError) { try system.rename(source, to: target) }
    func unlink(_ path: String) throws(SystemError) { try system.unlink(path) }
    func createDirectory(_ path: String) throws(SystemError) { try system.createDirectory(path) }
    func entries(_ directory: String) throws(SystemError) -> [String] { try system.entries(directory) }
    func exists(_ path: String) -> Bool { system.exists(path) }
    func synchronizeDirectory(_ directory: String) throws(SystemError) {
        try system.synchronizeDirectory(directory)
    }
    func freeBytes(_ path: String) throws(SystemError) -> UInt64 {
        state.withLock { $0.isFull } ? 0 : try system.freeBytes(path)
    }
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
        file.readOnce(into: buffer, at: offset)
    }

    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let room = volume.state.withLock { state -> Int? in
            defer { state.partBytes = 0 }
            return state.isFull && path.hasSuffix(".jsonl") ? state.partBytes : nil
        }
        guard let room else {
            volume.note("write \(path.split(separator: "/").last ?? "")")
            return file.writeOnce(bytes, at: offset)
        }
        if room > 0 { return file.writeOnce(UnsafeRawBufferPointer(rebasing: bytes[..<room]), at: offset) }
        errno = ENOSPC
        return -1
    }

    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        file.writeOnce(gathering: vectors, at: offset)
    }

    func synchronizeOnce(dataOnly: Bool) -> Int32 {
        if volume.state.withLock({ $0.failsSyncs }) {
            errno = EIO
            return -1
        }
        volume.note("sync \(path.split(separator: "/").last ?? "")")
        return file.synchronizeOnce(dataOnly: dataOnly)
    }

    func truncateOnce(to length: UInt64) -> Int32 { file.truncateOnce(to: length) }
    func tryLock() -> Bool { file.tryLock() }
    func reserve(_ range: Range<UInt64>) -> Bool { false }
    func startWriteBack(_ range: Range<UInt64>) {}
    func advise(_ advice: Int32, _ range: Range<UInt64>) {}
}
