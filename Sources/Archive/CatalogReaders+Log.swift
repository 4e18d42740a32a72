// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Glibc
import Platform

extension CatalogReaders {
    /// More than a server ever has on its way into the catalog (`CatalogFollower`).
    private static let waitingMaximum = 4000
    /// A catalog that comes no further for so long has no server that brings it further.
    private static let patienceNanoseconds: UInt64 = 1_000_000_000
    private static let pauseMicroseconds: UInt32 = 2000

    /// For a second process beside a running server: waits until the catalog has what the log had when this began.
    func catchUp(with log: BlobLog) throws {
        var reached = try logPosition()
        let end = try log.records(after: reached, upTo: .max, limit: Self.waitingMaximum).position
        var movedAt = Clock.monotonicNanoseconds()
        while reached.sequence < end.sequence, Clock.monotonicNanoseconds() - movedAt < Self.patienceNanoseconds {
            usleep(Self.pauseMicroseconds)
            let now = try logPosition()
            if now.sequence > reached.sequence { movedAt = Clock.monotonicNanoseconds() }
            reached = now
        }
    }

    /// How far the catalog has come in the log.
    func logPosition() throws -> LogPosition {
        guard let position = try withReader({ try $0.position() }), position.sequence > 0 else { return .start }
        return LogPosition(sequence: position.sequence, segment: position.segment, endOffset: position.endOffset)
    }
}
