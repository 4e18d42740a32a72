// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Glibc
import Platform
import Transport

/// One connection of an archive: does what it asks, one after the other, on files below one directory.
final class ReceiverSession {
    private static let openFilesMaximum = 1024
    /// For the rest of a request that has begun, and for taking an answer.
    private static let transferSeconds = 60.0

    private struct OpenFile {
        let file: any VolumeFile
        let isLockable: Bool
        /// In which it may be changed; nil: it may not.
        let term: UInt64?
    }

    private let socket: Socket
    private let volume: any Volume
    private let root: String
    private let lockPath: String
    private let fence: ReceiverFence
    /// The connection's number, and which connections it belongs to.
    private let id: UInt64
    private let session: [UInt8]
    private var files: [UInt32: OpenFile] = [:]
    private var nextFile: UInt32 = 0
    /// The last listing that was begun: it may take several answers.
    private var listing: [String] = []
    /// The file that is locked.
    private var locked: UInt32?
    var hasLock: Bool { locked != nil }
    private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: MirrorProtocol.dataMaximum, alignment: 4096)

    init(_ socket: Socket, _ root: String, _ fence: ReceiverFence, id: UInt64, session: [UInt8]) {
        self.socket = socket
        volume = SystemVolume()
        self.root = root
        lockPath = "\(root)/lock"
        self.fence = fence
        self.id = id
        self.session = session
    }

    deinit { memory.deallocate() }

    /// Until the archive hangs up.
    func run() throws(TransportError) {
        while true { try answerNext() }
    }

    /// Closes all files.
    func end() {
        fence.giveBack(id)
        files = [:]
    }

    private var deadline: UInt64 { Clock.deadline(seconds: Self.transferSeconds) }

    private func answerNext() throws(TransportError) {
        // A connection may rest for as long as it likes: the system watches whether the other machine is there.
        let head = try socket.receive(count: MirrorProtocol.Request.byteCount, deadline: .max)
        guard let request = MirrorProtocol.Request(decoding: head) else { throw Self.nonsense }
        let text = try socket.receive(count: Int(request.namesBytes), deadline: deadline)
        let data = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(request.dataBytes)])
        try socket.receiveAll(into: data, deadline: deadline)
        guard let names = String(validating: text, as: UTF8.self) else { throw Self.nonsense }
        var reply = MirrorProtocol.Reply()
        var out = UnsafeRawBufferPointer(start: nil, count: 0)
        do throws(SystemError) {
            (reply.value, out) = try perform(request, try paths(names), UnsafeRawBufferPointer(data))
        } catch {
            reply.code = error.code
        }
        reply.dataBytes = UInt32(out.count)
        try send(reply, out)
    }

    private static let nonsense = TransportError.timedOut("it asks what nobody asks; the connection is given up")

    /// Where the names are that a request is about.
    private func paths(_ names: String) throws(SystemError) -> [String] {
        let names = names.split(separator: "\0", omittingEmptySubsequences: false)
        guard names.allSatisfy(Self.isAllowed) else { throw SystemError("name", code: EINVAL) }
        return names.map { $0.isEmpty ? root : "\(root)/\($0)" }
    }

    private func send(_ reply: MirrorProtocol.Reply, _ data: UnsafeRawBufferPointer) throws(TransportError) {
        let head = reply.encoded
        try head.withRawBytes { head throws(TransportError) in
            let vectors = [head, data].filter { !$0.isEmpty }.map {
                iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
            }
            try socket.sendAll(gathering: vectors, deadline: deadline)
        }
    }

    /// Names of an archive's own files: at most a folder and a name, both of harmless letters, neither hidden nor leading
    /// out. "": the directory itself.
    static func isAllowed(_ name: Substring) -> Bool {
        guard !name.isEmpty else { return true }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= 2
            && parts.allSatisfy { part in
                guard let first = part.utf8.first, first != UInt8(ascii: ".") else { return false }
                return part.utf8.allSatisfy {
                    switch $0 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                        UInt8(ascii: "."), UInt8(ascii: "+"):
                        true
                    default: false
                    }
                }
            }
    }

    // MARK: What is asked

    private typealias Answer = (value: UInt64, data: UnsafeRawBufferPointer)
    private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    private func perform(
        _ request: MirrorProtocol.Request, _ paths: [String], _ data: UnsafeRawBufferPointer
    ) throws(SystemError) -> Answer {
        switch request.operation {
        case .open: return (try open(paths[0], request), Self.nothing)
        case .entries: return try entries(paths[0], from: request.offset)
        case .exists: return (volume.exists(paths[0]) ? 1 : 0, Self.nothing)
        case .freeBytes: return (try volume.freeBytes(paths[0]), Self.nothing)
        case .rename:
            guard paths.count == 2 else { throw SystemError("rename", code: EINVAL) }
            try change(paths) { () throws(SystemError) in try volume.rename(paths[0], to: paths[1]) }
        case .unlink: try change(paths) { () throws(SystemError) in try volume.unlink(paths[0]) }
        case .createDirectory:
            // The one that all is in is there; the lock, which stands in it, may not be.
            if paths[0] == root { break }
            try change(paths) { () throws(SystemError) in try volume.createDirectory(paths[0]) }
        case .synchronizeDirectory: try volume.synchronizeDirectory(paths[0])
        default: return try perform(request, on: try file(request), data)
        }
        return (0, Self.nothing)
    }

    /// Changes something under names, which needs the lock. What is locked keeps its place, or others could lock another
    /// file there.
    private func change(_ paths: [String], _ body: () throws(SystemError) -> Void) throws(SystemError) {
        guard !paths.contains(lockPath) else { throw SystemError("change the lock", lockPath, code: EPERM) }
        try fence.change(by: session, term: nil, body)
    }

    /// Changes an open file.
    private func change(_ open: OpenFile, _ body: () throws(SystemError) -> Void) throws(SystemError) {
        guard let term = open.term else { throw SystemError("write", open.file.path, code: ReceiverFence.refusal) }
        try fence.change(by: session, term: term, body)
    }

    private func perform(
        _ request: MirrorProtocol.Request, on open: OpenFile, _ data: UnsafeRawBufferPointer
    ) throws(SystemError) -> Answer {
        let file = open.file
        let range = request.offset..<request.offset + request.length
        switch request.operation {
        case .close:
            if locked == request.file {
                fence.giveBack(id)
                locked = nil
            }
            files[request.file] = nil
        case .size: return (try file.size(), Self.nothing)
        case .read:
            let part = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(request.length)])
            let count = try file.read(into: part, at: request.offset)
            return (UInt64(count), UnsafeRawBufferPointer(part).part(0..<count))
        case .write:
            try change(open) { () throws(SystemError) in try file.write(data, at: request.offset) }
        case .synchronize:
            if request.argument == 1 { try file.synchronizeData() } else { try file.synchronize() }
        case .truncate:
            try change(open) { () throws(SystemError) in try file.truncate(to: request.length) }
        case .lock:
            guard open.isLockable, locked == nil else { throw SystemError("flock", file.path, code: EINVAL) }
            guard fence.take(id, session, lock: { file.tryLock() }) else {
                throw SystemError("flock", file.path, code: EWOULDBLOCK)
            }
            locked = request.file
        case .startWriteBack: file.startWriteBack(range)
        case .advise: file.advise(Int32(truncatingIfNeeded: request.argument), range)
        case .digest:
            let digest = try RangeDigest.compute(file, range)
            digest.withUnsafeBytes { memory.copyMemory(from: $0) }
            return (0, UnsafeRawBufferPointer(memory).part(0..<digest.count))
        default: preconditionFailure("\(request.operation) is about no file")
        }
        return (0, Self.nothing)
    }

    private func file(_ request: MirrorProtocol.Request) throws(SystemError) -> OpenFile {
        guard let file = files[request.file] else { throw SystemError("file", code: EBADF) }
        return file
    }

    private func open(_ path: String, _ request: MirrorProtocol.Request) throws(SystemError) -> UInt64 {
        let flags = MirrorProtocol.OpenFlags(rawValue: request.argument)
        guard flags.isValid else { throw SystemError("open", path, code: EINVAL) }
        guard files.count < Self.openFilesMaximum else { throw SystemError("open", path, code: EMFILE) }
        let isLockable = path == lockPath
        let isChange = !flags.isEmpty && !isLockable
        let term = isChange ? fence.term(of: session) : nil
        // Nobody else makes links here, and those that the operator makes are not for others to follow.
        func open() throws(SystemError) -> any VolumeFile {
            try volume.open(path, flags.system | O_NOFOLLOW, mode: mode_t(request.mode & 0o660))
        }
        let file = isChange ? try fence.change(by: session, term: term, open) : try open()
        nextFile &+= 1
        files[nextFile] = OpenFile(file: file, isLockable: isLockable, term: term)
        return UInt64(nextFile)
    }

    /// As many names as go into a reply, of a listing that was made when the first were asked for; the value counts all.
    private func entries(_ path: String, from first: UInt64) throws(SystemError) -> Answer {
        if first == 0 { listing = try volume.entries(path) }
        var end = 0
        for name in listing.dropFirst(Int(min(first, UInt64(listing.count)))) {
            let bytes = Array(name.utf8) + [0]
            guard end + bytes.count <= memory.count else { break }
            UnsafeMutableRawBufferPointer(rebasing: memory[end...]).copyBytes(from: bytes)
            end += bytes.count
        }
        return (UInt64(listing.count), UnsafeRawBufferPointer(memory).part(0..<end))
    }
}
