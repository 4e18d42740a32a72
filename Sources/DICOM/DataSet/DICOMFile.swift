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
        guard var meta = head.withRawBytes({ FileMeta(head: $0) ?? FileMeta(bareDataSet: $0) }) else { return nil }
        head.withRawBytes { meta.takeIdentity(fromDataSetIn: $0) }
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
        transferSyntaxUID = syntax.uid
        takeIdentity(fromDataSetIn: head)
        guard !sopClassUID.isEmpty, !sopInstanceUID.isEmpty else { return nil }
    }

    /// What the data set says that it is counts more than what the meta group says about it: tools that change the one
    /// forget the other, and a sender is held to the data set (PS3.4 section B.2.3).
    package mutating func takeIdentity(fromDataSetIn head: UnsafeRawBufferPointer) {
        let syntax = TransferSyntax(uid: transferSyntaxUID)
        guard !syntax.isDeflated else { return }
        var cursor = ElementCursor(transferSyntax: syntax, position: dataSetOffset)
        let window = ByteWindow(head, isLast: false)
        while let step = try? cursor.next(in: window) {
            switch step {
            case .element(let header):
                guard header.tag <= .sopInstanceUID || header.depth > 0 else { return }
                guard header.depth == 0, header.tag == .sopClassUID || header.tag == .sopInstanceUID,
                    let value = window.part(header.valueRange), value.count <= 256
                else { continue }
                let text = DataSet.Element(tag: header.tag, vr: .ui, value: Array(value)).plainValue
                guard !text.isEmpty else { continue }
                if header.tag == .sopClassUID { sopClassUID = text } else { sopInstanceUID = text }
            case .sequence, .itemStart, .itemEnd, .sequenceEnd: continue
            case .needsMore, .end, .encapsulated, .fragment, .encapsulatedEnd: return
            }
        }
    }
}
