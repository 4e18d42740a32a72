// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import Glibc
import Platform
import Transport

/// What both peers that do nothing share: they take every association on a free loopback port.
enum NullPeer {
    static let limits = TransportLimits()

    /// Serves until the process is killed.
    static func run(_ serve: @escaping @Sendable (Association) throws -> Void) throws {
        var settings = Acceptor.Settings()
        settings.associationsMaximum = 4096
        settings.associationsPerPeerMaximum = 4096
        let admission = Acceptor.Admission(policy) { association in
            do { try serve(association) } catch { Log.warning("association ended", ["why": "\(error)"]) }
        }
        let acceptor = try Acceptor([.tcp(host: "127.0.0.1", port: 0)], settings: settings) { _, _ in admission }
        try acceptor.run()
        let line = "ready \(acceptor.port ?? 0)\n"
        _ = line.withCString { write(1, $0, strlen($0)) }
        while true { pause() }
    }

    private static let policy = AcceptorPolicy(
        maximumLength: UInt32(limits.maximumPDULength), implementationClassUID: FileMeta.implementationClassUID,
        implementationVersionName: FileMeta.implementationVersionName, asynchronousOperationsWindowMaximum: 64,
        acceptsAbstractSyntax: { uid in
            // Query and retrieval are services; all else is storage.
            uid == "1.2.840.10008.1.1" || uid.hasPrefix("1.2.840.10008.5.1.4.1.2.")
                ? .service(transferSyntaxes: [TransferSyntax.explicitVRLittleEndian.uid]) : .storage
        })
}

/// Reads and forgets.
final class DiscardingSink: DataSetSink {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

    deinit { memory.deallocate() }

    func room() -> UnsafeMutableRawBufferPointer { memory }
    func received(_ count: Int) {}
}

/// The fastest that any acceptor of these transports can be: it takes each data set off the wire and answers.
enum NullAcceptor {
    static func run() throws {
        try NullPeer.run { association in
            let sink = DiscardingSink()
            while case .command(let command, let contextID) = try association.nextMessage() {
                if command.hasDataSet { try association.receiveDataSet(contextID: contextID, into: sink) }
                let response: CommandSet =
                    command.commandField == .cStoreRequest
                    ? .cStoreResponse(
                        to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID,
                        sopInstanceUID: command.affectedSOPInstanceUID, status: .success)
                    : .response(to: command, status: .success)
                try association.send(response, contextID: contextID)
            }
            try association.confirmRelease()
        }
    }
}
