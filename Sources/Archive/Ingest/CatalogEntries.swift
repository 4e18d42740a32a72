// SPDX-License-Identifier: Apache-2.0
import BlobLog
import CSodium
import Catalog
import DICOM
import Platform

/// Makes catalog events: from what an ingest has just seen, or from a record of the log. Both ways give the same.
enum CatalogEntries {
    /// Fills in what the catalog cannot do without, from the command and by derivation; a study or series that names no
    /// UID gets one made from the instance's, so that it can be found and fetched like any other.
    /// - Returns: whether a UID is faulty or missing.
    static func complete(
        _ values: inout CatalogMapping.Values, sopClassUID: String, sopInstanceUID: String, issuer: String
    ) -> Bool {
        var isFaulty = false
        values.texts[CatalogColumn.sopClassUID.rawValue] = sopClassUID
        values.texts[CatalogColumn.sopInstanceUID.rawValue] = sopInstanceUID
        for (column, salt) in [(CatalogColumn.studyInstanceUID, "study"), (.seriesInstanceUID, "series")]
        where values[column].isEmpty {
            values.texts[column.rawValue] = derivedUID(sopInstanceUID, salt)
            isFaulty = true
        }
        if values[.issuerOfPatientID].isEmpty, !issuer.isEmpty {
            values.texts[CatalogColumn.issuerOfPatientID.rawValue] = issuer
        }
        for column in [CatalogColumn.sopInstanceUID, .sopClassUID, .studyInstanceUID, .seriesInstanceUID]
        where UIDGrammar.check(values[column]) != .valid {
            isFaulty = true
        }
        return isFaulty
    }

    /// A UUID-derived UID (PS3.5 section B.2) that is the same for the same instance.
    private static func derivedUID(_ uid: String, _ salt: String) -> String {
        let input = Array("\(salt)/\(uid)".utf8)
        var digest = [UInt8](repeating: 0, count: 16)
        crypto_generichash_blake2b(&digest, digest.count, input, UInt64(input.count), nil, 0)
        let number = digest.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        return "2.25.\(number)"
    }

    static func source(_ provenance: Provenance) -> CatalogSource {
        CatalogSource(
            organisation: provenance[.organisation], issuer: provenance[.issuer],
            callingAETitle: provenance[.callingAETitle], calledAETitle: provenance[.calledAETitle],
            peerAddress: provenance[.peerAddress], route: provenance[.route])
    }

    /// - Returns: an entry whose sequence number and place are still to be filled in.
    static func instance(
        _ values: CatalogMapping.Values, provenance: Provenance, record: NewRecord, transferSyntaxUID: String
    ) -> CatalogInstance {
        CatalogInstance(
            sequence: 0, receivedAtNanoseconds: record.receivedAtNanoseconds, source: source(provenance),
            blobID: record.blobID.bytes, location: CatalogLocation(writer: 0, segment: 0, offset: 0, length: 0),
            dataSetLength: record.dataSetLength, transferSyntaxUID: transferSyntaxUID,
            flags: UInt32(record.flags.rawValue), values: values.texts, folded: values.folded, requests: values.requests
        )
    }

    /// The event of a record, read back from the log.
    static func event(of record: StoredRecord) throws(LogError) -> CatalogEvent {
        let header = record.header
        switch header.kind {
        case .sighting:
            return .sighting(
                CatalogSighting(
                    sequence: header.sequence, receivedAtNanoseconds: header.receivedAtNanoseconds,
                    source: source(record.provenance), blobID: header.blobID.bytes))
        case .instance, .largeInstance: return .instance(try instance(record, content: record))
        case .tombstone, .annotation: return ControlRecord.event(header, record.provenance)
        case nil: return .other(sequence: header.sequence)
        }
    }

    /// - Parameter content: what the record's content is read from: itself, or another record of the same content.
    static func instance(_ record: StoredRecord, content: StoredRecord) throws(LogError) -> CatalogInstance {
        let provenance = record.provenance
        let transferSyntax = TransferSyntax(uid: provenance[.transferSyntaxUID])
        let scan = try StoredHeader.scan(content, transferSyntax)
        var values = CatalogMapping.Values(
            scan.values, items: scan.items, isBigEndian: transferSyntax.isBigEndian,
            characterSetOverride: provenance[.characterSetOverride])
        _ = complete(
            &values, sopClassUID: provenance[.sopClassUID], sopInstanceUID: provenance[.sopInstanceUID],
            issuer: provenance[.issuer])
        var rejection: CatalogRejection?
        if RejectionNote.mayBe(
            sopClassUID: values[.sopClassUID], transferSyntax, kind: content.header.kind ?? .sighting)
        {
            rejection = RejectionNote.read(try StoredHeader.dataSet(content))
        }
        var entry = CatalogInstance(
            sequence: record.header.sequence, receivedAtNanoseconds: record.header.receivedAtNanoseconds,
            source: source(provenance), blobID: record.header.blobID.bytes, location: CatalogLocation(record.location),
            dataSetLength: content.header.dataSetLength, transferSyntaxUID: transferSyntax.uid,
            flags: UInt32(record.header.flags.rawValue), values: values.texts, folded: values.folded,
            requests: values.requests)
        entry.rejection = rejection
        entry.isOwnCopy = provenance[.annotationName] == ControlRecord.heal
        return entry
    }
}

extension CatalogLocation {
    init(_ location: RecordLocation) {
        self.init(
            writer: location.writer, segment: location.segment, offset: location.offset, length: location.length)
    }
}

extension RecordLocation {
    package init(_ location: CatalogLocation) {
        self.init(
            writer: location.writer, segment: location.segment, offset: location.offset, length: location.length)
    }
}
