// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

@Suite("P-DATA-TF (PS3.8 section 9.3.5 and annex E)")
struct PresentationDataTests {
    @Test("A PDV header round trips, and reserved bits are not tested")
    func header() throws {
        let header = try #require(withBytes(wire("00 00 00 0C 05 FF"), PDVHeader.init(decoding:)))
        #expect(header.fragmentLength == 10)
        #expect(header.contextID == 5 && header.isCommand && header.isLast)
        var bytes: [UInt8] = []
        header.encode(into: &bytes)
        #expect(bytes == wire("00 00 00 0C 05 03"))
        var room = [UInt8](repeating: 0xEE, count: 6)
        room.withUnsafeMutableBytes { header.write(to: $0) }
        #expect(room == bytes)
    }

    @Test("Item lengths without room for the header have no fragment", arguments: [0, 1] as [UInt8])
    func shortItem(length: UInt8) throws {
        let header = try #require(withBytes([0, 0, 0, length, 1, 0], PDVHeader.init(decoding:)))
        #expect(header.fragmentLength == nil)
        #expect(withBytes([0, 0, 0, 4, 1], PDVHeader.init(decoding:)) == nil)
        #expect(withBytes(wire("FF FF FF FF 01 00"), PDVHeader.init(decoding:))?.fragmentLength == 0xFFFF_FFFD)
    }

    @Test("A small message is one PDU with two PDVs")
    func sharedPDU() {
        var output: [UInt8] = []
        withBytes([0xD0, 0xD1]) {
            PDataWriter.appendMessage(
                to: &output, contextID: 3, command: [0xC0, 0xC1, 0xC2, 0xC3], dataSet: $0, maximumLength: 16384)
        }
        #expect(
            output
                == wire(
                    """
                    04 00 00 00 00 12                  -- P-DATA-TF, 18 bytes
                    00 00 00 06 03 03 C0 C1 C2 C3      -- command, last
                    00 00 00 04 03 02 D0 D1            -- data set, last
                    """))
    }

    @Test("A message without data set is its command")
    func commandOnly() {
        var output: [UInt8] = [0xAA]
        PDataWriter.appendMessage(to: &output, contextID: 1, command: [1, 2], dataSet: nil, maximumLength: 0)
        #expect(output == wire("AA 04 00 00 00 00 08 00 00 00 04 01 03 01 02"))
    }

    @Test(
        "Messages are cut to any maximum length and join to the same bytes",
        arguments: [8, 9, 10, 12, 17, 64, 100, 101, 1000, 0])
    func fragments(maximumLength: Int) throws {
        let command = (0..<90).map { UInt8($0) }
        let dataSet = (0..<514).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var output: [UInt8] = []
        withBytes(dataSet) {
            PDataWriter.appendMessage(
                to: &output, contextID: 7, command: command, dataSet: $0, maximumLength: maximumLength)
        }
        var rest = output[...]
        var joined: [Bool: [UInt8]] = [:]
        var ended: [Bool: Int] = [:]
        while !rest.isEmpty {
            let pdu = try #require(withBytes(Array(rest), PDUHeader.init(decoding:)))
            #expect(pdu.type == .data)
            #expect(maximumLength == 0 || Int(pdu.length) <= maximumLength)
            var items = rest.dropFirst(6).prefix(Int(pdu.length))
            rest = rest.dropFirst(6 + Int(pdu.length))
            while !items.isEmpty {
                let header = try #require(withBytes(Array(items), PDVHeader.init(decoding:)))
                let length = try #require(header.fragmentLength)
                #expect(length % 2 == 0 && header.contextID == 7)
                #expect(ended[header.isCommand] == nil)
                joined[header.isCommand, default: []] += items.dropFirst(6).prefix(length)
                if header.isLast { ended[header.isCommand] = 1 }
                items = items.dropFirst(6 + length)
            }
        }
        #expect(joined[true] == command && joined[false] == dataSet)
        #expect(ended.count == 2)
    }

    @Test("A message that fits exactly shares its PDU, one byte pair more does not")
    func exactFit() {
        // 6 + 10 bytes of command, 6 + 20 of data set.
        for (maximumLength, pdus) in [(42, 1), (41, 2), (40, 2)] {
            var output: [UInt8] = []
            withBytes([UInt8](repeating: 0, count: 20)) {
                PDataWriter.appendMessage(
                    to: &output, contextID: 1, command: [UInt8](repeating: 0, count: 10), dataSet: $0,
                    maximumLength: maximumLength)
            }
            #expect(output.count == 30 + 12 + pdus * 6)
        }
    }

    @Test("The header for gathered writing is that of the fragment after it")
    func gatheredHeader() {
        var room = [UInt8](repeating: 0xEE, count: 12)
        room.withUnsafeMutableBytes {
            PDataWriter.writeHeader(pduBodyLength: 262_144, contextID: 9, isCommand: false, isLast: false, to: $0)
        }
        #expect(room == wire("04 00 00 04 00 00 00 03 FF FC 09 00"))
    }
}
