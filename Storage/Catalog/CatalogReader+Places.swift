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
