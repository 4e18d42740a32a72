"""Storage commitment (PS3.4 annex J): stations that ask for it, and that listen for its results."""
import queue
import socket
import time
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt

from harness import wire
from harness.clients import UNCOMPRESSED, association, let_reactor_wake
from harness.samples import decode, encode
from harness.wire import EXPLICIT

COMMITMENT, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
ALL_COMMITTED, FAILURES_EXIST = 1, 2
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
CLASS_NOT_SUPPORTED, DUPLICATE_TRANSACTION = 0x0122, 0x0131

# Command elements and fields that wire.py has no use for.
REQUESTED_CLASS, REQUESTED_INSTANCE, EVENT_TYPE, ACTION_TYPE = 0x0003, 0x1001, 0x1002, 0x1008
N_ACTION, N_EVENT_REPORT = 0x0130, 0x0100


@dataclass
class Event:
    """An N-EVENT-REPORT as it came."""
    kind: int
    transaction: str
    retrieve_title: str
    committed: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    called: str = ""

    @staticmethod
    def of(kind, data, called=""):
        committed = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                     for item in data.get("ReferencedSOPSequence", [])]
        failed = {str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
                  for item in data.get("FailedSOPSequence", [])}
        return Event(kind, str(data.TransactionUID), str(data.get("RetrieveAETitle", "")), committed, failed, called)

    @property
    def committed_uids(self):
        return [uid for _, uid in self.committed]


class Events:
    """Results in the order in which they came."""

    def __init__(self):
        self.queue = queue.Queue()

    def handler(self, status=0x0000):
        def take(event):
            self.queue.put(Event.of(event.event_type, event.event_information,
                                    str(event.assoc.requestor.ae_title)))
            return status, None
        return (evt.EVT_N_EVENT_REPORT, take)

    def next(self, timeout=30):
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no result came within {timeout} s") from None

    def assert_none(self, seconds=2):
        time.sleep(seconds)
        assert self.queue.empty(), f"unexpected: {self.queue.get()}"


class Listener(Events):
    """A station that takes results on associations that the archive opens."""

    def __init__(self, title="CT1", port=0, roles=True, status=0x0000):
        super().__init__()
        self.title = title
        ae = AE(ae_title=title)
        ae.require_called_aet = True
        ae.maximum_pdu_size = 1 << 17
        more = {"scu_role": False, "scp_role": True} if roles else {}
        ae.add_supported_context(COMMITMENT, UNCOMPRESSED, **more)
        self.proposals = queue.Queue()
        handlers = [self.handler(status), (evt.EVT_REQUESTED, lambda event: self.proposals.put(dict(
            (str(uid), (role.scu_role, role.scp_role)) for uid, role in event.assoc.requestor.role_selection.items())))]
        self.server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def peer(self, **more):
        return peer(self.title, self.port, **more)

    def close(self):
        self.server.shutdown()


def peer(title, port, **more):
    return {"aeTitle": title, "addresses": ["127.0.0.0/8"], "host": "127.0.0.1", "port": port, **more}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def references(instances):
    """(class, instance) pairs of instances, or as they are."""
    return [pair if isinstance(pair, tuple) else (pair.sop_class, pair.sop_instance) for pair in instances]


def information(instances, transaction=None):
    """The data set of a request."""
    data = Dataset()
    data.TransactionUID = transaction or generate_uid()
    items = []
    for sop_class, sop_instance in references(instances):
        item = Dataset()
        item.ReferencedSOPClassUID = UID(sop_class)
        item.ReferencedSOPInstanceUID = UID(sop_instance)
        items.append(item)
    data.ReferencedSOPSequence = Sequence(items)
    return data


def ask(opened, instances, transaction=None, message_id=1):
    """An N-ACTION on an open association; its transaction UID. The archive must take it."""
    data = information(instances, transaction)
    let_reactor_wake(opened)
    status, _ = opened.send_n_action(data, 1, COMMITMENT, WELL_KNOWN, msg_id=message_id)
    assert status.get("Status") == 0x0000, f"N-ACTION was answered with {status}"
    return str(data.TransactionUID)


def ask_and_close(archive, instances, calling="CT1", transaction=None, syntaxes=UNCOMPRESSED):
    """What dcm4che's stations do: they release the association once the N-ACTION is answered."""
    with association(archive, [(COMMITMENT, syntaxes)], calling) as opened:
        return ask(opened, instances, transaction)


def ask_and_wait(archive, instances, calling="TESTER", transaction=None, syntaxes=UNCOMPRESSED, timeout=60):
    """Asks, and waits on the same association for the result."""
    events = Events()
    with association(archive, [(COMMITMENT, syntaxes)], calling, handlers=[events.handler()]) as opened:
        before = len(archive.log)
        asked = ask(opened, instances, transaction)
        event = events.next(timeout)
        # The release must not overtake the station's answer.
        archive.wait_for_log("storage commitment reported", since=before)
    assert event.transaction == asked
    return event


def pending(archive):
    """How many requests the archive has not finished."""
    status, text = archive.http("/metrics")
    assert status == 200
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("snimok_commitment_pending ")))


def wait_until_finished(archive, timeout=30):
    deadline = time.monotonic() + timeout
    while pending(archive):
        assert time.monotonic() < deadline, "requests stay pending:\n" + archive.log_text()
        time.sleep(0.1)


class ByHand(wire.Requestor):
    """An association for requests as no honest station sends them."""

    def __init__(self, archive, calling="TESTER", syntax=EXPLICIT, more=(), **options):
        super().__init__(archive, contexts=((COMMITMENT, (syntax,)), *more), calling=calling, **options)
        self.syntax = syntax

    def action(self, data, sop_class=COMMITMENT, sop_instance=WELL_KNOWN, action_type=1):
        """Sends an N-ACTION; the status of its answer. `data` is a data set, bytes or None."""
        number = self.number()
        if isinstance(data, Dataset):
            data = encode(data, self.syntax)
        command = {REQUESTED_CLASS: sop_class, wire.FIELD: N_ACTION, wire.MESSAGE: number,
                   wire.DATA_SET_TYPE: 0x0101 if data is None else 1, REQUESTED_INSTANCE: sop_instance,
                   ACTION_TYPE: action_type}
        self.send(self.context(COMMITMENT), {key: value for key, value in command.items() if value is not None}, data)
        response, nothing = self.receive()
        assert response[wire.FIELD] == N_ACTION | 0x8000 and response[wire.RESPONDED] == number and nothing is None
        return response[wire.STATUS]

    def event(self, status=0x0000):
        """Waits for a result and answers it."""
        command, data = self.receive()
        assert command[wire.FIELD] == N_EVENT_REPORT
        assert command[wire.CLASS] == COMMITMENT and command[wire.INSTANCE] == WELL_KNOWN
        kind = command[EVENT_TYPE]
        kind = int.from_bytes(kind.encode("latin-1"), "little") if isinstance(kind, str) else kind
        self.send(self.context(COMMITMENT), {
            wire.CLASS: COMMITMENT, wire.FIELD: N_EVENT_REPORT | 0x8000, wire.RESPONDED: command[wire.MESSAGE],
            wire.DATA_SET_TYPE: 0x0101, wire.STATUS: status, wire.INSTANCE: WELL_KNOWN, EVENT_TYPE: kind})
        return Event.of(kind, decode(data, self.syntax))

