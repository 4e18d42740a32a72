# SPDX-License-Identifier: Apache-2.0
"""Malformed files by every way in: stored exactly or refused with a status, and no harm in whatever was stored.

The corpus (10 categories of malformed files) is looked for in SNIMOK_CORPUS, else in ../shared/corpus/malformed beside the
checkout. Files of the same categories that are made here are used always."""
import os
import re
import struct
import zlib
from pathlib import Path

import pytest

from harness import hostile, web, wire
from harness.clients import STUDY_GET, extended, find, get, identifier
from harness.samples import ROOT_UID, Instance, element, tiny
from harness.web import JSON, path_of, placed, request, stow, value
from harness.wire import CT, DEFLATED, ECHO, EXPLICIT, IMPLICIT, SUCCESS

MEBIBYTE = 1 << 20
CORPUS = Path(os.environ.get("SNIMOK_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus" / "malformed"))
UID = f"{ROOT_UID}.28"
# What a picture or metadata may be refused with: no such thing, not to be had, cannot be shown, too large, not here.
REFUSALS = (400, 404, 406, 409, 410, 413, 415, 422, 500, 501, 503)
WAYS = (("metadata", JSON), ("metadata", 'multipart/related; type="application/dicom+xml"'), ("rendered", "image/png"),
        ("thumbnail", "image/jpeg"), ("frames/1", 'multipart/related; type="application/octet-stream"'),
        ("bulkdata/7FE00010", 'multipart/related; type="application/octet-stream"'))


# Files of our own

def file_of(data, syntax=EXPLICIT, meta=None, preamble=bytes(128), magic=b"DICM"):
    head = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", CT) + element(2, 3, "UI", UID) + element(2, 0x10, "UI", syntax)
    return preamble + magic + (element(2, 0, "UL", struct.pack("<I", len(head))) + head if meta is None else meta) + data


def own_files():
    """Name and content, one after the other for each of the corpus's categories, and some that it has not."""
    count = 0

    def image(before=b"", after=b"", size=512, **more):
        nonlocal count
        count += 1
        return tiny(f"{UID}.{count}", f"{UID}.1", f"{UID}.1.1", size, before=before, after=after, **more).data

    def replaced(old, new):
        data = image()
        assert old in data
        return data.replace(old, new, 1)

    name = element(0x10, 0x10, "PN", "Load^Test")
    for length in (64, 65, 1000, 65534):
        yield f"1 a name of {length}", file_of(replaced(name, element(0x10, 0x10, "PN", b"A" * length)))
        yield f"1 an accession number of {length}", file_of(image(before=b"").replace(
            element(8, 0x60, "CS", "CT"), element(8, 0x50, "SH", b"7" * length) + element(8, 0x60, "CS", "CT"), 1))
    for text in ("-001Y", "ABCD", "9999", ""):
        yield f"1 an age of {text!r}", file_of(replaced(name, name + element(0x10, 0x1010, "AS", text)))
    for vr, content in (("OB", b"A^B"), ("US", b"\1\0"), ("SQ", b"junk"), ("UN", b"A^B"), ("ZZ", b"A^B"), ("FD", b"12345678")):
        yield f"2 a name as {vr}", file_of(replaced(name, element(0x10, 0x10, vr, content)))
    yield "2 rows of four bytes", file_of(replaced(element(0x28, 0x10, "US", b"\1\0"), element(0x28, 0x10, "UL", bytes(4))))
    for depth in (10, 64, 65, 500):
        nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * depth
        closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
        yield f"3 {depth} sequences deep", file_of(image(before=nested + closed))
        yield f"3 {depth} sequences deep without an end", file_of(image(before=nested))
    yield "3 a sequence of 2,000 items", file_of(image(before=b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
                                                        + b"\xfe\xff\0\xe0\0\0\0\0" * 2000 + b"\xfe\xff\xdd\xe0\0\0\0\0"))
    for number, stray in enumerate((b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xfe\xff\0\xe0\0\0\0\0")):
        yield f"3 a stray delimiter {number}", file_of(image(before=stray))
    for size in (0, 2, 6, 100_000):
        yield f"4 {size} bytes of pixels", file_of(image(size=size))
    for number, (tag, number_of) in enumerate((tag, value) for tag in (0x10, 0x11, 2, 0x100, 0x101, 0x102) for value in (0, 1, 3, 65535)):
        yield f"4 {tag:04X} is {number_of}", file_of(replaced(
            element(0x28, 0x10, "US", b"\1\0"), element(0x28, tag, "US", struct.pack("<H", number_of)) if tag < 0x10
            else element(0x28, 0x10, "US", b"\1\0") + element(0x28, tag, "US", struct.pack("<H", number_of))))
    for frames in ("0", "-1", "999999", "many"):
        yield f"4 {frames} frames", file_of(replaced(element(0x28, 0x10, "US", b"\1\0"),
                                                    element(0x28, 8, "IS", frames) + element(0x28, 0x10, "US", b"\1\0")))
    fragments = (b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0\2\0\0\0\xff\xd8" * 5000
                 + b"\xfe\xff\xdd\xe0\0\0\0\0")
    for syntax in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"):
        yield f"4 5,000 fragments in {syntax}", file_of(image().split(b"\xe0\x7f\x10\0OW")[0] + fragments, syntax)
    shared = (element(0x28, 2, "US", b"\3\0") + element(0x28, 4, "CS", "YBR_FULL_422") + element(0x28, 0x10, "US", b"\x40\0")
              + element(0x28, 0x11, "US", b"\x40\0") + element(0x28, 0x100, "US", b"\x08\0") + element(0x28, 0x101, "US", b"\x08\0")
              + element(0x28, 0x102, "US", b"\7\0") + element(0x28, 0x103, "US", b"\0\0"))
    # Three planes of 64 x 64, one after the other, in runs of 128; the data set says that chroma is shared.
    run = b"\x81\x55" * 32
    frame = struct.pack("<4I", 3, 64, 64 + len(run), 64 + 2 * len(run)).ljust(64, b"\0") + run * 3
    stream = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\0\0\0\0" + b"\xfe\xff\0\xe0" + struct.pack("<I", len(frame)) + frame
    yield "4 RLE that says YBR_FULL_422", file_of(
        image().split(b"\x28\0\x10\0US")[0] + shared + stream + b"\xfe\xff\xdd\xe0\0\0\0\0", "1.2.840.10008.1.2.5")
    yield "5 implicit that says explicit", file_of(b"".join(struct.pack("<HHI", 8, number, len(uid)) + uid for number, uid in (
        (0x16, CT.encode() + b"\0" * (len(CT) % 2)), (0x18, f"{UID}.90".encode() + b"\0" * (len(f"{UID}.90") % 2)))))
    packed = zlib.compress(image(), wbits=-15)
    yield "5 deflated and cut off", file_of(packed[:len(packed) // 2], DEFLATED)
    yield "5 deflated and damaged", file_of(packed[:40] + b"\xff\xff\xff" + packed[43:], DEFLATED)
    yield "5 an unknown syntax", file_of(image(), "1.2.3.4.5.6")
    for text in ("$(id)", "`id`", "'; DROP TABLE instances; --", "%s%n%08x", "{{7*7}}", "../../etc/passwd", "<script>alert(1)</script>"):
        yield f"6 a name of {text}", file_of(replaced(name, element(0x10, 0x10, "PN", text) + element(0x10, 0x20, "LO", text)))
    for group, number in ((1, 2), (9, 0x1001), (0xFFFF, 0xFFFF), (0xFFFE, 0xE00D)):
        yield f"6 an element ({group:04X},{number:04X})", file_of(image(before=element(group, number, "LO", "x")))
    yield "6 elements out of order", file_of(image(after=element(8, 0x60, "CS", "MR")))
    yield "7 no preamble", file_of(image(), preamble=b"")
    yield "7 127 bytes of preamble", file_of(image(), preamble=bytes(127))
    yield "7 another magic", file_of(image(), magic=b"DICX")
    yield "7 nothing", b""
    yield "7 a program", b"MZ" + bytes(1000)
    for length in (0, 1, 0xFFFF, 0xFFFFFFFF):
        yield f"7 a group length of {length}", file_of(image(), meta=element(2, 0, "UL", struct.pack("<I", length))
                                                       + element(2, 0x10, "UI", EXPLICIT))
    for text in (b"\xef\xbb\xbfA", b"\xed\xa0\x80", b"\x80\x80", b"\xc0\xaf", b"A\0B\0", b"\0" * 8, bytes(range(1, 32)) + b"\n",
                 "\u202eA\u200b".encode(), b"\\" * 1000, b"\x1b$B" * 20, b"^" * 256, b"=" * 256):
        for charset in ("", "ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 87\\ISO 2022 IR 159", "NONE"):
            yield f"8 {text[:8]!r} in {charset!r}", file_of(element(8, 5, "CS", charset) + replaced(name, element(0x10, 0x10, "PN", text)))
    study = element(0x20, 0x0D, "UI", f"{UID}.1")
    for uid in ("1" * 64, "1" * 65, ".1.2", "1.2.", "1..2", "....", "", "1.2.x", "../1"):
        yield f"9 a study of {uid!r}", file_of(replaced(study, element(0x20, 0x0D, "UI", uid)))
    yield "9 two patient names", file_of(replaced(name, name + name))
    yield "9 an odd length", file_of(replaced(name, b"\x10\0\x10\0PN\x03\0A^B"))
    for vr in (b"ZZ", b"\0\0", b"\xff\xff", b"99", b"ui", b" U"):
        uid = EXPLICIT.encode() + b"\0"
        yield f"10 a meta group of {vr!r}", file_of(image(), meta=b"\x02\0\x10\0" + vr + struct.pack("<H", len(uid)) + uid)
        yield f"10 a gigabyte in {vr!r}", file_of(image(), meta=b"\x02\0\x10\0" + vr + b"\0\0" + struct.pack("<I", 1 << 30) + uid)
    yield "10 1,000 fake elements", file_of(image(), meta=(b"\x02\0\xff\0ZZ\0\1" + b"A" * 256) * 1000 + element(2, 0x10, "UI", EXPLICIT))


def as_instance(content):
    """Whatever can be sent of a file: its bytes behind the meta group, if that can be found at all."""
    begin = content.find(b"DICM") + 4 if content.find(b"DICM", 0, 1024) >= 0 else 0
    syntax = EXPLICIT
    offset = begin
    while offset + 8 <= len(content) and content[offset:offset + 2] == b"\x02\x00":
        vr, short = content[offset + 4:offset + 6], struct.unpack_from("<H", content, offset + 6)[0]
        is_long = vr in (b"OB", b"UN") and offset + 12 <= len(content)
        length, head = (struct.unpack_from("<I", content, offset + 8)[0], 12) if is_long else (short, 8)
        if content[offset + 2:offset + 4] == b"\x10\x00":
            text = content[offset + head:offset + head + min(length, 64)].rstrip(b"\0 ")
            syntax = text.decode("ascii") if re.fullmatch(rb"[0-9.]{1,64}", text) else EXPLICIT
        offset += head + min(length, len(content))
    data = content[min(offset, len(content)):]
    uids = {}
    for name, tag in (("class", b"\x08\x00\x16\x00UI"), ("instance", b"\x08\x00\x18\x00UI"),
                      ("study", b"\x20\x00\x0d\x00UI"), ("series", b"\x20\x00\x0e\x00UI")):
        at = data.find(tag)
        raw = data[at + 8:at + 8 + struct.unpack_from("<H", data, at + 6)[0]] if 0 <= at < len(data) - 8 else b""
        text = raw.rstrip(b"\0 ").decode("latin-1")
        uids[name] = text if re.fullmatch(r"[0-9.]{1,128}", text) else ""
    return Instance(uids["class"] or CT, uids["instance"] or UID, syntax, data, uids["study"], uids["series"])


@pytest.fixture(scope="module", params=["own", "corpus"])
def files(request):
    """Name and content of each file."""
    if request.param == "own":
        return list(own_files())
    found = sorted(CORPUS.rglob("*.dcm"))
    if not found:
        pytest.skip(f"the corpus of malformed files is not at {CORPUS}")
    return [(path.name, path.read_bytes()) for path in found]


@pytest.fixture
def target(tmp_path):
    """A server that must be the same process afterwards, with nothing left and nothing lost."""
    archive = web.with_pictures(tmp_path / "a", imaging={"memoryMiB": 512, "cpuSeconds": 10, "wallSeconds": 20})
    try:
        pid, before = hostile.running(archive)
        archive.reset_peak()
        memory = archive.resident()
        yield archive
        hostile.assert_same_process(archive, pid)
        wire.echo(archive)
        hostile.assert_nothing_left_or_lost(archive, before)
        assert archive.peak() - memory < 160 * MEBIBYTE, f"the resident set grew by {(archive.peak() - memory) >> 20} MiB"
        archive.close()
        archive.start()
        archive.verify("--full")
        archive.stop()
    finally:
        archive.kill()


def told(outcomes):
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items(), key=lambda pair: -pair[1]))


def send(target, instance):
    """The status of a C-STORE; None: the association was aborted."""
    requestor = wire.Requestor(target, [(instance.sop_class, (instance.transfer_syntax,)), (ECHO, (IMPLICIT,))])
    try:
        return requestor.store(instance)[wire.STATUS]
    except (wire.Aborted, wire.Closed):
        return None
    finally:
        requestor.socket.close()


@pytest.mark.limit(1800)
def test_by_c_store_each_is_stored_exactly_or_refused(target, files, capsys):
    outcomes, known = {}, set()
    for name, content in files:
        instance = as_instance(content)
        before = target.stats()["versions"]
        status = send(target, instance)
        assert target.process.poll() is None, f"the server died of {name}"
        outcome = "aborted" if status is None else f"{status:04X}H"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        key = (instance.sop_instance, instance.transfer_syntax, instance.data)
        if status != SUCCESS:
            assert status is None or status & 0xF000 in (0xA000, 0xC000) or 0x0100 <= status < 0x0300, name
            assert target.stats()["versions"] == before, f"{name} was refused and stored"
        elif key not in known:
            known.add(key)
            keys = {"StudyInstanceUID": instance.study, "SeriesInstanceUID": instance.series,
                    "SOPInstanceUID": instance.sop_instance}
            query = identifier("IMAGE", **{keyword: uid for keyword, uid in keys.items() if uid})
            answers = find(target, query, negotiation=[extended("1.2.840.10008.5.1.4.1.2.2.1", relational=1)])
            assert answers.status == SUCCESS, f"{name}: C-FIND {answers.status:04X}H"
            got = get(target, query, [instance.pair], negotiation=[extended(STUDY_GET, relational=1)])
            assert [part.data for part in got.instances] == [instance.data], f"{name}: other bytes came back"
    with capsys.disabled():
        print(f"\n{len(files)} malformed files by C-STORE: {told(outcomes)}")
    # A second time nothing may be gathered up.
    memory = target.resident()
    for _, content in files:
        send(target, as_instance(content))
    assert target.resident() - memory < 32 * MEBIBYTE, "the same files again took memory"


@pytest.mark.limit(1800)
def test_by_stow_each_is_stored_exactly_or_refused_and_does_no_harm(target, files, capsys):
    outcomes, shown, seen = {}, {}, set()
    for name, content in files:
        reply = stow(target, [content])
        assert target.process.poll() is None, f"the server died of {name}"
        assert reply.status in (200, 202, 400, 409, 413, 415), f"{name}: {reply.status} {reply.body[:200]!r}"
        outcomes[reply.status] = outcomes.get(reply.status, 0) + 1
        if reply.status not in (200, 202):
            continue
        for uid in web.stored(reply):
            if uid in seen:
                continue
            seen.add(uid)
            for tail, status in looked_at(target, uid, content, name):
                shown[f"{tail} {status}"] = shown.get(f"{tail} {status}", 0) + 1
    with capsys.disabled():
        print(f"\n{len(files)} malformed files by STOW-RS: {told(outcomes)}; what was stored: {told(shown)}")
    assert outcomes.get(200, 0) + outcomes.get(202, 0) > 0 and outcomes.get(409, 0) + outcomes.get(400, 0) > 0
    # Bytes as they came, whatever was asked for before.
    reply = request(target, "GET", f"{web.ROOT}/studies?limit=5", {"Accept": JSON})
    assert reply.status in (200, 204)


def looked_at(target, uid, content, name):
    """Asks for one instance in every way: its own bytes, and metadata and pictures or a refusal."""
    rows = web.get(target, f"{web.ROOT}/instances" + web.query(SOPInstanceUID=uid), JSON).rows()
    assert len(rows) >= 1, f"{name}: not found"
    instance = Instance(CT, uid, EXPLICIT, b"", value(rows[0], "0020000D"), value(rows[0], "0020000E"))
    whole = web.get(target, path_of(instance), 'multipart/related; type="application/dicom"; transfer-syntax=*')
    assert whole.status == 200, f"{name}: {whole.status}"
    # Of several versions the newest is given, which is the one just sent, or the first where it is known already.
    assert any(content.endswith(web.read_part10(part.body).data) for part in whole.parts()), f"{name}: other bytes"
    for tail, accept in WAYS:
        try:
            reply = web.get(target, path_of(instance, tail), accept)
        except EOFError:
            # Begun as if it could be given, and given up: as clear as HTTP can be by then.
            yield tail, "broken off"
            continue
        assert reply.status in (200, *REFUSALS), f"{name}: {tail}: {reply.status} {reply.body[:200]!r}"
        yield tail, reply.status


@pytest.mark.limit(900)
def test_by_import_each_is_stored_or_refused(target, files, tmp_path, capsys):
    folder = tmp_path / "files"
    folder.mkdir()
    for number, (name, content) in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(content)
    done = target.command("import", folder, timeout=600)
    assert done.returncode in (0, 69), done.stderr[-2000:]
    stats = target.stats()
    with capsys.disabled():
        print(f"\n{len(files)} malformed files by import: {stats['versions']} versions of {stats['instances']} instances stored, "
              f"{stats['quarantinedFiles']} in quarantine")
    assert stats["instances"] > 0
