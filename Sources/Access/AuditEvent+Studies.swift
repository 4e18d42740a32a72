// SPDX-License-Identifier: Apache-2.0
import Audit
import Catalog

extension AuditEvent {
    /// Says which studies these instances are of, how many there are of each SOP class, and whose.
    package mutating func take(_ versions: [CatalogVersion], patients: CatalogReaders) {
        var order: [String] = []
        var studies: [String: AuditStudy] = [:]
        for version in versions {
            let uid = version.studyInstanceUID
            if studies[uid] == nil {
                order.append(uid)
                studies[uid] = AuditStudy(uid)
            }
            studies[uid]!.count(version.sopClassUID)
        }
        take(order.map { studies[$0]! }, patients: patients)
        count = versions.count
    }

    /// Names the patients of studies that are known by their UID.
    package mutating func take(_ list: [AuditStudy], patients: CatalogReaders) {
        var named = list
        // A study is on record without its patient rather than not at all.
        try? patients.withReader { reader in
            for index in named.indices.prefix(Self.studiesMaximum) {
                let patient = try reader.patient(ofStudy: named[index].uid)
                named[index].patient = patient?.id
                if let issuer = patient?.issuer, !issuer.isEmpty { named[index].issuer = issuer }
            }
        }
        take(named)
    }
}
