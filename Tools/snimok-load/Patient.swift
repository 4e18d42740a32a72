// SPDX-License-Identifier: Apache-2.0
import Seeded

/// A patient as clinics in Russia and elsewhere enter them.
struct Patient {
    let name: String
    private(set) var id: String
    let birthDate: String
    let sex: String

    init(_ random: inout SplitMix) {
        let isFemale = random.below(2) == 0
        name = random.below(3) < 2 ? Self.russianName(&random, isFemale) : Self.latinName(&random, isFemale)
        id = "P\(10_000_000 + random.below(90_000_000))"
        birthDate = Self.date(in: 1930..<2020, &random)
        sex = isFemale ? "F" : "M"
    }

    /// One of those of whom each number is somebody.
    init(number: Int, _ random: inout SplitMix) {
        self.init(&random)
        id = "P\(10_000_000 + number)"
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

    // Names are put together from parts, so that the tenth million still has a name of its own.
    private static let beginnings = [
        "Ив", "Смир", "Кузне", "Поп", "Сокол", "Лебед", "Коз", "Нов", "Мороз", "Корол", "Щерба", "Юд", "Фёдор", "Жук",
        "Воробь", "Зайц", "Медвед", "Ерём", "Гавр", "Тимоф",
    ]
    private static let middles = [
        "ан", "нь", "ец", "ил", "ар", "ень", "ош", "ак", "ёх", "юк", "ер", "ис", "оль", "уш", "ич", "ай", "ям", "ор",
        "ут",
        "эль",
    ]
    /// Endings whose feminine form adds "а".
    private static let endings = ["ов", "ев", "ёв", "ин", "анов", "енков", "илов", "ушкин", "арёв", "еев"]
    private static let men = [
        "Александр", "Пётр", "Сергей", "Дмитрий", "Юрий", "Фёдор", "Иван", "Артём", "Максим", "Егор",
    ]
    private static let women = [
        "Анна", "Мария", "Елена", "Ольга", "Софья", "Наталья", "Ирина", "Татьяна", "Алёна", "Вера",
    ]
    private static let fathers = [
        "Александров", "Сергеев", "Иванов", "Петров", "Михайлов", "Владимиров", "Фёдоров", "Павлов", "Андреев",
        "Борисов",
    ]
    private static let latinBeginnings = [
        "Smi", "Mül", "Gar", "Nov", "O'Con", "Kowal", "Dub", "Berg", "Lind", "Hor", "Jan", "Krü", "Sván", "Tor", "Wal",
    ]
    private static let latinMiddles = ["th", "ler", "cí", "ák", "nor", "sk", "ois", "er", "mann", "váth", "sen", "ger"]
    private static let latinEndings = ["son", "ey", "ová", "mann", "ini", "ez", "sky", "berg", "feld", "ton"]
    private static let latinMen = ["John", "Jürgen", "José", "Tomáš", "Patrick"]
    private static let latinWomen = ["Mary", "Katrin", "Lucía", "Eva", "Zoë"]

    private static func russianName(_ random: inout SplitMix, _ isFemale: Bool) -> String {
        let family = random.pick(beginnings) + random.pick(middles) + random.pick(middles) + random.pick(endings)
        let given = random.pick(isFemale ? women : men)
        return "\(family)\(isFemale ? "а" : "")^\(given)^\(random.pick(fathers))\(isFemale ? "на" : "ич")"
    }

    private static func latinName(_ random: inout SplitMix, _ isFemale: Bool) -> String {
        let family =
            random.pick(latinBeginnings) + random.pick(latinMiddles) + random.pick(latinMiddles)
            + random.pick(latinEndings)
        return "\(family)^\(random.pick(isFemale ? latinWomen : latinMen))"
    }
}
