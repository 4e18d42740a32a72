// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import Foundation
import Platform
import Testing

@testable import Archive

@Suite("Storing beside what makes deletions final")
struct PurgeBesideStoreTests {
    /// Explicit VR Little Endian, as short as one can be.
    private static let dataSet: [UInt8] = [
        (0x0008, 0x0016, "1.2.840.10008.5.1.4.1.1.7"), (0x0008, 0x0018, "1.2.3.4"), (0x0020, 0x000D, "1.2"),
        (0x0020, 0x000E, "1.2.3"),
    ].flatMap { group, element, uid -> [UInt8] in
        let value = Array(uid.utf8) + (uid.utf8.count % 2 == 0 ? [] : [0])
        return [UInt8(group), 0, UInt8(element), 0] + Array("UI".utf8) + [UInt8(value.count), 0] + value
    }

    private static func store(_ archive: Archive, _ done: @escaping @Sendable (StoreOutcome?) -> Void) throws {
        let ingest = archive.beginIngest(
            sopClassUID: "1.2.840.10008.5.1.4.1.1.7", sopInstanceUID: "1.2.3.4", transferSyntaxUID: "1.2.840.10008.1.2.1",
            source: .archive)
        dataSet.withUnsafeBytes { ingest.take($0) }
        try ingest.finish(mayCommit: false) { done(try? $0.get()) }
    }

    @Test("Content that comes again together with the end of its last copy is kept")
    func purged() throws {
        let folder = "\(NSTemporaryDirectory())snimok-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var settings = Archive.Settings()
        settings.freeSpaceFloorBytes = 0
        settings.deletionRegister = "\(folder)/register"
        let archive = try Archive(DataDirectory("\(folder)/data"), settings: settings, metrics: Metrics())
        defer { archive.close() }
        let outcomes = Monitor<[StoreOutcome?]>([])
        let done: @Sendable (StoreOutcome?) -> Void = { outcome in outcomes.update { $0.append(outcome) } }
        try Self.store(archive, done)
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
            do { try Self.store(archive, done) } catch { Issue.record(error) }
        }
        outcomes.wait { $0.count == 2 ? true : nil }
        isPurging.wait { $0 ? nil : true }
        #expect(outcomes.withLock { $0 } == [.stored, .stored])
        var selection = CatalogSelection()
        selection.sopInstanceUIDs = ["1.2.3.4"]
        #expect(try archive.versions(selection, scope: .everything(as: "")).count == 1)
    }
}
