"""What a misbehaving image does to its decoder, and to nobody else; and transcoding for C-GET and C-MOVE."""
import os
import threading
import time

import numpy
import pytest
from harness import clients, web
from harness.archive import Archive, configuration
from harness.samples import CT, EXPLICIT, ct, decode, encode, instance
from harness.web import get, path_of
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless, RLELossless

WALL_SECONDS = 4


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """An archive whose decoders do what the words at the beginning of an image say."""
    monkeypatch.setenv("SNIMOK_IMAGING_FAULTS", "1")
    imaging = {"workers": 1, "cpuSeconds": 2, "wallSeconds": WALL_SECONDS, "cacheMiB": 0}
    archive = Archive(tmp_path, configuration(imaging=imaging)).start()
    archive.idle["sockets"] += 1
    yield archive
    archive.close()


def image(number, words=""):
    sent = ct(1, 1, number, rows=64)
    dataset = decode(sent.data)
    pixels = bytearray(dataset.PixelData)
    pixels[:len(words)] = words.encode()
    dataset.PixelData = bytes(pixels)
    return instance(dataset)


@pytest.mark.parametrize("fault", ["crash", "loop", "memory"])
def test_a_decoder_that_misbehaves_costs_one_request_an_error(fault, faulty):
    bad, good = image(1, f"SNIMOK FAULT {fault}"), image(2)
    clients.store_all(faulty, [bad, good])
    assert get(faulty, path_of(good, "rendered")).expect(200).media == "image/jpeg"
    failures, stop = [], threading.Event()

    def others():
        number = 10
        while not stop.is_set():
            number += 1
            try:
                clients.store_all(faulty, [image(number)])
                get(faulty, "/dicom-web/studies").expect(200)
            except AssertionError as error:
                failures.append(error)
                return

    beside = threading.Thread(target=others)
    beside.start()
    start = time.monotonic()
    reply = get(faulty, path_of(bad, "rendered"))
    seconds = time.monotonic() - start
    stop.set()
    beside.join()
    assert "decoded" in reply.problem(422) and seconds < WALL_SECONDS + 2
    assert not failures
    # The next one works, in a new decoder.
    assert get(faulty, path_of(good, "thumbnail")).expect(200).media == "image/jpeg"
    assert web.get(faulty, path_of(bad), web.related(web.DICOM, transfer_syntax="*")).part().body.endswith(bad.data)


@pytest.fixture
def decoding(tmp_path):
    archive = web.with_pictures(tmp_path)
    yield archive
    archive.close()


def compressed(number):
    """A slice in RLE, which pydicom encodes by itself."""
    dataset = decode(ct(1, 1, number, rows=64).data)
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    return instance(dataset, str(RLELossless)), decode(ct(1, 1, number, rows=64).data).pixel_array


@pytest.mark.parametrize("syntax", [EXPLICIT, str(JPEGLSLossless)])
def test_c_get_gives_the_syntax_that_was_negotiated(syntax, decoding):
    sent = [compressed(number) for number in (1, 2)]
    clients.store_all(decoding, [one for one, _ in sent])
    query = clients.identifier("STUDY", StudyInstanceUID=sent[0][0].study)
    answers = clients.get(decoding, query, pairs=((CT, syntax),))
    received = {one.sop_instance: one for one in answers.instances}
    assert len(received) == 2
    for one, pixels in sent:
        got = decode(received[one.sop_instance].data, syntax)
        assert received[one.sop_instance].transfer_syntax == syntax
        assert numpy.array_equal(got.pixel_array, pixels)
