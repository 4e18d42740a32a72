// SPDX-License-Identifier: Apache-2.0

/// Which of the proposed transfer syntaxes an acceptor takes (PS3.8 section 9.3.3.2: one for each context).
enum TransferSyntaxChoice {
    /// PS3.5 annex A.1.
    static let implicitVRLittleEndian = "1.2.840.10008.1.2"
    /// PS3.5 annex A.3, retired.
    static let explicitVRBigEndian = "1.2.840.10008.1.2.2"

    static func choose(from proposed: [String], for support: AbstractSyntaxSupport) -> String? {
        switch support {
        case .unsupported, .refused: nil
        case .service(let preferred): preferred.first(where: proposed.contains)
        case .storage, .storageToRequestor: chooseForStorage(proposed)
        }
    }

    /// The first one proposed, in whatever encoding the object has already. Implicit VR, which loses the types of
    /// private elements, comes after every explicit one, the retired big endian after that, and a private syntax where
    /// nothing else is offered: what cannot be read as a data set is refused then, instance by instance.
    private static func chooseForStorage(_ proposed: [String]) -> String? {
        let known = proposed.lazy.filter(isStandard)
        return known.first { $0 != implicitVRLittleEndian && $0 != explicitVRBigEndian }
            ?? known.first { $0 == implicitVRLittleEndian } ?? known.first ?? proposed.first { !$0.isEmpty }
    }

    /// The standard's transfer syntaxes share one root (PS3.6 annex A).
    private static func isStandard(_ uid: String) -> Bool {
        uid == implicitVRLittleEndian || uid.hasPrefix(implicitVRLittleEndian + ".")
    }
}
