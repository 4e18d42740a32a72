// SPDX-License-Identifier: Apache-2.0
import Platform

/// Gives a stored header to an attribute writer in one pass over its bytes. Values outside the windows, and pixel data, are
/// told by their address.
package struct DataSetForm {
    /// Of bytes that are told with the rest; longer ones by their address.
    private static let inlineMaximum = 1024
    private var cursor: ElementCursor
    private let bulkDataPrefix: String
    private let isImplicit: Bool
    private let override: SpecificCharacterSet?
    private var characterSets: [SpecificCharacterSet]
    /// The sequences that the cursor is in, with the item's number in each.
    private var path: [(tag: Tag, item: Int)] = []
    private var isSigned = false

    /// - Parameters:
    ///   - bulkDataPrefix: the address of bulk data; the attribute's path follows.
    ///   - characterSetOverride: what is read instead of Specific Character Set.
    package init(
        transferSyntax: TransferSyntax, position: Int, bulkDataPrefix: String,
        characterSetOverride: SpecificCharacterSet?
    ) {
        cursor = ElementCursor(transferSyntax: transferSyntax, position: position)
        self.bulkDataPrefix = bulkDataPrefix
        isImplicit = transferSyntax.isImplicitVR
        override = characterSetOverride
        characterSets = [characterSetOverride ?? .ascii]
    }

    /// Takes one step; the results mean what they mean in `DataSetBuilder`.
    package mutating func step(
        in window: ByteWindow, _ writer: inout some AttributeWriter
    ) throws(DataSetError) -> DataSetBuilder.Progress {
        switch try cursor.next(in: window) {
        case .element(let header): append(header, window, &writer)
        case .sequence(let header):
            path.append((header.tag, -1))
            writer.beginSequence(header.tag)
        case .itemStart:
            path[path.count - 1].item += 1
            characterSets.append(characterSets[characterSets.count - 1])
            writer.beginItem()
        case .itemEnd:
            characterSets.removeLast()
            writer.endItem()
        case .sequenceEnd:
            path.removeLast()
            writer.endSequence()
        case .encapsulated(let header):
            writer.append(header.tag, header.vr, bulkDataURI: bulkDataURI(header.tag))
            return .omitted(position: header.valueOffset)
        case .fragment, .encapsulatedEnd: break
        case .needsMore: return .needsMore(position: cursor.position)
        case .end: return .ended
        }
        return .stepped
    }

    package mutating func skipFragments(to end: Int) { cursor.skipFragments(to: end) }

    private mutating func append(_ header: ElementHeader, _ window: ByteWindow, _ writer: inout some AttributeWriter) {
        guard !header.tag.isGroupLength, header.tag.group != 0xFFFE else { return }
        let vr = vr(of: header)
        let isBulk =
            header.tag == .pixelData && header.depth == 0 || (header.length ?? 0) > Self.inlineMaximum && vr.isBinary
        guard !isBulk, let value = window.part(header.valueRange) else {
            return writer.append(header.tag, vr, bulkDataURI: bulkDataURI(header.tag))
        }
        if header.tag == .specificCharacterSet { return take(characterSet: value, &writer) }
        if header.tag == .pixelRepresentation, header.depth == 0 { isSigned = value.first == 1 }
        writer.append(
            header.tag, vr, value, characterSets[characterSets.count - 1], isBigEndian: cursor.isBigEndian)
    }

    /// JSON is UTF-8, so that is what is declared, whatever was stored (PS3.18 section F.2).
    private mutating func take(characterSet value: UnsafeRawBufferPointer, _ writer: inout some AttributeWriter) {
        let terms = DataSet.Element(tag: .specificCharacterSet, vr: .cs, value: [UInt8](value)).plainValues
        characterSets[characterSets.count - 1] = override ?? SpecificCharacterSet(definedTerms: terms)
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 192")
    }

    /// What came as UN is told under the VR that it has by now; what may be signed follows the pixels.
    private func vr(of header: ElementHeader) -> VR {
        let vr = header.vr == .un ? DataDictionary.vr(of: header.tag) ?? .un : header.vr
        guard vr == .us, isSigned, isImplicit || header.vr == .un, AmbiguousVR.isSignedWithPixels(header.tag) else {
            return vr
        }
        return .ss
    }

    private func bulkDataURI(_ tag: Tag) -> String {
        bulkDataPrefix + AttributePath(path.map { ($0.tag, $0.item) }, tag).description
    }
}

/// The place of an attribute in a data set, as `00081140.0.00091010`: sequences with the number of the item, from 0.
package struct AttributePath: CustomStringConvertible, Equatable, Sendable {
    package let sequences: [Step]
    package let tag: Tag

    package struct Step: Equatable, Sendable {
        package let tag: Tag
        package let item: Int
    }

    package init(_ sequences: [(Tag, Int)], _ tag: Tag) {
        self.sequences = sequences.map { Step(tag: $0.0, item: $0.1) }
        self.tag = tag
    }

    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count % 2 == 1, parts.count <= 2 * ElementCursor.nestingMaximum + 1 else { return nil }
        var steps: [Step] = []
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            guard let tag = Tag(compact: parts[index]), let item = Int(parts[index + 1]), item >= 0 else { return nil }
            steps.append(Step(tag: tag, item: item))
        }
        guard let tag = Tag(compact: parts[parts.count - 1]) else { return nil }
        sequences = steps
        self.tag = tag
    }

    package var description: String {
        sequences.map { "\($0.tag.compactDescription).\($0.item)." }.joined() + tag.compactDescription
    }
}

extension Tag {
    /// From eight hexadecimal digits, as `00100020`.
    package init?(compact text: some StringProtocol) {
        guard text.utf8.count == 8, text.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(text, radix: 16)
        else { return nil }
        self.init(value)
    }
}

/// Attributes that PS3.6 lists as "US or SS".
package enum AmbiguousVR {
    /// Whether an attribute is SS where Pixel Representation (0028,0103) is 1 (PS3.5 annex A.1, and the notes of PS3.3
    /// section C.7.6.3).
    package static func isSignedWithPixels(_ tag: Tag) -> Bool {
        switch tag.rawValue {
        case 0x0028_0071, 0x0028_0104...0x0028_0111, 0x0028_0120, 0x0028_0121, 0x0028_1101...0x0028_1103, 0x0028_3002,
            0x0040_9211, 0x0040_9216, 0x0060_3004, 0x0060_3006:
            true
        default: false
        }
    }
}
