// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Mirroring
import Transport

/// Where the second copy goes, and what keeps that of another archive.
extension Configuration {
    func checkMirror() throws(ConfigurationError) {
        let target = durability.receiver
        let places = [durability.directory, target.host].filter { !$0.isEmpty }
        guard places.count == (durability.mode == .mirrored ? 1 : 0) else {
            throw ConfigurationError(
                "durability.mode \"mirrored\" goes with either durability.directory or durability.receiver.host, and \"local\" with neither"
            )
        }
        guard (1...65_535).contains(target.port), (0.1...3600).contains(target.timeoutSeconds) else {
            throw ConfigurationError(
                "durability.receiver.port must be 1 to 65535, durability.receiver.timeoutSeconds 0.1 to 3600")
        }
        guard target.certificate.isEmpty == target.key.isEmpty else {
            throw ConfigurationError("durability.receiver.certificate and key belong together")
        }
        guard target.host.isEmpty || !target.authorities.isEmpty || Self.isLoopback(target.host) else {
            throw ConfigurationError(
                "images go to \(target.host): name the CA of its certificate in durability.receiver.authorities, and give our own certificate and key"
            )
        }
        guard !target.host.contains("/") else {
            throw ConfigurationError("durability.receiver.host is a name or an address, without a path")
        }
    }

    /// nil: one copy only.
    package func mirrorSettings() throws -> Mirror.Settings? {
        guard durability.mode == .mirrored else { return nil }
        var settings = Mirror.Settings(directory: durability.directory)
        if !durability.receiver.host.isEmpty {
            let volume = RemoteVolume(try receiverTarget())
            settings.directory = volume.root
            settings.volume = volume
        }
        settings.stops = durability.whenMirrorFails == .stop
        settings.freeSpaceFloorBytes = storage.freeSpaceFloorMiB << 20
        return settings
    }

    private func receiverTarget() throws(TransportError) -> RemoteVolume.Target {
        let section = durability.receiver
        var target = RemoteVolume.Target(host: section.host, port: UInt16(section.port))
        target.timeoutSeconds = section.timeoutSeconds
        if !section.authorities.isEmpty {
            let files = TLSFiles(
                certificate: section.certificate, key: section.key, authorities: section.authorities)
            target.tls = try TLSConnector(
                files, certificate: section.receiverCertificate.isEmpty ? nil : section.receiverCertificate)
        }
        return target
    }

    /// - Throws: `ConfigurationError` for what would let anybody write here.
    func receiverSettings() throws -> MirrorReceiver.Settings {
        guard (0...65_535).contains(receiver.port) else {
            throw ConfigurationError("receiver.port must be 0 to 65535")
        }
        var settings = MirrorReceiver.Settings(
            endpoint: .tcp(host: receiver.bind, port: UInt16(receiver.port)), directory: data)
        settings.client = receiver.archiveCertificate.isEmpty ? nil : receiver.archiveCertificate
        let files = TLSFiles(
            certificate: receiver.certificate, key: receiver.key, authorities: receiver.authorities)
        guard files != TLSFiles() else {
            guard Self.isLoopback(receiver.bind), settings.client == nil else {
                throw ConfigurationError(
                    "receiver.bind is \(receiver.bind), which others can reach: give receiver.certificate, key and authorities"
                )
            }
            return settings
        }
        guard !files.certificate.isEmpty, !files.key.isEmpty, !files.authorities.isEmpty else {
            throw ConfigurationError("receiver.certificate, key and authorities belong together")
        }
        settings.tls = try TLSCredentials(files, clients: .required)
        return settings
    }
}
