# SPDX-License-Identifier: Apache-2.0
"""The audit trail as a file, and an audit repository that takes it by syslog over TLS."""
import base64
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

SCHEMA = Path(__file__).parent.parent / "audit_message.rng"
# RFC 5424 section 6: PRI, version, time, host, application, process, message id, structured data, and the message.
HEADER = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) "
    rb"(?P<process>[!-~]{1,128}) (?P<id>[!-~]{1,32}) (?:-|\[meta sequenceId=\"(?P<sequence>[1-9]\d*)\"\]) \xef\xbb\xbf(?P<xml>.+)",
    re.DOTALL)


def lines_of(archive):
    """The lines of the trail as bytes, in order."""
    return [line for path in sorted((archive.data / "audit").glob("*.jsonl"))
            for line in path.read_bytes().split(b"\n") if line]


def entries(archive, after=0, event=None, action=None):
    """The entries of the trail."""
    found = [json.loads(line) for line in lines_of(archive)]
    assert [entry["n"] for entry in found] == list(range(1, len(found) + 1))
    return [entry for entry in found if entry["n"] > after and event in (None, entry["event"])
            and (action is None or entry["action"].startswith(action))]


def last_number(archive):
    return len(lines_of(archive))


def only(found):
    assert len(found) == 1, found
    return found[0]


def keys(entry):
    return base64.b64decode(entry["query"]["keys"])


def exported(archive, *options, check=0):
    return archive.command("audit", "export", *options, check=check, with_config=True).stdout.splitlines()


def check_messages(messages, folder):
    """Each of the documents against the schema, all in one run."""
    assert messages
    paths = []
    for number, message in enumerate(messages):
        path = Path(folder) / f"message-{number}.xml"
        path.write_bytes(message if isinstance(message, bytes) else message.encode())
        paths.append(str(path))
    done = subprocess.run(["xmllint", "--noout", "--relaxng", str(SCHEMA), *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return [ElementTree.fromstring(Path(path).read_bytes()) for path in paths]


class Repository:
    """An audit repository: takes syslog over TLS (RFC 5425) and keeps every message. May be closed and opened again."""

    def __init__(self, identity, authority, port=0, clients=True):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.certificate, identity.key)
        if clients:
            self.context.load_verify_locations(authority)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.messages, self.connections, self.refused = [], [], 0
        self.port = port
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Nobody listens any more, and what is connected breaks."""
        if self.listener is None:
            return
        # Closing alone would leave the thread in `accept`, and with it the port, open for one more.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass
        self.connections = []

    def _accept(self, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            try:
                connection = self.context.wrap_socket(raw, server_side=True)
            except (OSError, ssl.SSLError):
                self.refused += 1
                raw.close()
                continue
            self.connections.append(connection)
            threading.Thread(target=self._receive, args=(connection,), daemon=True).start()

    def _receive(self, connection):
        buffer = b""
        try:
            while True:
                data = connection.recv(65536)
                if not data:
                    return
                buffer += data
                while (space := buffer.find(b" ")) > 0:
                    # RFC 5425 section 4.3: the length, a space, so many octets.
                    assert buffer[:space].isdigit() and buffer[:1] != b"0", buffer[:40]
                    length = int(buffer[:space])
                    if len(buffer) < space + 1 + length:
                        break
                    self.messages.append(buffer[space + 1:space + 1 + length])
                    buffer = buffer[space + 1 + length:]
        except OSError:
            pass

    def parsed(self):
        """The messages' heads as dictionaries, with `xml`."""
        found = []
        for message in list(self.messages):
            match = HEADER.fullmatch(message)
            assert match, message[:300]
            found.append(match.groupdict())
        return found

    def numbers(self):
        return [int(message["sequence"]) for message in self.parsed() if message["sequence"]]

    def wait(self, condition, timeout=30):
        deadline = time.monotonic() + timeout
        while not condition(self):
            assert time.monotonic() < deadline, f"{len(self.messages)} messages came, numbers {self.numbers()[-20:]}"
            time.sleep(0.05)
