// SPDX-License-Identifier: Apache-2.0
import Seeded

/// A file's content in the three places where it can differ: what programs see, what the drive answers, and what would
/// still be there after a power cut.
struct SimulatedInode {
    /// A power cut tears writes between sectors, never within one.
    static let sectorBytes = 512

    struct Write {
        let offset: Int
        let bytes: [UInt8]
        let isDirect: Bool
    }

    /// The page cache; its length is the file's size.
    private(set) var cached: [UInt8] = []
    /// What a read past the page cache gives: the medium and the drive's own volatile cache. Zeros behind its end.
    private(set) var drive: [UInt8] = []
    private(set) var medium: [UInt8] = []
    private var mediumSize = 0
    /// Since the last sync that succeeded, in order.
    private var writes: [Write] = []
    private var sizes: [Int] = []
    /// What the medium held before the file was cut: blocks given to the file again may show it.
    private var former: [UInt8] = []
    /// Whether the page cache shows bytes, as clean pages, that a failed sync never brought to the drive.
    private var isPoisoned = false

    var size: Int { cached.count }

    // MARK: What programs do

    mutating func write(_ bytes: [UInt8], at offset: Int, isDirect: Bool) {
        let size = cached.count
        Self.put(bytes[...], into: &cached, at: offset)
        if isDirect { Self.put(bytes[...], into: &drive, at: offset) }
        writes.append(Write(offset: offset, bytes: bytes, isDirect: isDirect))
        if cached.count != size { sizes.append(cached.count) }
    }

    mutating func truncate(to length: Int) {
        if medium.count > length { former = medium }
        if length < cached.count { cached.removeSubrange(length...) }
        if length > cached.count { cached.append(contentsOf: repeatElement(0, count: length - cached.count)) }
        if length < drive.count { drive.removeSubrange(length...) }
        sizes.append(length)
    }

    /// Linux writes dirty pages back before it reads past them.
    mutating func prepareDirectRead() {
        for write in writes where !write.isDirect { Self.put(write.bytes[...], into: &drive, at: write.offset) }
    }

    /// - Parameter dataOnly: then a size on the medium that is large enough to read the data may stay as it is (POSIX,
    ///   "synchronized I/O data integrity completion"), with what stands behind the file's end.
    mutating func synchronize(dataOnly: Bool = false) {
        if dataOnly, cached.count < mediumSize {
            let tail = medium.count > cached.count ? medium[cached.count...] : []
            let size = mediumSize
            synchronize()
            medium += tail
            mediumSize = size
            sizes.append(cached.count)
            return
        }
        if isPoisoned {
            for write in writes {
                if !write.isDirect { Self.put(write.bytes[...], into: &drive, at: write.offset) }
                Self.put(write.bytes[...], into: &medium, at: write.offset)
            }
            if drive.count > cached.count { drive.removeSubrange(cached.count...) }
            if medium.count > cached.count { medium.removeSubrange(cached.count...) }
        } else {
            drive = cached
            medium = cached
        }
        mediumSize = cached.count
        writes.removeAll(keepingCapacity: true)
        sizes.removeAll(keepingCapacity: true)
    }

    // MARK: Disasters

    /// A sync that fails: each sector by itself has reached the medium or not, and no later sync will try those again that
    /// came through the page cache.
    mutating func failSynchronize(_ random: inout SplitMix) {
        let reached = random.below(3) * 50
        var kept: [Write] = []
        let before = medium
        for write in writes {
            Self.forEachSector(of: write) { part, offset in
                if random.percent(reached) {
                    Self.put(part, into: &medium, at: offset)
                    if !write.isDirect { Self.put(part, into: &drive, at: offset) }
                } else if !write.isDirect {
                    isPoisoned = true
                } else if random.oneIn(2) {
                    kept.append(Write(offset: offset, bytes: Array(part), isDirect: true))
                } else {
                    // The drive dropped it; nothing in memory holds it either.
                    let old = (0..<part.count).map { offset + $0 < before.count ? before[offset + $0] : 0 }
                    Self.put(old[...], into: &drive, at: offset)
                    if offset + part.count <= cached.count { Self.put(old[...], into: &cached, at: offset) }
                }
            }
        }
        writes = kept
        if !random.oneIn(4) {
            mediumSize = cached.count
            sizes.removeAll()
        }
    }

    /// Memory gets scarce: clean pages are dropped and come from the drive again.
    mutating func evict() {
        guard isPoisoned else { return }
        var view = Array(drive.prefix(cached.count))
        view.append(contentsOf: repeatElement(0, count: cached.count - view.count))
        for write in writes where !write.isDirect && write.offset + write.bytes.count <= view.count {
            Self.put(write.bytes[...], into: &view, at: write.offset)
        }
        cached = view
        isPoisoned = false
    }

    /// - Parameter stale: what blocks may show that were given to the file but never written; nil: zeros.
    mutating func cutPower(_ random: inout SplitMix, stale: [UInt8]?) {
        if !writes.isEmpty || !sizes.isEmpty { loseUnsynced(&random, stale) }
        cached = medium
        if cached.count > mediumSize { cached.removeSubrange(mediumSize...) }
        if cached.count < mediumSize {
            cached.append(contentsOf: repeatElement(0, count: mediumSize - cached.count))
        }
        medium = cached
        drive = cached
        isPoisoned = false
    }

    mutating func flip(_ byte: Int, _ bit: UInt8) {
        guard byte < cached.count else { return }
        synchronize()
        cached[byte] ^= bit
        synchronize()
    }

    private mutating func loseUnsynced(_ random: inout SplitMix, _ stale: [UInt8]?) {
        let size = sizes.isEmpty || random.oneIn(3) ? mediumSize : sizes[random.below(sizes.count)]
        let base = medium.count
        if size > base {
            let stale = stale ?? (random.oneIn(4) ? former : [])
            for offset in base..<size { medium.append(offset < stale.count ? stale[offset] : 0) }
        }
        let fate = SectorFate(&random)
        for write in writes {
            Self.forEachSector(of: write) { part, offset in
                if fate.survives(&random) { Self.put(part, into: &medium, at: offset) }
            }
        }
        mediumSize = size
        writes.removeAll()
        sizes.removeAll()
    }

    /// Splits a write where the drive's sectors begin.
    private static func forEachSector(of write: Write, _ body: (ArraySlice<UInt8>, Int) -> Void) {
        var done = 0
        while done < write.bytes.count {
            let offset = write.offset + done
            let end = min(write.bytes.count, done + sectorBytes - offset % sectorBytes)
            body(write.bytes[done..<end], offset)
            done = end
        }
    }

    private static func put(_ bytes: ArraySlice<UInt8>, into target: inout [UInt8], at offset: Int) {
        let end = offset + bytes.count
        if target.count < end { target.append(contentsOf: repeatElement(0, count: end - target.count)) }
        target.withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[offset..<end]).copyMemory(from: $0) }
        }
    }
}
