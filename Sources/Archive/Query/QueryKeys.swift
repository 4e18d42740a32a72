// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM

/// A query as asked: what must match, what is to be returned, and in which character set the asker reads.
package struct QueryKeys {
    package enum Failure: Error {
        /// The identifier is not one of this service class; the sentence says why.
        case identifierDoesNotMatch(String)
    }

    /// A query/retrieve information model (PS3.4 annex C.3): where its hierarchy begins.
    package enum Root: Sendable { case patient, study }

    package var query: CatalogQuery
    /// What to return, in tag order.
    package let returnKeys: [DataSet.Element]
    /// Whether a key could not be matched on (status FF01H).
    package var hasUnsupportedKeys: Bool { !headerConditions.isEmpty }
    /// Those keys, for askers who want rows held against the stored headers.
    package private(set) var headerConditions: [HeaderCondition] = []
    package let characterSet: SpecificCharacterSet?

    private static let neverMatched: Set<Tag> = [
        .specificCharacterSet, .queryRetrieveLevel, .retrieveAETitle, .instanceAvailability, .timezoneOffsetFromUTC,
        .numberOfPatientRelatedStudies, .numberOfPatientRelatedSeries, .numberOfPatientRelatedInstances,
        .numberOfStudyRelatedSeries, .numberOfStudyRelatedInstances, .numberOfSeriesRelatedInstances,
    ]

    private static let dateTimePairs: [(date: CatalogColumn, time: CatalogColumn)] = [
        (.studyDate, .studyTime), (.seriesDate, .seriesTime), (.contentDate, .contentTime),
        (.acquisitionDate, .acquisitionTime), (.performedProcedureStepStartDate, .performedProcedureStepStartTime),
    ]

    private static let requestFields: [Tag: CatalogRequestField] = [
        .requestedProcedureID: .requestedProcedureID, .scheduledProcedureStepID: .scheduledProcedureStepID,
        .accessionNumber: .accessionNumber, .requestedProcedureDescription: .requestedProcedureDescription,
        .scheduledProcedureStepDescription: .scheduledProcedureStepDescription,
    ]

    /// - Parameters:
    ///   - characterSetOverride: for askers whose text is mislabelled.
    ///   - combinesDateTime: whether date and time ranges are one range (negotiated, PS3.4 section C.5.1.1).
    ///   - scope: the asker's.
    ///   - shownReasons: of what is hidden, what the asker sees all the same.
    package init(
        _ identifier: DataSet, root: Root, characterSetOverride: SpecificCharacterSet?, combinesDateTime: Bool,
        scope: CatalogScope, shownReasons: HiddenReasons = [], limit: Int?
    ) throws(Failure) {
        let level = try Self.level(identifier, root)
        query = CatalogQuery(level: level, scope: scope)
        query.shownReasons = shownReasons
        query.limit = limit
        returnKeys = identifier.elements.sorted { $0.tag < $1.tag }
        let declared = identifier[.specificCharacterSet]?.plainValues.filter { !$0.isEmpty } ?? []
        characterSet = declared.isEmpty ? nil : SpecificCharacterSet(definedTerms: declared)
        let decoder = QueryValueDecoder(
            characterSet: characterSetOverride ?? characterSet ?? .ascii, isBigEndian: identifier.isBigEndian)
        for element in identifier.elements { take(element, decoder) }
        query.needsRepresentative =
            !headerConditions.isEmpty
            || returnKeys.contains { !Self.isAnsweredByItself($0.tag) && !QueryAnswer.isInCatalog($0.tag, level) }
        query.countsPatients = asks {
            $0 == .numberOfPatientRelatedStudies || $0 == .numberOfPatientRelatedSeries
                || $0 == .numberOfPatientRelatedInstances
        }
        query.needsContents = asks { $0 == .modalitiesInStudy || $0 == .sopClassesInStudy }
        if combinesDateTime { combineDateTimes() }
    }

    private func asks(_ isWanted: (Tag) -> Bool) -> Bool { returnKeys.contains { isWanted($0.tag) } }

    /// Attributes that an answer has whether they are asked for or not, and those that none has.
    static func isAnsweredByItself(_ tag: Tag) -> Bool { answeredByItself.contains(tag) || tag.isGroupLength }

    private static let answeredByItself: Set<Tag> = [
        .specificCharacterSet, .queryRetrieveLevel, .retrieveAETitle, .retrieveURL,
    ]

    package static func level(_ identifier: DataSet, _ root: Root) throws(Failure) -> CatalogLevel {
        switch identifier[.queryRetrieveLevel]?.plainValue {
        case "PATIENT" where root == .patient: return .patient
        case "STUDY": return .study
        case "SERIES": return .series
        case "IMAGE": return .instance
        case let level?: throw .identifierDoesNotMatch("Query/Retrieve Level \(level.prefix(16)) is none of this model")
        case nil: throw .identifierDoesNotMatch("Query/Retrieve Level (0008,0052) is missing")
        }
    }

    private mutating func take(_ element: DataSet.Element, _ decoder: QueryValueDecoder) {
        if let items = element.items { return take(sequence: element.tag, items, decoder) }
        guard !element.value.isEmpty, !Self.neverMatched.contains(element.tag) else { return }
        guard let match = decoder.match(element) else { return }
        switch element.tag {
        case .modalitiesInStudy where query.level >= .study: query.modalitiesInStudy = match
        case .sopClassesInStudy where query.level >= .study: query.sopClassesInStudy = match
        default:
            guard let column = CatalogMapping.columnOfTag[element.tag], column.level <= query.level else {
                headerConditions.append(HeaderCondition(path: [element.tag], match: match))
                return
            }
            query.conditions.append(CatalogCondition(column: column, match: match))
        }
    }

    /// Sequence matching (PS3.4 section C.2.2.2.6): one item, all of whose keys one stored item must match.
    private mutating func take(sequence tag: Tag, _ items: [DataSet], _ decoder: QueryValueDecoder) {
        for element in items.first?.elements ?? [] where !element.value.isEmpty || element.items != nil {
            if tag == .requestAttributesSequence, query.level >= .study, let field = Self.requestFields[element.tag],
                let match = decoder.match(element)
            {
                query.request.append((field, match))
            } else {
                take(unmatched: element, below: [tag], decoder)
            }
        }
    }

    private mutating func take(unmatched element: DataSet.Element, below path: [Tag], _ decoder: QueryValueDecoder) {
        let path = path + [element.tag]
        if let items = element.items {
            for inner in items.first?.elements ?? [] { take(unmatched: inner, below: path, decoder) }
        } else if !element.value.isEmpty, let match = decoder.match(element) {
            headerConditions.append(HeaderCondition(path: path, match: match))
        }
    }

    /// Nobody has so many names; each costs a look at every patient with the rarest.
    private static let fuzzyWordsMaximum = 16

    /// Names as people say them: the beginnings of words, in Latin or Cyrillic letters.
    package mutating func matchFuzzily() {
        for condition in query.conditions where condition.column == .patientName {
            switch condition.match {
            case .equals(let name), .wildcard(let name):
                let words = Set(NameWords.split(name).map(NameKeys.key)).subtracting([""])
                query.fuzzyPatientWords = Array(words.sorted().prefix(Self.fuzzyWordsMaximum))
            case .anyOf, .range: continue
            }
        }
    }

    private mutating func combineDateTimes() {
        for pair in Self.dateTimePairs {
            guard let date = query.conditions.firstIndex(where: { $0.column == pair.date }),
                let time = query.conditions.firstIndex(where: { $0.column == pair.time }),
                case .range(let fromDate, let toDate) = query.conditions[date].match,
                case .range(let fromTime, let toTime) = query.conditions[time].match
            else { continue }
            query.conditions.removeAll { $0.column == pair.date || $0.column == pair.time }
            query.dateTimeRanges.append(
                CatalogDateTimeRange(
                    dateColumn: pair.date, timeColumn: pair.time, fromDate: fromDate, fromTime: fromTime,
                    toDate: toDate,
                    toTime: toTime))
        }
    }
}

/// Turns a key's value into what the catalog matches, by the rules of its VR (PS3.4 section C.2.2.2).
struct QueryValueDecoder {
    let characterSet: SpecificCharacterSet
    let isBigEndian: Bool

    /// nil: universal matching.
    func match(_ element: DataSet.Element) -> CatalogMatch? {
        let vr = DataDictionary.vr(of: element.tag) ?? element.vr
        switch vr {
        case .ui: return list(element.plainValues.filter { !$0.isEmpty })
        case .da: return dateOrTime(element.plainValue.filter { $0 != "." })
        case .tm: return time(element.plainValue.filter { $0 != ":" })
        case .us: return number(element.value)
        case .pn: return wildcard(SearchFolding.fold(text(element, vr).first ?? ""))
        case .is, .ds: return list(element.plainValues.filter { !$0.isEmpty })
        default:
            // Several code strings are alternatives, as askers for "CT\MR" expect.
            let values = text(element, vr).filter { !$0.isEmpty }
            return values.count > 1 ? list(values) : wildcard(values.first ?? "")
        }
    }

    private func text(_ element: DataSet.Element, _ vr: VR) -> [String] {
        guard vr.isAffectedByCharacterSet else { return element.plainValues }
        return element.value.withUnsafeBytes { characterSet.decodeValues($0, vr: vr) }
    }

    private func list(_ values: [String]) -> CatalogMatch? {
        switch values.count {
        case 0: nil
        case 1: .equals(values[0])
        default: .anyOf(values)
        }
    }

    private func wildcard(_ value: String) -> CatalogMatch? {
        // By bytes, as it is matched: a mark that follows a wildcard does not change what that is.
        let bytes = value.utf8
        if bytes.allSatisfy({ $0 == UInt8(ascii: "*") }) { return nil }
        return bytes.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") })
            ? .wildcard(value) : .equals(value)
    }

    private func dateOrTime(_ value: String) -> CatalogMatch? {
        if value.isEmpty { return nil }
        guard let dash = value.firstIndex(of: "-") else { return .equals(value) }
        let from = value[..<dash].trimmed
        let to = value[value.index(after: dash)...].trimmed
        if from.isEmpty, to.isEmpty { return nil }
        return .range(from: from.isEmpty ? nil : from, to: to.isEmpty ? nil : to)
    }

    /// A time without its last parts stands for all of the minute or hour.
    private func time(_ value: String) -> CatalogMatch? {
        guard case .equals(let single)? = dateOrTime(value) else { return dateOrTime(value) }
        return .range(from: single, to: single)
    }

    private func number(_ bytes: [UInt8]) -> CatalogMatch? {
        guard bytes.count >= 2 else { return nil }
        return .equals(String(isBigEndian ? Int(bytes[0]) << 8 | Int(bytes[1]) : Int(bytes[1]) << 8 | Int(bytes[0])))
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var rest = self
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return String(rest)
    }
}
