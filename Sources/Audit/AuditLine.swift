// SPDX-License-Identifier: Apache-2.0

/// An event as one line of JSON, without the number in front and the chain value behind. Written by hand: keys stand in one
/// order, and whatever could break a line or steer a terminal is escaped.
struct AuditLine {
    /// Of one text; what is longer is cut.
    private static let textMaximum = 1024
    private(set) var bytes: [UInt8] = []

    /// - Returns: `"at":"…","event":"…",…` without braces.
    static func encoded(_ event: AuditEvent, at time: String) -> [UInt8] {
        var line = AuditLine()
        line.bytes.reserveCapacity(512)
        line.member("at", time)
        line.member("event", event.event.rawValue)
        line.member("alert", event.alert?.rawValue)
        line.member("access", event.access?.rawValue)
        line.member("outcome", event.outcome.rawValue)
        line.member("action", event.action)
        line.member("who", event.who)
        if let other = event.other { line.member("other", other) }
        if let studies = event.studies { line.member("studies", studies) }
        line.member("studyCount", event.studyCount)
        if let query = event.query { line.member("query", query) }
        line.member("count", event.count)
        line.member("detail", event.detail)
        line.member("repeated", event.repeated)
        return line.bytes
    }

    // MARK: Members

    private mutating func name(_ name: StaticString) {
        if let last = bytes.last, last != UInt8(ascii: "{") { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes += [UInt8(ascii: "\""), UInt8(ascii: ":")]
    }

    private mutating func member(_ key: StaticString, _ text: String?) {
        guard let text else { return }
        name(key)
        string(text, maximum: Self.textMaximum)
    }

    private mutating func member(_ key: StaticString, _ number: Int?) {
        guard let number else { return }
        name(key)
        bytes.append(contentsOf: String(number).utf8)
    }

    private mutating func object(_ key: StaticString, _ body: (inout AuditLine) -> Void) {
        name(key)
        bytes.append(UInt8(ascii: "{"))
        body(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func member(_ key: StaticString, _ party: AuditParty) {
        object(key) { line in
            line.member("kind", party.kind.rawValue)
            line.member("name", party.name)
            line.member("organisation", party.organisation)
            line.member("address", party.address)
            line.member("connection", party.connection)
        }
    }

    private mutating func member(_ key: StaticString, _ query: AuditQuery) {
        object(key) { line in
            line.member("subject", query.subject)
            line.member("transferSyntax", query.transferSyntax)
            line.name("keys")
            line.string(query.keys, maximum: AuditQuery.keysMaximum * 2)
            line.member("bytes", query.bytes)
        }
    }

    private mutating func member(_ key: StaticString, _ studies: [AuditStudy]) {
        name(key)
        bytes.append(UInt8(ascii: "["))
        for (index, study) in studies.enumerated() {
            bytes.append(contentsOf: index == 0 ? [UInt8(ascii: "{")] : [UInt8(ascii: ","), UInt8(ascii: "{")])
            member("uid", study.uid)
            member("patient", study.patient)
            member("issuer", study.issuer)
            if let classes = study.classes {
                object("classes") { line in
                    for (number, pair) in classes.sorted(by: { $0.key < $1.key }).enumerated() {
                        if number > 0 { line.bytes.append(UInt8(ascii: ",")) }
                        line.string(pair.key, maximum: 64)
                        line.bytes.append(UInt8(ascii: ":"))
                        line.bytes.append(contentsOf: String(pair.value).utf8)
                    }
                }
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    // MARK: Text

    private mutating func string(_ text: String, maximum: Int) {
        bytes.append(UInt8(ascii: "\""))
        defer { bytes.append(UInt8(ascii: "\"")) }
        if appendPlain(text, maximum: maximum) { return }
        for scalar in text.unicodeScalars.prefix(maximum) {
            switch scalar {
            case "\"", "\\": bytes += [UInt8(ascii: "\\"), UInt8(scalar.value)]
            case " "..."~": bytes.append(UInt8(scalar.value))
            default:
                switch scalar.properties.generalCategory {
                // The same set as `Log.quoted` has: what breaks lines, turns text around or steers a terminal.
                case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                    escape(scalar)
                default: bytes.append(contentsOf: UTF8.encode(scalar)!)
                }
            }
        }
    }

    /// Most text is plain, and goes as a whole.
    private mutating func appendPlain(_ text: String, maximum: Int) -> Bool {
        var text = text
        return text.withUTF8 { source in
            guard source.count <= maximum,
                source.allSatisfy({ (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
                )
            else { return false }
            bytes.append(contentsOf: source)
            return true
        }
    }

    /// RFC 8259 section 7: beyond the basic plane as two.
    private mutating func escape(_ scalar: UnicodeScalar) {
        for unit in UTF16.encode(scalar)! {
            let digits = String(unit, radix: 16)
            bytes.append(contentsOf: "\\u".utf8)
            bytes.append(contentsOf: String(repeating: "0", count: 4 - digits.count).utf8)
            bytes.append(contentsOf: digits.utf8)
        }
    }
}
