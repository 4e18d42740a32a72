// SPDX-License-Identifier: Apache-2.0
import Platform
import Testing

@testable import BlobLog

@Suite("What a record is made of")
struct EncodingTests {
    /// python3: hashlib.blake2b(content, digest_size=32) and blake3.blake3(content), where content is
    /// b"1.2.840.10008.1.2.1".ljust(64, b"\0") + bytes(range(256))
    @Test(
        "A blob id is the hash that Python computes",
        arguments: [
            (.blake2b, "7bae0982ce196a369b7143083bf180d351972dc9ef972454ce0906f7413b4a92"),
            (.blake3, "844b61e107bf704b8e56a6187acd527d9eb19593eaa7fcaa65d0571bb0a4619c"),
        ] as [(ContentHash, String)])
    func blobID(hash: ContentHash, digest: String) {
        let hasher = BlobHasher(transferSyntaxUID: Samples.transferSyntaxUID, hash)
        (0...255).map { UInt8($0) }.withUnsafeBytes { hasher.update($0) }
        #expect(hasher.finish().description == digest)
    }

    @Test("A blob id does not depend on the pieces in which the bytes come", arguments: [1, 3, 127, 128, 129, 256])
    func piecesOfBlob(size: Int) {
        let bytes = (0...255).map { UInt8($0) }
        let hasher = BlobHasher(transferSyntaxUID: Samples.transferSyntaxUID, .blake3)
        for start in stride(from: 0, to: bytes.count, by: size) {
            Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes { hasher.update($0) }
        }
        #expect(hasher.finish() == Samples.blobID(bytes))
    }

    @Test("The same bytes in another transfer syntax have another blob id")
    func syntaxCounts() {
        let hasher = BlobHasher(transferSyntaxUID: "1.2.840.10008.1.2", .blake3)
        [UInt8](repeating: 7, count: 10).withUnsafeBytes { hasher.update($0) }
        #expect(hasher.finish() != Samples.blobID([UInt8](repeating: 7, count: 10)))
    }

    @Test("A header is read back as it was written, and nowhere else")
    func header() throws {
        let folder = try Folder()
        let directory = try DataDirectory(folder.path)
        let segment = try Segment(creatingIn: directory, writer: 1, number: 1)
        let record = Samples.record(Samples.bytes(700), headLength: 100)
        var header = RecordHeader(record, sequence: 0x1122_3344_5566_7788, durableSequence: 0x1122_3344_5566_7780)
        header.flags = [.faultyUID, .heals]
        header.largeNumber = 99
        let bytes = header.encoded(segment: segment, offset: 8192)
        #expect(bytes.count == 256)
        #expect(
            Array(bytes[0..<16]) == Array("SNRC".utf8) + [1, 0, 3, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
        #expect(bytes.withUnsafeBytes { RecordHeader(decoding: $0, segment: segment, offset: 8192) } == header)
        #expect(bytes.withUnsafeBytes { RecordHeader(decoding: $0, segment: segment, offset: 4096) } == nil)
        let other = try Segment(creatingIn: directory, writer: 1, number: 2)
        #expect(bytes.withUnsafeBytes { RecordHeader(decoding: $0, segment: other, offset: 8192) } == nil)
    }

    @Test(
        "A header with lengths or numbers that no record can have is none, though its checksum is right",
        arguments: [
            (8, .max, 1), (16, .max, 1), (64, .max, 1), (72, 701, 1), (72, 701, 3), (72, 701, 99), (112, .max, 1),
        ] as [(Int, UInt64, UInt8)])
    func impossibleNumbers(place: Int, number: UInt64, kind: UInt8) throws {
        let folder = try Folder()
        let directory = try DataDirectory(folder.path)
        let segment = try Segment(creatingIn: directory, writer: 1, number: 1)
        let header = RecordHeader(Samples.record(Samples.bytes(700)), sequence: 1, durableSequence: 0)
        var bytes = Array(header.encoded(segment: segment, offset: 4096)[..<240])
        bytes[4] = kind
        for index in 0..<8 { bytes[place + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index)) }
        bytes += segment.headerChecksum(of: bytes, at: 4096)
        #expect(bytes.withUnsafeBytes { RecordHeader(decoding: $0, segment: segment, offset: 4096) } == nil)
    }

    @Test(
        "A record's length is rounded up to 4,096", arguments: [(0, 4096), (3000, 4096), (4096, 8192), (8000, 12288)])
    func recordLength(payload: Int, expected: UInt64) {
        let header = RecordHeader(Samples.record(Samples.bytes(payload)), sequence: 1, durableSequence: 0)
        #expect(header.recordLength == expected)
        #expect(UInt64(header.payloadOffset) + header.payloadLength <= header.recordLength)
    }

    @Test("An index with a range that no file can have is damaged", arguments: [UInt64(Int64.max), UInt64.max - 600])
    func rangeBeyondFiles(length: UInt64) {
        var bytes: [UInt8] = []
        for count in [1, 0, 0, 0] as [UInt32] { bytes.appendLittleEndian(count) }
        for number in [0x7FE0_0010, 500, length] { bytes.appendLittleEndian(number) }
        #expect(throws: LogError.self) { try bytes.withUnsafeBytes { try PayloadIndex(decoding: $0) } }
    }

    @Test("Provenance has a key, a zero, a length and a value for each field, and none for empty ones")
    func provenance() throws {
        var provenance = Provenance()
        provenance[.callingAETitle] = "CT1"
        provenance[.organisation] = "Nord-Klinik"
        provenance[.annotationValue] = "Größe"
        let bytes = provenance.encoded()
        #expect(Array(bytes[0..<7]) == [1, 0, 3, 0, 0x43, 0x54, 0x31])
        #expect(Array(bytes[7..<11]) == [4, 0, 11, 0])
        #expect(try bytes.withUnsafeBytes { try Provenance(decoding: $0) } == provenance)
    }

    @Test("A provenance field of a later version is passed over")
    func laterProvenance() throws {
        let bytes: [UInt8] = [200, 0, 2, 0, 1, 2] + [1, 0, 1, 0, 0x41]
        let provenance = try bytes.withUnsafeBytes { try Provenance(decoding: $0) }
        #expect(provenance[.callingAETitle] == "A")
    }

    @Test("Cut provenance is damage", arguments: [1, 2, 3, 4, 5, 6])
    func cutProvenance(length: Int) {
        let bytes = Array([UInt8]([1, 0, 3, 0, 0x43, 0x54, 0x31])[..<length])
        #expect(throws: LogError.self) { try bytes.withUnsafeBytes { try Provenance(decoding: $0) } }
    }

    @Test("An index is read back as it was written, and refused when it is cut")
    func index() throws {
        var index = PayloadIndex()
        index.largeValues = [
            .init(tag: 0x7FE0_0010, range: 900..<70_000), .init(tag: 0xFFFC_FFFC, range: 70_000..<80_000),
        ]
        index.frames = [908..<1000, 1000..<2000]
        index.checksums = [1, .max, 3, 4]
        index.inflatedHeader = [9, 8, 7]
        let bytes = index.encoded()
        #expect(bytes.count == 16 + 2 * 24 + 2 * 16 + 4 * 8 + 3)
        #expect(Array(bytes[16..<24]) == [0x10, 0, 0xE0, 0x7F, 0, 0, 0, 0])
        #expect(try bytes.withUnsafeBytes { try PayloadIndex(decoding: $0) } == index)
        for length in 0..<bytes.count {
            let cut = Array(bytes[..<length])
            #expect(throws: LogError.self) { try cut.withUnsafeBytes { try PayloadIndex(decoding: $0) } }
        }
    }

    @Test("A range beyond all numbers in an index is damage")
    func hugeRange() {
        var bytes: [UInt8] = []
        for number: UInt32 in [0, 1, 0, 0] { bytes.appendLittleEndian(number) }
        bytes.appendLittleEndian(UInt64.max)
        bytes.appendLittleEndian(UInt64(2))
        #expect(throws: LogError.self) { try bytes.withUnsafeBytes { try PayloadIndex(decoding: $0) } }
    }

    @Test("An index whose counts announce more than memory is damage")
    func hugeCounts() {
        let bytes = [UInt8](repeating: 0xFF, count: 16)
        #expect(throws: LogError.self) { try bytes.withUnsafeBytes { try PayloadIndex(decoding: $0) } }
    }
}

@Suite("Chunks")
struct ChunkTests {
    private let chunk: UInt64 = 65_536

    private func index(_ ranges: Range<UInt64>...) -> PayloadIndex {
        var index = PayloadIndex()
        index.largeValues = ranges.map { .init(tag: 1, range: $0) }
        return index
    }

    @Test("A payload is cut where large values begin and end, and each piece every 65,536 bytes")
    func allChunks() {
        let chunks = index(1000..<140_000).chunks(covering: 0..<140_500, payloadLength: 140_500)
        #expect(chunks.map(\.index) == [0, 1, 2, 3, 4])
        #expect(
            chunks.map(\.range) == [
                0..<1000, 1000..<66_536, 66_536..<132_072, 132_072..<140_000, 140_000..<140_500,
            ])
    }

    @Test(
        "Only the chunks that a range touches are read",
        arguments: [
            (0..<1, [0]), (999..<1000, [0]), (999..<1001, [0, 1]), (66_535..<66_536, [1]), (66_535..<66_537, [1, 2]),
            (140_000..<140_001, [4]), (139_999..<140_500, [3, 4]),
        ] as [(Range<UInt64>, [Int])])
    func touched(range: Range<UInt64>, expected: [Int]) {
        #expect(index(1000..<140_000).chunks(covering: range, payloadLength: 140_500).map(\.index) == expected)
    }

    @Test("What is not a large value is header")
    func headerRanges() {
        #expect(index(10..<20, 20..<30, 50..<60).headerRanges(payloadLength: 60) == [0..<10, 30..<50])
        #expect(index().headerRanges(payloadLength: 60) == [0..<60])
        #expect(index(0..<60).headerRanges(payloadLength: 60).isEmpty)
    }

    @Test("Any range of any payload is covered without a gap by chunks in order")
    func everyRange() {
        let index = index(5..<chunk + 9, chunk + 9..<chunk * 2 + 9, chunk * 3..<chunk * 3 + 1)
        let length = chunk * 4
        let edges: [UInt64] = [
            0, 1, 4, 5, 6, chunk, chunk + 4, chunk + 5, chunk + 8, chunk + 9, chunk + 10, chunk * 2 + 9, chunk * 3,
            chunk * 3 + 1, length - 1, length,
        ]
        for from in edges {
            for to in edges where to > from {
                let chunks = index.chunks(covering: from..<to, payloadLength: length)
                #expect(chunks.first!.range.contains(from) && chunks.last!.range.contains(to - 1))
                for (left, right) in zip(chunks, chunks.dropFirst()) {
                    #expect(left.range.upperBound == right.range.lowerBound && left.index + 1 == right.index)
                }
            }
        }
    }

    @Test(
        "Sums do not depend on the pieces in which the bytes come",
        arguments: [1, 1000, 65_535, 65_536, 65_537, 200_000])
    func pieces(size: Int) {
        let bytes = Samples.bytes(200_000)
        let summer = ChunkSummer()
        for start in stride(from: 0, to: bytes.count, by: size) {
            bytes.withUnsafeBytes { summer.add($0.part(start..<min(start + size, bytes.count))) }
        }
        summer.cut()
        let expected = stride(from: 0, to: bytes.count, by: 65_536).map {
            Checksum.compute(Array(bytes[$0..<min($0 + 65_536, bytes.count)]))
        }
        #expect(summer.checksums == expected)
    }

    @Test("An empty chunk has no sum")
    func emptyCut() {
        let summer = ChunkSummer()
        summer.cut()
        Samples.bytes(65_536).withUnsafeBytes { summer.add($0) }
        summer.cut()
        #expect(summer.checksums.count == 1)
    }
}
