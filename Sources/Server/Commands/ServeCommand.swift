// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

enum ServeCommand {
    private static let help = """
        usage: snimok serve [--config FILE] [--data DIR] [--bind ADDRESS] [--aet AET] [--dicom-port N] [--http-port N]
                            [--insecure]

        Starts the archive. When it accepts, it prints on stderr: ready dicom=ADDRESS:PORT http=ADDRESS:PORT, and with
        TLS dicom-tls=ADDRESS:PORT. Defaults: ./snimok-data, 127.0.0.1, SNIMOK, 11112, 8080. Port 0 takes a free one.
        --bind is the address of DICOM and HTTP. Where others can reach it, DICOM needs peers with addresses or TLS, and HTTP
        needs users (snimok user add) and either TLS or declared proxies; --insecure starts without them, for
        laboratories. SIGTERM and SIGINT drain; SIGHUP reads DICOM's certificates again.
        Each key of the configuration (JSON5) is also SNIMOK__SECTION__KEY in the environment, or a file's content by
        SNIMOK__SECTION__KEY_FILE.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        var configuration = try arguments.configuration()
        if let bind = try arguments.value("--bind") {
            configuration.dicom.bind = bind
            configuration.http.bind = bind
        }
        if arguments.flag("--insecure") { configuration.insecure = true }
        if let title = try arguments.value("--aet") { configuration.aeTitle = title }
        if let port = try port(&arguments, "--dicom-port") { configuration.dicom.port = Int(port) }
        if let port = try port(&arguments, "--http-port") { configuration.http.port = Int(port) }
        try arguments.end()
        try configuration.check()
        try configuration.checkDICOMExposure()
        var signals = ProcessSignals(SIGTERM, SIGINT, SIGHUP)
        let service = try Service(configuration)
        ProcessSignals.announce(readyLine(configuration, service))
        var received = signals.wait()
        while received == SIGHUP {
            service.reloadCertificates()
            received = signals.wait()
        }
        Log.info("draining", ["signal": received == SIGTERM ? "SIGTERM" : "SIGINT"])
        service.stop()
        return .success
    }

    private static func readyLine(_ configuration: Configuration, _ service: Service) -> String {
        let host = configuration.dicom.bind
        var line = "ready dicom=\(service.dicomPort.map { "\(host):\($0)" } ?? "off")"
        line += " http=\(configuration.http.bind):\(service.httpPort)"
        if let port = service.dicomTLSPort { line += " dicom-tls=\(host):\(port)" }
        return line + "\n"
    }

    private static func port(_ arguments: inout Arguments, _ option: String) throws -> UInt16? {
        guard let text = try arguments.value(option) else { return nil }
        guard let port = UInt16(text) else { throw Arguments.Failure.wrong("\(option) wants a number from 0 to 65535") }
        return port
    }
}

enum CheckConfigurationCommand {
    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(
            "usage: snimok check-config FILE\n\nSays what is wrong with a configuration file, or that it is good.")
        let files = try arguments.rest()
        guard files.count == 1 else { throw Arguments.Failure.wrong("check-config wants one file; see --help") }
        guard FileSystem.exists(files[0]) else {
            CommandLineTool.complain("no such file: \(files[0])")
            return .noInput
        }
        let configuration = try Configuration(file: files[0], environment: [:])
        try configuration.checkDICOMExposure()
        for note in configuration.notes { print("\(files[0]): note: \(note)") }
        print("\(files[0]): good")
        return .success
    }
}
