// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM
import Platform

/// A DICOMDIR (PS3.3 annex F): directory records of patients, studies, series and instances, linked by their offsets.
struct MediaDirectory {
    private final class Node {
        let type: String
        let elements: [(Tag, VR, String)]
        /// Path of the file, its class, instance and syntax; nil above the instances.
        let file: (path: String, sopClassUID: String, sopInstanceUID: String, transferSyntaxUID: String)?
        var children: [Node] = []
        var offset: UInt32 = 0

        init(
            _ type: String, _ elements: [(Tag, VR, String)],
            file: (path: String, sopClassUID: String, sopInstanceUID: String, transferSyntaxUID: String)? = nil
        ) {
            self.type = type
            self.elements = elements
            self.file = file
        }
    }

    private let uid = UIDGenerator.newUID()
    private var patients: [Node] = []
    private var patientOf: [String: Node] = [:]
    private var studyOf: [String: Node] = [:]
    private var seriesOf: [String: (node: Node, folder: [String])] = [:]

    /// Adds an instance.
    /// - Parameters:
    ///   - index: its number in the file set.
    ///   - syntax: that of the file.
    /// - Returns: the components of its path: at most 8 capitals and digits each (PS3.10 section 8.2).
    mutating func add(_ version: CatalogVersion, _ header: DataSet, _ index: Int, syntax: TransferSyntax) throws
        -> [String]
    {
        let text = HeaderText(header)
        let (series, folder) = series(of: version, text)
        let path = folder + [Self.name("IM", index)]
        var elements: [(Tag, VR, String)] = [(.instanceNumber, .is, text[.instanceNumber])]
        let type = Self.recordType(version.sopClassUID)
        if type != "IMAGE" {
            elements += [(.contentDate, .da, text[.contentDate]), (.contentTime, .tm, text[.contentTime])]
        }
        series.children.append(
            Node(
                type, elements,
                file: (
                    path.joined(separator: "\\"), version.sopClassUID, version.sopInstanceUID,
                    syntax.uid
                )))
        return path
    }

    private mutating func series(of version: CatalogVersion, _ text: HeaderText) -> (Node, [String]) {
        if let known = seriesOf[version.seriesInstanceUID] { return known }
        let study = study(of: version, text)
        let node = Node(
            "SERIES",
            [
                (.modality, .cs, text[.modality]), (.seriesDescription, .lo, text[.seriesDescription]),
                (.seriesInstanceUID, .ui, version.seriesInstanceUID), (.seriesNumber, .is, text[.seriesNumber]),
            ])
        study.children.append(node)
        let folder = ["DICOM", Self.name("SE", seriesOf.count)]
        seriesOf[version.seriesInstanceUID] = (node, folder)
        return (node, folder)
    }

    private mutating func study(of version: CatalogVersion, _ text: HeaderText) -> Node {
        if let known = studyOf[version.studyInstanceUID] { return known }
        let patient = patient(text)
        let node = Node(
            "STUDY",
            [
                (.studyDate, .da, text[.studyDate]), (.studyTime, .tm, text[.studyTime]),
                (.accessionNumber, .sh, text[.accessionNumber]), (.studyDescription, .lo, text[.studyDescription]),
                (.studyInstanceUID, .ui, version.studyInstanceUID), (.studyID, .sh, text[.studyID]),
            ])
        patient.children.append(node)
        studyOf[version.studyInstanceUID] = node
        return node
    }

    private mutating func patient(_ text: HeaderText) -> Node {
        let key = text[.patientID] + "\\" + text[.patientName]
        if let known = patientOf[key] { return known }
        let node = Node("PATIENT", [(.patientName, .pn, text[.patientName]), (.patientID, .lo, text[.patientID])])
        patients.append(node)
        patientOf[key] = node
        return node
    }

    private static func name(_ letters: String, _ number: Int) -> String {
        let digits = String(number)
        return letters + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// PS3.3 table F.4-1, for the classes that archives hold; everything else shows as an image.
    private static func recordType(_ sopClassUID: String) -> String {
        let storage = "1.2.840.10008.5.1.4.1.1."
        guard sopClassUID.hasPrefix(storage) else { return "PRIVATE" }
        let rest = sopClassUID.dropFirst(storage.count)
        switch rest {
        case "88.59": return "KEY OBJECT DOC"
        case "481.2": return "RT DOSE"
        case "481.3": return "RT STRUCTURE SET"
        case "481.5", "481.8": return "RT PLAN"
        case "66": return "RAW DATA"
        case "66.1", "66.3": return "REGISTRATION"
        case "66.2": return "FIDUCIAL"
        case "4.2": return "SPECTROSCOPY"
        default: break
        }
        if rest.hasPrefix("88.") { return "SR DOCUMENT" }
        if rest.hasPrefix("11.") { return "PRESENTATION" }
        if rest.hasPrefix("104.") { return "ENCAP DOC" }
        if rest.hasPrefix("9.") { return "WAVEFORM" }
        return "IMAGE"
    }

    // MARK: Encoding

    /// The file. It is written twice: the first time tells where the records stand, the second time says so.
    func encoded() -> [UInt8] {
        _ = file()
        return file()
    }

    private func file() -> [UInt8] {
        let syntax = TransferSyntax.explicitVRLittleEndian
        let meta = FileMeta.encoded(
            sopClassUID: "1.2.840.10008.1.3.10", sopInstanceUID: uid, transferSyntaxUID: syntax.uid)
        var writer = DataSetWriter(transferSyntax: syntax)
        writer.append(Tag(0x0004_1130), .cs, text: "SNIMOK")
        writer.append(Tag(0x0004_1200), unsignedLong: patients.first?.offset ?? 0)
        writer.append(Tag(0x0004_1202), unsignedLong: patients.last?.offset ?? 0)
        writer.append(Tag(0x0004_1212), unsignedShort: 0)
        writer.beginSequence(Tag(0x0004_1220))
        write(patients, &writer, base: meta.count)
        writer.endSequence()
        return meta + writer.bytes
    }

    private func write(_ nodes: [Node], _ writer: inout DataSetWriter, base: Int) {
        for (index, node) in nodes.enumerated() {
            let next = index + 1 < nodes.count ? nodes[index + 1].offset : 0
            node.offset = UInt32(clamping: base + writer.bytes.count)
            write(node, next: next, &writer)
            write(node.children, &writer, base: base)
        }
    }

    private func write(_ node: Node, next: UInt32, _ writer: inout DataSetWriter) {
        writer.beginItem()
        writer.append(Tag(0x0004_1400), unsignedLong: next)
        writer.append(Tag(0x0004_1410), unsignedShort: 0xFFFF)
        writer.append(Tag(0x0004_1420), unsignedLong: node.children.first?.offset ?? 0)
        writer.append(Tag(0x0004_1430), .cs, text: node.type)
        if let file = node.file {
            writer.append(Tag(0x0004_1500), .cs, text: file.path)
            writer.append(Tag(0x0004_1510), .ui, text: file.sopClassUID)
            writer.append(Tag(0x0004_1511), .ui, text: file.sopInstanceUID)
            writer.append(Tag(0x0004_1512), .ui, text: file.transferSyntaxUID)
        }
        writer.append(.specificCharacterSet, .cs, text: "ISO_IR 192")
        for (tag, vr, text) in node.elements.sorted(by: { $0.0 < $1.0 }) { writer.append(tag, vr, text: text) }
        writer.endItem()
    }
}

/// The text of a header's attributes.
struct HeaderText {
    private let header: DataSet
    private let characterSet: SpecificCharacterSet

    init(_ header: DataSet) {
        self.header = header
        characterSet = header.characterSet()
    }

    /// The first value's text; empty where there is none.
    subscript(tag: Tag) -> String {
        guard let element = header[tag], !element.value.isEmpty else { return "" }
        guard element.vr.isAffectedByCharacterSet else { return element.plainValue }
        return element.value.withUnsafeBytes { characterSet.decodeValues($0, vr: element.vr).first ?? "" }
    }
}
