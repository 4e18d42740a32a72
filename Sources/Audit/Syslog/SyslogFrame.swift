// SPDX-License-Identifier: Apache-2.0

/// An audit message on its way to a repository: RFC 5424 inside RFC 5425, as PS3.15 section A.6 wants it.
enum SyslogFrame {
    /// Facility 10 (security and authorization), severity 5 for what went well and 4 for what did not.
    private static func priority(_ outcome: AuditEvent.Outcome) -> Int { 10 * 8 + (outcome == .success ? 5 : 4) }

    /// - Parameter number: of the entry, which tells a repository what it has already; 0: none.
    static func encoded(
        _ message: String, _ entry: AuditEntry, source: AuditSource, process: Int32
    ) -> [UInt8] {
        // RFC 5424 section 7.3.1: counts up to 2147483647 and begins anew.
        let sequence = entry.number == 0 ? "-" : "[meta sequenceId=\"\((entry.number - 1) % 2_147_483_647 + 1)\"]"
        let head =
            "<\(priority(entry.event.outcome))>1 \(entry.time) \(printable(source.host, 255)) snimok \(process) "
            + "DICOM+RFC3881 \(sequence) "
        // The byte order mark says that UTF-8 follows (RFC 5424 section 6.4).
        let body = Array(head.utf8) + [0xEF, 0xBB, 0xBF] + Array(message.utf8)
        return Array("\(body.count) ".utf8) + body
    }

    /// PRINTUSASCII of RFC 5424 section 6.
    private static func printable(_ text: String, _ maximum: Int) -> String {
        let clean = text.utf8.filter { (0x21...0x7E).contains($0) }.prefix(maximum)
        return clean.isEmpty ? "-" : String(decoding: clean, as: UTF8.self)
    }
}
