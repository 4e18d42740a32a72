# SPDX-License-Identifier: Apache-2.0
"""Rejection notes (IHE Radiology, Imaging Object Change Management): they hide what they name, and nothing is lost by it."""
import pytest

from harness import web
from harness.clients import find, get, identifier, store_all
from harness.deletion import (
    answers, check_all_there, check_gone, check_rebuilt, check_same, compact, delete, deletions, fetched, sample, undelete)
from harness.samples import ROOT_UID, ct, ct_study, instance, item
from harness.wire import CT, EXPLICIT, IMPLICIT

KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
# PS3.16 CID 7010 and 7011.
TITLES = {"113001": "Rejected for Quality Reasons", "113037": "Rejected for Patient Safety Reasons",
          "113038": "Incorrect Modality Worklist Entry", "113039": "Data Retention Policy Expired"}


def references(instances):
    """Items of a Current Requested Procedure Evidence Sequence."""
    studies = {}
    for sent in instances:
        studies.setdefault(sent.study, {}).setdefault(sent.series, []).append(sent)
    return [item(StudyInstanceUID=study, ReferencedSeriesSequence=[
        item(SeriesInstanceUID=series, ReferencedSOPSequence=[
            item(ReferencedSOPClassUID=sent.sop_class, ReferencedSOPInstanceUID=sent.sop_instance) for sent in listed])
        for series, listed in below.items()]) for study, below in studies.items()]


def note(rejected, title="113001", number=1, scheme="DCM", syntax=EXPLICIT, **attributes):
    """A Key Object Selection in the study of the first that it names."""
    first = rejected[0]
    code = item(CodeValue=title, CodingSchemeDesignator=scheme, CodeMeaning=TITLES.get(title, "Of Interest"))
    values = dict(
        SOPClassUID=KEY_OBJECT, SOPInstanceUID=f"{ROOT_UID}.700.{number}", StudyInstanceUID=first.study,
        SeriesInstanceUID=f"{ROOT_UID}.700", PatientID=first.patient, PatientName=f"Patient{first.patient[1:]}^Test",
        StudyDate="20260105", StudyTime="101500", Modality="KO", SeriesNumber=700, InstanceNumber=number,
        ContentDate="20260106", ContentTime="101500", ValueType="CONTAINER", ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[code], CurrentRequestedProcedureEvidenceSequence=references(rejected),
        ContentSequence=[
            item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[
                item(ReferencedSOPClassUID=sent.sop_class, ReferencedSOPInstanceUID=sent.sop_instance)])
            for sent in rejected])
    for keyword, value in attributes.items():
        values.pop(keyword) if value is None else values.update({keyword: value})
    return instance(item(**values), syntax)


def send(archive, way, *instances, calling="TESTER"):
    if way == "C-STORE":
        store_all(archive, instances, calling=calling)
    else:
        assert len(web.stored(web.stow(archive, instances).expect(200))) == len(instances)


def shown(archive, instances):
    """All answers, but for what there is altogether on disk."""
    given = answers(archive, instances)
    for name in ("versions", "storedBytes"):
        del given["stats"][name]
    return given


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
@pytest.mark.parametrize("title", TITLES)
def test_what_a_note_names_shows_nowhere_until_it_is_withdrawn(title, way, archive):
    instances = sample()
    store_all(archive, instances)
    before, size = shown(archive, instances), archive.bytes_on_disk()
    # A whole series, and one instance of another.
    rejected, left = [*instances[:3], instances[3]], instances[4:]
    sent = note(rejected, title)
    send(archive, way, sent)
    hidden = shown(archive, left + [sent])
    check_gone(archive, rejected, left + [sent])
    assert archive.stats()["instances"] == len(left) + 1
    assert archive.bytes_on_disk() > size, "nothing is dropped"
    assert archive.stats()["versions"] == len(instances) + 1
    withdrawal = delete(archive, "instance", sent)
    check_same(shown(archive, instances), before)
    check_gone(archive, [sent], instances)
    undelete(archive, withdrawal)
    check_same(shown(archive, left + [sent]), hidden)
    check_gone(archive, rejected, left + [sent])
    archive.verify()
    check_rebuilt(archive, left + [sent])
    check_gone(archive, rejected, left + [sent])


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_note_may_come_before_what_it_names(way, archive):
    instances = ct_study(1, 4)
    sent = note(instances[:3])
    send(archive, way, sent)
    check_gone(archive, instances, [sent])
    send(archive, way, *instances)
    check_gone(archive, instances[:3], [instances[3], sent])
    check_rebuilt(archive, [instances[3], sent])
    withdrawal = delete(archive, "instance", sent)
    check_gone(archive, [sent], instances)
    undelete(archive, withdrawal)
    check_gone(archive, instances[:3], [instances[3], sent])


def test_a_study_of_which_all_is_rejected_shows_its_note(archive):
    instances = [*ct_study(1, 2), *ct_study(2, 1)]
    store_all(archive, instances)
    sent = note(instances[:2], "113037")
    store_all(archive, [sent])
    check_gone(archive, instances[:2], [instances[2], sent])
    other = note(instances[2:], "113039", number=2, StudyInstanceUID=f"{ROOT_UID}.3", SeriesInstanceUID=f"{ROOT_UID}.3.1")
    store_all(archive, [other])
    check_gone(archive, instances, [sent, other])


@pytest.mark.parametrize("kind", ["113000", "113002", "other scheme", "no title", "no references", "no note at all"])
def test_another_title_hides_nothing(kind, archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    sent = {"other scheme": lambda: note(instances, scheme="99TEST"),
            "no title": lambda: note(instances, ConceptNameCodeSequence=None),
            "no references": lambda: note(instances, CurrentRequestedProcedureEvidenceSequence=None),
            "no note at all": lambda: note(instances, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")}.get(
                kind, lambda: note(instances, kind))()
    store_all(archive, [sent])
    check_all_there(archive, instances + [sent])


def test_a_note_in_implicit_vr_is_read_too(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    sent = note(instances[1:], syntax=IMPLICIT)
    store_all(archive, [sent])
    check_gone(archive, instances[1:], [instances[0], sent])


def test_a_note_may_name_instances_of_several_studies(archive):
    instances = [*ct_study(1, 2), *ct_study(2, 2), *ct_study(3, 1)]
    store_all(archive, instances)
    rejected = [instances[0], *instances[2:4]]
    sent = note(rejected, "113038")
    store_all(archive, [sent])
    check_gone(archive, rejected, [instances[1], instances[4], sent])


def test_what_two_notes_name_is_hidden_until_both_are_withdrawn(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    first, second = note(instances[:2], "113001", 1), note(instances[1:], "113037", 2)
    store_all(archive, [first, second])
    check_gone(archive, instances, [first, second])
    delete(archive, "instance", first)
    check_gone(archive, [*instances[1:], first], [instances[0], second])
    delete(archive, "instance", second)
    check_gone(archive, [first, second], instances)
    check_rebuilt(archive, instances)


def test_a_rejected_instance_that_comes_again_stays_hidden(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    sent = note(instances[:2])
    store_all(archive, [sent])
    store_all(archive, instances[:1])
    store_all(archive, [ct(1, 1, 2, seed=9)])
    check_gone(archive, instances[:2], [instances[2], sent])
    check_rebuilt(archive, [instances[2], sent])


def test_a_note_that_comes_again_changes_nothing(archive):
    instances = ct_study(1, 3)
    store_all(archive, instances)
    sent = note(instances[:2])
    store_all(archive, [sent])
    before = shown(archive, [instances[2], sent])
    store_all(archive, [sent])
    check_same(shown(archive, [instances[2], sent]), before)
    # A withdrawn note that is sent again is in force again.
    delete(archive, "instance", sent)
    check_gone(archive, [sent], instances)
    store_all(archive, [sent])
    check_gone(archive, instances[:2], [instances[2], sent])


def test_rejected_and_deleted(archive):
    instances = ct_study(1, 4)
    store_all(archive, instances)
    sent = note(instances[:2])
    store_all(archive, [sent])
    # The second one is both, in either order.
    deleted = delete(archive, "instance", instances[1])
    undelete(archive, deleted)
    check_gone(archive, instances[:2], [*instances[2:], sent])
    deleted = delete(archive, "instance", instances[1])
    withdrawal = delete(archive, "instance", sent)
    check_gone(archive, [instances[1], sent], [instances[0], *instances[2:]])
    undelete(archive, withdrawal)
    check_gone(archive, instances[:2], [*instances[2:], sent])
    undelete(archive, deleted)
    delete(archive, "instance", sent)
    check_gone(archive, [sent], instances)
    check_rebuilt(archive, instances)


def test_a_deleted_study_with_its_note_comes_back_as_it_was(archive):
    instances = sample()
    store_all(archive, instances)
    sent = note(instances[:2])
    store_all(archive, [sent])
    left = [*instances[2:], sent]
    before = shown(archive, left)
    number = delete(archive, "study", sent)
    assert deletions(archive)[0]["instances"] == 6
    check_gone(archive, [*instances[:5], sent], instances[5:])
    undelete(archive, number)
    check_same(shown(archive, left), before)
    check_gone(archive, instances[:2], left)


def test_a_note_that_is_deleted_for_good_says_nothing_more(new_archive):
    archive = new_archive(storage={"segmentMiB": 1, "deletionGraceDays": 0})
    instances = [*ct_study(1, 2), *ct_study(2, 2)]
    store_all(archive, instances)
    sent = note(instances[:2], StudyInstanceUID=f"{ROOT_UID}.2", PatientID="P2", PatientName="Patient2^Test")
    store_all(archive, [sent])
    check_gone(archive, instances[:2], [*instances[2:], sent])
    delete(archive, "instance", sent)
    compact(archive, "--all")
    check_gone(archive, [sent], instances)
    check_rebuilt(archive, instances)
    # The same note again is a new one.
    store_all(archive, [sent])
    check_gone(archive, instances[:2], [*instances[2:], sent])
    # What it hides may be deleted for good, and still is named when it comes again.
    delete(archive, "study", instances[0])
    compact(archive, "--all")
    check_gone(archive, instances[:2], [*instances[2:], sent])
    archive.verify()
    store_all(archive, instances[:2])
    check_gone(archive, instances[:2], [*instances[2:], sent])
    check_rebuilt(archive, [*instances[2:], sent])


REASONS = {"quality": "113001", "patientSafety": "113037", "worklist": "113038", "retention": "113039"}


def test_peers_that_work_on_quality_see_what_is_hidden_from_others(new_archive):
    peers = [{"aeTitle": "TESTER", "addresses": ["127.0.0.0/8"]},
             *({"aeTitle": reason.upper(), "addresses": ["127.0.0.0/8"], "seesRejected": [reason]} for reason in REASONS),
             {"aeTitle": "ALL", "addresses": ["127.0.0.0/8"], "seesRejected": list(REASONS)}]
    archive = new_archive(peers=peers)
    instances = ct_study(1, 6)
    notes = [note(instances[index:index + 1], title, index + 1) for index, title in enumerate(REASONS.values())]
    store_all(archive, instances + notes)
    deleted = delete(archive, "instance", instances[4])

    def seen(calling):
        found = find(archive, identifier("IMAGE", StudyInstanceUID=instances[0].study, SOPInstanceUID="",
                                         SeriesInstanceUID=instances[0].series), calling=calling)
        assert found.status == 0
        got = get(archive, identifier("SERIES", StudyInstanceUID=instances[0].study, SeriesInstanceUID=instances[0].series),
                  [(CT, EXPLICIT)], calling=calling)
        assert sorted(got.by_uid()) == found.values("SOPInstanceUID")
        return {index for index, sent in enumerate(instances) if sent.sop_instance in got.by_uid()}

    assert seen("TESTER") == {5}
    for index, reason in enumerate(REASONS):
        assert seen(reason.upper()) == {5, index}
    assert seen("ALL") == {0, 1, 2, 3, 5}, "what is deleted is shown to nobody"
    undelete(archive, deleted)
    assert seen("TESTER") == {4, 5}
    assert fetched(archive, instances[4]) == instances[4].data
