// SPDX-License-Identifier: Apache-2.0
import DIMSE
import Glibc
import Platform

/// All instances of a run, by number, however many threads share them.
struct LoadJob: Sendable {
    /// Hands out the data set of an instance and says which piece is the last.
    typealias Pieces<Failure: Error> = (UnsafeRawBufferPointer, _ isLast: Bool) throws(Failure) -> Void

    private enum Content: Sendable {
        case files([String])
        case synthetic(SyntheticOptions, PixelSource)
    }

    private let content: Content

    init(_ source: LoadOptions.Source) throws(SystemError) {
        switch source {
        case .folder(let folder): content = .files(try Self.files(below: folder))
        case .synthetic(let options):
            content = .synthetic(options, PixelSource(seed: options.seed, asPackets: options.shape.isEncapsulated))
        }
    }

    var count: Int {
        switch content {
        case .files(let files): files.count
        case .synthetic(let options, _): options.studies * options.instances
        }
    }

    /// The instances of one of so many equal parts: neighbours stay together, as a scanner sends a study.
    func part(_ index: Int, of parts: Int) -> Range<Int> { count * index / parts..<count * (index + 1) / parts }

    /// Another one of so many parts, which all come to the end together: each takes every so many-th study, or file.
    func interleavedPart(_ index: Int, of parts: Int) -> some Sequence<Int> {
        var length = 1
        if case .synthetic(let options, _) = content { length = options.instances }
        return stride(from: index * length, to: count, by: parts * length).lazy.flatMap { $0..<$0 + length }
    }

    /// What walks through instances; each thread has its own, for the study at hand is kept.
    func makeCursor() -> any LoadCursor {
        switch content {
        case .files(let files): FileCursor(files: files)
        case .synthetic(let options, let pixels): SyntheticCursor(options: options, pixels: pixels)
        }
    }

    /// Files below a folder, in order; links are not followed.
    private static func files(below folder: String) throws(SystemError) -> [String] {
        var result: [String] = []
        for name in try FileSystem.entries(folder) {
            let path = "\(folder)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0 else { throw SystemError("lstat", path) }
            if status.st_mode & S_IFMT == S_IFDIR { result += try files(below: path) }
            if status.st_mode & S_IFMT == S_IFREG { result.append(path) }
        }
        return result
    }
}
