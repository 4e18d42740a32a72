# SPDX-License-Identifier: Apache-2.0
"""The parts of the benchmark. Each returns lines of Markdown; each run begins with an empty archive."""
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from servers import Orthanc, OrthancNoDelay, Snimok


@dataclass
class Bench:
    """What all parts share."""

    snimok: Path
    loader: Path
    data: Path
    work: Path
    repetitions: int
    slices: list
    scale: float

    def servers(self):
        return [
            lambda: Snimok(self.work / "server", self.snimok), lambda: Orthanc(self.work / "server"),
            lambda: OrthancNoDelay(self.work / "server")]

    def rotated(self, repetition):
        """The servers in another order each time, so that none has always the warmest machine."""
        servers = self.servers()
        first = repetition % len(servers)
        return servers[first:] + servers[:first]

    def prepare(self, name, *options):
        """A folder of synthetic instances, made at the first use and read once, so that all runs read from memory."""
        folder = self.data / name
        if not (folder / "complete").exists():
            say(f"preparing {name}")
            subprocess.run(
                [str(self.loader), "--write", str(folder / "files"), *map(str, options)], check=True,
                stdout=subprocess.DEVNULL)
            (folder / "complete").touch()
        return folder / "files"

    def load(self, server, *options):
        done = subprocess.run(
            [str(self.loader), "--to", f"127.0.0.1:{server.dicom_port}", "--called", server.ae_title, "--json",
             *map(str, options)], stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)


def say(sentence):
    print(f"benchmark: {sentence}", file=sys.stderr, flush=True)


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.dcm"))


def warm(folder):
    for path in folder.rglob("*.dcm"):
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


def spread(values, digits=1):
    """Median, and what it lay between."""
    text = f"{statistics.median(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


# Storing


def store(bench):
    """Stock `storescu` against all servers: rate, and processor time of the server for each gigabyte."""
    lines = [
        "## Storing CT slices with `storescu`", "",
        "512 × 512 pixels of 16 bits; medians, with the lowest and the highest run in brackets. Snimok ÷: the rate of "
        "Snimok divided by that server's.", "",
        "| Associations | Slices | Server | Slices/s | MB/s | Server CPU s/GB | Peak RSS, MB | Snimok ÷ |",
        "|---:|---:|---|---:|---:|---:|---:|---:|"]
    for count in bench.slices:
        for associations in (1, 5):
            lines += store_case(bench, associations, count)
    return lines


def store_case(bench, associations, count):
    each = count // associations
    folders = [bench.prepare(f"ct-{each}-{seed}", "--instances", each, "--seed", seed)
               for seed in range(1, associations + 1)]
    for folder in folders:
        warm(folder)
    gigabytes = sum(map(size, folders)) / 1e9
    runs = {}
    for repetition in range(bench.repetitions):
        for make in bench.rotated(repetition):
            with make() as server:
                run = store_run(server, folders, each * associations)
                say(f"{associations} x {each} slices, {server.name}: {run[0]:.2f} s")
                runs.setdefault(server.name, []).append(run)
    lines = []
    median = {name: statistics.median(run[0] for run in taken) for name, taken in runs.items()}
    for name in (make().name for make in bench.servers()):
        seconds, cpu, peak = zip(*runs[name])
        lines.append(
            f"| {associations} | {each * associations} | {name} "
            f"| {spread([each * associations / s for s in seconds], 0)} "
            f"| {spread([gigabytes * 1e3 / s for s in seconds], 0)} | {spread([c / gigabytes for c in cpu], 2)} "
            f"| {max(peak) / 1e6:.0f} | {median[name] / median['Snimok']:.2f} |")
    return lines


def store_run(server, folders, expected):
    """Seconds, processor seconds and the highest resident set of sending the folders at the same time."""
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    before = server.cpu_seconds()
    start = time.monotonic()
    senders = [subprocess.Popen(
        ["/usr/bin/storescu", "-aec", server.ae_title, "+sd", "+r", "127.0.0.1", str(server.dicom_port),
         str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment) for folder in folders]
    codes = [sender.wait() for sender in senders]
    seconds = time.monotonic() - start
    # What is left to be done after the last answer belongs to the work as well.
    time.sleep(1)
    cpu = server.cpu_seconds() - before
    stored = server.instances()
    if any(codes) or stored != expected:
        raise SystemExit(f"{server.name} has {stored} of {expected} instances; storescu ended with {codes}")
    return seconds, cpu, server.peak()


# Memory


def memory(bench):
    """The resident set while 64 associations store at the same time."""
    instances = max(1, round(20 * bench.scale))
    lines = [
        "## Resident set with 64 associations", "",
        f"`snimok-load`, 64 associations that each store a study of {instances} CT slices at the same time. "
        "Orthanc serves as many at once as its default settings let it.", "",
        "| Server | Idle, MB | Peak, MB | Above idle, MB | Acknowledged | Slices/s | p99, ms |",
        "|---|---:|---:|---:|---:|---:|---:|"]
    runs = {}
    for repetition in range(bench.repetitions):
        for make in bench.rotated(repetition):
            with make() as server:
                idle = server.resident()
                server.forget_peak()
                report = bench.load(server, "--associations", 64, "--studies", 64, "--instances", instances)
                say(f"64 associations, {server.name}: {report['acknowledged']} of {report['instances']} instances")
                runs.setdefault(server.name, []).append((idle / 1e6, server.peak() / 1e6, report))
    for name in (make().name for make in bench.servers()):
        idle, peak, reports = zip(*runs[name])
        lines.append(
            f"| {name} | {spread(idle, 0)} | {spread(peak, 0)} | {spread([p - i for i, p in zip(idle, peak)], 0)} "
            f"| {min(r['acknowledged'] for r in reports)} of {reports[0]['instances']} "
            f"| {spread([r['instancesPerSecond'] for r in reports], 0)} "
            f"| {spread([r['latencyMilliseconds']['p99'] for r in reports], 0)} |")
    return lines


# Large objects


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
        for _ in range(bench.repetitions):
            with bench.servers()[0]() as server:
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
    target = bench.work / "fetched"
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
    done = subprocess.run(
        ["/usr/bin/findscu", "-S", "-aec", server.ae_title, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID",
         "-k", "PatientName", "127.0.0.1", str(server.dicom_port)], capture_output=True, text=True, check=True)
    studies = re.findall(r"\(0020,000d\) UI \[([0-9.]+)", done.stdout + done.stderr)
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
