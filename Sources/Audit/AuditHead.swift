// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Glibc
import Platform

/// The number and the chain value of the last entry that was synced, kept apart from the entries: so a trail whose end was cut
/// off is known to be too short. Sealed with the key, so that nobody without it writes another one.
package struct AuditHead: Equatable, Sendable {
    package var number: UInt64
    package var chain: [UInt8]

    package init(number: UInt64, chain: [UInt8]) {
        self.number = number
        self.chain = chain
    }

    /// `NUMBER CHAIN`, as `snimok audit head` prints it.
    package var text: String { "\(number) \(Hexadecimal.text(chain))" }

    /// Reads what `text` gives.
    package init?(text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let number = UInt64(parts[0]),
            let chain = Hexadecimal.bytes(String(parts[1]), takesCapitals: false),
            chain.count == AuditChain.byteCount
        else { return nil }
        self.init(number: number, chain: chain)
    }

    // MARK: The file

    /// Always as long, and shorter than a sector: it is overwritten in place, and an unfinished write leaves the old one or
    /// the new one.
    static let fileBytes = 256

    private struct Content: Codable {
        var number: UInt64
        var chain: String
        var seal: String
    }

    func encoded(_ chain: AuditChain) -> [UInt8] {
        let seal = Hexadecimal.text(chain.seal(number, self.chain))
        var line = Array(
            "{\"number\":\(number),\"chain\":\"\(Hexadecimal.text(self.chain))\",\"seal\":\"\(seal)\"}".utf8)
        line += [UInt8](repeating: 0x20, count: Self.fileBytes - 1 - line.count)
        return line + [0x0A]
    }

    enum Reading: Equatable {
        case missing
        /// It is no head, or not one that was made with this key.
        case foreign
        case good(AuditHead)
    }

    /// The head that stands there; nil: none that was made with the trail's key.
    package static func load(_ directory: AuditDirectory) throws -> AuditHead? {
        guard case .good(let head) = try read(directory, try directory.chain(mayCreate: false)) else { return nil }
        return head
    }

    static func read(_ directory: AuditDirectory, _ chain: AuditChain) throws(SystemError) -> Reading {
        guard directory.volume.exists(directory.head) else { return .missing }
        let bytes = try directory.volume.contents(directory.head)
        guard !bytes.isEmpty else { return .missing }
        guard let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)),
            let value = Hexadecimal.bytes(content.chain, takesCapitals: false),
            value.count == AuditChain.byteCount,
            content.seal == Hexadecimal.text(chain.seal(content.number, value))
        else { return .foreign }
        return .good(AuditHead(number: content.number, chain: value))
    }
}
