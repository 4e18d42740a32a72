// SPDX-License-Identifier: Apache-2.0
import CCodecs
import DICOM
import Glibc
import Platform

/// The worker process: reads requests from descriptor 3, answers there, and ends when the archive closes it. Whatever an
/// image does to a decoder, it does it here, without files, network or the archive's memory.
package enum CodecWorker {
    static let descriptor: Int32 = 3

    /// - Parameters: what the worker may use.
    package static func run(memoryBytes: UInt64) -> Int32 {
        guard ccodecs_initialize() == 0 else { return complain("the data dictionary of DCMTK is missing") }
        let allowsFaults = getenv("SNIMOK_IMAGING_FAULTS") != nil
        let code = ccodecs_enter_sandbox(memoryBytes, 0)
        guard code == 0 else { return complain("the sandbox cannot be entered: error \(code)") }
        var session = CodecSession(allowsFaults: allowsFaults)
        while let request = receive() {
            let reply = session.answer(request)
            guard send(reply) else { break }
        }
        return 0
    }

    private static func complain(_ sentence: String) -> Int32 {
        let line = "snimok codec-worker: \(sentence)\n"
        _ = line.withCString { write(2, $0, strlen($0)) }
        return 1
    }

    private static func receive() -> CodecMessage? {
        var length: UInt32 = 0
        guard withUnsafeMutableBytes(of: &length, { readAll($0) }) else { return nil }
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(length)) { memory, count in
            count = Int(length)
            isWhole = readAll(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(memory)[..<count]))
        }
        return isWhole ? CodecMessage(reading: bytes) : nil
    }

    private static func readAll(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < buffer.count {
            let count = read(descriptor, buffer.baseAddress! + done, buffer.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    private static func send(_ message: CodecMessage) -> Bool {
        var length = UInt32(message.bytes.count)
        return withUnsafeBytes(of: &length) { writeAll($0) } && message.bytes.withUnsafeBytes { writeAll($0) }
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}
