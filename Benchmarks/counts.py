# SPDX-License-Identifier: Apache-2.0
"""What a stored instance costs in things that can be counted, which no other load on the machine changes. A count above
its threshold in thresholds.json ends the benchmark: either the change that brought it is mended, or the threshold is
raised in the same commit, with the reason."""
import json
import re
import subprocess
import time
from pathlib import Path

from bench import say
from servers import Snimok

THRESHOLDS = Path(__file__).with_name("thresholds.json")
OBJECTS = {"tiny": ["--pixel-bytes", 100], "CT slice": []}
FEW, MANY = 100, 300


class Watched(Snimok):
    """The archive under a tool that counts; it writes its sums when the archive has ended."""

    def __init__(self, bench, tool):
        # Valgrind does not understand Swift's debug information.
        binary = bench.work / "snimok-stripped"
        if not binary.exists():
            subprocess.run(["strip", "-o", str(binary), str(bench.binaries / "snimok")], check=True)
        super().__init__(bench.work / "server", binary, {})
        self.tool = tool
        self.report = bench.work / "counted"

    def launch(self, command, **options):
        super().launch([*self.tool, *command], **options)

    def ended(self):
        self.process.terminate()
        self.process.wait(600)
        # The tracer writes its table when the archive is gone.
        deadline = time.monotonic() + 10
        while self.tool[0] == "strace" and time.monotonic() < deadline:
            if self.report.exists() and "total" in self.report.read_text():
                break
            time.sleep(0.1)
        return self.log_file.read_text(errors="replace") + (
            self.report.read_text(errors="replace") if self.report.exists() else "")


def counts(bench):
    limits = json.loads(THRESHOLDS.read_text())
    lines = ["## Counts for each stored instance", "",
             "One association, no further operations in flight; the difference between "
             f"{MANY} and {FEW} instances, divided. A count above its threshold ends the benchmark.", "",
             "| Instance | What | Count | Threshold |", "|---|---|---:|---:|"]
    above = []
    for name, options in OBJECTS.items():
        for what, count in counted(bench, options).items():
            limit = limits[name][what]
            lines.append(f"| {name} | {what} | {count:,.0f} | {limit:,} |")
            say(f"{name}: {count:,.0f} {what}")
            if count > limit:
                above.append(f"{name}: {count:,.0f} {what}, above {limit:,}")
    if above:
        raise SystemExit("; ".join(above))
    return lines


def counted(bench, options):
    def each(measure):
        return (measure(bench, options, MANY) - measure(bench, options, FEW)) / (MANY - FEW)

    return {"instructions": each(instructions), "allocations": each(allocations), "system calls": each(system_calls)}


def run(bench, tool, options, number):
    with Watched(bench, tool) as server:
        report = bench.load(server, "--associations", 1, "--studies", 1, "--instances", number, *options)
        if report["acknowledged"] != number:
            raise SystemExit(f"not stored: {report['complaints']}")
        return server.ended()


def instructions(bench, options, number):
    text = run(bench, ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], options, number)
    return int(re.search(r"Collected : (\d+)", text)[1])


def allocations(bench, options, number):
    text = run(bench, ["valgrind", "--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"], options, number)
    return int(re.search(r"total heap usage: ([\d,]+) allocs", text)[1].replace(",", ""))


def system_calls(bench, options, number):
    counted_file = bench.work / "counted"
    text = run(bench, ["strace", "-D", "-f", "-c", "-o", str(counted_file)], options, number)
    subprocess.run(["rm", "-f", str(counted_file)], check=True)
    # The last line of the table: seconds, calls and errors of all together; waiting twice a second is among them.
    return int(re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+)", text, re.M)[1])
