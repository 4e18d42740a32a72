// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Walking over elements (PS3.5 section 7)")
struct ElementCursorTests {
    private static let syntaxes = [Wire.le, Wire.be, Wire.implicit]

    @Test("Explicit VR Little Endian, byte by byte")
    func explicitLittle() throws {
        let bytes: [UInt8] = [
            0x10, 0, 0x20, 0, 0x4C, 0x4F, 2, 0, 0x49, 0x44,  // (0010,0020) LO 2 "ID"
            0xE0, 0x7F, 0x10, 0, 0x4F, 0x57, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4,  // (7FE0,0010) OW 4
        ]
        #expect(try steps(bytes, Wire.le) == ["(0010,0020) LO 8..<10 0", "(7FE0,0010) OW 22..<26 0", "end"])
    }

    @Test("Implicit VR Little Endian, byte by byte; the dictionary knows the VR")
    func implicit() throws {
        let bytes: [UInt8] = [0x10, 0, 0x20, 0, 2, 0, 0, 0, 0x49, 0x44, 0x09, 0, 1, 0x10, 1, 0, 0, 0, 9]
        #expect(try steps(bytes, Wire.implicit) == ["(0010,0020) LO 8..<10 0", "(0009,1001) UN 18..<19 0", "end"])
    }

    @Test("Explicit VR Big Endian, byte by byte")
    func explicitBig() throws {
        let bytes: [UInt8] = [
            0, 0x10, 0, 0x20, 0x4C, 0x4F, 0, 2, 0x49, 0x44, 0x7F, 0xE0, 0, 0x10, 0x4F, 0x57, 0, 0, 0, 0, 0, 2, 1, 2,
        ]
        #expect(try steps(bytes, Wire.be) == ["(0010,0020) LO 8..<10 0", "(7FE0,0010) OW 22..<24 0", "end"])
    }

    @Test("An element without a VR in an explicit syntax is read as an implicit one")
    func missingVR() throws {
        let bytes = Wire.make(Wire.le) { wire in
            wire.element(0x0010_0020, "", [0x49, 0x44], isImplicit: true)
            wire.text(0x0010_0040, "CS", "O ")
        }
        #expect(try steps(bytes, Wire.le) == ["(0010,0020) LO 8..<10 0", "(0010,0040) CS 18..<20 0", "end"])
    }

    @Test("A VR of a later edition has the long form")
    func unknownVR() throws {
        let bytes = Wire.make(Wire.le) { wire in
            wire.raw([0x10, 0, 0x20, 0, 0x5A, 0x5A, 0, 0, 2, 0, 0, 0, 1, 2])
        }
        #expect(try steps(bytes, Wire.le) == ["(0010,0020) ZZ 12..<14 0", "end"])
    }

    @Test("Sequences of defined and undefined length, with empty items and empty sequences", arguments: syntaxes)
    func sequences(syntax: TransferSyntax) throws {
        for isDefined in [false, true] {
            let found = try steps(WireSamples.everything(syntax, isDefined: isDefined), syntax)
            let start = try #require(found.firstIndex { $0.hasPrefix("(0018,9346) SQ [") })
            let inner = found[start + 2]
            #expect(inner.hasPrefix("(0040,0009) SH") && inner.hasSuffix(" 1"))
            #expect(
                Array(found[start + 1...start + 8]).map { $0.prefix(1) } == ["{", "(", "(", "]", "}", "{", "}", "]"])
            #expect(found.last == "end")
            #expect(found.filter { $0 == "{" }.count == found.filter { $0 == "}" }.count)
        }
    }

    @Test("Defined within undefined within defined")
    func mixed() throws {
        let bytes = Wire.make(Wire.le) { wire in
            wire.defined(0x0040_0275) { wire in
                wire.undefinedItem { wire in
                    wire.undefined(0x0040_0008) { wire in
                        wire.definedItem { wire in wire.text(0x0008_0100, "SH", "AB") }
                    }
                }
                wire.definedItem { _ in }
            }
            wire.text(0x0040_1001, "SH", "R1")
        }
        #expect(
            try steps(bytes, Wire.le).map { String($0.prefix(14)) } == [
                "(0040,0275) SQ", "{", "(0040,0008) SQ", "{", "(0008,0100) SH", "}", "]", "}", "{", "}", "]",
                "(0040,1001) SH", "end",
            ])
    }

    @Test("64 levels are read, 65 are refused", arguments: syntaxes)
    func depth(syntax: TransferSyntax) throws {
        let found = try steps(WireSamples.nested(64, syntax), syntax)
        #expect(found.count == 64 * 4 + 2)
        #expect(found.contains { $0.hasPrefix("(0010,0020) LO") && $0.hasSuffix(" 64") })
        let error = #expect(throws: DataSetError.self) { try steps(WireSamples.nested(65, syntax), syntax) }
        guard case .nestedTooDeep? = error else {
            Issue.record("not .nestedTooDeep but \(String(describing: error))")
            return
        }
    }

    @Test("A million levels cost no stack")
    func bomb() {
        let one = Wire.make(Wire.le) { wire in
            wire.head(0x0040_0275, "SQ", Wire.undefined)
            wire.delimiter(0xFFFE_E000, Wire.undefined)
        }
        let bytes = [[UInt8]](repeating: one, count: 1_000_000).flatMap { $0 }
        #expect(throws: DataSetError.self) { try steps(bytes, Wire.le) }
    }

    @Test("UN of undefined length holds Implicit VR items, and the explicit ones go on behind it")
    func unknownWithUndefinedLength() throws {
        let bytes = Wire.make(Wire.le) { wire in
            wire.undefined(0x0009_1010, "UN") { wire in
                wire.undefinedItem { wire in
                    wire.element(0x0010_0020, "", [0x49, 0x44], isImplicit: true)
                    wire.head(0x0040_0275, "", Wire.undefined, isImplicit: true)
                    wire.undefinedItem { wire in wire.element(0x0008_0100, "", [0x41, 0x42], isImplicit: true) }
                    wire.delimiter(0xFFFE_E0DD, 0)
                }
            }
            wire.text(0x0010_0040, "CS", "O ")
        }
        #expect(
            try steps(bytes, Wire.le).map { String($0.prefix(14)) } == [
                "(0009,1010) UN", "{", "(0010,0020) LO", "(0040,0275) SQ", "{", "(0008,0100) SH", "}", "]", "}", "]",
                "(0010,0040) CS", "end",
            ])
    }

    @Test("A length within UN that looks like the letters of a VR is a length")
    func lettersInUnknown() throws {
        // 4F4CH is 20,300, and "LO" as it stands in the stream.
        let bytes = Wire.make(Wire.le) { wire in
            wire.undefined(0x0009_1010, "UN") { wire in
                wire.undefinedItem { wire in
                    wire.element(0x0009_1011, "", [UInt8](repeating: 1, count: 0x4F4C), isImplicit: true)
                }
            }
        }
        #expect(Array(bytes[24..<28]) == [0x4C, 0x4F, 0, 0])
        #expect(try steps(bytes, Wire.le)[2] == "(0009,1011) UN 28..<20328 1")
    }

    @Test("UN of defined length is a value, whatever stands in it")
    func unknownWithDefinedLength() throws {
        let bytes = Wire.make(Wire.le) { wire in wire.element(0x0009_1010, "UN", [0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0]) }
        #expect(try steps(bytes, Wire.le) == ["(0009,1010) UN 12..<20 0", "end"])
    }

    @Test("Encapsulated pixel data: fragments, and what stands behind them")
    func encapsulated() throws {
        let found = try steps(WireSamples.encapsulated(basic: true, extended: false), Wire.jpeg)
        #expect(
            found.map { String($0.prefix(11)) } == [
                "(0028,0008)", "(7FE0,0010)", "fragment 30", "fragment 50", "fragment 66", "fragment 80", "fragment 94",
                "fragment 10", ">", "(FFFC,FFFC)", "end",
            ])
        #expect(found[2] == "fragment 30..<42" && found[3] == "fragment 50..<58" && found[7] == "fragment 106..<114")
    }

    @Test("Values of odd length are taken as they are")
    func oddLengths() throws {
        let bytes = Wire.make(Wire.le) { wire in
            wire.text(0x0008_0060, "CS", "CTX")
            wire.element(0x7FE0_0010, "OB", [1])
            wire.text(0xFFFC_FFFC, "OB", "")
        }
        #expect(
            try steps(bytes, Wire.le) == [
                "(0008,0060) CS 8..<11 0", "(7FE0,0010) OB 23..<24 0", "(FFFC,FFFC) OB 36..<36 0", "end",
            ])
    }

    @Test("Zeros at the end are no error", arguments: [1, 2, 3, 7, 8, 9, 15, 16, 100])
    func zeros(count: Int) throws {
        let bytes = WireSamples.everything(Wire.le)
        let clean = try steps(bytes, Wire.le)
        let padded = try steps(bytes + [UInt8](repeating: 0, count: count), Wire.le)
        #expect(padded.starts(with: clean.dropLast()))
        #expect(padded.last == "end")
        #expect(padded.dropFirst(clean.count - 1).dropLast().allSatisfy { $0.hasPrefix("(0000,0000)") })
    }

    @Test("Other bytes at the end are an error", arguments: [1, 3, 7])
    func rest(count: Int) {
        let bytes = WireSamples.everything(Wire.le) + [UInt8](repeating: 0x20, count: count)
        #expect(throws: DataSetError.endsEarly(at: bytes.count)) { try steps(bytes, Wire.le) }
    }

    @Test("Cut anywhere but between two elements, a data set is an error and never more", arguments: syntaxes)
    func truncation(syntax: TransferSyntax) throws {
        for isDefined in [false, true] {
            let bytes = WireSamples.everything(syntax, isDefined: isDefined)
            let boundaries = try elementBoundaries(bytes, syntax)
            #expect(boundaries.count == 10)
            for length in 0..<bytes.count {
                let cut = Array(bytes[..<length])
                // The first byte of a big-endian tag is a zero, which passes for padding.
                let isZero = bytes[(boundaries.filter { $0 <= length }.max() ?? 0)..<length].allSatisfy { $0 == 0 }
                if boundaries.contains(length) || isZero {
                    #expect(try steps(cut, syntax).last == "end", "\(length)")
                } else {
                    #expect(throws: DataSetError.self, "\(length)") { try steps(cut, syntax) }
                }
            }
        }
    }

    @Test("Cut anywhere within it, encapsulated pixel data is an error")
    func truncatedFragments() throws {
        let bytes = WireSamples.encapsulated(basic: true, extended: true)
        let found = try steps(bytes, Wire.jpeg)
        #expect(found.contains(">"))
        let end = bytes.count - 16
        for length in bytes.count - 16 - 80..<end {
            #expect(throws: DataSetError.self, "\(length)") { try steps(Array(bytes[..<length]), Wire.jpeg) }
        }
        #expect(try steps(Array(bytes[..<end]), Wire.jpeg).last == "end")
    }

    /// Where top-level elements begin.
    private func elementBoundaries(_ bytes: [UInt8], _ syntax: TransferSyntax) throws -> Set<Int> {
        var cursor = ElementCursor(transferSyntax: syntax)
        var depth = 0
        var found: Set<Int> = []
        try bytes.withUnsafeBytes { part in
            let window = ByteWindow(part, isLast: true)
            while true {
                if depth == 0 { found.insert(cursor.position) }
                switch try cursor.next(in: window) {
                case .sequence: depth += 1
                case .sequenceEnd: depth -= 1
                case .end: return
                default: break
                }
            }
        }
        found.remove(bytes.count)
        return found
    }

    @Test("Windows that are cut at any byte give the steps of one window", arguments: syntaxes)
    func windows(syntax: TransferSyntax) throws {
        for isDefined in [false, true] {
            let bytes = WireSamples.everything(syntax, isDefined: isDefined)
            let whole = try steps(bytes, syntax)
            for cut in 0...bytes.count { #expect(try steps(bytes, syntax, cuts: [cut]) == whole, "\(cut)") }
            #expect(try steps(bytes, syntax, cuts: Array(0..<bytes.count)) == whole)
        }
        let bytes = WireSamples.encapsulated(basic: true, extended: true)
        let whole = try steps(bytes, Wire.jpeg)
        for cut in 0...bytes.count { #expect(try steps(bytes, Wire.jpeg, cuts: [cut]) == whole, "\(cut)") }
    }

    @Test("A value that is longer than its item or sequence is an error", arguments: syntaxes)
    func longerThanParent(syntax: TransferSyntax) {
        let item = Wire.make(syntax) { wire in
            wire.head(0x0040_0275, "SQ", 20)
            wire.delimiter(0xFFFE_E000, 12)
            wire.head(0x0008_0100, "SH", 100)
            wire.raw([UInt8](repeating: 0x41, count: 200))
        }
        let sequence = Wire.make(syntax) { wire in
            wire.head(0x0040_0275, "SQ", 20)
            wire.delimiter(0xFFFE_E000, 100)
            wire.raw([UInt8](repeating: 0x41, count: 200))
        }
        for bytes in [item, sequence] {
            let error = #expect(throws: DataSetError.self) { try steps(bytes, syntax) }
            guard case .lengthExceedsParent? = error else {
                Issue.record("not .lengthExceedsParent but \(String(describing: error))")
                return
            }
        }
    }

    @Test(
        "Items and delimiters out of place are errors",
        arguments: [
            Wire.make(Wire.le) { $0.delimiter(0xFFFE_E000, 0) },
            Wire.make(Wire.le) { $0.undefined(0x0040_0275) { $0.text(0x0008_0100, "SH", "AB") } },
            Wire.make(Wire.le) { $0.undefined(0x0040_0275) { $0.undefinedItem { $0.delimiter(0xFFFE_E000, 0) } } },
            Wire.make(Wire.jpeg) { $0.undefined(0x7FE0_0010, "OB") { $0.delimiter(0xFFFE_E000, Wire.undefined) } },
            Wire.make(Wire.jpeg) { $0.undefined(0x7FE0_0010, "OB") { $0.text(0x0008_0100, "SH", "AB") } },
        ])
    func outOfPlace(bytes: [UInt8]) {
        let error = #expect(throws: DataSetError.self) { try steps(bytes, Wire.le) }
        guard case .unexpectedItem? = error else {
            Issue.record("not .unexpectedItem but \(String(describing: error))")
            return
        }
    }

    @Test("Random bytes and random changes end in steps or an error", arguments: [UInt64(1), 2, 3, 4, 5, 6, 7, 8])
    func fuzz(seed: UInt64) {
        var state = seed
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(below))
        }
        let samples = [
            WireSamples.everything(Wire.le), WireSamples.everything(Wire.be),
            WireSamples.encapsulated(basic: true, extended: true),
        ]
        for round in 0..<2000 {
            var bytes = samples[round % 3]
            for _ in 0...random(4) { bytes[random(bytes.count)] = UInt8(random(256)) }
            for syntax in Self.syntaxes {
                let cut = random(bytes.count)
                let whole = try? steps(bytes, syntax)
                #expect(whole?.last == "end" || whole == nil)
                #expect((try? steps(bytes, syntax, cuts: [cut])) == whole)
            }
        }
    }
}
