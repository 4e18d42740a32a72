// SPDX-License-Identifier: Apache-2.0

/// What A-ASSOCIATE-RQ and A-ASSOCIATE-AC have in common: the fixed fields and the order of the items
/// (PS3.8 tables 9-11 and 9-17).
struct AssociateBody {
    var protocolVersion: UInt16
    var calledAETitle: String
    var callingAETitle: String
    var applicationContextName: String
    var userInformation: UserInformation

    /// IDs are odd bytes, so there can be no more.
    static let maximumPresentationContexts = 128

    /// Reads the body; each presentation context item of `contextType` goes to `context`, which returns its ID.
    init(
        decoding bytes: UnsafeRawBufferPointer, contextType: UInt8,
        context: (UnsafeRawBufferPointer) throws(PDUError) -> UInt8
    ) throws(PDUError) {
        var reader = WireReader(bytes)
        protocolVersion = try reader.readUInt16()
        try reader.skip(2)
        calledAETitle = WireText.applicationEntityTitle(try reader.take(WireText.maximumAETitleLength))
        callingAETitle = WireText.applicationEntityTitle(try reader.take(WireText.maximumAETitleLength))
        try reader.skip(32)

        var applicationContextName: String?
        var userInformation: UserInformation?
        var seenContexts = ContextIDSet()
        while !reader.isAtEnd {
            let item = try reader.takeItem()
            switch item.type {
            case ItemType.applicationContext:
                guard applicationContextName == nil else { throw .duplicateItem("application context") }
                applicationContextName = try WireText.uid(item.contents, "application context")
            case contextType:
                guard seenContexts.count < Self.maximumPresentationContexts else {
                    throw .tooManyItems("presentation contexts")
                }
                // An ID stands for one context throughout the association (PS3.8 section 7.1.1.13).
                guard seenContexts.insert(try context(item.contents)) else {
                    throw .duplicateItem("presentation context ID")
                }
            case ItemType.userInformation:
                guard userInformation == nil else { throw .duplicateItem("user information") }
                userInformation = try UserInformation(decoding: item.contents)
            default: continue  // Unknown items are skipped (PS3.8 section 9.3.1).
            }
        }
        guard let applicationContextName else { throw .missingItem("application context") }
        guard let userInformation else { throw .missingItem("user information") }
        self.applicationContextName = applicationContextName
        self.userInformation = userInformation
    }

    init(
        protocolVersion: UInt16, calledAETitle: String, callingAETitle: String, applicationContextName: String,
        userInformation: UserInformation
    ) {
        self.protocolVersion = protocolVersion
        self.calledAETitle = calledAETitle
        self.callingAETitle = callingAETitle
        self.applicationContextName = applicationContextName
        self.userInformation = userInformation
    }

    func encoded(_ type: PDUType, contexts: (inout PDUWriter) -> Void) -> [UInt8] {
        var writer = PDUWriter(type, capacity: 4096)
        writer.append(protocolVersion)
        writer.appendZeros(2)
        writer.appendApplicationEntityTitle(calledAETitle)
        writer.appendApplicationEntityTitle(callingAETitle)
        writer.appendZeros(32)
        writer.uidItem(ItemType.applicationContext, applicationContextName)
        contexts(&writer)
        userInformation.append(to: &writer)
        return writer.finish()
    }
}

/// Which of the 256 context IDs have been seen.
struct ContextIDSet {
    private var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    private(set) var count = 0

    /// False when the ID was there already.
    mutating func insert(_ id: UInt8) -> Bool {
        let isNew =
            switch id >> 6 {
            case 0: Self.set(&bits.0, id)
            case 1: Self.set(&bits.1, id)
            case 2: Self.set(&bits.2, id)
            default: Self.set(&bits.3, id)
            }
        if isNew { count += 1 }
        return isNew
    }

    private static func set(_ word: inout UInt64, _ id: UInt8) -> Bool {
        let mask: UInt64 = 1 << UInt64(id & 63)
        defer { word |= mask }
        return word & mask == 0
    }
}
