// SPDX-License-Identifier: Apache-2.0

/// A-RELEASE-RQ and A-RELEASE-RP, which say nothing but their names (PS3.8 sections 9.3.6 and 9.3.7).
package enum ReleasePDU {
    /// Bytes of either body, all reserved.
    package static let bodyByteCount = 4

    package static func encodedRequest() -> [UInt8] { encoded(.releaseRequest) }
    package static func encodedResponse() -> [UInt8] { encoded(.releaseResponse) }

    /// Checks a received body: its four bytes are reserved and not tested, their number is.
    package static func validate(body: UnsafeRawBufferPointer) throws(PDUError) {
        guard body.count >= bodyByteCount else { throw .truncated }
        guard body.count == bodyByteCount else { throw .lengthMismatch }
    }

    private static func encoded(_ type: PDUType) -> [UInt8] { [type.rawValue, 0, 0, 0, 0, 4, 0, 0, 0, 0] }
}
