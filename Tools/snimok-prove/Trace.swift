// SPDX-License-Identifier: Apache-2.0

/// What was done, line by line, for the eyes of whoever looks for a fault; costs nothing while it is off.
final class Trace {
    let isOn: Bool
    private(set) var lines: [String] = []

    init(isOn: Bool) { self.isOn = isOn }

    func add(_ line: () -> String) {
        if isOn { lines.append(line()) }
    }

    /// How much there is, to come back to by `forget(since:)`.
    var mark: Int { lines.count }

    func forget(since mark: Int) { lines.removeSubrange(mark...) }
}
