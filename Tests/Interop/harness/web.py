# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand, DICOMweb's media types, and dicomweb-client on an archive."""
import json
import re
import socket
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import quote, urlsplit

from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_file_meta_info

from harness.archive import Archive, configuration
from harness.samples import ROOT_UID, Instance

ROOT = "/dicom-web"
JSON, XML = "application/dicom+json", "application/dicom+xml"
DICOM, BYTES, ZIP = "application/dicom", "application/octet-stream", "application/zip"
# Attributes that answers of a store and errors have (PS3.18 table 10.5.1-3).
REFERENCED, FAILED, REASON, RETRIEVE_URL = "00081199", "00081198", "00081197", "00081190"
CLASS_UID, INSTANCE_UID = "00081150", "00081155"


# Requests

def related(media_type, **parameters):
    """An Accept or Content-Type value: multipart/related of a type."""
    more = "".join(f"; {name.replace('_', '-')}={value}" for name, value in parameters.items())
    return f'multipart/related; type="{media_type}"{more}'


def path_of(instance, *tail):
    """The address of an instance; with `tail`, of something below it."""
    return "/".join((f"{ROOT}/studies/{instance.study}/series/{instance.series}/instances/{instance.sop_instance}",
                     *map(str, tail)))


def placed(archive, instance):
    """The instance with its hierarchy; where its data set has none, with what the archive gave it."""
    if not (instance.study and instance.series):
        row, = get(archive, "instances" + query(SOPInstanceUID=instance.sop_instance)).rows()
        instance.study, instance.series = value(row, "0020000D"), value(row, "0020000E")
    return instance


def query(*pairs, **more):
    """A query string; values are escaped as UTF-8."""
    listed = [*pairs, *more.items()]
    return "?" + "&".join(f"{quote(name)}={quote(str(value), safe='')}" for name, value in listed) if listed else ""


def connect(archive, timeout=30):
    connection = socket.create_connection(("127.0.0.1", archive.http_port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def head_of(archive, method, target, headers=(), length=None):
    """The head of a request as bytes; `headers` are pairs and go out as they are."""
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: 127.0.0.1:{archive.http_port}")
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def request(archive, method, target, headers=(), body=None, timeout=30):
    """One request over a connection of its own; `headers` as a dictionary or pairs."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    pairs.append(("Connection", "close"))
    with connect(archive, timeout) as connection:
        connection.sendall(head_of(archive, method, target, pairs, None if body is None else len(body)))
        try:
            connection.sendall(body or b"")
        except ConnectionError:
            # An answer may come before the whole body is taken.
            pass
        return read_reply(connection, method)


def get(archive, target, accept=None, method="GET", **headers):
    """GET below the root of DICOMweb, unless `target` begins elsewhere; Range="…", If_None_Match="…" as headers."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if accept is not None:
        pairs.append(("Accept", accept))
    return request(archive, method, target if target.startswith("/") else f"{ROOT}/{target}", pairs)


def send_raw(archive, data, timeout=15, pieces=None, pause=0.0):
    """What the server answers to these bytes; None: it closes the connection without an answer."""
    with connect(archive, timeout) as connection:
        try:
            for piece in pieces or [data]:
                connection.sendall(piece)
                time.sleep(pause)
        except ConnectionError:
            pass
        try:
            return read_reply(connection, data[:8].split(b" ")[0].decode("latin-1"))
        except (ConnectionError, EOFError):
            return None


# Answers

@dataclass
class Part:
    headers: dict
    body: bytes

    @property
    def content_type(self):
        return self.headers.get("content-type", "")


@dataclass
class Reply:
    status: int
    reason: str
    headers: list
    body: bytes

    def __getitem__(self, name):
        """A header's value; several are joined. None: there is none."""
        found = [value for other, value in self.headers if other.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def media(self):
        return (self["Content-Type"] or "").split(";")[0].strip().lower()

    def expect(self, *statuses):
        assert self.status in statuses, f"{self.status} {self.reason}, not {statuses}: {self.body[:500]!r}"
        return self

    def json(self):
        assert self.media in (JSON, "application/json", "application/problem+json"), self["Content-Type"]
        return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)

    def rows(self):
        """The data sets of a search: none for 204."""
        if self.status == 204:
            assert self.body == b"" and self["Content-Type"] is None
            return []
        self.expect(200)
        assert self.media == JSON
        rows = self.json()
        assert isinstance(rows, list) and rows, "an empty list is 204"
        return rows

    def parts(self):
        """The parts of a multipart/related body, read strictly (RFC 2046 section 5.1.1)."""
        self.expect(200)
        assert self.media == "multipart/related", self["Content-Type"]
        boundary = re.search(r'boundary="?([^";]+)"?', self["Content-Type"])[1].encode()
        pieces = (b"\r\n" + self.body).split(b"\r\n--" + boundary)
        assert len(pieces) >= 2 and pieces[-1].startswith(b"--"), "the last boundary is missing"
        assert pieces[0] in (b"", b"\r\n") and pieces[-1] in (b"--", b"--\r\n")
        parts = []
        for piece in pieces[1:-1]:
            head, _, body = piece.partition(b"\r\n\r\n")
            lines = head.decode("ascii").split("\r\n")
            assert lines[0] == "", "a boundary is followed by a line break"
            headers = {name.strip().lower(): value.strip() for name, _, value in
                       (line.partition(":") for line in lines[1:])}
            if "content-length" in headers:
                assert int(headers["content-length"]) == len(body)
            parts.append(Part(headers, body))
        return parts

    def part(self):
        parts = self.parts()
        assert len(parts) == 1, f"{len(parts)} parts instead of one"
        return parts[0]

    def problem(self, *statuses):
        """Checks that this is an error with a sentence for the person who reads it; the sentence."""
        self.expect(*statuses)
        assert self.media == "application/problem+json", f"{self['Content-Type']}: {self.body[:300]!r}"
        assert self["X-Content-Type-Options"] == "nosniff"
        problem = self.json()
        assert problem["status"] == self.status and problem["type"] == "about:blank" and problem["title"]
        assert re.search(r"\w+ .*\w+", problem["detail"]), f"no sentence: {problem['detail']!r}"
        return problem["detail"]


def _no_constant(name):
    raise AssertionError(f"{name} is no JSON")


def _line(stream):
    line = stream.readline(1 << 20)
    if not line.endswith(b"\r\n"):
        raise EOFError(f"the connection ends within a line: {line[:100]!r}")
    return line[:-2]


def read_reply(connection, method="GET"):
    """Reads one answer. What ends before its announced length is an EOFError."""
    with connection.makefile("rb") as stream:
        version, status, *reason = _line(stream).decode("latin-1").split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), version
        headers = []
        while line := _line(stream):
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        reply = Reply(int(status), " ".join(reason), headers, b"")
        if reply.status == 100:
            return read_reply(connection, method)
        if method != "HEAD" and reply.status not in (204, 304):
            reply.body = _read_body(stream, reply)
        return reply


def _read_body(stream, reply):
    if (reply["Transfer-Encoding"] or "").lower() == "chunked":
        body = bytearray()
        while size := int(_line(stream).split(b";")[0], 16):
            body += _exactly(stream, size)
            assert _line(stream) == b""
        while _line(stream):
            pass
        return bytes(body)
    if reply["Content-Length"] is not None:
        return _exactly(stream, int(reply["Content-Length"]))
    return stream.read()


def _exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        raise EOFError(f"{len(data)} bytes came of {size} announced")
    return data


# Media types

def part10(instance):
    """The instance as a DICOM file in memory."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = instance.sop_class
    meta.MediaStorageSOPInstanceUID = instance.sop_instance
    meta.TransferSyntaxUID = instance.transfer_syntax
    meta.ImplementationClassUID = f"{ROOT_UID}.1"
    meta.FileMetaInformationVersion = b"\x00\x01"
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return bytes(128) + b"DICM" + buffer.getvalue() + instance.data


def read_part10(data):
    """The instance in a DICOM file in memory."""
    stream = BytesIO(data)
    read_preamble(stream, False)
    meta = _read_file_meta_info(stream)
    return Instance(str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID),
                    stream.read())


def multipart(parts, media_type=DICOM, boundary="snimok-tests"):
    """Body and Content-Type; parts are bytes, or (bytes, headers as a dictionary)."""
    body = bytearray()
    for part in parts:
        content, headers = part if isinstance(part, tuple) else (part, {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Type": media_type, **headers}.items())
        body += f"--{boundary}\r\n{lines}\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return bytes(body), f'multipart/related; type="{media_type}"; boundary={boundary}'


def stow(archive, parts, study=None, media_type=DICOM, accept=JSON, boundary="snimok-tests"):
    body, content_type = multipart([part10(p) if hasattr(p, "sop_instance") else p for p in parts], media_type, boundary)
    target = f"{ROOT}/studies" + (f"/{study}" if study else "")
    return request(archive, "POST", target, {"Content-Type": content_type, "Accept": accept}, body)


def value(row, tag):
    """The only value of an attribute in the JSON model; None: empty or not there."""
    values = row.get(tag, {}).get("Value")
    return values[0] if values else None


def stored(reply):
    """SOP Instance UIDs that the answer of a store says are kept."""
    return [value(item, INSTANCE_UID) for item in reply.json().get(REFERENCED, {}).get("Value", [])]


def failed(reply):
    """SOP Instance UIDs and failure reasons that the answer of a store tells."""
    return [(value(item, INSTANCE_UID), value(item, REASON))
            for item in reply.json().get(FAILED, {}).get("Value", [])]


# XML (PS3.19 annex A)

SPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


def native(document):
    """The Native DICOM Model of PS3.19 as the JSON model, so that both forms can be compared."""
    assert b"<!DOCTYPE" not in document and b"<!ENTITY" not in document
    root = xml.fromstring(document)
    assert root.tag == f"{SPACE}NativeDicomModel", root.tag
    return _native_items(root)


def _native_items(node):
    row = {}
    for child in node:
        assert child.tag == f"{SPACE}DicomAttribute", child.tag
        row[child.get("tag").upper()] = _native_attribute(child)
    return row


def _native_attribute(node):
    found = {"vr": node.get("vr")}
    values = []
    for child in node:
        kind = child.tag.removeprefix(SPACE)
        if kind == "Item":
            values.append((int(child.get("number")), _native_items(child)))
        elif kind == "PersonName":
            name = {group.tag.removeprefix(SPACE): "^".join(_components(group)) for group in child}
            values.append((int(child.get("number")), name))
        elif kind == "Value":
            values.append((int(child.get("number")), child.text or ""))
        elif kind == "BulkData":
            found["BulkDataURI"] = child.get("uri")
        elif kind == "InlineBinary":
            found["InlineBinary"] = child.text or ""
        else:
            raise AssertionError(f"{kind} is not known to PS3.19")
    if values:
        assert [number for number, _ in values] == list(range(1, len(values) + 1))
        found["Value"] = [value for _, value in values]
    return found


COMPONENTS = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]


def _components(group):
    known = {child.tag.removeprefix(SPACE): child.text or "" for child in group}
    assert set(known) <= set(COMPONENTS), known
    components = [known.get(name, "") for name in COMPONENTS]
    while components and not components[-1]:
        components.pop()
    return components


# dicomweb-client

def client(archive, **more):
    """dicomweb-client on an archive; it tries nothing twice, so that an error shows, and keeps no connection open."""
    headers = {"Connection": "close", **more.pop("headers", {})}
    made = DICOMwebClient(f"http://127.0.0.1:{archive.http_port}{ROOT}", timeout=60, headers=headers, **more)
    made.set_http_retry_params(retry=False)
    return made


def with_pictures(directory, workers=2, imaging=None, **sections):
    """An archive that decodes. Its workers come when they are needed and stay, with a socket each: they are no leak."""
    archive = Archive(directory, configuration(imaging={"workers": workers, **(imaging or {})}, **sections)).start()
    archive.idle["sockets"] += workers
    return archive


def here(archive, address):
    """Path and query of an address that an answer gave, whatever name of the server stands in it."""
    parts = urlsplit(address)
    assert parts.path.startswith(ROOT), address
    return parts.path + (f"?{parts.query}" if parts.query else "")


def absolute(archive, address):
    """An address that an answer gave, for dicomweb-client, whose Host header leaves the port out."""
    return f"http://127.0.0.1:{archive.http_port}{here(archive, address)}"


def dataset(row):
    return Dataset.from_json(row)
