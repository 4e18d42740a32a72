// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Person names")
struct PersonNameTests {
    @Test("Splits groups and components")
    func parts() {
        let name = PersonName("Yamada^Tarou^M^Dr^Jr=山田^太郎=やまだ^たろう")
        #expect(name.alphabetic.familyName == "Yamada")
        #expect(name.alphabetic.givenName == "Tarou")
        #expect(name.alphabetic.middleName == "M")
        #expect(name.alphabetic.prefix == "Dr")
        #expect(name.alphabetic.suffix == "Jr")
        #expect(name.ideographic.familyName == "山田")
        #expect(name.ideographic.middleName == "")
        #expect(name.phonetic.givenName == "たろう")
    }

    @Test("Takes any text", arguments: ["", "=", "===", "^", "^^^^^^^^", "a=b=c=d", "^=^=^", "a^b^c^d^e^f"])
    func anyText(_ text: String) {
        let name = PersonName(text)
        #expect(name == PersonName(text))
        #expect(!name.alphabetic.familyName.contains("^"))
        #expect(!name.alphabetic.familyName.contains("="))
    }

    @Test("A name may lack its first group")
    func ideographsOnly() {
        let name = PersonName("=王^小东")
        #expect(name.alphabetic.familyName.isEmpty)
        #expect(name.ideographic.givenName == "小东")
    }
}
