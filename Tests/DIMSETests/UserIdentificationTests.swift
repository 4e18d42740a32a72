// SPDX-License-Identifier: Apache-2.0
import Access
import Catalog
import DICOMNetwork
import Testing

@testable import DIMSE

@Suite("User identity negotiation (PS3.7 section D.3.3.7)")
struct UserIdentificationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let type: UInt8
        var asksForResponse = false
        var primary: [UInt8] = Array("anna".utf8)
        var isConfidential = true
        var isSupported = true
        let expected: UserIdentification
        var testDescription: String { "type \(type), confidential \(isConfidential), response \(asksForResponse)" }
    }

    private static let outsideTLS = UserIdentification.refused("a user identity outside TLS is not accepted")

    @Test(
        "What becomes of it",
        arguments: [
            Case(type: 2, expected: .password(name: "anna", password: "secret")),
            Case(type: 2, asksForResponse: true, expected: .password(name: "anna", password: "secret")),
            Case(type: 5, expected: .token("anna")),
            Case(type: 1, expected: .none), Case(type: 1, asksForResponse: true, expected: .none),
            Case(type: 3, expected: .none), Case(type: 4, expected: .none), Case(type: 9, expected: .none),
            Case(type: 2, isSupported: false, expected: .none), Case(type: 5, isSupported: false, expected: .none),
            Case(type: 2, isConfidential: false, expected: .none),
            Case(type: 5, isConfidential: false, expected: .none),
            Case(type: 1, asksForResponse: true, isConfidential: false, expected: outsideTLS),
            Case(type: 2, asksForResponse: true, isConfidential: false, expected: outsideTLS),
            Case(type: 5, asksForResponse: true, isConfidential: false, isSupported: false, expected: outsideTLS),
            Case(type: 2, primary: [0xFF, 0xFE], expected: .refused("the user identity is no UTF-8")),
            Case(type: 5, primary: [0xC3], expected: .refused("the user identity is no UTF-8")),
        ])
    func reading(_ test: Case) {
        let identity = UserIdentity(
            type: test.type, positiveResponseRequested: test.asksForResponse, primaryField: test.primary,
            secondaryField: test.type == 2 ? Array("secret".utf8) : [])
        #expect(
            UserIdentification(identity, isConfidential: test.isConfidential, isSupported: test.isSupported)
                == test.expected)
    }

    @Test("None is none")
    func none() { #expect(UserIdentification(nil, isConfidential: false, isSupported: true) == .none) }

    private func asker(_ kind: Asker.Kind, _ permissions: Permissions, _ scope: CatalogScope) -> Asker {
        Asker(kind: kind, name: "\(kind)", address: "192.0.2.1", permissions: permissions, scope: scope)
    }

    @Test(
        "A user at a station may do what both may, and sees what both see",
        arguments: [
            (CatalogScope.everything(as: "A"), CatalogScope.everything(as: "A"), nil),
            (.everything(as: "A"), CatalogScope(organisation: "A", visible: []), Set(["A"])),
            (CatalogScope(organisation: "A", visible: ["B"]), .everything(as: "A"), Set(["A", "B"])),
            (
                CatalogScope(organisation: "A", visible: ["B"]), CatalogScope(organisation: "A", visible: ["C"]),
                Set(["A"])
            ),
            (CatalogScope(organisation: "A", visible: []), .everything(as: "B"), Set(["A", "B"])),
            (CatalogScope(organisation: "A", visible: []), CatalogScope(organisation: "B", visible: ["C"]), Set(["B"])),
        ] as [(CatalogScope, CatalogScope, Set<String>?)])
    func narrowing(station: CatalogScope, user: CatalogScope, visible: Set<String>?) {
        let narrowed = UserIdentification.narrow(
            asker(.station, .station, station), to: asker(.user, [.query, .delete, .administer], user))
        #expect(narrowed.permissions == .query)
        #expect(narrowed.scope.visible == visible)
        #expect(narrowed.organisation == user.organisation)
        #expect(narrowed.kind == .user)
        #expect(narrowed.name == "user")
    }
}
