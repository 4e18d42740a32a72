"""Storage commitment, push model (PS3.4 annex J): what is promised, what is refused, and how results are told."""
import re
import shutil
import sqlite3
import subprocess

import pytest
from pydicom.uid import generate_uid

from harness import wire
from harness.clients import STUDY_FIND, association, identifier, pairs_of, store_all, store_raw
from harness.commitment import (
    ALL_COMMITTED, CLASS_CONFLICT, CLASS_NOT_SUPPORTED, COMMITMENT, DUPLICATE_TRANSACTION, FAILURES_EXIST,
    NO_SUCH_INSTANCE, PROCESSING_FAILURE, WELL_KNOWN, ByHand, Events, Listener, ask, ask_and_close, ask_and_wait,
    free_port, information, peer, pending, references, wait_until_finished)
from harness.samples import ct, ct_study, encode, tiny
from harness.tools import flip
from harness.wire import BIG_ENDIAN, CT, EXPLICIT, IMPLICIT

MR = "1.2.840.10008.5.1.4.1.1.4"
QUICK = {"retrySeconds": 0.5}


def flip_a_byte(archive, instance):
    """Below the running server, as a failing disk would."""
    middle = len(instance.data) // 2
    marker = instance.data[middle:middle + 64]
    for path in archive.segments():
        at = path.read_bytes().find(marker)
        if at >= 0:
            return flip(path, at + 32)
    raise AssertionError("the instance's bytes are in no segment")


@pytest.fixture
def listener():
    opened = Listener()
    yield opened
    opened.close()


# The same association

@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_all_is_committed_and_told_on_the_same_association(archive, syntax):
    study = ct_study(count=5)
    store_all(archive, study)
    event = ask_and_wait(archive, study, syntaxes=[syntax])
    assert event.kind == ALL_COMMITTED and event.failed == {}
    assert event.committed == references(study)
    assert event.retrieve_title == "SNIMOK"
    assert pending(archive) == 0


def test_what_was_stored_on_the_same_association_is_committed(archive):
    study = ct_study(count=3)
    events = Events()
    contexts = [(COMMITMENT, [EXPLICIT]), *((cls, [syntax]) for cls, syntax in pairs_of(study))]
    with association(archive, contexts, handlers=[events.handler()]) as opened:
        for number, instance in enumerate(study):
            assert store_raw(opened, instance, number).Status == 0x0000
        opened._reactor_checkpoint.set()
        asked = ask(opened, study, message_id=100)
        event = events.next()
        wait_until_finished(archive)
    assert event.transaction == asked and event.kind == ALL_COMMITTED and event.committed == references(study)


def test_results_do_not_come_between_stores(archive):
    """While the station goes on storing, its answers are those to its stores; the result comes when it pauses."""
    first, rest = ct(number=1), [ct(number=number, rows=128) for number in range(2, 30)]
    store_all(archive, [first])
    with ByHand(archive, more=((CT, (EXPLICIT,)),)) as station:
        assert station.action(information([first])) == 0
        for instance in rest:
            assert station.store(instance)[wire.STATUS] == 0
        event = station.event()
        assert event.kind == ALL_COMMITTED and event.committed == references([first])


def test_several_requests_on_one_association(archive):
    study = ct_study(count=4)
    store_all(archive, study)
    events = Events()
    with association(archive, [(COMMITMENT, [EXPLICIT])], handlers=[events.handler()]) as opened:
        asked = [ask(opened, [instance], message_id=number + 1) for number, instance in enumerate(study)]
        told = [events.next() for _ in asked]
        wait_until_finished(archive)
    assert sorted(event.transaction for event in told) == sorted(asked)
    assert all(event.kind == ALL_COMMITTED for event in told)


# A new association

def test_a_station_that_closes_at_once_is_called_back(new_archive, listener):
    archive = new_archive(peers=[listener.peer()], commitment=QUICK)
    study = ct_study(count=3)
    store_all(archive, study, calling="CT1")
    asked = ask_and_close(archive, study)
    event = listener.next()
    assert event.transaction == asked and event.kind == ALL_COMMITTED and event.committed == references(study)
    assert event.called == "SNIMOK", "the archive calls by its own title"
    assert listener.proposals.get(timeout=5)[COMMITMENT] == (False, True), "it proposes to be the SCP (PS3.7 D.3.3.4)"
    wait_until_finished(archive)
    listener.assert_none()


def test_a_station_without_role_selection_is_told_all_the_same(new_archive):
    listener = Listener(roles=False)
    try:
        archive = new_archive(peers=[listener.peer()], commitment=QUICK)
        store_all(archive, [ct()], calling="CT1")
        asked = ask_and_close(archive, [ct()])
        assert listener.next().transaction == asked
        wait_until_finished(archive)
    finally:
        listener.close()


def test_many_results_of_one_station_are_told(new_archive, listener):
    archive = new_archive(peers=[listener.peer()], commitment=QUICK)
    study = ct_study(count=20)
    store_all(archive, study, calling="CT1")
    asked = {ask_and_close(archive, [instance]) for instance in study}
    assert {listener.next().transaction for _ in study} == asked
    wait_until_finished(archive)


def test_a_station_that_aborts_after_its_request_is_called_back(new_archive, listener):
    archive = new_archive(peers=[listener.peer()], commitment=QUICK)
    store_all(archive, [ct()], calling="CT1")
    station = ByHand(archive, calling="CT1")
    data = information([ct()])
    assert station.action(data) == 0
    station.abort()
    assert listener.next().transaction == data.TransactionUID


def test_a_result_that_nobody_takes_is_told_later(new_archive):
    port = free_port()
    archive = new_archive(peers=[peer("CT1", port)], commitment=QUICK)
    store_all(archive, [ct()], calling="CT1")
    asked = ask_and_close(archive, [ct()])
    archive.wait_for_log("result of storage commitment not told yet")
    assert pending(archive) == 1
    listener = Listener(port=port)
    try:
        assert listener.next().transaction == asked
        wait_until_finished(archive)
    finally:
        listener.close()


def test_a_result_that_is_refused_is_told_again(new_archive):
    listener = Listener(status=0x0110)
    try:
        archive = new_archive(peers=[listener.peer()], commitment=QUICK)
        store_all(archive, [ct()], calling="CT1")
        asked = ask_and_close(archive, [ct()])
        assert [listener.next().transaction for _ in range(2)] == [asked, asked]
        assert pending(archive) == 1
    finally:
        listener.close()


def test_a_result_is_given_up_after_the_configured_time(new_archive):
    archive = new_archive(peers=[peer("CT1", free_port())], commitment={"retrySeconds": 0.2, "giveUpHours": 0.0003})
    store_all(archive, [ct()], calling="CT1")
    ask_and_close(archive, [ct()])
    archive.wait_for_log("storage commitment given up", timeout=30)
    wait_until_finished(archive)


def test_only_configured_addresses_are_called(new_archive):
    """A station that nobody configured is told on its own association or not at all."""
    archive = new_archive(commitment=QUICK)
    store_all(archive, [ct()])
    ask_and_close(archive, [ct()], calling="TESTER")
    archive.wait_for_log("not among the configured peers")
    assert ask_and_wait(archive, [ct()]).kind == ALL_COMMITTED


# What is promised

def test_a_partial_list_says_which_failed_and_why(archive):
    stored = ct_study(count=3)
    store_all(archive, stored)
    missing = ct(study=9)
    event = ask_and_wait(archive, [stored[0], missing, (MR, stored[1].sop_instance), stored[2],
                                   (STUDY_FIND, stored[0].sop_instance + ".1")])
    assert event.kind == FAILURES_EXIST
    assert event.committed == references([stored[0], stored[2]])
    assert event.failed == {missing.sop_instance: NO_SUCH_INSTANCE, stored[1].sop_instance: CLASS_CONFLICT,
                            stored[0].sop_instance + ".1": CLASS_NOT_SUPPORTED}


def test_nothing_is_committed_of_what_is_unknown(archive):
    event = ask_and_wait(archive, [ct()])
    assert event.kind == FAILURES_EXIST and event.committed == []
    assert event.failed == {ct().sop_instance: NO_SUCH_INSTANCE}


def test_a_damaged_instance_fails_and_its_neighbours_are_committed(archive):
    study = ct_study(count=4, rows=128)
    store_all(archive, study)
    assert ask_and_wait(archive, study).kind == ALL_COMMITTED
    flip_a_byte(archive, study[2])
    event = ask_and_wait(archive, study)
    assert event.kind == FAILURES_EXIST and event.failed == {study[2].sop_instance: PROCESSING_FAILURE}
    assert event.committed == references([study[0], study[1], study[3]])
    archive.wait_for_log("its stored bytes are bad")
    assert archive.stats()["flagged"] > 0, "everybody knows of the damage"


def test_a_damaged_large_object_fails(new_archive):
    archive = new_archive(storage={"largeObjectMiB": 1})
    large = ct(rows=1024)
    store_all(archive, [large])
    assert ask_and_wait(archive, [large]).kind == ALL_COMMITTED
    path, = (archive.data / "large").iterdir()
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size - 100)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    assert ask_and_wait(archive, [large]).failed == {large.sop_instance: PROCESSING_FAILURE}
    path.unlink()
    archive.restart()
    assert ask_and_wait(archive, [large]).failed == {large.sop_instance: PROCESSING_FAILURE}


def test_a_resend_that_heals_is_committed_again(archive):
    hurt = ct(rows=128)
    store_all(archive, [hurt])
    flip_a_byte(archive, hurt)
    assert ask_and_wait(archive, [hurt]).kind == FAILURES_EXIST
    store_all(archive, [hurt])
    assert ask_and_wait(archive, [hurt]).kind == ALL_COMMITTED


def test_what_is_deleted_is_not_committed(archive):
    study = ct_study(count=2)
    store_all(archive, study)
    archive.command("delete", "--instance", study[0].sop_instance, check=0, with_config=True)
    event = ask_and_wait(archive, study)
    assert event.failed == {study[0].sop_instance: NO_SUCH_INSTANCE} and event.committed == references(study[1:])
    store_all(archive, study)
    assert ask_and_wait(archive, study).kind == ALL_COMMITTED


def test_what_only_another_station_sent_is_not_committed(archive):
    instance = ct()
    store_all(archive, [instance], calling="OTHER")
    event = ask_and_wait(archive, [instance])
    assert event.failed == {instance.sop_instance: NO_SUCH_INSTANCE}
    assert ask_and_wait(archive, [instance], calling="OTHER").kind == ALL_COMMITTED


def test_what_several_stations_sent_is_committed_to_each(archive):
    """The second one's copy was known already and is a sighting only; it was told success, and may rely on it."""
    instance = ct()
    for title in ("FIRST", "SECOND", "SECOND"):
        store_all(archive, [instance], calling=title)
    for title in ("FIRST", "SECOND"):
        assert ask_and_wait(archive, [instance], calling=title).kind == ALL_COMMITTED
    assert ask_and_wait(archive, [instance], calling="THIRD").kind == FAILURES_EXIST
    archive.stop()
    archive.delete_catalog()
    archive.start()
    assert ask_and_wait(archive, [instance], calling="SECOND").kind == ALL_COMMITTED, "it follows from the log"
    assert ask_and_wait(archive, [instance], calling="THIRD").kind == FAILURES_EXIST


def test_each_station_has_its_own_version_committed(archive):
    """A promise for another station's content under the same UID would cost the only copy of the asker's own."""
    mine, theirs = ct(rows=128, seed=1), ct(rows=128, seed=2)
    store_all(archive, [mine], calling="MINE")
    store_all(archive, [theirs], calling="THEIRS")
    assert ask_and_wait(archive, [mine], calling="MINE").kind == ALL_COMMITTED
    flip_a_byte(archive, mine)
    assert ask_and_wait(archive, [mine], calling="MINE").failed == {mine.sop_instance: PROCESSING_FAILURE}
    assert ask_and_wait(archive, [theirs], calling="THEIRS").kind == ALL_COMMITTED


def test_all_versions_that_a_station_sent_must_stand(archive):
    old, new = ct(rows=128, seed=1), ct(rows=128, seed=2)
    store_all(archive, [old])
    store_all(archive, [new])
    assert ask_and_wait(archive, [new]).kind == ALL_COMMITTED
    flip_a_byte(archive, old)
    assert ask_and_wait(archive, [new]).failed == {new.sop_instance: PROCESSING_FAILURE}


def test_stations_of_another_organisation_are_told_nothing(new_archive):
    archive = new_archive(peers=[{"aeTitle": "CT1", "organisation": "hospital-1"},
                                 {"aeTitle": "CT2", "organisation": "hospital-2"}])
    store_all(archive, [ct()], calling="CT1")
    assert ask_and_wait(archive, [ct()], calling="CT2").failed == {ct().sop_instance: NO_SUCH_INSTANCE}


def test_bytes_are_read_past_the_page_cache(new_archive, tmp_path):
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True).returncode:
        pytest.skip("strace cannot trace here")
    trace = tmp_path / "trace"
    archive = new_archive(wrapper=[strace, "-f", "-y", "-s", "0", "-e", "trace=openat,pread64", "-o", str(trace)])
    study = ct_study(count=3, rows=256)
    store_all(archive, study)
    assert ask_and_wait(archive, study).kind == ALL_COMMITTED
    archive.stop()
    direct, past_the_cache, heads = set(), 0, 0
    for call in calls_of(trace.read_text(errors="replace")):
        if opened := re.match(r"openat\(.* = (\d+)<", call):
            change = direct.add if "/proc/self/fd/" in call and "O_DIRECT" in call else direct.discard
            change(opened[1])
            heads += opened[1] in direct
        elif (read := re.match(r"pread64\((\d+)<.* = (\d+)$", call)) and read[1] in direct:
            past_the_cache += int(read[2])
    # Head and payload of each record, by a descriptor that was opened for it.
    assert heads >= len(study) and past_the_cache >= sum(4096 + len(sent.data) for sent in study), call


def calls_of(trace):
    """The system calls of a trace by strace, those that another thread has interrupted put together."""
    unfinished = {}
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            yield unfinished.pop(thread, "") + resumed[1]
        else:
            yield call


# Restarts

@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_is_pending_survives_a_restart(new_archive, how):
    port = free_port()
    archive = new_archive(peers=[peer("CT1", port)], commitment=QUICK)
    study = ct_study(count=3)
    store_all(archive, study, calling="CT1")
    asked = ask_and_close(archive, [*study, ct(study=7)])
    getattr(archive, how)()
    listener = Listener(port=port)
    try:
        archive.start()
        event = listener.next()
        assert event.transaction == asked and event.kind == FAILURES_EXIST
        assert event.committed == references(study) and event.failed == {ct(study=7).sop_instance: NO_SUCH_INSTANCE}
        wait_until_finished(archive)
    finally:
        listener.close()


def test_an_acknowledged_request_survives_a_kill_at_once(new_archive):
    port = free_port()
    archive = new_archive(peers=[peer("CT1", port)], commitment=QUICK)
    store_all(archive, [ct()], calling="CT1")
    asked = set()
    for _ in range(5):
        station = ByHand(archive, calling="CT1")
        data = information([ct()])
        assert station.action(data) == 0
        asked.add(data.TransactionUID)
        archive.kill()
        station.socket.close()
        archive.start()
    listener = Listener(port=port)
    try:
        # Pauses have grown; a start tries at once.
        archive.restart()
        told = set()
        while told != asked:
            told.add(listener.next().transaction)
        wait_until_finished(archive)
    finally:
        listener.close()


# Transactions

def test_the_same_request_again_while_it_is_pending_is_one_request(new_archive):
    port = free_port()
    archive = new_archive(peers=[peer("CT1", port)], commitment=QUICK)
    store_all(archive, [ct()], calling="CT1")
    asked = ask_and_close(archive, [ct()])
    assert ask_and_close(archive, [ct()], transaction=asked) == asked
    assert pending(archive) == 1
    listener = Listener(port=port)
    try:
        assert listener.next().kind == ALL_COMMITTED
        wait_until_finished(archive)
        listener.assert_none()
    finally:
        listener.close()


def test_a_transaction_uid_in_use_for_other_instances_is_a_duplicate(new_archive):
    port = free_port()
    archive = new_archive(peers=[peer("CT1", port), peer("CT2", free_port())], commitment=QUICK)
    study = ct_study(count=2)
    store_all(archive, study, calling="CT1")
    asked = ask_and_close(archive, study[:1])
    ask_and_close(archive, study, transaction=asked)
    # Another station's transactions are its own.
    ask_and_close(archive, study[:1], transaction=asked, calling="CT2")
    assert pending(archive) == 3
    listener = Listener(port=port)
    try:
        told = sorted((listener.next() for _ in range(2)), key=lambda event: event.kind)
        assert told[0].kind == ALL_COMMITTED and told[0].committed == references(study[:1])
        assert told[1].kind == FAILURES_EXIST and told[1].committed == []
        assert told[1].failed == {instance.sop_instance: DUPLICATE_TRANSACTION for instance in study}
        assert {event.transaction for event in told} == {asked}
    finally:
        listener.close()


def test_a_finished_transaction_may_be_asked_for_again(archive):
    """The result may have got lost on its way into the station."""
    store_all(archive, [ct()])
    transaction = generate_uid()
    for _ in range(2):
        assert ask_and_wait(archive, [ct()], transaction=transaction).kind == ALL_COMMITTED


# Malformed and hostile requests

def request_without(keyword):
    data = information([ct()])
    delattr(data, keyword)
    return data


def item_with(**values):
    data = information([ct()])
    for keyword, value in values.items():
        if value is None:
            delattr(data.ReferencedSOPSequence[0], keyword)
        else:
            setattr(data.ReferencedSOPSequence[0], keyword, value)
    return data


def with_transaction(uid):
    data = information([ct()])
    data.TransactionUID = uid
    return data


@pytest.mark.parametrize("data, expected", [
    (lambda: None, {0x0120}),
    (lambda: b"", {0x0120}),
    (lambda: request_without("TransactionUID"), {0x0120}),
    (lambda: request_without("ReferencedSOPSequence"), {0x0120}),
    (lambda: information([]), {0x0121}),
    (lambda: with_transaction(""), {0x0121}),
    (lambda: with_transaction("../../etc/passwd"), {0x0106}),
    (lambda: item_with(ReferencedSOPClassUID=None), {0x0120}),
    (lambda: item_with(ReferencedSOPInstanceUID=None), {0x0120}),
    (lambda: item_with(ReferencedSOPInstanceUID=""), {0x0121}),
    (lambda: item_with(ReferencedSOPInstanceUID="1." + "2" * 70), {0x0106}),
    (lambda: b"\xff" * 100, {0x0110, 0x0120}),
    (lambda: b"\x08\x00\x99\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0", {0x0110, 0x0120}),
], ids=["none", "empty", "no transaction", "no sequence", "no items", "empty transaction", "no uid", "no class",
        "no instance", "empty instance", "long uid", "garbage", "cut"])
def test_malformed_requests_are_refused(shared, data, expected):
    with ByHand(shared) as station:
        assert station.action(data()) in expected
        assert station.action(information([ct()])) == 0, "the association goes on"
        assert station.event().kind == FAILURES_EXIST


@pytest.mark.parametrize("options, expected", [
    (dict(action_type=2), 0x0123), (dict(action_type=None), 0x0123),
    (dict(sop_instance="1.2.840.10008.1.20.1.2"), 0x0112), (dict(sop_instance=None), 0x0112),
    (dict(sop_class=CT), 0x0118), (dict(sop_class=None), 0x0118),
])
def test_requests_for_something_else_are_refused(shared, options, expected):
    with ByHand(shared) as station:
        assert station.action(information([ct()]), **options) == expected


def test_an_action_on_another_context_is_no_operation(shared):
    with wire.Requestor(shared) as station:
        station.send(station.context(wire.ECHO), {0x0003: COMMITMENT, wire.FIELD: 0x0130, wire.MESSAGE: 1,
                                                  wire.DATA_SET_TYPE: 0x0101, 0x1001: WELL_KNOWN, 0x1008: 1})
        assert station.receive()[0][wire.STATUS] == 0x0211
        assert station.echo() == 0


def test_an_answer_to_no_event_ends_the_association(shared):
    station = ByHand(shared)
    station.send(station.context(COMMITMENT), {
        wire.CLASS: COMMITMENT, wire.FIELD: 0x8100, wire.RESPONDED: 9, wire.DATA_SET_TYPE: 0x0101, wire.STATUS: 0})
    assert ("abort", 2, 2) in wire.ends(station.socket)


def test_an_event_that_is_never_answered_is_told_on_another_association(new_archive, listener):
    """The station takes the event off the wire and hangs up without an answer."""
    archive = new_archive(peers=[listener.peer()], commitment=QUICK)
    store_all(archive, [ct()], calling="CT1")
    station = ByHand(archive, calling="CT1")
    data = information([ct()])
    assert station.action(data) == 0
    command, _ = station.receive()
    assert command[wire.FIELD] == 0x0100
    station.socket.close()
    assert listener.next().transaction == data.TransactionUID


@pytest.mark.limit(600)
def test_ten_thousand_instances(archive):
    stored = [tiny(f"1.2.3.4.{number}", "1.2.3", "1.2.3.4", size=64) for number in range(1, 1001)]
    store_all(archive, stored)
    missing = [(CT, f"1.2.3.5.{number}") for number in range(9000)]
    event = ask_and_wait(archive, [*stored, *missing], timeout=300)
    assert event.kind == FAILURES_EXIST
    assert event.committed == references(stored)
    assert len(event.failed) == 9000 and set(event.failed.values()) == {NO_SUCH_INSTANCE}


def test_the_same_instance_ten_thousand_times_is_read_once(archive):
    instance = ct(rows=512)
    store_all(archive, [instance])
    event = ask_and_wait(archive, [instance] * 10_000, timeout=120)
    assert event.kind == ALL_COMMITTED and len(event.committed) == 10_000


def test_a_request_beyond_all_measure_is_refused(archive):
    with ByHand(archive) as station:
        assert station.action(bytes(9 << 20)) == 0x0213
        assert station.action(information([ct()])) == 0


def test_a_query_goes_on_while_a_result_waits(archive):
    """On one association: the rows of a C-FIND and its final answer come first."""
    study = ct_study(count=3)
    store_all(archive, study)
    with ByHand(archive, more=((STUDY_FIND, (EXPLICIT,)),)) as station:
        assert station.action(information(study)) == 0
        status, _, rows = station.find(encode(identifier("STUDY", StudyInstanceUID="")))
        assert status == 0 and len(rows) == 1
        assert station.event().kind == ALL_COMMITTED


# Configuration

def test_commitment_can_be_switched_off(new_archive):
    archive = new_archive(commitment={"enabled": False})
    with wire.Requestor(archive, contexts=((wire.ECHO, (IMPLICIT,)), (COMMITMENT, (EXPLICIT,)))) as station:
        assert station.results == {1: 0, 3: 3}
        assert station.echo() == 0


@pytest.mark.parametrize("section", [{"retrySeconds": 0}, {"giveUpHours": -1}, {"retrySecond": 1}])
def test_wrong_settings_are_said(new_archive, section):
    archive = new_archive(start=False, commitment=section)
    with pytest.raises(AssertionError, match="commitment"):
        archive.start()


def test_control_db_of_a_later_version_is_left_alone(new_archive):
    archive = new_archive()
    archive.stop()
    control = archive.data / "control.db"
    with sqlite3.connect(control) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    before = control.read_bytes()
    with pytest.raises(AssertionError, match="newer version"):
        archive.start()
    assert control.read_bytes() == before
