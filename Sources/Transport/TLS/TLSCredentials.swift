// SPDX-License-Identifier: Apache-2.0
import Platform

/// The archive's certificate and whom it trusts, for both directions; files that have changed are read again on demand, and
/// count for the connections that begin afterwards.
package final class TLSCredentials: Sendable {
    private struct Contexts {
        let acceptor: TLSContext
        let requestor: TLSContext
    }

    private let files: TLSFiles
    private let clients: ClientCertificates
    private let current: Monitor<Contexts>

    package init(_ files: TLSFiles, clients: ClientCertificates) throws(TransportError) {
        self.files = files
        self.clients = clients
        current = Monitor(try Self.contexts(files, clients))
    }

    /// - Throws: when a file cannot be used; then all stays as it is.
    package func reload() throws(TransportError) {
        let fresh = try Self.contexts(files, clients)
        current.withLock { $0 = fresh }
    }

    package var acceptor: TLSContext { current.withLock { $0.acceptor } }
    package var requestor: TLSContext { current.withLock { $0.requestor } }

    private static func contexts(
        _ files: TLSFiles, _ clients: ClientCertificates
    ) throws(TransportError) -> Contexts {
        Contexts(
            acceptor: try TLSContext(acceptor: files, clients: clients), requestor: try TLSContext(requestor: files))
    }
}
