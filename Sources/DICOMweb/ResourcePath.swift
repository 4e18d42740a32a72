// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM
import HTTP

/// A resource below the root of DICOMweb: the objects it names, and what of them is wanted (PS3.18 section 10.1).
package struct ResourcePath {
    private(set) var study: String?
    private(set) var series: String?
    private(set) var instance: String?
    /// The segments behind, as `metadata` or `frames`, `1,2`.
    private(set) var tail: [String] = []

    package init(_ segments: ArraySlice<String>) throws(HTTPProblem) {
        var rest = segments
        // An address that ends with a slash means the same without it.
        if rest.count > 1, rest.last == "" { rest.removeLast() }
        study = try Self.take("studies", &rest)
        series = try Self.take("series", &rest)
        if series != nil { instance = try Self.take("instances", &rest) }
        tail = Array(rest)
    }

    private static func take(_ name: String, _ rest: inout ArraySlice<String>) throws(HTTPProblem) -> String? {
        guard rest.count >= 2, rest.first == name else { return nil }
        let uid = rest[rest.startIndex + 1]
        guard UIDGrammar.check(uid) != .unacceptable else {
            throw HTTPProblem(400, "\"\(uid.prefix(80))\" is no UID: a UID has digits and dots, at most 64 of them")
        }
        rest = rest.dropFirst(2)
        return uid
    }

    /// What the path names, without its tail; nil: all.
    var selection: CatalogSelection? {
        guard study != nil || series != nil else { return nil }
        var selection = CatalogSelection()
        if let study { selection.studyInstanceUIDs = [study] }
        if let series { selection.seriesInstanceUIDs = [series] }
        if let instance { selection.sopInstanceUIDs = [instance] }
        return selection
    }
}
