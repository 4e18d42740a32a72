"""One instance's history, from the log alone."""
import json

import pytest

from harness.archive import DAMAGED, INPUT_MISSING, USAGE
from harness.clients import store_all
from harness.samples import ct, ct_study

PEERS = [
    {"aeTitle": "CT1", "addresses": ["127.0.0.0/8"], "organisation": "hospital-1"},
    {"aeTitle": "CT2", "addresses": ["127.0.0.0/8"], "organisation": "hospital-2"},
]


def history(archive, uid, check=0):
    done = archive.command("history", "--instance", uid, "--json", check=check)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def told(new_archive):
    """An instance with a long story, among others, and what is known of it: kind and sender."""
    archive = new_archive(peers=PEERS)
    one, other = ct(seed=1, rows=64), ct(number=2)
    store_all(archive, [other, one], "CT1")
    store_all(archive, [one], "CT2")
    store_all(archive, [ct(seed=2, rows=64), other], "CT2")
    return archive, one


def test_everything_stored_and_seen_is_told_in_order(told):
    archive, one = told
    events = history(archive, one.sop_instance)
    assert [(event["kind"], event["callingAETitle"], event["organisation"]) for event in events] == [
        ("instance", "CT1", "hospital-1"), ("sighting", "CT2", "hospital-2"), ("instance", "CT2", "hospital-2")]
    assert [event["sequence"] for event in events] == sorted({event["sequence"] for event in events})
    first, again, changed = events
    assert first["blobID"] == again["blobID"] != changed["blobID"]
    assert first["bytes"] == len(one.data)
    assert first["transferSyntaxUID"] == one.transfer_syntax
    assert (first["studyInstanceUID"], first["seriesInstanceUID"]) == (one.study, one.series)
    assert first["route"] == "dimse" and first["peerAddress"] == "127.0.0.1" and first["association"]
    assert all(event["time"].endswith("Z") for event in events)


def test_people_can_read_it_too(told):
    archive, one = told
    lines = archive.command("history", "--instance", one.sop_instance, check=0).stdout.splitlines()
    assert len(lines) == 3
    assert "stored blob" in lines[0] and '"CT1"' in lines[0] and '"hospital-1"' in lines[0]
    assert "came again" in lines[1]


def test_it_needs_no_catalog_and_no_server(told):
    archive, one = told
    events = history(archive, one.sop_instance)
    archive.stop()
    archive.delete_catalog()
    assert history(archive, one.sop_instance) == events
    archive.start()
    assert history(archive, one.sop_instance) == events


def test_deletions_of_the_instance_its_series_and_its_study_are_told(told):
    archive, one = told
    for level, uid in (("instance", one.sop_instance), ("series", one.series), ("study", one.study)):
        archive.command("delete", f"--{level}", uid, with_config=True, check=0)
        tombstone = history(archive, one.sop_instance)[-1]
        assert (tombstone["kind"], tombstone["target"]) == ("tombstone", f"{level} {uid}")
        archive.command("undelete", tombstone["sequence"], with_config=True, check=0)
        undone = history(archive, one.sop_instance)[-1]
        assert (undone["kind"], undone["name"]) == ("annotation", "undelete")
        assert undone["target"] == str(tombstone["sequence"])
    # What happens to a neighbour is not its story.
    before = history(archive, one.sop_instance)
    neighbour = ct(number=2)
    archive.command("delete", "--instance", neighbour.sop_instance, with_config=True, check=0)
    assert history(archive, one.sop_instance) == before


def test_a_copy_that_replaces_a_damaged_one_is_told(new_archive):
    archive = new_archive()
    one = ct(rows=128)
    store_all(archive, [one])
    path, = archive.segments()
    content = path.read_bytes()
    at = content.find(one.data[5000:5064])
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ 1]))
    store_all(archive, [one])
    events = history(archive, one.sop_instance)
    assert [event.get("replacesDamaged", False) for event in events if event["kind"] == "instance"] == [False, True]
    assert len({event["blobID"] for event in events}) == 1


def test_a_log_that_cannot_be_read_everywhere_is_told(new_archive):
    archive = new_archive()
    study = ct_study(count=3)
    store_all(archive, study)
    path, = archive.segments()
    content = path.read_bytes()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(bytes([content[4096] ^ 1]))
    assert len(history(archive, study[2].sop_instance, check=DAMAGED)) == 1


def test_nothing_is_told_of_what_is_not_there(archive):
    store_all(archive, [ct()])
    assert history(archive, "1.2.3.4", check=INPUT_MISSING) == []
    archive.command("history", check=USAGE)
