// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Pictures that were made, on disk under a cap. All of it can be made again, so it is dropped freely: the oldest when it
/// grows too large, and everything unreadable.
package final class PreviewCache: Sendable {
    private struct State {
        var bytes: UInt64 = 0
        /// Names in the order of their making, with their size.
        var files: [(name: String, bytes: UInt64)] = []
    }

    private let directory: String
    private let maximumBytes: UInt64
    private let state = Monitor(State())

    /// - Parameter maximumBytes: 0: nothing is kept.
    package init(directory: String, maximumBytes: UInt64) throws(SystemError) {
        self.directory = directory
        self.maximumBytes = maximumBytes
        try FileSystem.createDirectories(directory)
        // The order of an earlier run is not known; what it left is dropped first.
        let names = try FileSystem.entries(directory)
        state.update { state in
            for name in names {
                guard !name.hasSuffix(".new"), let file = try? FileDescriptor.open("\(directory)/\(name)", O_RDONLY),
                    let size = try? file.size()
                else {
                    unlink("\(directory)/\(name)")
                    continue
                }
                state.files.append((name, size))
                state.bytes += size
            }
        }
        drop()
    }

    /// Sends the picture under an entity tag, made if there is none. It is kept when it is on its way: nobody waits for that.
    func use(_ tag: String, _ make: () throws -> [UInt8], send: ([UInt8]) throws -> Void) throws {
        let name = tag.filter { $0.isLetter || $0.isNumber }
        if maximumBytes > 0, let bytes = try? FileSystem.contents("\(directory)/\(name)"), !bytes.isEmpty {
            return try send(bytes)
        }
        let bytes = try make()
        try send(bytes)
        if maximumBytes > 0 { keep(bytes, name) }
    }

    private func keep(_ bytes: [UInt8], _ name: String) {
        // Under a name of its own until it is whole; without a sync, for nothing is lost with it.
        let temporary = "\(directory)/\(name).\(UInt32.random(in: 0 ... .max)).new"
        do throws(SystemError) {
            let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC)
            try bytes.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
        } catch {
            unlink(temporary)
            return
        }
        guard rename(temporary, "\(directory)/\(name)") == 0 else { return }
        state.update { state in
            state.files.append((name, UInt64(bytes.count)))
            state.bytes += UInt64(bytes.count)
        }
        drop()
    }

    private func drop() {
        let dropped = state.update { state in
            var names: [String] = []
            // A tenth at once, so that it is not done with each picture.
            guard state.bytes > maximumBytes else { return names }
            while state.bytes > maximumBytes / 10 * 9, !state.files.isEmpty {
                let file = state.files.removeFirst()
                state.bytes -= min(file.bytes, state.bytes)
                names.append(file.name)
            }
            return names
        }
        for name in dropped { unlink("\(directory)/\(name)") }
    }
}
