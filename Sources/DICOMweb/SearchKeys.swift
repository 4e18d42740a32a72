// SPDX-License-Identifier: Apache-2.0
import Archive
import Catalog
import DICOM
import HTTP
import Platform

/// What a search asks for (PS3.18 section 8.3.4): its parameters as an identifier, as C-FIND has it.
package struct SearchKeys {
    private(set) var limit: Int?
    private(set) var offset = 0
    private(set) var isFuzzy = false
    private(set) var includesAll = false
    /// Matching keys and keys to be returned, in UTF-8.
    package private(set) var identifier = DataSet()

    package init(_ request: HTTPRequest, _ level: CatalogLevel, _ resource: ResourcePath) throws(HTTPProblem) {
        let builder = IdentifierBuilder()
        builder.add(Tag.queryRetrieveLevel, .cs, ["PATIENT", "STUDY", "SERIES", "IMAGE"][level.rawValue])
        for (name, value) in request.query {
            switch name {
            case "limit": limit = try Self.number(name, value)
            case "offset": offset = try Self.number(name, value)
            case "fuzzymatching":
                guard value == "true" || value == "false" else {
                    throw HTTPProblem(400, "fuzzymatching must be true or false")
                }
                isFuzzy = value == "true"
            case "includefield":
                for field in value.split(separator: ",") {
                    if field == "all" {
                        includesAll = true
                    } else {
                        let path = try Self.path(String(field))
                        // An attribute of a level below has no one value here: OHIF asks for the modality of studies.
                        let isBelow = (CatalogMapping.columnOfTag[path[0]]?.level).map { $0 > level } ?? false
                        if !isBelow { builder.include(path) }
                    }
                }
            case "accept", "charset": continue
            default: try builder.match(Self.path(name), value)
            }
        }
        if let study = resource.study { builder.add(.studyInstanceUID, .ui, study) }
        if let series = resource.series { builder.add(.seriesInstanceUID, .ui, series) }
        for tag in ReturnKeys.standard(
            level, isNestedInStudy: resource.study != nil, isNestedInSeries: resource.series != nil)
        {
            builder.include([tag])
        }
        if includesAll { for tag in ReturnKeys.all(level) { builder.include([tag]) } }
        identifier = builder.identifier
    }

    private static func number(_ name: String, _ value: String) throws(HTTPProblem) -> Int {
        // Sums of two of them are far from the largest number.
        guard let number = Int(value), (0...Int(Int32.max)).contains(number) else {
            throw HTTPProblem(400, "\(name) must be a number from 0 to \(Int32.max), not \"\(value.prefix(40))\"")
        }
        return number
    }

    /// A keyword or tag, or several joined by dots: sequences in front of an attribute.
    private static func path(_ text: String) throws(HTTPProblem) -> [Tag] {
        var path: [Tag] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            guard let tag = Tag(compact: part) ?? DataDictionary.tag(keyword: String(part)) else {
                throw HTTPProblem(
                    400, "\"\(text.prefix(80))\" is neither a parameter of a search nor an attribute's keyword or tag")
            }
            path.append(tag)
        }
        guard path.count <= 8 else { throw HTTPProblem(400, "An attribute's path has at most 8 parts") }
        return path
    }
}

/// Builds an identifier in Explicit VR Little Endian and UTF-8.
private struct IdentifierBuilder {
    private final class Node {
        var vr: VR
        var value: [UInt8] = []
        var children: [Tag: Node] = [:]
        init(_ vr: VR) { self.vr = vr }

        func element(_ tag: Tag) -> DataSet.Element {
            guard !children.isEmpty else { return DataSet.Element(tag: tag, vr: vr, value: value) }
            var item = DataSet()
            item.elements = children.sorted { $0.key < $1.key }.map { $0.value.element($0.key) }
            return DataSet.Element(tag: tag, vr: .sq, value: [], items: [item])
        }
    }

    private let root = Node(.sq)

    init() { add(.specificCharacterSet, .cs, "ISO_IR 192") }

    func add(_ tag: Tag, _ vr: VR, _ value: String) {
        let node = Node(vr)
        node.value = Array(value.utf8)
        root.children[tag] = node
    }

    func include(_ path: [Tag]) { _ = node(path) }

    func match(_ path: [Tag], _ value: String) throws(HTTPProblem) {
        // The address says the level, and everything here is UTF-8.
        guard path != [.queryRetrieveLevel], path != [.specificCharacterSet] else {
            throw HTTPProblem(400, "\(path[0]) is no parameter of a search: leave it out")
        }
        let node = node(path)
        guard node.children.isEmpty, node.vr != .sq else {
            throw HTTPProblem(400, "A sequence is matched by an attribute within it")
        }
        switch node.vr {
        case .us, .ss, .ul, .sl:
            guard let number = Int(value), let short = UInt16(exactly: number) else {
                throw HTTPProblem(400, "\"\(value.prefix(40))\" is no number that this attribute can have")
            }
            node.value = []
            node.value.appendLittleEndian(short)
        case .da, .tm, .dt:
            guard value.utf8.allSatisfy({ (0x2B...0x3A).contains($0) && $0 != 0x2C && $0 != 0x2F }),
                value.utf8.count <= 60
            else {
                throw HTTPProblem(400, "\"\(value.prefix(40))\" is no date, time or range, such as 20260101-20261231")
            }
            node.value = Array(value.utf8)
        // A comma parts the UIDs of a list here (PS3.18 section 8.3.4.1), a backslash in an identifier.
        case .ui: node.value = Array(value.replacing(",", with: "\\").utf8)
        // Code strings have no commas, and viewers part alternatives by them.
        case .cs: node.value = Array(value.replacing(",", with: "\\").utf8)
        default: node.value = Array(value.utf8)
        }
    }

    private func node(_ path: [Tag]) -> Node {
        var node = root
        for tag in path {
            if let known = node.children[tag] {
                node = known
            } else {
                let next = Node(DataDictionary.vr(of: tag) ?? .un)
                node.children[tag] = next
                node = next
            }
        }
        return node
    }

    var identifier: DataSet {
        var dataSet = DataSet()
        dataSet.elements = root.children.sorted { $0.key < $1.key }.map { $0.value.element($0.key) }
        return dataSet
    }
}

/// What a search returns without being asked (PS3.18 tables 10.6.3-3 to 10.6.3-5).
enum ReturnKeys {
    private static let study: [Tag] = [
        .studyDate, .studyTime, .accessionNumber, .instanceAvailability, .modalitiesInStudy, .referringPhysicianName,
        .studyDescription, .patientName, .patientID, .patientBirthDate, .patientSex, .studyInstanceUID, .studyID,
        .numberOfStudyRelatedSeries, .numberOfStudyRelatedInstances,
    ]
    private static let series: [Tag] = [
        .modality, .instanceAvailability, .seriesDescription, .seriesInstanceUID, .seriesNumber,
        .numberOfSeriesRelatedInstances, .performedProcedureStepStartDate, .performedProcedureStepStartTime,
        .studyInstanceUID,
    ]
    private static let instance: [Tag] = [
        .sopClassUID, .sopInstanceUID, .instanceAvailability, .instanceNumber, .rows, .columns, .bitsAllocated,
        .numberOfFrames, .studyInstanceUID, .seriesInstanceUID,
    ]

    /// Where the search is not within a study or series, those are told too.
    static func standard(_ level: CatalogLevel, isNestedInStudy: Bool, isNestedInSeries: Bool) -> [Tag] {
        switch level {
        case .patient, .study: study
        case .series: isNestedInStudy ? series : study + series
        case .instance: instance + (isNestedInSeries ? [] : series) + (isNestedInStudy || isNestedInSeries ? [] : study)
        }
    }

    /// All that the catalog has at a level and above it.
    static func all(_ level: CatalogLevel) -> [Tag] {
        CatalogMapping.columns.filter { $0.column.level <= level }.map(\.tag)
            + standard(level, isNestedInStudy: false, isNestedInSeries: false)
    }
}
