// SPDX-License-Identifier: Apache-2.0
import Seeded

/// Which of the unsynced sectors, or of the unsynced changes of names, a power cut leaves: chosen once for a file, since all
/// of them, none, and all but one are the cases that matter most, and independent coins would never give them.
struct SectorFate {
    private let survivors: Int

    /// - Parameter survivors: of a hundred.
    init(_ random: inout SplitMix) {
        switch random.below(8) {
        case 0: survivors = 0
        case 1: survivors = 100
        case 2: survivors = 95
        case 3: survivors = 10
        default: survivors = 20 + random.below(75)
        }
    }

    func survives(_ random: inout SplitMix) -> Bool {
        if survivors == 0 { return false }
        return survivors == 100 || random.percent(survivors)
    }
}
