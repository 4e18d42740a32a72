// SPDX-License-Identifier: Apache-2.0

/// A patient as clinics in Russia and elsewhere enter them.
struct Patient {
    let name: String
    let id: String
    let birthDate: String
    let sex: String

    init(_ random: inout SplitMix) {
        let isFemale = random.below(2) == 0
        name = random.below(3) < 2 ? Self.russianName(&random, isFemale) : Self.latinName(&random, isFemale)
        id = "P\(1_000_000 + random.below(9_000_000))"
        birthDate = Self.date(in: 1930..<2020, &random)
        sex = isFemale ? "F" : "M"
    }

    static func date(in years: Range<Int>, _ random: inout SplitMix) -> String {
        let year = years.lowerBound + random.below(years.count)
        return "\(year)\(twoDigits(1 + random.below(12)))\(twoDigits(1 + random.below(28)))"
    }

    static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Someone who refers patients.
    static func physician(_ random: inout SplitMix) -> String {
        let isFemale = random.below(2) == 0
        return russianName(&random, isFemale)
    }

    /// Family names whose feminine form adds "а".
    private static let families = [
        "Иванов", "Смирнов", "Кузнецов", "Попов", "Соколов", "Лебедев", "Козлов", "Новиков", "Морозов", "Королёв",
        "Щербаков", "Юдин",
    ]
    private static let men = ["Александр", "Пётр", "Сергей", "Дмитрий", "Юрий", "Фёдор"]
    private static let women = ["Анна", "Мария", "Елена", "Ольга", "Софья", "Наталья"]
    private static let fathers = ["Александров", "Сергеев", "Иванов", "Петров", "Михайлов", "Владимиров"]
    private static let latinFamilies = ["Smith", "Müller", "García", "Novák", "O'Connor", "Kowalski", "Dubois", "Berg"]
    private static let latinMen = ["John", "Jürgen", "José", "Tomáš", "Patrick"]
    private static let latinWomen = ["Mary", "Katrin", "Lucía", "Eva", "Zoë"]

    private static func russianName(_ random: inout SplitMix, _ isFemale: Bool) -> String {
        let family = random.pick(families) + (isFemale ? "а" : "")
        let given = random.pick(isFemale ? women : men)
        return "\(family)^\(given)^\(random.pick(fathers))\(isFemale ? "на" : "ич")"
    }

    private static func latinName(_ random: inout SplitMix, _ isFemale: Bool) -> String {
        "\(random.pick(latinFamilies))^\(random.pick(isFemale ? latinWomen : latinMen))"
    }
}
