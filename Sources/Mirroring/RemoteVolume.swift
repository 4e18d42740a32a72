// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform
import Transport

/// The disk of a receiver (`snimok receive`) as a volume, so that everything that keeps a second copy on a disk keeps one
/// on another machine. A call fails with `ENOTCONN` where the receiver cannot be reached, never with an error of a disk.
///
/// Files that are written have a connection of their own, so that no sync waits for another file's; all else shares one.
package final class RemoteVolume: Volume {
    package struct Target: Sendable {
        package var host: String
        package var port: UInt16
        /// nil: in the clear, within one machine.
        package var tls: TLSConnector?
        /// Without an answer for so long, the receiver is given up.
        package var timeoutSeconds = 30.0

        package init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }
    }

    private struct State {
        var shared: MirrorConnection?
        /// Not dialled again before that.
        var dialDue: UInt64 = 0
    }

    static let connectSecondsMaximum = 10.0
    private static let redialSeconds = 1.0

    private let target: Target
    private let session: [UInt8]
    private let state = Monitor(State())
    /// Where the receiver's directory stands in the names of this volume.
    package let root: String

    package init(_ target: Target) {
        self.target = target
        root = "\(target.host):\(target.port)"
        session = (0..<16).map { _ in UInt8.random(in: 0...255) }
    }

    // MARK: Connections

    private func connect(_ subject: String) throws(SystemError) -> MirrorConnection {
        guard state.withLock({ Clock.monotonicNanoseconds() >= $0.dialDue }) else {
            throw SystemError("connect", subject, code: MirrorConnection.broken)
        }
        do throws(TransportError) { return try MirrorConnection(target, session: session) } catch {
            state.withLock { $0.dialDue = Clock.deadline(seconds: Self.redialSeconds) }
            throw SystemError("connect to the receiver (\(error))", subject, code: MirrorConnection.broken)
        }
    }

    private func shared(_ subject: String) throws(SystemError) -> MirrorConnection {
        if let known = state.withLock({ $0.shared }), known.isUsable { return known }
        let fresh = try connect(subject)
        state.withLock { $0.shared = fresh }
        return fresh
    }

    /// nil: it is above the receiver's directory, which is not ours to touch.
    private func relative(_ path: String) -> String? {
        if path == root { return "" }
        return path.hasPrefix(root + "/") ? String(path.dropFirst(root.count + 1)) : nil
    }

    @discardableResult
    private func ask(
        _ operation: MirrorProtocol.Operation, _ paths: String..., call: String
    ) throws(SystemError) -> UInt64 {
        let names = paths.compactMap { relative($0) }
        guard names.count == paths.count else { return 0 }
        let answer = try shared(paths[0]).ask(MirrorProtocol.Request(operation), names: names)
        guard answer.code == 0 else { throw SystemError(call, paths[0], code: answer.code) }
        return answer.value
    }

    // MARK: Volume

    package func open(_ path: String, _ flags: Int32, mode: mode_t) throws(SystemError) -> any VolumeFile {
        guard let name = relative(path), let wire = MirrorProtocol.OpenFlags(system: flags) else {
            throw SystemError("open", path, code: EINVAL)
        }
        if wire.isEmpty { return RemoteFile(try open(name, path), path) { [self] in try? open(name, path) } }
        let request = MirrorProtocol.Request(.open, argument: wire.rawValue, mode: UInt32(mode))
        return RemoteFile(try open(name, path, request, try connect(path)), path, reopen: nil)
    }

    /// For reading, on the connection that all of these share.
    private func open(_ name: String, _ path: String) throws(SystemError) -> RemoteFile.Place {
        try open(name, path, MirrorProtocol.Request(.open), try shared(path))
    }

    private func open(
        _ name: String, _ path: String, _ request: MirrorProtocol.Request, _ connection: MirrorConnection
    ) throws(SystemError) -> RemoteFile.Place {
        let answer = connection.ask(request, names: [name])
        guard answer.code == 0 else { throw SystemError("open", path, code: answer.code) }
        return RemoteFile.Place(connection: connection, number: UInt32(truncatingIfNeeded: answer.value))
    }

    package func rename(_ source: String, to target: String) throws(SystemError) {
        try ask(.rename, source, target, call: "rename")
    }

    package func unlink(_ path: String) throws(SystemError) { try ask(.unlink, path, call: "unlink") }

    package func createDirectory(_ path: String) throws(SystemError) { try ask(.createDirectory, path, call: "mkdir") }

    package func entries(_ directory: String) throws(SystemError) -> [String] {
        guard let name = relative(directory) else { throw SystemError("readdir", directory, code: EINVAL) }
        let connection = try shared(directory)
        var names: [String] = []
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: MirrorProtocol.dataMaximum, alignment: 16)
        defer { memory.deallocate() }
        while true {
            // Behind those that are here; the receiver answers with as many as go into a reply.
            let request = MirrorProtocol.Request(.entries, offset: UInt64(names.count))
            let answer = connection.ask(request, names: [name], into: memory)
            guard answer.code == 0 else { throw SystemError("readdir", directory, code: answer.code) }
            let bytes = UnsafeRawBufferPointer(memory).part(0..<answer.bytes)
            let more = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            names += more
            if more.isEmpty || UInt64(names.count) >= answer.value { return names }
        }
    }

    /// No answer is taken for a no, so the question is repeated where a connection has just ended.
    package func exists(_ path: String) -> Bool {
        for _ in 0..<2 {
            do throws(SystemError) { return try ask(.exists, path, call: "stat") != 0 } catch {
                guard error.code == MirrorConnection.broken else { return false }
            }
        }
        return false
    }

    package func synchronizeDirectory(_ directory: String) throws(SystemError) {
        try ask(.synchronizeDirectory, directory, call: "fsync")
    }

    package func freeBytes(_ path: String) throws(SystemError) -> UInt64 { try ask(.freeBytes, path, call: "statvfs") }
}

/// A file on a receiver's disk.
private final class RemoteFile: VolumeFile {
    struct Place {
        let connection: MirrorConnection
        let number: UInt32
    }

    let path: String
    private let place: Monitor<Place>
    /// Of a file that is only read, which may go on over another connection; one that is written must not, for nobody
    /// knows what became of its writes.
    private let reopen: (@Sendable () -> Place?)?
    private let isLocked = Monitor(false)

    init(_ place: Place, _ path: String, reopen: (@Sendable () -> Place?)?) {
        self.place = Monitor(place)
        self.path = path
        self.reopen = reopen
    }

    deinit {
        let place = place.withLock { $0 }
        guard !place.connection.isBroken else { return }
        let request = MirrorProtocol.Request(.close, file: place.number)
        // Whoever locks it next is to find it free.
        if isLocked.withLock({ $0 }) {
            _ = place.connection.ask(request)
        } else {
            _ = place.connection.write(request, [])
        }
    }

    private func ask(
        _ operation: MirrorProtocol.Operation, offset: UInt64 = 0, length: UInt64 = 0, argument: UInt32 = 0,
        into buffer: UnsafeMutableRawBufferPointer = .init(start: nil, count: 0)
    ) -> (code: Int32, value: UInt64, bytes: Int) {
        func ask(_ place: Place) -> (code: Int32, value: UInt64, bytes: Int) {
            place.connection.ask(
                MirrorProtocol.Request(
                    operation, file: place.number, offset: offset, length: length, argument: argument), into: buffer)
        }
        let answer = ask(place.withLock { $0 })
        guard answer.code == MirrorConnection.broken, let fresh = reopen?() else { return answer }
        place.withLock { $0 = fresh }
        return ask(fresh)
    }

    /// As a system call answers.
    private func answer(_ code: Int32, _ value: Int) -> Int {
        guard code != 0 else { return value }
        errno = code
        return -1
    }

    func sizeOnce() -> Int {
        let reply = ask(.size)
        return answer(reply.code, Int(clamping: reply.value))
    }

    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(MirrorProtocol.dataMaximum))
        let reply = ask(.read, offset: offset, length: UInt64(part.count), into: part)
        return answer(reply.code, reply.bytes)
    }

    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return withUnsafePointer(to: vector) { writeOnce(gathering: .init(start: $0, count: 1), at: offset) }
    }

    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        var part: [iovec] = []
        var count = 0
        for vector in vectors where count < MirrorProtocol.dataMaximum {
            let length = min(vector.iov_len, MirrorProtocol.dataMaximum - count)
            part.append(iovec(iov_base: vector.iov_base, iov_len: length))
            count += length
        }
        let place = place.withLock { $0 }
        let isSent = place.connection.write(MirrorProtocol.Request(.write, file: place.number, offset: offset), part)
        return answer(isSent ? 0 : MirrorConnection.broken, count)
    }

    /// The connection's writes are this file's: those that are written have one of their own.
    func synchronizeOnce(dataOnly: Bool) -> Int32 {
        // After the answer, all writes before it are answered, too.
        let reply = ask(.synchronize, argument: dataOnly ? 1 : 0)
        let failure = place.withLock { $0 }.connection.writeFailure
        return Int32(answer(failure == 0 ? reply.code : failure, 0))
    }

    func truncateOnce(to length: UInt64) -> Int32 { Int32(answer(ask(.truncate, length: length).code, 0)) }

    func tryLock() -> Bool {
        let isDone = ask(.lock).code == 0
        isLocked.withLock { $0 = isDone }
        return isDone
    }

    func startWriteBack(_ range: Range<UInt64>) { hint(.startWriteBack, range) }

    func advise(_ advice: Int32, _ range: Range<UInt64>) { hint(.advise, range, UInt32(bitPattern: advice)) }

    private func hint(_ operation: MirrorProtocol.Operation, _ range: Range<UInt64>, _ argument: UInt32 = 0) {
        _ = ask(
            operation, offset: range.lowerBound, length: range.upperBound - range.lowerBound, argument: argument)
    }

    func digest(of range: Range<UInt64>) -> [UInt8]? {
        var digest = [UInt8](repeating: 0, count: 32)
        let reply = digest.withUnsafeMutableBytes {
            ask(.digest, offset: range.lowerBound, length: range.upperBound - range.lowerBound, into: $0)
        }
        return reply.code == 0 && reply.bytes == digest.count ? digest : nil
    }
}
