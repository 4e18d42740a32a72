// SPDX-License-Identifier: Apache-2.0

/// The user information item of A-ASSOCIATE-RQ and -AC (PS3.8 section 9.3.2.3, sub-items in PS3.7 annex D.3.3).
package struct UserInformation: Equatable, Sendable {
    /// Bytes of P-DATA-TF body the sender of this item will take; 0 is unlimited (PS3.8 annex D.1).
    package var maximumLength: UInt32
    package var implementationClassUID: String
    package var implementationVersionName: String?
    /// Nil means one operation at a time in each direction (PS3.7 section D.3.3.3).
    package var asynchronousOperationsWindow: AsynchronousOperationsWindow?
    package var roleSelections: [RoleSelection]
    package var extendedNegotiations: [SOPClassExtendedNegotiation]
    package var commonExtendedNegotiations: [SOPClassCommonExtendedNegotiation]
    package var userIdentity: UserIdentity?
    /// The acceptor's answer to a user identity whose sender asked for one (PS3.7 section D.3.3.7.2).
    package var userIdentityServerResponse: [UInt8]?

    /// What a sender that omits its maximum length is taken to say: small enough for everyone.
    package static let defaultMaximumLength: UInt32 = 16384
    /// Sub-items of one kind beyond which the PDU is refused.
    static let maximumSubItems = 1024
    /// Characters of an implementation version name (PS3.7 section D.3.3.2.3).
    static let maximumVersionNameLength = 16

    package init(
        maximumLength: UInt32, implementationClassUID: String, implementationVersionName: String? = nil,
        asynchronousOperationsWindow: AsynchronousOperationsWindow? = nil, roleSelections: [RoleSelection] = [],
        extendedNegotiations: [SOPClassExtendedNegotiation] = [],
        commonExtendedNegotiations: [SOPClassCommonExtendedNegotiation] = [], userIdentity: UserIdentity? = nil,
        userIdentityServerResponse: [UInt8]? = nil
    ) {
        self.maximumLength = maximumLength
        self.implementationClassUID = implementationClassUID
        self.implementationVersionName = implementationVersionName
        self.asynchronousOperationsWindow = asynchronousOperationsWindow
        self.roleSelections = roleSelections
        self.extendedNegotiations = extendedNegotiations
        self.commonExtendedNegotiations = commonExtendedNegotiations
        self.userIdentity = userIdentity
        self.userIdentityServerResponse = userIdentityServerResponse
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(PDUError) {
        self.init(maximumLength: Self.defaultMaximumLength, implementationClassUID: "")
        var reader = WireReader(bytes)
        var seenSingleItems: UInt16 = 0
        while !reader.isAtEnd {
            let item = try reader.takeItem()
            if Self.appearsOnce(item.type) {
                let mask: UInt16 = 1 << UInt16(item.type - ItemType.userInformation)
                guard seenSingleItems & mask == 0 else { throw .duplicateItem("user information sub-item") }
                seenSingleItems |= mask
            }
            try take(item)
        }
    }

    private static func appearsOnce(_ type: UInt8) -> Bool {
        switch type {
        case ItemType.maximumLength, ItemType.implementationClassUID, ItemType.asynchronousOperationsWindow,
            ItemType.implementationVersionName, ItemType.userIdentity, ItemType.userIdentityServerResponse:
            true
        default: false
        }
    }

    private mutating func take(_ item: WireItem) throws(PDUError) {
        let contents = item.contents
        switch item.type {
        case ItemType.maximumLength:
            var reader = WireReader(contents)
            maximumLength = try reader.readUInt32()
            try reader.expectEnd()
        case ItemType.implementationClassUID:
            implementationClassUID = try WireText.uid(contents, "implementation class UID")
        case ItemType.asynchronousOperationsWindow:
            asynchronousOperationsWindow = try AsynchronousOperationsWindow(decoding: contents)
        case ItemType.roleSelection:
            try Self.append(try RoleSelection(decoding: contents), to: &roleSelections)
        case ItemType.implementationVersionName:
            implementationVersionName = WireText.text(contents, limit: Self.maximumVersionNameLength)
        case ItemType.extendedNegotiation:
            try Self.append(try SOPClassExtendedNegotiation(decoding: contents), to: &extendedNegotiations)
        case ItemType.commonExtendedNegotiation:
            try Self.append(
                try SOPClassCommonExtendedNegotiation(decoding: contents), to: &commonExtendedNegotiations)
        case ItemType.userIdentity:
            userIdentity = try UserIdentity(decoding: contents)
        case ItemType.userIdentityServerResponse:
            var reader = WireReader(contents)
            userIdentityServerResponse = [UInt8](try reader.takeCounted())
            try reader.expectEnd()
        default: break  // Unknown sub-items are skipped (PS3.8 annex D.2).
        }
    }

    private static func append<Item>(_ item: Item, to items: inout [Item]) throws(PDUError) {
        guard items.count < maximumSubItems else { throw .tooManyItems("user information sub-items") }
        items.append(item)
    }

    func append(to writer: inout PDUWriter) {
        writer.item(ItemType.userInformation) { writer in
            writer.item(ItemType.maximumLength) { $0.append(maximumLength) }
            writer.uidItem(ItemType.implementationClassUID, implementationClassUID)
            asynchronousOperationsWindow?.append(to: &writer)
            for role in roleSelections { role.append(to: &writer) }
            if let implementationVersionName {
                writer.item(ItemType.implementationVersionName) {
                    $0.append(WireText.bytes(implementationVersionName, limit: Self.maximumVersionNameLength))
                }
            }
            for negotiation in extendedNegotiations { negotiation.append(to: &writer) }
            for negotiation in commonExtendedNegotiations { negotiation.append(to: &writer) }
            userIdentity?.append(to: &writer)
            if let userIdentityServerResponse {
                writer.item(ItemType.userIdentityServerResponse) { writer in
                    writer.counted { $0.append(userIdentityServerResponse) }
                }
            }
        }
    }
}
