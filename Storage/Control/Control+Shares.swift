// SPDX-License-Identifier: Apache-2.0
import Database

/// Studies that are shown to other organisations for a time. Rows stay when that is over: they say who could see what, and
/// when.
extension Control {
    /// Writes a share; durable when this returns.
    /// - Returns: its number.
    package func add(_ share: Share) throws(DatabaseError) -> Int64 {
        try transaction { database throws(DatabaseError) in
            try database.statement(
                """
                INSERT INTO share(study_uid, organisation, receiver, made_by, made_at, expires_at)
                    VALUES(?, ?, ?, ?, ?, ?)
                """
            ).run([
                .text(share.studyInstanceUID), .text(share.organisation), .text(share.receiver), .text(share.madeBy),
                .integer(share.madeAtNanoseconds), .integer(share.expiresAtNanoseconds),
            ])
            return database.lastInsertedID
        }
    }

    /// Ends a share before its time; one that has ended stays as it is. Durable when this returns.
    package func endShare(_ id: Int64, by name: String, at nanoseconds: Int64) throws(DatabaseError) {
        try transaction { database throws(DatabaseError) in
            try database.statement("UPDATE share SET ended_by = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL").run(
                [
                    .text(name), .integer(nanoseconds), .integer(id),
                ])
        }
    }

    /// Those that are not over at a moment, oldest first.
    package func shares(activeAt nanoseconds: Int64) throws(DatabaseError) -> [Share] {
        try database.withLock { database throws(DatabaseError) in
            var shares: [Share] = []
            try database.statement(
                """
                SELECT id, study_uid, organisation, receiver, made_by, made_at, expires_at FROM share
                    WHERE ended_at IS NULL AND expires_at > ? ORDER BY id
                """
            ).forEach([.integer(nanoseconds)]) { row throws(DatabaseError) in
                var share = Share(
                    studyInstanceUID: row.text(1) ?? "", organisation: row.text(2) ?? "", receiver: row.text(3) ?? "",
                    madeBy: row.text(4) ?? "", madeAtNanoseconds: row.integer(5), expiresAtNanoseconds: row.integer(6))
                share.id = row.integer(0)
                shares.append(share)
                return true
            }
            return shares
        }
    }
}
