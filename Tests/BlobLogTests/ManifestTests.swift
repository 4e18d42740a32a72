// SPDX-License-Identifier: Apache-2.0
import Foundation
import Platform
import Testing

@testable import BlobLog

@Suite("Manifest")
struct ManifestTests {
    private let folder: Folder

    init() throws { folder = try Folder() }

    private var manifestPath: String { "\(folder.path)/manifest.json" }

    private func segmentPath(_ number: UInt32, generation: UInt32 = 1) -> String {
        func digits(_ value: UInt32) -> String { String(format: "%08x", value) }
        return "\(folder.path)/segments/\(digits(generation))-\(digits(number)).seg"
    }

    /// A log of three segments, the last one open.
    private func fill() throws {
        let session = try Session(folder, segmentBytes: 8192)
        for seed in 1...3 { try session.append(Samples.bytes(9000, seed: UInt64(seed))) }
    }

    /// The directory without its lock, as readers open it.
    private func directory() throws -> DataDirectory { try DataDirectory(folder.path, locking: false) }

    @Test("Sealed segments are listed, the open one is not")
    func lists() throws {
        try fill()
        let directory = try directory()
        let manifest = try #require(try Manifest.load(directory))
        #expect(manifest.sealed.map(\.number) == [1, 2])
        #expect(manifest.sealed.map(\.generation) == [1, 1])
        #expect(manifest.sealed.map(\.bytes) == [try Disk.size(segmentPath(1)), try Disk.size(segmentPath(2))])
        #expect(manifest.begun == 3)
        #expect(manifest.archiveUUID == directory.archiveUUID)
        #expect(try manifest.missing(in: directory, reached: 3).isEmpty)
    }

    @Test("The counter grows, and a list without news is not written again")
    func counter() throws {
        try fill()
        let directory = try directory()
        let first = try #require(try Manifest.load(directory))
        #expect(try Manifest.update(directory) == first)
        let session = try Session(folder, segmentBytes: 8192)
        try session.append(Samples.bytes(9000, seed: 4))
        let second = try #require(try Manifest.load(directory))
        #expect(second.counter > first.counter)
        #expect(second.sealed.map(\.number) == [1, 2, 3])
    }

    @Test("The key is its owner's alone and stays the same")
    func key() throws {
        try fill()
        let path = "\(folder.path)/manifest.key"
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let before = try FileSystem.contents(path)
        _ = try Session(folder, segmentBytes: 8192)
        #expect(try FileSystem.contents(path) == before)
    }

    @Test("A segment that is gone, or shorter, is told, and stays told")
    func missing() throws {
        try fill()
        let all = try FileSystem.contents(segmentPath(1))
        try Disk.truncate(segmentPath(1), to: 4096)
        #expect(try Manifest.load(try directory())?.missing(in: try directory()).map(\.number) == [1])
        unlink(segmentPath(1))
        for _ in 0..<2 {
            let session = try Session(folder, segmentBytes: 8192)
            #expect(session.report.missing.map(\.number) == [1])
        }
        try Disk.write(segmentPath(1), all)
        #expect(try Session(folder, segmentBytes: 8192).report.missing.isEmpty)
    }

    @Test("The open segment is missed where the catalog has seen records in it")
    func missingOpen() throws {
        try fill()
        unlink(segmentPath(3))
        let manifest = try #require(try Manifest.load(try directory()))
        #expect(try manifest.missing(in: try directory()).isEmpty)
        #expect(try manifest.missing(in: try directory(), reached: 3).map(\.number) == [3])
    }

    @Test("A higher generation stands for the one that is listed, a lower one does not")
    func generations() throws {
        try fill()
        try FileManager.default.copyItem(atPath: segmentPath(1), toPath: segmentPath(1, generation: 2))
        try Disk.truncate(segmentPath(1, generation: 2), to: 4096)
        unlink(segmentPath(1))
        let directory = try directory()
        #expect(try Manifest.load(directory)?.missing(in: directory).isEmpty == true)
        let manifest = try Manifest.update(directory)
        #expect(manifest.sealed.first == .init(number: 1, generation: 2, bytes: 4096))
        try Disk.write(segmentPath(1), [0])
        unlink(segmentPath(1, generation: 2))
        #expect(try manifest.missing(in: directory).map(\.number) == [1])
    }

    @Test("Of each number the highest generation is live, and other names are passed over")
    func live() throws {
        try fill()
        for name in ["00000002-00000001.seg", "00000002-00000002.seg.new", "1-2.seg", "note.txt"] {
            try Disk.write("\(folder.path)/segments/\(name)", [0])
        }
        let live = try Segment.live(try directory())
        #expect(live.map(\.number) == [1, 2, 3])
        #expect(live.map(\.generation) == [2, 1, 1])
    }

    @Test("Each changed byte is found")
    func signature() throws {
        try fill()
        let good = try FileSystem.contents(manifestPath)
        let directory = try directory()
        for position in good.indices where position % 7 == 0 || position > good.count - 140 {
            var bytes = good
            bytes[position] ^= 1
            try Disk.write(manifestPath, bytes)
            #expect(throws: LogError.self) { try Manifest.load(directory) }
        }
        for length in [0, 1, good.count / 2, good.count - 1] {
            try Data(good.prefix(length)).write(to: URL(fileURLWithPath: manifestPath))
            #expect(throws: LogError.self) { try Manifest.load(directory) }
        }
    }

    @Test("A manifest signed by another archive's key is refused, at start laid aside and written anew")
    func foreignKey() throws {
        try fill()
        let other = try Folder()
        _ = try Session(other)
        try FileManager.default.removeItem(atPath: "\(folder.path)/manifest.key")
        try FileManager.default.copyItem(atPath: "\(other.path)/manifest.key", toPath: "\(folder.path)/manifest.key")
        #expect(throws: LogError.self) { try Manifest.load(try directory()) }
        #expect(throws: LogError.self) { try Manifest.update(try directory()) }
        _ = try Session(folder, segmentBytes: 8192)
        #expect(try Manifest.load(try directory())?.sealed.map(\.number) == [1, 2])
        #expect(FileSystem.exists(manifestPath + ".damaged"))
    }
}
