// SPDX-License-Identifier: Apache-2.0

/// What the acceptor says to one proposed context (PS3.8 table 9-18).
package enum PresentationContextResult: UInt8, Sendable {
    case acceptance = 0
    case userRejection = 1
    case noReason = 2
    case abstractSyntaxNotSupported = 3
    case transferSyntaxesNotSupported = 4
}

/// The acceptor's answer to one proposed context (PS3.8 section 9.3.3.2).
package struct AcceptedPresentationContext: Equatable, Sendable {
    /// The ID of the proposed context.
    package var id: UInt8
    package var result: PresentationContextResult
    /// The one encoding both sides will use; without meaning unless `result` is `acceptance`.
    package var transferSyntax: String

    package init(id: UInt8, result: PresentationContextResult, transferSyntax: String) {
        self.id = id
        self.result = result
        self.transferSyntax = transferSyntax
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        id = try reader.readUInt8()
        guard id % 2 == 1 else { throw .unexpectedValue("presentation context ID") }
        try reader.skip(1)
        guard let result = PresentationContextResult(rawValue: try reader.readUInt8()) else {
            throw .unexpectedValue("presentation context result")
        }
        self.result = result
        try reader.skip(1)
        transferSyntax = ""
        while !reader.isAtEnd {
            let item = try reader.takeItem()
            guard item.type == ItemType.transferSyntax else { continue }
            transferSyntax = try WireText.uid(item.contents, "transfer syntax")
        }
        // When the context is refused the sub-item is not significant (PS3.8 table 9-18) and may be left out.
        guard result != .acceptance || !transferSyntax.isEmpty else { throw .missingItem("transfer syntax") }
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.acceptedPresentationContext) { writer in
            writer.append(id)
            writer.append(UInt8(0))
            writer.append(result.rawValue)
            writer.append(UInt8(0))
            writer.uidItem(ItemType.transferSyntax, transferSyntax)
        }
    }
}
