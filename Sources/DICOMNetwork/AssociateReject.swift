// SPDX-License-Identifier: Apache-2.0

/// A-ASSOCIATE-RJ, the acceptor's no (PS3.8 section 9.3.4). An error, so that negotiation can throw it.
package struct AssociateReject: Error, Equatable, Sendable {
    /// Whether trying again later can help.
    package enum Result: UInt8, Sendable {
        case permanent = 1
        case transient = 2
    }

    /// Which part of the acceptor says no.
    package enum Source: UInt8, Sendable {
        case serviceUser = 1
        case serviceProviderACSE = 2
        case serviceProviderPresentation = 3
    }

    package var result: Result
    package var source: Source
    /// Its meaning depends on `source` (PS3.8 table 9-21).
    package var reason: UInt8

    package init(result: Result, source: Source, reason: UInt8) {
        self.result = result
        self.source = source
        self.reason = reason
    }

    // PS3.8 table 9-21.
    package static let noReason = AssociateReject(result: .permanent, source: .serviceUser, reason: 1)
    package static let applicationContextNotSupported = AssociateReject(
        result: .permanent, source: .serviceUser, reason: 2)
    package static let callingAETitleNotRecognized = AssociateReject(
        result: .permanent, source: .serviceUser, reason: 3)
    package static let calledAETitleNotRecognized = AssociateReject(
        result: .permanent, source: .serviceUser, reason: 7)
    /// What PS3.7 section D.3.3.7 has for a user identity that fails: by the ACSE, without a reason.
    package static let identityNotAccepted = AssociateReject(
        result: .permanent, source: .serviceProviderACSE, reason: 1)
    package static let protocolVersionNotSupported = AssociateReject(
        result: .permanent, source: .serviceProviderACSE, reason: 2)
    package static let temporaryCongestion = AssociateReject(
        result: .transient, source: .serviceProviderPresentation, reason: 1)
    package static let localLimitExceeded = AssociateReject(
        result: .transient, source: .serviceProviderPresentation, reason: 2)

    /// Reads what follows the PDU header: four bytes.
    package init(decodingBody bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        try reader.skip(1)
        guard let result = Result(rawValue: try reader.readUInt8()) else { throw .unexpectedValue("result") }
        guard let source = Source(rawValue: try reader.readUInt8()) else { throw .unexpectedValue("source") }
        self.init(result: result, source: source, reason: try reader.readUInt8())
        try reader.expectEnd()
    }

    /// The whole PDU, header included.
    package func encoded() -> [UInt8] {
        [PDUType.associateReject.rawValue, 0, 0, 0, 0, 4, 0, result.rawValue, source.rawValue, reason]
    }
}

extension AssociateReject: CustomStringConvertible {
    package var description: String {
        "rejected (\(result)) by \(source): \(reasonText)"
    }

    private var reasonText: String {
        switch (source, reason) {
        case (.serviceUser, 2): "application context name not supported"
        case (.serviceUser, 3): "calling AE title not recognized"
        case (.serviceUser, 7): "called AE title not recognized"
        case (.serviceProviderACSE, 2): "protocol version not supported"
        case (.serviceProviderPresentation, 1): "temporary congestion"
        case (.serviceProviderPresentation, 2): "local limit exceeded"
        case (.serviceUser, 1), (.serviceProviderACSE, 1): "no reason given"
        default: "reason \(reason)"
        }
    }
}
