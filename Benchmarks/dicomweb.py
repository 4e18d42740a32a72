# SPDX-License-Identifier: Apache-2.0
"""DICOMweb beside Orthanc's, and beside a web server that gives the same bytes from files."""
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path

from bench import median, say, size, spread, warm
from querying import STUDY, filled
from servers import Nginx, OrthancWeb, Snimok

SLICES = 400
FRAMES = 2000
CLIENTS = 64
MATCHES = 50
DICOM = 'multipart/related; type="application/dicom"'
# As viewers ask: any syntax, best as stored.
AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
BOUNDARY = "boundary-of-the-benchmark"
# What OHIF's study list asks, configured as Snimok serves it.
LIST = "/dicom-web/studies?limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060"

ROWS = {
    "store": f"STOW-RS, {SLICES} slices in one request", "metadata": "`metadata` of the study, the first ever",
    "metadata again": "`metadata`, repeated", "instances": f"QIDO-RS of its {SLICES} instances",
    "frame": "one native frame, the first time", "frame again": "one native frame, again",
    "rendered": "one frame as JPEG, the first time", "rendered again": "the same frame as JPEG, again",
    "study": "the whole study, the first time", "study again": "the whole study, again", "zip": "the study as ZIP",
    "frames": f"{FRAMES:,} frames in one request", "instance": "the instance that has them"}


def dicomweb(bench):
    return [*one_study(bench), "", *cold(bench), "", *crowd(bench), "", *lists(bench)]


# One study


def one_study(bench):
    """The rows above, each server beginning empty each time."""
    folder = bench.prepare(f"ct-{SLICES}-1", "--instances", SLICES, "--seed", 1)
    frames = bench.prepare(f"frames-{FRAMES}", "--instances", 1, "--rows", 128, "--columns", 128, "--frames", FRAMES)
    bodies = [multipart(bench, folder), multipart(bench, frames)]
    warm(folder)
    copies = bench.work / "copies"
    copies.mkdir(exist_ok=True)
    runs = {}
    makers = [bench.snimok, lambda: OrthancWeb(bench.work / "server"), lambda: Nginx(bench.work / "server", copies)]
    for repetition in range(bench.repetitions):
        # Snimok is the first of all: the files of the web server are its answers.
        for make in bench.rotated(makers, repetition):
            with make() as server:
                for row, seconds in measured(server, bodies, copies, runs).items():
                    runs.setdefault(row, {}).setdefault(server.name, []).append(seconds * 1e3)
                    say(f"{row}, {server.name}: {seconds * 1e3:.2f} ms")
    bench.figures["dicomweb"] = {row: {name: median(taken) for name, taken in by.items()} for row, by in runs.items()}
    return table(runs, folder, frames)


def measured(server, bodies, copies, runs):
    if isinstance(server, Nginx):
        return fetched(server, {row: [(f"/{row.replace(' ', '-')}", "*/*")] for row in ROWS}, {})
    seconds = {"store": store(server, bodies[0])}
    store(server, bodies[1])
    # Nobody opens a study within the second in which it came.
    time.sleep(1)
    addresses = addresses_of(server)
    # Orthanc takes half a minute for the ZIP: once is enough to know.
    leave_out = {"zip"} if server.name in runs.get("zip", {}) and not isinstance(server, Snimok) else set()
    seconds |= fetched(server, addresses, leave_out)
    if isinstance(server, Snimok) and not any(copies.iterdir()):
        for row, asked in addresses.items():
            curl(server, *asked[0], copies / row.replace(" ", "-"))
    return seconds


def multipart(bench, folder):
    """A file with the body of a request that stores a folder's files."""
    body = bench.work / f"{folder.parent.name}.multipart"
    with open(body, "wb") as out:
        for path in sorted(folder.rglob("*.dcm")):
            out.write(f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode())
            out.write(path.read_bytes() + b"\r\n")
        out.write(f"--{BOUNDARY}--\r\n".encode())
    return body


def store(server, body):
    seconds, _ = run_curl(
        server, "/dicom-web/studies", "--request", "POST", "--upload-file", body, "--header", "Expect:", "--header",
        f"Content-Type: {DICOM}; boundary={BOUNDARY}", "--header", "Accept: application/dicom+json", "--output",
        "/dev/null")
    return seconds


def addresses_of(server):
    """What to ask for each row: addresses with what to accept."""
    client = Client(server)
    found = json.loads(client.get("/dicom-web/instances?includefield=NumberOfFrames&limit=1000")[1])
    several = next(row for row in found if value(row, "00280008") == FRAMES)
    slices = [row for row in found if row is not several]
    if len(slices) != SLICES:
        raise SystemExit(f"{server.name} has {len(slices)} slices")
    study, pictures = path(slices[0], 1), [path(row, 3) for row in slices]
    numbers = ",".join(map(str, range(1, FRAMES + 1)))
    return {
        "metadata": [(f"{study}/metadata", "application/dicom+json")],
        "metadata again": [(f"{study}/metadata", "application/dicom+json")],
        "instances": [(f"{study}/instances", "application/dicom+json")],
        "frame": [(f"{picture}/frames/1", AS_STORED) for picture in pictures],
        "frame again": [(f"{picture}/frames/1", AS_STORED) for picture in pictures],
        "rendered": [(f"{picture}/rendered", "image/jpeg") for picture in pictures],
        "rendered again": [(f"{picture}/rendered", "image/jpeg") for picture in pictures],
        "study": [(study, f"{DICOM}; transfer-syntax=*")], "study again": [(study, f"{DICOM}; transfer-syntax=*")],
        "zip": [zip_of(server, client, study)], "frames": [(f"{path(several, 3)}/frames/{numbers}", AS_STORED)],
        "instance": [(path(several, 3), f"{DICOM}; transfer-syntax=*")]}


def zip_of(server, client, study):
    if isinstance(server, Snimok):
        return study, "application/zip"
    # The plugin makes none; Orthanc's own interface does, with a DICOMDIR as Snimok's.
    uid = study.rpartition("/")[2]
    found = json.loads(client.get("/tools/lookup", method="POST", body=uid)[1])
    return f"/studies/{found[0]['ID']}/media", "*/*"


def value(row, tag):
    values = row.get(tag, {}).get("Value", [0])
    return int(values[0])


def path(row, levels):
    uids = [row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    names = ("studies", "series", "instances")
    return "/dicom-web" + "".join(f"/{name}/{uid}" for name, uid in zip(names, uids[:levels]))


def fetched(server, addresses, leave_out):
    """Seconds of each row: the median where there are several addresses or the row is a repetition."""
    client = Client(server)
    seconds = {}
    for row, asked in addresses.items():
        if row in ("study", "study again", "zip", "frames", "instance"):
            if row not in leave_out:
                seconds[row] = curl(server, *asked[0])
        elif row != "store":
            times = 1 if row == "metadata" or len(asked) > 1 else 5
            seconds[row] = median([client.get(*one)[0] for one in asked for _ in range(times)])
    return seconds


def table(runs, folder, frames):
    lines = [
        "## DICOMweb: a study of 400 CT slices", "",
        "One client; small answers over a connection that stays open, into memory that is there already, large ones and "
        "STOW-RS with `curl`. Asked a second after storing. Single "
        f"frames: the median of all {SLICES} slices, one after the other, as one looks through them. The web server gives "
        "Snimok's answers from files: what HTTP alone costs. "
        "Orthanc's plugin makes no ZIP; that row is Orthanc's own interface, which compresses, as Snimok does not.", "",
        "| Work | Server | Milliseconds | MB/s | Snimok ÷ |", "|---|---|---:|---:|---:|"]
    megabytes = {row: size(folder) / 1e6 for row in ("store", "study", "study again", "zip")}
    megabytes |= {row: size(frames) / 1e6 for row in ("frames", "instance")}
    for row, name in ROWS.items():
        for server, taken in runs[row].items():
            rate = f"{megabytes[row] / median(taken) * 1e3:.0f}" if row in megabytes else ""
            lines.append(
                f"| {name} | {server} | {spread(taken, 0 if median(taken) > 100 else 2)} | {rate} "
                f"| {median(taken) / median(runs[row]['Snimok']):.2f} |")
    return lines


# Clients


class Client:
    """A connection that stays open. Answers go into memory that is there already, and little is done with their heads:
    http.client takes 0.3 to 0.5 ms for a frame by itself, as long as a server does."""

    ROOM = 64 << 20

    def __init__(self, server):
        self.name = server.name
        self.host = f"127.0.0.1:{server.http_port}"
        self.connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=600)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.memory = bytearray(self.ROOM)
        self.view = memoryview(self.memory)
        self.end = 0
        self.fields = ""

    def total(self):
        """How many matches the last answer says that there are; 0: it does not say."""
        found = re.search(r"^x-total-count: *(\d+)", self.fields, re.M)
        return int(found[1]) if found else 0

    def get(self, address, accept="application/dicom+json", method="GET", body=""):
        """Seconds to the last byte, and the body."""
        head = f"{method} {address} HTTP/1.1\r\nHost: {self.host}\r\nAccept: {accept}\r\n"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        request = f"{head}\r\n{body}".encode()
        self.end = 0
        start = time.monotonic()
        self.connection.sendall(request)
        body_start = self.through(b"\r\n\r\n", 0)
        self.fields = fields = bytes(self.view[:body_start]).decode("latin-1").lower()
        length = re.search(r"^content-length: *(\d+)", fields, re.M)
        status = int(fields.split()[1])
        if status == 204:
            pieces = []
        elif length:
            self.receive(body_start + int(length[1]))
            pieces = [(body_start, self.end)]
        else:
            pieces = self.chunks(body_start)
        seconds = time.monotonic() - start
        content = b"".join(self.view[first:last] for first, last in pieces)
        if status not in (200, 204):
            raise SystemExit(f"{self.name} answered {address[:200]} with {status}: {content[:300]}")
        return seconds, content

    def receive(self, end):
        """Waits until so much of the answer is there."""
        while self.end < end:
            count = self.connection.recv_into(self.view[self.end:])
            if count == 0:
                raise SystemExit(f"{self.name} closed the connection")
            self.end += count

    def through(self, mark, start):
        """Waits for a mark behind a place, and says where it ends."""
        while (found := self.memory.find(mark, start, self.end)) < 0:
            self.receive(self.end + 1)
        return found + len(mark)

    def chunks(self, start):
        """Where the chunks of a body lie (RFC 9112 section 7.1)."""
        pieces = []
        while True:
            first = self.through(b"\r\n", start)
            size = int(bytes(self.view[start:first]).split(b";")[0], 16)
            self.receive(first + size + 2)
            if size == 0:
                return pieces
            pieces.append((first, first + size))
            start = first + size + 2


def curl(server, address, accept, output="/dev/null"):
    seconds, _ = run_curl(server, address, "--header", f"Accept: {accept}", "--output", output)
    return seconds


def run_curl(server, address, *options):
    """Seconds and bytes that came."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--write-out", "%{http_code} %{time_total} %{size_download}",
         *map(str, options), f"http://127.0.0.1:{server.http_port}{address}"], capture_output=True, text=True)
    status, seconds, count = (done.stdout.split() + ["", "0", "0"])[:3]
    if done.returncode != 0 or status != "200":
        raise SystemExit(f"{server.name} answered {address[:200]} with {status}: {done.stderr}")
    return float(seconds), int(count)


# Cold


def cold(bench):
    """What the first metadata of a study costs when nothing of the archive is in memory."""
    folder = bench.prepare(f"ct-{SLICES}-1", "--instances", SLICES, "--seed", 1)
    data = bench.work / "cold"
    times, device, asked = [], [], []
    for _ in range(min(3, bench.repetitions)):
        shutil.rmtree(data, ignore_errors=True)
        with Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=data) as server:
            store(server, multipart(bench, folder))
            study = addresses_of_study(server)
        forget(data)
        with Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=data) as server:
            before = read_bytes(server)
            times.append(Client(server).get(f"{study}/metadata")[0] * 1e3)
            device.append((read_bytes(server) - before) / 1e6)
        forget(data)
        shutil.rmtree(data / "cache", ignore_errors=True)
        with Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=data) as server:
            asked.append(traced(bench, server, study))
    shutil.rmtree(data)
    calls, kilobytes, largest = zip(*asked)
    lines = [
        "## The first `metadata` of a study from a cold start", "",
        f"The archive stored {SLICES} CT slices, {size(folder) / 1e6:.0f} MB, ended, and its files were dropped from "
        "the page cache; started again, it is asked for the study's metadata. Read from the device is as the system "
        "counts it for the process; asked for is what its `pread64` returned, traced in another start.", "",
        f"- {spread(times, 1)} ms; {spread(device, 2)} MB read from the device",
        f"- {spread(calls, 0)} `pread64` calls that returned {spread(kilobytes, 0)} KB, the largest "
        f"{spread(largest, 0)} KB"]
    say("; ".join(lines[-2:]))
    return lines


def addresses_of_study(server):
    return path(json.loads(Client(server).get("/dicom-web/instances?limit=1")[1])[0], 1)


def forget(data):
    """Drops the files from the page cache; those of SQLite too, which are closed now."""
    os.sync()
    for file in Path(data).rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def read_bytes(server):
    return int(re.search(r"^read_bytes: (\d+)", Path(f"/proc/{server.process.pid}/io").read_text(), re.M)[1])


def traced(bench, server, study):
    """Calls of pread64 during one request, kilobytes they returned, and those of the largest."""
    report = bench.work / "preads"
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-e", "trace=pread64", "-o", str(report), "-p", str(server.process.pid)],
        stderr=subprocess.DEVNULL)
    time.sleep(1)
    Client(server).get(f"{study}/metadata")
    tracer.terminate()
    tracer.wait()
    returned = [int(count) for count in re.findall(r"= (\d+)$", report.read_text(), re.M)]
    report.unlink()
    return len(returned), sum(returned) / 1e3, max(returned, default=0) / 1e3


# Many clients


def crowd(bench):
    """64 clients that each fetch the whole study at the same time."""
    folder = bench.prepare(f"ct-{SLICES}-1", "--instances", SLICES, "--seed", 1)
    least = size(folder)
    lines = [
        f"## {CLIENTS} clients that fetch a whole study at the same time", "",
        f"`curl --parallel`, {SLICES} CT slices each; complete: status 200, the answer's end came, and at least the "
        "study's bytes. Orthanc serves as many at once as its default settings let it.", "",
        "| Server | Seconds | MB/s | Idle, MB | Peak, MB | Complete |", "|---|---:|---:|---:|---:|---:|"]
    body = multipart(bench, folder)
    for make in (bench.snimok, lambda: OrthancWeb(bench.work / "server")):
        taken = []
        for _ in range(min(3, bench.repetitions)):
            with make() as server:
                idle = server.resident()
                store(server, body)
                address = addresses_of_study(server)
                server.forget_peak()
                start = time.monotonic()
                complete = parallel(bench, server, address, least)
                taken.append((time.monotonic() - start, idle / 1e6, server.peak() / 1e6, complete))
                say(f"{CLIENTS} clients, {server.name}: {taken[-1]}")
        seconds, idle, peak, complete = zip(*taken)
        rate = [CLIENTS * least / 1e6 / one for one in seconds]
        lines.append(
            f"| {server.name} | {spread(seconds)} | {spread(rate, 0)} | {spread(idle, 0)} | {spread(peak, 0)} "
            f"| {min(complete)} of {CLIENTS} |")
    return lines


def parallel(bench, server, address, least):
    """How many complete answers came."""
    wanted = bench.work / "wanted"
    one = f'url = "http://127.0.0.1:{server.http_port}{address}"\noutput = "/dev/null"\n'
    wanted.write_text(one * CLIENTS)
    done = subprocess.run(
        ["curl", "--silent", "--parallel", "--parallel-immediate", "--parallel-max", str(CLIENTS), "--config",
         str(wanted), "--header", f"Accept: {DICOM}; transfer-syntax=*", "--write-out",
         "%{http_code} %{exitcode} %{size_download}\n"], capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return sum(status == "200" and code == "0" and int(count) >= least for status, code, count in rows)


# Lists


def lists(bench):
    """The study list of OHIF in archives of several sizes."""
    kinds = list(questions(None, [], 0))
    lines = [
        "## The study list of OHIF", "",
        "QIDO-RS with `limit=101` and the filters that OHIF's list sends, infixes but for dates and modality; one "
        "connection that stays open, at most 500 requests or 20 seconds of each kind; milliseconds, p50 / p99, and how many "
        "studies match in the median, counted up to 10,000, of which 101 come. Studies "
        "have one tiny instance each. How large the archive is tells only where as much matches in each: so days are so "
        f"many, and parts so long, that about {MATCHES} studies match; a common part is five letters of any family name. "
        "Each was asked once before.", "",
        "| Server | Studies | " + " | ".join(kinds) + " |", "|---|---:|" + "---:|" * len(kinds)]
    for studies in bench.studies:
        directory = bench.data / f"archive-{studies}"
        is_kept = filled(bench, directory, studies)
        with Snimok(bench.work / "server", bench.binaries / "snimok", {}, data=directory) as server:
            lines.append(list_row(bench, server, studies))
        if not is_kept:
            shutil.rmtree(directory)
    if bench.scale == 1:
        with OrthancWeb(bench.work / "server") as server:
            bench.load(server, "--associations", 4, "--studies", bench.studies[0], *STUDY)
            lines.append(list_row(bench, server, bench.studies[0]))
    return lines


def list_row(bench, server, studies):
    client = Client(server)
    cells = []
    for kind, addresses in questions(client, examples(client, studies), studies).items():
        times, totals, missed = [], [], 0
        # To find how long parts must be, these were asked before; so are all others.
        for address in addresses:
            client.get(address)
        until = time.monotonic() + 20
        while len(times) < 500 and (time.monotonic() < until or len(times) < 5):
            seconds, text = client.get(addresses[len(times) % len(addresses)])
            times.append(seconds * 1e3)
            totals.append(client.total())
            # Each example is in the archive: who finds none is fast for nothing.
            missed += len(text) < 10
        times.sort()
        p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
        matches = f" ({round(median(totals)):,})" if max(totals) else ""
        nothing = f" ({missed} of {len(times)} found nothing)" if missed else ""
        cells.append(f"{median(times):.2f} / {p99:.2f}{matches}{nothing}")
        bench.figures.setdefault("list", {}).setdefault(kind, {})[f"{server.name} {studies}"] = p99
        say(f"{server.name}, {studies} studies, {kind}: {cells[-1]} ms of {len(times)}")
    return f"| {server.name} | {studies:,} | " + " | ".join(cells) + " |"


def examples(client, studies):
    """Some studies of the archive, from all over it."""
    rows = []
    for offset in range(0, studies, max(1, studies // 20)):
        text = client.get(f"/dicom-web/studies?limit=10&offset={offset}")[1]
        rows += json.loads(text) if text else []
    return rows


def questions(client, rows, studies):
    """Addresses by kind, one for each example."""
    def asked(**filters):
        # The asterisks as they are: so OHIF sends them, and Orthanc would not take them for any letters otherwise.
        pairs = [f"&{name.lstrip('_')}={urllib.parse.quote(text, safe='*')}" for name, text in filters.items()]
        return LIST + "".join(pairs)

    def first(row, tag):
        found = row.get(tag, {}).get("Value", [""])[0]
        return found.get("Alphabetic", "") if isinstance(found, dict) else found

    def part(name, text):
        """As much of a text, from its second letter on, as about MATCHES studies have; for who does not say, a half."""
        for end in range(min(4, len(text)), len(text) + 1):
            address = asked(**{name: f"*{text[1:end]}*"})
            client.get(address)
            if not client.total() and end >= 1 + len(text) // 2 or 0 < client.total() <= 1.5 * MATCHES:
                break
        return address

    days = max(1, round(MATCHES * 100 * 2016 / max(1, studies)))
    ids = [first(row, "00100020") for row in rows]
    names = [first(row, "00100010") for row in rows]
    family = [name.partition("^")[0] for name in names]
    return {
        "no filter": [LIST] * max(1, len(rows)),
        "page 10": [LIST.replace("offset=0", "offset=909")] * max(1, len(rows)),
        "patient id": [asked(_00100020=f"*{text}*") for text in ids],
        "part of a patient id": [part("_00100020", text) for text in ids],
        "name": [asked(PatientName=f"*{text}*") for text in names],
        "part of a name": [part("PatientName", text) for text in names],
        "common part of a name": [asked(PatientName=f"*{text[1:6].lower()}*") for text in family],
        "accession number": [asked(AccessionNumber=f"*{first(row, '00080050')}*") for row in rows],
        "days and modality": [
            asked(StudyDate=between(first(row, "00080020"), days), ModalitiesInStudy="PT") for row in rows]}


def between(date, days):
    """So many days from a date on, of 28 to a month as the synthetic studies have them."""
    if days == 1 or not date:
        return f"{date}-{date}"
    number = (int(date[:4]) - 2020) * 336 + (int(date[4:6]) - 1) * 28 + int(date[6:]) - 1
    start = max(0, min(number, 6 * 336 - days))
    first, last = (f"{2020 + day // 336}{day % 336 // 28 + 1:02}{day % 28 + 1:02}" for day in (start, start + days - 1))
    return f"{first}-{last}"
