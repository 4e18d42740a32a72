// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform
import Seeded

/// A disk in memory under the log, that forgets what was not synced. One thread at a time.
final class SimulatedVolume: Volume, @unchecked Sendable {
    /// How the file system takes writes past the page cache.
    enum DirectWriting { case accepted, refusedByOpen, refusedByWrite }

    var disk: SimulatedDisk
    let directWriting: DirectWriting
    /// Errors to give; nil: none.
    var faults: FaultPlan?
    /// Called before each call that changes something, with the disk as it is.
    var beforeChange: ((SimulatedDisk) -> Void)?
    private(set) var random: SplitMix
    private let trace: Trace
    fileprivate var locked: Set<Int> = []

    init(_ disk: SimulatedDisk, _ directWriting: DirectWriting, _ random: inout SplitMix, _ trace: Trace) {
        self.disk = disk
        self.directWriting = directWriting
        self.random = SplitMix(seed: random.next(), [])
        self.trace = trace
    }

    // MARK: Volume

    func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        let isDirect = flags & csystem_o_direct() != 0
        let known = disk.inode(path)
        let creates = known == nil && flags & O_CREAT != 0
        try admit(creates ? .create : .open, "open", path)
        if isDirect, directWriting == .refusedByOpen { throw SystemError("open", path, code: EINVAL) }
        if known != nil, flags & O_EXCL != 0 { throw SystemError("open", path, code: EEXIST) }
        var found = known
        if creates { found = try create(path) }
        guard let inode = found else { throw SystemError("open", path, code: ENOENT) }
        if flags & O_TRUNC != 0 { disk.withInode(inode) { $0.truncate(to: 0) } }
        return SimulatedFile(
            self, path: path, inode: inode, isDirect: isDirect, isWritable: flags & O_ACCMODE != O_RDONLY)
    }

    private func create(_ path: String) throws(SystemError) -> Int {
        guard disk.isDirectory(SimulatedDisk.parent(path)) else { throw SystemError("open", path, code: ENOENT) }
        return disk.createFile(path)
    }

    func rename(_ source: String, to target: String) throws(SystemError) {
        try admit(.rename, "rename \(source) to", target)
        guard disk.names[source] != nil else { throw SystemError("rename", target, code: ENOENT) }
        disk.rename(source, to: target)
    }

    func unlink(_ path: String) throws(SystemError) {
        try admit(.unlink, "unlink", path)
        guard disk.inode(path) != nil else { throw SystemError("unlink", path, code: ENOENT) }
        disk.unlink(path)
    }

    func createDirectory(_ path: String) throws(SystemError) {
        if disk.isDirectory(path) { return }
        try admit(.createDirectory, "mkdir", path)
        guard disk.isDirectory(SimulatedDisk.parent(path)) else { throw SystemError("mkdir", path, code: ENOENT) }
        disk.createDirectory(path)
    }

    func entries(_ directory: String) throws(SystemError) -> [String] {
        try admit(.entries, "entries", directory)
        guard disk.isDirectory(directory) else { throw SystemError("opendir", directory, code: ENOENT) }
        return disk.entries(directory)
    }

    // No fault here: how often a free name is looked for depends on the clock, and a repeated run must not.
    func exists(_ path: String) -> Bool { disk.names[path] != nil }

    func synchronizeDirectory(_ directory: String) throws(SystemError) {
        try admit(.synchronizeDirectory, "fsync", directory)
        guard disk.isDirectory(directory) else { throw SystemError("open", directory, code: ENOENT) }
        disk.synchronizeDirectory(directory)
    }

    func freeBytes(_ path: String) throws(SystemError) -> UInt64 { 1 << 40 }

    // MARK: For files

    /// To be called at the beginning of each call.
    private func admit(_ call: FaultPlan.Call, _ name: @autoclosure () -> String, _ path: String) throws(SystemError) {
        if let code = enter(call, name(), path) { throw SystemError(name(), path, code: code) }
    }

    /// The error that the call is to give; nil: none.
    fileprivate func enter(_ call: FaultPlan.Call, _ name: @autoclosure () -> String, _ path: String) -> Int32? {
        switch call {
        case .open, .size, .read, .entries: break
        default: beforeChange?(disk)
        }
        let code = faults?.fault(call)
        trace.add { "  \(name()) \(path)" + (code.map { " = \(String(cString: strerror($0)))" } ?? "") }
        return code
    }

    fileprivate func withInode<Result>(_ inode: Int, _ body: (inout SimulatedInode, inout SplitMix) -> Result) -> Result
    {
        disk.withInode(inode) { body(&$0, &random) }
    }
}

/// An open file of a simulated disk.
final class SimulatedFile: VolumeFile, @unchecked Sendable {
    let path: String
    private let volume: SimulatedVolume
    private let inode: Int
    private let isDirect: Bool
    private let isWritable: Bool
    private var hasLock = false

    init(_ volume: SimulatedVolume, path: String, inode: Int, isDirect: Bool, isWritable: Bool) {
        self.volume = volume
        self.path = path
        self.inode = inode
        self.isDirect = isDirect
        self.isWritable = isWritable
    }

    deinit { if hasLock { volume.locked.remove(inode) } }

    func sizeOnce() -> Int {
        if let code = volume.enter(.size, "size of", path) { return Int(failed(code)) }
        return volume.withInode(inode) { file, _ in file.size }
    }

    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        if let code = volume.enter(.read, "read \(buffer.count) at \(offset) of", path) { return Int(failed(code)) }
        let wanted = volume.faults?.shortened(buffer.count, to: unit) ?? buffer.count
        return volume.withInode(inode) { file, _ in
            let count = max(0, min(wanted, file.size - Int(offset)))
            guard count > 0 else { return 0 }
            if isDirect { file.prepareDirectRead() }
            let source = isDirect ? file.drive : file.cached
            let stored = max(0, min(count, source.count - Int(offset)))
            if stored > 0 {
                source.withUnsafeBytes { _ = memcpy(buffer.baseAddress!, $0.baseAddress! + Int(offset), stored) }
            }
            memset(buffer.baseAddress! + stored, 0, count - stored)
            return count
        }
    }

    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return withUnsafePointer(to: vector) {
            writeOnce(gathering: UnsafeBufferPointer(start: $0, count: 1), at: offset)
        }
    }

    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        let length = vectors.reduce(0) { $0 + $1.iov_len }
        if isDirect, volume.directWriting == .refusedByWrite || !isAligned(vectors, offset) {
            return Int(failed(EINVAL))
        }
        guard isWritable else { return Int(failed(EBADF)) }
        let code = volume.enter(.write, "write \(length) at \(offset)\(isDirect ? " past the cache" : "") of", path)
        if code == EINTR { return Int(failed(EINTR)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        for vector in vectors {
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len))
        }
        let count = volume.faults?.shortened(length, to: unit) ?? length
        if count < length { bytes.removeSubrange(count...) }
        if let code {
            writePart(of: bytes, at: Int(offset))
            return Int(failed(code))
        }
        volume.withInode(inode) { file, _ in file.write(bytes, at: Int(offset), isDirect: isDirect) }
        return count
    }

    /// A write that fails may have been at work.
    private func writePart(of bytes: [UInt8], at offset: Int) {
        volume.withInode(inode) { file, random in
            let count = random.below(bytes.count + 1) / unit * unit
            if count > 0, random.oneIn(2) { file.write(Array(bytes[..<count]), at: offset, isDirect: isDirect) }
        }
    }

    func synchronizeOnce(dataOnly: Bool) -> Int32 {
        let code = volume.enter(.synchronize, dataOnly ? "fdatasync" : "fsync", path)
        if code == EINTR { return failed(EINTR) }
        volume.withInode(inode) { file, random in
            if code == nil { file.synchronize(dataOnly: dataOnly) } else { file.failSynchronize(&random) }
        }
        return code.map(failed) ?? 0
    }

    func truncateOnce(to length: UInt64) -> Int32 {
        if let code = volume.enter(.truncate, "truncate to \(length)", path) { return failed(code) }
        guard isWritable else { return failed(EINVAL) }
        volume.withInode(inode) { file, _ in file.truncate(to: Int(length)) }
        return 0
    }

    func tryLock() -> Bool {
        guard volume.locked.insert(inode).inserted else { return false }
        hasLock = true
        return true
    }

    func startWriteBack(_ range: Range<UInt64>) {}
    func advise(_ advice: Int32, _ range: Range<UInt64>) {}

    /// What a transfer may be cut to: past the page cache whole sectors only.
    private var unit: Int { isDirect ? SimulatedInode.sectorBytes : 1 }

    private func isAligned(_ vectors: UnsafeBufferPointer<iovec>, _ offset: UInt64) -> Bool {
        let unit = SimulatedInode.sectorBytes
        return Int(offset) % unit == 0
            && vectors.allSatisfy { Int(bitPattern: $0.iov_base) % unit == 0 && $0.iov_len % unit == 0 }
    }

    private func failed(_ code: Int32) -> Int32 {
        errno = code
        return -1
    }
}
