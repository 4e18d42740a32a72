// SPDX-License-Identifier: Apache-2.0
import Access
import DICOMNetwork
import Transport

/// What becomes of a user identity in an association request (PS3.7 section D.3.3.7). Nothing of it is ever logged: its
/// names may be passwords that were typed into the wrong field.
enum UserIdentification: Equatable {
    /// There is none, or of a kind that proves nothing here: the station's own rights count, and the answer has no response,
    /// as from an acceptor that does not know this negotiation.
    case none
    case password(name: String, password: String)
    /// A JSON Web Token, or an API token of the archive's.
    case token(String)
    case refused(String)

    /// - Parameters:
    ///   - isConfidential: over TLS, or over the socket in the data directory.
    ///   - isSupported: there is somebody whom credentials could be of.
    init(_ identity: UserIdentity?, isConfidential: Bool, isSupported: Bool) {
        guard let identity else {
            self = .none
            return
        }
        guard isConfidential else {
            // What came in the clear is known to others. Who relies on an answer must not go on as if it had one.
            self =
                identity.positiveResponseRequested ? .refused("a user identity outside TLS is not accepted") : .none
            return
        }
        let primary = String(validating: identity.primaryField, as: UTF8.self)
        let secondary = String(validating: identity.secondaryField, as: UTF8.self)
        switch (identity.type, primary, secondary) {
        case _ where !isSupported: self = .none
        case (2, let name?, let password?): self = .password(name: name, password: password)
        case (5, let token?, _): self = .token(token)
        case (2, _, _), (5, _, _): self = .refused("the user identity is no UTF-8")
        // A name alone (1) proves nothing; Kerberos (3) and SAML (4) are not spoken.
        default: self = .none
        }
    }

    /// The user at a station: may do what both may, and sees of other organisations what both see.
    static func narrow(_ station: Asker, to user: Asker) -> Asker {
        var asker = station
        asker.kind = user.kind
        asker.name = user.name
        asker.permissions = station.permissions.intersection(user.permissions)
        asker.scope = user.scope
        asker.seesShared = user.seesShared
        // Its own organisation's a user sees everywhere.
        if let seen = station.scope.visible {
            // What is shared with the user's organisation is not meant for everybody's station.
            if user.organisation != station.organisation {
                asker.scope.sharedStudies = []
                asker.seesShared = false
            }
            asker.scope.visible =
                (user.scope.visible.map { $0.intersection(seen) } ?? seen).union([user.organisation])
        }
        return asker
    }
}

extension DIMSEServer {
    /// Who asks: the station, or a user at it.
    /// - Returns: also the response for a user that was accepted; it is empty for a passcode (PS3.7 section D.3.3.7.2).
    func identify(
        _ request: AssociateRequest, at station: Asker, from caller: Caller
    ) throws(Acceptor.Refusal) -> (Asker, response: [UInt8]?) {
        let identity = request.userInformation.userIdentity
        let authenticator = settings.authenticator
        let found = UserIdentification(
            identity, isConfidential: caller.tls != nil || caller.isLocal,
            isSupported: authenticator?.hasCredentials ?? false)
        guard let authenticator, let user = try user(found, authenticator, caller.address) else {
            if case .refused(let why) = found { throw Acceptor.Refusal(.identityNotAccepted, why: why) }
            return (station, nil)
        }
        return (
            UserIdentification.narrow(station, to: user), identity?.positiveResponseRequested == true ? [] : nil
        )
    }

    /// nil: nobody is named.
    private func user(
        _ found: UserIdentification, _ authenticator: Authenticator, _ address: String
    ) throws(Acceptor.Refusal) -> Asker? {
        do throws(AccessError) {
            switch found {
            case .none, .refused: return nil
            case .password(let name, let password):
                return try authenticator.user(name: name, password: password, address: address)
            case .token(let token): return try authenticator.bearer(token: token, address: address)
            }
        } catch { throw Acceptor.Refusal(.identityNotAccepted, why: "user identity: \(error)") }
    }
}
