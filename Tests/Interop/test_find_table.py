"""C-FIND as a table: each kind of matching, both roots, all levels, names in Cyrillic. The asker is DCMTK's findscu."""
import time
from pathlib import Path

import pydicom
import pytest

from harness import wire
from harness.archive import Archive, configuration
from harness.clients import (
    PATIENT_FIND, STUDY_FIND, UNCOMPRESSED, association, extended, find, identifier, store_all)
from harness.samples import ROOT_UID, ct, ct_data_set, element, encode, instance, item
from harness.tools import run

LATIN, CYRILLIC, UTF8 = "ISO_IR 100", "ISO_IR 144", "ISO_IR 192"
CODECS = {None: "ascii", LATIN: "latin-1", CYRILLIC: "iso8859_5", UTF8: "utf-8"}
YOLKINA, SYOMIN, FYODOROV = "Ёлкина^Алёна^Петровна", "Сёмин^Пётр^Фёдорович", "Фёдоров^Семён^Ильич"


def request(step):
    return item(ScheduledProcedureStepID=step, RequestedProcedureID=f"R{step}")


def studies():
    """The content of the table's archive: six studies, each with something of its own to be found by."""
    out = []
    # 1: two series, three slices; today's ordinary study.
    for series, count in ((1, 2), (2, 1)):
        for number in range(1, count + 1):
            out.append(ct_data_set(1, series, number, PatientName="Smith^John", PatientID="PAT-1",
                                   StudyDate="20260105", StudyTime="101500", AccessionNumber="ACC1",
                                   StudyDescription="Head CT", RequestAttributesSequence=[request("SPS1")],
                                   Modality="CT" if series == 1 else "SR"))
    # 2 and 3: earlier and later, another person of the same surname; an accent.
    out.append(ct_data_set(2, PatientName="Smith^Jane", PatientID="PAT-2", StudyDate="20251231", StudyTime="235959",
                           AccessionNumber="ACC2", RequestAttributesSequence=[request("SPS2"), request("SPS3")]))
    out.append(ct_data_set(3, SpecificCharacterSet=LATIN, PatientName="Müller^José", PatientID="PAT-3",
                           StudyDate="20260110", StudyTime="080000.250000", AccessionNumber="ACC3",
                           Modality="MR", BodyPartExamined="KNEE"))
    # 4 and 5: Cyrillic, declared.
    out.append(ct_data_set(4, SpecificCharacterSet=CYRILLIC, PatientName=YOLKINA, PatientID="PAT-4",
                           StudyDate="20260201", StudyTime="120000", InstitutionName="Больница № 4"))
    out.append(ct_data_set(5, SpecificCharacterSet=UTF8, PatientName=SYOMIN, PatientID="PAT-5",
                           StudyDate="20260202", StudyTime="130000"))
    return [instance(dataset) for dataset in out]


def mislabelled():
    """6 and 7: CP1251 bytes, once without a character set and once called Latin-1."""
    out = []
    for study, charset in ((6, None), (7, LATIN)):
        dataset = ct_data_set(study, PatientID=f"PAT-{study}", StudyDate="20260203", StudyTime="140000",
                              SpecificCharacterSet=charset, PatientName="REPLACED")
        made = instance(dataset)
        name = FYODOROV.encode("cp1251")
        made.data = made.data.replace(element(0x10, 0x10, "PN", "REPLACED"), element(0x10, 0x10, "PN", name))
        out.append(made)
    return out


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    peers = [{"aeTitle": "CP1251CT", "addresses": ["127.0.0.0/8"], "characterSet": "CP1251"}]
    archive = Archive(tmp_path_factory.mktemp("find"), configuration(peers=peers)).start()
    try:
        store_all(archive, studies())
        store_all(archive, mislabelled(), calling="CP1251CT")
        yield archive
        archive.close()
    finally:
        archive.kill()


def findscu(archive, folder, level, *keys, root="-S", charset=None, calling="TESTER"):
    """Rows that DCMTK's findscu extracts; keys as in `PatientName=Smith*`, encoded in the given character set."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["-k", f"QueryRetrieveLevel={level}"]
    if charset:
        words += ["-k", f"SpecificCharacterSet={charset}"]
    for key in keys:
        words += ["-k", key.encode(CODECS[charset])]
    said = run("findscu", "-v", "-aet", calling, "-aec", "SNIMOK", root, "-X", "-od", folder, *words,
               "127.0.0.1", archive.dicom_port).text
    assert "Received Final Find Response (Success)" in said, said[-1500:]
    return [pydicom.dcmread(file, force=True) for file in sorted(folder.glob("rsp*.dcm"))]


def studies_of(rows):
    return sorted(str(row.StudyInstanceUID).rsplit(".", 1)[1] for row in rows)


# Matching: (level, keys, studies found)
TABLE = {
    "a single value": ("STUDY", ["PatientID=PAT-2"], "2"),
    "a single value that nobody has": ("STUDY", ["PatientID=PAT-99"], ""),
    "a single value is no prefix": ("STUDY", ["PatientID=PAT"], ""),
    "a single value with trailing space": ("STUDY", ["AccessionNumber=ACC1 "], "1"),
    "universal": ("STUDY", ["PatientID="], "1234567"),
    "universal by an asterisk": ("STUDY", ["PatientID=*"], "1234567"),
    "wildcard at the end": ("STUDY", ["PatientName=Smith*"], "12"),
    "wildcard at the beginning": ("STUDY", ["PatientName=*Jane"], "2"),
    "wildcard in the middle": ("STUDY", ["PatientName=S*n"], "1"),
    "wildcard on both sides": ("STUDY", ["PatientName=*mith^J*"], "12"),
    "wildcard for one character": ("STUDY", ["PatientID=PAT-?"], "1234567"),
    "wildcard for one character that is missing": ("STUDY", ["PatientID=PAT-1?"], ""),
    "wildcards of both kinds": ("STUDY", ["PatientID=P?T*2"], "2"),
    "name in lower case": ("STUDY", ["PatientName=smith^john"], "1"),
    "name in upper case with wildcard": ("STUDY", ["PatientName=SMITH*"], "12"),
    "name without its accent": ("STUDY", ["PatientName=muller^jose"], "3"),
    "a UID": ("STUDY", [f"StudyInstanceUID={ROOT_UID}.2"], "2"),
    "a list of UIDs": ("STUDY", [f"StudyInstanceUID={ROOT_UID}.1\\{ROOT_UID}.3\\1.2.3"], "13"),
    "a date": ("STUDY", ["StudyDate=20260105"], "1"),
    "a range of dates": ("STUDY", ["StudyDate=20260101-20260131"], "13"),
    "a range of dates including both ends": ("STUDY", ["StudyDate=20260105-20260110"], "13"),
    "dates from one on": ("STUDY", ["StudyDate=20260201-"], "4567"),
    "dates until one": ("STUDY", ["StudyDate=-20260105"], "12"),
    "a range of times": ("STUDY", ["StudyTime=100000-130000"], "145"),
    "times from one on": ("STUDY", ["StudyTime=1300-"], "2567"),
    "a time with a fraction": ("STUDY", ["StudyTime=080000.250000"], "3"),
    "a range of hours": ("STUDY", ["StudyTime=08-09"], "3"),
    "dates and times each for itself": ("STUDY", ["StudyDate=20251231-20260105", "StudyTime=1000-1100"], "1"),
    "two keys together": ("STUDY", ["PatientName=Smith*", "StudyDate=20260101-"], "1"),
    "modalities of a study": ("STUDY", ["ModalitiesInStudy=SR"], "1"),
    "description by wildcard": ("STUDY", ["StudyDescription=Head*"], "1"),
    "sequence item": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.1",
                                 "(0040,0275)[0].(0040,0009)=SPS1"], "11"),
    "sequence item that does not match": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.1",
                                                     "(0040,0275)[0].(0040,0009)=SPS2"], ""),
    "second item of a sequence": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.2",
                                             "(0040,0275)[0].(0040,0009)=SPS3"], "2"),
    "two keys of one sequence item": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.2",
                                                 "(0040,0275)[0].(0040,0009)=SPS2",
                                                 "(0040,0275)[0].(0040,1001)=RSPS2"], "2"),
    "two keys of different sequence items": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.2",
                                                        "(0040,0275)[0].(0040,0009)=SPS2",
                                                        "(0040,0275)[0].(0040,1001)=RSPS3"], ""),
    "universal sequence": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.2", "(0040,0275)[0].(0040,0009)="], "2"),
    "series of a study": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.1"], "11"),
    "series by modality": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.1", "Modality=SR"], "1"),
    "series by number": ("SERIES", [f"StudyInstanceUID={ROOT_UID}.1", "SeriesNumber=2"], "1"),
    "instances of a series": ("IMAGE", [f"StudyInstanceUID={ROOT_UID}.1", f"SeriesInstanceUID={ROOT_UID}.1.1"], "11"),
    "instance by number": ("IMAGE", [f"StudyInstanceUID={ROOT_UID}.1", f"SeriesInstanceUID={ROOT_UID}.1.1",
                                     "InstanceNumber=2"], "1"),
    "instances by a list of UIDs": ("IMAGE", [f"StudyInstanceUID={ROOT_UID}.1", f"SeriesInstanceUID={ROOT_UID}.1.1",
                                              f"SOPInstanceUID={ROOT_UID}.1.1.1\\{ROOT_UID}.1.1.2"], "11"),
    # Row 33 of the threats: text stays text.
    "an SQL string": ("STUDY", ["PatientID=' OR '1'='1"], ""),
    "a percent sign": ("STUDY", ["PatientID=PAT-%"], ""),
    "underscores": ("STUDY", ["PatientID=PAT-_"], ""),
}


@pytest.mark.parametrize("name", TABLE)
def test_matching_by(name, table, tmp_path):
    level, keys, expected = TABLE[name]
    if not any(key.startswith("StudyInstanceUID") for key in keys):
        keys = [*keys, "StudyInstanceUID="]
    assert "".join(studies_of(findscu(table, tmp_path, level, *keys))) == expected


@pytest.mark.parametrize("root, model", [("-P", PATIENT_FIND), ("-S", STUDY_FIND)], ids=["patient root", "study root"])
def test_every_level_answers_in(root, model, table, tmp_path):
    study = f"StudyInstanceUID={ROOT_UID}.1"
    patient = ["PatientID=PAT-1"] if root == "-P" else []
    if root == "-P":
        rows = findscu(table, tmp_path / "patient", "PATIENT", "PatientID=PAT-1", "PatientName=", root=root)
        assert [(row.PatientID, str(row.PatientName)) for row in rows] == [("PAT-1", "Smith^John")]
    rows = findscu(table, tmp_path / "study", "STUDY", *patient, study, "AccessionNumber=", root=root)
    assert [row.AccessionNumber for row in rows] == ["ACC1"]
    rows = findscu(table, tmp_path / "series", "SERIES", *patient, study, "SeriesInstanceUID=", "Modality=", root=root)
    assert sorted(row.Modality for row in rows) == ["CT", "SR"]
    rows = findscu(table, tmp_path / "image", "IMAGE", *patient, study, f"SeriesInstanceUID={ROOT_UID}.1.1",
                   "SOPInstanceUID=", "InstanceNumber=", root=root)
    assert sorted(int(row.InstanceNumber) for row in rows) == [1, 2]
    assert {row.QueryRetrieveLevel for row in rows} == {"IMAGE"}


def test_the_patient_level_is_refused_in_study_root(table):
    found = find(table, identifier("PATIENT", PatientID="PAT-1"), STUDY_FIND)
    assert found.rows == [] and (found.status == 0xA900 or found.status & 0xF000 == 0xC000)


def test_queries_across_levels_are_answered_when_negotiated(table):
    query = identifier("IMAGE", SOPInstanceUID="", PatientID="PAT-1", StudyInstanceUID="")
    found = find(table, query, STUDY_FIND, negotiation=[extended(STUDY_FIND, relational=1)])
    assert found.status == 0 and len(found.rows) == 3


# Cyrillic. The sender's encoding and the asker's encoding are independent of each other.

NAMES = {"4": YOLKINA, "5": SYOMIN, "6": FYODOROV, "7": FYODOROV}
SENT = {"4": "sent as ISO_IR 144", "5": "sent as ISO_IR 192", "6": "sent as CP1251 without a character set",
        "7": "sent as CP1251 called ISO_IR 100"}
SPELLINGS = {
    "as it is": lambda name: name,
    "in upper case": str.upper,
    "in lower case": str.lower,
    "with е for ё": lambda name: name.replace("ё", "е").replace("Ё", "Е"),
    "in upper case with Е for Ё": lambda name: name.upper().replace("Ё", "Е"),
    "with a wildcard": lambda name: name.split("^")[0] + "*",
    "with a wildcard, lower case and е": lambda name: name.split("^")[0].lower().replace("ё", "е") + "*",
    "with one character replaced": lambda name: "?" + name[1:],
    # With the delimiter: as ё is е, ПЁТР alone is also part of Петровна.
    "by an infix": lambda name: "*" + name.split("^")[1][1:].upper() + "^*",
}


@pytest.mark.parametrize("charset", [CYRILLIC, UTF8])
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("study", NAMES, ids=SENT.get)
def test_a_cyrillic_name_is_found(study, spelling, charset, table, tmp_path):
    rows = findscu(table, tmp_path, "STUDY", f"PatientName={SPELLINGS[spelling](NAMES[study])}", "StudyInstanceUID=",
                   "PatientID=", charset=charset)
    expected = {"4": ["4"], "5": ["5"], "6": ["6", "7"], "7": ["6", "7"]}[study]
    assert studies_of(rows) == expected
    for row in rows:
        assert row.SpecificCharacterSet == charset, "the answer is in the asker's set when that can carry the text"
        assert str(row.PatientName) == NAMES[study], "as it was sent, not as it was asked for"


def test_without_a_set_of_the_asker_answers_are_utf8(table, tmp_path):
    rows = findscu(table, tmp_path, "STUDY", "PatientID=PAT-4", "PatientName=", "StudyInstanceUID=")
    assert [str(row.PatientName) for row in rows] == [YOLKINA]
    assert rows[0].SpecificCharacterSet == UTF8


def test_a_set_that_cannot_carry_the_text_is_replaced_by_utf8(table, tmp_path):
    rows = findscu(table, tmp_path, "STUDY", "PatientID=PAT-4", "PatientName=", "StudyInstanceUID=", charset=LATIN)
    assert [str(row.PatientName) for row in rows] == [YOLKINA]
    assert rows[0].SpecificCharacterSet == UTF8


def test_text_other_than_names_is_converted_too(table, tmp_path):
    rows = findscu(table, tmp_path, "IMAGE", f"StudyInstanceUID={ROOT_UID}.4", f"SeriesInstanceUID={ROOT_UID}.4.1",
                   "SOPInstanceUID=", "InstitutionName=", charset=UTF8)
    assert [row.InstitutionName for row in rows] == ["Больница № 4"]


# Return keys

def one(archive, query, model=STUDY_FIND):
    found = find(archive, query, model)
    assert found.status == 0 and len(found.rows) == 1
    return found.rows[0]


def test_a_study_tells_its_counts_and_modalities(table):
    row = one(table, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1", ModalitiesInStudy="", SOPClassesInStudy="",
                                NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances=""))
    assert sorted(row.ModalitiesInStudy) == ["CT", "SR"]
    assert str(row.SOPClassesInStudy) == wire.CT
    assert int(row.NumberOfStudyRelatedSeries) == 2 and int(row.NumberOfStudyRelatedInstances) == 3


def test_a_series_tells_its_count(table):
    row = one(table, identifier("SERIES", StudyInstanceUID=f"{ROOT_UID}.1", SeriesInstanceUID=f"{ROOT_UID}.1.1",
                                NumberOfSeriesRelatedInstances=""))
    assert int(row.NumberOfSeriesRelatedInstances) == 2


def test_a_patient_tells_its_counts(table):
    row = one(table, identifier("PATIENT", PatientID="PAT-1", NumberOfPatientRelatedStudies="",
                                NumberOfPatientRelatedSeries="", NumberOfPatientRelatedInstances=""), PATIENT_FIND)
    assert (int(row.NumberOfPatientRelatedStudies), int(row.NumberOfPatientRelatedSeries),
            int(row.NumberOfPatientRelatedInstances)) == (1, 2, 3)


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_where_and_whether_an_answer_can_be_had_is_told_at_level(level, table):
    keys = {"StudyInstanceUID": f"{ROOT_UID}.2", "SeriesInstanceUID": f"{ROOT_UID}.2.1",
            "SOPInstanceUID": f"{ROOT_UID}.2.1.1"}
    wanted = dict(list(keys.items())[:["STUDY", "SERIES", "IMAGE"].index(level) + 1])
    row = one(table, identifier(level, **wanted, RetrieveAETitle="", InstanceAvailability=""))
    assert row.RetrieveAETitle == "SNIMOK" and row.InstanceAvailability == "ONLINE"


def test_any_other_attribute_is_returned_from_the_stored_header(table):
    query = identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.3", SeriesInstanceUID=f"{ROOT_UID}.3.1",
                       SOPInstanceUID="", SliceThickness="", Manufacturer="", InstitutionName="", Rows=None,
                       BodyPartExamined="", PhotometricInterpretation="")
    row = one(table, query)
    assert float(row.SliceThickness) == 5 and row.Manufacturer == "Snimok tests"
    assert row.InstitutionName == "Hospital" and row.Rows == 16 and row.BodyPartExamined == "KNEE"
    assert row.PhotometricInterpretation == "MONOCHROME2"


def test_a_sequence_is_returned_from_the_stored_header(table):
    query = identifier("SERIES", StudyInstanceUID=f"{ROOT_UID}.2", SeriesInstanceUID="")
    query.RequestAttributesSequence = [item(ScheduledProcedureStepID="", RequestedProcedureID="")]
    row = one(table, query)
    assert [part.ScheduledProcedureStepID for part in row.RequestAttributesSequence] == ["SPS2", "SPS3"]


def test_an_attribute_that_the_object_lacks_comes_back_empty(table):
    query = identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.2", SeriesInstanceUID=f"{ROOT_UID}.2.1",
                       SOPInstanceUID="", ContrastBolusAgent="")
    row = one(table, query)
    assert "ContrastBolusAgent" in row and not row.ContrastBolusAgent


def test_an_optional_key_that_is_not_matched_is_told_with_ff01(table):
    found = find(table, identifier("STUDY", StudyInstanceUID="", PatientID="PAT-1", ProtocolName="Nothing like it"))
    assert found.status == 0 and found.pending == [0xFF01]
    found = find(table, identifier("STUDY", StudyInstanceUID="", PatientID="PAT-1"))
    assert found.pending == [0xFF00], "without such a key there is no warning"


# Dates and times together

COMBINED = {
    "across midnights": ("20251231-20260105", "235900-102000", {"1", "2"}),
    "begins after the first day's study": ("20260105-20260110", "110000-090000", {"3"}),
    "ends before the last day's study": ("20260105-20260110", "090000-070000", {"1"}),
    "open at the end": ("20260201-", "123000-", {"5", "6", "7"}),
}


@pytest.mark.parametrize("name", COMBINED)
def test_date_and_time_are_one_range_when_negotiated(name, table):
    dates, times, expected = COMBINED[name]
    query = identifier("STUDY", StudyInstanceUID="", StudyDate=dates, StudyTime=times)
    found = find(table, query, negotiation=[extended(STUDY_FIND, date_time=1)])
    assert found.status == 0 and set(studies_of(found.rows)) == expected


def test_date_and_time_are_two_ranges_when_not_negotiated(table):
    query = identifier("STUDY", StudyInstanceUID="", StudyDate="20251231-20260105", StudyTime="235900-235959")
    assert studies_of(find(table, query).rows) == ["2"]


# Ends other than success

def test_a_limit_ends_with_a700_and_says_the_limit(new_archive):
    archive = new_archive(query={"resultLimit": 5})
    store_all(archive, [ct(study) for study in range(1, 9)])
    found = find(archive, identifier("STUDY", StudyInstanceUID=""))
    assert found.status == 0xA700 and len(found.rows) == 5 and "5" in found.comment
    exact = find(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"))
    assert exact.status == 0 and len(exact.rows) == 1, "below the limit nothing changes"


def test_no_limit_holds_by_default(archive):
    store_all(archive, [ct(study) for study in range(1, 601)])
    assert len(find(archive, identifier("STUDY", StudyInstanceUID="")).rows) == 600


def test_cancel_is_honoured_between_rows(archive):
    count = 600
    store_all(archive, [ct(1, 1, number, rows=2, ImageComments="x" * 10000) for number in range(1, count + 1)])
    query = encode(identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.1", SeriesInstanceUID=f"{ROOT_UID}.1.1",
                              SOPInstanceUID="", ImageComments=""), wire.IMPLICIT)
    contexts = [(wire.STUDY_FIND, (wire.IMPLICIT,)), (wire.ECHO, (wire.IMPLICIT,))]
    # A small receive buffer holds the server back until the cancel request has reached it.
    with wire.Requestor(archive, contexts, receive_buffer=4096) as requestor:
        requestor.send(1, {wire.CLASS: wire.STUDY_FIND, wire.FIELD: wire.C_FIND, wire.MESSAGE: 7, wire.PRIORITY: 0,
                           wire.DATA_SET_TYPE: 1}, query)
        requestor.receive()
        requestor.send(1, {wire.FIELD: wire.C_CANCEL, wire.RESPONDED: 7, wire.DATA_SET_TYPE: 0x0101})
        time.sleep(0.5)
        rows = 1
        while True:
            response, data = requestor.receive()
            if response[wire.STATUS] not in wire.PENDING:
                break
            rows += 1
        assert response[wire.STATUS] == 0xFE00 and data is None
        assert rows < count, "the cancel request stopped nothing"
        assert requestor.echo() == wire.SUCCESS, "the association lives on"


def test_findscu_cancels_after_a_number_of_responses(table):
    said = run("findscu", "-v", "-S", "--cancel", "2", "-aec", "SNIMOK", "-k", "QueryRetrieveLevel=STUDY",
               "-k", "StudyInstanceUID=", "127.0.0.1", table.dicom_port, check=False).text
    assert "Abort" not in said
    wire.echo(table)


def test_several_queries_on_one_association_do_not_mix(table):
    with association(table, [(STUDY_FIND, UNCOMPRESSED), (PATIENT_FIND, UNCOMPRESSED)]) as opened:
        for _ in range(20):
            assert len(find(table, identifier("STUDY", StudyInstanceUID=""), opened=opened).rows) == 7
            patients = find(table, identifier("PATIENT", PatientID=""), PATIENT_FIND, opened=opened)
            assert len(patients.rows) == 7


@pytest.mark.parametrize("syntax", [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN])
def test_the_identifier_may_be_in(syntax, table):
    with association(table, [(STUDY_FIND, [syntax])]) as opened:
        found = find(table, identifier("STUDY", StudyInstanceUID="", PatientName="Smith*"), opened=opened)
    assert studies_of(found.rows) == ["1", "2"]


def test_same_patient_id_of_two_issuers_are_two_patients(archive):
    store_all(archive, [ct(1, PatientID="4711", IssuerOfPatientID="H1", PatientName="One^A"),
                        ct(2, PatientID="4711", IssuerOfPatientID="H2", PatientName="Two^B")])
    query = identifier("PATIENT", PatientID="4711", IssuerOfPatientID="", PatientName="")
    found = find(archive, query, PATIENT_FIND)
    assert sorted((row.IssuerOfPatientID, str(row.PatientName)) for row in found.rows) == [
        ("H1", "One^A"), ("H2", "Two^B")]
    query = identifier("PATIENT", PatientID="4711", IssuerOfPatientID="H2", PatientName="")
    assert [str(row.PatientName) for row in find(archive, query, PATIENT_FIND).rows] == ["Two^B"]
