// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
    /// Reads a complete command set, all its fragments joined.
    /// - Throws: `CommandSetError`; nothing is read past the end, and nothing is allocated but the values.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(CommandSetError) -> CommandSet {
        var command = CommandSet(commandFieldCode: 0, hasDataSet: false)
        var reader = CommandElementReader(bytes)
        var hasCommandField = false
        var hasDataSetType = false
        while let (element, value) = try reader.next() {
            try command.take(element, value)
            if element == CommandElement.groupLength {
                guard value.count == 4, UInt32(littleEndian: value.loadUnaligned(as: UInt32.self)) == reader.remaining
                else { throw .wrongGroupLength }
            }
            hasCommandField = hasCommandField || element == CommandElement.commandField && !value.isEmpty
            hasDataSetType = hasDataSetType || element == CommandElement.commandDataSetType && !value.isEmpty
        }
        guard hasCommandField else { throw .missing(element: CommandElement.commandField) }
        guard hasDataSetType else { throw .missing(element: CommandElement.commandDataSetType) }
        return command
    }

    private mutating func take(_ element: UInt16, _ value: UnsafeRawBufferPointer) throws(CommandSetError) {
        switch element {
        case 0x0000...0x00FF: try takeSOPClass(element, value)
        case 0x1000...0x1FFF: try takeOperation(element, value)
        default: try takeMessage(element, value)
        }
    }

    private mutating func takeSOPClass(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) {
        switch element {
        case CommandElement.affectedSOPClassUID: affectedSOPClassUID = try Self.uid(element, value)
        case CommandElement.requestedSOPClassUID: requestedSOPClassUID = try Self.uid(element, value)
        default: break
        }
    }

    private mutating func takeMessage(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) {
        switch element {
        case CommandElement.commandField: commandFieldCode = try Self.number(element, value) ?? 0
        case CommandElement.messageID: messageID = try Self.number(element, value)
        case CommandElement.messageIDBeingRespondedTo:
            messageIDBeingRespondedTo = try Self.number(element, value)
        case CommandElement.moveDestination: moveDestination = try Self.title(element, value)
        case CommandElement.priority: priority = try Self.number(element, value)
        case CommandElement.commandDataSetType:
            commandDataSetType = try Self.number(element, value) ?? Self.noDataSet
        case CommandElement.status: status = try Self.number(element, value).map(DIMSEStatus.init(rawValue:))
        case CommandElement.offendingElement: offendingElements = try Self.tags(element, value)
        case CommandElement.errorComment:
            let comment = WireText.text(value, limit: CommandElement.maximumCommentLength)
            errorComment = comment.isEmpty ? nil : comment
        default: break
        }
    }

    private mutating func takeOperation(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) {
        switch element {
        case CommandElement.affectedSOPInstanceUID: affectedSOPInstanceUID = try Self.uid(element, value)
        case CommandElement.requestedSOPInstanceUID: requestedSOPInstanceUID = try Self.uid(element, value)
        case CommandElement.eventTypeID: eventTypeID = try Self.number(element, value)
        case CommandElement.actionTypeID: actionTypeID = try Self.number(element, value)
        case CommandElement.numberOfRemainingSuboperations:
            numberOfRemainingSuboperations = try Self.number(element, value)
        case CommandElement.numberOfCompletedSuboperations:
            numberOfCompletedSuboperations = try Self.number(element, value)
        case CommandElement.numberOfFailedSuboperations:
            numberOfFailedSuboperations = try Self.number(element, value)
        case CommandElement.numberOfWarningSuboperations:
            numberOfWarningSuboperations = try Self.number(element, value)
        case CommandElement.moveOriginatorAETitle: moveOriginatorAETitle = try Self.title(element, value)
        case CommandElement.moveOriginatorMessageID: moveOriginatorMessageID = try Self.number(element, value)
        default: break
        }
    }

    // An empty element is an absent one, and so is text of padding alone.

    /// US, one value.
    private static func number(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) -> UInt16? {
        if value.isEmpty { return nil }
        guard value.count == 2 else { throw .invalidLength(element: element) }
        return UInt16(littleEndian: value.loadUnaligned(as: UInt16.self))
    }

    /// UI, one value.
    private static func uid(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) -> String? {
        if value.isEmpty { return nil }
        // A UID that is too long is for the service to refuse, with the status that says so; here it only has a bound.
        guard value.count <= 256 else { throw .invalidLength(element: element) }
        let text = WireText.text(value, limit: 256)
        return text.isEmpty ? nil : text
    }

    /// AE, one value.
    private static func title(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) -> String? {
        if value.isEmpty { return nil }
        guard value.count <= WireText.maximumAETitleLength else { throw .invalidLength(element: element) }
        let title = WireText.applicationEntityTitle(value)
        return title.isEmpty ? nil : title
    }

    /// AT, any number of values: group and element, two bytes each.
    private static func tags(
        _ element: UInt16, _ value: UnsafeRawBufferPointer
    ) throws(CommandSetError) -> [UInt32] {
        guard value.count % 4 == 0 else { throw .invalidLength(element: element) }
        return stride(from: 0, to: value.count, by: 4).map { offset in
            let group = UInt16(littleEndian: value.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
            let number = UInt16(littleEndian: value.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self))
            return UInt32(group) << 16 | UInt32(number)
        }
    }
}

/// Walks over the elements: tag, 32-bit length, value (PS3.5 section 7.1.3).
private struct CommandElementReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var count = 0
    private var last: UInt16?

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Bytes after the element that `next` returned last.
    var remaining: Int { bytes.count - offset }

    mutating func next() throws(CommandSetError) -> (element: UInt16, value: UnsafeRawBufferPointer)? {
        if remaining == 0 { return nil }
        guard remaining >= 8 else { throw .truncated }
        guard count < CommandSet.maximumElements else { throw .tooManyElements }
        count += 1
        let group = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
        let element = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 2, as: UInt16.self))
        let length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
        guard group == 0 else { throw .foreignGroup(group) }
        if let last, element <= last { throw .outOfOrder(element: element) }
        last = element
        offset += 8
        guard length <= UInt32(clamping: remaining) else { throw .invalidLength(element: element) }
        let value = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
        offset += Int(length)
        return (element, value)
    }
}
