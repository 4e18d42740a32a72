# SPDX-License-Identifier: Apache-2.0
"""How fast questions are answered, as the archive grows."""
import json
import os
import shutil
import subprocess
import time

from bench import median, say
from servers import Orthanc, Snimok

# Stored into archives of all sizes, to see whether that takes longer in a large one.
ADDED = 50_000
STUDY = ["--instances", 1, "--pixel-bytes", 100, "--modality", "MIX"]
KINDS = {
    "id": "patient id", "name": "beginning of a name", "infix": "infix of a name", "date": "days and modality",
    "accession": "accession number"}


def query(bench):
    """C-FIND at the study level, timed at the client over associations that stay open."""
    lines = [
        "## Queries", "",
        "C-FIND at the study level with 14 return keys, one association that stays open, 2,000 queries of each kind; "
        "milliseconds, p50 / p99. Studies have one tiny instance each, and all their values are at random. Days are so many that "
        "about 50 studies match. Adding: "
        f"how fast {ADDED:,} further studies are stored, by the archive's own ingest without a network, and how much of the rate "
        "of an empty archive that is; at random, and as a region sends them (in an archive of such studies: days, numbers and "
        "UIDs rise, patients and physicians come again).", "",
        "| Studies | " + " | ".join(KINDS.values())
        + " | infix of 2 letters | rows/s of a large answer | start, s | catalog, bytes a study | adding at random, studies/s "
        "| adding as a region, studies/s |",
        "|---:|" + "---:|" * (len(KINDS) + 6)]
    for studies in bench.studies:
        lines.append(at(bench, studies))
    if bench.scale == 1:
        lines += ["", *orthanc(bench)]
    return lines


def at(bench, studies):
    directory = bench.data / f"archive-{studies}"
    is_kept = filled(bench, directory, studies)
    server = Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=directory)
    # The start counts from nothing in memory but what the system keeps of the files.
    start = time.monotonic()
    with server:
        started = server.started - start
        # The first query of a process samples the names; it is one of 2,000.
        cells, days = [], max(1, round(5000 * 2016 / studies))
        for kind in KINDS:
            report = find(bench, server, kind, 2000, studies, days)
            figures = report["latencyMilliseconds"]
            bench.figures.setdefault("query", {}).setdefault(KINDS[kind], {})[studies] = figures["p99"]
            cells.append(f"{figures['p50']:.2f} / {figures['p99']:.2f}")
            say(f"{studies} studies, {kind}: {cells[-1]} ms, {report['rows'] / 2000:.1f} rows")
        short = find(bench, server, "short-infix", 5, studies, 1)["latencyMilliseconds"]["p50"]
        before = server.resident()
        rows = find(bench, server, "rows", 1, studies, 400)
        say(f"large answer: {rows['rows']} rows, {(server.peak() - before) / 1e6:.0f} MB more")
    catalog = os.path.getsize(directory / "catalog.db") / studies
    adding = [added(bench, directory, studies)]
    if not is_kept:
        shutil.rmtree(directory)
    directory = bench.data / f"regional-{studies}"
    is_kept = filled(bench, directory, studies, "--regional")
    adding.append(added(bench, directory, studies, "--regional"))
    if not is_kept:
        shutil.rmtree(directory)
    return (f"| {studies:,} | " + " | ".join(cells)
            + f" | {short:.0f} | {rows['rowsPerSecond']:.0f} | {started:.2f} | {catalog:.0f} "
            + f"| {adding[0]} | {adding[1]} |")


def filled(bench, directory, studies, *kind):
    """Whether it was there before; then it is taken as it is, and kept: ten million studies take an hour."""
    if directory.exists():
        return True
    say(f"filling {studies} studies")
    fill(bench, directory, studies, *kind)
    return False


def fill(bench, directory, studies, *kind):
    """Studies a second."""
    done = subprocess.run(
        [str(bench.binaries / "snimok-load"), "--fill", str(directory), "--studies", str(studies),
         "--json", *map(str, [*STUDY, *kind])], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["instancesPerSecond"]


def added(bench, directory, studies, *kind):
    """By turns into the archive and into an empty one, three times; others each time."""
    rates, empty = [], []
    for turn in range(3):
        # Those of a region go on where the last ones ended.
        others = [*kind, "--first", stored(bench, directory)] if kind else ["--seed", time.time_ns() % 1_000_000_000]
        rates.append(fill(bench, directory, ADDED, *others))
        with_nothing = bench.data / "archive-empty"
        empty.append(fill(bench, with_nothing, ADDED, *others))
        shutil.rmtree(with_nothing)
        say(f"{studies} studies, adding: {rates[-1]:.0f}/s, to an empty archive {empty[-1]:.0f}/s")
    return f"{median(rates):.0f}, {median(rates) / median(empty):.2f}"


def stored(bench, directory):
    """How many studies the archive has."""
    done = subprocess.run(
        [str(bench.binaries / "snimok"), "stats", "--json", "--data", str(directory)], check=True, stdout=subprocess.PIPE,
        text=True)
    return json.loads(done.stdout)["studies"]


def find(bench, server, kind, queries, studies, days):
    report = bench.load(
        server, "--find", kind, "--queries", queries, "--associations", 1, "--studies", studies, "--days", days, *STUDY)
    if report["queries"] != queries:
        raise SystemExit(f"{report['complaints']}")
    return report


def orthanc(bench):
    """Both with the same 50,000 studies, by whole `findscu` processes and over an open association."""
    studies, rows = 50_000, {}
    for make in (bench.snimok, lambda: Orthanc(bench.work / "server")):
        with make() as server:
            say(f"{server.name}: storing {studies} studies")
            bench.load(server, "--associations", 4, "--studies", studies, *STUDY)
            for kind in KINDS:
                open_ms = find(bench, server, kind, 20, studies, 200)["latencyMilliseconds"]["p50"]
                rows.setdefault(kind, {})[server.name] = open_ms
                say(f"{server.name}, {kind}: {open_ms:.1f} ms")
            if isinstance(server, Snimok):
                rows.setdefault("process", {})[server.name] = process(server)
            else:
                rows["process"][server.name] = process(server)
    lines = [
        f"Beside Orthanc with the same {studies:,} studies, p50 in ms over an open association (20 queries each):", "",
        "| Query | Snimok | Orthanc | ratio |", "|---|---:|---:|---:|"]
    for kind, values in rows.items():
        name = KINDS.get(kind, "patient id, a whole `findscu` process")
        lines.append(f"| {name} | {values['Snimok']:.2f} | {values['Orthanc']:.1f} "
                     f"| {values['Orthanc'] / values['Snimok']:.0f} |")
    return lines


def process(server):
    times = []
    for number in range(5):
        start = time.monotonic()
        subprocess.run(
            ["/usr/bin/findscu", "-S", "-aec", server.ae_title, "-k", "QueryRetrieveLevel=STUDY", "-k",
             f"PatientID=P{10_000_000 + number}", "-k", "StudyInstanceUID", "127.0.0.1", str(server.dicom_port)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append((time.monotonic() - start) * 1e3)
    return median(times)
