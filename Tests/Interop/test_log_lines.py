# SPDX-License-Identifier: Apache-2.0
"""What arrives over a wire and is logged, or told on a terminal: it breaks no line, steers no terminal, and names no patient."""
import json
import re
import socket
import unicodedata

import pytest

from harness import web, wire
from harness.archive import Archive, configuration
from harness.clients import find, get, identifier, move, store_all
from harness.samples import CT, EXPLICIT, ct, ct_data_set, encode, tiny

# <priority>time, then key="value" pairs; in a value quotes and backslashes are escaped.
LINE = re.compile(r'<[34567]>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?: [A-Za-z]+="(?:[^"\\]|\\["\\]|\\u\{[0-9a-f]+\})*")+')
READY = re.compile(r"ready [a-zA-Z0-9.:=\[\] -]+")
# Line breaks, an escape sequence, C1's CSI, a mark that turns text around, a line separator, quotes, backslashes, a NUL.
NASTY = ["A\r\nB", "\x1b[2JX", "Q\x9bX", "R\u202eX", "S\u2028X", 'T"X\\', "U\x00X", "V\x7fX", 'W" event="ok', "\u200bX\ufeff"]
NAME = "Тайный^Пациент"
LATIN = "Secretive^Person"


def check(archive):
    text = archive.log_text(1_000_000)
    for line in archive.log:
        assert LINE.fullmatch(line) or READY.fullmatch(line), ascii(line)
        for character in line:
            assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Co"), ascii(line)
    for name in ("Тайный", "Пациент", "Secretive", "Person"):
        assert name not in text
    return text


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    opened = Archive(tmp_path_factory.mktemp("log"), configuration()).start()
    yield opened
    opened.close(check=False)


@pytest.mark.parametrize("text", NASTY, ids=ascii)
class TestHostileText:
    def test_titles_and_names(self, archive, text):
        """AE titles, called and calling, and an implementation's version name."""
        raw = text.encode()[:16]
        for calling, called in ((raw, b"SNIMOK"), (b"TESTER", raw), (raw, raw)):
            user = wire.item(0x50, wire.item(0x51, bytes(4)) + wire.item(0x52, b"1.2.3") + wire.item(0x55, raw))
            with socket.create_connection(("127.0.0.1", archive.dicom_port), 10) as connection:
                connection.sendall(wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body(calling, called, user=user)))
                wire.read_pdu(connection)
        check(archive)

    def test_identifiers(self, archive, text):
        """UIDs of a store, of the data set and of the command; a move destination; the keys of a query."""
        raw = text.encode()
        instance = tiny("1.2.3.4", "1.2.3", "1.2.3.1")
        with wire.Requestor(archive, [(CT, (EXPLICIT,)), (wire.STUDY_FIND, (EXPLICIT,))]) as requestor:
            requestor.store(instance, sop_instance=raw)
            requestor.store(instance, sop_class=raw)
            bad = tiny("1.2.3.5", "1.2.3", "1.2.3.1")
            requestor.store(type(bad)(CT, "1.2.3.5", EXPLICIT, bad.data.replace(b"1.2.3.1", (raw * 8)[:7])))
        check(archive)
        move(archive, identifier("STUDY", StudyInstanceUID="1.2.3"), "X" + re.sub(r"[\\\x00-\x1f\x7f-\uffff]", "?", text)[:15])
        check(archive)

    def test_http(self, archive, text):
        """Targets, header fields, methods, parameters."""
        raw = text.replace("\x00", "").encode()
        quoted = "".join(f"%{byte:02X}" for byte in text.encode())
        for data in [
                b"GET /dicom-web/studies/" + raw.replace(b"\r\n", b"") + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                f"GET /dicom-web/studies/{quoted}/metadata HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
                f"GET /dicom-web/studies?PatientID={quoted} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
                f"DELETE /dicom-web/studies/{quoted} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
                b"GET /dicom-web/studies HTTP/1.1\r\nHost: " + raw.replace(b"\r\n", b"") + b"\r\nAccept: "
                + raw.replace(b"\r\n", b"") + b"\r\n\r\n"]:
            web.send_raw(archive, data)
        body, content_type = web.multipart([web.part10(tiny("1.2.9", "1.2.3", "1.2.3.1")).replace(b"1.2.9", (raw + b"12345")[:5])])
        web.request(archive, "POST", "/dicom-web/studies", {"Content-Type": content_type}, body)
        check(archive)


def test_no_patient_is_named(archive):
    """Stored, refused, asked for, searched: the log knows identifiers of studies, and nobody's name."""
    for name, charset in ((NAME, "ISO_IR 192"), (LATIN, "")):
        data_set = ct_data_set(study=50, PatientName=name, PatientID="9", SpecificCharacterSet=charset)
        whole = encode(data_set)
        instance = ct(study=50, PatientName=name, PatientID="9", SpecificCharacterSet=charset)
        store_all(archive, [instance])
        with wire.Requestor(archive, [(CT, (EXPLICIT,)), (wire.STUDY_FIND, (EXPLICIT,))]) as requestor:
            # Cut in the middle of a value, and of another class than was said.
            for data in (whole[:len(whole) // 2 | 1], whole.replace(CT.encode(), b"1.2.840.10008.5.1.4.1.1.4")):
                requestor.store(type(instance)(CT, instance.sop_instance, EXPLICIT, data))
            requestor.find(encode(identifier("NONSENSE", charset="ISO_IR 192", PatientName=name)))
        find(archive, identifier("STUDY", charset="ISO_IR 192", PatientName=name, StudyInstanceUID=""))
        get(archive, identifier("STUDY", charset="ISO_IR 192", PatientName=name))
        quoted = "".join(f"%{byte:02X}" for byte in name.encode())
        for target in (f"studies?PatientName={quoted}", f"studies?PatientName={quoted}&limit=x", f"studies/{quoted}"):
            web.get(archive, target)
        web.request(archive, "POST", "/dicom-web/studies", {"Content-Type": web.related(web.JSON)},
                    json.dumps({"name": name}).encode())
    check(archive)


def test_commands_tell_hostile_text_escaped(archive, tmp_path):
    """A file whose UIDs would steer the terminal of whoever imports it."""
    instance = tiny("1.2.77", "1.2.3", "1.2.3.1")
    path = instance.write(tmp_path / "bad.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.77", b"1\x1b[2J"))
    done = archive.command("import", path)
    history = archive.command("history", "--instance", "1\x1b[2J")
    for text in (done.stdout, done.stderr, history.stdout, history.stderr):
        assert "\x1b" not in text
    check(archive)
