// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

@Suite("PDUs (PS3.8 section 9.3)")
struct PDUTests {
    @Test("A header says type and length of the body")
    func header() throws {
        let header = try #require(withBytes([4, 0, 0x01, 0x02, 0x03, 0x04], PDUHeader.init(decoding:)))
        #expect(header.type == .data)
        #expect(header.length == 0x0102_0304)
        #expect(withBytes([4, 0, 0, 0, 0], PDUHeader.init(decoding:)) == nil)
        let unknown = try #require(withBytes([8, 0, 0, 0, 0, 0], PDUHeader.init(decoding:)))
        #expect(unknown.typeCode == 8 && unknown.type == nil)
    }

    @Test("A request is read as its bytes say")
    func associateRequest() throws {
        let bytes = WireSamples.associateRequest
        #expect(Int(try #require(withBytes(bytes, PDUHeader.init(decoding:))).length) == bytes.count - 6)
        let request = try withBytes(body(of: bytes), AssociateRequest.init(decodingBody:))
        #expect(request.protocolVersion == 1)
        #expect(request.calledAETitle == "SNIMOK")
        #expect(request.callingAETitle == "ECHOSCU")
        #expect(request.applicationContextName == AssociateRequest.dicomApplicationContextName)
        #expect(
            request.presentationContexts == [
                ProposedPresentationContext(
                    id: 1, abstractSyntax: UIDs.verification, transferSyntaxes: [UIDs.implicitLittle])
            ])
        #expect(request.userInformation.maximumLength == 16384)
        #expect(request.userInformation.implementationClassUID == "1.2.826.0.1.999")
        #expect(request.userInformation.implementationVersionName == "ECHO_TEST_1")
        #expect(
            request.userInformation.asynchronousOperationsWindow
                == AsynchronousOperationsWindow(maximumInvoked: 5, maximumPerformed: 1))
        #expect(request.encoded() == bytes)
    }

    @Test("An accept is read as its bytes say, and written back as the same bytes")
    func associateAccept() throws {
        let bytes = WireSamples.associateAccept
        let accept = try withBytes(body(of: bytes), AssociateAccept.init(decodingBody:))
        #expect(
            accept.presentationContexts == [
                AcceptedPresentationContext(id: 1, result: .acceptance, transferSyntax: UIDs.implicitLittle),
                AcceptedPresentationContext(
                    id: 3, result: .transferSyntaxesNotSupported, transferSyntax: UIDs.implicitLittle),
            ])
        #expect(accept.userInformation.maximumLength == 0)
        #expect(accept.userInformation.implementationVersionName == nil)
        #expect(accept.encoded() == bytes)
    }

    @Test("Every user information sub-item survives the round trip")
    func richRoundTrip() throws {
        let request = WireSamples.richRequest
        #expect(try withBytes(body(of: request.encoded()), AssociateRequest.init(decodingBody:)) == request)

        var information = request.userInformation
        information.userIdentity = nil
        information.userIdentityServerResponse = [1, 2, 3]
        let accept = AssociateAccept(
            calledAETitle: "A", callingAETitle: "B",
            presentationContexts: [
                AcceptedPresentationContext(id: 9, result: .userRejection, transferSyntax: UIDs.implicitLittle)
            ],
            userInformation: information)
        #expect(try withBytes(body(of: accept.encoded()), AssociateAccept.init(decodingBody:)) == accept)
    }

    @Test("User information sub-items have the bytes of PS3.7 annex D.3.3")
    func userInformationBytes() {
        let bytes = WireSamples.richRequest.encoded()
        let expected = wire(
            """
            51 00 00 04 00 02 00 00                                      -- maximum length 131072
            52 00 00 05 '1.2.3'                                          -- implementation class UID
            53 00 00 04 00 00 00 03                                      -- asynchronous operations window
            54 00 00 1D 00 19 '1.2.840.10008.5.1.4.1.1.2' 00 01          -- role selection: SCP only
            55 00 00 04 'TEST'                                           -- implementation version name
            56 00 00 20 00 1B '1.2.840.10008.5.1.4.1.2.2.3' 01 00 01     -- extended negotiation
            57 00 00 42                                                  -- common extended negotiation
              00 19 '1.2.840.10008.5.1.4.1.1.2'
              00 11 '1.2.840.10008.4.2'
              00 12 00 07 '1.2.3.4' 00 07 '1.2.3.5'
            58 00 00 10 02 01 00 04 'user' 00 06 'secret'                -- user identity
            """)
        #expect(Array(bytes.suffix(expected.count)) == expected)
    }

    @Test(
        "Reject, release and abort have four bytes of body",
        arguments: [
            (AssociateReject.noReason.encoded(), wire("03 00 00 00 00 04 00 01 01 01")),
            (AssociateReject.applicationContextNotSupported.encoded(), wire("03 00 00 00 00 04 00 01 01 02")),
            (AssociateReject.callingAETitleNotRecognized.encoded(), wire("03 00 00 00 00 04 00 01 01 03")),
            (AssociateReject.calledAETitleNotRecognized.encoded(), wire("03 00 00 00 00 04 00 01 01 07")),
            (AssociateReject.protocolVersionNotSupported.encoded(), wire("03 00 00 00 00 04 00 01 02 02")),
            (AssociateReject.temporaryCongestion.encoded(), wire("03 00 00 00 00 04 00 02 03 01")),
            (AssociateReject.localLimitExceeded.encoded(), wire("03 00 00 00 00 04 00 02 03 02")),
            (ReleasePDU.encodedRequest(), wire("05 00 00 00 00 04 00 00 00 00")),
            (ReleasePDU.encodedResponse(), wire("06 00 00 00 00 04 00 00 00 00")),
            (Abort.serviceUser.encoded(), wire("07 00 00 00 00 04 00 00 00 00")),
            (Abort.unexpectedPDU.encoded(), wire("07 00 00 00 00 04 00 00 02 02")),
            (Abort.invalidPDUParameterValue.encoded(), wire("07 00 00 00 00 04 00 00 02 06")),
        ])
    func fixedPDUs(encoded: [UInt8], expected: [UInt8]) {
        #expect(encoded == expected)
    }

    @Test("Reject and abort are read back, and other lengths are errors")
    func fixedPDUDecoding() throws {
        #expect(
            try withBytes([0, 2, 3, 2], AssociateReject.init(decodingBody:)) == .localLimitExceeded)
        #expect(throws: PDUError.unexpectedValue("result")) {
            try withBytes([0, 3, 1, 1], AssociateReject.init(decodingBody:))
        }
        #expect(try withBytes([0, 0, 2, 5], Abort.init(decodingBody:)) == .unexpectedPDUParameter)
        // 1 is reserved; an abort is an abort.
        #expect(try withBytes([0, 0, 1, 0], Abort.init(decodingBody:)) == .notSpecified)
        for count in [0, 1, 2, 3, 5, 100] {
            let bytes = [UInt8](repeating: 1, count: count)
            #expect(throws: PDUError.self) { try withBytes(bytes, AssociateReject.init(decodingBody:)) }
            #expect(throws: PDUError.self) { try withBytes(bytes, Abort.init(decodingBody:)) }
            #expect(throws: PDUError.self) { try withBytes(bytes) { try ReleasePDU.validate(body: $0) } }
        }
    }

    @Test(
        "AE titles come out trimmed and without control characters",
        arguments: [
            ("'  STORE 1       '", "STORE 1"),
            ("'STORE' 00 *11", "STORE"),
            ("'ST' 0A 1B '[2J' 07 FF '       '", "ST??[2J??"),
            ("20 *16", ""),
            ("'SIXTEENLETTERS16'", "SIXTEENLETTERS16"),
        ])
    func applicationEntityTitles(field: String, expected: String) throws {
        var bytes = body(of: WireSamples.associateRequest)
        bytes.replaceSubrange(20..<36, with: wire(field))
        #expect(try withBytes(bytes, AssociateRequest.init(decodingBody:)).callingAETitle == expected)
    }

    @Test("A title too long for its field is cut when written")
    func longTitle() throws {
        var request = WireSamples.richRequest
        request.callingAETitle = "MORE THAN SIXTEEN\u{E9}"
        let read = try withBytes(body(of: request.encoded()), AssociateRequest.init(decodingBody:))
        #expect(read.callingAETitle == "MORE THAN SIXTEE")
    }

    @Test("A request in a log line keeps the passcode to itself")
    func secrets() {
        let text = "\(WireSamples.richRequest)"
        #expect(text.contains("UserIdentity(type: 2)"))
        // "secret" in numbers.
        #expect(!text.contains("115, 101, 99, 114, 101, 116"))
    }
}
