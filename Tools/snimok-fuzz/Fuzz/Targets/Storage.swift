// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Platform

extension FuzzTarget {
    /// What stands behind a record's checksum: provenance and index.
    static let index = FuzzTarget(
        name: "index", about: "provenance and index of log records", maximumBytes: 512,
        seeds: {
            var index = PayloadIndex()
            index.largeValues = [.init(tag: 0x7FE0_0010, range: 500..<70_000)]
            index.frames = [508..<900, 900..<70_000]
            index.checksums = [1, 2, 3]
            index.inflatedHeader = [1, 2, 3]
            return [[0, 0, 0, 2] + index.encoded(), [1] + SampleLog.provenance.encoded()]
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        if input.byte() & 1 == 1 {
            guard let provenance = try? Provenance(decoding: input.rest) else { return }
            let encoded = provenance.encoded()
            let again = try? encoded.withUnsafeBytes { try Provenance(decoding: $0) }
            require(again?.encoded() == encoded, "provenance is written the same again")
            return
        }
        let payloadLength = UInt64(input.number()) * 97 + UInt64(input.byte())
        guard let index = try? PayloadIndex(decoding: input.rest) else { return }
        let again = try? index.encoded().withUnsafeBytes { try PayloadIndex(decoding: $0) }
        require(again == index, "an index reads the same again")
        var last: UInt64 = 0
        for range in index.headerRanges(payloadLength: payloadLength) {
            require(range.lowerBound >= last && range.upperBound <= payloadLength, "header pieces lie within, in order")
            last = range.upperBound
        }
        guard payloadLength > 0 else { return }
        let wanted = payloadLength / 3..<max(payloadLength / 3 + 1, payloadLength / 2)
        let chunks = index.chunks(covering: wanted, payloadLength: payloadLength)
        require(chunks.first.map { $0.range.lowerBound <= wanted.lowerBound } ?? false, "chunks cover the beginning")
        require(chunks.last.map { $0.range.upperBound >= wanted.upperBound } ?? false, "chunks cover the end")
        for (left, right) in zip(chunks, chunks.dropFirst()) {
            require(left.range.upperBound == right.range.lowerBound, "chunks follow each other")
        }
    }

    /// Recovery over a segment in which anything stands: nothing wrong is read, and the log goes on.
    static let log = FuzzTarget(
        name: "log", about: "segments of the log: scan, recovery, reading", maximumBytes: 256,
        prepare: { _ = SampleLog.volume },
        seeds: {
            [
                [0], [1, 0, 16, 4, 9, 9, 9, 9], [3, 16, 16, 8, 0, 0, 1, 0, 0, 0, 0, 0], [2, 8, 0x20, 1, 1],
                [4, 0, 0x21],
            ]
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let choices = input.byte()
        let volume = SampleLog.volume.copy()
        volume[SampleLog.segment] = SampleLog.changed(
            &input, isSealed: choices & 2 != 0, isCut: choices & 4 != 0)
        guard let directory = try? DataDirectory(SampleLog.path, volume: volume) else {
            return require(false, "the directory opens")
        }
        guard let log = try? BlobLog(directory) else { return require(false, "the log opens") }
        var readable = 0
        do throws(LogError) {
            try log.forEachRecord { record throws(LogError) in
                readable += 1
                look(at: record)
            } gap: { gap throws(LogError) in
                require(gap.segment == 1, "a gap is in a segment that is there")
            }
        } catch { require(error.isDamage, "what cannot be read is damage: \(error)") }
        guard choices & 1 != 0 else { return }
        do throws(LogError) {
            var count = 0
            let (writer, _) = try log.recover(from: .start) { record throws(LogError) in count += 1 }
            require(count <= readable, "recovery takes no more than what can be read")
            let appended = try writer.append([SampleLog.record([9, 9, 9, 9])])
            let record = try log.reader.record(at: appended[0].1)
            try record.verify()
        } catch { require(error.isDamage, "what keeps the log from opening is damage: \(error)") }
    }

    private static func look(at record: StoredRecord) {
        guard record.header.payloadLength <= 1 << 20 else { return }
        _ = try? record.readHeader()
        do throws(LogError) {
            try record.verify()
            let all = try record.bytes(0..<record.header.payloadLength)
            require(SampleLog.payloads.contains(all) || all.isEmpty, "nothing is read that was never stored")
        } catch {}
    }
}

/// A log of a few records, made by the log itself, and ways to spoil it.
private enum SampleLog {
    static let path = "/a"
    static let segment = "/a/segments/00000001-00000001.seg"
    static let payloads: [[UInt8]] = [
        Array("DICM".utf8) + [1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 7, count: 5000), [0xFE, 0xFF, 0x00, 0xE0],
    ]
    private static let pool = BufferPool(capacity: 1 << 16)

    static let provenance: Provenance = {
        var provenance = Provenance()
        provenance[.callingAETitle] = "MODALITY"
        provenance[.transferSyntaxUID] = "1.2.840.10008.1.2.1"
        return provenance
    }()

    static let volume: MemoryVolume = {
        let volume = MemoryVolume()
        do throws(LogError) {
            let log = try BlobLog(try DataDirectory(path, volume: volume))
            let (writer, _) = try log.recover(from: .start) { _ throws(LogError) in }
            _ = try writer.append([record(payloads[0]), record(payloads[1])])
            _ = try writer.append([record(payloads[2])])
        } catch { fatalError("no log: \(error)") }
        return volume
    }()

    static func record(_ payload: [UInt8]) -> NewRecord {
        let buffer = pool.borrow()
        buffer.room.copyBytes(from: payload)
        buffer.count = payload.count
        let hasher = BlobHasher(transferSyntaxUID: provenance[.transferSyntaxUID], .blake3)
        payload.withUnsafeBytes { hasher.update($0) }
        let summer = ChunkSummer()
        payload.withUnsafeBytes { summer.add($0) }
        summer.cut()
        var index = PayloadIndex()
        index.checksums = summer.checksums
        var record = NewRecord(
            kind: .instance, receivedAtNanoseconds: 1, blobID: hasher.finish(), provenance: provenance.encoded())
        record.index = index.encoded()
        record.payloadLength = UInt64(payload.count)
        record.dataSetLength = UInt64(payload.count)
        record.buffer = buffer
        return record
    }

    /// The segment with bytes changed: place (two bytes), number of bytes, bytes, and so on.
    /// - Parameters:
    ///   - isSealed: whether checksums are put right afterwards, so that what is behind them is reached.
    ///   - isCut: whether the file ends at the first place.
    static func changed(_ input: inout FuzzInput, isSealed: Bool, isCut: Bool) -> [UInt8] {
        var bytes = volume[segment]!
        if isCut { bytes.removeSubrange(min(Int(input.number()), bytes.count)...) }
        while !input.rest.isEmpty, !bytes.isEmpty {
            let place = Int(input.number()) % bytes.count
            for (index, byte) in input.bytes(Int(input.byte() % 16)).enumerated() where place + index < bytes.count {
                bytes[place + index] = byte
            }
        }
        if isSealed { seal(&bytes) }
        return bytes
    }

    private static func seal(_ bytes: inout [UInt8]) {
        guard bytes.count >= 4096 else { return }
        bytes.replaceSubrange(80..<96, with: HeaderChecksum.compute(Array(bytes[0..<80])))
        let secret = Array(bytes[48..<80])
        for start in stride(from: 4096, to: bytes.count, by: 4096)
        where start + 256 <= bytes.count && bytes[start..<start + 4].elementsEqual("SNRC".utf8) {
            let lengths = bytes.withRawBytes { all in
                (
                    Int(all.littleEndian(at: start + 88, as: UInt32.self)),
                    Int(all.littleEndian(at: start + 92, as: UInt32.self))
                )
            }
            let end = start + 256 + lengths.0 + lengths.1
            if end <= bytes.count {
                let sum = Checksum.compute(Array(bytes[start + 256..<end]))
                for shift in 0..<8 { bytes[start + 104 + shift] = UInt8(truncatingIfNeeded: sum >> UInt64(8 * shift)) }
            }
            var head = Array(bytes[start..<start + 240])
            head.appendLittleEndian(UInt32(1))
            head.appendLittleEndian(UInt32(1))
            head.appendLittleEndian(UInt64(start))
            bytes.replaceSubrange(start + 240..<start + 256, with: HeaderChecksum.compute(head, key: secret))
        }
    }
}
