// SPDX-License-Identifier: Apache-2.0
import Database

extension CatalogReader {
    /// The versions whose record begins in a range of a segment, in whatever generation. For damage only: it looks at all.
    package func versions(segment: UInt32, offsets: Range<UInt64>) throws(CatalogError) -> [CatalogVersion] {
        var found: [(uid: String, blob: [UInt8])] = []
        try database.statement(
            """
            SELECT i.uid, v.blob FROM version v JOIN instance i ON i.id = v.instance
                WHERE v.segment = ? AND v.offset >= ? AND v.offset < ? ORDER BY v.offset
            """
        ).forEach([
            .integer(Int64(segment)), .integer(Int64(clamping: offsets.lowerBound)),
            .integer(Int64(clamping: offsets.upperBound)),
        ]) { row throws(CatalogError) in
            found.append((row.text(0) ?? "", row.blob(1)))
            return true
        }
        var versions: [CatalogVersion] = []
        for (uid, blob) in found { versions += try self.versions(sopInstanceUID: uid).filter { $0.blobID == blob } }
        return versions
    }

    /// Where versions have their records, a page at a time.
    /// - Parameter after: the last id of the page before; 0: the first page.
    package func places(
        after: Int64, limit: Int
    ) throws(CatalogError) -> [(id: Int64, sopInstanceUID: String, blobID: [UInt8], location: CatalogLocation)] {
        var found: [(id: Int64, sopInstanceUID: String, blobID: [UInt8], location: CatalogLocation)] = []
        try database.statement(
            """
            SELECT v.id, i.uid, v.blob, v.writer, v.segment, v.offset, v.length FROM version v
                JOIN instance i ON i.id = v.instance WHERE v.id > ? ORDER BY v.id LIMIT ?
            """
        ).forEach([.integer(after), .integer(Int64(limit))]) { row throws(CatalogError) in
            let location = CatalogLocation(
                writer: UInt32(row.integer(3)), segment: UInt32(row.integer(4)), offset: UInt64(row.integer(5)),
                length: UInt64(row.integer(6)))
            found.append((row.integer(0), row.text(1) ?? "", row.blob(2), location))
            return true
        }
        return found
    }

    /// Whether an instance was deleted, or rejected, under every series that it stands in.
    package func isHidden(sopInstanceUID uid: String) throws(CatalogError) -> Bool {
        try database.statement(
            """
            SELECT 1 FROM instance i WHERE i.uid = ?
                AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.level = 3 AND h.id = i.id)
            """
        ).first([.text(uid)]) { _ in true } == nil
    }
}
