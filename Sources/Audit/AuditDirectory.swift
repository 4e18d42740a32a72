// SPDX-License-Identifier: Apache-2.0
import CSodium
import Glibc
import Platform

/// Where the trail is: its files, its key, and the head that is kept apart.
package struct AuditDirectory: Sendable {
    package let path: String
    package let keyFile: String
    let volume: any Volume

    /// - Parameters:
    ///   - data: the archive's directory.
    ///   - keyFile: of the chain's key; empty: in the archive's directory.
    package init(data: String, keyFile: String = "", volume: any Volume = SystemVolume()) {
        path = "\(data)/audit"
        self.keyFile = keyFile.isEmpty ? "\(data)/audit.key" : keyFile
        self.volume = volume
    }

    var head: String { "\(path)/head" }
    var lock: String { "\(path)/lock" }

    /// A file of the trail, named by the number of its first entry.
    struct Name: Comparable {
        let first: UInt64

        init(_ first: UInt64) { self.first = first }

        init?(_ text: String) {
            guard text.hasSuffix(".jsonl"), text.utf8.count == 22, let number = UInt64(text.prefix(16)) else {
                return nil
            }
            first = number
        }

        var text: String {
            let digits = String(first)
            return String(repeating: "0", count: max(0, 16 - digits.count)) + digits + ".jsonl"
        }

        static func < (one: Name, other: Name) -> Bool { one.first < other.first }
    }

    func file(_ name: Name) -> String { "\(path)/\(name.text)" }

    /// In order.
    func files() throws(SystemError) -> [Name] {
        guard volume.exists(path) else { return [] }
        return try volume.entries(path).compactMap(Name.init).sorted()
    }

    // MARK: The key

    /// - Throws: when it is missing though there is a trail, or is no key: a new one would make all that stands there worthless.
    package func chain(mayCreate: Bool) throws(AuditError) -> AuditChain {
        precondition(sodium_init() >= 0, "libsodium cannot start")
        do {
            if volume.exists(keyFile) {
                let text = try volume.contents(keyFile).prefix { $0 != 0x0A }
                guard let key = Hexadecimal.bytes(text, takesCapitals: false), key.count == AuditChain.byteCount else {
                    throw AuditProblem.unsound("\(keyFile) holds no key")
                }
                return AuditChain(key: key)
            }
            guard mayCreate, try files().isEmpty else {
                throw AuditProblem.unsound("its key \(keyFile) is missing")
            }
            return AuditChain(key: try makeKey())
        } catch { throw .stopped("\(error)") }
    }

    private func makeKey() throws(SystemError) -> [UInt8] {
        var key = [UInt8](repeating: 0, count: AuditChain.byteCount)
        randombytes_buf(&key, key.count)
        // Made with its mode, before `replace` writes into it, so that at no time others may read it.
        _ = try volume.open(keyFile + ".new", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try volume.replace(keyFile, with: Array((Hexadecimal.text(key) + "\n").utf8))
        return key
    }
}

/// What is wrong with what stands on the disk.
enum AuditProblem: Error, CustomStringConvertible {
    case unsound(String)

    var description: String {
        switch self {
        case .unsound(let what): what
        }
    }
}
