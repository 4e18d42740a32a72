// SPDX-License-Identifier: Apache-2.0
import Audit

extension Asker {
    /// Who this is, for the audit trail.
    package var auditParty: AuditParty {
        let kind: AuditParty.Kind =
            switch kind {
            case .station: .station
            case .user: .user
            case .token: .token
            case .local: .local
            }
        return AuditParty(
            kind, name: name, organisation: organisation, address: address, connection: connection)
    }
}
