"""Every valid file that pydicom and pydicom-data bring goes in and comes out byte for byte."""
import hashlib
import re
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import data_store
import pydicom
import pydicom.data
import pytest
from pydicom.errors import InvalidDicomError

from harness.clients import (
    PATIENT_FIND, STUDY_FIND, STUDY_GET, STUDY_MOVE, UNCOMPRESSED, Destination, association, extended, find, get,
    identifier, move, pairs_of, store_all)
from harness.samples import data_set_bytes, read_file

PACKAGES = [Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent]
UID = re.compile(r"[0-9.]{1,64}")


def files():
    return [path for package in PACKAGES for path in sorted(package.rglob("*"))
            if path.is_file() and path.suffix not in (".py", ".pyc", ".json")]


def is_cut_short(path):
    """Whether an element of the data set announces more bytes than the file has."""
    dataset = pydicom.dcmread(path)
    return any(getattr(element, "length", 0) not in (0, 0xFFFFFFFF) and element.value is not None
               and len(element.value) < element.length
               for element in dataset._dict.values() if hasattr(element, "value_tell"))


def sort_files():
    """The valid files as instances, those that must be refused, and why each other file does not count."""
    valid, refused, excluded = [], [], []
    for path in files():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(path, force=False)
                missing = [name for name in ("SOPClassUID", "SOPInstanceUID") if not dataset.get(name)]
                if not dataset.file_meta.get("TransferSyntaxUID"):
                    missing.append("TransferSyntaxUID")
                if missing:
                    excluded.append((path, "has no " + ", ".join(missing)))
                    continue
                instance = read_file(path)
        except (InvalidDicomError, EOFError, ValueError, AttributeError) as error:
            excluded.append((path, f"dcmread: {type(error).__name__}: {str(error)[:70]}"))
            continue
        if not all(UID.fullmatch(uid) for uid in (instance.sop_instance, instance.sop_class)) or any(
                uid and not UID.fullmatch(uid) for uid in (instance.study, instance.series)):
            refused.append((instance, "a UID with other characters than digits and dots: refused with C000H"))
        elif is_cut_short(path):
            refused.append((instance, "its data set ends in the middle of an element: refused with C000H"))
        else:
            valid.append(instance)
    return valid, refused, excluded


def waves(instances):
    """Files of one SOP Instance UID with different content are sent one after the other, each in its own wave."""
    contents = defaultdict(dict)
    for instance in instances:
        digest = hashlib.sha256(instance.transfer_syntax.encode() + b"\0" + instance.data).digest()
        contents[instance.sop_instance].setdefault(digest, instance)
    ordered = [list(versions.values()) for versions in contents.values()]
    return [[versions[number] for versions in ordered if len(versions) > number]
            for number in range(max(map(len, ordered)))]


def assert_same(received, sent, way):
    assert received.transfer_syntax == sent.transfer_syntax, f"{sent.path.name} by {way}: another transfer syntax"
    assert received.sop_class == sent.sop_class, f"{sent.path.name} by {way}: another SOP class"
    assert received.data == sent.data, (
        f"{sent.path.name} by {way}: {len(received.data)} bytes came for {len(sent.data)} sent, or other ones")


def keys_of(archive, sent):
    """The hierarchy keys of an instance; where the file has none, those that the archive gave it."""
    if sent.study and sent.series:
        return {"StudyInstanceUID": sent.study, "SeriesInstanceUID": sent.series, "SOPInstanceUID": sent.sop_instance}
    found = find(archive, identifier("IMAGE", StudyInstanceUID="", SeriesInstanceUID="",
                                     SOPInstanceUID=sent.sop_instance), negotiation=[extended(STUDY_FIND, 1)])
    assert len(found.rows) == 1, f"{sent.path.name} has no study UID and is not found by its instance UID"
    keys = {keyword: str(found.rows[0].get(keyword) or "") for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
    return {**{key: uid for key, uid in keys.items() if uid}, "SOPInstanceUID": sent.sop_instance}


def check_found(archive, wave):
    """C-FIND on each level, with single values."""
    patients = find(archive, identifier("PATIENT", PatientID=""), PATIENT_FIND)
    assert patients.status == 0
    known = {value.strip() for value in patients.values("PatientID")}
    for sent in wave:
        assert sent.patient.strip() in known, f"{sent.path.name}: patient {sent.patient!r} is not found"
    with association(archive, [(STUDY_FIND, UNCOMPRESSED)], negotiation=[extended(STUDY_FIND, 1)]) as opened:
        for sent in wave:
            keys = sent.keys
            levels = [("STUDY", "StudyInstanceUID"), ("SERIES", "SeriesInstanceUID"), ("IMAGE", "SOPInstanceUID")]
            query = {}
            for level, keyword in levels:
                if keyword not in keys:
                    continue
                query[keyword] = keys[keyword]
                found = find(archive, identifier(level, **query), opened=opened)
                assert found.status == 0 and len(found.rows) == 1, (
                    f"{sent.path.name}: {len(found.rows)} matches at level {level} (status {found.status:04X}H)")
                assert str(found.rows[0][keyword].value) == keys[keyword]


def check_got(archive, wave):
    with_relational = [extended(STUDY_GET, 1)]
    pairs = pairs_of(wave)
    for sent in wave:
        got = get(archive, identifier("IMAGE", **sent.keys), pairs, negotiation=with_relational)
        assert got.status == 0 and got.completed == 1 and len(got.instances) == 1, (
            f"{sent.path.name}: C-GET ended with {got.status:04X}H, {len(got.instances)} instances")
        assert_same(got.instances[0], sent, "C-GET")


def check_moved(archive, wave, destination):
    for sent in wave:
        destination.received.clear()
        moved = move(archive, identifier("IMAGE", **sent.keys), destination.title,
                     negotiation=[extended(STUDY_MOVE, 1)])
        assert moved.status == 0 and moved.completed == 1 and len(destination.received) == 1, (
            f"{sent.path.name}: C-MOVE ended with {moved.status:04X}H, {len(destination.received)} instances")
        assert_same(destination.received[0], sent, "C-MOVE")


def check_exported(archive, wave, folder):
    archive.export("--all", out=folder)
    by_name = {path.stem: path for path in folder.rglob("*.dcm")}
    for sent in wave:
        path = folder / sent.study / sent.series / f"{sent.sop_instance}.dcm"
        if not (sent.study and sent.series):
            path = by_name.get(sent.sop_instance)
        assert path is not None and path.is_file(), f"{sent.path.name} was not exported"
        assert data_set_bytes(path) == sent.data, f"{sent.path.name}: exported with other bytes"
        meta = pydicom.filereader.read_file_meta_info(path)
        assert str(meta.TransferSyntaxUID) == sent.transfer_syntax
        assert str(meta.MediaStorageSOPInstanceUID) == sent.sop_instance


@pytest.mark.limit(1200)
def test_every_valid_file_is_stored_found_fetched_and_exported_byte_for_byte(new_archive, tmp_path, capsys):
    valid, refused, excluded = sort_files()
    assert len(valid) > 200, "pydicom's files are missing"
    destination = Destination(pairs_of(valid))
    archive = new_archive(peers=[destination.peer()])
    try:
        ordered = waves(valid)
        for number, wave in enumerate(ordered):
            store_all(archive, wave)
            for sent in wave:
                sent.keys = keys_of(archive, sent)
            check_found(archive, wave)
            check_got(archive, wave)
            check_moved(archive, wave, destination)
            check_exported(archive, wave, tmp_path / f"out{number}")
        for instance, reason in refused:
            statuses = store_all(archive, [instance], expected=None)
            assert statuses == [0xC000], f"{instance.path.name}: {reason}, but the status is {statuses[0]:04X}H"
        stats = archive.stats()
    finally:
        destination.close()
    distinct = sum(map(len, ordered))
    assert stats["instances"] == len(ordered[0]) and stats["versions"] == distinct
    archive.verify("--full")
    with capsys.disabled():
        print(f"\n{len(valid)} valid files ({distinct} contents of {len(ordered[0])} instances, "
              f"{len(pairs_of(valid))} pairs of SOP class and transfer syntax) are byte for byte as sent")
        for reason, count in Counter(reason for _, reason in excluded).most_common():
            names = ", ".join(sorted(path.name for path, other in excluded if other == reason))
            print(f"  excluded, {count}: {reason}: {names}")
        for instance, reason in refused:
            print(f"  excluded: {instance.path.name}: {reason}")
