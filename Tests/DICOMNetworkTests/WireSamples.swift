// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork

/// Bytes written as a table of hexadecimal digits; text in single quotes stands for its ASCII, `*n` repeats the
/// byte before it n times, and what follows "--" on a line is remark.
func wire(_ table: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for line in table.split(separator: "\n") {
        var content = Substring(line)
        if let remark = content.firstRange(of: "--") { content = content[..<remark.lowerBound] }
        for (index, part) in content.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
            if index % 2 == 1 {
                bytes += Array(part.utf8)
                continue
            }
            for word in part.split(separator: " ") {
                if word.first == "*" {
                    bytes += [UInt8](repeating: bytes[bytes.count - 1], count: Int(word.dropFirst())! - 1)
                } else {
                    bytes.append(UInt8(word, radix: 16)!)
                }
            }
        }
    }
    return bytes
}

extension Substring {
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// Calls `body` with bytes in memory of exactly their size, so that a read beyond them is one that tools can see.
func withBytes<Value>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { room.deallocate() }
    room.copyBytes(from: bytes)
    return try body(UnsafeRawBufferPointer(room))
}

func body(of pdu: [UInt8]) -> [UInt8] { Array(pdu.dropFirst(PDUHeader.byteCount)) }

enum UIDs {
    static let verification = "1.2.840.10008.1.1"
    static let ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"
    static let mrImageStorage = "1.2.840.10008.5.1.4.1.1.4"
    static let studyRootFind = "1.2.840.10008.5.1.4.1.2.2.1"
    static let studyRootGet = "1.2.840.10008.5.1.4.1.2.2.3"
    static let implicitLittle = "1.2.840.10008.1.2"
    static let explicitLittle = "1.2.840.10008.1.2.1"
    static let explicitBig = "1.2.840.10008.1.2.2"
    static let jpegBaseline = "1.2.840.10008.1.2.4.50"
    static let jpeg2000 = "1.2.840.10008.1.2.4.91"
}

enum WireSamples {
    /// A-ASSOCIATE-RQ as an echo tool would send it.
    static let associateRequest = wire(
        """
        01 00 00 00 00 C5                       -- A-ASSOCIATE-RQ, 197 bytes
        00 01 00 00                             -- protocol version 1, reserved
        'SNIMOK          '                      -- called AE title
        'ECHOSCU         '                      -- calling AE title
        00 *32                                  -- reserved
        10 00 00 15 '1.2.840.10008.3.1.1.1'     -- application context
        20 00 00 2E                             -- presentation context, 46 bytes
          01 00 00 00                           -- ID 1
          30 00 00 11 '1.2.840.10008.1.1'       -- abstract syntax: verification
          40 00 00 11 '1.2.840.10008.1.2'       -- transfer syntax: implicit VR little endian
        50 00 00 32                             -- user information, 50 bytes
          51 00 00 04 00 00 40 00               -- maximum length 16384
          52 00 00 0F '1.2.826.0.1.999'         -- implementation class UID
          53 00 00 04 00 05 00 01               -- asynchronous operations window: invokes 5, performs 1
          55 00 00 0B 'ECHO_TEST_1'             -- implementation version name
        """)

    static let associateAccept = wire(
        """
        02 00 00 00 00 B7                       -- A-ASSOCIATE-AC, 183 bytes
        00 01 00 00
        'SNIMOK          ' 'ECHOSCU         '
        00 *32
        10 00 00 15 '1.2.840.10008.3.1.1.1'
        21 00 00 19                             -- presentation context, 25 bytes
          01 00 00 00                           -- ID 1, acceptance
          40 00 00 11 '1.2.840.10008.1.2'
        21 00 00 19
          03 00 04 00                           -- ID 3, transfer syntaxes not supported
          40 00 00 11 '1.2.840.10008.1.2'
        50 00 00 1C
          51 00 00 04 00 00 00 00               -- maximum length: unlimited
          52 00 00 10 '1.2.826.0.1.1000'
        """)

    /// A request with every kind of user information sub-item.
    static var richRequest: AssociateRequest {
        AssociateRequest(
            calledAETitle: "SNIMOK", callingAETitle: "MODALITY 1",
            presentationContexts: [
                ProposedPresentationContext(
                    id: 1, abstractSyntax: UIDs.ctImageStorage,
                    transferSyntaxes: [UIDs.implicitLittle, UIDs.explicitLittle]),
                ProposedPresentationContext(
                    id: 255, abstractSyntax: UIDs.studyRootGet, transferSyntaxes: [UIDs.explicitLittle]),
            ],
            userInformation: UserInformation(
                maximumLength: 131_072, implementationClassUID: "1.2.3", implementationVersionName: "TEST",
                asynchronousOperationsWindow: AsynchronousOperationsWindow(maximumInvoked: 0, maximumPerformed: 3),
                roleSelections: [RoleSelection(sopClassUID: UIDs.ctImageStorage, scuRole: false, scpRole: true)],
                extendedNegotiations: [
                    SOPClassExtendedNegotiation(sopClassUID: UIDs.studyRootGet, applicationInformation: [1, 0, 1])
                ],
                commonExtendedNegotiations: [
                    SOPClassCommonExtendedNegotiation(
                        sopClassUID: UIDs.ctImageStorage, serviceClassUID: "1.2.840.10008.4.2",
                        relatedGeneralSOPClassUIDs: ["1.2.3.4", "1.2.3.5"])
                ],
                userIdentity: UserIdentity(
                    type: 2, positiveResponseRequested: true, primaryField: Array("user".utf8),
                    secondaryField: Array("secret".utf8))))
    }
}
