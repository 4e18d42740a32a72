// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import Catalog

@Suite("Room set aside behind the write-ahead log")
struct ReserveTests {
    /// Bytes that the disk holds for the file behind its end.
    private static func room(behind path: String) -> Int {
        var status = stat()
        #expect(stat(path, &status) == 0)
        return Int(status.st_blocks) * 512 - Int(status.st_size)
    }

    private static let canReserve: Bool = {
        let path = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        defer { unlink(path) }
        return (try? FileDescriptor.open(path, O_RDWR | O_CREAT, mode: 0o600))?.reserve(0..<4096) ?? false
    }()

    private static func grow(_ catalog: TestCatalog, _ megabytes: Int) throws {
        try catalog.writer.inTurn { () throws(CatalogError) in
            try catalog.writer.database.execute(
                "INSERT INTO setting VALUES('\(UUID())', hex(zeroblob(\(megabytes << 19))))")
        }
    }

    @Test(
        "Each transaction finds room for two like the largest before, and for 16 MiB at least",
        .enabled(if: canReserve, "the file system for temporary files sets nothing aside"))
    func room() throws {
        let catalog = try TestCatalog()
        let log = catalog.path + "-wal"
        #expect(Self.room(behind: log) >= 16 << 20)
        for _ in 0..<12 {
            try Self.grow(catalog, 3)
            #expect(Self.room(behind: log) >= 16 << 20)
        }
        try Self.grow(catalog, 20)
        #expect(Self.room(behind: log) >= 40 << 20)
        // Where SQLite keeps which page is where has room for as much.
        let frames = try (FileDescriptor.open(log, O_RDONLY).size() + 40 << 20) / (4096 + 24)
        #expect(try FileDescriptor.open(catalog.path + "-shm", O_RDONLY).size() >= (frames + 34) / 4096 * 32_768)
    }

    @Test(
        "A log that was cut off when it began anew has room again",
        .enabled(if: canReserve, "the file system for temporary files sets nothing aside"))
    func cutOff() throws {
        let catalog = try TestCatalog()
        let log = catalog.path + "-wal"
        try catalog.writer.database.execute("PRAGMA journal_size_limit=4096")
        try Self.grow(catalog, 20)
        try catalog.writer.database.checkpoint(.restart)
        try Self.grow(catalog, 0)
        #expect(try FileDescriptor.open(log, O_RDONLY).size() < 1 << 20)
        #expect(Self.room(behind: log) >= 16 << 20)
    }

    @Test(
        "What a replay took does not count",
        .enabled(if: canReserve, "the file system for temporary files sets nothing aside"))
    func replay() throws {
        let catalog = try TestCatalog()
        catalog.writer.beginReplay()
        try Self.grow(catalog, 50)
        try catalog.writer.endReplay()
        #expect((16 << 20..<48 << 20).contains(Self.room(behind: catalog.path + "-wal")))
    }
}
