#!/usr/bin/env python3
"""Extracts every instance of a data directory, knowing Storage/FORMAT.md alone: read_log.py DATA OUT.

It uses Python and its package blake3, nothing of snimok. Each instance becomes OUT/SEQUENCE.dcm; the exit code is 1 when anything was
damaged or missing. XXH3 sums, which also cover the head of each file before its data set, are left to the archive.
"""
import json
import mmap
import sys
import uuid
from hashlib import blake2b
from pathlib import Path
from struct import pack, unpack_from

from blake3 import blake3

INSTANCE, LARGE_INSTANCE, TRANSFER_SYNTAX = 1, 2, 11


def number(data, offset, size=8):
    return int.from_bytes(data[offset:offset + size], "little")


class Segment:
    """A segment file whose block is good."""

    def __init__(self, path, archive):
        with path.open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        block = self.data[:96]
        magic, version, self.writer, self.number = unpack_from("<8sIII", block.ljust(96, b"\0"))
        digest = blake2b(block[:80], digest_size=16).digest()
        if (magic, block[32:48], block[80:]) != (b"SNIMOKSG", archive, digest):
            raise ValueError("the segment block is damaged")
        self.blob_hash = blake3 if version == 2 else lambda content: blake2b(content, digest_size=32)
        self.secret = block[48:80]

    def header(self, offset):
        """The 256 bytes of a record's header; None if no record begins here."""
        header = self.data[offset:offset + 256]
        place = pack("<IIQ", self.writer, self.number, offset)
        digest = blake2b(header[:240] + place, digest_size=16, key=self.secret).digest()
        return header if header[:4] == b"SNRC" and header[240:] == digest else None


def live(data):
    """The segment files that count, in the order of their numbers: of each number the highest generation."""
    return [path for _, path in sorted(
        {path.stem[9:]: path for path in sorted((data / "segments").glob("????????-????????.seg"))}.items())]


def records(data, archive):
    """Segment, offset and header of each record; the header is None where there should be one and none is found."""
    for path in live(data):
        try:
            segment, offset = Segment(path, archive), 4096
        except ValueError:
            yield path, 0, None
            continue
        while offset < len(segment.data):
            header = segment.header(offset)
            yield segment if header else path, offset, header
            offset += number(header, 16) if header else 4096


def fields(provenance):
    found = {}
    while provenance:
        end = 4 + number(provenance, 2, 2)
        found[provenance[0]], provenance = provenance[4:end], provenance[end:]
    return found


def payload(data, segment, offset, header):
    """The DICOM file that a record holds or names."""
    blob, length, start = header[32:64], number(header, 64), offset + number(header, 96, 4)
    if number(header, 4, 2) == LARGE_INSTANCE:
        name = f"{blob.hex()}-{number(header, 80):016x}.dcm"
        files = [path for path in (data / "large" / name, data / "incoming" / name) if path.exists()]
        content = files[0].read_bytes() if files else b""
    else:
        content = segment.data[start:start + length]
    provenance = segment.data[offset + 256:offset + 256 + number(header, 88, 4)]
    syntax = fields(provenance).get(TRANSFER_SYNTAX, b"")
    data_set = content[length - number(header, 72):]
    if len(content) != length or segment.blob_hash(syntax.ljust(64, b"\0") + data_set).digest() != blob:
        raise ValueError(f"blob {blob.hex()} is damaged or missing")
    return content


def extract(data, out):
    about, damaged = json.loads((data / "format").read_text()), 0
    if about["format"] not in (1, 2):
        raise SystemExit(f"format {about['format']} is not known here")
    out.mkdir(parents=True, exist_ok=True)
    for segment, offset, header in records(data, uuid.UUID(about["archive"]).bytes):
        try:
            if header is None:
                raise ValueError(f"no record in {segment} at {offset}")
            if number(header, 4, 2) in (INSTANCE, LARGE_INSTANCE):
                (out / f"{number(header, 8):012}.dcm").write_bytes(payload(data, segment, offset, header))
        except ValueError as error:
            damaged += 1
            print(error, file=sys.stderr)
    return damaged


if __name__ == "__main__":
    sys.exit(1 if extract(Path(sys.argv[1]), Path(sys.argv[2])) else 0)
