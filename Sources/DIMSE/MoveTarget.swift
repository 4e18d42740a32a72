// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import DICOM
import DICOMNetwork
import Glibc
import Platform
import Transport

/// Associations to a move destination: one for as many kinds of instances as fit into 128 presentation contexts, another
/// when the next instance needs a kind that was not proposed.
final class MoveTarget: SubOperationTarget {
    private static let connectAttempts = 3

    /// What a presentation context stands for.
    private struct Kind: Hashable {
        let sopClassUID: String
        let transferSyntaxUID: String
    }

    private let destination: Peer
    private let server: DIMSEServer
    /// In the order in which the instances come.
    private let kinds: [Kind]
    private var sender: InstanceSender
    private var proposed: Set<Kind>
    private var messageID: UInt16 = 0

    init(_ destination: Peer, _ versions: [CatalogVersion], _ server: DIMSEServer) throws(TransportError) {
        self.destination = destination
        self.server = server
        var seen: Set<Kind> = []
        kinds = versions.map { Kind(sopClassUID: $0.sopClassUID, transferSyntaxUID: $0.transferSyntaxUID) }
            .filter { seen.insert($0).inserted }
        (sender, proposed) = try Self.open(destination, server, kinds)
    }

    func release() { try? sender.association.release() }

    func store(
        _ version: CatalogVersion, next: CatalogVersion?, _ moveOriginator: (aeTitle: String, messageID: UInt16)?
    ) throws(TransportError) -> SubOperationResult {
        let kind = Kind(sopClassUID: version.sopClassUID, transferSyntaxUID: version.transferSyntaxUID)
        do {
            if !proposed.contains(kind) { try reopen(from: kind) }
            messageID &+= 1
            try sender.send(version, messageID: messageID, moveOriginator: moveOriginator)
            if let next { sender.prepare(next) }
            return try awaitResponse()
        } catch let error as InstanceSender.Failure {
            guard case .transport(let error) = error else {
                if case .instance(let why) = error { return .failed(why) }
                return .failed("\(error)")
            }
            return lost(error)
        } catch {
            return lost(error)
        }
    }

    private func awaitResponse() throws(TransportError) -> SubOperationResult {
        guard case .command(let response, _) = try sender.association.nextMessage(),
            response.commandField == .cStoreResponse
        else {
            sender.association.abort()
            throw .protocolViolation(.unexpectedPDU, "destination did not answer a store")
        }
        return SubOperationResult(response)
    }

    /// The destination is gone: this instance has failed; the next one tries a new association.
    private func lost(_ error: any Error) -> SubOperationResult {
        proposed = []
        return .failed("\(error)")
    }

    private func reopen(from kind: Kind) throws(TransportError) {
        release()
        let start = kinds.firstIndex(of: kind) ?? 0
        (sender, proposed) = try Self.open(destination, server, Array(kinds[start...]))
    }

    private static func open(
        _ destination: Peer, _ server: DIMSEServer, _ kinds: [Kind]
    ) throws(TransportError) -> (InstanceSender, Set<Kind>) {
        let (contexts, proposed) = contexts(kinds)
        let request = AssociateRequest(
            calledAETitle: destination.aeTitle, callingAETitle: server.settings.directory.aeTitle,
            presentationContexts: contexts,
            userInformation: UserInformation(
                maximumLength: UInt32(server.settings.limits.maximumPDULength),
                implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName))
        let endpoint = Endpoint.tcp(host: destination.host!, port: destination.port!)
        let tls = try server.settings.connector(to: destination)
        var attempt = 1
        while true {
            do {
                let association = try Requestor.associate(
                    with: endpoint, tls: tls, request, limits: server.settings.limits, withinSeconds: 15)
                association.rates = server.settings.rates(of: destination)
                return (InstanceSender(server, association: association, isRequestor: true), proposed)
            } catch {
                // A workstation that is just starting, or busy for a moment, is asked again; a refusal is an answer.
                if case .rejected(let reject) = error, reject.result == .permanent { throw error }
                if case .tls = error { throw error }
                guard attempt < connectAttempts else { throw error }
                usleep(UInt32(attempt) * 500_000)
                attempt += 1
            }
        }
    }

    /// For each kind a context with its own syntax alone, so that it cannot be talked into another; and for each SOP
    /// class with uncompressed instances one with the syntaxes that can be made of them.
    private static func contexts(_ kinds: [Kind]) -> ([ProposedPresentationContext], Set<Kind>) {
        var contexts: [ProposedPresentationContext] = []
        var proposed: Set<Kind> = []
        var plainClasses: Set<String> = []
        func propose(_ sopClass: String, _ syntaxes: [String]) {
            contexts.append(
                ProposedPresentationContext(
                    id: UInt8(contexts.count * 2 + 1), abstractSyntax: sopClass, transferSyntaxes: syntaxes))
        }
        for kind in kinds {
            guard contexts.count < 127 else { break }
            propose(kind.sopClassUID, [kind.transferSyntaxUID])
            proposed.insert(kind)
            if TransferSyntax(uid: kind.transferSyntaxUID).isUncompressed,
                plainClasses.insert(kind.sopClassUID).inserted
            {
                propose(
                    kind.sopClassUID,
                    [TransferSyntax.explicitVRLittleEndian.uid, TransferSyntax.implicitVRLittleEndian.uid])
            }
        }
        return (contexts, proposed)
    }
}
