// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Holds the whole trail against its key: is every entry there, in its place, and as it was written?
package struct AuditVerification {
    package private(set) var entries: UInt64 = 0
    package private(set) var files = 0
    /// The last entry there is.
    package private(set) var end = AuditHead(number: 0, chain: [])
    /// Each a sentence that names the entries and the line.
    package private(set) var problems: [String] = []
    /// What is no fault.
    package private(set) var notes: [String] = []

    private static let problemsMaximum = 1000
    private let chain: AuditChain
    private var expected: UInt64 = 1
    private var previous: [UInt8]?
    private var heads: [(head: AuditHead, what: String, isSeen: Bool)] = []

    /// - Parameter kept: a head that was kept elsewhere.
    package init(_ directory: AuditDirectory, kept: AuditHead? = nil) throws {
        chain = try directory.chain(mayCreate: false)
        previous = chain.origin
        // Before the lines, so that what is written meanwhile is behind it.
        switch try AuditHead.read(directory, chain) {
        case .good(let head): heads.append((head, "the head that is kept apart", false))
        case .missing: problem("the head that is kept apart (\(directory.head)) is missing")
        case .foreign: problem("the head that is kept apart (\(directory.head)) was not made with this key")
        }
        if let kept { heads.append((kept, "the head that was given", false)) }
        let names = try directory.files()
        for name in names { try read(directory, name, isLast: name == names.last) }
        for head in heads where !head.isSeen {
            if head.head.number > end.number {
                problem(
                    "the end is cut off: \(Self.range(end.number + 1, head.head.number)) missing, says \(head.what)")
            } else if head.head.number > 0 {
                problem("entry \(head.head.number) is not the one of \(head.what)")
            }
        }
    }

    private mutating func read(_ directory: AuditDirectory, _ name: AuditDirectory.Name, isLast: Bool)
        throws(SystemError)
    {
        files += 1
        var lines = AuditLineReader(try directory.volume.open(directory.file(name), O_RDONLY))
        var number = 0
        while let line = try lines.next() {
            number += 1
            take(line, at: "\(name.text) line \(number)")
        }
        guard !lines.rest.isEmpty else { return }
        if isLast {
            notes.append(
                "\(name.text) ends with an unfinished line: it is being written, or the next start cuts it off")
        } else {
            problem("\(name.text) ends with something that is no line")
        }
    }

    private mutating func take(_ line: ArraySlice<UInt8>, at place: String) {
        guard let parts = AuditChain.Parts(line) else {
            return problem("\(place) is no entry, or was changed: entry \(expected) should stand there")
        }
        if parts.number < expected {
            return problem("entry \(parts.number) stands out of its order, or twice, at \(place)")
        }
        let isGap = parts.number > expected
        if isGap { problem("\(Self.range(expected, parts.number - 1)) missing before \(place)") }
        let fits = previous.map { chain.value(of: parts.signedPart, after: $0) == parts.chain } ?? false
        if !fits, !isGap { problem("entry \(parts.number) (\(place)) was changed, or the one before it") }
        entries += 1
        expected = parts.number + 1
        previous = parts.chain
        end = AuditHead(number: parts.number, chain: parts.chain)
        for index in heads.indices where heads[index].head == end { heads[index].isSeen = true }
    }

    private static func range(_ first: UInt64, _ last: UInt64) -> String {
        first == last ? "entry \(first) is" : "entries \(first) to \(last) are"
    }

    private mutating func problem(_ what: String) {
        if problems.count < Self.problemsMaximum { problems.append(what) }
    }
}
