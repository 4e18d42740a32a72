"""The scrub finds what the disk has forgotten; repair brings it back from another copy."""
import json
import re
import time

import pytest

from harness.archive import CONFIGURATION, DAMAGED, INPUT_MISSING, USAGE
from harness.clients import find, get, identifier, store_all
from harness.samples import ct, ct_study
from harness.tools import flip

# As fast as it goes, and again after a second.
SCRUB = {"segmentMiB": 1, "largeObjectMiB": 1, "scrubMegabytesPerSecond": 2000, "scrubIntervalHours": 0.0001}
NO_SCRUB = {**SCRUB, "scrubMegabytesPerSecond": 0}


def metric(archive, name):
    text = archive.http("/metrics")[1]
    return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE)[1])


def wait_for(condition, what, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def wait_for_passes(archive, count=2):
    """As many full passes, so that at least one of them began after now."""
    before = sum("has read everything" in line for line in archive.log)
    wait_for(lambda: sum("has read everything" in line for line in archive.log) >= before + count, "no full pass")


def place(archive, instance):
    """The file that has the instance's bytes, and where they begin."""
    for path in archive.segments() + sorted((archive.data / "large").iterdir()):
        at = path.read_bytes().find(instance.data)
        if at >= 0:
            return path, at
    raise AssertionError("the instance's bytes are in no file")


def damage(archive, instance, at=3000):
    path, start = place(archive, instance)
    flip(path, start + at)


def damage_header(archive, instance):
    """Of the record, which begins at some page before the bytes."""
    path, start = place(archive, instance)
    content = path.read_bytes()
    for page in range(start // 4096 * 4096, 0, -4096):
        if content[page:page + 4] == b"SNRC":
            return flip(path, page + 20)
    raise AssertionError("no record begins before the instance's bytes")


def get_one(archive, one):
    query = identifier("IMAGE", StudyInstanceUID=one.study, SeriesInstanceUID=one.series,
                       SOPInstanceUID=one.sop_instance)
    return get(archive, query, [one.pair])


def serves(archive, one):
    return [found.data for found in get_one(archive, one).instances] == [one.data]


def notes(archive, one):
    """The damage that the log knows of an instance."""
    done = archive.command("history", "--instance", one.sop_instance, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event.get("name") == "damaged"]


# Scrub

def test_the_scrub_reads_everything_and_tells_of_it(new_archive):
    archive = new_archive(storage=SCRUB)
    study = ct_study(count=6, rows=400) + [ct(study=9, rows=1024)]
    store_all(archive, study)
    began = int(time.time())
    wait_for_passes(archive)
    assert metric(archive, "snimok_scrub_damaged_total") == 0
    assert metric(archive, "snimok_scrub_read_bytes_total") >= sum(len(one.data) for one in study)
    assert began <= metric(archive, "snimok_scrub_last_full_pass_timestamp_seconds") <= time.time()
    assert 0 <= metric(archive, "snimok_scrub_progress_permille") <= 1000
    stats = archive.stats()
    assert began <= stats["lastScrubSeconds"] <= time.time()
    assert (stats["lastScrubDamaged"], stats["damaged"]) == (0, 0)


@pytest.mark.parametrize("what", ["payload", "header", "large"])
def test_the_scrub_finds_damage_once_and_neighbours_are_served(new_archive, what):
    archive = new_archive(storage=SCRUB)
    study = ct_study(count=6, rows=300)
    hurt = ct(study=1, series=2, rows=1024) if what == "large" else study[2]
    others = [one for one in study if one is not hurt]
    store_all(archive, study + ([hurt] if what == "large" else []))
    (damage_header if what == "header" else damage)(archive, hurt)
    line = archive.wait_for_log("stored instance is damaged", timeout=60)
    assert hurt.sop_instance in line
    wait_for_passes(archive)
    wait_for(lambda: archive.stats()["lastScrubDamaged"] == 1, "stats do not tell of it")
    assert archive.stats()["damaged"] == 1 and metric(archive, "snimok_scrub_damaged_total") >= 1
    noted, = notes(archive, hurt)
    assert noted["target"] == f"instance {hurt.sop_instance}" and noted["value"]
    got = get_one(archive, hurt)
    assert got.instances == [] and got.failed == 1
    assert all(serves(archive, one) for one in others)
    assert len(find(archive, identifier("IMAGE", SOPInstanceUID="")).rows) == len(others) + 1

    # Stored again, it is whole, and no longer marked.
    store_all(archive, [hurt])
    assert serves(archive, hurt)
    wait_for_passes(archive)
    stats = archive.stats()
    assert (stats["damaged"], stats["lastScrubDamaged"]) == (0, 0)
    assert stats["versions"] == len(others) + 1


def test_the_scrub_goes_on_where_a_stop_has_interrupted_it(new_archive):
    # Two megabytes a second: the pass takes some seconds.
    archive = new_archive(storage={**SCRUB, "scrubMegabytesPerSecond": 2})
    store_all(archive, ct_study(count=20, rows=512))
    wait_for(lambda: 200 < metric(archive, "snimok_scrub_progress_permille") < 900, "no pass has begun")
    archive.stop()
    progress = json.loads((archive.data / "scrub.json").read_text())
    assert progress["segment"] > 1 and progress["sequence"] > 1
    archive.start()
    wait_for_passes(archive, count=1)
    # It has not read again what it had read before.
    assert metric(archive, "snimok_scrub_read_bytes_total") < 20 * 512 * 512 * 2 * 0.95


def test_the_scrub_may_be_turned_off(new_archive):
    archive = new_archive(storage=NO_SCRUB)
    store_all(archive, [ct(rows=128)])
    time.sleep(3)
    assert metric(archive, "snimok_scrub_read_bytes_total") == 0
    assert not (archive.data / "scrub.json").exists()


def test_impossible_settings_of_the_scrub_are_refused(new_archive):
    archive = new_archive(start=False, storage={"scrubIntervalHours": -1})
    assert archive.command("stats", with_config=True).returncode == CONFIGURATION


# Repair

@pytest.fixture
def hurt(new_archive):
    """An archive without scrub with three damaged instances (a payload, a header, a large object), and another one that
    has good copies of all."""
    archive = new_archive(storage=NO_SCRUB, peers=[
        {"aeTitle": "TESTER"}, {"aeTitle": "OTHER", "host": "127.0.0.1", "port": 1}])
    other = new_archive(name="other", storage=NO_SCRUB)
    study = ct_study(count=8, rows=200) + [ct(study=1, series=2, rows=1024)]
    store_all(archive, study)
    store_all(other, study)
    for one in (study[1], study[8]):
        damage(archive, one)
    damage_header(archive, study[4])
    return archive, other, study, [study[1], study[4], study[8]]


def repair(archive, source, *more, check=0):
    return archive.command("repair", "--from", source, *more, with_config=True, check=check).stdout


def assert_whole(archive, study, said, damaged):
    assert f"restored {len(damaged)}, still damaged 0" in said, said
    for one in damaged:
        assert f"restored {one.sop_instance} from" in said
    assert all(serves(archive, one) for one in study)
    stats = archive.stats()
    assert (stats["damaged"], stats["versions"]) == (0, len(study))


def test_repair_from_another_archives_directory(hurt):
    archive, other, study, damaged = hurt
    assert_whole(archive, study, repair(archive, other.data, "--full"), damaged)
    assert "nothing is damaged" in repair(archive, other.data, "--full")
    archive.restart()
    assert all(serves(archive, one) for one in study)


def test_repair_from_a_backup(hurt, tmp_path):
    archive, other, study, damaged = hurt
    other.command("backup", tmp_path / "backup", check=0)
    assert_whole(archive, study, repair(archive, tmp_path / "backup", "--full"), damaged)


def test_repair_from_a_folder(hurt, tmp_path):
    archive, _, study, damaged = hurt
    for number, one in enumerate(study):
        one.write(tmp_path / "files" / "deep" / f"{number}.dcm")
    assert_whole(archive, study, repair(archive, tmp_path / "files", "--full"), damaged)


def test_repair_from_a_dicomweb_address(hurt):
    archive, other, study, damaged = hurt
    assert_whole(archive, study, repair(archive, f"http://127.0.0.1:{other.http_port}/dicom-web/", "--full"), damaged)


def test_repair_from_a_peer(hurt):
    archive, other, study, damaged = hurt
    peers = [{"aeTitle": "TESTER"}, {"aeTitle": "SNIMOK", "host": "127.0.0.1", "port": other.dicom_port}]
    archive.write_config({**archive.config, "peers": peers})
    assert_whole(archive, study, repair(archive, "SNIMOK", "--full"), damaged)


def test_repair_without_a_running_server(hurt):
    archive, other, study, damaged = hurt
    archive.stop()
    said = repair(archive, other.data, "--full")
    archive.start()
    assert_whole(archive, study, said, damaged)


def test_repair_of_what_the_scrub_has_marked(new_archive, tmp_path):
    archive = new_archive(storage=SCRUB)
    study = ct_study(count=4, rows=200)
    store_all(archive, study)
    archive.command("backup", tmp_path / "backup", check=0)
    damage(archive, study[1])
    archive.wait_for_log("stored instance is damaged", timeout=60)
    wait_for(lambda: archive.stats()["damaged"] == 1, "it is not marked")
    assert_whole(archive, study, repair(archive, tmp_path / "backup"), [study[1]])


def test_repair_of_one_instance(hurt):
    archive, other, _, damaged = hurt
    said = repair(archive, other.data, "--instance", damaged[0].sop_instance)
    assert "restored 1, still damaged 0" in said
    assert serves(archive, damaged[0]) and not serves(archive, damaged[1])


def test_only_the_same_content_is_taken(hurt, tmp_path):
    archive, other, study, damaged = hurt
    # Other pixels under the UID, the same pixels in another syntax, and no copy at all.
    ct(number=2, seed=7, rows=200).write(tmp_path / "files" / "a.dcm")
    ct(number=5, rows=200, transfer_syntax="1.2.840.10008.1.2").write(tmp_path / "files" / "b.dcm")
    said = repair(archive, tmp_path / "files", "--full", check=DAMAGED)
    assert said.count("has other content under this UID") == 2 and "has none" in said
    assert "restored 0, still damaged 3" in said
    # A copy that is damaged too.
    damage(other, damaged[0])
    said = repair(archive, other.data, "--full", check=DAMAGED)
    assert "damaged too" in said and "restored 2, still damaged 1" in said
    assert all(serves(archive, one) for one in study if one is not damaged[0])


def test_what_repair_refuses(hurt, tmp_path):
    archive, *_ = hurt
    archive.command("repair", check=USAGE)
    repair(archive, tmp_path / "nowhere", "--full", check=INPUT_MISSING)
    repair(archive, "https://127.0.0.1/dicom-web", "--full", check=USAGE)


def test_what_was_deleted_is_not_brought_back_by_a_repair(hurt):
    archive, other, study, damaged = hurt
    archive.command("delete", "--instance", damaged[0].sop_instance, with_config=True, check=0)
    said = repair(archive, other.data, "--full")
    assert "restored 2, still damaged 0" in said
    assert not serves(archive, damaged[0])
    assert len(find(archive, identifier("IMAGE", SOPInstanceUID="")).rows) == len(study) - 1
