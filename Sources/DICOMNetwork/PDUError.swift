// SPDX-License-Identifier: Apache-2.0

/// Why a received PDU is not one.
package enum PDUError: Error, Equatable, Sendable {
    /// The PDU ends inside a fixed-length field.
    case truncated
    /// An item or field announces a length that its container does not have, or leaves bytes over.
    case lengthMismatch
    /// A field holds a value that the standard does not allow there; the text names the field.
    case unexpectedValue(String)
    /// An item that the standard requires is absent; the text names it.
    case missingItem(String)
    /// An item that may appear once appears again; the text names it.
    case duplicateItem(String)
    /// More items than this implementation takes; the text names them.
    case tooManyItems(String)

    /// The A-ABORT that tells the peer so (PS3.8 table 9-26).
    package var abort: Abort {
        switch self {
        case .truncated, .lengthMismatch, .unexpectedValue, .missingItem: .invalidPDUParameterValue
        case .duplicateItem, .tooManyItems: .unexpectedPDUParameter
        }
    }
}
