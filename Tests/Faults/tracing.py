# SPDX-License-Identifier: Apache-2.0
"""The tests' end of tracer.py: an archive whose system calls can be counted, stopped at, and made to fail."""
import fcntl
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.archive import BINARY, Archive

TRACER = Path(__file__).with_name("tracer.py")


def check_can_trace():
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip(f"tracer.py knows Linux on x86-64 only, not {platform.system()} on {platform.machine()}")


def threads_below(tracer):
    """What the threads of a program below the tracer are at: for the message of a test that hangs."""
    lines = []
    for child in Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split():
        for thread in Path(f"/proc/{child}/task").iterdir():
            try:
                facts = [(thread / name).read_text().strip() for name in ("comm", "wchan", "syscall")]
                lines.append(" ".join([thread.name, *facts, (thread / "stat").read_text().rpartition(")")[2][1]]))
            except OSError:
                pass
    return "\n".join(lines)


class Traced:
    """What a program that runs below tracer.py did since it was armed."""

    def __init__(self, directory):
        self.control, self.report = Path(directory) / "trace.control", Path(directory) / "trace.report"
        for path in (self.control, self.report):
            path.unlink(missing_ok=True)
            os.mkfifo(path)
        # Both ways, so that opening waits for nobody.
        self.out = os.open(self.control, os.O_RDWR)
        self.back = os.open(self.report, os.O_RDWR | os.O_NONBLOCK)
        # The record of thousands of calls comes in one piece, perhaps before anybody reads.
        fcntl.fcntl(self.back, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.rest = b""

    @property
    def wrapper(self):
        return [sys.executable, str(TRACER), str(self.control), str(self.report)]

    @property
    def held(self):
        """The same for a program that begins only when it is armed."""
        return [*self.wrapper[:2], "--held", *self.wrapper[2:]]

    def close(self):
        os.close(self.out)
        os.close(self.back)

    def arm(self, **plan):
        """From here on calls are counted, in order, whatever thread makes them.

        at: number of the call at which the fault happens, from 1; fault: "kill" (before the call), "error" (with the
        error number `code`, the call is not made) or "short" (a write takes a part). calls, under: count these names
        only, and only files below this folder. record: keep names and files of all that are counted."""
        self._tell(do="arm", **plan)
        assert self._answer()["armed"]

    def disarm(self):
        """Ends the count: what was counted, as {"why", "count", "fired", "seen"}. After a kill, that of the kill."""
        self._tell(do="disarm")
        return self._answer()

    def result(self):
        """The same without a word to the tracer, for a program that ends by itself."""
        return self._answer()

    def _tell(self, **order):
        os.write(self.out, json.dumps(order).encode() + b"\n")

    def _answer(self, timeout=60):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError("the tracer does not answer (may this process trace others?)")
            self.rest += os.read(self.back, 1 << 20)
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)


class TracedArchive(Archive):
    """An archive that runs below the tracer until `untraced` is called."""

    def __init__(self, directory, config):
        super().__init__(directory, config)
        self.traced = Traced(directory)
        self.wrapper = self.traced.wrapper

    def untraced(self):
        """From the next start on without the tracer."""
        self.wrapper = []

    def server_pid(self):
        try:
            return super().server_pid()
        except FileNotFoundError:
            # The tracer has ended, and the server before it.
            return self.process.pid

    def run_armed(self, *arguments, timeout=120, **plan):
        """Runs a subcommand without a server, armed from its first call below the data directory on; its exit code (128 +
        9 if it was killed), its output, and what was counted."""
        words = [*self.traced.held, str(BINARY), *map(str, arguments), "--data", str(self.data)]
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            self.traced.arm(after=str(self.data), **plan)
            output, _ = running.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{arguments[0]} has not ended after {timeout} s:\n{threads_below(running.pid)}") from None
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()
        return running.returncode, output.decode("utf-8", "replace"), self.traced.result()


class TracedCase:
    """One scenario: its archive is prepared once and copied for each run."""

    def __init__(self, scenario, directory):
        self.scenario, self.directory = scenario, directory
        self.template, self.prepared = scenario.template(directory / "template")

    def copy(self):
        """The archive of one run, not started yet, and what was promised of it."""
        directory = self.directory / "run"
        shutil.rmtree(directory, ignore_errors=True)
        archive = TracedArchive(directory, self.scenario.configuration())
        shutil.copytree(self.template.data, archive.data, ignore=shutil.ignore_patterns("*.socket"))
        return archive, self.prepared.copy()
