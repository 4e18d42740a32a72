# SPDX-License-Identifier: Apache-2.0
"""Takes each condition that decides what an organisation sees out of the catalog, one at a time, and expects its tests to notice.

    Tests/CatalogTests/mutants.py [--json FILE] [NAME ...]

Only the catalog and what it stands on is built, in a copy under a temporary folder: the tree itself is not touched. First the
copy is tested as it is. Ends with 1 if that fails, or if a mutant survives."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILTER, BUILDER, NAMES, READER, SCOPE, WRITER, VISIBILITY, DELETION = (
    f"Storage/Catalog/{name}.swift"
    for name in ("ScopeFilter", "QueryBuilder", "QueryBuilder+Names", "CatalogReader", "CatalogReader+Scope", "CatalogWriter",
                 "CatalogVisibility", "CatalogReader+Deletion"))

# Name; file; text that stands in it once; what stands there instead.
MUTANTS = [
    # What is found.
    ("rows of the question's own level", BUILDER,
     "all.append(scope.sees(query.level, known: valued.contains(query.level)))", "_ = scope"),
    ("what is known above the level", BUILDER, "all.append(scope.sees(level, known: true))", "_ = level"),
    ("texts are told apart by what is known", BUILDER, "for level in valued { form |= 16 << level.rawValue }", ""),
    ("texts are told apart by their scope", BUILDER, "scope.form << 8 | query.level", "0 << 8 | query.level"),
    ("whose the study is", BUILDER,
     'all.append(scope.link(study: "l.study", patient: "l.patient", known: valued.contains(.patient)))', "_ = scope"),
    ("names that others sent", NAMES,
     'if let scope { inner.add(scope.name()) }\n', "\n"),
    ("words of names that others sent", NAMES, 'if let scope { inner.add(scope.word("w")) }\n', "\n"),
    ("further words of names that others sent", NAMES, 'if let scope { other.add(scope.word("x")) }\n', "\n"),
    ("words of names of who shares a study", NAMES, "if let part, part.decides, !datesLead, scope?.shared.isEmpty ?? true {",
     "if let part, part.decides, !datesLead {"),
    ("another name of who shares a study", FILTER, "|| n.folded || '=') > 0)", "|| n.folded || '=') >= 0)"),
    ("request attributes that others sent", BUILDER,
     'if let scope { inner.add(scope.sees("r.organisation", in: "x.study")) }\n', "\n"),
    ("values of the level that others sent", FILTER,
     'let bit = known ? " AND k.known & \\(level.known.rawValue) <> 0" : ""\n', 'let bit = ""\n'),
    ("values of instances that others sent", FILTER, 'let versions = known ? " JOIN', 'let versions = false ? " JOIN'),
    ("patients' values that others sent", FILTER,
     'let bit = known ? " AND q.known & \\(KnownLevels.patient.rawValue) <> 0" : ""\n', 'let bit = ""\n'),
    ("what is shared is of one organisation", FILTER,
     """(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)))""",
     """(SELECT json_extract(value, '$[0]'), \\(organisation) FROM json_each(?)))"""),
    ("nobody is not all of them together", SCOPE, "visible.isEmpty ? [-1] : visible", "visible.isEmpty ? [0] : visible"),
    ("patients whose studies were deleted", FILTER, "AND \\(seen.sql) AND \\(hasContent))", "AND \\(seen.sql))"),
    # Contents.
    ("contents of studies that others sent, alone", FILTER,
     'sql: "SELECT c.study FROM study_content c WHERE \\(seen.sql) AND c.kind',
     'sql: "SELECT c.study FROM study_content c WHERE (\\(seen.sql) OR 1) AND c.kind'),
    ("contents of studies that others sent, beside", BUILDER, "AND c.kind = \\(kind) AND \\(value.sql)\n                AND \\(seen.sql))",
     "AND c.kind = \\(kind) AND \\(value.sql)\n                AND (\\(seen.sql) OR 1))"),
    ("contents that are told", SCOPE,
     'AND \\(filter.sees("organisation", in: "study").sql) ORDER BY kind, value',
     'AND (\\(filter.sees("organisation", in: "study").sql) OR 1) ORDER BY kind, value'),
    ("contents that are told to who sees one's own", SCOPE, "readContent(study, of: single, into", "readContent(study, of: 0, into"),
    ("modalities that only others know", WRITER, "place.modality, isKnown: known.contains(.series))", "place.modality, isKnown: true)"),
    ("classes that only others know", WRITER, "place.sopClassUID, isKnown: known.contains(.instance))", "place.sopClassUID, isKnown: true)"),
    # Counts.
    ("counts of a study", SCOPE,
     "WHERE e.study = ?\n                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND \\(sent.sql))",
     "WHERE e.study = ?\n                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND (\\(sent.sql) OR 1))"),
    ("an instance of two counts once", SCOPE, "guard senders > 1 else { return total }", "if senders > 0 { return total }"),
    ("counts of a series", SCOPE,
     "WHERE i.series = ?\n                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND \\(sent.sql))",
     "WHERE i.series = ?\n                AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND (\\(sent.sql) OR 1))"),
    ("counts of a patient", SCOPE, "        if query.countsPatients { try countPatient(", "        if query.countsPatients, level > .instance { try countPatient("),
    ("the total of all studies", READER, "case .all where filter != nil:", "case .all where filter != nil && maximum < 0:"),
    ("a page of all studies", READER, "            if let single = filter?.single {\n                return try found(",
     "            if let single = filter?.single, limit < 0 {\n                return try found("),
    ("dates that others sent, when studies are counted", FILTER,
     'if !dates.isEmpty { conditions.append(', 'if dates.count > 9 { conditions.append('),
    ("dates that others sent, when contents are counted", BUILDER,
     "if !dates.isEmpty { conditions.append(scope.dateIsKnown) }", ""),
    ("a walk through what is seen", READER, "let part = try found(sql, builder.values)\n",
     'let part = try found("SELECT id, NULL FROM study LIMIT \\(wanted)", [])\n'),
    # What is told and given.
    ("values that only others sent are told", SCOPE, "if try !isKnown(above, place, filter) { row.hideValues(of: above) }",
     "_ = try isKnown(above, place, filter)"),
    ("a study's values that only others sent are told", SCOPE, "total.isKnown = row.integer(2)", "total.isKnown = 2"),
    ("a patient's values that only others sent are told", SCOPE, "SELECT max(q.known & \\(KnownLevels.patient.rawValue))",
     "SELECT max(\\(KnownLevels.patient.rawValue))"),
    ("whose instance answers for a study", SCOPE, "if first != 0, try isSent(first, study, filter) { return first }\n        return try firstInstance(\"e.study",
     "if first != 0 { return first }\n        return try firstInstance(\"e.study"),
    ("whose instance answers for a series", SCOPE, "if first != 0, try isSent(first, study, filter) { return first }\n        return try firstInstance(\"e.id",
     "if first != 0 { return first }\n        return try firstInstance(\"e.id"),
    ("which version is given", SCOPE, "(SELECT z.version FROM version_source z WHERE z.instance = ? AND \\(seen.sql)",
     "(SELECT z.version FROM version_source z WHERE z.instance = ? AND (\\(seen.sql) OR 1)"),
    ("the asker's own version first", SCOPE, "ORDER BY z.organisation = ? DESC,", "ORDER BY z.organisation = ? + 1000 DESC,"),
    ("which patient a study is told with", SCOPE, "return matched == nil ? try patient(ofStudy: study, own, filter) : nil",
     "return matched == nil ? own : nil"),
    ("which patient a study is said to be of", SCOPE,
     "AND q.patient = ?\n                AND \\(filter.sees(\"q.organisation\", in: \"q.study\").sql) AND",
     "AND q.patient = ?\n                AND (\\(filter.sees(\"q.organisation\", in: \"q.study\").sql) OR 1) AND"),
    ("a patient whom only deleted instances name", SCOPE, ".sql) AND \\(filter.hasContent)\n            \"\"\"\n        }.first([.integer(study), .integer(patient)]",
     ".sql)\n            \"\"\"\n        }.first([.integer(study), .integer(patient)]"),
    ("whose patient known content is", WRITER, "SELECT v.known, e.study, v.patient,",
     "SELECT v.known, e.study, (SELECT patient FROM study WHERE id = e.study),"),
    ("a number that another row has by now", READER, "try !isSeen(match.id, query.level, filter, known: false) { continue }",
     "try !isSeen(match.id, query.level, filter, known: false) {}"),
    ("the date by which others' study is kept", DELETION, "CASE WHEN max(\\(isDateKnown)) THEN", "CASE WHEN 1 THEN"),
    # Deletion of one's own.
    ("only one's own is hidden", VISIBILITY,
     'source += " AND EXISTS (SELECT 1 FROM version_source c WHERE c.instance = i.id AND c.organisation = ?)"',
     'source += " AND 0 < ?"'),
    ("what others have, too, stays", VISIBILITY, "let withdrawn = tombstone.isOwnOnly ? try withdraw(tombstone, organisation) : []",
     "let withdrawn: Set<Int64> = []"),
    ("what was withdrawn comes back", VISIBILITY, "series.formUnion(try giveBack(cause))", "series.formUnion([])"),
    ("names that nobody says any more", VISIBILITY, "try forgetSources(study: id)\n", "\n"),
    ("patients that nothing names any more", VISIBILITY, "patients.formUnion(try forgetPatients(study: id))", ""),
    ("counts of whose study it is then", VISIBILITY, "return gone.union(left)", "return gone"),
    ("whose study it is, when that patient goes", VISIBILITY, "gone.contains(owner) {", "owner < 0 {"),
    ("patients without a study are counted no more", VISIBILITY,
     "counts no more.\n        for id in patients.sorted() { try refresh(patient: id) }", "counts no more."),
    ("patients without a study go", VISIBILITY, "for id in patients.sorted() { try removeIfEmpty(patient: id) }", ""),
]

PACKAGE = """// swift-tools-version: 6.1
import PackageDescription
let package = Package(name: "catalog", targets: [
    .target(name: "CSystem"), .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3"),
    .target(name: "Platform", dependencies: ["CSystem"]),
    .target(name: "Database", dependencies: ["Platform", "CSQLite"], path: "Storage/Database"),
    .target(name: "Catalog", dependencies: ["Platform", "Database"], path: "Storage/Catalog"),
    .testTarget(name: "CatalogTests", dependencies: ["Catalog", "Database", "Platform", "CSQLite"],
        exclude: ["mutants.py"]),
], swiftLanguageModes: [.v6])
"""


def scratch(folder):
    tree = Path(folder)
    tree.mkdir(parents=True, exist_ok=True)
    for name in ("Sources/CSystem", "Sources/CSQLite", "Sources/Platform", "Storage/Database", "Storage/Catalog",
                 "Tests/CatalogTests"):
        shutil.copytree(ROOT / name, tree / name, dirs_exist_ok=True)
    (tree / "Package.swift").write_text(PACKAGE)
    return tree


def test(tree):
    """The first test that failed; None if all passed."""
    common = ["swift", "build", "--build-tests"]
    built = subprocess.run(["nice", "-n", "10", *common], cwd=tree, capture_output=True, text=True)
    if built.returncode != 0:
        raise SystemExit(f"cannot build:\n{built.stdout[-3000:]}{built.stderr[-3000:]}")
    command = ["swift", "test", "--skip-build"]
    done = subprocess.run(["nice", "-n", "10", *command], cwd=tree, capture_output=True, text=True, timeout=1800,
                          env={"SNIMOK_SCOPE_SEEDS": "4", **os.environ})
    if done.returncode == 0:
        return None
    found = re.search(r"(?:Test|Suite) \"([^\"]+)\" recorded", done.stdout + done.stderr)
    where = re.findall(r"↳ (seed .*)", done.stdout + done.stderr)
    name = found[1] if found else f"ended with {done.returncode}"
    return name + (f" ({where[0][:160]})" if where else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--tree", metavar="FOLDER", help="keep the copy here, to build it the next time in less time")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the mutants whose name contains one of these")
    arguments = parser.parse_args()
    for name, file, old, _ in MUTANTS:
        count = (ROOT / file).read_text().count(old)
        if count != 1:
            raise SystemExit(f"mutant {name!r}: its text stands {count} times in {file}, not once")
    chosen = [m for m in MUTANTS if not arguments.names or any(word in m[0] for word in arguments.names)]
    results = []
    with tempfile.TemporaryDirectory(prefix="snimok-mutants-") as folder:
        tree = scratch(arguments.tree or folder)
        failed = test(tree)
        if failed:
            print(f"without a mutant: {failed}", flush=True)
            return 1
        print("without a mutant all tests pass", flush=True)
        for name, file, old, new in chosen:
            path = tree / file
            text = path.read_text()
            path.write_text(text.replace(old, new))
            try:
                caught = test(tree)
            finally:
                path.write_text(text)
            results.append({"name": name, "caught": caught})
            print(f"caught {name} by: {caught}" if caught else f"SURVIVED {name}", flush=True)
    survivors = sum(not result["caught"] for result in results)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"mutants": results}, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(results) - survivors} of {len(results)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
