// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Re-encoding")
struct ReencoderTests {
    private func reencode(
        _ bytes: [UInt8], from source: TransferSyntax, to target: TransferSyntax, cuts: [Int] = []
    ) throws -> [UInt8] {
        var reencoder = Reencoder(from: source, to: target, position: 0)
        var written: [UInt8] = []
        for end in cuts + [bytes.count] {
            let start = min(reencoder.position, end)
            written += try bytes[start..<end].withUnsafeBytes { part in
                try reencoder.consume(ByteWindow(part, offset: start, isLast: end == bytes.count))
            }
        }
        #expect(reencoder.isComplete)
        return written
    }

    @Test(
        "Every syntax becomes every other one byte for byte",
        arguments: [Wire.le, Wire.be, Wire.implicit], [Wire.le, Wire.be, Wire.implicit])
    func everyPair(source: TransferSyntax, target: TransferSyntax) throws {
        let expected = WireSamples.everything(target)
        #expect(try reencode(WireSamples.everything(source), from: source, to: target) == expected)
        #expect(try reencode(WireSamples.everything(source, isDefined: true), from: source, to: target) == expected)
    }

    @Test("There and back again is where it began", arguments: [Wire.be, Wire.implicit])
    func roundTrip(other: TransferSyntax) throws {
        let bytes = WireSamples.everything(Wire.le)
        let there = try reencode(bytes, from: Wire.le, to: other)
        #expect(there != bytes)
        #expect(try reencode(there, from: other, to: Wire.le) == bytes)
    }

    @Test("Windows that are cut at any byte write the same", arguments: [Wire.be, Wire.implicit])
    func windows(target: TransferSyntax) throws {
        let bytes = WireSamples.everything(Wire.le)
        let whole = try reencode(bytes, from: Wire.le, to: target)
        for cut in 0...bytes.count {
            #expect(try reencode(bytes, from: Wire.le, to: target, cuts: [cut]) == whole, "\(cut)")
        }
        #expect(try reencode(bytes, from: Wire.le, to: target, cuts: Array(0..<bytes.count)) == whole)
    }

    @Test(
        "Numbers change their byte order by their size, other bytes keep theirs",
        arguments: [
            ("US", [1, 2, 3, 4], [2, 1, 4, 3]), ("SS", [1, 2], [2, 1]), ("AT", [1, 2, 3, 4], [2, 1, 4, 3]),
            ("OW", [1, 2, 3, 4], [2, 1, 4, 3]), ("UL", [1, 2, 3, 4], [4, 3, 2, 1]),
            ("SL", [1, 2, 3, 4], [4, 3, 2, 1]),
            ("FL", [1, 2, 3, 4], [4, 3, 2, 1]), ("OF", [1, 2, 3, 4], [4, 3, 2, 1]),
            ("OL", [1, 2, 3, 4], [4, 3, 2, 1]),
            ("FD", [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]),
            ("OD", [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]),
            ("OV", [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]),
            ("SV", [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]),
            ("UV", [1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1]),
            ("OB", [1, 2, 3, 4], [1, 2, 3, 4]), ("UN", [1, 2, 3, 4], [1, 2, 3, 4]), ("LO", [65, 66], [65, 66]),
        ] as [(String, [UInt8], [UInt8])])
    func byteOrder(vr: String, little: [UInt8], big: [UInt8]) throws {
        let source = Wire.make(Wire.le) { $0.element(0x0011_1001, vr, little) }
        let target = Wire.make(Wire.be) { $0.element(0x0011_1001, vr, big) }
        #expect(try reencode(source, from: Wire.le, to: Wire.be) == target)
        #expect(try reencode(target, from: Wire.be, to: Wire.le) == source)
    }

    @Test(
        "Odd values are padded as their VR wants it",
        arguments: [("LO", 0x20), ("UI", 0), ("OB", 0), ("UN", 0)] as [(String, UInt8)])
    func oddLengths(vr: String, padding: UInt8) throws {
        let source = Wire.make(Wire.le) { $0.element(0x0011_1001, vr, [0x31, 0x32, 0x33]) }
        let target = Wire.make(Wire.be) { $0.element(0x0011_1001, vr, [0x31, 0x32, 0x33, padding]) }
        #expect(try reencode(source, from: Wire.le, to: Wire.be) == target)
        #expect(try reencode(source, from: Wire.le, to: Wire.be, cuts: Array(0..<source.count)) == target)
    }

    @Test("Group lengths are left out, for they would be wrong")
    func groupLengths() throws {
        let rest = Wire.make(Wire.le) { $0.text(0x0008_0060, "CS", "CT") }
        let bytes = Wire.make(Wire.le) { $0.element(0x0008_0000, "UL", [10, 0, 0, 0]) } + rest
        #expect(try reencode(bytes, from: Wire.le, to: Wire.le) == rest)
    }

    @Test("A value too long for its short VR becomes UN")
    func longShortVR() throws {
        let value = [UInt8](repeating: 0x41, count: 70_000)
        let source = Wire.make(Wire.implicit) { $0.element(0x0010_0010, "PN", value) }
        let target = Wire.make(Wire.le) { $0.element(0x0010_0010, "UN", value) }
        #expect(try reencode(source, from: Wire.implicit, to: Wire.le) == target)
    }

    @Test("Within UN of undefined length all is Implicit VR Little Endian, in Big Endian too")
    func unknownSequence() throws {
        let inside = Wire.make(Wire.implicit) { wire in
            wire.undefinedItem { $0.element(0x0028_0010, "US", [0x01, 0x02]) }
            wire.delimiter(0xFFFE_E0DD, 0)
        }
        let source = Wire.make(Wire.be) { wire in
            wire.head(0x0009_1010, "UN", Wire.undefined)
            wire.raw(inside)
            wire.element(0x0028_0010, "US", [0x02, 0x01])
        }
        let target = Wire.make(Wire.le) { wire in
            wire.undefined(0x0009_1010) { $0.undefinedItem { $0.element(0x0028_0010, "US", [0x01, 0x02]) } }
            wire.element(0x0028_0010, "US", [0x01, 0x02])
        }
        #expect(try reencode(source, from: Wire.be, to: Wire.le) == target)
        #expect(try reencode(source, from: Wire.be, to: Wire.le, cuts: Array(0..<source.count)) == target)
    }

    @Test("Items of the other order of bytes, which broken writers put into UN, are read as they are")
    func brokenUnknownSequence() throws {
        let inside: (inout Wire) -> Void = {
            $0.undefinedItem { $0.element(0x0028_0010, "US", [2, 1], isImplicit: true) }
        }
        let source = Wire.make(Wire.be) { $0.undefined(0x0009_1010, "UN", inside) }
        let target = Wire.make(Wire.le) { wire in
            wire.undefined(0x0009_1010) { $0.undefinedItem { $0.element(0x0028_0010, "US", [1, 2]) } }
        }
        #expect(try reencode(source, from: Wire.be, to: Wire.le) == target)
    }

    @Test("A value that the source does not have is an error, not a wait without end")
    func truncation() {
        let bytes = WireSamples.everything(Wire.le)
        for target in [Wire.be, Wire.implicit] {
            let last = bytes.count - 24
            for length in last + 1..<bytes.count {
                #expect(throws: DataSetError.self, "\(length)") {
                    try reencode(Array(bytes[..<length]), from: Wire.le, to: target)
                }
            }
        }
    }

    @Test("Encapsulated pixel data is refused")
    func encapsulated() {
        let bytes = WireSamples.encapsulated(basic: true, extended: false)
        #expect(throws: DataSetError.self) { try reencode(bytes, from: Wire.jpeg, to: Wire.le) }
    }
}
