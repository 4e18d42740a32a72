// SPDX-License-Identifier: Apache-2.0

/// What one organisation has sent into one study, shown to another organisation for a time.
package struct Share: Equatable, Sendable {
    /// 0: not yet written.
    package var id: Int64 = 0
    package var studyInstanceUID: String
    /// Whose it is.
    package var organisation: String
    /// Who is shown it.
    package var receiver: String
    package var madeBy: String
    /// Since 1970, as all times here.
    package var madeAtNanoseconds: Int64
    package var expiresAtNanoseconds: Int64
    /// Who ended it before its time; nil: nobody.
    package var endedBy: String?
    package var endedAtNanoseconds: Int64?

    package init(
        studyInstanceUID: String, organisation: String, receiver: String, madeBy: String, madeAtNanoseconds: Int64,
        expiresAtNanoseconds: Int64
    ) {
        self.studyInstanceUID = studyInstanceUID
        self.organisation = organisation
        self.receiver = receiver
        self.madeBy = madeBy
        self.madeAtNanoseconds = madeAtNanoseconds
        self.expiresAtNanoseconds = expiresAtNanoseconds
    }

    package func isActive(at nanoseconds: Int64) -> Bool {
        endedAtNanoseconds == nil && nanoseconds < expiresAtNanoseconds
    }
}
