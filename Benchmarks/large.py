# SPDX-License-Identifier: Apache-2.0
"""Objects beyond what fits in memory, stored, found and fetched back."""
import subprocess
import time

from bench import say, size, spread
from servers import STUDY_UID


def large(bench):
    """Two objects beyond what fits anywhere, stored, found and fetched back byte for byte."""
    native = max(1, round(4000 * bench.scale))
    encapsulated = max(1, round(8192 * bench.scale))
    objects = [
        ("native multi-frame", [], bench.prepare(
            f"native-{native}", "--instances", 1, "--rows", 500, "--columns", 1000, "--frames", native)),
        ("encapsulated, Extended Offset Table", ["+xr"], bench.prepare(
            f"encapsulated-{encapsulated}", "--instances", 1, "--encapsulated", "--frames", encapsulated))]
    lines = [
        "## Large objects", "",
        "Stored with `snimok-load`, found with `findscu`, fetched with `getscu +B` and compared with what was sent. "
        "Memory: the highest resident set above that of the idle server; at most 64 MB is wanted.", "",
        "| Object | Bytes | Stored, MB/s | Store, MB | Find, MB | Fetched, MB/s | Fetch, MB | The same bytes |",
        "|---|---:|---:|---:|---:|---:|---:|---|"]
    for name, options, folder in objects:
        runs = []
        # Once: what counts here are memory and bytes.
        with bench.snimok() as server:
            runs.append(large_run(bench, server, folder, options))
        say(f"{name}: {runs[-1]}")
        stored, store_mb, find_mb, fetched, fetch_mb, same = zip(*runs)
        lines.append(
            f"| {name} | {size(folder)} | {spread(stored, 0)} | {max(store_mb):.0f} | {max(find_mb):.0f} "
            f"| {spread(fetched, 0)} | {max(fetch_mb):.0f} | {'yes' if all(same) else 'NO'} |")
    return lines


def large_run(bench, server, folder, options):
    idle = server.resident()
    megabytes = size(folder) / 1e6

    def measured(body):
        server.forget_peak()
        start = time.monotonic()
        result = body()
        return result, time.monotonic() - start, (server.peak() - idle) / 1e6

    report, stored, store_mb = measured(lambda: bench.load(server, "--folder", folder, "--associations", 1))
    if report["acknowledged"] != 1:
        raise SystemExit(f"not stored: {report['complaints']}")
    study, _, find_mb = measured(lambda: find_study(server))
    target = bench.work / "fetched-large"
    target.mkdir(exist_ok=True)
    _, fetched, fetch_mb = measured(lambda: subprocess.run(
        ["/usr/bin/getscu", "-S", "+B", *options, "-aec", server.ae_title, "-od", str(target),
         "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "127.0.0.1", str(server.dicom_port)],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    files = list(target.iterdir())
    same = len(files) == 1 and same_data_set(next(folder.rglob("*.dcm")), files[0])
    for path in files:
        path.unlink()
    return megabytes / stored, store_mb, find_mb, megabytes / fetched, fetch_mb, same


def find_study(server):
    studies = server.found(STUDY_UID)
    if len(studies) != 1:
        raise SystemExit(f"C-FIND named {len(studies)} studies, not one")
    return studies[0]


def same_data_set(one, other):
    """Whether two files agree behind their meta groups, which each writer makes its own."""
    with open(one, "rb") as first, open(other, "rb") as second:
        for file in (first, second):
            head = file.read(144)
            file.seek(144 + int.from_bytes(head[140:144], "little"))
        while True:
            left, right = first.read(1 << 20), second.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True
