// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import DICOM

@Suite("Data dictionary")
struct DictionaryTests {
    @Test(
        "Knows the VR an Implicit VR data set is read with",
        arguments: [
            (0x0008_0005, VR.cs), (0x0010_0010, .pn), (0x0010_0020, .lo), (0x0020_000D, .ui), (0x0008_1140, .sq),
            (0x7FE0_0010, .ow), (0x0028_0106, .us), (0x0028_3006, .ow), (0x0028_0120, .us), (0x5400_1010, .ow),
            (0x0004_1200, .ul), (0x0002_0001, .ob), (0x0000_0100, .us), (0x7FE0_0008, .of), (0x0040_A160, .ut),
        ] as [(UInt32, VR)])
    func standardAttributes(_ tag: UInt32, _ vr: VR) {
        #expect(DataDictionary.vr(of: Tag(tag)) == vr)
    }

    @Test(
        "Resolves repeating groups",
        arguments: [
            (0x6000_3000, VR.ow, "OverlayData"), (0x6002_0010, .us, "OverlayRows"),
            (0x601E_0022, .lo, "OverlayDescription"),
            (0x5004_3000, .ow, "CurveData"), (0x0020_3142, .cs, "SourceImageIDs"),
            (0x7F02_0010, .ow, "VariablePixelData"),
            (0x7FE0_0010, .ow, "PixelData"),
        ] as [(UInt32, VR, String)])
    func repeatingGroups(_ tag: UInt32, _ vr: VR, _ keyword: String) {
        #expect(DataDictionary.vr(of: Tag(tag)) == vr)
        #expect(DataDictionary.keyword(of: Tag(tag)) == keyword)
    }

    @Test(
        "Group lengths are UL in every group",
        arguments: [0x0008_0000, 0x0009_0000, 0x0010_0000, 0x7FE0_0000] as [UInt32])
    func groupLengths(_ tag: UInt32) {
        #expect(DataDictionary.vr(of: Tag(tag)) == .ul)
    }

    @Test("Private creators are LO, other private elements unknown")
    func privateElements() {
        #expect(DataDictionary.vr(of: Tag(0x0009_0010)) == .lo)
        #expect(DataDictionary.vr(of: Tag(0x0029_00FF)) == .lo)
        #expect(DataDictionary.vr(of: Tag(0x0009_1001)) == nil)
        #expect(DataDictionary.vr(of: Tag(0x6001_0010)) == .lo)
        #expect(DataDictionary.vr(of: Tag(0x6001_3000)) == nil)
    }

    @Test(
        "Neither items nor unknown attributes have a VR",
        arguments: [0xFFFE_E000, 0xFFFE_E00D, 0x0008_FFF1, 0xFFFF_FFFF] as [UInt32])
    func unknown(_ tag: UInt32) {
        #expect(DataDictionary.vr(of: Tag(tag)) == nil)
        #expect(DataDictionary.keyword(of: Tag(tag)) == nil)
    }

    @Test(
        "Finds tags by keyword and keywords by tag",
        arguments: [
            ("PatientName", 0x0010_0010), ("SOPInstanceUID", 0x0008_0018), ("CommandGroupLength", 0x0000_0000),
            ("PixelData", 0x7FE0_0010), ("DataSetTrailingPadding", 0xFFFC_FFFC), ("OverlayRows", 0x6000_0010),
        ] as [(String, UInt32)])
    func keywords(_ keyword: String, _ tag: UInt32) {
        #expect(DataDictionary.tag(keyword: keyword) == Tag(tag))
        #expect(DataDictionary.keyword(of: Tag(tag)) == keyword)
    }

    @Test("Knows no keyword that is not one", arguments: ["", "patientname", "PatientNam", "PatientNames", "zzz", "ё"])
    func noKeyword(_ keyword: String) {
        #expect(DataDictionary.tag(keyword: keyword) == nil)
    }

    @Test("Every line of the generated text is in the table, in order, and comes back by its keyword")
    func table() {
        let table = DictionaryTable(parsing: StandardDictionary.text, count: StandardDictionary.count)
        #expect(table.tags.count == StandardDictionary.count)
        #expect(zip(table.tags, table.tags.dropFirst()).allSatisfy { $0 < $1 })
        #expect(table.vrs.allSatisfy { VR(rawValue: $0).isPlausible })
        for tag in table.tags where !Tag(tag).isPrivate {
            let keyword = DataDictionary.keyword(of: Tag(tag))
            #expect(keyword.flatMap(DataDictionary.tag(keyword:)) == Tag(tag))
        }
    }
}
