# SPDX-License-Identifier: Apache-2.0
"""WADO-RS and WADO-URI (PS3.18 sections 9 and 10.4): every valid file comes back byte for byte, metadata say what pydicom reads."""
import io
import math
import re
import struct
import subprocess
import time
import warnings
import zipfile
from base64 import b64decode
from collections import Counter

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet
from requests import HTTPError

from harness import web
from harness.archive import Archive, configuration
from harness.clients import store_all
from harness.samples import ROOT_UID, ct, ct_data_set, data_set_bytes, instance, item, read_file
from harness.wire import BIG_ENDIAN, CT, DEFLATED, EXPLICIT, IMPLICIT
from harness.web import BYTES, DICOM, JSON, ZIP, client, get, path_of, query, related, request, value
from test_pydicom_files import assert_same, sort_files, waves

AS_STORED = related(DICOM, transfer_syntax="*")
OHIF_METADATA = "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*"
OHIF_FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
IMAGE_TAG = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
BASELINE, JLS, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


# Every file

def check_instance(archive, sent, way):
    part = get(archive, path_of(web.placed(archive, sent)), AS_STORED).part()
    assert part.content_type.replace('"', "") == f"application/dicom; transfer-syntax={sent.transfer_syntax}".replace('"', "")
    received = web.read_part10(part.body)
    assert received.sop_instance == sent.sop_instance
    assert_same(received, sent, way)


def stow_files(archive, wave):
    """Stores the files themselves, some forty at once; the answer's UIDs are those sent."""
    for start in range(0, len(wave), 40):
        batch = wave[start:start + 40]
        reply = web.stow(archive, [sent.path.read_bytes() for sent in batch]).expect(200)
        assert sorted(web.stored(reply)) == sorted(sent.sop_instance for sent in batch)


@pytest.mark.limit(600)
@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_every_valid_file_comes_back_byte_for_byte_after(way, archive, capsys):
    valid, refused, excluded = sort_files()
    assert len(valid) > 200, "pydicom's files are missing"
    ordered = waves(valid)
    for wave in ordered:
        store_all(archive, wave) if way == "C-STORE" else stow_files(archive, wave)
        for sent in wave:
            check_instance(archive, sent, way)
    if way == "STOW-RS":
        for sent, reason in refused:
            reply = web.stow(archive, [sent.path.read_bytes()]).expect(409)
            assert web.failed(reply) and not web.stored(reply), f"{sent.path.name}: {reason}"
    stats = archive.stats()
    assert stats["instances"] == len(ordered[0]) and stats["versions"] == sum(map(len, ordered))
    with capsys.disabled():
        print(f"\n{len(valid)} valid files ({sum(map(len, ordered))} contents of {len(ordered[0])} instances) are byte "
              f"for byte as sent by {way}; {len(refused)} refused")
        for reason, count in Counter(reason for _, reason in excluded).most_common():
            print(f"  excluded, {count}: {reason}")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The first content of each instance among pydicom's files."""
    archive = Archive(tmp_path_factory.mktemp("library"), configuration()).start()
    try:
        archive.wave = waves(sort_files()[0])[0]
        store_all(archive, archive.wave)
        for sent in archive.wave:
            web.placed(archive, sent)
        yield archive
        archive.close()
    finally:
        archive.kill()


@pytest.mark.limit(600)
def test_every_study_and_series_comes_back_whole(library):
    studies = {}
    for sent in library.wave:
        studies.setdefault(sent.study, {}).setdefault(sent.series, []).append(sent)
    for study, series in studies.items():
        everything = [sent for each in series.values() for sent in each]
        check_set(get(library, f"studies/{study}", AS_STORED).parts(), everything)
        for uid, each in series.items():
            if len(series) > 1:
                check_set(get(library, f"studies/{study}/series/{uid}", AS_STORED).parts(), each)


def check_set(parts, sent):
    assert len(parts) == len(sent)
    by_data = {web.read_part10(part.body).data for part in parts}
    assert by_data == {each.data for each in sent}


# Metadata (PS3.18 section 10.4.1.1.2, annex F) against pydicom's reading

BINARY = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}


@pytest.mark.limit(600)
def test_metadata_of_every_file_say_what_pydicom_reads(library, capsys):
    differing, bulk = [], 0
    for sent in library.wave:
        row, = get(library, path_of(sent, "metadata"), JSON).rows()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(sent.path)
            if "PixelData" in dataset and dataset.file_meta.TransferSyntaxUID == BIG_ENDIAN and dataset["PixelData"].VR == "OW":
                dataset["PixelData"]._value = swapped(dataset.PixelData, 2)
            said = Comparison(library, sent)
            said.data_sets(dataset, row, "")
        differing += said.differing
        bulk += said.bulk
    with capsys.disabled():
        print(f"\nmetadata of {len(library.wave)} files compared, {bulk} values of bulk data fetched")
    assert not differing, f"{len(differing)} differ:\n" + "\n".join(differing[:40])
    assert bulk > 60


def swapped(data, size):
    return b"".join(data[at:at + size][::-1] for at in range(0, len(data), size))


class Comparison:
    """pydicom's data set beside the JSON model, value by value."""

    def __init__(self, archive, sent):
        self.archive, self.sent, self.differing, self.bulk = archive, sent, [], 0

    def data_sets(self, dataset, row, path):
        expected = {}
        for tag in dataset.keys():
            # Group lengths are left out (PS3.18 section F.2.2).
            if tag.element == 0:
                continue
            try:
                expected[f"{tag:08X}"] = dataset[tag]
            except Exception as error:
                # pydicom itself cannot read the value: whatever is said cannot be compared.
                expected[f"{tag:08X}"] = error
        for tag in sorted(set(expected) ^ set(row)):
            self.differ(path + tag, "only in the file" if tag in expected else "only in the metadata")
        for tag in sorted(set(expected) & set(row)):
            if not isinstance(expected[tag], Exception):
                self.attribute(expected[tag], row[tag], path + tag)

    def differ(self, path, what):
        self.differing.append(f"{self.sent.path.name} {path}: {what}")

    def attribute(self, element, said, path):
        if path.endswith("00080005"):
            # JSON is UTF-8, whatever was stored (PS3.18 section F.2).
            if said != {"vr": "CS", "Value": ["ISO_IR 192"]}:
                self.differ(path, str(said))
            return
        if said["vr"] != element.VR and not {said["vr"], element.VR} <= BINARY and not (
                element.tag.is_private and "UN" in (said["vr"], element.VR)):
            return self.differ(path, f"VR {said['vr']}, pydicom reads {element.VR}")
        if "BulkDataURI" in said or "InlineBinary" in said:
            return self.binary(element, said, path)
        if element.VR == "SQ":
            items = said.get("Value", [])
            if len(items) != len(element.value):
                return self.differ(path, f"{len(items)} items for {len(element.value)}")
            for number, (dataset, entry) in enumerate(zip(element.value, items)):
                self.data_sets(dataset, entry, f"{path}.{number}.")
            return
        try:
            expected = element.to_json_dict(None, 0).get("Value", [])
        except Exception:
            return
        if element.VR in BINARY or said["vr"] in BINARY:
            # Private elements that one of the two knows: empty, or compared as binary above.
            if bool(element.value) != bool(said.get("Value")):
                self.differ(path, f"{said} for {element.value!r}")
            return
        if not same(expected, said.get("Value", []), element.VR):
            self.differ(path, f"{element.VR} {said.get('Value')} for {expected}")

    def binary(self, element, said, path):
        expected = element.value
        if element.VR in ("US", "SS") and not isinstance(expected, int):
            # A table so long that it is bulk data.
            expected = struct.pack(f"<{len(expected)}{'H' if element.VR == 'US' else 'h'}", *expected)
        if not isinstance(expected, bytes):
            # A private element whose VR pydicom knows and the file does not say.
            return None if element.tag.is_private else self.differ(path, f"{element.VR} is told as binary")
        if "InlineBinary" in said:
            data = b64decode(said["InlineBinary"], validate=True)
        elif element.tag == 0x7FE00010 and element.is_undefined_length:
            return None  # test_dicomweb_pixels.py fetches compressed frames.
        else:
            self.bulk += 1
            address = web.here(self.archive, said["BulkDataURI"])
            data = get(self.archive, address, BYTES).expect(200).body
            if self.bulk % 5 == 0:
                assert get(self.archive, address, OHIF_FRAMES).part().body == data
        # Big endian words are told in the byte order of the web.
        accepted = {expected} | ({swapped(expected, 2)} if self.sent.transfer_syntax == BIG_ENDIAN else set())
        if data not in accepted and data not in {each + b"\0" for each in accepted}:
            self.differ(path, f"{len(data)} bytes for {len(expected)}, or other ones")


def same(expected, said, vr):
    """Equal values; None stands for an empty one, numbers may be told as text of the same number."""
    if vr == "PN":
        def groups(values):
            return [{key: text for key, text in (entry or {}).items() if text} for entry in values]
        return strip(groups(expected)) == strip(groups(said))
    if len(strip(expected)) != len(strip(said)):
        return False
    return all(one(left, right, vr) for left, right in zip(expected, said))


def strip(values):
    values = list(values)
    while values and values[-1] in (None, "", {}):
        values.pop()
    return values


def one(left, right, vr):
    if left in (None, "") or right in (None, ""):
        return left in (None, "") and right in (None, "")
    if vr in ("DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "SV", "UV"):
        left, right = float(left), float(right)
        if math.isnan(left):
            return math.isnan(right)
        return left == right or (vr == "FL" and struct.pack("<f", left) == struct.pack("<f", right))
    return str(left).rstrip(" \0") == str(right).rstrip(" \0")


# dicomweb-client

@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two series of three slices, other transfer syntaxes, bulk data in items, an enhanced image and a JPEG."""
    archive = web.with_pictures(tmp_path_factory.mktemp("scans"))
    try:
        archive.slices = [ct(1, series, number) for series in (1, 2) for number in (1, 2, 3)]
        archive.big = ct(2, 1, 1, rows=512)
        archive.jpeg = read_file(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"))
        archive.multiframe = read_file(get_testdata_file("emri_small.dcm"))
        archive.swapped = ct(3, 1, 1, transfer_syntax=BIG_ENDIAN)
        archive.implicit = ct(4, 1, 1, transfer_syntax=IMPLICIT)
        archive.nested = instance(with_bulk_data())
        store_all(archive, [*archive.slices, archive.big, archive.jpeg, archive.multiframe, archive.swapped,
                            archive.implicit, archive.nested])
        yield archive
        archive.close()
    finally:
        archive.kill()


PRIVATE = bytes(range(256)) * 32
LUT = b"".join(struct.pack("<H", number) for number in range(4096))


def with_bulk_data():
    dataset = ct_data_set(5, 1, 1)
    dataset.ModalityLUTSequence = [item(LUTDescriptor=[4096, 0, 16], ModalityLUTType="US")]
    dataset.ModalityLUTSequence[0].add_new("LUTData", "OW", LUT)
    block = dataset.private_block(0x0009, "SNIMOK TESTS", create=True)
    block.add_new(0x10, "OB", PRIVATE)
    block.add_new(0x11, "UN", b"tiny")
    dataset.add_new(0x60003000, "OW", bytes(range(32)))
    return dataset


def uids(sent):
    return sent.study, sent.series, sent.sop_instance


def test_dicomweb_client_retrieves_each_level(scans):
    study, series, sop = uids(scans.slices[0])
    any_syntax = ((DICOM, "*"),)
    for got, count in ((client(scans).retrieve_study(study, any_syntax), 6), (list(client(scans).iter_study(study, any_syntax)), 6),
                       (client(scans).retrieve_series(study, series, any_syntax), 3),
                       (list(client(scans).iter_series(study, series, any_syntax)), 3),
                       ([client(scans).retrieve_instance(study, series, sop, any_syntax)], 1)):
        sent = {each.sop_instance: each for each in scans.slices}
        assert len({dataset.SOPInstanceUID for dataset in got}) == count
        for dataset in got:
            original = sent[dataset.SOPInstanceUID].data
            assert dataset.PixelData == original[-512:] and dataset.file_meta.TransferSyntaxUID == EXPLICIT


def test_dicomweb_client_gets_another_syntax_when_it_asks(scans):
    for sent in (scans.swapped, scans.implicit, scans.jpeg):
        dataset = client(scans).retrieve_instance(*uids(sent), ((DICOM, EXPLICIT),))
        assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert client(scans).retrieve_instance(*uids(scans.implicit), ((DICOM, EXPLICIT),)).PixelData == scans.implicit.data[-512:]


def test_explicit_little_endian_is_the_default(scans):
    # PS3.18 table 8.7.3-2: without a transfer syntax, application/dicom is Explicit VR Little Endian.
    for sent in (scans.swapped, scans.implicit, scans.jpeg):
        for accept in (related(DICOM), DICOM):
            reply = get(scans, path_of(sent), accept).expect(200)
            body = reply.body if reply.media == DICOM else reply.part().body
            assert web.read_part10(body).transfer_syntax == EXPLICIT, accept
        reply = wado(scans, sent, contentType=DICOM).expect(200)
        assert web.read_part10(reply.body).transfer_syntax == EXPLICIT, "WADO-URI"


def test_dicomweb_client_retrieves_metadata_of_each_level(scans):
    study, series, sop = uids(scans.slices[4])
    for rows, count in ((client(scans).retrieve_study_metadata(study), 6), (client(scans).retrieve_series_metadata(study, series), 3),
                        (client(scans).retrieve_instance_metadata(study, series, sop), None)):
        rows = rows if isinstance(rows, list) else [rows]
        assert len({value(row, "00080018") for row in rows}) == (count or 1)
        assert all(row["7FE00010"]["BulkDataURI"] for row in rows)


def test_dicomweb_client_retrieves_frames(scans):
    study, series, sop = uids(scans.multiframe)
    pixels = pydicom.dcmread(scans.multiframe.path).pixel_array
    wanted = [3, 1, len(pixels)]
    for media in (None, (BYTES,), ((BYTES, EXPLICIT),)):
        frames = client(scans).retrieve_instance_frames(study, series, sop, wanted, media)
        assert frames == [pixels[number - 1].tobytes() for number in wanted]
    assert list(client(scans).iter_instance_frames(study, series, sop, [2])) == [pixels[1].tobytes()]


def test_dicomweb_client_retrieves_compressed_frames(scans):
    frame, = client(scans).retrieve_instance_frames(*uids(scans.jpeg), [1], (("image/jpeg", BASELINE),))
    assert frame[:2] == b"\xff\xd8" and frame in scans.jpeg.data
    frame, = client(scans).retrieve_instance_frames(*uids(scans.big), [1], (("image/jls", JLS),))
    assert frame[:4] == b"\xff\xd8\xff\xf7"


def test_dicomweb_client_retrieves_bulk_data(scans):
    row = client(scans).retrieve_instance_metadata(*uids(scans.nested))
    row = row[0] if isinstance(row, list) else row
    pixels = row["7FE00010"]["BulkDataURI"]
    table = row["00283000"]["Value"][0]["00283006"]["BulkDataURI"]
    private = row["00091010"]["BulkDataURI"]
    for address, expected in ((pixels, scans.nested.data[-512:]), (table, LUT), (private, PRIVATE)):
        address = web.absolute(scans, address)
        assert client(scans).retrieve_bulkdata(address) == [expected]
        assert client(scans).retrieve_bulkdata(address, (BYTES,)) == [expected]
        assert list(client(scans).iter_bulkdata(address)) == [expected]
    assert b64decode(row["60003000"]["InlineBinary"]) == bytes(range(32)) and b64decode(row["00091011"]["InlineBinary"]) == b"tiny"


def test_dicomweb_client_retrieves_rendered(scans):
    sent = scans.big
    jpeg = client(scans).retrieve_instance_rendered(*uids(sent))
    assert jpeg[:3] == b"\xff\xd8\xff"
    assert client(scans).retrieve_instance_rendered(*uids(sent), ("image/jpeg",), {"quality": 20, "viewport": "64,64"})[:3] == jpeg[:3]
    assert client(scans).retrieve_instance_rendered(*uids(sent), ("image/png",))[:4] == b"\x89PNG"
    assert client(scans).retrieve_instance_frames_rendered(*uids(scans.multiframe), [2], ("image/png",))[:4] == b"\x89PNG"
    assert client(scans).retrieve_series_rendered(sent.study, sent.series, ("image/jpeg",))[:3] == jpeg[:3]


def test_dicomweb_client_is_told_what_is_not_there(scans):
    study, series, sop = uids(scans.big)
    for ask in (lambda: client(scans).retrieve_study("1.2.3.4"), lambda: client(scans).retrieve_series(study, "1.2.3.4"),
                lambda: client(scans).retrieve_instance(study, series, "1.2.3.4"),
                lambda: client(scans).retrieve_instance_metadata(study, "1.2.3", sop),
                lambda: client(scans).retrieve_instance_frames(study, series, sop, [2])):
        with pytest.raises(HTTPError, match="404"):
            ask()


# Accept

def test_accept_of_whole_instances(scans):
    native, jpeg = scans.slices[0], scans.jpeg
    for accept, sent, syntax in (
            (None, native, EXPLICIT), ("*/*", native, EXPLICIT), (related(DICOM, transfer_syntax=EXPLICIT), jpeg, EXPLICIT), (AS_STORED, jpeg, BASELINE),
            ('multipart/related; type=application/dicom; transfer-syntax=*', jpeg, BASELINE),
            (related(DICOM, transfer_syntax=BASELINE), jpeg, BASELINE), (related(DICOM, transfer_syntax=JLS), native, JLS),
            (related(DICOM, transfer_syntax=J2K) + "; q=0.2, " + related(DICOM, transfer_syntax=JLS), native, JLS),
            (related(DICOM, transfer_syntax="1.2.3.4") + ", " + related(DICOM), native, EXPLICIT),
            (BROWSER, native, EXPLICIT), (related(DICOM, transfer_syntax=f'"{EXPLICIT}"'), scans.implicit, EXPLICIT)):
        part = get(scans, path_of(sent), accept).part()
        assert part.content_type.replace('"', "") == f"application/dicom; transfer-syntax={syntax}", accept
        assert pydicom.dcmread(io.BytesIO(part.body)).file_meta.TransferSyntaxUID == syntax, accept


@pytest.mark.parametrize("accept, syntax", [
    (f"application/dicom; transfer-syntax={EXPLICIT}", EXPLICIT), ("application/dicom; transfer-syntax=*", BASELINE),
    (f"application/dicom; transfer-syntax={BASELINE}", BASELINE)])
def test_a_single_part_instance(accept, syntax, scans):
    reply = get(scans, path_of(scans.jpeg), accept).expect(200)
    assert reply.media == DICOM
    dataset = pydicom.dcmread(io.BytesIO(reply.body))
    assert dataset.file_meta.TransferSyntaxUID == syntax and dataset.SOPInstanceUID == scans.jpeg.sop_instance


METADATA = {
    None: JSON, "*/*": JSON, "application/json": JSON, JSON: JSON, OHIF_METADATA: JSON, BROWSER: JSON,
    OHIF_METADATA.replace("; transfer-syntax=*; transfer-syntax=*", "; transfer-syntax=*"): JSON,
    'multipart/related; type="application/dicom+xml"': "multipart/related",
}


@pytest.mark.parametrize("accept", METADATA)
def test_accept_of_metadata(accept, scans):
    reply = get(scans, path_of(scans.big, "metadata"), accept).expect(200)
    assert reply.media == METADATA[accept]


def test_metadata_in_xml_say_what_json_says(scans):
    def plain(row):
        return {tag: ("bulk" if "BulkDataURI" in attribute else [plain(entry) for entry in attribute.get("Value", [])]
                      if attribute["vr"] == "SQ" else [entry if isinstance(entry, dict) else as_number(entry)
                                                       for entry in attribute.get("Value", [])]) for tag, attribute in row.items()}

    def as_number(entry):
        return float(entry) if re.fullmatch(r"-?\d+(\.\d+)?", str(entry)) else entry

    for sent in (scans.nested, scans.multiframe):
        row, = get(scans, path_of(sent, "metadata"), JSON).rows()
        part = get(scans, path_of(sent, "metadata"), related(web.XML)).part()
        assert plain(web.native(part.body)) == plain(row)
    private = get(scans, path_of(scans.nested, "metadata"), related(web.XML)).part().body
    assert b'privateCreator="SNIMOK TESTS"' in private and b'keyword="PatientID"' in private


# Accept, and the media type of the part that answers: of frames stored native, as JPEG baseline.
FRAMES = {
    None: (BYTES, BYTES), "*/*": (BYTES, BYTES), OHIF_FRAMES: (BYTES, "image/jpeg"),
    "multipart/related; type=application/octet-stream": (BYTES, BYTES),
    'multipart/related; type="image/jls"; q=0.5, */*': (BYTES, BYTES),
    'multipart/related; type="image/jls"': ("image/jls", "image/jls"),
    f'multipart/related; type="image/jp2"; transfer-syntax={J2K}': ("image/jp2", "image/jp2"),
    'multipart/related; type="image/jpeg"; transfer-syntax=*, multipart/related; type=application/octet-stream':
        (BYTES, "image/jpeg"),
    f'multipart/related; type="image/jpeg"; transfer-syntax={BASELINE}, multipart/related; type="application/octet-stream"':
        (BYTES, "image/jpeg"),
    'multipart/related; type="image/dicom-rle"': ("image/dicom-rle", "image/dicom-rle"),
}


@pytest.mark.parametrize("accept", FRAMES)
def test_accept_of_frames(accept, scans):
    for sent, expected in zip((scans.slices[0], scans.jpeg), FRAMES[accept]):
        reply = get(scans, path_of(sent, "frames", 1), accept)
        part = reply.part()
        assert part.content_type.split(";")[0] == expected
        assert f'type="{expected}"' in reply["Content-Type"] or f"type={expected}" in reply["Content-Type"]
        syntax = re.search(r'transfer-syntax="?([0-9.]+)', part.content_type)
        assert syntax, "viewers choose the decoder by the transfer syntax"
        if expected == BYTES:
            assert syntax[1] == EXPLICIT
        if expected == "image/jpeg":
            assert syntax[1] == BASELINE and part.body in sent.data


@pytest.mark.parametrize("accept", [BYTES, "application/octet-stream; transfer-syntax=*", f"{BYTES}; q=0.9, text/html;q=0.1"])
def test_a_frame_as_a_single_part(accept, scans):
    reply = get(scans, path_of(scans.slices[0], "frames", 1), accept).expect(200)
    assert reply.media == BYTES and reply.body == scans.slices[0].data[-512:]


@pytest.mark.parametrize("address, accept, media", [
    (("metadata",), JSON, JSON), (("frames", 1), BYTES, BYTES), (("rendered",), "image/png", "image/png"),
    ((), DICOM, DICOM), (("frames", 1), related(BYTES), "multipart/related")])
def test_the_parameter_accept_stands_for_the_header(address, accept, media, scans):
    reply = get(scans, path_of(scans.slices[0], *address) + query(accept=accept), "text/csv").expect(200)
    assert reply.media == media


@pytest.mark.parametrize("address", [(), ("metadata",), ("frames", 1), ("rendered",), ("thumbnail",), ("bulkdata", "7FE00010")])
def test_a_type_that_is_not_offered_is_406_with_what_is(address, scans):
    said = get(scans, path_of(scans.slices[0], *address), "text/csv").problem(406)
    assert re.search(r"(application|image)/[a-z+-]+", said), "the offers are listed"


def test_browsers_get_a_picture(scans):
    for accept in (IMAGE_TAG, "*/*", None, "image/*", BROWSER):
        for tail in ("rendered", "thumbnail"):
            reply = get(scans, path_of(scans.slices[0], tail), accept).expect(200)
            assert reply.media in ("image/jpeg", "image/png"), accept
            assert reply["X-Content-Type-Options"] == "nosniff"


# Frames and bulk data by number

@pytest.mark.parametrize("list_", ["1", "1,2,3", "10,1", "2,2"])
def test_frames_come_in_the_order_asked_for(list_, scans):
    pixels = pydicom.dcmread(scans.multiframe.path).pixel_array
    parts = get(scans, path_of(scans.multiframe, "frames", list_), related(BYTES)).parts()
    assert [part.body for part in parts] == [pixels[int(number) - 1].tobytes() for number in list_.split(",")]


@pytest.mark.parametrize("accept", [related(BYTES), BYTES])
def test_frames_that_wait_for_slow_readers_keep_their_bytes(accept, archive):
    """A frame is sent from where it was read: that memory must not serve the next one before it is out."""
    slices = [ct(1900, 1, number, rows=700) for number in range(1, 25)]
    store_all(archive, slices)
    waiting = {}
    for start in range(0, len(slices), 8):
        for turn in range(2):
            # More than fits into the sockets, so some of the answers have to wait, in part or as a whole.
            asked = slices[start:start + 8][::-1 if turn else 1]
            connection = web.connect(archive)
            for number, sent in enumerate(asked):
                headers = [("Accept", accept)] + [("Connection", "close")] * (number == 7)
                connection.sendall(web.head_of(archive, "GET", path_of(sent, "frames", 1), headers))
            waiting[connection] = asked
    time.sleep(1)
    # One hangs up, which must free only its own.
    gone = next(iter(waiting))
    del waiting[gone]
    gone.close()
    for sent in slices:
        assert pixels_of(get(archive, path_of(sent, "frames", 1), accept).expect(200).body) == sent.data[-980_000:]
    for connection, asked in waiting.items():
        with connection, connection.makefile("rb") as stream:
            for sent in asked:
                head = b"".join(iter(stream.readline, b"\r\n"))
                body = stream.read(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
                assert pixels_of(body) == sent.data[-980_000:], f"{sent.sop_instance} has other bytes"


def pixels_of(body):
    """The frame of 980,000 bytes in a body, or in the only part of one."""
    return body if len(body) == 980_000 else body.partition(b"\r\n\r\n")[2][:980_000]


def test_what_was_stored_last_waits_in_memory_when_storing_rests(archive):
    """Records are written past the page cache, where the file system can do that; yet no viewer should wait for the device."""
    slices = [ct(1901, 1, number, rows=700) for number in range(1, 25)]
    store_all(archive, slices)
    deadline = time.monotonic() + 20
    while (resident := sum(map(resident_bytes, archive.segments()))) < sum(len(sent.data) for sent in slices):
        assert time.monotonic() < deadline, f"{resident} bytes are in memory"
        time.sleep(0.1)


def resident_bytes(file):
    """How much of a file is in the page cache."""
    told = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", file], capture_output=True, check=True)
    return int(told.stdout or 0)


def test_an_escaped_comma_is_a_comma(scans):
    assert len(get(scans, path_of(scans.multiframe, "frames", "1%2C2")).parts()) == 2


@pytest.mark.parametrize("tail, statuses", [
    ("bulkdata/00000000", (400, 404)), ("bulkdata/nothing", (400,)), ("bulkdata/00283000.5.00283006", (404,)),
    ("bulkdata/00081140.0.00091010", (404,)), ("bulkdata/7FE00010.0", (400,)), ("bulkdata", (404,)), ("frames", (404,)),
    ("nothing", (404,)), ("metadata/more", (404,)), ("frames/1/nothing", (404,))])
def test_an_address_that_leads_nowhere(tail, statuses, scans):
    get(scans, path_of(scans.nested, tail)).problem(*statuses)


def test_bulk_data_of_an_empty_and_of_a_text_value(scans):
    reply = get(scans, path_of(scans.nested, "bulkdata", "00100020"), BYTES)
    assert reply.status == 404 or reply.body.rstrip(b" ") == b"P5"


# Validation of caches

CACHED = [("metadata", JSON), ("", DICOM), ("frames/1", BYTES), ("bulkdata/7FE00010", BYTES), ("rendered", "image/jpeg"),
          ("thumbnail", "image/jpeg")]


@pytest.mark.parametrize("tail, accept", CACHED)
def test_an_entity_tag_saves_the_second_answer(tail, accept, scans):
    address = path_of(scans.big, *filter(None, [tail]))
    first = get(scans, address, accept).expect(200)
    tag = first["ETag"]
    assert re.fullmatch(r'(W/)?"[\x21\x23-\x7e]+"', tag)
    for known in (tag, f'"other", {tag}', "*", f"W/{tag}".replace("W/W/", "W/")):
        again = get(scans, address, accept, If_None_Match=known)
        assert again.status == 304 and again["ETag"] == tag and again.body == b""
    assert get(scans, address, accept, If_None_Match='"other"').expect(200).body == first.body
    assert get(scans, address, accept)["ETag"] == tag


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_the_entity_tag_changes_with_the_content(level, archive):
    store_all(archive, [ct(1, 1, 1)])
    address = {"study": f"studies/{ROOT_UID}.1/metadata", "series": f"studies/{ROOT_UID}.1/series/{ROOT_UID}.1.1/metadata",
               "instance": path_of(ct(1, 1, 1), "metadata")}[level]
    before = get(archive, address)["ETag"]
    store_all(archive, [ct(1, 1, 1, PatientName="Corrected^Name") if level == "instance" else ct(1, 1, 2)])
    reply = get(archive, address, If_None_Match=before).expect(200)
    assert reply["ETag"] != before
    store_all(archive, [ct(9, 1, 1)])
    assert get(archive, address, If_None_Match=reply["ETag"]).status == 304, "another study changes nothing"


def test_other_forms_have_other_entity_tags(scans):
    tags = {get(scans, path_of(scans.big, "frames", 1), accept)["ETag"] for accept in (BYTES, "image/jls", "image/jp2")}
    assert len(tags) == 3
    assert (get(scans, path_of(scans.big, "metadata"), JSON)["ETag"]
            != get(scans, path_of(scans.big, "metadata"), related(web.XML))["ETag"])


# Ranges (RFC 9110 section 14)

RANGED = [("", DICOM), ("", "application/dicom; transfer-syntax=*"), ("frames/1", BYTES), ("bulkdata/7FE00010", BYTES)]
RANGES = {
    "bytes=0-99": (0, 100), "bytes=0-0": (0, 1), "bytes=1000-": (1000, None), "bytes=-10": (-10, None),
    "bytes=1000-99999999999": (1000, None), "bytes= 5-9": (5, 10),
    "bytes=99999999999-": 416, "bytes=18446744073709551615-": 416, "bytes=9223372036854775807-9223372036854775807": 416,
    "bytes=99999999999999999999999-": 416, "bytes=-0": 416,
    # Of what is no range of bytes, or several, the whole is sent (section 14.2).
    "bytes=9-5": 200, "lines=1-2": 200, "bytes=a-b": 200, "bytes=-": 200, "bytes=0-1,4-5": 200,
}


@pytest.mark.parametrize("tail, accept", RANGED)
def test_ranges(tail, accept, scans):
    address = path_of(scans.big, *filter(None, [tail]))
    whole = get(scans, address, accept).expect(200)
    assert whole["Accept-Ranges"] == "bytes" and int(whole["Content-Length"]) == len(whole.body)
    for wanted, expected in RANGES.items():
        reply = get(scans, address, accept, Range=wanted)
        if expected == 416:
            reply.problem(416)
            assert reply["Content-Range"] == f"bytes */{len(whole.body)}", wanted
        elif expected == 200:
            assert reply.status == 200 and reply.body == whole.body, wanted
        else:
            start, end, _ = slice(*expected).indices(len(whole.body))
            assert reply.status == 206 and reply.body == whole.body[start:end], wanted
            assert reply["Content-Range"] == f"bytes {start}-{end - 1}/{len(whole.body)}", wanted
            assert reply["ETag"] == whole["ETag"]


def test_if_range_sends_the_whole_when_the_content_is_another(scans):
    address = path_of(scans.big, "bulkdata", "7FE00010")
    whole = get(scans, address, BYTES)
    assert get(scans, address, BYTES, Range="bytes=0-9", If_Range=whole["ETag"]).expect(206).body == whole.body[:10]
    assert get(scans, address, BYTES, Range="bytes=0-9", If_Range='"other"').expect(200).body == whole.body


def test_a_range_is_put_together_from_pieces(scans):
    address, piece = path_of(scans.big), 100_001
    whole = get(scans, address, DICOM).body
    pieces = [get(scans, address, DICOM, Range=f"bytes={start}-{start + piece - 1}").expect(206).body
              for start in range(0, len(whole), piece)]
    assert b"".join(pieces) == whole


# HEAD and OPTIONS

HEADED = [("", AS_STORED), ("", DICOM), ("metadata", JSON), ("frames/1", related(BYTES)), ("frames/1", BYTES),
          ("bulkdata/7FE00010", BYTES), ("rendered", "image/png"), ("thumbnail", None)]


@pytest.mark.parametrize("tail, accept", HEADED)
def test_head_tells_what_get_would(tail, accept, scans):
    address = path_of(scans.slices[0], *filter(None, [tail]))
    asked, told = get(scans, address, accept), get(scans, address, accept, method="HEAD")
    assert told.status == asked.status == 200 and told.body == b""
    assert told.media == asked.media
    for name in ("ETag", "Accept-Ranges"):
        assert told[name] == asked[name]
    if told["Content-Length"] is not None:
        assert int(told["Content-Length"]) == len(asked.body)


@pytest.mark.parametrize("tail", ["", "metadata", "frames/1", "rendered", "bulkdata/7FE00010"])
def test_options_and_405_name_the_methods(tail, scans):
    address = path_of(scans.slices[0], *filter(None, [tail]))
    told = get(scans, address, method="OPTIONS").expect(200, 204)
    assert {"GET", "HEAD", "OPTIONS"} <= {name.strip() for name in told["Allow"].split(",")}
    reply = get(scans, address, method="PATCH")
    reply.problem(405)
    assert "GET" in reply["Allow"]


# ZIP (PS3.18 table 8.7.3-1 has it as a further media type; PS3.10 section 8 the file-set)

@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_zip_is_a_file_set(level, scans, tmp_path):
    sent = {"study": scans.slices, "series": scans.slices[:3], "instance": scans.slices[:1]}[level]
    address = path_of(sent[0])
    address = {"study": address.split("/series")[0], "series": address.split("/instances")[0], "instance": address}[level]
    reply = get(scans, address, ZIP).expect(200)
    assert reply.media == ZIP
    archive = zipfile.ZipFile(io.BytesIO(reply.body))
    assert archive.testzip() is None
    for name in archive.namelist():
        assert re.fullmatch(r"DICOMDIR|([A-Z0-9_]{1,8}/){0,7}[A-Z0-9_]{1,8}", name), f"{name} is no file ID (PS3.10 section 8.2)"
    archive.extractall(tmp_path)
    files = FileSet(tmp_path / "DICOMDIR")
    assert sorted(each.SOPInstanceUID for each in files) == sorted(each.sop_instance for each in sent)
    by_uid = {each.sop_instance: each for each in sent}
    for each in files:
        assert data_set_bytes(each.path) == by_uid[each.SOPInstanceUID].data
    assert files.find_values("PatientID") == ["P1"]


def test_a_zip_of_several_kinds_is_a_file_set_too(library, tmp_path):
    for number, study in enumerate(sorted({sent.study for sent in library.wave if sent.transfer_syntax != DEFLATED})[:12]):
        reply = get(library, f"studies/{study}", ZIP).expect(200)
        folder = tmp_path / str(number)
        zipfile.ZipFile(io.BytesIO(reply.body)).extractall(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = {each.SOPInstanceUID for each in FileSet(folder / "DICOMDIR")}
        assert found == {sent.sop_instance for sent in library.wave if sent.study == study}


# WADO-URI (PS3.18 section 9)

def wado(archive, sent, **more):
    parameters = dict(requestType="WADO", studyUID=sent.study, seriesUID=sent.series, objectUID=sent.sop_instance, **more)
    return get(archive, "/wado" + query(**{name: text for name, text in parameters.items() if text is not None}))


@pytest.mark.parametrize("kind, parameters, media, start", [
    ("big", {}, "image/jpeg", b"\xff\xd8"), ("big", {"contentType": "image/jpeg"}, "image/jpeg", b"\xff\xd8"),
    ("big", {"contentType": "image/png"}, "image/png", b"\x89PNG"), ("jpeg", {"contentType": "image/jpeg"}, "image/jpeg", b"\xff\xd8"),
    ("big", {"contentType": "image/jpeg", "rows": "64", "columns": "64"}, "image/jpeg", b"\xff\xd8"),
    ("big", {"contentType": "image/jpeg", "windowCenter": "30000", "windowWidth": "5000", "imageQuality": "30"}, "image/jpeg", b"\xff\xd8"),
    ("big", {"contentType": "image/png", "region": "0.25,0.25,0.75,0.75"}, "image/png", b"\x89PNG"),
    ("multiframe", {"contentType": "image/jpeg", "frameNumber": "3"}, "image/jpeg", b"\xff\xd8"),
    ("big", {"contentType": "application/dicom"}, DICOM, bytes(128) + b"DICM")])
def test_wado_uri_gives(kind, parameters, media, start, scans):
    reply = wado(scans, getattr(scans, kind), **parameters).expect(200)
    assert reply.media == media and reply.body.startswith(start)


def test_wado_uri_gives_the_object_in_a_syntax(scans):
    for sent, asked, expected in ((scans.jpeg, EXPLICIT, EXPLICIT), (scans.jpeg, BASELINE, BASELINE), (scans.swapped, EXPLICIT, EXPLICIT),
                                  (scans.big, JLS, JLS)):
        reply = wado(scans, sent, contentType=DICOM, transferSyntax=asked).expect(200)
        dataset = pydicom.dcmread(io.BytesIO(reply.body))
        assert dataset.file_meta.TransferSyntaxUID == expected and dataset.SOPInstanceUID == sent.sop_instance


@pytest.mark.parametrize("parameters, statuses", [
    ({"requestType": None}, (400,)), ({"requestType": "QIDO"}, (400,)), ({"objectUID": None}, (400,)),
    ({"studyUID": None}, (400,)), ({"objectUID": "1.2.3.4"}, (404,)), ({"studyUID": "1.2.3.4"}, (404,)),
    ({"objectUID": "../../etc/passwd"}, (400,)), ({"contentType": "video/mp4"}, (406,)), ({"frameNumber": "9"}, (400, 404)),
    ({"frameNumber": "0"}, (400, 404)), ({"windowCenter": "x", "windowWidth": "1"}, (400,)), ({"windowCenter": "1"}, (400,)),
    ({"rows": "0", "columns": "0"}, (400,)), ({"rows": "1000000", "columns": "1000000"}, (400, 413)),
    ({"imageQuality": "0"}, (400,)), ({"region": "0,0,2,2"}, (400,))])
def test_wado_uri_refuses(parameters, statuses, scans):
    sent = scans.big
    given = dict(requestType="WADO", studyUID=sent.study, seriesUID=sent.series, objectUID=sent.sop_instance,
                 contentType="image/jpeg", **{name: text for name, text in parameters.items() if name not in (
                     "requestType", "studyUID", "objectUID", "contentType")})
    given.update({name: text for name, text in parameters.items() if name in given})
    get(scans, "/wado" + query(**{name: text for name, text in given.items() if text is not None})).problem(*statuses)


# Damage is never sent

def test_a_damaged_instance_is_an_error_and_no_picture(archive):
    sent = ct(1, 1, 1, rows=256)
    store_all(archive, [sent])
    segment, = archive.segments()
    data = bytearray(segment.read_bytes())
    at = data.index(sent.data[-4096:])
    data[at + 100] ^= 1
    segment.write_bytes(data)
    for tail, accept in (("", DICOM), ("frames/1", BYTES), ("rendered", None), ("bulkdata/7FE00010", BYTES)):
        address = path_of(sent, *filter(None, [tail]))
        try:
            reply = get(archive, address, accept)
        except EOFError:
            continue  # Broken off in the middle: the client cannot take it for whole.
        reply.problem(500, 503)
    archive.kill()
