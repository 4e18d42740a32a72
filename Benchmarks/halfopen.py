# SPDX-License-Identifier: Apache-2.0
"""What ten thousand connections that begin and go no further cost those who work."""
import json
import subprocess
import sys
import time

from bench import median, say, spread

# Bytes that begin a request and leave it unfinished: a PDU's first three (PS3.8 section 9.3.1), a header without its end.
BEGINNINGS = {"DICOM": b"\x01\x00\x00", "HTTP": b"GET /dicom-web/studies HTTP/1.1\r\nHost: half\r\n"}


def halfopen(bench):
    """8 associations store while nobody, or 10,000 half-open connections of one kind, are there."""
    count = round(10_000 * bench.scale)
    # Room for the good ones beside them.
    settings = {"dicom": {"connectionsMaximum": count + 1000}, "http": {"connectionsMaximum": count + 1000}}
    runs = {"none": [], "DICOM": [], "HTTP": []}
    kilobytes = {"DICOM": [], "HTTP": []}
    for repetition in range(bench.repetitions):
        for kind in bench.rotated(list(runs), repetition):
            with bench.snimok(**settings) as server:
                if kind != "none":
                    before = server.resident()
                    holder = hold(server, kind, count)
                    time.sleep(1)
                    kilobytes[kind].append((server.resident() - before) / count / 1000)
                report = bench.load(
                    server, "--associations", 8, "--studies", 16, "--instances", 200, "--seed", repetition)
                if kind != "none":
                    left = still_open(holder)
                    # Else the load was measured beside something else than what the table says.
                    if left < count:
                        raise SystemExit(f"{count - left} of {count} half-open {kind} connections ended during the load")
                if report["acknowledged"] != report["instances"]:
                    raise SystemExit(f"{report['acknowledged']} of {report['instances']} instances acknowledged")
                runs[kind].append(report)
                say(f"half-open {kind}: {report['megabytesPerSecond']:.0f} MB/s")
    lines = [
        "## Half-open connections", "",
        f"8 associations store CT slices while {count:,} connections have sent the beginning of a request and nothing more.", "",
        "| Half-open | MB/s | ÷ none | p99, ms | ÷ none | Resident set, KB a connection |", "|---|---:|---:|---:|---:|---:|"]
    plain = figures(runs["none"])
    for kind, reports in runs.items():
        rates, latencies = figures(reports)
        size = spread(kilobytes[kind], 1) if kind in kilobytes else ""
        lines.append(
            f"| {kind} | {spread(rates, 0)} | {median(rates) / median(plain[0]):.2f} | {spread(latencies, 1)} "
            f"| {median(latencies) / median(plain[1]):.2f} | {size} |")
    return lines


def figures(reports):
    return ([report["megabytesPerSecond"] for report in reports],
            [report["latencyMilliseconds"]["p99"] for report in reports])


def hold(server, kind, count):
    """A process that holds the connections: they count against its descriptors, not against ours."""
    port = server.dicom_port if kind == "DICOM" else server.http_port
    process = subprocess.Popen(
        [sys.executable, __file__, str(port), str(count), kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if json.loads(process.stdout.readline()) != count:
        raise SystemExit(f"only some of {count} {kind} connections could be opened")
    return process


def still_open(process):
    """Ends the process; how many of its connections the archive had not closed."""
    answer, _ = process.communicate("end\n", timeout=60)
    return json.loads(answer)


def main():
    import resource
    import select
    import socket

    port, count, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    held = []
    for number in range(count):
        connection = socket.socket()
        # From many addresses, as from a region: HTTP allows 1,000 connections of one.
        connection.bind((f"127.0.2.{1 + number % 100}", 0))
        connection.connect(("127.0.0.1", port))
        connection.sendall(BEGINNINGS[kind])
        held.append(connection)
    print(len(held), flush=True)
    sys.stdin.readline()
    poll = select.poll()
    for connection in held:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    print(len(held) - len(poll.poll(0)), flush=True)


if __name__ == "__main__":
    main()
