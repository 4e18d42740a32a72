// SPDX-License-Identifier: Apache-2.0

/// A-ABORT, the end of an association without agreement (PS3.8 section 9.3.8).
package struct Abort: Error, Equatable, Sendable {
    /// Who ended it: the application or the protocol machinery below it.
    package enum Source: UInt8, Sendable {
        case serviceUser = 0
        case serviceProvider = 2
    }

    package var source: Source
    /// Significant only when `source` is the provider (PS3.8 table 9-26).
    package var reason: UInt8

    package init(source: Source, reason: UInt8) {
        self.source = source
        self.reason = reason
    }

    // PS3.8 table 9-26.
    package static let serviceUser = Abort(source: .serviceUser, reason: 0)
    package static let notSpecified = Abort(source: .serviceProvider, reason: 0)
    package static let unrecognizedPDU = Abort(source: .serviceProvider, reason: 1)
    package static let unexpectedPDU = Abort(source: .serviceProvider, reason: 2)
    package static let unrecognizedPDUParameter = Abort(source: .serviceProvider, reason: 4)
    package static let unexpectedPDUParameter = Abort(source: .serviceProvider, reason: 5)
    package static let invalidPDUParameterValue = Abort(source: .serviceProvider, reason: 6)

    /// Reads what follows the PDU header: four bytes. A source that the standard reserves counts as the provider:
    /// an association that the peer has given up is over whatever the byte says.
    package init(decodingBody bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        try reader.skip(2)
        let source = try reader.readUInt8()
        self.init(source: Source(rawValue: source) ?? .serviceProvider, reason: try reader.readUInt8())
        try reader.expectEnd()
    }

    /// The whole PDU, header included.
    package func encoded() -> [UInt8] {
        [PDUType.abort.rawValue, 0, 0, 0, 0, 4, 0, 0, source.rawValue, source == .serviceUser ? 0 : reason]
    }
}
