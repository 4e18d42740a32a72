// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Platform

/// Studies that must be kept for so many years. The rules in force are recorded in the log, so that its history says who was
/// bound to what and when.
package struct RetentionRule: Codable, Equatable, Sendable {
    /// Of the studies' senders; empty: of all.
    package var organisation: String
    /// From the study's date.
    package var years: Int

    package init(organisation: String, years: Int) {
        self.organisation = organisation
        self.years = years
    }

    /// The last day (YYYYMMDD) on which a study must still be there; nil: the rule is not for it. A study without a date is
    /// kept until somebody changes the rule, since nobody can tell when its time is over.
    func lastDay(studyDate: String, organisation: String) -> String? {
        guard self.organisation.isEmpty || self.organisation == organisation, years > 0 else { return nil }
        guard studyDate.utf8.count == 8, let year = Int(studyDate.prefix(4)) else { return "99991231" }
        let until = String(min(9999, year + years))
        return String(repeating: "0", count: 4 - until.count) + until + studyDate.dropFirst(4)
    }

    static func encoded(_ rules: [RetentionRule]) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(rules)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }
}
