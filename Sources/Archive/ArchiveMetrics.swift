// SPDX-License-Identifier: Apache-2.0
import Platform

/// What the archive counts about itself.
package struct ArchiveMetrics: Sendable {
    package let stored: Metrics.Counter
    package let storedBytes: Metrics.Counter
    package let alreadyThere: Metrics.Counter
    package let refused: Metrics.Counter
    package let batches: Metrics.Counter
    package let freedBytes: Metrics.Counter
    /// Where further ones are registered.
    let all: Metrics

    package init(_ metrics: Metrics) {
        all = metrics
        stored = metrics.counter("snimok_instances_stored_total", "Instances stored since the start.")
        storedBytes = metrics.counter("snimok_stored_bytes_total", "Data set bytes stored since the start.")
        alreadyThere = metrics.counter(
            "snimok_instances_seen_again_total", "Instances whose content was there already.")
        refused = metrics.counter("snimok_instances_refused_total", "Instances refused since the start.")
        freedBytes = metrics.counter(
            "snimok_compaction_freed_bytes_total", "Bytes that compaction gave back since the start.")
        batches = metrics.counter("snimok_commit_batches_total", "Group commits since the start.")
    }
}
