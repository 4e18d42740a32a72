// SPDX-License-Identifier: Apache-2.0
import Catalog
import DICOM
import Platform

/// A matching key that the catalog has no column for: held against the stored header of each row that matches otherwise.
package struct HeaderCondition {
    /// Sequences, then the attribute.
    let path: [Tag]
    let match: CatalogMatch

    /// PS3.4 section C.2.2.2: one value of the attribute must match; within a sequence, that of one item.
    func isMet(by dataSet: DataSet, _ characterSet: SpecificCharacterSet) -> Bool {
        isMet(by: dataSet, path[...], characterSet)
    }

    private func isMet(by dataSet: DataSet, _ path: ArraySlice<Tag>, _ characterSet: SpecificCharacterSet) -> Bool {
        guard let tag = path.first, let element = dataSet[tag] else { return false }
        if path.count > 1 {
            return (element.items ?? []).contains { isMet(by: $0, path.dropFirst(), characterSet) }
        }
        return values(element, dataSet.isBigEndian, characterSet).contains { match.accepts($0) }
    }

    private func values(_ element: DataSet.Element, _ isBigEndian: Bool, _ set: SpecificCharacterSet) -> [String] {
        let vr = element.vr == .un ? DataDictionary.vr(of: element.tag) ?? .un : element.vr
        if vr == .us || vr == .ss {
            return stride(from: 0, through: element.value.count - 2, by: 2).map { offset in
                let number: UInt16 = element.value.withRawBytes {
                    isBigEndian ? $0.bigEndian(at: offset) : $0.littleEndian(at: offset)
                }
                return vr == .us ? String(number) : String(Int16(bitPattern: number))
            }
        }
        guard vr.isAffectedByCharacterSet else { return element.plainValues }
        let texts = element.value.withUnsafeBytes { set.decodeValues($0, vr: vr) }
        return vr == .pn ? texts.map(SearchFolding.fold) : texts
    }
}
