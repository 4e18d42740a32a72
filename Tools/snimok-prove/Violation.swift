// SPDX-License-Identifier: Apache-2.0

/// A promise of the log that was broken.
struct Violation: Error {
    let what: String

    init(_ what: String) { self.what = what }
}
