// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import DICOM
import DICOMweb
import HTTP
import Platform

extension FuzzTarget {
    /// Request targets, and what stands in Range.
    static let http = FuzzTarget(
        name: "http", about: "request targets and ranges", maximumBytes: 512,
        seeds: {
            let targets = [
                "/dicom-web/studies/1.2.3?PatientName=%D0%98%2A&limit=10&x", "http://host:80/a//b%2Fc/?a+b=c+d&&=",
                "/%zz",
            ]
            let ranges = ["bytes=0-99", "bytes=-5", "bytes=18446744073709551615-18446744073709551616"]
            let first: [[UInt8]] = targets.map { [0] + Array($0.utf8) }
            return first + ranges.map { [1, 100, 0] + Array($0.utf8) }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        if input.byte() & 1 == 0 {
            guard let (path, query) = HTTPRequest.parse(target: input.text) else { return }
            for text in path + query.flatMap({ [$0.name, $0.value] }) {
                require(!text.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "nothing decoded holds a control character")
            }
            let again = HTTPRequest.parse(target: "/" + path.map(escaped).joined(separator: "/"))
            require(again?.path == path, "a path that is escaped anew reads the same")
        } else {
            let length = UInt64(input.number())
            if case .part(let range) = ByteRange(input.text, length: length) {
                require(!range.isEmpty && range.upperBound <= length, "a range lies within the body")
            }
        }
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 { escaped += (byte < 16 ? "%0" : "%") + String(byte, radix: 16) }
        return escaped
    }

    /// Media types and what a client accepts.
    static let media = FuzzTarget(
        name: "media", about: "Accept and Content-Type", maximumBytes: 256,
        seeds: {
            [
                "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
                "image/*;q=0.5, */*;q=0.1, image/jpeg",
                "application/dicom+json;q=1e400, a/b;c=\"d\\\"e,f\"; g", "text/html;q=nan,,;",
                "multipart/related; boundary=\"",
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        let header = FuzzInput(bytes).text
        let types = MediaType.list(header)
        for (left, right) in zip(types, types.dropFirst()) {
            require(left.quality >= right.quality, "the best comes first")
        }
        for type in types { require(type.quality > 0 && type.quality <= 1, "weights lie between 0 and 1") }
        guard let type = MediaType(header) else { return }
        require(type.matches(type.name), "a type matches itself")
        require(MediaType("*/*")!.matches(type.name), "everything matches everything")
        let written = type.name + type.parameters.map { "; \($0.name)=\(quoted($0.value))" }.joined()
        let again = MediaType(written)
        require(
            again?.name == type.name && again?.parameters.map(\.value) == type.parameters.map(\.value),
            "a type reads the same again: \(written.debugDescription)")
    }

    /// By scalars: a quote and the mark behind it are one character of Swift's.
    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }
        return "\"" + escaped.joined() + "\""
    }

    /// Multipart bodies: however they arrive, the parts are the same.
    static let multipart = FuzzTarget(
        name: "multipart", about: "multipart bodies", maximumBytes: 1024,
        prepare: {},
        seeds: {
            [
                "\r\n--X\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--X\r\n\r\n\r\n--X--\r\nepilogue",
                "--X \t\r\nA: b\r\n\r\n\r\n--Xy\r\n--X--", "preamble\r\n--X--", "--X\r\nno colon\r\n\r\n--X--",
            ].map { [3] + Array($0.utf8) }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let pieceBytes = Int(input.byte()) + 1
        let body = input.rest
        let whole = parts(of: body, pieceBytes: max(1, body.count))
        let pieces = parts(of: body, pieceBytes: pieceBytes)
        require((whole == nil) == (pieces == nil), "pieces change nothing about whether this is a multipart body")
        guard let whole, let pieces else { return }
        require(whole.map(\.body) == pieces.map(\.body), "pieces change no part")
        require(whole.map(\.heads) == pieces.map(\.heads), "pieces change no head")
        require(whole.reduce(0) { $0 + $1.body.count } <= body.count, "parts are parts of the body")
    }

    private static func parts(
        of body: UnsafeRawBufferPointer, pieceBytes: Int
    ) -> [(heads: [String], body: [UInt8])]? {
        var offset = 0
        var parts: [(heads: [String], body: [UInt8])] = []
        do {
            let reader = try MultipartReader(boundary: "X") { room in
                let count = min(room.count, pieceBytes, body.count - offset)
                if count > 0 { room.copyMemory(from: body.part(offset..<offset + count)) }
                offset += count
                return count
            }
            while let head = try reader.nextPart() {
                var part: [UInt8] = []
                try reader.forEachPiece { part += $0 }
                parts.append((head.fields.map { "\($0.name): \($0.value)" }, part))
            }
        } catch { return nil }
        return parts
    }

    /// Searches and what goes with them, from the address on.
    static let search = FuzzTarget(
        name: "search", about: "addresses of DICOMweb, parameters of searches and pictures", maximumBytes: 512,
        seeds: {
            [
                "/studies?PatientName=ivan*&fuzzymatching=true&includefield=all&limit=5&offset=2",
                "/studies/1.2.3/series?Modality=CT,MR&00080020=20250101-&includefield=00081030,PatientID",
                "/studies/1.2.3/series/1.2.4/instances/1.2.5/frames/1,2",
                "/studies?RequestAttributesSequence.ScheduledProcedureStepID=S1&NumberOfFrames=3&Rows=512",
                "/studies/1.2.3/rendered?viewport=100,100,0,0,-50,50&window=40,400,linear&quality=80&annotation=patient",
            ].map { [UInt8(0)] + Array($0.utf8) }
        }
    ) { bytes in
        var input = FuzzInput(bytes)
        let level = CatalogLevel(rawValue: Int(input.byte() % 4))!
        guard let (path, query) = HTTPRequest.parse(target: input.text) else { return }
        let request = HTTPRequest(
            method: "GET", path: path, query: query, headers: HTTPHeaders(), peerAddress: "127.0.0.1")
        guard let resource = try? ResourcePath(path[...]) else { return }
        _ = try? RenderingParameters.options(request, isThumbnail: false)
        guard let identifier = try? SearchKeys(request, level, resource).identifier else { return }
        let keys = try? QueryKeys(
            identifier, root: .patient, characterSetOverride: nil, combinesDateTime: true,
            scope: .everything(as: "default"),
            limit: nil)
        require(keys != nil, "what a search asks for is a query")
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        writer.append(identifier.elements)
        let written = writer.bytes
        let again = try? written.withUnsafeBytes { try DataSet($0, transferSyntax: .explicitVRLittleEndian) }
        require(again?.elements.map(\.tag) == identifier.elements.map(\.tag), "what a search asks for is an identifier")
    }
}
