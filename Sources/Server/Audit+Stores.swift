// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import BlobLog
import Platform

extension AuditEntry {
    /// What was stored, as the log's records have it, in the form of the trail's entries.
    init(_ account: StoreAccount) {
        let source = account.source
        var study = AuditStudy(account.study, patient: account.patientID)
        if !account.issuer.isEmpty { study.issuer = account.issuer }
        if !account.classes.isEmpty { study.classes = account.classes }
        var event = AuditEvent(.stored, Self.action(source.route), by: Self.party(source))
        event.take([study])
        let fresh = account.classes.values.reduce(0, +)
        event.count = fresh + account.sightings
        // PS3.15 table A.5.3.7-1: "R" if the receiver had them already, unchanged.
        event.access = fresh > 0 ? .create : .read
        if account.sightings > 0 { event.detail = "\(account.sightings) of them were there already" }
        self.init(time: Clock.timestamp(account.last), event: event)
    }

    private static func action(_ route: String) -> String {
        switch route {
        case "dimse": "C-STORE"
        case "stow": "STOW-RS"
        default: route
        }
    }

    private static func party(_ source: StoreAccount.Source) -> AuditParty {
        let words = source.asker.split(separator: " ", maxSplits: 1)
        let kind: AuditParty.Kind =
            if words.count == 2, let kind = AuditParty.Kind(rawValue: String(words[0])) { kind } else {
                source.route == "dimse" ? .station : .local
            }
        return AuditParty(
            kind, name: words.count == 2 ? String(words[1]) : source.callingAETitle,
            organisation: source.organisation, address: source.peerAddress, connection: source.association)
    }
}

/// Tells the repository what was stored.
struct StoreFollower: StoreAccountSource {
    private let archive: Archive

    init(_ archive: Archive) { self.archive = archive }

    func beginning() throws -> StoreCursor { StoreCursor(try archive.storePosition()) }

    func accounts(after cursor: StoreCursor) throws -> (entries: [AuditEntry], cursor: StoreCursor) {
        let found = try archive.storeAccounts(after: LogPosition(cursor))
        return (found.accounts.map { AuditEntry($0) }, StoreCursor(found.position))
    }
}

extension StoreCursor {
    fileprivate init(_ position: LogPosition) {
        self.init(sequence: position.sequence, segment: position.segment, offset: position.endOffset)
    }
}

extension LogPosition {
    fileprivate init(_ cursor: StoreCursor) {
        self.init(sequence: cursor.sequence, segment: cursor.segment, endOffset: cursor.offset)
    }
}
