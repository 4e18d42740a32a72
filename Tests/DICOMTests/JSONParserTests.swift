// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Platform
import Testing

@Suite("JSON from outside (RFC 8259)")
struct JSONParserTests {
    private func read(_ text: String, nestingMaximum: Int = 8) throws -> JSONValue {
        try JSONParser.value(of: Array(text.utf8), nestingMaximum: nestingMaximum)
    }

    @Test(
        "Values, and as Foundation reads them",
        arguments: [
            "null", " true\n", "false", "0", "-0", "-7", "9223372036854775807", "9223372036854775808", "1.0", "-0.5",
            "1e3",
            "1E+3", "25e-1", "1e300", "1.7976931348623157e308", "5e-324", "1e-400", #""""#, #""Ж😀""#,
            #""a\"\\\/\b\f\n\r\t""#,
            #""\u0416\u00e9\uD83D\uDE00\u0000""#, "[]", "[ ]", "{}", "{ }", "[1,\t2 , []\r\n]",
            #"{"a":{"b":[{},null]}}"#,
            #"{"" : ""}"#, #"{"\u0061":1}"#, "[[[[[[[[]]]]]]]]",
        ])
    func values(text: String) throws {
        let value = try read(text)
        let other = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        #expect(String(describing: value) == String(describing: other))
    }

    @Test("What is in them")
    func contents() throws {
        let value = try read(#"{"a":[1,-2.5,"\uD83D\uDE00",true,null,{}],"b":{"c":"Ж"}}"#)
        guard case .array(let values)? = value["a"], case .string(let text)? = value["b"]?["c"] else {
            Issue.record("\(value)")
            return
        }
        #expect(text == "Ж")
        #expect(
            values.map { String(describing: $0) } == [
                "integer(1)", "number(-2.5)", "string(\"😀\")", "bool(true)", "null", "object([:])",
            ])
    }

    @Test(
        "What is no JSON",
        arguments: [
            "", " ", "nul", "True", "+1", "01", "-", "-01", "1.", ".5", "1e", "1e+", "1e400", "0x1", "NaN", "1 2", "[",
            "[1", "[1,",
            "[1,]", "[,1]", "[1 2]", "]", "{", #"{"a""#, #"{"a":"#, #"{"a":1"#, #"{"a":1,"#, #"{"a":1,}"#, "{1:2}",
            "{a:1}",
            #"{"a" 1}"#, "[1}", #"{"a":1]"#, "'a'", #"""#, #""a"#, #""\"#, #""\a""#, #""\u12"#, #""\u12G4""#,
            #""\uD800""#,
            #""\uD800\u0041""#, #""\uDC00""#, #""\uD800x""#, "\"\u{1}\"", "\"a\nb\"", "/**/1", "\u{FEFF}1",
            // Two names that are one, however written.
            #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, "[[[[[[[[[]]]]]]]]]", #"[[[[[[[[{}, [1]]]]]]]]]"#,
        ])
    func noValues(text: String) { #expect(throws: JSONParser.Failure.self) { try read(text) } }

    @Test("Bytes that are no UTF-8", arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xD0]] as [[UInt8]])
    func noText(bytes: [UInt8]) {
        for middle in [[], Array(#"\n"#.utf8)] {
            #expect(throws: JSONParser.Failure.self) {
                try JSONParser.value(of: [0x22] + middle + bytes + [0x22], nestingMaximum: 1)
            }
        }
    }

    @Test("However deep, nothing is called within itself")
    func nesting() throws {
        let depth = 100_000
        let text = String(repeating: "[", count: depth)
        #expect(throws: JSONParser.Failure.self) { try read(text, nestingMaximum: depth) }
        #expect(throws: JSONParser.Failure.self) { try read(text, nestingMaximum: depth - 2) }
    }

    @Test(
        "Elements one by one",
        arguments: [
            ("[]", 0), (" [ ] ", 0), ("[1]", 1), ("[1, [2, 3] ,{}]", 3), ("{}", 1), ("[[1,2]]", 1), ("7", 1),
        ])
    func elements(text: String, count: Int) throws {
        var taken = 0
        try JSONParser.forEachElement(of: Array(text.utf8), nestingMaximum: 8) { _ in taken += 1 }
        #expect(taken == count)
    }

    @Test("No elements", arguments: ["", "[", "[1", "[1,", "[1,]", "[1]1", "[1}", "{} {}", "[1 2]"])
    func noElements(text: String) {
        #expect(throws: JSONParser.Failure.self) {
            try JSONParser.forEachElement(of: Array(text.utf8), nestingMaximum: 8) { _ in }
        }
    }
}
