// SPDX-License-Identifier: Apache-2.0
import Access
import Catalog
import DICOM
import Glibc
import Platform

/// An application entity that the operator has configured.
package struct Peer: Sendable {
    package var aeTitle: String
    /// Address ranges it may call from, as `10.1.0.0/16`; empty: from anywhere.
    package var addresses: [AddressRange]
    /// Where it takes C-STORE; nil: it is no move destination.
    package var host: String?
    package var port: UInt16?
    package var organisation: String
    package var issuer: String
    /// For text whose Specific Character Set is wrong or missing; empty: believe what is declared.
    package var characterSet: String
    /// What it is shown of that which rejection notes hide from others.
    package var shownReasons: HiddenReasons

    package init(
        aeTitle: String, addresses: [AddressRange] = [], host: String? = nil, port: UInt16? = nil, organisation: String,
        issuer: String = "", characterSet: String = "", shownReasons: HiddenReasons = []
    ) {
        self.aeTitle = aeTitle
        self.addresses = addresses
        self.host = host
        self.port = port
        self.organisation = organisation
        self.issuer = issuer
        self.characterSet = characterSet
        self.shownReasons = shownReasons
    }
}

/// A range of IPv4 or IPv6 addresses.
package struct AddressRange: Sendable, Equatable {
    private let bytes: [UInt8]
    private let prefixBits: Int

    /// Reads `10.1.0.0/16`, `fd00::/8` or a single address; nil if it is none of these.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1)
        guard let first = parts.first, let bytes = Self.address(String(first)) else { return nil }
        guard parts.count == 1 || (Int(parts[1]).map { (0...bytes.count * 8).contains($0) } ?? false) else {
            return nil
        }
        self.bytes = bytes
        prefixBits = parts.count == 2 ? Int(parts[1])! : bytes.count * 8
    }

    package func contains(_ address: String) -> Bool {
        guard let other = Self.address(address), other.count == bytes.count else { return false }
        for bit in 0..<prefixBits {
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            if bytes[bit / 8] & mask != other[bit / 8] & mask { return false }
        }
        return true
    }

    private static func address(_ text: String) -> [UInt8]? {
        var text = text
        // An IPv4 caller of an IPv6 socket.
        if text.hasPrefix("::ffff:"), text.contains(".") { text = String(text.dropFirst(7)) }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var six = in6_addr()
        if inet_pton(AF_INET6, text, &six) == 1 { return withUnsafeBytes(of: &six) { Array($0) } }
        return nil
    }
}

/// Who may call, and what is known about each.
package struct PeerDirectory: Sendable {
    /// Of the archive itself.
    package var aeTitle = "SNIMOK"
    package var organisation = "default"
    package var issuer = ""
    package var organisations = OrganisationDirectory()
    package var peers: [Peer] = []
    package var checksCalledAETitle = true
    package var acceptsUnknownCallingAETitles = true

    package init() {}

    package func peer(_ aeTitle: String) -> Peer? { peers.first { $0.aeTitle == aeTitle } }

    /// What an association from `aeTitle` at `address` is taken for; nil: it may not call.
    /// - Parameter address: empty for the socket in the data directory, where only the operator is.
    package func admit(_ aeTitle: String, at address: String) -> Peer? {
        if address.isEmpty { return Peer(aeTitle: aeTitle, organisation: organisation, issuer: issuer) }
        guard let peer = peer(aeTitle) else {
            guard acceptsUnknownCallingAETitles else { return nil }
            return Peer(aeTitle: aeTitle, organisation: organisation, issuer: issuer)
        }
        guard peer.addresses.isEmpty || peer.addresses.contains(where: { $0.contains(address) }) else { return nil }
        return peer
    }

    /// Who asks over an association of this peer.
    func asker(_ peer: Peer, at address: String, connection: String) -> Asker {
        Asker(
            kind: address.isEmpty ? .local : .station, name: peer.aeTitle, address: address,
            permissions: address.isEmpty ? .all : .station, scope: organisations.scope(of: peer.organisation),
            shownReasons: peer.shownReasons, connection: connection)
    }
}
