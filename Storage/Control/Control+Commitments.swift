// SPDX-License-Identifier: Apache-2.0
import Database
import Platform

/// The requests for storage commitment.
extension Control {
    /// How much one asker may have pending, so that it cannot fill the disk.
    package static let pendingRequestsMaximum = 10_000
    package static let pendingInstancesMaximum = 2_000_000
    /// Finished requests that are remembered, without their instances.
    private static let finishedMaximum: Int64 = 100_000

    /// Takes in a request; durable when this returns.
    /// - Parameter duplicateFailure: the reason for all instances of a request whose transaction UID is in use for others.
    package func add(
        _ request: CommitmentRequest, duplicateFailure: UInt16
    ) throws(DatabaseError) -> CommitmentAddition {
        try transaction { database throws(DatabaseError) in
            let namesakes = try Self.pending(request, database)
            for id in namesakes where Self.isSame(try Self.references(id, database), request.references) {
                return .known(id: id)
            }
            guard try Self.hasRoom(for: request, database) else { return .tooMany }
            let failure = namesakes.isEmpty ? nil : duplicateFailure
            let id = try Self.insert(request, failure, database)
            return namesakes.isEmpty ? .added(id: id) : .duplicate(id: id)
        }
    }

    /// All that are neither reported nor given up, oldest first.
    package func pendingCommitments() throws(DatabaseError) -> [PendingCommitment] {
        try database.withLock { database throws(DatabaseError) in
            var pending: [PendingCommitment] = []
            try database.statement("SELECT \(Self.pendingColumns) FROM commitment WHERE state < 2 ORDER BY id")
                .forEach([]) { row throws(DatabaseError) in
                    pending.append(Self.pending(row))
                    return true
                }
            return pending
        }
    }

    /// One pending request; nil: it is finished, or there was none.
    package func pendingCommitment(_ id: Int64) throws(DatabaseError) -> PendingCommitment? {
        try database.withLock { database throws(DatabaseError) in
            try database.statement("SELECT \(Self.pendingColumns) FROM commitment WHERE state < 2 AND id = ?")
                .first([.integer(id)], Self.pending)
        }
    }

    /// A pending request with its instances.
    package func commitment(_ id: Int64) throws(DatabaseError) -> CommitmentRequest? {
        try database.withLock { database throws(DatabaseError) in
            let found = try database.statement(
                """
                SELECT transaction_uid, ae_title, called_ae_title, organisation, peer_address, received_at
                FROM commitment WHERE state < 2 AND id = ?
                """
            ).first([.integer(id)]) { row in
                CommitmentRequest(
                    transactionUID: row.text(0) ?? "", aeTitle: row.text(1) ?? "", calledAETitle: row.text(2) ?? "",
                    organisation: row.text(3) ?? "", peerAddress: row.text(4) ?? "",
                    receivedAtNanoseconds: row.integer(5), references: [])
            }
            guard var request = found else { return nil }
            request.references = try Self.references(id, database)
            return request
        }
    }

    /// The instances were verified; from now on the result is to be told.
    /// - Parameter failures: for each instance in the request's order, 0: committed.
    package func setVerified(_ id: Int64, failures: [UInt16]) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            let update = try database.statement(
                "UPDATE commitment_reference SET failure = ? WHERE commitment = ? AND position = ?")
            for (position, failure) in failures.enumerated() {
                try update.run([.integer(Int64(failure)), .integer(id), .integer(Int64(position))])
            }
            try database.statement("UPDATE commitment SET state = 1, failed = ? WHERE id = ? AND state = 0").run([
                .integer(Int64(failures.count { $0 != 0 })), .integer(id),
            ])
        }
    }

    /// An attempt at telling the result failed.
    /// - Parameters:
    ///   - nanoseconds: since 1970, when to try again.
    ///   - note: why it failed.
    package func postpone(_ id: Int64, until nanoseconds: Int64, note: String) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement(
                "UPDATE commitment SET attempts = attempts + 1, next_attempt = ?, note = ? WHERE id = ?"
            ).run([.integer(nanoseconds), .text(String(note.prefix(500))), .integer(id)])
        }
    }

    /// The result was acknowledged, or nobody will be told any more. The instances are forgotten, the request stays for a
    /// while.
    /// - Parameter state: `.reported` or `.givenUp`.
    package func finish(_ id: Int64, _ state: CommitmentState, note: String) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement(
                "UPDATE commitment SET state = ?, finished_at = ?, note = ? WHERE id = ? AND state < 2"
            ).run([
                .integer(state.rawValue), .integer(Clock.wallNanoseconds()), .text(String(note.prefix(500))),
                .integer(id),
            ])
            try database.statement("DELETE FROM commitment_reference WHERE commitment = ?").run([.integer(id)])
            try database.statement("DELETE FROM commitment WHERE state >= 2 AND id <= ?").run([
                .integer(id - Self.finishedMaximum)
            ])
        }
    }

    // MARK: Rows

    private static let pendingColumns = "id, ae_title, called_ae_title, state, received_at, attempts, next_attempt"

    private static func pending(_ row: Statement) -> PendingCommitment {
        PendingCommitment(
            id: row.integer(0), aeTitle: row.text(1) ?? "", calledAETitle: row.text(2) ?? "",
            state: CommitmentState(rawValue: row.integer(3)) ?? .accepted, receivedAtNanoseconds: row.integer(4),
            attempts: Int(row.integer(5)), nextAttemptNanoseconds: row.integer(6))
    }

    /// Pending requests of the same asker under the same transaction UID.
    private static func pending(_ request: CommitmentRequest, _ database: Database) throws(DatabaseError) -> [Int64] {
        var ids: [Int64] = []
        try database.statement(
            "SELECT id FROM commitment WHERE state < 2 AND ae_title = ? AND transaction_uid = ? ORDER BY id"
        ).forEach([.text(request.aeTitle), .text(request.transactionUID)]) { row throws(DatabaseError) in
            ids.append(row.integer(0))
            return true
        }
        return ids
    }

    private static func references(_ id: Int64, _ database: Database) throws(DatabaseError) -> [CommitmentReference] {
        var references: [CommitmentReference] = []
        try database.statement(
            "SELECT sop_class_uid, sop_instance_uid, failure FROM commitment_reference WHERE commitment = ? ORDER BY position"
        ).forEach([.integer(id)]) { row throws(DatabaseError) in
            references.append(
                CommitmentReference(
                    sopClassUID: row.text(0) ?? "", sopInstanceUID: row.text(1) ?? "",
                    failure: row.isNull(2) ? nil : UInt16(clamping: row.integer(2))))
            return true
        }
        return references
    }

    private static func isSame(_ left: [CommitmentReference], _ right: [CommitmentReference]) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy {
                $0.sopInstanceUID == $1.sopInstanceUID && $0.sopClassUID == $1.sopClassUID
            }
    }

    private static func hasRoom(for request: CommitmentRequest, _ database: Database) throws(DatabaseError) -> Bool {
        let (requests, instances) =
            try database.statement(
                "SELECT count(*), coalesce(sum(instances), 0) FROM commitment WHERE state < 2 AND ae_title = ?"
            ).first([.text(request.aeTitle)]) { (Int($0.integer(0)), Int($0.integer(1))) } ?? (0, 0)
        return requests < pendingRequestsMaximum && instances + request.references.count <= pendingInstancesMaximum
    }

    /// - Parameter failure: of all instances, if it is known already.
    private static func insert(
        _ request: CommitmentRequest, _ failure: UInt16?, _ database: Database
    ) throws(DatabaseError) -> Int64 {
        let count = Int64(request.references.count)
        let state: CommitmentState = failure == nil ? .accepted : .verified
        try database.statement(
            """
            INSERT INTO commitment(transaction_uid, ae_title, called_ae_title, organisation, peer_address, received_at,
                instances, failed, state) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        ).run([
            .text(request.transactionUID), .text(request.aeTitle), .text(request.calledAETitle),
            .text(request.organisation), .text(request.peerAddress), .integer(request.receivedAtNanoseconds),
            .integer(count), .integer(failure == nil ? 0 : count), .integer(state.rawValue),
        ])
        let id = database.lastInsertedID
        let insertion = try database.statement("INSERT INTO commitment_reference VALUES(?, ?, ?, ?, ?)")
        for (position, reference) in request.references.enumerated() {
            try insertion.run([
                .integer(id), .integer(Int64(position)), .text(reference.sopClassUID),
                .text(reference.sopInstanceUID), failure.map { .integer(Int64($0)) } ?? .null,
            ])
        }
        return id
    }
}
