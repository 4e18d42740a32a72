// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Foundation
import Glibc
import Platform
import Testing

@testable import Transport

/// Makes keys and their certificates in a folder that goes with it.
final class TestCertificates {
    private let folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// A key and its certificate, which is its own authority, made by the openssl command.
    func make() throws -> TLSFiles {
        let stem = "\(folder)/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let files = TLSFiles(certificate: "\(stem).pem", key: "\(stem).key", authorities: "\(stem).pem")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=Test station", "-addext", "subjectAltName=DNS:station.example,IP:10.1.2.3,email:radiology@example.org",
            "-keyout", files.key, "-out", files.certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return files
    }
}

@Suite("TLS on a socket")
struct TLSTests {
    private let certificates = TestCertificates()

    /// Two ends of a connection whose buffers are small, so that nothing fits at once.
    private func pair(
        _ files: TLSFiles, host: String = "station.example"
    ) throws -> (acceptor: Socket, requestor: Socket, sessions: [TLSSession]) {
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
        var size: Int32 = 4096
        for end in ends {
            setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, 4)
            setsockopt(end, SOL_SOCKET, SO_RCVBUF, &size, 4)
        }
        let streams = ends.map { StreamDescriptor(adopting: $0, isTCP: false, peer: "test") }
        let acceptor = TLSSession(try TLSContext(acceptor: files, clients: .required), streams[0])
        let requestor = TLSSession(
            try TLSContext(requestor: files), streams[1],
            expected: TLSExpectation(host: host, certificate: nil))
        return (Socket(streams[0], tls: acceptor), Socket(streams[1], tls: requestor), [acceptor, requestor])
    }

    private func shakeHands(_ sessions: [TLSSession]) throws {
        for session in sessions { try session.begin() }
        var isDone = [false, false]
        for _ in 0..<1000 where isDone != [true, true] {
            for (index, session) in sessions.enumerated() where !isDone[index] {
                switch session.handshake() {
                case .done: isDone[index] = true
                case .waiting: break
                case .failed(let why): Issue.record("\(why)")
                }
            }
        }
        #expect(isDone == [true, true])
    }

    @Test("What is written in vectors of all sizes through a narrow socket is what is read")
    func transfer() throws {
        let (acceptor, requestor, sessions) = try pair(try certificates.make())
        try shakeHands(sessions)
        #expect(sessions[0].peer.certificate?.names.first == "Test station")
        #expect(sessions[0].peer.version == "TLSv1.3")
        let sizes = [0, 1, 12, 16_383, 16_384, 16_385, 6, 100_000, 12, 300_000, 5]
        let sent = (0..<sizes.reduce(0, +)).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 50_000)
        var done = 0
        for _ in 0..<100_000 where received.count < sent.count {
            if done < sent.count { done += try write(sent, from: done, sizes, requestor) ?? 0 }
            let count = try buffer.withMutableRawBytes { memory throws(TransportError) in
                try acceptor.receive(into: memory)
            }
            received += buffer[..<(count ?? 0)]
        }
        #expect(received == sent)
        #expect(!acceptor.hasInput(until: 0))
    }

    /// Sends from `start` on, in vectors of these sizes.
    private func write(_ bytes: [UInt8], from start: Int, _ sizes: [Int], _ socket: Socket) throws -> Int? {
        try bytes.withRawBytes { bytes throws(TransportError) in
            var vectors: [iovec] = []
            var position = 0
            for size in sizes {
                let from = max(position, start)
                position += size
                guard position >= from else { continue }
                vectors.append(
                    iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress! + from), iov_len: position - from
                    ))
            }
            return try vectors.withUnsafeMutableBufferPointer { buffer throws(TransportError) in try socket.send(buffer)
            }
        }
    }

    @Test("The end is told as an end, after all that was sent before it")
    func end() throws {
        let (acceptor, requestor, sessions) = try pair(try certificates.make())
        try shakeHands(sessions)
        try requestor.sendAll([1, 2, 3], deadline: Clock.deadline(seconds: 1))
        requestor.shutdownWriting()
        var buffer = [UInt8](repeating: 0, count: 100)
        func read() throws -> Int? {
            try buffer.withMutableRawBytes { memory throws(TransportError) in try acceptor.receive(into: memory) }
        }
        #expect(acceptor.hasInput(until: 0))
        #expect(try read() == 3)
        #expect(try read() == 0)
    }

    @Test("A certificate for another host is refused, and both sides say why")
    func otherHost() throws {
        let (_, _, sessions) = try pair(try certificates.make(), host: "elsewhere.example")
        for session in sessions { try session.begin() }
        var said: [String] = []
        for _ in 0..<10 {
            for session in sessions {
                if case .failed(let why) = session.handshake() { said.append(why) }
            }
        }
        #expect(said.contains { $0.contains("certificate refused: hostname mismatch (Test station sha256:") })
    }

    @Test("A certificate that nobody vouches for is refused")
    func otherAuthority() throws {
        var mixed = try certificates.make()
        mixed.authorities = try certificates.make().authorities
        let (_, _, sessions) = try pair(mixed)
        for session in sessions { try session.begin() }
        var said: [String] = []
        for _ in 0..<10 {
            for session in sessions {
                if case .failed(let why) = session.handshake() { said.append(why) }
            }
        }
        #expect(said.contains { $0.hasPrefix("certificate refused: self-signed certificate") })
    }
}

@Suite("Rules for certificates")
struct CertificateRuleTests {
    private let certificates = TestCertificates()
    private let certificate = PeerCertificate(
        fingerprint: String(repeating: "0f", count: 32),
        names: ["CT1", "ct1.hospital.example", "10.1.2.3", "*.wild.example"])

    @Test(
        "By fingerprint or name",
        arguments: [
            (String(repeating: "0f", count: 32), true), (String(repeating: "0F", count: 32), true),
            (String(repeating: "0F:", count: 31) + "0F", true), (String(repeating: "0f", count: 31), false),
            (String(repeating: "1f", count: 32), false), ("CT1", true), ("ct1", true), ("CT", false), ("CT11", false),
            ("CT1.hospital.example", true), ("10.1.2.3", true), ("10.1.2.30", false), ("a.wild.example", false),
            ("", false),
        ])
    func matching(rule: String, isMet: Bool) { #expect(certificate.matches(rule) == isMet) }

    @Test("A certificate's names and fingerprint are read")
    func reading() throws {
        let files = try certificates.make()
        let context = try TLSContext(acceptor: files, clients: .none)
        let own = try withExtendedLifetime(context) {
            PeerCertificate(try #require(SSL_CTX_get0_certificate(context.pointer)))
        }
        #expect(own.names == ["Test station", "station.example", "10.1.2.3", "radiology@example.org"])
        #expect(own.fingerprint.utf8.count == 64)
    }
}

@Suite("Handshakes take turns")
struct HandshakeThreadsTests {
    @Test("An address with many steps keeps another one waiting for one of them")
    func turns() throws {
        let threads = try HandshakeThreads(count: 1)
        let order = Monitor<[String]>([])
        let gate = Monitor(false)
        // The one thread is held until all steps are there.
        threads.run(for: "held") { gate.wait { $0 ? true : nil } }
        for number in 0..<100 { threads.run(for: "many") { order.update { $0.append("many \(number)") } } }
        threads.run(for: "other") { order.update { $0.append("other") } }
        gate.update { $0 = true }
        let seen = order.wait(until: Clock.deadline(seconds: 10)) { $0.count == 101 ? $0 : nil }
        threads.stop()
        let list = try #require(seen)
        #expect(list.firstIndex(of: "other")! <= 1)
        #expect(list.filter { $0 != "other" } == (0..<100).map { "many \($0)" })
    }
}
