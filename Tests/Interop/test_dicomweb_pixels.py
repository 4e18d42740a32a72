# SPDX-License-Identifier: Apache-2.0
"""Pixels: frames and transcoded instances of every file against pydicom's decoders, rendered pictures against a model in numpy."""
import io
import warnings
from contextlib import contextmanager

import numpy
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space, pixel_array

from harness import web
from harness.clients import store_all
from harness.samples import ROOT_UID, ct_data_set, instance, item
from harness.wire import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from harness.web import BYTES, DICOM, get, path_of, query, related
from test_pydicom_files import sort_files, waves

BASELINE, EXTENDED, LOSSLESS_JPEG, JPEG_LOSSLESS_SV1 = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
JLS, JLS_LOSSY, J2K, J2K_LOSSY, RLE = (f"1.2.840.10008.1.2.{number}" for number in ("4.80", "4.81", "4.90", "4.91", "5"))
NATIVE = {IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED}
LOSSY = {BASELINE, EXTENDED, JLS_LOSSY, J2K_LOSSY}
# What two decoders may differ by: inverse transforms are rounded differently, chroma is spread differently.
TOLERANCE = {BASELINE: 2, EXTENDED: 2, J2K_LOSSY: 2}

# Files whose pixels pydicom's decoders do not read, and why.
UNREADABLE = {
    "JPEG-lossy.dcm": "a misplaced marker: the stream is for 8 bits", "SC_rgb_jpeg.dcm": "a broken offset table",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a broken codestream", "badVR.dcm": "its numbers are none",
    "image_dfl.dcm": "the pixels are in another file",
}


@contextmanager
def quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def expected_frames(sent):
    """What the web interface gives for each frame in Explicit VR Little Endian, as arrays; JPEG's YBR becomes RGB."""
    with quietly():
        is_kept = sent.transfer_syntax in NATIVE | {RLE, JLS, JLS_LOSSY}
        pixels = pixel_array(sent.path, raw=is_kept)
        dataset = pydicom.dcmread(sent.path, stop_before_pixels=True)
    frames = int(dataset.get("NumberOfFrames") or 1)
    return pixels if frames > 1 else pixels[numpy.newaxis], dataset


def native_frames(sent, dataset):
    """The frames of native pixel data as bytes, little endian."""
    with quietly():
        whole = pydicom.dcmread(sent.path)
    data = whole.PixelData
    frames = int(dataset.get("NumberOfFrames") or 1)
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    if sent.transfer_syntax == BIG_ENDIAN and whole["PixelData"].VR == "OW" and dataset.BitsAllocated != 1:
        # Words of the pixels' size were swapped (PS3.5 section 7.3); those of 8 bits two at a time.
        data = numpy.frombuffer(data, f">u{max(2, dataset.BitsAllocated // 8)}").astype(
            f"<u{max(2, dataset.BitsAllocated // 8)}").tobytes()
    assert bits % 8 == 0
    return [data[number * bits // 8:(number + 1) * bits // 8] for number in range(frames)]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """An archive with every file that has pixels, each under an instance UID of its own; `files` has them by name."""
    archive = web.with_pictures(tmp_path_factory.mktemp("pixels"))
    try:
        archive.files = {}
        for number, sent in enumerate(each for wave in waves(sort_files()[0]) for each in wave):
            with quietly():
                if "PixelData" in pydicom.dcmread(sent.path) or sent.path.name in UNREADABLE:
                    archive.files[f"{sent.path.parent.name}/{sent.path.name}"] = renamed(sent, number)
        store_all(archive, list(archive.files.values()))
        for sent in archive.files.values():
            web.placed(archive, sent)
        yield archive
        archive.close()
    finally:
        archive.kill()


def renamed(sent, number):
    """The same bytes with another SOP Instance UID of the same length: many files share theirs."""
    if sent.transfer_syntax == DEFLATED:
        return sent
    uid = f"1.{number + 1000}." + "1" * 60
    uid = uid[:max(len(sent.sop_instance), 7)]
    assert len(uid) == len(sent.sop_instance) and uid[-1] != "."
    return type(sent)(sent.sop_class, uid, sent.transfer_syntax, sent.data.replace(sent.sop_instance.encode(), uid.encode()),
                      sent.study.replace(sent.sop_instance, uid), sent.series.replace(sent.sop_instance, uid), sent.patient, sent.path)


def named(archive, name):
    return next(sent for sent in archive.files.values() if sent.path.name == name)


def readable(archive):
    return [sent for sent in archive.files.values() if sent.path.name not in UNREADABLE]


def is_near(found, expected, tolerance):
    return numpy.abs(found.astype(numpy.int64) - expected.astype(numpy.int64)).max(initial=0) <= tolerance


# Frames

@pytest.mark.limit(600)
def test_frames_of_every_file_are_what_pydicom_decodes(decoder, capsys):
    frames, wrong = 0, []
    for sent in readable(decoder):
        try:
            frames += check_frames(decoder, sent)
        except AssertionError as error:
            wrong.append(f"{sent.path.name} ({sent.transfer_syntax}): {str(error)[:300]}")
    with capsys.disabled():
        print(f"\n{frames} frames of {len(readable(decoder))} files; left out: "
              + "; ".join(f"{name}: {reason}" for name, reason in UNREADABLE.items()))
    assert not wrong, f"{len(wrong)} files:\n" + "\n".join(wrong)
    assert len(readable(decoder)) > 150


def check_frames(archive, sent):
    expected, dataset = expected_frames(sent)
    numbers = ",".join(str(number) for number in range(1, len(expected) + 1))
    parts = get(archive, path_of(sent, "frames", numbers), related(BYTES)).parts()
    assert len(parts) == len(expected)
    if sent.transfer_syntax in NATIVE:
        assert [part.body for part in parts] == native_frames(sent, dataset), "native frames are the bytes of the file"
        return len(parts)
    for part, frame in zip(parts, expected):
        frame = frame.astype(frame.dtype.newbyteorder("<"))
        assert len(part.body) == frame.nbytes, f"{len(part.body)} bytes for {frame.nbytes}"
        found = numpy.frombuffer(part.body, frame.dtype).reshape(frame.shape)
        assert is_near(found, frame, tolerance(sent, dataset)), difference(found, frame)
    return len(parts)


def tolerance(sent, dataset):
    # Chroma at half the resolution may be spread in two ways, by repeating it or smoothly.
    if sent.transfer_syntax == BASELINE and dataset.PhotometricInterpretation.startswith("YBR"):
        return 255 if is_subsampled(sent) else 3
    return TOLERANCE.get(sent.transfer_syntax, 0)


def is_subsampled(sent):
    """Whether the JPEG stream's luminance is sampled more often than its chroma (ISO 10918-1, SOF0)."""
    at = sent.data.index(b"\xff\xc0", sent.data.index(b"\xff\xd8\xff"))
    return sent.data[at + 11] != 0x11


def difference(found, expected):
    distance = numpy.abs(found.astype(numpy.int64) - expected.astype(numpy.int64))
    return f"pixels differ by up to {distance.max()}, {100 * (distance > 0).mean():.2f} % of them"


def test_a_subsampled_picture_is_near_where_colour_is_even(decoder):
    # The files above with subsampled chroma have large even areas: most pixels must agree all the same.
    for name in ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "examples_ybr_color.dcm"):
        sent = named(decoder, name)
        expected, _ = expected_frames(sent)
        body = get(decoder, path_of(sent, "frames", 1), BYTES).expect(200).body
        found = numpy.frombuffer(body, numpy.uint8).reshape(expected[0].shape)
        distance = numpy.abs(found.astype(int) - expected[0].astype(int))
        assert (distance <= 3).mean() > 0.9 and numpy.median(distance) <= 1, f"{name}: {difference(found, expected[0])}"


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_pixels_that_cannot_be_read_are_an_error_or_as_stored(name, decoder):
    sent = named(decoder, name)
    for tail, accept in (("frames/1", related(BYTES)), ("rendered", "image/png"), ("thumbnail", None)):
        reply = get(decoder, path_of(sent, tail), accept)
        if reply.status != 200:
            reply.problem(404, 406, 422)
    part = get(decoder, path_of(sent), related(DICOM, transfer_syntax="*")).part()
    assert web.read_part10(part.body).data == sent.data


# Whole instances in another transfer syntax

def can_be(target, dataset):
    bits = dataset.BitsAllocated
    if target == EXPLICIT:
        return True
    if target == BASELINE:
        return bits == 8 and dataset.PhotometricInterpretation != "PALETTE COLOR"
    return bits in (8, 16)


@pytest.mark.limit(900)
@pytest.mark.parametrize("target", [EXPLICIT, JLS, J2K, RLE, BASELINE], ids=["native", "JPEG-LS", "JPEG 2000", "RLE", "JPEG"])
def test_instances_are_transcoded_without_loss(target, decoder, capsys):
    done, left_out, wrong, seen = 0, 0, [], set()
    for sent in readable(decoder):
        expected, dataset = expected_frames(sent)
        # Large ones take long, and the same picture has come already; subsampled JPEG is looked at above.
        key = (expected.shape, str(expected.dtype), sent.transfer_syntax, dataset.PhotometricInterpretation)
        if expected.nbytes > 3 << 20 or key in seen or tolerance(sent, dataset) > 3:
            left_out += 1
            continue
        seen.add(key)
        try:
            check_transcoded(decoder, sent, target, dataset)
            done += 1
        except (AssertionError, EOFError) as error:
            wrong.append(f"{sent.path.name} ({sent.transfer_syntax}): {str(error)[:250]}")
    with capsys.disabled():
        print(f"\n{done} instances as {target}, {left_out} left out for size or as alike")
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)
    assert done > 40


def check_transcoded(archive, sent, target, dataset):
    accept = related(DICOM, transfer_syntax=target)
    reply = get(archive, path_of(sent), accept)
    if not can_be(target, dataset) and sent.transfer_syntax != target:
        if reply.status != 200:
            return reply.problem(406, 422)
    part = reply.part()
    with quietly():
        came = pydicom.dcmread(io.BytesIO(part.body))
        assert came.file_meta.TransferSyntaxUID == target and came.SOPInstanceUID == sent.sop_instance
        found, before = pixel_array(came), pixel_array(sent.path)
    if sent.transfer_syntax == target:
        assert web.read_part10(part.body).data == sent.data, "nothing is decoded that need not be"
    elif target == BASELINE:
        assert found.shape == before.shape and numpy.abs(found.astype(int) - before.astype(int)).mean() < 4
        assert came.LossyImageCompression == "01", "PS3.3 section C.7.6.1.1.5"
    else:
        if target in (JLS, J2K) and sent.transfer_syntax in NATIVE:
            # Bits above those stored are no part of the value (PS3.5 section 8.1.1); these syntaxes do not keep them.
            found, before = (pixels.astype(numpy.int64) & ((1 << dataset.BitsStored) - 1) for pixels in (found, before))
        assert found.shape == before.shape and is_near(found, before, tolerance(sent, dataset)), difference(found, before)
        # The frame tells its own size; the rest of the data set stays.
        for keyword in ("Rows", "Columns", "NumberOfFrames", "BitsStored", "PixelRepresentation", "PatientName", "WindowCenter"):
            assert str(came.get(keyword)) == str(dataset.get(keyword)) or keyword == "BitsStored", keyword
    if target not in NATIVE:
        assert came["PixelData"].is_undefined_length


def test_a_large_instance_is_transcoded_too(decoder):
    sent = named(decoder, "RG1_UNCR.dcm")
    with quietly():
        before = pixel_array(sent.path)
        for target in (JLS, J2K):
            part = get(decoder, path_of(sent), related(DICOM, transfer_syntax=target)).part()
            assert len(part.body) < len(sent.data) * 0.8
            assert is_near(pixel_array(pydicom.dcmread(io.BytesIO(part.body))), before, 0)


@pytest.mark.parametrize("media, syntax", [("image/jls", JLS), ("image/jp2", J2K), ("image/dicom-rle", RLE)])
def test_frames_are_made_in_a_lossless_syntax(media, syntax, decoder):
    sent = named(decoder, "emri_small.dcm")
    with quietly():
        pixels = pixel_array(sent.path)
        dataset = pydicom.dcmread(sent.path)
    parts = get(decoder, path_of(sent, "frames", "2,9"), related(media)).parts()
    for part, number in zip(parts, (2, 9)):
        assert syntax in part.content_type
        dataset.NumberOfFrames = 1
        dataset.PixelData = pydicom.encaps.encapsulate([part.body])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax
        assert is_near(pixel_array(dataset), pixels[number - 1], 0)


# Rendered pictures: a model of PS3.3 section C.11 and PS3.4 section N.2

def linear(values, center, width):
    """PS3.3 section C.11.2.1.2.1."""
    return numpy.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) if width > 1 else (values > center - 0.5) * 1.0


def linear_exact(values, center, width):
    return numpy.clip((values - center) / width + 0.5, 0, 1)


def sigmoid(values, center, width):
    return 1 / (1 + numpy.exp(-4 * (values - center) / width))


FUNCTIONS = {"linear": linear, "linear-exact": linear_exact, "sigmoid": sigmoid}


def shown(stored, dataset, center, width, function="linear"):
    values = stored.astype(float) * float(dataset.get("RescaleSlope") or 1) + float(dataset.get("RescaleIntercept") or 0)
    grey = FUNCTIONS[function](values, center, width)
    return (1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey) * 255


def picture(archive, sent, *tail, accept="image/png", **parameters):
    reply = get(archive, path_of(sent, *(tail or ("rendered",))) + query(**parameters), accept).expect(200)
    assert reply.media == accept
    opened = Image.open(io.BytesIO(reply.body))
    opened.load()
    return opened


def pixels_of(opened):
    return numpy.asarray(opened.convert("L") if opened.mode in ("1", "I;16") else opened).astype(float)


RAMP = numpy.arange(64 * 64, dtype=numpy.int64).reshape(64, 64)


def ramp(study, pixels, **attributes):
    """An image with every value once."""
    return ct_data_set(study, 1, 1, Rows=pixels.shape[0], Columns=pixels.shape[1], **{"PixelData": pixels.tobytes(), **attributes})


def made():
    unsigned, signed = RAMP.astype("<u2"), (RAMP - 2048).astype("<i2")
    yield "unsigned", ramp(201, unsigned, BitsStored=12, HighBit=11, WindowCenter=2000, WindowWidth=1000)
    yield "signed", ramp(202, signed, PixelRepresentation=1, WindowCenter=["40", "300"], WindowWidth=["400", "2000"],
                         RescaleSlope=1, RescaleIntercept=0)
    yield "rescaled", ramp(203, unsigned, RescaleSlope="0.5", RescaleIntercept="-1024", WindowCenter=0, WindowWidth=500)
    yield "inverse", ramp(204, unsigned, PhotometricInterpretation="MONOCHROME1", WindowCenter=2000, WindowWidth=1000)
    yield "narrow", ramp(205, unsigned, WindowCenter=2000, WindowWidth=1)
    yield "sigmoid", ramp(206, unsigned, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    yield "exact", ramp(207, unsigned, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    # Bits above those that are stored say nothing (PS3.5 section 8.1.1).
    yield "overfull", ramp(208, unsigned | 0xF000, BitsStored=12, HighBit=11, WindowCenter=2000, WindowWidth=1000)
    yield "bytes", ramp(209, (RAMP // 16).astype("u1"), BitsAllocated=8, BitsStored=8, HighBit=7, WindowCenter=128, WindowWidth=256)
    yield "bare", ramp(210, unsigned)


@pytest.fixture(scope="module")
def ramps(decoder):
    sent = {}
    for name, dataset in made():
        if dataset.BitsAllocated == 8:
            dataset["PixelData"].VR = "OB"
        sent[name] = instance(dataset)
        sent[name].dataset = dataset
    store_all(decoder, list(sent.values()))
    return sent


def stored_values(dataset):
    kind = {8: "u1", 16: "<i2" if dataset.PixelRepresentation else "<u2"}[dataset.BitsAllocated]
    values = numpy.frombuffer(dataset.PixelData, kind).reshape(dataset.Rows, dataset.Columns)
    return values & ((1 << dataset.BitsStored) - 1) if not dataset.PixelRepresentation else values


@pytest.mark.parametrize("name", ["unsigned", "signed", "rescaled", "inverse", "narrow", "sigmoid", "exact", "overfull", "bytes"])
def test_the_window_of_the_header_is_used(name, ramps, decoder):
    dataset = ramps[name].dataset
    first = [float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)
             for value in (dataset.WindowCenter, dataset.WindowWidth)]
    function = dataset.get("VOILUTFunction", "LINEAR").lower().replace("_", "-")
    found = pixels_of(picture(decoder, ramps[name]))
    assert numpy.abs(found - shown(stored_values(dataset), dataset, *first, function)).max() <= 1


WINDOWS = [("signed", 0, 100, "linear"), ("signed", -500.5, 333.3, "linear-exact"), ("signed", 100, 800, "sigmoid"),
           ("unsigned", 1000, 4096, "linear"), ("inverse", 3000, 50, "linear"), ("rescaled", -200, 1000, "linear"),
           ("unsigned", 2000, 1, "linear")]


@pytest.mark.parametrize("name, center, width, function", WINDOWS)
def test_the_window_of_the_request_is_used(name, center, width, function, ramps, decoder):
    dataset = ramps[name].dataset
    found = pixels_of(picture(decoder, ramps[name], window=f"{center},{width},{function}"))
    assert numpy.abs(found - shown(stored_values(dataset), dataset, center, width, function)).max() <= 1


def test_wado_uri_takes_its_window_too(ramps, decoder):
    sent = ramps["signed"]
    reply = get(decoder, "/wado" + query(
        requestType="WADO", studyUID=sent.study, seriesUID=sent.series, objectUID=sent.sop_instance, contentType="image/png",
        windowCenter="100", windowWidth="1000")).expect(200)
    found = pixels_of(Image.open(io.BytesIO(reply.body)))
    assert numpy.abs(found - shown(stored_values(sent.dataset), sent.dataset, 100, 1000)).max() <= 1


def test_without_a_window_all_values_are_shown(ramps, decoder):
    found = pixels_of(picture(decoder, ramps["bare"])).ravel()
    assert found[0] <= 2 and found[-1] >= 253 and (numpy.diff(found) >= 0).all()


def test_jpeg_is_near_the_png(ramps, decoder):
    for name in ("unsigned", "inverse"):
        exact, near = (pixels_of(picture(decoder, ramps[name], accept=accept)) for accept in ("image/png", "image/jpeg"))
        assert numpy.abs(exact - near).mean() < 4


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "693_J2KR.dcm", "RG3_UNCR.dcm", "emri_small.dcm", "JPEG2000.dcm"])
def test_a_file_is_shown_by_its_own_window(name, decoder):
    sent = named(decoder, name)
    with quietly():
        pixels = pixel_array(sent.path)
        dataset = pydicom.dcmread(sent.path)
    center = dataset.get("WindowCenter", 600)
    width = dataset.get("WindowWidth", 1600)
    center, width = (float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value) for value in (center, width))
    frame = pixels if pixels.ndim == 2 else pixels[0]
    found = pixels_of(picture(decoder, sent, *([] if pixels.ndim == 2 else ["frames", 1, "rendered"]), window=f"{center},{width},linear"))
    assert found.shape == frame.shape
    assert numpy.abs(found - shown(frame, dataset, center, width)).max() <= 1


def test_a_voi_table_is_used(decoder):
    sent = named(decoder, "vlut_04.dcm")
    with quietly():
        dataset = pydicom.dcmread(sent.path)
        expected = apply_voi_lut(pixel_array(sent.path), dataset, prefer_lut=True).astype(float)
    bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
    assert numpy.abs(pixels_of(picture(decoder, sent)) - expected * 255 / (2 ** bits - 1)).max() <= 1


def test_a_modality_table_is_used(decoder):
    sent = named(decoder, "mlut_18.dcm")
    with quietly():
        dataset = pydicom.dcmread(sent.path)
        values = apply_modality_lut(pixel_array(sent.path), dataset).astype(float)
    found = pixels_of(picture(decoder, sent, window="2000,4000,linear"))
    expected = linear(values, 2000, 4000) * 255
    assert numpy.abs(found - (255 - expected if dataset.PhotometricInterpretation == "MONOCHROME1" else expected)).max() <= 1


@pytest.mark.parametrize("name", ["examples_palette.dcm", "OBXXXX1A.dcm", "gdcm-US-ALOKA-16.dcm", "OBXXXX1A_rle.dcm"])
def test_a_palette_is_shown_in_its_colours(name, decoder):
    sent = named(decoder, name)
    with quietly():
        dataset = pydicom.dcmread(sent.path)
        expected = apply_color_lut(pixel_array(sent.path), dataset)
    expected = expected.astype(float) / (257 if expected.dtype == numpy.uint16 else 1)
    assert numpy.abs(numpy.asarray(picture(decoder, sent).convert("RGB")).astype(float) - expected).max() <= 1


@pytest.mark.parametrize("name", ["SC_rgb.dcm", "SC_rgb_rle.dcm", "SC_rgb_expb.dcm", "US1_UNCR.dcm",
                                  "SC_ybr_full_uncompressed.dcm", "SC_ybr_full_422_uncompressed.dcm", "GDCMJ2K_TextGBR.dcm",
                                  "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_jpeg_gdcm.dcm",
                                  "SC_jpeg_no_color_transform.dcm", "examples_jpeg2k.dcm", "SC_rgb_jls_lossy_line.dcm"])
def test_a_colour_file_is_shown_in_its_colours(name, decoder):
    sent = named(decoder, name)
    with quietly():
        expected = pixel_array(sent.path).astype(float)
    found = numpy.asarray(picture(decoder, sent).convert("RGB")).astype(float)
    assert found.shape == expected.shape and numpy.abs(found - expected).max() <= 3


@pytest.mark.parametrize("name", ["color-pl.dcm", "color-px.dcm"])
def test_pixels_that_are_not_square_are_shown_in_their_proportions(name, decoder):
    sent = named(decoder, name)
    with quietly():
        dataset, expected = pydicom.dcmread(sent.path), pixel_array(sent.path)
    assert dataset.PixelAspectRatio == [4, 3] and (dataset.Rows, dataset.Columns) == (120, 256)
    found = picture(decoder, sent).convert("RGB")
    assert found.size == (256, 160)
    stretched = Image.fromarray(expected).resize((256, 160), Image.BILINEAR)
    assert numpy.abs(numpy.asarray(found).astype(float) - numpy.asarray(stretched)).mean() < 6


def test_ybr_is_converted_as_the_standard_says(decoder):
    # All corners of the cube (PS3.3 section C.7.6.3.1.2).
    corners = numpy.array([[y, b, r] for y in (0, 128, 255) for b in (0, 128, 255) for r in (0, 128, 255)], numpy.uint8)
    pixels = numpy.repeat(corners, 27, axis=0).reshape(27, 27, 3)
    dataset = ct_data_set(220, 1, 1, Rows=27, Columns=27, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=3,
                          PlanarConfiguration=0, PhotometricInterpretation="YBR_FULL", PixelData=pixels.tobytes() + b"\0")
    dataset["PixelData"].VR = "OB"
    sent = instance(dataset)
    store_all(decoder, [sent])
    expected = convert_color_space(pixels, "YBR_FULL", "RGB").astype(float)
    assert numpy.abs(numpy.asarray(picture(decoder, sent).convert("RGB")).astype(float) - expected).max() <= 1


def test_one_bit_is_black_and_white(decoder):
    sent = named(decoder, "liver_1frame.dcm")
    with quietly():
        expected = pixel_array(sent.path) * 255.0
    found = pixels_of(picture(decoder, sent))
    assert numpy.abs(found - expected).max() == 0


# Viewports (PS3.18 section 8.3.5.1.4)

SIZES = {
    "32,32": (32, 32), "128,128": (128, 128), "128,64": (64, 64), "16,500": (16, 16), "32,32,0,0,64,64": (32, 32),
    "32,32,16,16,32,32": (32, 32), "64,64,0,0,64,32": (64, 32), "20,40,,,32,64": (20, 40),
}


@pytest.mark.parametrize("viewport", SIZES)
def test_a_picture_fits_its_viewport(viewport, ramps, decoder):
    assert picture(decoder, ramps["unsigned"], viewport=viewport).size == SIZES[viewport]


@pytest.mark.parametrize("region, cut", [
    ("0,0,32,32", numpy.s_[:32, :32]), ("32,16,32,32", numpy.s_[16:48, 32:64]), ("63,63,1,1", numpy.s_[63:, 63:]),
    ("0,0,-64,64", numpy.s_[:, ::-1]), ("0,0,64,-64", numpy.s_[::-1, :])])
def test_a_region_is_cut_out_or_flipped(region, cut, ramps, decoder):
    sent = ramps["unsigned"]
    whole = pixels_of(picture(decoder, sent))
    width, height = (abs(int(number)) for number in region.split(",")[2:])
    found = pixels_of(picture(decoder, sent, viewport=f"{width},{height},{region}"))
    assert numpy.array_equal(found, whole[cut])


def test_a_smaller_picture_is_the_mean_of_its_pixels(ramps, decoder):
    sent = ramps["unsigned"]
    whole = pixels_of(picture(decoder, sent, window="2048,4096,linear"))
    small = pixels_of(picture(decoder, sent, window="2048,4096,linear", viewport="16,16"))
    expected = whole.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert numpy.abs(small - expected).mean() < 6, "scaled in some smooth way"


def test_quality_and_annotation_change_the_picture(ramps, decoder):
    sent = ramps["signed"]
    sizes = [len(get(decoder, path_of(sent, "rendered") + query(quality=quality)).expect(200).body) for quality in (5, 50, 100)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    plain = pixels_of(picture(decoder, sent, viewport="512,512"))
    for annotation in ("patient", "technique", "patient,technique"):
        other = pixels_of(picture(decoder, sent, viewport="512,512", annotation=annotation))
        assert other.shape == plain.shape and 0.0005 < (numpy.abs(other - plain) > 20).mean() < 0.5


BAD = ["window=1", "window=a,b,linear", "window=1,2,cubic", "window=1,0,linear", "window=1,-5", "window=nan,5", "window=1e999,1",
       "viewport=0,0", "viewport=-5,5", "viewport=a,b", "viewport=5", "viewport=1000000,1000000",        "viewport=32,32,1000,1000,5,5", "quality=0", "quality=101", "quality=best", "annotation=all"]


@pytest.mark.parametrize("parameters", BAD)
def test_a_bad_parameter_is_400(parameters, ramps, decoder):
    get(decoder, path_of(ramps["unsigned"], "rendered") + "?" + parameters).problem(400)


# Several frames, several levels

@pytest.fixture(scope="module")
def moving(decoder):
    return named(decoder, "emri_small.dcm")


def test_each_frame_is_rendered(moving, decoder):
    with quietly():
        dataset, pixels = pydicom.dcmread(moving.path), pixel_array(moving.path)
    for number in (1, 5, 10):
        found = pixels_of(picture(decoder, moving, "frames", number, "rendered", window="600,1600,linear"))
        assert numpy.abs(found - shown(pixels[number - 1], dataset, 600, 1600)).max() <= 1


def test_frames_are_rendered_as_multipart_and_as_animation(moving, decoder):
    parts = get(decoder, path_of(moving, "rendered"), related("image/jpeg")).parts()
    assert len(parts) == 10 and all(part.content_type == "image/jpeg" and part.body[:2] == b"\xff\xd8" for part in parts)
    assert len({part.body for part in parts}) == 10
    parts = get(decoder, path_of(moving, "frames", "2,4", "rendered"), related("image/png")).parts()
    assert len(parts) == 2
    animated = picture(decoder, moving, accept="image/gif")
    assert animated.n_frames == 10 and animated.size == (64, 64) and animated.info.get("loop") == 0
    assert picture(decoder, moving, "frames", "1,3,5", "rendered", accept="image/gif").n_frames == 3


def test_a_series_and_a_study_are_rendered(moving, decoder):
    for address in (f"{web.ROOT}/studies/{moving.study}", f"{web.ROOT}/studies/{moving.study}/series/{moving.series}"):
        for tail in ("rendered", "thumbnail"):
            opened = Image.open(io.BytesIO(get(decoder, f"{address}/{tail}").expect(200).body))
            assert opened.size[0] > 8


@pytest.mark.parametrize("viewport, size", [(None, None), ("32,32", (32, 32)), ("50,20", (20, 20))])
def test_a_thumbnail_is_small(viewport, size, ramps, decoder):
    parameters = {"viewport": viewport} if viewport else {}
    opened = picture(decoder, ramps["unsigned"], "thumbnail", accept="image/jpeg", **parameters)
    assert opened.size == size if size else max(opened.size) <= 256


def test_the_second_picture_comes_from_the_cache_and_is_the_same(ramps, decoder):
    address = path_of(ramps["sigmoid"], "rendered") + "?viewport=48,48"
    first, second = get(decoder, address, "image/png"), get(decoder, address, "image/png")
    assert first.body == second.body and first["ETag"] == second["ETag"]


def test_an_overlay_is_drawn(decoder):
    dataset = ct_data_set(230, 1, 1, Rows=16, Columns=16, PixelData=bytes(512), WindowCenter=100, WindowWidth=200)
    for number, vr, value in ((0x10, "US", 16), (0x11, "US", 16), (0x40, "CS", "G"), (0x50, "SS", [1, 1]), (0x100, "US", 1),
                              (0x102, "US", 0), (0x3000, "OW", b"\xff\0" * 8 + bytes(16))):
        dataset.add_new(0x60000000 + number, vr, value)
    sent = instance(dataset)
    store_all(decoder, [sent])
    found = pixels_of(picture(decoder, sent).convert("L"))
    assert (found[:8, :8] > 200).all() and (found[8:] < 20).all() and (found[:8, 8:] < 20).all()


def test_what_has_no_pixels_is_406_for_pictures(decoder):
    dataset = ct_data_set(231, 1, 1, Rows=None, Columns=None, BitsAllocated=None, BitsStored=None, HighBit=None,
                          PixelRepresentation=None, SamplesPerPixel=None, PhotometricInterpretation=None)
    del dataset.PixelData
    dataset.ReferencedImageSequence = [item(ReferencedSOPInstanceUID="1.2.3")]
    sent = instance(dataset)
    store_all(decoder, [sent])
    for tail in ("rendered", "thumbnail", "frames/1", "frames/1/rendered"):
        get(decoder, path_of(sent, tail)).problem(404, 406)
