"""kill -9 at random moments under load: what was acknowledged is there and right, nothing else is half-visible.

SNIMOK_KILLS sets how many moments (20 without it; the full proof is 500), SNIMOK_SEED which ones.
"""
import multiprocessing
import os
import random
import re
import shutil
import signal
import statistics
import time

import pytest

from harness import wire
from harness.archive import Archive, configuration
from harness.clients import STUDY_GET, extended, get, identifier
from harness.samples import ROOT_UID, encode, tiny
from harness.tools import free_port
from proof import SEED, record

KILLS = int(os.environ.get("SNIMOK_KILLS", "20"))
# All that is stored is read again after each kill; an archive that grows for ever would make that the most of the time.
KILLS_OF_AN_ARCHIVE = 25
SENDERS = 8
SERIES_SIZE = 500


def made(sender, number):
    """The instance that a sender's number stands for; it can be made again to compare."""
    study = f"{ROOT_UID}.9{sender}"
    series = f"{study}.{number // SERIES_SIZE}"
    # Mostly small ones; now and then one of many blocks.
    size = 130_000 if number % 37 == 36 else 1000 + number * 7919 % 7000 // 2 * 2
    return tiny(f"{series}.{number}", study, series, size=size, patient=f"LOAD{sender}")


def send(port, sender, first, record):
    """One association that stores until the connection breaks; each acknowledged number goes into the record."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
    number = first
    with open(record, "a", buffering=1) as acknowledged:
        try:
            requestor = wire.Requestor(port, [(wire.CT, (wire.EXPLICIT,))], calling=f"SENDER{sender}")
            while True:
                response = requestor.store(made(sender, number))
                if response[wire.STATUS] != wire.SUCCESS:
                    acknowledged.write(f"! {number} {response[wire.STATUS]:04X}\n")
                    return
                acknowledged.write(f"{number}\n")
                number += 1
        except (OSError, wire.Closed, wire.Aborted, wire.Rejected):
            return


def acknowledged(record):
    if not record.exists():
        return []
    lines = record.read_text().split("\n")[:-1]
    assert not any(line.startswith("!") for line in lines), f"a store was refused: {lines[-1]}"
    return [int(line) for line in lines]


def visible(archive, sender):
    """The numbers of the instances that a query finds for a sender. By hand: there are many thousands."""
    query = encode(identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.9{sender}", SOPInstanceUID=""), wire.IMPLICIT)
    user = wire.user_information(extra=wire.extended(wire.STUDY_FIND, relational=1))
    with wire.Requestor(archive, [(wire.STUDY_FIND, (wire.IMPLICIT,))], user=user, timeout=60) as requestor:
        status, comment, rows = requestor.find(query)
    assert status == 0, f"{status:04X}H {comment}"
    numbers = [int(re.search(rb"\x08\x00\x18\x00..\x00\x00[0-9.]*\.(\d+)", row, re.DOTALL)[1]) for row in rows]
    assert len(numbers) == len(set(numbers)), "an instance is listed twice"
    return set(numbers)


def check(archive, sender, numbers, already):
    """Everything acknowledged is visible; everything visible since the last check is whole."""
    seen = visible(archive, sender)
    missing = sorted(set(numbers) - seen)
    assert not missing, f"sender {sender}: {len(missing)} acknowledged instances are lost, e.g. {missing[:5]}"
    fresh = sorted(seen - already)
    assert len(seen) <= len(set(numbers)) + KILLS + 1, "more is visible than was ever sent"
    for start in range(0, len(fresh), 200):
        chosen = fresh[start:start + 200]
        query = identifier("IMAGE", SOPInstanceUID=[made(sender, number).sop_instance for number in chosen])
        got = get(archive, query, negotiation=[extended(STUDY_GET, relational=1)])
        assert got.status == 0 and got.failed == 0, f"{got.status:04X}H, {got.failed_instances[:3]} cannot be read"
        arrived = got.by_uid()
        for number in chosen:
            expected = made(sender, number)
            assert expected.sop_instance in arrived, f"{expected.sop_instance} is found but not served"
            assert arrived[expected.sop_instance].data == expected.data, f"{expected.sop_instance} has other bytes"
    return seen


class Endurance:
    """What became of one archive, or of all of them."""

    def __init__(self):
        self.acknowledged = self.unacknowledged = self.broken_starts = 0
        self.starts = []


def endure(folder, kills, chosen, context, done):
    """One archive that is killed so many times while 8 associations store; it is looked through after each kill."""
    archive = Archive(folder, configuration(storage={"segmentMiB": 16}), dicom_port=free_port(), http_port=free_port())
    records = [folder / f"acknowledged-{sender}" for sender in range(SENDERS)]
    seen = [set() for _ in range(SENDERS)]
    stored = 0
    try:
        for moment in range(kills + 1):
            if moment and chosen.random() < 0.2:
                # Recovery itself is killed, too.
                archive.launch()
                time.sleep(chosen.uniform(0, 0.1))
                archive.kill()
                done.broken_starts += 1
            archive.start(timeout=30)
            if moment:
                done.starts.append(archive.seconds_to_ready)
            total = 0
            for sender in range(SENDERS):
                numbers = acknowledged(records[sender])
                total += len(set(numbers))
                seen[sender] = check(archive, sender, numbers, seen[sender])
            assert not moment or total > stored, "the load stored nothing before the kill"
            stored = total
            archive.verify("--full")
            assert not archive.partial_files()
            if moment < kills:
                kill_under_load(archive, records, seen, chosen, context)
        stats = archive.stats()
        assert stats["instances"] == sum(map(len, seen)) == stats["versions"]
        archive.close()
    finally:
        archive.kill()
    done.acknowledged += stored
    done.unacknowledged += sum(map(len, seen)) - stored


def kill_under_load(archive, records, seen, chosen, context):
    workers = [context.Process(target=send, args=(
        archive.dicom_port, sender, max(seen[sender], default=-1) + 1, records[sender])) for sender in range(SENDERS)]
    for worker in workers:
        worker.start()
    # Not before the first acknowledgement, or there would be nothing to lose.
    deadline = time.monotonic() + 60
    before = [record.stat().st_size if record.exists() else 0 for record in records]
    while not any(record.exists() and record.stat().st_size > size for record, size in zip(records, before)):
        assert time.monotonic() < deadline, "no sender stored anything:\n" + archive.log_text()
        time.sleep(0.005)
    time.sleep(chosen.uniform(0, 0.8))
    assert archive.process.poll() is None, "the server died by itself:\n" + archive.log_text()
    archive.kill()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0, f"a sender ended with {worker.exitcode}"


@pytest.mark.limit(60 + 30 * KILLS)
def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(tmp_path, capsys):
    chosen, done = random.Random(SEED), Endurance()
    # Not forked from this process, whose threads may hold locks at that moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.wire", "harness.samples", "harness.clients"])
    for first in range(0, KILLS, KILLS_OF_AN_ARCHIVE):
        folder = tmp_path / str(first)
        folder.mkdir()
        endure(folder, min(KILLS_OF_AN_ARCHIVE, KILLS - first), chosen, context, done)
        shutil.rmtree(folder)
    record("kills", kills=KILLS, whileStarting=done.broken_starts, acknowledged=done.acknowledged, lost=0)
    with capsys.disabled():
        print(f"\nkilled {KILLS} times under load of {SENDERS} associations and {done.broken_starts} times during start "
              f"(SNIMOK_SEED={SEED}): {done.acknowledged} acknowledged instances, all there and right; "
              f"{done.unacknowledged} stored without the answer having arrived; ready again after "
              f"{statistics.median(done.starts):.3f} s (median), {max(done.starts):.3f} s (longest)")
    # One second, and the replay of what the log has beyond the catalog: a few batches here.
    assert statistics.median(done.starts) <= 1.0 and max(done.starts) <= 3.0, f"slow starts: {sorted(done.starts)[-5:]}"


def test_a_torn_last_record_is_cut_off_and_the_rest_is_kept(new_archive):
    archive = new_archive()
    sent = [made(1, number) for number in range(20)]
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
        for instance in sent:
            assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS
    archive.stop()
    last = archive.segments()[-1]
    with open(last, "r+b") as file:
        file.truncate(last.stat().st_size - 5000)
    archive.delete_catalog()
    archive.start()
    assert visible(archive, 1) == set(range(19))
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
        assert requestor.store(sent[19])[wire.STATUS] == wire.SUCCESS
    assert visible(archive, 1) == set(range(20))
    archive.restart()
    check(archive, 1, range(20), set())


def test_a_damaged_record_in_the_middle_hides_none_behind_it(new_archive):
    archive = new_archive()
    sent = [made(1, number) for number in range(20)]
    with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
        for instance in sent:
            assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS
    archive.stop()
    segment = archive.segments()[0]
    content = bytearray(segment.read_bytes())
    at = content.find(b"SNRC", content.find(sent[10].data) - 4096 * 2)
    # The header of the record before the eleventh payload: magic, lengths, all of it.
    content[at:at + 256] = bytes(256)
    segment.write_bytes(content)
    archive.delete_catalog()
    archive.start()
    assert visible(archive, 1) >= set(range(20)) - {9, 10} and len(visible(archive, 1)) == 19
