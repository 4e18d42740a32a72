// SPDX-License-Identifier: Apache-2.0
import Access
import DICOMNetwork
import Testing
import Transport

@testable import DIMSE

@Suite("Who may call")
struct PeerRuleTests {
    private static let shown = PeerCertificate(fingerprint: String(repeating: "ab", count: 32), names: ["CT1"])
    private static let other = PeerCertificate(fingerprint: String(repeating: "cd", count: 32), names: ["CT2"])

    private static func caller(_ address: String, _ certificate: PeerCertificate? = nil, isEncrypted: Bool = false)
        -> Caller
    {
        Caller(
            address: address,
            tls: certificate != nil || isEncrypted
                ? TLSPeer(version: "TLSv1.3", cipher: "", certificate: certificate) : nil)
    }

    private var directory: PeerDirectory {
        var directory = PeerDirectory()
        directory.acceptsUnknownCallingAETitles = false
        let range = [AddressRange("10.1.0.0/16")!]
        directory.peers = [
            Peer(aeTitle: "ANYWHERE", organisation: "A"), Peer(aeTitle: "RANGE", addresses: range, organisation: "A"),
            Peer(aeTitle: "SECURE", organisation: "A", usesTLS: true),
            Peer(aeTitle: "NAMED", organisation: "A", certificate: "CT1"),
            Peer(
                aeTitle: "ALL", addresses: range, organisation: "A", usesTLS: true, certificate: Self.shown.fingerprint),
        ]
        return directory
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let calling: String
        var called = "SNIMOK"
        let caller: Caller
        /// Nil: admitted.
        let why: String?
        var testDescription: String { "\(calling) \(called) \(caller.address) \(why ?? "admitted")" }
    }

    @Test(
        "Each rule refuses for itself",
        arguments: [
            Case(calling: "ANYWHERE", caller: caller("192.0.2.1"), why: nil),
            Case(calling: "ANYWHERE", called: "snimok", caller: caller("192.0.2.1"), why: "called AE title"),
            Case(calling: "anywhere", caller: caller("192.0.2.1"), why: "no peer has"),
            Case(calling: "STRANGER", caller: caller("10.1.2.3", shown), why: "no peer has"),
            Case(calling: "RANGE", caller: caller("10.1.2.3"), why: nil),
            Case(calling: "RANGE", caller: caller("10.2.2.3"), why: "the address"),
            Case(calling: "RANGE", caller: caller("::ffff:10.1.2.3"), why: nil),
            Case(calling: "SECURE", caller: caller("192.0.2.1"), why: "(tls)"),
            Case(calling: "SECURE", caller: caller("192.0.2.1", isEncrypted: true), why: nil),
            Case(calling: "NAMED", caller: caller("192.0.2.1"), why: "must show a certificate"),
            Case(calling: "NAMED", caller: caller("192.0.2.1", isEncrypted: true), why: "must show a certificate"),
            Case(calling: "NAMED", caller: caller("192.0.2.1", other), why: "is not the peer's"),
            Case(calling: "NAMED", caller: caller("192.0.2.1", shown), why: nil),
            Case(calling: "ALL", caller: caller("10.1.2.3", shown), why: nil),
            Case(calling: "ALL", caller: caller("10.2.2.3", shown), why: "the address"),
            Case(calling: "ALL", caller: caller("10.1.2.3", other), why: "is not the peer's"),
            // The socket in the data directory is the operator's.
            Case(calling: "IMPORT", called: "", caller: caller(""), why: nil),
        ])
    func admission(_ test: Case) {
        do throws(Acceptor.Refusal) {
            let peer = try directory.admit(calling: test.calling, called: test.called, from: test.caller)
            #expect(test.why == nil)
            #expect(peer.aeTitle == test.calling)
        } catch {
            #expect(error.why.contains(test.why ?? "-"), "\(error.why)")
            #expect(
                error.reject
                    == (test.called == "SNIMOK" ? .callingAETitleNotRecognized : .calledAETitleNotRecognized))
        }
    }

    @Test(
        "A station may do what its services are for",
        arguments: [
            (Set(DICOMService.allCases), Permissions.station), ([.echo], []), ([.find], [.query]),
            ([.get], [.retrieve]),
            ([.move, .commit], [.retrieve, .store]),
        ] as [(Set<DICOMService>, Permissions)])
    func permissions(services: Set<DICOMService>, expected: Permissions) {
        let peer = Peer(aeTitle: "A", organisation: "A", services: services)
        #expect(directory.asker(peer, from: Self.caller("192.0.2.1")).permissions == expected)
    }

    @Test(
        "What is offered to whom may use it, and to others",
        arguments: [
            ("1.2.840.10008.1.1", [.echo], true), ("1.2.840.10008.1.1", [.store], false),
            ("1.2.840.10008.5.1.4.1.2.1.1", [.find], true), ("1.2.840.10008.5.1.4.1.2.2.1", [.get, .move], false),
            ("1.2.840.10008.5.1.4.1.2.2.3", [.get], true), ("1.2.840.10008.5.1.4.1.2.2.2", [.get], false),
            ("1.2.840.10008.1.20.1", [.commit], true), ("1.2.840.10008.1.20.1", [.store], false),
        ] as [(String, Set<DICOMService>, Bool)])
    func services(uid: String, allowed: Set<DICOMService>, isOffered: Bool) {
        let offered = ServiceClasses.supportWithCommitment(uid)
        #expect(DICOMService.support(uid, offered, allowed: allowed) == (isOffered ? offered : .refused))
    }

    @Test("Storage classes go to the requestor where only C-GET is allowed")
    func storage() {
        let ct = "1.2.840.10008.5.1.4.1.1.2"
        #expect(DICOMService.support(ct, .storage, allowed: [.store]) == .storage)
        #expect(DICOMService.support(ct, .storage, allowed: [.get]) == .storageToRequestor)
        #expect(DICOMService.support(ct, .storage, allowed: [.find]) == .refused)
        #expect(DICOMService.support("1.2.840.10008.5.1.1.1", .unsupported, allowed: [.find]) == .unsupported)
    }
}
