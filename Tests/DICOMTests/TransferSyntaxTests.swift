// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Transfer syntaxes and SOP classes")
struct TransferSyntaxTests {
    /// What a syntax is, one letter each: implicit, big endian, deflated, encapsulated, uncompressed.
    private static func traits(_ syntax: TransferSyntax) -> String {
        (syntax.isImplicitVR ? "i" : "") + (syntax.isBigEndian ? "b" : "") + (syntax.isDeflated ? "d" : "")
            + (syntax.isEncapsulated ? "e" : "") + (syntax.isUncompressed ? "u" : "")
    }

    @Test(
        "Each syntax says how its data sets are written",
        arguments: [
            ("1.2.840.10008.1.2", "iu"), ("1.2.840.10008.1.2.1", "u"), ("1.2.840.10008.1.2.1.99", "du"),
            ("1.2.840.10008.1.2.2", "bu"), ("1.2.840.10008.1.2.1.98", "e"), ("1.2.840.10008.1.2.4.50", "e"),
            ("1.2.840.10008.1.2.4.66", "e"), ("1.2.840.10008.1.2.4.70", "e"), ("1.2.840.10008.1.2.4.80", "e"),
            ("1.2.840.10008.1.2.4.90", "e"), ("1.2.840.10008.1.2.4.94", ""), ("1.2.840.10008.1.2.4.95", "d"),
            ("1.2.840.10008.1.2.4.102.1", "e"), ("1.2.840.10008.1.2.4.108", "e"), ("1.2.840.10008.1.2.4.112", "e"),
            ("1.2.840.10008.1.2.4.203", "e"), ("1.2.840.10008.1.2.4.204", ""), ("1.2.840.10008.1.2.4.205", "d"),
            ("1.2.840.10008.1.2.5", "e"), ("1.2.840.10008.1.2.8.1", "e"),
        ])
    func traits(_ uid: String, _ expected: String) {
        let syntax = TransferSyntax(uid: uid)
        #expect(Self.traits(syntax) == expected)
        #expect(syntax.uid == uid)
        #expect(syntax.name != uid)
    }

    @Test("An unknown syntax is explicit little endian and encapsulated (PS3.5 A.4)")
    func unknown() {
        let syntax = TransferSyntax(uid: "1.2.3.4")
        #expect(Self.traits(syntax) == "e")
        #expect(syntax.name == "1.2.3.4")
        #expect(!TransferSyntax.all.contains(syntax))
    }

    @Test("Padding is no part of a UID", arguments: ["1.2.840.10008.1.2\0", "1.2.840.10008.1.2 "])
    func padding(_ uid: String) {
        #expect(TransferSyntax(uid: uid) == .implicitVRLittleEndian)
    }

    @Test("No syntax is listed twice, and each UID is valid")
    func list() {
        #expect(Set(TransferSyntax.all.map(\.uid)).count == TransferSyntax.all.count)
        #expect(TransferSyntax.all.allSatisfy { UIDGrammar.check($0.uid) == .valid })
        #expect(TransferSyntax.all.allSatisfy { !($0.isEncapsulated && $0.isUncompressed) })
    }

    @Test("Storage classes are known by name, each once")
    func storageClasses() {
        #expect(SOPClass.name(of: "1.2.840.10008.5.1.4.1.1.2") == "CT Image Storage")
        #expect(SOPClass.name(of: SOPClass.verification) == "Verification")
        #expect(SOPClass.name(of: "1.2.3") == nil)
        #expect(SOPClass.isStorage("1.2.840.10008.5.1.4.1.1.4"))
        #expect(!SOPClass.isStorage(SOPClass.studyRootFind))
        #expect(Set(SOPClass.storage).count == SOPClass.storage.count)
        #expect(SOPClass.storage.count > 150)
        #expect(SOPClass.storage.allSatisfy { UIDGrammar.check($0) == .valid && SOPClass.name(of: $0) != nil })
    }
}
