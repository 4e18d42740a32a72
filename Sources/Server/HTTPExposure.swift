// SPDX-License-Identifier: Apache-2.0

/// What must be configured before anybody outside this machine reaches the archive by HTTP. What is missing is no warning: the
/// archive does not start.
extension Configuration {
    /// - Parameter hasCredentials: whether there is a user, a token, or an authority whose tokens are believed.
    func checkHTTPExposure(hasCredentials: Bool) throws(ConfigurationError) {
        guard !insecure, !Self.isLoopback(http.bind) else { return }
        let exposed = "http.bind is \(http.bind), which others can reach: "
        let otherwise = "; or bind to 127.0.0.1; or, in a laboratory, start with --insecure"
        guard hasCredentials else {
            throw ConfigurationError(
                exposed + "make a user first (snimok user add NAME --role administrator) or a token (snimok token add)"
                    + otherwise)
        }
        guard speaksHTTPS || !http.proxies.isEmpty else {
            throw ConfigurationError(
                exposed + "give http.tlsCertificate and http.tlsKey, or name in http.proxies the proxies that speak TLS"
                    + " for it" + otherwise)
        }
    }

    var speaksHTTPS: Bool { !http.tlsCertificate.isEmpty }
}
