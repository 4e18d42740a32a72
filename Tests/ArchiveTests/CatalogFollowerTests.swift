// SPDX-License-Identifier: Apache-2.0
import BlobLog
import CSQLite
import Foundation
import Platform
import Testing

@testable import Archive
@testable import Catalog

@Suite("The catalog behind the log")
struct CatalogFollowerTests {
    /// A follower with the catalog that it fills, in a folder of its own.
    private final class World {
        let folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        let follower: CatalogFollower
        /// Who have the follower catch up first.
        let readers: CatalogReaders
        /// Who do not.
        let hasty: CatalogReaders
        private var sequence: UInt64 = 0

        init() throws {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = "\(folder)/catalog.db"
            let follower = try CatalogFollower(try CatalogWriter(path: path) { _ in "" })
            self.follower = follower
            readers = try CatalogReaders(path: path, catchUp: { follower.catchUp() })
            hasty = try CatalogReaders(path: path)
        }

        deinit {
            follower.stop()
            try? FileManager.default.removeItem(atPath: folder)
        }

        static func blob(_ number: Int) -> BlobID {
            BlobID((0..<32).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) })
        }

        /// As the group commit does, with one instance.
        func hand(_ number: Int) {
            sequence += 1
            var values = [String?](repeating: nil, count: CatalogColumn.allCases.count)
            values[CatalogColumn.studyInstanceUID.rawValue] = "1.2"
            values[CatalogColumn.seriesInstanceUID.rawValue] = "1.2.3"
            values[CatalogColumn.sopInstanceUID.rawValue] = "1.2.3.\(number)"
            values[CatalogColumn.sopClassUID.rawValue] = "1.2.840.10008.5.1.4.1.1.2"
            let instance = CatalogInstance(
                sequence: sequence, receivedAtNanoseconds: 1,
                source: CatalogSource(
                    organisation: "A", issuer: "", callingAETitle: "CT", calledAETitle: "SNIMOK", peerAddress: "",
                    route: "dimse"),
                blobID: Self.blob(number).bytes,
                location: CatalogLocation(writer: 1, segment: 1, offset: sequence * 4096, length: 4096),
                dataSetLength: 1000, transferSyntaxUID: "1.2.840.10008.1.2.1", flags: 0, values: values,
                folded: [String?](repeating: nil, count: values.count), requests: [])
            follower.hand(
                [.instance(instance)], [Self.blob(number)],
                position: CatalogPosition(
                    sequence: sequence, writer: 1, segment: 1, endOffset: (sequence + 1) * 4096))
        }

        func instances(_ readers: CatalogReaders) throws -> Int {
            try readers.withReader { try $0.statistics().instances }
        }

        /// By another connection, as if the device had failed: no instance can be added until it is taken away.
        func block(_ isBlocked: Bool) throws {
            try execute(
                isBlocked
                    ? "CREATE TRIGGER blocked BEFORE INSERT ON instance BEGIN SELECT RAISE(FAIL, 'blocked'); END"
                    : "DROP TRIGGER blocked")
        }

        private func execute(_ sql: String) throws {
            var handle: OpaquePointer?
            defer { sqlite3_close_v2(handle) }
            #expect(sqlite3_open_v2("\(folder)/catalog.db", &handle, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK)
            sqlite3_busy_timeout(handle, 5000)
            #expect(sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK)
        }

        /// Waits for what the follower does by itself.
        func eventually(_ condition: () throws -> Bool) throws -> Bool {
            for _ in 0..<2000 {
                if try condition() { return true }
                usleep(5000)
            }
            return false
        }
    }

    @Test("Who reads finds all that was handed over before")
    func found() throws {
        let world = try World()
        for number in 1...300 {
            world.hand(number)
            #expect(try world.instances(world.readers) == number)
            #expect(!world.follower.isWaiting(World.blob(number)))
        }
    }

    @Test(
        "Where nobody asks, it comes into the catalog by itself, and until then its content is known to be on its way")
    func byItself() throws {
        let world = try World()
        world.hand(1)
        var wasNowhere = false
        let came = try world.eventually {
            // In the order in which the group commit asks.
            let isWaiting = world.follower.isWaiting(World.blob(1))
            let isThere = try world.hasty.withReader { try $0.location(ofBlob: World.blob(1).bytes) } != nil
            wasNowhere = wasNowhere || !isWaiting && !isThere
            return isThere
        }
        #expect(came && !wasNowhere)
        #expect(!world.follower.isWaiting(World.blob(2)))
    }

    @Test("More than may wait comes into the catalog, too")
    func many() throws {
        let world = try World()
        for number in 1...5000 { world.hand(number) }
        #expect(try world.instances(world.readers) == 5000)
    }

    @Test("What came last is in the catalog when it is closed")
    func stopped() throws {
        let world = try World()
        for number in 1...10 { world.hand(number) }
        world.follower.stop()
        #expect(try world.instances(world.hasty) == 10)
    }

    @Test(
        "A catalog that cannot be written holds up nobody who reads, refuses who stores, and gets all of it afterwards")
    func blocked() throws {
        let world = try World()
        world.hand(1)
        #expect(try world.instances(world.readers) == 1)
        try world.block(true)
        world.hand(2)
        #expect(try world.instances(world.readers) == 1)
        guard case .unavailable? = world.follower.problem else { return #expect(Bool(false)) }
        // One that was on its way when that was found out.
        world.hand(3)
        #expect(try world.instances(world.readers) == 1)
        #expect(world.follower.isWaiting(World.blob(2)) && world.follower.isWaiting(World.blob(3)))
        #expect(throws: ArchiveError.self) { try world.follower.withCatalog { _ in } }
        try world.block(false)
        #expect(try world.eventually { world.follower.problem == nil })
        #expect(try world.instances(world.readers) == 3)
        try world.follower.withCatalog { _ in }
        world.hand(4)
        #expect(try world.instances(world.readers) == 4)
    }

    @Test("It ends though the catalog cannot be written")
    func endsBlocked() throws {
        let world = try World()
        try world.block(true)
        world.hand(1)
        world.follower.stop()
        #expect(try world.instances(world.hasty) == 0)
    }

    /// A catalog that hangs would hold up who asks for each.
    @Test("Who asks has the catalog catch up once")
    func once() throws {
        let world = try World()
        world.hand(1)
        world.follower.catchUp()
        let count = Monitor(0)
        let readers = try CatalogReaders(
            path: "\(world.folder)/catalog.db", catchUp: { count.update { $0 += 1 } })
        func asked(_ question: () throws -> Void) rethrows -> Int {
            count.update { $0 = 0 }
            try question()
            return count.withLock { $0 }
        }
        let scope = CatalogScope.everything(as: "A")
        var selection = CatalogSelection()
        selection.studyInstanceUIDs = ["1.2"]
        let query = CatalogQuery(level: .instance, scope: scope)
        #expect(try asked { try readers.find(query) { _ in true } } == 1)
        #expect(try asked { try readers.rows(try readers.page(query, countingUpTo: 10)) { _ in true } } == 1)
        #expect(try asked { _ = try readers.versions(selection, scope: scope) } == 1)
    }
}
