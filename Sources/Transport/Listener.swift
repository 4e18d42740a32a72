// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

/// A listening socket.
final class Listener: Sendable {
    let file: FileDescriptor
    let port: UInt16?
    /// nil: what comes here is not encrypted.
    let tls: TLSCredentials?
    private let unixPath: String?

    init(_ endpoint: Endpoint, tls: TLSCredentials? = nil) throws(TransportError) {
        self.tls = tls
        switch endpoint {
        case .tcp(let host, let port):
            guard var address = try Socket.resolve(host, port).first else { throw .closed }
            let raw = socket(
                Int32(address.ss_family),
                Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard raw >= 0 else { throw .system(SystemError("socket")) }
            file = FileDescriptor(adopting: raw, path: endpoint.description)
            var one: Int32 = 1
            setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(raw, $0, Socket.addressLength($0, socklen_t(MemoryLayout<sockaddr_storage>.size)))
                }
            }
            guard bound == 0, listen(raw, 4096) == 0 else {
                throw .system(SystemError("listen on", endpoint.description))
            }
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            withUnsafeMutablePointer(to: &address) {
                _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(raw, $0, &length) }
            }
            self.port = withUnsafeBytes(of: &address) {
                UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            }
            unixPath = nil
        case .unix(let path):
            unlink(path)
            let raw = socket(
                AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard raw >= 0 else { throw .system(SystemError("socket")) }
            file = FileDescriptor(adopting: raw, path: path)
            let bound = try Socket.withUnixAddress(path) { address, length throws(TransportError) in
                bind(raw, address, length)
            }
            guard bound == 0, chmod(path, 0o600) == 0, listen(raw, 128) == 0 else {
                throw .system(SystemError("listen on", path))
            }
            port = nil
            unixPath = path
        }
    }

    deinit { if let unixPath { unlink(unixPath) } }

    /// The next connection that waits, and its peer's address.
    func accept() -> (StreamDescriptor, String)? {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let raw = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { csystem_accept(file.raw, $0, &length) }
        }
        guard raw >= 0 else { return nil }
        if unixPath != nil { return (StreamDescriptor(adopting: raw, isTCP: false, peer: "local"), "") }
        var name = [CChar](repeating: 0, count: 64)
        withUnsafePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo($0, length, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
            }
        }
        let peer = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return (StreamDescriptor(adopting: raw, isTCP: true, peer: peer), peer)
    }
}
