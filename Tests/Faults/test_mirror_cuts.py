# SPDX-License-Identifier: Apache-2.0
"""Two copies on two file systems, one of which loses its power under load.

Whatever was acknowledged is on the other; the archive goes on or stops, as configured, and says so; a mirror that comes
back catches up while the load goes on. SNIMOK_CUTS sets how many cuts (the full form is 100), SNIMOK_SEED which moments.
"""
import time

import pytest

from harness import web
from harness.archive import Archive, configuration
from harness.samples import ROOT_UID
from harness.tools import free_port
from proof import SEED, amount, chooser, record
from test_powercut import Sender, made
from volume import Volume

CUTS = amount("SNIMOK_CUTS", 3, 100)
SENDERS = 4
MEGABYTES = 1024
STORAGE = {"segmentMiB": 4, "largeObjectMiB": 1, "freeSpaceFloorMiB": 16}
KINDS = ["mirror, going on", "archive", "mirror, stopping"]


class PacedSender(Sender):
    """Stores at a modality's pace, also after a refusal, until nothing goes any more."""

    refused = 0

    def goes_on(self, numbers, is_stored):
        if not super().goes_on(numbers, is_stored):
            self.refused += len(numbers)
        time.sleep(0.01 * len(numbers))
        return True


class Proof:
    def __init__(self, directory):
        self.directory, self.chosen = directory, chooser("mirror cuts")
        self.first, self.second = Volume(directory, MEGABYTES, "first"), Volume(directory, MEGABYTES, "second")
        self.round = self.acknowledged = self.while_degraded = 0
        self.archive = self.other = None

    def begin(self, policy):
        """Empty file systems and an archive with its mirror."""
        self.mode = self.chosen.choice(["data=ordered", "data=ordered", "data=writeback"])
        for volume in (self.first, self.second):
            volume.make(self.mode)
        mirror = {"mode": "mirrored", "directory": str(self.second.path / "data"), "whenMirrorFails": policy}
        self.archive = Archive(self.directory / "server", configuration(storage=STORAGE, durability=mirror),
                               dicom_port=free_port(), http_port=free_port())
        self.archive.data = self.first.path / "data"
        self.other = Archive(self.directory / "other", configuration(storage=STORAGE))
        self.other.data = self.second.path / "data"
        self.archive.start(timeout=30)
        self.wait_attached()

    def load(self):
        self.round += 1
        self.senders = [
            PacedSender(self.archive, f"{ROOT_UID}.67{number}.{self.round}", number) for number in range(SENDERS)]
        self.wait(lambda: all(sender.acknowledged for sender in self.senders), "no sender stored anything")
        time.sleep(self.chosen.expovariate(1 / 0.3))

    def count(self):
        return sum(len(sender.acknowledged) for sender in self.senders)

    def end_load(self):
        self.archive.kill()
        for sender in self.senders:
            sender.join(30)
            assert not sender.is_alive() and sender.complaint is None, sender.complaint
        self.acknowledged += self.count()

    def wait(self, condition, complaint, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, complaint
            time.sleep(0.02)

    def ready(self):
        return self.archive.http("/readyz")

    def wait_attached(self):
        self.wait(lambda: self.ready() == (200, "ready\n"), "the mirror was not attached")

    def back(self, volume):
        volume.unmount()
        volume.mount(self.mode)

    # One round of each kind

    def cut_mirror_going_on(self):
        self.load()
        self.second.cut()
        self.wait(lambda: "degraded: mirror" in self.ready()[1], "nobody said that the mirror failed")
        assert self.ready()[0] == 200
        before = self.count()
        time.sleep(self.chosen.uniform(0.1, 1))
        self.wait(lambda: self.count() > before, "storing did not go on")
        self.while_degraded += self.count() - before
        assert not sum(sender.refused for sender in self.senders), "something was refused"
        self.back(self.second)
        self.wait_attached()
        time.sleep(self.chosen.uniform(0, 0.5))
        self.end_load()
        self.check_mirror_then_both()

    def cut_mirror_stopping(self):
        self.load()
        self.second.cut()
        self.wait(lambda: self.ready()[0] == 503, "nobody said that nothing is stored")
        assert "mirror" in self.ready()[1]
        before = self.count()
        time.sleep(self.chosen.uniform(0.1, 1))
        # One that was being answered while it was asked.
        assert self.count() <= before + 2 * SENDERS, "it stored with one copy"
        self.check(self.archive)
        self.back(self.second)
        self.wait_attached()
        after = self.count()
        self.wait(lambda: self.count() > after, "storing did not go on when the mirror was back")
        time.sleep(self.chosen.uniform(0, 0.5))
        self.end_load()
        self.check_mirror_then_both()

    def cut_archive(self):
        self.load()
        self.first.cut()
        time.sleep(self.chosen.choice([0, 0, 0.05, 0.5]))
        self.end_load()
        self.first.unmount()
        self.check_alone()
        self.first.mount(self.mode)
        self.check_both()

    def check_mirror_then_both(self):
        self.check_alone()
        self.check_both()

    def check_alone(self):
        """A server on the second copy has everything."""
        self.other.start(timeout=60)
        self.check(self.other)
        self.other.verify("--full")
        self.other.stop()

    def check_both(self):
        self.archive.start(timeout=60)
        self.wait_attached()
        self.check(self.archive)
        self.archive.verify("--full")
        self.archive.stop()
        mine, other = (self.files(volume.path / "data") for volume in (self.first, self.second))
        assert sorted(mine) == sorted(other)
        different = [name for name in mine if mine[name] != other[name]]
        assert not different, f"not the same: {different}"

    @staticmethod
    def files(data):
        return {f"{folder}/{path.name}": path.read_bytes()
                for folder in ("segments", "large", "incoming") for path in (data / folder).iterdir()}

    def check(self, archive):
        for sender in self.senders:
            acknowledged = list(sender.acknowledged)
            reply = web.get(archive, f"studies/{sender.study}", accept=web.related(web.DICOM, transfer_syntax="*"))
            assert reply.status == 200, f"study {sender.study}: {reply.status}"
            found = {}
            for part in reply.parts():
                instance = web.read_part10(part.body)
                found[int(instance.sop_instance.rsplit(".", 1)[1])] = instance.data
            lost = [number for number in acknowledged if number not in found]
            assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged are lost, e.g. {lost[:5]}"
            for number, data in found.items():
                assert made(sender.study, sender.sender, number).data == data, f"number {number} has other bytes"

    def close(self):
        for archive in (self.archive, self.other):
            if archive is not None:
                archive.kill()
        self.first.close()
        self.second.close()


@pytest.mark.limit(240 + 60 * CUTS)
def test_nothing_acknowledged_is_lost_with_one_of_two_volumes(tmp_path, capsys):
    Volume.check_can_mount(tmp_path)
    proof = Proof(tmp_path)
    begun = time.monotonic()
    counts = dict.fromkeys(KINDS, 0)
    try:
        for number in range(CUTS):
            kind = KINDS[number % len(KINDS)]
            proof.begin("stop" if kind == KINDS[2] else "continue")
            try:
                (proof.cut_mirror_going_on, proof.cut_archive, proof.cut_mirror_stopping)[KINDS.index(kind)]()
            except AssertionError as error:
                raise AssertionError(f"cut {number + 1}, {kind} (SNIMOK_SEED={SEED}, {proof.mode}): {error}\n"
                                     + proof.archive.log_text() + "\n--\n" + proof.other.log_text()) from error
            counts[kind] += 1
    finally:
        proof.close()
    seconds = (time.monotonic() - begun) / CUTS
    record("mirror", cuts=CUTS, kinds=counts, acknowledged=proof.acknowledged, whileDegraded=proof.while_degraded, lost=0,
           secondsEach=round(seconds, 2))
    with capsys.disabled():
        print(f"\none of two ext4 volumes cut {CUTS} times (SNIMOK_SEED={SEED}), {counts}: {proof.acknowledged} acknowledged "
              f"instances, {proof.while_degraded} of them while there was one copy, all there and right; {seconds:.1f} s a cut")
