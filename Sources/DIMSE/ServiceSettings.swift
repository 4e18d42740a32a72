// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import DICOM
import DICOMNetwork
import Platform
import Transport

/// What the DIMSE services work with.
package struct ServiceSettings: Sendable {
    package var directory = PeerDirectory()
    package var limits = TransportLimits()
    /// Operations that may be outstanding on one association.
    package var asynchronousOperations: UInt16 = 16
    /// Rows after which a query ends with A700H; nil: no limit.
    package var queryResultLimit: Int?
    package var commitment = CommitmentSettings()
    /// Bytes a second of all associations together; nil: as fast as it goes.
    package var rate: RateLimit?
    /// nil: users are not asked for.
    package var authenticator: Authenticator?
    /// nil: no TLS.
    package var tls: TLSCredentials?

    package init() {}

    /// What an association with a peer keeps, whoever has opened it.
    func rates(of peer: Peer) -> [RateLimit] { [peer.rate, rate].compactMap { $0 } }

    /// How a peer is called; nil: in the clear.
    package func connector(to peer: Peer) throws(TransportError) -> TLSConnector? {
        // Who must show a certificate is not called where none is shown.
        guard peer.usesTLS || peer.certificate != nil else { return nil }
        guard let tls else {
            throw .tls("\(peer.aeTitle) must be called over TLS, which is not configured (dicom.tls)")
        }
        return TLSConnector(tls, certificate: peer.certificate)
    }
}

/// Which SOP classes are offered, and how.
enum ServiceClasses {
    static let verification = "1.2.840.10008.1.1"
    static let patientRootFind = "1.2.840.10008.5.1.4.1.2.1.1"
    static let patientRootMove = "1.2.840.10008.5.1.4.1.2.1.2"
    static let patientRootGet = "1.2.840.10008.5.1.4.1.2.1.3"
    static let studyRootFind = "1.2.840.10008.5.1.4.1.2.2.1"
    static let studyRootMove = "1.2.840.10008.5.1.4.1.2.2.2"
    static let studyRootGet = "1.2.840.10008.5.1.4.1.2.2.3"

    static let find: [String: QueryKeys.Root] = [patientRootFind: .patient, studyRootFind: .study]
    static let move: [String: QueryKeys.Root] = [patientRootMove: .patient, studyRootMove: .study]
    static let get: [String: QueryKeys.Root] = [patientRootGet: .patient, studyRootGet: .study]

    /// Explicit VR first: it loses nothing.
    static let messageSyntaxes = [
        TransferSyntax.explicitVRLittleEndian.uid, TransferSyntax.implicitVRLittleEndian.uid,
        TransferSyntax.explicitVRBigEndian.uid,
    ]

    /// Services of DICOM that are not storage and not offered; everything else is taken for a storage class, so that
    /// retired, private and future ones are stored like all others.
    private static let otherServices = [
        "1.2.840.10008.1.", "1.2.840.10008.3.1.", "1.2.840.10008.4.2", "1.2.840.10008.5.1.1.",
        "1.2.840.10008.5.1.4.1.2.",
        "1.2.840.10008.5.1.4.1.3", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.32", "1.2.840.10008.5.1.4.33",
        "1.2.840.10008.5.1.4.34.4", "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.6", "1.2.840.10008.5.1.4.37",
        "1.2.840.10008.5.1.4.38", "1.2.840.10008.5.1.4.39.2", "1.2.840.10008.5.1.4.39.3", "1.2.840.10008.5.1.4.39.4",
        "1.2.840.10008.5.1.4.41", "1.2.840.10008.5.1.4.42", "1.2.840.10008.5.1.4.43.2", "1.2.840.10008.5.1.4.43.3",
        "1.2.840.10008.5.1.4.43.4", "1.2.840.10008.5.1.4.44.2", "1.2.840.10008.5.1.4.44.3", "1.2.840.10008.5.1.4.44.4",
        "1.2.840.10008.5.1.4.45.2", "1.2.840.10008.5.1.4.45.3", "1.2.840.10008.5.1.4.45.4",
    ]

    static func support(_ abstractSyntax: String) -> AbstractSyntaxSupport {
        if abstractSyntax == verification || find[abstractSyntax] != nil || move[abstractSyntax] != nil
            || get[abstractSyntax] != nil
        {
            return .service(transferSyntaxes: messageSyntaxes)
        }
        guard UIDGrammar.check(abstractSyntax) != .unacceptable else { return .unsupported }
        // Media Storage Directory is no storage class, yet files of it are sent, and kept.
        if abstractSyntax != "1.2.840.10008.1.3.10", otherServices.contains(where: abstractSyntax.hasPrefix) {
            return .unsupported
        }
        return .storage
    }

    /// The same with storage commitment as a service of the archive's.
    static func supportWithCommitment(_ abstractSyntax: String) -> AbstractSyntaxSupport {
        abstractSyntax == StorageCommitment.sopClassUID
            ? .service(transferSyntaxes: messageSyntaxes) : support(abstractSyntax)
    }

    /// Extended negotiation of C-FIND (PS3.4 section C.5.1.1): relational queries and date-time matching are
    /// supported, semantic ("fuzzy") matching and timezone adjustment are not.
    static func extendedNegotiation(_ proposal: SOPClassExtendedNegotiation) -> SOPClassExtendedNegotiation? {
        let offered = find[proposal.sopClassUID] != nil ? [1, 1, 0, 0, 0] : [UInt8(1)]
        guard find[proposal.sopClassUID] ?? move[proposal.sopClassUID] ?? get[proposal.sopClassUID] != nil else {
            return nil
        }
        let answer = zip(proposal.applicationInformation, offered).map { $0 & $1 }
        return SOPClassExtendedNegotiation(sopClassUID: proposal.sopClassUID, applicationInformation: answer)
    }
}
