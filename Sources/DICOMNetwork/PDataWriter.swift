// SPDX-License-Identifier: Apache-2.0

/// Encodes messages as P-DATA-TF PDUs (PS3.8 section 9.3.5).
package enum PDataWriter {
    /// Bytes of body used towards a peer that sets no limit.
    package static let unlimitedBodyByteCount = 1 << 20
    /// Bytes that come before a fragment which has a PDU of its own.
    package static let headerByteCount = PDUHeader.byteCount + PDVHeader.byteCount

    /// Bytes of fragment that fit one PDU of a peer with this maximum length: even, as all fragments are (PS3.8
    /// annex E.1), and at least 2, because a peer that takes none cannot be talked to.
    package static func fragmentCapacity(maximumLength: Int) -> Int {
        let body = maximumLength <= 0 ? unlimitedBodyByteCount : min(maximumLength, unlimitedBodyByteCount)
        return max(2, (body - PDVHeader.byteCount) & ~1)
    }

    /// Appends a whole message: the command set, then the data set. Both share one PDU when they fit.
    /// - Parameter maximumLength: what the peer said it takes as PDU body, in bytes; 0 is unlimited.
    package static func appendMessage(
        to output: inout [UInt8], contextID: UInt8, command: [UInt8], dataSet: UnsafeRawBufferPointer?,
        maximumLength: Int
    ) {
        let capacity = fragmentCapacity(maximumLength: maximumLength)
        command.withUnsafeBytes { command in
            if let dataSet, command.count + PDVHeader.byteCount + dataSet.count <= capacity {
                let body = 2 * PDVHeader.byteCount + command.count + dataSet.count
                output.reserveCapacity(output.count + PDUHeader.byteCount + body)
                appendHeader(to: &output, bodyByteCount: body)
                appendFragment(to: &output, command[...], contextID: contextID, isCommand: true, isLast: true)
                appendFragment(to: &output, dataSet[...], contextID: contextID, isCommand: false, isLast: true)
                return
            }
            appendFragments(to: &output, command, contextID: contextID, isCommand: true, capacity: capacity)
            guard let dataSet else { return }
            appendFragments(to: &output, dataSet, contextID: contextID, isCommand: false, capacity: capacity)
        }
    }

    /// Writes the 12 bytes that precede a fragment sent from where it lies: PDU header and PDV header.
    /// - Parameter pduBodyLength: bytes of the PDU body, that is, six more than the fragment has.
    package static func writeHeader(
        pduBodyLength: Int, contextID: UInt8, isCommand: Bool, isLast: Bool, to room: UnsafeMutableRawBufferPointer
    ) {
        precondition(room.count >= headerByteCount && pduBodyLength >= PDVHeader.byteCount)
        room[0] = PDUType.data.rawValue
        room[1] = 0
        room.storeBytes(of: UInt32(pduBodyLength).bigEndian, toByteOffset: 2, as: UInt32.self)
        let header = PDVHeader(
            fragmentLength: pduBodyLength - PDVHeader.byteCount, contextID: contextID, isCommand: isCommand,
            isLast: isLast)
        header.write(to: UnsafeMutableRawBufferPointer(rebasing: room[PDUHeader.byteCount...]))
    }

    private static func appendFragments(
        to output: inout [UInt8], _ bytes: UnsafeRawBufferPointer, contextID: UInt8, isCommand: Bool, capacity: Int
    ) {
        var start = 0
        repeat {
            let end = start + min(capacity, bytes.count - start)
            appendHeader(to: &output, bodyByteCount: PDVHeader.byteCount + end - start)
            appendFragment(
                to: &output, bytes[start..<end], contextID: contextID, isCommand: isCommand,
                isLast: end == bytes.count)
            start = end
        } while start < bytes.count
    }

    private static func appendHeader(to output: inout [UInt8], bodyByteCount: Int) {
        output.append(PDUType.data.rawValue)
        output.append(0)
        withUnsafeBytes(of: UInt32(bodyByteCount).bigEndian) { output.append(contentsOf: $0) }
    }

    private static func appendFragment(
        to output: inout [UInt8], _ fragment: Slice<UnsafeRawBufferPointer>, contextID: UInt8, isCommand: Bool,
        isLast: Bool
    ) {
        PDVHeader(fragmentLength: fragment.count, contextID: contextID, isCommand: isCommand, isLast: isLast)
            .encode(into: &output)
        output.append(contentsOf: UnsafeRawBufferPointer(rebasing: fragment))
    }
}
