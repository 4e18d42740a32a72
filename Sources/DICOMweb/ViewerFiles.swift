// SPDX-License-Identifier: Apache-2.0
import CSodium
import FoundationEssentials
import Glibc
import HTTP
import Platform

/// A built OHIF under /ohif/, with its configuration generated. The files are listed once, at the start: what a request
/// names is looked up in that list and never becomes a path.
package final class ViewerFiles: Sendable {
    private let directory: String
    private let configuration: String
    private let names: Set<String>
    /// Of the page: scripts from here and those within it, nothing from elsewhere, and nobody puts it into a frame.
    private let securityPolicy: String

    /// - Throws: when the folder holds no viewer.
    package init(directory: String, root: String, wadoURI: String) throws {
        self.directory = directory
        configuration = Self.configuration(root: root, wadoURI: wadoURI)
        names = try Self.files(directory, below: "")
        guard names.contains("index.html") else { throw SystemError("open", "\(directory)/index.html", code: ENOENT) }
        securityPolicy = Self.securityPolicy(try FileSystem.contents("\(directory)/index.html"))
    }

    /// Content Security Policy level 3. OHIF needs styles in elements, WebAssembly, workers and pictures that it makes itself.
    private static func securityPolicy(_ page: [UInt8]) -> String {
        let scripts = inlineScripts(String(decoding: page, as: UTF8.self)).map { " '\(sha256($0))'" }.joined()
        return """
            default-src 'none'; script-src 'self' 'wasm-unsafe-eval'\(scripts); style-src 'self' 'unsafe-inline'; \
            img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; \
            media-src 'self' blob:; object-src 'self' blob:; frame-src 'self' blob:; manifest-src 'self'; \
            base-uri 'self'; form-action 'self'; frame-ancestors 'self'
            """
    }

    private static func inlineScripts(_ page: String) -> [Substring] {
        var scripts: [Substring] = []
        var rest = page[...]
        while let start = rest.firstRange(of: "<script>") {
            rest = rest[start.upperBound...]
            guard let end = rest.firstRange(of: "</script>") else { break }
            scripts.append(rest[..<end.lowerBound])
            rest = rest[end.upperBound...]
        }
        return scripts
    }

    private static func sha256(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256(&digest, bytes, UInt64(bytes.count))
        return "sha256-" + Data(digest).base64EncodedString()
    }

    private static func files(_ directory: String, below prefix: String) throws(SystemError) -> Set<String> {
        var names: Set<String> = []
        for name in try FileSystem.entries(directory) {
            let path = "\(directory)/\(name)"
            if FileSystem.isDirectory(path) {
                names.formUnion(try files(path, below: prefix + name + "/"))
            } else {
                names.insert(prefix + name)
            }
        }
        return names
    }

    /// - Returns: false: the path is not below /ohif/.
    /// - Parameter antiForgeryToken: what requests of the session's pages that change something must show; nil: no session.
    package func handle(_ exchange: HTTPExchange, antiForgeryToken: String?) throws -> Bool {
        var path = exchange.request.path
        guard path.first == "ohif" else { return false }
        // As the route table reads it: "ohif/" is the folder, behind a name a slash says nothing.
        if path.count > 2, path.last == "" { path.removeLast() }
        guard ["GET", "HEAD"].contains(exchange.request.method) else {
            throw HTTPProblem(405, "Only GET and HEAD here", headers: HTTPHeaders([("Allow", "GET, HEAD")]))
        }
        if path.count == 1 {
            exchange.respond(HTTPResponse(status: 308, headers: HTTPHeaders([("Location", "/ohif/")])))
            return true
        }
        let name = path.dropFirst().joined(separator: "/")
        if name == "app-config.js" {
            // Scripts may be taken into pages from anywhere, and this one tells the session's token.
            exchange.respond(
                HTTPResponse(
                    contentType: "text/javascript; charset=utf-8",
                    body: Array((configuration + (antiForgeryToken.map(Self.sending) ?? "")).utf8),
                    headers: HTTPHeaders([
                        ("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin"),
                    ])))
            return true
        }
        // The viewer makes its own addresses; all of them are one page.
        try send(names.contains(name) ? name : "index.html", exchange)
        return true
    }

    private func send(_ name: String, _ exchange: HTTPExchange) throws {
        let file = try FileDescriptor.open("\(directory)/\(name)", O_RDONLY)
        let length = try file.size()
        // Names carry a hash of the content, but for the page itself.
        let isPage = name.hasSuffix(".html")
        var headers = HTTPHeaders([("Cache-Control", isPage ? "no-cache" : "private, max-age=3600")])
        if isPage {
            headers.append("Content-Security-Policy", securityPolicy)
            headers.append("Referrer-Policy", "no-referrer")
        }
        let head = HTTPResponse(contentType: Self.type(name), headers: headers)
        try exchange.begin(head, length: length)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while offset < length {
            let count = try file.read(into: buffer, at: offset)
            guard count > 0 else { break }
            try exchange.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += UInt64(count)
        }
        exchange.finish(completely: offset == length)
    }

    private static func type(_ name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "json", "map": "application/json"
        case "wasm": "application/wasm"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "ico": "image/x-icon"
        case "woff": "font/woff"
        case "woff2": "font/woff2"
        case "ttf": "font/ttf"
        case "txt": "text/plain; charset=utf-8"
        default: "application/octet-stream"
        }
    }

    /// Has the page's own requests that change something (an upload, say) show the session's token; others get none.
    private static func sending(_ antiForgeryToken: String) -> String {
        """
        (() => {
          const open = XMLHttpRequest.prototype.open;
          XMLHttpRequest.prototype.open = function (method, address, ...rest) {
            open.call(this, method, address, ...rest);
            const isOurs = new URL(address, document.baseURI).origin === location.origin;
            if (isOurs && !/^(get|head)$/i.test(method)) this.setRequestHeader('X-CSRF-Token', '\(antiForgeryToken)');
          };
        })();

        """
    }

    /// What OHIF 3 reads at its start; addresses are relative to the server, so that the origin is the same.
    private static func configuration(root: String, wadoURI: String) -> String {
        """
        window.config = {
          routerBasename: '/ohif/',
          showStudyList: true,
          extensions: [],
          modes: [],
          showWarningMessageForCrossOrigin: false,
          showCPUFallbackMessage: false,
          showLoadingIndicator: true,
          strictZSpacingForVolumeViewport: true,
          maxNumRequests: { interaction: 100, thumbnail: 75, prefetch: 25 },
          investigationalUseDialog: { option: 'never' },
          defaultDataSourceName: 'dicomweb',
          dataSources: [{
            namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
            sourceName: 'dicomweb',
            configuration: {
              friendlyName: 'Snimok',
              name: 'snimok',
              wadoUriRoot: '\(wadoURI)',
              qidoRoot: '\(root)',
              wadoRoot: '\(root)',
              qidoSupportsIncludeField: true,
              supportsReject: false,
              supportsStow: true,
              imageRendering: 'wadors',
              thumbnailRendering: 'wadors',
              enableStudyLazyLoad: true,
              supportsFuzzyMatching: true,
              supportsWildcard: true,
              dicomUploadEnabled: true,
              omitQuotationForMultipartRequest: true,
              singlepart: 'bulkdata,video,pdf',
              bulkDataURI: { enabled: true, relativeResolution: 'studies' },
            },
          }],
        };

        """
    }
}
