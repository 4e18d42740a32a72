// SPDX-License-Identifier: Apache-2.0

/// The service-object pair classes the archive knows by name (PS3.6 annex A, PS3.4 annex B.5).
///
/// Instances of any other class are stored all the same; the table serves logs and the requestor's negotiation.
package enum SOPClass {
    /// 1.2.840.10008.1.1: C-ECHO (PS3.4 annex A).
    package static let verification = "1.2.840.10008.1.1"
    /// 1.2.840.10008.1.20.1 (PS3.4 annex J).
    package static let storageCommitmentPushModel = "1.2.840.10008.1.20.1"
    /// Query and retrieve by patient (PS3.4 annex C.6.1).
    package static let patientRootFind = "1.2.840.10008.5.1.4.1.2.1.1"
    package static let patientRootMove = "1.2.840.10008.5.1.4.1.2.1.2"
    package static let patientRootGet = "1.2.840.10008.5.1.4.1.2.1.3"
    /// Query and retrieve by study (PS3.4 annex C.6.2).
    package static let studyRootFind = "1.2.840.10008.5.1.4.1.2.2.1"
    package static let studyRootMove = "1.2.840.10008.5.1.4.1.2.2.2"
    package static let studyRootGet = "1.2.840.10008.5.1.4.1.2.2.3"
    /// Retired, still asked for by old workstations (PS3.4 annex C.6.3).
    package static let patientStudyOnlyFind = "1.2.840.10008.5.1.4.1.2.3.1"
    package static let patientStudyOnlyMove = "1.2.840.10008.5.1.4.1.2.3.2"
    package static let patientStudyOnlyGet = "1.2.840.10008.5.1.4.1.2.3.3"
    package static let modalityWorklistFind = "1.2.840.10008.5.1.4.31"

    /// UIDs of the storage classes, current ones first and then retired ones, each in the order of the standard.
    package static let storage: [String] =
        SOPClassTable.uids(SOPClassTable.storage)
        + SOPClassTable.uids(SOPClassTable.retiredStorage)

    private static let storageSet = Set(storage)
    private static let names = SOPClassTable.names()

    /// The name of PS3.6 without the words "SOP Class"; nil for an unknown UID.
    package static func name(of uid: String) -> String? { names[uid] }

    /// Whether the UID is one of a storage class this version knows.
    package static func isStorage(_ uid: String) -> Bool { storageSet.contains(uid) }
}
