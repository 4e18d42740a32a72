# SPDX-License-Identifier: Apache-2.0
"""What access, audit and encryption cost: the archive beside itself as it was before it had them."""
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from bench import SLICE_BYTES, median, say
from dicomweb import Client
from servers import PATIENT_ID, STUDY_UID, Snimok

ROOT = Path(__file__).resolve().parents[1]
# The last commit without access rules, organisations and an audit trail; with everything that measures like it otherwise.
BEFORE = "4ed8c1b"
STUDIES, BURSTS, QUERIES = 2_000, 5, 1_000
STUDY = ["--instances", 1, "--pixel-bytes", 100, "--modality", "MIX"]
# Who stores and asks, of an organisation that sees its own.
STATION = "SNIMOKLOAD"
RULES = {
    "organisation": "North", "organisations": [{"name": "North"}, {"name": "South", "sees": ["North"]}],
    "peers": [{"aeTitle": STATION, "addresses": ["127.0.0.0/8"], "organisation": "North"}],
    "dicom": {"acceptUnknownCallingAETitles": False}}
FIGURES = ["ingest", "id", "name", "date", "search"]


def safety(bench):
    """One association's stores, and the latency of queries over connections that stay open."""
    made = {
        "before": (build_before(bench), {}), "audit": (bench.binaries / "snimok", {}),
        "audit and organisations": (bench.binaries / "snimok", RULES)}
    figures = {kind: {} for kind in made}
    with contextlib.ExitStack() as stack:
        # All at once, and asked in turns: what else this machine does meets all alike. Who is not asked does nothing.
        servers = {kind: stack.enter_context(Snimok(bench.work / "server" / kind, binary, configuration))
                   for kind, (binary, configuration) in made.items()}
        for server in servers.values():
            bench.load(server, "--associations", 4, "--studies", STUDIES, *STUDY)
        patients = {kind: server.found(PATIENT_ID, STATION) for kind, server in servers.items()}
        for burst in range(bench.repetitions * BURSTS):
            for question in FIGURES[1:]:
                for kind in bench.rotated(list(servers), burst):
                    keep(figures[kind], question, *asked(bench, servers[kind], question, patients[kind]))
        for repetition in range(bench.repetitions):
            for kind in bench.rotated(list(servers), repetition):
                os.sync()
                stored = bench.load(
                    servers[kind], "--associations", 1, "--studies", 1, "--instances", 400, "--seed", 1000 + repetition)
                keep(figures[kind], "ingest", stored["instancesPerSecond"])
    first, last = list(made)[0], list(made)[-1]
    lines = [
        "## The cost of safety", "",
        f"Against commit {BEFORE}, which has no access rules, organisations or audit trail; all run at once, and are asked in "
        f"turns: {bench.repetitions * BURSTS} bursts of {QUERIES:,} queries of each kind over one association to {STUDIES:,} "
        "studies (and searches by patient id over one HTTP connection); milliseconds, medians of the bursts' p50 / p99. Then "
        f"400 CT slices over one association of our load generator, {bench.repetitions} times.", "",
        "| | ingest, slices/s | C-FIND by id | by beginning of a name | by day and modality | QIDO by id |",
        "|---|---:|---:|---:|---:|---:|"]
    for kind in made:
        lines.append(f"| {kind} | {middle(figures, kind, 'ingest'):.0f} | " + " | ".join(
            f"{middle(figures, kind, name):.3f} / {middle(figures, kind, name + ' p99'):.3f}" for name in FIGURES[1:]) + " |")
        say(lines[-1])
    for kind in list(made)[1:]:
        costs = [middle(figures, first, "ingest") / middle(figures, kind, "ingest")]
        costs += [middle(figures, kind, name) / middle(figures, first, name) for name in FIGURES[1:]]
        lines.append(f"| time of {kind} ÷ before | " + " | ".join(f"{cost:.2f}" for cost in costs) + " |")
        say(lines[-1])
    return lines + ["", *absence(bench), "", *encryption(bench)]


def keep(figures, name, value, p99=None):
    figures.setdefault(name, []).append(value)
    if p99 is not None:
        figures.setdefault(f"{name} p99", []).append(p99)


def middle(figures, kind, name):
    return median(figures[kind][name])


def build_before(bench):
    """The program as it was, built once from this repository's history."""
    folder = ROOT / ".build-benchmarks" / f"before-{BEFORE}"
    binary = folder / ".build" / "release" / "snimok"
    if not binary.exists():
        say(f"building {BEFORE}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        subprocess.run(["git", "-C", str(folder), "checkout", "-q", BEFORE], check=True)
        subprocess.run(["swift", "build", "--package-path", str(folder), "-c", "release", "--product", "snimok"], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return binary


def asked(bench, server, question, patients):
    """The median and the 99th percentile of a burst of queries, in milliseconds."""
    if question == "search":
        client = Client(server)
        times = sorted(client.get(f"/dicom-web/studies?PatientID={patients[number % len(patients)]}")[0] * 1e3
                       for number in range(QUERIES))
        client.connection.close()
        return times[QUERIES // 2], times[QUERIES * 99 // 100]
    found = bench.load(server, "--find", question, "--queries", QUERIES, "--associations", 1, "--studies", STUDIES,
                       "--days", 500, *STUDY)
    if found["queries"] != QUERIES:
        raise SystemExit(found["complaints"])
    return found["latencyMilliseconds"]["p50"], found["latencyMilliseconds"]["p99"]


def absence(bench):
    """How long "nothing" takes for what others have, a study of one instance or of 3,000, and for what nobody has."""
    questions = ["studies?StudyInstanceUID={}", "studies/{}/instances"]
    times = {(question, kind): [] for question in questions for kind in ("one", "many", "nowhere")}
    settings = {**RULES, "organisation": "South", "organisations": [{"name": "North"}, {"name": "South"}]}
    with bench.snimok(**settings) as server:
        bench.load(server, "--associations", 1, "--studies", 1, "--instances", 3000, "--pixel-bytes", 100, "--seed", 77)
        many = server.found(STUDY_UID, STATION)
        bench.load(server, "--associations", 1, "--studies", 1, *STUDY)
        one = [uid for uid in server.found(STUDY_UID, STATION) if uid not in many]
        # What North has sent; South asks.
        client = Client(server)
        for _ in range(1000):
            for question in questions:
                for kind, uid in (("one", one[0]), ("many", many[0]), ("nowhere", one[0][:-1] + "99")):
                    seconds, _ = client.get("/dicom-web/" + question.format(uid))
                    times[question, kind].append(seconds * 1e3)
        client.connection.close()
    lines = ["Nothing to be seen of what others have, and nothing there (medians of 1,000, asked in turns, ms):", "",
             "| Search | nobody has it | others have 1 instance | others have 3,000 |", "|---|---:|---:|---:|"]
    for question in questions:
        cells = [f"{median(times[question, kind]):.3f}" for kind in ("nowhere", "one", "many")]
        lines.append(f"| `{question.format('UID')}` | " + " | ".join(cells) + " |")
    return lines


def encryption(bench):
    """The same ingest in the clear and over TLS 1.3."""
    key, certificate = bench.work / "key.pem", bench.work / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True)
    os.chmod(key, 0o600)
    section = {"tls": {"port": 0, "certificate": str(certificate), "key": str(key), "clients": "none"}}
    rows = {}
    for repetition in range(bench.repetitions):
        for associations in (1, 8):
            for way in bench.rotated(["clear", "TLS"], repetition):
                with bench.snimok(dicom=section) as server:
                    options = ["--associations", associations, "--studies", associations, "--instances", 400]
                    if way == "TLS":
                        server.dicom_port = server.tls_port
                        options += ["--tls", "--tls-authorities", certificate]
                    before = server.cpu_seconds()
                    report = bench.load(server, *options)
                    spent = (server.cpu_seconds() - before) / (associations * 400 * SLICE_BYTES / 1e9)
                    rows.setdefault((associations, way), []).append((report["megabytesPerSecond"], spent))
                    say(f"{associations} association(s), {way}: {report['megabytesPerSecond']:.0f} MB/s")
    lines = ["TLS 1.3 on the same machine, sender included:", "",
             "| Associations | MB/s in the clear | over TLS | ratio | server CPU s/GB in the clear | over TLS |",
             "|---:|---:|---:|---:|---:|---:|"]
    for associations in (1, 8):
        (clear, clear_cpu), (tls, tls_cpu) = (map(median, zip(*rows[associations, way])) for way in ("clear", "TLS"))
        lines.append(
            f"| {associations} | {clear:.0f} | {tls:.0f} | {tls / clear:.2f} | {clear_cpu:.2f} | {tls_cpu:.2f} |")
    return lines
