// SPDX-License-Identifier: Apache-2.0

/// What each character below U+2000 folds to, prepared once for the process.
struct FoldingTable: Sendable {
    /// Marks a character that leaves nothing behind: accents and vowel points.
    static let nothing: UInt16 = 0xFFFF
    /// Numbers from here on stand for `expansions`; surrogates, so that no character is taken for one.
    private static let firstExpansion: UInt16 = 0xD800

    /// By scalar: the letter itself, `nothing` or the number of an expansion.
    let letters: [UInt16]
    private let expansions: [[UInt32]]

    static let shared = FoldingTable()

    private init() {
        var letters = (UInt32(0)..<0x2000).map(Self.lowercase)
        var expansions: [[UInt32]] = []
        for range in Self.marks {
            for scalar in range { letters[scalar] = Self.nothing }
        }
        for line in Self.bases.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            guard let base = words.first?.unicodeScalars.map(\.value), let members = words.last else { continue }
            let letter: UInt16
            if base.count == 1 {
                letter = UInt16(truncatingIfNeeded: base[0])
            } else {
                letter = Self.firstExpansion + UInt16(truncatingIfNeeded: expansions.count)
                expansions.append(base)
            }
            for member in members.unicodeScalars where member.value < 0x2000 { letters[Int(member.value)] = letter }
        }
        // A capital beyond the lines of `bases` goes by its small letter.
        for scalar in letters.indices where Int(letters[scalar]) < letters.count {
            letters[scalar] = letters[Int(letters[scalar])]
        }
        self.letters = letters
        self.expansions = expansions
    }

    /// The letters a number of `letters` stands for, if it is an expansion.
    func expansion(_ letter: UInt16) -> [UInt32]? {
        let index = Int(letter) - Int(Self.firstExpansion)
        return expansions.indices.contains(index) ? expansions[index] : nil
    }

    private static func lowercase(_ value: UInt32) -> UInt16 {
        let same = UInt16(truncatingIfNeeded: value)
        guard let scalar = Unicode.Scalar(value) else { return same }
        let lower = scalar.properties.lowercaseMapping.unicodeScalars
        guard lower.count == 1, let only = lower.first else { return same }
        return UInt16(exactly: only.value) ?? same
    }

    /// Combining accents, and the vowel points that Hebrew and Arabic are written with or without. The marks of
    /// Indic scripts and Thai are letters of their own and stay.
    private static let marks: [ClosedRange<Int>] = [
        0x0300...0x036F, 0x0483...0x0487, 0x0591...0x05BD, 0x05BF...0x05BF, 0x05C1...0x05C2, 0x05C4...0x05C5,
        0x05C7...0x05C7, 0x0610...0x061A, 0x064B...0x065F, 0x0670...0x0670, 0x1AB0...0x1AFF, 0x1DC0...0x1DFF,
    ]

    /// A base and the letters that fold to it: those with a canonical decomposition, and those that people write in
    /// place of each other without one. й, ї, ў, ѓ and ќ are missing on purpose: they are letters of their own.
    private static let bases = """
        a ÀÁÂÃÄÅàáâãäåĀāĂăĄąǍǎǞǟǠǡǺǻȀȁȂȃȦȧḀḁẠạẢảẤấẦầẨẩẪẫẬậẮắẰằẲẳẴẵẶặ
        ae æÆǽǼǣǢ
        b ḂḃḄḅḆḇƀ
        c ÇçĆćĈĉĊċČčḈḉ
        d ĎďḊḋḌḍḎḏḐḑḒḓđĐðÐ
        dz ǆǅǄǳǲǱ
        e ÈÉÊËèéêëĒēĔĕĖėĘęĚěȄȅȆȇȨȩḔḕḖḗḘḙḚḛḜḝẸẹẺẻẼẽẾếỀềỂểỄễỆệ
        f Ḟḟ
        g ĜĝĞğĠġĢģǦǧǴǵḠḡ
        h ĤĥȞȟḢḣḤḥḦḧḨḩḪḫẖħĦ
        i ÌÍÎÏìíîïĨĩĪīĬĭĮįİǏǐȈȉȊȋḬḭḮḯỈỉỊịı
        ij ĳĲ
        j Ĵĵǰ
        k ĶķǨǩḰḱḲḳḴḵ
        l ĹĺĻļĽľḶḷḸḹḺḻḼḽłŁƚ
        lj ǉǈǇ
        m ḾḿṀṁṂṃ
        n ÑñŃńŅņŇňǸǹṄṅṆṇṈṉṊṋŋŊ
        nj ǌǋǊ
        o ÒÓÔÕÖòóôõöŌōŎŏŐőƠơǑǒǪǫǬǭȌȍȎȏȪȫȬȭȮȯȰȱṌṍṎṏṐṑṒṓỌọỎỏỐốỒồỔổỖỗỘộỚớỜờỞởỠỡỢợøØǿǾ
        oe œŒ
        p ṔṕṖṗ
        r ŔŕŖŗŘřȐȑȒȓṘṙṚṛṜṝṞṟ
        s ŚśŜŝŞşŠšȘșṠṡṢṣṤṥṦṧṨṩẛſ
        ss ßẞ
        t ŢţŤťȚțṪṫṬṭṮṯṰṱẗŧŦ
        th þÞ
        u ÙÚÛÜùúûüŨũŪūŬŭŮůŰűŲųƯưǓǔǕǖǗǘǙǚǛǜȔȕȖȗṲṳṴṵṶṷṸṹṺṻỤụỦủỨứỪừỬửỮữỰự
        v ṼṽṾṿ
        w ŴŵẀẁẂẃẄẅẆẇẈẉẘ
        x ẊẋẌẍ
        y ÝýÿŶŷŸȲȳẎẏẙỲỳỴỵỶỷỸỹ
        z ŹźŻżŽžẐẑẒẓẔẕƶƵ
        ʒ Ǯǯ
        ʹ ʹ
        α ΆάἀἁἂἃἄἅἆἇἈἉἊἋἌἍἎἏὰάᾀᾁᾂᾃᾄᾅᾆᾇᾈᾉᾊᾋᾌᾍᾎᾏᾰᾱᾲᾳᾴᾶᾷᾸᾹᾺΆᾼ
        ε ΈέἐἑἒἓἔἕἘἙἚἛἜἝὲέῈΈ
        η ΉήἠἡἢἣἤἥἦἧἨἩἪἫἬἭἮἯὴήᾐᾑᾒᾓᾔᾕᾖᾗᾘᾙᾚᾛᾜᾝᾞᾟῂῃῄῆῇῊΉῌ
        ι ΊΐΪίϊἰἱἲἳἴἵἶἷἸἹἺἻἼἽἾἿὶίιῐῑῒΐῖῗῘῙῚΊ
        ο ΌόὀὁὂὃὄὅὈὉὊὋὌὍὸόῸΌ
        ρ ῤῥῬ
        σ ς
        υ ΎΫΰϋύὐὑὒὓὔὕὖὗὙὛὝὟὺύῠῡῢΰῦῧῨῩῪΎ
        ω ΏώὠὡὢὣὤὥὦὧὨὩὪὫὬὭὮὯὼώᾠᾡᾢᾣᾤᾥᾦᾧᾨᾩᾪᾫᾬᾭᾮᾯῲῳῴῶῷῺΏῼ
        ϒ ϓϔ
        а ӐӑӒӓ
        е ЀЁѐёӖӗ
        ж ӁӂӜӝ
        з Ӟӟ
        и ЍѝӢӣӤӥ
        о Ӧӧ
        у ӮӯӰӱӲӳ
        ч Ӵӵ
        ы Ӹӹ
        э Ӭӭ
        ѵ Ѷѷ
        ә Ӛӛ
        ө Ӫӫ
        ا آأإ
        و ؤ
        ي ئ
        ہ ۂ
        ے ۓ
        ە ۀ
        """
}
