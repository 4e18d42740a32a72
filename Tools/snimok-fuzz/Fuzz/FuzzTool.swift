// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

#if SNIMOK_FUZZING
    import CLibFuzzer
#endif

/// The command line: `list`, `seeds TARGET FOLDER [FILE…]`, `replay TARGET FILE…`, and in the build of Tools/fuzz
/// `fuzz TARGET [libFuzzer's own arguments]`.
enum FuzzTool {
    private static let usage = """
        usage: snimok-fuzz list
               snimok-fuzz seeds TARGET FOLDER [DICOM FILE…]
               snimok-fuzz replay TARGET FILE OR FOLDER…
               snimok-fuzz fuzz TARGET [ARGUMENT OF LIBFUZZER…]   (only when built by Tools/fuzz)
        """

    /// What libFuzzer calls; set before it starts, and never again.
    private nonisolated(unsafe) static var chosen: FuzzTarget?

    static func run(_ words: [String]) -> Int32 {
        if words == ["list"] {
            for target in FuzzTarget.all { print("\(target.name)\t\(target.maximumBytes)\t\(target.about)") }
            return 0
        }
        guard words.count >= 2, let target = FuzzTarget.all.first(where: { $0.name == words[1] }) else {
            print(usage)
            return 2
        }
        let rest = Array(words.dropFirst(2))
        switch words[0] {
        case "seeds" where !rest.isEmpty: return writeSeeds(target, rest[0], rest.dropFirst())
        case "replay": return replay(target, rest)
        case "fuzz": return fuzz(target, rest)
        default:
            print(usage)
            return 2
        }
    }

    /// Runs each input once. Whatever is wrong ends the process, so the input is named before it is run.
    private static func replay(_ target: FuzzTarget, _ paths: [String]) -> Int32 {
        target.prepare()
        var count = 0
        for path in paths {
            for file in files(path) {
                guard let bytes = try? SystemVolume().contents(file) else {
                    print("cannot be read: \(file)")
                    return 74
                }
                say("\(target.name) \(file)")
                bytes.withUnsafeBytes { target.run($0) }
                count += 1
            }
        }
        print("replayed \(count) inputs of \(target.name)")
        return 0
    }

    /// At once, past all buffers: the next input may end the process.
    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
    }

    private static func files(_ path: String) -> [String] {
        guard let names = try? SystemVolume().entries(path) else { return [path] }
        return names.filter { !$0.hasPrefix(".") }.map { "\(path)/\($0)" }
    }

    private static func writeSeeds(_ target: FuzzTarget, _ folder: String, _ paths: ArraySlice<String>) -> Int32 {
        target.prepare()
        var seeds = target.seeds()
        for path in paths {
            guard let bytes = try? SystemVolume().contents(path) else { continue }
            seeds += target.seedsFromFile(bytes)
        }
        do {
            try SystemVolume().createDirectories(folder)
            for (number, seed) in seeds.enumerated() where seed.count <= target.maximumBytes {
                let file = try SystemVolume().open("\(folder)/seed-\(number)", O_WRONLY | O_CREAT | O_TRUNC)
                try seed.withRawBytes { bytes throws(SystemError) in try file.write(bytes, at: 0) }
            }
        } catch {
            print("\(error)")
            return 74
        }
        print("wrote \(seeds.count) seeds of \(target.name)")
        return 0
    }

    private static func fuzz(_ target: FuzzTarget, _ words: [String]) -> Int32 {
        #if SNIMOK_FUZZING
            target.prepare()
            chosen = target
            let all = ["snimok-fuzz", "-max_len=\(target.maximumBytes)"] + words
            // libFuzzer keeps the words.
            var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = .allocate(capacity: all.count + 1)
            for (index, word) in all.enumerated() { arguments![index] = strdup(word) }
            arguments![all.count] = nil
            var count = Int32(all.count)
            return LLVMFuzzerRunDriver(&count, &arguments) { data, size in
                FuzzTool.chosen!.run(UnsafeRawBufferPointer(start: data, count: Int(size)))
                return 0
            }
        #else
            print("this build only replays; ./Tools/fuzz \(target.name) MINUTES makes one that fuzzes")
            return 2
        #endif
    }
}
