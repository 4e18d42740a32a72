// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Catalog

@Suite("Who sent what")
struct CallerTests {
    private static let uid = "1.1.1.1"

    private func own(_ catalog: TestCatalog, _ aeTitle: String, _ organisation: String) throws -> [[UInt8]] {
        try catalog.reader().versions(sopInstanceUID: Self.uid, sentBy: aeTitle, organisation: organisation).map(
            \.blobID)
    }

    @Test("A version is its first sender's and that of whoever sent it again")
    func senders() throws {
        let catalog = try TestCatalog()
        let instance = Samples.instance(1, 1, 1, organisation: "A")
        try catalog.apply([
            .instance(instance), Samples.sighting(of: instance, organisation: "B"),
            Samples.sighting(of: instance, organisation: "B"), Samples.sighting(of: instance, organisation: "A"),
        ])
        #expect(try own(catalog, "AE-A", "A") == [instance.blobID])
        #expect(try own(catalog, "AE-B", "B") == [instance.blobID])
        #expect(try own(catalog, "AE-C", "C").isEmpty)
        // Title and organisation count together.
        #expect(try own(catalog, "AE-A", "B").isEmpty)
        #expect(try own(catalog, "AE-B", "A").isEmpty)
    }

    @Test("Of an organisation with several stations each has its own")
    func stations() throws {
        let catalog = try TestCatalog()
        let first = Samples.instance(1, 1, 1, organisation: "A")
        var second = Samples.instance(1, 1, 1, organisation: "A", content: 1)
        second.source.callingAETitle = "OTHER"
        try catalog.apply([.instance(first), .instance(second)])
        #expect(try own(catalog, "AE-A", "A") == [first.blobID])
        #expect(try own(catalog, "OTHER", "A") == [second.blobID])
    }

    @Test("Content that is written anew, for it was damaged, is the new sender's too")
    func healed() throws {
        let catalog = try TestCatalog()
        let first = Samples.instance(1, 1, 1, organisation: "A")
        var again = first
        again.source = Samples.source("B")
        try catalog.apply([.instance(first), .instance(again)])
        #expect(try own(catalog, "AE-A", "A") == [first.blobID])
        #expect(try own(catalog, "AE-B", "B") == [first.blobID])
    }

    @Test("What is deleted is nobody's until it comes again, and then its sender's")
    func deleted() throws {
        let catalog = try TestCatalog()
        let instance = Samples.instance(1, 1, 1, organisation: "A")
        let tombstone = CatalogTombstone(
            sequence: 0, receivedAtNanoseconds: 2, source: Samples.source("A"), level: .instance,
            uids: [nil, nil, Self.uid],
            instances: 1)
        try catalog.apply([.instance(instance), .tombstone(tombstone)])
        #expect(try own(catalog, "AE-A", "A").isEmpty)
        try catalog.apply([Samples.sighting(of: instance, organisation: "B")])
        #expect(try own(catalog, "AE-A", "A").isEmpty)
        #expect(try own(catalog, "AE-B", "B") == [instance.blobID])
        try catalog.apply([Samples.sighting(of: instance, organisation: "A")])
        #expect(try own(catalog, "AE-A", "A") == [instance.blobID])
    }
}
