// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DICOM
import DICOMNetwork
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

    init(archive: Archive, association: Association, isRequestor: Bool) {
        self.archive = archive
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

    /// The stored syntax if the peer takes it, else one that the stored bytes can be re-encoded to without a codec.
    private func context(for version: CatalogVersion) -> NegotiatedContext? {
        let contexts = association.negotiated.allContexts.filter {
            $0.abstractSyntax == version.sopClassUID && (isRequestor ? $0.requestorIsSCU : $0.requestorIsSCP)
        }
        if let same = contexts.first(where: { $0.transferSyntax == version.transferSyntaxUID }) { return same }
        let stored = TransferSyntax(uid: version.transferSyntaxUID)
        guard stored.isUncompressed else { return nil }
        return contexts.first {
            let syntax = TransferSyntax(uid: $0.transferSyntax)
            return syntax.isUncompressed && !syntax.isDeflated
        }
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
        let source = TransferSyntax(uid: record.provenance[.transferSyntaxUID])
        let sender = ReencodingSender(
            association: association, contextID: context.id, from: source,
            to: TransferSyntax(uid: context.transferSyntax), dataSetOffset: Int(record.dataSetOffset))
        do throws(SendError) {
            let range = record.dataSetOffset..<record.header.payloadLength
            try record.forEachPiece(in: range, buffer: buffer) { bytes throws(SendError) in
                try sender.take(bytes)
            } onError: {
                .log($0)
            }
            try sender.finish()
        } catch { throw giveUp(error, hasBegun: sender.hasBegun) }
    }

    /// Bytes that fail their checksum are never sent. What was begun cannot be taken back within a message, so then the
    /// association ends.
    private func giveUp(_ error: SendError, hasBegun: Bool) -> Failure {
        if case .transport(let error) = error { return .transport(error) }
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
    case dataSet(DataSetError)
    case transport(TransportError)
}

/// Re-encodes pieces as they are read and sends what comes out.
private final class ReencodingSender {
    private let association: Association
    private let contextID: UInt8
    private var reencoder: Reencoder
    private let inflater: Inflater?
    /// Bytes of the data set that are not used up yet.
    private var window: [UInt8] = []
    private var windowOffset: Int
    private var output: [UInt8] = []
    private(set) var hasBegun = false

    init(
        association: Association, contextID: UInt8, from source: TransferSyntax, to target: TransferSyntax,
        dataSetOffset: Int
    ) {
        self.association = association
        self.contextID = contextID
        inflater = source.isDeflated ? Inflater(maximumBytes: 4 << 30) : nil
        windowOffset = source.isDeflated ? 0 : dataSetOffset
        reencoder = Reencoder(from: source, to: target, position: windowOffset)
    }

    func take(_ bytes: UnsafeRawBufferPointer) throws(SendError) {
        guard let inflater else { return try consume(bytes, isLast: false) }
        var failure: SendError?
        do throws(DataSetError) {
            try inflater.inflate(bytes) { piece throws(DataSetError) in
                guard failure == nil else { return }
                do throws(SendError) { try consume(piece, isLast: false) } catch { failure = error }
            }
        } catch { throw .dataSet(error) }
        if let failure { throw failure }
    }

    func finish() throws(SendError) {
        try consume(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true)
        guard reencoder.isComplete else { throw .dataSet(.endsEarly(at: windowOffset)) }
        try send(isLast: true)
    }

    private func consume(_ bytes: UnsafeRawBufferPointer, isLast: Bool) throws(SendError) {
        window.append(contentsOf: bytes)
        do {
            output += try window.withRawBytes { bytes throws(DataSetError) in
                try reencoder.consume(ByteWindow(bytes, offset: windowOffset, isLast: isLast))
            }
        } catch { throw .dataSet(error) }
        let used = min(max(0, reencoder.position - windowOffset), window.count)
        window.removeFirst(used)
        windowOffset += used
        // The last piece is held back until it is known to be the last.
        if output.count >= 1 << 20 { try send(isLast: false) }
    }

    private func send(isLast: Bool) throws(SendError) {
        hasBegun = true
        do {
            try output.withRawBytes { bytes throws(TransportError) in
                try association.sendDataSet(bytes, contextID: contextID, isLast: isLast)
            }
        } catch { throw .transport(error) }
        output.removeAll(keepingCapacity: true)
    }
}
