// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DICOM
import DICOMNetwork
import Imaging
import Platform
import Transport

/// Sends stored instances by C-STORE, as the SCU of a sub-operation: on the asker's own association (C-GET) or on one
/// opened to a destination (C-MOVE).
final class InstanceSender {
    enum Failure: Error {
        /// This instance cannot be sent; the association lives on.
        case instance(String)
        /// The association is gone.
        case transport(TransportError)
    }

    let archive: Archive
    private let transcoder: Transcoder
    let association: Association
    /// Whether we opened the association; decides in which contexts we are SCU.
    let isRequestor: Bool
    private let buffer = ReadBuffer()
    private var prepared: Prepared?

    /// An instance that was read ahead and verified.
    private struct Prepared {
        let blobID: [UInt8]
        let record: StoredRecord
        /// The whole data set.
        let dataSet: UnsafeRawBufferPointer
    }

    init(_ server: DIMSEServer, association: Association, isRequestor: Bool) {
        archive = server.archive
        transcoder = server.transcoder
        self.association = association
        self.isRequestor = isRequestor
    }

    /// Sends one instance, up to where its response is awaited.
    func send(
        _ version: CatalogVersion, messageID: UInt16, moveOriginator: (aeTitle: String, messageID: UInt16)?
    ) throws(Failure) {
        guard let context = context(for: version) else {
            throw .instance("no presentation context for \(version.transferSyntaxUID)")
        }
        let ahead = prepared.flatMap { $0.blobID == version.blobID ? $0 : nil }
        prepared = nil
        let record: StoredRecord
        do { record = try ahead?.record ?? archive.record(of: version) } catch { throw .instance("\(error)") }
        let command = CommandSet.cStoreRequest(
            messageID: messageID, sopClassUID: version.sopClassUID, sopInstanceUID: version.sopInstanceUID,
            moveOriginator: moveOriginator)
        association.queue(command, contextID: context.id)
        if context.transferSyntax == version.transferSyntaxUID {
            try sendStored(record, context, dataSet: ahead?.dataSet)
        } else {
            try sendReencoded(record, context)
        }
    }

    /// Reads and verifies an instance that will be sent next, while the peer is busy with the one before. What goes wrong
    /// here goes wrong again when it is sent, and is told then.
    func prepare(_ version: CatalogVersion) {
        guard version.dataSetLength <= Self.preparedMaximum, let record = try? archive.record(of: version) else {
            return
        }
        let range = record.dataSetOffset..<record.header.payloadLength
        guard let dataSet = try? record.read(range, into: buffer) else { return }
        prepared = Prepared(blobID: version.blobID, record: record, dataSet: dataSet)
    }

    private static let preparedMaximum: UInt64 = 1 << 20

    /// The stored syntax if the peer takes it, else one that costs nothing but new heads, else the best that frames can be
    /// made in; lossy ones last.
    private func context(for version: CatalogVersion) -> NegotiatedContext? {
        let contexts = association.negotiated.allContexts.filter {
            $0.abstractSyntax == version.sopClassUID && (isRequestor ? $0.requestorIsSCU : $0.requestorIsSCP)
        }
        if let same = contexts.first(where: { $0.transferSyntax == version.transferSyntaxUID }) { return same }
        let stored = TransferSyntax(uid: version.transferSyntaxUID)
        let makeable = contexts.filter {
            let target = TransferSyntax(uid: $0.transferSyntax)
            return !target.isDeflated && transcoder.canMake(target, from: stored)
        }
        return makeable.first { TransferSyntax(uid: $0.transferSyntax).isUncompressed }
            ?? makeable.first { $0.transferSyntax != TransferSyntax.jpegBaseline.uid } ?? makeable.first
    }

    // MARK: Data sets

    private func sendStored(
        _ record: StoredRecord, _ context: NegotiatedContext, dataSet: UnsafeRawBufferPointer?
    ) throws(Failure) {
        if let dataSet {
            do { try association.sendDataSet(dataSet, contextID: context.id, isLast: true) } catch {
                throw .transport(error)
            }
            return
        }
        let range = record.dataSetOffset..<record.header.payloadLength
        var sent = range.lowerBound
        do throws(SendError) {
            try record.forEachPiece(in: range, buffer: buffer) { bytes throws(SendError) in
                sent += UInt64(bytes.count)
                do throws(TransportError) {
                    try association.sendDataSet(bytes, contextID: context.id, isLast: sent == range.upperBound)
                } catch { throw .transport(error) }
            } onError: {
                .log($0)
            }
        } catch { throw giveUp(error, hasBegun: sent > range.lowerBound) }
    }

    private func sendReencoded(_ record: StoredRecord, _ context: NegotiatedContext) throws(Failure) {
        var hasBegun = false
        do {
            let instance = InstanceTranscoder(transcoder, record, to: TransferSyntax(uid: context.transferSyntax))
            try instance.forEachPiece { bytes, isLast in
                hasBegun = true
                try association.sendDataSet(bytes, contextID: context.id, isLast: isLast)
            }
        } catch { throw giveUp(error, hasBegun: hasBegun) }
    }

    /// Bytes that fail their checksum are never sent. What was begun cannot be taken back within a message, so then the
    /// association ends.
    private func giveUp(_ error: any Error, hasBegun: Bool) -> Failure {
        if let error = error as? TransportError { return .transport(error) }
        if case .transport(let error)? = error as? SendError { return .transport(error) }
        Log.error("stored instance cannot be sent", ["association": "\(association.id)", "why": "\(error)"])
        guard hasBegun else {
            association.discardQueued()
            return .instance("\(error)")
        }
        association.abort()
        return .transport(.closed)
    }
}

private enum SendError: Error {
    case log(LogError)
    case transport(TransportError)
}
