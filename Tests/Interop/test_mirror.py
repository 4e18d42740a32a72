# SPDX-License-Identifier: Apache-2.0
"""A second copy, in a second directory and with a receiver: what goes there, what happens without it, and what it is good for."""
import re
import shutil
import time
from contextlib import suppress

import pytest

from harness import web, wire
from harness.archive import DIRECTORY_UNUSABLE, INPUT_OUTPUT, Archive, command
from harness.clients import store_all
from harness.receiver import Receiver
from harness.samples import ROOT_UID, tiny
from harness.tools import flip

STUDY = f"{ROOT_UID}.77"
STORAGE = {"segmentMiB": 1, "largeObjectMiB": 1, "freeSpaceFloorMiB": 16, "deletionGraceDays": 0,
           "compactionMegabytesPerSecond": 0}
OUT_OF_RESOURCES = 0xA700


def small(number):
    return tiny(f"{STUDY}.1.{number}", STUDY, f"{STUDY}.1", size=1000)


def blocks(number, series=2):
    return tiny(f"{STUDY}.{series}.{number}", STUDY, f"{STUDY}.{series}", size=130_000)


def large(number):
    made = tiny(f"{STUDY}.3.{number}", STUDY, f"{STUDY}.3", size=120_000)
    made.data += b"\xe1\x7f\x10\x00OB\0\0" + (3 << 20).to_bytes(4, "little") + bytes(3 << 20)
    return made


def sample(first=0):
    return ([small(first + number) for number in range(8)] + [blocks(first + number) for number in range(12)]
            + [large(first)])


@pytest.fixture(params=["directory", "receiver"])
def place(request, tmp_path):
    """Where the second copy goes."""
    if request.param == "directory":
        yield {"directory": str(tmp_path / "mirror")}
        return
    receiver = Receiver(tmp_path / "receiver", tmp_path / "mirror").start()
    yield {"receiver": {"host": "127.0.0.1", "port": receiver.port}}
    receiver.stop()


@pytest.fixture
def mirrored(new_archive, tmp_path, place):
    def make(policy="continue", **more):
        archive = new_archive(
            storage=STORAGE, durability={"mode": "mirrored", **place, "whenMirrorFails": policy}, **more)
        archive.mirror = tmp_path / "mirror"
        if "receiver" in place:
            # One for each file that is written.
            archive.idle["sockets"] += 8
        return archive

    return make


def alone(archive, directory=None):
    """The same archive, or a copy of it in `directory`, without a mirror."""
    other = Archive(archive.directory.parent / f"alone-{time.monotonic_ns()}", {**archive.config, "durability": {}})
    other.data = directory or archive.data
    return other


def files(data):
    """All that a second copy has of the first."""
    names = [path for folder in ("segments", "large", "incoming") for path in (data / folder).iterdir()]
    names += [data / name for name in ("format", "manifest.json", "manifest.key")]
    return {str(path.relative_to(data)): path.read_bytes() for path in names}


def eventually(check, timeout=45):
    deadline = time.monotonic() + timeout
    while True:
        try:
            return check()
        except (AssertionError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def check_same(archive):
    def check():
        mine, other = files(archive.data), files(archive.mirror)
        assert sorted(mine) == sorted(other)
        assert [name for name in mine if mine[name] != other[name]] == []

    eventually(check)


def metric(archive, name):
    text = archive.http("/metrics")[1]
    return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE)[1])


def check_attached(archive):
    def check():
        assert archive.http("/readyz") == (200, "ready\n")
        assert metric(archive, "snimok_mirror_attached") == 1
        assert metric(archive, "snimok_mirror_lag_bytes") == 0

    eventually(check)


def fetched(archive, instance):
    reply = web.get(archive, web.path_of(instance), accept=web.related(web.DICOM, transfer_syntax="*"))
    return web.read_part10(reply.part().body).data if reply.status == 200 else reply.status


def check_served(archive, instances):
    wrong = [sent.sop_instance for sent in instances if fetched(archive, sent) != sent.data]
    assert not wrong


def away(archive):
    """Takes the mirror away; the server notices at the next look."""
    elsewhere = archive.mirror.with_name("away")
    archive.mirror.rename(elsewhere)
    archive.wait_for_log("THE MIRROR FAILED", timeout=30)
    return elsewhere


def test_both_are_the_same_after_stores_deletions_and_compaction(mirrored):
    archive = mirrored()
    check_attached(archive)
    instances = sample()
    store_all(archive, instances)
    check_same(archive)
    assert len(archive.segments()) > 1
    archive.command("delete", "--series", f"{STUDY}.2", check=0)
    archive.command("delete", "--series", f"{STUDY}.3", check=0)
    archive.command("compact", "--all", check=0)
    assert any(path.name.startswith("00000002") for path in archive.segments())
    check_same(archive)
    assert not list((archive.mirror / "large").iterdir())
    more = [blocks(number, series=4) for number in range(6)]
    store_all(archive, more)
    check_same(archive)
    check_attached(archive)
    assert metric(archive, "snimok_mirror_failures_total") == 0
    archive.restart()
    check_attached(archive)
    store_all(archive, [small(100)])
    check_same(archive)
    check_served(archive, instances[:8] + more)


def test_a_manifest_that_comes_after_its_segment_is_copied_soon(mirrored):
    """It is written when a segment was begun: whoever follows may look in between."""
    archive = mirrored()
    check_attached(archive)
    # From here on it is a minute until everything is copied anyway.
    eventually(lambda: (archive.mirror / "control.db").stat())
    check_same(archive)
    later = archive.data / "manifest.later"
    later.write_bytes((archive.data / "manifest.json").read_bytes() + b"\n")
    later.rename(archive.data / "manifest.json")

    def check():
        assert (archive.mirror / "manifest.json").read_bytes() == (archive.data / "manifest.json").read_bytes()

    eventually(check, timeout=20)


def test_a_server_can_be_started_on_the_mirror(mirrored):
    archive = mirrored()
    instances = sample()
    store_all(archive, instances)
    archive.kill()
    other = alone(archive, archive.mirror)
    other.start()
    try:
        check_served(other, instances)
        store_all(other, sample(50))
        check_served(other, sample(50))
        other.verify()
        assert not (archive.mirror / "mirror.json").exists()
    finally:
        other.kill()


def test_the_directory_is_locked(mirrored):
    archive = mirrored()
    check_attached(archive)
    other = alone(archive, archive.mirror)
    with pytest.raises(AssertionError, match="in use by another process"):
        other.start()


def test_a_lost_archive_is_not_begun_anew_beside_its_mirror(mirrored):
    archive = mirrored()
    store_all(archive, sample())
    archive.kill()
    before = files(archive.mirror)
    shutil.rmtree(archive.data)
    done = command(*archive.arguments(), check=DIRECTORY_UNUSABLE)
    where = archive.config["durability"].get("directory") or "127.0.0.1:"
    assert f"start with --data {where}" in done.stderr
    assert not archive.data.exists()
    assert files(archive.mirror) == before


@pytest.mark.parametrize("how", ["moved away and back", "emptied"])
def test_storing_goes_on_without_the_mirror_and_it_catches_up(how, mirrored):
    archive = mirrored()
    check_attached(archive)
    store_all(archive, sample())
    elsewhere = away(archive)
    status, text = archive.http("/readyz")
    assert status == 200 and text.startswith("ready\ndegraded: mirror ")
    store_all(archive, sample(20))
    assert metric(archive, "snimok_mirror_attached") == 0
    assert metric(archive, "snimok_mirror_lag_bytes") > 12 * 130_000
    assert metric(archive, "snimok_mirror_failures_total") == 1
    assert not archive.mirror.exists(), "a second copy was begun where none may be"
    if how == "emptied":
        archive.mirror.mkdir()
    else:
        elsewhere.rename(archive.mirror)
    check_attached(archive)
    store_all(archive, sample(40))
    check_same(archive)
    check_served(archive, sample() + sample(20) + sample(40))


def test_without_the_mirror_nothing_is_stored_where_that_is_wanted(mirrored):
    archive = mirrored("stop")
    check_attached(archive)
    store_all(archive, sample())
    elsewhere = away(archive)
    status, text = archive.http("/readyz")
    assert status == 503 and "mirror" in text
    for instance in (small(50), large(50)):
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
            assert requestor.store(instance)[wire.STATUS] == OUT_OF_RESOURCES
    assert web.failed(web.stow(archive, [small(51)])) == [(small(51).sop_instance, OUT_OF_RESOURCES)]
    assert archive.command("delete", "--study", STUDY).returncode == INPUT_OUTPUT
    check_served(archive, sample())
    elsewhere.rename(archive.mirror)
    check_attached(archive)
    store_all(archive, [small(50), large(50)])
    check_same(archive)
    check_served(archive, sample() + [small(50), large(50)])


def test_a_start_without_the_mirror_waits_for_it_where_that_is_wanted(mirrored):
    archive = mirrored("stop")
    store_all(archive, sample())
    archive.stop()
    elsewhere = archive.mirror.with_name("away")
    archive.mirror.rename(elsewhere)
    archive.mirror.write_text("no directory")
    archive.start()
    assert archive.http("/readyz")[0] == 503
    check_served(archive, sample())
    archive.mirror.unlink()
    elsewhere.rename(archive.mirror)
    check_attached(archive)
    store_all(archive, [small(60)])
    check_same(archive)


def test_what_was_stored_without_a_mirror_is_copied_when_there_is_one(mirrored):
    archive = mirrored()
    store_all(archive, sample())
    archive.stop()
    other = alone(archive).start()
    store_all(other, sample(20))
    other.stop()
    archive.start()
    check_attached(archive)
    check_same(archive)
    check_served(archive, sample() + sample(20))


def test_what_only_the_mirror_has_comes_back_at_start(mirrored):
    archive = mirrored()
    instances = sample()
    store_all(archive, instances)
    check_same(archive)
    archive.kill()
    before = files(archive.mirror)
    archive.delete_catalog()
    last, earlier = archive.segments()[-1], archive.segments()[-2]
    last.unlink()
    with open(earlier, "r+b") as file:
        file.truncate(earlier.stat().st_size - 4096 * 40)
    for path in (archive.data / "large").iterdir():
        path.unlink()
    archive.start()
    assert archive.wait_for_log("came from the mirror")
    check_attached(archive)
    check_served(archive, instances)
    archive.verify()
    assert {name: data for name, data in files(archive.data).items() if "manifest" not in name} == {
        name: data for name, data in before.items() if "manifest" not in name}
    check_same(archive)


def test_a_torn_mirror_is_put_right(mirrored):
    archive = mirrored()
    store_all(archive, sample())
    check_same(archive)
    archive.kill()
    last = sorted((archive.mirror / "segments").iterdir())[-1]
    with open(last, "r+b") as file:
        file.seek(5000)
        file.write(bytes(300))
        file.truncate(last.stat().st_size - 6000)
    (archive.mirror / "incoming" / "7.part").write_bytes(b"unfinished")
    archive.start()
    check_attached(archive)
    check_same(archive)


def test_two_that_went_apart_are_both_left_alone(mirrored):
    archive = mirrored()
    store_all(archive, sample())
    archive.kill()
    other = alone(archive, archive.mirror).start()
    store_all(other, [small(30), small(31)])
    other.stop()
    other = alone(archive).start()
    store_all(other, [small(40)])
    other.stop()
    before = files(archive.mirror)
    archive.start()
    archive.wait_for_log("used without the other", timeout=30)
    assert archive.http("/readyz")[1].startswith("ready\ndegraded: mirror ")
    store_all(archive, [small(41)])
    assert {name: data for name, data in files(archive.mirror).items() if name.startswith("segments")} == {
        name: data for name, data in before.items() if name.startswith("segments")}


def damage(archive, instance, in_head=False):
    """Changes one byte of the stored pixels, or of the record's header."""
    needle = instance.data[-60_000:-59_900] if len(instance.data) > 100_000 else instance.data[-100:]
    if len(instance.data) > 1 << 20:
        path, = (archive.data / "large").iterdir()
        position = path.stat().st_size // 2
    else:
        path, position = next(
            (path, found) for path in archive.segments() if (found := path.read_bytes().find(needle)) >= 0)
    if in_head:
        data = path.read_bytes()
        position = next(start for start in range(position // 4096 * 4096, 0, -4096) if data[start:start + 4] == b"SNRC") + 40
    flip(path, position)


@pytest.mark.parametrize("made,in_head", [(small, False), (blocks, False), (large, False), (blocks, True)])
def test_a_damaged_record_is_healed_from_the_mirror(made, in_head, mirrored):
    archive = mirrored()
    store_all(archive, sample())
    check_same(archive)
    instance = made(0)
    damage(archive, instance, in_head)
    try:
        # At the latest the first read finds it, and must not serve it.
        assert fetched(archive, instance) != instance.data
    except (EOFError, OSError):
        pass
    archive.wait_for_log("were restored from the mirror" if in_head else "was healed from the mirror", timeout=20)
    check_served(archive, sample())
    archive.verify()
    archive.stop()
    archive.delete_catalog()
    archive.start()
    check_served(archive, sample())
    assert archive.stats()["instances"] == len(sample())


@pytest.mark.parametrize("is_lost", [False, True], ids=["damaged", "file lost"])
def test_what_is_damaged_when_the_catalog_is_made_anew_is_read_from_the_mirror(is_lost, mirrored):
    archive = mirrored()
    store_all(archive, sample())
    archive.command("delete", "--instance", small(1).sop_instance, check=0)
    check_same(archive)
    archive.stop()
    # Of the small ones what is damaged says which patient and study they are of.
    for instance in [small(1), small(2), blocks(3)]:
        damage(archive, instance)
    if is_lost:
        next((archive.data / "large").iterdir()).unlink()
    else:
        damage(archive, large(0))
    archive.delete_catalog()
    archive.start()
    check_attached(archive)
    assert fetched(archive, small(1)) in (404, 410)
    left = [sent for sent in sample() if sent.sop_instance != small(1).sop_instance]
    assert archive.stats()["instances"] == len(left)
    assert not [line for line in archive.log if "cannot be catalogued" in line]

    def all_are_served():
        with suppress(EOFError):
            return check_served(archive, left)
        raise AssertionError("an answer was cut off")

    eventually(all_are_served)


def test_the_mirror_keeps_what_a_catalog_made_anew_without_it_does_not_know(mirrored):
    archive = mirrored()
    # The last one would be taken for one that was never finished.
    store_all(archive, [*sample(), small(40)])
    check_same(archive)
    archive.stop()
    elsewhere = archive.mirror.with_name("away")
    archive.mirror.rename(elsewhere)
    file, = (archive.data / "large").iterdir()
    file.unlink()
    archive.delete_catalog()
    archive.start()
    archive.wait_for_log("record cannot be catalogued")
    assert fetched(archive, large(0)) == 404
    archive.stop()
    # A start without it has begun another one there.
    shutil.rmtree(archive.mirror, ignore_errors=True)
    elsewhere.rename(archive.mirror)
    archive.start()
    check_attached(archive)
    assert (archive.mirror / "large" / file.name).exists()
    # Made anew with the mirror there, it has everything.
    archive.stop()
    archive.delete_catalog()
    archive.start()
    check_attached(archive)
    eventually(lambda: check_served(archive, [*sample(), small(40)]))


def test_the_scrub_heals_what_it_finds_deletions_too(mirrored):
    archive = mirrored()
    store_all(archive, sample())
    archive.command("delete", "--instance", small(1).sop_instance, check=0)
    check_same(archive)
    archive.stop()
    # A tombstone is the last record of its kind.
    path, position = max((path, start) for path in archive.segments() if (data := path.read_bytes())
                         for start in range(4096, len(data), 4096) if data[start:start + 6] == b"SNRC\4\0")
    flip(path, position + 50)
    damage(archive, blocks(3))
    archive.write_config({**archive.config, "storage": {
        **STORAGE, "scrubMegabytesPerSecond": 1000, "scrubIntervalHours": 0}})
    archive.start()
    archive.wait_for_log("were restored from the mirror", timeout=30)
    archive.wait_for_log("was healed from the mirror", timeout=30)
    eventually(archive.verify)
    archive.stop()
    archive.delete_catalog()
    archive.start()
    check_attached(archive)
    check_served(archive, [sent for sent in sample() if sent.sop_instance != small(1).sop_instance])
    assert fetched(archive, small(1)) in (404, 410)


def test_another_archives_directory_is_not_taken(mirrored, new_archive, tmp_path):
    other = new_archive(storage=STORAGE, name="other")
    store_all(other, [small(1)])
    other.stop()
    before = sorted(path.name for path in (other.data / "segments").iterdir())
    archive = new_archive(storage=STORAGE)
    archive.stop()
    archive.write_config({**archive.config, "durability": {"mode": "mirrored", "directory": str(other.data)}})
    archive.start()
    assert "another archive" in archive.http("/readyz")[1]
    store_all(archive, [small(2)])
    assert sorted(path.name for path in (other.data / "segments").iterdir()) == before
