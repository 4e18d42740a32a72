"""Objects far larger than memory may hold: stored, found and fetched back in bounded memory; many associations at once.

Without SNIMOK_LARGE they have some 200 MB; with SNIMOK_LARGE=1 the full sizes: native pixel data of 4.0 × 10⁹ bytes, and
an encapsulated object above 4 GiB with an Extended Offset Table.
"""
import os
import random
import struct
import time

import pytest
from blake3 import blake3

from harness import wire
from harness.clients import find, identifier
from harness.samples import ROOT_UID, ct, element, encode, tiny

FULL = os.environ.get("SNIMOK_LARGE") == "1"
NATIVE_BYTES = 4_000_000_000 if FULL else 200_000_000
FRAME_BYTES, FRAMES = (64 << 20, 66) if FULL else (8 << 20, 25)
SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7.3"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
MEBIBYTE = 1 << 20
BLOCK = random.Random(4).randbytes(MEBIBYTE)


def filler(count, number):
    """`count` bytes in pieces, other ones for each number."""
    yield struct.pack("<Q", number)[:count]
    count -= min(8, count)
    while count:
        piece = BLOCK[:min(count, MEBIBYTE)]
        yield piece
        count -= len(piece)


def header(uid, frames):
    return (element(8, 0x16, "UI", SOP_CLASS) + element(8, 0x18, "UI", uid) + element(8, 0x60, "CS", "OT")
            + element(0x10, 0x10, "PN", "Large^Object") + element(0x10, 0x20, "LO", "LARGE")
            + element(0x20, 0x0D, "UI", f"{ROOT_UID}.6") + element(0x20, 0x0E, "UI", f"{ROOT_UID}.6.1")
            + element(0x28, 2, "US", b"\1\0") + element(0x28, 8, "IS", str(frames))
            + element(0x28, 0x10, "US", b"\0\x04") + element(0x28, 0x11, "US", b"\0\x04")
            + element(0x28, 0x100, "US", b"\x10\0"))


def native(uid):
    yield header(uid, NATIVE_BYTES // (1024 * 1024 * 2))
    yield element(0x7FE0, 0x10, "OW", b"", NATIVE_BYTES)
    yield from filler(NATIVE_BYTES, 0)


def encapsulated(uid):
    yield header(uid, FRAMES)
    yield element(0x7FE0, 1, "OV", b"".join(struct.pack("<Q", (FRAME_BYTES + 8) * n) for n in range(FRAMES)))
    yield element(0x7FE0, 2, "OV", struct.pack("<Q", FRAME_BYTES) * FRAMES)
    yield element(0x7FE0, 0x10, "OB", b"", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    for number in range(FRAMES):
        yield struct.pack("<HHI", 0xFFFE, 0xE000, FRAME_BYTES)
        yield from filler(FRAME_BYTES, number)
    yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def store(archive, syntax, uid, pieces):
    """Sends without holding the object; its size and digest."""
    digest, size = blake3(), 0
    with wire.Requestor(archive, [(SOP_CLASS, (syntax,))], timeout=300) as requestor:
        requestor.socket.sendall(wire.p_data(1, wire.command_set(wire.store_command(SOP_CLASS, uid)), is_command=True))
        room = min(requestor.maximum or MEBIBYTE, MEBIBYTE) - 6
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            for start in range(0, len(piece), room):
                requestor.socket.sendall(wire.p_data(1, piece[start:start + room], last=False))
        requestor.socket.sendall(wire.p_data(1, b"", last=True))
        response, _ = requestor.receive()
    assert response[wire.STATUS] == wire.SUCCESS, f"{response[wire.STATUS]:04X}H {response.get(wire.COMMENT)}"
    return size, digest.digest()


def fetch(archive, syntax, uid):
    """C-GET without holding the object; its size and digest."""
    name = SOP_CLASS.encode()
    role = wire.item(0x54, struct.pack(">H", len(name)) + name + b"\0\1")
    user = wire.user_information(maximum=MEBIBYTE, extra=role)
    digest, size, command, final = blake3(), 0, bytearray(), None
    query = encode(identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.6", SeriesInstanceUID=f"{ROOT_UID}.6.1",
                              SOPInstanceUID=uid), wire.IMPLICIT)
    contexts = [(STUDY_GET, (wire.IMPLICIT,)), (SOP_CLASS, (syntax,))]
    with wire.Requestor(archive, contexts, user=user, timeout=300) as requestor:
        requestor.send(1, {wire.CLASS: STUDY_GET, wire.FIELD: 0x0010, wire.MESSAGE: 1, wire.PRIORITY: 0,
                           wire.DATA_SET_TYPE: 1}, query)
        request = {}
        while final is None:
            kind, body = wire.read_pdu(requestor.socket)
            assert kind == wire.P_DATA, f"PDU type {kind}"
            offset = 0
            while offset < len(body):
                length, _, control = struct.unpack_from(">IBB", body, offset)
                value = memoryview(body)[offset + 6:offset + 4 + length]
                offset += 4 + length
                if control & 1:
                    command += value
                    if control & 2:
                        request, command = wire.parse_command(bytes(command)), bytearray()
                        if request[wire.FIELD] == 0x8010 and request[wire.STATUS] != 0xFF00:
                            final = request[wire.STATUS]
                elif request.get(wire.FIELD) == wire.C_STORE:
                    digest.update(value)
                    size += len(value)
                    if control & 2:
                        requestor.send(3, {wire.CLASS: SOP_CLASS, wire.FIELD: 0x8001, wire.DATA_SET_TYPE: 0x0101,
                                           wire.RESPONDED: request[wire.MESSAGE], wire.STATUS: 0, wire.INSTANCE: uid})
    assert final == 0, f"C-GET ended with {final:04X}H"
    return size, digest.digest()


@pytest.mark.limit(1500)
@pytest.mark.parametrize("name, syntax, make", [
    ("native", wire.EXPLICIT, native), ("encapsulated", JPEG_2000, encapsulated)], ids=["native", "encapsulated"])
def test_a_large_object_is_stored_found_and_fetched_in_bounded_memory(name, syntax, make, new_archive, capsys):
    archive = new_archive()
    # What every process needs once it works: first associations, first pages of the catalog.
    wire.echo(archive)
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
        requestor.store(ct())
    idle = archive.resident()
    archive.reset_peak()
    uid = f"{ROOT_UID}.6.1.{len(name)}"
    begun = time.monotonic()
    sent = store(archive, syntax, uid, make(uid))
    stored = time.monotonic()
    found = find(archive, identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.6", SeriesInstanceUID=f"{ROOT_UID}.6.1",
                                     SOPInstanceUID=uid, NumberOfFrames=""))
    assert found.status == 0 and len(found.rows) == 1
    fetching = time.monotonic()
    assert fetch(archive, syntax, uid) == sent, "other bytes came back"
    fetched = time.monotonic()
    more = archive.peak() - idle
    with capsys.disabled():
        print(f"\n{name}, {sent[0] / 1e9:.2f} GB: stored at {sent[0] / 1e6 / (stored - begun):.0f} MB/s, fetched at "
              f"{sent[0] / 1e6 / (fetched - fetching):.0f} MB/s, at most {more / 1e6:.1f} MB more than idle")
    assert more <= 64_000_000


def test_64_associations_at_once_hold_bounded_memory(new_archive, capsys):
    archive = new_archive()
    idle = archive.resident()
    archive.reset_peak()
    opened = [wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))], timeout=120) for _ in range(64)]
    try:
        for number, requestor in enumerate(opened):
            instance = tiny(f"{ROOT_UID}.7.{number}", f"{ROOT_UID}.7", f"{ROOT_UID}.7.0", size=130_000)
            requestor.send(1, wire.store_command(wire.CT, instance.sop_instance, 1), instance.data)
        for requestor in opened:
            assert requestor.receive()[0][wire.STATUS] == wire.SUCCESS
    finally:
        for requestor in opened:
            requestor.release()
            requestor.socket.close()
    with capsys.disabled():
        print(f"\n64 associations: {archive.peak() / 1e6:.1f} MB at most, {idle / 1e6:.1f} MB when idle")
    assert archive.peak() - idle < 256 * MEBIBYTE
