# SPDX-License-Identifier: Apache-2.0
"""How fast a study comes back, to stock tools."""
import shutil
import subprocess
import time

from bench import median, say, spread, timed, tool_environment, warm
from servers import NullProvider, accepts, free_port

SLICES = 400


def retrieve(bench):
    lines = [
        "## Fetching a study of 400 CT slices", "",
        "`getscu`, and `movescu` to `storescp`, as they are and with their Nagle's algorithm off. The null provider sends "
        "messages that were encoded before and lie in memory.", "",
        "| Tool | Server | Seconds | Snimok ÷ |", "|---|---|---:|---:|"]
    folder = bench.prepare(f"ct-{SLICES}-1", "--instances", SLICES, "--seed", 1)
    warm(folder)
    port = free_port()
    makers = [
        lambda: bench.snimok(peers=[
            {"aeTitle": "STORESCP", "addresses": ["127.0.0.1"], "host": "127.0.0.1", "port": port},
            {"aeTitle": "MOVESCU", "addresses": ["127.0.0.1"]}, {"aeTitle": "GETSCU", "addresses": ["127.0.0.1"]},
            {"aeTitle": "STORESCU", "addresses": ["127.0.0.1"]}, {"aeTitle": "FINDSCU", "addresses": ["127.0.0.1"]}]),
        *[lambda make=make: with_destination(make(), port) for make in bench.archives()[1:]],
        lambda: NullProvider(bench.work / "server", bench.binaries / "snimok-limits", folder, port)]
    runs = {}
    for make in makers:
        with make() as server:
            if server.instances() is not None:
                timed([["/usr/bin/storescu", "-aec", server.ae_title, "+sd", "+r", "127.0.0.1", server.dicom_port,
                        folder]], tool_environment(True))
            # The first run of each tool is not counted: it warms the page cache, and the null provider encodes.
            for no_delay in (False, True):
                for tool in (get, move):
                    name = f"`{tool.__name__}scu`{', Nagle off' if no_delay else ''}"
                    # Half a minute each is long enough to know what waits 45 ms an instance.
                    times = [tool(bench, server, port, no_delay) for _ in range(bench.repetitions + 1)][1:] \
                        if not server.is_slow(no_delay) else [tool(bench, server, port, no_delay)]
                    runs.setdefault(name, {})[server.name] = times
                    say(f"{name}, {server.name}: {median(times):.2f} s")
    for name, servers in runs.items():
        for server, times in servers.items():
            lines.append(
                f"| {name} | {server} | {spread(times, 2)} | {median(times) / median(servers['Snimok']):.2f} |")
    return lines


def with_destination(server, port):
    server.destination = port
    return server


def emptied(bench):
    target = bench.work / "fetched"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return target


def query(server):
    return ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={server.some_study()}"]


def get(bench, server, _, no_delay):
    target = emptied(bench)
    seconds = timed(
        [["/usr/bin/getscu", "-S", "-aec", server.ae_title, "-od", target, *query(server), "127.0.0.1",
          server.dicom_port]], tool_environment(no_delay))
    return checked(seconds, target)


def move(bench, server, port, no_delay):
    target = emptied(bench)
    receiver = subprocess.Popen(
        ["/usr/bin/storescp", "-od", str(target), str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=tool_environment(no_delay))
    try:
        deadline = time.monotonic() + 10
        while not accepts(port) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        seconds = timed(
            [["/usr/bin/movescu", "-S", "-aec", server.ae_title, "-aem", "STORESCP", *query(server), "127.0.0.1",
              server.dicom_port]], tool_environment(no_delay))
    finally:
        receiver.terminate()
        receiver.wait()
    return checked(seconds, target)


def checked(seconds, target):
    found = len(list(target.iterdir()))
    if found != SLICES:
        raise SystemExit(f"{found} of {SLICES} slices came")
    return seconds
