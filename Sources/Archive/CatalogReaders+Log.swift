// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

extension CatalogReaders {
    /// A catalog that comes no further for so long has no server that brings it further.
    private static let patienceSeconds = 2.0
    private static let pauseMicroseconds: UInt32 = 2000

    /// For a second process beside a running server: waits until the catalog has what the log had when this began.
    func catchUp(with log: BlobLog) throws {
        var reached = try logPosition()
        let end = try Self.end(of: log, after: reached)
        var deadline = Clock.deadline(seconds: Self.patienceSeconds)
        while reached.sequence < end.sequence, Clock.monotonicNanoseconds() < deadline {
            usleep(Self.pauseMicroseconds)
            let now = try logPosition()
            if now.sequence > reached.sequence { deadline = Clock.deadline(seconds: Self.patienceSeconds) }
            reached = now
        }
    }

    /// Far more than a server has on its way into the catalog (`CatalogFollower`); a catalog that lacks as much has none.
    private static let recordsMaximum = 20_000

    /// A few records at a time: a large one keeps a file open.
    private static func end(of log: BlobLog, after position: LogPosition) throws -> LogPosition {
        var end = position
        var count = 0
        while count < recordsMaximum {
            let (records, next) = try log.records(after: end, upTo: .max, limit: 64)
            guard !records.isEmpty else { break }
            count += records.count
            end = next
        }
        return end
    }

    /// How far the catalog has come in the log.
    func logPosition() throws -> LogPosition {
        guard let position = try withReader({ try $0.position() }), position.sequence > 0 else { return .start }
        return LogPosition(sequence: position.sequence, segment: position.segment, endOffset: position.endOffset)
    }
}
