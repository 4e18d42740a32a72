"""C-GET and C-MOVE beyond a single instance: counts, cancel, failures, unreachable destinations, re-encoding."""
import threading
import time

import pytest
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt

from harness import wire
from harness.clients import (
    PATIENT_GET, PATIENT_MOVE, STUDY_GET, UNCOMPRESSED, Destination, association, extended, get, identifier, move,
    received_instance, store_all)
from harness.samples import ROOT_UID, ct, ct_data_set, ct_study, decode, element, instance
from harness.tools import free_port, run

EXPLICIT, IMPLICIT, BIG = wire.EXPLICIT, wire.IMPLICIT, wire.BIG_ENDIAN


def sent_and_received(sent, received):
    assert {one.sop_instance: one.data for one in received} == {one.sop_instance: one.data for one in sent}
    assert len(received) == len(sent)


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_get_and_move_at_level(level, new_archive, destination):
    archive = new_archive(peers=[destination.peer()])
    sent = ct_study(1, 3) + ct_study(1, 2, series=2) + ct_study(2, 2)
    store_all(archive, sent)
    study, series = f"{ROOT_UID}.1", f"{ROOT_UID}.1.2"
    query, expected = {
        "PATIENT": (identifier("PATIENT", PatientID="P1"), sent[:5]),
        "STUDY": (identifier("STUDY", PatientID="P1", StudyInstanceUID=study), sent[:5]),
        "SERIES": (identifier("SERIES", PatientID="P1", StudyInstanceUID=study, SeriesInstanceUID=series), sent[3:5]),
        "IMAGE": (identifier("IMAGE", PatientID="P1", StudyInstanceUID=study, SeriesInstanceUID=series,
                             SOPInstanceUID=[f"{series}.1", f"{series}.2"]), sent[3:5]),
    }[level]
    got = get(archive, query, model=PATIENT_GET)
    assert (got.status, got.completed, got.failed) == (0, len(expected), 0)
    sent_and_received(expected, got.instances)
    moved = move(archive, query, "DESTINATION", model=PATIENT_MOVE)
    assert (moved.status, moved.completed, moved.failed) == (0, len(expected), 0)
    sent_and_received(expected, destination.received)


def test_a_list_of_studies_is_moved(new_archive, destination):
    archive = new_archive(peers=[destination.peer()])
    sent = ct_study(1) + ct_study(2) + ct_study(3)
    store_all(archive, sent)
    moved = move(archive, identifier("STUDY", StudyInstanceUID=[f"{ROOT_UID}.1", f"{ROOT_UID}.3"]), "DESTINATION")
    assert moved.status == 0
    sent_and_received(sent[:4] + sent[8:], destination.received)


def test_pending_responses_come_with_counts(new_archive):
    destination = Destination(delay=0.15)
    archive = new_archive(peers=[destination.peer()])
    try:
        store_all(archive, ct_study(count=20))
        seen = []
        with association(archive, [("1.2.840.10008.5.1.4.1.2.2.2", UNCOMPRESSED)]) as opened:
            for status, _ in opened.send_c_move(identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"), "DESTINATION",
                                                "1.2.840.10008.5.1.4.1.2.2.2"):
                if status.Status == 0xFF00:
                    seen.append((status.NumberOfRemainingSuboperations, status.NumberOfCompletedSuboperations))
        assert seen and all(remaining + done == 20 for remaining, done in seen)
        assert seen == sorted(seen, key=lambda pair: pair[1])
    finally:
        destination.close()


def test_dcmtk_getscu_and_movescu_fetch_a_study(new_archive, tmp_path):
    port = free_port()
    archive = new_archive(peers=[{"aeTitle": "MOVER", "addresses": ["127.0.0.1/32"], "host": "127.0.0.1",
                                  "port": port}])
    sent = ct_study(count=5)
    store_all(archive, sent)
    for name, more in (("getscu", []), ("movescu", ["-aem", "MOVER", "--port", port])):
        folder = tmp_path / name
        folder.mkdir()
        run(name, "-S", "-aet", "MOVER", "-aec", "SNIMOK", *more, "-k", "QueryRetrieveLevel=STUDY",
            "-k", f"StudyInstanceUID={ROOT_UID}.1", "-od", folder, "127.0.0.1", archive.dicom_port)
        assert len(list(folder.iterdir())) == 5


def test_nothing_found_is_success_with_no_suboperations(archive):
    got = get(archive, identifier("STUDY", StudyInstanceUID="1.2.3.4"))
    assert (got.status, got.completed, got.failed, got.instances) == (0, 0, 0, [])


def test_an_instance_whose_syntax_the_peer_takes_is_sent_untouched_and_others_are_reencoded(new_archive):
    destination = Destination(pairs=[(wire.CT, IMPLICIT)])
    archive = new_archive(peers=[destination.peer()])
    sent = [ct(1, number=1, transfer_syntax=EXPLICIT), ct(1, number=2, transfer_syntax=IMPLICIT),
            ct(1, number=3, transfer_syntax=BIG)]
    store_all(archive, sent)
    try:
        moved = move(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"), "DESTINATION")
        assert (moved.status, moved.completed) == (0, 3)
    finally:
        destination.close()
    received = {one.sop_instance: one for one in destination.received}
    assert received[sent[1].sop_instance].data == sent[1].data
    for original in sent:
        arrived = received[original.sop_instance]
        assert arrived.transfer_syntax == IMPLICIT
        expected = ct_data_set(1, number=int(original.sop_instance.rsplit(".", 1)[1]))
        assert decode(arrived.data, IMPLICIT) == expected, "the same values in the other encoding"


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, BIG])
def test_uncompressed_syntaxes_are_converted_into_each_other(stored, wanted, archive):
    original = ct(transfer_syntax=stored)
    store_all(archive, [original])
    got = get(archive, identifier("STUDY", StudyInstanceUID=original.study), [(wire.CT, wanted)])
    assert got.status == 0 and len(got.instances) == 1
    if stored == wanted:
        assert got.instances[0].data == original.data
    else:
        assert decode(got.instances[0].data, wanted) == decode(original.data, stored)


def test_what_the_peer_cannot_take_fails_alone_and_is_listed(archive):
    jpeg = "1.2.840.10008.1.2.4.50"
    compressed = ct(1, number=2)
    head = compressed.data[:compressed.data.rindex(b"\xe0\x7f\x10\x00OW")]
    compressed.transfer_syntax = jpeg
    compressed.data = head + element(0x7FE0, 0x10, "OB", b"", 0xFFFFFFFF) + bytes.fromhex(
        "feff00e000000000" "feff00e004000000" "ffd8ffd9" "feffdde000000000")
    plain = ct(1, number=1)
    store_all(archive, [plain, compressed])
    got = get(archive, identifier("STUDY", StudyInstanceUID=plain.study), [(wire.CT, EXPLICIT)])
    assert got.status == 0xB000 and (got.completed, got.failed) == (1, 1)
    assert got.failed_instances == [compressed.sop_instance]
    sent_and_received([plain], got.instances)


def test_a_destination_that_refuses_is_reported_instance_by_instance(new_archive):
    destination = Destination(status=0xA700)
    archive = new_archive(peers=[destination.peer()])
    sent = ct_study(count=3)
    store_all(archive, sent)
    try:
        moved = move(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"), "DESTINATION")
    finally:
        destination.close()
    assert moved.status in (0xB000, 0xA702) and moved.failed == 3
    assert sorted(moved.failed_instances) == sorted(one.sop_instance for one in sent)


def test_an_unreachable_destination_fails_and_the_association_goes_on(new_archive):
    archive = new_archive(peers=[{"aeTitle": "GONE", "addresses": ["127.0.0.1/32"], "host": "127.0.0.1",
                                  "port": free_port()}])
    store_all(archive, ct_study(count=2))
    moved = move(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"), "GONE")
    assert moved.status in (0xA702, 0xB000, 0xA801) and moved.completed == 0
    wire.echo(archive)


def test_a_destination_that_comes_late_is_reached_by_a_retry(new_archive):
    first = Destination()
    peer, port = first.peer(), first.port
    first.close()
    archive = new_archive(peers=[peer])
    sent = ct_study(count=2)
    store_all(archive, sent)
    late = []

    def open_late():
        time.sleep(0.7)
        ae = AE(ae_title="DESTINATION")
        ae.add_supported_context(wire.CT, [EXPLICIT])

        def keep(event):
            late.append(received_instance(event))
            return 0

        late_server.append(ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]))

    late_server = []
    thread = threading.Thread(target=open_late)
    thread.start()
    try:
        moved = move(archive, identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1"), "DESTINATION")
    finally:
        thread.join()
        late_server[0].shutdown()
    assert moved.status == 0
    sent_and_received(sent, late)


@pytest.mark.parametrize("way", ["get", "move"])
def test_cancel_ends_a_retrieval_between_instances(way, new_archive):
    destination = Destination(delay=0.1)
    archive = new_archive(peers=[destination.peer()])
    store_all(archive, ct_study(count=60))
    query = identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1")
    model = STUDY_GET if way == "get" else "1.2.840.10008.5.1.4.1.2.2.2"
    received = []

    def keep(event):
        received.append(received_instance(event))
        time.sleep(0.1)
        return 0

    contexts = [(model, UNCOMPRESSED)] + ([(wire.CT, [EXPLICIT])] if way == "get" else [])
    roles = [build_role(UID(wire.CT), scp_role=True)] if way == "get" else []
    try:
        with association(archive, contexts, negotiation=roles, handlers=[(evt.EVT_C_STORE, keep)]) as opened:
            context = next(c.context_id for c in opened.accepted_contexts if c.abstract_syntax == model)
            timer = threading.Timer(1, lambda: opened.send_c_cancel(7, context))
            timer.start()
            if way == "get":
                responses = list(opened.send_c_get(query, model, msg_id=7))
            else:
                responses = list(opened.send_c_move(query, "DESTINATION", model, msg_id=7))
        status = responses[-1][0]
        assert status.Status == 0xFE00
        arrived = len(received) + len(destination.received)
        assert 0 < arrived < 60
        assert int(status.get("NumberOfCompletedSuboperations", 0)) == arrived
    finally:
        destination.close()


def test_the_move_originator_is_told_to_the_destination(new_archive):
    seen = []
    destination = Destination()
    destination.server.bind(evt.EVT_C_STORE, lambda event: seen.append(
        (event.request.MoveOriginatorApplicationEntityTitle, event.request.MoveOriginatorMessageID)) or 0)
    archive = new_archive(peers=[destination.peer()])
    store_all(archive, [ct()])
    try:
        query = identifier("STUDY", StudyInstanceUID=f"{ROOT_UID}.1")
        assert move(archive, query, "DESTINATION").status == 0
    finally:
        destination.close()
    assert [(str(title).strip(), number) for title, number in seen] == [("TESTER", 1)]


def test_retrieval_across_levels_works_when_negotiated(archive):
    sent = [ct(1), ct(2)]
    store_all(archive, sent)
    got = get(archive, identifier("IMAGE", SOPInstanceUID=[one.sop_instance for one in sent]),
              negotiation=[extended(STUDY_GET, relational=1)])
    assert got.status == 0
    sent_and_received(sent, got.instances)


def test_a_wildcard_never_retrieves_everything(archive):
    store_all(archive, [ct(1), ct(2)])
    for uid in ("*", "", "1.2.*"):
        assert get(archive, identifier("STUDY", StudyInstanceUID=uid)).instances == []


def test_a_big_endian_instance_made_by_pydicom_round_trips(archive):
    original = instance(ct_data_set(9), BIG)
    store_all(archive, [original])
    got = get(archive, identifier("STUDY", StudyInstanceUID=original.study), [original.pair])
    assert got.instances[0].data == original.data
