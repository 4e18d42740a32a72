// SPDX-License-Identifier: Apache-2.0
import Glibc
import Mirroring
import Platform

enum ReceiveCommand {
    private static let help = """
        usage: snimok receive [--config FILE] [--data DIR] [--bind ADDRESS] [--port N]

        Keeps the second copy of an archive on another machine, whose durability.receiver names this one. When it accepts, it
        prints on stderr: ready receiver=ADDRESS:PORT. Defaults: ./snimok-data, 127.0.0.1, 11113. Beyond this machine it
        needs TLS on both sides (receiver.certificate, key, authorities). SIGTERM and SIGINT end it.
        If the archive is lost: stop this, and start `snimok serve` on the same directory.
        """

    static func run(_ arguments: inout Arguments) throws -> ExitCode {
        try arguments.help(help)
        var configuration = try arguments.configuration()
        if let bind = try arguments.value("--bind") { configuration.receiver.bind = bind }
        if let port = try arguments.value("--port") {
            guard let number = UInt16(port) else {
                throw Arguments.Failure.wrong("--port wants a number from 0 to 65535")
            }
            configuration.receiver.port = Int(number)
        }
        try arguments.end()
        try configuration.check()
        let settings = try configuration.receiverSettings()
        var signals = ProcessSignals(SIGTERM, SIGINT)
        let receiver = try MirrorReceiver(settings)
        try receiver.run()
        ProcessSignals.announce("ready receiver=\(configuration.receiver.bind):\(receiver.port ?? 0)\n")
        _ = signals.wait()
        receiver.stop()
        return .success
    }
}
