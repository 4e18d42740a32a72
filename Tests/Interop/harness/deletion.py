# SPDX-License-Identifier: Apache-2.0
"""Deleting and hiding: the commands, everything that can be asked about an archive, and that something shows nowhere."""
import io
import json
import re
import zipfile

import pydicom
from blake3 import blake3

from harness import clients, web
from harness.clients import PATIENT_FIND, find, identifier
from harness.samples import ct_study
from harness.web import DICOM, JSON, ZIP, get, path_of, query, related, request, value
from harness.wire import CT

AS_STORED = related(DICOM, transfer_syntax="*")
STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
COUNTED = dict(
    STUDY=dict(PatientID="", PatientName="", StudyInstanceUID="", StudyDate="", ModalitiesInStudy="", SOPClassesInStudy="",
               NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="", NumberOfPatientRelatedStudies="",
               NumberOfPatientRelatedSeries="", NumberOfPatientRelatedInstances=""),
    SERIES=dict(StudyInstanceUID="", SeriesInstanceUID="", Modality="", NumberOfSeriesRelatedInstances=""),
    IMAGE=dict(StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="", InstanceNumber=""))


# What is asked

def sample():
    """A study of two modalities, another study of the same patient, and one of somebody else."""
    return [*ct_study(1, 3), *ct_study(1, 2, series=2, Modality="MR"),
            *ct_study(2, 1, PatientID="P1", PatientName="Patient1^Test"), *ct_study(3, 2)]


def uid_of(level, sent):
    return {"study": sent.study, "series": sent.series, "instance": sent.sop_instance}[level]


def below(level, sent, instances):
    """The instances that a deletion of what `sent` belongs to takes away."""
    return [other for other in instances if uid_of(level, other) == uid_of(level, sent)]


def resource(level, sent):
    whole = path_of(sent)
    return {"study": whole.split("/series")[0], "series": whole.split("/instances")[0], "instance": whole}[level]


def delete(archive, level, sent, way="command"):
    """Deletes beside the running server; the number of the deletion."""
    if way == "HTTP":
        reply = get(archive, resource(level, sent), method="DELETE").expect(204)
        assert reply.body == b""
        return deletions(archive)[-1]["number"]
    if way == "command without a server":
        archive.stop()
    try:
        said = archive.command("delete", f"--{level}", uid_of(level, sent), with_config=True, check=0).stdout
    finally:
        if way == "command without a server":
            archive.start()
    assert re.fullmatch(r"deleted \d+ instances?; snimok undelete \d+ brings (them|it) back until .*\n", said), said
    return int(re.search(r"undelete (\d+)", said)[1])


def deletions(archive, check=0):
    lines = archive.command("deletions", with_config=True, check=check).stdout.splitlines()
    rows = [dict(zip(("number", "at", "state", "instances", "target", "by"), line.split("\t"))) for line in lines]
    return [{**row, "number": int(row["number"]), "instances": int(row["instances"])} for row in rows]


def undelete(archive, number, check=0):
    return archive.command("undelete", number, with_config=True, check=check)


def compact(archive, *arguments):
    """Segments and bytes of a compaction."""
    said = archive.command("compact", *arguments, with_config=True, check=0).stdout
    return tuple(map(int, re.fullmatch(r"compacted (\d+) segments?, freed (\d+) bytes\n", said).groups()))


def digest(sent):
    return blake3(sent.transfer_syntax.encode().ljust(64, b"\0") + sent.data).hexdigest()


def upload_states(archive, instances):
    asked = json.dumps({"instances": [{"digest": digest(sent), "studyInstanceUID": sent.study} for sent in instances]})
    reply = request(archive, "POST", f"{web.ROOT}/uploads/check", {"Content-Type": "application/json"}, asked.encode())
    return [entry["state"] for entry in reply.expect(200).json()["instances"]]


def fetched(archive, sent):
    return web.read_part10(get(archive, path_of(sent), AS_STORED).part().body).data


def found_by_dimse(archive):
    """All answers of C-FIND, at each level and in both models."""
    answers = {}
    for model in (PATIENT_FIND, clients.STUDY_FIND):
        for level, keys in COUNTED.items():
            negotiation = [clients.extended(model, relational=1)]
            found = find(archive, identifier(level, **keys), model=model, negotiation=negotiation)
            assert found.status == 0, f"{level}: {found.status:04X}H {found.comment}"
            answers[model, level] = sorted(json.dumps(row.to_json_dict(), sort_keys=True) for row in found.rows)
    patients = find(archive, identifier(
        "PATIENT", PatientID="", PatientName="", NumberOfPatientRelatedStudies="", NumberOfPatientRelatedSeries="",
        NumberOfPatientRelatedInstances=""), model=PATIENT_FIND)
    assert patients.status == 0
    return {**answers, "PATIENT": sorted(json.dumps(row.to_json_dict(), sort_keys=True) for row in patients.rows)}


def found_by_web(archive):
    return {level: sorted(json.dumps(row, sort_keys=True)
                          for row in get(archive, f"{level}?includefield=all&limit=1000", JSON).rows())
            for level in ("studies", "series", "instances")}


def answers(archive, instances=()):
    """Everything that can be asked about an archive, so that it can be compared with what was answered before."""
    metadata = {study: sorted(json.dumps(row, sort_keys=True)
                              for row in get(archive, f"studies/{study}/metadata", JSON).rows())
                for study in sorted({sent.study for sent in instances})}
    stats = archive.stats()
    return {**found_by_dimse(archive), **found_by_web(archive), "metadata": metadata,
            "stats": {name: stats[name] for name in ("patients", "studies", "series", "instances", "versions", "storedBytes")},
            "bytes": {sent.sop_instance: fetched(archive, sent) == sent.data for sent in instances}}


def check_same(after, before):
    """That all answers are what they were; says which is not."""
    for name, answer in before.items():
        assert after[name] == answer, name
    assert after.keys() == before.keys()


def check_all_there(archive, instances):
    for sent in instances:
        assert fetched(archive, sent) == sent.data, sent.sop_instance
    uids = [value(row, INSTANCE_UID) for row in get(archive, "instances?limit=20000", JSON).rows()]
    assert sorted(uids) == sorted(sent.sop_instance for sent in instances)


# Nothing is left

def check_gone(archive, gone, left):
    """None of `gone` shows anywhere; `left` is all that there is."""
    uids = {sent.sop_instance for sent in gone}
    for name, tag, all_left in (("studies", STUDY_UID, [sent.study for sent in left]),
                                ("series", SERIES_UID, [sent.series for sent in left]),
                                ("instances", INSTANCE_UID, [sent.sop_instance for sent in left])):
        assert {value(row, tag) for row in get(archive, f"{name}?limit=1000", JSON).rows()} == set(all_left), name
    for sent in gone:
        assert get(archive, "instances" + query(SOPInstanceUID=sent.sop_instance), JSON).rows() == []
        for target in (path_of(sent), path_of(sent, "metadata"), path_of(sent, "rendered"), path_of(sent, "thumbnail"),
                       path_of(sent, "frames/1"), path_of(sent, "frames/1/rendered"), path_of(sent, "bulkdata/7FE00010")):
            get(archive, target).problem(404)
        get(archive, "/wado" + query(requestType="WADO", studyUID=sent.study, seriesUID=sent.series,
                                     objectUID=sent.sop_instance)).problem(404)
        get(archive, "/wado" + query(requestType="WADO", studyUID=sent.study, seriesUID=sent.series,
                                     objectUID=sent.sop_instance, contentType=DICOM)).problem(404)
    check_gone_above(archive, gone, left)
    assert set(upload_states(archive, gone)) == {"unknown"}
    if left:
        assert set(upload_states(archive, left)) == {"present"}
    check_gone_by_dimse(archive, gone, left, uids)


def check_gone_above(archive, gone, left):
    for level in ("study", "series"):
        for sent in {uid_of(level, sent): sent for sent in gone}.values():
            remaining = {other.sop_instance for other in below(level, sent, left)}
            where = resource(level, sent)
            if not remaining:
                for tail in ("", "/metadata", "/rendered", "/thumbnail"):
                    get(archive, where + tail).problem(404)
                get(archive, where, ZIP).problem(404)
                continue
            parts = get(archive, where, AS_STORED).parts()
            assert {web.read_part10(part.body).sop_instance for part in parts} == remaining
            rows = get(archive, where + "/metadata", JSON).rows()
            assert {value(row, INSTANCE_UID) for row in rows} == remaining
            check_zip(get(archive, where, ZIP).expect(200).body, remaining)
            if any(other.sop_class == CT for other in below(level, sent, left)):
                get(archive, where + "/thumbnail").expect(200)


def check_zip(content, remaining):
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    listing, = (files.pop(name) for name in list(files) if name.endswith("DICOMDIR"))
    assert {web.read_part10(file).sop_instance for file in files.values()} == remaining
    records = pydicom.dcmread(io.BytesIO(listing)).DirectoryRecordSequence
    assert {str(record.ReferencedSOPInstanceUIDInFile) for record in records
            if "ReferencedSOPInstanceUIDInFile" in record} == remaining


def check_gone_by_dimse(archive, gone, left, uids):
    for sent in gone:
        keys = dict(StudyInstanceUID=sent.study, SeriesInstanceUID=sent.series, SOPInstanceUID=sent.sop_instance)
        assert find(archive, identifier("IMAGE", **keys)).rows == []
    expected = {
        ("SERIES", "SeriesInstanceUID"): {sent.series for sent in left},
        ("STUDY", "StudyInstanceUID"): {sent.study for sent in left},
        ("IMAGE", "SOPInstanceUID"): {sent.sop_instance for sent in left}}
    for (level, key), there in expected.items():
        found = find(archive, identifier(level, **COUNTED[level]), negotiation=[clients.extended(clients.STUDY_FIND, 1)])
        assert {str(row[key].value) for row in found.rows} == there, level
    patients = find(archive, identifier("PATIENT", PatientID=""), model=PATIENT_FIND)
    assert {str(row.PatientID) for row in patients.rows} == {sent.patient for sent in left}
    for study in {sent.study for sent in gone}:
        got = clients.get(archive, identifier("STUDY", StudyInstanceUID=study), clients.pairs_of(gone + left))
        assert set(got.by_uid()) == {sent.sop_instance for sent in left if sent.study == study}
        assert not set(got.by_uid()) & uids and got.failed == 0


def check_rebuilt(archive, instances):
    """A new catalog answers the same, and what was deleted does not come back by it."""
    before = answers(archive, instances)
    listed = deletions(archive)
    archive.stop()
    archive.command("rebuild", check=0)
    archive.verify()
    archive.start()
    check_same(answers(archive, instances), before)
    assert deletions(archive) == listed
