# SPDX-License-Identifier: Apache-2.0
"""Power cuts of a real file system under load: ext4 on a loop device is shut down without a flush of its journal.

What the journal had not committed and what lay in the page cache is gone then, as when the power fails; after the next
mount everything that was acknowledged must be there with its bytes, and what was deleted must not. The load stores,
deletes and compacts. SNIMOK_CUTS sets how many (the full proof is 1,000),
SNIMOK_SEED which moments. A server whose syncs do nothing shows that the test can fail.
"""
import shutil
import subprocess
import threading
import time

import pytest

from harness import web, wire
from harness.archive import BINARY, Archive, configuration
from harness.samples import ROOT_UID, tiny
from harness.tools import free_port
from proof import SEED, amount, chooser, record
from scenarios import BROKEN, Promises, check_promises
from volume import Volume

CUTS = amount("SNIMOK_CUTS", 3, 1000)
SENDERS = 4
MEGABYTES = 384
# Beyond this much the next round begins with an empty file system, so that none takes long.
FULL_AT = 160 << 20
SECTIONS = dict(storage={"segmentMiB": 1, "largeObjectMiB": 1, "freeSpaceFloorMiB": 16, "deletionGraceDays": 0},
                dicomweb={"allowDelete": True})
NO_SYNC = """
#include <stddef.h>
int fsync(int f) { return 0; }
int fdatasync(int f) { return 0; }
int syncfs(int f) { return 0; }
int msync(void *a, size_t n, int f) { return 0; }
void sync(void) {}
"""


def made(study, sender, number):
    """The instance of a sender's number in a round; it can be made again to compare."""
    size = 130_000 if number % 23 == 22 else 1000 + number * 7919 % 7000 // 2 * 2
    instance = tiny(f"{study}.1.{number}", study, f"{study}.1", size=size, patient=f"CUT{sender}")
    if number % 61 == 30:
        # Beyond the limit of what is gathered in memory: a file of its own.
        instance.data += b"\xe1\x7f\x10\x00OB\0\0" + (5 << 18).to_bytes(4, "little") + bytes(5 << 18)
    return instance


class Sender(threading.Thread):
    """Stores until nothing goes any more; knows what was acknowledged."""

    def __init__(self, archive, study, sender):
        super().__init__(daemon=True)
        self.archive, self.study, self.sender = archive, study, sender
        self.acknowledged, self.sent, self.complaint = [], 0, None
        self.start()

    def run(self):
        try:
            if self.sender == 0:
                self._stow()
            else:
                self._store()
        except BROKEN:
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.complaint = f"{type(error).__name__}: {error}"

    def _store(self):
        with wire.Requestor(self.archive, [(wire.CT, (wire.EXPLICIT,))], calling=f"SENDER{self.sender}") as requestor:
            while True:
                number, self.sent = self.sent, self.sent + 1
                status = requestor.store(made(self.study, self.sender, number))[wire.STATUS]
                if not self.goes_on([number], status == wire.SUCCESS):
                    return

    def _stow(self):
        while True:
            numbers = [self.sent, self.sent + 1]
            self.sent += 2
            reply = web.stow(self.archive, [made(self.study, self.sender, number) for number in numbers])
            if not self.goes_on(numbers, reply.status == 200):
                return

    def goes_on(self, numbers, is_stored):
        """Notes an answer."""
        if is_stored:
            self.acknowledged += numbers
        # Else the volume is gone, and anything but success is right.
        return is_stored


class Deleter(threading.Thread):
    """Deletes every third of the instances that a sender has stored; knows what was asked for and what was acknowledged."""

    def __init__(self, sender):
        super().__init__(daemon=True)
        self.sender = sender
        self.begun, self.deleted = set(), set()
        self.start()

    def run(self):
        at = 0
        while self.sender.is_alive():
            if at >= len(self.sender.acknowledged):
                time.sleep(0.001)
                continue
            number, at = self.sender.acknowledged[at], at + 3
            self.begun.add(number)
            instance = made(self.sender.study, self.sender.sender, number)
            try:
                reply = web.request(self.sender.archive, "DELETE", web.path_of(instance))
            except BROKEN:
                return
            if reply.status != 204:
                return
            self.deleted.add(number)


class Compactor(threading.Thread):
    """Gives back space, again and again."""

    def __init__(self, archive):
        super().__init__(daemon=True)
        self.archive, self.is_ending = archive, False
        self.start()

    def run(self):
        while not self.is_ending:
            if self.archive.command("compact", "--all", with_config=True).returncode:
                return


class Proof:
    """One archive on one volume, through many cuts."""

    def __init__(self, directory, volume, chosen, wrapper=()):
        self.volume, self.chosen, self.wrapper = volume, chosen, list(wrapper)
        self.directory = directory
        self.deleted = self.compacted = 0
        self.acknowledged = self.cuts = self.cuts_while_starting = self.file_systems = 0
        self.round = 0
        self.archive = None

    def begin(self):
        """An empty file system and archive. The catalog and all else lie on it, too."""
        self.mode = self.chosen.choice(["data=ordered", "data=ordered", "data=writeback"])
        self.volume.make(self.mode)
        self.file_systems += 1
        self.archive = Archive(self.directory / "server", configuration(**SECTIONS), self.wrapper,
                               dicom_port=free_port(), http_port=free_port())
        self.archive.data = self.volume.path / "data"
        self.archive.start(timeout=30)

    def load_and_cut(self):
        """Senders store until the power goes; what they were told."""
        self.round += 1
        studies = [f"{ROOT_UID}.66{sender}.{self.round}" for sender in range(SENDERS)]
        senders = [Sender(self.archive, study, number) for number, study in enumerate(studies)]
        for sender in senders:
            sender.deleter = Deleter(sender) if sender.sender % 2 else None
        compactor = Compactor(self.archive) if self.chosen.random() < 0.3 else None
        deadline = time.monotonic() + 20
        while not any(sender.acknowledged for sender in senders):
            assert time.monotonic() < deadline, "no sender stored anything:\n" + self.archive.log_text()
            time.sleep(0.001)
        # A compaction is not done as soon as a store is.
        time.sleep(self.chosen.expovariate(1 / (0.8 if compactor else 0.15)))
        self.volume.cut()
        # A process sees the end of its file system before it ends itself, and may still answer: that counts, too.
        time.sleep(self.chosen.choice([0, 0, 0.01, 0.05]))
        self.down()
        for sender in senders:
            sender.join(30)
            assert not sender.is_alive(), "a sender did not notice that the server is gone"
            assert sender.complaint is None, sender.complaint
            if sender.deleter:
                sender.deleter.join(30)
                assert not sender.deleter.is_alive(), "a deletion was never answered"
                self.deleted += len(sender.deleter.deleted)
        if compactor:
            compactor.is_ending = True
            compactor.join(60)
            self.compacted += sum('event="segment compacted"' in line for line in self.archive.log)
        self.acknowledged += sum(len(sender.acknowledged) for sender in senders)
        return senders

    def down(self):
        self.archive.kill()
        self.volume.unmount()
        self.volume.mount(self.mode)
        self.cuts += 1

    def up(self):
        """Recovery, which loses its power now and then, too."""
        while self.chosen.random() < 0.15:
            self.archive.launch()
            time.sleep(self.chosen.uniform(0, 0.06))
            self.volume.cut()
            self.down()
            self.cuts_while_starting += 1
        self.archive.start(timeout=30)

    def check(self, senders):
        for sender in senders:
            served = self.served(sender.study)
            begun, deleted = (sender.deleter.begun, sender.deleter.deleted) if sender.deleter else (set(), set())
            lost = [number for number in sender.acknowledged
                    if number not in begun and f"{sender.study}.1.{number}" not in served]
            back = [number for number in deleted if f"{sender.study}.1.{number}" in served]
            assert not back, f"deleted, and there again: numbers {back[:5]} of sender {sender.sender}"
            assert not lost, (f"{len(lost)} of {len(sender.acknowledged)} acknowledged instances of sender "
                              f"{sender.sender} are lost, e.g. number {lost[:5]}")
            for uid, data in served.items():
                number = int(uid.rsplit(".", 1)[1])
                assert number < sender.sent, f"{uid} was never sent"
                assert made(sender.study, sender.sender, number).data == data, f"{uid} has other bytes"
        verified = self.archive.verify("--full", check=None)
        if verified.returncode:
            # Whether it stays so tells damage from a view that was taken in the middle of something.
            again = self.archive.verify("--full", check=None)
            raise AssertionError(f"verify ended with {verified.returncode}, then with {again.returncode}:\n"
                                 f"{verified.stdout[-500:]}{verified.stderr[-1000:]}"
                                 f"{[path.name for path in self.archive.segments()]}")
        assert not self.archive.partial_files()

    def served(self, study):
        """All of a study, by one request."""
        reply = web.get(self.archive, f"studies/{study}", accept=web.related(web.DICOM, transfer_syntax="*"))
        if reply.status == 404:
            return {}
        found = [web.read_part10(part.body) for part in reply.parts()]
        assert len({instance.sop_instance for instance in found}) == len(found)
        return {instance.sop_instance: instance.data for instance in found}

    def close(self):
        if self.archive is not None:
            self.archive.kill()
        self.volume.close()


@pytest.mark.limit(120 + 10 * CUTS)
def test_nothing_acknowledged_is_lost_when_the_power_fails(tmp_path, capsys):
    Volume.check_can_mount(tmp_path)
    proof = Proof(tmp_path, Volume(tmp_path, MEGABYTES), chooser("power cuts"))
    history, begun = [], time.monotonic()
    try:
        proof.begin()
        while proof.cuts < CUTS:
            senders = proof.load_and_cut()
            try:
                proof.up()
                proof.check(senders)
                history.append(senders)
                if proof.volume.used() > FULL_AT or proof.cuts >= CUTS:
                    # Nor has any later cut taken what an earlier one left.
                    for earlier in history:
                        proof.check(earlier)
                    history = []
                    proof.archive.kill()
                    proof.begin()
            except AssertionError as error:
                raise AssertionError(f"cut {proof.cuts} (SNIMOK_SEED={SEED}, {proof.mode}): {error}\n"
                                     + proof.archive.log_text()) from error
    finally:
        proof.close()
    seconds = time.monotonic() - begun
    record("powercut", cuts=proof.cuts, whileStarting=proof.cuts_while_starting, acknowledged=proof.acknowledged,
           deleted=proof.deleted, compacted=proof.compacted, lost=0, secondsEach=round(seconds / proof.cuts, 2))
    with capsys.disabled():
        print(f"\npower of ext4 cut {proof.cuts} times (SNIMOK_SEED={SEED}), {proof.cuts_while_starting} of them during "
              f"recovery, on {proof.file_systems} file systems: {proof.acknowledged} acknowledged instances, all there and "
              f"right, but for {proof.deleted} that were deleted and stayed so; {proof.compacted} segments compacted; "
              f"{seconds / proof.cuts:.2f} s a cut")


@pytest.mark.limit(120 + 10 * CUTS)
def test_a_compaction_outlives_a_power_cut(tmp_path, capsys):
    """The power goes at the moment at which a compaction has been answered, and at moments within it."""
    Volume.check_can_mount(tmp_path)
    chosen = chooser("compaction")
    proof = Proof(tmp_path, Volume(tmp_path, MEGABYTES), chosen)
    rounds = max(2, CUTS // 20)
    study = f"{ROOT_UID}.665.1"
    try:
        for number in range(rounds):
            proof.begin()
            archive = proof.archive
            promises = Promises()
            instances = [tiny(f"{study}.{one}", study, f"{study}.0", size=130_000) for one in range(1, 20)]
            promises.store(archive, *instances)
            for instance in instances[1:6]:
                promises.delete([instance], lambda one=instance: web.request(archive, "DELETE", web.path_of(one)).expect(204))
            # What is not compacted is to be in the catalog's own file by then.
            time.sleep(1.2)
            running = subprocess.Popen([str(BINARY), "compact", "--all", "--data", str(archive.data)],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if number:
                time.sleep(chosen.uniform(0, 0.3))
            else:
                assert running.wait(60) == 0, running.stdout.read()
            proof.volume.cut()
            proof.down()
            running.communicate(timeout=60)
            try:
                archive.start(timeout=30)
                check_promises(archive, promises, study)
                archive.verify("--full")
            except AssertionError as error:
                raise AssertionError(f"round {number} (SNIMOK_SEED={SEED}, {proof.mode}): {error}") from error
            archive.kill()
    finally:
        proof.close()
    record("powercut-compaction", cuts=rounds, lost=0)
    with capsys.disabled():
        print(f"\npower cut during and behind {rounds} compactions (SNIMOK_SEED={SEED}): nothing lost")


def test_a_server_that_does_not_sync_is_caught(tmp_path, capsys):
    """The negative control: were nothing lost here, the test above would show nothing."""
    Volume.check_can_mount(tmp_path)
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler (package gcc)")
    source, library = tmp_path / "nosync.c", tmp_path / "nosync.so"
    source.write_text(NO_SYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    proof = Proof(tmp_path, Volume(tmp_path, MEGABYTES), chooser("control"), ["env", f"LD_PRELOAD={library}"])
    rounds, caught = 5, None
    try:
        for number in range(1, rounds + 1):
            proof.begin()
            senders = proof.load_and_cut()
            try:
                proof.archive.start(timeout=30)
                proof.check(senders)
            except AssertionError as error:
                caught = f"in round {number}: {str(error).splitlines()[0]}"
                break
            finally:
                proof.archive.kill()
    finally:
        proof.close()
    record("powercut-control", caught=caught is not None, rounds=number)
    with capsys.disabled():
        print(f"\nwithout syncs: {caught or f'nothing was lost in {rounds} rounds, so this control shows nothing'}")
