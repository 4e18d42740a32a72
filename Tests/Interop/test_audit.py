# SPDX-License-Identifier: Apache-2.0
"""The audit trail: every access leaves its entry before it is answered, nothing is taken out unseen, what cannot be audited is
refused, and a repository gets it all."""
import json
import os
import ssl
import time

import pytest
from pynetdicom import AE

from harness import audit, web, wire
from harness.archive import INPUT_OUTPUT, Archive, configuration
from harness.certificates import Authority, client_context
from harness.clients import STUDY_FIND, Destination, find, get, identifier, move, store_all
from harness.samples import CT, ct_study

DAMAGE = 3


@pytest.fixture(scope="module")
def destination():
    opened = Destination()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory, destination):
    opened = Archive(tmp_path_factory.mktemp("audit"), configuration(
        peers=[destination.peer()], dicomweb={"allowDelete": True})).start()
    opened.study = ct_study(study=1, count=3, PatientID="НОМЕР-1", SpecificCharacterSet="ISO_IR 192")
    opened.second = ct_study(study=2, count=2, PatientID="P2")
    store_all(opened, [*opened.study, *opened.second])
    yield opened
    opened.close()


def wait_for_metric(archive, name, condition, timeout=20):
    deadline = time.monotonic() + timeout
    while True:
        value = int(archive.http("/metrics")[1].split(f"\n{name} ")[1].split()[0])
        if condition(value):
            return
        assert time.monotonic() < deadline, f"{name} is {value}"
        time.sleep(0.1)


def since(archive):
    before = audit.last_number(archive)
    return lambda **which: audit.entries(archive, after=before, **which)


def uid(instances):
    return instances[0].study


class TestEntries:
    """Each path leaves its one entry, with who, what, when, from where, and what came of it."""

    def test_start(self, archive):
        entry = audit.entries(archive, event="application-start")[0]
        assert entry["who"]["kind"] == "archive" and entry["outcome"] == 0

    def test_c_find(self, archive):
        new = since(archive)
        query = identifier("STUDY", StudyInstanceUID="", PatientID="НОМЕР*", charset="ISO_IR 192")
        assert len(find(archive, query, calling="ASKER").rows) == 1
        entry = audit.only(new())
        assert (entry["event"], entry["action"], entry["outcome"], entry["count"]) == ("query", "C-FIND", 0, 1)
        assert entry["who"] == {"kind": "station", "name": "ASKER", "organisation": "default", "address": "127.0.0.1",
                                "connection": entry["who"]["connection"]}
        assert entry["who"]["connection"].isdigit()
        assert entry["query"]["subject"] == STUDY_FIND
        assert "НОМЕР*".encode() in audit.keys(entry)
        assert abs(time.time() - time.mktime(time.strptime(entry["at"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60

    def test_c_find_of_nothing(self, archive):
        new = since(archive)
        find(archive, identifier("STUDY", StudyInstanceUID="", PatientID="NOBODY"))
        assert audit.only(new())["count"] == 0

    def test_c_get(self, archive):
        new = since(archive)
        get(archive, identifier("STUDY", StudyInstanceUID=uid(archive.study)), calling="ASKER")
        begun, done = new()
        assert (begun["event"], done["event"]) == ("transfer-begun", "instances-transferred")
        assert begun["action"] == done["action"] == "C-GET"
        for entry in begun, done:
            assert entry["studies"] == [{"uid": uid(archive.study), "patient": "НОМЕР-1", "classes": {CT: 3}}]
            assert entry["count"] == 3 and entry["outcome"] == 0 and entry["who"]["name"] == "ASKER"

    def test_c_move(self, archive, destination):
        new = since(archive)
        move(archive, identifier("STUDY", StudyInstanceUID=uid(archive.second)), "DESTINATION", calling="ASKER")
        begun, done = new()
        assert begun["other"]["name"] == done["other"]["name"] == "DESTINATION"
        assert begun["other"]["address"] == "127.0.0.1" and begun["who"]["name"] == "ASKER"
        assert done["count"] == 2 and begun["studies"][0]["patient"] == "P2"

    def test_c_move_to_a_stranger(self, archive):
        new = since(archive)
        move(archive, identifier("STUDY", StudyInstanceUID=uid(archive.second)), "THIEF")
        entry = audit.only(new())
        assert (entry["event"], entry["alert"]) == ("security-alert", "node-authentication")
        assert "THIEF" in entry["detail"] and entry["outcome"] == 4

    def test_c_move_that_fails(self, archive, destination):
        archive.stop()
        gone = {**destination.peer(), "aeTitle": "GONE", "port": 9}
        archive.write_config({**archive.config, "peers": [destination.peer(), gone]})
        archive.start()
        new = since(archive)
        move(archive, identifier("STUDY", StudyInstanceUID=uid(archive.second)), "GONE")
        begun, done = new()
        assert begun["outcome"] == 0 and done["outcome"] == 8 and done["count"] == 0

    @pytest.mark.parametrize("target, event, action", [
        ("studies/{study}", "instances-transferred", "WADO-RS instances"),
        ("studies/{study}/series/{series}", "instances-transferred", "WADO-RS instances"),
        ("studies/{study}/series/{series}/instances/{instance}", "instances-transferred", "WADO-RS instances"),
        ("studies/{study}/metadata", "instances-accessed", "WADO-RS metadata"),
        ("studies/{study}/series/{series}/instances/{instance}/metadata", "instances-accessed", "WADO-RS metadata"),
        ("studies/{study}/series/{series}/instances/{instance}/frames/1", "instances-accessed", "WADO-RS frames"),
        ("studies/{study}/series/{series}/instances/{instance}/bulkdata/7FE00010", "instances-accessed", "WADO-RS bulkdata"),
        ("studies/{study}/rendered", "instances-accessed", "WADO-RS rendered"),
        ("studies/{study}/thumbnail", "instances-accessed", "WADO-RS thumbnail"),
        ("/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}&contentType=application/dicom",
         "instances-accessed", "WADO-URI"),
    ])
    def test_wado(self, archive, target, event, action):
        new = since(archive)
        one = archive.study[0]
        reply = web.get(archive, target.format(study=one.study, series=one.series, instance=one.sop_instance), accept="*/*")
        entry = audit.only(new())
        assert (entry["event"], entry["action"]) == (event, action)
        assert entry["studies"][0]["uid"] == one.study and entry["who"]["address"] == "127.0.0.1"
        # Synthetic images are not all to be shown; that they were asked for is on record either way.
        assert entry["outcome"] == (0 if reply.status == 200 else 4 if reply.status < 500 else 8)
        if reply.status == 200:
            assert entry["studies"][0]["patient"] == "НОМЕР-1" and entry["count"] >= 1

    def test_frames_by_the_instance(self, archive):
        """A resource that is answered by another service leaves one entry, too."""
        new = since(archive)
        one = archive.study[0]
        web.get(archive, f"studies/{one.study}/series/{one.series}/instances/{one.sop_instance}",
                accept='multipart/related; type="application/octet-stream"')
        audit.only(new())

    def test_qido(self, archive):
        new = since(archive)
        reply = web.get(archive, "studies?PatientID=P2&includefield=00081030")
        assert reply.status == 200
        entry = audit.only(new())
        assert (entry["event"], entry["action"], entry["count"]) == ("query", "QIDO-RS", 1)
        assert entry["query"]["subject"] == "/dicom-web/studies"
        assert audit.keys(entry) == b"PatientID=P2&includefield=00081030"

    def test_what_is_not_there(self, archive):
        new = since(archive)
        assert web.get(archive, "studies/1.2.3.4/metadata").status == 404
        entry = audit.only(new())
        assert entry["outcome"] == 4 and entry["studies"] == [{"uid": "1.2.3.4"}] and "patient" not in str(entry)

    def test_what_shows_no_patient_leaves_nothing(self, archive):
        new = since(archive)
        for target in "/openapi.json", "/dicom-web/", "/healthz", "/metrics":
            web.get(archive, target)
        web.get(archive, "studies", method="OPTIONS")
        assert new() == []

    def test_unknown_caller(self, archive):
        new = since(archive)
        ae = AE(ae_title="STRANGER")
        ae.add_requested_context(STUDY_FIND)
        assert not ae.associate("127.0.0.1", archive.dicom_port, ae_title="WRONG").is_established
        entry = audit.only(new())
        assert (entry["event"], entry["alert"], entry["outcome"]) == ("security-alert", "node-authentication", 4)
        assert entry["who"]["name"] == "STRANGER" and entry["who"]["address"] == "127.0.0.1"
        assert entry["who"]["kind"] == "unknown" and "WRONG" in entry["detail"]

    def test_deletion(self, archive):
        sent = ct_study(study=7, count=2, PatientID="GOES")
        store_all(archive, sent)
        new = since(archive)
        assert web.get(archive, f"studies/{uid(sent)}", method="DELETE").status == 204
        entry = audit.only(new())
        assert (entry["event"], entry["action"], entry["outcome"], entry["count"]) == ("study-deleted", "DELETE", 0, 2)
        number = archive.command("deletions", check=0).stdout.split()[0]
        archive.command("undelete", number, check=0)
        archive.command("delete", "--study", uid(sent), check=0)
        archive.command("delete", "--study", "1.2.3.4.5", check=66)
        listed, taken_back, deleted, missing = new()[1:]
        assert listed["action"] == "snimok deletions"
        assert taken_back["access"] == "U" and number in taken_back["detail"]
        assert deleted["event"] == "study-deleted" and deleted["studies"][0]["patient"] == "GOES"
        assert deleted["who"]["name"] == f"uid {os.getuid()}" and deleted["who"]["kind"] == "local"
        assert missing["outcome"] == 4

    def test_commands(self, archive, tmp_path):
        new = since(archive)
        archive.command("export", "--study", uid(archive.second), "--out", tmp_path / "out", check=0)
        archive.command("history", "--instance", archive.study[0].sop_instance, check=0)
        archive.command("backup", tmp_path / "backup", check=0)
        archive.command("compact", check=0)
        audit.exported(archive, "--to", "2000")
        export, history, backup, compact, used = new()
        assert export["event"] == "data-export" and export["other"]["name"] == str(tmp_path / "out")
        assert export["studies"][0]["patient"] == "P2" and export["count"] == 2
        assert history["event"] == "instances-accessed"
        assert backup["event"] == "data-export" and backup["other"]["name"] == str(tmp_path / "backup")
        assert compact["alert"] == "restricted-function"
        assert used["event"] == "audit-log-used"
        assert {entry["who"]["name"] for entry in new()} == {f"uid {os.getuid()}"}

    def test_export_merges_what_was_stored(self, archive):
        lines = [json.loads(line) for line in audit.exported(archive)]
        stored = [line for line in lines if line["event"] == "instances-stored"]
        assert [line["count"] for line in stored if line["studies"][0]["uid"] == uid(archive.study)] == [3]
        entry = next(line for line in stored if line["studies"][0]["uid"] == uid(archive.study))
        assert entry["studies"] == [{"uid": uid(archive.study), "patient": "НОМЕР-1", "classes": {CT: 3}}]
        assert entry["who"]["name"] == "TESTER" and entry["who"]["address"] == "127.0.0.1" and entry["action"] == "C-STORE"
        assert "n" not in entry and "chain" not in entry
        assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
        # Again, over another association: nothing new.
        store_all(archive, archive.study, calling="AGAIN")
        again = [json.loads(line) for line in audit.exported(archive) if b"AGAIN" in line.encode()]
        assert audit.only(again)["access"] == "R" and again[0]["detail"].startswith("3 of them")

    def test_stow_is_derived_too(self, archive):
        new = since(archive)
        sent = ct_study(study=8, count=2, PatientID="STOWED")
        assert web.stow(archive, [web.part10(one) for one in sent]).status == 200
        assert new() == []
        stored = [json.loads(line) for line in audit.exported(archive) if "STOWED" in line]
        assert audit.only(stored)["action"] == "STOW-RS" and stored[0]["count"] == 2

    def test_messages_are_valid(self, archive, tmp_path):
        """All kinds of entries as DICOM Audit Messages, held against the schema of PS3.15 A.5.1."""
        documents = audit.check_messages(audit.exported(archive, "--format", "xml"), tmp_path)
        codes = {document.find("EventIdentification/EventID").get("csd-code") for document in documents}
        assert codes >= {"110100", "110101", "110102", "110103", "110104", "110105", "110106", "110112", "110113"}
        for document in documents:
            requestors = [part.get("UserIsRequestor") for part in document.findall("ActiveParticipant")]
            assert requestors.count("true") <= 1
            code = document.find("EventIdentification/EventID").get("csd-code")
            patients = [one for one in document.findall("ParticipantObjectIdentification")
                        if one.get("ParticipantObjectTypeCodeRole") == "1"]
            if code in ("110102", "110103", "110104", "110105"):
                assert len(patients) <= 1
            if code == "110112" and "C-FIND" in document.findtext("EventIdentification/EventOutcomeDescription"):
                query = document.find("ParticipantObjectIdentification")
                assert query.get("ParticipantObjectID") == STUDY_FIND
                assert query.find("ParticipantObjectIDTypeCode").get("csd-code") == "110181"
                assert query.find("ParticipantObjectDetail").get("type") == "TransferSyntax"
        assert any(one.get("ParticipantObjectID") == "НОМЕР-1" for document in documents
                   for one in document.findall("ParticipantObjectIdentification"))

    def test_schema_check_can_fail(self, archive, tmp_path):
        message = audit.exported(archive, "--format", "xml")[0]
        with pytest.raises(AssertionError):
            audit.check_messages([message.replace("EventDateTime", "Time")], tmp_path)

    def test_no_name_of_a_patient(self, archive):
        """Neither in the trail's own fields nor in the ordinary log: names stand in queries only, as asked."""
        name = "Тайный^Пациент"
        sent = ct_study(study=9, count=1, PatientName=name, PatientID="SECRET", SpecificCharacterSet="ISO_IR 192")
        store_all(archive, sent)
        find(archive, identifier("STUDY", StudyInstanceUID="", PatientID="SECRET"))
        web.get(archive, f"studies/{uid(sent)}/metadata")
        assert "Тайный" not in archive.log_text(100_000)
        assert not any("Тайный".encode() in line for line in audit.lines_of(archive))

    def test_the_chain_holds(self, archive):
        verified = archive.command("audit", "verify", check=0)
        assert "problems 0" in verified.stdout
        number, chain = archive.command("audit", "head", check=0).stdout.split()
        assert int(number) > 20 and len(chain) == 64
        archive.command("audit", "verify", "--head", f"{number} {chain}", check=0)
        other = archive.command("audit", "verify", "--head", f"{number} {chain[::-1]}", check=DAMAGE)
        assert f"entry {number} is not the one of the head that was given" in other.stderr


@pytest.fixture
def make():
    """Makes archives, of which none outlives its test."""
    made = []

    def one(*arguments):
        made.append(Archive(*arguments))
        return made[-1]

    yield one
    for archive in made:
        archive.close(check=False)


@pytest.fixture
def small(tmp_path):
    opened = Archive(tmp_path / "archive").start()
    opened.study = ct_study(study=1, count=2)
    store_all(opened, opened.study)
    yield opened
    opened.close(check=False)


class TestTampering:
    def test_each_way_is_noticed(self, small):
        for number in range(6):
            web.get(small, f"studies?limit={number}")
        small.stop()
        path = audit.only(list((small.data / "audit").glob("*.jsonl")))
        good = path.read_bytes().splitlines(keepends=True)
        small.command("audit", "verify", check=0)
        for name, bad, told in [
                ("removed", good[:2] + good[3:], "entry 3 is missing before"),
                ("changed", good[:2] + [good[2].replace(b'"limit', b'"Limit').replace(b'"outcome":0', b'"outcome":4')] + good[3:],
                 "entry 3 (0000000000000001.jsonl line 3) was changed"),
                ("moved", good[:2] + [good[3], good[2]] + good[4:], "out of its order"),
                ("doubled", good[:3] + good[2:], "out of its order, or twice"),
                ("cut off", good[:-1], f"the end is cut off: entry {len(good)} is missing")]:
            path.write_bytes(b"".join(bad))
            done = small.command("audit", "verify", check=DAMAGE)
            assert told in done.stderr, (name, done.stderr)
        path.unlink()
        small.command("audit", "verify", check=DAMAGE)
        path.write_bytes(b"".join(good))
        small.command("audit", "verify", check=0)

    def test_a_start_says_what_is_missing(self, small):
        web.get(small, "studies")
        small.stop()
        path = audit.only(list((small.data / "audit").glob("*.jsonl")))
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
        small.start()
        web.get(small, "studies")
        entries = [json.loads(line) for line in audit.lines_of(small)]
        alert = next(entry for entry in entries if entry.get("alert") == "audit-recording")
        assert "missing or changed" in alert["detail"] and alert["outcome"] == 8
        assert "missing" in small.command("audit", "verify", check=DAMAGE).stderr

    def test_a_backup_has_the_trail(self, small, tmp_path, make):
        web.get(small, "studies")
        small.command("backup", tmp_path / "copy", check=0)
        web.get(small, "studies")
        small.command("backup", tmp_path / "copy", check=0)
        small.stop()
        restored = make(tmp_path / "restored")
        (tmp_path / "copy").rename(restored.data)
        restored.command("audit", "verify", check=0)
        restored.start()
        assert web.get(restored, "studies").status == 200
        assert len(audit.entries(restored, action="QIDO")) == 3
        restored.close()


class TestDoor:
    """Who is kept out, and what is not protected."""

    def test_certificates(self, tmp_path, make):
        authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger")
        own = authority.issue("archive", hosts=["127.0.0.1"])
        archive = make(tmp_path / "archive", configuration(dicom={"tls": {
            "certificate": str(own.certificate), "key": str(own.key), "authorities": str(authority.certificate),
            "port": 0}})).start()
        try:
            for _ in range(3):
                with pytest.raises((ssl.SSLError, OSError, wire.Closed)):
                    wire.Requestor(archive, tls=client_context(authority, stranger.issue("stranger")))
            entry = audit.only(audit.entries(archive, event="security-alert"))
            assert (entry["alert"], entry["action"]) == ("node-authentication", "TLS")
            assert "certificate" in entry["detail"] and entry["who"]["address"] == "127.0.0.1"
        finally:
            archive.stop()
        # The others of the same minute are counted.
        assert audit.entries(archive, event="security-alert")[-1]["repeated"] == 2

    def test_insecure(self, tmp_path, make):
        archive = make(tmp_path / "archive", configuration(insecure=True)).start()
        entry = audit.only(audit.entries(archive, event="security-alert"))
        assert (entry["alert"], entry["outcome"]) == ("security-configuration", 12)
        archive.close()

    def test_knocking_does_not_fill_the_disk(self, small):
        before = audit.last_number(small)
        for number in range(300):
            with pytest.raises(wire.Rejected):
                wire.Requestor(small, calling=f"CALLER{number}", called="WRONG")
        assert audit.last_number(small) == before + 1


class TestRefusal:
    """What cannot be audited is refused, and says so."""

    def test_without_its_key_nothing_is_read(self, small):
        small.stop()
        (small.data / "audit.key").unlink()
        small.start()
        self.assert_refused(small)
        # Storing needs no entry: the records are the audit.
        store_all(small, ct_study(study=2, count=1))
        done = small.command("delete", "--study", uid(small.study), check=INPUT_OUTPUT)
        assert "audit" in done.stderr
        small.stop()
        done = small.command("export", "--all", "--out", small.directory / "out", check=INPUT_OUTPUT)
        assert "audit" in done.stderr and not (small.directory / "out").exists()

    def assert_refused(self, archive):
        reply = web.get(archive, "studies")
        assert reply.status == 503 and b"audit trail" in reply.body
        assert web.get(archive, f"studies/{uid(archive.study)}").status == 503
        assert web.get(archive, f"studies/{uid(archive.study)}/metadata").status == 503
        found = find(archive, identifier("STUDY", StudyInstanceUID=""))
        assert found.status == 0xA700 and found.rows == [] and "Audit" in found.comment
        got = get(archive, identifier("STUDY", StudyInstanceUID=uid(archive.study)))
        assert got.status == 0xA702 and not got.by_uid()
        status, text = archive.http("/readyz")
        assert status == 503 and "reading refused" in text
        assert "snimok_audit_writable 0" in archive.http("/metrics")[1]

    def test_key_elsewhere(self, tmp_path, make):
        key = tmp_path / "keys" / "audit.key"
        key.parent.mkdir()
        archive = make(tmp_path / "archive", configuration(audit={"keyFile": str(key)})).start()
        assert web.get(archive, "studies").status == 204
        assert key.stat().st_mode & 0o777 == 0o600 and not (archive.data / "audit.key").exists()
        archive.command("audit", "verify", check=0, with_config=True)
        archive.close()


class TestRepository:
    @pytest.fixture
    def authority(self, tmp_path):
        return Authority(tmp_path / "authority")

    @pytest.fixture
    def repository(self, authority):
        opened = audit.Repository(authority.issue("repository", hosts=["127.0.0.1"]), authority.certificate)
        yield opened
        opened.close()

    def configured(self, authority, repository, **more):
        own = authority.issue("archive")
        return configuration(audit={"syslog": {
            "host": "127.0.0.1", "port": repository.port, "authorities": str(authority.certificate),
            "certificate": str(own.certificate), "key": str(own.key), **more}})

    def test_valid_messages_through_an_outage(self, tmp_path, authority, repository, make):
        archive = make(tmp_path / "archive", self.configured(authority, repository)).start()
        study = ct_study(study=1, count=3, PatientID="P1")
        store_all(archive, study)
        web.get(archive, "studies")
        get(archive, identifier("STUDY", StudyInstanceUID=uid(study)))
        repository.wait(lambda one: len(set(one.numbers())) == audit.last_number(archive))
        # What was stored follows by itself.
        repository.wait(lambda one: any(b"STORE" in message for message in one.messages))
        # An outage: entries wait, the metrics say so, and nothing is refused.
        repository.close()
        for number in range(30):
            assert web.get(archive, f"studies?PatientID=O{number}").status == 204
        wait_for_metric(archive, "snimok_audit_connected", lambda value: value == 0)
        wait_for_metric(archive, "snimok_audit_unsent", lambda value: value >= 30)
        wait_for_metric(archive, "snimok_audit_unsent_seconds", lambda value: value >= 1)
        # The archive is killed meanwhile, too: the trail is the spool.
        archive.kill()
        archive.start()
        web.get(archive, "studies?PatientID=LAST")
        repository.open()
        repository.wait(lambda one: set(one.numbers()) >= set(range(1, audit.last_number(archive) + 1)))
        numbers = repository.numbers()
        # Nothing is lost. What was under way when the connection broke may come twice, with its own number.
        assert len(numbers) - len(set(numbers)) <= 35
        for message in repository.parsed():
            assert message["id"] == b"DICOM+RFC3881" and message["app"] == b"snimok" and message["pri"] in (b"85", b"84")
        documents = audit.check_messages(sorted({message["xml"] for message in repository.parsed()}), tmp_path)
        stored = [one for one in documents if "C-STORE" in one.findtext("EventIdentification/EventOutcomeDescription")]
        counts = [int(one.find(".//SOPClass").get("NumberOfInstances")) for one in stored]
        assert sum(counts) == 3
        wait_for_metric(archive, "snimok_audit_unsent", lambda value: value == 0)
        # The connection stands, as it should; everything else is looked after elsewhere.
        archive.stop()

    def test_a_stranger_gets_nothing(self, tmp_path, authority, repository, make):
        """A repository whose certificate is not from the authority, or of another host, is sent nothing."""
        stranger = Authority(tmp_path / "stranger")
        for number, (issuer, hosts) in enumerate([(stranger, ["127.0.0.1"]), (authority, ["other.example"])]):
            false = audit.Repository(issuer.issue("false", hosts=hosts), authority.certificate, clients=False)
            archive = make(tmp_path / f"archive{number}", self.configured(authority, false)).start()
            web.get(archive, "studies")
            archive.wait_for_log("audit repository cannot be reached")
            assert false.messages == []
            assert web.get(archive, "studies").status == 204
            archive.close()
            false.close()

    def test_configuration(self, tmp_path, make):
        archive = make(tmp_path / "archive", configuration(audit={"syslog": {"host": "127.0.0.1"}}))
        with pytest.raises(AssertionError, match="audit.syslog wants host"):
            archive.start()


def test_two_processes_do_not_write_one_trail(small):
    """A command beside the server goes through it."""
    before = audit.last_number(small)
    small.command("export", "--all", "--out", small.directory / "out", check=0)
    assert audit.last_number(small) == before + 1
    small.command("audit", "verify", check=0)
