// SPDX-License-Identifier: Apache-2.0
import Database

/// What a transaction adds to the full-text indexes: gathered, and written at its end. SQLite has such an index write what it
/// holds in memory before each statement that may have to be undone by itself, and what was written so, study by study, it
/// merges again and again.
struct PendingWords {
    /// Words of the names: `name_word`.
    var names: [(id: Int64, word: String)] = []
    /// What `StudyField` gives of each study.
    var studies: [(id: Int64, words: String)] = []

    static let addingStudy: StaticString = "INSERT INTO study_gram(rowid, words) VALUES(?, ?)"

    /// Writes everything, and is empty again. Before anything is taken out of these indexes, too.
    mutating func write(to database: Database) throws(CatalogError) {
        for (id, word) in names {
            try database.statement("INSERT INTO name_word_trigram(rowid, word) VALUES(?, ?)").run([
                .integer(id), .text(word),
            ])
        }
        for (id, words) in studies {
            try database.statement(Self.addingStudy).run([.integer(id), .text(words)])
        }
        self = PendingWords()
    }
}
