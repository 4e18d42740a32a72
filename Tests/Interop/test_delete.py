# SPDX-License-Identifier: Apache-2.0
"""Deleting, taking it back, and giving back the space: by command line and over HTTP."""
import subprocess
import threading
import time
from contextlib import suppress

import pytest

from harness import clients, web, wire
from harness.archive import BINARY, INPUT_MISSING, INPUT_OUTPUT, USAGE, configuration
from harness.clients import Destination, find, identifier, move, store_all
from harness.deletion import (
    AS_STORED, COUNTED, answers, below, check_all_there, check_gone, check_rebuilt, check_same, compact, delete,
    deletions, fetched, resource, sample, uid_of, undelete)
from harness.samples import ROOT_UID, ct, ct_study, tiny
from harness.tools import flip
from harness.web import JSON, get, query, value


def delete_permitted(new_archive, **sections):
    return new_archive(dicomweb={"allowDelete": True}, **sections)


@pytest.mark.parametrize("way", ["command", "command without a server", "HTTP"])
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_is_deleted_is_seen_nowhere_and_comes_back_as_it_was(level, way, new_archive):
    archive, instances = delete_permitted(new_archive), sample()
    store_all(archive, instances)
    before = answers(archive, instances)
    assert all(before["bytes"].values())
    gone = below(level, instances[0], instances)
    number = delete(archive, level, instances[0], way)
    left = [sent for sent in instances if sent not in gone]
    check_gone(archive, gone, left)
    if not any(sent.study == gone[0].study for sent in left):
        assert archive.stats()["studies"] == 2
    assert archive.stats()["instances"] == len(left)
    row, = deletions(archive)
    assert (row["number"], row["state"], row["instances"]) == (number, "pending", len(gone))
    assert row["target"].startswith(f"{level} {uid_of(level, instances[0])}")
    if way == "command without a server":
        archive.stop()
        undelete(archive, number)
        archive.start()
    else:
        undelete(archive, number)
    check_same(answers(archive, instances), before)
    assert deletions(archive)[0]["state"] == "taken back"
    archive.verify()


def test_nothing_deleted_goes_out_by_c_move(new_archive, destination):
    archive = new_archive(peers=[destination.peer()], dicom={"acceptUnknownCallingAETitles": True})
    instances = sample()
    store_all(archive, instances)
    delete(archive, "series", instances[0])
    moved = move(archive, identifier("STUDY", StudyInstanceUID=instances[0].study), destination.title)
    assert (moved.status, moved.completed, moved.failed) == (0, 2, 0)
    assert {sent.sop_instance for sent in destination.received} == {sent.sop_instance for sent in instances[3:5]}
    delete(archive, "study", instances[3])
    moved = move(archive, identifier("STUDY", StudyInstanceUID=instances[0].study), destination.title)
    assert moved.completed == 0 and len(destination.received) == 2


def test_the_last_study_of_an_archive(archive):
    instances = ct_study(1, 2)
    store_all(archive, instances)
    before = answers(archive, instances)
    number = delete(archive, "study", instances[0])
    check_gone(archive, instances, [])
    stats = archive.stats()
    assert [stats[name] for name in ("patients", "studies", "series", "instances")] == [0, 0, 0, 0]
    undelete(archive, number)
    check_same(answers(archive, instances), before)


# Parts

def counts(archive, study):
    row, = get(archive, f"studies{query(StudyInstanceUID=study)}&includefield=all", JSON).rows()
    found, = find(archive, identifier("STUDY", **{**COUNTED["STUDY"], "StudyInstanceUID": study})).rows
    modalities = row["00080061"]["Value"]
    listed = found.ModalitiesInStudy
    assert sorted([listed] if isinstance(listed, str) else listed) == sorted(modalities)
    assert int(found.NumberOfStudyRelatedSeries) == value(row, "00201206")
    assert int(found.NumberOfStudyRelatedInstances) == value(row, "00201208")
    return (sorted(modalities), value(row, "00201206"), value(row, "00201208"),
            *(int(found[f"NumberOfPatientRelated{what}"].value) for what in ("Studies", "Series", "Instances")))


def test_a_deleted_part_does_not_count(archive):
    instances = sample()
    store_all(archive, instances)
    study = instances[0].study
    assert counts(archive, study) == (["CT", "MR"], 2, 5, 2, 3, 6)
    one = delete(archive, "instance", instances[0])
    assert counts(archive, study) == (["CT", "MR"], 2, 4, 2, 3, 5)
    series = delete(archive, "series", instances[3])
    assert counts(archive, study) == (["CT"], 1, 2, 2, 2, 3)
    for modality, there in (("MR", False), ("CT", True)):
        found = find(archive, identifier("STUDY", StudyInstanceUID=study, ModalitiesInStudy=modality)).rows
        assert bool(found) == there
        assert bool(get(archive, f"studies{query(StudyInstanceUID=study, ModalitiesInStudy=modality)}").rows()) == there
    other = delete(archive, "study", instances[5])
    assert counts(archive, study) == (["CT"], 1, 2, 1, 1, 2)
    assert [row["instances"] for row in deletions(archive)] == [1, 2, 1]
    undelete(archive, series)
    assert counts(archive, study) == (["CT", "MR"], 2, 4, 1, 2, 4)
    undelete(archive, other)
    undelete(archive, one)
    assert counts(archive, study) == (["CT", "MR"], 2, 5, 2, 3, 6)


def test_what_was_deleted_before_stays_deleted_when_the_whole_comes_back(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    first = delete(archive, "instance", instances[0])
    whole = delete(archive, "study", instances[0])
    assert [row["instances"] for row in deletions(archive)] == [1, 2]
    undelete(archive, whole)
    check_gone(archive, instances[:1], instances[1:])
    undelete(archive, first)
    check_all_there(archive, instances)


def test_a_part_comes_back_only_by_its_own_number(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    first = delete(archive, "instance", instances[0])
    whole = delete(archive, "study", instances[0])
    undelete(archive, first)
    check_gone(archive, instances[1:], instances[:1])
    undelete(archive, whole)
    check_all_there(archive, instances)


# Over HTTP

def test_what_is_not_there_cannot_be_deleted_over_http(new_archive):
    archive, instances = delete_permitted(new_archive), sample()
    store_all(archive, instances)
    first, other = instances[0], instances[5]
    study, series, single = (resource(level, first) for level in ("study", "series", "instance"))
    for target in (f"{web.ROOT}/studies/1.2.3", f"{study}/series/1.2.3", f"{series}/instances/1.2.3",
                   series.replace(first.study, other.study, 1), single.replace(first.study, other.study, 1),
                   single.replace(first.series, instances[3].series, 1)):
        get(archive, target, method="DELETE").problem(404)
    for target in (f"{web.ROOT}/studies", f"{web.ROOT}/series", f"{web.ROOT}/instances", f"{single}/metadata",
                   f"{single}/frames/1", f"{study}/rendered"):
        reply = get(archive, target, method="DELETE")
        reply.problem(405, 404)
        assert reply.status == 404 or "DELETE" not in reply["Allow"]
    assert deletions(archive) == []
    check_all_there(archive, instances)
    get(archive, single, method="DELETE").expect(204)
    get(archive, single, method="DELETE").problem(404)
    assert len(deletions(archive)) == 1
    for target in (study, series, single):
        assert "DELETE" in get(archive, target, method="OPTIONS").expect(204)["Allow"]


def test_deleting_over_http_wants_permission(archive):
    sent = ct()
    store_all(archive, [sent])
    for level in ("study", "series", "instance"):
        get(archive, resource(level, sent), method="DELETE").problem(403)
    check_all_there(archive, [sent])
    assert deletions(archive) == []


def test_a_deletion_in_one_study_leaves_the_namesake_in_another(new_archive):
    """The same series and instance UIDs under two studies: the path says which."""
    archive = delete_permitted(new_archive)
    first, second = ct(1, 1, 1), ct(1, 1, 1, StudyInstanceUID=f"{ROOT_UID}.900", SeriesInstanceUID=f"{ROOT_UID}.900.1")
    store_all(archive, [first, second])
    get(archive, resource("instance", second), method="DELETE").expect(204)
    get(archive, resource("instance", second)).problem(404)
    get(archive, resource("instance", first)).expect(200)


# The same again

def test_what_is_sent_again_is_there_again_without_a_second_copy(archive):
    instances = ct_study(1, 4, rows=256)
    store_all(archive, instances)
    number = delete(archive, "study", instances[0])
    before, size = archive.stats(), archive.bytes_on_disk()
    store_all(archive, instances[:1])
    check_gone(archive, instances[1:], instances[:1])
    web.stow(archive, instances[1:2]).expect(200)
    check_gone(archive, instances[2:], instances[:2])
    after = archive.stats()
    assert (after["versions"], after["storedBytes"]) == (before["versions"], before["storedBytes"])
    assert archive.bytes_on_disk() - size <= 4 * 8192
    undelete(archive, number)
    check_all_there(archive, instances)
    archive.verify()


def test_what_was_sent_again_survives_the_end_of_the_grace(new_archive):
    archive = new_archive(storage={"deletionGraceDays": 0})
    instances = ct_study(1, 4)
    store_all(archive, instances)
    number = delete(archive, "study", instances[0])
    store_all(archive, instances[:2])
    compact(archive, "--all")
    check_gone(archive, instances[2:], instances[:2])
    undelete(archive, number, check=INPUT_MISSING)
    store_all(archive, instances)
    check_all_there(archive, instances)
    archive.verify()
    check_rebuilt(archive, instances)


def test_other_content_under_a_deleted_uid_is_there(archive):
    first, second = ct(1, 1, 1, seed=1), ct(1, 1, 1, seed=2)
    store_all(archive, [first])
    number = delete(archive, "instance", first)
    store_all(archive, [second])
    check_all_there(archive, [second])
    undelete(archive, number)
    check_all_there(archive, [second])


# Of several organisations

@pytest.fixture
def shared(new_archive):
    """An archive that two organisations send to, of which each sees its own; `become` makes it that of one of them."""
    names = ["North", "South"]

    def settings(organisation, grace_days):
        return dict(
            organisation=organisation, dicomweb={"allowDelete": True}, storage={"deletionGraceDays": grace_days},
            peers=[{"aeTitle": name, "addresses": ["127.0.0.0/8"], "organisation": name} for name in names],
            organisations=[{"name": name} for name in names])

    def become(organisation, grace_days=30):
        archive.stop()
        archive.write_config(configuration(**settings(organisation, grace_days), durability=archive.durability))
        archive.start()

    archive = new_archive(**settings("North", 30))
    archive.become, archive.durability = become, {}
    return archive


def seen(archive, sent):
    """What each organisation gets of an instance."""
    found = {}
    for name in ("North", "South"):
        archive.become(name)
        found[name] = get(archive, resource("instance", sent)).status
    return found


def check_made_anew(archive, sent, expected):
    """By a catalog that is made from the log alone."""
    archive.stop()
    archive.command("rebuild", check=0)
    archive.start()
    assert seen(archive, sent) == expected


def check_kept(archive, sent, expected):
    """Now, when every deletion is for good and compacted, and by a catalog made anew from what is left of the log."""
    assert seen(archive, sent) == expected
    archive.become("North", grace_days=0)
    compact(archive, "--all")
    assert {deletion["state"] for deletion in deletions(archive)} <= {"for good", "taken back"}
    assert seen(archive, sent) == expected
    check_made_anew(archive, sent, expected)
    archive.become("North", grace_days=0)
    compact(archive, "--all")
    assert seen(archive, sent) == expected
    archive.verify()


def test_what_others_send_brings_back_nothing_that_was_deleted(shared):
    first, other = ct(1, 1, 1, seed=1), ct(1, 1, 1, seed=2)
    store_all(shared, [first], calling="North")
    delete(shared, "instance", first)
    store_all(shared, [other], calling="South")
    check_kept(shared, first, {"North": 404, "South": 200})


def test_what_is_taken_back_stays_though_what_others_sent_since_is_gone_for_good(shared):
    first, other = ct(1, 1, 1, seed=1), ct(1, 1, 1, seed=2)
    store_all(shared, [first], calling="North")
    number = delete(shared, "instance", first)
    store_all(shared, [other], calling="South")
    undelete(shared, number)
    shared.become("South")
    get(shared, resource("instance", first), method="DELETE").expect(204)
    check_kept(shared, first, {"North": 200, "South": 404})


@pytest.mark.parametrize("seed", [1, 2], ids=["the same content", "other content"])
def test_who_takes_a_deletion_back_has_its_own_though_the_others_have_deleted_theirs(seed, shared):
    first = ct(1, 1, 1, seed=1)
    store_all(shared, [first], calling="North")
    store_all(shared, [ct(1, 1, 1, seed=seed)], calling="South")
    shared.become("South")
    number = delete(shared, "instance", first, "HTTP")
    shared.become("North")
    delete(shared, "instance", first, "HTTP")
    undelete(shared, number)
    check_kept(shared, first, {"North": 404, "South": 200})


def test_a_new_instance_of_a_deleted_study_shows_alone(archive):
    instances = [*ct_study(1, 3), ct(1, 1, 4), ct(1, 5, 1, Modality="MR")]
    store_all(archive, instances[:3])
    number = delete(archive, "study", instances[0])
    store_all(archive, instances[3:])
    check_gone(archive, instances[:3], instances[3:])
    assert counts(archive, instances[0].study) == (["CT", "MR"], 2, 2, 1, 2, 2)
    undelete(archive, number)
    check_all_there(archive, instances)
    assert counts(archive, instances[0].study) == (["CT", "MR"], 2, 5, 1, 2, 5)


# For good

def small_segments(new_archive, **more):
    return new_archive(dicomweb={"allowDelete": True}, **more,
                       storage={"segmentMiB": 1, "largeObjectMiB": 1, "deletionGraceDays": 0, "freeSpaceFloorMiB": 16})


def large_files(archive):
    return sorted(path.name for folder in ("large", "incoming") for path in (archive.data / folder).rglob("*.dcm"))


@pytest.mark.parametrize("is_running", [True, False], ids=["beside a server", "without a server"])
def test_compaction_gives_the_space_back(is_running, new_archive):
    archive = small_segments(new_archive)
    # Two studies side by side in each segment, and a large object of each.
    kept = [*ct_study(1, 12, rows=256), ct(1, 9, 1, rows=1100)]
    gone = [*ct_study(2, 12, rows=256), ct(2, 9, 1, rows=1100)]
    for pair in zip(kept, gone):
        store_all(archive, pair)
    assert len(large_files(archive)) == 2
    before, segments = archive.bytes_on_disk(), archive.segments()
    delete(archive, "study", gone[0])
    assert archive.bytes_on_disk() >= before, "hidden only"
    if not is_running:
        archive.stop()
    count, freed = compact(archive, "--all")
    if not is_running:
        archive.start()
    wanted = sum(len(sent.data) for sent in gone)
    assert count >= 3 and freed >= wanted
    assert before - archive.bytes_on_disk() >= wanted - 16384
    assert len(large_files(archive)) == 1
    assert set(segments) - set(archive.segments()), "segments have another generation"
    assert len({path.name.split("-")[1] for path in archive.segments()}) == len(archive.segments())
    assert not list((archive.data / "segments").glob("*.new"))
    assert deletions(archive)[0]["state"] == "for good"
    check_gone(archive, gone, kept)
    check_all_there(archive, kept)
    archive.verify()
    check_rebuilt(archive, kept)
    assert compact(archive, "--all") == (0, 0)
    # And it may come again.
    store_all(archive, gone)
    check_all_there(archive, kept + gone)
    archive.verify()
    check_rebuilt(archive, kept + gone)


def test_a_segment_may_be_compacted_again_and_again(new_archive):
    archive = small_segments(new_archive)
    instances = [ct(number, 1, 1, rows=128) for number in range(1, 21)]
    store_all(archive, instances)
    while len(instances) > 2:
        delete(archive, "study", instances.pop(len(instances) // 2))
        delete(archive, "study", instances.pop(0))
        count, freed = compact(archive, "--all")
        assert count >= 1 and freed >= 2 * 128 * 128 * 2
        check_all_there(archive, instances)
    archive.verify()
    check_rebuilt(archive, instances)
    archive.restart()
    check_all_there(archive, instances)
    assert max(int(path.name.split("-")[0], 16) for path in archive.segments()) > 4


def test_everything_may_be_deleted_and_the_archive_goes_on(new_archive):
    archive = small_segments(new_archive)
    instances = ct_study(1, 6, rows=512)
    store_all(archive, instances)
    delete(archive, "study", instances[0])
    compact(archive, "--all")
    check_gone(archive, instances, [])
    assert archive.bytes_on_disk() < 512 * 512 * 2
    check_rebuilt(archive, [])
    store_all(archive, instances)
    check_all_there(archive, instances)
    check_rebuilt(archive, instances)


def test_little_garbage_is_left_until_there_is_more(new_archive):
    archive = new_archive(storage={"segmentMiB": 1, "deletionGraceDays": 0, "compactionGarbagePercent": 30})
    instances = [ct(number, 1, 1, rows=256) for number in range(1, 12)]
    store_all(archive, instances)
    delete(archive, "study", instances[0])
    assert compact(archive) == (0, 0)
    delete(archive, "study", instances[1])
    delete(archive, "study", instances[2])
    count, freed = compact(archive)
    assert count == 1 and freed >= 3 * 256 * 256 * 2
    check_gone(archive, instances[:3], instances[3:])
    archive.verify()


def test_during_the_grace_nothing_is_dropped(new_archive):
    archive = new_archive(storage={"segmentMiB": 1, "deletionGraceDays": 30})
    instances = ct_study(1, 12, rows=256)
    store_all(archive, instances)
    before = archive.bytes_on_disk()
    number = delete(archive, "study", instances[0])
    assert compact(archive, "--all") == (0, 0)
    archive.restart()
    assert compact(archive, "--all") == (0, 0)
    assert archive.bytes_on_disk() >= before
    undelete(archive, number)
    check_all_there(archive, instances)


def test_damage_that_was_healed_is_dropped_by_compaction(new_archive):
    archive = small_segments(new_archive)
    instances = [ct(number, 1, 1, rows=256) for number in range(1, 10)]
    store_all(archive, instances)
    archive.stop()
    path = archive.segments()[0]
    place = path.read_bytes().index(instances[1].data[-4096:])
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(bytes(64))
    archive.start()
    store_all(archive, instances[1:2])
    check_all_there(archive, instances)
    count, freed = compact(archive, "--all")
    assert count == 1 and freed >= 256 * 256 * 2
    check_all_there(archive, instances)
    told = archive.command("history", "--instance", instances[1].sop_instance, check=0).stdout
    assert "stored, and replaced when it was found damaged, blob" in told and "replaces a damaged copy" in told
    archive.verify()
    check_rebuilt(archive, instances)


# Of what was damaged

def damage_stored(archive, sent, where):
    """Changes a byte of an instance's only copy."""
    needle, path = {"pixels": sent.data[-100:], "header": sent.data[:100]}[where], archive.segments()[0]
    flip(path, path.read_bytes().index(needle) + 50)


@pytest.mark.parametrize("where", ["pixels", "header"])
def test_what_replaces_something_damaged_changes_nothing_of_who_sent_it_when(where, shared):
    sent = ct(1, 1, 1, rows=256)
    store_all(shared, [sent], calling="South")
    store_all(shared, [sent], calling="North")
    deleted = delete(shared, "instance", sent, "HTTP")
    assert seen(shared, sent) == {"North": 404, "South": 200}
    damage_stored(shared, sent, where)
    shared.become("North")
    # Sent again, it is North's again; South never knew of any of it.
    store_all(shared, [sent], calling="North")
    check_made_anew(shared, sent, {"North": 200, "South": 200})
    check_kept(shared, sent, {"North": 200, "South": 200})
    assert [deletion["number"] for deletion in deletions(shared)] == [deleted]


@pytest.mark.parametrize("where", ["pixels", "header"])
def test_what_was_deleted_stays_deleted_when_it_was_healed(where, shared, tmp_path):
    sent = ct(1, 1, 1, rows=256)
    shared.durability = {"mode": "mirrored", "directory": str(tmp_path / "mirror"), "whenMirrorFails": "continue"}
    shared.become("North")
    store_all(shared, [sent], calling="North")
    store_all(shared, [sent], calling="South")
    delete(shared, "instance", sent, "HTTP")
    damage_stored(shared, sent, where)
    shared.become("South")
    with suppress(EOFError, OSError):
        get(shared, resource("instance", sent))
    shared.wait_for_log("was healed from the mirror", timeout=30)
    check_made_anew(shared, sent, {"North": 404, "South": 200})
    check_kept(shared, sent, {"North": 404, "South": 200})


def test_what_was_healed_and_is_damaged_again_stays_deleted(shared, tmp_path):
    sent = ct(1, 1, 1, rows=256)
    shared.durability = {"mode": "mirrored", "directory": str(tmp_path / "mirror"), "whenMirrorFails": "continue"}
    shared.become("North")
    store_all(shared, [sent], calling="North")
    store_all(shared, [sent], calling="South")
    delete(shared, "instance", sent, "HTTP")
    damage_stored(shared, sent, "pixels")
    shared.become("South")
    with suppress(EOFError, OSError):
        get(shared, resource("instance", sent))
    shared.wait_for_log("was healed from the mirror", timeout=30)
    assert compact(shared, "--all")[0] == 1
    # The mirror follows within seconds.
    deadline = time.monotonic() + 30
    while not list((tmp_path / "mirror" / "segments").glob("00000002-*.seg")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shared.stop()
    # The copy that took the place of the first, where it says which study it is of.
    for path in shared.segments():
        if (at := path.read_bytes().find(sent.data[:100])) >= 0:
            flip(path, at + 50)
    shared.delete_catalog()
    shared.start()
    with suppress(EOFError, OSError):
        get(shared, resource("instance", sent))
    shared.wait_for_log("was healed from the mirror", timeout=30)
    check_kept(shared, sent, {"North": 404, "South": 200})


# While others read

def test_a_retrieval_goes_on_while_its_records_are_moved(new_archive):
    archive = small_segments(new_archive)
    kept, gone = ct_study(1, 40, rows=512), ct_study(2, 40, rows=256)
    for pair in zip(kept, gone):
        store_all(archive, pair)
    delete(archive, "study", gone[0])
    with web.connect(archive, 60) as connection:
        headers = [("Accept", AS_STORED), ("Connection", "close")]
        connection.sendall(web.head_of(archive, "GET", resource("study", kept[0]), headers))
        # What lies in the buffers of both ends is a small part of 20 MB.
        time.sleep(0.5)
        count, freed = compact(archive, "--all")
        assert count > 10 and freed > 4_000_000
        check_gone(archive, gone[:2], kept)
        parts = web.read_reply(connection).parts()
    received = {sent.sop_instance: sent.data for sent in map(web.read_part10, (part.body for part in parts))}
    assert received == {sent.sop_instance: sent.data for sent in kept}


def test_c_move_goes_on_while_its_records_are_moved(new_archive):
    slow = Destination(delay=0.05)
    try:
        archive = small_segments(new_archive, peers=[slow.peer()])
        kept, gone = ct_study(1, 40, rows=256), ct_study(2, 40, rows=256)
        for pair in zip(kept, gone):
            store_all(archive, pair)
        delete(archive, "study", gone[0])
        moved = []
        moving = threading.Thread(target=lambda: moved.append(
            move(archive, identifier("STUDY", StudyInstanceUID=kept[0].study), slow.title)))
        moving.start()
        while not slow.received:
            time.sleep(0.01)
        count, _ = compact(archive, "--all")
        assert len(slow.received) < len(kept), "the retrieval was over too soon to prove anything"
        moving.join()
        assert count > 3 and (moved[0].completed, moved[0].failed) == (40, 0)
        assert {sent.sop_instance: sent.data for sent in slow.received} == {sent.sop_instance: sent.data for sent in kept}
    finally:
        slow.close()


def test_readers_and_senders_do_not_notice_compaction(new_archive):
    archive = small_segments(new_archive)
    kept, gone = ct_study(1, 10, rows=256), [ct(number, 1, 1, rows=256) for number in range(100, 110)]
    for pair in zip(kept, gone):
        store_all(archive, pair)
    wrong, is_over, sent_meanwhile = [], threading.Event(), []

    def read():
        while not is_over.is_set():
            for sent in kept:
                try:
                    if fetched(archive, sent) != sent.data:
                        wrong.append(f"{sent.sop_instance} has other bytes")
                except Exception as error:
                    wrong.append(f"{sent.sop_instance}: {error}")

    def send():
        number = 0
        while not is_over.is_set():
            number += 1
            made = ct(5, 1, number, rows=128)
            try:
                store_all(archive, [made])
                sent_meanwhile.append(made)
            except Exception as error:
                wrong.append(f"{made.sop_instance}: {error}")

    threads = [threading.Thread(target=work) for work in (read, read, send)]
    for thread in threads:
        thread.start()
    try:
        for sent in gone:
            delete(archive, "study", sent)
            assert compact(archive, "--all")[0] >= 1
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:5]
    check_all_there(archive, kept + sent_meanwhile)
    archive.verify()


# Who must keep

def test_what_must_be_kept_is_not_deleted(new_archive):
    rules = [{"organisation": "", "years": 5}]
    archive = delete_permitted(new_archive, retention=rules)
    old = ct(2, 1, 1, StudyDate="20150105")
    undated = ct(3, 1, 1, StudyDate="")
    young = ct(1, 1, 1, StudyDate="20251231")
    store_all(archive, [old, undated, young])
    for level in ("study", "series", "instance"):
        for sent in (young, undated):
            detail = get(archive, resource(level, sent), method="DELETE").problem(409)
            assert sent.study in detail and "5 years" in detail
            done = archive.command("delete", f"--{level}", uid_of(level, sent), with_config=True, check=INPUT_OUTPUT)
            assert "5 years" in done.stderr
    assert deletions(archive) == []
    check_all_there(archive, [old, undated, young])
    delete(archive, "study", old)
    archive.stop()
    archive.command("delete", "--study", young.study, with_config=True, check=INPUT_OUTPUT)
    # Without the rule it may go.
    archive.write_config({**archive.config, "retention": []})
    archive.start()
    delete(archive, "study", young)
    delete(archive, "study", undated)


def test_rules_of_retention_are_for_one_organisation(new_archive):
    peers = [{"aeTitle": name, "addresses": ["127.0.0.0/8"], "organisation": name.lower()} for name in ("NORD", "SUED")]
    archive = delete_permitted(new_archive, peers=peers, retention=[{"organisation": "nord", "years": 100}])
    first, second, both = ct(1, 1, 1), ct(2, 1, 1), ct_study(3, 2)
    store_all(archive, [first, both[0]], calling="NORD")
    store_all(archive, [second, both[1]], calling="SUED")
    get(archive, resource("study", first), method="DELETE").problem(409)
    # One of its instances is kept by the rule.
    get(archive, resource("study", both[0]), method="DELETE").problem(409)
    get(archive, resource("study", second), method="DELETE").expect(204)


# What comes in between

def test_deletions_outlive_every_kind_of_end(archive):
    instances = sample()
    store_all(archive, instances)
    first = delete(archive, "series", instances[0])
    archive.kill()
    archive.start()
    check_gone(archive, instances[:3], instances[3:])
    delete(archive, "study", instances[5])
    archive.restart()
    left = [*instances[3:5], *instances[6:]]
    check_gone(archive, [*instances[:3], instances[5]], left)
    undelete(archive, first)
    archive.kill()
    archive.start()
    check_gone(archive, instances[5:6], instances[:5] + instances[6:])
    check_rebuilt(archive, instances[:5] + instances[6:])
    assert [row["state"] for row in deletions(archive)] == ["taken back", "pending"]
    archive.kill()
    archive.delete_catalog()
    archive.start()
    check_gone(archive, instances[5:6], instances[:5] + instances[6:])
    archive.verify()


def test_deleting_goes_on_below_the_free_space_floor(new_archive):
    archive = delete_permitted(new_archive, storage={"segmentMiB": 1, "deletionGraceDays": 0})
    instances = ct_study(1, 12, rows=256) + ct_study(2, 2)
    store_all(archive, instances)
    archive.stop()
    archive.write_config({**archive.config, "storage": {**archive.config["storage"], "freeSpaceFloorMiB": 1 << 40}})
    archive.start()
    assert store_all(archive, [ct(9)], expected=None) == [0xA700]
    before = archive.bytes_on_disk()
    get(archive, resource("instance", instances[12]), method="DELETE").expect(204)
    number = delete(archive, "study", instances[0])
    check_gone(archive, instances[:13], instances[13:])
    assert compact(archive, "--all")[0] >= 1
    assert before - archive.bytes_on_disk() >= 12 * 256 * 256 * 2 - 65536
    undelete(archive, number, check=INPUT_MISSING)
    archive.verify()


def test_commands_say_what_is_wrong(new_archive, tmp_path):
    archive = new_archive()
    sent = ct()
    store_all(archive, [sent])
    for arguments in ([], ["--study", "1.2", "--series", "1.3"], ["--patient", "P1"], ["--study"]):
        archive.command("delete", *arguments, check=USAGE)
    for arguments in ([], ["x"], ["1", "2"], ["-1"]):
        archive.command("undelete", *arguments, check=USAGE)
    for level in ("study", "series", "instance"):
        assert "1.2.3" in archive.command("delete", f"--{level}", "1.2.3", check=INPUT_MISSING).stderr
    # Of another level.
    archive.command("delete", "--study", sent.series, check=INPUT_MISSING)
    undelete(archive, 999, check=INPUT_MISSING)
    # The number of a record that is no tombstone.
    undelete(archive, 1, check=INPUT_MISSING)
    number = delete(archive, "study", sent)
    archive.command("delete", "--study", sent.study, check=INPUT_MISSING)
    undelete(archive, number)
    undelete(archive, number, check=INPUT_MISSING)
    nowhere = subprocess.run([BINARY, "delete", "--study", "1.2", "--data", tmp_path / "nothing"], capture_output=True)
    assert nowhere.returncode not in (0, USAGE)
    assert not (tmp_path / "nothing").exists(), "asking about nothing makes no archive"


@pytest.mark.limit(900)
def test_a_study_of_ten_thousand_instances_goes_at_once(new_archive, capsys):
    archive = delete_permitted(new_archive, storage={"deletionGraceDays": 0})
    study, other = f"{ROOT_UID}.10000", ct(1)
    instances = [tiny(f"{study}.{number % 4}.{number}", study, f"{study}.{number % 4}", size=64) for number in range(10_000)]
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
        for sent in instances:
            assert requestor.store(sent)[wire.STATUS] == wire.SUCCESS
    store_all(archive, [other])
    times = {}

    def timed(name, work):
        start = time.monotonic()
        result = work()
        times[name] = time.monotonic() - start
        return result

    timed("DELETE over HTTP", lambda: get(archive, resource("study", instances[0]), method="DELETE").expect(204))
    check_gone(archive, instances[:2] + instances[-2:], [other])
    number = deletions(archive)[0]["number"]
    assert deletions(archive)[0]["instances"] == 10_000
    timed("undelete", lambda: undelete(archive, number))
    assert archive.stats()["instances"] == 10_001
    timed("delete", lambda: delete(archive, "study", instances[0]))
    timed("compact --all", lambda: compact(archive, "--all"))
    check_gone(archive, instances[:2] + instances[-2:], [other])
    assert archive.bytes_on_disk() < 10_000 * 4096 + 1_000_000
    archive.verify()
    with capsys.disabled():
        print("\nstudy of 10,000 instances: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items()))
