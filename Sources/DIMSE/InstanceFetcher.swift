// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import Glibc
import Platform
import Transport

/// Fetches single instances from another archive by C-GET, as files, in the one transfer syntax that is asked for.
package struct InstanceFetcher {
    package struct Instance {
        package let sopClassUID: String
        package let sopInstanceUID: String
        package let seriesInstanceUID: String
        package let studyInstanceUID: String
        package let transferSyntaxUID: String

        package init(
            sopClassUID: String, sopInstanceUID: String, seriesInstanceUID: String, studyInstanceUID: String,
            transferSyntaxUID: String
        ) {
            self.sopClassUID = sopClassUID
            self.sopInstanceUID = sopInstanceUID
            self.seriesInstanceUID = seriesInstanceUID
            self.studyInstanceUID = studyInstanceUID
            self.transferSyntaxUID = transferSyntaxUID
        }
    }

    private static let messageID: UInt16 = 1
    private static let getContext: UInt8 = 1
    private static let storeContext: UInt8 = 3
    private static let identifierSyntax = TransferSyntax.implicitVRLittleEndian

    private let endpoint: Endpoint
    private let tls: TLSConnector?
    private let callingAETitle: String
    private let calledAETitle: String

    /// - Parameter tls: nil: in the clear.
    package init(_ endpoint: Endpoint, tls: TLSConnector?, callingAETitle: String, calledAETitle: String) {
        self.endpoint = endpoint
        self.tls = tls
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
    }

    /// Writes the instance into a new file at `path`.
    /// - Returns: false: the other archive has none, or not in this transfer syntax.
    package func fetch(_ instance: Instance, to path: String) throws -> Bool {
        let association = try Requestor.associate(
            with: endpoint, tls: tls, request(instance), limits: TransportLimits())
        guard association.negotiated.context(Self.getContext) != nil,
            let store = association.negotiated.context(Self.storeContext), store.requestorIsSCP
        else {
            try association.release()
            return false
        }
        let identifier = identifier(instance)
        try identifier.withRawBytes { bytes throws(TransportError) in
            try association.send(
                .cGetRequest(messageID: Self.messageID, sopClassUID: SOPClass.studyRootGet),
                contextID: Self.getContext, dataSet: bytes)
        }
        var isStored = false
        while true {
            guard case .command(let command, let contextID) = try association.nextMessage() else {
                throw TransportError.closed
            }
            if command.commandField == .cGetResponse {
                if command.hasDataSet { try association.receiveDataSet(contextID: contextID, into: FileSink(nil)) }
                guard command.status?.isPending != true else { continue }
                try association.release()
                return isStored
            }
            guard command.commandField == .cStoreRequest, command.hasDataSet else {
                association.abort()
                throw TransportError.protocolViolation(.unexpectedPDU, "\(endpoint) did not answer a C-GET")
            }
            let isWanted = !isStored && command.affectedSOPInstanceUID == instance.sopInstanceUID
            let status = try receive(association, command, contextID, instance, isWanted ? path : nil)
            isStored = isStored || isWanted && status == .success
        }
    }

    private func request(_ instance: Instance) -> AssociateRequest {
        AssociateRequest(
            calledAETitle: calledAETitle, callingAETitle: callingAETitle,
            presentationContexts: [
                ProposedPresentationContext(
                    id: Self.getContext, abstractSyntax: SOPClass.studyRootGet,
                    transferSyntaxes: [Self.identifierSyntax.uid]),
                // No other syntax: in another one it would not be the same content.
                ProposedPresentationContext(
                    id: Self.storeContext, abstractSyntax: instance.sopClassUID,
                    transferSyntaxes: [instance.transferSyntaxUID]),
            ],
            userInformation: UserInformation(
                maximumLength: 1 << 20, implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName,
                roleSelections: [RoleSelection(sopClassUID: instance.sopClassUID, scuRole: false, scpRole: true)]))
    }

    private func identifier(_ instance: Instance) -> [UInt8] {
        var writer = DataSetWriter(transferSyntax: Self.identifierSyntax)
        writer.append(.sopInstanceUID, .ui, text: instance.sopInstanceUID)
        writer.append(.queryRetrieveLevel, .cs, text: "IMAGE")
        writer.append(.studyInstanceUID, .ui, text: instance.studyInstanceUID)
        writer.append(.seriesInstanceUID, .ui, text: instance.seriesInstanceUID)
        return writer.bytes
    }

    private func receive(
        _ association: Association, _ command: CommandSet, _ contextID: UInt8, _ instance: Instance, _ path: String?
    ) throws -> DIMSEStatus {
        let sink = FileSink(try path.map { try FileDescriptor.open($0, O_RDWR | O_CREAT | O_EXCL) })
        sink.append(
            FileMeta.encoded(
                sopClassUID: instance.sopClassUID, sopInstanceUID: instance.sopInstanceUID,
                transferSyntaxUID: instance.transferSyntaxUID))
        try association.receiveDataSet(contextID: contextID, into: sink)
        let status: DIMSEStatus = sink.failure == nil && path != nil ? .success : .processingFailure
        try association.send(
            .cStoreResponse(
                to: command.messageID ?? 0, sopClassUID: command.affectedSOPClassUID,
                sopInstanceUID: command.affectedSOPInstanceUID, status: status), contextID: contextID)
        if let failure = sink.failure { throw failure }
        return status
    }
}

/// Takes a data set into a file, or off the wire only.
private final class FileSink: DataSetSink {
    private let file: FileDescriptor?
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    private var length: UInt64 = 0
    private(set) var failure: SystemError?

    init(_ file: FileDescriptor?) { self.file = file }

    deinit { memory.deallocate() }

    func room() -> UnsafeMutableRawBufferPointer { memory }

    func received(_ count: Int) { append(UnsafeRawBufferPointer(rebasing: memory[..<count])) }

    func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { append($0) } }

    private func append(_ bytes: UnsafeRawBufferPointer) {
        guard let file, failure == nil else { return }
        do throws(SystemError) { try file.write(bytes, at: length) } catch { failure = error }
        length += UInt64(bytes.count)
    }
}
