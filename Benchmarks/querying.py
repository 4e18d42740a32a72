# SPDX-License-Identifier: Apache-2.0
"""How fast questions are answered, as the archive grows."""
import contextlib
import json
import os
import shutil
import subprocess
import time

from bench import median, say
from servers import Orthanc, Snimok

# Stored into archives of all sizes, to see whether that takes longer in a large one.
ADDED = 50_000
# Or so many of them in each study.
IMAGES = 100
# Larger archives are filled as a region sends only; at random ten million studies would take half a day.
LARGEST_AT_RANDOM = 1_000_000
IMAGE = ["--pixel-bytes", 100, "--modality", "MIX"]
STUDY = ["--instances", 1, *IMAGE]
KINDS = {
    "id": "patient id", "name": "beginning of a name", "infix": "infix of a name", "date": "days and modality",
    "accession": "accession number"}


def query(bench):
    """C-FIND at the study level, timed at the client over associations that stay open."""
    lines = [
        "## Queries", "",
        "C-FIND at the study level with 14 return keys, one association that stays open, 2,000 queries of each kind; "
        "milliseconds, p50 / p99. Studies have one tiny instance each, and all their values are at random; of more than "
        f"{LARGEST_AT_RANDOM:,} they are as a region sends them. Days are so many that about 50 studies match. Adding: "
        f"how fast {ADDED:,} further images are stored, by the archive's own ingest without a network, and how much of the rate "
        "of an empty archive that is; at random, and as a region sends them (in an archive of such studies: days, numbers and "
        "UIDs rise, patients and physicians come again), one in a study as all "
        f"that are there, and {IMAGES} in a study.", "",
        "| Studies | " + " | ".join(KINDS.values())
        + " | infix of 2 letters | rows/s of a large answer | start, s | catalog, bytes a study | adding at random, studies/s "
        f"| adding as a region, studies/s | so, of {IMAGES} images each, images/s |",
        "|---:|" + "---:|" * (len(KINDS) + 7)]
    for studies in bench.studies:
        lines.append(at(bench, studies))
    if bench.scale == 1:
        lines += ["", *orthanc(bench)]
    return lines


def at(bench, studies):
    adding = []
    if studies <= LARGEST_AT_RANDOM:
        with archive(bench, studies) as directory:
            asked = ask(bench, directory, studies, max(1, round(5000 * 2016 / studies)))
            adding.append(added(bench, directory, studies))
    with archive(bench, studies, "--regional") as directory:
        if not adding:
            # A region has 5,000 studies a day.
            asked = ask(bench, directory, studies, 1, "--regional")
            adding.append("")
        for images in (1, IMAGES):
            adding.append(added(bench, directory, studies, "--regional", images=images))
    return f"| {studies:,} | {asked} | {' | '.join(adding)} |"


@contextlib.contextmanager
def archive(bench, studies, *kind):
    directory = bench.data / f"{'regional' if kind else 'archive'}-{studies}"
    is_kept = filled(bench, directory, studies, *kind)
    yield directory
    if not is_kept:
        shutil.rmtree(directory)


def ask(bench, directory, studies, days, *kind):
    server = Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=directory)
    # The start counts from nothing in memory but what the system keeps of the files.
    start = time.monotonic()
    with server:
        started = server.started - start
        # The first query of a process samples the names; it is one of 2,000.
        cells = []
        for what in KINDS:
            report = find(bench, server, what, 2000, studies, days, *kind)
            figures = report["latencyMilliseconds"]
            bench.figures.setdefault("query", {}).setdefault(KINDS[what], {})[studies] = figures["p99"]
            cells.append(f"{figures['p50']:.2f} / {figures['p99']:.2f}")
            say(f"{studies} studies, {what}: {cells[-1]} ms, {report['rows'] / 2000:.1f} rows")
        short = find(bench, server, "short-infix", 5, studies, 1, *kind)["latencyMilliseconds"]["p50"]
        before = server.resident()
        rows = find(bench, server, "rows", 1, studies, 400 if days > 1 else 20, *kind)
        say(f"large answer: {rows['rows']} rows, {(server.peak() - before) / 1e6:.0f} MB more")
    catalog = os.path.getsize(directory / "catalog.db") / studies
    return " | ".join(cells) + f" | {short:.0f} | {rows['rowsPerSecond']:.0f} | {started:.2f} | {catalog:.0f}"


def filled(bench, directory, studies, *kind):
    """Whether it was there before; then it is taken as it is, and kept: ten million studies take an hour."""
    if directory.exists():
        return True
    say(f"filling {studies} studies")
    fill(bench, directory, studies, *kind)
    return False


def fill(bench, directory, studies, *kind, images=1):
    """Images a second."""
    done = subprocess.run(
        [str(bench.binaries / "snimok-load"), "--fill", str(directory), "--studies", str(studies),
         "--instances", str(images), "--json", *map(str, [*IMAGE, *kind])], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)["instancesPerSecond"]


def added(bench, directory, studies, *kind, images=1):
    """By turns into the archive and into an empty one, three times; others each time."""
    rates, empty = [], []
    for turn in range(3):
        # Those of a region go on where the last ones ended.
        others = [*kind, "--first", stored(bench, directory)] if kind else ["--seed", time.time_ns() % 1_000_000_000]
        rates.append(fill(bench, directory, ADDED // images, *others, images=images))
        with_nothing = bench.data / "archive-empty"
        empty.append(fill(bench, with_nothing, ADDED // images, *others, images=images))
        shutil.rmtree(with_nothing)
        say(f"{studies} studies, adding {images} in each: {rates[-1]:.0f}/s, to an empty archive {empty[-1]:.0f}/s")
    return f"{median(rates):.0f}, {median(rates) / median(empty):.2f}"


def stored(bench, directory):
    """How many studies the archive has."""
    done = subprocess.run(
        [str(bench.binaries / "snimok"), "stats", "--json", "--data", str(directory)], check=True, stdout=subprocess.PIPE,
        text=True)
    return json.loads(done.stdout)["studies"]


def find(bench, server, what, queries, studies, days, *kind):
    report = bench.load(
        server, "--find", what, "--queries", queries, "--associations", 1, "--studies", studies, "--days", days, *STUDY, *kind)
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
