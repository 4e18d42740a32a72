# SPDX-License-Identifier: Apache-2.0
"""What all parts of the benchmark share: prepared data, the tools, and how figures are written."""
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from servers import NullAcceptor, Orthanc, OrthancNoDelay, Snimok

SLICE_BYTES = 525_000


@dataclass
class Bench:
    binaries: Path
    data: Path
    work: Path
    repetitions: int
    scale: float
    studies: list
    """Figures that the graphs are made of, by part."""
    figures: dict = field(default_factory=dict)

    def snimok(self, **configuration):
        return Snimok(self.work / "server", self.binaries / "snimok", configuration)

    def archives(self):
        """The archive and its peers: how to make each."""
        return [self.snimok, lambda: Orthanc(self.work / "server"), lambda: OrthancNoDelay(self.work / "server")]

    def null_acceptor(self):
        return NullAcceptor(self.work / "server", self.binaries / "snimok-limits")

    def rotated(self, makers, repetition):
        """The servers in another order each time, so that none has always the warmest machine."""
        first = repetition % len(makers)
        return makers[first:] + makers[:first]

    def prepare(self, name, *options):
        """A folder of synthetic instances, made at the first use and read once, so that all runs read from memory."""
        folder = self.data / name
        if not (folder / "complete").exists():
            say(f"preparing {name}")
            subprocess.run(
                [str(self.binaries / "snimok-load"), "--write", str(folder / "files"), *map(str, options)], check=True,
                stdout=subprocess.DEVNULL)
            (folder / "complete").touch()
        return folder / "files"

    def load(self, server, *options):
        """The report of the load generator."""
        done = subprocess.run(
            [str(self.binaries / "snimok-load"), "--to", f"127.0.0.1:{server.dicom_port}", "--called", server.ae_title,
             "--json", *map(str, options)], stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def limit(self, name, **options):
        """The figures of one limit of the machine."""
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        done = subprocess.run(
            [str(self.binaries / "snimok-limits"), name, *words], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout)

    def append(self, size, count, **options):
        """One sequential writer that syncs each time: milliseconds of the median step, and MB/s."""
        figures = self.limit("append", file=self.work / "append", bytes=size, count=count, **options)
        return figures["medianMilliseconds"], figures["megabytesPerSecond"]


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


def median(values):
    return statistics.median(values)


def timed(commands, environment=None):
    """Seconds from the start of all commands to the end of the last; they must succeed."""
    start = time.monotonic()
    running = [subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=environment) for command in commands]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"{commands[0][0]} ended with {codes}")
    return time.monotonic() - start


def tool_environment(no_delay):
    """Nagle's algorithm in DCMTK's tools is on by default; TCP_NODELAY=1 switches it off."""
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    return {**environment, "TCP_NODELAY": "1"} if no_delay else environment
