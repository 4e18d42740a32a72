"""Bad input: refused with the status or abort that the standard has for it, or stored exactly; never a crash."""
import os
import random
import re
import resource
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest

from harness import hostile, web, wire
from harness.archive import Archive, command, configuration
from harness.clients import find, get, identifier, move, store_all
from harness.samples import ROOT_UID, Instance, ct, element, encode, tiny
from harness.tools import program
from harness.wire import CT, ECHO, EXPLICIT, IMPLICIT, SUCCESS

MEBIBYTE = 1 << 20
STORE = [(CT, (EXPLICIT,)), (ECHO, (IMPLICIT,))]
UID = f"{ROOT_UID}.77"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """One server takes all of it, with short timeouts; it must outlive every test of this file."""
    config = configuration(dicom={
        "artimTimeoutSeconds": 2, "pduTimeoutSeconds": 2, "idleTimeoutSeconds": 30, "minimumBytesPerSecond": 1000,
        "associationsMaximum": 64, "associationsPerPeerMaximum": 32})
    yield from hostile.outlive(Archive(tmp_path_factory.mktemp("hostile"), config).start())


@pytest.fixture(autouse=True)
def alive(request):
    """After each test: the same process, which still answers, holds no more memory and has lost nothing."""
    if "target" not in request.fixturenames:
        yield
        return
    target = request.getfixturevalue("target")
    pid, before = hostile.running(target)
    memory = target.resident()
    yield
    hostile.assert_same_process(target, pid)
    wire.echo(target)
    hostile.assert_nothing_left_or_lost(target, before)
    grown = target.resident() - memory
    assert grown < 64 * MEBIBYTE, f"the resident set grew by {grown >> 20} MiB"


def unchanged(target, before, *more):
    """Nothing was half-stored: what the catalog counts is as before."""
    now = target.stats()
    for key in ("patients", "studies", "series", "instances", "versions", *more):
        assert now[key] == before[key], key


def send_raw(target, data, timeout=15):
    connection = wire.connect(target)
    try:
        connection.sendall(data)
        return wire.outcome(connection, timeout)
    finally:
        connection.close()


def established(target, contexts=STORE, **more):
    return wire.Requestor(target, contexts, **more)


# Before an association: rows 1, 2, 4, 5, 6, 9, 12, 13

def test_an_http_request_is_aborted_after_its_first_six_bytes(target):
    since = len(target.log)
    connection = wire.connect(target)
    # Not one byte more: the answer must not wait for what the length field announces.
    connection.sendall(b"GET / ")
    assert wire.outcome(connection, 5) == ("abort", 2, 1)
    connection.close()
    target.wait_for_log(r"127\.0\.0\.1", since=since)


def test_two_thousand_http_requests_cost_no_memory(target):
    memory = target.resident()
    for number in range(2000):
        result = send_raw(target, b"GET /index.html HTTP/1.1\r\nHost: pacs\r\n\r\n")
        assert result in (("abort", 2, 1), ("closed",)), number
    assert target.resident() - memory < 8 * MEBIBYTE


@pytest.mark.parametrize("kind", [0, 8, 9, 0x47, 0x80, 0xFF])
def test_an_unknown_pdu_type_is_aborted(target, kind):
    assert send_raw(target, wire.pdu(kind, bytes(16))) == ("abort", 2, 1)


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6])
def test_a_pdu_out_of_place_before_the_association_is_aborted(target, kind):
    result = send_raw(target, wire.pdu(kind, bytes(16)))
    assert result[0] == "abort", result


@pytest.mark.parametrize("length", [0, 1, 4, 67, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
def test_an_association_request_of_a_lying_length_ends(target, length):
    memory = target.resident()
    connection = wire.connect(target)
    connection.sendall(wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body()[:60], length))
    seen = wire.ends(connection, 10)
    assert all(result[0] in ("abort", "reject") for result in seen), seen
    connection.close()
    assert target.resident() - memory < 4 * MEBIBYTE


def test_a_pdu_length_of_four_gigabytes_is_aborted_at_once(target):
    assert send_raw(target, wire.pdu(wire.ASSOCIATE_RQ, b"\0\1", 2 ** 32 - 1))[:2] == ("abort", 2)


def lying_requests():
    contexts = wire.context_item(1, ECHO, (IMPLICIT,))
    head = wire.associate_body(contexts=(), user=b"")
    filler = wire.item(0x51, struct.pack(">I", 16384))
    yield "user information longer than the PDU", head + contexts + wire.item(0x50, filler, 65535)
    yield "sub-item longer than its item", head + contexts + wire.item(0x50, wire.item(0x51, bytes(4), 60000))
    yield "65,622 bytes of nested lies", head + contexts + wire.item(
        0x50, b"".join(wire.item(0x54, b"\xff\xff" * 2, 65000) for _ in range(8192))[:65400])
    yield "a context without syntaxes", head + wire.item(0x20, b"\1\0\0\0") + wire.user_information()
    yield "an empty context item", head + wire.item(0x20, b"") + wire.user_information()
    yield "an abstract syntax of 65,000 bytes", head + wire.item(
        0x20, b"\1\0\0\0" + wire.item(0x30, b"1" * 65000)) + wire.user_information()
    yield "unknown items", head + b"".join(wire.item(0x99, bytes(40)) for _ in range(1000)) + wire.user_information()
    yield "text in a maximum length", head + contexts + wire.item(0x50, wire.item(0x51, b"abcdefgh"))
    yield "no user information", head + contexts
    yield "no contexts", head + wire.user_information()
    yield "no application context", head[:68] + contexts + wire.user_information()
    yield "nothing but the fixed part", head[:68]


@pytest.mark.parametrize("name, body", lying_requests(), ids=[name for name, _ in lying_requests()])
def test_an_association_request_with_lying_items_ends_or_is_answered(target, name, body):
    memory = target.resident()
    result = send_raw(target, wire.pdu(wire.ASSOCIATE_RQ, body))
    assert result[0] in ("abort", "reject", "accept", "closed"), result
    assert target.resident() - memory < 4 * MEBIBYTE


def test_a_flood_of_contexts_is_answered_per_item_or_refused(target):
    """200 contexts with even and repeated identifiers; PS3.8 allows 128 with odd ones."""
    contexts = [(number % 256, CT, (EXPLICIT,)) for number in range(200)]
    connection = wire.connect(target)
    connection.sendall(wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body(contexts=contexts)))
    kind, body = wire.read_pdu(connection)
    connection.close()
    if kind == wire.ASSOCIATE_AC:
        assert body[68:].count(b"\x21\x00") <= 200 and len(body) < 200 * 64
    else:
        assert kind in (wire.ASSOCIATE_RJ, wire.ABORT)


def test_128_contexts_are_negotiated(target):
    contexts = [(CT, (f"1.2.840.10008.1.2.4.{number}",)) for number in range(128)]
    with established(target, contexts) as requestor:
        assert set(requestor.results) == set(range(1, 257, 2))
        assert set(requestor.results.values()) == {0}, "every transfer syntax can be stored"


def test_an_unsupported_context_is_refused_by_itself(target):
    with established(target, [("1.2.840.10008.5.1.1.9", (IMPLICIT,)), (ECHO, (IMPLICIT,))]) as requestor:
        assert requestor.results == {1: 3, 3: 0}
        assert requestor.echo() == SUCCESS


def test_an_unsupported_transfer_syntax_for_a_query_is_refused_by_itself(target):
    with established(target, [(wire.STUDY_FIND, ("1.2.840.10008.1.2.4.50",)), (ECHO, (IMPLICIT,))]) as requestor:
        assert requestor.results == {1: 4, 3: 0}


def test_private_and_unknown_storage_classes_are_accepted(target):
    private = "1.2.826.0.1.3680043.10.1700.99.1"
    sent = tiny(f"{UID}.1", UID, f"{UID}.0", sop_class=private)
    with established(target, [(private, (EXPLICIT,))]) as requestor:
        assert requestor.store(sent)[wire.STATUS] == SUCCESS


@pytest.mark.parametrize("called", ["../secret/VICTIM", "OTHER", "", "snimok", b"\xff\xfe\0\0'; DROP"])
def test_a_wrong_called_ae_title_is_rejected(target, called):
    with pytest.raises(wire.Rejected) as refusal:
        established(target, called=called)
    assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (1, 1, 7)
    assert not list(target.directory.rglob("*VICTIM*"))


def test_a_wrong_protocol_version_and_application_context_are_rejected(target):
    assert send_raw(target, wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body(version=2))) == ("reject", 1, 2, 2)
    body = wire.associate_body(application=b"1.2.3.4")
    assert send_raw(target, wire.pdu(wire.ASSOCIATE_RQ, body)) == ("reject", 1, 1, 2)


def test_ae_title_and_address_must_both_be_known(new_archive):
    archive = new_archive(
        dicom={"acceptUnknownCallingAETitles": False},
        peers=[{"aeTitle": "CT1", "addresses": ["127.0.0.1/32"]}, {"aeTitle": "CT2", "addresses": ["127.0.0.2"]}])
    matrix = {("CT1", "127.0.0.1"): True, ("CT2", "127.0.0.2"): True, ("CT1", "127.0.0.2"): False,
              ("CT2", "127.0.0.1"): False, ("NOBODY", "127.0.0.1"): False, ("ct1", "127.0.0.1"): False}
    for (calling, source), welcome in matrix.items():
        if welcome:
            wire.echo(archive, source, calling)
            continue
        since = len(archive.log)
        with pytest.raises(wire.Rejected) as refusal:
            wire.echo(archive, source, calling)
        assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (1, 1, 3), (calling, source)
        assert calling in archive.wait_for_log(re.escape(source), since=since)


def test_with_peers_configured_unknown_callers_are_refused_by_default(new_archive):
    archive = new_archive(start=False)
    config = configuration(peers=[{"aeTitle": "CT1", "addresses": ["127.0.0.0/8"]}])
    del config["dicom"]["acceptUnknownCallingAETitles"]
    archive.write_config(config)
    archive.start()
    wire.echo(archive, calling="CT1")
    with pytest.raises(wire.Rejected):
        wire.echo(archive, calling="CT2")


def test_three_bytes_and_silence_are_closed_by_the_artim_timer(target):
    connection = wire.connect(target)
    connection.sendall(b"\x01\x00\x00")
    begun = time.monotonic()
    wire.ends(connection, 10)
    assert 1 <= time.monotonic() - begun < 6
    connection.close()


def test_a_thousand_half_open_connections_do_not_keep_others_out(target):
    memory, half_open = target.resident(), []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    try:
        for _ in range(1000):
            try:
                connection = wire.connect(target)
                connection.sendall(b"\x01\x00\x00")
                half_open.append(connection)
            except OSError:
                continue
        wire.echo(target, source="127.0.0.2")
        assert target.resident() - memory < 16 * MEBIBYTE
        time.sleep(4)
        for connection in half_open:
            try:
                wire.ends(connection, 5)
            except OSError:
                pass
    finally:
        for connection in half_open:
            connection.close()
    wire.echo(target)


def test_whoever_holds_all_half_open_connections_keeps_nobody_out(new_archive):
    archive = new_archive(dicom={"connectionsMaximum": 50})
    held = []
    try:
        for _ in range(120):
            connection = wire.connect(archive)
            connection.sendall(b"\x01\x00\x00")
            held.append(connection)
        for _ in range(20):
            wire.echo(archive, source="127.0.0.2")
        # The oldest have gone, the newest still wait.
        for connection in held[:60]:
            wire.ends(connection, 5)
        held[-1].settimeout(0.5)
        with pytest.raises(TimeoutError):
            held[-1].recv(1)
    finally:
        for connection in held:
            connection.close()


def test_too_many_associations_are_rejected_as_a_local_limit_and_slots_come_back(target):
    held = []
    try:
        with pytest.raises(wire.Rejected) as refusal:
            for _ in range(33):
                held.append(established(target, source="127.0.0.3"))
        assert len(held) == 32
        assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (2, 3, 2)
        wire.echo(target, source="127.0.0.4")
    finally:
        for requestor in held:
            requestor.release()
            requestor.socket.close()
    time.sleep(0.3)
    wire.echo(target, source="127.0.0.3")


@pytest.mark.limit(600)
def test_endless_associations_leave_the_resident_set_flat(target):
    for _ in range(200):
        wire.echo(target)
    memory = target.resident()
    for _ in range(1500):
        wire.echo(target)
    for _ in range(500):
        established(target).abort()
    for _ in range(500):
        wire.connect(target).close()
    assert target.resident() - memory < 8 * MEBIBYTE


# Within an association: rows 2, 3, 7, 10, 17 and peers that stop

@pytest.mark.parametrize("length", [2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
def test_a_data_pdu_beyond_the_negotiated_length_is_aborted(target, length):
    requestor = established(target)
    requestor.socket.sendall(wire.pdu(wire.P_DATA, bytes(32), length))
    result = wire.outcome(requestor.socket, 10)
    assert result in (("abort", 2, 6), ("abort", 2, 1)), result
    requestor.socket.close()


@pytest.mark.parametrize("length", [0, 1, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 6, 2 ** 32 - 4, 2 ** 32 - 1])
def test_a_value_item_of_a_lying_length_is_aborted(target, length):
    before = target.stats()
    requestor = established(target)
    body = struct.pack(">IBB", length, 1, 3) + bytes(40)
    requestor.socket.sendall(wire.pdu(wire.P_DATA, body))
    assert wire.outcome(requestor.socket, 10)[:2] == ("abort", 2)
    requestor.socket.close()
    unchanged(target, before)


def test_data_on_a_context_that_was_not_accepted_is_aborted(target):
    requestor = established(target)
    command = wire.command_set(wire.store_command(CT, f"{UID}.2"))
    requestor.socket.sendall(wire.p_data(99, command, is_command=True))
    assert wire.outcome(requestor.socket, 10)[:2] == ("abort", 2)
    requestor.socket.close()


@pytest.mark.parametrize("kind", [1, 2, 3, 6, 9, 0x47])
def test_a_pdu_out_of_place_within_the_association_is_aborted(target, kind):
    requestor = established(target)
    requestor.socket.sendall(wire.pdu(kind, bytes(80)))
    assert wire.outcome(requestor.socket, 10)[:2] == ("abort", 2)
    requestor.socket.close()


def test_a_peer_that_stops_within_a_pdu_is_closed_and_nothing_is_stored(target):
    before, since = target.stats(), len(target.log)
    instance = ct(77, rows=64)
    requestor = established(target)
    data = wire.message(1, wire.command_set(wire.store_command(CT, instance.sop_instance)), instance.data)
    requestor.socket.sendall(data[:len(data) // 2])
    begun = time.monotonic()
    wire.ends(requestor.socket, 20)
    assert time.monotonic() - begun < 10
    requestor.socket.close()
    unchanged(target, before)
    target.wait_for_log(r"127\.0\.0\.1|TESTER|(?i:time)", since=since)


def test_one_byte_a_second_is_closed_by_the_minimum_rate(target):
    before = target.stats()
    requestor = established(target)
    data = wire.message(1, wire.command_set(wire.store_command(CT, f"{UID}.3")), bytes(4000))
    begun = time.monotonic()
    closed = False
    for byte in data[:30]:
        try:
            requestor.socket.sendall(bytes([byte]))
            requestor.socket.settimeout(1)
            closed = not requestor.socket.recv(1 << 16) or True
            break
        except TimeoutError:
            continue
        except OSError:
            closed = True
            break
    assert closed and time.monotonic() - begun < 20
    requestor.socket.close()
    unchanged(target, before)


def test_an_idle_association_is_ended(new_archive):
    archive = new_archive(dicom={"idleTimeoutSeconds": 2})
    requestor = established(archive)
    assert requestor.echo() == SUCCESS
    begun = time.monotonic()
    wire.ends(requestor.socket, 15)
    assert 1 <= time.monotonic() - begun < 8
    requestor.socket.close()


@pytest.mark.parametrize("way", ["abort", "close", "reset", "release"])
def test_an_end_in_the_middle_of_a_store_leaves_nothing(target, way):
    before = target.stats()
    instance = ct(78, rows=128)
    message = wire.message(1, wire.command_set(wire.store_command(CT, instance.sop_instance)), instance.data, 4096)
    # After the command, after some data, before the last PDU, and within PDUs.
    ends = [offset for offset in pdu_ends(message)]
    stops = [ends[0], ends[len(ends) // 2], ends[-2]]
    # Within a PDU only where nothing follows: an abort's bytes would be taken for the PDU's own.
    if way in ("close", "reset"):
        stops += [ends[1] - 7, len(message) - 1]
    for stop in stops:
        requestor = established(target)
        requestor.socket.sendall(message[:stop])
        if way == "abort":
            requestor.abort()
        elif way == "release":
            requestor.socket.sendall(wire.pdu(wire.RELEASE_RQ, bytes(4)))
            wire.outcome(requestor.socket, 5)
        elif way == "reset":
            requestor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        requestor.socket.close()
    target.assert_nothing_leaked()
    unchanged(target, before)
    assert not target.partial_files()


def pdu_ends(data):
    offset, ends = 0, []
    while offset < len(data):
        offset += 6 + struct.unpack_from(">I", data, offset + 2)[0]
        ends.append(offset)
    return ends


LIES = {
    "no command field": ({wire.MESSAGE: 1, wire.DATA_SET_TYPE: 0x0101}, False),
    "an unknown command field": ({wire.FIELD: 0x7777, wire.MESSAGE: 1, wire.DATA_SET_TYPE: 0x0101}, False),
    "a response that nobody asked for": ({wire.FIELD: 0x8001, wire.RESPONDED: 5, wire.STATUS: 0,
                                          wire.DATA_SET_TYPE: 0x0101}, False),
    "a store without a data set": (wire.store_command(CT, f"{UID}.4", data_set_type=0x0101), False),
    "a store without a SOP class": ({wire.FIELD: wire.C_STORE, wire.MESSAGE: 1, wire.PRIORITY: 0,
                                     wire.DATA_SET_TYPE: 1, wire.INSTANCE: f"{UID}.4"}, True),
    "a store without an instance UID": ({wire.CLASS: CT, wire.FIELD: wire.C_STORE, wire.MESSAGE: 1, wire.PRIORITY: 0,
                                         wire.DATA_SET_TYPE: 1}, True),
    "a store without a message id": ({wire.CLASS: CT, wire.FIELD: wire.C_STORE, wire.PRIORITY: 0,
                                      wire.DATA_SET_TYPE: 1, wire.INSTANCE: f"{UID}.4"}, True),
    "an echo on a storage context": ({wire.CLASS: ECHO, wire.FIELD: wire.C_ECHO, wire.MESSAGE: 1,
                                      wire.DATA_SET_TYPE: 0x0101}, False),
    "a query on a storage context": ({wire.CLASS: wire.STUDY_FIND, wire.FIELD: wire.C_FIND, wire.MESSAGE: 1,
                                      wire.PRIORITY: 0, wire.DATA_SET_TYPE: 1}, True),
    "an instance UID of 65,000 bytes": (wire.store_command(CT, "1." * 32500), True),
    "a message id of eight bytes": ({wire.CLASS: CT, wire.FIELD: wire.C_STORE, wire.MESSAGE: bytes(8),
                                     wire.PRIORITY: 0, wire.DATA_SET_TYPE: 1, wire.INSTANCE: f"{UID}.4"}, True),
}


@pytest.mark.parametrize("name", LIES)
def test_a_command_that_lies_gets_a_status_or_an_abort(target, name):
    command, with_data = LIES[name]
    before = target.stats()
    requestor = established(target)
    data = tiny(f"{UID}.4", UID, f"{UID}.0").data if with_data else None
    requestor.socket.sendall(wire.message(1, wire.command_set(command), data))
    try:
        response, _ = requestor.receive()
        assert response[wire.STATUS] != SUCCESS, "a lie was answered with success"
    except (wire.Aborted, wire.Closed):
        pass
    requestor.socket.close()
    unchanged(target, before)


@pytest.mark.parametrize("raw", [
    b"", b"\0", b"\0" * 12, b"\xff" * 64,
    struct.pack("<HHI", 0, 0, 4) + struct.pack("<I", 2 ** 32 - 1),
    struct.pack("<HHI", 0, 2, 2 ** 32 - 1) + b"1.2",
    struct.pack("<HHI", 0, 2, 2 ** 31) + b"1.2",
    struct.pack("<HHI", 8, 0x18, 4) + b"1.2\0",
], ids=["empty", "one byte", "zeros", "ones", "lying group length", "4 GiB value", "2 GiB value", "another group"])
def test_a_broken_command_set_gets_a_status_or_an_abort(target, raw):
    requestor = established(target)
    requestor.socket.sendall(wire.p_data(1, raw, is_command=True))
    requestor.socket.settimeout(10)
    with pytest.raises((wire.Aborted, wire.Closed)):
        while True:
            response, _ = requestor.receive()
            assert response.get(wire.STATUS) != SUCCESS
            requestor.socket.sendall(wire.pdu(wire.ABORT, bytes(4)))
    requestor.socket.close()


def test_mutated_commands_never_stop_the_server(target):
    chosen = random.Random(1700)
    good = wire.command_set(wire.store_command(CT, f"{UID}.5"))
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(chosen.randrange(1, 6)):
            where = chosen.randrange(len(bad))
            action = chosen.randrange(3)
            if action == 0:
                bad[where] = chosen.randrange(256)
            elif action == 1:
                del bad[where:where + chosen.randrange(1, 9)]
            else:
                bad[where:where] = chosen.randbytes(chosen.randrange(1, 9))
            if not bad:
                break
        requestor = established(target)
        try:
            requestor.socket.sendall(wire.message(1, bytes(bad), b"\x08\x00\x18\x00UI\x04\x001.2\0"))
            requestor.socket.sendall(wire.pdu(wire.RELEASE_RQ, bytes(4)))
            wire.outcome(requestor.socket, 10)
        except (wire.Closed, OSError):
            pass
        requestor.socket.close()


def test_mutated_pdus_never_stop_the_server(target):
    chosen = random.Random(1701)
    instance = tiny(f"{UID}.6", UID, f"{UID}.0", size=256)
    good = wire.pdu(wire.ASSOCIATE_RQ, wire.associate_body(contexts=[(1, CT, (EXPLICIT,))])) + wire.message(
        1, wire.command_set(wire.store_command(CT, instance.sop_instance)), instance.data)
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(chosen.randrange(1, 4)):
            bad[chosen.randrange(len(bad))] = chosen.choice((0, 1, 0x7F, 0x80, 0xFF, chosen.randrange(256)))
        connection = wire.connect(target)
        try:
            connection.sendall(bad)
            connection.shutdown(socket.SHUT_WR)
            wire.ends(connection, 15)
        except OSError:
            pass
        connection.close()


# Data sets: rows 16, 19–24, 30 and the rest of "bad input"

def store_one(target, instance, **names):
    with established(target, [(instance.sop_class, (instance.transfer_syntax,))]) as requestor:
        return requestor.store(instance, **names)


def refused(target, instance, status, **names):
    """Refused with this status and a comment, one log line names it, nothing is stored, its bytes are in quarantine."""
    before, since = target.stats(), len(target.log)
    response = store_one(target, instance, **names)
    assert response[wire.STATUS] == status, f"{response[wire.STATUS]:04X}H {response.get(wire.COMMENT)}"
    assert response.get(wire.COMMENT), "no Error Comment says why"
    assert target.wait_for_log(r".", since=since)
    unchanged(target, before)
    return target.stats()["quarantinedFiles"] - before["quarantinedFiles"]


def stored_exactly(target, instance):
    assert store_one(target, instance)[wire.STATUS] == SUCCESS
    got = get(target, identifier("IMAGE", StudyInstanceUID=instance.study, SeriesInstanceUID=instance.series,
                                 SOPInstanceUID=instance.sop_instance), [instance.pair])
    assert [part.data for part in got.instances] == [instance.data]


def test_a_sop_class_that_differs_from_the_command_is_a900(target):
    instance = tiny(f"{UID}.10", UID, f"{UID}.0", sop_class=wire.SECONDARY_CAPTURE)
    with established(target) as requestor:
        before = target.stats()
        requestor.send(1, wire.store_command(CT, instance.sop_instance), instance.data)
        response, _ = requestor.receive()
    assert response[wire.STATUS] == 0xA900
    unchanged(target, before)


def test_a_sop_instance_that_differs_from_the_command_is_c000_and_quarantined(target):
    assert refused(target, tiny(f"{UID}.11", UID, f"{UID}.0"), 0xC000, sop_instance=f"{UID}.12") == 1


@pytest.mark.parametrize("uid", ["/", "../x", "../../etc/passwd", "1.2/3", "1.2\0.3", "1.2.3;x", "a.b.c",
                                 "1.2 .3", "1." * 32 + "9", "%2e%2e", "1.2\\1.3", "-1.2"])
@pytest.mark.parametrize("where", ["instance", "study", "series"])
def test_a_uid_with_other_characters_or_too_long_is_refused(target, where, uid):
    uids = {"instance": f"{UID}.13", "study": UID, "series": f"{UID}.0", where: uid}
    instance = tiny(uids["instance"], uids["study"], uids["series"], seed=1)
    assert refused(target, instance, 0xC000) == 1
    for path in target.directory.rglob("*"):
        assert "passwd" not in path.name and path.name not in ("x", "..")


@pytest.mark.parametrize("uid", ["..", ".", "...."])
def test_a_uid_of_dots_never_becomes_a_path(target, tmp_path, uid):
    """Digits and dots only, so it may be stored and flagged; but no folder or file is named by it."""
    for uids in ((uid, UID, f"{UID}.0"), (f"{UID}.14.{len(uid)}", uid, uid)):
        before = target.stats()
        status = store_one(target, tiny(*uids))[wire.STATUS]
        assert status in (SUCCESS, 0xC000)
        if status == SUCCESS:
            assert target.stats()["flagged"] > before["flagged"]
    folder = tmp_path / "a" / "b" / "out"
    target.export("--all", out=folder)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents]
    assert outside == []


@pytest.mark.parametrize("uid", [f"{UID}.014", f"{UID}.00", "0.1700.15.1", f"{UID}.14."])
def test_a_uid_of_faulty_grammar_is_stored_and_flagged(target, uid):
    flagged = target.stats()["flagged"]
    stored_exactly(target, tiny(uid, UID, f"{UID}.0"))
    if not uid.startswith("0."):
        assert target.stats()["flagged"] == flagged + 1


def test_a_uid_of_64_characters_is_stored(target):
    uid = f"{UID}.".ljust(64, "7")
    stored_exactly(target, tiny(uid, UID, f"{UID}.0"))


@pytest.mark.parametrize("size", [0, 32, 4096, 4098, 65534])
def test_values_of_any_size_are_stored_exactly(target, size):
    before = (element(8, 0x1030, "LO", b"") + element(8, 0x103E, "LO", b"x" * size) + element(8, 0x1090, "LO", b""))
    stored_exactly(target, tiny(f"{UID}.15.{size}", UID, f"{UID}.0", before=before))


@pytest.mark.parametrize("cut", [1, 7, 100, 2000, 4095])
def test_a_data_set_that_ends_early_is_c000(target, cut):
    instance = tiny(f"{UID}.16", UID, f"{UID}.0")
    instance.data = instance.data[:-cut]
    refused(target, instance, 0xC000)


@pytest.mark.parametrize("data", [b"", b"\x08", b"\x08\x00\x16\x00", b"\x08\x00\x16\x00UI", bytes(8), b"\xff" * 200],
                         ids=["empty", "one byte", "a tag", "a tag and VR", "zeros", "ones"])
def test_a_data_set_that_is_none_is_refused(target, data):
    instance = tiny(f"{UID}.17", UID, f"{UID}.0")
    instance.data = data
    before = target.stats()
    requestor = established(target)
    try:
        assert requestor.store(instance)[wire.STATUS] & 0xF000 in (0xC000, 0xA000)
    except (wire.Aborted, wire.Closed):
        pass
    requestor.socket.close()
    unchanged(target, before)


@pytest.mark.parametrize("length", [4098, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2])
@pytest.mark.parametrize("vr", ["OW", "UN", "UT", "SQ"])
def test_a_value_longer_than_the_data_is_c000(target, vr, length):
    memory = target.resident()
    lie = element(0x7FE1, 0x10, vr, bytes(64), length)
    refused(target, tiny(f"{UID}.18", UID, f"{UID}.0", after=lie), 0xC000)
    assert target.resident() - memory < 4 * MEBIBYTE


def nested(depth, defined):
    inner = b""
    for _ in range(depth):
        part = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner) if defined else 0xFFFFFFFF) + inner
        if not defined:
            part += struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        inner = struct.pack("<HH2s2xI", 8, 0x1140, b"SQ", len(part) if defined else 0xFFFFFFFF) + part
        if not defined:
            inner += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return inner


@pytest.mark.parametrize("defined", [True, False], ids=["defined lengths", "undefined lengths"])
@pytest.mark.parametrize("depth", [1, 10, 63, 64])
def test_sequences_up_to_64_deep_are_stored_exactly(target, depth, defined):
    stored_exactly(target, tiny(f"{UID}.19.{depth}.{int(defined)}", UID, f"{UID}.0", before=nested(depth, defined)))


@pytest.mark.parametrize("defined", [True, False], ids=["defined lengths", "undefined lengths"])
@pytest.mark.parametrize("depth", [65, 66, 500, 1100, 5000])
def test_deeper_sequences_are_c000(target, depth, defined):
    refused(target, tiny(f"{UID}.20", UID, f"{UID}.0", before=nested(depth, defined)), 0xC000)


def test_an_undefined_length_without_an_end_is_c000(target):
    for inner in (b"", struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF), struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 50000):
        instance = tiny(f"{UID}.21", UID, f"{UID}.0", size=16)
        instance.data += struct.pack("<HH2s2xI", 0x7FE1, 0x1140, b"SQ", 0xFFFFFFFF) + inner
        refused(target, instance, 0xC000)


def test_an_encapsulated_frame_without_an_end_is_c000(target):
    jpeg = "1.2.840.10008.1.2.4.50"
    instance = tiny(f"{UID}.22", UID, f"{UID}.0", size=0)
    instance.transfer_syntax = jpeg
    instance.data = instance.data[:-12] + struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 8) + bytes(8)
    refused(target, instance, 0xC000)


def deflated(data):
    packer = zlib.compressobj(9, wbits=-15)
    out = packer.compress(data) + packer.flush()
    return out + b"\0" * (len(out) % 2)


def test_a_deflated_data_set_is_stored_exactly_and_found(target):
    instance = tiny(f"{UID}.23", UID, f"{UID}.0")
    instance.transfer_syntax, instance.data = wire.DEFLATED, deflated(instance.data)
    stored_exactly(target, instance)


def test_a_deflated_bomb_is_refused_or_stored_exactly_in_bounded_memory(target):
    """A gigabyte of zeros in one megabyte."""
    target.reset_peak()
    memory = target.resident()
    plain = tiny(f"{UID}.24", UID, f"{UID}.0", size=0)
    packer = zlib.compressobj(9, wbits=-15)
    out = [packer.compress(plain.data[:-12]),
           packer.compress(struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OW", 1 << 30))]
    zeros = bytes(1 << 24)
    out += [packer.compress(zeros) for _ in range(64)] + [packer.flush()]
    data = b"".join(out)
    bomb = Instance(CT, plain.sop_instance, wire.DEFLATED, data + b"\0" * (len(data) % 2), UID, f"{UID}.0")
    status = store_one(target, bomb)[wire.STATUS]
    assert status == SUCCESS or status & 0xF000 in (0xA000, 0xC000)
    assert target.peak() - memory < 96 * MEBIBYTE
    if status == SUCCESS:
        stored_exactly(target, bomb)


def test_a_broken_or_truncated_deflate_stream_is_c000(target):
    good = deflated(tiny(f"{UID}.25", UID, f"{UID}.0").data)
    for data in (good[:len(good) // 2], good[:-2], b"\xff" * 100):
        refused(target, Instance(CT, f"{UID}.25", wire.DEFLATED, data, UID, f"{UID}.0"), 0xC000)


def test_rows_columns_and_frames_that_overflow_are_only_numbers(target):
    huge = (element(0x28, 8, "IS", "2147483647"))
    instance = tiny(f"{UID}.26", UID, f"{UID}.0")
    instance.data = instance.data.replace(element(0x28, 0x10, "US", struct.pack("<H", 1)),
                                          huge + element(0x28, 0x10, "US", b"\xff\xff"))
    stored_exactly(target, instance)


def test_a_forged_copy_from_a_stranger_never_takes_the_place_of_the_original(new_archive):
    archive = new_archive(peers=[{"aeTitle": "CT1", "addresses": ["127.0.0.0/8"], "organisation": "hospital-1"}])
    original, forged = ct(seed=1), ct(seed=2)
    store_all(archive, [original], "CT1")
    store_all(archive, [forged], "FORGER")
    query = identifier("IMAGE", StudyInstanceUID=original.study, SeriesInstanceUID=original.series,
                       SOPInstanceUID=original.sop_instance)
    got = get(archive, query, calling="CT1")
    assert [part.data for part in got.instances] == [original.data]
    stats = archive.stats()
    assert stats["versions"] == 2 and stats["flagged"] >= 1


def test_other_associations_go_on_while_one_misbehaves(target):
    with established(target) as good:
        for number in range(20):
            bad = established(target)
            bad.socket.sendall(os.urandom(200))
            assert good.store(tiny(f"{UID}.27.{number}", UID, f"{UID}.0"))[wire.STATUS] == SUCCESS
            bad.socket.close()


# Queries: rows 11, 33, 34

QUERY = [(wire.STUDY_FIND, (IMPLICIT,)), (wire.PATIENT_FIND, (IMPLICIT,)), (wire.STUDY_MOVE, (IMPLICIT,))]


def implicit(group, number, value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<HHI", group, number, len(value) + len(value) % 2) + value + b" " * (len(value) % 2)


def identifiers():
    study = implicit(8, 0x52, "STUDY")
    yield "no level", implicit(0x20, 0x0D, "")
    yield "an unknown level", implicit(8, 0x52, "GALAXY")
    yield "an empty identifier", b""
    yield "one byte", b"\x08"
    yield "random bytes", random.Random(5).randbytes(300)
    yield "a value longer than the identifier", study + struct.pack("<HHI", 0x10, 0x10, 2 ** 32 - 2) + b"Smith"
    yield "a sequence without an end", study + struct.pack("<HHI", 0x40, 0x275, 2 ** 32 - 1)
    yield "a sequence 500 deep", study + struct.pack(
        "<HHIHHI", 0x40, 0x275, 2 ** 32 - 1, 0xFFFE, 0xE000, 2 ** 32 - 1) * 500
    yield "an impossible date range", study + implicit(8, 0x20, "20269999-abc")
    yield "a wildcard in a UID", study + implicit(0x20, 0x0D, "1.2.*")
    yield "bytes that no character set has", study + implicit(8, 5, "ISO_IR 192") + implicit(
        0x10, 0x10, b"\xff\xfe\x80*")
    yield "an unknown character set", study + implicit(8, 5, "KLINGON") + implicit(0x10, 0x10, "Smith")
    yield "NUL in a value", study + implicit(0x10, 0x20, b"a\0b\0")
    yield "65,000 characters", study + implicit(0x10, 0x20, "x" * 65000)
    yield "20,000 UIDs", study + implicit(0x20, 0x0D, "\\".join(f"1.2.3.{number}" for number in range(20000)))


MUST_FAIL = {"no level", "an unknown level", "an empty identifier", "one byte", "random bytes",
             "a value longer than the identifier", "a sequence without an end", "a sequence 500 deep"}


@pytest.mark.parametrize("name, data", identifiers(), ids=[name for name, _ in identifiers()])
def test_a_crafted_query_gets_a_status(target, name, data):
    memory = target.resident()
    requestor = established(target, QUERY)
    begun = time.monotonic()
    try:
        status, _, rows = requestor.find(data)
        if name in MUST_FAIL:
            assert status == 0xA900 or status & 0xF000 == 0xC000, f"{status:04X}H"
            assert rows == []
        else:
            assert status == SUCCESS or status & 0xF000 in (0xA000, 0xC000), f"{status:04X}H"
    except (wire.Aborted, wire.Closed):
        assert name in MUST_FAIL
    requestor.socket.close()
    assert time.monotonic() - begun < 5
    assert target.resident() - memory < 16 * MEBIBYTE


def test_mutated_queries_never_stop_the_server(target):
    chosen = random.Random(1702)
    good = encode(identifier("STUDY", StudyInstanceUID="", PatientName="A*", StudyDate="20260101-20260202",
                             ModalitiesInStudy="CT"), IMPLICIT)
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(chosen.randrange(1, 5)):
            bad[chosen.randrange(len(bad))] = chosen.randrange(256)
        requestor = established(target, QUERY)
        try:
            requestor.find(bytes(bad[:chosen.randrange(1, len(bad) + 1)]))
        except (wire.Aborted, wire.Closed, UnicodeDecodeError):
            pass
        requestor.socket.close()


def test_matching_keys_are_data_and_never_sql_or_patterns_of_sql(archive):
    ids = ["100%", "100_", "100x", "it's", '"quoted"', "back\\slash".replace("\\", "/"), "a;b--c", "x' OR '1'='1",
           "NULL", "[ab]", "100%_'x"]
    store_all(archive, [ct(number, PatientID=value) for number, value in enumerate(ids, 1)])
    for value in ids:
        found = find(archive, identifier("STUDY", StudyInstanceUID="", PatientID=value))
        assert found.status == 0 and found.values("PatientID") == [value]
    for value in ("'; DROP TABLE instances; --", "%", "____", "' UNION SELECT 1 --", "[!a]*", "100%%"):
        assert find(archive, identifier("STUDY", StudyInstanceUID="", PatientID=value)).rows == []
    assert len(find(archive, identifier("STUDY", StudyInstanceUID="")).rows) == len(ids)


@pytest.mark.parametrize("pattern", ["*?" * 31 + "z", "*a" * 31 + "z", "*" * 64, "?" * 64, "*a*a*a*a*a*a*b"])
def test_patterns_that_explode_in_naive_matchers_are_quick(archive, pattern):
    store_all(archive, [ct(number, PatientName="a" * 60 + f"^{number}", PatientID="a" * 60 + str(number))
                        for number in range(1, 101)])
    begun = time.monotonic()
    for keyword in ("PatientName", "PatientID"):
        assert find(archive, identifier("STUDY", StudyInstanceUID="", **{keyword: pattern})).status in (0, 0xA900)
    assert time.monotonic() - begun < 3


def test_a_move_to_an_unknown_destination_is_a801(target):
    assert move(target, identifier("STUDY", StudyInstanceUID=UID), "NOWHERE").status == 0xA801


# Disk full: row 51

def assert_full_then_free(archive, kept, free):
    """A700H within a second while reads go on; after `free`, stores are accepted again without a restart."""
    extra = ct(2, rows=512)
    begun = time.monotonic()
    status = None
    with established(archive) as requestor:
        for number in range(400):
            begun = time.monotonic()
            status = requestor.store(ct(2, number=number + 10, rows=512))[wire.STATUS]
            if status != SUCCESS:
                break
        assert status == 0xA700, f"{status:04X}H"
        assert time.monotonic() - begun < 1.5
        assert requestor.echo() == SUCCESS, "the association goes on"
        assert requestor.store(extra)[wire.STATUS] == 0xA700
    for instance in kept:
        got = get(archive, identifier("IMAGE", StudyInstanceUID=instance.study, SeriesInstanceUID=instance.series,
                                      SOPInstanceUID=instance.sop_instance))
        assert [part.data for part in got.instances] == [instance.data]
    assert find(archive, identifier("STUDY", StudyInstanceUID=kept[0].study)).status == 0
    free()
    deadline = time.monotonic() + 30
    while store_one(archive, extra)[wire.STATUS] != SUCCESS:
        assert time.monotonic() < deadline, "space is back, but stores are still refused"
        time.sleep(0.5)


@pytest.mark.limit(600)
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_is_a700_while_reads_go_on_and_stores_resume(kind, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place, image = tmp_path / "mount", tmp_path / "image"
    place.mkdir()
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", place]
    else:
        with open(image, "wb") as file:
            file.truncate(192 << 20)
        subprocess.run([program("mkfs.ext4", "e2fsprogs"), "-q", "-F", image], check=True)
        mount = ["mount", "-o", "loop", image, place]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"{kind} cannot be mounted here: {mounted.stderr.strip()}")
    archive = Archive(tmp_path / "archive", configuration(storage={"freeSpaceFloorMiB": 32, "segmentMiB": 16}))
    archive.data = place / "data"
    try:
        archive.start()
        kept = [ct(1, number=number, rows=256) for number in (1, 2)]
        store_all(archive, kept)
        ballast = place / "ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 96 << 20)
        assert_full_then_free(archive, kept, ballast.unlink)
        archive.verify("--full")
        archive.close()
    finally:
        archive.kill()
        subprocess.run(["umount", "-l", place], check=False)


def test_below_the_free_space_floor_stores_are_a700_and_associations_are_accepted(new_archive):
    archive = new_archive()
    kept = [ct(1)]
    store_all(archive, kept)
    archive.stop()
    archive.write_config(configuration(storage={"freeSpaceFloorMiB": 1 << 32}))
    archive.start()
    before = archive.stats()
    begun = time.monotonic()
    response = store_one(archive, ct(2, rows=512))
    assert response[wire.STATUS] == 0xA700 and time.monotonic() - begun < 1
    unchanged(archive, before, "storedBytes", "quarantinedFiles")
    wire.echo(archive)
    got = get(archive, identifier("STUDY", StudyInstanceUID=kept[0].study))
    assert [part.data for part in got.instances] == [kept[0].data]


def test_quarantine_is_bounded(new_archive):
    archive = new_archive(storage={"quarantineMiB": 1})
    for number in range(40):
        instance = tiny(f"{UID}.{number}", UID, f"{UID}.0", size=65534)
        response = store_one(archive, instance, sop_instance=f"{UID}.9999")
        assert response[wire.STATUS] == 0xC000
    assert archive.stats()["quarantinedBytes"] <= MEBIBYTE
    on_disk = sum(path.stat().st_size for path in (archive.data / "quarantine").rglob("*") if path.is_file())
    assert on_disk <= MEBIBYTE + 65536


def test_text_from_the_wire_cannot_break_a_log_line(target):
    since = len(target.log)
    with pytest.raises(wire.Rejected):
        established(target, called="X\r\nFAKE ready d", calling="Y\x1b[31m\n\x00")
    time.sleep(0.3)
    for line in target.log[since:]:
        assert not line.startswith("FAKE") and "\x1b" not in line and "\x00" not in line


# Rates

def test_a_peer_has_its_own_bytes_a_second_both_ways(new_archive):
    """A megabyte at 256 KiB a second, less what may come at once; others are not held up."""
    archive = new_archive(peers=[{"aeTitle": "SLOW", "bytesPerSecondMaximum": 262144}, {"aeTitle": "QUICK"}])
    large = ct(901, rows=720, columns=720)
    slow = threading.Thread(target=store_all, args=(archive, [large]), kwargs={"calling": "SLOW"})
    started = time.monotonic()
    slow.start()
    time.sleep(0.5)
    wire.echo(archive, calling="QUICK")
    assert slow.is_alive() and time.monotonic() - started < 3, "others are held up"
    slow.join()
    assert time.monotonic() - started >= 3
    started = time.monotonic()
    got = get(archive, identifier("STUDY", StudyInstanceUID=large.study), calling="SLOW")
    assert [instance.data for instance in got.instances] == [large.data]
    assert time.monotonic() - started >= 3


def test_all_share_the_bytes_a_second_of_dicom(new_archive):
    """Two megabytes by four at a mebibyte a second; whoever asks little is not held up for long, nor is the end."""
    archive = new_archive(dicom={"bytesPerSecondMaximum": 1 << 20})
    senders = [threading.Thread(target=store_all, args=(archive, [ct(910 + number, rows=720, columns=720)]))
               for number in range(4)]
    started = time.monotonic()
    for sender in senders:
        sender.start()
    wire.echo(archive)
    assert time.monotonic() - started < 3
    for sender in senders:
        sender.join()
    assert time.monotonic() - started >= 2.5


def test_more_requests_a_second_than_an_address_has_get_429(new_archive):
    archive = new_archive(http={"requestsPerSecondPerAddressMaximum": 5})
    replies = [web.get(archive, "/healthz") for _ in range(40)]
    refused = [reply for reply in replies if reply.status == 429]
    assert len(refused) >= 10 and all(reply["Retry-After"] == "1" for reply in refused)
    assert sum(reply.status == 200 for reply in replies) >= 5
    time.sleep(1.2)
    web.get(archive, "/healthz").expect(200)


@pytest.mark.parametrize("sections", [
    {"dicom": {"bytesPerSecondMaximum": 1000}}, {"peers": [{"aeTitle": "A", "bytesPerSecondMaximum": 1000}]},
    {"http": {"requestsPerSecondPerAddressMaximum": -1}}, {"query": {"searchSecondsMaximum": 0}}])
def test_rates_that_make_no_sense_are_told(tmp_path, sections):
    archive = Archive(tmp_path / "a", configuration(**sections))
    assert "Maximum" in command("check-config", archive.config_file, check=65).stderr
