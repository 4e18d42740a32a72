// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// A large object's second copy, written as the object comes. When it fails, the mirror is detached, and the object goes on
/// without it.
final class MirrorLargeFile {
    private let mirror: Mirror
    private let link: MirrorLink
    private let file: any VolumeFile
    private var path: String
    private var hasFailed = false

    /// nil: there is no second copy now.
    init?(_ mirror: Mirror, number: UInt64) {
        guard let link = mirror.link else { return nil }
        self.mirror = mirror
        self.link = link
        path = "\(link.directory.incoming)/\(number).part"
        do { file = try link.directory.volume.open(path, O_RDWR | O_CREAT | O_EXCL) } catch {
            mirror.detach(link, "\(error)")
            return nil
        }
    }

    private var volume: any Volume { link.directory.volume }

    private func attempt(_ body: () throws(SystemError) -> Void) {
        guard !hasFailed else { return }
        do throws(SystemError) { try body() } catch {
            hasFailed = true
            mirror.detach(link, "\(error)")
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        attempt { () throws(SystemError) in try file.write(bytes, at: offset) }
    }

    func startWriteBack(_ range: Range<UInt64>) { file.startWriteBack(range) }

    /// Makes the file durable under its final name.
    func finish(_ name: String) {
        attempt { () throws(SystemError) in
            try file.synchronize()
            let final = "\(link.directory.incoming)/\(name)"
            try volume.rename(path, to: final)
            path = final
            try volume.synchronizeDirectory(link.directory.incoming)
        }
    }

    func keep(_ name: String) { try? volume.rename(path, to: "\(link.directory.large)/\(name)") }

    func remove() { try? volume.unlink(path) }
}
