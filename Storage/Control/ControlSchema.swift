// SPDX-License-Identifier: Apache-2.0
import Database

/// The tables of `control.db`. Nothing here follows from the log, so a new version migrates what stands there: each step
/// leads from one version to the next and stays for good.
enum ControlSchema {
    /// By the version that a step starts from.
    static let steps: [String] = [
        """
        -- Requests for storage commitment. state: 0 accepted, 1 verified, 2 reported, 3 given up (CommitmentState).
        -- Times in nanoseconds since 1970; next_attempt counts in state 1, finished_at from state 2 on.
        CREATE TABLE commitment(id INTEGER PRIMARY KEY AUTOINCREMENT, transaction_uid TEXT NOT NULL,
            ae_title TEXT NOT NULL, called_ae_title TEXT NOT NULL, organisation TEXT NOT NULL,
            peer_address TEXT NOT NULL, received_at INTEGER NOT NULL, instances INTEGER NOT NULL,
            failed INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt INTEGER NOT NULL DEFAULT 0, finished_at INTEGER, note TEXT NOT NULL DEFAULT '') STRICT;
        CREATE INDEX commitment_pending ON commitment(ae_title, transaction_uid) WHERE state < 2;
        CREATE INDEX commitment_finished ON commitment(id) WHERE state >= 2;
        -- The instances that a pending request names. failure: NULL not verified yet, 0 committed, else the reason.
        CREATE TABLE commitment_reference(commitment INTEGER NOT NULL, position INTEGER NOT NULL,
            sop_class_uid TEXT NOT NULL, sop_instance_uid TEXT NOT NULL, failure INTEGER,
            PRIMARY KEY(commitment, position)) STRICT, WITHOUT ROWID;
        """,
        """
        -- Who may come over HTTP, and by user identity. password: as Argon2id text; roles: names with commas between them.
        -- Times in nanoseconds since 1970.
        CREATE TABLE user_account(name TEXT PRIMARY KEY, password TEXT NOT NULL, organisation TEXT NOT NULL,
            roles TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
            changed_at INTEGER NOT NULL, last_used_at INTEGER, failed_attempts INTEGER NOT NULL DEFAULT 0)
            STRICT, WITHOUT ROWID;
        -- Programs. secret: BLAKE2b-256 of it; permissions: bits of Permissions; expires_at NULL: never.
        CREATE TABLE api_token(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, secret BLOB NOT NULL,
            organisation TEXT NOT NULL, permissions INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER,
            last_used_at INTEGER, revoked_at INTEGER) STRICT;
        -- Who is signed in at the web page. secret: BLAKE2b-256 of the cookie's value.
        CREATE TABLE web_session(secret BLOB PRIMARY KEY, user_name TEXT NOT NULL, created_at INTEGER NOT NULL,
            last_seen_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        """,
        """
        -- What one organisation sent into a study, shown to another one (receiver) for a time. Rows stay for good.
        CREATE TABLE share(id INTEGER PRIMARY KEY AUTOINCREMENT, study_uid TEXT NOT NULL, organisation TEXT NOT NULL,
            receiver TEXT NOT NULL, made_by TEXT NOT NULL, made_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
            ended_by TEXT, ended_at INTEGER) STRICT;
        CREATE INDEX share_active ON share(expires_at) WHERE ended_at IS NULL;
        """,
    ]

    static func bringUp(_ database: Database) throws(DatabaseError) {
        try database.execute("BEGIN IMMEDIATE")
        do throws(DatabaseError) {
            let found = try version(database)
            guard found <= steps.count else {
                throw DatabaseError(
                    kind: .newerSchema, message: "control.db was written by a newer version; update snimok")
            }
            for step in steps[found...] { try database.execute(step) }
            if found < steps.count { try database.execute("PRAGMA user_version=\(steps.count)") }
            try database.execute("COMMIT")
        } catch {
            try? database.execute("ROLLBACK")
            throw error
        }
    }

    private static func version(_ database: Database) throws(DatabaseError) -> Int {
        let version = try database.statement("PRAGMA user_version").first([]) { Int($0.integer(0)) } ?? 0
        guard version == 0 else { return max(0, version) }
        let others = try database.statement("SELECT count(*) FROM sqlite_schema").first([]) { $0.integer(0) } ?? 0
        guard others == 0 else {
            throw DatabaseError(kind: .corrupt, message: "another program's database")
        }
        return 0
    }
}
