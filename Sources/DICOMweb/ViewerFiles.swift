// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP
import Platform

/// A built OHIF under /ohif/, with its configuration generated. The files are listed once, at the start: what a request
/// names is looked up in that list and never becomes a path.
package final class ViewerFiles: Sendable {
    private let directory: String
    private let configuration: String
    private let names: Set<String>

    /// - Throws: when the folder holds no viewer.
    package init(directory: String, root: String, wadoURI: String) throws {
        self.directory = directory
        configuration = Self.configuration(root: root, wadoURI: wadoURI)
        names = try Self.files(directory, below: "")
        guard names.contains("index.html") else { throw SystemError("open", "\(directory)/index.html", code: ENOENT) }
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
    package func handle(_ exchange: HTTPExchange) throws -> Bool {
        let path = exchange.request.path
        guard path.first == "ohif" else { return false }
        guard ["GET", "HEAD"].contains(exchange.request.method) else {
            throw HTTPProblem(405, "Only GET and HEAD here", headers: HTTPHeaders([("Allow", "GET, HEAD")]))
        }
        if path.count == 1 {
            exchange.respond(HTTPResponse(status: 308, headers: HTTPHeaders([("Location", "/ohif/")])))
            return true
        }
        let name = path.dropFirst().joined(separator: "/")
        if name == "app-config.js" {
            exchange.respond(HTTPResponse(contentType: "text/javascript; charset=utf-8", text: configuration))
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
        let caching = name.hasSuffix(".html") ? "no-cache" : "private, max-age=3600"
        let head = HTTPResponse(
            contentType: Self.type(name), headers: HTTPHeaders([("Cache-Control", caching)]))
        try exchange.begin(head, length: length)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
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
