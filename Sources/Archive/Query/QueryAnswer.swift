// SPDX-License-Identifier: Apache-2.0
import BlobLog
import Catalog
import DICOM
import Platform

/// Makes the response identifier of one row: catalog columns first, whatever else was asked for from the stored header.
package struct QueryAnswer {
    private let keys: QueryKeys
    private let archive: Archive
    private let retrieveAETitle: String

    private enum Value {
        case text(String)
        case bytes([UInt8])
        case items([[Field]])
    }

    private struct Field {
        let tag: Tag
        let vr: VR
        let value: Value
    }

    package init(_ keys: QueryKeys, archive: Archive, retrieveAETitle: String) {
        self.keys = keys
        self.archive = archive
        self.retrieveAETitle = retrieveAETitle
    }

    /// The identifier, encoded in `transferSyntax`.
    package func encoded(_ row: CatalogRow, transferSyntax: TransferSyntax) -> [UInt8] {
        var fields = [Field(tag: .queryRetrieveLevel, vr: .cs, value: .text(levelName))]
        if keys.query.level > .patient {
            fields.append(Field(tag: .retrieveAETitle, vr: .ae, value: .text(retrieveAETitle)))
        }
        fields += self.fields(row)
        fields.sort { $0.tag < $1.tag }
        return encode(fields, transferSyntax)
    }

    /// The row as a data set of its own.
    /// - Parameter retrieveURL: where the row's object is fetched (0008,1190).
    package func write(_ row: CatalogRow, retrieveURL: String, to writer: inout some AttributeWriter) {
        var fields = self.fields(row)
        fields.append(Field(tag: .specificCharacterSet, vr: .cs, value: .text("ISO_IR 192")))
        fields.append(Field(tag: .retrieveURL, vr: .ur, value: .text(retrieveURL)))
        fields.sort { $0.tag < $1.tag }
        writer.beginDocument()
        Self.write(fields, &writer)
        writer.endDocument()
    }

    private func fields(_ row: CatalogRow) -> [Field] {
        var header: StoredValues?
        return keys.returnKeys.compactMap { key in
            QueryKeys.isAnsweredByItself(key.tag) ? nil : field(key, row, &header)
        }
    }

    /// Whether a row meets the conditions that only its stored header can tell.
    package func meetsHeaderConditions(_ row: CatalogRow) -> Bool {
        guard !keys.headerConditions.isEmpty else { return true }
        guard let stored = storedValues(row) else { return false }
        return keys.headerConditions.allSatisfy { $0.isMet(by: stored.dataSet, stored.characterSet) }
    }

    private var levelName: String {
        switch keys.query.level {
        case .patient: "PATIENT"
        case .study: "STUDY"
        case .series: "SERIES"
        case .instance: "IMAGE"
        }
    }

    // MARK: Values

    private func field(_ key: DataSet.Element, _ row: CatalogRow, _ header: inout StoredValues?) -> Field {
        let vr = DataDictionary.vr(of: key.tag) ?? key.vr
        if let text = catalogText(key.tag, row) {
            if vr == .us { return Field(tag: key.tag, vr: vr, value: .bytes(Self.unsignedShort(text))) }
            return Field(tag: key.tag, vr: vr, value: .text(text))
        }
        if header == nil { header = storedValues(row) }
        guard let stored = header?.dataSet[key.tag], !stored.isOmitted else {
            return Field(tag: key.tag, vr: vr, value: key.items == nil ? .bytes([]) : .items([]))
        }
        return header!.field(stored, wanted: key)
    }

    /// Whether an attribute is answered without a look at a stored header.
    static func isInCatalog(_ tag: Tag, _ level: CatalogLevel) -> Bool {
        if let column = CatalogMapping.columnOfTag[tag] { return column.level <= level }
        return lowestLevel[tag].map { $0 <= level } ?? false
    }

    /// Of what is answered from the catalog without being a column there: from which level on.
    private static let lowestLevel: [Tag: CatalogLevel] = [
        .instanceAvailability: .patient, .numberOfPatientRelatedStudies: .patient,
        .numberOfPatientRelatedSeries: .patient, .numberOfPatientRelatedInstances: .patient,
        .modalitiesInStudy: .study, .sopClassesInStudy: .study, .numberOfStudyRelatedSeries: .study,
        .numberOfStudyRelatedInstances: .study, .numberOfSeriesRelatedInstances: .series,
    ]

    private func catalogText(_ tag: Tag, _ row: CatalogRow) -> String? {
        switch tag {
        // PS3.3 section C.4.23: what is damaged, or holds something damaged, cannot be had whole until it is repaired.
        case .instanceAvailability:
            return keys.query.level >= .series && row.flags.contains(.damaged) ? "UNAVAILABLE" : "ONLINE"
        case .modalitiesInStudy where keys.query.level >= .study: return row.modalitiesInStudy.joined(separator: "\\")
        case .sopClassesInStudy where keys.query.level >= .study: return row.sopClassesInStudy.joined(separator: "\\")
        case .numberOfPatientRelatedStudies: return String(row.numberOfPatientRelatedStudies)
        case .numberOfPatientRelatedSeries: return String(row.numberOfPatientRelatedSeries)
        case .numberOfPatientRelatedInstances: return String(row.numberOfPatientRelatedInstances)
        case .numberOfStudyRelatedSeries where keys.query.level >= .study: return String(row.numberOfStudyRelatedSeries)
        case .numberOfStudyRelatedInstances where keys.query.level >= .study:
            return String(row.numberOfStudyRelatedInstances)
        case .numberOfSeriesRelatedInstances where keys.query.level >= .series:
            return String(row.numberOfSeriesRelatedInstances)
        default:
            guard let column = CatalogMapping.columnOfTag[tag], column.level <= keys.query.level,
                !row.isUnknown(column)
            else { return nil }
            return row[column] ?? ""
        }
    }

    private static func unsignedShort(_ text: String) -> [UInt8] {
        guard let number = UInt16(text) else { return [] }
        return [UInt8(number & 0xFF), UInt8(number >> 8)]
    }

    private func storedValues(_ row: CatalogRow) -> StoredValues? {
        guard let version = row.representative else { return nil }
        do {
            let record = try archive.record(of: version, readsAhead: false)
            let dataSet = try StoredHeader.dataSet(record)
            let override = SpecificCharacterSet(override: record.provenance[.characterSetOverride])
            return StoredValues(dataSet: dataSet, characterSet: dataSet.characterSet(override: override))
        } catch {
            // The row is still an answer; the damage was logged where it was found.
            return nil
        }
    }

    /// A stored header with what is needed to read its text.
    private struct StoredValues {
        let dataSet: DataSet
        let characterSet: SpecificCharacterSet

        /// - Parameter isBigEndian: the order of bytes around the element; nil: that of the data set.
        func field(_ element: DataSet.Element, wanted: DataSet.Element?, isBigEndian: Bool? = nil) -> Field {
            if let items = element.items {
                let keys = wanted?.items?.first?.elements ?? []
                return Field(tag: element.tag, vr: .sq, value: .items(items.map { item($0, keys) }))
            }
            // What came as UN or in an implicit syntax is answered under the VR that it has by now.
            let vr = element.vr == .un ? DataDictionary.vr(of: element.tag) ?? .un : element.vr
            if vr.isAffectedByCharacterSet {
                return Field(
                    tag: element.tag, vr: vr,
                    value: .text(element.value.withUnsafeBytes { characterSet.decode($0, vr: vr) }))
            }
            return Field(
                tag: element.tag, vr: vr,
                value: .bytes(littleEndian(element.value, vr, isBigEndian ?? dataSet.isBigEndian)))
        }

        /// An item with the keys that were asked for, or all of it if none were.
        private func item(_ item: DataSet, _ keys: [DataSet.Element]) -> [Field] {
            let isBigEndian = item.isBigEndian
            guard !keys.isEmpty else {
                return item.elements.filter { !$0.isOmitted }.map {
                    field($0, wanted: nil, isBigEndian: isBigEndian)
                }
            }
            return keys.sorted { $0.tag < $1.tag }.map { key in
                if let stored = item[key.tag], !stored.isOmitted {
                    return field(stored, wanted: key, isBigEndian: isBigEndian)
                }
                return Field(
                    tag: key.tag, vr: DataDictionary.vr(of: key.tag) ?? key.vr,
                    value: key.items == nil ? .bytes([]) : .items([]))
            }
        }

        private func littleEndian(_ bytes: [UInt8], _ vr: VR, _ isBigEndian: Bool) -> [UInt8] {
            guard isBigEndian, vr.wordSize > 1 else { return bytes }
            return bytes.withRawBytes { ByteOrder.swapped($0, wordSize: vr.wordSize) }
        }
    }

    // MARK: Encoding

    /// The asker's own set if it can carry the text of this row, else UTF-8 (PS3.4 section C.4.1.1.3.2).
    private func encode(_ fields: [Field], _ transferSyntax: TransferSyntax) -> [UInt8] {
        let set = keys.characterSet.flatMap { Self.carries($0, fields) ? $0 : nil } ?? .utf8
        var writer = DataSetWriter(transferSyntax: transferSyntax)
        writer.append(.specificCharacterSet, .cs, text: set.definedTerms.joined(separator: "\\"))
        Self.write(fields, set, &writer)
        return writer.bytes
    }

    private static func carries(_ set: SpecificCharacterSet, _ fields: [Field]) -> Bool {
        fields.allSatisfy { field in
            switch field.value {
            case .text(let text):
                !field.vr.isAffectedByCharacterSet || text.utf8.allSatisfy { $0 < 0x80 } || set.encode(text) != nil
            case .bytes: true
            case .items(let items): items.allSatisfy { carries(set, $0) }
            }
        }
    }

    private static func write(_ fields: [Field], _ writer: inout some AttributeWriter) {
        for field in fields {
            switch field.value {
            case .text(let text): writer.append(field.tag, field.vr, text: text)
            case .bytes(let bytes):
                bytes.withRawBytes { writer.append(field.tag, field.vr, $0, .utf8, isBigEndian: false) }
            case .items(let items):
                writer.beginSequence(field.tag)
                for item in items {
                    writer.beginItem()
                    write(item, &writer)
                    writer.endItem()
                }
                writer.endSequence()
            }
        }
    }

    private static func write(_ fields: [Field], _ set: SpecificCharacterSet, _ writer: inout DataSetWriter) {
        for field in fields {
            switch field.value {
            case .text(let text):
                if text.utf8.allSatisfy({ $0 < 0x80 }) {
                    writer.append(field.tag, field.vr, text: text)
                } else {
                    writer.append(field.tag, field.vr, set.encode(text) ?? Array(text.utf8))
                }
            case .bytes(let bytes): writer.append(field.tag, field.vr, bytes)
            case .items(let items):
                writer.beginSequence(field.tag)
                for item in items {
                    writer.beginItem()
                    write(item, set, &writer)
                    writer.endItem()
                }
                writer.endSequence()
            }
        }
    }
}
