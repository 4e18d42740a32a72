// SPDX-License-Identifier: Apache-2.0
import BlobLog
import CSystem
import Glibc
import Platform

/// The disk, the hash and the network, each alone.
enum MachineLimits {
    struct Figures: Encodable {
        let megabytesPerSecond: Double
        /// Of one step; nil where steps were not timed.
        var medianMilliseconds: Double?
        var seconds: Double
    }

    /// One sequential writer: appends and syncs each time, to a file that is removed again.
    ///
    /// - Parameter isDirect: past the page cache.
    static func append(file path: String, bytes size: Int, count steps: Int, isDirect: Bool) throws(SystemError)
        -> Figures
    {
        unlink(path)
        let file = try FileDescriptor.open(
            path, O_WRONLY | O_CREAT | O_EXCL | (isDirect ? csystem_o_direct() : 0), mode: 0o600)
        defer { unlink(path) }
        // Whole pages at a page, as direct writing wants them.
        let count = (size + 4095) / 4096 * 4096
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
        defer { memory.deallocate() }
        memory.copyBytes(from: noise(count))
        var times: [UInt64] = []
        let start = Clock.monotonicNanoseconds()
        for step in 0..<steps {
            let begin = Clock.monotonicNanoseconds()
            try file.write(UnsafeRawBufferPointer(memory), at: UInt64(step * count))
            try file.synchronizeData()
            times.append(Clock.monotonicNanoseconds() - begin)
        }
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        return Figures(
            megabytesPerSecond: Double(count * steps) / 1e6 / seconds,
            medianMilliseconds: Double(times.sorted()[steps / 2]) / 1e6, seconds: seconds)
    }

    static func hash(bytes count: Int, seconds limit: Double) -> Figures {
        let bytes = noise(count)
        let start = Clock.monotonicNanoseconds()
        var steps = 0
        var seconds = 0.0
        repeat {
            let hasher = BlobHasher(transferSyntaxUID: "1.2.840.10008.1.2.1", .blake3)
            bytes.withUnsafeBytes { hasher.update($0) }
            _ = hasher.finish()
            steps += 1
            seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        } while seconds < limit
        return Figures(megabytesPerSecond: Double(count * steps) / 1e6 / seconds, seconds: seconds)
    }

    /// One thread writes a mebibyte at a time, another reads.
    static func loopback(seconds limit: Double) throws(SystemError) -> Figures {
        let (reader, writer) = try connectedPair()
        let pump = try SystemThread(name: "writer") {
            let bytes = noise(1 << 20)
            while bytes.withUnsafeBytes({ send(writer.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }) > 0 {}
        }
        var target = [UInt8](repeating: 0, count: 1 << 20)
        var total = 0
        let start = Clock.monotonicNanoseconds()
        var seconds = 0.0
        while seconds < limit {
            let count = read(reader.raw, &target, target.count)
            guard count > 0 else { throw SystemError("read", "loopback") }
            total += count
            seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        }
        shutdown(reader.raw, Int32(SHUT_RDWR))
        pump.join()
        return Figures(megabytesPerSecond: Double(total) / 1e6 / seconds, seconds: seconds)
    }

    private static func connectedPair() throws(SystemError) -> (FileDescriptor, FileDescriptor) {
        func open() throws(SystemError) -> FileDescriptor {
            let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard raw >= 0 else { throw SystemError("socket") }
            return FileDescriptor(adopting: raw, path: "loopback")
        }
        let listener = try open()
        let writer = try open()
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let accepted = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(listener.raw, address, length) == 0, listen(listener.raw, 1) == 0,
                    getsockname(listener.raw, address, &length) == 0, connect(writer.raw, address, length) == 0
                else { return Int32(-1) }
                return accept(listener.raw, nil, nil)
            }
        }
        guard accepted >= 0 else { throw SystemError("connect", "loopback") }
        return (FileDescriptor(adopting: accepted, path: "loopback"), writer)
    }

    /// Bytes that no disk compresses.
    private static func noise(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { bytes.appendLittleEndian(generator.next() as UInt64) }
        return Array(bytes.prefix(count))
    }
}
