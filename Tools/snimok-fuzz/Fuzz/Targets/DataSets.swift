// SPDX-License-Identifier: Apache-2.0
import Archive
import DICOM
import Platform

extension FuzzTarget {
    /// A data set at once, and as it arrives in pieces: both readers agree.
    static let dataSet = FuzzTarget(
        name: "dataset", about: "data sets in every transfer syntax, whole and in pieces", maximumBytes: 4096,
        seeds: { SampleDataSets.choices([7]) }, seedsFromFile: { SampleDataSets.choices([200], file: $0) }
    ) { bytes in
        var input = FuzzInput(bytes)
        let syntax = input.pick(SampleDataSets.syntaxes)
        let pieceBytes = Int(input.byte()) + 1
        withExactCopy(input.rest) { bytes in
            let whole = try? DataSet(bytes, transferSyntax: syntax)
            let scan = scan(bytes, syntax, pieceBytes: max(1, bytes.count))
            let pieces = scanInPieces(bytes, syntax, pieceBytes)
            require((scan == nil) == (whole == nil), "the scan and the reader agree whether this is a data set")
            require((scan == nil) == (pieces == nil), "pieces change nothing about whether this is a data set")
            guard let whole, let scan, let pieces else { return }
            require(scan.values == pieces.values && scan.items == pieces.items, "pieces change no value")
            require(
                scan.largeValues.map(\.range) == pieces.largeValues.map(\.range), "pieces change no large value's place"
            )
            for (_, range) in scan.largeValues {
                require(range.lowerBound >= 0 && range.upperBound <= bytes.count, "large values lie within")
            }
            for tag in wanted {
                guard let value = scan.values[tag] else { continue }
                require(whole.elements.contains { $0.tag == tag && $0.value == value }, "the scan found what is there")
            }
            for frames in [1, 2, 3, Int.max] {
                for range in scan.frames(numberOfFrames: frames) {
                    require(range.upperBound <= bytes.count, "frames lie within")
                }
            }
        }
    }

    private static let wanted: [Tag] = [
        .specificCharacterSet, .patientName, .patientID, .studyInstanceUID, .sopInstanceUID, .numberOfFrames, .rows,
    ]

    private static func newScan(_ syntax: TransferSyntax) -> DataSetScan {
        DataSetScan(
            transferSyntax: syntax, position: 0, wanted: WantedTags(wanted), wantedSequence: .requestAttributesSequence,
            wantedInItems: [.scheduledProcedureStepID])
    }

    private static func scan(
        _ bytes: UnsafeRawBufferPointer, _ syntax: TransferSyntax, pieceBytes: Int
    ) -> DataSetScan? {
        var scan = newScan(syntax)
        do throws(DataSetError) { try scan.consume(ByteWindow(bytes, isLast: true)) } catch { return nil }
        return scan.isComplete ? scan : nil
    }

    /// As at receipt: what the scan has passed is not shown again.
    private static func scanInPieces(
        _ bytes: UnsafeRawBufferPointer, _ syntax: TransferSyntax, _ pieceBytes: Int
    ) -> DataSetScan? {
        var scan = newScan(syntax)
        var end = 0
        repeat {
            let next = min(end + pieceBytes, bytes.count)
            let start = min(scan.position, end)
            do throws(DataSetError) {
                try scan.consume(ByteWindow(bytes.part(start..<next), offset: start, isLast: next == bytes.count))
            } catch { return nil }
            end = next
        } while end < bytes.count
        return scan.isComplete ? scan : nil
    }

    /// Re-encoding: what comes out is a data set with the same elements.
    static let reencode = FuzzTarget(
        name: "reencode", about: "re-encoding between the uncompressed transfer syntaxes", maximumBytes: 4096,
        seeds: { [0, 1, 2].flatMap { SampleDataSets.choices([$0, 9]) } },
        seedsFromFile: { SampleDataSets.choices([2, 100], file: $0) }
    ) { bytes in
        var input = FuzzInput(bytes)
        let source = input.pick(Array(SampleDataSets.syntaxes[..<3]))
        let target = input.pick(Array(SampleDataSets.syntaxes[..<3]))
        let pieceBytes = Int(input.byte()) + 1
        withExactCopy(input.rest) { bytes in
            let whole = reencode(bytes, source, target, bytes.count)
            require(whole == reencode(bytes, source, target, pieceBytes), "pieces change nothing")
            guard let whole, let before = try? DataSet(bytes, transferSyntax: source) else { return }
            // Implicit VR takes each VR from the dictionary, so that what had another may become something else.
            guard !target.isImplicitVR else { return }
            guard let after = try? whole.withUnsafeBytes({ try DataSet($0, transferSyntax: target) }) else {
                return require(false, "what was written is a data set")
            }
            require(areAlike(before, after), "the elements are the same")
        }
    }

    private static func reencode(
        _ bytes: UnsafeRawBufferPointer, _ source: TransferSyntax, _ target: TransferSyntax, _ pieceBytes: Int
    ) -> [UInt8]? {
        var reencoder = Reencoder(from: source, to: target, position: 0)
        var output: [UInt8] = []
        var end = 0
        repeat {
            let next = min(end + max(1, pieceBytes), bytes.count)
            let start = min(max(0, reencoder.position), end)
            do throws(DataSetError) {
                output += try reencoder.consume(
                    ByteWindow(bytes.part(start..<next), offset: start, isLast: next == bytes.count))
            } catch { return nil }
            end = next
        } while end < bytes.count
        return reencoder.isComplete ? output : nil
    }

    /// Whether two data sets have the same tags and the same lengths of values, but for group lengths, padding, and
    /// delimiters that nobody waited for.
    private static func areAlike(_ left: DataSet, _ right: DataSet) -> Bool {
        var pairs = [(left, right)]
        while let (left, right) = pairs.popLast() {
            let left = left.elements.filter { !$0.tag.isGroupLength && $0.tag.group != 0xFFFE }
            let right = right.elements.filter { !$0.tag.isGroupLength && $0.tag.group != 0xFFFE }
            guard left.count == right.count else { return false }
            for (old, new) in zip(left, right) {
                guard old.tag == new.tag, (old.items == nil) == (new.items == nil),
                    (old.value.count + 1) / 2 == (new.value.count + 1) / 2,
                    old.items?.count == new.items?.count
                else { return false }
                pairs += zip(old.items ?? [], new.items ?? [])
            }
        }
        return true
    }

    /// Deflated data sets: what is inflated in pieces is what is inflated at once.
    static let deflated = FuzzTarget(
        name: "deflated", about: "Deflated data sets", maximumBytes: 2048,
        seeds: { Deflate.samples.map { [40] + $0 } }
    ) { bytes in
        var input = FuzzInput(bytes)
        let pieceBytes = Int(input.byte()) + 1
        withExactCopy(input.rest) { bytes in
            let whole = inflate(bytes, bytes.count)
            let pieces = inflate(bytes, pieceBytes)
            require((whole == nil) == (pieces == nil), "pieces change nothing about whether this is a data set")
            guard let whole, let pieces else { return }
            require(whole.header == pieces.header, "pieces change nothing of the header")
            require(whole.scan.values == pieces.scan.values, "pieces change no value")
        }
    }

    private static func inflate(
        _ bytes: UnsafeRawBufferPointer, _ pieceBytes: Int
    ) -> (scan: DataSetScan, header: [UInt8])? {
        let deflated = DeflatedScan(TransferSyntax(uid: "1.2.840.10008.1.2.1.99"))
        do throws(DataSetError) {
            for start in stride(from: 0, to: bytes.count, by: max(1, pieceBytes)) {
                try deflated.take(bytes.part(start..<min(start + pieceBytes, bytes.count)))
            }
            return (try deflated.finish(), deflated.header)
        } catch { return nil }
    }

    /// What a file is taken for.
    static let file = FuzzTarget(
        name: "file", about: "preamble and file meta group of DICOM files", maximumBytes: 1024,
        seeds: {
            SampleDataSets.syntaxes.map { syntax in
                FileMeta.encoded(sopClassUID: "1.2.3", sopInstanceUID: "1.2.3.4", transferSyntaxUID: syntax.uid)
                    + SampleDataSets.image(syntax)
            }
        }, seedsFromFile: { [Array($0.prefix(1024))] }
    ) { bytes in
        withExactCopy(bytes) { bytes in
            guard var meta = FileMeta(head: bytes) else { return }
            require((132...bytes.count).contains(meta.dataSetOffset), "the data set begins within the file")
            meta.takeIdentity(fromDataSetIn: bytes)
            require(meta.sopInstanceUID.utf8.allSatisfy { $0 < 0x80 }, "UIDs are ASCII")
        }
    }
}

/// Deflate streams without compression (RFC 1951 section 3.2.4), and some that zlib made: seeds need no more.
private enum Deflate {
    static var samples: [[UInt8]] {
        let image = SampleDataSets.image(.explicitVRLittleEndian)
        let count = UInt16(image.count)
        let head: [UInt8] = [1, UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8)]
        // A block of fixed Huffman codes that is empty, in front.
        return [head + image, [0x02, 0x08] + image.prefix(0), [0x03, 0x00]]
    }
}
