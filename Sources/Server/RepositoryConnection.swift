// SPDX-License-Identifier: Apache-2.0
import Audit
import Platform
import Transport

/// The way to the audit repository that is configured.
final class RepositoryConnection: SyslogConnection {
    private static let connectSeconds = 15.0
    private static let sendSeconds = 60.0
    private let stream: OutgoingStream

    init(_ section: Configuration.SyslogSection, _ tls: TLSConnector) throws {
        stream = try OutgoingStream(
            host: section.host, port: UInt16(section.port), tls: tls,
            deadline: Clock.deadline(seconds: Self.connectSeconds))
    }

    func send(_ bytes: [UInt8]) throws {
        try stream.send(bytes, deadline: Clock.deadline(seconds: Self.sendSeconds))
    }

    var unacknowledgedBytes: Int { stream.unacknowledgedBytes }
    var isBroken: Bool { stream.isBroken }
    func close() { stream.close() }
}
