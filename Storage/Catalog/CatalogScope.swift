// SPDX-License-Identifier: Apache-2.0
import Platform

/// What an asker may see, and whose versions of instances it gets. Every question to the catalog has one, and the catalog
/// alone enforces it (`ScopeFilter`), so no service can forget to.
package struct CatalogScope: Sendable, Equatable {
    /// What an organisation has sent into one study.
    package struct SharedStudy: Sendable, Hashable {
        package var studyInstanceUID: String
        /// Who shares it: of what others sent under the same UID nothing is shown.
        package var organisation: String

        package init(studyInstanceUID: String, organisation: String) {
            self.studyInstanceUID = studyInstanceUID
            self.organisation = organisation
        }
    }

    /// The asker's own: it gets the version that this organisation sent, where it sent one.
    package var organisation: String
    /// Organisations whose instances it sees, its own among them; nil: everybody's.
    package var visible: Set<String>?
    /// What it sees besides.
    package var sharedStudies: [SharedStudy] = []

    /// Sees what these organisations have sent.
    package init(organisation: String, visible: Set<String>) {
        self.organisation = organisation
        self.visible = visible.union([organisation])
    }

    private init(everythingAs organisation: String) {
        self.organisation = organisation
        visible = nil
    }

    /// How coarse the time is after which nothing is found: looking up what is there takes some hundredths
    /// of it longer.
    private static let absenceNanoseconds: UInt64 = 1_000_000

    /// Who does not see everything shall not learn from the time that "nothing" takes whether there is something that it may
    /// not see: the answer comes at the next full step of time since the question.
    package func concealAbsence(since start: UInt64) {
        guard visible != nil else { return }
        let steps = Clock.elapsed(since: start, now: Clock.monotonicNanoseconds()) / Self.absenceNanoseconds + 1
        Clock.sleep(until: start + steps * Self.absenceNanoseconds)
    }

    /// Sees all there is: for the archive's own work and its operator, and for organisations that may.
    package static func everything(as organisation: String) -> CatalogScope {
        CatalogScope(everythingAs: organisation)
    }
}
