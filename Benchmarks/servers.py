# SPDX-License-Identifier: Apache-2.0
"""The archives under measurement as processes: each starts empty on a free loopback port and ends without a trace."""
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PATIENT_ID, STUDY_UID, STUDY_INSTANCES = "0010,0020", "0020,000d", "0020,1208"


class Server:
    """An archive with an empty data directory, for one run."""

    name = ""
    ae_title = ""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.process = None
        self.dicom_port = 0
        self.http_port = 0

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.start()
        self.started = time.monotonic()
        # What it does at its own start does not count.
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        # Else the next run would pay for writing this one's pages back.
        os.sync()

    def launch(self, command, **options):
        self.log_file = self.directory / "log"
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    def wait_for(self, what, condition):
        deadline = time.monotonic() + 60
        while not (result := condition()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name} did not start ({what}):\n{self.log_file.read_text(errors='replace')}")
            time.sleep(0.05)
        return result

    def instances(self):
        """How many are stored; None: it stores nothing."""
        return None

    def is_slow(self, no_delay):
        """Whether each instance waits for delayed acknowledgements when it is fetched."""
        return False

    def found(self, tag, calling="FINDSCU"):
        """An attribute of each study that a station finds. `tag` in lower case, as DCMTK writes it."""
        done = subprocess.run(
            ["/usr/bin/findscu", "-S", "-aet", calling, "-aec", self.ae_title, "-k", "QueryRetrieveLevel=STUDY",
             "-k", "StudyInstanceUID", "-k", tag, "127.0.0.1", str(self.dicom_port)],
            capture_output=True, text=True, check=True)
        return re.findall(rf"\({tag}\) .. \[(.*?) *\]", done.stdout + done.stderr)

    def some_study(self):
        """The UID of a study that is there."""
        if not hasattr(self, "_study"):
            self._study = self.found(STUDY_UID)[0]
        return self._study

    def cpu_seconds(self):
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self):
        return self._status("VmRSS")

    def peak(self):
        """The highest resident set since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, key):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1]) * 1024


class Snimok(Server):
    name = "Snimok"
    ae_title = "SNIMOK"

    def __init__(self, directory, binary, configuration, data=None):
        super().__init__(directory)
        self.binary = binary
        self.configuration = configuration
        self.data = data

    def start(self):
        # JSON is JSON5.
        configuration = self.directory / "snimok.json5"
        configuration.write_text(json.dumps(self.configuration))
        self.launch([
            self.binary, "serve", "--config", configuration, "--data", self.data or self.directory / "data",
            "--dicom-port", 0, "--http-port", 0])
        ready = self.wait_for("ready", lambda: re.search(
            r"ready dicom=\S+:(\d+) http=\S+:(\d+)", self.log_file.read_text(errors="replace")))
        self.dicom_port, self.http_port = int(ready[1]), int(ready[2])
        encrypted = re.search(r"dicom-tls=\S+:(\d+)", ready.string)
        self.tls_port = int(encrypted[1]) if encrypted else None

    def instances(self):
        """Instances stored, as C-FIND counts them."""
        return sum(map(int, self.found(STUDY_INSTANCES)))


class Orthanc(Server):
    """Debian's Orthanc as installed: only paths, ports and who may call are set."""

    name = "Orthanc"
    ae_title = "ORTHANC"
    environment = {}
    destination = 0
    settings = {}

    def is_slow(self, no_delay):
        return not no_delay

    def start(self):
        self.dicom_port, self.http_port = free_port(), free_port()
        configuration = self.directory / "orthanc.json"
        configuration.write_text(json.dumps({
            "StorageDirectory": str(self.directory / "data"), "IndexDirectory": str(self.directory / "data"),
            "DicomAet": self.ae_title, "DicomPort": self.dicom_port, "HttpPort": self.http_port,
            "AuthenticationEnabled": False, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
            "DicomModalities": {"storescp": ["STORESCP", "127.0.0.1", self.destination]} if self.destination else {},
            **self.settings}))
        (self.directory / "data").mkdir()
        environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
        program = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.launch([program, configuration], env={**environment, **self.environment})
        self.wait_for("HTTP", lambda: self.statistics() is not None)
        self.wait_for("DICOM", lambda: accepts(self.dicom_port))

    def statistics(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/statistics", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    def instances(self):
        return self.statistics()["CountInstances"]


class OrthancNoDelay(Orthanc):
    """The same without Nagle's algorithm, which DCMTK leaves on unless its environment says otherwise."""

    name = "Orthanc, TCP_NODELAY=1"
    environment = {"TCP_NODELAY": "1"}


class OrthancWeb(Orthanc):
    """With Debian's DICOMweb plugin, as installed."""

    settings = {"Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"]}


class Nginx(Server):
    """Gives files from a folder: what HTTP alone costs here."""

    name = "nginx, files"

    def __init__(self, directory, folder):
        super().__init__(directory)
        self.folder = folder

    def start(self):
        self.http_port = free_port()
        configuration = self.directory / "nginx.conf"
        configuration.write_text(f"""
            daemon off; worker_processes 2; user root; pid {self.directory}/pid; error_log stderr;
            events {{ }}
            http {{
                access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
                server {{ listen 127.0.0.1:{self.http_port}; root {self.folder}; }}
            }}""")
        self.launch(["/usr/sbin/nginx", "-p", self.directory, "-c", configuration])
        self.wait_for("HTTP", lambda: accepts(self.http_port))


class NullAcceptor(Server):
    """Takes data sets off the wire, forgets them and answers."""

    name = "Null acceptor"
    ae_title = "SNIMOK"

    def __init__(self, directory, binary):
        super().__init__(directory)
        self.binary = binary

    def command(self):
        return [self.binary, "null-acceptor"]

    def start(self):
        self.launch(self.command())
        ready = self.wait_for("ready", lambda: re.search(r"ready (\d+)", self.log_file.read_text(errors="replace")))
        self.dicom_port = int(ready[1])


class NullProvider(NullAcceptor):
    """Answers each retrieval with the same files, encoded before."""

    name = "Null provider"

    def __init__(self, directory, binary, folder, destination):
        super().__init__(directory, binary)
        self.folder = folder
        self.destination = destination

    def command(self):
        return [self.binary, "null-provider", "--folder", self.folder, "--destination", f"127.0.0.1:{self.destination}"]

    def some_study(self):
        return "1.2.3"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
