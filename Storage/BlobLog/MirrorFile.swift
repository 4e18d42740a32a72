// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Copying and comparing between two directories, each on a volume of its own.
enum MirrorFile {
    private static let pieceBytes = 4 << 20
    private static let syncedBytes: UInt64 = 64 << 20
    private static let digestedBytes: UInt64 = 32 << 20

    /// Copies a whole file. Under its final name it is complete, synced, and was compared as the device has it.
    static func copy(
        _ source: String, of primary: DataDirectory, to target: String, of mirror: DataDirectory,
        pace: (Int) throws(LogError) -> Void = { _ in }
    ) throws(LogError) {
        let volume = mirror.volume
        let part = target + ".part"
        try? volume.unlink(part)
        do throws(LogError) {
            let input = try wrappingSystemErrors { () throws(SystemError) in try primary.volume.open(source, O_RDONLY) }
            let output = try wrappingSystemErrors { () throws(SystemError) in
                try volume.open(part, O_RDWR | O_CREAT | O_EXCL)
            }
            let size = try wrappingSystemErrors { () throws(SystemError) in try input.size() }
            try copy(input, 0..<size, to: output, pace: pace)
            try wrappingSystemErrors { () throws(SystemError) in
                try volume.rename(part, to: target)
                try volume.synchronizeDirectory(FileSystem.parent(of: target))
            }
        } catch {
            try? volume.unlink(part)
            throw error
        }
    }

    /// Copies a range to the same place, syncs it, and compares what the device then has. What the archive's own device does
    /// not give becomes zeros, for there is nothing better.
    static func copy(
        _ source: any VolumeFile, _ range: Range<UInt64>, to target: any VolumeFile,
        pace: (Int) throws(LogError) -> Void = { _ in }
    ) throws(LogError) {
        var start = range.lowerBound
        repeat {
            let end = min(range.upperBound, start + syncedBytes)
            let isWhole = try write(source, start..<end, to: target, pace: pace)
            try settle(target)
            if isWhole, try !isSame(source, target, start..<end) {
                throw .damaged("\(target.path) is not what was copied to it")
            }
            start = end
        } while start < range.upperBound
    }

    /// - Returns: false: not all of it could be read.
    private static func write(
        _ source: any VolumeFile, _ range: Range<UInt64>, to target: any VolumeFile,
        pace: (Int) throws(LogError) -> Void
    ) throws(LogError) -> Bool {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { memory.deallocate() }
        var offset = range.lowerBound
        var isWhole = true
        while offset < range.upperBound {
            let wanted = Int(min(UInt64(pieceBytes), range.upperBound - offset))
            let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted])
            let place = offset
            try wrappingSystemErrors { () throws(SystemError) in
                var count = wanted
                do throws(SystemError) { count = try source.read(into: piece, at: place) } catch {
                    guard error.code == EIO else { throw error }
                    isWhole = false
                    try readPages(source, into: piece, at: place)
                }
                guard count == wanted else { throw SystemError("read", source.path, code: ENODATA) }
                try target.write(UnsafeRawBufferPointer(piece), at: place)
            }
            offset += UInt64(wanted)
            try pace(wanted)
        }
        return isWhole
    }

    private static func readPages(
        _ source: any VolumeFile, into piece: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(SystemError) {
        for start in stride(from: 0, to: piece.count, by: 4096) {
            let page = UnsafeMutableRawBufferPointer(rebasing: piece[start..<min(start + 4096, piece.count)])
            do throws(SystemError) { _ = try source.read(into: page, at: offset + UInt64(start)) } catch {
                guard error.code == EIO else { throw error }
                memset(page.baseAddress!, 0, page.count)
            }
        }
    }

    /// Has what is read next come from the device: pages that it did not take are forgotten.
    static func settle(_ file: any VolumeFile) throws(LogError) {
        try wrappingSystemErrors { () throws(SystemError) in try file.synchronize() }
        file.advise(POSIX_FADV_DONTNEED, 0..<0)
    }

    /// Whether both have all of the range, and the same bytes.
    static func isSame(_ left: any VolumeFile, _ right: any VolumeFile, _ range: Range<UInt64>) throws(LogError) -> Bool
    {
        var start = range.lowerBound
        // Where one of them is on another machine, their digests travel and not their bytes.
        while start < range.upperBound {
            let part = start..<min(range.upperBound, start + digestedBytes)
            guard let (near, far) = digests(left, right, part) else { break }
            guard near == far else { return false }
            start = part.upperBound
        }
        return try difference(left, right, start..<range.upperBound) == nil
    }

    /// nil: both are here, or one of them cannot be hashed.
    private static func digests(
        _ left: any VolumeFile, _ right: any VolumeFile, _ range: Range<UInt64>
    ) -> ([UInt8], [UInt8])? {
        if let far = right.digest(of: range), let near = try? RangeDigest.compute(left, range) { return (near, far) }
        if let far = left.digest(of: range), let near = try? RangeDigest.compute(right, range) { return (near, far) }
        return nil
    }

    /// Where a piece begins that is not the same, or cannot be read.
    static func difference(
        _ left: any VolumeFile, _ right: any VolumeFile, _ range: Range<UInt64>
    ) throws(LogError) -> UInt64? {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes * 2, alignment: 4096)
        defer { memory.deallocate() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let wanted = Int(min(UInt64(pieceBytes), range.upperBound - offset))
            for (file, start) in [(left, 0), (right, pieceBytes)] {
                let half = UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + wanted])
                do throws(SystemError) {
                    guard try file.read(into: half, at: offset) == wanted else { return offset }
                } catch {
                    guard error.code == EIO else { throw .system(error) }
                    return offset
                }
            }
            if memcmp(memory.baseAddress!, memory.baseAddress! + pieceBytes, wanted) != 0 { return offset }
            offset += UInt64(wanted)
        }
        return nil
    }
}
