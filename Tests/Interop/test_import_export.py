"""Folders in and out by the command line, while the server runs and when it does not; verify and stats."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pydicom
import pytest
from blake3 import blake3

from harness.archive import BINARY, INPUT_MISSING, SOME_REFUSED, USAGE
from harness.clients import find, get, identifier, store_all
from harness.samples import ROOT_UID, ct, ct_study, data_set_bytes

STATS = {"patients", "studies", "series", "instances", "versions", "sightings", "storedBytes", "savedBytes", "flagged",
         "quarantinedFiles", "quarantinedBytes"}


@pytest.fixture(params=["the server runs", "the server does not run"])
def importer(request, new_archive):
    """An archive in each of the two states."""
    archive = new_archive()
    if request.param == "the server does not run":
        archive.stop()
    return archive


def running(archive):
    if archive.process is None:
        archive.start()
    return archive


def numbers(done):
    """Counts of the summary: {"stored": 3, "already there": 0, "refused": 1}."""
    text = done.stdout + done.stderr
    found = {}
    for word in ("stored", "already there", "refused"):
        match = re.search(rf"(\d+)[ \t]+{word}|{word}[ \t]*:?[ \t]*(\d+)", text)
        assert match, f"the summary does not say how many are {word}:\n{text[-1500:]}"
        found[word] = int(match[1] or match[2])
    return found


def write_study(folder, instances):
    for number, instance in enumerate(instances):
        # Found by content: names tell nothing, folders are searched to the bottom.
        name = [f"IM{number}", f"deep/er/{number}.dcm", f"{number}.txt", f"Снимок {number}"][number % 4]
        instance.write(folder / name)


def test_a_folder_is_imported_exactly(importer, tmp_path):
    sent = ct_study(count=9)
    write_study(tmp_path / "in", sent)
    (tmp_path / "in" / "notes.txt").write_text("not a DICOM file")
    (tmp_path / "in" / "empty").write_bytes(b"")
    done = importer.command("import", tmp_path / "in", with_config=True)
    assert done.returncode in (0, SOME_REFUSED), done.stderr
    assert numbers(done)["stored"] == 9
    archive = running(importer)
    got = get(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"))
    assert {one.sop_instance: one.data for one in got.instances} == {one.sop_instance: one.data for one in sent}


def test_a_clean_folder_ends_with_0_and_again_says_already_there(importer, tmp_path):
    write_study(tmp_path / "in", ct_study(count=6))
    done = importer.command("import", tmp_path / "in", check=0)
    assert numbers(done) == {"stored": 6, "already there": 0, "refused": 0}
    before = importer.stats()
    done = importer.command("import", tmp_path / "in", check=0)
    assert numbers(done) == {"stored": 0, "already there": 6, "refused": 0}
    after = importer.stats()
    for key in ("instances", "versions", "storedBytes"):
        assert after[key] == before[key]


def test_files_are_refused_with_their_reason(importer, tmp_path):
    good, cut, bad_uid = ct_study(count=3)
    good.write(tmp_path / "in" / "good.dcm")
    path = cut.write(tmp_path / "in" / "cut.dcm")
    path.write_bytes(path.read_bytes()[:-101])
    bad_uid.data = bad_uid.data.replace(f"{ROOT_UID}.1.1.3".encode(), b"../../../../../../../../etc/pas"[:len(
        f"{ROOT_UID}.1.1.3")])
    bad_uid.write(tmp_path / "in" / "uid.dcm")
    done = importer.command("import", tmp_path / "in", check=SOME_REFUSED)
    text = done.stdout + done.stderr
    assert numbers(done)["stored"] == 1 and numbers(done)["refused"] == 2
    for name, uid in (("cut.dcm", cut.sop_instance), ("uid.dcm", "../..")):
        line = next(line for line in text.splitlines() if name in line or uid in line)
        assert re.search(r"[a-z]{3,} [a-z]{2,}", line), f"no reason beside the file's name: {line}"


def test_single_files_and_several_folders_can_be_named(importer, tmp_path):
    files = [instance.write(tmp_path / f"{number}" / "x.dcm") for number, instance in enumerate(ct_study(count=3))]
    done = importer.command("import", files[0], files[1].parent, files[2], check=0)
    assert numbers(done)["stored"] == 3


def test_a_path_that_is_missing_is_told(importer, tmp_path):
    done = importer.command("import", tmp_path / "nowhere", check=INPUT_MISSING)
    assert "nowhere" in done.stderr


def test_links_in_a_circle_do_not_hold_it(importer, tmp_path):
    write_study(tmp_path / "in", ct_study(count=2))
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "pipe")
    done = importer.command("import", tmp_path / "in", timeout=30)
    assert done.returncode in (0, SOME_REFUSED)
    assert importer.stats()["instances"] == 2


def test_an_interrupted_import_is_repeated_without_harm(importer, tmp_path):
    sent = ct_study(count=60, rows=256)
    write_study(tmp_path / "in", sent)
    process = subprocess.Popen([BINARY, "import", tmp_path / "in", "--data", importer.data],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    importer.command("import", tmp_path / "in", check=0)
    archive = running(importer)
    stats = archive.stats()
    assert stats["instances"] == stats["versions"] == 60
    archive.verify("--full")


def test_import_finds_what_stores_bring_and_the_other_way_round(archive, tmp_path):
    instance = ct()
    store_all(archive, [instance])
    instance.write(tmp_path / "in" / "a")
    assert numbers(archive.command("import", tmp_path / "in", check=0))["already there"] == 1
    other = ct(2)
    other.write(tmp_path / "other" / "a")
    archive.command("import", tmp_path / "other", check=0)
    store_all(archive, [other])
    stats = archive.stats()
    assert (stats["instances"], stats["versions"], stats["sightings"]) == (2, 2, 2)


# Export

@pytest.fixture
def filled(new_archive):
    archive = new_archive()
    sent = ct_study(1, 3) + ct_study(1, 2, series=2) + ct_study(2, 1)
    store_all(archive, sent)
    return archive, sent


SELECTIONS = {
    "a study": (["--study", f"{ROOT_UID}.1"], slice(0, 5)),
    "a series": (["--series", f"{ROOT_UID}.1.2"], slice(3, 5)),
    "an instance": (["--instance", f"{ROOT_UID}.1.1.2"], slice(1, 2)),
    "everything": (["--all"], slice(0, 6)),
}


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("name", SELECTIONS)
def test_export_of(name, state, filled, tmp_path):
    archive, sent = filled
    if state == "stopped":
        archive.stop()
    selection, chosen = SELECTIONS[name]
    out = tmp_path / "out"
    archive.export(*selection, out=out)
    expected = {out / one.study / one.series / f"{one.sop_instance}.dcm": one for one in sent[chosen]}
    assert {path for path in out.rglob("*") if path.is_file()} == set(expected)
    for path, one in expected.items():
        assert data_set_bytes(path) == one.data
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == one.transfer_syntax


def test_raw_export_gives_exactly_the_bytes_that_the_address_is_made_of(filled, tmp_path):
    archive, sent = filled
    archive.command("export", "--instance", sent[0].sop_instance, "--raw", "--out", tmp_path / "out", check=0)
    path, = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    expected = sent[0].transfer_syntax.encode().ljust(64, b"\0") + sent[0].data
    assert path.read_bytes() == expected
    archive.stop()
    address = blake3(expected).digest()
    assert any(address in segment.read_bytes() for segment in archive.segments())


def test_export_of_what_is_not_there_fails(filled, tmp_path):
    archive, _ = filled
    done = archive.command("export", "--study", "1.2.3.4", "--out", tmp_path / "out")
    assert done.returncode == INPUT_MISSING and done.stderr.strip()
    done = archive.command("export", "--out", tmp_path / "out")
    assert done.returncode == USAGE


def test_an_exported_archive_imported_elsewhere_is_the_same(filled, new_archive, tmp_path):
    archive, _ = filled
    archive.export("--all", out=tmp_path / "out")
    other = new_archive()
    other.command("import", tmp_path / "out", check=0)
    query = identifier("STUDY", StudyInstanceUID="", NumberOfStudyRelatedInstances="", PatientName="")
    for one in (archive, other):
        rows = find(one, query).rows
        assert sorted((row.StudyInstanceUID, int(row.NumberOfStudyRelatedInstances)) for row in rows) == [
            (f"{ROOT_UID}.1", 5), (f"{ROOT_UID}.2", 1)]


# Verify and stats

@pytest.mark.parametrize("depth", ["--quick", "--full"])
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_sound_archive_verifies(depth, state, filled):
    archive, _ = filled
    if state == "stopped":
        archive.stop()
    archive.verify(depth)


def test_a_missing_segment_does_not_verify(filled):
    archive, _ = filled
    archive.stop()
    other = archive.copy(archive.directory / "copy")
    for segment in other.segments():
        segment.unlink()
    other.verify("--quick", check=3)


def test_stats_for_people_and_for_programs(filled):
    archive, sent = filled
    stats = archive.stats()
    assert set(stats) >= STATS
    assert (stats["patients"], stats["studies"], stats["series"]) == (2, 2, 3)
    assert stats["instances"] == stats["versions"] == len(sent)
    assert stats["storedBytes"] >= sum(len(one.data) for one in sent)
    assert stats["sightings"] == stats["savedBytes"] == stats["flagged"] == stats["quarantinedFiles"] == 0
    text = archive.command("stats", check=0).stdout
    assert text.strip() and not text.lstrip().startswith("{")
    archive.stop()
    assert archive.stats() == stats, "the same when the server does not run"


def test_an_archive_can_be_moved_as_a_folder(filled, new_archive):
    archive, sent = filled
    archive.stop()
    other = new_archive(start=False)
    shutil.copytree(archive.data, other.data, ignore=shutil.ignore_patterns("*.socket"))
    other.start()
    assert other.stats() == json.loads(archive.command("stats", "--json", check=0).stdout)
    got = get(other, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.2"))
    assert [one.data for one in got.instances] == [sent[5].data]
