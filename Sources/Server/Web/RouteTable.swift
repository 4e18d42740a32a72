// SPDX-License-Identifier: Apache-2.0
import Access

/// Every address that the archive answers, and what is needed for it. An address that does not stand here is not
/// answered, whatever the services behind know: a new one without an entry is closed, not open.
struct RouteTable: Sendable {
    enum Need: Sendable, Equatable {
        /// For everybody; who asks is not looked at.
        case nothing
        /// For everybody; who shows credentials is told more.
        case credentialsIfShown
        /// For whoever the archive knows.
        case identity
        case permission(Permissions)
    }

    private struct Route {
        let methods: [String: Need]
        /// Segments; `*` stands for one, `**` at the end for any number.
        let pattern: [String]

        func matches(_ path: ArraySlice<String>) -> Bool {
            if pattern.last == "**" {
                return path.count >= pattern.count - 1 && zip(pattern.dropLast(), path).allSatisfy { $0 == $1 }
            }
            return path.count == pattern.count && zip(pattern, path).allSatisfy { $0 == "*" || $0 == $1 }
        }
    }

    private let routes: [Route]

    /// - Parameters:
    ///   - root: path segments of DICOMweb.
    ///   - wadoURI: of WADO-URI; empty: it is not offered.
    init(root: [String], wadoURI: [String]) {
        let query = Need.permission(.query)
        let retrieve = Need.permission(.retrieve)
        let store = Need.permission(.store)
        let delete = Need.permission(.delete)
        var routes: [Route] = []
        func add(_ path: String, _ methods: [String: Need], below root: [String] = []) {
            routes.append(Route(methods: methods, pattern: root + path.split(separator: "/").map(String.init)))
        }

        // The archive itself.
        add("healthz", ["GET": .nothing])
        add("readyz", ["GET": .credentialsIfShown])
        add("metrics", ["GET": .permission(.monitor)])
        add("openapi.json", ["GET": .identity])
        // Signing in.
        add("login", ["GET": .nothing, "POST": .nothing])
        add("login.css", ["GET": .nothing])
        add("logout", ["POST": .identity])
        add("whoami", ["GET": .identity])
        add("", ["GET": .identity])
        // The viewer's name and icons: browsers ask for them without showing who asks.
        add("ohif/manifest.json", ["GET": .nothing])
        // The viewer's files hold nothing about patients, but are nobody else's business.
        add("ohif/**", ["GET": .identity])
        if !wadoURI.isEmpty { add("", ["GET": retrieve], below: wadoURI) }

        // Showing a study to another organisation for a time.
        let share = Need.permission(.share)
        add("shares", ["GET": share, "POST": share])
        add("shares/*", ["DELETE": share])

        // DICOMweb.
        add("", ["GET": .identity], below: root)
        add("studies", ["GET": query, "POST": store], below: root)
        for path in [
            "series", "instances", "studies/*/series", "studies/*/instances", "studies/*/series/*/instances",
            "series/*/instances",
        ] {
            add(path, ["GET": query], below: root)
        }
        add("uploads/check", ["POST": store], below: root)
        add("studies/*", ["GET": retrieve, "POST": store, "DELETE": delete], below: root)
        add("studies/*/series/*", ["GET": retrieve, "DELETE": delete], below: root)
        add("studies/*/series/*/instances/*", ["GET": retrieve, "DELETE": delete], below: root)
        add("series/*", ["GET": retrieve], below: root)
        add("series/*/instances/*", ["GET": retrieve], below: root)
        for path in [
            "studies/*", "studies/*/series/*", "studies/*/series/*/instances/*", "series/*", "series/*/instances/*",
        ] {
            for part in ["metadata", "rendered", "thumbnail"] { add("\(path)/\(part)", ["GET": retrieve], below: root) }
            guard path.contains("instances") else { continue }
            for part in ["frames/*", "frames/*/rendered", "frames/*/thumbnail", "bulkdata/*"] {
                add("\(path)/\(part)", ["GET": retrieve], below: root)
            }
        }
        self.routes = routes
    }

    /// What is known about an address: what each method needs. Nil: there is no such address.
    func needs(_ path: [String]) -> [String: Need]? {
        // An address that ends with a slash means the same without it.
        let path = path.last == "" ? path.dropLast() : path[...]
        return routes.first { $0.matches(path) }?.methods
    }

    /// The methods of an address, for Allow.
    static func allowed(_ needs: [String: Need]) -> String {
        ["GET", "HEAD", "POST", "DELETE"].filter { needs[$0 == "HEAD" ? "GET" : $0] != nil }.joined(separator: ", ")
            + ", OPTIONS"
    }
}
