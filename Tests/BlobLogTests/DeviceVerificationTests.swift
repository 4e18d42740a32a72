// SPDX-License-Identifier: Apache-2.0
import Platform
import Testing

@testable import BlobLog

@Suite("Verifying from the device")
struct DeviceVerificationTests {
    private func stored(_ session: Session, _ location: RecordLocation) throws {
        try session.log.reader.recordFromDevice(at: location).verifyFromDevice()
    }

    @Test("Payloads of any length stand", arguments: [1, 255, 4096, 65_535, 65_536, 70_001, 900_000, 1_048_000])
    func whole(length: Int) throws {
        let session = try Session(try Folder())
        let locations = try session.append(Samples.bytes(length), Samples.bytes(33, seed: 7))
        for location in locations { try stored(session, location) }
    }

    @Test("So do payloads with a head, large values and many pieces")
    func pieces() throws {
        let session = try Session(try Folder())
        let records = [
            Samples.record(Samples.bytes(100_000), headLength: 300, largeValues: [1000..<90_000]),
            Samples.record(Samples.bytes(1_000_000, seed: 2), headLength: 70_000, largeValues: [80_000..<999_999]),
        ]
        for (_, location) in try session.writer.append(records) { try stored(session, location) }
    }

    @Test("A flipped bit anywhere in a record is found")
    func flips() throws {
        let session = try Session(try Folder())
        let payload = Samples.bytes(140_500)
        let location = try session.writer.append([
            Samples.record(payload, headLength: 200, largeValues: [1000..<140_000])
        ])[0].1
        let path = session.directory.segment(writer: location.writer, number: location.segment)
        let header = try session.log.reader.record(at: location).header
        let metadata = stride(from: 0, to: header.metadataLength, by: 13).map { UInt64($0) }
        let body = stride(from: 0, to: payload.count, by: 1571).map { UInt64(header.payloadOffset) + UInt64($0) }
        for offset in metadata + body + [UInt64(header.payloadOffset) + header.payloadLength - 1] {
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
            #expect(throws: LogError.self, "byte \(offset)") { try stored(session, location) }
            try Disk.flip(path, at: location.offset + offset, bit: Int(offset % 8))
        }
        try stored(session, location)
    }

    @Test("A segment that ends early is damage")
    func short() throws {
        let session = try Session(try Folder())
        let location = try session.append(Samples.bytes(300_000))[0]
        try Disk.truncate(
            session.directory.segment(writer: location.writer, number: location.segment),
            to: location.offset + 8192)
        #expect(throws: LogError.self) { try stored(session, location) }
    }
}
