# SPDX-License-Identifier: Apache-2.0
"""Who may call by DICOM, and for what: titles, addresses, services (THREATS 12, 13, 15), each refusal with the standard's
reason on the wire and its rule in the log."""
import pytest

from harness import wire
from harness.archive import Archive, configuration
from harness.certificates import Authority, client_context
from harness.clients import identifier, move
from harness.samples import ct_study
from harness.wire import CT, ECHO, EXPLICIT, IMPLICIT, STUDY_FIND, STUDY_MOVE

STUDY_GET, COMMIT = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.1.20.1"
ABSTRACT = {"echo": ECHO, "store": CT, "find": STUDY_FIND, "get": STUDY_GET, "move": STUDY_MOVE, "commit": COMMIT}
ACCEPTED, USER_REJECTION = 0, 1  # PS3.8 table 9-18
NOT_AUTHORIZED = 0x0124
PERMANENT, BY_USER, CALLING, CALLED = 1, 1, 3, 7  # PS3.8 table 9-21


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    peers = [{"aeTitle": name.upper(), "services": [name]} for name in ABSTRACT]
    peers += [{"aeTitle": "ALL"}, {"aeTitle": "NOTHING", "services": []}, {"aeTitle": "HERE", "addresses": ["127.0.0.5/32"]},
              {"aeTitle": "READER", "services": ["echo", "find", "get"]}]
    archive = Archive(tmp_path_factory.mktemp("rules"),
                      configuration(dicom={"acceptUnknownCallingAETitles": False}, peers=peers)).start()
    try:
        yield archive
        archive.close()
    finally:
        archive.kill()


@pytest.mark.parametrize("calling, called, source, reason, rule", [
    ("STRANGER", "SNIMOK", None, CALLING, "no peer has this calling AE title"),
    ("all", "SNIMOK", None, CALLING, "no peer has this calling AE title"),
    ("ALL", "OTHER", None, CALLED, "the called AE title is not SNIMOK"),
    ("STRANGER", "OTHER", None, CALLED, "the called AE title is not SNIMOK"),
    ("HERE", "SNIMOK", "127.0.0.6", CALLING, "the address is none of the peer's addresses"),
    ("../secret/VICTIM", "SNIMOK", None, CALLING, "no peer has this calling AE title"),
    ("A\nlevel=3", "SNIMOK", None, CALLING, "no peer has this calling AE title"),
])
def test_threats_13_an_unknown_caller_is_rejected_and_the_log_says_by_which_rule(
        server, calling, called, source, reason, rule):
    since = len(server.log)
    with pytest.raises(wire.Rejected) as refusal:
        wire.Requestor(server, calling=calling, called=called, source=source)
    assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (PERMANENT, BY_USER, reason)
    line = server.wait_for_log(f'association rejected.*why="{rule}', since=since)
    assert f'peer="{source or "127.0.0.1"}"' in line


def test_a_known_caller_from_its_address_is_taken(server):
    wire.echo(server, source="127.0.0.5", calling="HERE")
    wire.echo(server, calling="ALL")


@pytest.mark.parametrize("allowed", [*ABSTRACT, "ALL", "NOTHING"])
def test_each_service_is_negotiated_by_those_only_that_may_use_it(server, allowed):
    contexts = [(abstract, (EXPLICIT, IMPLICIT)) for abstract in ABSTRACT.values()]
    with wire.Requestor(server, contexts, calling=allowed.upper()) as requestor:
        answers = {name: requestor.results[2 * number + 1] for number, name in enumerate(ABSTRACT)}
    expected = {name: ACCEPTED if allowed in (name, "ALL") else USER_REJECTION for name in ABSTRACT}
    assert answers == expected


def test_who_may_get_and_not_store_gets_and_does_not_store(server):
    """Contexts of storage classes are accepted in the one direction only."""
    instances = ct_study(study=410, count=2)
    with wire.Requestor(server, [(CT, (EXPLICIT,))], calling="STORE") as requestor:
        for instance in instances:
            assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS
    uid = CT.encode()
    role = wire.item(0x54, len(uid).to_bytes(2, "big") + uid + b"\1\1")
    contexts = [(STUDY_GET, (IMPLICIT,)), (CT, (EXPLICIT,)), (STUDY_FIND, (IMPLICIT,))]
    with wire.Requestor(server, contexts, calling="READER", user=wire.user_information(extra=role)) as requestor:
        assert list(requestor.results.values()) == [ACCEPTED] * 3
        response = requestor.store(ct_study(study=411, count=1)[0])
        assert response[wire.STATUS] == NOT_AUTHORIZED
        # A store that pretends to be of the query's class.
        number = requestor.number()
        requestor.send(requestor.context(STUDY_FIND), wire.store_command(STUDY_FIND, "1.2.3", number), b"")
        assert requestor.receive()[0][wire.STATUS] == NOT_AUTHORIZED
        number = requestor.number()
        keys = wire_identifier(instances[0].study)
        requestor.send(requestor.context(STUDY_GET), {
            wire.CLASS: STUDY_GET, wire.FIELD: 0x0010, wire.MESSAGE: number, wire.PRIORITY: 0,
            wire.DATA_SET_TYPE: 1}, keys)
        received = 0
        while True:
            command, data = requestor.receive()
            if command[wire.FIELD] == wire.C_STORE:
                received += data in [instance.data for instance in instances]
                requestor.send(requestor.context(CT), {
                    wire.CLASS: CT, wire.FIELD: wire.C_STORE | 0x8000, wire.RESPONDED: command[wire.MESSAGE],
                    wire.STATUS: 0, wire.DATA_SET_TYPE: 0x0101, wire.INSTANCE: command[wire.INSTANCE]})
            elif command[wire.STATUS] not in wire.PENDING:
                break
        assert command[wire.STATUS] == wire.SUCCESS and received == 2
    # Without the role there is nothing left that the context could be used for.
    with wire.Requestor(server, [(CT, (EXPLICIT,))], calling="READER") as requestor:
        assert list(requestor.results.values()) == [USER_REJECTION]


def wire_identifier(study):
    def element(group, number, text):
        value = text.encode()
        value += b"\0" * (len(value) % 2)
        return group.to_bytes(2, "little") + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
    return element(8, 0x52, "STUDY ") + element(0x20, 0x0D, study)


def test_threats_15_c_move_reaches_configured_destinations_only(server):
    instances = ct_study(study=412, count=1)
    with wire.Requestor(server, [(CT, (EXPLICIT,))], calling="STORE") as requestor:
        requestor.store(instances[0])
    query = identifier("STUDY", StudyInstanceUID=instances[0].study)
    # Unknown; known without an address to send to; an address in place of a title.
    for destination in ("STRANGER", "ALL", "127.0.0.1:104", "MOVE"):
        result = move(server, query, destination, calling="MOVE")
        assert result.status == 0xA801 and result.completed == 0, destination


# What may not be exposed

@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("exposure"))
    identity = authority.issue("archive", ("127.0.0.1",))
    return authority, {"port": 0, "certificate": str(identity.certificate), "key": str(identity.key),
                       "authorities": str(authority.certificate)}


KNOWN = {"aeTitle": "CT1", "addresses": ["127.0.0.0/8"]}
ANYWHERE = {"aeTitle": "CT2"}
SECURE = {"aeTitle": "CT3", "tls": True}
NAMED = {"aeTitle": "CT4", "certificate": "CT4"}

# dicom section (with "tls" it gets the module's certificate, merged with what stands there), peers, and what is said;
# None: it starts.
EXPOSURES = {
    "no peers": ({}, [], "name the callers in peers"),
    "no peers, TLS": ({"tls": {}}, [], "name the callers in peers"),
    "a peer with addresses": ({}, [KNOWN], None),
    "a peer without addresses": ({}, [KNOWN, ANYWHERE], "peer CT2 may call without TLS, so it needs addresses"),
    "the same beside TLS": ({"tls": {}}, [ANYWHERE], "peer CT2 may call without TLS, so it needs addresses"),
    "a peer that must use TLS": ({"tls": {}}, [SECURE], None),
    "a peer with a certificate": ({"tls": {}}, [NAMED], None),
    "TLS alone": ({"tls": {}, "plain": False}, [ANYWHERE], None),
    "TLS that asks nobody for a certificate": (
        {"tls": {"clients": "none"}, "plain": False}, [ANYWHERE], "peer CT2 needs addresses or certificate"),
    "TLS that asks nobody, with addresses": ({"tls": {"clients": "none"}, "plain": False}, [KNOWN], None),
    "TLS with optional certificates": (
        {"tls": {"clients": "optional"}}, [SECURE], "peer CT3 needs addresses or certificate"),
    "unknown callers": ({"acceptUnknownCallingAETitles": True}, [KNOWN], "acceptUnknownCallingAETitles must not be true"),
    "any called title": ({"checkCalledAETitle": False}, [KNOWN], "checkCalledAETitle must not be false"),
}


def exposed(dicom, peers, tls):
    dicom = {"bind": "0.0.0.0", **dicom}
    if "tls" in dicom:
        dicom["tls"] = {**tls[1], **dicom["tls"]}
    config = configuration(peers=peers)
    config["dicom"] = dicom
    return config


@pytest.mark.parametrize("name", EXPOSURES)
def test_threats_13_what_is_unsafe_does_not_start_and_says_what_to_set(tmp_path, tls, name):
    dicom, peers, said = EXPOSURES[name]
    archive = Archive(tmp_path / "archive", exposed(dicom, peers, tls))
    try:
        if said is None:
            archive.start()
            archive.stop()
            return
        archive.launch()
        assert archive.process.wait(20) == 65
        archive.reader.join(5)
        text = archive.log_text()
        assert said in text and "127.0.0.1" in text and "--insecure" in text
        assert not (archive.data / "format").exists(), "nothing was begun"
    finally:
        archive.kill()


@pytest.mark.parametrize("name", [name for name, (*_, said) in EXPOSURES.items() if said])
@pytest.mark.parametrize("how", ["option", "key"])
def test_insecure_starts_all_the_same_and_says_so_loudly(tmp_path, tls, name, how):
    dicom, peers, _ = EXPOSURES[name]
    config = exposed(dicom, peers, tls)
    if how == "key":
        config["insecure"] = True
    archive = Archive(tmp_path / "archive", config)
    if how == "option":
        words = archive.arguments()
        archive.arguments = lambda: [*words, "--insecure"]
    try:
        archive.start()
        archive.wait_for_log("<3>.*INSECURE")
        archive.stop()
    finally:
        archive.kill()


def test_without_peers_insecure_takes_everybody_and_a_loopback_needs_no_option(tmp_path, tls):
    config = exposed({}, [], tls)
    config["insecure"] = True
    archive = Archive(tmp_path / "archive", config)
    try:
        archive.start()
        wire.echo(archive, calling="ANYBODY")
        archive.stop()
        config["insecure"] = False
        config["dicom"]["bind"] = "127.0.0.1"
        archive.write_config(config)
        archive.start()
        assert not any("INSECURE" in line for line in archive.log)
        archive.stop()
    finally:
        archive.kill()


@pytest.mark.parametrize("peer, said", [
    ({"aeTitle": "A", "tls": True}, "peer A has tls"),
    ({"aeTitle": "A", "certificate": "x"}, "peer A must show a certificate"),
    ({"aeTitle": "A", "services": ["print"]}, "services"),
    ({"aeTitle": "A", "service": ["echo"]}, "service"),
])
def test_a_rule_that_cannot_be_kept_is_told_at_start(tmp_path, peer, said):
    archive = Archive(tmp_path / "archive", configuration(peers=[peer]))
    archive.launch()
    assert archive.process.wait(20) == 65
    archive.reader.join(5)
    assert said in archive.log_text()
    archive.kill()
