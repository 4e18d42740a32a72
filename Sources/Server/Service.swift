// SPDX-License-Identifier: Apache-2.0
import Access
import Archive
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
    private let acceptor: Acceptor
    private let http: HTTPServer?
    private let metrics: Metrics
    private let codecs: CodecPool
    private let control: ControlSocket
    private let scrubber: Scrubber
    /// nil: not offered.
    private let commitment: CommitmentService?
    package let directory: DataDirectory

    /// - Parameter listens: false for a process that only wants the local socket, to import while no server runs.
    package init(_ configuration: Configuration, listens: Bool = true) throws {
        metrics = Metrics()
        if let mirror = configuration.mirrorSettings {
            try Mirror.checkPresence(of: configuration.data, mirror)
        }
        directory = try DataDirectory(configuration.data)
        let archive = try Archive(directory, settings: configuration.archiveSettings, metrics: metrics)
        self.archive = archive
        let report = archive.recovery
        Log.info(
            "archive opened",
            [
                "data": configuration.data, "replayed": "\(report.replayed)", "cutBytes": "\(report.cutBytes)",
                "milliseconds": "\(report.nanoseconds / 1_000_000)",
            ])
        codecs = CodecPool(configuration.codecSettings, metrics: metrics)
        let transcoder = Transcoder(codecs)
        let controlData = try Control(path: directory.control)
        let shares = try ShareDirectory(controlData)
        let organisations = OrganisationDirectory(configuration.organisationRules, shares: shares)
        let sharing = Sharing(archive: archive, directory: shares, organisations: configuration.organisationNames)
        var settings = configuration.serviceSettings
        settings.directory.organisations = organisations
        commitment =
            listens && settings.commitment.isEnabled
            ? CommitmentService(archive, controlData, settings: settings, metrics: metrics) : nil
        let server = DIMSEServer(archive, transcoder, settings: settings, metrics: metrics, commitment: commitment)
        var endpoints: [Endpoint] = [.unix(path: directory.importSocket)]
        if listens {
            endpoints.insert(.tcp(host: configuration.dicom.bind, port: UInt16(configuration.dicom.port)), at: 0)
        }
        acceptor = try Acceptor(endpoints, settings: configuration.acceptorSettings, handler: server.handler)
        http = listens ? try Self.startHTTP(configuration, metrics, archive, transcoder, organisations, sharing) : nil
        control = try ControlSocket(
            path: directory.controlSocket, archive: archive, sharing: sharing, organisation: configuration.organisation)
        let controlDatabase = directory.control
        archive.mirrorKeeper?.copyControl { target in
            if FileSystem.exists(controlDatabase) { try Control.copy(from: controlDatabase, to: target) }
        }
        scrubber = Scrubber(archive, settings: configuration.scrubSettings, metrics: metrics)
        registerGauges()
        if listens { try scrubber.run() }
        try control.run()
        try commitment?.run()
        try acceptor.run()
    }

    package var dicomPort: UInt16 { acceptor.port }
    package var httpPort: UInt16 { http?.port ?? 0 }

    /// Lets running messages end, commits what waits, and closes everything.
    package func stop() {
        scrubber.stop()
        control.stop()
        http?.stop()
        if !acceptor.stop(withinSeconds: 20) { Log.warning("associations still running were cut off", [:]) }
        commitment?.stop(withinSeconds: 10)
        codecs.stop()
        archive.close()
    }

    private static func startHTTP(
        _ configuration: Configuration, _ metrics: Metrics, _ archive: Archive, _ transcoder: Transcoder,
        _ organisations: OrganisationDirectory, _ sharing: Sharing
    ) throws -> HTTPServer {
        let previews = try PreviewCache(
            directory: "\(configuration.data)/previews", maximumBytes: configuration.imaging.cacheMiB << 20)
        let dicomweb = DICOMwebService(archive, transcoder, previews, settings: configuration.dicomwebSettings)
        let operations = OperationsPages(archive, metrics)
        let viewer =
            try configuration.web.ohifDirectory.isEmpty
            ? nil
            : ViewerFiles(
                directory: configuration.web.ohifDirectory, root: configuration.dicomweb.root,
                wadoURI: configuration.dicomweb.wadoURI)
        let sharePages = SharePages(sharing)
        // Whoever reaches a loopback address is on this machine, and sees what the archive's own organisation sees.
        let local = { @Sendable (request: HTTPRequest) in
            Asker(
                kind: .local, name: "", address: request.peerAddress, permissions: .all,
                scope: organisations.scope(of: configuration.organisation))
        }
        return try HTTPServer(
            host: configuration.http.bind, port: UInt16(configuration.http.port), settings: configuration.httpSettings()
        ) { exchange in
            if try operations.handle(exchange) { return }
            let asker = local(exchange.request)
            if try dicomweb.handle(exchange, for: asker) { return }
            if try sharePages.handle(exchange, for: asker) { return }
            if let viewer, try viewer.handle(exchange) { return }
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
