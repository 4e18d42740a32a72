// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// The second copy of an archive, in a directory on another volume: of the same layout and identity, with the same bytes in
/// its segments, so that a server can be started on it as it is.
///
/// While it is *attached*, each batch is written and synced there as well before anybody is told that it is stored. After
/// any error it is detached, until a catch-up has compared it with the archive and brought what it lacks.
package final class Mirror: Sendable {
    package struct Settings: Sendable {
        package var directory: String
        /// Whether nothing is stored while there is no second copy; otherwise storing goes on with one.
        package var stops = false
        /// Catching up leaves so much free, bytes.
        package var freeSpaceFloorBytes: UInt64 = 1 << 30
        package var volume: any Volume = SystemVolume()

        package init(directory: String) { self.directory = directory }

        /// Whether it was begun.
        func isThere() throws(LogError) -> Bool {
            try wrappingSystemErrors { () throws(SystemError) in try volume.has("\(directory)/format") }
        }
    }

    private struct State {
        var link: MirrorLink?
        /// Why it is detached.
        var reason = "not attached yet"
        var lagBytes: UInt64 = 0
        var failures = 0
    }

    package let settings: Settings
    /// Whose mirror it is.
    let archive: DataDirectory
    private let state = Monitor(State())
    private let thread = MirrorThread()
    // Of whoever appends: how much the running batch adds, and what the mirror does about it.
    private nonisolated(unsafe) var pending: (link: MirrorLink?, bytes: UInt64) = (nil, 0)

    package init(_ settings: Settings, of archive: DataDirectory) throws(LogError) {
        self.settings = settings
        self.archive = archive
        try wrappingSystemErrors { () throws(SystemError) in try thread.run() }
    }

    /// Refuses to make a new archive beside a copy of the lost one.
    package static func checkPresence(of data: String, _ settings: Settings) throws(LogError) {
        guard !FileSystem.exists("\(data)/format") else { return }
        // Where that cannot be told, nobody knows whether there is one.
        if try settings.isThere() { throw .onlyMirror(data, settings.directory) }
    }

    package var isAttached: Bool { state.withLock { $0.link != nil } }
    /// Why there is no second copy now; nil: there is one.
    package var problem: String? {
        state.withLock { $0.link == nil ? "mirror \(settings.directory): \($0.reason)" : nil }
    }
    /// Why nothing may be stored now; nil: it may.
    package var refusal: String? { settings.stops ? problem : nil }
    /// Bytes of the archive that the mirror does not have.
    package var lagBytes: UInt64 { state.withLock { $0.lagBytes } }
    package var failures: Int { state.withLock { $0.failures } }
    /// Reads records of the mirror at the places that they have in the archive; nil: detached.
    package var reader: LogReader? { state.withLock { $0.link?.reader } }
    var link: MirrorLink? { state.withLock { $0.link } }

    // MARK: Attaching

    /// Opens the directory and locks it. It stays as it is.
    /// - Parameter mayCreate: an empty or missing one is made the mirror; otherwise only one that exists.
    func open(mayCreate: Bool) throws(LogError) -> DataDirectory {
        guard !isOwnDirectory else {
            throw .unmirrored("\(settings.directory) is the archive's own directory, so there is no second copy")
        }
        return try DataDirectory(
            mirror: settings.directory, of: archive, mayCreate: mayCreate, volume: settings.volume)
    }

    private var isOwnDirectory: Bool {
        let paths = [settings.directory, archive.path].map { path in
            guard let real = realpath(path, nil) else { return path }
            defer { free(real) }
            return String(cString: real)
        }
        return paths[0] == paths[1]
    }

    /// From the next batch on both are written. The mirror has everything up to `position`, where the log ends; nobody
    /// appends meanwhile.
    func attach(_ directory: DataDirectory, at position: LogPosition) throws(LogError) {
        let link = try MirrorLink(directory, at: position)
        state.update { state in
            state.link = link
            state.lagBytes = 0
        }
        Log.info("mirror attached", ["directory": settings.directory, "sequence": "\(position.sequence)"])
    }

    /// Gives the mirror up until it has caught up.
    package func detach(_ why: String) { detach(nil, why) }

    /// - Parameter link: the one that failed; nil: whichever there is.
    func detach(_ link: MirrorLink?, _ why: String) {
        let detached = state.update { state -> MirrorLink? in
            guard let attached = state.link, link == nil || attached === link else { return nil }
            state.link = nil
            state.reason = why
            state.failures += 1
            return attached
        }
        guard let detached else { return }
        // Not while others wait to know whether there is a mirror: it may be another machine's, that answers no more.
        detached.directory.releaseLock()
        Log.error(
            settings.stops
                ? "THE MIRROR FAILED: nothing is stored until it has caught up"
                : "THE MIRROR FAILED: storing goes on with one copy", ["directory": settings.directory, "why": why])
    }

    /// Says why a detached mirror could not be attached again.
    package func note(_ why: String) {
        let isNews = state.withLock { state in
            guard state.link == nil, state.reason != why else { return false }
            state.reason = why
            return true
        }
        if isNews { Log.warning("the mirror is not attached", ["directory": settings.directory, "why": why]) }
    }

    func setLag(_ bytes: UInt64) { state.withLock { $0.lagBytes = bytes } }

    /// Ends the thread. Nothing may be appended any more.
    package func close() {
        thread.stop()
        let last = state.withLock { state in
            defer {
                state.link = nil
                state.reason = "the archive is closed"
            }
            return state.link
        }
        last?.directory.releaseLock()
    }

    // MARK: Appending; one thread at a time

    /// Begins to write a batch and to sync it, while the caller does the same here; `end` must follow.
    /// - Parameter vectors: stay as they are until then.
    func begin(_ records: [NewRecord], _ vectors: [iovec], at offset: UInt64) {
        let bytes = vectors.reduce(0) { $0 + UInt64($1.iov_len) }
        pending = (link, bytes)
        guard let link = pending.link else { return }
        for record in records where record.kind == .largeInstance {
            do throws(LogError) { try link.ensureLarge(record.blobID, number: record.largeNumber, from: archive) } catch
            {
                pending.link = nil
                return detach(link, "\(error)")
            }
        }
        thread.start(MirrorThread.Job(link: link, vectors: vectors, offset: offset))
    }

    /// Waits until the mirror is done with the batch.
    /// - Throws: `.unmirrored`, where that is to cost the batch.
    func end() throws(LogError) {
        if let link = pending.link, let error = thread.wait() {
            pending.link = nil
            detach(link, "\(error)")
        }
        let (link, bytes) = pending
        pending = (nil, 0)
        guard link == nil else { return }
        if let refusal { throw .unmirrored(refusal) }
        state.withLock { $0.lagBytes += bytes }
    }

    /// A segment was begun in the archive.
    func begin(_ segment: Segment) throws(LogError) {
        if let link {
            do throws(LogError) { try link.begin(segment) } catch { detach(link, "\(error)") }
        }
        if let refusal { throw .unmirrored(refusal) }
    }

    /// What stands behind `offset` in the open segment was not accepted.
    func discardTail(to offset: UInt64) {
        guard let link else { return }
        do throws(SystemError) { try link.truncate(to: offset) } catch { detach(link, "\(error)") }
    }
}

extension Mirror {
    /// Whether an attached mirror can still be written to, as far as one can tell without writing.
    package func probe() throws(LogError) {
        guard let link else { return }
        try wrappingSystemErrors { () throws(SystemError) in try link.probe() }
    }
}
