// SPDX-License-Identifier: Apache-2.0
import CSodium
import FoundationEssentials
import Glibc
import Platform

/// The signed list of the sealed segments that the archive has (FORMAT.md, "Manifest"). Records name what stands around
/// them, but nothing in a segment says that another one should be there too: this does.
package struct Manifest: Equatable, Sendable {
    /// A segment that is never appended to again.
    package struct Entry: Codable, Equatable, Sendable {
        package let number: UInt32
        /// How often it was written anew, from 1 on.
        package let generation: UInt32
        package let bytes: UInt64

        package init(number: UInt32, generation: UInt32, bytes: UInt64) {
            self.number = number
            self.generation = generation
            self.bytes = bytes
        }
    }

    package let archiveUUID: [UInt8]
    /// Grows with each manifest of the archive.
    package var counter: UInt64
    /// When it was written, nanoseconds since 1970.
    package var nanoseconds: Int64
    /// The highest segment number that was begun.
    package var begun: UInt32
    /// Rising by number.
    package var sealed: [Entry]

    package init(archiveUUID: [UInt8], counter: UInt64, nanoseconds: Int64, begun: UInt32, sealed: [Entry]) {
        self.archiveUUID = archiveUUID
        self.counter = counter
        self.nanoseconds = nanoseconds
        self.begun = begun
        self.sealed = sealed
    }

    // One manifest at a time: the log's writer and a compaction may both want one.
    private static let isWriting = Monitor<Bool>(false)

    // MARK: Reading

    /// The manifest of a data directory; nil: it has none yet.
    /// - Throws: `LogError.damaged` when it is not what the archive signed.
    package static func load(_ directory: DataDirectory) throws(LogError) -> Manifest? {
        let path = directory.manifest
        guard directory.volume.exists(path) else { return nil }
        let bytes = try wrappingSystemErrors { () throws(SystemError) in try directory.volume.contents(path) }
        let (manifest, publicKey) = try SignedManifest.decode(bytes, path: path)
        // A key that was lost is no proof against the list; another key than the archive's is.
        if let key = try ManifestKey.load(directory), key.publicKey != publicKey {
            throw .damaged("\(path) is signed with another key than the archive's")
        }
        guard manifest.archiveUUID == directory.archiveUUID else { throw .damaged("\(path) is another archive's") }
        return manifest
    }

    /// The listed segments that are not there in their generation or a higher one, or are shorter than they were.
    /// - Parameter reached: a segment that is known to hold records, such as the one that the catalog has come to.
    package func missing(in directory: DataDirectory, reached: UInt32 = 0) throws(LogError) -> [Entry] {
        let live = try Segment.live(directory)
        let generations = Dictionary(uniqueKeysWithValues: live.map { ($0.number, $0.generation) })
        var missing: [Entry] = []
        for entry in sealed {
            if try !isThere(entry, generations[entry.number], directory) { missing.append(entry) }
        }
        let isListed = sealed.contains { $0.number == reached }
        if reached > 0, reached <= begun, !isListed, generations[reached] == nil {
            missing.append(Entry(number: reached, generation: BlobLog.writerID, bytes: 0))
        }
        return missing
    }

    private func isThere(
        _ entry: Entry, _ generation: UInt32?, _ directory: DataDirectory
    ) throws(LogError) -> Bool {
        guard let generation, generation >= entry.generation else { return false }
        // One that was compacted may be shorter.
        guard generation == entry.generation else { return true }
        let bytes = try Segment.bytes(directory, generation: generation, number: entry.number)
        if let bytes { return bytes >= entry.bytes }
        // Compacted since the listing: gone under this name only.
        return try Segment.live(directory).contains { $0.number == entry.number }
    }

    // MARK: Writing

    /// Lists what is there now. What the last manifest lists and is missing stays listed: a loss is not forgotten.
    /// - Parameter discardingDamaged: whether one that cannot be believed is laid aside; otherwise it is an error.
    @discardableResult
    package static func update(
        _ directory: DataDirectory, discardingDamaged: Bool = false
    ) throws(LogError) -> Manifest {
        try isWriting.withLock { _ throws(LogError) in
            var last: Manifest?
            do throws(LogError) { last = try load(directory) } catch {
                guard discardingDamaged, error.isDamage else { throw error }
                let path = directory.manifest
                try wrappingSystemErrors { () throws(SystemError) in
                    try directory.volume.rename(path, to: path + ".damaged")
                }
            }
            let manifest = try made(directory, after: last)
            // Nothing new: nothing to write.
            if let last, last.begun == manifest.begun, last.sealed == manifest.sealed { return last }
            let key = try ManifestKey.loadOrMake(directory)
            let bytes = try SignedManifest.encode(manifest, key)
            try wrappingSystemErrors { () throws(SystemError) in
                try directory.volume.replace(directory.manifest, with: bytes)
            }
            return manifest
        }
    }

    /// At start, after recovery: says what is missing, and lists what is there.
    /// - Parameter reached: a segment that is known to hold records; 0: none is.
    package static func check(_ directory: DataDirectory, reached: UInt32) throws(LogError) -> [Entry] {
        var missing: [Entry] = []
        do throws(LogError) { missing = try load(directory)?.missing(in: directory, reached: reached) ?? [] } catch {
            guard error.isDamage else { throw error }
            Log.error("the manifest cannot be believed; another is written", ["why": "\(error)"])
        }
        for entry in missing {
            Log.error(
                "A SEGMENT OF THE LOG IS MISSING: what it holds is lost here; bring it back from a backup",
                ["segment": "\(entry.number)", "generation": "\(entry.generation)", "bytes": "\(entry.bytes)"])
        }
        try update(directory, discardingDamaged: true)
        return missing
    }

    private static func made(_ directory: DataDirectory, after last: Manifest?) throws(LogError) -> Manifest {
        let live = try Segment.live(directory)
        var sealed = try last?.missing(in: directory) ?? []
        let lost = Set(sealed.map(\.number))
        // The last one is open, unless it was compacted: what the writer appends to is always of the first generation.
        for segment in live where segment != live.last || segment.generation > BlobLog.writerID {
            guard !lost.contains(segment.number),
                let bytes = try Segment.bytes(directory, generation: segment.generation, number: segment.number)
            else { continue }
            sealed.append(Entry(number: segment.number, generation: segment.generation, bytes: bytes))
        }
        sealed.sort { $0.number < $1.number }
        return Manifest(
            archiveUUID: directory.archiveUUID, counter: (last?.counter ?? 0) + 1,
            nanoseconds: Clock.wallNanoseconds(), begun: max(last?.begun ?? 0, live.last?.number ?? 0), sealed: sealed)
    }
}

/// The manifest as it stands in the file: one JSON object whose last member is the signature over all bytes before it.
enum SignedManifest {
    private static let formatVersion = 1
    private static let signatureStart = ",\"signature\":\""
    private static let end = "\"}\n"

    private struct Content: Codable {
        var format: Int
        var archive: String
        var counter: UInt64
        var time: String
        var nanoseconds: Int64
        var begun: UInt32
        var sealed: [Manifest.Entry]
        var publicKey: String
        var signature: String?
    }

    static func encode(_ manifest: Manifest, _ key: ManifestKey) throws(LogError) -> [UInt8] {
        let content = Content(
            format: formatVersion, archive: UUID(bytes: manifest.archiveUUID).uuidString, counter: manifest.counter,
            time: Clock.timestamp(manifest.nanoseconds), nanoseconds: manifest.nanoseconds, begun: manifest.begun,
            sealed: manifest.sealed, publicKey: Hexadecimal.text(key.publicKey), signature: nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard let json = try? encoder.encode(content), json.last == UInt8(ascii: "}") else {
            throw .damaged("a manifest cannot be encoded")
        }
        let signed = Array(json.dropLast())
        let signature = Hexadecimal.text(key.sign(signed))
        return signed + Array((signatureStart + signature + end).utf8)
    }

    static func decode(_ bytes: [UInt8], path: String) throws(LogError) -> (Manifest, publicKey: [UInt8]) {
        let tail = signatureStart.utf8.count + Int(crypto_sign_BYTES) * 2 + end.utf8.count
        guard bytes.count > tail, JSONValue.isNested(atMost: 4, bytes),
            let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)), let text = content.signature,
            bytes.suffix(tail).elementsEqual((signatureStart + text + end).utf8),
            let signature = Hexadecimal.bytes(text), let publicKey = Hexadecimal.bytes(content.publicKey),
            ManifestKey.isGood(signature, of: Array(bytes.dropLast(tail)), publicKey)
        else { throw .damaged("\(path) is not what was signed") }
        guard content.format <= formatVersion else { throw .newerFormat(content.format, path) }
        guard let uuid = UUID(uuidString: content.archive) else { throw .damaged("\(path) names no archive") }
        let manifest = Manifest(
            archiveUUID: withUnsafeBytes(of: uuid.uuid) { Array($0) }, counter: content.counter,
            nanoseconds: content.nanoseconds, begun: content.begun, sealed: content.sealed)
        return (manifest, publicKey)
    }
}

/// The Ed25519 key of an archive's manifests.
struct ManifestKey {
    let publicKey: [UInt8]
    private let secretKey: [UInt8]

    private init(seed: [UInt8]) {
        var publicKey = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
        var secretKey = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
        crypto_sign_seed_keypair(&publicKey, &secretKey, seed)
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    func sign(_ bytes: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
        crypto_sign_detached(&signature, nil, bytes, UInt64(bytes.count), secretKey)
        return signature
    }

    static func isGood(_ signature: [UInt8], of bytes: [UInt8], _ publicKey: [UInt8]) -> Bool {
        guard signature.count == Int(crypto_sign_BYTES), publicKey.count == Int(crypto_sign_PUBLICKEYBYTES) else {
            return false
        }
        return crypto_sign_verify_detached(signature, bytes, UInt64(bytes.count), publicKey) == 0
    }

    /// nil: there is none. One that is damaged counts as none, for another can be made.
    static func load(_ directory: DataDirectory) throws(LogError) -> ManifestKey? {
        let path = directory.manifestKey
        guard directory.volume.exists(path) else { return nil }
        let bytes: [UInt8]
        do { bytes = try directory.volume.contents(path) } catch {
            // Whoever may read the archive but not sign for it.
            if error.code == EACCES { return nil }
            throw .system(error)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let seed = Hexadecimal.bytes(String(text.prefix { $0 != "\n" })),
            seed.count == Int(crypto_sign_SEEDBYTES)
        else { return nil }
        return ManifestKey(seed: seed)
    }

    static func loadOrMake(_ directory: DataDirectory) throws(LogError) -> ManifestKey {
        if let key = try load(directory) { return key }
        var seed = [UInt8](repeating: 0, count: Int(crypto_sign_SEEDBYTES))
        guard getentropy(&seed, seed.count) == 0 else { throw .system(SystemError("getentropy")) }
        let path = directory.manifestKey
        let text = Array((Hexadecimal.text(seed) + "\n").utf8)
        try wrappingSystemErrors { () throws(SystemError) in
            // Made with its mode, before `replace` writes into it, so that at no time others may read it.
            _ = try directory.volume.open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try directory.volume.replace(path, with: text)
        }
        return ManifestKey(seed: seed)
    }
}

extension UUID {
    fileprivate init(bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
    }
}
