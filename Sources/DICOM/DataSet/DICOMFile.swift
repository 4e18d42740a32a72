// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// A DICOM file on disk, recognised by its content: with a meta group (PS3.10), or a bare data set as old archives and
/// scanners left them.
package struct DICOMFile {
    package let file: FileDescriptor
    package let meta: FileMeta
    package let length: UInt64

    /// Opens and judges a file. Nil: it holds no DICOM instance.
    package init?(_ path: String) throws(SystemError) {
        file = try FileDescriptor.open(path, O_RDONLY)
        length = try file.size()
        var head = [UInt8](repeating: 0, count: Int(min(length, UInt64(FileMeta.headMaximum))))
        let file = file
        let count = try head.withMutableRawBytes { buffer throws(SystemError) in try file.read(into: buffer, at: 0) }
        head.removeSubrange(count...)
        guard let meta = head.withRawBytes({ FileMeta(head: $0) ?? FileMeta(bareDataSet: $0) }) else { return nil }
        self.meta = meta
    }

    /// The file's data set, piece by piece.
    package func forEachPiece<Failure: Error>(
        onError: (SystemError) -> Failure, _ body: (UnsafeRawBufferPointer, _ isLast: Bool) throws(Failure) -> Void
    ) throws(Failure) {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset = UInt64(meta.dataSetOffset)
        repeat {
            let count: Int
            do {
                count = try buffer.withMutableRawBytes { memory throws(SystemError) in
                    try file.read(into: memory, at: offset)
                }
            } catch { throw onError(error) }
            offset += UInt64(count)
            let isLast = offset >= length || count == 0
            try buffer.withRawBytes { bytes throws(Failure) in try body(bytes.part(0..<count), isLast) }
            if isLast { return }
        } while true
    }
}

extension FileMeta {
    /// Judges a file that begins with a data set: in an uncompressed little-endian syntax, from group 0008 on, with the UIDs
    /// that an instance must have.
    fileprivate init?(bareDataSet head: UnsafeRawBufferPointer) {
        guard head.count >= 16, head.littleEndian(at: 0, as: UInt16.self) == 0x0008 else { return nil }
        let letters = VR(rawValue: UInt16(head[4]) << 8 | UInt16(head[5]))
        let syntax: TransferSyntax = letters.isPlausible ? .explicitVRLittleEndian : .implicitVRLittleEndian
        var cursor = ElementCursor(transferSyntax: syntax)
        let window = ByteWindow(head, isLast: false)
        while sopInstanceUID.isEmpty || sopClassUID.isEmpty, case .element(let header)? = try? cursor.next(in: window),
            header.tag <= .sopInstanceUID, let value = window.part(header.valueRange), value.count <= 4096
        {
            let text = DataSet.Element(tag: header.tag, vr: .ui, value: Array(value)).plainValue
            if header.tag == .sopClassUID { sopClassUID = text }
            if header.tag == .sopInstanceUID { sopInstanceUID = text }
        }
        guard !sopClassUID.isEmpty, !sopInstanceUID.isEmpty else { return nil }
        transferSyntaxUID = syntax.uid
    }
}
