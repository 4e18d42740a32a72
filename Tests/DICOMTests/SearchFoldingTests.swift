// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Search folding")
struct SearchFoldingTests {
    @Test(
        "Letter case and accents do not count",
        arguments: [
            ("MÜLLER", "muller"), ("José Ñandú", "jose nandu"), ("Łukasz", "lukasz"), ("Søren", "soren"),
            ("Straße", "strasse"), ("Ærø", "aero"), ("Dvořák", "dvorak"), ("Nguyễn", "nguyen"), ("Öztürk", "ozturk"),
            ("İstanbul", "istanbul"), ("ışık", "isik"), ("Åse", "ase"), ("Þór", "thor"), ("ΆΓΓΕΛΟΣ", "αγγελοσ"),
            ("Ἀθηνᾶ", "αθηνα"), ("ŽIŽKA", "zizka"), ("Ştefănescu", "stefanescu"), ("ŐŰ", "ou"),
        ])
    func accents(_ text: String, _ folded: String) {
        #expect(SearchFolding.fold(text).unicodeScalars.elementsEqual(folded.unicodeScalars))
    }

    @Test(
        "ё is е, but й, ї and і are letters of their own",
        arguments: [
            ("СЕМЁНОВ", "семенов"), ("Семе\u{308}нов", "семенов"), ("Андрей", "андрей"), ("Андреи\u{306}", "андрей"),
            ("АНДРЕИ\u{306}", "андрей"), ("Їжак", "їжак"), ("І\u{308}жак", "їжак"), ("Іван", "іван"),
            ("Ґалаґан", "ґалаґан"),
            ("Ивано\u{301}в", "иванов"), ("ЎЗБЕК", "ўзбек"), ("У\u{306}ЗБЕК", "ўзбек"), ("Ќ", "ќ"), ("К\u{301}", "ќ"),
        ])
    func cyrillic(_ text: String, _ folded: String) {
        #expect(SearchFolding.fold(text).unicodeScalars.elementsEqual(folded.unicodeScalars))
    }

    @Test(
        "Composed and decomposed text fold alike",
        arguments: [
            ("é", "e\u{301}"), ("Ễ", "E\u{302}\u{303}"), ("Å", "A\u{30A}"), ("ή", "η\u{301}"),
            ("홍", "\u{1112}\u{1169}\u{11BC}"),
            ("が", "か\u{3099}"), ("パ", "ハ\u{309A}"), ("ѓ", "г\u{301}"), ("ắ", "a\u{306}\u{301}"),
        ])
    func normalForms(_ composed: String, _ decomposed: String) {
        let left = SearchFolding.fold(composed)
        #expect(left.unicodeScalars.elementsEqual(SearchFolding.fold(decomposed).unicodeScalars))
    }

    @Test(
        "Spaces and trailing delimiters do not count",
        arguments: [
            ("Ivanov^Ivan^^^", "ivanov^ivan"), ("Ivanov   Ivan", "ivanov ivan"), ("  Ivanov ^ ", "ivanov"),
            ("Wang^XiaoDong^^=王^小东^^==", "wang^xiaodong=王^小东"), ("^Ivan", "^ivan"), ("=王", "=王"), ("", ""), (" ", ""),
            ("^^", ""), ("==", ""),
        ])
    func layout(_ text: String, _ folded: String) {
        #expect(SearchFolding.fold(text) == folded)
    }

    @Test("Wildcards stay", arguments: [("MÜL*", "mul*"), ("M?LLER^*", "m?ller^*")])
    func wildcards(_ text: String, _ folded: String) {
        #expect(SearchFolding.fold(text) == folded)
    }

    @Test("Other scripts stay as they are", arguments: ["สมชาย", "ปู่", "राम", "山田", "홍길동", "ﾔﾏﾀﾞ"])
    func otherScripts(_ text: String) {
        #expect(SearchFolding.fold(text).unicodeScalars.elementsEqual(text.unicodeScalars))
    }

    @Test("Folding folded text changes nothing, whatever the character")
    func idempotent() {
        for value in UInt32(0)...0xFFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let once = SearchFolding.fold("a\(scalar)b")
            let twice = SearchFolding.fold(once)
            if !once.unicodeScalars.elementsEqual(twice.unicodeScalars) {
                Issue.record("U+\(String(value, radix: 16)): \(once) became \(twice)")
            }
        }
    }
}
