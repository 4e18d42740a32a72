"""Backups: made under load, restored elsewhere, continued after an interruption; what they refuse."""
import fcntl
import json
import random
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.archive import BINARY, DAMAGED, DIRECTORY_IN_USE, DIRECTORY_UNUSABLE, INPUT_OUTPUT, command
from harness.clients import find, get, identifier, store_all
from harness.samples import ct, ct_study, read_file
from harness.tools import flip

READER = Path(__file__).with_name("read_log.py")
SMALL_SEGMENTS = {"segmentMiB": 1, "largeObjectMiB": 1, "deletionGraceDays": 0}


def backup(archive, target, check=0):
    """Runs a backup; what it says, as numbers."""
    done = archive.command("backup", target, check=check)
    if check not in (0, DAMAGED):
        return done
    said = re.search(
        r"record (?P<record>\d+), time (?P<time>\S+)\n"
        r"segments (?P<segments>\d+), large objects (?P<large>\d+), bytes (?P<bytes>\d+)\n"
        r"copied segments (?P<new_segments>\d+), large objects (?P<new_large>\d+), bytes (?P<new_bytes>\d+)", done.stdout)
    assert said, done.stdout
    return {key: value if key == "time" else int(value) for key, value in said.groupdict().items()}


@pytest.fixture
def restored(new_archive):
    """Starts a server on a copy of a backup."""
    def restore(target, **sections):
        archive = new_archive(start=False, name=f"restored{random.getrandbits(32)}", **sections)
        shutil.copytree(target, archive.data)
        return archive.start()
    return restore


def answers(archive):
    """What queries say of everything."""
    studies = find(archive, identifier(
        "STUDY", StudyInstanceUID="", PatientID="", PatientName="", StudyDate="", AccessionNumber="", ModalitiesInStudy="",
        NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances=""))
    instances = find(archive, identifier(
        "IMAGE", StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="", InstanceNumber="", Rows=""))
    assert studies.status == instances.status == 0
    return sorted(str(row) for row in studies.rows), sorted(str(row) for row in instances.rows)


def in_the_log(archive, out, until):
    """The instances whose record has a number up to `until`, in order, read from the files alone."""
    done = subprocess.run([sys.executable, "-I", READER, archive.data, out], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    return [read_file(path) for path in sorted(out.iterdir()) if int(path.stem) <= until]


def assert_serves(archive, instances):
    for one in instances:
        query = identifier("IMAGE", StudyInstanceUID=one.study, SeriesInstanceUID=one.series,
                           SOPInstanceUID=one.sop_instance)
        got = get(archive, query, [one.pair])
        assert [found.data for found in got.instances] == [one.data], one.sop_instance


class Load:
    """Stores small studies without end, over several associations."""

    def __init__(self, archive, associations=3):
        self.archive, self.going_on, self.errors = archive, True, []
        self.threads = [threading.Thread(target=self._store, args=(100 * (number + 1),)) for number in range(associations)]
        for thread in self.threads:
            thread.start()

    def _store(self, study):
        try:
            while self.going_on:
                study += 1
                store_all(self.archive, ct_study(study, count=4, rows=random.choice([32, 200, 400])))
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(error)

    def stop(self):
        self.going_on = False
        for thread in self.threads:
            thread.join(60)
        assert not self.errors, self.errors


# Restoring

@pytest.mark.limit(600)
def test_a_backup_made_under_load_restores_the_archive_as_of_its_moment(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    store_all(archive, ct_study(1, count=6, rows=512) + [ct(study=9, rows=1024)])
    load = Load(archive)
    try:
        time.sleep(1)
        moment = backup(archive, tmp_path / "backup")
        time.sleep(1)
    finally:
        load.stop()
    copy = restored(tmp_path / "backup", storage=SMALL_SEGMENTS)
    copy.verify("--full")
    expected = in_the_log(archive, tmp_path / "out", moment["record"])
    assert moment["large"] >= 1 and moment["segments"] > 1 and len(expected) > 7
    assert copy.stats()["versions"] == len(expected) < archive.stats()["versions"]
    assert_serves(copy, expected[::5] + expected[-3:])
    reference = new_archive(name="reference")
    store_all(reference, expected)
    assert answers(copy) == answers(reference)
    # It goes on from there.
    store_all(copy, ct_study(50, count=2))
    copy.restart()
    copy.verify("--full")


def test_a_backup_of_a_stopped_archive_restores_all_of_it(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    study = ct_study(1, count=5, rows=400)
    store_all(archive, study)
    before = answers(archive)
    archive.stop()
    backup(archive, tmp_path / "backup")
    copy = restored(tmp_path / "backup")
    copy.verify("--full")
    assert answers(copy) == before
    assert_serves(copy, study)


def test_a_backup_is_a_data_directory_without_a_catalog(new_archive, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    store_all(archive, ct_study(1, count=5, rows=512) + [ct(study=9, rows=1024)])
    target = tmp_path / "backup"
    moment = backup(archive, target)
    names = {path.name for path in target.iterdir()}
    assert {"format", "segments", "large", "manifest.json", "manifest.key"} <= names
    assert not [name for name in names if name.startswith("catalog.db")]
    assert not list(target.rglob("*.part"))
    assert (target / "format").read_bytes() == (archive.data / "format").read_bytes()
    assert stat.S_IMODE((target / "manifest.key").stat().st_mode) == 0o600
    assert ("control.db" in names) == (archive.data / "control.db").exists()
    sealed = json.loads((target / "manifest.json").read_text())["sealed"]
    assert len(sealed) == moment["segments"] - 1
    for segment in sealed:
        name = f"{segment['generation']:08x}-{segment['number']:08x}.seg"
        assert (target / "segments" / name).stat().st_size == segment["bytes"]
        assert (target / "segments" / name).read_bytes() == (archive.data / "segments" / name).read_bytes()
    assert json.loads((target / "backup.json").read_text())["sequence"] == moment["record"]


# Again

def test_a_second_backup_copies_only_what_is_new(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    store_all(archive, ct_study(1, count=20, rows=512) + [ct(study=9, rows=1024)])
    target = tmp_path / "backup"
    first = backup(archive, target)
    assert first["new_bytes"] == first["bytes"] > 20 * 512 * 512 * 2
    unchanged = {path: path.stat().st_ino for path in sorted((target / "segments").iterdir())[:-1]}

    nothing = backup(archive, target)
    assert (nothing["new_segments"], nothing["new_large"], nothing["new_bytes"]) == (0, 0, 0)
    assert nothing["bytes"] == first["bytes"]

    new = ct(study=2, rows=256)
    store_all(archive, [new])
    second = backup(archive, target)
    assert len(new.data) <= second["new_bytes"] < 2 * len(new.data) + 16384
    assert second["record"] == first["record"] + 1
    assert {path: path.stat().st_ino for path in unchanged} == unchanged

    copy = restored(target)
    copy.verify("--full")
    assert answers(copy) == answers(archive)
    assert_serves(copy, [new])


def test_what_compaction_has_replaced_goes_from_the_backup_too(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    gone, kept = ct_study(1, count=6, rows=400), ct_study(2, count=6, rows=400)
    store_all(archive, [one for pair in zip(gone, kept) for one in pair] + [ct(study=1, series=7, rows=1024)])
    target = tmp_path / "backup"
    first = backup(archive, target)
    archive.command("delete", "--study", gone[0].study, with_config=True, check=0)
    archive.command("compact", "--all", with_config=True, check=0)
    names = {path.name for path in archive.segments()}
    assert any(not name.startswith("00000001-") for name in names), "nothing was compacted"
    second = backup(archive, target)
    assert {path.name for path in (target / "segments").iterdir()} == names
    assert {path.name for path in (target / "large").iterdir()} == {
        path.name for path in (archive.data / "large").iterdir()}
    assert second["bytes"] < first["bytes"]
    copy = restored(target, storage=SMALL_SEGMENTS)
    copy.verify("--full")
    assert answers(copy) == answers(archive)
    assert_serves(copy, kept)


@pytest.mark.limit(600)
def test_backups_go_on_while_segments_are_replaced_below_them(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    for study in range(1, 9):
        store_all(archive, ct_study(study, count=10, rows=400))
    target, moments, errors = tmp_path / "backup", [], []

    def run_backups():
        try:
            while len(moments) < 3 or compacting.is_alive():
                moments.append(backup(archive, target))
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    def compact():
        for study in range(1, 7):
            # The last instances of a study stand beside the first ones of the next.
            archive.command("delete", "--study", ct(study=study).study, with_config=True, check=0)
            archive.command("compact", "--all", with_config=True, check=0)

    compacting, backing = threading.Thread(target=compact), threading.Thread(target=run_backups)
    load = Load(archive, associations=1)
    compacting.start()
    backing.start()
    compacting.join(300)
    load.stop()
    backing.join(300)
    assert not errors, errors
    backup(archive, target)
    assert {path.name for path in (target / "segments").iterdir()} == {path.name for path in archive.segments()}
    copy = restored(target, storage=SMALL_SEGMENTS)
    copy.verify("--full")
    assert answers(copy) == answers(archive)
    assert_serves(copy, ct_study(7, count=10, rows=400))


# Interrupted

@pytest.mark.limit(600)
def test_a_backup_that_is_killed_goes_on_the_next_time(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    for study in range(1, 5):
        store_all(archive, ct_study(study, count=20, rows=600))
    target = tmp_path / "backup"
    kills = 0
    for _ in range(6):
        copied = len(list(target.glob("segments/*.seg")))
        process = subprocess.Popen([BINARY, "backup", target, "--data", archive.data], stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list(target.glob("segments/*.seg"))) < copied + 5:
            time.sleep(0.001)
        kills += process.poll() is None
        process.kill()
        process.wait(30)
        if (target / "format").exists():
            break
        # A server does not take what is only begun.
        refused = command("verify", "--data", target)
        assert refused.returncode == DIRECTORY_UNUSABLE, refused.stderr
    assert kills > 0
    moment = backup(archive, target)
    assert not list(target.rglob("*.part"))
    assert moment["new_bytes"] < moment["bytes"], "nothing was kept of what had been copied"
    copy = restored(target)
    copy.verify("--full")
    assert answers(copy) == answers(archive)


def test_a_half_copied_file_with_wrong_bytes_is_copied_anew(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    study = ct_study(1, count=8, rows=400)
    store_all(archive, study)
    target = tmp_path / "backup"
    backup(archive, target)
    for path in sorted((target / "segments").iterdir())[:2]:
        content = bytearray(path.read_bytes())
        content[9000:9100] = random.Random(3).randbytes(100)
        path.with_name(path.name + ".part").write_bytes(content[:len(content) // 2])
        path.unlink()
    backup(archive, target)
    copy = restored(target)
    copy.verify("--full")
    assert_serves(copy, study)


# Damage

def test_damage_of_the_archive_is_told_and_does_not_reach_a_good_backup(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    study = ct_study(1, count=8, rows=400)
    store_all(archive, study)
    good, late = tmp_path / "good", tmp_path / "late"
    backup(archive, good)
    path = archive.segments()[0]
    hurt = next(one for one in study if one.data[2000:2064] in path.read_bytes())
    flip(path, path.read_bytes().find(hurt.data[2000:2064]) + 32)

    said = archive.command("backup", late, check=DAMAGED)
    assert "damaged" in said.stderr and (late / "format").exists()
    again = backup(archive, good)
    assert again["new_bytes"] == 0

    assert_serves(restored(good), study)
    copy = restored(late)
    assert_serves(copy, [one for one in study if one is not hurt])
    copy.verify("--full", check=DAMAGED)


def test_a_segment_that_vanished_is_told_and_stays_in_the_backup(new_archive, restored, tmp_path):
    archive = new_archive(storage=SMALL_SEGMENTS)
    study = ct_study(1, count=8, rows=400)
    store_all(archive, study)
    target = tmp_path / "backup"
    backup(archive, target)
    archive.stop()
    archive.segments()[0].unlink()
    archive.start()
    assert archive.wait_for_log("SEGMENT OF THE LOG IS MISSING")
    archive.verify("--quick", check=DAMAGED)
    said = archive.command("backup", target, check=DAMAGED)
    assert "missing" in said.stderr
    copy = restored(target)
    copy.verify("--full")
    assert_serves(copy, study)


# Refused

def test_what_a_backup_refuses(new_archive, tmp_path):
    archive, other = new_archive(), new_archive(name="other")
    store_all(archive, ct_study(1))
    store_all(other, ct_study(2))
    target = tmp_path / "backup"
    backup(archive, target)
    assert "another archive" in backup(other, target, check=INPUT_OUTPUT).stderr

    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("dear")
    backup(archive, full, check=DIRECTORY_UNUSABLE)
    assert [path.name for path in full.iterdir() if path.name != "lock"] == ["letter.txt"]

    backup(archive, archive.data / "backup", check=INPUT_OUTPUT)
    assert not (archive.data / "backup").exists()

    with open(target / "lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        backup(archive, target, check=DIRECTORY_IN_USE)
    backup(archive, target)

    (target / "catalog.db").write_bytes(b"")
    assert "served" in backup(archive, target, check=INPUT_OUTPUT).stderr


def test_an_archive_that_was_set_back_does_not_go_over_a_later_backup(new_archive, tmp_path):
    archive = new_archive()
    store_all(archive, ct_study(1))
    archive.stop()
    early = archive.copy(tmp_path / "early")
    archive.start()
    store_all(archive, ct_study(2))
    target = tmp_path / "backup"
    moment = backup(archive, target)
    assert "older state" in backup(early, target, check=INPUT_OUTPUT).stderr
    # Nor once it has come as far with other records.
    early.start()
    try:
        store_all(early, ct_study(3, count=6))
        assert json.loads(early.command("stats", "--json", check=0).stdout)["instances"] >= moment["record"]
        assert "another than" in backup(early, target, check=INPUT_OUTPUT).stderr
    finally:
        early.close()
