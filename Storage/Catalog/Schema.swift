// SPDX-License-Identifier: Apache-2.0
import Database

/// The tables. All of it is derived from the log, so a new version of the schema is a rebuild, not a migration.
enum Schema {
    static let version: Int64 = 13

    static func create(in database: Database) throws(CatalogError) {
        try database.execute(statements)
    }

    /// Attribute columns of a level.
    /// - Parameter hasFolded: with the folded form of names, in which these are searched.
    private static func columns(_ level: CatalogLevel, hasFolded: Bool = true) -> String {
        CatalogColumn.columns(of: level).map { column in
            column.kind == .personName && hasFolded
                ? "\(column.sqlName) TEXT, \(column.foldedName) TEXT" : "\(column.sqlName) TEXT"
        }.joined(separator: ", ")
    }

    private static var statements: String {
        """
        CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        -- How far the catalog has come in the log, and totals. One row, written by each transaction.
        CREATE TABLE state(id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, writer INTEGER NOT NULL,
            segment INTEGER NOT NULL, end_offset INTEGER NOT NULL, sightings INTEGER NOT NULL,
            stored_bytes INTEGER NOT NULL, saved_bytes INTEGER NOT NULL, patients INTEGER NOT NULL,
            studies INTEGER NOT NULL, series INTEGER NOT NULL, instances INTEGER NOT NULL,
            versions INTEGER NOT NULL) STRICT;
        CREATE TABLE organisation(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

        -- nameless_study: the study that a patient without an ID stands for, else empty.
        CREATE TABLE patient(id INTEGER PRIMARY KEY, \(columns(.patient)), nameless_study TEXT NOT NULL,
            studies INTEGER NOT NULL DEFAULT 0, series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0,
            first_instance INTEGER, flags INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE UNIQUE INDEX patient_key ON patient(patient_id, issuer, nameless_study);
        CREATE INDEX patient_birth_date ON patient(patient_birth_date) WHERE patient_birth_date IS NOT NULL;

        -- Every form under which a patient is found: each name seen, and each component group of it, by who sent it.
        -- is_further: not one of the first of this patient, or of too many words; see study_word.
        CREATE TABLE patient_name(id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, folded TEXT NOT NULL,
            organisation INTEGER NOT NULL, is_further INTEGER NOT NULL) STRICT;
        CREATE UNIQUE INDEX patient_name_folded ON patient_name(folded, patient, organisation);
        CREATE INDEX patient_name_patient ON patient_name(patient, is_further);

        -- The words of these names. reversed: from its end, for patterns that tell how a word ends. key: in the one spelling that
        -- all have in common, for fuzzy matching.
        CREATE TABLE name_word(id INTEGER PRIMARY KEY, word TEXT NOT NULL, reversed TEXT NOT NULL, key TEXT NOT NULL) STRICT;
        CREATE UNIQUE INDEX name_word_word ON name_word(word);
        CREATE INDEX name_word_reversed ON name_word(reversed);
        CREATE INDEX name_word_key ON name_word(key);
        CREATE VIRTUAL TABLE name_word_trigram USING fts5(
            word, content='name_word', content_rowid='id', tokenize='trigram case_sensitive 1', detail=none,
            columnsize=0);

        -- All that a list tells of a study is in its row, for each row is on a page anywhere in a large archive: its patient's
        -- attributes, too, and in modalities and sop_classes what study_content has of it for all together, with a backslash
        -- between (NULL where that is nothing, or does not go into a row). Nothing is searched in these.
        CREATE TABLE study(id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, \(columns(.study)),
            series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0, first_instance INTEGER,
            flags INTEGER NOT NULL DEFAULT 0, \(columns(.patient, hasFolded: false)), modalities TEXT,
            sop_classes TEXT) STRICT;
        CREATE UNIQUE INDEX study_uid ON study(uid);
        CREATE INDEX study_date ON study(study_date, study_time);
        CREATE INDEX study_accession ON study(accession_number) WHERE accession_number IS NOT NULL;
        CREATE INDEX study_study_id ON study(study_id) WHERE study_id IS NOT NULL;
        -- Patient ID, accession number and description of each study, for patterns with a wildcard in front: the words of
        -- `StudyField`. Candidates only, the columns decide.
        CREATE VIRTUAL TABLE study_gram USING fts5(words, content='', tokenize='ascii', detail=none, columnsize=0);
        CREATE INDEX study_referrer ON study(referring_physician_name_folded)
            WHERE referring_physician_name_folded IS NOT NULL;
        CREATE INDEX study_referrer_groups ON study(instr(referring_physician_name_folded, '='))
            WHERE instr(referring_physician_name_folded, '=') > 0;
        CREATE TABLE study_patient(patient INTEGER NOT NULL, study INTEGER NOT NULL,
            PRIMARY KEY(patient, study)) STRICT, WITHOUT ROWID;
        CREATE INDEX study_patient_study ON study_patient(study, patient);
        -- The words of the names of its patients, by who sent these: a list of the studies of whose name has some letters in it
        -- is read from here alone. study 0: all of the patient's. So stand the words of further names: "ANONYMOUS" has as many
        -- names as studies, and each in each would be their square.
        CREATE TABLE study_word(word INTEGER NOT NULL, study INTEGER NOT NULL, patient INTEGER NOT NULL,
            organisation INTEGER NOT NULL, PRIMARY KEY(word, study, patient, organisation)) STRICT, WITHOUT ROWID;
        CREATE INDEX study_word_study ON study_word(study, patient);
        -- Who says so. known, here and below: `KnownLevels`.
        CREATE TABLE patient_source(study INTEGER NOT NULL, patient INTEGER NOT NULL, organisation INTEGER NOT NULL,
            known INTEGER NOT NULL, PRIMARY KEY(study, patient, organisation)) STRICT, WITHOUT ROWID;

        -- kind 1: modality, 2: SOP class; organisation 0: all of them together. The study's date stands here too, for
        -- "this modality, these days" is what workstations ask most, and neither alone is selective.
        CREATE TABLE study_content(study INTEGER NOT NULL, organisation INTEGER NOT NULL, kind INTEGER NOT NULL,
            value TEXT NOT NULL, date TEXT, PRIMARY KEY(study, organisation, kind, value)) STRICT, WITHOUT ROWID;
        CREATE INDEX study_content_value ON study_content(organisation, kind, value, date, study);
        -- What each organisation has sent that is seen; by it an organisation with few studies finds them among many.
        CREATE TABLE study_count(study INTEGER NOT NULL, organisation INTEGER NOT NULL, series INTEGER NOT NULL,
            instances INTEGER NOT NULL, known INTEGER NOT NULL, date TEXT, PRIMARY KEY(study, organisation)) STRICT,
            WITHOUT ROWID;
        CREATE INDEX study_count_organisation ON study_count(organisation, study);
        CREATE INDEX study_count_date ON study_count(organisation, date, study);

        CREATE TABLE series(id INTEGER PRIMARY KEY, study INTEGER NOT NULL, \(columns(.series)),
            instances INTEGER NOT NULL DEFAULT 0, first_instance INTEGER, flags INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE UNIQUE INDEX series_uid ON series(uid, study);
        CREATE INDEX series_study ON series(study);
        CREATE INDEX series_modality ON series(modality);
        CREATE TABLE series_count(series INTEGER NOT NULL, organisation INTEGER NOT NULL, instances INTEGER NOT NULL,
            known INTEGER NOT NULL, PRIMARY KEY(series, organisation)) STRICT, WITHOUT ROWID;
        CREATE TABLE series_request(id INTEGER PRIMARY KEY, series INTEGER NOT NULL, requested_procedure_id TEXT NOT NULL,
            scheduled_procedure_step_id TEXT NOT NULL, accession_number TEXT NOT NULL,
            requested_procedure_description TEXT NOT NULL, scheduled_procedure_step_description TEXT NOT NULL,
            organisation INTEGER NOT NULL) STRICT;
        CREATE UNIQUE INDEX series_request_item ON series_request(series, requested_procedure_id,
            scheduled_procedure_step_id, accession_number, requested_procedure_description,
            scheduled_procedure_step_description, organisation);
        CREATE INDEX series_request_procedure ON series_request(requested_procedure_id);
        CREATE INDEX series_request_step ON series_request(scheduled_procedure_step_id);
        CREATE INDEX series_request_accession ON series_request(accession_number);

        CREATE TABLE instance(id INTEGER PRIMARY KEY, series INTEGER NOT NULL, \(columns(.instance)),
            first_organisation INTEGER NOT NULL, versions INTEGER NOT NULL DEFAULT 1,
            flags INTEGER NOT NULL DEFAULT 0) STRICT;
        -- The same UID under another series is another row, so that each is found where its sender put it.
        CREATE UNIQUE INDEX instance_uid ON instance(uid, series);
        CREATE INDEX instance_series ON instance(series);
        -- patient: whose it says that it is.
        CREATE TABLE version(id INTEGER PRIMARY KEY, instance INTEGER NOT NULL, patient INTEGER NOT NULL, blob BLOB NOT NULL,
            sequence INTEGER NOT NULL, writer INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
            length INTEGER NOT NULL, data_set_length INTEGER NOT NULL, sop_class_uid TEXT NOT NULL, transfer_syntax TEXT NOT NULL,
            organisation INTEGER NOT NULL, calling_ae_title TEXT NOT NULL, flags INTEGER NOT NULL,
            known INTEGER NOT NULL) STRICT;
        CREATE UNIQUE INDEX version_blob ON version(blob);
        -- Who else sent a content: storage commitment is for what the asker itself sent.
        CREATE TABLE version_caller(blob BLOB NOT NULL, organisation INTEGER NOT NULL, calling_ae_title TEXT NOT NULL,
            PRIMARY KEY(blob, organisation, calling_ae_title)) STRICT, WITHOUT ROWID;
        -- By the first sighting of each version from each organisation: who gets which.
        CREATE TABLE version_source(instance INTEGER NOT NULL, organisation INTEGER NOT NULL, sequence INTEGER NOT NULL,
            version INTEGER NOT NULL, PRIMARY KEY(instance, organisation, sequence)) STRICT, WITHOUT ROWID;

        -- What is deleted or rejected. Of an instance: one row for each cause, which is the sequence number of a tombstone, or
        -- the negative id of a rejection note's instance. Of what is above: rows while nothing in it is seen by all, one for each
        -- set of reasons that hides an instance in it (and then as cause, too).
        CREATE TABLE hidden(level INTEGER NOT NULL, id INTEGER NOT NULL, cause INTEGER NOT NULL, reasons INTEGER NOT NULL,
            PRIMARY KEY(level, id, cause)) STRICT, WITHOUT ROWID;
        CREATE INDEX hidden_cause ON hidden(cause) WHERE level = 3;
        -- uids: from the study's down, with a space between; empty: whatever it is. state 0: may be taken back, 1: was taken back, 2: for good.
        CREATE TABLE tombstone(sequence INTEGER PRIMARY KEY, level INTEGER NOT NULL, uids TEXT NOT NULL,
            received_at INTEGER NOT NULL, organisation INTEGER NOT NULL, calling_ae_title TEXT NOT NULL,
            instances INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, is_own INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE INDEX tombstone_pending ON tombstone(received_at) WHERE state = 0;
        -- What is deleted of instances of which something else is there: rows of version_source, which come back with it.
        CREATE TABLE withdrawn(tombstone INTEGER NOT NULL, instance INTEGER NOT NULL, organisation INTEGER NOT NULL,
            sequence INTEGER NOT NULL, version INTEGER NOT NULL,
            PRIMARY KEY(tombstone, instance, organisation, sequence)) STRICT, WITHOUT ROWID;
        CREATE INDEX withdrawn_instance ON withdrawn(instance);
        -- What rejection notes name, also before it has come.
        CREATE TABLE rejection(note INTEGER NOT NULL, uid TEXT NOT NULL, reasons INTEGER NOT NULL,
            PRIMARY KEY(note, uid)) STRICT, WITHOUT ROWID;
        CREATE INDEX rejection_uid ON rejection(uid);
        -- Rules in force, as the log's annotations say.
        CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        -- Records that nobody refers to any more, until their segment is compacted.
        CREATE TABLE garbage(writer INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,
            length INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY(writer, segment, offset)) STRICT, WITHOUT ROWID;

        CREATE INDEX study_flags ON study(flags) WHERE flags <> 0;
        CREATE INDEX series_flags ON series(flags) WHERE flags <> 0;
        CREATE INDEX instance_flags ON instance(flags) WHERE flags <> 0;
        INSERT INTO meta VALUES('schema', \(version));
        INSERT INTO state VALUES(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

        -- Plans must not hang on whether somebody has run ANALYZE: these say which indexes are selective.
        ANALYZE sqlite_schema;
        DELETE FROM sqlite_stat1;
        INSERT INTO sqlite_stat1 VALUES
            ('patient', 'patient_key', '10000000 2 1 1'), ('patient', 'patient_birth_date', '10000000 300'),
            ('patient_name', 'patient_name_folded', '10000000 3 1 1'), ('patient_name', 'patient_name_patient', '10000000 2 2'),
            ('study_word', 'study_word_study', '30000000 3 3'), ('study_word', 'study_word', '30000000 300 1 1 1'),
            ('name_word', 'name_word_word', '100000 1'), ('name_word', 'name_word_reversed', '100000 1'),
            ('name_word', 'name_word_key', '100000 2'),
            ('study', 'study_uid', '10000000 1'), ('study', 'study_date', '10000000 3000 2'),
            ('study', 'study_accession', '10000000 2'), ('study', 'study_study_id', '10000000 20'),
            ('study', 'study_referrer', '10000000 2000'), ('study', 'study_referrer_groups', '100000 10000'),
            ('study_patient', 'study_patient', '10000000 3 1'),
            ('study_patient', 'study_patient_study', '10000000 1 1'),
            ('study_content', 'study_content', '40000000 4 2 2 1'),
            ('study_content', 'study_content_value', '40000000 2000000 1000000 100000 40 1'),
            ('study_count', 'study_count', '10000000 1 1'),
            ('study_count', 'study_count_organisation', '10000000 100000 1'),
            ('study_count', 'study_count_date', '10000000 100000 30 1'),
            ('series_count', 'series_count', '40000000 1 1'),
            ('patient_source', 'patient_source', '10000000 1 1 1'),
            ('series', 'series_uid', '40000000 1 1'), ('series', 'series_study', '40000000 4'),
            ('series', 'series_modality', '40000000 2000000'),
            ('series_request', 'series_request_item', '20000000 2 1 1 1 1 1 1'),
            ('series_request', 'series_request_procedure', '20000000 3'),
            ('series_request', 'series_request_step', '20000000 3'),
            ('series_request', 'series_request_accession', '20000000 3'),
            ('instance', 'instance_uid', '2000000000 1 1'), ('instance', 'instance_series', '2000000000 100'),
            ('hidden', 'hidden', '1000000 300000 1 1'), ('hidden', 'hidden_cause', '1000000 1000'),
            ('rejection', 'rejection', '100000 100 1'), ('rejection', 'rejection_uid', '100000 1'),
            ('version', 'version_blob', '2000000000 1'), ('version_source', 'version_source', '2000000000 1 1 1');
        ANALYZE sqlite_schema;
        """
    }
}
