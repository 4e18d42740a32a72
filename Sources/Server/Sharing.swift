// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Control
import Foundation
import Platform

/// The rules of showing a study to another organisation: only what one's own organisation sent, only for a time.
struct Sharing: Sendable {
    enum Failure: Error, CustomStringConvertible {
        case noStudy(String)
        case noOrganisation(String)
        case wrongTime(String)

        var description: String {
            switch self {
            case .noStudy(let organisation): "\(organisation) has sent no study under this UID, so it has none to share"
            case .noOrganisation(let name): "No organisation \"\(name)\" is configured to share a study with"
            case .wrongTime(let text):
                "\"\(text)\" is no time to share until: a day such as 2026-12-31, or a number of days, at most \(ShareDirectory.daysMaximum) ahead"
            }
        }

        var isMissing: Bool {
            if case .noStudy = self { return true }
            return false
        }
    }

    let archive: Archive
    let directory: ShareDirectory
    /// That a study may be shared with.
    let organisations: Set<String>

    /// Shows what the asker's own organisation sent into a study to another one.
    func share(_ study: String, with receiver: String, until: String, by asker: Asker) throws -> Share {
        try share(study, of: asker.organisation, with: receiver, until: until, by: asker.name)
    }

    func share(
        _ study: String, of organisation: String, with receiver: String, until: String, by name: String
    ) throws -> Share {
        guard receiver != organisation, organisations.contains(receiver) else {
            throw Failure.noOrganisation(String(receiver.prefix(64)))
        }
        let now = Clock.wallNanoseconds()
        let expires = try Self.moment(until, after: now)
        // What another organisation sent is answered like what nobody sent.
        guard study.utf8.count <= 64,
            try archive.readers.withReader({ try $0.hasSent(study: study, organisation: organisation) })
        else { throw Failure.noStudy(organisation) }
        let made = try directory.add(
            Share(
                studyInstanceUID: study, organisation: organisation, receiver: receiver, madeBy: name,
                madeAtNanoseconds: now, expiresAtNanoseconds: expires))
        Log.info(
            "study shared",
            [
                "share": "\(made.id)", "study": study, "of": organisation, "with": receiver, "by": name,
                "until": Clock.timestamp(expires),
            ])
        return made
    }

    /// Who administers and sees everything sees them all; others those of their own organisation.
    func list(for asker: Asker) -> [Share] { directory.list(of: reach(of: asker)) }

    func end(_ number: Int64, by asker: Asker) throws {
        try directory.end(number, of: reach(of: asker), by: asker.name)
        Log.info("sharing ended", ["share": "\(number)", "by": asker.name])
    }

    private func reach(of asker: Asker) -> String? {
        asker.may(.administer) && asker.scope.visible == nil ? nil : asker.organisation
    }

    /// The end of a day in UTC, or so many days from now.
    static func moment(_ text: String, after now: Int64) throws(Failure) -> Int64 {
        let day: Int64 = 86_400_000_000_000
        let latest = now + Int64(ShareDirectory.daysMaximum) * day
        if let days = Int64(text) {
            guard days > 0, days <= Int64(ShareDirectory.daysMaximum) else { throw .wrongTime(text) }
            return now + days * day
        }
        guard text.utf8.count == 10, let date = try? Date(text + "T00:00:00Z", strategy: .iso8601) else {
            throw .wrongTime(String(text.prefix(32)))
        }
        // In seconds: the nanoseconds of years from 2263 on have no number.
        let seconds = date.timeIntervalSince1970
        guard seconds > Double(now) / 1e9 - 86_400, seconds <= Double(latest) / 1e9 else { throw .wrongTime(text) }
        return Int64(seconds) * 1_000_000_000 + day
    }
}
