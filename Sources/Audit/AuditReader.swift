// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Reads the lines of one file of the trail, from a place on.
package struct AuditLineReader {
    /// A line that is longer is none of ours.
    static let lineMaximum = 1 << 20
    private static let pieceBytes = 256 << 10
    private let file: any VolumeFile
    /// Where the next line begins.
    package private(set) var offset: UInt64
    private var buffer: [UInt8] = []
    private var start = 0

    init(_ file: any VolumeFile, from offset: UInt64 = 0) {
        self.file = file
        self.offset = offset
    }

    /// What is behind the last line feed; asked at the end.
    package var rest: [UInt8] { Array(buffer[start...]) }

    /// The next whole line, without its line feed; nil: there is none.
    mutating func next() throws(SystemError) -> ArraySlice<UInt8>? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                defer {
                    offset += UInt64(end + 1 - start)
                    start = end + 1
                }
                return buffer[start..<end]
            }
            guard buffer.count - start <= Self.lineMaximum else { return nil }
            buffer.removeSubrange(..<start)
            start = 0
            searched = buffer.count
            var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
            let position = offset + UInt64(buffer.count)
            let count = try piece.withMutableRawBytes { bytes throws(SystemError) in
                try file.read(into: bytes, at: position)
            }
            guard count > 0 else { return nil }
            buffer += piece[..<count]
        }
    }
}

/// Walks through the entries of the trail in their order, beside the process that writes it.
package struct AuditEntryReader {
    private let directory: AuditDirectory
    private var current: (name: AuditDirectory.Name, lines: AuditLineReader)?
    private var last: UInt64

    /// - Parameter number: entries after this one.
    package init(_ directory: AuditDirectory, after number: UInt64 = 0) {
        self.directory = directory
        last = number
    }

    /// The next line and its number; nil: there is none yet. A line that is none of ours is passed over: `verify` tells.
    package mutating func next() throws(SystemError) -> (number: UInt64, line: [UInt8])? {
        if current == nil, try !open() { return nil }
        while true {
            while let line = try current!.lines.next() {
                guard let parts = AuditChain.Parts(line), parts.number > last else { continue }
                last = parts.number
                return (parts.number, Array(line))
            }
            let name = current!.name
            guard let following = try directory.files().first(where: { $0 > name }) else { return nil }
            try open(following)
        }
    }

    /// The file that the next entry is in.
    private mutating func open() throws(SystemError) -> Bool {
        let files = try directory.files()
        guard let name = files.last(where: { $0.first <= last + 1 }) ?? files.first else { return false }
        try open(name)
        return true
    }

    private mutating func open(_ name: AuditDirectory.Name) throws(SystemError) {
        current = (name, AuditLineReader(try directory.volume.open(directory.file(name), O_RDONLY)))
    }
}
