// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Audit

@Suite("Audit chain")
struct ChainTests {
    private let folder: Folder

    init() throws {
        folder = try Folder()
        try folder.fill(20)
    }

    @Test("A trail as it was written has nothing wrong")
    func isSound() throws {
        let report = try folder.verify()
        #expect(report.problems.isEmpty)
        #expect(report.entries == 20)
        #expect(try folder.entries().map(\.number) == Array(1...20))
    }

    /// Every line of the trail, each way.
    @Test("Each removed, changed, moved, doubled or forged line is noticed and named", arguments: 0..<20)
    func tampering(line: Int) throws {
        let lines = try folder.lines()
        func problems(_ body: (inout [String]) -> Void) throws -> [String] {
            var copy = lines
            body(&copy)
            try folder.write(copy)
            return try folder.verify().problems
        }
        #expect(try problems { _ in }.isEmpty)
        let number = line + 1
        let removed = try problems { $0.remove(at: line) }
        // The last one is known by the head alone.
        let wanted = line == 19 ? "the end is cut off: entry 20 is missing" : "entry \(number) is missing before"
        #expect(removed.contains { $0.hasPrefix(wanted) }, "\(removed)")
        let changed = try problems { $0[line] = $0[line].replacing("\"count\":\(number),", with: "\"count\":99,") }
        #expect(changed.contains { $0.hasPrefix("entry \(number) (") }, "\(changed)")
        let doubled = try problems { $0.insert($0[line], at: line) }
        #expect(doubled.contains { $0.hasPrefix("entry \(number) stands out of its order, or twice") }, "\(doubled)")
        if line < 19 {
            let moved = try problems { $0.swapAt(line, line + 1) }
            #expect(!moved.isEmpty)
            let cut = try problems { $0.removeSubrange((line + 1)...) }
            #expect(cut.contains { $0.hasPrefix("the end is cut off") }, "\(cut)")
        }
        let forged = try problems { lines in
            // Its number and chain value are another's.
            let other = lines[(line + 5) % 20]
            lines[line] = other.replacing("\"n\":\((line + 5) % 20 + 1),", with: "\"n\":\(number),")
        }
        #expect(!forged.isEmpty)
        let garbled = try problems { $0[line] = "{}" }
        #expect(garbled.contains { $0.contains("line \(number) is no entry") }, "\(garbled)")
    }

    @Test("One bit anywhere in the trail is noticed", arguments: 0..<200)
    func bits(seed: Int) throws {
        let path = try folder.files[0]
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let place = seed * 7919 % bytes.count
        bytes[place] ^= 1 << UInt8(seed % 8)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let report = try folder.verify()
        #expect(!report.problems.isEmpty || !report.notes.isEmpty, "byte \(place)")
    }

    @Test("Whoever cuts the end and writes a head of his own is found out")
    func foreignHead() throws {
        let kept = try #require(try AuditHead.load(folder.directory()))
        var lines = try folder.lines()
        lines.removeLast(3)
        try folder.write(lines)
        let cut = try #require(AuditChain.Parts(Array(lines.last!.utf8)[...]))
        let forged = AuditHead(number: cut.number, chain: cut.chain)
        let stranger = AuditChain(key: [UInt8](repeating: 7, count: 32))
        try Data(forged.encoded(stranger)).write(to: URL(fileURLWithPath: folder.directory().head))
        #expect(try folder.verify().problems.contains { $0.contains("was not made with this key") })
        // With the key he could; then only a head that was kept elsewhere tells.
        let chain = try folder.directory().chain(mayCreate: false)
        try Data(forged.encoded(chain)).write(to: URL(fileURLWithPath: folder.directory().head))
        #expect(try folder.verify().problems.isEmpty)
        let told = try folder.verify(kept: kept).problems
        #expect(told == ["the end is cut off: entries 18 to 20 are missing, says the head that was given"])
    }

    @Test("The chain goes on over files, and a missing file is noticed")
    func files() throws {
        let other = try Folder()
        try other.fill(50, fileBytes: 2000)
        #expect(try other.files.count > 3)
        #expect(try other.verify().problems.isEmpty)
        let second = try other.files[1]
        try FileManager.default.removeItem(atPath: second)
        let problems = try other.verify().problems
        #expect(problems.count == 1 && problems[0].contains("are missing before"), "\(problems)")
    }

    @Test("Another key fits nothing")
    func key() throws {
        try (String(repeating: "ab", count: 32) + "\n").write(
            toFile: folder.directory().keyFile, atomically: false, encoding: .utf8)
        #expect(try folder.verify().problems.count > 20)
        let trail = folder.trail()
        #expect(trail.refusal != nil)
        #expect(throws: AuditError.self) { try trail.record(Samples.event(1)) }
    }

    @Test("The key is readable by its owner only")
    func modes() throws {
        for path in [folder.directory().keyFile, try folder.files[0], folder.directory().head] {
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600, "\(path)")
        }
    }
}
