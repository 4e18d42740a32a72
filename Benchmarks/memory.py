# SPDX-License-Identifier: Apache-2.0
"""The resident set: idle, with many associations, and after many of them."""
import resource
import socket
import struct
import time

from bench import say, spread


def memory(bench):
    return [*storing(bench), "", *holding(bench)]


def storing(bench):
    """64 associations that store at the same time."""
    instances = max(1, round(20 * bench.scale))
    lines = [
        "## Resident set with 64 associations", "",
        f"`snimok-load`, 64 associations that each store a study of {instances} CT slices at the same time. "
        "Orthanc serves as many at once as its default settings let it.", "",
        "| Server | Idle, MB | Peak, MB | Acknowledged | Slices/s | p99, ms |", "|---|---:|---:|---:|---:|---:|"]
    runs = {}
    for repetition in range(min(3, bench.repetitions)):
        for make in bench.rotated(bench.archives(), repetition):
            with make() as server:
                idle = server.resident()
                server.forget_peak()
                report = bench.load(server, "--associations", 64, "--studies", 64, "--instances", instances)
                say(f"64 associations, {server.name}: {report['acknowledged']} of {report['instances']} instances")
                runs.setdefault(server.name, []).append((idle / 1e6, server.peak() / 1e6, report))
    for name, taken in runs.items():
        idle, peak, reports = zip(*taken)
        lines.append(
            f"| {name} | {spread(idle, 0)} | {spread(peak, 0)} "
            f"| {min(r['acknowledged'] for r in reports)} of {reports[0]['instances']} "
            f"| {spread([r['instancesPerSecond'] for r in reports], 0)} "
            f"| {spread([r['latencyMilliseconds']['p99'] for r in reports], 0)} |")
    return lines


def holding(bench):
    """Idle associations, and what is left of a hundred thousand that came and went."""
    held, passing = round(2000 * bench.scale), round(100_000 * bench.scale)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(8192, 2 * held), max(8192, 2 * held)))
    with bench.snimok(dicom={"associationsMaximum": 4096, "associationsPerPeerMaximum": 4096}) as server:
        idle = server.resident()
        connections = [associate(server.dicom_port) for _ in range(held)]
        time.sleep(1)
        each = (server.resident() - idle) / held
        for connection in connections:
            connection.close()
        time.sleep(2)
        samples = []
        for _ in range(10):
            for _ in range(passing // 10):
                release(associate(server.dicom_port))
            samples.append(server.resident() / 1e6)
            say(f"associations came and went: {samples[-1]:.1f} MB")
        lines = [
            "## Idle associations", "",
            f"- idle server: {idle / 1e6:.1f} MB; each of {held:,} idle associations: {each / 1e3:.1f} KB",
            f"- after each tenth of {passing:,} associations opened and released, MB: "
            + ", ".join(f"{sample:.1f}" for sample in samples)]
        samples = []
        for number in range(10):
            bench.load(server, "--associations", 8, "--studies", 16, "--instances", 200, "--seed", number)
            samples.append(server.resident() / 1e6)
        lines.append("- after each of ten full loads of 3,200 CT slices, MB: " + ", ".join(f"{s:.1f}" for s in samples))
    return lines


def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate(port):
    """An association for C-ECHO (PS3.8 section 9.3.2), as bytes: no client library holds two thousand."""
    context = item(0x20, bytes([1, 0, 0, 0]) + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2"))
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
    body = (struct.pack(">HH", 1, 0) + b"SNIMOK".ljust(16) + b"BENCHMARK".ljust(16) + bytes(32)
            + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user)
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
    if receive(connection) != 2:
        raise SystemExit("association not accepted")
    return connection


def release(connection):
    connection.sendall(bytes([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]))
    receive(connection)
    connection.close()


def receive(connection):
    """Reads one PDU; its type."""
    def exactly(count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                raise SystemExit("the archive closed an association")
            data += part
        return data

    header = exactly(6)
    exactly(struct.unpack(">I", header[2:])[0])
    return header[0]
