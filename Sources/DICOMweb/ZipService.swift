// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import Catalog
import DICOM
import HTTP
import Platform

/// Instances as a ZIP with DICOMDIR: what is burnt on a disc or opened by any viewer (PS3.10 section 8, PS3.3 annex F).
struct ZipService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange

    init(_ service: DICOMwebService, _ exchange: HTTPExchange) {
        self.service = service
        self.exchange = exchange
    }

    func send(_ versions: [CatalogVersion], _ targets: [TransferSyntax]) throws {
        // The headers are read first: what cannot be read shows before the answer begins.
        var directory = MediaDirectory()
        let names = try versions.enumerated().map { index, version in
            let record = try service.archive.record(of: version)
            return try directory.add(version, StoredHeader.dataSet(record), index, syntax: targets[index])
        }
        var headers = HTTPHeaders()
        headers.append("Content-Disposition", "attachment; filename=\"\(versions[0].studyInstanceUID).zip\"")
        try exchange.begin(HTTPResponse(contentType: Media.zip, headers: headers), length: nil)
        var zip = ZipWriter(exchange)
        try zip.beginEntry("DICOMDIR", mayBeLarge: false)
        try directory.encoded().withUnsafeBytes { try zip.write($0) }
        try zip.endEntry()
        let buffer = ReadBuffer()
        for (index, version) in versions.enumerated() {
            let name = names[index]
            try zip.beginEntry(name.joined(separator: "/"), mayBeLarge: version.dataSetLength > 2 << 30)
            try write(version, targets[index], buffer, &zip)
            try zip.endEntry()
        }
        try zip.finish()
    }

    private func write(
        _ version: CatalogVersion, _ target: TransferSyntax, _ buffer: ReadBuffer, _ zip: inout ZipWriter
    ) throws {
        let record = try service.archive.record(of: version)
        if target.uid != version.transferSyntaxUID {
            return try InstanceFile(service, version, record, target).forEachPiece { try zip.write($0) }
        }
        try record.sendPieces(in: 0..<record.header.payloadLength, buffer: buffer) { try zip.write($0) }
    }
}
