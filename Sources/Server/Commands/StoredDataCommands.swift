// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import Catalog
import DICOM
import Glibc
import Platform

enum ExportCommand {
    private static let help = """
        usage: snimok export (--study UID | --series UID | --instance UID | --all) --out DIR [--raw] [--data DIR]

        Writes each instance as OUT/<study>/<series>/<instance>.dcm. --raw writes the bytes that the blob id is the hash of
        instead (.raw; check with b3sum, or b2sum -l 256 where the archive's file format says 1).
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        var selection = CatalogSelection()
        var isSelected = arguments.flag("--all")
        if let uid = try arguments.value("--study") { (selection.studyInstanceUIDs, isSelected) = ([uid], true) }
        if let uid = try arguments.value("--series") { (selection.seriesInstanceUIDs, isSelected) = ([uid], true) }
        if let uid = try arguments.value("--instance") { (selection.sopInstanceUIDs, isSelected) = ([uid], true) }
        let isRaw = arguments.flag("--raw")
        guard let out = try arguments.value("--out"), isSelected else {
            throw Arguments.Failure.wrong("export wants a selection and --out; see --help")
        }
        try arguments.end()
        let archive = try ArchiveReader(configuration.data)
        let versions = try archive.versions(selection, scope: .everything(as: configuration.organisation))
        guard !versions.isEmpty else {
            CommandLineTool.complain("nothing matches")
            return .noInput
        }
        var event = AuditEvent(.exported, "snimok export", by: .operatorOfThisMachine)
        event.other = AuditParty(.media, name: out)
        event.take(versions, patients: archive.readers)
        try CommandAudit.record(event, configuration)
        var damaged = 0
        for version in versions {
            do { try export(version, archive, out, isRaw) } catch let error as ArchiveError {
                damaged += 1
                CommandLineTool.complain("\(version.sopInstanceUID): \(error)")
            }
        }
        print("exported \(versions.count - damaged)" + (damaged > 0 ? ", damaged \(damaged)" : ""))
        return damaged == 0 ? .success : .damageFound
    }

    /// UIDs are digits and dots, and at least one digit (`UIDGrammar`), so that none of them is a path.
    private static func export(_ version: CatalogVersion, _ archive: ArchiveReader, _ out: String, _ isRaw: Bool) throws
    {
        for uid in [version.studyInstanceUID, version.seriesInstanceUID, version.sopInstanceUID]
        where UIDGrammar.check(uid) == .unacceptable {
            throw ArchiveError.failed("\(Log.quoted(uid)) is no UID and cannot name a file")
        }
        let folder = "\(out)/\(version.studyInstanceUID)/\(version.seriesInstanceUID)"
        try FileSystem.createDirectories(folder)
        let path = "\(folder)/\(version.sopInstanceUID).\(isRaw ? "raw" : "dcm")"
        try archive.write(version, to: path, asHashed: isRaw)
    }
}

enum VerifyCommand {
    private static let help = """
        usage: snimok verify [--quick | --full] [--data DIR]

        --quick checks every record's head, provenance and index, and that the catalog and the log agree. --full (default)
        also reads every byte and recomputes every blob id. Exit code 3: damage found.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let isQuick = arguments.flag("--quick")
        if arguments.flag("--full"), isQuick { throw Arguments.Failure.wrong("verify is either --quick or --full") }
        try arguments.end()
        let archive = try ArchiveReader(configuration.data)
        let report = try archive.verify(full: !isQuick) { CommandLineTool.complain("damaged: \($0)") }
        print(
            "records \(report.records), instances \(report.instances), bytes \(report.bytes), damaged \(report.damaged)"
        )
        return report.damaged == 0 ? .success : .damageFound
    }
}

enum RebuildCommand {
    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(
            "usage: snimok rebuild [--data DIR]\n\nDeletes the catalog and makes it anew from the log. The server must not run."
        )
        let configuration = try arguments.configuration()
        try arguments.end()
        let start = Clock.monotonicNanoseconds()
        let count = try ArchiveRebuild.run(configuration.data, settings: try configuration.archiveSettings())
        print("rebuilt from \(count) records in \(Double((Clock.monotonicNanoseconds() - start) / 1_000_000) / 1000) s")
        return .success
    }
}

enum StatsCommand {
    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help("usage: snimok stats [--json] [--data DIR]\n\nSays what is stored.")
        let configuration = try arguments.configuration()
        let isJSON = arguments.flag("--json")
        try arguments.end()
        let figures = try ArchiveReader(configuration.data).figures()
        if isJSON {
            print("{" + figures.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ") + "}")
        } else {
            for (key, value) in figures { print("\(key): \(value)") }
        }
        return .success
    }
}
