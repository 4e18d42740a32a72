// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Audit

@Suite("Audit messages")
struct MessageTests {
    private let source = AuditSource(aeTitle: "SNIMOK", organisation: "region", host: "archive")

    private func messages(_ event: AuditEvent) -> [String] {
        AuditMessage.messages(AuditEntry(time: "2026-11-21T10:15:30.123Z", event: event), source: source)
    }

    @Test("A message speaks of one patient; so an entry about several gives several")
    func patients() {
        var event = AuditEvent(.transferBegun, "C-GET", by: Samples.who)
        event.take([
            AuditStudy("1.1", patient: "A"), AuditStudy("1.2", patient: "B"), AuditStudy("1.3", patient: "A"),
            AuditStudy("1.4", patient: "A", issuer: "other"),
        ])
        let all = messages(event)
        #expect(all.count == 3)
        #expect(all[0].contains("\"1.1\"") && all[0].contains("\"1.3\"") && !all[0].contains("\"1.2\""))
        #expect(all[2].contains("\"A^^^other\""))
        // One that may name several, and one that names none.
        event.event = .exported
        #expect(messages(event).count == 1)
        #expect(messages(AuditEvent(.started, "serve", by: .archive)).count == 1)
    }

    @Test("Hostile text stays text")
    func hostile() throws {
        let hostile = "<a b=\"c\">&\u{0}\u{1B}\n\u{2028}\u{FFFE}'"
        var event = AuditEvent(.alert, hostile, by: AuditParty(.unknown, name: hostile), detail: hostile)
        event.alert = .nodeAuthentication
        let text = messages(event)[0]
        let parser = XMLCheck(text)
        #expect(parser.isWellFormed)
        #expect(!text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x2028 || $0.value == 0xFFFE })
    }

    @Test("A frame counts its octets, and its head is that of RFC 5424")
    func frame() {
        var event = AuditEvent(.query, "C-FIND", by: Samples.who)
        func frame(_ entry: AuditEntry) -> String {
            String(decoding: SyslogFrame.encoded("<x>Ж</x>", entry, source: source, process: 42), as: UTF8.self)
        }
        let body = "<85>1 2026-11-21T10:15:30.123Z archive snimok 42 DICOM+RFC3881 - \u{FEFF}<x>Ж</x>"
        let entry = AuditEntry(time: "2026-11-21T10:15:30.123Z", event: event)
        #expect(frame(entry) == "\(body.utf8.count) \(body)")
        event.outcome = .minorFailure
        #expect(frame(AuditEntry(time: "2026-11-21T10:15:30.123Z", event: event)).contains(" <84>1 ") == true)
    }
}

/// Angle brackets and quotes in their places; the schema itself is checked with the whole service (test_audit.py).
private struct XMLCheck {
    let isWellFormed: Bool

    init(_ text: String) {
        var depth = 0
        var isSound = true
        for tag in text.split(separator: "<").dropFirst() {
            guard let end = tag.firstIndex(of: ">"), !tag[tag.index(after: end)...].contains(">") else {
                isSound = false
                break
            }
            let inside = tag[..<end]
            if inside.hasPrefix("?") { continue }
            depth += inside.hasPrefix("/") ? -1 : inside.hasSuffix("/") ? 0 : 1
            if inside.count(where: { $0 == "\"" }) % 2 != 0 { isSound = false }
        }
        isWellFormed = isSound && depth == 0
    }
}
