// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Data sets in memory")
struct DataSetInMemoryTests {
    /// (7FE0,0010) of undefined length with an empty offset table and its end.
    private static let encapsulated: [UInt8] = [
        0xE0, 0x7F, 0x10, 0, 0x4F, 0x42, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF,
        0xDD,
        0xE0, 0, 0, 0, 0,
    ]
    private static let padding: [UInt8] = [0xFC, 0xFF, 0xFC, 0xFF, 0x4F, 0x42, 0, 0, 2, 0, 0, 0, 1, 2]

    private func read(_ bytes: [UInt8]) throws -> DataSet {
        try bytes.withUnsafeBytes { try DataSet($0, transferSyntax: .jpegBaseline) }
    }

    @Test("What stands behind encapsulated pixel data is read")
    func behindPixelData() throws {
        let dataSet = try read(Self.encapsulated + Self.padding)
        #expect(dataSet.elements.map(\.tag) == [.pixelData, Tag(0xFFFC_FFFC)])
        #expect(dataSet.elements[0].isOmitted)
        #expect(dataSet.elements[1].value == [1, 2])
    }

    @Test("An error behind encapsulated pixel data is an error")
    func errorBehindPixelData() {
        #expect(throws: DataSetError.self) { try read(Self.encapsulated + Self.padding.dropLast()) }
    }
}
