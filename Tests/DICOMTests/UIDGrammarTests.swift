// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Unique identifiers")
struct UIDGrammarTests {
    @Test(
        "Takes what the standard allows",
        arguments: ["1.2", "0.0", "1.2.840.10008.1.2", "2.25.329800735698586629295641978511506172918", "1.0.3"])
    func valid(_ uid: String) {
        #expect(UIDGrammar.check(uid) == .valid)
    }

    @Test("Flags what is put together wrongly", arguments: ["1.02", "1..2", ".1.2", "1.2.", "00.1", "1.2.00"])
    func faulty(_ uid: String) {
        #expect(UIDGrammar.check(uid) == .faulty)
    }

    @Test(
        "Refuses what is no identifier", arguments: ["", "1.2a", "1.2 ", "1.2\0", "../etc", "1,2", "1.２", "-1.2", "."])
    func unacceptable(_ uid: String) {
        #expect(UIDGrammar.check(uid) == .unacceptable)
    }

    @Test("64 characters pass, 65 do not")
    func length() {
        let longest = "1." + String(repeating: "9", count: 62)
        #expect(UIDGrammar.check(longest) == .valid)
        #expect(UIDGrammar.check(longest + "9") == .unacceptable)
        #expect(UIDGrammar.check(Array(longest.utf8)) == .valid)
    }

    @Test("New identifiers are valid and differ")
    func generator() {
        let uids = (0..<1000).map { _ in UIDGenerator.newUID() }
        #expect(Set(uids).count == uids.count)
        #expect(uids.allSatisfy { $0.hasPrefix("2.25.") && UIDGrammar.check($0) == .valid })
    }
}
