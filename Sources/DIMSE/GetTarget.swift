// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOMNetwork
import Transport

/// The asker's own association, on which it is the SCP of storage (C-GET).
final class GetTarget: SubOperationTarget {
    private let session: Session
    private let sender: InstanceSender
    private var messageID: UInt16 = 0

    init(_ session: Session) {
        self.session = session
        sender = InstanceSender(session.server, association: session.association, isRequestor: false)
    }

    func store(
        _ version: CatalogVersion, next: CatalogVersion?, _ moveOriginator: (aeTitle: String, messageID: UInt16)?
    ) throws(TransportError) -> SubOperationResult {
        messageID &+= 1
        do { try sender.send(version, messageID: messageID, moveOriginator: moveOriginator) } catch {
            switch error {
            case .instance(let why): return .failed(why)
            case .transport(let error): throw error
            }
        }
        if let next { sender.prepare(next) }
        while true {
            switch try session.handleWhileBusy() {
            case .cancel(let id): session.cancelled = id
            case .handled: continue
            case .stored(let response): return SubOperationResult(response)
            }
        }
    }
}

extension SubOperationResult {
    /// PS3.4 table B.2-1.
    init(_ response: CommandSet) {
        let status = response.status ?? .processingFailure
        if status == .success {
            self = .stored
        } else if status.isWarning {
            self = .warning
        } else {
            let comment = response.errorComment ?? ""
            self = .failed("status \(String(status.rawValue, radix: 16, uppercase: true)) \(comment)")
        }
    }
}
