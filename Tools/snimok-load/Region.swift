// SPDX-License-Identifier: Apache-2.0
import Seeded

/// Where a regional study comes from, and when. What an archive stores grows at the end: of the days, of each hospital's
/// accession numbers, of each machine's UIDs; patients and physicians come again.
struct Region {
    private static let patients = 3_000_000
    private static let physicians = 10_000
    private static let hospitals = 300
    private static let machines = 1000
    private static let studiesPerDay = 5000

    let patient: Patient
    let physician: String
    /// Days of 28 to a month, as all synthetic studies have them.
    let date: String
    let time: String
    let accessionNumber: String
    let studyInstanceUID: String

    /// - Parameters:
    ///   - index: of the study among those of the seed.
    ///   - identity: see `SyntheticOptions`.
    init(study index: Int, identity: UInt64) {
        var random = SplitMix(seed: identity, [index])
        let number = random.below(Self.patients)
        var person = SplitMix(seed: identity, [0, 0, number])
        patient = Patient(number: number, &person)
        person = SplitMix(seed: identity, [0, 1, random.below(Self.physicians)])
        physician = Patient.physician(&person)
        let day = index / Self.studiesPerDay
        let second = index % Self.studiesPerDay * 12 * 3600 / Self.studiesPerDay
        date = "\(2020 + day / 336)\(Patient.twoDigits(day % 336 / 28 + 1))\(Patient.twoDigits(day % 28 + 1))"
        time = [8 + second / 3600, second / 60 % 60, second % 60].map(Patient.twoDigits).joined()
        let machine = random.below(Self.machines)
        accessionNumber = "H\(100 + machine % Self.hospitals)\(1_000_000_000 + index)"
        // Below 2.999, the arc for examples (ITU-T X.660 Annex A); always of the same length.
        studyInstanceUID = "2.999.\(1000 + identity % 9000).\(1000 + machine).\(date)\(time).\(1_000_000_000 + index)"
    }

    var seriesInstanceUID: String { studyInstanceUID + ".1" }

    func sopInstanceUID(_ number: Int) -> String { "\(studyInstanceUID).\(10_000_000 + number)" }
}
