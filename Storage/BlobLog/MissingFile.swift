// SPDX-License-Identifier: Apache-2.0
import Glibc
import Platform

/// Stands for the file of a large object that is not there: whoever reads it finds its record damaged, and whoever reads the
/// record alone finds that.
final class MissingFile: VolumeFile {
    let path: String

    init(_ name: String) { path = "\(name) (which is missing)" }

    func sizeOnce() -> Int { 0 }
    func readOnce(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int { 0 }
    func writeOnce(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int { preconditionFailure("it is read only") }
    func writeOnce(gathering vectors: UnsafeBufferPointer<iovec>, at offset: UInt64) -> Int {
        preconditionFailure("it is read only")
    }
    func synchronizeOnce(dataOnly: Bool) -> Int32 { 0 }
    func truncateOnce(to length: UInt64) -> Int32 { preconditionFailure("it is read only") }
    func tryLock() -> Bool { true }
    func startWriteBack(_ range: Range<UInt64>) {}
    func reserve(_ range: Range<UInt64>) -> Bool { true }
    func advise(_ advice: Int32, _ range: Range<UInt64>) {}
    func digest(of range: Range<UInt64>) -> [UInt8]? { nil }
}
