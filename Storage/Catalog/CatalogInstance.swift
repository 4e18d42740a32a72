// SPDX-License-Identifier: Apache-2.0

/// An instance whose bytes are in the log, with all that the catalog keeps of its header.
package struct CatalogInstance: Sendable {
    package var sequence: UInt64
    package var receivedAtNanoseconds: Int64
    package var source: CatalogSource
    /// 32 bytes.
    package var blobID: [UInt8]
    package var location: CatalogLocation
    package var dataSetLength: UInt64
    package var transferSyntaxUID: String
    /// The caller's own bits; `CatalogFlag` says which are free for it.
    package var flags: UInt32
    /// By `CatalogColumn.rawValue`: UTF-8 text, trimmed; nil where absent or empty.
    package var values: [String?]
    /// By `CatalogColumn.rawValue`: the folded forms of person names.
    package var folded: [String?]
    package var requests: [CatalogRequest]

    package init(
        sequence: UInt64, receivedAtNanoseconds: Int64, source: CatalogSource, blobID: [UInt8],
        location: CatalogLocation, dataSetLength: UInt64, transferSyntaxUID: String, flags: UInt32 = 0,
        values: [String?] = Array(repeating: nil, count: CatalogColumn.count),
        folded: [String?] = Array(repeating: nil, count: CatalogColumn.count), requests: [CatalogRequest] = []
    ) {
        precondition(values.count == CatalogColumn.count && folded.count == CatalogColumn.count)
        self.sequence = sequence
        self.receivedAtNanoseconds = receivedAtNanoseconds
        self.source = source
        self.blobID = blobID
        self.location = location
        self.dataSetLength = dataSetLength
        self.transferSyntaxUID = transferSyntaxUID
        self.flags = flags
        self.values = values
        self.folded = folded
        self.requests = requests
    }

    package subscript(column: CatalogColumn) -> String? {
        get { values[column.rawValue] }
        set { values[column.rawValue] = newValue }
    }
}

extension CatalogInstance {
    /// The value, with the empty string taken for none.
    func present(_ column: CatalogColumn) -> String? {
        guard let value = values[column.rawValue], !value.isEmpty else { return nil }
        return value
    }

    /// A UID the hierarchy hangs on. Ingest refuses instances without; a replay must not stumble over one.
    func uid(_ column: CatalogColumn) -> String { values[column.rawValue] ?? "" }

    /// What a name is searched by.
    func foldedName(_ column: CatalogColumn) -> String? { folded[column.rawValue] ?? present(column) }
}
