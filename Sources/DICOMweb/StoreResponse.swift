// SPDX-License-Identifier: Apache-2.0
import Archive
import DICOM
import HTTP

/// The answer to a store (PS3.18 section 10.5.3): what is in the archive now, and what is not and why.
struct StoreResponse {
    struct Item {
        let sopClassUID: String
        let sopInstanceUID: String
        let studyInstanceUID: String
        let seriesInstanceUID: String
    }

    private(set) var stored: [Item] = []
    private(set) var failed: [(item: Item, status: UInt16)] = []

    mutating func add(_ item: Item, _ error: ArchiveError?) {
        if let error { failed.append((item, error.storageStatus)) } else { stored.append(item) }
    }

    /// PS3.18 table 10.5.3-1: all, some, none.
    var httpStatus: Int {
        if failed.isEmpty { return 200 }
        if !stored.isEmpty { return 202 }
        return failed.allSatisfy { $0.status == 0xA700 || $0.status == 0x0110 } ? 503 : 409
    }

    func response(_ format: AttributeFormat, root: String) -> HTTPResponse {
        let studies = Set(stored.map(\.studyInstanceUID))
        var dataSet = DICOMObject()
        if studies.count == 1 {
            dataSet.append(.retrieveURL, .ur, text: "\(root)/studies/\(studies.first!)")
        }
        if !failed.isEmpty {
            dataSet.append(
                .failedSOPSequence,
                items: failed.map { entry in
                    var item = Self.reference(entry.item)
                    item.append(.failureReason, .us, text: String(entry.status))
                    return item
                })
        }
        if !stored.isEmpty {
            dataSet.append(
                .referencedSOPSequence,
                items: stored.map { entry in
                    var item = Self.reference(entry)
                    item.append(
                        .retrieveURL, .ur,
                        text:
                            "\(root)/studies/\(entry.studyInstanceUID)/series/\(entry.seriesInstanceUID)/instances/\(entry.sopInstanceUID)"
                    )
                    return item
                })
        }
        return dataSet.response(format, status: httpStatus)
    }

    private static func reference(_ item: Item) -> DICOMObject {
        var object = DICOMObject()
        object.append(.referencedSOPClassUID, .ui, text: item.sopClassUID)
        object.append(.referencedSOPInstanceUID, .ui, text: item.sopInstanceUID)
        return object
    }
}

/// A small data set of text on its way into an answer.
struct DICOMObject {
    private indirect enum Value {
        case text(String)
        case items([DICOMObject])
    }

    private var attributes: [(tag: Tag, vr: VR, value: Value)] = []

    mutating func append(_ tag: Tag, _ vr: VR, text: String) { attributes.append((tag, vr, .text(text))) }
    mutating func append(_ tag: Tag, items: [DICOMObject]) { attributes.append((tag, .sq, .items(items))) }

    func response(_ format: AttributeFormat, status: Int) -> HTTPResponse {
        switch format {
        case .json:
            var writer = JSONAttributeWriter()
            writer.beginDataSet()
            write(&writer)
            writer.endDataSet()
            return HTTPResponse(status: status, contentType: Media.json, body: writer.bytes)
        case .xml:
            var writer = XMLAttributeWriter()
            writer.beginDocument()
            write(&writer)
            writer.endDocument()
            return HTTPResponse(status: status, contentType: Media.xml, body: writer.bytes)
        }
    }

    private func write(_ writer: inout some AttributeWriter) {
        for attribute in attributes.sorted(by: { $0.tag < $1.tag }) {
            switch attribute.value {
            case .text(let text): writer.append(attribute.tag, attribute.vr, text: text)
            case .items(let items):
                writer.beginSequence(attribute.tag)
                for item in items {
                    writer.beginItem()
                    item.write(&writer)
                    writer.endItem()
                }
                writer.endSequence()
            }
        }
    }
}
