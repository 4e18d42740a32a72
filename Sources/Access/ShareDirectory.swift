// SPDX-License-Identifier: Apache-2.0
import Catalog
import Control
import Database
import Platform

/// Which studies are shown to whom for a time. What counts is kept in memory, so that no question waits for `control.db`;
/// whether it is over is looked at each time.
package final class ShareDirectory: Sendable {
    /// Of one receiver at a time: each of its questions carries them.
    private static let activeMaximum = 10_000
    /// "For a time": a share has an end, at most so far away.
    package static let daysMaximum = 366

    package enum Failure: Error, CustomStringConvertible {
        case tooMany(String)
        case unknown(Int64)

        package var description: String {
            switch self {
            case .tooMany(let receiver): "\(receiver) is shown too many studies already; end some first"
            case .unknown(let id): "There is no share \(id)"
            }
        }
    }

    private let control: Control
    private let active: Monitor<[Share]>

    package init(_ control: Control) throws(DatabaseError) {
        self.control = control
        active = Monitor(try control.shares(activeAt: Clock.wallNanoseconds()))
    }

    /// What an organisation is shown at this moment.
    package func studies(for receiver: String) -> [CatalogScope.SharedStudy] {
        let now = Clock.wallNanoseconds()
        let found = active.withLock { shares in
            shares.filter { $0.receiver == receiver && $0.isActive(at: now) }
        }
        return Set(
            found.map {
                CatalogScope.SharedStudy(studyInstanceUID: $0.studyInstanceUID, organisation: $0.organisation)
            }
        ).sorted { ($0.studyInstanceUID, $0.organisation) < ($1.studyInstanceUID, $1.organisation) }
    }

    /// Those in force that an organisation made or is shown; nil: all.
    package func list(of organisation: String?) -> [Share] {
        let now = Clock.wallNanoseconds()
        return active.withLock { shares in
            shares.filter { share in
                share.isActive(at: now)
                    && (organisation == nil || share.organisation == organisation || share.receiver == organisation)
            }
        }
    }

    /// Durable and in force when this returns.
    package func add(_ share: Share) throws -> Share {
        let now = Clock.wallNanoseconds()
        let count = active.withLock { shares in
            shares.removeAll { !$0.isActive(at: now) }
            return shares.count { $0.receiver == share.receiver }
        }
        guard count < Self.activeMaximum else { throw Failure.tooMany(share.receiver) }
        var share = share
        share.id = try control.add(share)
        active.withLock { [share] in $0.append(share) }
        return share
    }

    /// Ends a share; nobody sees anything by it when this returns.
    /// - Parameter organisation: only if it is this one's; nil: whosever it is.
    package func end(_ id: Int64, of organisation: String?, by name: String) throws {
        let now = Clock.wallNanoseconds()
        let isKnown = active.withLock { shares in
            shares.contains {
                $0.id == id && $0.isActive(at: now) && (organisation == nil || $0.organisation == organisation)
            }
        }
        guard isKnown else { throw Failure.unknown(id) }
        active.withLock { $0.removeAll { $0.id == id } }
        try control.endShare(id, by: name, at: now)
    }
}
