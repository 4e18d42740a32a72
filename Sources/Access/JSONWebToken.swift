// SPDX-License-Identifier: Apache-2.0
import Platform

/// A JSON Web Token (RFC 7519) that another authority has signed (RFC 7515, compact form). The algorithm is the
/// configured one and no other: what the token says of it is compared, never followed (RFC 8725 section 3.1).
package struct JSONWebToken: Sendable {
    /// Whom to believe, and where in the claims it stands what the archive needs.
    package struct Authority: Sendable {
        package var key: SignatureKey
        package var issuer: String
        package var audience: String
        package var organisationClaim: String
        package var rolesClaim: String

        package init(
            key: SignatureKey, issuer: String, audience: String, organisationClaim: String = "organisation",
            rolesClaim: String = "roles"
        ) {
            self.key = key
            self.issuer = issuer
            self.audience = audience
            self.organisationClaim = organisationClaim
            self.rolesClaim = rolesClaim
        }
    }

    private static let maximumBytes = 16 << 10
    /// By which clocks may differ.
    private static let leewaySeconds = 60.0
    private static let nestingMaximum = 8
    private static let subjectMaximumBytes = 128

    package let subject: String
    package let organisation: String
    package let roles: Set<Role>

    /// Reads a token and checks everything about it.
    /// - Parameter now: nanoseconds since 1970.
    /// - Returns: nil: it is not to be believed.
    package init?(_ text: String, from authority: Authority, at now: Int64) {
        guard text.utf8.count <= Self.maximumBytes else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Self.object(parts[0]), let signature = Secret.bytes(parts[2]),
            case .string(let algorithm)? = header["alg"], algorithm == authority.key.algorithm.rawValue,
            // Extensions that must be understood, and none is (RFC 7515 section 4.1.11).
            header["crit"] == nil
        else { return nil }
        let signed = Array(text.utf8.prefix(parts[0].utf8.count + 1 + parts[1].utf8.count))
        guard authority.key.hasSigned(signed, signature: signature), let claims = Self.object(parts[1]),
            Self.isInForce(claims, at: Double(now) / 1e9), claims["iss"]?.text == authority.issuer,
            Self.texts(claims["aud"]).contains(authority.audience),
            let subject = claims["sub"]?.text, Self.isSound(subject),
            let organisation = claims[authority.organisationClaim]?.text, Self.isSound(organisation)
        else { return nil }
        self.subject = subject
        self.organisation = organisation
        roles = Set(Self.texts(claims[authority.rolesClaim]).compactMap(Role.init))
    }

    private static func object(_ text: Substring) -> JSONValue? {
        // A claim that is there twice makes it none (RFC 7519 section 4).
        guard let bytes = Secret.bytes(text),
            let value = try? JSONParser.value(of: bytes, nestingMaximum: nestingMaximum), case .object = value
        else { return nil }
        return value
    }

    /// One that never expires is not believed.
    private static func isInForce(_ claims: JSONValue, at now: Double) -> Bool {
        guard let expiry = claims["exp"]?.seconds, now < expiry + leewaySeconds else { return false }
        guard let start = claims["nbf"] else { return true }
        return start.seconds.map { now >= $0 - leewaySeconds } ?? false
    }

    /// A list of texts, or one text with spaces between (as OAuth's `scope`); an audience may be one text alone.
    private static func texts(_ value: JSONValue?) -> [String] {
        switch value {
        case .string(let text)?: [text] + text.split(separator: " ").map(String.init)
        case .array(let values)?: values.compactMap(\.text)
        default: []
        }
    }

    /// It stands in the log and in the audit trail.
    private static func isSound(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= subjectMaximumBytes
            && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }
}

extension JSONValue {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }

    fileprivate var seconds: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value) where value.isFinite: value
        default: nil
        }
    }
}
