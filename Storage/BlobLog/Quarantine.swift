// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Where refused bytes are kept for people to look at: bounded, the oldest go first, never read by the archive.
package final class Quarantine: Sendable {
    private let directory: DataDirectory
    private let maximumBytes: UInt64
    private let state = Monitor<State>(State())

    private struct State {
        var files: [(name: String, bytes: UInt64)] = []
        var bytes: UInt64 = 0
        var serial = 0
    }

    /// - Parameter maximumBytes: of all refused objects together.
    package init(_ directory: DataDirectory, maximumBytes: UInt64) throws(LogError) {
        self.directory = directory
        self.maximumBytes = maximumBytes
        let path = directory.quarantine
        let files = try wrappingSystemErrors { () throws(SystemError) in
            try directory.volume.entries(path).filter { $0.hasSuffix(".dcm") }.map { name throws(SystemError) in
                (name, try directory.volume.open("\(path)/\(name)", O_RDONLY).size())
            }
        }
        state.withLock {
            $0.files = files
            $0.bytes = files.reduce(0) { $0 + $1.1 }
        }
    }

    package var totals: (files: Int, bytes: UInt64) { state.withLock { ($0.files.count, $0.bytes) } }

    /// Keeps the bytes of a refused object and the reason beside them. A failure here is logged, not passed on: the
    /// sender has its refusal either way.
    /// - Parameter isSynced: it is about to be removed elsewhere.
    package func keep(_ bytes: UnsafeRawBufferPointer, reason: String, isSynced: Bool = false) {
        place(bytes: UInt64(bytes.count), reason: reason) { path throws(LogError) in
            try wrappingSystemErrors { () throws(SystemError) in
                let file = try directory.volume.open(path, O_WRONLY | O_CREAT | O_EXCL)
                try file.write(bytes, at: 0)
                if isSynced { try file.synchronize() }
            }
        }
    }

    package func keep(_ object: LargeObjectFile, reason: String) {
        place(bytes: object.length, reason: reason) { path throws(LogError) in try object.move(to: path) }
    }

    /// Keeps a file that was found without a record that refers to it.
    package func keep(fileAt source: String, bytes: UInt64, reason: String) {
        place(bytes: bytes, reason: reason) { path throws(LogError) in
            try wrappingSystemErrors { () throws(SystemError) in
                try directory.volume.rename(source, to: path)
            }
        }
    }

    private func place(bytes: UInt64, reason: String, _ write: (String) throws(LogError) -> Void) {
        guard bytes <= maximumBytes else {
            Log.warning("refused object larger than the quarantine, dropped", ["bytes": "\(bytes)", "reason": reason])
            return
        }
        let name = state.withLock { state in
            while state.bytes + bytes > maximumBytes, !state.files.isEmpty {
                let oldest = state.files.removeFirst()
                state.bytes -= oldest.bytes
                try? directory.volume.unlink("\(directory.quarantine)/\(oldest.name)")
                try? directory.volume.unlink("\(directory.quarantine)/\(oldest.name.dropLast(4)).txt")
            }
            let time = Clock.timestamp().filter { $0 != ":" }
            var name = ""
            // In a container every process has the same number.
            repeat {
                state.serial += 1
                name = "\(time)-\(getpid())-\(state.serial).dcm"
            } while directory.volume.exists("\(directory.quarantine)/\(name)")
            state.files.append((name, bytes))
            state.bytes += bytes
            return name
        }
        do {
            let path = "\(directory.quarantine)/\(name)"
            try write(path)
            let text = Array((reason + "\n").utf8)
            try? text.withRawBytes { text throws(SystemError) in
                try directory.volume.open("\(path.dropLast(4)).txt", O_WRONLY | O_CREAT | O_TRUNC).write(text, at: 0)
            }
        } catch {
            state.withLock { state in
                guard let index = state.files.firstIndex(where: { $0.name == name }) else { return }
                state.bytes -= state.files.remove(at: index).bytes
            }
            Log.error("refused object could not be kept", ["why": "\(error)", "reason": reason])
        }
    }
}
