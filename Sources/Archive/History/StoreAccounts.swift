// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Platform

/// What somebody stored of one study over one association: derived from the provenance of the log's records, which is where
/// storing is on record. Nothing is written for it while it is stored.
package struct StoreAccount: Sendable {
    /// Who it was, as the records say.
    package struct Source: Hashable, Sendable {
        package let callingAETitle: String
        package let calledAETitle: String
        package let peerAddress: String
        package let organisation: String
        package let association: String
        package let route: String
        /// "user NAME" or "token NAME"; empty: a station.
        package let asker: String
    }

    package let source: Source
    package let study: String
    package let patientID: String
    package let issuer: String
    /// Instances that were new, by SOP class.
    package var classes: [String: Int] = [:]
    /// Instances that were there already.
    package var sightings = 0
    /// Nanoseconds since 1970.
    package var first: Int64
    package var last: Int64
}

/// Puts records together to accounts.
package struct StoreAccounts {
    private struct Key: Hashable {
        let source: StoreAccount.Source
        let study: String
    }

    /// A group to which nothing was added for so long is done: the number of an association begins anew with each start.
    private static let idleNanoseconds: Int64 = 60_000_000_000
    private let readers: CatalogReaders
    private var open: [Key: StoreAccount] = [:]
    private var order: [Key] = []
    private var lookedAt: Int64 = 0

    init(_ readers: CatalogReaders) { self.readers = readers }

    /// Takes the next record of the log.
    /// - Returns: accounts that are done.
    mutating func take(_ record: StoredRecord) -> [StoreAccount] {
        let provenance = record.provenance
        // The archive's own copy of something damaged was sent by nobody.
        guard provenance[.annotationName] != ControlRecord.heal, let content = content(of: record) else { return [] }
        let source = StoreAccount.Source(
            callingAETitle: provenance[.callingAETitle], calledAETitle: provenance[.calledAETitle],
            peerAddress: provenance[.peerAddress], organisation: provenance[.organisation],
            association: provenance[.associationID], route: provenance[.route], asker: provenance[.asker])
        let time = record.header.receivedAtNanoseconds
        let done = time - lookedAt > Self.idleNanoseconds ? finish(before: time - Self.idleNanoseconds) : []
        lookedAt = done.isEmpty ? lookedAt : time
        let key = Key(source: source, study: content.study)
        if open[key] == nil {
            order.append(key)
            open[key] = StoreAccount(
                source: source, study: content.study, patientID: content.patient.id, issuer: content.patient.issuer,
                first: time, last: time)
        }
        open[key]!.last = max(open[key]!.last, time)
        // What compaction has left of a record was new when it came, too.
        if record.header.hasContent || provenance[.annotationName] == ControlRecord.replaced {
            open[key]!.classes[provenance[.sopClassUID], default: 0] += 1
        } else {
            open[key]!.sightings += 1
        }
        return done
    }

    /// Accounts to which nothing was added since then; all of them without a time.
    mutating func finish(before time: Int64 = .max) -> [StoreAccount] {
        var done: [StoreAccount] = []
        order.removeAll { key in
            guard let account = open[key], account.last < time else { return false }
            done.append(account)
            open[key] = nil
            return true
        }
        return done.sorted { $0.last < $1.last }
    }

    private func content(of record: StoredRecord) -> (study: String, patient: CatalogPatientID)? {
        switch record.header.kind {
        case .instance, .largeInstance:
            guard case .instance(let entry)? = try? CatalogEntries.event(of: record) else { return nil }
            func value(_ column: CatalogColumn) -> String { entry.values[column.rawValue] ?? "" }
            let patient = CatalogPatientID(id: value(.patientID), issuer: value(.issuerOfPatientID))
            return (value(.studyInstanceUID), patient)
        case .sighting:
            // None: deleted for good since.
            let found = try? readers.withReader { reader -> (String, CatalogPatientID)? in
                guard let study = try reader.study(ofBlob: record.header.blobID.bytes),
                    let patient = try reader.patient(ofStudy: study)
                else { return nil }
                return (study, patient)
            }
            return found
        case .tombstone, .annotation, nil: return nil
        }
    }
}

extension Archive {
    /// Accounts of what was stored behind a place of the log, up to where the catalog has come, and how far that is.
    package func storeAccounts(
        after position: LogPosition
    ) throws(ArchiveError) -> (accounts: [StoreAccount], position: LogPosition) {
        do {
            var accounts = StoreAccounts(readers)
            var done: [StoreAccount] = []
            var end = position
            guard let reached = try readers.withReader({ try $0.position() })?.sequence else { return ([], position) }
            while end.sequence < reached {
                let (records, next) = try log.records(after: end, upTo: reached, limit: 1000)
                for record in records { done += accounts.take(record) }
                guard next != end else { break }
                end = next
            }
            return (done + accounts.finish(), end)
        } catch { throw Archive.wrap(error) }
    }

    /// Where the log ends for the catalog.
    package func storePosition() throws(ArchiveError) -> LogPosition {
        do { return try readers.logPosition() } catch { throw Archive.wrap(error) }
    }
}

extension ArchiveReader {
    /// Accounts of all that the log says was stored, in the order in which they were done.
    package func forEachStoreAccount(_ body: (StoreAccount) throws -> Void) throws {
        var accounts = StoreAccounts(readers)
        var failure: (any Error)?
        func give(_ done: [StoreAccount]) {
            guard failure == nil else { return }
            do { try done.forEach(body) } catch { failure = error }
        }
        try log.forEachRecord { record throws(LogError) in
            if failure == nil { give(accounts.take(record)) }
        } gap: { _ in
        }
        give(accounts.finish())
        if let failure { throw failure }
    }
}
