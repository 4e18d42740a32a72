// SPDX-License-Identifier: Apache-2.0
import Access
import Catalog
import DICOM
import Glibc
import Platform
import Transport

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
    /// It calls over TLS, and is called over TLS.
    package var usesTLS: Bool
    /// Fingerprint or name that its certificate must have; nil: any that an authority vouches for.
    package var certificate: String?
    package var services: Set<DICOMService>
    /// Bytes a second of all its associations together; nil: as fast as it goes.
    package var rate: RateLimit?

    package init(
        aeTitle: String, addresses: [AddressRange] = [], host: String? = nil, port: UInt16? = nil, organisation: String,
        issuer: String = "", characterSet: String = "", shownReasons: HiddenReasons = [], usesTLS: Bool = false,
        certificate: String? = nil, services: Set<DICOMService> = Set(DICOMService.allCases),
        rate: RateLimit? = nil
    ) {
        self.aeTitle = aeTitle
        self.addresses = addresses
        self.host = host
        self.port = port
        self.organisation = organisation
        self.issuer = issuer
        self.characterSet = characterSet
        self.shownReasons = shownReasons
        self.usesTLS = usesTLS
        self.certificate = certificate
        self.services = services
        self.rate = rate
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

    /// What a caller is taken for. The reasons of PS3.8 section 9.3.4 name the title that is wrong; that it is the address or
    /// the certificate which does not fit a known title is told to the log alone.
    package func admit(calling: String, called: String, from caller: Caller) throws(Acceptor.Refusal) -> Peer {
        if caller.isLocal { return Peer(aeTitle: calling, organisation: organisation, issuer: issuer) }
        if checksCalledAETitle, called != aeTitle {
            throw Acceptor.Refusal(.calledAETitleNotRecognized, why: "the called AE title is not \(aeTitle)")
        }
        guard let peer = peer(calling) else {
            guard acceptsUnknownCallingAETitles else { throw Self.refusal("no peer has this calling AE title") }
            return Peer(aeTitle: calling, organisation: organisation, issuer: issuer)
        }
        guard peer.addresses.isEmpty || peer.addresses.contains(where: { $0.contains(caller.address) }) else {
            throw Self.refusal("the address is none of the peer's addresses")
        }
        guard !peer.usesTLS || caller.tls != nil else { throw Self.refusal("the peer must call over TLS (tls)") }
        if let certificate = peer.certificate {
            guard let shown = caller.tls?.certificate else {
                throw Self.refusal("the peer must show a certificate (certificate)")
            }
            guard shown.matches(certificate) else {
                throw Self.refusal("its certificate, \(shown), is not the peer's (certificate)")
            }
        }
        return peer
    }

    private static func refusal(_ why: String) -> Acceptor.Refusal {
        Acceptor.Refusal(.callingAETitleNotRecognized, why: why)
    }

    /// Who asks over an association of this peer.
    func asker(_ peer: Peer, from caller: Caller) -> Asker {
        Asker(
            kind: caller.isLocal ? .local : .station, name: peer.aeTitle, address: caller.address,
            permissions: caller.isLocal ? .all : Permissions(peer.services.map(\.permission)),
            scope: organisations.scope(of: peer.organisation), shownReasons: peer.shownReasons,
            isEncrypted: caller.tls != nil)
    }
}
