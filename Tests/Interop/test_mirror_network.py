# SPDX-License-Identifier: Apache-2.0
"""The second copy with a receiver on "another machine": what the network does to it, who may keep one, and hostile callers.

What holds for every second copy is in test_mirror.py."""
import contextlib
import errno
import json
import os
import shutil
import socket
import struct
import threading
import time

import pytest

from harness import wire
from harness.archive import CONFIGURATION, INPUT_OUTPUT, Archive, command
from harness.certificates import Authority
from harness.clients import store_all
from harness.receiver import Receiver
from test_mirror import (
    OUT_OF_RESOURCES, STORAGE, blocks, check_attached, check_same, check_served, eventually, large, metric, sample, small)

GREETING = b"SNIMOKMR" + struct.pack("<I", 1) + bytes(16)
# Of another archive: connections of one end together, also one that comes just when that with the lock goes.
OTHER = GREETING[:12] + bytes(15) + b"x"
OPEN, CLOSE, SIZE, READ, WRITE, TRUNCATE, LOCK, DIGEST, RENAME, UNLINK, MAKE, ENTRIES, EXISTS = 1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 14, 15, 16


@pytest.fixture
def kept(new_archive, tmp_path):
    """Makes an archive and the receiver of its second copy: kept(policy, receiver={…}, **durability.receiver)."""
    receivers = []

    def make(policy="continue", receiver=None, start=True, **target):
        made = Receiver(tmp_path / "receiver", tmp_path / "mirror", **(receiver or {}))
        receivers.append(made)
        made.start()
        archive = new_archive(start=start, storage=STORAGE, durability={
            "mode": "mirrored", "whenMirrorFails": policy,
            "receiver": {"host": "127.0.0.1", "port": made.port, "timeoutSeconds": 2, **target}})
        archive.mirror = tmp_path / "mirror"
        if start:
            archive.idle["sockets"] += 8
            # A segment is 1 MiB here, and those that are read stay open.
            archive.idle["descriptors"] += 256
        return archive, made

    yield make
    for receiver in receivers:
        receiver.kill()


def storing(archive, series, acknowledged, stopping):
    """One association after the other, until told to stop: what was acknowledged."""
    number = 0
    while not stopping.is_set():
        try:
            with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
                while not stopping.is_set():
                    one = blocks(number, series=series)
                    status = requestor.store(one)[wire.STATUS]
                    assert status in (wire.SUCCESS, OUT_OF_RESOURCES)
                    if status == wire.SUCCESS:
                        acknowledged.append(one)
                        number += 1
                    time.sleep(0.02)
        except (OSError, wire.Closed, wire.Aborted):
            pass


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_a_receiver_that_is_killed_under_load_costs_nothing(policy, kept):
    archive, receiver = kept(policy)
    check_attached(archive)
    acknowledged, stopping = [], threading.Event()
    senders = [threading.Thread(target=storing, args=(archive, 10 + number, acknowledged, stopping)) for number in range(4)]
    for sender in senders:
        sender.start()
    try:
        for _ in range(3):
            count = len(acknowledged)
            eventually(lambda: assert_more(acknowledged, count + 20))
            receiver.kill()
            archive.wait_for_log("THE MIRROR FAILED", timeout=30)
            archive.log.clear()
            if policy == "continue":
                count = len(acknowledged)
                eventually(lambda: assert_more(acknowledged, count + 20))
            receiver.start()
            check_attached(archive)
    finally:
        stopping.set()
        for sender in senders:
            sender.join(30)
    assert metric(archive, "snimok_mirror_failures_total") == 3
    check_same(archive)
    check_served(archive, acknowledged)
    archive.verify()


def assert_more(acknowledged, count):
    assert len(acknowledged) >= count


def test_a_receiver_that_hangs_is_given_up_in_time(kept):
    archive, receiver = kept()
    check_attached(archive)
    store_all(archive, sample())
    receiver.hang()
    start = time.monotonic()
    assert store_all(archive, [small(100)]) == [0]
    assert time.monotonic() - start < 8
    assert store_all(archive, [large(100)]) == [0]
    assert metric(archive, "snimok_mirror_attached") == 0
    receiver.go_on()
    check_attached(archive)
    check_same(archive)
    check_served(archive, [*sample(), small(100), large(100)])


def test_a_receiver_that_comes_later_gets_all_of_it(kept):
    archive, receiver = kept()
    archive.stop()
    receiver.stop()
    shutil.rmtree(archive.mirror)
    archive.start()
    archive.idle["sockets"] += 8
    assert metric(archive, "snimok_mirror_attached") == 0
    assert set(store_all(archive, sample())) == {0}
    receiver.start()
    check_attached(archive)
    check_same(archive)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identities(authority):
    return {name: authority.issue(name, hosts=["127.0.0.1"]) for name in ("receiver", "archive", "stranger")}


def files_of(authority, identity):
    return {"authorities": str(authority.certificate), "certificate": str(identity.certificate), "key": str(identity.key)}


def test_over_tls_both_show_certificates(kept, authority, identities):
    archive, receiver = kept(
        "stop", receiver={**files_of(authority, identities["receiver"]), "archiveCertificate": "archive"},
        **files_of(authority, identities["archive"]))
    check_attached(archive)
    assert set(store_all(archive, sample())) == {0}
    check_same(archive)


@pytest.mark.parametrize("case", ["another name", "another authority", "in the clear", "no certificate", "wrong receiver"])
def test_over_tls_nobody_else_is_taken(case, kept, authority, identities, tmp_path):
    target = files_of(authority, identities["archive"])
    if case == "another name":
        target = files_of(authority, identities["stranger"])
    elif case == "another authority":
        other = Authority(tmp_path / "other")
        stranger = other.issue("archive", hosts=["127.0.0.1"])
        target = {**target, "certificate": str(stranger.certificate), "key": str(stranger.key)}
    elif case == "in the clear":
        target = {}
    elif case == "no certificate":
        target = {"authorities": str(authority.certificate)}
    elif case == "wrong receiver":
        target["receiverCertificate"] = "somebody"
    archive, receiver = kept(
        "stop", receiver={**files_of(authority, identities["receiver"]), "archiveCertificate": "archive"}, start=False,
        **target)
    # A new archive is not begun while nobody knows whether the receiver has the copy of a lost one.
    done = command(*archive.arguments(), check=INPUT_OUTPUT)
    assert "receiver" in done.stderr
    assert not archive.data.exists() and not list(archive.mirror.iterdir())


@pytest.mark.parametrize("arguments", [["--bind", "0.0.0.0"], ["--bind", "::"]])
def test_in_the_clear_it_listens_to_this_machine_only(arguments, tmp_path):
    done = command("receive", "--data", tmp_path / "mirror", *arguments, "--port", "0", check=CONFIGURATION)
    assert "receiver.certificate" in done.stderr
    assert not (tmp_path / "mirror").exists()


@pytest.mark.parametrize("durability, word", [
    ({"mode": "mirrored", "receiver": {"host": "archive2.example"}}, "authorities"),
    ({"mode": "mirrored", "directory": "/srv/mirror", "receiver": {"host": "127.0.0.1"}}, "either"),
    ({"mode": "local", "receiver": {"host": "127.0.0.1"}}, "either"),
    ({"mode": "mirrored"}, "either"),
    ({"mode": "mirrored", "receiver": {"host": "127.0.0.1", "port": 0}}, "port"),
    ({"mode": "mirrored", "receiver": {"host": "127.0.0.1", "certificate": "a.pem"}}, "belong together"),
])
def test_a_configuration_that_cannot_be_meant_is_refused(durability, word, tmp_path):
    file = tmp_path / "snimok.json5"
    file.write_text(json.dumps({"durability": durability}))
    assert word in command("check-config", file, check=CONFIGURATION).stderr


class Caller:
    """Speaks to a receiver byte by byte."""

    def __init__(self, receiver, greeting=GREETING):
        self.socket = socket.create_connection(("127.0.0.1", receiver.port), timeout=20)
        if greeting:
            self.socket.sendall(greeting)
            assert len(self.take(28)) == 28

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                break
            data += more
        return data

    def ask(self, operation, names=b"", data=b"", file=0, offset=0, length=0, argument=0, mode=0o640, names_bytes=None,
            data_bytes=None):
        """Error number, value and bytes of the answer; None: the receiver hung up."""
        self.socket.sendall(struct.pack(
            "<B3xIQQIIII", operation, file, offset, length, argument, mode,
            len(names) if names_bytes is None else names_bytes, len(data) if data_bytes is None else data_bytes) + names + data)
        head = self.take(16)
        if len(head) < 16:
            return None
        code, count, value = struct.unpack("<IIQ", head)
        return code, value, self.take(count)

    def lock(self):
        code, self.locked, _ = self.ask(OPEN, b"lock", argument=2 | 4)
        assert code == 0 and self.ask(LOCK, file=self.locked)[0] == 0
        return self

    def close(self):
        self.socket.close()


@pytest.fixture
def receiver(tmp_path):
    (tmp_path / "secret").write_text("not for archives")
    made = Receiver(tmp_path / "receiver", tmp_path / "mirror").start()
    yield made
    made.stop()


@pytest.mark.parametrize("name", [
    b"../secret", b"/etc/passwd", b"segments/../../secret", b"..", b".", b"a/b/c", b".hidden", b"segments/.hidden", b"a\nb",
    b"a b", "снимок".encode(), b"\xff", b"segments//x", b"/", b"x" * 1000 + b"/.."])
@pytest.mark.parametrize("operation", [OPEN, ENTRIES, EXISTS, RENAME])
def test_no_name_leads_out_of_the_directory(receiver, name, operation):
    caller = Caller(receiver).lock()
    answer = caller.ask(operation, name + (b"\0x" if operation == RENAME else b""), argument=6)
    assert answer is None if name == b"\xff" else answer == (errno.EINVAL, 0, b"")
    caller.close()
    assert [path.name for path in receiver.data.iterdir()] == ["lock"]
    caller = Caller(receiver, OTHER)
    assert caller.ask(EXISTS, b"format") == (0, 0, b"")
    caller.close()


def test_a_link_is_not_followed(receiver, tmp_path):
    (receiver.data / "link").symlink_to(tmp_path / "secret")
    caller = Caller(receiver).lock()
    assert caller.ask(OPEN, b"link", argument=0)[0] == errno.ELOOP
    assert caller.ask(OPEN, b"link", argument=2)[0] == errno.ELOOP
    caller.close()


@pytest.mark.parametrize("request_bytes", [
    dict(operation=0), dict(operation=200), dict(operation=READ, length=1 << 63), dict(operation=READ, length=(1 << 20) + 1),
    dict(operation=WRITE, offset=1 << 62), dict(operation=WRITE, data_bytes=0xFFFF_FFFF),
    dict(operation=OPEN, names_bytes=0xFFFF_FFFF), dict(operation=DIGEST, offset=1 << 60, length=(1 << 60) + 1)])
def test_what_no_archive_asks_ends_the_connection(receiver, request_bytes):
    caller = Caller(receiver)
    assert caller.ask(**request_bytes) is None
    caller.close()


def test_files_that_are_not_open_and_flags_that_are_none(receiver):
    caller = Caller(receiver).lock()
    assert caller.ask(SIZE, file=7)[0] == errno.EBADF
    assert caller.ask(WRITE, data=b"x", file=7)[0] == errno.EBADF
    assert caller.ask(OPEN, b"file", argument=3)[0] == errno.EINVAL
    assert caller.ask(OPEN, b"file", argument=64)[0] == errno.EINVAL
    assert caller.ask(RENAME, b"file")[0] == errno.EINVAL
    code, file, _ = caller.ask(OPEN, b"file", argument=2 | 4, mode=0o7777)
    assert code == 0 and oct((receiver.data / "file").stat().st_mode & 0o7777 & ~0o660) == "0o0"
    assert caller.ask(WRITE, data=b"abc", file=file)[0] == 0
    assert caller.ask(READ, file=file, length=100) == (0, 3, b"abc")
    assert caller.ask(DIGEST, file=file, length=4)[0] == errno.ENODATA
    assert caller.ask(CLOSE, file=file)[0] == 0
    assert caller.ask(SIZE, file=file)[0] == errno.EBADF
    caller.close()


def test_more_open_files_than_any_archive_has_are_refused(receiver):
    caller = Caller(receiver).lock()
    answers = [caller.ask(OPEN, b"file", argument=2 | 4)[0] for _ in range(1030)]
    assert answers == [0] * 1023 + [errno.EMFILE] * 7
    caller.close()


@pytest.mark.parametrize("greeting", [b"", b"GET / HTTP/1.1\r\n\r\n" + bytes(20), bytes(28), GREETING[:8] + bytes(20)])
def test_other_callers_are_sent_away(receiver, greeting):
    callers = [Caller(receiver, greeting=None) for _ in range(40)]
    for caller in callers:
        caller.socket.sendall(greeting)
    for caller in callers:
        # Another version is told ours before it is sent away.
        with contextlib.suppress(ConnectionResetError):
            assert caller.take(29) in (b"", GREETING)
        caller.close()


def test_connections_have_a_limit_and_strangers_keep_nobody_out(receiver):
    strangers = [Caller(receiver, greeting=None) for _ in range(300)]
    callers = [Caller(receiver) for _ in range(150)]
    assert callers[0].ask(EXISTS, b"lock")[:2] == (0, 0)
    more = [Caller(receiver, greeting=None) for _ in range(150)]
    for caller in more:
        caller.socket.sendall(GREETING)
    time.sleep(0.5)
    with pytest.raises((AssertionError, OSError, TypeError)):
        for _ in range(60):
            callers.append(Caller(receiver))
            callers[-1].ask(EXISTS, b"lock")[0]
    for caller in (*strangers, *callers, *more):
        caller.close()
    eventually(lambda: Caller(receiver).lock().close())


def test_memory_follows_what_came(receiver):
    def resident():
        with open(f"/proc/{receiver.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    before = resident()
    callers = [Caller(receiver) for _ in range(100)]
    for caller in callers:
        caller.socket.sendall(struct.pack("<B3xIQQIIII", WRITE, 1, 0, 0, 0, 0, 0, 1 << 20) + b"x")
    time.sleep(0.5)
    assert resident() - before < 20 << 20
    for caller in callers:
        caller.close()


def test_who_loses_the_lock_loses_all_connections(receiver):
    holder, other, stranger = Caller(receiver), Caller(receiver), Caller(receiver, OTHER)
    holder.lock()
    code, file, _ = stranger.ask(OPEN, b"lock", argument=2)
    assert stranger.ask(LOCK, file=file)[0] == errno.EWOULDBLOCK
    assert other.ask(EXISTS, b"lock")[:2] == (0, 1)
    holder.close()
    assert other.take(1) == b""
    eventually(lambda: assert_locked(stranger, file))
    for caller in (other, stranger):
        caller.close()


def assert_locked(caller, file):
    assert caller.ask(LOCK, file=file)[0] == 0


def test_nothing_is_changed_without_the_lock(receiver):
    holder, stranger = Caller(receiver).lock(), Caller(receiver, OTHER)
    code, file, _ = holder.ask(OPEN, b"file", argument=2 | 4)
    assert code == 0 and holder.ask(WRITE, data=b"abc", file=file)[0] == 0
    for caller in (stranger, Caller(receiver, OTHER)):
        assert caller.ask(OPEN, b"file", argument=2)[0] == errno.ENOLCK
        assert caller.ask(OPEN, b"new", argument=2 | 4)[0] == errno.ENOLCK
        assert caller.ask(UNLINK, b"file")[0] == errno.ENOLCK
        assert caller.ask(RENAME, b"file\0other")[0] == errno.ENOLCK
        assert caller.ask(MAKE, b"folder")[0] == errno.ENOLCK
        code, number, _ = caller.ask(OPEN, b"file", argument=0)
        assert code == 0 and caller.ask(WRITE, data=b"x", file=number)[0] == errno.ENOLCK
        assert caller.ask(TRUNCATE, file=number)[0] == errno.ENOLCK
        code, number, _ = caller.ask(OPEN, b"file", argument=0)
        assert caller.ask(LOCK, file=number)[0] == errno.EINVAL
    # What the former holder has on its way comes too late, also if it has the lock again.
    assert holder.ask(CLOSE, file=holder.locked)[0] == 0
    assert holder.ask(WRITE, data=b"late", file=file)[0] == errno.ENOLCK
    stranger.lock()
    assert holder.ask(WRITE, data=b"late", file=file)[0] == errno.ENOLCK
    assert stranger.ask(CLOSE, file=stranger.locked)[0] == 0
    holder.lock()
    assert holder.ask(WRITE, data=b"late", file=file)[0] == errno.ENOLCK
    assert (receiver.data / "file").read_bytes() == b"abc"
    for caller in (holder, stranger):
        caller.close()


def test_the_lock_itself_stays_what_it_is(receiver):
    """A second file of its name could be locked, too, while the first one still is."""
    holder, other = Caller(receiver).lock(), Caller(receiver)
    code, file, _ = holder.ask(OPEN, b"file", argument=2 | 4)
    assert code == 0
    for operation, names in ((UNLINK, b"lock"), (RENAME, b"lock\0other"), (RENAME, b"file\0lock"), (MAKE, b"lock")):
        assert holder.ask(operation, names)[0] == errno.EPERM
    (receiver.data / "lock").unlink()
    code, second, _ = other.ask(OPEN, b"lock", argument=2 | 4)
    assert code == 0 and other.ask(LOCK, file=second)[0] == errno.EWOULDBLOCK
    assert holder.ask(WRITE, data=b"abc", file=file)[0] == 0
    for caller in (holder, other):
        caller.close()
    eventually(lambda: Caller(receiver).lock().close())


def test_a_receiver_that_was_started_anew_is_noticed_and_a_server_on_the_copy_is_left_alone(kept, tmp_path):
    archive, receiver = kept()
    check_attached(archive)
    store_all(archive, sample())
    check_same(archive)
    receiver.kill()
    receiver.start()
    # The archive may not have noticed yet: the copy is promoted meanwhile.
    promoted = Archive(tmp_path / "promoted", {**archive.config, "durability": {}})
    promoted.data = archive.mirror
    try:
        promoted.start()
    except AssertionError:
        # It had noticed, and has the lock again.
        assert "in use" in "\n".join(promoted.log)
        return
    store_all(promoted, [large(500), small(501)])
    before = sorted(path.name for path in (archive.mirror / "large").iterdir())
    archive.wait_for_log("THE MIRROR FAILED", timeout=30)
    store_all(archive, [small(600)])
    time.sleep(12)
    assert metric(archive, "snimok_mirror_attached") == 0
    assert sorted(path.name for path in (archive.mirror / "large").iterdir()) == before
    check_served(promoted, [*sample(), large(500), small(501)])
    promoted.verify()
    promoted.kill()
