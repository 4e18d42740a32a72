// SPDX-License-Identifier: Apache-2.0
import DICOMNetwork
import Testing

@Suite("PDUs that lie")
struct HostilePDUTests {
    @Test(
        "A request cut at any byte is an error",
        arguments: [WireSamples.associateRequest, WireSamples.richRequest.encoded()])
    func truncatedRequest(pdu: [UInt8]) {
        let whole = body(of: pdu)
        for count in 0..<whole.count {
            #expect(throws: PDUError.self, "first \(count) bytes") {
                try withBytes(Array(whole.prefix(count)), AssociateRequest.init(decodingBody:))
            }
        }
    }

    @Test("An accept cut at any byte is an error")
    func truncatedAccept() {
        let whole = body(of: WireSamples.associateAccept)
        for count in 0..<whole.count {
            #expect(throws: PDUError.self, "first \(count) bytes") {
                try withBytes(Array(whole.prefix(count)), AssociateAccept.init(decodingBody:))
            }
        }
    }

    @Test(
        "Changing any byte of a request never traps, and what is still read can be answered",
        arguments: [WireSamples.associateRequest, WireSamples.richRequest.encoded()])
    func mutatedRequest(pdu: [UInt8]) throws {
        let whole = body(of: pdu)
        for index in whole.indices {
            for value in [0, 1, 2, 0x20, 0x7F, 0x80, 0xFE, 0xFF, whole[index] &+ 1, whole[index] &- 1] as [UInt8] {
                var bytes = whole
                bytes[index] = value
                guard let request = try? withBytes(bytes, AssociateRequest.init(decodingBody:)) else { continue }
                #expect(request.callingAETitle.utf8.allSatisfy { (0x20...0x7E).contains($0) })
                guard let (accept, association) = try? Negotiation.accept(request, policy: .test) else { continue }
                let answer = try withBytes(body(of: accept.encoded()), AssociateAccept.init(decodingBody:))
                #expect(answer.presentationContexts.count == request.presentationContexts.count)
                #expect(association.allContexts.count <= request.presentationContexts.count)
            }
        }
    }

    @Test("Changing any byte of an accept never traps")
    func mutatedAccept() {
        let whole = body(of: WireSamples.associateAccept)
        let request = try? withBytes(body(of: WireSamples.associateRequest), AssociateRequest.init(decodingBody:))
        for index in whole.indices {
            for value in [0, 1, 2, 5, 0x40, 0x7F, 0x80, 0xFF] as [UInt8] {
                var bytes = whole
                bytes[index] = value
                guard let request, let accept = try? withBytes(bytes, AssociateAccept.init(decodingBody:)) else {
                    continue
                }
                _ = try? Negotiation.complete(request: request, accept: accept)
            }
        }
    }

    @Test("Random bytes in place of the items never trap")
    func randomItems() {
        var random = SplitMix(state: 42)
        let fixed = Array(body(of: WireSamples.associateRequest).prefix(68))
        for _ in 0..<2000 {
            var bytes = fixed
            // Types from the known range, so that every parser is reached.
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes += [[0x10, 0x20, 0x21, 0x50].randomElement(using: &random)!, 0, 0]
                let count = UInt8.random(in: 0...40, using: &random)
                bytes.append(count)
                for _ in 0..<count { bytes.append(UInt8.random(in: 0...0x60, using: &random)) }
            }
            _ = try? withBytes(bytes, AssociateRequest.init(decodingBody:))
            _ = try? withBytes(bytes, AssociateAccept.init(decodingBody:))
        }
    }

    @Test(
        "Malformed items are errors of their own kind",
        arguments: [
            ("20 00 00 04 02 00 00 00", PDUError.unexpectedValue("presentation context ID")),  // even
            ("20 00 00 04 01 00 00 00", .missingItem("abstract syntax")),
            (
                "20 00 00 0B 01 00 00 00 30 00 00 03 '1.2' 20 00 00 0B 01 00 00 00 30 00 00 03 '1.2'",
                .duplicateItem("presentation context ID")
            ),
            ("20 00 00 0B 03 00 00 00 30 00 00 04 '1.2'", .lengthMismatch),
            ("20 00 FF FF 03 00 00 00", .lengthMismatch),
            ("20 00 00 48 03 00 00 00 30 00 00 41 '1' *64 '11'", .lengthMismatch),
            ("20 00 00 49 03 00 00 00 30 00 00 41 '1' *65", .unexpectedValue("abstract syntax")),
            ("10 00 00 03 '1.2'", .duplicateItem("application context")),
            ("50 00 00 00 50 00 00 00", .duplicateItem("user information")),
            ("50 00 00 05 51 00 00 01 00", .truncated),
            ("50 00 00 09 51 00 00 05 00 00 00 00 00", .lengthMismatch),
            (
                "50 00 00 10 51 00 00 04 00 00 00 00 51 00 00 04 00 00 00 00",
                .duplicateItem("user information sub-item")
            ),
            ("50 00 00 09 53 00 00 05 00 01 00 01 00", .lengthMismatch),
            ("50 00 00 09 54 00 00 05 00 09 '1.2'", .lengthMismatch),  // UID longer than its sub-item
            ("50 00 00 0A 58 00 00 06 01 00 00 00 00 09", .lengthMismatch),
            ("50 00 00 08 59 00 00 04 00 01 00 00", .lengthMismatch),
        ])
    func malformed(items: String, expected: PDUError) {
        // The fixed fields and the application context of a good request, then the items in question.
        let bytes = Array(body(of: WireSamples.associateRequest).prefix(68 + 25)) + wire(items)
        #expect(throws: expected) { try withBytes(bytes, AssociateRequest.init(decodingBody:)) }
    }

    @Test("Unknown items and sub-items are skipped")
    func unknownItems() throws {
        let bytes =
            Array(body(of: WireSamples.associateRequest).prefix(68 + 25))
            + wire(
                """
                77 00 00 02 00 00                                                  -- unknown item
                20 00 00 13 05 00 00 00 33 00 00 00 30 00 00 07 '1.2.3' 20 00      -- unknown sub-item, padded UID
                50 00 00 0D 6F 00 00 01 00 51 00 00 04 00 00 10 00
                """)
        let request = try withBytes(bytes, AssociateRequest.init(decodingBody:))
        #expect(request.presentationContexts.map(\.abstractSyntax) == ["1.2.3"])
        #expect(request.presentationContexts.map(\.transferSyntaxes) == [[]])
        #expect(request.userInformation.maximumLength == 4096)
    }

    @Test("Of many transfer syntaxes 64 are kept")
    func manyTransferSyntaxes() throws {
        var request = WireSamples.richRequest
        request.presentationContexts = [
            ProposedPresentationContext(id: 1, abstractSyntax: "1.2", transferSyntaxes: ["1.2.3"])
        ]
        var bytes = body(of: request.encoded())
        let start = 68 + 25
        // Replace the context by one with a hundred transfer syntaxes.
        bytes.replaceSubrange(
            start..<start + 4 + 4 + 7 + 9,
            with: wire("20 00 03 8F 01 00 00 00 30 00 00 03 '1.2'")
                + (0..<100).flatMap { _ in
                    wire("40 00 00 05 '1.2.3'")
                })
        let read = try withBytes(bytes, AssociateRequest.init(decodingBody:))
        #expect(read.presentationContexts[0].transferSyntaxes.count == 64)
        #expect(read.userInformation == request.userInformation)
    }
}

/// A small generator, so that a failure comes back on the next run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
