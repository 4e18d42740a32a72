// SPDX-License-Identifier: Apache-2.0
import Platform

/// Is told by reads which stored bytes are damaged, so that somebody can look for a good copy.
package final class DamageObserver: Sendable {
    package typealias Report = @Sendable (BlobID, RecordLocation) -> Void
    private let report = Monitor<Report?>(nil)

    package init() {}

    /// Called on the thread that reads; nil: nobody is told any more.
    package func notify(_ report: Report?) { self.report.withLock { $0 = report } }

    func found(_ blobID: BlobID, at location: RecordLocation) { report.withLock { $0 }?(blobID, location) }
}
