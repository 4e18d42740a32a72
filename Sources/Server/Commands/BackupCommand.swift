// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import BlobLog
import Control
import Platform

enum BackupCommand {
    private static let help = """
        usage: snimok backup DIR [--data DIR] [--config FILE]

        Copies the archive as it stands now into DIR, beside a running server or without one. The first time DIR must be empty;
        every further time only what is new is copied. Every copy is read again and verified. May be interrupted and repeated.
        To restore, copy DIR and start `snimok serve --data` on the copy: the catalog is made anew. Exit code 3: something of
        the archive is damaged; the rest was backed up.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        let configuration = try arguments.configuration()
        let paths = try arguments.rest()
        guard paths.count == 1 else { throw Arguments.Failure.wrong("backup wants one directory; see --help") }
        guard FileSystem.exists("\(configuration.data)/format") else { throw LogError.notAnArchive(configuration.data) }
        var event = AuditEvent(.exported, "snimok backup", by: .operatorOfThisMachine)
        event.other = AuditParty(.media, name: paths[0])
        try CommandAudit.record(event, configuration)
        SystemThread.yieldToOthers()
        let backup = try Backup(of: configuration.data, to: paths[0]) { CommandLineTool.complain("damaged: \($0)") }
        let report = try backup.run { try Control.copy(from: $0, to: $1) }
        print("record \(report.sequence), time \(report.time)")
        print("segments \(report.segments), large objects \(report.largeObjects), bytes \(report.bytes)")
        print(
            "copied segments \(report.copiedSegments), large objects \(report.copiedLargeObjects), bytes \(report.copiedBytes)"
                + (report.damaged > 0 ? ", damaged \(report.damaged)" : ""))
        return report.damaged == 0 ? .success : .damageFound
    }
}
