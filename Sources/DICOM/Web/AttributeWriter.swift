// SPDX-License-Identifier: Apache-2.0

/// Writes data sets for the web: the DICOM JSON Model (PS3.18 annex F), or the Native DICOM Model in XML (PS3.19 annex A).
package protocol AttributeWriter {
    var bytes: [UInt8] { get }
    mutating func removeAll()
    /// Around each whole data set.
    mutating func beginDocument()
    mutating func endDocument()
    mutating func beginSequence(_ tag: Tag)
    mutating func beginItem()
    mutating func endItem()
    mutating func endSequence()
    /// An attribute from its stored bytes.
    mutating func append(
        _ tag: Tag, _ vr: VR, _ value: UnsafeRawBufferPointer, _ characterSet: SpecificCharacterSet, isBigEndian: Bool)
    /// An attribute of text that is Unicode already; backslashes part its values.
    mutating func append(_ tag: Tag, _ vr: VR, text: String)
    /// A value that is fetched by its own address.
    mutating func append(_ tag: Tag, _ vr: VR, bulkDataURI: String)
}

extension JSONAttributeWriter: AttributeWriter {
    package mutating func beginDocument() { beginDataSet() }
    package mutating func endDocument() { endDataSet() }
}
