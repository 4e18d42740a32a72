// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import BlobLog
import CSystem
import Catalog
import Control
import FoundationEssentials
import Glibc
import Platform
import Transport

/// What an administrator's command asks of the process that has the archive open; one line of JSON over a socket in the
/// data directory, which only the archive's own user can reach.
struct ControlRequest: Codable {
    enum Command: String, Codable {
        case delete, undelete, deletions, compact, share, shares, unshare, account, audit
    }

    var command: Command
    /// Of a deletion: "study", "series" or "instance", and the UID.
    var level: String?
    var uid: String?
    /// Of a deletion that is taken back, or of a share that is ended.
    var tombstone: UInt64?
    /// Of a compaction: whatever the share of garbage.
    var everything: Bool?
    /// What a command does by itself, beside the server, for the audit trail.
    var event: AuditEvent?
    /// Of a change of users or tokens.
    var account: AccountRequest?
    /// Of a share: whose it is, who is shown it, and until when.
    var organisation: String?
    var receiver: String?
    var until: String?
}

/// The answer: one line of JSON.
struct ControlAnswer: Codable {
    struct Deletion: Codable {
        var tombstone: UInt64
        var target: String
        var at: String
        var by: String
        var instances: Int
        var state: String
    }

    /// Says what went wrong; nil: nothing.
    var error: String?
    /// Whether there is no such thing, so that the exit code says so.
    var isMissing: Bool?
    var tombstone: UInt64?
    var instances: Int?
    var revocableUntil: String?
    var deletions: [Deletion]?
    var segments: Int?
    var freedBytes: UInt64?
    var account: AccountAnswer?
    var shares: [Share]?

    struct Share: Codable {
        var number: Int64
        var study: String
        var organisation: String
        var receiver: String
        var until: String
        var by: String
    }
}

/// The server's end of it.
final class ControlSocket: Sendable {
    private let archive: Archive
    private let audit: AuditTrail
    private let accounts: AccountAdministration
    private let sharing: Sharing
    private let organisation: String
    private let listener: FileDescriptor
    private let path: String
    private static let requestMaximum = 262_144

    /// Listens from here on.
    init(
        path: String, archive: Archive, audit: AuditTrail, accounts: AccountAdministration, sharing: Sharing,
        organisation: String
    ) throws {
        self.archive = archive
        self.audit = audit
        self.accounts = accounts
        self.sharing = sharing
        self.organisation = organisation
        self.path = path
        unlink(path)
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemError("socket", path) }
        let listener = FileDescriptor(adopting: raw, path: path)
        self.listener = listener
        try Socket.withUnixAddress(path) { address, length throws(TransportError) in
            // Before anybody can connect.
            fchmod(raw, 0o600)
            guard bind(raw, address, length) == 0, chmod(path, 0o600) == 0, listen(raw, 16) == 0 else {
                throw .system(SystemError("bind", path))
            }
        }
    }

    func run() throws {
        try SystemThread(name: "control") { [self] in
            while true {
                let raw = accept(listener.raw, nil, nil)
                if raw < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                _ = fcntl(raw, F_SETFD, FD_CLOEXEC)
                let connection = FileDescriptor(adopting: raw, path: path)
                let thread = try? SystemThread(name: "control") { self.serve(connection) }
                thread?.detach()
            }
        }.detach()
    }

    /// Takes no more commands.
    func stop() {
        shutdown(listener.raw, Int32(SHUT_RDWR))
        unlink(path)
    }

    private func serve(_ connection: FileDescriptor) {
        var timeout = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(connection.raw, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(connection.raw, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        guard let line = ControlLine.read(connection.raw, maximum: Self.requestMaximum) else { return }
        let answer: ControlAnswer
        do {
            answer = try self.answer(try JSONDecoder().decode(ControlRequest.self, from: Data(line)), connection)
        } catch {
            var isMissing: Bool?
            if case ArchiveError.notFound = error { isMissing = true }
            if let error = error as? AccountError, error.isMissing { isMissing = true }
            if case ShareDirectory.Failure.unknown = error { isMissing = true }
            if (error as? Sharing.Failure)?.isMissing == true { isMissing = true }
            answer = ControlAnswer(error: "\(error)", isMissing: isMissing)
        }
        guard let text = try? JSONEncoder().encode(answer) else { return }
        ControlLine.write(connection.raw, Array(text))
    }

    /// Nothing is done that could not be put on record, and what was done is, with its outcome, before it is answered.
    private func answer(_ request: ControlRequest, _ connection: FileDescriptor) throws -> ControlAnswer {
        try audit.check()
        var event = event(request, connection)
        do {
            let answer = try perform(request, connection)
            if let instances = answer.instances { event?.count = instances }
            if let event { try audit.record(event) }
            return answer
        } catch {
            if !(error is AuditError), var event {
                (event.outcome, event.detail) = (.minorFailure, "\(error)")
                try audit.record(event)
            }
            throw error
        }
    }

    /// nil: what is asked for shows and changes nothing of patients.
    private func event(_ request: ControlRequest, _ connection: FileDescriptor) -> AuditEvent? {
        let user = csystem_peer_user(connection.raw)
        let who = AuditParty(.local, name: "uid \(user)", organisation: organisation)
        var event = AuditEvent(.alert, "snimok \(request.command.rawValue)", by: who)
        switch request.command {
        case .delete:
            let isStudy = request.level == "study"
            event.event = isStudy ? .deleted : .accessed
            event.access = .delete
            if let uid = request.uid {
                if isStudy {
                    event.take([AuditStudy(uid)], patients: archive.readers)
                } else {
                    event.detail = "\(request.level ?? "") \(uid)"
                }
            }
        case .undelete:
            event.event = .accessed
            event.access = .update
            event.detail = "deletion \(request.tombstone ?? 0)"
        case .compact: event.alert = .restrictedFunction
        case .deletions:
            event.event = .accessed
            event.access = .read
        case .share, .unshare:
            event.alert = .objectAttributes
            event.detail = "study \(request.uid ?? "") with \(request.receiver ?? ""), share \(request.tombstone ?? 0)"
        case .shares: return nil
        case .account:
            return request.account?.auditEvent(by: who)
        case .audit:
            guard let told = request.event else { return nil }
            event = told
            event.who = who
        }
        return event
    }

    private func perform(_ request: ControlRequest, _ connection: FileDescriptor) throws -> ControlAnswer {
        let source = source(connection)
        switch request.command {
        case .delete:
            guard let uid = request.uid else { throw ArchiveError.failed("a deletion wants a UID") }
            let target: DeletionTarget
            switch request.level {
            case "study": target = DeletionTarget(study: uid)
            case "series": target = DeletionTarget(series: uid)
            case "instance": target = DeletionTarget(instance: uid)
            default: throw ArchiveError.failed("a deletion wants a level")
            }
            let deletion = try archive.delete(target, by: source)
            return ControlAnswer(
                tombstone: deletion.sequence, instances: deletion.instances,
                revocableUntil: Clock.timestamp(deletion.revocableUntil))
        case .undelete:
            try archive.undelete(request.tombstone ?? 0, by: source)
            return ControlAnswer(tombstone: request.tombstone)
        case .deletions:
            return ControlAnswer(
                deletions: try archive.deletions().map { deletion in
                    ControlAnswer.Deletion(
                        tombstone: deletion.sequence,
                        target: deletion.target.description
                            + (deletion.isOwnOnly ? ", what \(deletion.organisation) sent" : ""),
                        at: Clock.timestamp(deletion.deletedAtNanoseconds), by: deletion.callingAETitle,
                        instances: deletion.instances,
                        state: ["pending", "taken back", "for good"][Int(deletion.state.rawValue)])
                })
        case .audit: return ControlAnswer()
        case .compact:
            let result = try archive.reclaimer.compact(everything: request.everything ?? false)
            return ControlAnswer(segments: result.segments, freedBytes: result.freedBytes)
        case .account:
            guard let account = request.account else { throw AccountError("a change of accounts says which") }
            return ControlAnswer(account: try accounts.answer(account, by: source.peerAddress))
        case .share, .shares, .unshare: return try answer(sharing: request, by: source.peerAddress)
        }
    }

    private func answer(sharing request: ControlRequest, by name: String) throws -> ControlAnswer {
        var shares: [Share] = []
        switch request.command {
        case .share:
            shares = [
                try sharing.share(
                    request.uid ?? "", of: request.organisation ?? organisation, with: request.receiver ?? "",
                    until: request.until ?? "", by: name)
            ]
        case .unshare: try sharing.directory.end(Int64(clamping: request.tombstone ?? 0), of: nil, by: name)
        default: shares = sharing.directory.list(of: nil)
        }
        return ControlAnswer(
            shares: shares.map { share in
                ControlAnswer.Share(
                    number: share.id, study: share.studyInstanceUID, organisation: share.organisation,
                    receiver: share.receiver, until: Clock.timestamp(share.expiresAtNanoseconds), by: share.madeBy)
            })
    }

    /// Who is at the other end goes into the record.
    private func source(_ connection: FileDescriptor) -> IngestSource {
        IngestSource(
            callingAETitle: "ADMIN", calledAETitle: "", peerAddress: "uid \(csystem_peer_user(connection.raw))",
            organisation: organisation, issuer: "", characterSetOverride: "", associationID: "",
            route: .administration)
    }
}

/// Lines over a socket that waits.
enum ControlLine {
    /// nil: the line did not come whole.
    static func read(_ raw: Int32, maximum: Int) -> [UInt8]? {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while line.count <= maximum {
            let count = Glibc.read(raw, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            if let end = buffer[..<count].firstIndex(of: 0x0A) { return line + buffer[..<end] }
            line += buffer[..<count]
        }
        return nil
    }

    static func write(_ raw: Int32, _ line: [UInt8]) {
        var rest = (line + [0x0A])[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// A command's end of it.
enum ControlClient {
    /// Asks the running server; without one this process opens the archive for as long as it takes.
    static func ask(_ request: ControlRequest, _ configuration: Configuration) throws -> ControlAnswer {
        let path = "\(configuration.data)/control.socket"
        var service: Service?
        defer { service?.stop() }
        var raw = connect(path)
        if raw < 0 {
            guard FileSystem.exists("\(configuration.data)/format") else {
                throw ArchiveError.failed("\(configuration.data) holds no archive; say --data or --config")
            }
            service = try Service(configuration, listens: false)
            raw = connect(path)
        }
        guard raw >= 0 else { throw SystemError("connect", path) }
        return try ask(request, FileDescriptor(adopting: raw, path: path))
    }

    /// Asks the running server; nil: there is none.
    static func askRunning(_ request: ControlRequest, _ configuration: Configuration) throws -> ControlAnswer? {
        let raw = connect("\(configuration.data)/control.socket")
        guard raw >= 0 else { return nil }
        return try ask(request, FileDescriptor(adopting: raw, path: "control.socket"))
    }

    private static func ask(_ request: ControlRequest, _ connection: FileDescriptor) throws -> ControlAnswer {
        ControlLine.write(connection.raw, Array(try JSONEncoder().encode(request)))
        guard let line = ControlLine.read(connection.raw, maximum: 1 << 30) else {
            throw ArchiveError.failed("the archive gave no answer; see its log")
        }
        return try JSONDecoder().decode(ControlAnswer.self, from: Data(line))
    }

    /// Asks the running server about accounts; without one this process opens `control.db` alone, and makes an archive's
    /// directory where there is none: users are made before the first start.
    static func ask(_ request: AccountRequest, _ configuration: Configuration) throws -> ControlAnswer {
        let path = "\(configuration.data)/control.socket"
        if FileSystem.exists(path) {
            let raw = connect(path)
            if raw >= 0 {
                close(raw)
                return try ask(ControlRequest(command: .account, account: request), configuration)
            }
        }
        if let mirror = try configuration.mirrorSettings() { try Mirror.checkPresence(of: configuration.data, mirror) }
        let directory = try DataDirectory(configuration.data)
        let control = try Control(path: directory.control)
        defer { control.close() }
        let authenticator = try Authenticator(try Accounts(control), settings: Authenticator.Settings()) {
            .everything(as: $0)
        }
        let administration = AccountAdministration(authenticator, organisation: configuration.organisation)
        do {
            let answer = try administration.answer(request, by: "uid \(getuid())")
            if let event = request.auditEvent(by: .operatorOfThisMachine) {
                try CommandAudit.record(event, configuration)
            }
            return ControlAnswer(account: answer)
        } catch let error as AccountError {
            return ControlAnswer(error: "\(error)", isMissing: error.isMissing)
        }
    }

    private static func connect(_ path: String) -> Int32 {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let result = try? Socket.withUnixAddress(path) { address, length throws(TransportError) in
            Glibc.connect(raw, address, length)
        }
        if result == 0 { return raw }
        close(raw)
        return -1
    }
}
