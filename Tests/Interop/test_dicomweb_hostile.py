# SPDX-License-Identifier: Apache-2.0
"""Bad input over HTTP (the threats 24 to 27, 35 to 38, 40 to 47): refused with a sentence, never a crash, a loss or a leak."""
import gzip
import io
import json
import os
import random
import re
import signal
import socket
import struct
import time
import zipfile
import zlib

import pydicom
import pytest
from pydicom.data import get_testdata_file

from harness import hostile, web, wire
from harness.clients import store_all
from harness.samples import ROOT_UID, Instance, ct, element, read_file, tiny
from harness.wire import CT, DEFLATED, EXPLICIT
from harness.web import (
    BYTES, DICOM, JSON, XML, failed, get, head_of, multipart, part10, path_of, query, related, request, send_raw, stored, stow, value)

MEBIBYTE = 1 << 20
UID = f"{ROOT_UID}.78"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """One server takes all of it and must outlive every test of this file."""
    archive = web.with_pictures(
        tmp_path_factory.mktemp("hostile"), imaging={"memoryMiB": 512, "cpuSeconds": 5, "wallSeconds": 10},
        http={"corsOrigins": ["https://viewer.example"], "idleTimeoutSeconds": 3})
    archive.good = ct(1, 1, 1, rows=64)
    yield from hostile.outlive(archive, archive.good)


@pytest.fixture(autouse=True)
def alive(request):
    """After each test: the same process, which still answers and shows pictures, and holds no more memory."""
    if "target" not in request.fixturenames:
        yield
        return
    target = request.getfixturevalue("target")
    pid, before = hostile.running(target)
    target.reset_peak()
    memory = target.resident()
    yield
    hostile.assert_same_process(target, pid)
    started = time.monotonic()
    assert target.http("/healthz")[0] == 200
    assert get(target, path_of(target.good, "rendered") + f"?quality={random.Random(started).randint(20, 100)}").status == 200
    assert time.monotonic() - started < 5, "the server is busy with what came before"
    hostile.assert_nothing_left_or_lost(target, before)
    assert target.peak() - memory < 96 * MEBIBYTE, f"the resident set grew by {(target.peak() - memory) >> 20} MiB"


def nothing_stored(target, before):
    now = target.stats()
    for key in ("patients", "studies", "series", "instances", "versions"):
        assert now[key] == before[key], key


def everything(target, data, timeout=3):
    """All that comes back for these bytes until the server closes, or says no more."""
    with web.connect(target, timeout) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = bytearray()
        try:
            while piece := connection.recv(65536):
                answer += piece
        except (ConnectionError, TimeoutError):
            pass
        return bytes(answer)


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


# The request itself: rows 35, 37, 38

POST = b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/related; type=\"application/dicom\"; boundary=X\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
AMBIGUOUS = {
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 5, 6\r\n\r\nabcde" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nabcde" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x5\r\n\r\nabcde" + HIDDEN,
    "a length beyond all numbers": POST + b"Content-Length: 99999999999999999999\r\n\r\nabcde" + HIDDEN,
    "a length of words": POST + b"Content-Length: five\r\n\r\nabcde" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n" + HIDDEN,
    "a chunk beyond all numbers": POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc" + HIDDEN,
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a blank before a colon": b"GET /dicom-web/studies HTTP/1.1\r\nHost : x\r\nContent-Length : 40\r\n\r\n" + HIDDEN,
    "no host": b"GET /dicom-web/studies HTTP/1.1\r\n\r\n",
    "another protocol": b"GET /dicom-web/studies HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no protocol": b"GET /dicom-web/studies\r\n\r\n", "noise": bytes(range(1, 256)) * 4 + b"\r\n\r\n",
    "an association request": wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body()),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_may_be_read_in_two_ways_is_one_error(name, target):
    before = target.stats()
    answer = everything(target, AMBIGUOUS[name])
    # What stands behind it would be answered with 200.
    assert all(status >= 400 for status in statuses(answer)), f"{name}: {answer[:300]!r}"
    nothing_stored(target, before)


def test_our_own_refusals_of_ambiguous_lengths_are_sentences(target):
    send_raw(target, AMBIGUOUS["a length and chunks"]).problem(400)


def test_a_client_that_hangs_up_is_noticed(target):
    body, content_type = multipart([part10(ct(9, 1, 8))], boundary="X")
    head = head_of(target, "POST", f"{web.ROOT}/studies", [("Content-Type", content_type)], 1 << 32)
    before, sockets = target.stats(), target.resources()["sockets"]
    for data in (head, head + body[:300], head_of(target, "GET", "/dicom-web/studies")) * 5:
        with web.connect(target) as connection:
            connection.sendall(data)
    started = time.monotonic()
    # Those that libmicrohttpd does not see at once end by its timeout.
    while target.resources()["sockets"] > sockets and time.monotonic() - started < 35:
        time.sleep(0.1)
    nothing_stored(target, before)
    assert time.monotonic() - started < 8, f"noticed after {time.monotonic() - started:.0f} s only"


@pytest.mark.parametrize("when", ["before it is accepted", "behind its head"])
def test_a_client_that_hangs_up_right_behind_its_bytes_is_noticed(when, archive):
    """The bytes and the end are there together when the server looks, and libmicrohttpd reads the bytes only. Long before its
    timeout (30 s, unlike above)."""
    # Refused by its head alone; the refusal goes out behind the body, which never comes whole.
    head = head_of(archive, "POST", f"{web.ROOT}/studies", [("Content-Type", "text/plain")], 1 << 20)
    connections = [web.connect(archive) for _ in range(40)] if when == "behind its head" else []
    for connection in connections:
        connection.sendall(head)
    time.sleep(0.5)
    server = archive.server_pid()
    os.kill(server, signal.SIGSTOP)
    try:
        for connection in connections or [web.connect(archive) for _ in range(40)]:
            connection.sendall(b"x" * 100 if connections else head + b"x" * 100)
            connection.close()
    finally:
        os.kill(server, signal.SIGCONT)
    time.sleep(1)  # It accepts and reads them.
    # A test's end waits 15 s for the sockets.


@pytest.mark.parametrize("body", [b"x" * 100, b"x" * 99], ids=["whole", "a byte short"])
def test_a_client_that_ends_its_half_only_is_answered(body, archive):
    """Behind a whole request the end of the peer's bytes is no hang-up, though libmicrohttpd may still hold some of them."""
    head = head_of(archive, "POST", f"{web.ROOT}/studies", [("Content-Type", "text/plain"), ("Connection", "close")], 100)
    with web.connect(archive) as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert statuses(answer) == ([415] if len(body) == 100 else []), answer


@pytest.mark.parametrize("length", [1 << 32, (1 << 63) - 1])
def test_a_body_of_a_length_that_never_comes(length, target):
    before = target.stats()
    body, content_type = multipart([part10(ct(9, 1, 1))], boundary="X")
    head = head_of(target, "POST", f"{web.ROOT}/studies", [("Content-Type", content_type)], length)
    for sent in (b"", body[:300], body[:-20]):
        answer = everything(target, head + sent)
        assert all(status >= 400 for status in statuses(answer))
    time.sleep(0.1)
    nothing_stored(target, before)


@pytest.mark.parametrize("size", [10, 400, -30])
def test_a_body_that_ends_before_its_length(size, target):
    before = target.stats()
    body, content_type = multipart([part10(ct(9, 1, 2))], boundary="X")
    head = head_of(target, "POST", f"{web.ROOT}/studies", [("Content-Type", content_type)], len(body))
    answer = everything(target, head + body[:size])
    assert all(status >= 400 for status in statuses(answer))
    time.sleep(0.05)
    nothing_stored(target, before)


@pytest.mark.parametrize("headers", [
    [(f"X-{number}", "x") for number in range(100_000)], [("X-Long", "x" * 200_000)], [("X" * 200_000, "x")],
    [("Cookie", "a=b; " * 40_000)]], ids=["100,000 headers", "a long value", "a long name", "cookies"])
def test_a_flood_of_headers(headers, target):
    reply = send_raw(target, head_of(target, "GET", "/dicom-web/studies", headers))
    assert reply is None or reply.status in (400, 413, 431), reply.status


@pytest.mark.parametrize("target_path", [
    "/dicom-web/studies?PatientID=" + "x" * 60_000, "/dicom-web/" + "studies/" * 5000, "/" + "x" * 30_000,
    "/dicom-web/studies?" + "&".join(f"PatientID={n}" for n in range(3000))], ids=["query", "segments", "path", "parameters"])
def test_an_address_that_is_too_long(target_path, target):
    reply = request(target, "GET", target_path)
    assert reply.status in (400, 404, 413, 414, 431), reply.status


def test_a_query_of_many_parameters_is_an_error_or_an_answer(target):
    fields = ",".join(f"{0x00080000 + number:08X}" for number in range(1500))
    assert get(target, f"studies?includefield={fields}").status in (200, 400, 414)
    assert get(target, "studies?" + "&".join(f"PatientName=*{'?*' * 50}" for _ in range(50))).status in (200, 204, 400)
    assert get(target, "studies?PatientName=" + "*?" * 2000).status in (200, 204, 400)


def test_slow_clients_do_not_hold_up_others(target):
    body, content_type = multipart([part10(ct(9, 1, 3))], boundary="X")
    head = head_of(target, "POST", f"{web.ROOT}/studies", [("Content-Type", content_type)], len(body))
    before, held = target.stats(), []
    try:
        for number in range(300):
            connection = web.connect(target)
            # Some stop in the head, some in the body, some do not read their answer.
            connection.sendall([head[:40], head + body[:200], b"G"][number % 3])
            held.append(connection)
        for number in range(20):
            started = time.monotonic()
            assert len(get(target, "studies").rows()) >= 1
            assert time.monotonic() - started < 2, "others wait for slow clients"
        assert stored(stow(target, [target.good]).expect(200))
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.3)
    nothing_stored(target, before)


def test_clients_that_do_not_read_cost_no_memory(target):
    big = tiny(f"{UID}.2.1.1", f"{UID}.2", f"{UID}.2.1", 1024)
    big.data = big.data[:-1024 - 12] + element(0x7FE0, 0x10, "OW", random.Random(1).randbytes(MEBIBYTE) * 48)
    stow(target, [big]).expect(200)
    target.reset_peak()
    memory, held = target.resident(), []
    for _ in range(20):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", target.http_port))
        connection.sendall(head_of(target, "GET", path_of(big), [("Accept", related(DICOM, transfer_syntax="*"))]))
        held.append(connection)
    time.sleep(1)
    assert len(get(target, "studies").rows()) >= 1
    grown = target.peak() - memory
    for connection in held:
        connection.close()
    assert grown < 80 * MEBIBYTE, f"{grown >> 20} MiB for 20 clients that do not read"


# Multipart: row 42

def post(target, body, boundary=b"X", media_type="application/dicom", **headers):
    pairs = {"Content-Type": f'multipart/related; type="{media_type}"; boundary={boundary.decode()}', **headers}
    return request(target, "POST", f"{web.ROOT}/studies", pairs, body, timeout=60)


@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\n--X", b"\r\n--X-", b"\r\n--Y--\r\n", b"\r\n-" * 10000],
                         ids=["nothing", "a line break", "a boundary", "one hyphen", "another", "nearly"])
def test_a_multipart_body_without_an_end(ending, target):
    before = target.stats()
    body = b"--X\r\nContent-Type: application/dicom\r\n\r\n" + part10(ct(9, 1, 4)) + ending
    post(target, body).problem(400)
    nothing_stored(target, before)


def test_of_two_parts_the_one_without_an_end_is_not_kept(target):
    whole, cut = ct(9, 2, 1), ct(9, 2, 2)
    body, _ = multipart([part10(whole), part10(cut)], boundary="X")
    reply = post(target, body[:-60])
    assert reply.status in (202, 400), reply.status
    found = get(target, "instances" + query(StudyInstanceUID=f"{ROOT_UID}.9", includefield="all"))
    assert cut.sop_instance not in [value(row, "00080018") for row in found.rows()]


@pytest.mark.parametrize("part", [b"", b"--X\r\n\r\n", b"--X\r\nContent-Type: application/dicom\r\n\r\n" + bytes(200)],
                         ids=["empty", "without header", "with zeros"])
def test_ten_thousand_parts(part, target):
    before = target.stats()
    body = (part or b"--X\r\n\r\n") * 10_000 if part.endswith(b"\n") or not part else (part + b"\r\n") * 10_000
    reply = post(target, body + b"\r\n--X--\r\n")
    assert reply.status in (400, 409, 413), reply.status
    nothing_stored(target, before)


def test_more_parts_than_are_taken(target):
    before = target.stats()
    reply = post(target, b"--X\r\n\r\nx\r\n" * 100_001 + b"--X--\r\n")
    reply.problem(413)
    nothing_stored(target, before)


@pytest.mark.parametrize("boundary", [b"b" * 71, b"b" * 4096, b'""', b'" "', b'"\xc3\xa9"'],
                         ids=["71", "4096", "empty", "blank", "not ASCII"])
def test_a_boundary_that_is_none(boundary, target):
    body = b"--" + boundary.strip(b'"') + b"\r\n\r\nx\r\n--" + boundary.strip(b'"') + b"--\r\n"
    headers = [("Content-Type", 'multipart/related; type="application/dicom"; boundary=' + boundary.decode())]
    reply = request(target, "POST", f"{web.ROOT}/studies", headers, body)
    assert reply.status in (400, 409), reply.status


@pytest.mark.parametrize("head", [b"X: " + b"x" * MEBIBYTE + b"\r\n", b"X: x\r\n" * 50_000, b"no colon\r\n", b": no name\r\n", b"\0: \0\r\n",
                                  b"Content-Type: \xff\xfe\r\n", b"Content-Type: text/html\r\n"],
                         ids=["a megabyte", "50,000 lines", "no colon", "no name", "NUL", "no text", "another type"])
def test_a_part_with_a_bad_header(head, target):
    before = target.stats()
    reply = post(target, b"--X\r\n" + head + b"\r\n" + b"no DICOM" + b"\r\n--X--\r\n")
    assert reply.status in (400, 409, 413, 431), reply.status
    nothing_stored(target, before)


# Compressed bodies: rows 23, 36

def test_compressed_bodies_are_not_taken(target):
    before = target.stats()
    body, content_type = multipart([part10(ct(9, 1, 5))], boundary="X")
    reply = request(target, "POST", f"{web.ROOT}/studies", {"Content-Type": content_type, "Content-Encoding": "gzip"}, gzip.compress(body))
    assert reply.status in (400, 415), reply.status
    bomb = gzip.compress(bytes(64 * MEBIBYTE))
    reply = request(target, "POST", f"{web.ROOT}/studies", {"Content-Type": content_type, "Content-Encoding": "gzip"}, bomb)
    assert reply.status in (400, 415), reply.status
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../../tmp/snimok-was-here", part10(ct(9, 1, 6)))
    reply = request(target, "POST", f"{web.ROOT}/studies", {"Content-Type": "application/zip"}, file.getvalue())
    assert reply.status in (400, 415), reply.status
    nothing_stored(target, before)


def test_a_deflated_data_set_that_grows_without_end(target):
    bomb = ct(9, 1, 7)
    inflated = bomb.data[:-512 - 12] + element(0x7FE0, 0x10, "OW", bytes(256 * MEBIBYTE))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(inflated) + packer.flush()
    sent = Instance(CT, bomb.sop_instance, DEFLATED, data + b"\0" * (len(data) % 2), bomb.study, bomb.series)
    reply = stow(target, [sent])
    assert reply.status in (200, 409), reply.status
    for tail in ("frames/1", "rendered", "metadata"):
        assert get(target, path_of(sent, tail), None).status in (200, 404, 406, 413, 422), tail


# JSON: rows 41, 44

def post_json(target, text):
    body, _ = multipart([(text if isinstance(text, bytes) else text.encode(), {})], media_type=JSON, boundary="X")
    return post(target, body, media_type=JSON)


NESTED = '[{"00081140":{"vr":"SQ","Value":' * 10_000 + "[]" + "}}]" * 10_000
BAD_JSON = {
    "10,000 lists": "[" * 10_000 + "]" * 10_000, "10,000 objects": '{"a":' * 10_000 + "1" + "}" * 10_000, "10,000 sequences": NESTED,
    "100 sequences": '[{"00081140":{"vr":"SQ","Value":' * 100 + "[]" + "}}]" * 100, "a million open brackets": "[" * 1_000_000,
    "no base 64": '[{"00420011":{"vr":"OB","InlineBinary":"###"}}]', "base 64 cut off": '[{"00420011":{"vr":"OB","InlineBinary":"AAA"}}]',
    "base 64 of a number": '[{"00420011":{"vr":"OB","InlineBinary":12}}]', "base 64 of a text": '[{"00100010":{"vr":"PN","InlineBinary":"AAAA"}}]',
    "giant base 64": '[{"00420011":{"vr":"OB","InlineBinary":"' + "A" * (40 * MEBIBYTE) + '"}}]',
    "a number beyond all": '[{"00280010":{"vr":"US","Value":[1e999]}}]', "a fraction": '[{"00280010":{"vr":"US","Value":[16.5]}}]',
    "a negative number": '[{"00280010":{"vr":"US","Value":[-1]}}]', "not a number": '[{"00280010":{"vr":"US","Value":[NaN]}}]',
    "half of a pair": b'[{"00100020":{"vr":"LO","Value":["\xed\xa0\x80"]}}]', "a byte order mark alone": b"\xef\xbb\xbf",
    "a million values": '[{"00280010":{"vr":"US","Value":[' + "1," * 1_000_000 + "1]}}]",
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json(name, target):
    before = target.stats()
    started = time.monotonic()
    reply = post_json(target, BAD_JSON[name])
    assert reply.status in (400, 409, 413), reply.status
    assert time.monotonic() - started < 10
    nothing_stored(target, before)


def test_json_that_is_no_check(target):
    for text in ("[" * 10_000 + "]" * 10_000, '{"instances":' * 5000 + "1" + "}" * 5000,
                 '{"instances":[' + '{"digest":"' + "0" * 64 + '"},' * 30_000 + "1]}", '{"instances":[1.5,null]}'):
        request(target, "POST", f"{web.ROOT}/uploads/check", {"Content-Type": "application/json"}, text.encode()).problem(400, 413)


def test_xml_is_not_read(target):
    # Row 43: no document type, no entities, no external files.
    bomb = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd"><!ENTITY b "&a;&a;">]>'
            "<NativeDicomModel>&b;</NativeDicomModel>").encode()
    body, _ = multipart([(bomb, {})], media_type=XML, boundary="X")
    post(target, body, media_type=XML).problem(400, 415)


# Addresses: rows 30, 40, 46, 48

PATHS = ["/dicom-web/../../../../etc/passwd", "/dicom-web/studies/..%2f..%2f..%2fetc%2fpasswd", "/dicom-web/studies/%2e%2e/metadata",
         "/dicom-web/studies/1.2.3%00.4/metadata", "/dicom-web/studies/%c0%ae%c0%ae/metadata", "/dicom-web/studies/1.2.3/series/..",
         "/dicom-web/studies/" + "1." * 40 + "1/metadata", "/dicom-web/studies/1.2.3;x=y/metadata", "/dicom-web/studies/ 1.2/metadata",
         "/dicom-web/studies/1..2/metadata", "/..%5c..%5cetc%5cpasswd", "//etc/passwd", "/ohif/..%2f..%2fetc/passwd", "/ohif/%2e%2e/%2e%2e/etc/passwd",
         "/dicom-web/studies/%F0%9F%92%A9/metadata", "/dicom-web/studies/%0d%0aX-Evil:%201", "/%", "/dicom-web/%zz", "/wado/../dicom-web"]


@pytest.mark.parametrize("path", PATHS)
def test_an_address_that_leads_astray(path, target):
    answer = everything(target, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert all(status in (400, 404, 414) for status in statuses(answer)), answer[:200]
    assert b"root:" not in answer and b"\r\nX-Evil" not in answer


FRAME_LISTS = ["0", "-1", "2147483648", "4294967296", "9223372036854775808", "99999999999999999999999", "1,", ",1", "1,,1", "1-3", "a", "1.0",
               "1e0", "%00", "+1", "0x1", "١", ",".join(["1"] * 5000) + ",x"]


@pytest.mark.parametrize("list_", FRAME_LISTS, ids=[text[:24] or "none" for text in FRAME_LISTS])
def test_a_list_of_frames_that_is_none(list_, target):
    for tail in ("", "/rendered"):
        reply = request(target, "GET", path_of(target.good, "frames", list_) + tail)
        reply.problem(400, 404)


@pytest.mark.parametrize("wanted", ids=lambda text: text[:32], argvalues=[f"bytes={edge}-" for edge in (2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1, 2 ** 64, 10 ** 40)]
                         + ["bytes=0-" + "9" * 5000, "bytes=" + ",".join(f"{n}-{n}" for n in range(2000)), "bytes=-" + "9" * 40,
                            "bytes=--1", "bytes=1--1", "bytes=0-0-0", "bytes=\u0661-"])
def test_a_range_at_the_edges(wanted, target):
    for tail, accept in (("", DICOM), ("/frames/1", BYTES), ("/bulkdata/7FE00010", BYTES)):
        reply = get(target, path_of(target.good) + tail, accept, Range=wanted)
        assert reply.status in (200, 206, 400, 416), reply.status
        assert len(reply.body) < 20_000


@pytest.mark.parametrize("accept", ids=lambda text: text[:32], argvalues=["text/csv", ";;;", '"', 'multipart/related; type="', "a/b," * 3000 + "text/csv", "application/dicom+json; q=nan, text/csv",
                                    "text/csv; q=1e999", "image/png; q=0", "application/xml, */*; q=0"])
def test_a_type_that_cannot_be_had_is_406_with_what_can(accept, target):
    reply = get(target, path_of(target.good, "metadata"), accept)
    if reply.status != 200:
        assert "dicom+json" in reply.problem(406, 400, 431)


@pytest.mark.parametrize("host", ids=lambda text: text[:32], argvalues=['evil"><script>', "evil\\\\", "a b", "x" * 5000, "evil/..%2f", "\xe9vil", "[::1", "{evil}", "<evil>", "user:secret@evil"])
def test_a_host_that_is_none_does_not_get_into_answers(host, target):
    reply = send_raw(target, b"GET /dicom-web/studies HTTP/1.1\r\nHost: " + host.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
    if reply is not None and reply.status == 200:
        address = value(reply.json()[0], "00081190")
        assert re.fullmatch(r"(http://[A-Za-z0-9.:\[\]-]+)?/dicom-web/studies/[0-9.]+", address), address


def test_what_was_asked_does_not_become_a_header(target):
    for asked in ("studies?PatientID=%0d%0aX-Evil:%20yes", "studies?%0d%0aX-Evil:%20yes=1", "studies/1%0d%0aX-Evil:%20yes/metadata",
                  "studies?accept=text/x%0d%0aX-Evil:%20yes"):
        assert get(target, asked)["X-Evil"] is None


# Text that browsers might run: row 45

def scripted():
    return ct(4, 1, 1, PatientName=f"{SCRIPT}^\"'", PatientID="'\"><img src=x onerror=alert(1)>", StudyDescription="</title>&amp;<b>\u2028",
              SeriesDescription="javascript:alert(1)", SpecificCharacterSet="ISO_IR 192", AccessionNumber="{{7*7}}${7*7}")


def test_a_script_in_a_name_stays_text(target):
    sent = scripted()
    assert stored(stow(target, [sent]).expect(200))
    study = query(StudyInstanceUID=sent.study)
    replies = [get(target, "studies" + study), get(target, "series" + study), get(target, "instances" + study),
               get(target, path_of(sent, "metadata"))]
    for reply in replies:
        assert reply.media == JSON and reply["X-Content-Type-Options"] == "nosniff"
        row, = reply.rows()
        assert value(row, "00100010")["Alphabetic"] == f"{SCRIPT}^\"'" and value(row, "00100020") == "'\"><img src=x onerror=alert(1)>"
    for address in ("studies" + study, path_of(sent, "metadata")):
        reply = get(target, address, related(XML))
        assert reply["X-Content-Type-Options"] == "nosniff"
        part = reply.part()
        assert b"<script" not in part.body and b"<img" not in part.body
        assert web.native(part.body)["00100020"]["Value"] == ["'\"><img src=x onerror=alert(1)>"]


@pytest.mark.parametrize("asked", [f"/dicom-web/studies?{SCRIPT}=1", f"/dicom-web/{SCRIPT}", f"/dicom-web/studies/{SCRIPT}", f"/{SCRIPT}",
                                   f"/dicom-web/studies?limit={SCRIPT}", f"/dicom-web/studies?accept={SCRIPT}/x", f"/wado?requestType={SCRIPT}"])
def test_a_script_in_an_address_comes_back_as_text_only(asked, target):
    for path in (asked, asked.replace("<", "%3C").replace(">", "%3E")):
        reply = send_raw(target, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert reply is None or reply.status >= 400 or reply.status == 204
        if reply is not None and reply.body and b"script" in reply.body:
            assert reply.media != "text/html" and reply["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["/dicom-web/studies", "/dicom-web/studies/1.2.3", "/nothing", "/healthz", "/metrics", "/openapi.json"])
def test_no_answer_lets_a_browser_guess(address, target):
    reply = get(target, address)
    assert reply["X-Content-Type-Options"] == "nosniff" and reply["Content-Type"]


def test_only_named_origins_may_read_answers(target):
    # Row 47.
    for origin, allowed in (("https://viewer.example", True), ("https://evil.example", False), ("null", False),
                            ("https://viewer.example.evil.example", False)):
        for method in ("GET", "OPTIONS"):
            reply = get(target, "studies", method=method, Origin=origin, Access_Control_Request_Method="GET")
            assert reply["Access-Control-Allow-Origin"] == (origin if allowed else None), (origin, method)
            assert reply["Access-Control-Allow-Origin"] != "*"


def test_a_preamble_that_is_a_program_does_not_come_back(target):
    # Row 27: PE and ELF files that are DICOM files as well.
    for number, start in enumerate((b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n", b"<html><script>")):
        sent = ct(5, 1, number + 1)
        reply = request(target, "POST", f"{web.ROOT}/studies", {"Content-Type": DICOM}, start.ljust(128, b"\xcc") + part10(sent)[128:])
        reply.expect(200)
        body = get(target, path_of(sent), DICOM + "; transfer-syntax=*").expect(200).body
        assert body[:132] == bytes(128) + b"DICM" and web.read_part10(body).data == sent.data


# Images: rows 24, 25, 26

def image(number, pixels=b"\0" * 512, syntax=EXPLICIT, rows=16, columns=16, bits=16, samples=1, frames=None, photometric="MONOCHROME2",
          before=b"", after=b"", **more):
    """An image that says of itself what it likes."""
    uid = f"{UID}.6.1.{number}"
    data = (element(8, 0x16, "UI", CT) + element(8, 0x18, "UI", uid) + element(8, 0x60, "CS", "CT") + element(0x10, 0x10, "PN", "Image^Bad")
            + element(0x10, 0x20, "LO", "BAD") + element(0x20, 0x0D, "UI", f"{UID}.6") + element(0x20, 0x0E, "UI", f"{UID}.6.1")
            + element(0x28, 2, "US", struct.pack("<H", samples)) + element(0x28, 4, "CS", photometric)
            + (element(0x28, 6, "US", b"\0\0") if samples > 1 else b"") + (element(0x28, 8, "IS", str(frames)) if frames is not None else b"")
            + element(0x28, 0x10, "US", struct.pack("<H", rows)) + element(0x28, 0x11, "US", struct.pack("<H", columns))
            + element(0x28, 0x100, "US", struct.pack("<H", bits)) + element(0x28, 0x101, "US", struct.pack("<H", more.get("stored", bits)))
            + element(0x28, 0x102, "US", struct.pack("<H", more.get("high", bits - 1 & 0xFFFF))) + element(0x28, 0x103, "US", b"\0\0")
            + before)
    if syntax == EXPLICIT:
        data += element(0x7FE0, 0x10, "OW", pixels)
    else:
        pixels += b"\0" * (len(pixels) % 2)
        data += (b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0" + bytes(4) + b"\xfe\xff\0\xe0" + struct.pack("<I", len(pixels))
                 + pixels + b"\xfe\xff\xdd\xe0" + bytes(4))
    return Instance(CT, uid, syntax, data + after, f"{UID}.6", f"{UID}.6.1")


NO_PICTURE = (404, 406, 413, 422, 503)
WAYS = [("frames/1", related(BYTES)), ("frames/1", related("image/jls")), ("rendered", "image/png"), ("thumbnail", None),
        ("", related(DICOM, transfer_syntax="1.2.840.10008.1.2.4.90"))]


def every_way(target, sent, allowed=NO_PICTURE, seconds=30):
    """Asks for the image in every way; each answer comes in time and is a picture or a sentence."""
    reply = stow(target, [sent])
    reply.expect(200, 409)
    if reply.status == 409:
        return []
    seen = []
    for tail, accept in WAYS:
        started = time.monotonic()
        try:
            reply = get(target, path_of(sent, *filter(None, [tail])), accept)
        except EOFError:
            seen.append("broken off")
            continue
        assert time.monotonic() - started < seconds, f"{tail} took {time.monotonic() - started:.1f} s"
        assert reply.status in (200, *allowed), f"{tail}: {reply.status} {reply.body[:200]!r}"
        if reply.status != 200:
            reply.problem(*allowed)
        seen.append(reply.status)
    assert get(target, path_of(sent, "metadata")).expect(200).rows()
    return seen


SIZES = {
    "rows of 65,535": dict(rows=65535, columns=65535), "no rows": dict(rows=0), "no columns": dict(columns=0),
    "2 thousand million frames": dict(frames=2 ** 31 - 1), "frames that overflow": dict(rows=65535, columns=65535, frames=2 ** 31 - 1, samples=65535),
    "frames beyond all numbers": dict(frames="99999999999999999999"), "minus one frame": dict(frames=-1), "no frame": dict(frames=0),
    "frames in words": dict(frames="many"), "no samples": dict(samples=0), "65,535 samples": dict(samples=65535), "no bits": dict(bits=0),
    "65,535 bits": dict(bits=65535), "3 bits": dict(bits=3), "more bits stored than allocated": dict(stored=32), "no bits stored": dict(stored=0),
    "a high bit beyond": dict(high=200), "colour of one sample": dict(photometric="RGB"), "an unknown interpretation": dict(photometric="NONE"),
    "pixels cut off": dict(pixels=b"\0" * 10), "no pixels": dict(pixels=b""), "a palette that is missing": dict(photometric="PALETTE COLOR"),
}


@pytest.mark.parametrize("number, name", list(enumerate(SIZES)), ids=list(SIZES))
def test_a_size_that_lies(number, name, target):
    target.reset_peak()
    memory = target.resident()
    seen = every_way(target, image(100 + number, **SIZES[name]))
    assert "broken off" not in seen, "an error has to come before the answer begins"
    assert target.peak() - memory < 64 * MEBIBYTE


def table(number, descriptor, data, element_of=0x1201):
    return (element(0x28, element_of - 0x100, "US", struct.pack("<3H", *descriptor)), element(0x28, element_of, "OW", data))


def palette(descriptor, data):
    tables = [table(0, descriptor, data, 0x1201 + colour) for colour in range(3)]
    return b"".join(pair[0] for pair in tables) + b"".join(pair[1] for pair in tables)


TABLES = {
    "a palette shorter than it says": (palette((65535, 0, 16), bytes(20)), "PALETTE COLOR"),
    "a palette of nothing": (palette((1, 0, 8), b""), "PALETTE COLOR"), "values beyond the palette": (palette((2, 0, 16), bytes(4)), "PALETTE COLOR"),
    "a palette that begins late": (palette((16, 65535, 16), bytes(32)), "PALETTE COLOR"),
    "a palette of 200 bits": (palette((16, 0, 200), bytes(32)), "PALETTE COLOR"),
    "a window without width": (element(0x28, 0x1050, "DS", "1") + element(0x28, 0x1051, "DS", "0"), "MONOCHROME2"),
    "a window of words": (element(0x28, 0x1050, "DS", "high") + element(0x28, 0x1051, "DS", "wide"), "MONOCHROME2"),
    "a window beyond all numbers": (element(0x28, 0x1050, "DS", "1e308") + element(0x28, 0x1051, "DS", "1e308"), "MONOCHROME2"),
    "a slope beyond all numbers": (element(0x28, 0x1052, "DS", "-1e308") + element(0x28, 0x1053, "DS", "1e308"), "MONOCHROME2"),
    "no slope": (element(0x28, 0x1052, "DS", "nan") + element(0x28, 0x1053, "DS", "inf"), "MONOCHROME2"),
}


@pytest.mark.parametrize("number, name", list(enumerate(TABLES)), ids=list(TABLES))
def test_a_table_that_lies(number, name, target):
    before, photometric = TABLES[name]
    pixels = random.Random(number).randbytes(512)
    assert "broken off" not in every_way(target, image(200 + number, pixels, before=before, photometric=photometric))


def test_an_overlay_that_lies(target):
    overlay = b"".join(element(0x6000, number, vr, content) for number, vr, content in (
        (0x10, "US", b"\xff\xff"), (0x11, "US", b"\xff\xff"), (0x40, "CS", b"G "), (0x50, "SS", b"\0\x80\0\x80"), (0x100, "US", b"\1\0"),
        (0x102, "US", b"\0\0"), (0x3000, "OW", b"\xff\xff")))
    sent = image(300)
    at = sent.data.index(b"\xe0\x7f\x10\0")
    sent.data = sent.data[:at] + overlay + sent.data[at:]
    every_way(target, sent)


def frame_of(name):
    """The first frame of one of pydicom's files, and how its data set describes it."""
    sent = read_file(get_testdata_file(name))
    dataset = pydicom.dcmread(sent.path)
    frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))
    return frame, dict(syntax=sent.transfer_syntax, rows=dataset.Rows, columns=dataset.Columns, bits=dataset.BitsAllocated, samples=dataset.SamplesPerPixel,
                       stored=dataset.BitsStored, high=dataset.HighBit, photometric=dataset.PhotometricInterpretation)


STREAMS = {"JPEG 2000": "emri_small_jpeg_2k_lossless.dcm", "JPEG-LS": "emri_small_jpeg_ls_lossless.dcm", "RLE": "MR_small_RLE.dcm",
           "JPEG": "SC_rgb_jpeg_dcmtk.dcm", "JPEG lossless": "SC_rgb_jpeg_gdcm.dcm", "JPEG 12 bit": "JPGExtended.dcm"}


def with_size(stream, name, rows, columns):
    """The stream with another size in its header (ISO 15444-1 SIZ, ISO 10918-1 and 14495-1 SOF)."""
    data = bytearray(stream)
    if name == "JPEG 2000":
        at = data.index(b"\xff\x51")
        data[at + 6:at + 14] = struct.pack(">2I", columns, rows)
        data[at + 22:at + 30] = struct.pack(">2I", columns, rows)
        return bytes(data)
    at = next(data.index(marker) for marker in (b"\xff\xf7", b"\xff\xc0", b"\xff\xc1", b"\xff\xc3") if marker in data)
    data[at + 5:at + 9] = struct.pack(">2H", min(rows, 65535), min(columns, 65535))
    return bytes(data)


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "RLE"])
def test_a_stream_that_says_it_is_giant(name, target):
    frame, attributes = frame_of(STREAMS[name])
    number = 400 + 10 * list(STREAMS).index(name)
    for offset, (rows, columns) in enumerate(((65535, 65535), (2 ** 31 - 1, 2 ** 31 - 1), (1, 2 ** 32 - 1), (0, 0))):
        bad = with_size(frame, name, rows, columns)
        # The data set does not know of it, or says the same.
        seen = every_way(target, image(number + 2 * offset, bad, **attributes))
        assert 200 not in seen[:2] or name != "JPEG 2000"
        every_way(target, image(number + 2 * offset + 1, bad, **{**attributes, "rows": 65535, "columns": 65535}))


def test_run_lengths_that_lie(target):
    for number, head in enumerate(((16,), (15, *[0xFFFFFFFF] * 15), (2, 64, 32), (2, 64, 10 ** 6), (0,), (1, 64), (2, 0, 0), (0xFFFFFFFF,))):
        stream = struct.pack(f"<{len(head)}I", *head).ljust(64, b"\0") + b"\x81\xff" * 300
        every_way(target, image(500 + number, stream, syntax="1.2.840.10008.1.2.5"))
    # Two bytes become 128: a picture of 4 GB from a small stream.
    stream = struct.pack("<I", 1).ljust(64, b"\0").replace(b"\1\0\0\0" + bytes(4), b"\1\0\0\0\x40\0\0\0", 1) + b"\x81\xff" * MEBIBYTE
    every_way(target, image(520, stream, syntax="1.2.840.10008.1.2.5", rows=65535, columns=65535, bits=8))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_off_or_damaged(name, target):
    frame, attributes = frame_of(STREAMS[name])
    chance = random.Random(name)
    damaged = [frame[:len(frame) * part // 8] for part in range(0, 8, 2)] + [frame[:3], b"", frame[::-1], frame + frame]
    for _ in range(12):
        copy = bytearray(frame)
        for _ in range(chance.choice((1, 5, 50))):
            # The header is where decoders are led astray.
            copy[chance.randrange(min(len(copy), chance.choice((40, 400, len(copy)))))] = chance.randrange(256)
        damaged.append(bytes(copy))
    # Another stream than the transfer syntax says.
    damaged.append(frame_of(STREAMS["RLE" if name != "RLE" else "JPEG"])[0])
    number = 600 + 50 * list(STREAMS).index(name)
    sent = [image(number + offset, stream, **attributes) for offset, stream in enumerate(damaged)]
    stow(target, sent).expect(200, 202)
    for each in sent:
        for tail, accept in (("frames/1", related(BYTES)), ("rendered", "image/png")):
            reply = get(target, path_of(each, tail), accept)
            if reply.status != 200:
                reply.problem(*NO_PICTURE, 404)


def test_bad_pictures_at_once_do_not_hold_up_good_ones(target):
    frame, attributes = frame_of(STREAMS["JPEG 2000"])
    bad = [image(950 + number, with_size(frame, "JPEG 2000", 30000 + number, 30000), **{**attributes, "rows": 30000 + number, "columns": 30000})
           for number in range(6)]
    stow(target, bad).expect(200)
    connections = []
    for each in bad:
        connection = web.connect(target, 60)
        connection.sendall(head_of(target, "GET", path_of(each, "rendered"), [("Connection", "close")]))
        connections.append(connection)
    started = time.monotonic()
    assert get(target, path_of(target.good, "rendered") + "?viewport=33,33").status == 200
    assert get(target, "studies").status == 200
    assert time.monotonic() - started < 15
    for connection in connections:
        reply = web.read_reply(connection)
        assert reply.status in (200, *NO_PICTURE), reply.status
        connection.close()


@pytest.mark.parametrize("fault", ["crash", "loop", "memory"])
def test_a_decoder_that_goes_wrong_is_replaced(fault, tmp_path, monkeypatch):
    # Workers obey these words in a test only (Imaging/CodecSession.swift).
    monkeypatch.setenv("SNIMOK_IMAGING_FAULTS", "1")
    archive = web.with_pictures(tmp_path, imaging={"memoryMiB": 256, "cpuSeconds": 2, "wallSeconds": 4})
    try:
        bad, good = image(1, f"SNIMOK FAULT {fault}".encode().ljust(512, b"\0")), image(2)
        store_all(archive, [bad, good])
        for _ in range(2):
            started = time.monotonic()
            get(archive, path_of(bad, "rendered")).problem(422, 503)
            assert time.monotonic() - started < 8
            assert get(archive, path_of(good, "rendered")).status == 200
        assert archive.peak() < 200 * MEBIBYTE
        archive.close()
    finally:
        archive.kill()


def test_a_number_of_frames_beyond_all_measure(archive):
    """All of them are asked for: the list of their numbers alone would not fit into memory."""
    lying = ct(number=1, NumberOfFrames="999999999999")
    store_all(archive, [lying])
    path = f"/dicom-web/studies/{lying.study}/series/{lying.series}/instances/{lying.sop_instance}"
    for accept in ["image/gif", 'multipart/related; type="image/jpeg"', 'multipart/related; type="image/png"']:
        reply = web.request(archive, "GET", path + "/rendered", {"Accept": accept, "Host": "localhost"})
        assert reply.status in (406, 413, 422), (accept, reply.status, reply.body[:200])
    for accept in ['multipart/related; type="application/octet-stream"', "*/*"]:
        web.request(archive, "GET", path + "/bulkdata/7FE00010", {"Accept": accept, "Host": "localhost"})
        web.request(archive, "GET", path, {"Accept": accept, "Host": "localhost"})
    web.get(archive, "/healthz").expect(200)


def test_an_offset_beyond_all_measure(new_archive):
    archive = new_archive(query={"resultLimit": 5})
    for number in [2 ** 63 - 1, 2 ** 63, 2 ** 62, 2 ** 31, 10 ** 30]:
        for name in ["offset", "limit"]:
            web.get(archive, f"/dicom-web/studies?{name}={number}").expect(400)
    web.get(archive, f"/dicom-web/studies?offset={2 ** 31 - 1}&limit={2 ** 31 - 1}").expect(204)


def test_a_share_until_a_day_beyond_all_measure(new_archive):
    archive = new_archive(organisation="A", organisations=[{"name": "A"}, {"name": "B"}])
    for day in ["9999-12-31", "2263-01-01", "0001-01-01", "9223372036854775807", "-1", "0", "2026-13-45", ""]:
        body = json.dumps({"study": "1.2.3", "with": "B", "until": day}).encode()
        reply = web.request(archive, "POST", "/shares", {"Content-Type": "application/json", "Host": "localhost"}, body)
        assert reply.status == 400, (day, reply.status)
    web.get(archive, "/healthz").expect(200)
