"""The server under test as a process: start, stop, kill, its command line, its resources."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SNIMOK_BINARY", ROOT / ".build" / "release" / "snimok"))
READY = re.compile(r"ready dicom=(?:off|\S+:(?P<dicom_port>\d+)) http=\S+:(?P<http_port>\d+)(?: dicom-tls=\S+:(?P<tls_port>\d+))?")

# Exit codes, as documented.
USAGE, DAMAGED, CONFIGURATION, INPUT_MISSING, SOME_REFUSED = 2, 3, 65, 66, 69
DIRECTORY_UNUSABLE, INPUT_OUTPUT, DIRECTORY_IN_USE, DIRECTORY_NEWER = 73, 74, 75, 76


def configuration(**sections):
    """A configuration for tests: anybody may call, little free space is enough. `sections` are merged into it."""
    merged = {
        "aeTitle": "SNIMOK",
        "dicom": {"bind": "127.0.0.1", "acceptUnknownCallingAETitles": True},
        "http": {"bind": "127.0.0.1"},
        "storage": {"freeSpaceFloorMiB": 16},
    }
    for name, value in sections.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = {**merged[name], **value}
        else:
            merged[name] = value
    return merged


def command(*arguments, check=None, timeout=300, environment=None):
    """Runs `snimok ARGUMENTS`. `check` is the exit code that must come back, if any."""
    done = subprocess.run(
        [str(BINARY), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", timeout=timeout, env={**os.environ, **(environment or {})})
    if check is not None:
        assert done.returncode == check, (
            f"snimok {' '.join(map(str, arguments))} ended with {done.returncode}, not {check}:\n"
            f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


class Archive:
    """One data directory and the server process on it, which may be stopped and started several times."""

    def __init__(self, directory, config=None, wrapper=(), dicom_port=0, http_port=0):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.config_file = self.directory / "snimok.json5"
        self.wrapper = list(wrapper)
        self.dicom_port, self.http_port, self.tls_port = dicom_port, http_port, 0
        self.process = None
        self.log = []
        self.seconds_to_ready = None
        self.write_config(config if config is not None else configuration())

    # Life cycle

    def write_config(self, config):
        self.config = config
        self.config_file.write_text(json.dumps(config, indent=2, ensure_ascii=False))

    def arguments(self):
        return ["serve", "--config", self.config_file, "--data", self.data,
                "--dicom-port", self.dicom_port, "--http-port", self.http_port]

    def launch(self):
        """Starts the process without waiting until it is ready."""
        assert self.process is None, "the server is running already"
        self.log = []
        self.ready = threading.Event()
        self.launched = time.monotonic()
        self.process = subprocess.Popen(
            [*self.wrapper, str(BINARY), *map(str, self.arguments())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
        self.reader.start()

    def start(self, timeout=60):
        self.launch()
        deadline = time.monotonic() + timeout
        while not self.ready.wait(0.05):
            if self.process.poll() is not None:
                self.reader.join(5)
                code, self.process = self.process.returncode, None
                raise AssertionError(f"the server ended with {code} before it was ready:\n" + self.log_text())
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the server was not ready after {timeout} s:\n" + self.log_text())
        self.idle = self.resources()
        return self

    def _read_log(self, process):
        for line in process.stderr:
            text = line.decode("utf-8", "replace").rstrip("\n")
            self.log.append(text)
            found = READY.search(text)
            if found and not self.ready.is_set():
                self.seconds_to_ready = time.monotonic() - self.launched
                self.dicom_port, self.http_port = int(found["dicom_port"] or 0), int(found["http_port"])
                self.tls_port = int(found["tls_port"] or 0)
                self.ready.set()
        process.stderr.close()

    def stop(self, expected=0, timeout=60):
        """Asks the server to end (SIGTERM) and checks that it does so well."""
        os.kill(self.server_pid(), signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server had not ended {timeout} s after SIGTERM:\n" + self.log_text()) from None
        self.reader.join(10)
        self.process = None
        assert code == expected, f"the server ended with {code}, not {expected}:\n" + self.log_text()

    def kill(self):
        """kill -9."""
        if self.process is None:
            return
        for pid in {self.server_pid(), self.process.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)
        self.reader.join(10)
        self.process = None

    def restart(self):
        """An orderly stop and a new start at the same addresses."""
        self.stop()
        return self.start()

    def server_pid(self):
        """The server's own process, also when it runs below a wrapper such as strace."""
        if not self.wrapper:
            return self.process.pid
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except FileNotFoundError:
            children = []
        return int(children[0]) if children else self.process.pid

    def close(self, check=True):
        """Ends a test: an orderly stop, nothing leaked, nothing half-received left, no damage."""
        if self.process is None:
            return
        if not check:
            self.kill()
            return
        assert self.process.poll() is None, (
            f"the server is gone (code {self.process.returncode}):\n" + self.log_text())
        self.assert_nothing_leaked()
        self.stop()
        assert not self.partial_files(), f"half-received files are left: {self.partial_files()}"

    def log_text(self, lines=60):
        return "\n".join(self.log[-lines:])

    def wait_for_log(self, pattern, timeout=10, since=0):
        """The first log line after `since` lines in which the pattern is found."""
        deadline = time.monotonic() + timeout
        while True:
            for line in self.log[since:]:
                if re.search(pattern, line):
                    return line
            assert time.monotonic() < deadline, f"no log line matches {pattern!r}:\n" + self.log_text()
            time.sleep(0.02)

    # Resources

    def resources(self):
        pid = self.server_pid()
        status = Path(f"/proc/{pid}/status").read_text()
        links = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                links.append(os.readlink(link))
            except OSError:
                pass
        return {
            "resident": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024,
            "peak": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024,
            "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
            "descriptors": len(links),
            "sockets": sum(link.startswith("socket:") for link in links),
        }

    def resident(self):
        return self.resources()["resident"]

    def reset_peak(self):
        """Begins a new measurement of the peak resident set."""
        Path(f"/proc/{self.server_pid()}/clear_refs").write_text("5")

    def peak(self):
        return self.resources()["peak"]

    def assert_nothing_leaked(self, timeout=15):
        """Sockets are back to what they were when the server was ready; idle threads may wait for new work."""
        deadline = time.monotonic() + timeout
        while True:
            now = self.resources()
            # Pooled threads and open segment files may come to stay, and a socket of each codec worker; others may not.
            if (now["sockets"] <= self.idle["sockets"] + self.codec_workers() and now["threads"] <= self.idle["threads"] + 64
                    and now["descriptors"] <= self.idle["descriptors"] + 48):
                return
            assert time.monotonic() < deadline, (
                f"leaked: {self.idle} when ready, {now} now: {self.open_files()}\n" + self.log_text(20))
            time.sleep(0.1)

    def open_files(self):
        """What the server's descriptors are, and how many of each."""
        names = Counter()
        for link in Path(f"/proc/{self.server_pid()}/fd").iterdir():
            with contextlib.suppress(OSError):
                names[os.readlink(link)] += 1
        return dict(names)

    def codec_workers(self):
        """Decoder processes of the server that run."""
        children = set()
        for task in Path(f"/proc/{self.server_pid()}/task").iterdir():
            try:
                children.update((task / "children").read_text().split())
            except OSError:
                pass
        return sum(self._is_worker(child) for child in children)

    @staticmethod
    def _is_worker(pid):
        try:
            return b"codec-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def partial_files(self):
        return sorted(self.data.rglob("*.part"))

    def segments(self):
        return sorted((self.data / "segments").glob("*.seg"))

    def bytes_on_disk(self):
        return sum(path.stat().st_size for folder in ("segments", "large")
                   for path in (self.data / folder).rglob("*") if path.is_file())

    # Command line and HTTP

    def command(self, name, *arguments, check=None, timeout=300, with_config=False):
        config = ["--config", self.config_file] if with_config else []
        return command(name, *arguments, "--data", self.data, *config, check=check, timeout=timeout)

    def stats(self):
        return json.loads(self.command("stats", "--json", check=0).stdout)

    def verify(self, depth="--full", check=0):
        return self.command("verify", depth, check=check)

    def export(self, *selection, out):
        return self.command("export", *selection, "--out", out, check=0)

    def http(self, path):
        """Status and text of a GET."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def delete_catalog(self):
        assert self.process is None
        found = list(self.data.glob("catalog.db*"))
        assert found, "there is no catalog to delete"
        for path in found:
            path.unlink()

    def copy(self, directory):
        """A copy of the (stopped) archive, to damage it."""
        assert self.process is None
        other = Archive(directory, self.config)
        shutil.copytree(self.data, other.data, ignore=shutil.ignore_patterns("*.socket"))
        return other
