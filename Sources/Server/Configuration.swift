// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import BlobLog
import Catalog
import DICOM
import DICOMweb
import DIMSE
import FoundationEssentials
import Glibc
import HTTP
import Imaging
import Platform
import Transport

/// The configuration file (JSON5), with every key also as `SNIMOK__SECTION__KEY` in the environment, and from a file by
/// `SNIMOK__SECTION__KEY_FILE`.
package struct Configuration: Codable, Sendable {
    package struct TLSSection: Codable, Sendable {
        package var port = 2762
        /// PEM files; without a certificate there is no TLS.
        package var certificate = ""
        package var key = ""
        /// The CAs that clients' certificates, and those of peers that are called, must come from.
        package var authorities = ""
        package var clients = ClientCertificates.required
    }

    package struct DICOMSection: Codable, Sendable {
        package var bind = "127.0.0.1"
        package var port = 11112
        /// Whether the port without TLS is there.
        package var plain = true
        package var tls = TLSSection()
        package var maximumPDULength = 1 << 20
        package var asynchronousOperations: UInt16 = 16
        package var associationsMaximum = 256
        package var associationsPerPeerMaximum = 128
        /// Connections that have not asked for an association yet.
        package var connectionsMaximum = 10_000
        package var artimTimeoutSeconds = 30.0
        package var idleTimeoutSeconds = 600.0
        package var pduTimeoutSeconds = 30.0
        package var minimumBytesPerSecond = 1000.0
        /// Of all associations together; 0: as fast as it goes.
        package var bytesPerSecondMaximum = 0.0
        package var checkCalledAETitle = true
        /// nil: only while no peers are configured and the address is a loopback one.
        package var acceptUnknownCallingAETitles: Bool?
    }

    package struct HTTPSection: Codable, Sendable {
        package var bind = "127.0.0.1"
        package var port = 8080
        package var connectionsMaximum: UInt32 = 10_000
        package var connectionsPerAddressMaximum: UInt32 = 1000
        /// Requests that are worked on at once; more wait.
        package var requestsMaximum = 256
        /// More are told to come again later; 0: as many as come.
        package var requestsPerSecondPerAddressMaximum = 0.0
        /// Of a connection on which nothing moves.
        package var idleTimeoutSeconds: UInt32 = 30
        /// Origins whose pages may read answers, such as "https://viewer.hospital.example".
        package var corsOrigins: [String] = []
        /// PEM files; empty: HTTP without TLS.
        package var tlsCertificate = ""
        package var tlsKey = ""
        /// Address ranges of reverse proxies, whose X-Forwarded-For, -Proto and -Host are believed.
        package var proxies: [String] = []
    }

    package struct AccessSection: Codable, Sendable {
        package struct JWTSection: Codable, Sendable {
            /// "HS256", "RS256", "ES256" or "EdDSA"; the key file's and no other.
            package var algorithm = ""
            /// A public key in PEM, or the secret of HS256; empty: no JSON Web Tokens are believed.
            package var keyFile = ""
            package var issuer = ""
            package var audience = ""
            package var organisationClaim = "organisation"
            package var rolesClaim = "roles"
        }

        /// Of a session of the web page that nobody uses, and of any.
        package var sessionIdleMinutes = 60.0
        package var sessionHours = 12.0
        package var jwt = JWTSection()
    }

    package struct DICOMwebSection: Codable, Sendable {
        package var root = "/dicom-web"
        package var wadoURI = "/wado"
        package var allowDelete = false
    }

    package struct WebSection: Codable, Sendable {
        /// The folder of a built OHIF, served under /ohif/; empty: none.
        package var ohifDirectory = ""
    }

    package struct ImagingSection: Codable, Sendable {
        /// Decoder processes; 0: one for each processor.
        package var workers = 0
        package var memoryMiB: UInt64 = 1024
        package var cpuSeconds: UInt32 = 30
        package var wallSeconds = 60.0
        /// Pictures kept on disk.
        package var cacheMiB: UInt64 = 512
    }

    package struct StorageSection: Codable, Sendable {
        package var segmentMiB: UInt64 = 1024
        package var largeObjectMiB = 4
        package var freeSpaceFloorMiB: UInt64 = 1024
        package var quarantineMiB: UInt64 = 1024
        /// How long a deletion may be taken back.
        package var deletionGraceDays = 30.0
        /// The file that knows of deletions for good; empty: beside the data directory.
        package var deletionRegister = ""
        /// At which space is given back; 0: not by itself.
        package var compactionMegabytesPerSecond: UInt64 = 50
        /// How much of a segment must be garbage for that.
        package var compactionGarbagePercent: UInt64 = 20
        /// At which everything stored is read from time to time; 0: never.
        package var scrubMegabytesPerSecond: UInt64 = 20
        /// Between two full passes of that.
        package var scrubIntervalHours = 168.0
    }

    package struct DurabilitySection: Codable, Sendable {
        package enum Mode: String, Codable, Sendable { case local, mirrored }
        package enum MirrorFailure: String, Codable, Sendable { case `continue`, stop }

        /// "local": one copy; "mirrored": a second one in another directory, which is to be on another volume.
        package var mode = Mode.local
        package var directory = ""
        /// In place of a directory: another machine, where `snimok receive` keeps it.
        package var receiver = ReceiverTargetSection()
        /// "continue": storing goes on with one copy; "stop": it does not.
        package var whenMirrorFails = MirrorFailure.continue
    }

    /// Where the second copy goes.
    package struct ReceiverTargetSection: Codable, Sendable {
        /// Name or address; empty: none.
        package var host = ""
        package var port = 11113
        /// PEM files: whom the receiver's certificate must come from, and our own certificate and key.
        package var authorities = ""
        package var certificate = ""
        package var key = ""
        /// Fingerprint or name that the receiver's certificate must have; empty: the host's.
        package var receiverCertificate = ""
        /// Without an answer for so long, the receiver is given up, and the archive goes on as `whenMirrorFails` says.
        package var timeoutSeconds = 30.0
    }

    /// What `snimok receive` listens on, to keep another archive's second copy.
    package struct ReceiverSection: Codable, Sendable {
        package var bind = "127.0.0.1"
        package var port = 11113
        /// PEM files: whom the archive's certificate must come from, and our own certificate and key.
        package var authorities = ""
        package var certificate = ""
        package var key = ""
        /// Fingerprint or name that the archive's certificate must have; empty: any of those authorities.
        package var archiveCertificate = ""
    }

    package struct QuerySection: Codable, Sendable {
        /// 0: no limit.
        package var resultLimit = 0
        /// What looking for the next rows of an answer may take.
        package var searchSecondsMaximum = 30.0
    }

    package struct CommitmentSection: Codable, Sendable {
        /// Whether storage commitment is offered.
        package var enabled = true
        /// Until a result that could not be told is told again; doubled with each attempt, up to an hour.
        package var retrySeconds = 60.0
        package var giveUpHours = 72.0
    }

    package struct AuditSection: Codable, Sendable {
        /// Of the key that ties the trail's lines together; empty: in the data directory.
        package var keyFile = ""
        /// A file of the trail is followed by another one beyond this.
        package var fileMiB: UInt64 = 64
        /// Room set aside on the disk, so that others who fill it do not at once forbid reading.
        package var reserveMiB: UInt64 = 16
        package var syslog = SyslogSection()
    }

    /// The audit repository that the trail is sent to.
    package struct SyslogSection: Codable, Sendable {
        /// Name or address; empty: none.
        package var host = ""
        package var port = 6514
        /// PEM files: whom the repository's certificate must come from, and our own certificate and key.
        package var authorities = ""
        package var certificate = ""
        package var key = ""
    }

    package struct PeerSection: Codable, Sendable {
        package var aeTitle: String
        package var addresses: [String]?
        package var host: String?
        package var port: Int?
        package var organisation: String?
        package var issuer: String?
        package var characterSet: String?
        /// Reasons of rejection notes whose instances it is shown all the same: "quality", "patientSafety", "worklist",
        /// "retention".
        package var seesRejected: [String]?
        /// Fingerprint (SHA-256) or name that its certificate must have.
        package var certificate: String?
        /// It calls over TLS, and is called over TLS.
        package var tls: Bool?
        /// Nil: all.
        package var services: [DICOMService]?
        /// Of all its associations together; nil: as fast as it goes.
        package var bytesPerSecondMaximum: Double?

        enum CodingKeys: String, CodingKey {
            case aeTitle, addresses, host, port, organisation, issuer, characterSet, seesRejected, certificate, tls,
                services, bytesPerSecondMaximum
        }

        static let reasons: [String: HiddenReasons] = [
            "quality": .rejectedForQuality, "patientSafety": .rejectedForPatientSafety,
            "worklist": .incorrectWorklistEntry, "retention": .retentionExpired,
        ]
    }

    package struct OrganisationSection: Codable, Sendable {
        package var name: String
        /// Others whose instances it sees besides its own; "*": everybody's.
        package var sees: [String]?
    }

    package var data = "./snimok-data"
    /// For laboratories: what is exposed without protection is not refused.
    package var insecure = false
    package var aeTitle = "SNIMOK"
    package var organisation = "default"
    package var issuer = ""
    package var dicom = DICOMSection()
    package var http = HTTPSection()
    package var access = AccessSection()
    package var dicomweb = DICOMwebSection()
    package var web = WebSection()
    package var imaging = ImagingSection()
    package var storage = StorageSection()
    package var durability = DurabilitySection()
    package var receiver = ReceiverSection()
    /// What must be kept, and for how long.
    package var retention: [RetentionRule] = []
    package var query = QuerySection()
    package var commitment = CommitmentSection()
    package var audit = AuditSection()
    package var peers: [PeerSection] = []
    /// Who sees whose instances; empty: everybody everything.
    package var organisations: [OrganisationSection] = []

    package init() {}
}

/// What is wrong with a configuration, in a sentence.
package struct ConfigurationError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension Configuration {
    /// Reads the file, if one is given, over the defaults, and the environment over both.
    package init(file: String?, environment: [String: String]) throws(ConfigurationError) {
        var tree = try Self.defaults()
        if let file { try Self.overlay(&tree, with: try Self.read(file), path: "") }
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("SNIMOK__") {
            try Self.overlay(&tree, name: name, value: value)
        }
        try Self.checkKeys(ofPeers: tree["peers"])
        do {
            self = try JSONDecoder().decode(Configuration.self, from: try JSONEncoder().encode(tree))
        } catch { throw ConfigurationError(Self.sentence(error)) }
        try check()
    }

    private static func defaults() throws(ConfigurationError) -> JSONValue {
        do {
            var tree = try JSONDecoder().decode(JSONValue.self, from: try JSONEncoder().encode(Configuration()))
            // Keys without a default are known too.
            tree["dicom"]?["acceptUnknownCallingAETitles"] = .null
            return tree
        } catch { throw ConfigurationError("the defaults cannot be encoded: \(error)") }
    }

    private static func read(_ file: String) throws(ConfigurationError) -> JSONValue {
        let bytes: [UInt8]
        do { bytes = try FileSystem.contents(file) } catch { throw ConfigurationError("\(error)") }
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do { return try decoder.decode(JSONValue.self, from: Data(bytes)) } catch {
            throw ConfigurationError("\(file): \(sentence(error))")
        }
    }

    /// A key that nobody knows is a mistake of the operator's, and is said.
    private static func overlay(_ tree: inout JSONValue, with other: JSONValue, path: String) throws(ConfigurationError)
    {
        guard case .object(let changes) = other, case .object = tree else {
            tree = other
            return
        }
        for (key, value) in changes {
            let name = path.isEmpty ? key : "\(path).\(key)"
            guard var known = tree[key] else { throw ConfigurationError("unknown key \(name)") }
            try overlay(&known, with: value, path: name)
            tree[key] = known
        }
    }

    /// A rule that is misspelt would be no rule.
    private static func checkKeys(ofPeers peers: JSONValue?) throws(ConfigurationError) {
        guard case .array(let list) = peers else { return }
        for case .object(let peer) in list {
            if let key = peer.keys.sorted().first(where: { PeerSection.CodingKeys(rawValue: $0) == nil }) {
                throw ConfigurationError("unknown key \(key) of a peer")
            }
        }
    }

    private static func overlay(_ tree: inout JSONValue, name: String, value: String) throws(ConfigurationError) {
        var name = name
        var value = value
        if name.hasSuffix("_FILE") {
            name = String(name.dropLast(5))
            do {
                value = String(decoding: try FileSystem.contents(value), as: UTF8.self)
                while value.last?.isNewline == true { value.removeLast() }
            } catch { throw ConfigurationError("\(name)_FILE: \(error)") }
        }
        let parts = name.dropFirst("SNIMOK__".count).components(separatedBy: "__")
        guard tree.set(parts, text: value) else { throw ConfigurationError("unknown key \(name)") }
    }

    private static func sentence(_ error: any Error) -> String {
        switch error {
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context), DecodingError.keyNotFound(_, let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
        default: return "\(error)"
        }
    }

    // MARK: Meaning

    func check() throws(ConfigurationError) {
        for title in [aeTitle] + peers.map(\.aeTitle) where title.isEmpty || title.utf8.count > 16 {
            throw ConfigurationError("AE title \"\(title)\" must have 1 to 16 characters")
        }
        for peer in peers {
            if let set = peer.characterSet, !set.isEmpty, SpecificCharacterSet(override: set) == nil {
                throw ConfigurationError("peer \(peer.aeTitle): unknown character set \"\(set)\"")
            }
            for reason in peer.seesRejected ?? [] where PeerSection.reasons[reason] == nil {
                throw ConfigurationError(
                    "peer \(peer.aeTitle): \"\(reason)\" is no reason; quality, patientSafety, worklist, retention are")
            }
            for address in peer.addresses ?? [] where AddressRange(address) == nil {
                throw ConfigurationError("peer \(peer.aeTitle): \"\(address)\" is no address range such as 10.1.0.0/16")
            }
        }
        try checkOrganisations()
        for (name, port) in [("dicom.port", dicom.port), ("dicom.tls.port", dicom.tls.port), ("http.port", http.port)]
            + peers.map({ ("port of peer \($0.aeTitle)", $0.port ?? 1) })
        where !(0...65_535).contains(port) {
            throw ConfigurationError("\(name) is \(port); a port is 0 to 65535")
        }
        if Set(peers.map(\.aeTitle)).count != peers.count {
            throw ConfigurationError("two peers have the same AE title")
        }
        guard (4096...(64 << 20)).contains(dicom.maximumPDULength) else {
            throw ConfigurationError("dicom.maximumPDULength must be between 4096 and 67108864")
        }
        guard (1...256).contains(storage.largeObjectMiB), (1...1_048_576).contains(storage.segmentMiB) else {
            throw ConfigurationError("storage.largeObjectMiB must be 1 to 256 and storage.segmentMiB 1 to 1048576")
        }
        guard storage.deletionGraceDays >= 0, storage.deletionGraceDays < 36_500,
            storage.compactionGarbagePercent <= 100, retention.allSatisfy({ $0.years > 0 && $0.years < 1000 })
        else {
            throw ConfigurationError(
                "storage.deletionGraceDays must not be below 0, compactionGarbagePercent 0 to 100, years of retention above 0"
            )
        }
        try checkMirror()
        guard (0..<1e6).contains(storage.scrubIntervalHours), storage.scrubMegabytesPerSecond < 1_000_000 else {
            throw ConfigurationError(
                "storage.scrubIntervalHours must be 0 to 1000000, storage.scrubMegabytesPerSecond below 1000000")
        }
        let syslog = audit.syslog
        guard syslog.host.isEmpty || !syslog.authorities.isEmpty, syslog.certificate.isEmpty == syslog.key.isEmpty,
            (1...65_535).contains(syslog.port)
        else {
            throw ConfigurationError(
                "audit.syslog wants host, a port from 1 to 65535, and authorities; certificate and key belong together")
        }
        guard (1...65_536).contains(audit.fileMiB), audit.reserveMiB <= 65_536 else {
            throw ConfigurationError("audit.fileMiB must be 1 to 65536, audit.reserveMiB at most 65536")
        }
        guard http.connectionsMaximum > 0, http.connectionsPerAddressMaximum > 0, http.requestsMaximum > 0,
            http.idleTimeoutSeconds > 0
        else { throw ConfigurationError("limits of http must be above 0") }
        guard imaging.workers >= 0, imaging.memoryMiB >= 64, imaging.cpuSeconds > 0, imaging.wallSeconds > 0 else {
            throw ConfigurationError("imaging.memoryMiB must be 64 or more, imaging.cpuSeconds and wallSeconds above 0")
        }
        guard dicomweb.root.split(separator: "/").count > 0 else {
            throw ConfigurationError("dicomweb.root must be a path such as /dicom-web")
        }
        guard http.tlsCertificate.isEmpty == http.tlsKey.isEmpty else {
            throw ConfigurationError("http.tlsCertificate and http.tlsKey belong together")
        }
        for proxy in http.proxies where AddressRange(proxy) == nil {
            throw ConfigurationError("http.proxies: \"\(proxy)\" is no address range such as 10.0.0.5 or 10.1.0.0/16")
        }
        try checkAccess()
        guard dicom.associationsMaximum > 0, dicom.associationsPerPeerMaximum > 0, dicom.connectionsMaximum > 0,
            dicom.asynchronousOperations > 0
        else {
            throw ConfigurationError("limits of dicom must be above 0")
        }
        let timeouts = [dicom.artimTimeoutSeconds, dicom.idleTimeoutSeconds, dicom.pduTimeoutSeconds]
        guard timeouts.allSatisfy({ $0 > 0 && $0 < 1e8 }), dicom.minimumBytesPerSecond >= 0, query.resultLimit >= 0
        else {
            throw ConfigurationError("timeouts must be above 0; minimumBytesPerSecond and resultLimit not below")
        }
        // With less, whoever shares it would wait for minutes.
        guard dicom.bytesPerSecondMaximum == 0 || (1_048_576...1e15).contains(dicom.bytesPerSecondMaximum),
            peers.compactMap(\.bytesPerSecondMaximum).allSatisfy({ (65_536...1e15).contains($0) })
        else {
            throw ConfigurationError(
                "dicom.bytesPerSecondMaximum must be 0, or 1048576 or more; that of a peer 65536 or more")
        }
        let requests = http.requestsPerSecondPerAddressMaximum
        guard requests == 0 || (0.01...1e9).contains(requests) else {
            throw ConfigurationError("http.requestsPerSecondPerAddressMaximum must be 0, or 0.01 or more")
        }
        guard (0.001...1e6).contains(query.searchSecondsMaximum) else {
            throw ConfigurationError("query.searchSecondsMaximum must be 0.001 or more")
        }
        guard (0.1...1e6).contains(commitment.retrySeconds), (0...1e5).contains(commitment.giveUpHours) else {
            throw ConfigurationError("commitment.retrySeconds must be 0.1 or more, commitment.giveUpHours not below 0")
        }
        try checkTLS()
    }

    private func checkAccess() throws(ConfigurationError) {
        guard (0.1...1e5).contains(access.sessionIdleMinutes), (0.1...1e4).contains(access.sessionHours) else {
            throw ConfigurationError("access.sessionIdleMinutes and access.sessionHours must be 0.1 or more")
        }
        let jwt = access.jwt
        guard !jwt.keyFile.isEmpty || (jwt.algorithm + jwt.issuer + jwt.audience).isEmpty else {
            throw ConfigurationError("access.jwt.keyFile must name the key that tokens are checked with")
        }
        guard jwt.keyFile.isEmpty || !(jwt.issuer.isEmpty || jwt.audience.isEmpty) else {
            throw ConfigurationError("access.jwt.issuer and access.jwt.audience must be given with access.jwt.keyFile")
        }
        guard jwt.keyFile.isEmpty || SignatureKey.Algorithm(rawValue: jwt.algorithm) != nil else {
            throw ConfigurationError("access.jwt.algorithm must be HS256, RS256, ES256 or EdDSA")
        }
    }

    /// - Throws: when the key cannot be read or is none.
    func authenticatorSettings() throws -> Authenticator.Settings {
        var settings = Authenticator.Settings()
        settings.sessionIdleSeconds = access.sessionIdleMinutes * 60
        settings.sessionSeconds = access.sessionHours * 3600
        let jwt = access.jwt
        guard !jwt.keyFile.isEmpty, let algorithm = SignatureKey.Algorithm(rawValue: jwt.algorithm) else {
            return settings
        }
        do {
            settings.authority = JSONWebToken.Authority(
                key: try SignatureKey(algorithm, file: try FileSystem.contents(jwt.keyFile)), issuer: jwt.issuer,
                audience: jwt.audience, organisationClaim: jwt.organisationClaim, rolesClaim: jwt.rolesClaim)
        } catch { throw ConfigurationError("access.jwt.keyFile: \(error)") }
        return settings
    }

    var gateSettings: HTTPGate.Settings {
        HTTPGate.Settings(
            allowedOrigins: http.corsOrigins, isInsecure: insecure,
            requestsPerSecond: http.requestsPerSecondPerAddressMaximum)
    }

    /// Whether only this machine can reach the address.
    static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || AddressRange("127.0.0.0/8")!.contains(host)
    }

    package func archiveSettings() throws -> Archive.Settings {
        var settings = Archive.Settings()
        settings.searchSecondsMaximum = query.searchSecondsMaximum
        settings.segmentBytes = storage.segmentMiB << 20
        settings.largeObjectBytes = storage.largeObjectMiB << 20
        settings.freeSpaceFloorBytes = storage.freeSpaceFloorMiB << 20
        settings.quarantineBytes = storage.quarantineMiB << 20
        settings.deletionGraceSeconds = storage.deletionGraceDays * 86_400
        settings.compactionBytesPerSecond = storage.compactionMegabytesPerSecond * 1_000_000
        settings.compactionGarbagePercent = storage.compactionGarbagePercent
        settings.retention = retention
        settings.deletionRegister = storage.deletionRegister
        settings.mirror = try mirrorSettings()
        return settings
    }

    package var auditDirectory: AuditDirectory { AuditDirectory(data: data, keyFile: audit.keyFile) }

    package var auditSource: AuditSource {
        AuditSource(aeTitle: aeTitle, organisation: organisation, host: Self.hostName)
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "localhost" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    package var auditSettings: AuditTrail.Settings {
        var settings = AuditTrail.Settings()
        settings.fileBytes = audit.fileMiB << 20
        settings.reserveBytes = audit.reserveMiB << 20
        return settings
    }

    package var scrubSettings: Scrubber.Settings {
        var settings = Scrubber.Settings()
        settings.bytesPerSecond = storage.scrubMegabytesPerSecond * 1_000_000
        settings.intervalSeconds = storage.scrubIntervalHours * 3600
        return settings
    }

    private func checkOrganisations() throws(ConfigurationError) {
        let names = organisations.map(\.name)
        guard !names.contains(where: \.isEmpty), !names.contains("*"), Set(names).count == names.count else {
            throw ConfigurationError("each of the organisations must have a name of its own, which is not \"*\"")
        }
        // A name that nobody bears is a slip of the pen, and would show less than was meant, or nothing.
        for organisation in organisations {
            for name in organisation.sees ?? [] where name != "*" && !organisationNames.contains(name) {
                throw ConfigurationError(
                    "organisation \(organisation.name) sees \"\(name)\", which is neither in organisations nor any peer's; one that sees everybody has sees: [\"*\"]"
                )
            }
        }
    }

    /// All that are named anywhere.
    package var organisationNames: Set<String> {
        Set(organisations.map(\.name) + peers.compactMap(\.organisation) + [organisation])
    }

    package var organisationRules: [OrganisationDirectory.Organisation] {
        organisations.map { organisation in
            let sees = organisation.sees ?? []
            return .init(name: organisation.name, sees: sees.contains("*") ? nil : Set(sees))
        }
    }

    /// What is right, but may not be what was meant.
    package var notes: [String] {
        guard !organisations.isEmpty else { return [] }
        let listed = Set(organisations.map(\.name))
        var notes = organisationNames.subtracting(listed).sorted().map {
            "organisation \($0) is not in organisations: it sees its own instances only"
        }
        let blind = organisationNames.subtracting(organisations.filter { $0.sees?.contains("*") == true }.map(\.name))
        let issuers = Dictionary(grouping: peers.filter { blind.contains($0.organisation ?? organisation) }) {
            $0.issuer ?? issuer
        }
        for (issuer, peers) in issuers.sorted(by: { $0.key < $1.key }) {
            let sharing = Set(peers.map { $0.organisation ?? organisation })
            guard sharing.count > 1 else { continue }
            notes.append(
                "\(sharing.sorted().joined(separator: ", ")) have the same issuer of patient ids (\"\(issuer)\"): patients with the same id count as one person"
            )
        }
        return notes
    }

    package var serviceSettings: ServiceSettings {
        var settings = ServiceSettings()
        settings.directory.aeTitle = aeTitle
        settings.directory.organisation = organisation
        settings.directory.issuer = issuer
        settings.directory.checksCalledAETitle = dicom.checkCalledAETitle
        settings.directory.acceptsUnknownCallingAETitles = acceptsUnknownCallingAETitles
        settings.directory.peers = peers.map { peer in
            Peer(
                aeTitle: peer.aeTitle, addresses: (peer.addresses ?? []).compactMap(AddressRange.init), host: peer.host,
                port: peer.port.map { UInt16($0) }, organisation: peer.organisation ?? organisation,
                issuer: peer.issuer ?? issuer,
                characterSet: peer.characterSet ?? "",
                shownReasons: (peer.seesRejected ?? []).reduce(into: []) {
                    $0.formUnion(PeerSection.reasons[$1] ?? [])
                },
                usesTLS: peer.tls ?? false, certificate: peer.certificate,
                services: Set(peer.services ?? DICOMService.allCases),
                rate: peer.bytesPerSecondMaximum.map { RateLimit(perSecond: $0) })
        }
        settings.limits = limits
        if dicom.bytesPerSecondMaximum > 0 { settings.rate = RateLimit(perSecond: dicom.bytesPerSecondMaximum) }
        settings.asynchronousOperations = dicom.asynchronousOperations
        settings.queryResultLimit = query.resultLimit == 0 ? nil : query.resultLimit
        settings.commitment.isEnabled = commitment.enabled
        settings.commitment.retrySeconds = commitment.retrySeconds
        settings.commitment.giveUpSeconds = commitment.giveUpHours * 3600
        return settings
    }

    package var dicomwebSettings: DICOMwebService.Settings {
        var settings = DICOMwebService.Settings()
        settings.root = dicomweb.root.split(separator: "/").map(String.init)
        settings.wadoURI = dicomweb.wadoURI.split(separator: "/").map(String.init)
        settings.allowsDelete = dicomweb.allowDelete
        settings.resultLimit = query.resultLimit == 0 ? nil : query.resultLimit
        settings.issuer = issuer
        settings.aeTitle = aeTitle
        return settings
    }

    package var codecSettings: CodecPool.Settings {
        var settings = CodecPool.Settings()
        settings.workers = imaging.workers > 0 ? imaging.workers : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        settings.memoryBytes = imaging.memoryMiB << 20
        settings.cpuSeconds = imaging.cpuSeconds
        settings.wallSeconds = imaging.wallSeconds
        return settings
    }

    /// - Throws: when a TLS file cannot be read.
    package func httpSettings() throws -> HTTPServer.Settings {
        var settings = HTTPServer.Settings()
        settings.connectionsMaximum = http.connectionsMaximum
        settings.connectionsPerAddressMaximum = http.connectionsPerAddressMaximum
        settings.requestsMaximum = http.requestsMaximum
        settings.timeoutSeconds = http.idleTimeoutSeconds
        settings.allowedOrigins = http.corsOrigins
        let proxies = http.proxies.compactMap(AddressRange.init)
        if !proxies.isEmpty { settings.isProxy = { address in proxies.contains { $0.contains(address) } } }
        guard !http.tlsCertificate.isEmpty else { return settings }
        settings.tls = (
            String(decoding: try FileSystem.contents(http.tlsCertificate), as: UTF8.self),
            String(decoding: try FileSystem.contents(http.tlsKey), as: UTF8.self)
        )
        return settings
    }

    private var limits: TransportLimits {
        var limits = TransportLimits()
        limits.artimSeconds = dicom.artimTimeoutSeconds
        limits.idleSeconds = dicom.idleTimeoutSeconds
        limits.pduSeconds = dicom.pduTimeoutSeconds
        limits.minimumBytesPerSecond = dicom.minimumBytesPerSecond
        limits.maximumPDULength = dicom.maximumPDULength
        return limits
    }

    package var acceptorSettings: Acceptor.Settings {
        var settings = Acceptor.Settings()
        settings.limits = limits
        settings.associationsMaximum = dicom.associationsMaximum
        settings.associationsPerPeerMaximum = dicom.associationsPerPeerMaximum
        settings.halfOpenMaximum = dicom.connectionsMaximum
        return settings
    }
}
