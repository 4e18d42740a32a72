// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import DICOM
import FoundationEssentials
import Platform

extension FuzzTarget {
    /// Metadata for the web: whatever a data set holds, JSON and XML are well formed.
    static let form = FuzzTarget(
        name: "form", about: "data sets as DICOM JSON and XML", maximumBytes: 2048,
        seeds: { SampleDataSets.choices([]) }, seedsFromFile: { SampleDataSets.choices([], file: $0) }
    ) { bytes in
        var input = FuzzInput(bytes)
        let syntax = input.pick(SampleDataSets.syntaxes)
        withExactCopy(input.rest) { bytes in
            var json = JSONAttributeWriter()
            if write(bytes, syntax, &json) {
                guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(json.bytes)) else {
                    return require(false, "JSON that was written is JSON")
                }
                require(!json.bytes.contains { $0 == 0x3C || $0 == 0x3E || $0 < 0x20 }, "JSON holds no markup")
                _ = try? DICOMJSONReader(value)
            }
            var xml = XMLAttributeWriter()
            if write(bytes, syntax, &xml) { require(XMLForm.isGood(xml.bytes), "XML that was written is well formed") }
        }
    }

    private static func write(
        _ bytes: UnsafeRawBufferPointer, _ syntax: TransferSyntax, _ writer: inout some AttributeWriter
    ) -> Bool {
        var form = DataSetForm(
            transferSyntax: syntax, position: 0, bulkDataPrefix: "/bulk/", characterSetOverride: nil)
        let window = ByteWindow(bytes, isLast: true)
        writer.beginDocument()
        while true {
            do throws(DataSetError) {
                let progress = try form.step(in: window, &writer)
                if progress == .ended { break }
                if case .needsMore = progress { return false }
            } catch { return false }
        }
        writer.endDocument()
        return true
    }

    /// Metadata as it is sent by STOW-RS: what was read can be written, and reads the same.
    static let json = FuzzTarget(
        name: "json", about: "DICOM JSON of STOW-RS", maximumBytes: 2048,
        seeds: {
            let nest = (String(repeating: #"{"00081140":{"Value":["#, count: 64), String(repeating: "]}}", count: 64))
            return [
                nest.0 + "{}" + nest.1,
                #"{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]}}"#,
                #"{"00080016":{"vr":"UI","Value":["1.2"]},"7FE00010":{"vr":"OW","BulkDataURI":"b/1"}}"#,
                #"{"00091001":{"vr":"UN","InlineBinary":"AQID"},"00280010":{"vr":"US","Value":[512,"3"]}}"#,
                #"{"00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3"]}},{}]}}"#,
                #"{"00189087":{"vr":"FD","Value":[1e300,-0.5,"NaN","inf",null]},"00404030":{"vr":"AT","Value":["00100010"]}}"#,
                #"[{"00200013":{"vr":"IS","Value":[1,2.5]}},{"00201209":{"Value":["\u0410\ud83d\ude00"]}}]"#,
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        let text = Array(bytes)
        guard let json = try? JSONParser.value(of: text, nestingMaximum: 200) else { return }
        // Foundation's reader is another one; of what is nested deep it takes long.
        if JSONValue.isNested(atMost: 4, text) {
            let other = try? JSONDecoder().decode(JSONValue.self, from: Data(text))
            require(other.map { isSame($0, json) } ?? false, "two readers read the same from JSON")
        }
        guard let read = try? DICOMJSONReader(json) else { return }
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        writer.append(read.elements)
        let written = writer.bytes
        guard let again = try? written.withUnsafeBytes({ try DataSet($0, transferSyntax: .explicitVRLittleEndian) })
        else { return require(false, "what was read from JSON can be written as a data set") }
        require(isSame(again.elements, read.elements), "the data set has the elements of the JSON, in order")
    }

    private static func isSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.integer(let left), .integer(let right)): left == right
        // Where a whole number has become too long to be one, the readers do not agree.
        case (.integer(let left), .number(let right)): isClose(Double(left), right)
        case (.number(let left), .integer(let right)): isClose(left, Double(right))
        case (.number(let left), .number(let right)): left == right
        case (.string(let left), .string(let right)): Array(left.utf8) == Array(right.utf8)
        case (.array(let left), .array(let right)): left.count == right.count && zip(left, right).allSatisfy(isSame)
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { member in right[member.key].map { isSame($0, member.value) } ?? false }
        default: false
        }
    }

    private static func isClose(_ left: Double, _ right: Double) -> Bool {
        (left - right).magnitude <= left.magnitude * 0x1p-50
    }

    private static func isSame(_ written: [DataSet.Element], _ read: [DataSet.Element]) -> Bool {
        written.count == read.count
            && zip(written, read).allSatisfy { left, right in
                let padding = right.value.count % 2 == 1 ? [right.vr.padding] : []
                guard left.tag == right.tag, left.vr == right.vr, left.value == right.value + padding else {
                    return false
                }
                guard let items = left.items, let others = right.items else {
                    return left.items == nil && right.items == nil
                }
                return items.count == others.count && zip(items, others).allSatisfy { isSame($0.elements, $1.elements) }
            }
    }

    /// What a station asks for, by C-FIND, C-GET and C-MOVE.
    static let identifier = FuzzTarget(
        name: "identifier", about: "identifiers of C-FIND, C-GET and C-MOVE", maximumBytes: 1024,
        seeds: {
            ["PATIENT", "STUDY", "SERIES", "IMAGE"].flatMap { level in
                [
                    [0, 0] + SampleDataSets.identifier(level, .explicitVRLittleEndian),
                    [1, 1] + SampleDataSets.identifier(level),
                ]
            }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let syntax = input.pick(Array(SampleDataSets.syntaxes[..<3]))
        let choices = input.byte()
        guard let identifier = try? DataSet(input.rest, transferSyntax: syntax) else { return }
        let root: QueryKeys.Root = choices & 1 == 0 ? .patient : .study
        let override = choices & 2 == 0 ? nil : SpecificCharacterSet(override: "CP1251")
        if var keys = try? QueryKeys(
            identifier, root: root, characterSetOverride: override, combinesDateTime: choices & 4 != 0,
            scope: .everything(as: "default"), limit: nil)
        {
            keys.matchFuzzily()
            require(keys.returnKeys.count == identifier.elements.count, "every key is answered")
        }
        _ = try? RetrieveKeys(identifier, root: root, characterSetOverride: override)
    }
}

/// Whether XML is well formed, as far as what is written here needs: tags match, and nothing stands in text or attributes
/// that may not (XML 1.0 sections 2.2 and 2.4).
private enum XMLForm {
    static func isGood(_ bytes: [UInt8]) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self),
            text.unicodeScalars.allSatisfy({ isCharacter($0.value) })
        else { return false }
        var open: [Substring] = []
        var rest = text.utf8[...]
        while let begin = rest.firstIndex(of: UInt8(ascii: "<")) {
            guard isText(rest[..<begin]), let end = rest[begin...].firstIndex(of: UInt8(ascii: ">")) else {
                return false
            }
            var tag = Substring(rest[rest.index(after: begin)..<end])
            rest = rest[rest.index(after: end)...]
            if tag.hasPrefix("?") || tag.hasSuffix("/") { continue }
            if tag.hasPrefix("/") {
                tag.removeFirst()
                guard open.popLast() == tag else { return false }
            } else {
                guard tag.utf8.count(where: { $0 == UInt8(ascii: "\"") }) % 2 == 0 else { return false }
                open.append(tag.prefix { $0 != " " })
            }
        }
        return open.isEmpty && rest.isEmpty
    }

    private static func isCharacter(_ scalar: UInt32) -> Bool {
        scalar >= 0x20 && scalar != 0xFFFE && scalar != 0xFFFF || scalar == 9 || scalar == 10 || scalar == 13
    }

    /// Each ampersand begins a reference.
    private static func isText(_ text: Substring.UTF8View.SubSequence) -> Bool {
        var rest = text
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            rest = rest[rest.index(after: ampersand)...]
            guard let end = rest.firstIndex(of: UInt8(ascii: ";")), rest.distance(from: rest.startIndex, to: end) < 6
            else { return false }
            rest = rest[rest.index(after: end)...]
        }
        return !rest.contains(UInt8(ascii: ">"))
    }
}
