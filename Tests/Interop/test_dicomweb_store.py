# SPDX-License-Identifier: Apache-2.0
"""STOW-RS (PS3.18 section 10.5): whole files, metadata with bulk data, what is told of each, and what is kept."""
import hashlib
import io
import json
import struct

import pydicom
import pytest
from blake3 import blake3
from PIL import Image
from pydicom.dataset import Dataset

from harness import web
from harness.clients import store_all
from harness.samples import ROOT_UID, ct, ct_data_set, decode, element, instance, tiny
from harness.wire import CT, EXPLICIT, IMPLICIT
from harness.web import (
    BYTES, DICOM, FAILED, INSTANCE_UID, JSON, REASON, REFERENCED, RETRIEVE_URL, XML, client, failed, get, multipart, part10,
    path_of, query, related, request, stored, stow, value)

ENCAPSULATED_PDF, PHOTOGRAPH, VIDEO = (f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("104.1", "77.1.4", "77.1.4.1"))
JPEG, MPEG4 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102"


def as_stored(archive, sent):
    return web.read_part10(get(archive, path_of(sent), related(DICOM, transfer_syntax="*")).part().body)


def check_kept(archive, *instances):
    for sent in instances:
        assert as_stored(archive, sent).data == sent.data


# dicomweb-client

def data_set(sent):
    dataset = decode(sent.data, sent.transfer_syntax)
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = sent.sop_class, sent.sop_instance
    return dataset


@pytest.mark.parametrize("chunk", [10 ** 6, 1000], ids=["with a length", "in chunks"])
def test_dicomweb_client_stores(chunk, archive):
    slices = [ct(1, series, number) for series in (1, 2) for number in (1, 2)]
    storing = client(archive, chunk_size=chunk)
    answer = storing.store_instances([data_set(sent) for sent in slices])
    # For chunks it asks to keep the connection.
    storing._session.close()
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [sent.sop_instance for sent in slices]
    assert "FailedSOPSequence" not in answer and answer.RetrieveURL.endswith(f"/studies/{slices[0].study}")
    check_kept(archive, *slices)
    assert archive.stats()["instances"] == 4


def test_dicomweb_client_stores_into_a_study(archive):
    answer = client(archive).store_instances([data_set(ct(1, 1, 1))], f"{ROOT_UID}.1")
    assert len(answer.ReferencedSOPSequence) == 1
    assert len(client(archive).search_for_instances(f"{ROOT_UID}.1")) == 1


# What is told

def test_what_was_stored_is_told_with_its_addresses(archive):
    slices = [ct(1, 1, 1), ct(2, 1, 1, transfer_syntax=IMPLICIT)]
    reply = stow(archive, slices).expect(200)
    assert reply.media == JSON and reply["X-Content-Type-Options"] == "nosniff"
    answer = reply.json()
    assert stored(reply) == [sent.sop_instance for sent in slices] and FAILED not in answer
    assert RETRIEVE_URL not in answer, "two studies have no address together"
    for sent, item in zip(slices, answer[REFERENCED]["Value"]):
        assert value(item, web.CLASS_UID) == CT
        address = web.here(archive, value(item, RETRIEVE_URL))
        assert web.read_part10(get(archive, address, DICOM + "; transfer-syntax=*").expect(200).body).data == sent.data


def test_the_answer_comes_as_xml_too(archive):
    reply = stow(archive, [ct(1, 1, 1), b"no file at all"], accept=XML).expect(202)
    assert reply.media == XML
    answer = web.native(reply.body)
    assert answer[REFERENCED]["Value"][0][INSTANCE_UID]["Value"] == [f"{ROOT_UID}.1.1.1"]
    assert len(answer[FAILED]["Value"]) == 1


def broken(kind, number=9):
    good = ct(3, 1, number)
    if kind == "cut off":
        return part10(good)[:-100]
    if kind == "no file":
        return b"this is no DICOM file" * 20
    if kind == "no data set":
        return part10(good)[:-len(good.data)]
    if kind == "empty":
        return b""
    if kind == "no SOP Instance UID":
        good.data = good.data.replace(element(8, 0x18, "UI", good.sop_instance), b"")
        good.sop_instance = ""
        return part10(ct(3, 1, number))[:128 + 4] + b"" + good.data
    if kind == "a UID that is none":
        good.data = good.data.replace(b"1.2.826.0.1.3680043.10.1700.3.1", b"1.2.826.0.1.3680043.10.17/../.1")
        return part10(good)
    raise KeyError(kind)


BROKEN = ["cut off", "no file", "no data set", "empty", "no SOP Instance UID", "a UID that is none"]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bad_part_alone_is_409_and_leaves_nothing(kind, archive):
    reply = stow(archive, [broken(kind)])
    reply.expect(409)
    assert stored(reply) == [] and len(failed(reply)) == 1
    reason = failed(reply)[0][1]
    assert isinstance(reason, int) and reason & 0xF000 in (0xA000, 0xC000) or reason in (0x0110, 0x0117, 0x0122), f"{reason}"
    assert archive.stats()["instances"] == 0


@pytest.mark.parametrize("kind", BROKEN)
def test_good_parts_beside_a_bad_one_are_kept_and_it_is_202(kind, archive):
    good = [ct(1, 1, 1), ct(1, 1, 2)]
    reply = stow(archive, [good[0], broken(kind), good[1]]).expect(202)
    assert stored(reply) == [sent.sop_instance for sent in good] and len(failed(reply)) == 1
    assert archive.stats()["instances"] == 2
    check_kept(archive, *good)


def test_the_data_set_says_which_instance_it_is_not_the_file_meta_group(archive):
    sent, other = ct(1, 1, 1), ct(1, 1, 77)
    other.data = sent.data
    assert stored(stow(archive, [other]).expect(200)) == [sent.sop_instance]
    part = get(archive, path_of(sent), related(DICOM, transfer_syntax="*")).part()
    assert web.read_part10(part.body).sop_instance == sent.sop_instance


def test_an_instance_of_another_study_than_the_address_is_not_stored(archive):
    reply = stow(archive, [ct(2, 1, 1)], study=f"{ROOT_UID}.1").expect(409)
    assert [uid for uid, _ in failed(reply)] == [f"{ROOT_UID}.2.1.1"] and archive.stats()["instances"] == 0
    reply = stow(archive, [ct(2, 1, 1), ct(1, 1, 1)], study=f"{ROOT_UID}.1").expect(202)
    assert stored(reply) == [f"{ROOT_UID}.1.1.1"] and archive.stats()["instances"] == 1


def test_what_is_there_already_is_stored_once(archive):
    sent = ct(1, 1, 1)
    for parts in ([sent], [sent], [sent, sent]):
        reply = stow(archive, parts).expect(200)
        assert stored(reply) == [sent.sop_instance] * len(parts)
    store_all(archive, [sent])
    stats = archive.stats()
    assert (stats["instances"], stats["versions"]) == (1, 1)


def test_other_content_under_a_known_uid_is_a_further_version(archive):
    first, second = ct(1, 1, 1), ct(1, 1, 1, PatientName="Corrected^Name")
    for sent in (first, second, first):
        stow(archive, [sent]).expect(200)
        assert as_stored(archive, sent).data == (second.data if sent is not first or archive.stats()["versions"] > 1 else first.data)
    assert archive.stats()["versions"] == 2


def test_what_was_acknowledged_outlives_a_kill(new_archive):
    archive = new_archive(checked=False)
    slices = [ct(1, 1, number, rows=64) for number in range(1, 21)]
    stow(archive, slices).expect(200)
    archive.kill()
    archive.start()
    check_kept(archive, *slices)
    archive.verify("--full")


# The form of the request

def post(archive, body, content_type, study=None, **headers):
    pairs = [("Content-Type", content_type), *((name.replace("_", "-"), text) for name, text in headers.items())]
    return request(archive, "POST", f"{web.ROOT}/studies" + (f"/{study}" if study else ""), [p for p in pairs if p[1]], body)


def body_of(*parts, boundary=b"X", head=b"Content-Type: application/dicom\r\n", start=b"", end=b"\r\n"):
    return start + b"".join(b"--" + boundary + b"\r\n" + head + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--" + end


FORMS = {
    "as OHIF sends it": (dict(start=b"\r\n"), 'multipart/related; type="application/dicom"; boundary=X'),
    "with an unquoted type": ({}, "multipart/related;type=application/dicom;boundary=X"),
    "with a quoted boundary": (dict(boundary=b"a b:c?=(')+_,-./"), "multipart/related; type=\"application/dicom\"; boundary=\"a b:c?=(')+_,-./\""),
    "with a boundary of 70 characters": (dict(boundary=b"b" * 70), 'multipart/related; type="application/dicom"; boundary=' + "b" * 70),
    "with preamble and epilogue": (dict(start=b"This is a preamble.\r\n--Y\r\n", end=b"\r\nThe end.\r\n--X--\r\n"),
                                   'multipart/related; type="application/dicom"; boundary=X'),
    "with parts that have no header": (dict(head=b""), 'multipart/related; type="application/dicom"; boundary=X'),
    "with headers in lower case and more of them": (
        dict(head=b"content-type:application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\nMIME-Version: 1.0\r\nX-Long: " + b"x" * 3000 + b"\r\n"),
        'Multipart/Related; TYPE="application/dicom"; Boundary=X'),
    "without the last line break": (dict(end=b""), 'multipart/related; type="application/dicom"; boundary=X'),
    "with blanks behind the boundary": (dict(), 'multipart/related; type="application/dicom"; boundary=X'),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_multipart_body(name, archive):
    form, content_type = FORMS[name]
    # Bytes that look nearly like the end of a part.
    slices = [ct(1, 1, number, PixelData=(b"\r\n--X" + b"\r\n--" + b"\r" * 9).ljust(512, b"\n")) for number in (1, 2)]
    for sent in slices:
        sent.data = sent.data.replace(b"\r\n--X", b"\r\n-+X")
    body = body_of(*(part10(sent) for sent in slices), **form)
    if name.startswith("with blanks"):
        body = body.replace(b"--X\r\n", b"--X \t\r\n")
    assert stored(post(archive, body, content_type).expect(200)) == [sent.sop_instance for sent in slices]
    check_kept(archive, *slices)


def test_a_single_part_is_an_instance(archive):
    sent = ct(1, 1, 1)
    assert stored(post(archive, part10(sent), DICOM).expect(200)) == [sent.sop_instance]
    check_kept(archive, sent)
    post(archive, b"nothing", DICOM).expect(400, 409)
    post(archive, b"", DICOM).expect(400, 409)


def test_a_client_that_expects_100_continue(archive):
    sent = ct(1, 1, 1)
    body, content_type = multipart([part10(sent)])
    assert stored(post(archive, body, content_type, Expect="100-continue").expect(200)) == [sent.sop_instance]


def test_a_body_in_small_pieces(archive):
    sent = ct(1, 1, 1)
    body, content_type = multipart([part10(sent)], boundary="a-long-boundary-that-is-cut")
    head = web.head_of(archive, "POST", f"{web.ROOT}/studies", [("Content-Type", content_type), ("Connection", "close")], len(body))
    reply = web.send_raw(archive, head, pieces=[head, *(body[at:at + 7] for at in range(0, len(body), 7))])
    assert stored(reply.expect(200)) == [sent.sop_instance]
    check_kept(archive, sent)


UNSUITABLE = {
    "no content type": (b"x", None, (400, 415)), "text": (b"x", "text/plain", (415,)),
    "a form": (b"x", "multipart/form-data; boundary=X", (415,)),
    "metadata in XML that nobody reads": (b"--X--\r\n", 'multipart/related; type="application/dicom+xml"; boundary=X', (415,)),
    "no boundary": (b"--X--\r\n", 'multipart/related; type="application/dicom"', (400,)),
    "an empty boundary": (b"----\r\n", 'multipart/related; type="application/dicom"; boundary=""', (400,)),
    "no part": (b"--X--\r\n", 'multipart/related; type="application/dicom"; boundary=X', (400,)),
    "nothing": (b"", 'multipart/related; type="application/dicom"; boundary=X', (400,)),
    "another boundary": (b"--Y\r\n\r\nx\r\n--Y--\r\n", 'multipart/related; type="application/dicom"; boundary=X', (400,)),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_a_request_that_is_not_understood(name, archive):
    body, content_type, statuses = UNSUITABLE[name]
    post(archive, body, content_type).problem(*statuses)
    assert archive.stats()["instances"] == 0


def test_an_address_that_is_no_study(archive):
    body, content_type = multipart([part10(ct(1, 1, 1))])
    post(archive, body, content_type, study="no-uid").problem(400)
    for address in ("series", "studies/1.2.3/series", "studies/1.2.3/series/1.2.3", "instances"):
        request(archive, "POST", f"{web.ROOT}/{address}", {"Content-Type": content_type}, body).problem(404, 405)


def test_a_large_instance_goes_through_in_bounded_memory(archive):
    size = 96 << 20
    sent = tiny(f"{ROOT_UID}.5.1.1", f"{ROOT_UID}.5", f"{ROOT_UID}.5.1", 1024)
    pixels = hashlib.shake_256(b"pixels").digest(1 << 20) * (size >> 20)
    sent.data = sent.data[:-1024 - 12] + element(0x7FE0, 0x10, "OW", pixels)
    stow(archive, [ct(1, 1, 1)]).expect(200)
    archive.reset_peak()
    before = archive.resident()
    assert stored(stow(archive, [sent, ct(5, 1, 2)]).expect(200)) == [sent.sop_instance, f"{ROOT_UID}.5.1.2"]
    assert as_stored(archive, sent).data == sent.data
    assert archive.peak() - before < 40 << 20, f"{archive.peak() - before >> 20} MiB for an instance of {size >> 20}"


# Metadata with bulk data (PS3.18 section 10.5.1.1.2, annex F)

def model(sop_class, number, **more):
    """The JSON model of an instance; bulk data as attribute=("BulkDataURI", location)."""
    dataset = Dataset()
    attributes = dict(SOPClassUID=sop_class, SOPInstanceUID=f"{ROOT_UID}.40.1.{number}", StudyInstanceUID=f"{ROOT_UID}.40",
                      SeriesInstanceUID=f"{ROOT_UID}.40.1", PatientName="Ёлкина^Алёна", PatientID="P40", StudyDate="20260105",
                      StudyTime="101500", Modality="OT", SpecificCharacterSet="ISO_IR 192", InstanceNumber=number)
    for keyword, content in {**attributes, **more}.items():
        setattr(dataset, keyword, content)
    return dataset.to_json_dict()


def bulk(row, tag, vr, location):
    row[tag] = {"vr": vr, "BulkDataURI": location}
    return row


def post_metadata(archive, rows, *parts, study=None, raw=None):
    body, content_type = multipart(
        [(raw if raw is not None else json.dumps(rows, ensure_ascii=False).encode(), {}),
         *((content, {"Content-Type": kind, "Content-Location": location}) for content, kind, location in parts)], media_type=JSON)
    return post(archive, body, content_type, study, Accept=JSON)


def address(number):
    return f"{web.ROOT}/studies/{ROOT_UID}.40/series/{ROOT_UID}.40.1/instances/{ROOT_UID}.40.1.{number}"


def fetched(archive, number):
    part = get(archive, address(number), related(DICOM, transfer_syntax="*")).part()
    return pydicom.dcmread(io.BytesIO(part.body))


PDF = b"%PDF-1.4\n" + bytes(range(256)) * 40 + b"%%EOF\n"


def test_a_pdf_becomes_an_instance(archive):
    row = bulk(model(ENCAPSULATED_PDF, 1, MIMETypeOfEncapsulatedDocument="application/pdf", DocumentTitle="Заключение"),
               "00420011", "OB", "document")
    reply = post_metadata(archive, [row], (PDF, "application/pdf", "document")).expect(200)
    assert stored(reply) == [f"{ROOT_UID}.40.1.1"]
    dataset = fetched(archive, 1)
    assert dataset.EncapsulatedDocument.rstrip(b"\0") == PDF.rstrip(b"\0") and len(dataset.EncapsulatedDocument) == len(PDF) + len(PDF) % 2
    assert str(dataset.PatientName) == "Ёлкина^Алёна" and dataset.DocumentTitle == "Заключение"
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    metadata, = get(archive, address(1) + "/metadata").rows()
    where = web.here(archive, metadata["00420011"]["BulkDataURI"])
    assert get(archive, where, BYTES).expect(200).body == dataset.EncapsulatedDocument
    # As OHIF asks for it.
    reply = get(archive, where + query(accept="application/pdf")).expect(200)
    assert reply.media == "application/pdf" and reply.body.startswith(PDF)


def photograph():
    picture = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue()


def pixel_attributes(**more):
    return dict(Rows=30, Columns=40, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="YBR_FULL", BitsAllocated=8,
                BitsStored=8, HighBit=7, PixelRepresentation=0, **more)


def test_a_photograph_becomes_an_instance(archive):
    jpeg = photograph()
    row = bulk(model(PHOTOGRAPH, 2, **pixel_attributes()), "7FE00010", "OB", "../pixels/1")
    post_metadata(archive, [row], (jpeg, "image/jpeg", "../pixels/1")).expect(200)
    dataset = fetched(archive, 2)
    assert dataset.file_meta.TransferSyntaxUID == JPEG and dataset["PixelData"].is_undefined_length
    frame = get(archive, address(2) + "/frames/1", related(BYTES, transfer_syntax="*")).part()
    assert frame.content_type.startswith("image/jpeg") and frame.body in (jpeg, jpeg + b"\0")
    shown = Image.open(io.BytesIO(get(archive, address(2) + "/rendered").expect(200).body))
    assert shown.size == (40, 30)
    archive.idle = archive.resources()


def test_two_frames_are_two_parts_of_one_location(archive):
    jpeg = photograph()
    row = bulk(model(PHOTOGRAPH, 3, NumberOfFrames=2, **pixel_attributes()), "7FE00010", "OB", "frames")
    syntax = f"image/jpeg; transfer-syntax={JPEG}"
    reply = post_metadata(archive, [row], (jpeg, syntax, "frames"), (jpeg[:-2] + b"\xff\xd9", syntax, "frames"))
    reply.expect(200)
    assert len(list(pydicom.encaps.generate_frames(fetched(archive, 3).PixelData, number_of_frames=2))) == 2


def test_a_video_becomes_an_instance(archive):
    video = struct.pack(">I4s4sI", 16, b"ftyp", b"mp42", 0) + hashlib.shake_256(b"video").digest(3 << 20)
    row = bulk(model(VIDEO, 4, NumberOfFrames=25, CineRate=25, FrameTime="40", **pixel_attributes()), "7FE00010", "OB", "video")
    post_metadata(archive, [row], (video, "video/mp4", "video")).expect(200)
    dataset = fetched(archive, 4)
    assert dataset.file_meta.TransferSyntaxUID == MPEG4
    fragments = list(pydicom.encaps.generate_fragments(dataset.PixelData))
    assert b"".join(fragments[1:] if len(fragments[0]) < 8 else fragments) == video
    # Browsers play it by ranges.
    where = address(4) + "/bulkdata/7FE00010" + query(accept="video/mp4")
    reply = get(archive, where, Range="bytes=100-199").expect(206)
    assert reply.media == "video/mp4" and reply.body == video[100:200]
    assert get(archive, where).expect(200).body == video


def test_native_pixels_and_values_in_line(archive):
    dataset = ct_data_set(40, 1, 5)
    row = dataset.to_json_dict(bulk_data_threshold=256, bulk_data_element_handler=lambda _: "pixels")
    row["00091010"] = {"vr": "OB", "InlineBinary": "AQIDBA=="}
    row["00090010"] = {"vr": "LO", "Value": ["SNIMOK TESTS"]}
    assert row["7FE00010"]["BulkDataURI"] == "pixels"
    post_metadata(archive, [row], (dataset.PixelData, f"application/octet-stream; transfer-syntax={EXPLICIT}", "pixels")).expect(200)
    came = fetched(archive, 5)
    assert came.PixelData == dataset.PixelData and came[0x0009, 0x1010].value == b"\1\2\3\4"
    for each in dataset:
        assert came[each.tag].value == each.value, each.keyword


def test_several_objects_in_one_request(archive):
    rows = [bulk(model(ENCAPSULATED_PDF, number), "00420011", "OB", f"document{number}") for number in (6, 7)]
    parts = [(PDF + bytes([number]), "application/pdf", f"document{number}") for number in (7, 6)]
    assert len(stored(post_metadata(archive, rows, *parts).expect(200))) == 2
    for number in (6, 7):
        assert fetched(archive, number).EncapsulatedDocument[len(PDF)] == number


def test_bulk_data_that_is_missing_leaves_nothing(archive):
    good = bulk(model(ENCAPSULATED_PDF, 8), "00420011", "OB", "here")
    lacking = bulk(model(ENCAPSULATED_PDF, 9), "00420011", "OB", "nowhere")
    reply = post_metadata(archive, [lacking], (PDF, "application/pdf", "here")).expect(409)
    assert [uid for uid, _ in failed(reply)] == [f"{ROOT_UID}.40.1.9"] and archive.stats()["instances"] == 0
    reply = post_metadata(archive, [good, lacking], (PDF, "application/pdf", "here")).expect(202)
    assert stored(reply) == [f"{ROOT_UID}.40.1.8"]


def test_bulk_data_keeps_its_vr(archive):
    """Short values, an odd text, and one that is longer than its VR can say (PS3.5 section 6.2.2)."""
    row = model(PHOTOGRAPH, 12)
    history = "Анамнез: перелом ребра".encode()
    assert len(history) % 2 == 1
    row = bulk(bulk(bulk(row, "001021B0", "LT", "text"), "00283006", "US", "table"), "00091011", "SL", "numbers")
    row["00090010"] = {"vr": "LO", "Value": ["SNIMOK TESTS"]}
    post_metadata(archive, [row], (history, "application/octet-stream", "text"),
                  (struct.pack("<4H", 0, 100, 200, 65535), "application/octet-stream", "table"),
                  (bytes(70_000), "application/octet-stream", "numbers")).expect(200)
    came = fetched(archive, 12)
    assert came["AdditionalPatientHistory"].VR == "LT" and came.AdditionalPatientHistory == history.decode()
    assert came["LUTData"].VR == "US" and came.LUTData == [0, 100, 200, 65535]
    assert came.get_item((0x0009, 0x1011)).VR == "UN" and len(came.get_item((0x0009, 0x1011)).value) == 70_000
    raw = get(archive, address(12), related(DICOM, transfer_syntax="*")).part().body
    assert history + b" " in raw, "text is padded by a space (PS3.5 section 6.2)"


def test_the_text_of_items_is_utf_8_whatever_they_say(archive):
    row = model(PHOTOGRAPH, 13)
    code = {"00080005": {"vr": "CS", "Value": ["ISO_IR 144"]}, "00080104": {"vr": "LO", "Value": ["Рёбра"]}}
    row["00082228"] = {"vr": "SQ", "Value": [code]}
    row["00281053"] = {"vr": "DS", "Value": [1.2345678901234567e-300]}
    post_metadata(archive, [row]).expect(200)
    came = fetched(archive, 13)
    assert came.PrimaryAnatomicStructureSequence[0].CodeMeaning == "Рёбра"
    assert float(came.RescaleSlope) == 1.23456789e-300, "the exponent stays"


def test_two_parts_for_one_value_are_refused(archive):
    row = bulk(model(ENCAPSULATED_PDF, 14), "00420011", "OB", "here")
    part = (PDF, "application/pdf", "here")
    assert [uid for uid, _ in failed(post_metadata(archive, [row], part, part).expect(409))] == [f"{ROOT_UID}.40.1.14"]
    assert archive.stats()["instances"] == 0


def test_metadata_nested_deep_are_read_like_others(archive):
    """Each level of a library's reader cost more than the one before: of these five megabytes it read for four minutes."""
    row = {**model(PHOTOGRAPH, 15), "00081140": {"vr": "SQ", "Value": []}}
    item = json.loads('{"00081140":{"Value":[' * 62 + "{}" + "]}}" * 62)
    row["00081140"]["Value"] = [item] * 3000
    post_metadata(archive, [row]).expect(200)
    assert len(fetched(archive, 15)[0x0008, 0x1140].value) == 3000
    row["00081140"]["Value"] = [json.loads('{"00081140":{"Value":[' * 65 + "{}" + "]}}" * 65)]
    assert "nested deeper" in post_metadata(archive, [row]).problem(400)


@pytest.mark.parametrize("location", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/", "../../data/catalog.db"])
def test_bulk_data_is_looked_for_in_the_request_only(location, archive):
    row = bulk(model(ENCAPSULATED_PDF, 10), "00420011", "OB", location)
    post_metadata(archive, [row]).expect(400, 409)
    assert archive.stats()["instances"] == 0


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[1]", b'"text"', b'[{"00080018": 5}]', b'[{"0008001": {"vr": "UI", "Value": ["1.2"]}}]',
    b'[{"00080018": {"vr": "XX", "Value": ["1.2"]}}]', b'[{"00080018": {"vr": "UI", "Value": "1.2"}}]',
    b'[{"00280010": {"vr": "US", "Value": [70000]}}]', b'[{"00280010": {"vr": "US", "Value": [1.5]}}]',
    b'[{"00280010": {"vr": "US", "Value": ["many"]}}]', b'[{}', b'[{}] []',
    b'[{"00081140": {"vr": "SQ", "Value": ["1.2"]}}]', b'\xff\xfe[]'])
def test_metadata_that_are_none_are_refused(raw, archive):
    reply = post_metadata(archive, None, raw=raw)
    assert reply.status in (400, 409), reply.status
    if reply.status == 400:
        reply.problem(400)
    assert archive.stats()["instances"] == 0


@pytest.mark.parametrize("tag, attribute", [
    ("00080006", {"InlineBinary": "AQID"}), ("00081140", {"vr": "SQ", "BulkDataURI": "here"}), ("7FE00010", {"vr": "SQ", "Value": [{}]}),
    ("0020000d", {"vr": "UI", "Value": ["1.2.3"]}), ("FFFEE000", {"vr": "UN"}), ("00100010", {"vr": "PN", "Value": "A^B"}),
    ("00104000", "text"), ("00282000", {"vr": "OB", "InlineBinary": 1}), ("00282000", {"vr": "OB", "Value": [1, 2]})])
def test_an_attribute_that_is_none_refuses_the_whole(tag, attribute, archive):
    good, bad = model(PHOTOGRAPH, 16), {**model(PHOTOGRAPH, 17), tag: attribute}
    said = post_metadata(archive, [good, bad], (b"pixels", "application/octet-stream", "here")).problem(400)
    assert f"({tag[:4]},{tag[4:]})".upper() in said
    assert archive.stats()["instances"] == 0


def test_metadata_of_another_study_than_the_address(archive):
    row = bulk(model(ENCAPSULATED_PDF, 11), "00420011", "OB", "here")
    post_metadata(archive, [row], (PDF, "application/pdf", "here"), study="1.2.3").expect(409)
    assert archive.stats()["instances"] == 0


# Uploads that go on where they were cut off

def digest(sent):
    """The blob id (Storage/FORMAT.md)."""
    return blake3(sent.transfer_syntax.encode().ljust(64, b"\0") + sent.data).hexdigest()


def check(archive, *instances, body=None):
    content = body if body is not None else json.dumps({"instances": [
        {"digest": digest(sent), "studyInstanceUID": sent.study} for sent in instances]}).encode()
    return request(archive, "POST", f"{web.ROOT}/uploads/check", {"Content-Type": "application/json"}, content)


def test_what_need_not_be_sent_again_is_told(archive):
    slices = [ct(1, 1, number) for number in range(1, 6)]
    stow(archive, slices[:2]).expect(200)
    store_all(archive, slices[2:3])
    answer = check(archive, *slices).expect(200).json()
    assert [entry["digest"] for entry in answer["instances"]] == [digest(sent) for sent in slices]
    assert [entry["state"] for entry in answer["instances"]] == ["present"] * 3 + ["unknown"] * 2
    stow(archive, [sent for sent, entry in zip(slices, answer["instances"]) if entry["state"] == "unknown"]).expect(200)
    assert {entry["state"] for entry in check(archive, *slices).json()["instances"]} == {"present"}
    assert archive.stats()["versions"] == 5


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"instances": 5}', b'{"instances": [{}]}', b'{"instances": [{"digest": "12"}]}',
                                  b'{"instances": [{"digest": "' + b"g" * 64 + b'"}]}'])
def test_a_check_that_is_not_understood(body, archive):
    check(archive, body=body).problem(400)


def test_a_check_of_nothing_is_nothing(archive):
    assert check(archive).expect(200).json() == {"instances": []}
    get(archive, "uploads/check").problem(404, 405)


# Deletion is off

@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_nothing_is_deleted_unless_it_is_allowed(level, archive):
    sent = ct(1, 1, 1)
    stow(archive, [sent]).expect(200)
    whole = path_of(sent)
    where = {"study": whole.split("/series")[0], "series": whole.split("/instances")[0], "instance": whole}[level]
    get(archive, where, method="DELETE").problem(403)
    check_kept(archive, sent)
