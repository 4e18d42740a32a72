// SPDX-License-Identifier: Apache-2.0
import Platform

/// The file meta group of a DICOM file (PS3.10 section 7.1).
package struct FileMeta {
    package var sopClassUID = ""
    package var sopInstanceUID = ""
    package var transferSyntaxUID = ""
    /// Where the data set begins in the file.
    package var dataSetOffset = 0

    package static let implementationClassUID = "2.25.172530951786402163487906212843175901127"
    package static let implementationVersionName = "SNIMOK_0_1"

    /// Bytes of a file that `init(head:)` needs to see to judge it.
    package static let headMaximum = 1 << 20

    /// Reads preamble and meta group at the beginning of a file. Nil: this is no DICOM file with a meta group. The group
    /// length is not believed; the group ends where another group begins, as readers have always done.
    package init?(head: UnsafeRawBufferPointer) {
        guard head.count >= 132, head.part(128..<132).elementsEqual("DICM".utf8) else { return nil }
        var cursor = ElementCursor(transferSyntax: .explicitVRLittleEndian, position: 132)
        let window = ByteWindow(head, isLast: true)
        dataSetOffset = 132
        while head.count - cursor.position >= 8, head.littleEndian(at: cursor.position, as: UInt16.self) == 0x0002 {
            guard case .element(let header)? = try? cursor.next(in: window), let value = window.part(header.valueRange)
            else { return nil }
            let element = DataSet.Element(tag: header.tag, vr: .ui, value: value.count <= 256 ? Array(value) : [])
            switch header.tag.element {
            case 0x0002: sopClassUID = element.plainValue
            case 0x0003: sopInstanceUID = element.plainValue
            case 0x0010: transferSyntaxUID = element.plainValue
            default: break
            }
            dataSetOffset = cursor.position
        }
    }

    /// What the archive puts before a data set to make it a file: a preamble of zeros, so that a file received with a
    /// program in its preamble leaves without it (CVE-2019-11687), and a meta group of its own.
    package static func encoded(sopClassUID: String, sopInstanceUID: String, transferSyntaxUID: String) -> [UInt8] {
        var group = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        group.append(Tag(0x0002_0001), .ob, [0, 1])
        group.append(Tag(0x0002_0002), .ui, text: sopClassUID)
        group.append(Tag(0x0002_0003), .ui, text: sopInstanceUID)
        group.append(Tag(0x0002_0010), .ui, text: transferSyntaxUID)
        group.append(Tag(0x0002_0012), .ui, text: implementationClassUID)
        group.append(Tag(0x0002_0013), .sh, text: implementationVersionName)
        var head = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        head.append(Tag(0x0002_0000), unsignedLong: UInt32(group.bytes.count))
        return [UInt8](repeating: 0, count: 128) + Array("DICM".utf8) + head.bytes + group.bytes
    }
}
