// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Platform
import Seeded

/// One run: the life of one archive, with a look at what each crash on its way would leave. Everything in it follows from
/// the seed and the run's number.
final class Explorer {
    /// States that one run looks at.
    static let statesPerRun = 64
    /// Crashes within the starts after crashes, one within the other.
    private static let depthMaximum = 3
    /// Moments of one start or batch that are looked at.
    private static let imagesMaximum = 4

    /// The disk at one moment, and what was promised by then.
    private struct Image {
        let disk: SimulatedDisk
        var oracle: Oracle
        /// What the start in whose course it was taken had given to the catalog.
        var replayed: [StoredRecord] = []
    }

    private var random: SplitMix
    private var workload: Workload
    private let pool: BufferPool
    private let trace: Trace
    private let directWriting: SimulatedVolume.DirectWriting
    /// Small, so that most batches are the last of their segment, or the first.
    private let segmentBytes: UInt64
    /// The state to stop at, to see how it came to be.
    private let last: Int
    private var states = 0
    /// The state that is looked at, or that comes next: whoever wants to see again what happens now asks for it.
    private(set) var state = 0

    // The archive's own life.
    private var volume: SimulatedVolume
    private var session: Session?
    private var oracle = Oracle()

    /// - Parameter last: number, within the run, of the last state to look at.
    init(seed: UInt64, run: Int, last: Int = statesPerRun - 1, pool: BufferPool, trace: Trace) {
        random = SplitMix(seed: seed, [run])
        workload = Workload(&random)
        self.pool = pool
        self.trace = trace
        self.last = last
        // Through the page cache more can go wrong.
        directWriting = random.pick([.accepted, .refusedByOpen, .refusedByOpen, .refusedByWrite, .refusedByWrite])
        segmentBytes = random.pick([8192, 16_384, 40_960])
        let directories = random.oneIn(2) ? ["/", "/srv"] : ["/"]
        volume = SimulatedVolume(SimulatedDisk(directories: directories), directWriting, &random, trace)
    }

    func run() throws(Violation) {
        trace.add { "direct writing: \(self.directWriting)" }
        while states <= last {
            state = states
            guard let session else {
                try restart()
                continue
            }
            switch random.below(12) {
            case 0: end(by: "kill -9") { $0.afterKill(&$1) }
            case 1, 2: end(by: "power cut") { $0.afterPowerCut(&$1) }
            default: try append(session)
            }
        }
    }

    // MARK: The archive's life

    private func end(by name: String, _ disaster: (inout SimulatedDisk, inout SplitMix) -> SimulatedDisk) {
        trace.add { name }
        session = nil
        let disk = disaster(&volume.disk, &random)
        volume = SimulatedVolume(disk, directWriting, &random, trace)
    }

    private func restart() throws(Violation) {
        let (session, images) = try start(volume, &oracle, depth: 0)
        self.session = session
        if session == nil { end(by: "exit after a refused start") { $0.afterKill(&$1) } }
        try explore(images, depth: 0)
    }

    private func append(_ session: Session) throws(Violation) {
        let before = oracle
        let batch = workload.batch(&oracle, end: session.writer.position)
        trace.add { "append \(batch.map { "\($0.number) \($0.kind)" })" }
        var images: [Image] = []
        var promised = before
        for submission in batch { promised.submit(submission) }
        watch(volume) { images.append(Image(disk: $0, oracle: promised)) }
        if random.oneIn(4) { volume.faults = FaultPlan(&random) }
        try append(batch, session, &oracle)
        volume.beforeChange = nil
        volume.faults = nil
        images.append(Image(disk: volume.disk, oracle: oracle))
        if session.writer.stopReason != nil { end(by: "exit after an error") { $0.afterKill(&$1) } }
        try explore(images, depth: 0)
    }

    /// Appends and notes what was promised.
    private func append(_ batch: [Submission], _ session: Session, _ oracle: inout Oracle) throws(Violation) {
        do {
            let placed = try session.append(batch, pool)
            for (submission, place) in zip(batch, placed) {
                try oracle.keep(submission, place.0, place.1, session.volume.disk)
            }
            oracle.commit(session.writer.position)
            trace.add { "acknowledged up to \(session.writer.position)" }
        } catch let error as Violation {
            throw error
        } catch let error as LogError {
            trace.add { "refused: \(error)" }
            guard session.volume.faults?.hasFailed == true else { throw Violation("a batch is refused: \(error)") }
        } catch { fatalError("\(error)") }
    }

    /// Starts the process on a disk and checks what it finds; errors may be given on the way.
    /// - Returns: nil: the start was refused, for which there was a reason. The images were taken on the way.
    private func start(
        _ volume: SimulatedVolume, _ oracle: inout Oracle, depth: Int
    ) throws(Violation) -> (Session?, [Image]) {
        let position = loseCatalog(&oracle)
        var images: [Image] = []
        var replayed: [StoredRecord] = []
        let before = oracle
        if depth < Self.depthMaximum {
            watch(volume) { images.append(Image(disk: $0, oracle: before, replayed: replayed)) }
        }
        if random.oneIn(5) { volume.faults = FaultPlan(&random) }
        trace.add { "start from \(position)" }
        let session: Session
        do {
            session = try Session(volume, oracle, segmentBytes: segmentBytes, from: position) { replayed.append($0) }
        } catch {
            trace.add { "start refused: \(error)" }
            guard volume.faults?.hasFailed == true else { throw Violation("a start is refused: \(error)") }
            volume.beforeChange = nil
            volume.faults = nil
            return (nil, images)
        }
        volume.beforeChange = nil
        volume.faults = nil
        trace.add { "started at \(session.writer.position), \(replayed.count) replayed" }
        try oracle.check(replayed: replayed, from: position, session)
        try check(session, oracle)
        if let gap = session.report.gaps.first(where: { !$0.isUnreadable }) {
            throw Violation("damage is reported where there is none: \(gap.range) of segment \(gap.segment)")
        }
        return (session, images)
    }

    /// The catalog after a crash: as it was, without its last transactions, or gone.
    private func loseCatalog(_ oracle: inout Oracle) -> LogPosition {
        let count = oracle.positions.count
        let kept =
            switch random.below(3) {
            case 0: 0
            case 1: count
            default: random.below(count + 1)
            }
        oracle.rollBack(to: kept)
        return oracle.positions.last ?? .start
    }

    private func check(_ session: Session, _ oracle: Oracle) throws(Violation) {
        try oracle.checkFiles(session.volume.disk)
        if random.oneIn(6) { try oracle.checkWalk(session.log) }
        guard !oracle.kept.isEmpty else { return }
        for _ in 0..<2 { try oracle.checkRecord(random.below(oracle.kept.count), session.log.reader) }
    }

    // MARK: What crashes would leave

    /// Has images taken before some of the calls that change something.
    private func watch(_ volume: SimulatedVolume, _ take: @escaping (SimulatedDisk) -> Void) {
        var random = SplitMix(seed: random.next(), [])
        let rarity = 1 + random.below(6)
        volume.beforeChange = { disk in
            if random.oneIn(rarity) { take(disk) }
        }
    }

    private func explore(_ images: [Image], depth: Int) throws(Violation) {
        var images = images
        while images.count > Self.imagesMaximum { images.remove(at: random.below(images.count - 1)) }
        for image in images {
            for _ in 0..<1 + random.below(2) where states <= last { try look(at: image, depth: depth) }
        }
    }

    /// One state: the image after a crash, started, checked, and used.
    private func look(at image: Image, depth: Int) throws(Violation) {
        state = states
        states += 1
        let mark = trace.mark
        var disk = image.disk
        var oracle = image.oracle
        if !image.replayed.isEmpty, random.oneIn(2) {
            try oracle.commit(replayed: image.replayed.prefix(1 + random.below(image.replayed.count)), disk)
        }
        let isKill = random.oneIn(5)
        trace.add { "state \(self.state) of the run, depth \(depth): \(isKill ? "kill -9" : "power cut")" }
        disk = isKill ? disk.afterKill(&random) : disk.afterPowerCut(&random)
        var volume = SimulatedVolume(disk, directWriting, &random, trace)
        var (session, images) = try start(volume, &oracle, depth: depth)
        while session == nil {
            volume = SimulatedVolume(volume.disk.afterKill(&random), directWriting, &random, trace)
            (session, _) = try start(volume, &oracle, depth: Self.depthMaximum)
        }
        let whileStarting = images.last
        if random.oneIn(2), let session {
            let batch = workload.batch(&oracle, end: session.writer.position)
            trace.add { "append \(batch.map { "\($0.number) \($0.kind)" })" }
            try append(batch, session, &oracle)
            images.append(Image(disk: volume.disk, oracle: oracle))
        }
        if depth < Self.depthMaximum, let latest = images.last, states <= last {
            let chosen = random.pick([latest, whileStarting ?? latest, random.pick(images)])
            try look(at: chosen, depth: depth + 1)
        }
        if random.oneIn(8) { try rot(volume.disk, oracle) }
        trace.forget(since: mark)
    }

    // MARK: Bits that change by themselves

    /// One bit of the disk turns: nothing wrong may be served, and no start may take it for an unfinished write and remove
    /// what was acknowledged.
    private func rot(_ disk: SimulatedDisk, _ oracle: Oracle) throws(Violation) {
        guard let last = oracle.kept.last else { return }
        let index = random.below(oracle.kept.count)
        let kept = oracle.kept[index]
        let byte = Int(kept.location.offset) + random.below(Int(kept.location.length))
        try serve(index, on: flipped(disk, Session.segment(kept.location), byte), oracle)
        // The last segment's block: without it, its records look like a tail of garbage.
        let path = Session.segment(last.location)
        let volume = SimulatedVolume(flipped(disk, path, random.below(96)), directWriting, &random, trace)
        var oracle = oracle
        trace.add { "a bit turns in the block of \(path)" }
        let position = loseCatalog(&oracle)
        _ = try? Session(volume, oracle, segmentBytes: segmentBytes, from: position) { _ in }
        try oracle.checkFiles(volume.disk)
    }

    private func serve(_ index: Int, on disk: SimulatedDisk, _ oracle: Oracle) throws(Violation) {
        let volume = SimulatedVolume(disk, directWriting, &random, trace)
        let kept = oracle.kept[index]
        trace.add { "a bit turns in record \(kept.sequence)" }
        do throws(LogError) {
            let reader = LogReader(try DataDirectory(Session.directory, locking: false, volume: volume))
            let record = try reader.record(at: kept.location)
            guard record.header == kept.header, record.provenance == kept.submission.provenance,
                try record.bytes(0..<record.header.payloadLength) == kept.submission.payload
            else { throw LogError.stopped("") }
        } catch {
            if case .stopped = error { throw Violation("record \(kept.sequence) is served with a wrong bit") }
        }
    }

    private func flipped(_ disk: SimulatedDisk, _ path: String, _ byte: Int) -> SimulatedDisk {
        var disk = disk
        let bit = UInt8(1 << random.below(8))
        if let inode = disk.inode(path) { disk.withInode(inode) { $0.flip(byte, bit) } }
        return disk
    }
}
