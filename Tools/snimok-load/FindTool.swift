// SPDX-License-Identifier: Apache-2.0
import DICOM
import DICOMNetwork
import Platform
import Transport

/// Which queries to time.
struct FindOptions {
    enum Kind: String {
        case id, name, infix
        case shortInfix = "short-infix"
        case date, accession, uid, rows
    }

    let kind: Kind
    let queries: Int
    let days: Int

    /// Nil: none are asked for.
    init?(_ words: inout OptionWords) throws(LoadOptions.Mistake) {
        let queries = try words.number("--queries", 1...100_000_000)
        let days = try words.number("--days", 1...100_000)
        guard let text = try words.value("--find") else { return nil }
        guard let kind = Kind(rawValue: text) else {
            throw LoadOptions.Mistake(description: "unknown query \(text); see --help")
        }
        self.kind = kind
        self.queries = queries ?? 1000
        self.days = days ?? 1
    }
}

/// Asks for studies that the same options made, over associations that stay open, and times each answer from the request
/// to its last response.
enum FindTool {
    private static let classUID = "1.2.840.10008.5.1.4.1.2.2.1"

    private struct Tally {
        var nanoseconds: [UInt64] = []
        var rows = 0
        var complaints: [String: Int] = [:]
    }

    static func run(_ find: FindOptions, _ options: LoadOptions) throws -> Int32 {
        guard case .synthetic(let synthetic) = options.source, case .archive(let endpoint) = options.destination else {
            throw LoadOptions.Mistake(description: "--find asks for synthetic studies, with --to")
        }
        let tally = Monitor(Tally())
        let start = Clock.monotonicNanoseconds()
        let threads = try (0..<options.associations).map { index in
            let share = find.queries * (index + 1) / options.associations - find.queries * index / options.associations
            return try SystemThread(name: "association") {
                do { try ask(find, synthetic, endpoint, options, share, seed: index, tally) } catch {
                    tally.withLock { $0.complaints["\(error)", default: 0] += 1 }
                }
            }
        }
        for thread in threads { thread.join() }
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
        let result = tally.withLock { $0 }
        let report = FindReport(
            seconds: seconds, nanoseconds: result.nanoseconds, rows: result.rows, complaints: result.complaints)
        print(options.isJSON ? report.json : report.text)
        return result.complaints.isEmpty && result.nanoseconds.count == find.queries ? 0 : 1
    }

    private static func ask(
        _ find: FindOptions, _ synthetic: SyntheticOptions, _ endpoint: Endpoint, _ options: LoadOptions, _ count: Int,
        seed: Int, _ tally: Monitor<Tally>
    ) throws {
        let request = AssociateRequest(
            calledAETitle: options.called, callingAETitle: options.calling,
            presentationContexts: [
                ProposedPresentationContext(
                    id: 1, abstractSyntax: classUID, transferSyntaxes: [TransferSyntax.explicitVRLittleEndian.uid])
            ],
            userInformation: UserInformation(
                maximumLength: 1 << 20, implementationClassUID: FileMeta.implementationClassUID,
                implementationVersionName: FileMeta.implementationVersionName))
        let association = try Requestor.associate(
            with: endpoint, tls: options.tls, request, limits: TransportLimits())
        var random = SplitMix(seed: 0x51, [seed])
        let sink = ForgettingSink()
        for number in 0..<count {
            let study = SyntheticStudy(synthetic, index: random.below(synthetic.studies))
            let identifier = identifier(find, study.keys)
            let begun = Clock.monotonicNanoseconds()
            let rows = try exchange(association, UInt16(truncatingIfNeeded: number + 1), identifier, sink)
            let took = Clock.monotonicNanoseconds() - begun
            tally.withLock {
                $0.nanoseconds.append(took)
                $0.rows += rows
            }
        }
        try association.release()
    }

    /// - Returns: how many rows came.
    private static func exchange(
        _ association: Association, _ messageID: UInt16, _ identifier: [UInt8], _ sink: ForgettingSink
    ) throws(TransportError) -> Int {
        try identifier.withRawBytes { bytes throws(TransportError) in
            try association.send(
                .cFindRequest(messageID: messageID, sopClassUID: classUID), contextID: 1, dataSet: bytes)
        }
        var rows = 0
        while true {
            guard case .command(let response, let contextID) = try association.nextMessage() else {
                throw .protocolViolation(.unexpectedPDU, "the archive wants to leave")
            }
            if response.hasDataSet { try association.receiveDataSet(contextID: contextID, into: sink) }
            guard let status = response.status, status.isPending else {
                guard response.status == .success else {
                    throw .protocolViolation(.notSpecified, "status \(response.status?.rawValue ?? 0)")
                }
                return rows
            }
            rows += 1
        }
    }

    // MARK: Identifiers

    private static func identifier(_ find: FindOptions, _ keys: SyntheticStudy.Keys) -> [UInt8] {
        var values: [Tag: String] = [:]
        switch find.kind {
        case .id: values[.patientID] = keys.patientID
        case .name: values[.patientName] = prefix(keys.patientName)
        case .infix: values[.patientName] = infix(keys.patientName)
        case .shortInfix: values[.patientName] = "*ъы*"
        case .date:
            values[.studyDate] = range(keys.studyDate, find.days)
            values[.modalitiesInStudy] = "PT"
        case .accession: values[.accessionNumber] = keys.accessionNumber
        case .uid: values[.studyInstanceUID] = keys.studyInstanceUID
        case .rows: values[.studyDate] = range(keys.studyDate, find.days)
        }
        var writer = DataSetWriter(transferSyntax: .explicitVRLittleEndian)
        // What a workstation's list shows, in the order of tags.
        for (tag, vr) in [
            (Tag.specificCharacterSet, VR.cs), (.studyDate, .da), (.studyTime, .tm), (.accessionNumber, .sh),
            (.queryRetrieveLevel, .cs), (.modalitiesInStudy, .cs), (.referringPhysicianName, .pn),
            (.studyDescription, .lo), (.patientName, .pn), (.patientID, .lo), (.patientBirthDate, .da),
            (.patientSex, .cs), (.studyInstanceUID, .ui), (.studyID, .sh), (.numberOfStudyRelatedSeries, .is),
            (.numberOfStudyRelatedInstances, .is),
        ] {
            let fixed: String? =
                switch tag {
                case .specificCharacterSet: "ISO_IR 192"
                case .queryRetrieveLevel: "STUDY"
                default: nil
                }
            writer.append(tag, vr, text: fixed ?? values[tag] ?? "")
        }
        return writer.bytes
    }

    /// Family name and the first letter of the given one.
    private static func prefix(_ name: String) -> String {
        let parts = name.split(separator: "^")
        return "\(parts[0])^\(parts[1].prefix(1))*"
    }

    /// The family name without its first letter, and the first three of the given one: nobody's beginning.
    private static func infix(_ name: String) -> String {
        let parts = name.split(separator: "^")
        return "*\(parts[0].dropFirst())^\(parts[1].prefix(3))*"
    }

    /// So many days, of 28 to a month as the synthetic studies have them.
    private static func range(_ date: String, _ days: Int) -> String {
        guard days > 1 else { return date }
        let first = 20_200_101
        let all = 6 * 12 * 28
        let number = Int(date)!
        let day = (number / 10_000 - 2020) * 336 + (number / 100 % 100 - 1) * 28 + number % 100 - 1
        let start = max(0, min(day, all - days))
        func text(_ day: Int) -> String { String(first + day / 336 * 10_000 + day % 336 / 28 * 100 + day % 28) }
        return "\(text(start))-\(text(start + days - 1))"
    }
}

/// Reads and forgets.
private final class ForgettingSink: DataSetSink {
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    deinit { memory.deallocate() }

    func room() -> UnsafeMutableRawBufferPointer { memory }
    func received(_ count: Int) {}
}
