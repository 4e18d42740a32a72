# SPDX-License-Identifier: Apache-2.0
"""QIDO-RS (PS3.18 section 10.6): the table of C-FIND once more over HTTP, paging, counts, JSON and XML. The asker is dicomweb-client."""
import json
import re

import pydicom
import pytest
from pydicom.valuerep import PersonName
from requests import HTTPError

from harness import web
from harness.archive import Archive, configuration
from harness.clients import store_all
from harness.samples import ROOT_UID, ct, ct_data_set, instance, item, tiny
from harness.web import client, get, query, value
# `table` is a fixture: the archive that test_find_table.py asks over DIMSE.
from test_find_table import COMBINED, FYODOROV, NAMES, SENT, SPELLINGS, TABLE, request, table  # noqa: F401

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
NAME, PATIENT = "00100010", "00100020"

# What comes without being asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5, those that an instance of ours has).
OF_A_STUDY = ["00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010", "00100020",
              "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208"]
OF_A_SERIES = ["00080056", "00080060", "0008103E", "00081190", "0020000E", "00200011", "00201209"]
OF_AN_INSTANCE = ["00080016", "00080018", "00080056", "00081190", "00200013", "00280010", "00280011", "00280100"]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Names in two alphabets, of three groups, and values of every kind."""
    archive = Archive(tmp_path_factory.mktemp("people"), configuration()).start()
    try:
        store_all(archive, [instance(dataset) for dataset in persons()])
        yield archive
        archive.close()
    finally:
        archive.kill()


def persons():
    yield ct_data_set(11, SpecificCharacterSet="ISO_IR 192", PatientName="Иванов^Пётр", PatientID="RU-1")
    yield ct_data_set(12, SpecificCharacterSet="ISO_IR 144", PatientName="Петрова^Алёна", PatientID="RU-2")
    yield ct_data_set(13, PatientName="Ivanov^Petr", PatientID="EN-1")
    yield ct_data_set(14, SpecificCharacterSet="ISO_IR 192", PatientName="Щукин^Юрий", PatientID="RU-3")
    yield ct_data_set(15, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientID="JP-1",
                      PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    yield ct_data_set(16, SpecificCharacterSet="ISO_IR 192", PatientID="JP-2", PatientName="=山田^花子")
    yield ct_data_set(
        17, PatientID='Q"U', PatientName="Quote\"^Tab\t", PatientComments="line one\r\nline two\f", SliceThickness="1.50",
        ReferringPhysicianName="", AccessionNumber="", ImageOrientationPatient=["1", "-0.0", "1e-3", "0", "+2.5", "0"],
        InstanceNumber="007", OtherPatientIDsSequence=[], ProcedureCodeSequence=[item(
            CodeValue="1", CodingSchemeDesignator="99T", CodeMeaning="One")], WindowCenter=["40", "400"],
        RequestAttributesSequence=[request("SPS9")], SmallestImagePixelValue=7, FrameIncrementPointer=0x00181063,
        ReferencedFrameNumber=[1, 2], SelectorFDValue=[0.1, 1e300])


def search(archive, resource, *pairs, accept=None, **filters):
    return get(archive, resource + query(*pairs, **filters), accept)


def studies_of(rows):
    return sorted(row[STUDY]["Value"][0].rsplit(".", 1)[1] for row in rows)


def numbers_of(rows):
    """Series and instance of each row, as in "1.2"."""
    return sorted(".".join(value(row, tag).rsplit(".", 1)[1] for tag in (SERIES, INSTANCE) if tag in row) for row in rows)


# Matching: what findscu asks in test_find_table.py

def as_filter(key):
    name, _, wanted = key.partition("=")
    name = re.sub(r"\((....),(....)\)(\[\d+\])?", r"\1\2", name)
    return name, wanted.replace("\\", ",") if name.endswith("UID") else wanted


# Here date and time are always one range (PS3.18 section 8.3.4.1), so this one has another answer.
APART = "dates and times each for itself"


@pytest.mark.parametrize("name", [name for name in TABLE if name != APART])
def test_matching_by(name, table):
    level, keys, expected = TABLE[name]
    asked = {"STUDY": client(table).search_for_studies, "SERIES": client(table).search_for_series,
             "IMAGE": client(table).search_for_instances}[level]
    rows = asked(search_filters=dict(map(as_filter, keys)))
    assert "".join(studies_of(rows)) == expected


@pytest.mark.parametrize("name", COMBINED)
def test_date_and_time_are_one_range(name, table):
    dates, times, expected = COMBINED[name]
    assert set(studies_of(search(table, "studies", StudyDate=dates, StudyTime=times).rows())) == expected


def test_attributes_are_named_by_keyword_or_tag(table):
    for name in ("PatientID", "00100020"):
        assert studies_of(client(table).search_for_studies(search_filters={name: "PAT-2"})) == ["2"]
    for name in ("0020000D", "0020000d", "StudyInstanceUID"):
        assert studies_of(client(table).search_for_studies(search_filters={name: f"{ROOT_UID}.3"})) == ["3"]


@pytest.mark.parametrize("parts", ["RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009",
                                   "RequestAttributesSequence.00400009", "00400275.ScheduledProcedureStepID"])
def test_a_path_into_a_sequence_may_be_of(parts, table):
    assert studies_of(search(table, "series", (parts, "SPS3")).rows()) == ["2"]
    assert search(table, "series", (parts, "SPS7")).rows() == []


@pytest.mark.parametrize("form", ["{0},{1}", "{0}\\{1}"])
def test_a_list_of_uids_is_parted_by(form, table):
    wanted = form.format(f"{ROOT_UID}.1", f"{ROOT_UID}.3")
    assert studies_of(search(table, "studies", StudyInstanceUID=wanted).rows()) == ["1", "3"]


@pytest.mark.parametrize("form", ["SR,MR", "SR\\MR"])
def test_a_list_of_modalities_as_viewers_send_it(form, table):
    # OHIF's study list; the standard has it as multiple value matching (PS3.4 section C.2.2.2.8).
    assert studies_of(search(table, "studies", ModalitiesInStudy=form).rows()) == ["1", "3"]


def test_a_plus_and_an_escaped_blank_are_blanks(table):
    for wanted in ("Head+CT", "Head%20CT"):
        assert studies_of(get(table, f"studies?StudyDescription={wanted}").rows()) == ["1"]


# Resources

NESTED = {
    "studies": 7, "series": 8, "instances": 9,
    "studies/{study}/series": 2, "studies/{study}/instances": 3, "studies/{study}/series/{series}/instances": 2,
    "series/{series}/instances": 2,
    "studies/{study}/series?Modality=SR": 1, "studies/{study}/instances?Modality=SR": 1,
    "instances?StudyInstanceUID={study}&InstanceNumber=2": 1, "series?PatientID=PAT-1": 2, "instances?PatientID=PAT-1": 3,
    "studies/": 7, "studies?": 7,
}


@pytest.mark.parametrize("resource", NESTED)
def test_the_resource(resource, table):
    reply = get(table, resource.format(study=f"{ROOT_UID}.1", series=f"{ROOT_UID}.1.1"))
    assert len(reply.rows()) == NESTED[resource]
    assert reply["X-Total-Count"] == str(NESTED[resource])
    assert reply["X-Total-Count-Relation"] == "exact"
    assert reply["X-Content-Type-Options"] == "nosniff"


def test_dicomweb_client_searches_within_a_study_and_a_series(table):
    study, series = f"{ROOT_UID}.1", f"{ROOT_UID}.1.1"
    assert len(client(table).search_for_series(study)) == 2
    assert len(client(table).search_for_instances(study)) == 3
    assert numbers_of(client(table).search_for_instances(study, series)) == ["1.1", "1.2"]


@pytest.mark.parametrize("resource, expected", [
    ("studies", OF_A_STUDY), ("studies/{study}/series", [*OF_A_SERIES, STUDY]), ("series", OF_A_STUDY[:-2] + OF_A_SERIES),
    ("studies/{study}/series/{series}/instances", OF_AN_INSTANCE), ("studies/{study}/instances", OF_AN_INSTANCE + OF_A_SERIES),
    ("instances", OF_AN_INSTANCE + OF_A_SERIES + OF_A_STUDY[:-2])])
def test_what_the_standard_requires_comes_without_being_asked(resource, expected, table):
    reply = get(table, resource.format(study=f"{ROOT_UID}.1", series=f"{ROOT_UID}.1.1"))
    for row in reply.rows():
        assert not set(expected) - set(row), "missing"


def test_counts_and_modalities_of_a_study(table):
    row, = client(table).search_for_studies(search_filters={"StudyInstanceUID": f"{ROOT_UID}.1"})
    assert sorted(row["00080061"]["Value"]) == ["CT", "SR"]
    assert row["00201206"] == {"vr": "IS", "Value": [2]} and row["00201208"] == {"vr": "IS", "Value": [3]}
    assert row["00080056"] == {"vr": "CS", "Value": ["ONLINE"]}


@pytest.mark.parametrize("resource", ["studies", "series", "instances"])
def test_the_retrieve_url_leads_to_what_was_found(resource, table):
    row = search(table, resource, PatientID="PAT-3").rows()[0]
    assert row["00081190"]["vr"] == "UR"
    parts = get(table, web.here(table, row["00081190"]["Value"][0])).parts()
    assert len(parts) == 1 and parts[0].content_type.startswith("application/dicom")


# What is returned

@pytest.mark.parametrize("fields", [["Manufacturer", "SliceThickness"], ["00080070", "00180050"], ["Manufacturer,00180050"]])
def test_includefield_adds(fields, table):
    rows = client(table).search_for_instances(fields=fields, search_filters={"PatientID": "PAT-3"})
    assert rows[0]["00080070"] == {"vr": "LO", "Value": ["Snimok tests"]}
    assert rows[0]["00180050"] == {"vr": "DS", "Value": [5]}
    plain = client(table).search_for_instances(search_filters={"PatientID": "PAT-3"})
    assert "00180050" not in plain[0]


def test_includefield_all_adds_what_the_catalog_has(table):
    rows = client(table).search_for_studies(fields=["all"], search_filters={"PatientID": "PAT-1"})
    assert rows[0]["00081030"]["Value"] == ["Head CT"]
    rows = client(table).search_for_instances(fields=["all"], search_filters={"PatientID": "PAT-3"})
    assert {"00180015", "00081030", "0008103E"} <= set(rows[0])


def test_a_sequence_is_returned_whole_or_by_its_attribute(table):
    for field in ("RequestAttributesSequence", "00400275.00400009"):
        rows = client(table).search_for_series(fields=[field], search_filters={"PatientID": "PAT-2"})
        items = rows[0]["00400275"]["Value"]
        assert [value(entry, "00400009") for entry in items] == ["SPS2", "SPS3"]


def test_a_field_that_the_object_lacks_is_empty_or_left_out(table):
    row, = client(table).search_for_instances(fields=["ContrastBolusAgent"], search_filters={"PatientID": "PAT-3"})
    assert row.get("00180010", {"vr": "LO"}) == {"vr": "LO"}


# Paging

def test_limit_and_offset_cut_pages_out_of_one_order(table):
    everything = [value(row, STUDY) for row in client(table).search_for_studies()]
    pages = [client(table).search_for_studies(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [value(row, STUDY) for page in pages for row in page] == everything and len(set(everything)) == 7


def test_the_total_does_not_depend_on_the_page(table):
    for resource, total in (("studies?limit=2", "7"), ("instances?limit=2&offset=4", "9"), ("studies?offset=100", "7"),
                            ("studies?PatientName=Smith*&limit=1", "2"), ("studies?PatientID=nobody", "0")):
        reply = get(table, resource).expect(200, 204)
        assert reply["X-Total-Count"] == total, resource


def test_get_remaining_collects_all_pages(table):
    rows = client(table).search_for_instances(limit=2, get_remaining=True)
    assert len(rows) == 9 and len({value(row, INSTANCE) for row in rows}) == 9


def test_pages_stay_while_other_instances_arrive(archive):
    store_all(archive, [ct(study, 1, number) for study in range(1, 13) for number in (1, 2)])
    before = {value(row, STUDY) for row in client(archive).search_for_studies()}
    for resource, tag, known in (("studies", STUDY, before), ("instances", INSTANCE, None)):
        seen, offset = [], 0
        known = known or {value(row, tag) for row in search(archive, resource).rows()}
        while rows := search(archive, resource, limit=5, offset=offset).rows():
            seen += [value(row, tag) for row in rows]
            offset += len(rows)
            if offset < 30:
                # New studies, and new instances in old ones, between two pages.
                store_all(archive, [ct(100 + offset + len(seen), 1, 1), ct(3, 1, 100 + offset), ct(1, 2, 100 + offset)])
        assert len(seen) == len(set(seen)), "a row came twice"
        assert known <= set(seen), "a row was passed over"


def test_a_limit_of_ours_is_told_with_a_warning(new_archive):
    archive = new_archive(query={"resultLimit": 5})
    store_all(archive, [ct(study) for study in range(1, 9)])
    reply = get(archive, "studies")
    assert len(reply.rows()) == 5 and reply["X-Total-Count"] == "8"
    assert reply["Warning"].startswith("299 ") and "5" in reply["Warning"]
    assert len(get(archive, "studies?offset=5").rows()) == 3
    assert get(archive, "studies?limit=4")["Warning"] is None, "the asker's own limit is no news"
    assert len(client(archive).search_for_studies(get_remaining=True)) == 8


def test_ten_thousand_and_one_are_at_least_ten_thousand(archive):
    reply = get(archive, "instances")
    assert reply.rows() == [] and (reply["X-Total-Count"], reply["X-Total-Count-Relation"]) == ("0", "exact")
    study = f"{ROOT_UID}.31"
    web.stow(archive, [tiny(f"{study}.1.{number}", study, f"{study}.1", 2, 0) for number in range(1, 10_002)]).expect(200)
    reply = get(archive, "instances?limit=1")
    assert (reply["X-Total-Count"], reply["X-Total-Count-Relation"]) == ("10000", "at-least")
    assert len(get(archive, "instances?limit=10&offset=10000").rows()) == 1


# Cyrillic, and both alphabets

@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("study", NAMES, ids=SENT.get)
def test_a_cyrillic_name_is_found(study, spelling, table):
    reply = search(table, "studies", PatientName=SPELLINGS[spelling](NAMES[study]))
    rows = reply.rows()
    assert studies_of(rows) == {"4": ["4"], "5": ["5"], "6": ["6", "7"], "7": ["6", "7"]}[study]
    for row in rows:
        assert row[NAME] == {"vr": "PN", "Value": [{"Alphabetic": NAMES[study]}]}
        assert row.get("00080005", {"Value": ["ISO_IR 192"]})["Value"] == ["ISO_IR 192"], "JSON is UTF-8"


def test_text_of_stored_headers_is_utf8_too(table):
    row, = client(table).search_for_instances(fields=["InstitutionName"], search_filters={"PatientID": "PAT-4"})
    assert row["00080080"]["Value"] == ["Больница № 4"]
    row, = client(table).search_for_instances(fields=["InstitutionName"], search_filters={"PatientID": "PAT-6"})
    assert row[NAME]["Value"][0]["Alphabetic"] == FYODOROV


FUZZY = {
    "ivanov": ["11", "13"], "Иванов": ["11", "13"], "IVANOV^PETR": ["11", "13"], "Алена": ["12"], "алёна": ["12"],
    "alena": ["12"], "Petrova": ["12"], "shchukin": ["14"], "Yamada": ["15"], "Nobody": [],
}


@pytest.mark.parametrize("name", FUZZY)
def test_fuzzy_matching_reads_both_alphabets(name, people):
    rows = client(people).search_for_studies(fuzzymatching=True, search_filters={"PatientName": name})
    assert studies_of(rows) == FUZZY[name]


def test_without_fuzzy_matching_the_alphabets_are_apart(people):
    for name, expected in (("ivanov*", ["13"]), ("Иванов*", ["11"]), ("петрова^алена", ["12"])):
        rows = client(people).search_for_studies(fuzzymatching=False, search_filters={"PatientName": name})
        assert studies_of(rows) == expected


def test_the_parts_of_a_name_are_matched_in_any_group(people):
    for name in ("山田*", "*太郎*", "やまだ*", "yamada*"):
        found = studies_of(search(people, "studies", PatientName=name).rows())
        assert "15" in found, name


# The JSON model (PS3.18 annex F)

@pytest.fixture(scope="module")
def rich(people):
    fields = ["PatientComments", "SliceThickness", "ImageOrientationPatient", "OtherPatientIDsSequence", "WindowCenter",
              "ProcedureCodeSequence", "RequestAttributesSequence", "SmallestImagePixelValue", "FrameIncrementPointer",
              "ReferencedFrameNumber", "SelectorFDValue"]
    rows = client(people).search_for_instances(fields=fields, search_filters={"StudyInstanceUID": f"{ROOT_UID}.17"})
    assert len(rows) == 1
    return rows[0]


EXACT = {
    "00100020": {"vr": "LO", "Value": ['Q"U']}, "00104000": {"vr": "LT", "Value": ["line one\r\nline two\f"]},
    "00180050": {"vr": "DS", "Value": [1.5]}, "00200013": {"vr": "IS", "Value": [7]},
    "00200037": {"vr": "DS", "Value": [1, 0, 0.001, 0, 2.5, 0]}, "00281050": {"vr": "DS", "Value": [40, 400]},
    "00080090": {"vr": "PN"}, "00080050": {"vr": "SH"}, "00101002": {"vr": "SQ"},
    "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["1"]}, "00080102": {"vr": "SH", "Value": ["99T"]},
                                        "00080104": {"vr": "LO", "Value": ["One"]}}]},
    "00280106": {"vr": "US", "Value": [7]}, "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00081160": {"vr": "IS", "Value": [1, 2]}, "00720074": {"vr": "FD", "Value": [0.1, 1e300]},
}


@pytest.mark.parametrize("tag", EXACT)
def test_a_value_in_json_is_exact(tag, rich):
    assert rich[tag] == EXACT[tag]


def test_an_answer_is_an_ordered_object_of_tags(people):
    def check(row):
        assert all(re.fullmatch("[0-9A-F]{8}", tag) for tag in row)
        assert list(row) == sorted(row), "attributes are in the order of their tags (PS3.18 section F.2.2)"
        for tag, attribute in row.items():
            assert re.fullmatch("[A-Z]{2}", attribute["vr"]) and set(attribute) <= {
                "vr", "Value", "InlineBinary", "BulkDataURI"}
            assert attribute.get("Value", [0]), f"{tag} is empty but has a Value"
            if attribute["vr"] == "SQ":
                for entry in attribute.get("Value", []):
                    check(entry)

    reply = search(people, "instances", includefield="all")
    rows = reply.rows()
    assert len(rows) == 7 and b"\\u04" not in reply.body, "Cyrillic stands as it is, not escaped"
    for row in rows:
        check(row)
        assert pydicom.Dataset.from_json(json.dumps(row)).SOPInstanceUID == value(row, INSTANCE)


@pytest.mark.parametrize("study, expected", [
    ("15", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}),
    ("16", {"Ideographic": "山田^花子"}), ("12", {"Alphabetic": "Петрова^Алёна"})])
def test_a_name_is_told_in_its_groups(study, expected, people):
    row, = client(people).search_for_studies(search_filters={"StudyInstanceUID": f"{ROOT_UID}.{study}"})
    assert row[NAME] == {"vr": "PN", "Value": [expected]}
    assert isinstance(pydicom.Dataset.from_json(row).PatientName, PersonName)


# XML (PS3.18 section 8.7.3.2, PS3.19 annex A)

def as_text(row):
    """The JSON model with numbers as text, and names in the five components of XML."""
    out = {}
    for tag, attribute in row.items():
        out[tag] = dict(attribute)
        values = attribute.get("Value")
        if values is None:
            continue
        if attribute["vr"] == "SQ":
            out[tag]["Value"] = [as_text(entry) for entry in values]
        elif attribute["vr"] in ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL"):
            out[tag]["Value"] = [float(number) for number in values]
    return out


@pytest.mark.parametrize("resource", ["studies", "series", "instances", f"instances?includefield=all&StudyInstanceUID={ROOT_UID}.17"])
def test_xml_says_what_json_says(resource, people):
    rows = get(people, resource).rows()
    reply = get(people, resource, 'multipart/related; type="application/dicom+xml"')
    assert reply["X-Total-Count"] == str(len(rows))
    parts = reply.parts()
    assert all(part.content_type.startswith("application/dicom+xml") for part in parts)
    assert [as_text(web.native(part.body)) for part in parts] == [as_text(row) for row in rows]


# Media types and methods

@pytest.mark.parametrize("accept, media", [
    (None, "application/dicom+json"), ("*/*", "application/dicom+json"), ("application/json", "application/dicom+json"),
    ("application/dicom+json; q=0.9, text/html; q=0.1", "application/dicom+json"), ("application/*", "application/dicom+json"),
    ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/dicom+json"),
    ("application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*", "application/dicom+json"),
    ("multipart/related; type=application/dicom+xml", "multipart/related"),
    ('multipart/related; type="application/dicom+xml"; q=0.9, application/dicom+json; q=0.1', "multipart/related")])
def test_accept(accept, media, table):
    reply = get(table, "studies", accept).expect(200)
    assert reply.media == media


def test_the_parameter_accept_stands_for_the_header(table):
    reply = get(table, "studies" + query(accept='multipart/related; type="application/dicom+xml"'), "application/dicom+json")
    assert len(reply.parts()) == 7
    reply = get(table, "studies" + query(accept="application/dicom+json"), "text/html")
    assert len(reply.rows()) == 7


def test_head_tells_what_get_would(table):
    asked, told = get(table, "studies?limit=2"), get(table, "studies?limit=2", method="HEAD")
    assert told.status == 200 and told.body == b"" and told.media == asked.media
    assert told["X-Total-Count"] == asked["X-Total-Count"] == "7"


REFUSED = {
    "a parameter that is nothing": ("studies?colour=red", 400), "a tag that is none": ("studies?0010002=1", 400),
    "a keyword in a path that is none": ("series?RequestAttributesSequence.Colour=1", 400),
    "a negative limit": ("studies?limit=-1", 400), "a limit that is no number": ("studies?limit=ten", 400),
    "an offset beyond all numbers": ("studies?offset=99999999999999999999", 400),
    "a fraction as limit": ("studies?limit=1.5", 400), "fuzzymatching of maybe": ("studies?fuzzymatching=maybe", 400),
    "a date that is none": ("studies?StudyDate=yesterday", 400), "a number that is none": ("instances?Rows=many", 400),
    "a field that is none": ("studies?includefield=Colour", 400), "a study that is no UID": ("studies/1.2.x/series", 400),
    "a level beside that of the address": ("studies?QueryRetrieveLevel=PATIENT", 400),
    "a character set": ("studies?00080005=ISO_IR%20100", 400),
    "a value for a sequence": ("studies?RequestAttributesSequence=S1", 400),
    "an escape that is none": ("studies?PatientID=%zz", 400), "an escape that is no text": ("studies?PatientName=%ff", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_sentence(name, table):
    resource, status = REFUSED[name]
    get(table, resource).problem(status)


def test_a_type_that_is_not_offered_is_406_with_what_is(table):
    said = get(table, "studies", "text/csv").problem(406)
    assert "application/dicom+json" in said and "application/dicom+xml" in said
    with pytest.raises(HTTPError, match="406"):
        client(table, headers={"X-None": "1"})._http_get(
            f"http://127.0.0.1:{table.http_port}{web.ROOT}/studies", headers={"Accept": "image/png"})


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_method_is_405_and_allow_says_which(method, table):
    reply = get(table, "studies", method=method)
    reply.problem(405)
    assert {"GET", "HEAD"} <= {name.strip() for name in reply["Allow"].split(",")}


def test_a_key_outside_the_catalog_is_held_against_the_stored_headers(archive):
    store_all(archive, [ct(study, Manufacturer=f"Maker {study}", ExposureTime=str(study)) for study in range(1, 9)])
    for keys, expected in [
        ({"Manufacturer": "Maker 3"}, ["3"]), ({"Manufacturer": "Maker*", "PatientID": "P2"}, ["2"]),
        ({"ExposureTime": "7"}, ["7"]), ({"Manufacturer": "Nobody"}, []), ({"BitsStored": "16", "StudyID": "4"}, ["4"]),
    ]:
        reply = get(archive, "studies" + query(*keys.items()))
        found = [row["00200010"]["Value"][0] for row in reply.rows()]
        assert found == expected and reply["X-Total-Count"] == str(len(expected)) and reply["Warning"] is None, keys
    reply = get(archive, "studies" + query(("Manufacturer", "Maker*"), ("limit", 3), ("offset", 2)))
    assert [row["00200010"]["Value"][0] for row in reply.rows()] == ["3", "4", "5"] and reply["X-Total-Count"] == "8"
