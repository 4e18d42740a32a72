// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Platform

extension LogReader {
    /// Reads a record's header, provenance and index as they stand on the device, not in the page cache.
    package func recordFromDevice(at location: RecordLocation) throws(LogError) -> StoredRecord {
        let segment = try segment(writer: location.writer, number: location.segment)
        return try record(in: segment, at: location.offset, file: DeviceFile(segment.file).file)
    }

    /// Has the page cache give up what it holds of a record, so that whoever reads it next sees what the device has.
    package func forgetCached(_ location: RecordLocation) {
        guard let segment = try? segment(writer: location.writer, number: location.segment) else { return }
        segment.file.advise(POSIX_FADV_DONTNEED, location.offset..<location.offset + location.length)
    }
}

extension StoredRecord {
    /// Reads all of the payload from the device, past the page cache, checks each chunk and recomputes the blob id. What the
    /// cache still holds of a write says nothing about the disk; a promise to keep an instance needs this.
    /// - Parameter onPiece: told how many bytes were read; may wait, or give up by throwing.
    package func verifyFromDevice(
        onPiece: (Int) throws(LogError) -> Void = { (_: Int) throws(LogError) in }
    ) throws(LogError) {
        let device = DeviceFile(file)
        let check = PayloadCheck(self)
        let length = header.payloadLength
        try device.forEachPiece(in: payloadStart..<payloadStart + length) { bytes throws(LogError) in
            check.take(bytes)
            try onPiece(bytes.count)
        }
        try check.finish()
    }

    /// The same for the payload, which may be in a file of its own.
    package func forgetCached() {
        file.advise(POSIX_FADV_DONTNEED, payloadStart..<payloadStart + header.payloadLength)
    }
}

/// Follows a payload from its first byte to its last.
private final class PayloadCheck {
    private let record: StoredRecord
    private let chunks: [Range<UInt64>]
    private let hasher: BlobHasher
    private let summer = ChunkSummer()
    private var offset: UInt64 = 0
    private var nextChunk = 0

    init(_ record: StoredRecord) {
        self.record = record
        let length = record.header.payloadLength
        chunks = record.index.chunks(covering: 0..<length, payloadLength: length).map(\.range)
        hasher = BlobHasher(transferSyntaxUID: record.provenance[.transferSyntaxUID], record.contentHash)
    }

    func take(_ bytes: UnsafeRawBufferPointer) {
        let start = offset
        let end = start + UInt64(bytes.count)
        while offset < end, nextChunk < chunks.count {
            let limit = min(end, chunks[nextChunk].upperBound)
            summer.add(bytes.part(Int(offset - start)..<Int(limit - start)))
            offset = limit
            if limit == chunks[nextChunk].upperBound {
                summer.cut()
                nextChunk += 1
            }
        }
        offset = end
        let skipped = start < record.dataSetOffset ? min(end, record.dataSetOffset) - start : 0
        hasher.update(bytes.part(Int(skipped)..<bytes.count))
    }

    func finish() throws(LogError) {
        guard summer.checksums == record.index.checksums, hasher.finish() == record.header.blobID else {
            throw .damaged("blob \(record.header.blobID) has other content on the device")
        }
    }
}

/// A file that is open already, read past the page cache: whole pages of the file into whole pages of memory.
private struct DeviceFile {
    private static let pageBytes: UInt64 = 4096
    private static let pieceBytes: UInt64 = 1 << 20

    let file: any VolumeFile
    private let isDirect: Bool

    /// Opens the same file again, whatever its name has become meanwhile.
    init(_ open: any VolumeFile) {
        // That of a record that was read from the device is of this kind already.
        if let open = open as? FileDescriptor, fcntl(open.raw, F_GETFL) & csystem_o_direct() != 0 {
            (file, isDirect) = (open, true)
            return
        }
        if let open = open as? FileDescriptor,
            let direct = try? FileDescriptor.open("/proc/self/fd/\(open.raw)", O_RDONLY | csystem_o_direct())
        {
            (file, isDirect) = (direct, true)
            return
        }
        // A file system without direct reading: at least no page stays that the device does not have to give again.
        (file, isDirect) = (open, false)
        open.advise(POSIX_FADV_DONTNEED, 0..<0)
    }

    func forEachPiece(
        in range: Range<UInt64>, _ body: (UnsafeRawBufferPointer) throws(LogError) -> Void
    ) throws(LogError) {
        var position = range.lowerBound / Self.pageBytes * Self.pageBytes
        let bytes = (range.upperBound - position + Self.pageBytes - 1) / Self.pageBytes * Self.pageBytes
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Int(min(Self.pieceBytes, bytes)), alignment: 4096)
        defer { memory.deallocate() }
        while position < range.upperBound {
            let pages = (range.upperBound - position + Self.pageBytes - 1) / Self.pageBytes
            let wanted = min(Self.pieceBytes, pages * Self.pageBytes)
            let start = position
            let count = try wrappingSystemErrors { () throws(SystemError) in
                try read(UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(wanted)]), at: start)
            }
            let end = min(position + wanted, range.upperBound)
            guard position + UInt64(count) >= end else { throw .damaged("\(file.path) is shorter than its record") }
            let from = max(position, range.lowerBound) - position
            try body(UnsafeRawBufferPointer(memory).part(Int(from)..<Int(end - position)))
            position = end
        }
    }

    /// Reads until `buffer` is full or the file ends.
    private func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try retryingInterrupts("pread", file.path) {
                file.readOnce(
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]), at: offset + UInt64(done))
            }
            done += count
            // Direct reading ends within a page only where the file does, and cannot go on from there.
            if count == 0 || isDirect && UInt64(done) % Self.pageBytes != 0 { break }
        }
        return done
    }
}
