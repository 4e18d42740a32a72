// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Foundation
import Platform
import Testing

@testable import Archive

@Suite("Storing")
final class StoringTests {
    private let folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Explicit VR Little Endian, as short as one can be.
    private static func dataSet(_ uid: String) -> [UInt8] {
        [
            (0x0008, 0x0016, "1.2.840.10008.5.1.4.1.1.7"), (0x0008, 0x0018, uid), (0x0020, 0x000D, "1.2"),
            (0x0020, 0x000E, "1.2.3"),
        ].flatMap { group, element, uid -> [UInt8] in
            let value = Array(uid.utf8) + (uid.utf8.count % 2 == 0 ? [] : [0])
            return [UInt8(group), 0, UInt8(element), 0] + Array("UI".utf8) + [UInt8(value.count), 0] + value
        }
    }

    private func open() throws -> Archive {
        var settings = Archive.Settings()
        settings.freeSpaceFloorBytes = 0
        settings.deletionRegister = "\(folder)/register"
        return try Archive(DataDirectory("\(folder)/data"), settings: settings, metrics: Metrics())
    }

    private static func store(
        _ archive: Archive, _ uid: String = "1.2.3.4", done: @escaping @Sendable (StoreOutcome?) -> Void
    ) throws {
        let ingest = archive.beginIngest(
            sopClassUID: "1.2.840.10008.5.1.4.1.1.7", sopInstanceUID: uid, transferSyntaxUID: "1.2.840.10008.1.2.1",
            source: .archive)
        dataSet(uid).withUnsafeBytes { ingest.take($0) }
        try ingest.finish(mayCommit: false) { done(try? $0.get()) }
    }

    @Test("Content that comes again together with the end of its last copy is kept")
    func purged() throws {
        let archive = try open()
        defer { archive.close() }
        let outcomes = Monitor<[StoreOutcome?]>([])
        let done: @Sendable (StoreOutcome?) -> Void = { outcome in outcomes.update { $0.append(outcome) } }
        try Self.store(archive, done: done)
        outcomes.wait { $0.count == 1 ? true : nil }
        let tombstone = try archive.delete(DeletionTarget(study: "1.2"), by: .archive).sequence
        let isPurging = Monitor(false)
        // While nothing can be committed both queue up, and come into one batch if they may.
        try archive.committer.exclusively { _ in
            Thread.detachNewThread {
                isPurging.update { $0 = true }
                _ = try? archive.annotate(ControlRecord.Annotation.purge.rawValue, target: "\(tombstone)", by: .archive)
                isPurging.update { $0 = false }
            }
            isPurging.wait { $0 ? true : nil }
            usleep(100_000)
            do { try Self.store(archive, done: done) } catch { Issue.record(error) }
        }
        outcomes.wait { $0.count == 2 ? true : nil }
        isPurging.wait { $0 ? nil : true }
        #expect(outcomes.withLock { $0 } == [.stored, .stored])
        var selection = CatalogSelection()
        selection.sopInstanceUIDs = ["1.2.3.4"]
        #expect(try archive.versions(selection, scope: .everything(as: "")).count == 1)
    }

    @Test("Who opens the archive beside its server finds what was answered before")
    func secondProcess() throws {
        let archive = try open()
        defer { archive.close() }
        let stored = Monitor(0)
        for number in 1...40 {
            try Self.store(archive, "1.2.3.\(number)") { outcome in
                if outcome == .stored { stored.update { $0 += 1 } }
            }
            stored.wait { $0 == number ? true : nil }
            let reader = try ArchiveReader("\(folder)/data")
            #expect(try reader.readers.withReader { try $0.statistics().instances } == number)
        }
    }

    @Test("Who opens an archive whose server has stopped does not wait for what its catalog has not")
    func stopped() throws {
        let files = ["catalog.db", "catalog.db-wal"]
        do {
            let archive = try open()
            for name in files {
                try FileManager.default.copyItem(atPath: "\(folder)/data/\(name)", toPath: "\(folder)/\(name)")
            }
            let isStored = Monitor(false)
            try Self.store(archive) { _ in isStored.update { $0 = true } }
            isStored.wait { $0 ? true : nil }
            archive.close()
        }
        // As a power cut may leave it.
        for name in files + ["catalog.db-shm"] {
            try? FileManager.default.removeItem(atPath: "\(folder)/data/\(name)")
        }
        for name in files {
            try FileManager.default.moveItem(atPath: "\(folder)/\(name)", toPath: "\(folder)/data/\(name)")
        }
        let reader = try ArchiveReader("\(folder)/data")
        #expect(try reader.readers.withReader { try $0.statistics().instances } == 0)
    }
}
