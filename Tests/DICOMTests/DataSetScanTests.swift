// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Scanning a data set while it arrives")
struct DataSetScanTests {
    /// What a scan found, to be compared.
    private struct Found: Equatable {
        var largeValues: [String]
        var values: [Tag: [UInt8]]
        var items: [[Tag: [UInt8]]]
        var frames: [Range<Int>]
        var isComplete: Bool
    }

    private static let wanted: [Tag] = [.patientID, .sopInstanceUID, .patientName]

    private func scan(
        _ bytes: [UInt8], _ syntax: TransferSyntax, cuts: [Int] = [], frames: Int = 1
    ) throws -> Found {
        var scan = DataSetScan(
            transferSyntax: syntax, position: 0, wanted: WantedTags(Self.wanted),
            wantedSequence: Tag(0x0040_0275), wantedInItems: [.scheduledProcedureStepID])
        var start = 0
        for end in cuts + [bytes.count] {
            // Each window begins where the one before it ended, or at a head that it had cut.
            let from = min(start, max(scan.position, 0))
            try bytes[from..<end].withUnsafeBytes { part in
                try scan.consume(ByteWindow(part, offset: from, isLast: end == bytes.count))
            }
            start = end
        }
        return Found(
            largeValues: scan.largeValues.map { "\($0.tag) \($0.range)" },
            values: Dictionary(
                uniqueKeysWithValues: Self.wanted.compactMap { tag in scan.values[tag].map { (tag, $0) } }),
            items: scan.items,
            frames: scan.frames(numberOfFrames: frames), isComplete: scan.isComplete)
    }

    private static func sample(_ syntax: TransferSyntax) -> [UInt8] {
        Wire.make(syntax) { wire in
            wire.text(0x0008_0018, "UI", "1.2.3.4\0")
            wire.text(0x0010_0020, "LO", "ID")
            wire.text(0x0010_0020, "LO", "XX")
            wire.undefined(0x0040_0275) { wire in
                wire.undefinedItem { wire in
                    wire.text(0x0040_0009, "SH", "STEP1 ")
                    wire.undefined(0x0040_0008) { wire in
                        wire.undefinedItem { wire in wire.text(0x0040_0009, "SH", "NOTME ") }
                    }
                }
                wire.undefinedItem { wire in wire.text(0x0040_0009, "SH", "STEP2 ") }
            }
            wire.element(0x7FE0_0010, "OW", [UInt8](repeating: 7, count: 4098))
            wire.element(0xFFFC_FFFC, "OB", [UInt8](repeating: 8, count: 4096))
        }
    }

    @Test("Wanted values, items and large values are found", arguments: [Wire.le, Wire.be, Wire.implicit])
    func everything(syntax: TransferSyntax) throws {
        let bytes = Self.sample(syntax)
        let found = try scan(bytes, syntax)
        #expect(found.values == [.sopInstanceUID: Array("1.2.3.4\0".utf8), .patientID: Array("ID".utf8)])
        #expect(
            found.items == [
                [.scheduledProcedureStepID: Array("STEP1 ".utf8)], [.scheduledProcedureStepID: Array("STEP2 ".utf8)],
            ])
        // A value of 4,096 bytes is not a large one; one of 4,098 is.
        #expect(found.largeValues.count == 1 && found.largeValues[0].hasPrefix("(7FE0,0010)"))
        #expect(found.isComplete)
    }

    @Test("Windows that are cut at any byte find the same", arguments: [Wire.le, Wire.be, Wire.implicit])
    func windows(syntax: TransferSyntax) throws {
        let bytes = Self.sample(syntax)
        let whole = try scan(bytes, syntax)
        for cut in 0...400 { #expect(try scan(bytes, syntax, cuts: [cut]) == whole, "\(cut)") }
        for cut in [4000, 4300, 4400, bytes.count - 4096, bytes.count - 1, bytes.count] {
            #expect(try scan(bytes, syntax, cuts: [cut]) == whole, "\(cut)")
        }
        #expect(try scan(bytes, syntax, cuts: Array(0..<bytes.count)) == whole)
    }

    @Test(
        "Windows that are cut at any byte find the same frames",
        arguments: [(true, true), (true, false), (false, true)])
    func encapsulatedWindows(basic: Bool, extended: Bool) throws {
        let bytes = WireSamples.encapsulated(basic: basic, extended: extended)
        let whole = try scan(bytes, Wire.jpeg, frames: 3)
        #expect(whole.frames.count == 3)
        for cut in 0...bytes.count { #expect(try scan(bytes, Wire.jpeg, cuts: [cut], frames: 3) == whole, "\(cut)") }
        #expect(try scan(bytes, Wire.jpeg, cuts: Array(0..<bytes.count), frames: 3) == whole)
    }

    @Test("Cut anywhere but between two elements, a data set is an error")
    func truncation() {
        let bytes = Self.sample(Wire.le)
        let sequenceEnd = bytes.count - 4096 - 12 - 4098 - 12
        let good = (0...bytes.count).filter { (try? scan(Array(bytes[..<$0]), Wire.le))?.isComplete == true }
        #expect(good == [0, 16, 26, 36, sequenceEnd, bytes.count - 4096 - 12, bytes.count])
    }

    // MARK: Frames (PS3.5 section A.4)

    /// The first fragment's item tag, from which offsets count, by the tables before it.
    private func firstFragment(basic: Bool, extended: Bool) -> Int {
        10 + (extended ? 72 : 0) + 12 + 8 + (basic ? 12 : 0)
    }

    @Test(
        "Frames of several fragments are told apart by either table",
        arguments: [(true, false), (false, true), (true, true)])
    func tables(basic: Bool, extended: Bool) throws {
        let bytes = WireSamples.encapsulated(basic: basic, extended: extended)
        let first = firstFragment(basic: basic, extended: extended)
        let found = try scan(bytes, Wire.jpeg, frames: 3)
        #expect(found.frames == [first..<first + 30, first + 30..<first + 44, first + 44..<first + 72])
        for frame in found.frames {
            #expect(Array(bytes[frame.lowerBound..<frame.lowerBound + 4]) == [0xFE, 0xFF, 0, 0xE0])
        }
    }

    @Test("The value of encapsulated pixel data, items and delimiter included, is one large value")
    func encapsulatedIsLarge() throws {
        let bytes = WireSamples.encapsulated(basic: true, extended: false)
        #expect(try scan(bytes, Wire.jpeg).largeValues == ["(7FE0,0010) 22..<\(bytes.count - 16)"])
    }

    @Test("Without a table, fragments that are not one a frame cannot be told apart")
    func noTable() throws {
        let bytes = WireSamples.encapsulated(basic: false, extended: false)
        #expect(try scan(bytes, Wire.jpeg, frames: 3).frames == [])
        #expect(try scan(bytes, Wire.jpeg, frames: 5).frames.count == 5)
        #expect(try scan(bytes, Wire.jpeg, frames: 1).frames == [30..<102])
        #expect(try scan(bytes, Wire.jpeg, frames: 0).frames == [])
    }

    @Test(
        "A table that does not point at fragments in order is not believed",
        arguments: [[0, 30, 45], [0, 44, 30], [0, 30], [0, 30, 4000], [0, 0, 0], [0, 30, 0xFFFF_FFFF]] as [[UInt32]])
    func wrongTable(offsets: [UInt32]) throws {
        let bytes = Wire.make(Wire.jpeg) { wire in
            wire.undefined(0x7FE0_0010, "OB") { wire in
                wire.fragment(Wire.make(Wire.jpeg) { table in for offset in offsets { table.number(offset) } })
                for length in [8, 6, 6, 4, 8] { wire.fragment([UInt8](repeating: 1, count: length)) }
            }
        }
        #expect(try scan(bytes, Wire.jpeg, frames: 3).frames == [])
    }

    @Test("Frames of a data set without fragments are none")
    func native() throws {
        #expect(try scan(Self.sample(Wire.le), Wire.le, frames: 3).frames == [])
    }
}

@Suite("Data sets in memory")
struct DataSetTests {
    @Test("Nesting is kept", arguments: [Wire.le, Wire.be, Wire.implicit])
    func nesting(syntax: TransferSyntax) throws {
        for isDefined in [false, true] {
            let bytes = WireSamples.everything(syntax, isDefined: isDefined)
            let dataSet = try bytes.withUnsafeBytes { try DataSet($0, transferSyntax: syntax) }
            #expect(dataSet[.patientName]?.plainValue == "Meier^Anna")
            let items = try #require(dataSet[Tag(0x0018_9346)]?.items)
            #expect(items.count == 2 && items[1].elements.isEmpty)
            #expect(items[0][.scheduledProcedureStepID]?.plainValue == "STEP1")
            #expect(items[0][Tag(0x0040_0008)]?.items?.count == 0)
            #expect(dataSet.elements.count == 10 && dataSet.isBigEndian == syntax.isBigEndian)
        }
    }

    @Test("Cut anywhere but between two elements, a data set is an error and never more")
    func truncation() {
        let bytes = WireSamples.everything(Wire.le)
        var good = 0
        for length in 0..<bytes.count {
            let cut = Array(bytes[..<length])
            if (try? cut.withUnsafeBytes { try DataSet($0, transferSyntax: Wire.le) }) != nil { good += 1 }
        }
        #expect(good == 10)
    }
}
