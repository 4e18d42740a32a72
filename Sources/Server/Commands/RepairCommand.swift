// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DIMSE
import Glibc
import Platform
import Transport

enum RepairCommand {
    private static let help = """
        usage: snimok repair --from PATH|AET|URL [--instance UID] [--full] [--data DIR] [--config FILE]

        Restores damaged instances from another copy, beside a running server or without one: PATH is another archive's data
        directory, a backup, or a folder of DICOM files; AET a configured peer with host and port, asked by C-GET; URL the
        DICOMweb root of another archive, http only. Only content with the same blob id is taken. What is damaged is known from the
        scrub and from a quick look at the log; --full reads everything first. Exit code 3: damage remains.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        guard let from = try arguments.value("--from") else {
            throw Arguments.Failure.wrong("repair wants --from; see --help")
        }
        let uid = try arguments.value("--instance")
        let isFull = arguments.flag("--full")
        try arguments.end()
        let archive = try ArchiveReader(configuration.data)
        let damaged = try uid.map { try archive.damaged(sopInstanceUID: $0) } ?? archive.damaged(isFull: isFull)
        guard !damaged.isEmpty else {
            print("nothing is damaged")
            return .success
        }
        guard
            let source = try RepairSources.open(
                from, configuration, archive.contentHash, wanted: damaged.map(\.version))
        else {
            CommandLineTool.complain("\(from) is no folder, no address, and no configured peer with host and port")
            return .noInput
        }
        let socket = "\(configuration.data)/import.socket"
        let service = ImportCommand.isServed(socket) ? nil : try Service(configuration, listens: false)
        defer { service?.stop() }
        let repair = Repair(archive, source, socket)
        for item in damaged { repair.restore(item) }
        print("restored \(repair.restored), still damaged \(damaged.count - repair.restored)")
        return repair.restored == damaged.count ? .success : .damageFound
    }
}

/// One run of the repair.
private final class Repair {
    private let archive: ArchiveReader
    private let source: any RepairSource
    private let socket: String
    private(set) var restored = 0

    init(_ archive: ArchiveReader, _ source: any RepairSource, _ socket: String) {
        self.archive = archive
        self.source = source
        self.socket = socket
    }

    func restore(_ item: DamagedVersion) {
        let uid = item.version.sopInstanceUID
        do {
            guard let content = try source.content(of: item.version) else {
                return fail(uid, "\(source.name) has none")
            }
            guard let blobID = try content.blobID(archive.contentHash) else {
                return fail(uid, "the copy of \(source.name) is damaged too")
            }
            guard blobID == BlobID(item.version.blobID) else {
                return fail(uid, "\(source.name) has other content under this UID")
            }
            if let why = try store(content, item.version) { return fail(uid, why) }
            // Believed when it was read again.
            if let why = try archive.fault(of: item.version) { return fail(uid, "stored, but \(why)") }
            restored += 1
            print("restored \(Log.plain(uid)) from \(source.name) (was: \(Log.plain(item.why)))")
        } catch {
            fail(uid, "\(error)")
        }
    }

    private func fail(_ uid: String, _ why: String) {
        print("not restored \(Log.quoted(uid)): \(Log.plain(why))")
    }

    /// The archive itself sees that it has the content, but no good copy of it, and appends one.
    /// - Returns: why it was not stored; nil: it was.
    private func store(_ content: RepairContent, _ version: CatalogVersion) throws -> String? {
        var why: String?
        let sender = StoreSender(
            .unix(path: socket), callingAETitle: "REPAIR", calledAETitle: "SNIMOK", window: 1
        ) { answer in
            if answer.status != .success {
                why = "refused: \(String(answer.status.rawValue, radix: 16, uppercase: true)) \(answer.comment)"
            }
        }
        let instance = StoreSender.Instance(
            sopClassUID: version.sopClassUID, sopInstanceUID: version.sopInstanceUID,
            transferSyntaxUID: version.transferSyntaxUID)
        let isTaken = try sender.send(instance) { send throws(TransportError) in try content.forEachPiece(send) }
        try sender.finish()
        return isTaken ? why : "refused: SOP class or transfer syntax"
    }
}
