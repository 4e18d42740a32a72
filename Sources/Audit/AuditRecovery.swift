// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Brings the end of the trail in order at start: cuts an unfinished last write, which nobody was told of, and finds out
/// whether something is missing that had been synced. What is missing or changed is never mended: the trail goes on behind it,
/// in a file of its own, and says so.
struct AuditRecovery {
    struct Result {
        /// The file to go on in; nil: a new one.
        var file: (name: AuditDirectory.Name, size: UInt64)?
        /// The last entry, and its chain value.
        var end: AuditHead
        /// Sentences for the trail itself.
        var findings: [String] = []
    }

    private let directory: AuditDirectory
    private let chain: AuditChain

    init(_ directory: AuditDirectory, _ chain: AuditChain) {
        self.directory = directory
        self.chain = chain
    }

    func run() throws -> Result {
        let head = try AuditHead.read(directory, chain)
        guard let name = try directory.files().last else {
            var result = Result(end: AuditHead(number: 0, chain: chain.origin))
            if case .good(let head) = head, head.number > 0 {
                result.end = head
                result.findings.append("all entries up to \(head.number) are missing")
            } else if head == .foreign {
                throw AuditProblem.unsound("\(directory.head) was not made with the key \(directory.keyFile)")
            }
            return result
        }
        let scan = try scan(name, syncedUpTo: head)
        return try settle(name, scan, head)
    }

    private struct Scan {
        /// The last good line of the file; nil: there is none.
        var end: AuditHead?
        /// Behind it.
        var endOffset: UInt64 = 0
        var fileBytes: UInt64 = 0
        /// Where the first line begins that is not known to have been synced.
        var unsyncedOffset: UInt64 = 0
    }

    /// The lines that fit each other, from the first on.
    private func scan(_ name: AuditDirectory.Name, syncedUpTo head: AuditHead.Reading) throws(SystemError) -> Scan {
        let file = try directory.volume.open(directory.file(name), O_RDONLY)
        var scan = Scan(fileBytes: try file.size())
        var synced: UInt64 = 0
        if case .good(let head) = head { synced = head.number }
        var previous = try valueBefore(name)
        var expected = name.first
        var lines = AuditLineReader(file)
        while let line = try lines.next() {
            guard let parts = AuditChain.Parts(line), parts.number == expected,
                previous == nil || chain.value(of: parts.signedPart, after: previous!) == parts.chain
            else { break }
            scan.end = AuditHead(number: parts.number, chain: parts.chain)
            scan.endOffset = lines.offset
            if parts.number <= synced { scan.unsyncedOffset = lines.offset }
            previous = parts.chain
            expected += 1
        }
        return scan
    }

    /// The chain value before the first entry of a file: that of the last line of the file before; nil: not known.
    private func valueBefore(_ name: AuditDirectory.Name) throws(SystemError) -> [UInt8]? {
        if name.first == 1 { return chain.origin }
        guard let before = try directory.files().last(where: { $0 < name }) else { return nil }
        let file = try directory.volume.open(directory.file(before), O_RDONLY)
        let size = try file.size()
        let start = size > UInt64(AuditLineReader.lineMaximum) ? size - UInt64(AuditLineReader.lineMaximum) : 0
        var lines = AuditLineReader(file, from: start)
        var last: AuditChain.Parts?
        while let line = try lines.next() { last = AuditChain.Parts(line) ?? last }
        return last?.number == name.first - 1 ? last?.chain : nil
    }

    private func settle(
        _ name: AuditDirectory.Name, _ scan: Scan, _ head: AuditHead.Reading
    ) throws -> Result {
        switch head {
        case .good(let head):
            let reached = scan.end?.number ?? name.first - 1
            // What the head vouches for was synced; where it is not there, somebody or something took it.
            guard reached >= head.number else {
                return Result(
                    end: head,
                    findings: ["entries \(reached + 1) to \(head.number) are missing or changed"])
            }
            return try goOn(name, scan)
        case .foreign where scan.end == nil:
            throw AuditProblem.unsound("\(directory.path) was not written with the key \(directory.keyFile)")
        case .foreign, .missing:
            var result = try goOn(name, scan)
            result.findings.append(
                "the head that is kept apart was \(head == .missing ? "missing" : "not readable"): whether entries behind "
                    + "\(result.end.number) were cut off is not known")
            return result
        }
    }

    /// Cuts what is behind the last good line, and has what may stand in the page cache alone written again: after a failed
    /// sync the kernel takes it for written (see `VolumeFile.synchronizeData`).
    private func goOn(_ name: AuditDirectory.Name, _ scan: Scan) throws -> Result {
        guard let end = try scan.end ?? startOf(name) else {
            throw AuditProblem.unsound("\(directory.file(name)) does not go on from the file before it")
        }
        let file = try directory.volume.open(directory.file(name), O_RDWR)
        var result = Result(file: (name, scan.endOffset), end: end)
        if scan.fileBytes > scan.endOffset {
            try file.truncate(to: scan.endOffset)
            result.findings.append(
                "an unfinished write of \(scan.fileBytes - scan.endOffset) bytes behind entry \(end.number) was cut off"
            )
        }
        try writeAgain(file, scan.unsyncedOffset..<scan.endOffset)
        try file.synchronize()
        return result
    }

    /// Of a file without a line: what its first one will follow.
    private func startOf(_ name: AuditDirectory.Name) throws -> AuditHead? {
        try valueBefore(name).map { AuditHead(number: name.first - 1, chain: $0) }
    }

    private func writeAgain(_ file: any VolumeFile, _ range: Range<UInt64>) throws(SystemError) {
        var offset = range.lowerBound
        var piece = [UInt8](repeating: 0, count: 256 << 10)
        while offset < range.upperBound {
            let wanted = Int(min(UInt64(piece.count), range.upperBound - offset))
            let count = try piece.withMutableRawBytes { bytes throws(SystemError) -> Int in
                let part = UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted])
                let count = try file.read(into: part, at: offset)
                try file.write(UnsafeRawBufferPointer(rebasing: part[..<count]), at: offset)
                return count
            }
            guard count > 0 else { return }
            offset += UInt64(count)
        }
    }
}
