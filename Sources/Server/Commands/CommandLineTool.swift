// SPDX-License-Identifier: Apache-2.0
import Archive
import Audit
import BlobLog
import CSystem
import FoundationEssentials
import Glibc
import Imaging
import Platform

/// The exit codes of all subcommands; documented in README.
package enum ExitCode: Int32, Error {
    case success = 0
    case usage = 2
    case damageFound = 3
    case badConfiguration = 65
    case noInput = 66
    case someRefused = 69
    case directoryUnusable = 73
    case inputOutput = 74
    case directoryInUse = 75
    case newerFormat = 76
}

/// `snimok SUBCOMMAND …`
package enum CommandLineTool {
    static let subcommands: [(name: String, summary: String, run: @Sendable (inout Arguments) throws -> ExitCode)] = [
        ("serve", "start the archive", ServeCommand.run),
        ("import", "store files and folders, beside a running server or without one", ImportCommand.run),
        ("export", "write stored instances as DICOM files", ExportCommand.run),
        ("verify", "check what is stored", VerifyCommand.run),
        ("delete", "delete a study, a series or an instance", DeleteCommand.run),
        ("undelete", "take a deletion back", UndeleteCommand.run),
        ("deletions", "list deletions", DeletionsCommand.run),
        ("compact", "give back the space of what is deleted for good", CompactCommand.run),
        ("repair", "restore damaged instances from another copy", RepairCommand.run),
        ("rebuild", "make the catalog anew from the log", RebuildCommand.run),
        ("history", "say everything that the log holds about an instance", HistoryCommand.run),
        ("receive", "keep the second copy of an archive on another machine", ReceiveCommand.run),
        ("backup", "copy the archive into another directory, only what is new", BackupCommand.run),
        ("audit", "check, read out or export the audit trail", AuditCommand.run),
        ("stats", "say what is stored", StatsCommand.run),
        ("user", "make, list and change users", UserCommand.run),
        ("token", "make, list and revoke API tokens", TokenCommand.run),
        ("share", "show a study to another organisation for a time", ShareCommand.run),
        ("shares", "list what is shown to other organisations", SharesCommand.run),
        ("unshare", "end a share before its time", UnshareCommand.run),
        ("check-config", "check a configuration file", CheckConfigurationCommand.run),
    ]

    package static func run(_ arguments: [String]) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        guard let name = arguments.first, name != "--help", name != "-h" else {
            if arguments.isEmpty {
                complain("a subcommand is wanted\n\n" + help)
                return ExitCode.usage.rawValue
            }
            print(help)
            return ExitCode.success.rawValue
        }
        // Started by the archive itself, for its decoders; nobody else has a use for it.
        if name == "codec-worker" {
            return CodecWorker.run(memoryBytes: arguments.dropFirst().first.flatMap { UInt64($0) } ?? 1 << 30)
        }
        guard let command = subcommands.first(where: { $0.name == name }) else {
            complain("unknown subcommand \(name); see snimok --help")
            return ExitCode.usage.rawValue
        }
        do {
            // With fewer it works, too.
            _ = csystem_raise_descriptor_limit()
            var arguments = Arguments(Array(arguments.dropFirst()))
            return try command.run(&arguments).rawValue
        } catch {
            return explain(error).rawValue
        }
    }

    private static var help: String {
        let width = subcommands.map(\.name.count).max()! + 2
        let lines = subcommands.map {
            "  " + $0.name + String(repeating: " ", count: width - $0.name.count) + $0.summary
        }
        return "snimok: an archive of medical images\n\nusage: snimok SUBCOMMAND [OPTIONS]\n\n"
            + lines.joined(separator: "\n")
            + "\n\nsnimok SUBCOMMAND --help says more.\n"
            + "Exit codes: 0 done, 2 wrong usage, 3 damage found, 65 wrong configuration, 66 no input, 69 some files refused,\n"
            + "73 data directory cannot be used, 74 input/output error, 75 data directory in use, 76 written by a newer version."
    }

    static func complain(_ sentence: String) {
        let line = "snimok: \(Log.plain(sentence))\n"
        _ = line.withCString { write(2, $0, strlen($0)) }
    }

    /// The one place where errors become exit codes and sentences.
    private static func explain(_ error: any Error) -> ExitCode {
        switch error {
        case Arguments.Failure.helpWanted(let text):
            print(text)
            return .success
        case let error as Arguments.Failure:
            complain("\(error)")
            return .usage
        case let error as ConfigurationError:
            complain("configuration: \(error)")
            return .badConfiguration
        case let error as ExitCode: return error
        case ArchiveError.log(let error): return explain(error)
        case let error as LogError: return explain(error)
        case AuditError.inUse:
            complain("\(error)")
            return .directoryInUse
        default:
            complain("\(error)")
            return .inputOutput
        }
    }

    private static func explain(_ error: LogError) -> ExitCode {
        complain("\(error)")
        switch error {
        case .inUse: return .directoryInUse
        case .newerFormat: return .newerFormat
        case .notAnArchive, .onlyMirror, .unfinishedMirror: return .directoryUnusable
        case .damaged: return .damageFound
        case .system(let error) where [EACCES, EROFS, ENOTDIR, EPERM].contains(error.code): return .directoryUnusable
        case .system, .stopped, .unreadableEnd, .unmirrored, .diverged: return .inputOutput
        }
    }
}
