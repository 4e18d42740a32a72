# SPDX-License-Identifier: Apache-2.0
"""Single flipped bits in a stored record: each is noticed by whoever reads it, and no other byte is ever served.

The bit is turned in the file under a running server, and turned back after the read. All bits of the record's header, its
provenance and its index (with the checksums) are tried, those of the payload by seed: SNIMOK_FLIPS of them (100,000 in
the full proof). The zeros between index and payload and behind the payload belong to nobody and are not looked at by a
read; that they never change an answer is tried, too.
"""
import os
import time
from collections import Counter

import pytest
import read_log

from harness import web
from harness.archive import DAMAGED, Archive, configuration
from harness.clients import Destination, get, identifier, move
from harness.samples import ct
from proof import FULL, SEED, amount, chooser, record
from scenarios import Promises

FLIPS = amount("SNIMOK_FLIPS", 2000, 100_000)
HEADER = 256
# Of a square picture of 16 bits: about a megabyte.
ROWS = 724
SAMPLE = 40 if FULL else 8


class Record:
    """Where an instance lies on disk, and its parts."""

    def __init__(self, archive, instance):
        about = read_log.json.loads((archive.data / "format").read_text())
        found = None
        for segment, offset, header in read_log.records(archive.data, read_log.uuid.UUID(about["archive"]).bytes):
            if header is None or read_log.number(header, 4, 2) not in (read_log.INSTANCE, read_log.LARGE_INSTANCE):
                continue
            provenance = segment.data[offset + HEADER:offset + HEADER + read_log.number(header, 88, 4)]
            if read_log.fields(provenance)[10].decode() == instance.sop_instance:
                # A healed instance has a later record, too: that is the one that is read.
                found = segment.number, segment.writer, offset, bytes(header)
        assert found, f"{instance.sop_instance} is not in the log"
        number, writer, self.offset, header = found
        self.path = archive.data / "segments" / f"{writer:08x}-{number:08x}.seg"
        self.is_large = read_log.number(header, 4, 2) == read_log.LARGE_INSTANCE
        self.head = HEADER + read_log.number(header, 88, 4) + read_log.number(header, 92, 4)
        self.payload = read_log.number(header, 96, 4)
        self.payload_length = read_log.number(header, 64)
        self.data_set_length = read_log.number(header, 72)
        self.length = read_log.number(header, 16)
        if self.is_large:
            self.large = archive.data / "large" / f"{header[32:64].hex()}-{read_log.number(header, 80):016x}.dcm"

    def head_bits(self):
        return [(self.path, self.offset + bit // 8, bit % 8) for bit in range(self.head * 8)]

    def payload_bit(self, chosen):
        byte, bit = chosen.randrange(self.payload_length), chosen.randrange(8)
        return (self.large, byte, bit) if self.is_large else (self.path, self.offset + self.payload + byte, bit)

    def place(self, path, position):
        """Where a byte lies within the payload; negative: before it."""
        return position if self.is_large and path == self.large else position - self.offset - self.payload

    def nobodys_bits(self, chosen, count):
        """Of the zeros around the payload."""
        gaps = [*range(self.head, self.payload), *range(self.payload + self.payload_length, self.length)]
        return [(self.path, self.offset + chosen.choice(gaps), chosen.randrange(8)) for _ in range(count)] if gaps else []


class Flipped:
    """A bit of a file that is turned while the block runs."""

    def __init__(self, path, position, bit):
        self.path, self.position, self.bit = path, position, bit

    def __enter__(self):
        self.file = os.open(self.path, os.O_RDWR)
        self.byte = os.pread(self.file, 1, self.position)
        os.pwrite(self.file, bytes([self.byte[0] ^ 1 << self.bit]), self.position)

    def __exit__(self, *_):
        os.pwrite(self.file, self.byte, self.position)
        os.close(self.file)


class Reader:
    """GETs over a connection that stays open as long as the server leaves it open."""

    def __init__(self, archive):
        self.archive, self.connection = archive, None

    def get(self, target, accept):
        """Status and body. A body that ends early, as one that is broken off does: status 0 and what came of it."""
        request = web.head_of(self.archive, "GET", target, [("Accept", accept)])
        for attempt in range(2):
            is_new = self.connection is None
            if is_new:
                self.connection = web.connect(self.archive)
            try:
                self.connection.sendall(request)
                status, body, stays = self._read()
                if not stays:
                    self.close()
                return status, body
            except (ConnectionError, EOFError):
                self.close()
                # One that the server had closed meanwhile is no answer.
                if is_new or attempt:
                    raise
        raise AssertionError("unreachable")

    def _read(self):
        head = bytearray()
        while (end := head.find(b"\r\n\r\n")) < 0:
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise EOFError
            head += piece
        lines = bytes(head[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status, rest = int(lines[0].split(" ")[1]), head[end + 4:]
        try:
            if headers.get("transfer-encoding") == "chunked":
                body = self._chunks(rest)
            else:
                body = self._exactly(rest, int(headers.get("content-length", 0)))
        except _Cut as cut:
            self.close()
            return 0, cut.body, True
        return status, body, headers.get("connection", "").lower() != "close"

    def _exactly(self, data, count):
        while len(data) < count:
            data += self._more(data)
        return bytes(data)

    def _chunks(self, data):
        body, at = bytearray(), 0
        while True:
            while (end := data.find(b"\r\n", at)) < 0:
                data += self._more(body)
            size = int(data[at:end].split(b";")[0], 16)
            at = end + 2
            while len(data) < at + size + 2:
                data += self._more(body + data[at:at + size])
            body += data[at:at + size]
            at += size + 2
            if size == 0:
                return bytes(body)

    def _more(self, body):
        try:
            piece = self.connection.recv(1 << 20)
        except ConnectionError:
            piece = b""
        if not piece:
            raise _Cut(bytes(body))
        return piece

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class _Cut(Exception):
    def __init__(self, body):
        super().__init__("the body ends early")
        self.body = body


class Proof:
    """One instance, the answers that are right, and the flips that were tried."""

    def __init__(self, archive, instance, rows):
        self.archive, self.instance = archive, instance
        self.reader = Reader(archive)
        self.record = Record(archive, instance)
        path = web.path_of(instance)
        self.requests = {
            "instance": (path, "application/dicom; transfer-syntax=*"),
            "metadata": (f"{path}/metadata", web.JSON),
            "frames": (f"{path}/frames/1", "application/octet-stream; transfer-syntax=*")}
        self.right = {kind: self._answer(kind) for kind in self.requests}
        assert all(status == 200 for status, _ in self.right.values()), {k: s for k, (s, _) in self.right.items()}
        assert self.right["instance"][1].endswith(instance.data)
        # Where the pixel data's value lies in the payload: what `frames` reads, and `metadata` does not.
        self.pixels = len(self.right["instance"][1]) - rows * rows * 2
        self.outcomes = Counter()
        self.healed = 0

    def _answer(self, kind):
        return self.reader.get(*self.requests[kind])

    def must_notice(self, kind, place):
        """Whether an answer needs the byte at this place in the payload; before it is what every reader needs."""
        if place < 0 or kind == "instance":
            return True
        is_pixel = place >= self.pixels
        return is_pixel if kind == "frames" else not is_pixel

    def try_bit(self, kind, path, position, bit, is_anybodys=True):
        with Flipped(path, position, bit):
            status, body = self._answer(kind)
        right = self.right[kind][1]
        what = f"{kind}, bit {bit} at {position} of {path.name} (SNIMOK_SEED={SEED})"
        if status == 200:
            assert body == right, f"other bytes were served: {what}"
            needed = is_anybodys and self.must_notice(kind, self.record.place(path, position))
            assert not needed, f"not noticed: {what}"
            self.outcomes["not read"] += 1
        elif status == 0:
            assert right.startswith(body), f"other bytes were served before the answer broke off: {what}"
            self.outcomes["broken off"] += 1
        else:
            assert status >= 500 or status == 404, f"{status}: {what}"
            self.outcomes["refused"] += 1

    def control(self, kind):
        """With all bits as they were, the answer is right again; an archive that remembers damage is sent a good copy."""
        if self._answer(kind) == self.right[kind]:
            return
        Promises().store(self.archive, self.instance)
        self.record = Record(self.archive, self.instance)
        assert self._answer(kind) == self.right[kind], f"{kind} is not served any more, though no bit is wrong"
        self.healed += 1

    def run(self, bits, kinds, is_anybodys=True):
        for number, (path, position, bit) in enumerate(bits):
            kind = kinds[number % len(kinds)]
            before = self.record
            if number % 200 == 0:
                self.control(kind)
            if self.record is not before:
                # It moved: the same place of the new record.
                path, position = self.record.path, position - before.offset + self.record.offset
            self.try_bit(kind, path, position, bit, is_anybodys)


@pytest.fixture
def stored(tmp_path):
    """An archive with the instance and neighbours on both sides, which stay well."""
    destination = Destination()
    archive = Archive(tmp_path, configuration(imaging={"cacheMiB": 0, "workers": 1}, peers=[
        destination.peer(), {"aeTitle": "TESTER", "addresses": ["127.0.0.1/32"]}]))
    instance = ct(study=33, rows=ROWS)
    neighbours = [ct(study=33, number=number) for number in (2, 3)]
    try:
        archive.start()
        Promises().store(archive, neighbours[0], instance, neighbours[1])
        yield archive, instance, neighbours, destination
    finally:
        archive.kill()
        destination.close()


def served(archive, instance):
    reply = web.get(archive, web.path_of(instance), accept=web.related(web.DICOM, transfer_syntax="*"))
    return web.read_part10(reply.part().body).data


@pytest.mark.limit(7200 if FULL else 300)
def test_every_flipped_bit_is_noticed_and_none_is_served(stored, capsys):
    archive, instance, neighbours, _ = stored
    proof = Proof(archive, instance, ROWS)
    content = proof.record.path.read_bytes()
    chosen = chooser("bit flips")
    begun = time.monotonic()
    kinds = ["instance", "metadata", "frames"]
    # Every bit of the head with each kind of read in the full form, with one of them in turn in the quick one.
    head = proof.record.head_bits()
    for kind in kinds if FULL else [None]:
        proof.run(head, [kind] if kind else kinds)
    in_head = proof.outcomes.total()
    assert proof.outcomes["not read"] == 0
    proof.run([proof.record.payload_bit(chosen) for _ in range(FLIPS)], kinds[:1] * 3 + kinds[1:])
    nobodys = proof.record.nobodys_bits(chosen, 2000 if FULL else 60)
    proof.run(nobodys, kinds, is_anybodys=False)
    seconds = time.monotonic() - begun
    assert proof.healed or proof.record.path.read_bytes() == content, "a bit was not turned back"
    for neighbour in neighbours:
        assert served(archive, neighbour) == neighbour.data
    archive.verify("--full")
    record("bitflips", head=in_head, headBits=len(head), payload=FLIPS, nobodys=len(nobodys), served=0, unnoticed=0,
           **{name.replace(" ", "_"): count for name, count in proof.outcomes.items()})
    with capsys.disabled():
        print(f"\n{in_head} bits of header, provenance and index and {FLIPS} of the payload turned (SNIMOK_SEED={SEED}): "
              f"{proof.outcomes['refused']} reads refused, {proof.outcomes['broken off']} broken off, "
              f"{proof.outcomes['not read']} right answers that needed no such bit ({len(nobodys)} bits are nobody's); no "
              f"other byte served; {proof.outcomes.total() / seconds:.0f} a second")


@pytest.mark.limit(600)
def test_no_protocol_serves_a_flipped_bit(stored, capsys):
    """C-GET, C-MOVE, ZIP, rendered pictures, bulk data, export and a range; and `verify` finds it."""
    archive, instance, neighbours, destination = stored
    proof = Proof(archive, instance, ROWS)
    chosen = chooser("protocols")
    head = proof.record.head_bits()
    bits = [chosen.choice(head) for _ in range(SAMPLE // 2)] + [proof.record.payload_bit(chosen) for _ in range(SAMPLE)]
    # The payload's chosen bits are pixels, nearly all of it is: rendered pictures need them.
    keys = dict(StudyInstanceUID=instance.study, SeriesInstanceUID=instance.series)
    for path, position, bit in bits:
        what = f"bit {bit} at {position}"
        with Flipped(path, position, bit):
            got = get(archive, identifier("SERIES", **keys))
            assert instance.sop_instance not in got.by_uid(), f"C-GET served {what}"
            assert got.failed == 1 and got.failed_instances == [instance.sop_instance], f"C-GET: {what}"
            for neighbour in neighbours:
                assert got.by_uid()[neighbour.sop_instance].data == neighbour.data
            destination.received.clear()
            moved = move(archive, identifier("SERIES", **keys), destination.title)
            assert instance.sop_instance not in [one.sop_instance for one in destination.received], f"C-MOVE served {what}"
            assert moved.failed == 1 and len(destination.received) == 2
            for target, accept in [
                    (f"{web.path_of(instance)}/rendered", "image/jpeg"), (f"{web.path_of(instance)}/thumbnail", "image/jpeg"),
                    (f"{web.ROOT}/studies/{instance.study}", web.ZIP),
                    (f"{web.path_of(instance)}/bulkdata/7FE00010", web.BYTES)]:
                is_head = proof.record.place(path, position) < proof.pixels
                status, _ = proof.reader.get(target, accept)
                # A picture may be made without the bytes of other attributes.
                assert status == 0 or status >= 400 or is_head and proof.record.place(path, position) >= 0, \
                    f"{target} answered {status}: {what}"
            verified = archive.verify("--full", check=None)
            assert verified.returncode == DAMAGED, f"verify did not find {what}"
        proof.control("instance")
    record("bitflips-protocols", flips=len(bits), served=0, unnoticed=0)
    with capsys.disabled():
        print(f"\n{len(bits)} bits turned (SNIMOK_SEED={SEED}): none served by C-GET, C-MOVE, ZIP, rendered, thumbnail or "
              "bulk data, each found by verify")


@pytest.mark.limit(1200 if FULL else 300)
def test_a_flipped_bit_of_a_large_object_is_noticed(tmp_path, capsys):
    archive = Archive(tmp_path, configuration(storage={"largeObjectMiB": 1}))
    rows = 1024
    instance = ct(study=34, rows=rows)
    try:
        archive.start()
        Promises().store(archive, instance)
        proof = Proof(archive, instance, rows)
        assert proof.record.is_large
        chosen = chooser("large object")
        proof.run([proof.record.payload_bit(chosen) for _ in range(FLIPS // 20)], ["instance", "metadata", "frames"])
        head = proof.record.head_bits()
        proof.run([chosen.choice(head) for _ in range(FLIPS // 20)], ["instance", "metadata", "frames"])
        archive.verify("--full")
    finally:
        archive.kill()
    record("bitflips-large", flips=FLIPS // 20 * 2, served=0, unnoticed=0)
    with capsys.disabled():
        print(f"\n{FLIPS // 20 * 2} bits of a large object and its record turned (SNIMOK_SEED={SEED}): {dict(proof.outcomes)}")
