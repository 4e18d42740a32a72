// SPDX-License-Identifier: Apache-2.0
import BlobLog
import CSodium
import Catalog
import DICOM
import Platform

/// One instance on its way in: takes the data set's bytes as they come, and at the end either has a record ready for
/// the log or a reason why not. What is refused for its content goes to quarantine whole.
package final class Ingest {
    package let sopClassUID: String
    package let sopInstanceUID: String
    private let archive: Archive
    private let transferSyntax: TransferSyntax
    private let source: IngestSource
    private var analyzer: PayloadAnalyzer
    private var failure: ArchiveError?
    /// The study that the sender said it stores into; nil: any.
    package var expectedStudyInstanceUID: String?
    /// As the catalog has them; known after the last byte.
    package private(set) var studyInstanceUID = ""
    package private(set) var seriesInstanceUID = ""

    private var buffer: PooledBuffer
    private let dataSetOffset: Int
    /// Offset in the payload of the buffer's first byte; above 0 once the object went to a file.
    private var bufferOffset = 0
    private var file: LargeObjectFile?

    init(
        _ archive: Archive, sopClassUID: String, sopInstanceUID: String, transferSyntax: TransferSyntax,
        source: IngestSource
    ) {
        self.archive = archive
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.transferSyntax = transferSyntax
        self.source = source
        buffer = archive.buffers.borrow()
        let meta = FileMeta.encoded(
            sopClassUID: sopClassUID, sopInstanceUID: sopInstanceUID, transferSyntaxUID: transferSyntax.uid)
        dataSetOffset = meta.count
        buffer.room.copyBytes(from: meta)
        buffer.count = meta.count
        analyzer = PayloadAnalyzer(
            transferSyntax: transferSyntax, dataSetOffset: meta.count, contentHash: archive.directory.contentHash)
        if !archive.space.isEnough { failure = .outOfSpace }
        if let refusal = archive.log.mirror?.refusal { failure = .unavailable(refusal) }
        if let refusal = archive.committer.refusal { failure = refusal }
        for (tag, uid) in [(Tag.sopClassUID, sopClassUID), (.sopInstanceUID, sopInstanceUID)]
        where UIDGrammar.check(uid) == .unacceptable {
            failure = failure ?? .notUnderstood(tag, Self.notUID(tag))
        }
    }

    private var payloadLength: Int { bufferOffset + buffer.count }

    // MARK: Receiving

    /// Room for the next bytes.
    package func room() -> UnsafeMutableRawBufferPointer {
        if isDiscarding { buffer.count = dataSetOffset }
        return buffer.room
    }

    /// Nothing of what comes is kept: there is no room for it, or no way to write it.
    private var isDiscarding: Bool {
        switch failure {
        case .outOfSpace, .unavailable, .failed, .log: true
        default: false
        }
    }

    package func received(_ count: Int) {
        buffer.count += count
        guard !isDiscarding else { return }
        if failure == nil { analyze(isLast: false) }
        if buffer.count == buffer.capacity || (file != nil && buffer.count >= 1 << 20) { spill() }
    }

    private func analyze(isLast: Bool) {
        do {
            try analyzer.consume(ByteWindow(buffer.bytes, offset: bufferOffset, isLast: isLast))
        } catch {
            failure = .notUnderstood(nil, error.description)
        }
    }

    /// Writes the buffer's content to the object's own file and begins again in the same memory; what the analysis has
    /// not passed yet is carried over.
    private func spill() {
        do {
            if file == nil { file = try LargeObjectFile(archive.directory, mirror: archive.log.mirror) }
            let written = Int(file!.length) - bufferOffset
            try file!.append(buffer.bytes.part(written..<buffer.count))
        } catch {
            failure = archive.storingFailed(error)
            file = nil
            return
        }
        let keepFrom = failure == nil ? min(max(analyzer.keepFrom - bufferOffset, 0), buffer.count) : buffer.count
        let kept = buffer.count - keepFrom
        buffer.base.copyMemory(from: buffer.base + keepFrom, byteCount: kept)
        bufferOffset += keepFrom
        buffer.count = kept
    }

    /// Takes bytes that lie in memory.
    package func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while rest.count > 0 {
            let room = self.room()
            let count = min(room.count, rest.count)
            room.copyMemory(from: rest.part(0..<count))
            received(count)
            rest = rest.part(count..<rest.count)
        }
    }

    // MARK: The end

    /// After the last byte: checks the instance and hands it to the group commit, which calls `completion` on its own
    /// thread, or on this one before the call returns, when the instance is durable; or refuses it at once.
    /// - Parameter mayCommit: the calling thread has nothing better to do than to wait for this instance.
    package func finish(
        mayCommit: Bool, _ completion: @escaping @Sendable (Result<StoreOutcome, ArchiveError>) -> Void
    ) throws(ArchiveError) {
        let prepared = try prepare()
        archive.committer.submit(
            PendingStore(record: prepared.0, content: .instance(prepared.1), file: file, completion: completion),
            mayCommit: mayCommit)
    }

    private func prepare() throws(ArchiveError) -> (NewRecord, CatalogInstance) {
        if failure == nil { analyze(isLast: true) }
        if file != nil, failure == nil { spill() }
        do throws(ArchiveError) {
            if let failure { throw failure }
            return try makeRecord()
        } catch {
            if !isDiscarding { quarantine(error) }
            throw error
        }
    }

    private func makeRecord() throws(ArchiveError) -> (NewRecord, CatalogInstance) {
        let length = payloadLength
        let blobID: BlobID
        let index: PayloadIndex
        do { (blobID, index) = try analyzer.finish(payloadLength: length) } catch {
            throw .notUnderstood(nil, error.description)
        }
        var values = CatalogMapping.Values(
            analyzer.scan.values, items: analyzer.scan.items, isBigEndian: transferSyntax.isBigEndian,
            characterSetOverride: source.characterSetOverride)
        try checkIdentity(values)
        if let expected = expectedStudyInstanceUID, values[.studyInstanceUID] != expected {
            throw .mismatch(.studyInstanceUID, "Study Instance UID differs between address and data set")
        }
        let isFaulty = complete(&values)
        (studyInstanceUID, seriesInstanceUID) = (values[.studyInstanceUID], values[.seriesInstanceUID])
        let now = Clock.wallNanoseconds()
        var record = NewRecord(
            kind: file == nil ? .instance : .largeInstance, receivedAtNanoseconds: now, blobID: blobID,
            provenance: provenance.encoded())
        record.index = index.encoded()
        record.payloadLength = UInt64(length)
        record.dataSetLength = UInt64(length - dataSetOffset)
        record.flags = isFaulty ? .faultyUID : []
        if let file {
            do { try file.finish(blobID) } catch { throw archive.storingFailed(error) }
            record.largeNumber = file.number
        } else {
            record.buffer = buffer
        }
        if archive.isDamaged(blobID, length: record.dataSetLength) { record.flags.insert(.heals) }
        var entry = CatalogEntries.instance(
            values, provenance: provenance, record: record, transferSyntaxUID: transferSyntax.uid)
        if RejectionNote.mayBe(sopClassUID: sopClassUID, transferSyntax, kind: record.kind) {
            let dataSet = buffer.bytes.part(dataSetOffset..<buffer.count)
            entry.rejection = (try? DataSet(dataSet, transferSyntax: transferSyntax)).flatMap(RejectionNote.read)
        }
        return (record, entry)
    }

    /// PS3.4 section B.2.3: the data set must be of the class, and be the instance, that the command names.
    private func checkIdentity(_ values: CatalogMapping.Values) throws(ArchiveError) {
        // Both are Type 1 of the SOP Common Module (PS3.3 section C.12.1): without them it is no composite instance.
        guard !values[.sopClassUID].isEmpty, !values[.sopInstanceUID].isEmpty else {
            throw .mismatch(.sopInstanceUID, "Data set has no SOP Class UID or no SOP Instance UID")
        }
        if values[.sopClassUID] != sopClassUID {
            throw .mismatch(.sopClassUID, "SOP Class UID differs between command and data set")
        }
        if values[.sopInstanceUID] != sopInstanceUID {
            throw .notUnderstood(.sopInstanceUID, "SOP Instance UID differs between command and data set")
        }
        for (tag, column) in [
            (Tag.studyInstanceUID, CatalogColumn.studyInstanceUID), (.seriesInstanceUID, .seriesInstanceUID),
        ]
        where !values[column].isEmpty && UIDGrammar.check(values[column]) == .unacceptable {
            throw .notUnderstood(tag, Self.notUID(tag))
        }
    }

    private static func notUID(_ tag: Tag) -> String {
        "\(DataDictionary.keyword(of: tag) ?? "") \(tag) is no UID: digits and dots only"
    }

    /// Gives the catalog what it cannot do without; the stored bytes stay as they came.
    /// - Returns: whether a UID is faulty or missing, for the flag.
    private func complete(_ values: inout CatalogMapping.Values) -> Bool {
        CatalogEntries.complete(
            &values, sopClassUID: sopClassUID, sopInstanceUID: sopInstanceUID, issuer: source.issuer)
    }

    private var provenance: Provenance {
        var provenance = source.provenance
        provenance[.sopClassUID] = sopClassUID
        provenance[.sopInstanceUID] = sopInstanceUID
        provenance[.transferSyntaxUID] = transferSyntax.uid
        return provenance
    }

    private func quarantine(_ error: ArchiveError) {
        let reason =
            "\(error) (from \(Log.quoted(source.callingAETitle)) at \(source.peerAddress), association \(source.associationID))"
        if let file {
            if let rest = Int(exactly: file.length).map({ buffer.count - ($0 - bufferOffset) }), rest > 0 {
                try? file.append(buffer.bytes.part(buffer.count - rest..<buffer.count))
            }
            archive.quarantine.keep(file, reason: reason)
        } else {
            archive.quarantine.keep(buffer.bytes, reason: reason)
        }
    }
}

/// What became of a stored instance.
package enum StoreOutcome: Sendable {
    case stored
    /// The same content was there already; the sighting is recorded.
    case alreadyThere
}
