// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What both sides of a TLS connection must be able to do: the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection
/// Profile (PS3.15 section B.12). HTTPS has the same in GnuTLS's words, in CMicroHTTPD's shim.
enum TLSProfile {
    /// TLS 1.2 (RFC 9325 section 4.2): an ephemeral key for each connection, and encryption that authenticates. The
    /// shorter key first: it is as good for this purpose, and quicker.
    static let suites12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    static let suites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    /// Keys of 256 bits or more (PS3.15 section B.13 asks for that, RFC 9325 section 4.5 for 224).
    static let groups = "X25519:P-256:P-384:P-521"
    /// No SHA-1 (RFC 9325 section 4.5). RSA keys below 2048 bits are kept out by OpenSSL's security level 2.
    static let signatures = [
        "ECDSA+SHA256", "ECDSA+SHA384", "ECDSA+SHA512", "ed25519", "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512", "rsa_pss_pss_sha256", "RSA+SHA256", "RSA+SHA384", "RSA+SHA512",
    ].joined(separator: ":")

    /// Nothing is resumed (no tickets, no session cache): an association lasts long, and a certificate that has expired
    /// or lost its trust must not live on in a ticket (RFC 9325 section 3.4).
    static func apply(to context: OpaquePointer) -> Bool {
        copenssl_set_profile(context, suites12, suites13, groups, signatures) == 1
    }
}
