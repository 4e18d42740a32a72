// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Who is behind a trusted proxy, by the X-Forwarded fields that it sets. Of strangers these fields say nothing.
struct ForwardedClient {
    let address: String
    let isEncrypted: Bool
    let host: String?

    /// - Parameter isProxy: whether a proxy at this address is believed.
    init(peer: String, _ headers: HTTPHeaders, isProxy: (String) -> Bool) {
        // Each proxy appends whom it was called by, so from the right: the first that is no proxy is the client, and what
        // stands before it the client has made up.
        var client = peer
        for element in Self.elements(headers, "X-Forwarded-For").reversed() {
            guard isProxy(client), Self.isAddress(element) else { break }
            client = element
        }
        address = client
        isEncrypted = Self.elements(headers, "X-Forwarded-Proto").last?.lowercased() == "https"
        host = Self.elements(headers, "X-Forwarded-Host").last ?? headers["Host"]
    }

    private static func elements(_ headers: HTTPHeaders, _ name: String) -> [String] {
        (headers[name] ?? "").split(separator: ",").map { element in
            String(element.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static func isAddress(_ text: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return inet_pton(AF_INET, text, &four) == 1 || inet_pton(AF_INET6, text, &six) == 1
    }
}
