// SPDX-License-Identifier: Apache-2.0
import Seeded

/// The state of a simulated disk: files, names, and which of both would survive. A value, so that a copy is an image of
/// the moment, and cheap until one of the two is changed.
struct SimulatedDisk {
    /// A change of names that no sync of its directory has made durable yet.
    private struct NameChange {
        var added: (path: String, inode: Int)?
        var removed: String?
        /// Those whose sync makes it durable.
        let directories: [String]

        func apply(to names: inout [String: Int]) {
            if let removed { names[removed] = nil }
            if let added { names[added.path] = added.inode }
        }

        func touches(_ path: String?) -> Bool { path != nil && (added?.path == path || removed == path) }
    }

    private(set) var inodes: [SimulatedInode] = []
    /// Paths of files and directories, to places in `inodes`; a directory's is -1.
    private(set) var names: [String: Int]
    private var durableNames: [String: Int]
    private var changes: [NameChange] = []
    private static let directory = -1

    /// - Parameter directories: those that are there for good.
    init(directories: [String]) {
        names = Dictionary(uniqueKeysWithValues: directories.map { ($0, Self.directory) })
        durableNames = names
    }

    // MARK: Names

    func inode(_ path: String) -> Int? { names[path].flatMap { $0 == Self.directory ? nil : $0 } }
    func isDirectory(_ path: String) -> Bool { names[path] == Self.directory }

    /// Names in a directory. In `incoming` they are as old as they stand, for they begin with random numbers, which a run
    /// that is repeated must not depend on.
    func entries(_ directory: String) -> [String] {
        let prefix = directory + "/"
        let found = names.filter { $0.key.utf8.count > prefix.utf8.count && $0.key.hasPrefix(prefix) }
        let names = found.map { (name: String($0.key.dropFirst(prefix.count)), inode: $0.value) }
            .filter { !$0.name.utf8.contains(UInt8(ascii: "/")) }
        let byAge = directory.hasSuffix("/incoming")
        func age(_ name: (name: String, inode: Int)) -> Int { name.inode * 2 + (name.name.hasSuffix(".part") ? 0 : 1) }
        return names.sorted { byAge ? age($0) < age($1) : $0.name < $1.name }.map(\.name)
    }

    mutating func createFile(_ path: String) -> Int {
        inodes.append(SimulatedInode())
        add(path, inodes.count - 1)
        return inodes.count - 1
    }

    mutating func createDirectory(_ path: String) { add(path, Self.directory) }

    mutating func unlink(_ path: String) {
        names[path] = nil
        changes.append(NameChange(added: nil, removed: path, directories: [Self.parent(path)]))
    }

    mutating func rename(_ source: String, to target: String) {
        guard let inode = names[source], names[target] != inode else { return }
        names[source] = nil
        names[target] = inode
        changes.append(
            NameChange(
                added: (target, inode), removed: source, directories: [Self.parent(source), Self.parent(target)]))
    }

    mutating func synchronizeDirectory(_ directory: String) {
        var rest: [NameChange] = []
        for change in changes {
            guard change.directories.contains(directory) else {
                rest.append(change)
                continue
            }
            change.apply(to: &durableNames)
            // What went before with these names can no longer come to light.
            rest.removeAll { $0.touches(change.added?.path) || $0.touches(change.removed) }
        }
        changes = rest
    }

    private mutating func add(_ path: String, _ inode: Int) {
        names[path] = inode
        changes.append(NameChange(added: (path, inode), removed: nil, directories: [Self.parent(path)]))
    }

    static func parent(_ path: String) -> String {
        let slash = path.lastIndex(of: "/")!
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    // MARK: Files

    mutating func withInode<Result>(_ number: Int, _ body: (inout SimulatedInode) -> Result) -> Result {
        body(&inodes[number])
    }

    /// What programs see of a file.
    func content(_ path: String) -> [UInt8]? { inode(path).map { inodes[$0].cached } }

    // MARK: Disasters

    /// The process is gone, the machine goes on; memory may have been scarce.
    func afterKill(_ random: inout SplitMix) -> SimulatedDisk {
        var disk = self
        guard random.oneIn(4) else { return disk }
        for number in disk.inodes.indices { disk.inodes[number].evict() }
        return disk
    }

    /// The power is gone: what was not synced survives or not, each sector and each change of names by itself.
    func afterPowerCut(_ random: inout SplitMix) -> SimulatedDisk {
        var disk = self
        let fate = SectorFate(&random)
        for var change in changes where fate.survives(&random) {
            // A rename is never lost halfway, but its old name may outlive it.
            if change.added != nil, random.oneIn(4) { change.removed = nil }
            change.apply(to: &disk.durableNames)
        }
        disk.removeOrphans()
        disk.names = disk.durableNames
        disk.changes = []
        let stale = random.oneIn(8) && !inodes.isEmpty ? inodes[random.below(inodes.count)].medium : nil
        for number in disk.inodes.indices { disk.inodes[number].cutPower(&random, stale: stale) }
        return disk
    }

    /// Names without their directory are no names.
    private mutating func removeOrphans() {
        for path in durableNames.keys {
            var parent = Self.parent(path)
            while parent != "/" {
                guard durableNames[parent] == Self.directory else {
                    durableNames[path] = nil
                    break
                }
                parent = Self.parent(parent)
            }
        }
    }
}
