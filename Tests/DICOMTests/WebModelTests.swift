// SPDX-License-Identifier: Apache-2.0
import Platform
import Testing

@testable import DICOM

@Suite("Data sets for the web (PS3.18 annex F, PS3.19 annex A)")
struct WebModelTests {
    private func json(
        _ tag: UInt32, _ vr: VR, _ value: [UInt8], _ set: SpecificCharacterSet = .utf8, isBigEndian: Bool = false
    )
        -> String
    {
        var writer = JSONAttributeWriter()
        writer.beginDocument()
        value.withUnsafeBytes { writer.append(Tag(tag), vr, $0, set, isBigEndian: isBigEndian) }
        writer.endDocument()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test(
        "Values as JSON",
        arguments: [
            (.lo, "", #"{"vr":"LO"}"#), (.lo, "   ", #"{"vr":"LO"}"#), (.lo, " a ", #"{"vr":"LO","Value":["a"]}"#),
            (.cs, #"A\\B "#, #"{"vr":"CS","Value":["A",null,"B"]}"#), (.st, #"a\b"#, #"{"vr":"ST","Value":["a\\b"]}"#),
            (.ds, #"1.5\+02\-.5e3\007"#, #"{"vr":"DS","Value":[1.5,2,-0.5e3,7]}"#),
            (.ds, #"1.\abc"#, #"{"vr":"DS","Value":[1,"abc"]}"#), (.is, "-0012 ", #"{"vr":"IS","Value":[-12]}"#),
            (.pn, "A^B=C=D", #"{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":"C","Phonetic":"D"}]}"#),
            (.pn, "=C", #"{"vr":"PN","Value":[{"Ideographic":"C"}]}"#),
            (.lo, "<script>\"&", #"{"vr":"LO","Value":["\u003Cscript\u003E\"\u0026"]}"#),
            (.lo, "Ж\\\\<Ё> \\\"я ", #"{"vr":"LO","Value":["Ж",null,"\u003CЁ\u003E","\"я"]}"#),
            (.lo, "Ж \0\\\0Ё\0", #"{"vr":"LO","Value":["Ж","Ё"]}"#),
            (.st, "Ж\\Ё ", #"{"vr":"ST","Value":["Ж\\Ё"]}"#), (.lt, " Ж", #"{"vr":"LT","Value":[" Ж"]}"#),
            (.pn, "Я^Ё==я", #"{"vr":"PN","Value":[{"Alphabetic":"Я^Ё","Phonetic":"я"}]}"#),
            (.ui, "1.2.3\0", #"{"vr":"UI","Value":["1.2.3"]}"#),
            (.ob, "\u{1}\u{2}", #"{"vr":"OB","InlineBinary":"AQI="}"#),
        ] as [(VR, String, String)])
    func values(vr: VR, value: String, expected: String) {
        #expect(json(0x0009_1001, vr, Array(value.utf8)) == "{\"00091001\":\(expected)}")
    }

    @Test("Numbers and tags in both orders of bytes")
    func numbers() {
        #expect(json(0x0028_0010, .us, [1, 2], isBigEndian: true) == #"{"00280010":{"vr":"US","Value":[258]}}"#)
        #expect(json(0x0028_0010, .us, [1, 2]) == #"{"00280010":{"vr":"US","Value":[513]}}"#)
        #expect(json(0x0028_0106, .ss, [0xFF, 0xFF]) == #"{"00280106":{"vr":"SS","Value":[-1]}}"#)
        #expect(json(0x0028_0009, .at, [0x18, 0, 0x63, 0x10]) == #"{"00280009":{"vr":"AT","Value":["00181063"]}}"#)
        #expect(json(0x0009_1001, .fl, [0, 0, 0xC0, 0x7F]) == #"{"00091001":{"vr":"FL","Value":["NaN"]}}"#)
        #expect(
            json(0x0009_1001, .ow, [1, 2, 3, 4], isBigEndian: true)
                == #"{"00091001":{"vr":"OW","InlineBinary":"AgEEAw=="}}"#)
        #expect(
            json(0x0009_1001, .uv, [UInt8](repeating: 0xFF, count: 8))
                == #"{"00091001":{"vr":"UV","Value":["18446744073709551615"]}}"#)
    }

    @Test("Text of any character set becomes UTF-8")
    func characterSets() throws {
        let set = SpecificCharacterSet(definedTerms: ["ISO_IR 144"])
        let name = try #require(set.encode("Иванов^Пётр"))
        #expect(
            json(0x0010_0010, .pn, name, set) == #"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Иванов^Пётр"}]}}"#)
    }

    @Test("A header with sequences, private elements and pixel data")
    func header() throws {
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 100")
        writer.beginSequence(Tag(0x0008_1140))
        writer.beginItem()
        writer.append(.referencedSOPInstanceUID, .ui, text: "1.2")
        writer.append(Tag(0x0009_0010), .lo, text: "CREATOR")
        writer.append(Tag(0x0009_1010), .ob, [UInt8](repeating: 7, count: 2000))
        writer.endItem()
        writer.endSequence()
        writer.append(.pixelData, .ow, [1, 2])
        func form(_ output: inout some AttributeWriter) throws -> String {
            var form = DataSetForm(
                transferSyntax: .explicitVRLittleEndian, position: 0, bulkDataPrefix: "/b/", characterSetOverride: nil)
            output.beginDocument()
            try writer.bytes.withRawBytes { bytes throws(DataSetError) in
                while try form.step(in: ByteWindow(bytes, isLast: true), &output) == .stepped {}
            }
            output.endDocument()
            return String(decoding: output.bytes, as: UTF8.self)
        }
        var json = JSONAttributeWriter()
        #expect(
            try form(&json)
                == #"{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]},"#
                + #""00090010":{"vr":"LO","Value":["CREATOR"]},"00091010":{"vr":"OB","BulkDataURI":"/b/00081140.0.00091010"}}]},"#
                + #""7FE00010":{"vr":"OW","BulkDataURI":"/b/7FE00010"}}"#)
        var xml = XMLAttributeWriter()
        #expect(
            try form(&xml).contains(
                #"<DicomAttribute tag="00091010" vr="OB" privateCreator="CREATOR"><BulkData uri="/b/00081140.0.00091010"/>"#
            ))
    }

    @Test("What XML cannot hold becomes a space, and markup its reference")
    func unwritable() {
        var xml = XMLAttributeWriter()
        xml.append(.patientID, .lo, text: "a\u{1}b\u{FFFE}c\u{FFFF}d\u{FFFD}e<&>")
        #expect(
            String(decoding: xml.bytes, as: UTF8.self).contains(
                #"<Value number="1">a b c d\#u{FFFD}e&lt;&amp;&gt;</Value>"#))
    }

    @Test("A backslash parts values, whatever mark stands behind it")
    func parted() {
        var xml = XMLAttributeWriter()
        xml.append(.patientID, .lo, text: "a\\\u{301}b")
        #expect(
            String(decoding: xml.bytes, as: UTF8.self).contains(
                "<Value number=\"1\">a</Value><Value number=\"2\">\u{301}b</Value>"))
    }

    @Test("Paths of attributes", arguments: ["7FE00010", "00081140.0.00091010", "00081140.12.00081199.3.00081155"])
    func paths(text: String) { #expect(AttributePath(text)?.description == text) }

    @Test(
        "What is no path",
        arguments: ["", "7FE0001", "7FE00010.", "00081140.0", "00081140.-1.00091010", "+1234567", "7FE0001G"])
    func noPaths(text: String) { #expect(AttributePath(text) == nil) }

    @Test("Base 64 there and back, and what is none")
    func base64() {
        for count in 0..<10 {
            let bytes = (0..<count).map { UInt8($0 * 25) }
            var text: [UInt8] = []
            bytes.withUnsafeBytes { Base64.append($0, to: &text) }
            #expect(Base64.decode(text) == bytes)
        }
        for text in ["A", "AB=C", "====", "A===", "AB*=", "ABC"] { #expect(Base64.decode(text.utf8) == nil, "\(text)") }
    }

    @Test("JSON becomes a data set")
    func reading() throws {
        let json = JSONValue.object([
            "00100010": .object(["vr": .string("PN"), "Value": .array([.object(["Alphabetic": .string("Ё^Ж")])])]),
            "00280010": .object(["vr": .string("US"), "Value": .array([.integer(512)])]),
            "00081140": .object([
                "vr": .string("SQ"),
                "Value": .array([
                    .object(["00081155": .object(["vr": .string("UI"), "Value": .array([.string("1.2")])])])
                ]),
            ]),
            "7FE00010": .object(["vr": .string("OB"), "BulkDataURI": .string("pixels")]),
        ])
        let dataSet = try DICOMJSONReader(json)
        #expect(dataSet.elements.map(\.tag) == [Tag(0x0008_1140), .patientName, .rows])
        #expect(dataSet[.patientName]?.value == Array("Ё^Ж".utf8))
        #expect(dataSet[.rows]?.value == [0, 2])
        #expect(dataSet[Tag(0x0008_1140)]?.items?.first?[.referencedSOPInstanceUID]?.plainValue == "1.2")
        #expect(dataSet.bulkValues.map(\.uri) == ["pixels"])
    }

    @Test(
        "JSON that is no data set",
        arguments: [
            .array([]), .object(["x": .object([:])]),
            .object(["00280010": .object(["vr": .string("US"), "Value": .array([.integer(70_000)])])]),
            .object(["00091010": .object(["vr": .string("OB"), "InlineBinary": .string("*")])]),
            .object(["00091010": .object([:])]), .object(["00100010": .object(["vr": .string("P")])]),
            // A sequence has items, here by the dictionary and by its own word; bytes in their place could not be read.
            .object(["00080006": .object(["InlineBinary": .string("AQID")])]),
            .object(["00081140": .object(["vr": .string("SQ"), "BulkDataURI": .string("items")])]),
            .object(["7FE00010": .object(["vr": .string("SQ"), "Value": .array([.object([:])])])]),
            .object(["FFFEE000": .object(["vr": .string("OB")])]),
            .object(["FFFEE00D": .object(["vr": .string("UN")])]),
            // One tag in two writings.
            .object(["7FE00010": .object(["vr": .string("OB")]), "7fe00010": .object(["vr": .string("OW")])]),
            .object(["0020000D": .object(["vr": .string("UI")]), "0020000d": .object(["BulkDataURI": .string("a")])]),
            // What would be lost.
            .object(["00100010": .string("A^B")]), .object(["00100010": .null]),
            .object(["00100010": .object(["Value": .string("A^B")])]),
            .object(["00091010": .object(["vr": .string("OB"), "InlineBinary": .integer(1)])]),
            .object(["00091010": .object(["vr": .string("OB"), "BulkDataURI": .integer(1)])]),
            .object(["00091010": .object(["vr": .string("OW"), "Value": .array([.integer(1), .integer(2)])])]),
        ] as [JSONValue])
    func noDataSets(json: JSONValue) { #expect(throws: DICOMJSONReader.Failure.self) { try DICOMJSONReader(json) } }

    @Test("JSON that says little")
    func littleJSON() throws {
        let json = JSONValue.object([
            "00100010": .object([:]), "00100020": .object(["vr": .string("LO"), "Value": .null]),
            "00091010": .object(["vr": .string("OB"), "Value": .array([])]), "FFFE0000": .string("a length"),
        ])
        let elements = try DICOMJSONReader(json).elements
        #expect(elements.map(\.vr) == [.ob, .pn, .lo])
        #expect(elements.allSatisfy { $0.value.isEmpty })
    }

    @Test("A character set that JSON names does not hold for what becomes of it, nor within its items")
    func foreignCharacterSets() throws {
        let set = JSONValue.object(["vr": .string("CS"), "Value": .array([.string("ISO_IR 144")])])
        let item = JSONValue.object(["00080005": set, "00080104": .object(["Value": .array([.string("Рёбра")])])])
        let json = JSONValue.object([
            "00080005": set, "00082228": .object(["vr": .string("SQ"), "Value": .array([item])]),
        ])
        let elements = try DICOMJSONReader(json).elements
        #expect(elements.map(\.tag) == [Tag(0x0008_2228)])
        #expect(elements[0].items?.first?.elements.map(\.value) == [Array("Рёбра".utf8)])
    }

    @Test(
        "Numbers as decimal strings of 16 bytes",
        arguments: [
            (.number(0.5), "0.5"), (.integer(-3), "-3"), (.number(123_456.789_012_345_67), "123456.789012346"),
            (.number(1.234_567_890_123_456_7e-300), "1.23456789e-300"), (.integer(.max), "9.2233720369e+18"),
            (.number(-1.234_567_890_123_456_7e-300), "-1.23456789e-300"), (.integer(1 << 53), "9007199254740992"),
            (.number(1e-5), "1e-05"), (.string("00012345678901234.5"), "00012345678901234.5"),
        ] as [(JSONValue, String)])
    func decimalStrings(number: JSONValue, expected: String) throws {
        let json = JSONValue.object(["00281053": .object(["vr": .string("DS"), "Value": .array([number])])])
        let value = try #require(DICOMJSONReader(json).elements.first).value
        #expect(String(decoding: value, as: UTF8.self) == expected)
    }

    @Test("However deep, what was read from JSON can be written and read")
    func nesting() throws {
        var json = JSONValue.object(["00081155": .object(["Value": .array([.string("1.2")])])])
        for depth in 1...70 {
            json = .object(["00081140": .object(["Value": .array([json])])])
            guard let elements = try? DICOMJSONReader(json).elements else {
                #expect(depth == 65)
                return
            }
            var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
            writer.append(elements)
            let read = try writer.bytes.withRawBytes {
                try DataSet($0, transferSyntax: .explicitVRLittleEndian)
            }
            #expect(read.elements.map(\.tag) == [Tag(0x0008_1140)])
        }
        Issue.record("70 levels were taken")
    }
}

@Suite("Names in two alphabets")
struct NameKeyTests {
    @Test(
        "Spellings that have the same words",
        arguments: [
            ["иванов", "ivanov", "ivanow"], ["щербаков", "shcherbakov", "scherbakow", "sherbakov"],
            ["алена", "alena", "alyona"], ["мария", "maria", "mariya", "mariia"],
            ["дмитрий", "dmitry", "dmitriy", "dmitrij"],
            ["хабаров", "khabarov", "habarov"], ["соловьев", "soloviev", "solovyev", "solovev"],
            ["юрий", "yuri", "juri", "iurii"],
            ["александр", "aleksandr", "alexandr"], ["виктор", "viktor", "victor"], ["жуков", "zhukov"],
            ["чехов", "chekhov"],
        ])
    func same(spellings: [String]) {
        let keys = Set(spellings.map { NameKeys.key(of: $0) })
        #expect(keys.count == 1, "\(keys)")
    }

    @Test("What is no letter counts for nothing", arguments: [("o'brien", "obren"), ("jones", "enes"), ("''", "")])
    func letters(word: String, key: String) { #expect(NameKeys.key(of: word) == key) }
}
