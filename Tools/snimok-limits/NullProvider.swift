// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import Glibc
import Platform
import Transport

/// The fastest that any provider of C-GET and C-MOVE can be with a given tool: every message that it sends was encoded
/// before, and lies in memory.
final class NullProvider: Sendable {
    private struct Instance: Sendable {
        let sopClassUID: String
        let sopInstanceUID: String
        let transferSyntaxUID: String
        let dataSet: [UInt8]
    }

    /// What a peer's context numbers and PDU length make of the messages.
    private struct Encoding: Hashable {
        let contextID: UInt8
        let maximumLength: Int
    }

    private let instances: [Instance]
    private let destination: Endpoint?
    private let encoded = Monitor<[Encoding: [[UInt8]]]>([:])

    init(folder: String, destination: Endpoint?) throws {
        instances = try Self.files(below: folder).compactMap { path in
            guard let file = try DICOMFile(path) else { return nil }
            let meta = file.meta
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Int(file.length))
            try file.forEachPiece(onError: { (error: SystemError) in error }) { piece, _ throws(SystemError) in
                bytes.append(contentsOf: piece)
            }
            return Instance(
                sopClassUID: meta.sopClassUID, sopInstanceUID: meta.sopInstanceUID,
                transferSyntaxUID: meta.transferSyntaxUID, dataSet: bytes)
        }
        self.destination = destination
    }

    private static func files(below folder: String) throws(SystemError) -> [String] {
        var result: [String] = []
        for name in try FileSystem.entries(folder) {
            let path = "\(folder)/\(name)"
            if name.hasSuffix(".dcm") { result.append(path) } else { result += try files(below: path) }
        }
        return result
    }

    func run() throws {
        try NullPeer.run { [self] association in
            let sink = DiscardingSink()
            while case .command(let command, let contextID) = try association.nextMessage() {
                if command.hasDataSet { try association.receiveDataSet(contextID: contextID, into: sink) }
                if command.commandField == .cMoveRequest {
                    try move(command)
                } else {
                    try send(over: association)
                }
                let counts = SubOperationCounts(completed: UInt16(clamping: instances.count))
                try association.send(
                    command.commandField == .cMoveRequest
                        ? .cMoveResponse(
                            to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID, status: .success,
                            counts: counts)
                        : .cGetResponse(
                            to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID, status: .success,
                            counts: counts), contextID: contextID)
            }
            try association.confirmRelease()
        }
    }

    private func move(_ command: CommandSet) throws {
        guard let destination, let first = instances.first else { return }
        let request = AssociateRequest(
            calledAETitle: command.moveDestination ?? "", callingAETitle: "NULL",
            presentationContexts: [
                ProposedPresentationContext(
                    id: 1, abstractSyntax: first.sopClassUID, transferSyntaxes: [first.transferSyntaxUID])
            ],
            userInformation: UserInformation(
                maximumLength: 1 << 20, implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName))
        let association = try Requestor.associate(with: destination, request, limits: NullPeer.limits)
        try send(over: association)
        try association.release()
    }

    private func send(over association: Association) throws {
        for message in try messages(for: association) {
            try message.withUnsafeBytes { bytes in try association.sendEncoded(bytes) }
            _ = try association.nextMessage()
        }
    }

    /// - Precondition: all files are of one class and syntax, as the slices of a study are.
    private func messages(for association: Association) throws -> [[UInt8]] {
        guard
            let context = association.negotiated.allContexts.first(where: {
                $0.abstractSyntax == instances.first?.sopClassUID
                    && $0.transferSyntax == instances.first?.transferSyntaxUID
            })
        else { throw TransportError.protocolViolation(.notSpecified, "the tool does not take these files") }
        let key = Encoding(contextID: context.id, maximumLength: association.negotiated.peerMaximumLength)
        return encoded.withLock { encoded in
            if let known = encoded[key] { return known }
            let messages = instances.enumerated().map { index, instance in
                var message: [UInt8] = []
                instance.dataSet.withUnsafeBytes { dataSet in
                    PDataWriter.appendMessage(
                        to: &message, contextID: key.contextID,
                        command: CommandSet.cStoreRequest(
                            messageID: UInt16(truncatingIfNeeded: index + 1), sopClassUID: instance.sopClassUID,
                            sopInstanceUID: instance.sopInstanceUID
                        ).encoded(), dataSet: dataSet, maximumLength: key.maximumLength)
                }
                return message
            }
            encoded[key] = messages
            return messages
        }
    }
}
