// SPDX-License-Identifier: Apache-2.0
import CCodecs
import CSystem
import Glibc
import Platform

/// A worker process as the archive sees it. One thread at a time.
final class CodecProcess {
    private let pid: pid_t
    private let socket: FileDescriptor
    private(set) var isAlive = true
    private(set) var requests = 0

    /// Starts this executable anew as a worker.
    init(memoryBytes: UInt64) throws(ImagingError) {
        var pair: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0 else {
            throw .failed(SystemError("socketpair", "").description)
        }
        socket = FileDescriptor(adopting: pair[0], path: "codec worker")
        defer { close(pair[1]) }
        _ = fcntl(pair[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(pair[0], F_SETFL, O_NONBLOCK)
        let result = csystem_spawn_worker("/proc/self/exe", "codec-worker", String(memoryBytes), pair[1])
        guard result > 0 else { throw .failed(SystemError("posix_spawn", "", code: Int32(-result)).description) }
        pid = pid_t(result)
    }

    deinit { if isAlive { kill() } }

    /// Ends the process at once.
    func kill() {
        guard isAlive else { return }
        isAlive = false
        Glibc.kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// Asks, and waits for the answer.
    /// - Parameters:
    ///   - data: what stands at the end of the request, whose length it says.
    ///   - cpuSeconds: of the processor that this request may use; the kernel enforces it.
    ///   - deadline: on the monotonic clock.
    func call(
        _ request: CodecMessage, _ data: UnsafeRawBufferPointer, cpuSeconds: UInt32, deadline: UInt64
    ) throws(ImagingError) -> CodecMessage {
        requests += 1
        csystem_limit_cpu(pid, UInt(cpuSeconds))
        do {
            var length = UInt32(request.bytes.count + data.count)
            try withUnsafeBytes(of: &length) { try write($0, deadline) }
            try request.bytes.withUnsafeBytes { try write($0, deadline) }
            try write(data, deadline)
            var replyLength: UInt32 = 0
            try withUnsafeMutableBytes(of: &replyLength) { try read($0, deadline) }
            guard replyLength <= CodecMessage.lengthMaximum else { throw CodecMessage.Broken() }
            let bytes = try [UInt8](unsafeUninitializedCapacity: Int(replyLength)) { memory, count in
                count = Int(replyLength)
                try read(
                    UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(memory)[..<count]), deadline)
            }
            return try Self.result(CodecMessage(reading: bytes))
        } catch let error as ImagingError {
            // A refusal leaves the worker as it was; what was stopped is gone.
            if case .decoderStopped = error { kill() }
            throw error
        } catch {
            kill()
            throw .decoderStopped("the decoder answered nonsense")
        }
    }

    private static func result(_ reply: CodecMessage) throws -> CodecMessage {
        var reply = reply
        let status = ccodecs_status(rawValue: try reply.number())
        let why = try reply.text()
        switch status {
        case CCODECS_OK: return reply
        case CCODECS_UNSUPPORTED: throw ImagingError.unsupported(why)
        case CCODECS_TOO_LARGE: throw ImagingError.tooLarge(why)
        default: throw ImagingError.malformed(why)
        }
    }

    // MARK: Bytes

    private func write(_ bytes: UnsafeRawBufferPointer, _ deadline: UInt64) throws {
        var done = 0
        while done < bytes.count {
            let count = send(socket.raw, bytes.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
            if count > 0 { done += count } else { try wait(Int16(POLLOUT), deadline) }
        }
    }

    private func read(_ buffer: UnsafeMutableRawBufferPointer, _ deadline: UInt64) throws {
        var done = 0
        while done < buffer.count {
            let count = recv(socket.raw, buffer.baseAddress! + done, buffer.count - done, 0)
            if count == 0 { throw ImagingError.decoderStopped("the decoder died of it") }
            if count > 0 { done += count } else { try wait(Int16(POLLIN), deadline) }
        }
    }

    private func wait(_ events: Int16, _ deadline: UInt64) throws {
        guard errno == EAGAIN || errno == EINTR else { throw ImagingError.decoderStopped("the decoder died of it") }
        let now = Clock.monotonicNanoseconds()
        guard now < deadline else { throw ImagingError.decoderStopped("it takes longer than is allowed") }
        var descriptor = pollfd(fd: socket.raw, events: events, revents: 0)
        _ = poll(&descriptor, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1))
    }
}
