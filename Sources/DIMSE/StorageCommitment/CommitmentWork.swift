// SPDX-License-Identifier: Apache-2.0
import Control
import Platform

/// What is still to be done for the pending requests, in memory; `control.db` has all that must outlive a stop. Times are of
/// the monotonic clock, in nanoseconds.
struct CommitmentWork {
    enum Step {
        case verify(at: UInt64)
        /// In the mailbox of the association on which it was asked for.
        case offered(until: UInt64)
        /// Sent there; the answer is waited for.
        case sent(until: UInt64)
        /// To be told on an association of its own.
        case tell(at: UInt64)
        /// A thread is at it.
        case busy
    }

    struct Item {
        let aeTitle: String
        let calledAETitle: String
        var step: Step
        var mailbox: CommitmentMailbox?
    }

    /// Results that are told together on one association.
    struct Delivery {
        let aeTitle: String
        let calledAETitle: String
        let ids: [Int64]
    }

    private static let deliveryMaximum = 100
    /// For the answer to an event on the asker's own association.
    private static let answerNanoseconds: UInt64 = 30_000_000_000

    var items: [Int64: Item] = [:]
    var isStopping = false
    var runningThreads = 0

    /// By asker, when its last request was verified.
    private var turns: [String: Int] = [:]
    private var turn = 0
    private static let turnsMaximum = 1000

    /// The next request to be verified: askers take turns, so that one with many does not hold up the others, and of one
    /// asker the oldest comes first.
    mutating func nextToVerify(now: UInt64) -> Int64? {
        let due = items.filter { entry in
            if case .verify(let at) = entry.value.step { at <= now } else { false }
        }
        let next = due.min { left, right in
            (turns[left.value.aeTitle] ?? 0, left.key) < (turns[right.value.aeTitle] ?? 0, right.key)
        }
        guard let (id, item) = next else { return nil }
        if turns.count > Self.turnsMaximum { turns.removeAll() }
        turn += 1
        turns[item.aeTitle] = turn
        items[id]?.step = .busy
        return id
    }

    /// Results to be told now on an association of their own: those of one asker, oldest first.
    mutating func nextDelivery(now: UInt64) -> Delivery? {
        takeBack(now: now)
        let due = items.filter { entry in
            if case .tell(let at) = entry.value.step { at <= now } else { false }
        }
        guard let first = due.min(by: { $0.key < $1.key })?.value else { return nil }
        let ids = due.filter { $0.value.aeTitle == first.aeTitle && $0.value.calledAETitle == first.calledAETitle }
            .map(\.key).sorted().prefix(Self.deliveryMaximum)
        for id in ids { items[id]?.step = .busy }
        return Delivery(aeTitle: first.aeTitle, calledAETitle: first.calledAETitle, ids: Array(ids))
    }

    /// What an association did not get rid of in time goes another way.
    private mutating func takeBack(now: UInt64) {
        for (id, item) in items {
            switch item.step {
            case .offered(let until) where until <= now:
                let isUnsent = item.mailbox?.withdraw(id) ?? true
                items[id]?.step = isUnsent ? .tell(at: now) : .sent(until: now + Self.answerNanoseconds)
            case .sent(let until) where until <= now: items[id]?.step = .tell(at: now)
            default: break
            }
        }
    }
}
