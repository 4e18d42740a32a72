// SPDX-License-Identifier: Apache-2.0
import Archive
import BlobLog
import DICOM
import HTTP
import Platform

/// One value of an instance (PS3.18 section 10.4.1.1.5), by the address that the metadata gives.
struct BulkDataService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange

    init(_ service: DICOMwebService, _ exchange: HTTPExchange) {
        self.service = service
        self.exchange = exchange
    }

    func run(_ resource: ResourcePath, path: String) throws {
        guard let attribute = AttributePath(path) else {
            throw HTTPProblem(
                400, "Bulk data is named by tags of eight hexadecimal digits, as 7FE00010 or 00081140.0.00091010")
        }
        let record = try service.archive.record(of: service.versions(resource)[0])
        guard let place = try StoredHeader.locate(record, attribute) else {
            throw HTTPProblem(404, "The instance has no value at \(path)")
        }
        throw HTTPProblem(501, "\(place)")
    }
}

/// Frames (PS3.18 section 10.4.1.1.6).
struct FrameService {
    private let service: DICOMwebService
    private let exchange: HTTPExchange

    init(_ service: DICOMwebService, _ exchange: HTTPExchange) {
        self.service = service
        self.exchange = exchange
    }

    func run(_ resource: ResourcePath, list: String) throws { throw HTTPProblem(501, "") }
}
