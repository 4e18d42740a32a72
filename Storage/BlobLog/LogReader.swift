// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// A record that was read and whose header, provenance and index have passed their checksums.
package struct StoredRecord: Sendable {
    package let header: RecordHeader
    package let location: RecordLocation
    package let provenance: Provenance
    package let index: PayloadIndex
    let file: any VolumeFile
    /// Where the payload begins in `file`.
    let payloadStart: UInt64
    /// What its content address was made with.
    let contentHash: ContentHash
    /// Is told when a read finds the payload damaged.
    let observer: DamageObserver

    package var dataSetOffset: UInt64 { header.payloadLength - header.dataSetLength }

    /// Reads `range` of the payload; every chunk that it touches is verified first.
    /// - Returns: the bytes of `range`, in the buffer's memory until its next use.
    package func read(_ range: Range<UInt64>, into buffer: ReadBuffer) throws(LogError) -> UnsafeRawBufferPointer {
        do throws(LogError) { return try readChecked(range, into: buffer) } catch {
            if error.isDamage { observer.found(header.blobID, at: location) }
            throw error
        }
    }

    private func readChecked(
        _ range: Range<UInt64>, into buffer: ReadBuffer
    ) throws(LogError) -> UnsafeRawBufferPointer {
        guard range.upperBound <= header.payloadLength else { throw .damaged("a range beyond the payload") }
        guard !range.isEmpty else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let chunks = index.chunks(covering: range, payloadLength: header.payloadLength)
        let start = chunks[0].range.lowerBound
        let length = Int(chunks[chunks.count - 1].range.upperBound - start)
        let memory = buffer.memory(length)
        let count = try wrappingSystemErrors { () throws(SystemError) in
            try file.read(into: memory, at: payloadStart + start)
        }
        guard count == length else { throw .damaged("\(file.path) is shorter than its record") }
        let bytes = UnsafeRawBufferPointer(memory)
        for chunk in chunks {
            let part = bytes.part(Int(chunk.range.lowerBound - start)..<Int(chunk.range.upperBound - start))
            guard chunk.index < index.checksums.count, index.checksums[chunk.index] == Checksum.compute(part) else {
                throw .damaged("blob \(header.blobID) at byte \(chunk.range.lowerBound) of its payload")
            }
        }
        return bytes.part(Int(range.lowerBound - start)..<Int(range.upperBound - start))
    }

    /// Has the device bring what lies behind a place in the payload, which may be the next records, while others work.
    package func prefetch(behind offset: UInt64, count: UInt64) {
        file.advise(POSIX_FADV_WILLNEED, payloadStart + offset..<payloadStart + offset + count)
    }

    /// Reads `range` of the payload into memory of its own, verified.
    package func bytes(_ range: Range<UInt64>) throws(LogError) -> [UInt8] {
        let buffer = ReadBuffer()
        // The buffer's memory goes with its last reference, which the bytes are none of.
        defer { withExtendedLifetime(buffer) {} }
        return Array(try read(range, into: buffer))
    }

    /// Hands out `range` of the payload piece by piece, each verified; memory is one piece.
    package func forEachPiece<Failure: Error>(
        in range: Range<UInt64>, pieceBytes: UInt64 = 1 << 20, buffer: ReadBuffer = ReadBuffer(),
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void, onError: (LogError) -> Failure
    ) throws(Failure) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(range.upperBound, (offset / pieceBytes + 1) * pieceBytes)
            let part: UnsafeRawBufferPointer
            do { part = try read(offset..<end, into: buffer) } catch { throw onError(error) }
            try body(part)
            offset = end
        }
    }

    /// The same for a body that may throw anything.
    package func sendPieces(
        in range: Range<UInt64>, buffer: ReadBuffer, _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var failure: (any Error)?
        struct Stopped: Error {}
        do throws(Stopped) {
            try forEachPiece(
                in: range, buffer: buffer,
                { (bytes) throws(Stopped) in
                    do { try body(bytes) } catch {
                        failure = error
                        throw Stopped()
                    }
                },
                onError: {
                    failure = $0
                    return Stopped()
                })
        } catch { throw failure! }
    }

    /// The header: everything outside large values, as pieces with their offset in the payload.
    package func readHeader() throws(LogError) -> [(offset: Int, bytes: [UInt8])] {
        var pieces: [(offset: Int, bytes: [UInt8])] = []
        for range in index.headerRanges(payloadLength: header.payloadLength) {
            pieces.append((Int(range.lowerBound), try bytes(range)))
        }
        return pieces
    }

    /// Reads all of the payload and recomputes the blob id: the strongest check there is.
    package func verify() throws(LogError) {
        let hasher = BlobHasher(transferSyntaxUID: provenance[.transferSyntaxUID], contentHash)
        let dataSet = dataSetOffset..<header.payloadLength
        try forEachPiece(in: 0..<dataSet.lowerBound, { _ throws(LogError) in }, onError: { $0 })
        try forEachPiece(in: dataSet, { bytes throws(LogError) in hasher.update(bytes) }, onError: { $0 })
        guard hasher.finish() == header.blobID else { throw .damaged("blob \(header.blobID) has other content") }
    }

    /// Reads and checks every byte by its chunk's checksum.
    package func check() throws(LogError) {
        try forEachPiece(in: 0..<header.payloadLength, { _ throws(LogError) in }, onError: { $0 })
    }
}

/// Reads records by their place. Threads share one reader.
package final class LogReader: Sendable {
    private struct Key: Hashable {
        let writer: UInt32
        let number: UInt32
    }

    private static let openSegmentsMaximum = 256
    package let observer = DamageObserver()
    private let directory: DataDirectory
    private let segments = Monitor<[Key: Segment]>([:])

    package init(_ directory: DataDirectory) { self.directory = directory }

    /// - Parameter readsAhead: false: a part of it will be read, its header or a frame, and the kernel is to read no more.
    package func record(at location: RecordLocation, readsAhead: Bool = true) throws(LogError) -> StoredRecord {
        let segment = try segment(writer: location.writer, number: location.segment)
        return try record(in: segment, at: location.offset, headBytes: 1024, file: readsAhead ? nil : segment.scattered)
    }

    /// Has the device bring the beginnings of records, where their headers are, while others are worked on.
    package func prefetchHeaders(_ locations: some Sequence<RecordLocation>) {
        for location in locations {
            guard let segment = try? segment(writer: location.writer, number: location.segment) else { continue }
            let length = min(location.length, Self.prefetchedBytes)
            segment.scattered.advise(POSIX_FADV_WILLNEED, location.offset..<location.offset + length)
        }
    }

    /// Brings a part of a segment, which is opened for it, into the page cache: not all that is written is read. Returns when
    /// it is there.
    package func bring(writer: UInt32, segment number: UInt32, _ range: Range<UInt64>) {
        guard let file = try? Segment(directory, writer: writer, number: number).file else { return }
        file.advise(POSIX_FADV_WILLNEED, range)
        (file as? FileDescriptor)?.populate(range)
    }

    /// Head of the record and header of its payload, for all but unusual instances.
    static let prefetchedBytes: UInt64 = 3 * 4096

    /// - Parameters:
    ///   - headBytes: read first; most records have header, provenance and index within them.
    ///   - file: where to read instead of the segment's own descriptor (past the page cache, in recovery: whole pages).
    ///   - mayLackFile: one whose large object's file is missing is given, too; its payload reads as damaged.
    func record(
        in segment: Segment, at offset: UInt64, headBytes: Int = 4096, file: (any VolumeFile)? = nil,
        mayLackFile: Bool = false
    ) throws(LogError) -> StoredRecord {
        let file = file ?? segment.file
        let head = try head(in: segment, at: offset, headBytes: headBytes, file: file)
        let header = head.header
        let isLarge = header.kind == .largeInstance
        return StoredRecord(
            header: header,
            location: RecordLocation(
                writer: segment.writer, segment: segment.number, offset: offset, length: header.recordLength),
            provenance: head.provenance, index: head.index, file: isLarge ? try openLarge(header, mayLackFile) : file,
            payloadStart: isLarge ? 0 : offset + UInt64(header.payloadOffset), contentHash: directory.contentHash,
            observer: observer)
    }

    /// What a record says of itself, which needs no payload to be there.
    func provenance(in segment: Segment, at offset: UInt64) throws(LogError) -> Provenance {
        try head(in: segment, at: offset, headBytes: 4096, file: segment.file).provenance
    }

    private func head(
        in segment: Segment, at offset: UInt64, headBytes: Int, file: any VolumeFile
    ) throws(LogError) -> (header: RecordHeader, provenance: Provenance, index: PayloadIndex) {
        var bytes = try read(file, offset, count: headBytes)
        guard let header = bytes.withUnsafeBytes({ RecordHeader(decoding: $0, segment: segment, offset: offset) })
        else {
            throw .damaged("no record at byte \(offset) of \(file.path)")
        }
        if header.metadataLength > bytes.count {
            // Not as much memory as is announced, but as is there.
            let size = try wrappingSystemErrors { () throws(SystemError) in try file.size() }
            guard UInt64(header.metadataLength) <= size - min(size, offset) else {
                throw .damaged("\(file.path) ends within a record")
            }
            bytes = try read(file, offset, count: (header.metadataLength + 4095) / 4096 * 4096)
        }
        guard bytes.count >= header.metadataLength else { throw .damaged("\(file.path) ends within a record") }
        return try bytes.withRawBytes { bytes throws(LogError) in
            let metadata = bytes.part(RecordHeader.byteCount..<header.metadataLength)
            guard Checksum.compute(metadata) == header.metadataChecksum else {
                throw .damaged("provenance or index at byte \(offset) of \(file.path)")
            }
            let split = Int(header.provenanceLength)
            let index = metadata.part(split..<metadata.count)
            return (
                header, try Provenance(decoding: metadata.part(0..<split)),
                header.hasContent ? try PayloadIndex(decoding: index) : PayloadIndex()
            )
        }
    }

    private func openLarge(_ header: RecordHeader, _ mayLack: Bool) throws(LogError) -> any VolumeFile {
        let name = directory.largeName(header.blobID, number: header.largeNumber)
        // Last, it may have moved between the first two looks.
        for folder in [directory.large, directory.incoming, directory.large] {
            do { return try directory.volume.open("\(folder)/\(name)", O_RDONLY) } catch {
                guard error.code == ENOENT else { throw .system(error) }
            }
        }
        if mayLack { return MissingFile(name) }
        throw .damaged("the file of a large object is missing: \(name)")
    }

    private func read(_ file: any VolumeFile, _ offset: UInt64, count: Int) throws(LogError) -> [UInt8] {
        try wrappingSystemErrors { () throws(SystemError) in
            // Aligned, for descriptors that read past the page cache.
            var result: Result<Void, SystemError> = .success(())
            let bytes = [UInt8](unsafeUninitializedCapacity: count + 4096) { buffer, done in
                let buffer = UnsafeMutableRawBufferPointer(buffer)
                let padding = (4096 - Int(bitPattern: buffer.baseAddress!) % 4096) % 4096
                let aligned = UnsafeMutableRawBufferPointer(rebasing: buffer[padding..<padding + count])
                do throws(SystemError) { done = try file.read(into: aligned, at: offset) } catch {
                    result = .failure(error)
                }
                memmove(buffer.baseAddress!, aligned.baseAddress!, done)
            }
            try result.get()
            return bytes
        }
    }

    func segment(writer: UInt32, number: UInt32) throws(LogError) -> Segment {
        let key = Key(writer: writer, number: number)
        if let open = segments.withLock({ $0[key] }) { return open }
        let segment = try Segment(directory, writer: writer, number: number)
        segments.withLock { open in
            // Whoever still reads a segment that is dropped here keeps it open by holding it.
            if open.count >= Self.openSegmentsMaximum { open.removeAll() }
            open[key] = segment
        }
        return segment
    }

    /// Drops a segment that is removed: another may be created under its number.
    func forget(writer: UInt32, number: UInt32) {
        segments.withLock { $0[Key(writer: writer, number: number)] = nil }
    }
}
