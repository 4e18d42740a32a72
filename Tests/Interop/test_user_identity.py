# SPDX-License-Identifier: Apache-2.0
"""User identity negotiation (PS3.7 section D.3.3.7) on the wire: who says who he is inside TLS may what he and his station may
both; who is not who he says is turned away; what is said in the clear is not believed (THREATS 13, 16)."""
import json
import struct
import time

import pytest

from harness import audit, wire
from harness.access import PASSWORD, add_token, add_user
from harness.archive import Archive, configuration
from harness.certificates import Authority, client_context
from harness.clients import (
    JWT, PASSCODE, STUDY_FIND, STUDY_GET, UNCOMPRESSED, association, find, identifier, store_raw, user_identity)
from harness.samples import ct, ct_study
from harness.tools import run
from harness.wire import CT, EXPLICIT

PERMANENT, BY_ACSE, NO_REASON = 1, 2, 1  # PS3.8 table 9-21
GUESS = "hunter2guess"


class Server:
    def __init__(self, archive, authority):
        self.archive, self.authority = archive, authority
        self.tls = client_context(authority)

    def opened(self, *contexts, kind=PASSCODE, first="viewer", second=PASSWORD, response=True, calling="STATION", tls=True):
        return association(self.archive, [(abstract, UNCOMPRESSED) for abstract in contexts], calling,
                           negotiation=[user_identity(first, second, kind, response)], tls=self.tls if tls else None)

    def refused(self, **said):
        """The line of the log that says why an association is not accepted."""
        since = len(self.archive.log)
        with pytest.raises(AssertionError, match="not accepted"):
            with self.opened(STUDY_FIND, **said):
                pass
        return self.archive.wait_for_log("association rejected", since=since)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identity")
    authority = Authority(folder / "authority")
    identity = authority.issue("archive", ("127.0.0.1",))
    archive = Archive(folder / "archive", configuration(
        dicom={"acceptUnknownCallingAETitles": False, "tls": {
            "port": 0, "certificate": str(identity.certificate), "key": str(identity.key), "clients": "none"}},
        peers=[{"aeTitle": "STATION"}, {"aeTitle": "FINDER", "services": ["find"]}])).start()
    for role in ("viewer", "uploader", "auditor"):
        add_user(archive, role, role)
    try:
        yield Server(archive, authority)
        archive.close()
    finally:
        archive.kill()


def test_a_user_may_what_his_role_and_the_station_may_both(server):
    wanted = [CT, STUDY_FIND, STUDY_GET]
    for first, calling, may in (("viewer", "STATION", {STUDY_FIND, STUDY_GET}), ("uploader", "STATION", {CT, STUDY_FIND}),
                                ("viewer", "FINDER", {STUDY_FIND})):
        with server.opened(*wanted, first=first, calling=calling) as opened:
            assert {context.abstract_syntax for context in opened.accepted_contexts} == may, (first, calling)
            server.archive.wait_for_log("association accepted")
    with association(server.archive, [(abstract, UNCOMPRESSED) for abstract in wanted], "STATION", tls=server.tls) as opened:
        assert len(opened.accepted_contexts) == 3, "the station's own rights count where nobody is named"


def test_dcmtk_stores_with_a_name_and_a_password(server, tmp_path):
    instances = ct_study(study=601, count=2)
    for number, instance in enumerate(instances):
        instance.write(tmp_path / "in" / f"{number}.dcm")
    options = ["+tla", "+cf", server.authority.certificate, "-aet", "STATION", "-aec", "SNIMOK", "-rsp"]
    place = ["127.0.0.1", server.archive.tls_port, "+sd", tmp_path / "in"]
    run("storescu", *options, "-usr", "uploader", "-pwd", PASSWORD, *place)
    for name, password in (("uploader", "wrong"), ("nobody", PASSWORD), ("viewer", PASSWORD), ("auditor", PASSWORD)):
        assert run("storescu", *options, "-usr", name, "-pwd", password, *place, check=False).returncode != 0, name
    with server.opened(STUDY_GET, CT) as opened:
        assert not [c for c in opened.accepted_contexts if c.abstract_syntax == CT]
    found = find(server.archive, identifier("IMAGE", StudyInstanceUID=instances[0].study), calling="STATION")
    assert len(found.rows) == 2


def refusal(server, name, password):
    """Result, source and reason on the wire, and the line of the log."""
    field = b"".join(struct.pack(">H", len(text)) + text for text in (name.encode(), password.encode()))
    item = wire.item(0x58, struct.pack(">BB", PASSCODE, 1) + field)
    since = len(server.archive.log)
    with pytest.raises(wire.Rejected) as refused:
        wire.Requestor(server.archive, calling="STATION", tls=server.tls, user=wire.user_information(extra=item))
    said = refused.value
    return (said.result, said.source, said.reason), server.archive.wait_for_log("association rejected", since=since)


@pytest.mark.parametrize("name, password", [("viewer", GUESS), ("nobodyhere", PASSWORD), ("viewer", ""), ("", "")])
def test_who_is_not_who_he_says_is_turned_away_alike(server, name, password):
    reason, line = refusal(server, name, password)
    assert reason == (PERMANENT, BY_ACSE, NO_REASON)
    assert 'why="user identity: ' in line
    # Not even the name: it may be a password in the wrong field.
    assert not [word for word in (name, password) if word and word in line]


def test_a_response_comes_when_it_was_asked_for(server):
    for wanted in (True, False):
        with server.opened(STUDY_FIND, response=wanted) as opened:
            answered = [item for item in opened.acceptor.user_information if type(item).__name__ == "UserIdentityNegotiation"]
            assert len(answered) == wanted
            assert all(item.server_response == b"" for item in answered)


def test_in_the_clear_nobody_is_believed(server):
    assert "TLS" in server.refused(tls=False)
    # Who does not need an answer goes on as the station that it is.
    with server.opened(CT, STUDY_FIND, tls=False, response=False) as opened:
        assert len(opened.accepted_contexts) == 2


def test_tokens(server):
    token = add_token(server.archive, "ward", "query")
    with server.opened(CT, STUDY_FIND, kind=JWT, first=token) as opened:
        assert [context.abstract_syntax for context in opened.accepted_contexts] == [STUDY_FIND]
    for wrong in (token[:-4] + "AAAA", "x", "a.b.c"):
        assert "user identity" in server.refused(kind=JWT, first=wrong)


def test_a_kind_that_proves_nothing_here_counts_for_nothing(server):
    with server.opened(CT, kind=1, first="viewer", response=False) as opened:
        assert len(opened.accepted_contexts) == 1
        assert not [item for item in opened.acceptor.user_information if type(item).__name__ == "UserIdentityNegotiation"]


def test_an_account_that_ends_ends_on_open_associations(server):
    archive = server.archive
    add_user(archive, "leaver", "viewer")
    instance = ct(602)
    with association(archive, [(CT, [EXPLICIT])], "STATION") as opened:
        assert store_raw(opened, instance).Status == 0
    with server.opened(STUDY_FIND, first="leaver") as opened:
        assert len(find(archive, identifier("STUDY", StudyInstanceUID=instance.study), opened=opened).rows) == 1
        archive.command("user", "disable", "leaver", check=0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if find(archive, identifier("STUDY", StudyInstanceUID=instance.study), opened=opened).status not in (0, None):
                    break
            except (AssertionError, RuntimeError):
                break
            time.sleep(0.2)
        else:
            pytest.fail("an ended account still finds")
    assert "user identity" in server.refused(first="leaver")


def test_the_audit_trail_names_the_user_and_the_station(server):
    with server.opened(STUDY_FIND, first="viewer") as opened:
        find(server.archive, identifier("STUDY", StudyInstanceUID=""), opened=opened)
    lines = [json.loads(line) for line in audit.exported(server.archive)]
    queries = [line for line in lines if "viewer" in json.dumps(line) and "C-FIND" in json.dumps(line)]
    assert queries and "STATION" in json.dumps([line for line in lines if "viewer" in json.dumps(line)])
