"""The DICOM upper layer (PS3.8) and DIMSE (PS3.7) by hand, for what no well-behaved client would send."""
import socket
import struct
import time

ECHO = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PATIENT_FIND, STUDY_FIND = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

# Command elements (group 0000).
CLASS, FIELD, MESSAGE, RESPONDED, DESTINATION = 0x0002, 0x0100, 0x0110, 0x0120, 0x0600
PRIORITY, DATA_SET_TYPE, STATUS, COMMENT, INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
C_STORE, C_FIND, C_MOVE, C_ECHO, C_CANCEL = 0x0001, 0x0020, 0x0021, 0x0030, 0x0FFF
NUMBERS = {FIELD, MESSAGE, RESPONDED, PRIORITY, DATA_SET_TYPE, STATUS, 0x1020, 0x1021, 0x1022, 0x1023}
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)


class Closed(Exception):
    """The peer closed the connection."""


class Aborted(Exception):
    def __init__(self, source, reason):
        super().__init__(f"A-ABORT source {source} reason {reason}")
        self.source, self.reason = source, reason


class Rejected(Exception):
    def __init__(self, result, source, reason):
        super().__init__(f"A-ASSOCIATE-RJ result {result} source {source} reason {reason}")
        self.result, self.source, self.reason = result, source, reason


# Encoding

def pdu(kind, body, length=None):
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind, body, length=None):
    return struct.pack(">BxH", kind, len(body) if length is None else length) + body


def context_item(identifier, abstract, syntaxes):
    body = struct.pack(">B3x", identifier) + item(0x30, abstract.encode())
    return item(0x20, body + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes))


def user_information(maximum=0, extra=b""):
    return item(0x50, item(0x51, struct.pack(">I", maximum)) + item(0x52, b"1.2.826.0.1.3680043.9.9999.1") + extra)


def extended(sop_class, relational=0, date_time=0, fuzzy=0, timezone=0):
    """The SOP Class Extended Negotiation sub-item of a query model (PS3.4 C.5.1.1)."""
    uid = sop_class.encode()
    return item(0x56, struct.pack(">H", len(uid)) + uid + bytes([relational, date_time, fuzzy, timezone]))


def associate_body(calling="TESTER", called="SNIMOK", contexts=((1, ECHO, (IMPLICIT,)),), user=None,
                   application=b"1.2.840.10008.3.1.1.1", version=1):
    def title(text):
        return (text if isinstance(text, bytes) else text.encode()).ljust(16)[:16]
    return (struct.pack(">H2x", version) + title(called) + title(calling) + bytes(32) + item(0x10, application)
            + b"".join(context_item(*context) for context in contexts)
            + (user_information() if user is None else user))


def command_set(elements, with_length=True):
    """Implicit VR Little Endian; numbers, text or bytes."""
    body = b""
    for number, value in sorted(elements.items()):
        if isinstance(value, int):
            value = struct.pack("<H", value)
        elif isinstance(value, str):
            value = value.encode()
        body += struct.pack("<HHI", 0, number, len(value) + len(value) % 2) + value + b"\0" * (len(value) % 2)
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body if with_length else body


def parse_command(data):
    elements, offset = {}, 0
    while offset + 8 <= len(data):
        group, number, length = struct.unpack_from("<HHI", data, offset)
        value = data[offset + 8:offset + 8 + length]
        if group == 0 and number in NUMBERS and length == 2:
            value = struct.unpack("<H", value)[0]
        elif number not in (0,):
            value = value.rstrip(b"\0 ").decode("utf-8", "replace")
        elements[number] = value
        offset += 8 + length
    return elements


def fragment(context, data, last=True, is_command=False, length=None):
    """One PDV."""
    control = (1 if is_command else 0) | (2 if last else 0)
    body = struct.pack(">BB", context, control) + data
    return struct.pack(">I", len(body) if length is None else length) + body


def p_data(context, data, last=True, is_command=False):
    return pdu(P_DATA, fragment(context, data, last, is_command))


def message(context, command, data=None, maximum=16384):
    """All PDUs of a message."""
    room = (maximum or 1 << 20) - 6
    out = [p_data(context, command, is_command=True)]
    if data is not None:
        for start in range(0, len(data), room) or [0]:
            piece = data[start:start + room]
            out.append(p_data(context, piece, last=start + room >= len(data)))
    return b"".join(out)


def store_command(sop_class, sop_instance, number=1, data_set_type=0x0001, **more):
    return {CLASS: sop_class, FIELD: C_STORE, MESSAGE: number, PRIORITY: 0, DATA_SET_TYPE: data_set_type,
            INSTANCE: sop_instance, **more}


# A connection

def connect(archive, source=None, receive_buffer=None, timeout=30, tls=None):
    """With `tls`, a context of the ssl module, to the encrypted port."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(timeout)
    if source:
        connection.bind((source, 0))
    port = archive if isinstance(archive, int) else archive.tls_port if tls else archive.dicom_port
    connection.connect(("127.0.0.1", port))
    return tls.wrap_socket(connection, server_hostname="127.0.0.1") if tls else connection


def read_exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        try:
            piece = connection.recv(min(count - len(data), 1 << 20))
        except ConnectionError as error:
            raise Closed from error
        if not piece:
            raise Closed
        data += piece
    return bytes(data)


def read_pdu(connection):
    kind, length = struct.unpack(">BxI", read_exactly(connection, 6))
    return kind, read_exactly(connection, length)


def outcome(connection, timeout=30):
    """What the server does next: ("abort", source, reason), ("reject", …), ("accept",), ("data", body), ("closed",)…"""
    connection.settimeout(timeout)
    try:
        kind, body = read_pdu(connection)
    except Closed:
        return ("closed",)
    except TimeoutError:
        return ("silent",)
    return {ASSOCIATE_AC: ("accept",), ASSOCIATE_RJ: ("reject", *body[1:4]), P_DATA: ("data", body),
            RELEASE_RP: ("released",), ABORT: ("abort", *body[2:4])}.get(kind, ("pdu", kind))


def ends(connection, timeout=30):
    """Reads until the server closes; the outcomes on the way. Fails when it does not close in time."""
    seen, deadline = [], time.monotonic() + timeout
    while True:
        result = outcome(connection, max(0.05, deadline - time.monotonic()))
        if result == ("closed",):
            return seen
        assert result != ("silent",), f"the server kept the connection open for {timeout} s; before: {seen}"
        seen.append(result)


class Requestor:
    """A plain association. Contexts are (abstract syntax, transfer syntaxes) and get the ids 1, 3, 5…"""

    def __init__(self, archive, contexts=((ECHO, (IMPLICIT,)),), calling="TESTER", called="SNIMOK", source=None,
                 user=None, receive_buffer=None, timeout=30, tls=None):
        self.socket = connect(archive, source, receive_buffer, timeout, tls)
        self.next_message = 1
        proposed = [(2 * index + 1, abstract, syntaxes) for index, (abstract, syntaxes) in enumerate(contexts)]
        try:
            self.socket.sendall(pdu(ASSOCIATE_RQ, associate_body(calling, called, proposed, user)))
            kind, body = read_pdu(self.socket)
            if kind == ASSOCIATE_RJ:
                raise Rejected(*body[1:4])
            if kind == ABORT:
                raise Aborted(*body[2:4])
            assert kind == ASSOCIATE_AC, f"PDU type {kind} instead of an answer to the association request"
        except BaseException:
            self.socket.close()
            raise
        self._parse_acceptance(body, {number: abstract for number, abstract, _ in proposed})

    def _parse_acceptance(self, body, abstracts):
        self.accepted, self.results, self.maximum = {}, {}, 16384
        offset = 68
        while offset + 4 <= len(body):
            kind, length = struct.unpack_from(">BxH", body, offset)
            value = body[offset + 4:offset + 4 + length]
            if kind == 0x21:
                identifier, result = value[0], value[2]
                self.results[identifier] = result
                if result == 0:
                    size = struct.unpack_from(">H", value, 6)[0]
                    self.accepted[(abstracts[identifier], value[8:8 + size].rstrip(b"\0").decode())] = identifier
            elif kind == 0x50:
                inner = 0
                while inner + 4 <= len(value):
                    sub, size = struct.unpack_from(">BxH", value, inner)
                    if sub == 0x51:
                        self.maximum = struct.unpack_from(">I", value, inner + 4)[0]
                    inner += 4 + size
            offset += 4 + length

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.release()
        except (Closed, OSError):
            pass
        finally:
            self.socket.close()

    def number(self):
        self.next_message += 1
        return self.next_message - 1

    def context(self, abstract):
        return next(identifier for (name, _), identifier in self.accepted.items() if name == abstract)

    def send(self, context, command, data=None):
        self.socket.sendall(message(context, command if isinstance(command, bytes) else command_set(command), data,
                                    min(self.maximum or 1 << 20, 1 << 20)))

    def receive(self):
        """The next message: command elements and data set (None if it has none)."""
        parts = {True: bytearray(), False: bytearray()}
        command = None
        while True:
            kind, body = read_pdu(self.socket)
            if kind == ABORT:
                raise Aborted(*body[2:4])
            assert kind == P_DATA, f"PDU type {kind} where data was expected"
            offset = 0
            while offset < len(body):
                length, _, control = struct.unpack_from(">IBB", body, offset)
                parts[bool(control & 1)] += body[offset + 6:offset + 4 + length]
                offset += 4 + length
                if control & 1 and control & 2:
                    command = parse_command(bytes(parts[True]))
                    if command.get(DATA_SET_TYPE) == 0x0101:
                        return command, None
                elif control & 2:
                    return command, bytes(parts[False])

    def store(self, instance, sop_class=None, sop_instance=None):
        """Sends an instance's own bytes; the response's command elements."""
        sop_class = instance.sop_class if sop_class is None else sop_class
        sop_instance = instance.sop_instance if sop_instance is None else sop_instance
        context = self.accepted.get((instance.sop_class, instance.transfer_syntax))
        assert context is not None, f"no context for {instance.sop_class} in {instance.transfer_syntax}"
        number = self.number()
        self.send(context, store_command(sop_class, sop_instance, number), instance.data)
        response, _ = self.receive()
        assert response[FIELD] == C_STORE | 0x8000 and response[RESPONDED] == number
        return response

    def echo(self):
        number = self.number()
        self.send(self.context(ECHO), {CLASS: ECHO, FIELD: C_ECHO, MESSAGE: number, DATA_SET_TYPE: 0x0101})
        response, _ = self.receive()
        assert response[RESPONDED] == number
        return response[STATUS]

    def find(self, identifier, model=STUDY_FIND):
        """Final status and comment, and the data sets of the pending responses, all encoded."""
        number = self.number()
        self.send(self.context(model), {CLASS: model, FIELD: C_FIND, MESSAGE: number, PRIORITY: 0,
                                        DATA_SET_TYPE: 0x0001}, identifier)
        rows = []
        while True:
            response, data = self.receive()
            if response[STATUS] not in PENDING:
                return response[STATUS], response.get(COMMENT, ""), rows
            rows.append(data)

    def release(self):
        self.socket.sendall(pdu(RELEASE_RQ, bytes(4)))
        kind, _ = read_pdu(self.socket)
        assert kind == RELEASE_RP, f"PDU type {kind} instead of the release's answer"

    def abort(self):
        self.socket.sendall(pdu(ABORT, bytes(4)))
        self.socket.close()


def echo(archive, source=None, calling="TESTER"):
    """The server is alive and answers: one association, one C-ECHO."""
    with Requestor(archive, source=source, calling=calling) as requestor:
        assert requestor.echo() == SUCCESS
