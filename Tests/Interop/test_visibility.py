"""What each organisation sees, on every way there is to look: generated from a model of who sent what and who sees whom.

A cell is one asker, one way to look and one thing looked for; each is held against the model, and every byte of the answer
against what the asker may know: each content has a marker of its own in its texts, and no marker, UID or count of what it
does not see may be in an answer. Where nobody is configured, HTTP's askers are members of the archive's own organisation,
so the archive is started as each of them in turn; users bring their organisation with them, to stations of all."""
import json
import random
import re
from dataclasses import dataclass, field

import pytest
from blake3 import blake3

from harness import web
from harness.access import PASSWORD, ROLES, add_user, basic
from harness.archive import Archive, command, configuration
from harness.certificates import Authority, client_context
from harness.clients import (
    PATIENT_FIND, PATIENT_GET, PATIENT_MOVE, STUDY_FIND, STUDY_GET, STUDY_MOVE, UNCOMPRESSED, Destination, association, find,
    get, identifier, move, store_all, user_identity)
from harness.samples import ROOT_UID, ct

SEES = {"North": {"North"}, "South": {"South", "North"}, "Region": {"North", "South", "Region", "West"}, "West": {"West"}}
ORGANISATIONS = ["North", "South", "Region"]
MARKER = re.compile(rb"MK\d+x\d+Z", re.I)
UID = re.compile(re.escape(ROOT_UID.encode()) + rb"\.\d+(?:\.\d+)*")
ALL = {"includefield": "all"}


def title(organisation):
    return organisation.upper()


@dataclass(frozen=True)
class Asker:
    """An organisation's station or member; with `role`, a user of it, who is at `station` of an organisation (or at HTTP)."""
    organisation: str
    role: str | None = None
    station: str | None = None

    @property
    def name(self):
        return f"{self.organisation}-{self.role}".lower()

    @property
    def headers(self):
        return basic(self.name) if self.role else {}

    @property
    def sees(self):
        """An uploader looks after its own; nobody sees at a station of others what that one may not."""
        seen = {self.organisation} if self.role == "uploader" else SEES[self.organisation]
        return seen & SEES[self.station] | {self.organisation} if self.station else seen

    @property
    def sees_shared(self):
        """At a station of others only where that one sees everything anyway."""
        return self.role != "uploader" and self.station in (None, self.organisation, "Region")


ASKERS = [Asker(name) for name in ORGANISATIONS]


def content(study, series, number, variant):
    """An instance whose every text is its own: `variant` stands for whoever made it that way."""
    marker = f"MK{study}x{variant}Z"
    return ct(study, series, number, seed=variant, PatientID=f"P{study % 3}", PatientName=f"NAME^{marker}",
              StudyDescription=f"Study {marker}", SeriesDescription=f"Series {marker}", Manufacturer=f"Maker {marker}",
              InstitutionName=f"House {marker}", AccessionNumber=marker, StudyDate=f"2026010{1 + variant}",
              PatientBirthDate=f"1970010{1 + variant}")


@dataclass
class Model:
    """Who sent what, in order."""
    sent: list = field(default_factory=list)
    shares: set = field(default_factory=set)
    gone: set = field(default_factory=set)

    @classmethod
    def generate(cls, seed):
        chance, model = random.Random(seed), cls()
        for study in range(1, 7):
            # One sender, two who have the same, two who differ, and what nobody here sees.
            senders = [["North"], ["South"], ["North", "South"], ["West", "North"], ["Region", "South"], ["West"]][study - 1]
            for series in (1, 2):
                for number in (1, 2):
                    for place, sender in enumerate(senders):
                        if place and chance.random() < 0.3:
                            continue
                        model.sent.append((sender, content(study, series, number, chance.choice([0, place, place]))))
        return model

    def can(self, asker, sender, study):
        return sender in asker.sees or asker.sees_shared and (study, sender, asker.organisation) in self.shares

    def sources(self, asker=None):
        """SOP Instance UID → senders and contents in order, of those that an asker sees."""
        found = {}
        for sender, instance in self.sent:
            if (sender, instance.sop_instance) in self.gone:
                continue
            if asker is None or self.can(asker, sender, instance.study):
                found.setdefault(instance.sop_instance, []).append((sender, instance))
        return found

    def given(self, asker):
        """SOP Instance UID → the version that an asker gets."""
        everything = self.sources()
        result = {}
        for uid, sources in self.sources(asker).items():
            own = [instance for sender, instance in sources if sender == asker.organisation]
            first = [instance for sender, instance in sources if sender == everything[uid][0][0]]
            # A content that came before is not newer for being sent again.
            result[uid] = (own or first or [instance for _, instance in sources])[-1]
        return result

    def markers(self, asker):
        return {marker for sources in self.sources(asker).values() for _, instance in sources
                for marker in MARKER.findall(instance.data)}

    def uids(self, asker):
        return {uid.encode() for instance in self.given(asker).values()
                for uid in (instance.study, instance.series, instance.sop_instance)}


class Cells:
    """Counts what was looked at, and looks for leaks in each answer."""

    def __init__(self):
        self.count = 0

    def check(self, model, asker, body, asked=()):
        self.count += 1
        body = body if isinstance(body, bytes) else str(body).encode()
        leaked = {marker.upper().replace(b"X", b"x") for marker in MARKER.findall(body)} - {
            marker.upper().replace(b"X", b"x") for marker in model.markers(asker)}
        assert not leaked, (asker, leaked)
        foreign = set(UID.findall(body)) - model.uids(asker) - {uid.encode() for uid in asked}
        assert not foreign, (asker, foreign)


def levels(model, asker):
    given = model.given(asker).values()
    return {
        "STUDY": {i.study for i in given}, "SERIES": {i.series for i in given}, "IMAGE": {i.sop_instance for i in given},
        "PATIENT": {i.patient for i in given}}


def count(model, asker, **where):
    return sum(all(getattr(i, key) == value for key, value in where.items()) for i in model.given(asker).values())


# DICOM

KEYS = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
RETURNED = dict(PatientName="", PatientBirthDate="", StudyDescription="", AccessionNumber="", StudyDate="",
                ModalitiesInStudy="", SOPClassesInStudy="", NumberOfPatientRelatedStudies="",
                NumberOfPatientRelatedInstances="", NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="")


def find_levels(archive, model, cells, asker, **where):
    """Every row of each level; `where` says how the asker calls."""
    expected = levels(model, asker)
    for root in (PATIENT_FIND, STUDY_FIND):
        for level in ("PATIENT", "STUDY", "SERIES", "IMAGE"):
            if level == "PATIENT" and root == STUDY_FIND:
                continue
            keys = {KEYS[level]: "", **RETURNED}
            if level in ("SERIES", "IMAGE"):
                keys.update(StudyInstanceUID="", SeriesDescription="", NumberOfSeriesRelatedInstances="")
            if level == "IMAGE":
                keys.update(SeriesInstanceUID="", Manufacturer="", InstitutionName="")
            found = find(archive, identifier(level, **keys), root, **where)
            assert set(found.values(KEYS[level])) == expected[level], (asker, level)
            cells.check(model, asker, "\n".join(map(str, found.rows)))
            for row in found.rows:
                if level == "STUDY":
                    study = row.StudyInstanceUID
                    assert int(row.NumberOfStudyRelatedInstances) == count(model, asker, study=study), (asker, row)
                    assert int(row.NumberOfStudyRelatedSeries) == len(
                        {i.series for i in model.given(asker).values() if i.study == study})
                if level == "SERIES":
                    assert int(row.NumberOfSeriesRelatedInstances) == count(
                        model, asker, series=row.SeriesInstanceUID)


def c_find(archive, model, cells):
    for asker in ASKERS:
        find_levels(archive, model, cells, asker, calling=title(asker.organisation))
        # A key by which only what others sent would match.
        every = {marker.decode() for instance in [i for _, i in model.sent] for marker in MARKER.findall(instance.data)}
        # A name that somebody has deleted is still that one's.
        visible = {marker.decode() for sender, instance in model.sent if model.can(asker, sender, instance.study)
                   for marker in MARKER.findall(instance.data)}
        for marker in sorted(every):
            for key in ("PatientName", "StudyDescription", "AccessionNumber"):
                found = find(archive, identifier("STUDY", StudyInstanceUID="", **{key: f"*{marker}"}),
                             calling=title(asker.organisation))
                cells.check(model, asker, "\n".join(map(str, found.rows)))
                assert marker in visible or not found.rows, (asker, key, marker)


def get_studies(archive, model, cells, asker, **where):
    given = model.given(asker)
    for study in sorted({instance.study for _, instance in model.sent}):
        wanted = {uid: i.data for uid, i in given.items() if i.study == study}
        for root, query in ((STUDY_GET, identifier("STUDY", StudyInstanceUID=study)),
                            (PATIENT_GET, identifier("STUDY", StudyInstanceUID=study, PatientID=""))):
            got = get(archive, query, model=root, **where)
            assert got.status == 0
            assert {i.sop_instance: i.data for i in got.instances} == wanted, (asker, study)
            cells.check(model, asker, b"".join(i.data for i in got.instances))


def c_get(archive, model, cells):
    for asker in ASKERS:
        given = model.given(asker)
        get_studies(archive, model, cells, asker, calling=title(asker.organisation))
        for uid in sorted({instance.sop_instance for _, instance in model.sent}):
            got = get(archive, identifier("IMAGE", SOPInstanceUID=uid), calling=title(asker.organisation))
            assert [i.data for i in got.instances] == ([given[uid].data] if uid in given else []), (asker, uid)
            cells.count += 1


def move_studies(archive, model, cells, destinations, asker, **where):
    for receiver, destination in destinations.items():
        for study in sorted({instance.study for _, instance in model.sent}):
            mine = {uid: i for uid, i in model.given(asker).items() if i.study == study}
            # The very content must be one that somebody has sent whom the receiver sees.
            allowed = {
                uid: i.data for uid, i in mine.items()
                if any(other.data == i.data for _, other in model.sources(Asker(receiver)).get(uid, []))}
            destination.received.clear()
            moved = move(archive, identifier("STUDY", StudyInstanceUID=study), destination.title, **where)
            assert {i.sop_instance: i.data for i in destination.received} == allowed, (asker, receiver, study)
            assert moved.completed == len(allowed) and moved.failed == len(mine) - len(allowed)
            assert set(moved.failed_instances) == set(mine) - set(allowed)
            cells.check(model, asker, " ".join(moved.failed_instances))


def c_move(archive, model, cells, destinations):
    for asker in ASKERS:
        move_studies(archive, model, cells, destinations, asker, calling=title(asker.organisation))


# HTTP

def unknown(path):
    """The same path with UIDs that nobody has ever sent."""
    return re.sub(re.escape(ROOT_UID), ROOT_UID + ".999", path)


def searches(archive, model, asker, cells):
    given = model.given(asker).values()
    expected = levels(model, asker)
    tags = {"studies": ("STUDY", "0020000D"), "series": ("SERIES", "0020000E"), "instances": ("IMAGE", "00080018")}
    for name, (level, tag) in tags.items():
        for more in ({}, ALL, {"PatientName": "NAME*"}, {"PatientName": "name", "fuzzymatching": "true"},
                     {"ModalitiesInStudy": "CT"}, {"PatientID": "P1"}, {"StudyDate": "20260101-20260131"}):
            reply = web.get(archive, f"/dicom-web/{name}{web.query(*more.items())}", web.JSON, **asker.headers)
            rows = reply.rows() if reply.status == 200 else []
            uids = {web.value(row, tag) for row in rows}
            cells.check(model, asker, reply.body)
            assert uids <= expected[level], (asker, name, more)
            assert int(reply["X-Total-Count"]) == len(rows), (asker, name, more)
            if not more or more is ALL:
                assert uids == expected[level], (asker, name)
            if "PatientID" in more:
                wanted = [i for i in given if i.patient == "P1"]
                assert uids == {{"studies": i.study, "series": i.series, "instances": i.sop_instance}[name] for i in wanted}
        total = len(expected[level])
        pages = []
        for offset in range(0, total + 2, 2):
            reply = web.get(archive, f"/dicom-web/{name}?limit=2&offset={offset}", web.JSON, **asker.headers)
            cells.check(model, asker, reply.body)
            assert int(reply["X-Total-Count"]) == total
            pages += [web.value(row, tag) for row in (reply.rows() if reply.status == 200 else [])]
        assert sorted(pages) == sorted(expected[level])


PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def ways_to(instance):
    """Paths to an instance and what is accepted of each."""
    base = web.path_of(instance)
    return [
        (base, PARTS), (f"{base}/metadata", web.JSON), (f"{base}/frames/1", web.related(web.BYTES)),
        (f"{base}/rendered", "image/jpeg"), (f"{base}/thumbnail", "image/jpeg"),
        (f"{base}/bulkdata/7FE00010", web.related(web.BYTES)),
        (f"/wado?requestType=WADO&studyUID={instance.study}&seriesUID={instance.series}"
         f"&objectUID={instance.sop_instance}&contentType=application/dicom", None)]


def ways_into(study):
    """Paths below a study and its first series."""
    for path, inside in ((f"/dicom-web/studies/{study}", "/series"),
                         (f"/dicom-web/studies/{study}/series/{study}.1", "/instances")):
        for tail, accept in (("", PARTS), ("", "application/zip"), ("/metadata", web.JSON), ("/rendered", "image/jpeg"),
                             ("/thumbnail", "image/jpeg"), (inside, web.JSON)):
            yield path, tail, accept


def retrievals(archive, model, asker, cells):
    given = model.given(asker)
    every = {instance.sop_instance: instance for _, instance in model.sent}
    for uid, instance in sorted(every.items()):
        for path, accept in ways_to(instance):
            reply = web.get(archive, path, accept, **asker.headers)
            cells.check(model, asker, reply.body, asked=(instance.study, instance.series, uid))
            if uid in given:
                assert reply.status == 200, (asker, path, reply.body[:200])
                if "/metadata" in path:
                    marker, = set(MARKER.findall(given[uid].data))
                    assert marker in reply.body
                elif "frames" in path or accept == PARTS or "wado" in path:
                    assert given[uid].data[-512:] in reply.body, (asker, path)
            else:
                assert reply.status == 404
                assert_as_unknown(archive, asker, path, accept, reply)
    for study in sorted({instance.study for instance in every.values()}):
        wanted = {uid for uid, i in given.items() if i.study == study}
        for path, tail, accept in ways_into(study):
            inside = {uid for uid in wanted if path.endswith(study) or uid.startswith(f"{study}.1.")}
            reply = web.get(archive, path + tail, accept, **asker.headers)
            cells.check(model, asker, reply.body, asked=(study, f"{study}.1"))
            is_search = tail in ("/series", "/instances")
            assert reply.status == (200 if inside else 204 if is_search else 404), (asker, path, tail)
            if inside and accept.startswith("multipart"):
                assert len(reply.parts()) == len(inside)
            if inside and tail == "/metadata":
                assert {web.value(row, "00080018") for row in reply.rows()} == inside


def assert_as_unknown(archive, asker, path, accept, reply):
    """The answer is the one for UIDs that nobody has ever sent."""
    never = web.get(archive, unknown(path), accept, **asker.headers)
    assert (reply.status, reply.body.replace(ROOT_UID.encode(), b"")) == (
        never.status, never.body.replace(ROOT_UID.encode() + b".999", b"")), (asker, path)


def forbidden(archive, model, asker, cells, *needs):
    """Who has no right to `needs` (retrieve, query, store) learns nothing from being refused."""
    ways = []
    for uid, instance in sorted({instance.sop_instance: instance for _, instance in model.sent}.items()):
        if "retrieve" in needs:
            ways += ways_to(instance)
    for study in sorted({instance.study for _, instance in model.sent}):
        ways += [(path + tail, accept) for path, tail, accept in ways_into(study)
                 if ("query" if tail in ("/series", "/instances") else "retrieve") in needs]
    if "query" in needs:
        ways += [(f"/dicom-web/{name}{more}", web.JSON) for name in ("studies", "series", "instances")
                 for more in ("", "?PatientID=P1", "?includefield=all&limit=1")]
    for path, accept in ways:
        reply = web.get(archive, path, accept, **asker.headers)
        assert reply.status == 403, (asker, path)
        assert_as_unknown(archive, asker, path, accept, reply)
        cells.check(model, asker, reply.body)
    if "store" in needs:
        for _, instance in model.sent:
            asked = json.dumps({"instances": [{"digest": digest(instance)}]}).encode()
            web.request(archive, "POST", "/dicom-web/uploads/check",
                        {"Content-Type": "application/json", **asker.headers}, asked).expect(403)
            cells.count += 1


def digest(instance):
    return blake3(instance.transfer_syntax.encode().ljust(64, b"\0") + instance.data).hexdigest()


def uploads(archive, model, asker, cells):
    own = {digest(instance) for sender, instance in model.sent
           if sender == asker.organisation and (sender, instance.sop_instance) not in model.gone}
    asked = sorted({digest(instance) for _, instance in model.sent})
    reply = web.request(archive, "POST", "/dicom-web/uploads/check", {"Content-Type": "application/json", **asker.headers},
                        json.dumps({"instances": [{"digest": text} for text in asked]}).encode())
    for entry in reply.expect(200).json()["instances"]:
        assert entry["state"] == ("present" if entry["digest"] in own else "unknown"), (asker, entry)
        cells.count += 1


@pytest.fixture
def destinations():
    opened = {name: Destination(title=f"TO{name.upper()}") for name in ORGANISATIONS}
    yield opened
    for destination in opened.values():
        destination.close()


def sections(destinations, organisation):
    peers = [{"aeTitle": title(name), "addresses": ["127.0.0.0/8"], "organisation": name} for name in SEES]
    peers += [destination.peer(organisation=name) for name, destination in destinations.items()]
    return dict(
        organisation=organisation, peers=peers, dicom={"acceptUnknownCallingAETitles": False},
        dicomweb={"allowDelete": True},
        organisations=[{"name": "North"}, {"name": "South", "sees": ["North"]}, {"name": "Region", "sees": ["*"]}])


def become(archive, destinations, organisation):
    """The archive as the organisation's own: HTTP's askers are its members."""
    archive.stop()
    archive.write_config(configuration(**sections(destinations, organisation)))
    archive.start()


def everything(archive, model, cells, destinations, http=ASKERS):
    c_find(archive, model, cells)
    c_get(archive, model, cells)
    c_move(archive, model, cells, destinations)
    for asker in http:
        become(archive, destinations, asker.organisation)
        searches(archive, model, asker, cells)
        retrievals(archive, model, asker, cells)
        uploads(archive, model, asker, cells)


@pytest.mark.limit(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_way_shows_what_an_organisation_may_not_see(new_archive, destinations, seed):
    model, cells = Model.generate(seed), Cells()
    archive = new_archive(**sections(destinations, "North"))
    for sender, instance in model.sent:
        store_all(archive, [instance], calling=title(sender))
    everything(archive, model, cells, destinations)
    if seed == 1:
        shares(archive, model, cells, destinations)
        deletions(archive, model, cells, destinations)
        rebuilt(archive, model, cells, destinations)
    print(f"visibility: {cells.count} cells, seed {seed}")
    assert cells.count > 1000


@pytest.mark.limit(600)
def test_no_role_sees_more_than_its_organisation_and_its_work_allow(new_archive, destinations, tmp_path):
    """Every role of every organisation over HTTP, and at a station of every organisation over TLS."""
    authority = Authority(tmp_path / "authority")
    identity = authority.issue("archive", ("127.0.0.1",))
    model, cells = Model.generate(3), Cells()
    archive = new_archive(**{**sections(destinations, "North"), "dicom": {
        "acceptUnknownCallingAETitles": False,
        "tls": {"port": 0, "certificate": str(identity.certificate), "key": str(identity.key), "clients": "none"}}})
    for sender, instance in model.sent:
        store_all(archive, [instance], calling=title(sender))
    for organisation in ORGANISATIONS:
        for role in ROLES:
            add_user(archive, Asker(organisation, role).name, role, organisation=organisation)
    body = json.dumps({"study": f"{ROOT_UID}.2", "with": "North", "until": "7"}).encode()
    web.request(archive, "POST", "/shares", {"Content-Type": "application/json",
                                             **Asker("South", "administrator").headers}, body).expect(201)
    model.shares.add((f"{ROOT_UID}.2", "South", "North"))
    for organisation in ORGANISATIONS:
        members_over_http(archive, model, cells, organisation)
        for station in ORGANISATIONS:
            members_at_station(archive, model, cells, destinations, organisation, station, client_context(authority))
    print(f"visibility: {cells.count} cells of roles")
    assert cells.count > 3000


def members_over_http(archive, model, cells, organisation):
    viewer, uploader, administrator, auditor = (Asker(organisation, role) for role in ROLES)
    for asker in (viewer, uploader, administrator):
        searches(archive, model, asker, cells)
    for asker in (viewer, administrator):
        retrievals(archive, model, asker, cells)
    for asker in (uploader, administrator):
        uploads(archive, model, asker, cells)
    forbidden(archive, model, viewer, cells, "store")
    forbidden(archive, model, uploader, cells, "retrieve")
    forbidden(archive, model, auditor, cells, "query", "retrieve", "store")


def members_at_station(archive, model, cells, destinations, organisation, station, tls):
    """By user identity (PS3.7 section D.3.3.7), each at a station of the same or of another organisation."""
    for asker in (Asker(organisation, role, station) for role in ROLES):
        where = {"calling": title(station), "negotiation": [user_identity(asker.name, PASSWORD)], "tls": tls}
        if asker.role == "auditor":
            with pytest.raises(AssertionError, match="not accepted"):
                find(archive, identifier("STUDY", StudyInstanceUID=""), **where)
            continue
        find_levels(archive, model, cells, asker, **where)
        if asker.role == "uploader":
            with association(archive, [(STUDY_FIND, UNCOMPRESSED), (STUDY_GET, UNCOMPRESSED), (STUDY_MOVE, UNCOMPRESSED)],
                             **where) as opened:
                assert [context.abstract_syntax for context in opened.accepted_contexts] == [STUDY_FIND]
        else:
            get_studies(archive, model, cells, asker, **where)
            move_studies(archive, model, cells, destinations, asker, **where)


def shares(archive, model, cells, destinations):
    """South shows North its study, and what it has of one that others have sent to, too; then no longer."""
    become(archive, destinations, "South")
    numbers = []
    for study in (f"{ROOT_UID}.2", f"{ROOT_UID}.5"):
        body = json.dumps({"study": study, "with": "North", "until": "7"}).encode()
        made = web.request(archive, "POST", "/shares", {"Content-Type": "application/json"}, body).expect(201).json()
        numbers.append(made["number"])
        model.shares.add((study, "South", "North"))
    # What is not one's own cannot be shared, and is as if it were not there.
    for study in (f"{ROOT_UID}.1", f"{ROOT_UID}.6", f"{ROOT_UID}.999"):
        body = json.dumps({"study": study, "with": "North", "until": "7"}).encode()
        refused = web.request(archive, "POST", "/shares", {"Content-Type": "application/json"}, body)
        assert refused.status == 404 and study.encode() not in refused.body
        cells.count += 1
    for wrong in ({"with": "Nobody"}, {"until": "0"}, {"until": "2020-01-01"}, {"until": "4000"}, {"with": "South"}):
        body = {"study": f"{ROOT_UID}.2", "with": "North", "until": "7", **wrong}
        web.request(archive, "POST", "/shares", {"Content-Type": "application/json"},
                    json.dumps(body).encode()).expect(400)
    everything(archive, model, cells, destinations, http=[Asker("North")])
    # North sees that, and cannot end it.
    listed = web.get(archive, "/shares").expect(200).json()
    assert {entry["number"] for entry in listed} == set(numbers)
    web.request(archive, "DELETE", f"/shares/{numbers[0]}").expect(404)
    archive.command("unshare", numbers[0], check=0)
    model.shares.discard((f"{ROOT_UID}.2", "South", "North"))
    searches(archive, model, Asker("North"), cells)
    retrievals(archive, model, Asker("North"), cells)
    c_find(archive, model, cells)
    assert str(numbers[1]) in archive.command("shares", check=0).stdout
    become(archive, destinations, "South")
    web.request(archive, "DELETE", f"/shares/{numbers[1]}").expect(204)
    model.shares.clear()
    c_find(archive, model, cells)
    c_get(archive, model, cells)


def deletions(archive, model, cells, destinations):
    """North deletes its own of what South has, too; what is not its own, it cannot."""
    become(archive, destinations, "North")
    for study in (f"{ROOT_UID}.2", f"{ROOT_UID}.6", f"{ROOT_UID}.999"):
        web.request(archive, "DELETE", f"/dicom-web/studies/{study}").expect(404)
        cells.count += 1
    for study in (f"{ROOT_UID}.3", f"{ROOT_UID}.4"):
        web.request(archive, "DELETE", f"/dicom-web/studies/{study}").expect(204)
        model.gone |= {("North", i.sop_instance) for sender, i in model.sent if sender == "North" and i.study == study}
        web.request(archive, "DELETE", f"/dicom-web/studies/{study}").expect(404)
    everything(archive, model, cells, destinations)


def rebuilt(archive, model, cells, destinations):
    archive.stop()
    archive.command("rebuild", check=0)
    archive.start()
    c_find(archive, model, cells)
    c_get(archive, model, cells)


def test_who_lists_no_organisations_sees_all_as_before(new_archive):
    peers = [{"aeTitle": title(name), "addresses": ["127.0.0.0/8"], "organisation": name} for name in SEES]
    archive = new_archive(peers=peers)
    store_all(archive, [ct(1)], calling="NORTH")
    assert len(find(archive, identifier("STUDY", StudyInstanceUID=""), calling="SOUTH").rows) == 1
    assert len(web.get(archive, "/dicom-web/studies", web.JSON).rows()) == 1


def test_check_config_notes_who_sees_its_own_only_and_refuses_names_that_nobody_bears(tmp_path):
    peers = [{"aeTitle": "A", "organisation": "Clinic"}, {"aeTitle": "B", "organisation": "Hospital"}]
    archive = Archive(tmp_path / "a", configuration(
        organisation="Hospital", peers=peers, organisations=[{"name": "Hospital"}]))
    said = command("check-config", archive.config_file, check=0)
    assert "Clinic is not in organisations" in said.stdout and "same issuer" in said.stdout
    archive.write_config(configuration(organisation="H", organisations=[{"name": "H", "sees": ["Nowhere"]}]))
    assert "Nowhere" in command("check-config", archive.config_file, check=65).stderr
