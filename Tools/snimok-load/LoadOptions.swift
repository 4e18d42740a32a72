// SPDX-License-Identifier: Apache-2.0
import Seeded
import Transport

/// Studies to be made.
struct SyntheticOptions {
    var modality = Modality.all[0]
    /// Every study has another modality, instead.
    var isMixed = false
    var studies = 1
    var instances = 400
    var shape = ImageShape(rows: 512, columns: 512, frames: 1, isEncapsulated: false)
    var seed: UInt64 = 1
    /// As a region sends them, instead of all values at random: see `Region`.
    var isRegional = false
    /// The number of the first study.
    var first = 0

    /// The seed mixed with all that shapes an instance, so that other content never comes under the same UID.
    var identity: UInt64 {
        let code = modality.code.utf8.reduce(0) { $0 << 8 | Int($1) }
        let numbers = [
            isMixed ? 1 : code, instances, shape.rows, shape.columns, shape.frames, shape.isEncapsulated ? 1 : 0,
        ]
        var random = SplitMix(seed: seed, numbers)
        return random.next()
    }
}

/// What the command line asks for.
struct LoadOptions {
    enum Source {
        case folder(String)
        case synthetic(SyntheticOptions)
    }

    enum Destination {
        case archive(Endpoint)
        case folder(String)
        /// A data directory that is filled without a network.
        case data(String)
    }

    struct Mistake: Error, CustomStringConvertible {
        let description: String
    }

    var source = Source.synthetic(SyntheticOptions())
    var destination = Destination.folder("")
    /// nil: in the clear.
    var tls: TLSConnector?
    var called = "SNIMOK"
    var calling = "SNIMOKLOAD"
    var associations = 8
    var window = 1
    var acknowledged: String?
    var isJSON = false
    var find: FindOptions?
    /// Instances a second in all; nil: as fast as they are taken.
    var ratePerSecond: Int?
    /// With `--fill`: by turns the senders of the studies, "organisation-1" and so on; 1: all are of "default".
    var organisations = 1

    static let help = """
        usage: snimok-load (--to HOST:PORT | --write DIR) [OPTIONS]

        Sends studies to an archive by C-STORE and says how fast it took them.

        What:
          --folder DIR         the DICOM files below DIR
          --modality CODE      or synthetic studies: CT (default), MR, CR, DX, MG, PT, US, OT, or MIX
          --studies N          how many (1)
          --instances N        in each study (400)
          --rows N --columns N of 16-bit pixels (512 x 512)
          --pixel-bytes N      pixel data of at least N bytes, instead of rows and columns
          --frames N           in each instance (1); pixel data is never held in memory
          --encapsulated       as RLE Lossless with an Extended Offset Table, which may go beyond 4 GiB
          --seed N             another seed gives other studies, the same seed the same ones (1)
          --regional           day by day, of patients and physicians who come again, from a thousand machines that
                               number on; otherwise all values are at random
          --first N            begin with study N of those of the seed (0)
        Whither:
          --to HOST:PORT       or [ADDRESS]:PORT
          --tls                over TLS; with:
          --tls-authorities F  PEM file with the CA of the archive's certificate
          --tls-certificate F --tls-key F   PEM files of the own certificate
          --called AET         (SNIMOK)
          --calling AET        (SNIMOKLOAD)
          --associations N     at the same time (8); each sends its share, study after study
          --window N           instances without an answer on each association, if the archive agrees (1)
          --write DIR          write DICOM files instead of sending
          --fill DATA          store into a data directory that no server has open, instead of sending
          --organisations N    with --fill: each study is of the next of organisation-1 to organisation-N (1: of default)
        Queries (with --to, for the studies that the same options made):
          --find KIND          ask for studies instead of sending: id, name, infix, short-infix, date, accession, uid,
                               or all those of some days: rows
          --queries N          how many (1000), shared by the associations
          --days N             for date (with modality PT) and rows: of so many days (1)
        Rate:
          --rate N             instances per second, sent when they are due whether the archive keeps up or not;
                               latency counts from when they were due
        Answer:
          --acknowledged FILE  append the UID of each instance as soon as its success is reported
          --json               the report as JSON

        Exit codes: 0 all instances acknowledged, 1 some were not, 2 wrong usage.
        """

    init(_ words: [String]) throws(Mistake) {
        var words = OptionWords(words)
        try readDestination(&words)
        let folder = try words.value("--folder")
        var synthetic = SyntheticOptions()
        let wantsSynthetic = try Self.read(&synthetic, &words)
        guard folder == nil || !wantsSynthetic else {
            throw Mistake(description: "--folder goes with no option of synthetic studies")
        }
        source = folder.map { .folder($0) } ?? .synthetic(synthetic)
        try words.end()
    }

    private mutating func readDestination(_ words: inout OptionWords) throws(Mistake) {
        let files = TLSFiles(
            certificate: try words.value("--tls-certificate") ?? "", key: try words.value("--tls-key") ?? "",
            authorities: try words.value("--tls-authorities") ?? "")
        if words.flag("--tls") {
            do throws(TransportError) { tls = try TLSConnector(files) } catch { throw Mistake(description: "\(error)") }
        }
        called = try words.value("--called") ?? called
        calling = try words.value("--calling") ?? calling
        associations = try words.number("--associations", 1...10_000) ?? associations
        window = try words.number("--window", 1...65_535) ?? window
        acknowledged = try words.value("--acknowledged")
        organisations = try words.number("--organisations", 1...1_000_000) ?? organisations
        isJSON = words.flag("--json")
        ratePerSecond = try words.number("--rate", 1...1_000_000)
        find = try FindOptions(&words)
        let address = try words.value("--to")
        switch (address, try words.value("--write"), try words.value("--fill")) {
        case (let address?, nil, nil): destination = .archive(try Self.endpoint(address))
        case (nil, let folder?, nil): destination = .folder(folder)
        case (nil, nil, let data?): destination = .data(data)
        default: throw Mistake(description: "one of --to, --write and --fill is needed; see --help")
        }
        guard find == nil || address != nil else { throw Mistake(description: "--find wants --to") }
    }

    private static func endpoint(_ text: String) throws(Mistake) -> Endpoint {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw Mistake(description: "--to wants HOST:PORT")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw Mistake(description: "--to wants HOST:PORT") }
        return .tcp(host: String(host), port: port)
    }

    /// - Returns: whether any such option was given.
    private static func read(_ options: inout SyntheticOptions, _ words: inout OptionWords) throws(Mistake) -> Bool {
        let before = words.count
        if let code = try words.value("--modality") {
            options.isMixed = code == "MIX"
            guard
                let modality = Modality.all.first(where: { $0.code == code })
                    ?? (options.isMixed ? Modality.all[0] : nil)
            else { throw Mistake(description: "unknown modality \(code); see --help") }
            options.modality = modality
        }
        options.studies = try words.number("--studies", 1...1_000_000_000) ?? options.studies
        options.instances = try words.number("--instances", 1...10_000_000) ?? options.instances
        options.isRegional = words.flag("--regional")
        options.first = try words.number("--first", 0...1_000_000_000) ?? options.first
        options.seed = UInt64(try words.number("--seed", 0...Int.max) ?? Int(options.seed))
        options.shape = try shape(&words)
        return words.count < before
    }

    private static func shape(_ words: inout OptionWords) throws(Mistake) -> ImageShape {
        var rows = try words.number("--rows", 1...65_535)
        var columns = try words.number("--columns", 1...65_535)
        if let bytes = try words.number("--pixel-bytes", 2...(65_535 * 1024)) {
            guard rows == nil, columns == nil else {
                throw Mistake(description: "--pixel-bytes goes without rows and columns")
            }
            columns = min(512, (bytes + 1) / 2)
            rows = (bytes + columns! * 2 - 1) / (columns! * 2)
        }
        let shape = ImageShape(
            rows: rows ?? 512, columns: columns ?? 512, frames: try words.number("--frames", 1...(1 << 24)) ?? 1,
            isEncapsulated: words.flag("--encapsulated"))
        if let objection = shape.objection { throw Mistake(description: objection) }
        return shape
    }
}
