"""pynetdicom as a client and as a destination, always with the raw bytes of data sets."""
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import register_uid, uid_to_service_class

from harness.samples import Instance
from harness.wire import CT, EXPLICIT, IMPLICIT

PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
UNCOMPRESSED = [EXPLICIT, IMPLICIT]

# Hostile and old-fashioned values are the point here: pynetdicom shall not judge them.
_config.LOG_HANDLER_LEVEL = "none"
_config.ENFORCE_UID_CONFORMANCE = False


@contextmanager
def association(archive, contexts, calling="TESTER", called="SNIMOK", negotiation=(), handlers=(), source=None, tls=None):
    """An established pynetdicom association; `contexts` are (abstract syntax, transfer syntaxes). With `tls`, a context of
    the ssl module, to the encrypted port."""
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    ae.maximum_pdu_size = 1 << 17
    proposed = [build_context(abstract, list(syntaxes)) for abstract, syntaxes in contexts]
    extra = {"bind_address": (source, 0)} if source else {}
    if tls:
        extra["tls_args"] = (tls, "127.0.0.1")
    opened = ae.associate("127.0.0.1", archive.tls_port if tls else archive.dicom_port, contexts=proposed, ae_title=called,
                          ext_neg=list(negotiation), evt_handlers=list(handlers), **extra)
    assert opened.is_established, "the association was not accepted"
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
        else:
            opened.kill()


def store_raw(opened, instance, message_id=1):
    """Sends the instance's own bytes with C-STORE; the response (a pynetdicom primitive)."""
    context = next((c for c in opened.accepted_contexts
                    if c.abstract_syntax == instance.sop_class
                    and c.transfer_syntax[0] == instance.transfer_syntax), None)
    assert context is not None, f"no context for {instance.sop_class} in {instance.transfer_syntax}"
    request = C_STORE()
    request.MessageID = message_id % 65535 + 1
    request.AffectedSOPClassUID = UID(instance.sop_class)
    request.AffectedSOPInstanceUID = UID(instance.sop_instance)
    request.Priority = 0
    request.DataSet = BytesIO(instance.data)
    # pynetdicom's own reactor must not take the response. It looks for messages once a millisecond, and may be in the
    # middle of that when it is told to pause: so it is paused once, and given the time to notice.
    if opened._reactor_checkpoint.is_set():
        opened._reactor_checkpoint.clear()
        time.sleep(0.02)
    opened.dimse.send_msg(request, context.context_id)
    _, response = opened.dimse.get_msg(block=True)
    assert response is not None, f"no response to the C-STORE of {instance.sop_instance}"
    return response


def pairs_of(instances):
    return sorted({instance.pair for instance in instances})


def store_all(archive, instances, calling="TESTER", expected=0x0000):
    """Stores instances over as few associations as their contexts need; statuses in order."""
    statuses = {}
    pairs = pairs_of(instances)
    for start in range(0, len(pairs), 120):
        chosen = pairs[start:start + 120]
        with association(archive, [(cls, [syntax]) for cls, syntax in chosen], calling) as opened:
            for number, instance in enumerate(instances):
                if instance.pair in chosen:
                    response = store_raw(opened, instance, number)
                    statuses[number] = response.Status
                    if expected is not None:
                        assert response.Status == expected, (
                            f"{instance.path or instance.sop_instance}: {response.Status:04X}H {response.ErrorComment}")
    return [statuses[number] for number in range(len(instances))]


def identifier(level, charset=None, **keys):
    dataset = Dataset()
    if charset:
        dataset.SpecificCharacterSet = charset
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        if isinstance(value, (list, tuple)) and not isinstance(value, str) and value and isinstance(value[0], Dataset):
            dataset.__setattr__(keyword, list(value))
        else:
            setattr(dataset, keyword, value)
    return dataset


def extended(model, relational=0, date_time=0, fuzzy=0, timezone=0):
    """SOP Class Extended Negotiation of the query models (PS3.4 C.5.1.1)."""
    negotiation = SOPClassExtendedNegotiation()
    negotiation.sop_class_uid = UID(model)
    negotiation.service_class_application_information = bytes([relational, date_time, fuzzy, timezone])
    return negotiation


PASSCODE, JWT = 2, 5  # User-Identity-Type, PS3.7 table D.3-14


def user_identity(first, second="", kind=PASSCODE, response=True):
    """User Identity Negotiation: a name and a password, or a token."""
    negotiation = UserIdentityNegotiation()
    negotiation.user_identity_type, negotiation.positive_response_requested = kind, response
    negotiation.primary_field = first.encode()
    negotiation.secondary_field = second.encode() if kind == PASSCODE else b""
    return negotiation


def let_reactor_wake(opened):
    """Between two operations on one association: pynetdicom's reactor, told to go on and to pause at once, still
    counts as paused while it wakes, and then takes one response that is not its own."""
    deadline = time.monotonic() + 1
    while opened._reactor_checkpoint.is_set() and opened._is_paused and time.monotonic() < deadline:
        time.sleep(0.001)


@dataclass
class Found:
    """The answer to a query: final status, its comment, pending statuses and rows."""
    status: int | None = None
    comment: str = ""
    pending: list = field(default_factory=list)
    rows: list = field(default_factory=list)

    def values(self, keyword):
        return sorted(str(row.get(keyword, "")) for row in self.rows)


def find(archive, query, model=STUDY_FIND, calling="TESTER", negotiation=(), tls=None, opened=None):
    if opened is None:
        with association(archive, [(model, UNCOMPRESSED)], calling, negotiation=negotiation, tls=tls) as fresh:
            return find(archive, query, model, opened=fresh)
    found = Found()
    let_reactor_wake(opened)
    for status, row in opened.send_c_find(query, UID(model)):
        assert "Status" in status, "the association ended during the query"
        if status.Status in (0xFF00, 0xFF01):
            found.pending.append(status.Status)
            found.rows.append(row)
        else:
            found.status, found.comment = status.Status, str(status.get("ErrorComment", ""))
    return found


@dataclass
class Retrieved:
    """The answer to a C-GET or C-MOVE: final response and what arrived."""
    status: int | None = None
    completed: int = 0
    failed: int = 0
    warning: int = 0
    pending: int = 0
    failed_instances: list = field(default_factory=list)
    instances: list = field(default_factory=list)

    def take(self, responses):
        for status, data in responses:
            assert "Status" in status, "the association ended during the retrieval"
            if status.Status == 0xFF00:
                self.pending += 1
                continue
            self.status = status.Status
            self.completed = int(status.get("NumberOfCompletedSuboperations") or 0)
            self.failed = int(status.get("NumberOfFailedSuboperations") or 0)
            self.warning = int(status.get("NumberOfWarningSuboperations") or 0)
            listed = data.get("FailedSOPInstanceUIDList") if data is not None else None
            self.failed_instances = [str(uid) for uid in ([listed] if isinstance(listed, str) else listed or [])]
        return self

    def by_uid(self):
        return {instance.sop_instance: instance for instance in self.instances}


def received_instance(event):
    data = event.request.DataSet
    return Instance(str(event.request.AffectedSOPClassUID), str(event.request.AffectedSOPInstanceUID),
                    str(event.context.transfer_syntax), data.getvalue() if data is not None else b"")


def get(archive, query, pairs=((CT, EXPLICIT),), model=STUDY_GET, calling="TESTER", negotiation=(), tls=None):
    """C-GET with one presentation context for each (SOP class, transfer syntax)."""
    result = Retrieved()

    def keep(event):
        result.instances.append(received_instance(event))
        return 0x0000

    contexts = [(model, UNCOMPRESSED), *((cls, [syntax]) for cls, syntax in pairs)]
    roles = [build_role(UID(cls), scp_role=True) for cls in sorted({cls for cls, _ in pairs})]
    with association(archive, contexts, calling, negotiation=[*roles, *negotiation],
                     handlers=[(evt.EVT_C_STORE, keep)], tls=tls) as opened:
        let_reactor_wake(opened)
        return result.take(opened.send_c_get(query, UID(model)))


def move(archive, query, destination, model=STUDY_MOVE, calling="TESTER", negotiation=(), tls=None):
    with association(archive, [(model, UNCOMPRESSED)], calling, negotiation=negotiation, tls=tls) as opened:
        let_reactor_wake(opened)
        return Retrieved().take(opened.send_c_move(query, destination, UID(model)))


class Destination:
    """A storage SCP that keeps what it receives, byte for byte."""

    def __init__(self, pairs=((CT, EXPLICIT),), title="DESTINATION", status=0x0000, delay=0.0):
        self.title, self.received = title, []
        ae = AE(ae_title=title)
        ae.require_called_aet = True
        ae.maximum_pdu_size = 1 << 17
        for cls in sorted({cls for cls, _ in pairs}):
            # pynetdicom serves what it knows; retired and private storage classes are made known.
            if uid_to_service_class(cls) is ServiceClass:
                register_uid(cls, f"StorageClass_{cls.replace('.', '_')}", StorageServiceClass)
            ae.add_supported_context(cls, [syntax for other, syntax in pairs if other == cls])

        def keep(event):
            time.sleep(delay)
            self.received.append(received_instance(event))
            return status

        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
        self.port = self.server.socket.getsockname()[1]

    def peer(self, **more):
        """This destination as an entry of the server's configuration."""
        return {"aeTitle": self.title, "addresses": ["127.0.0.1/32"], "host": "127.0.0.1", "port": self.port, **more}

    def close(self):
        self.server.shutdown()
