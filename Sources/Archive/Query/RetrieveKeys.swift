// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM

/// What a C-MOVE or C-GET identifier selects (PS3.4 section C.4.2.2.1): the unique key of its level, one or a list, and
/// those of the levels above.
package struct RetrieveKeys {
    package let selection: CatalogSelection

    /// - Parameter shownReasons: of what is hidden, what the receiver gets all the same.
    package init(
        _ identifier: DataSet, root: QueryKeys.Root, characterSetOverride: SpecificCharacterSet?,
        shownReasons: HiddenReasons = []
    ) throws(QueryKeys.Failure) {
        let level = try QueryKeys.level(identifier, root)
        var selection = CatalogSelection()
        selection.shownReasons = shownReasons
        let characterSet = identifier.characterSet(override: characterSetOverride)
        let patientID = identifier[.patientID].map { element in
            element.value.withUnsafeBytes { characterSet.decodeValues($0, vr: .lo) }.first ?? ""
        }
        let issuer = identifier[.issuerOfPatientID]?.plainValue
        if let patientID, !patientID.isEmpty, root == .patient {
            selection.patientID = (patientID, issuer?.isEmpty == false ? issuer : nil)
        }
        selection.studyInstanceUIDs = Self.uids(identifier, .studyInstanceUID)
        selection.seriesInstanceUIDs = Self.uids(identifier, .seriesInstanceUID)
        selection.sopInstanceUIDs = Self.uids(identifier, .sopInstanceUID)
        let isKeyed =
            switch level {
            case .patient: selection.patientID != nil
            case .study: !selection.studyInstanceUIDs.isEmpty
            case .series: !selection.seriesInstanceUIDs.isEmpty
            case .instance: !selection.sopInstanceUIDs.isEmpty
            }
        // Without its key a retrieval would mean everything there is.
        guard isKeyed else { throw .identifierDoesNotMatch("Unique key of the Query/Retrieve Level is missing") }
        self.selection = selection
    }

    private static func uids(_ identifier: DataSet, _ tag: Tag) -> [String] {
        (identifier[tag]?.plainValues ?? []).filter { !$0.isEmpty && $0 != "*" }
    }
}
