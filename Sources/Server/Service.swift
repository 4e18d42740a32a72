// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
import Audit
import BlobLog
import Catalog
import Control
import DICOMweb
import DIMSE
import Glibc
import HTTP
import Imaging
import Platform
import Transport

/// The running archive: opens the data, listens, and drains at the end.
package final class Service {
    private let archive: Archive
    private let audit: AuditTrail
    /// nil: no repository is configured.
    private let shipper: AuditShipper?
    private let acceptor: Acceptor
    private let http: HTTPServer?
    /// nil: DICOM without TLS.
    private let tls: TLSCredentials?
    private let metrics: Metrics
    private let codecs: CodecPool
    private let control: ControlSocket
    private let scrubber: Scrubber
    /// nil: not offered.
    private let commitment: CommitmentService?
    package let directory: DataDirectory
    private let listens: Bool
    /// Who may come in, by HTTP and by user identity negotiation.
    package let authenticator: Authenticator

    /// - Parameter listens: false for a process that only wants the local socket, to import while no server runs.
    package init(_ configuration: Configuration, listens: Bool = true) throws {
        metrics = Metrics()
        if listens { configuration.warnOfExposure() }
        // Before the data is opened: a file that cannot be used is told at once.
        tls = try configuration.tlsCredentials()
        var archiveSettings = try configuration.archiveSettings()
        archiveSettings.bringsRecent = listens
        if let mirror = archiveSettings.mirror { try Mirror.checkPresence(of: configuration.data, mirror) }
        directory = try DataDirectory(configuration.data)
        let controlDatabase = try Control(path: directory.control)
        let shares = try ShareDirectory(controlDatabase)
        let organisations = OrganisationDirectory(configuration.organisationRules, shares: shares)
        authenticator = try Authenticator(
            try Accounts(controlDatabase), settings: try configuration.authenticatorSettings()
        ) { organisations.scope(of: $0) }
        if listens { try configuration.checkHTTPExposure(hasCredentials: authenticator.hasCredentials) }
        let archive = try Archive(directory, settings: archiveSettings, metrics: metrics)
        self.archive = archive
        let report = archive.recovery
        Log.info(
            "archive opened",
            [
                "data": configuration.data, "replayed": "\(report.replayed)", "cutBytes": "\(report.cutBytes)",
                "milliseconds": "\(report.nanoseconds / 1_000_000)",
            ])
        let audit = AuditTrail(configuration.auditDirectory, settings: configuration.auditSettings, metrics: metrics)
        self.audit = audit
        shipper = listens ? try Self.shipper(configuration, audit, archive, metrics) : nil
        codecs = CodecPool(configuration.codecSettings, metrics: metrics)
        let transcoder = Transcoder(codecs)
        var settings = configuration.serviceSettings
        settings.tls = tls
        settings.authenticator = authenticator
        settings.directory.organisations = organisations
        commitment =
            listens && settings.commitment.isEnabled
            ? CommitmentService(archive, controlDatabase, settings: settings, metrics: metrics)
            : nil
        let server = DIMSEServer(
            archive, audit, transcoder, settings: settings, metrics: metrics, commitment: commitment)
        var endpoints: [Endpoint] = [.unix(path: directory.importSocket)]
        let host = configuration.dicom.bind
        if listens, configuration.dicom.plain {
            endpoints.insert(.tcp(host: host, port: UInt16(configuration.dicom.port)), at: 0)
        }
        let encrypted = tls.map { (Endpoint.tcp(host: host, port: UInt16(configuration.dicom.tls.port)), $0) }
        acceptor = try Acceptor(
            endpoints, encrypted: listens ? encrypted : nil, settings: configuration.acceptorSettings,
            onHandshakeFailed: { server.noteHandshake(from: $0, failed: $1) }, admit: server.handler)
        let sharing = Sharing(archive: archive, directory: shares, organisations: configuration.organisationNames)
        http =
            listens
            ? try Self.startHTTP(
                configuration, metrics, archive, audit, transcoder, authenticator, organisations, sharing) : nil
        control = try ControlSocket(
            path: directory.controlSocket, archive: archive, audit: audit,
            accounts: AccountAdministration(authenticator, organisation: configuration.organisation), sharing: sharing,
            organisation: configuration.organisation)
        archive.mirrorKeeper?.copyControl { target in try controlDatabase.copy(to: target) }
        scrubber = Scrubber(archive, settings: configuration.scrubSettings, metrics: metrics)
        self.listens = listens
        registerGauges()
        if listens { Self.noteStart(configuration, audit) }
        if listens { try scrubber.run() }
        try shipper?.run()
        try control.run()
        try commitment?.run()
        try acceptor.run()
    }

    /// nil: not there.
    package var dicomPort: UInt16? { acceptor.port }
    package var dicomTLSPort: UInt16? { acceptor.tlsPort }
    package var httpPort: UInt16 { http?.port ?? 0 }

    /// Reads DICOM's certificates and keys again, for connections from now on.
    package func reloadCertificates() {
        do throws(TransportError) {
            try tls?.reload()
            Log.info("certificates read again", ["dicom": tls == nil ? "no TLS" : "good"])
        } catch { Log.error("certificates not changed", ["why": "\(error)"]) }
    }

    /// Lets running messages end, commits what waits, and closes everything.
    package func stop() {
        scrubber.stop()
        control.stop()
        http?.stop()
        if !acceptor.stop(withinSeconds: 20) { Log.warning("associations still running were cut off", [:]) }
        commitment?.stop(withinSeconds: 10)
        authenticator.accounts.flush()
        codecs.stop()
        if listens { audit.recordEnd(AuditEvent(.stopped, "serve", by: .archive)) }
        shipper?.stop()
        audit.stop()
        archive.close()
    }

    private static func noteStart(_ configuration: Configuration, _ audit: AuditTrail) {
        audit.recordEnd(AuditEvent(.started, "serve", by: .archive))
        guard configuration.insecure else { return }
        // Major: what protects the archive may not be effective (PS3.15 table A.5.3.11-1).
        var event = AuditEvent(
            .alert, "serve --insecure", by: .archive, outcome: .majorFailure,
            detail: "what is exposed without protection is not refused")
        event.alert = .securityConfiguration
        audit.recordEnd(event)
    }

    private static func shipper(
        _ configuration: Configuration, _ audit: AuditTrail, _ archive: Archive, _ metrics: Metrics
    ) throws -> AuditShipper? {
        let section = configuration.audit.syslog
        guard !section.host.isEmpty else { return nil }
        let files = TLSFiles(
            certificate: section.certificate, key: section.key, authorities: section.authorities)
        let tls = try TLSConnector(files)
        return AuditShipper(
            audit, settings: AuditShipper.Settings(source: configuration.auditSource), stores: StoreFollower(archive),
            metrics: metrics
        ) { try RepositoryConnection(section, tls) }
    }

    private static func startHTTP(
        _ configuration: Configuration, _ metrics: Metrics, _ archive: Archive, _ audit: AuditTrail,
        _ transcoder: Transcoder, _ authenticator: Authenticator, _ organisations: OrganisationDirectory,
        _ sharing: Sharing
    ) throws -> HTTPServer {
        let previews = try PreviewCache(
            directory: "\(configuration.data)/previews", maximumBytes: configuration.imaging.cacheMiB << 20)
        let dicomweb = DICOMwebService(
            archive, audit, transcoder, previews, settings: configuration.dicomwebSettings)
        let operations = OperationsPages(archive, audit, metrics)
        let doorbook = DoorAudit(audit)
        let viewer =
            try configuration.web.ohifDirectory.isEmpty
            ? nil
            : ViewerFiles(
                directory: configuration.web.ohifDirectory, root: configuration.dicomweb.root,
                wadoURI: configuration.dicomweb.wadoURI)
        let pages = SignInPages(authenticator, doorbook, hasViewer: viewer != nil)
        let sharePages = SharePages(sharing, audit)
        let settings = configuration.dicomwebSettings
        let gate = HTTPGate(
            authenticator, RouteTable(root: settings.root, wadoURI: settings.wadoURI), doorbook,
            settings: configuration.gateSettings
        ) { organisations.scope(of: configuration.organisation) }
        return try HTTPServer(
            host: configuration.http.bind, port: UInt16(configuration.http.port), settings: configuration.httpSettings()
        ) { exchange in
            let admission: HTTPGate.Admission
            do throws(HTTPProblem) { admission = try gate.admit(exchange.request) } catch {
                guard error.status == 401, let invitation = SignInPages.invitation(exchange.request) else {
                    throw error
                }
                return exchange.respond(invitation)
            }
            if try operations.handle(exchange, for: admission.asker) { return }
            if try pages.handle(exchange, admission) { return }
            if try dicomweb.handle(exchange, for: admission.asker) { return }
            if try sharePages.handle(exchange, for: admission.asker) { return }
            let token = admission.cookie.map { Authenticator.antiForgeryToken(cookie: $0) }
            if let viewer, try viewer.handle(exchange, antiForgeryToken: token) { return }
            throw HTTPProblem(404, "There is no such resource; see /openapi.json for those that are")
        }
    }

    private func registerGauges() {
        let archive = archive
        let acceptor = acceptor
        metrics.gauge("snimok_associations_open", "Associations open now.") { acceptor.runningAssociations }
        metrics.gauge("snimok_quarantine_bytes", "Bytes in quarantine.") { Int(archive.quarantine.totals.bytes) }
        metrics.gauge("snimok_storing", "1 while instances are stored, 0 after an error stopped it.") {
            archive.stopReason == nil ? 1 : 0
        }
    }
}
