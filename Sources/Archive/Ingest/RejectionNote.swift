// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import DICOM
import Platform

/// A Key Object Selection whose title rejects what it refers to (IHE Radiology, Imaging Object Change Management).
enum RejectionNote {
    /// Key Object Selection Document Storage.
    private static let sopClassUID = "1.2.840.10008.5.1.4.1.1.88.59"

    /// Document titles (PS3.16 CID 7011 "Rejected for Quality Reasons" and its neighbours in CID 7010), by code value.
    private static let titles: [String: HiddenReasons] = [
        "113001": .rejectedForQuality, "113037": .rejectedForPatientSafety, "113038": .incorrectWorklistEntry,
        "113039": .retentionExpired,
    ]

    /// Whether an instance may be a note; Deflated ones and those of many megabytes are none.
    static func mayBe(sopClassUID: String, _ transferSyntax: TransferSyntax, kind: RecordHeader.Kind) -> Bool {
        sopClassUID == Self.sopClassUID && !transferSyntax.isDeflated && kind == .instance
    }

    /// nil: it rejects nothing.
    static func read(_ dataSet: DataSet) -> CatalogRejection? {
        guard let title = dataSet[.conceptNameCodeSequence]?.items?.first,
            title[.codingSchemeDesignator]?.plainValue == "DCM",
            let reasons = titles[title[.codeValue]?.plainValue ?? ""]
        else { return nil }
        let studies = dataSet[.currentRequestedProcedureEvidenceSequence]?.items ?? []
        let series = studies.flatMap { $0[.referencedSeriesSequence]?.items ?? [] }
        let instances = series.flatMap { $0[.referencedSOPSequence]?.items ?? [] }
        let uids = instances.compactMap { $0[.referencedSOPInstanceUID]?.plainValue }.filter { !$0.isEmpty }
        return uids.isEmpty ? nil : CatalogRejection(reasons: reasons, sopInstanceUIDs: uids)
    }
}
