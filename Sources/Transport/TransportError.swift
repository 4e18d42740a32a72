// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Platform

/// How an association ends other than by release.
package enum TransportError: Error, CustomStringConvertible {
    case system(SystemError)
    /// The peer closed the connection.
    case closed
    /// The peer sent an A-ABORT.
    case abortedByPeer(Abort)
    /// The peer refused the association.
    case rejected(AssociateReject)
    /// The peer broke the protocol; it was answered with this A-ABORT.
    case protocolViolation(Abort, String)
    /// Nothing came, or too little, in the time allowed.
    case timedOut(String)
    /// Encryption failed, or could not be begun.
    case tls(String)
    /// We are shutting down.
    case stopping

    package var description: String {
        switch self {
        case .system(let error): error.description
        case .closed: "connection closed by the peer"
        case .abortedByPeer(let abort): "aborted by the peer (source \(abort.source.rawValue), reason \(abort.reason))"
        case .rejected(let reject): reject.description
        case .protocolViolation(_, let what): what
        case .timedOut(let what): what
        case .tls(let what): "TLS: \(what)"
        case .stopping: "shutting down"
        }
    }
}
