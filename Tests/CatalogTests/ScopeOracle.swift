// SPDX-License-Identifier: Apache-2.0
@testable import Catalog

/// What an asker must get, computed from the events alone: lists that are looked through from end to end, no counts, no SQL.
struct ScopeOracle {
    struct Version {
        let content: CatalogInstance
        let patient: Int
        /// By the first sighting of this version from each organisation.
        var sources: [String: UInt64]
        /// At which levels the row has the values that this version has.
        let known: Set<CatalogLevel>

        var sender: String { content.source.organisation }
    }

    struct Instance {
        let id: Int
        let study: String
        let series: String
        let uid: String
        let row: CatalogInstance
        var versions: [Version]

        /// Of what is there, who sent the oldest.
        var firstOrganisation: String { versions[0].sender }
    }

    struct Link: Hashable {
        let study: String
        let patient: Int
        let organisation: String
    }

    struct PatientRow {
        let id: Int
        let row: CatalogInstance
        var names: Set<[String]> = []
    }

    struct ParentRow {
        let id: Int
        let row: CatalogInstance
        var patient: Int
    }

    var instances: [Instance] = []
    var patients: [String: PatientRow] = [:]
    var studies: [String: ParentRow] = [:]
    var series: [String: ParentRow] = [:]
    /// Whether the patient's values are known by it.
    var links: [Link: Bool] = [:]
    var requests: Set<[String]> = []
    /// Studies and patients that are named together by something that is there, seen or not.
    private var named: Set<[String]> = []
    private var closed: Set<UInt64> = []
    /// What was deleted, by tombstone: each source goes and comes by itself, whatever becomes of others.
    private var withdrawn: [UInt64: [Source]] = [:]

    private struct Source {
        let instance: Int
        let blob: [UInt8]
        let organisation: String
        let sequence: UInt64
    }
    private var nextID = 1

    // MARK: Events

    mutating func apply(_ event: CatalogEvent) {
        switch event {
        case .instance(let content): add(content)
        case .sighting(let sighting): see(sighting)
        case .tombstone(let tombstone):
            for index in instances.indices {
                let uids = [instances[index].study, instances[index].series, instances[index].uid]
                guard zip(tombstone.uids, uids).allSatisfy({ $0 == nil || $0 == $1 }) else { continue }
                for number in instances[index].versions.indices {
                    let version = instances[index].versions[number]
                    for (organisation, sequence) in version.sources
                    where !tombstone.isOwnOnly || organisation == tombstone.source.organisation {
                        instances[index].versions[number].sources[organisation] = nil
                        withdrawn[tombstone.sequence, default: []].append(
                            Source(
                                instance: instances[index].id, blob: version.content.blobID,
                                organisation: organisation, sequence: sequence))
                    }
                }
            }
        case .undelete(_, let number):
            guard closed.insert(number).inserted else { return }
            for source in withdrawn.removeValue(forKey: number) ?? [] {
                for index in instances.indices where instances[index].id == source.instance {
                    for version in instances[index].versions.indices
                    where instances[index].versions[version].content.blobID == source.blob {
                        let known = instances[index].versions[version].sources[source.organisation]
                        instances[index].versions[version].sources[source.organisation] = known ?? source.sequence
                    }
                }
            }
        case .purge(_, let number):
            guard closed.insert(number).inserted else { return }
            let taken = withdrawn.removeValue(forKey: number) ?? []
            let touched = Set(
                instances.filter { instance in taken.contains { $0.instance == instance.id } }.map(\.study))
            for index in instances.indices {
                let id = instances[index].id
                instances[index].versions.removeAll { version in
                    taken.contains { $0.instance == id && $0.blob == version.content.blobID } && version.sources.isEmpty
                        && !withdrawn.values.joined().contains {
                            $0.instance == id && $0.blob == version.content.blobID
                        }
                }
            }
            instances.removeAll { $0.versions.isEmpty }
            forgetLinks(in: touched)
            forgetPatients(in: touched)
            removeEmpty()
        default: break
        }
    }

    /// Who has nothing in a study any more that says whose it is says it no longer.
    private mutating func forgetLinks(in touched: Set<String>) {
        let before = links.keys.filter { touched.contains($0.study) }
        for link in before { links[link] = nil }
        for instance in instances where touched.contains(instance.study) {
            for version in instance.versions {
                let taken = withdrawn.values.joined().filter {
                    $0.instance == instance.id && $0.blob == version.content.blobID
                }
                for organisation in Set(version.sources.keys).union(taken.map(\.organisation)) {
                    let link = Link(study: instance.study, patient: version.patient, organisation: organisation)
                    links[link] = links[link] == true || version.known.contains(.patient)
                }
            }
        }
        for link in before
        where !links.keys.contains(where: { $0.patient == link.patient && $0.organisation == link.organisation }) {
            for id in patients.keys where patients[id]!.id == link.patient {
                patients[id]!.names = patients[id]!.names.filter { $0[1] != link.organisation }
            }
        }
    }

    private mutating func forgetPatients(in touched: Set<String>) {
        for study in touched {
            let left = instances.filter { $0.study == study }.flatMap(\.versions).sorted {
                $0.content.sequence < $1.content.sequence
            }.map(\.patient)
            guard let oldest = left.first else { continue }
            named = named.filter { $0[0] != study || left.contains(Int($0[1])!) }
            if !left.contains(studies[study]!.patient) { studies[study]!.patient = oldest }
        }
    }

    private mutating func removeEmpty() {
        series = series.filter { key, _ in instances.contains { $0.study + "/" + $0.series == key } }
        studies = studies.filter { key, _ in instances.contains { $0.study == key } }
        requests = requests.filter { series[$0[0]] != nil }
        links = links.filter { studies[$0.key.study] != nil }
        named = named.filter { studies[$0[0]] != nil }
        patients = patients.filter { _, patient in named.contains { $0[1] == "\(patient.id)" } }
    }

    private mutating func add(_ content: CatalogInstance) {
        let organisation = content.source.organisation
        let study = content[.studyInstanceUID]
        let inSeries = study + "/" + content[.seriesInstanceUID]
        var known: Set<CatalogLevel> = []
        func same(_ level: CatalogLevel, _ row: CatalogInstance) -> Bool {
            level.valueColumns.allSatisfy { content.values[$0.rawValue] == row.values[$0.rawValue] }
        }
        var patient = patients[content[.patientID]] ?? PatientRow(id: id(), row: content)
        if same(.patient, patient.row) { known.insert(.patient) }
        patient.names.insert([content.folded[CatalogColumn.patientName.rawValue]!, organisation])
        patients[content[.patientID]] = patient
        let studyRow = studies[study] ?? ParentRow(id: id(), row: content, patient: patient.id)
        studies[study] = studyRow
        if same(.study, studyRow.row) { known.insert(.study) }
        let seriesRow = series[inSeries] ?? ParentRow(id: id(), row: content, patient: 0)
        series[inSeries] = seriesRow
        if same(.series, seriesRow.row) { known.insert(.series) }
        let link = Link(study: study, patient: patient.id, organisation: organisation)
        links[link] = links[link] == true || known.contains(.patient)
        named.insert([study, "\(patient.id)"])
        for request in content.requests { requests.insert([inSeries, organisation, request.requestedProcedureID]) }
        let found = instances.firstIndex {
            $0.study == study && $0.series == content[.seriesInstanceUID] && $0.uid == content[.sopInstanceUID]
        }
        if let found, same(.instance, instances[found].row) { known.insert(.instance) }
        if found == nil { known.insert(.instance) }
        let version = Version(
            content: content, patient: patient.id, sources: [organisation: content.sequence], known: known)
        if let found {
            instances[found].versions.append(version)
        } else {
            instances.append(
                Instance(
                    id: id(), study: study, series: content[.seriesInstanceUID], uid: content[.sopInstanceUID],
                    row: content, versions: [version]))
        }
    }

    private mutating func see(_ sighting: CatalogSighting) {
        let organisation = sighting.source.organisation
        for index in instances.indices {
            guard
                let number = instances[index].versions.firstIndex(where: { $0.content.blobID == sighting.blobID })
            else { continue }
            let version = instances[index].versions[number]
            let own = Link(study: instances[index].study, patient: version.patient, organisation: organisation)
            let known = version.known.contains(.patient)
            links[own] = links[own] == true || known
            if known, let (id, patient) = patients.first(where: { $0.value.id == version.patient }) {
                let name = patient.row.folded[CatalogColumn.patientName.rawValue]!
                patients[id]!.names.insert([name, organisation])
            }
            if instances[index].versions[number].sources[organisation] == nil {
                instances[index].versions[number].sources[organisation] = sighting.sequence
            }
        }
    }

    private mutating func id() -> Int {
        defer { nextID += 1 }
        return nextID
    }

    // MARK: What an asker sees

    struct Expected: Equatable {
        var patient = ""
        var counts: [Int] = []
        var modalities: [String] = []
        var classes: [String] = []
        var representative: [UInt8]?
        /// Each level's values, of those that it may know.
        var values: [[String?]?] = []
    }

    func sees(_ organisation: String, in study: String, _ scope: CatalogScope) -> Bool {
        guard let visible = scope.visible else { return true }
        return visible.contains(organisation)
            || scope.sharedStudies.contains { $0.studyInstanceUID == study && $0.organisation == organisation }
    }

    func isSeen(_ instance: Instance, _ scope: CatalogScope) -> Bool {
        senders(instance).contains { sees($0, in: instance.study, scope) }
    }

    private func senders(_ instance: Instance) -> Set<String> { Set(instance.versions.flatMap { $0.sources.keys }) }

    func seen(_ scope: CatalogScope) -> [Instance] { instances.filter { isSeen($0, scope) } }

    /// Whether somebody who is seen has sent what a row says.
    func isKnown(_ level: CatalogLevel, in instances: [Instance], _ scope: CatalogScope) -> Bool {
        scope.visible == nil
            || instances.contains { instance in
                instance.versions.contains { version in
                    version.known.contains(level)
                        && version.sources.keys.contains { sees($0, in: instance.study, scope) }
                }
            }
    }

    /// The patients that a study is found under; those with something seen behind it.
    func linked(_ study: String, _ scope: CatalogScope) -> [(patient: Int, known: Bool)] {
        var found: [Int: Bool] = [:]
        if scope.visible == nil {
            return named.filter { $0[0] == study }.map { (Int($0[1])!, true) }.sorted { $0.0 < $1.0 }
        }
        for (link, known) in links where link.study == study && sees(link.organisation, in: study, scope) {
            let hasContent = instances.contains {
                $0.study == study && senders($0).contains(link.organisation)
            }
            guard hasContent else { continue }
            found[link.patient] = (found[link.patient] ?? false) || known
        }
        return found.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    func owner(_ study: String, _ scope: CatalogScope) -> Int? {
        let own = studies[study]!.patient
        if scope.visible == nil { return own }
        let all = linked(study, scope).map(\.patient)
        return all.contains(own) ? own : all.first
    }

    func names(of patient: Int, _ scope: CatalogScope) -> [String] {
        let row = patients.values.first { $0.id == patient }!
        return row.names.filter { name in
            guard let visible = scope.visible else { return true }
            return visible.contains(name[1])
                || scope.sharedStudies.contains { share in
                    share.organisation == name[1]
                        && name[0] == row.row.folded[CatalogColumn.patientName.rawValue]
                        && links[Link(study: share.studyInstanceUID, patient: patient, organisation: name[1])] == true
                }
        }.map { $0[0] }
    }

    /// Whether a patient has words that begin so, in names of those whose all is seen: not of who only shares a study.
    func hasWords(_ beginnings: [String], _ patient: Int, _ scope: CatalogScope) -> Bool {
        let names = patients.values.first { $0.id == patient }!.names.filter {
            scope.visible?.contains($0[1]) ?? true
        }
        let words = names.flatMap { NameWords.split($0[0]) }
        return beginnings.allSatisfy { beginning in words.contains { $0.hasPrefix(beginning) } }
    }

    func version(_ instance: Instance, _ scope: CatalogScope) -> [UInt8] {
        var sources: [(organisation: String, sequence: UInt64, blob: [UInt8])] = []
        for version in instance.versions {
            for (organisation, sequence) in version.sources where sees(organisation, in: instance.study, scope) {
                sources.append((organisation, sequence, version.content.blobID))
            }
        }
        let own = sources.filter { $0.organisation == scope.organisation }
        let first = sources.filter { $0.organisation == instance.firstOrganisation }
        let candidates = own.isEmpty ? (first.isEmpty ? sources : first) : own
        return candidates.max { $0.sequence < $1.sequence }!.blob
    }

    func modalities(_ study: String, _ scope: CatalogScope) -> [String] {
        let keys = series.keys.filter { key in
            let inside = instances.filter { $0.study == study && $0.study + "/" + $0.series == key }
            return !inside.filter { isSeen($0, scope) }.isEmpty && isKnown(.series, in: inside, scope)
        }
        return Set(keys.map { series[$0]!.row[.modality] }).sorted()
    }

    func classes(_ study: String, _ scope: CatalogScope) -> [String] {
        let known = instances.filter { $0.study == study && isSeen($0, scope) && isKnown(.instance, in: [$0], scope) }
        return Set(known.map { $0.row[.sopClassUID] }).sorted()
    }

    func studyCounts(_ study: String, _ scope: CatalogScope) -> (series: Int, instances: Int) {
        let seen = seen(scope).filter { $0.study == study }
        return (Set(seen.map(\.series)).count, seen.count)
    }
}
