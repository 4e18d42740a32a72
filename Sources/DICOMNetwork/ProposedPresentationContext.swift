// SPDX-License-Identifier: Apache-2.0

/// One presentation context as the requestor offers it: what it wants to talk about and in which encodings
/// (PS3.8 section 9.3.2.2).
package struct ProposedPresentationContext: Equatable, Sendable {
    /// Odd, 1...255, one use per association (PS3.8 section 7.1.1.13).
    package var id: UInt8
    /// The SOP class, most often.
    package var abstractSyntax: String
    /// In the order of the proposer's preference; what exceeds `maximumTransferSyntaxes` is not kept.
    package var transferSyntaxes: [String]

    /// More than any real system proposes in one context.
    package static let maximumTransferSyntaxes = 64

    package init(id: UInt8, abstractSyntax: String, transferSyntaxes: [String]) {
        self.id = id
        self.abstractSyntax = abstractSyntax
        self.transferSyntaxes = transferSyntaxes
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        var reader = WireReader(bytes)
        id = try reader.readUInt8()
        guard id % 2 == 1 else { throw .unexpectedValue("presentation context ID") }
        try reader.skip(3)
        var abstractSyntax: String?
        transferSyntaxes = []
        while !reader.isAtEnd {
            let item = try reader.takeItem()
            switch item.type {
            case ItemType.abstractSyntax:
                guard abstractSyntax == nil else { throw .duplicateItem("abstract syntax") }
                abstractSyntax = try WireText.uid(item.contents, "abstract syntax")
            case ItemType.transferSyntax:
                guard transferSyntaxes.count < Self.maximumTransferSyntaxes else { continue }
                transferSyntaxes.append(try WireText.uid(item.contents, "transfer syntax"))
            default: continue  // Unknown items are skipped (PS3.8 section 9.3.1).
            }
        }
        guard let abstractSyntax else { throw .missingItem("abstract syntax") }
        self.abstractSyntax = abstractSyntax
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.proposedPresentationContext) { writer in
            writer.append(id)
            writer.appendZeros(3)
            writer.uidItem(ItemType.abstractSyntax, abstractSyntax)
            for transferSyntax in transferSyntaxes.prefix(Self.maximumTransferSyntaxes) {
                writer.uidItem(ItemType.transferSyntax, transferSyntax)
            }
        }
    }
}
