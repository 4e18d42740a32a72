// SPDX-License-Identifier: Apache-2.0

extension CommandSet {
    /// The bytes for the wire, group length first. Text beyond printable ASCII becomes "?"; what is longer than its
    /// value representation allows is cut.
    package func encoded() -> [UInt8] {
        var writer = CommandElementWriter()
        writer.uid(CommandElement.affectedSOPClassUID, affectedSOPClassUID)
        writer.uid(CommandElement.requestedSOPClassUID, requestedSOPClassUID)
        writer.number(CommandElement.commandField, commandFieldCode)
        writer.number(CommandElement.messageID, messageID)
        writer.number(CommandElement.messageIDBeingRespondedTo, messageIDBeingRespondedTo)
        writer.text(CommandElement.moveDestination, moveDestination, limit: WireText.maximumAETitleLength)
        writer.number(CommandElement.priority, priority)
        writer.number(CommandElement.commandDataSetType, commandDataSetType)
        writer.number(CommandElement.status, status?.rawValue)
        writer.tags(CommandElement.offendingElement, offendingElements)
        writer.text(CommandElement.errorComment, errorComment, limit: CommandElement.maximumCommentLength)
        writer.uid(CommandElement.affectedSOPInstanceUID, affectedSOPInstanceUID)
        writer.uid(CommandElement.requestedSOPInstanceUID, requestedSOPInstanceUID)
        writer.number(CommandElement.eventTypeID, eventTypeID)
        writer.number(CommandElement.actionTypeID, actionTypeID)
        writer.number(CommandElement.numberOfRemainingSuboperations, numberOfRemainingSuboperations)
        writer.number(CommandElement.numberOfCompletedSuboperations, numberOfCompletedSuboperations)
        writer.number(CommandElement.numberOfFailedSuboperations, numberOfFailedSuboperations)
        writer.number(CommandElement.numberOfWarningSuboperations, numberOfWarningSuboperations)
        writer.text(
            CommandElement.moveOriginatorAETitle, moveOriginatorAETitle, limit: WireText.maximumAETitleLength)
        writer.number(CommandElement.moveOriginatorMessageID, moveOriginatorMessageID)
        return writer.finish()
    }
}

/// Writes elements of group 0000 in implicit VR little endian; absent values write nothing.
private struct CommandElementWriter {
    private var bytes: [UInt8]

    init() {
        bytes = []
        bytes.reserveCapacity(256)
        // (0000,0000) UL, set by `finish`.
        header(CommandElement.groupLength, valueLength: 4)
        append(UInt32(0))
    }

    mutating func number(_ element: UInt16, _ value: UInt16?) {
        guard let value else { return }
        header(element, valueLength: 2)
        append(value)
    }

    /// UI: padded with NUL (PS3.5 section 6.2).
    mutating func uid(_ element: UInt16, _ uid: String?) {
        guard let uid else { return }
        padded(element, WireText.bytes(uid, limit: WireText.maximumUIDLength), with: 0)
    }

    /// AE, LO: padded with space (PS3.5 section 6.2).
    mutating func text(_ element: UInt16, _ text: String?, limit: Int) {
        guard let text else { return }
        padded(element, WireText.bytes(text, limit: limit), with: 0x20)
    }

    mutating func tags(_ element: UInt16, _ tags: [UInt32]) {
        guard !tags.isEmpty else { return }
        header(element, valueLength: UInt32(tags.count * 4))
        for tag in tags {
            append(UInt16(truncatingIfNeeded: tag >> 16))
            append(UInt16(truncatingIfNeeded: tag))
        }
    }

    consuming func finish() -> [UInt8] {
        let length = UInt32(bytes.count - 12)
        for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: length >> UInt32(8 * index)) }
        return bytes
    }

    private mutating func padded(_ element: UInt16, _ value: [UInt8], with padding: UInt8) {
        header(element, valueLength: UInt32(value.count + value.count % 2))
        bytes += value
        if value.count % 2 == 1 { bytes.append(padding) }
    }

    private mutating func header(_ element: UInt16, valueLength: UInt32) {
        append(UInt16(0))
        append(element)
        append(valueLength)
    }

    private mutating func append(_ value: UInt16) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func append(_ value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
