"""The same again, the same UID with other content, damage and its healing, and the rebuilt catalog."""
import contextlib
import dataclasses
import json
import random
import re
import sqlite3
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.archive import BINARY, DAMAGED
from harness.clients import (
    PATIENT_FIND, STUDY_FIND, Destination, extended, find, get, identifier, move, store_all)
from harness.samples import ROOT_UID, ct, ct_data_set, ct_study, instance
from harness.wire import DEFLATED

HOSPITALS = [
    {"aeTitle": "CT1", "addresses": ["127.0.0.0/8"], "organisation": "hospital-1", "issuer": "H1"},
    {"aeTitle": "CT2", "addresses": ["127.0.0.0/8"], "organisation": "hospital-2", "issuer": "H2"},
    {"aeTitle": "CT3", "addresses": ["127.0.0.0/8"], "organisation": "hospital-3", "issuer": "H3"},
    {"aeTitle": "CP1251CT", "addresses": ["127.0.0.0/8"], "organisation": "hospital-4", "characterSet": "CP1251"},
]


def get_one(archive, sent, calling="TESTER"):
    query = identifier("IMAGE", StudyInstanceUID=sent.study, SeriesInstanceUID=sent.series,
                       SOPInstanceUID=sent.sop_instance)
    return get(archive, query, [sent.pair], calling=calling)


def test_the_same_study_again_costs_no_image_bytes_and_is_told_in_stats(archive):
    study = ct_study(count=12, rows=512)
    size = sum(len(instance.data) for instance in study)
    store_all(archive, study)
    before, disk_before = archive.stats(), archive.bytes_on_disk()
    assert disk_before >= size and before["savedBytes"] == 0
    store_all(archive, study)
    after, disk_after = archive.stats(), archive.bytes_on_disk()
    assert disk_after - disk_before <= 12 * 8192, "sightings only"
    assert after["storedBytes"] == before["storedBytes"]
    assert after["savedBytes"] >= size
    assert after["sightings"] - before["sightings"] == 12
    for key in ("patients", "studies", "series", "instances", "versions", "flagged"):
        assert after[key] == before[key]
    for instance in study:
        assert get_one(archive, instance).instances[0].data == instance.data


def test_the_same_instance_twice_at_once_is_stored_once(archive):
    study = ct_study(count=8, rows=128)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: store_all(archive, study), range(6)))
    stats = archive.stats()
    assert stats["instances"] == stats["versions"] == 8
    assert archive.bytes_on_disk() < 2 * sum(len(instance.data) for instance in study) + 6 * 8 * 8192


def test_the_same_data_set_in_another_transfer_syntax_is_another_version(archive):
    explicit, implicit = ct(), ct(transfer_syntax="1.2.840.10008.1.2")
    store_all(archive, [explicit])
    store_all(archive, [implicit])
    stats = archive.stats()
    assert stats["instances"] == 1 and stats["versions"] == 2
    got = get_one(archive, implicit)
    assert got.status == 0 and got.instances[0].data == implicit.data


def damage(archive, instance):
    """Flips one bit of the instance's pixel data in the segment file."""
    assert archive.process is None
    middle = len(instance.data) // 2
    marker = instance.data[middle:middle + 64]
    for path in archive.segments():
        content = bytearray(path.read_bytes())
        at = content.find(marker)
        if at >= 0:
            content[at + 32] ^= 0x10
            path.write_bytes(content)
            return path
    raise AssertionError("the instance's bytes are in no segment")


def test_a_damaged_blob_is_reported_and_never_served_and_a_resend_heals_it(new_archive):
    archive = new_archive()
    whole, hurt = ct(number=1, rows=128), ct(number=2, rows=128)
    store_all(archive, [whole, hurt])
    archive.stop()
    damage(archive, hurt)
    archive.start()

    said = archive.verify("--full", check=DAMAGED)
    assert hurt.sop_instance in said.stdout + said.stderr, "verify names what is damaged"
    got = get_one(archive, hurt)
    assert got.instances == [] and got.failed == 1 and got.failed_instances == [hurt.sop_instance]
    assert get_one(archive, whole).instances[0].data == whole.data, "its neighbour is served"
    assert len(find(archive, identifier("IMAGE", SOPInstanceUID="")).rows) == 2, "and it is still found"

    store_all(archive, [hurt])
    assert get_one(archive, hurt).instances[0].data == hurt.data
    assert archive.stats()["versions"] == 2, "healed, not a further version"
    archive.restart()
    assert get_one(archive, hurt).instances[0].data == hurt.data


def test_a_resend_heals_a_damage_that_nobody_has_noticed_yet(archive):
    hurt = ct(rows=128)
    store_all(archive, [hurt])
    archive.stop()
    damage(archive, hurt)
    archive.start()
    store_all(archive, [hurt])
    assert get_one(archive, hurt).instances[0].data == hurt.data


@pytest.mark.limit(900)
def test_every_flipped_bit_is_noticed_and_none_is_served(new_archive, tmp_path):
    """A sample of all bits; the segment's file is changed below the running server, as a failing disk would."""
    archive = new_archive()
    instance = ct(rows=64)
    store_all(archive, [instance])
    path, = [path for path in archive.segments() if instance.data[100:200] in path.read_bytes()]
    content = path.read_bytes()
    begin = content.find(instance.data)
    chosen = random.Random(11)
    for _ in range(60):
        at = begin + chosen.randrange(len(instance.data))
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([content[at] ^ (1 << chosen.randrange(8))]))
        got = get_one(archive, instance)
        assert got.instances == [] and got.failed == 1, f"byte {at - begin} was changed and served"
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(content[at:at + 1])
    # Whole again, it may be served again or be remembered as damaged until it is sent again.
    store_all(archive, [instance])
    assert get_one(archive, instance).instances[0].data == instance.data


# One SOP Instance UID, several contents

@pytest.fixture
def forged(new_archive):
    """hospital-1 sent it first, hospital-2 the same UID with other pixels."""
    archive = new_archive(peers=HOSPITALS)
    first, second = ct(seed=1, rows=64), ct(seed=2, rows=64)
    assert first.sop_instance == second.sop_instance and first.data != second.data
    store_all(archive, [first], "CT1")
    store_all(archive, [second], "CT2")
    return archive, first, second


def test_each_organisation_is_served_its_own_version_and_a_third_the_first_senders(forged):
    archive, first, second = forged
    stats = archive.stats()
    assert (stats["instances"], stats["versions"]) == (1, 2) and stats["flagged"] >= 1
    for calling, expected in (("CT1", first), ("CT2", second), ("CT3", first), ("STRANGER", first)):
        got = get_one(archive, first, calling)
        assert [instance.data for instance in got.instances] == [expected.data], calling


def test_each_organisation_finds_one_instance(forged):
    archive, first, _ = forged
    for calling in ("CT1", "CT2", "CT3"):
        query = identifier("STUDY", StudyInstanceUID=first.study, NumberOfStudyRelatedInstances="")
        found = find(archive, query, calling=calling)
        assert [int(row.NumberOfStudyRelatedInstances) for row in found.rows] == [1]


def test_the_newest_version_of_the_own_organisation_counts(forged):
    archive, first, second = forged
    third = ct(seed=3, rows=64)
    store_all(archive, [third], "CT1")
    assert archive.stats()["versions"] == 3
    for calling, expected in (("CT1", third), ("CT2", second), ("CT3", third)):
        assert get_one(archive, first, calling).instances[0].data == expected.data


def test_sending_an_older_version_again_does_not_make_two_of_it(forged):
    archive, first, _ = forged
    store_all(archive, [first], "CT1")
    assert archive.stats()["versions"] == 2


def test_a_move_serves_the_version_of_the_one_who_asks(new_archive):
    destination = Destination()
    archive = new_archive(peers=[*HOSPITALS, destination.peer()])
    first, second = ct(seed=1), ct(seed=2)
    store_all(archive, [first], "CT1")
    store_all(archive, [second], "CT2")
    try:
        for calling, expected in (("CT1", first), ("CT2", second)):
            destination.received.clear()
            query = identifier("STUDY", StudyInstanceUID=first.study)
            assert move(archive, query, "DESTINATION", calling=calling).status == 0
            assert [instance.data for instance in destination.received] == [expected.data]
    finally:
        destination.close()


# Rebuild

QUERIES = [
    ("PATIENT", PATIENT_FIND, ["PatientID", "PatientName", "IssuerOfPatientID", "NumberOfPatientRelatedInstances"]),
    ("STUDY", STUDY_FIND, ["StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyTime",
                           "ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
                           "AccessionNumber", "StudyDescription"]),
    ("SERIES", STUDY_FIND, ["SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesNumber",
                            "NumberOfSeriesRelatedInstances", "SeriesDescription"]),
    ("IMAGE", STUDY_FIND, ["SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID", "InstanceNumber", "SliceThickness",
                           "Rows", "InstitutionName"]),
]
CALLERS = ["CT1", "CT2", "CT3", "ASKER"]


def answers(archive, sent):
    """A fixed set of questions by several askers, as text; and the bytes that each is served."""
    out = {}
    for calling in CALLERS:
        for level, model, keywords in QUERIES:
            query = identifier(level, "ISO_IR 192", **{keyword: None for keyword in keywords})
            found = find(archive, query, model, calling, negotiation=[extended(model, relational=1)])
            assert found.status == 0
            out[f"{calling} {level}"] = sorted(json.dumps(row.to_json_dict(), sort_keys=True) for row in found.rows)
        narrow = identifier("STUDY", "ISO_IR 192", StudyInstanceUID="", PatientName="федоров*")
        out[f"{calling} name"] = find(archive, narrow, calling=calling).values("StudyInstanceUID")
        for instance in sent:
            got = get_one(archive, instance, calling)
            out[f"{calling} {instance.sop_instance}"] = [part.data.hex() for part in got.instances]
    return out


@pytest.fixture
def varied(new_archive):
    """Two organisations, conflicting versions, a conflicting patient, a mislabelled name, a re-send."""
    archive = new_archive(peers=HOSPITALS)
    sent = [ct(1, number=number) for number in (1, 2, 3)]
    store_all(archive, sent, "CT1")
    store_all(archive, sent, "CT2")
    store_all(archive, [ct(1, number=1, seed=5), ct(2), ct(3, PatientID=None)], "CT2")
    store_all(archive, [ct(1, series=2, number=9, PatientID="ANOTHER", PatientName="Another^One")], "CT3")
    name = ct(4, PatientName="REPLACEDREPLACED")
    name.data = name.data.replace(b"REPLACEDREPLACED", "Фёдоров^Семён^И.".encode("cp1251"))
    store_all(archive, [name], "CP1251CT")
    leading_zero = ct(5, SOPInstanceUID=f"{ROOT_UID}.5.01")
    store_all(archive, [leading_zero], "CT1")
    return archive, [*sent, name, leading_zero]


def test_the_catalog_deleted_and_rebuilt_gives_identical_answers(varied):
    archive, sent = varied
    before, stats = answers(archive, sent), archive.stats()
    assert before["CT1 name"] == [f"{ROOT_UID}.4"], "the mislabelled name is found, so there is something to lose"
    archive.stop()
    archive.delete_catalog()
    archive.command("rebuild", check=0)
    archive.start()
    assert answers(archive, sent) == before
    assert archive.stats() == stats


def test_a_missing_catalog_is_rebuilt_by_serve_alone(varied):
    archive, sent = varied
    before, stats = answers(archive, sent), archive.stats()
    archive.stop()
    archive.delete_catalog()
    archive.start()
    assert answers(archive, sent) == before and archive.stats() == stats


def test_rebuild_after_the_configuration_was_edited_gives_the_same_answers(varied):
    archive, sent = varied
    before, stats = answers(archive, sent), archive.stats()
    archive.stop()
    # What decided at receipt is changed for whoever sends from now on; who the askers are stays as it is.
    edited = [{**peer, "issuer": "EDITED"} for peer in HOSPITALS]
    edited[3] = {**edited[3], "organisation": "edited"}
    del edited[3]["characterSet"]
    archive.write_config({**archive.config, "peers": edited, "issuer": "EDITED-DEFAULT"})
    archive.delete_catalog()
    archive.command("rebuild", with_config=True, check=0)
    archive.start()
    assert answers(archive, sent) == before
    assert archive.stats() == stats


def test_a_damaged_catalog_is_noticed_and_cured_by_rebuild(varied):
    archive, sent = varied
    before = answers(archive, sent)
    archive.stop()
    catalog = archive.data / "catalog.db"
    content = bytearray(catalog.read_bytes())
    content[4096:] = random.Random(3).randbytes(len(content) - 4096)
    catalog.write_bytes(content)
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (archive.data / name).unlink(missing_ok=True)
    archive.command("rebuild", check=0)
    archive.start()
    assert answers(archive, sent) == before


def test_long_values_and_long_deflated_headers_are_rebuilt_as_they_were(archive):
    """Values at the border between header and large values, and a Deflated data set whose study comes after 2 MiB."""
    long_values = [ct(700 + number, StudyDescription="d" * size) for number, size in enumerate((4094, 4098, 6000))]
    dataset = ct_data_set(710)
    dataset.add_new(0x00090010, "LO", "SNIMOK TEST")
    dataset.add_new(0x00091001, "OB", random.Random(5).randbytes(2 << 20))
    plain = instance(dataset)
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(plain.data) + deflate.flush()
    deflated = dataclasses.replace(plain, transfer_syntax=DEFLATED, data=data + b"\0" * (len(data) % 2))
    store_all(archive, [*long_values, deflated])

    def answer():
        rows = find(archive, identifier("STUDY", StudyInstanceUID="", StudyDescription="", PatientID="")).rows
        return sorted((str(row.StudyInstanceUID), str(row.PatientID), str(row.StudyDescription)) for row in rows)

    before = answer()
    assert deflated.study in [study for study, _, _ in before]
    archive.stop()
    archive.delete_catalog()
    archive.command("rebuild", check=0)
    archive.start()
    assert answer() == before


def test_a_rebuild_of_many_gives_the_same_tables(new_archive):
    """More than are found, read and applied at once, and more than one transaction takes."""
    archive = new_archive(start=False)
    subprocess.run([BINARY.with_name("snimok-load"), "--fill", archive.data, "--studies", "450", "--instances", "100",
                    "--pixel-bytes", "10", "--modality", "MIX"], check=True, capture_output=True)

    def tables():
        with contextlib.closing(sqlite3.connect(archive.data / "catalog.db")) as database:
            names = [name for name, in database.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name")]
            return {name: list(database.execute(f"SELECT * FROM {name} ORDER BY 1, 2")) for name in names}

    before = tables()
    assert len(before["instance"]) == 45_000
    archive.delete_catalog()
    archive.command("rebuild", check=0)
    after = tables()
    different = [name for name in before if before[name] != after.get(name) and "gram" not in name]
    assert not different


def test_few_descriptors_are_enough_to_rebuild_many_large_objects(new_archive):
    """Each of them is a file of its own."""
    archive = new_archive(start=False)
    subprocess.run([BINARY.with_name("snimok-load"), "--fill", archive.data, "--studies", "3", "--instances", "90",
                    "--pixel-bytes", str(4_400_000)], check=True, capture_output=True)
    assert len(list((archive.data / "large").iterdir())) == 270
    archive.delete_catalog()
    done = subprocess.run(["prlimit", "--nofile=256:256", BINARY, "rebuild", "--data", archive.data],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "rebuilt from 270 records" in done.stdout, done.stderr


def test_the_archive_opens_as_many_descriptors_as_it_may(new_archive):
    archive = new_archive(wrapper=("prlimit", "--nofile=1024:5000"))
    limits = Path(f"/proc/{archive.process.pid}/limits").read_text()
    assert re.search(r"Max open files\s+5000\s+5000", limits), limits
