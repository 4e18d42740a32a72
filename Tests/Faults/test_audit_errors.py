# SPDX-License-Identifier: Apache-2.0
"""The audit trail on a disk that fails: reading is refused, and comes back as it should."""
import errno
import subprocess
import time

import pytest

from harness import audit, web
from harness.archive import Archive, configuration
from harness.clients import find, identifier, store_all
from harness.samples import ct_study
from tracing import TracedArchive, check_can_trace
from volume import Volume


@pytest.fixture
def traced(tmp_path):
    check_can_trace()
    archive = TracedArchive(tmp_path / "archive", configuration()).start()
    archive.study = ct_study(study=1, count=1)
    store_all(archive, archive.study)
    yield archive
    archive.close(check=False)
    archive.traced.close()


def refused(archive):
    return web.get(archive, "studies").status == 503


@pytest.mark.parametrize("call, code", [("fdatasync", errno.EIO), ("pwrite64", errno.EIO)])
def test_a_failed_write_or_sync_is_final(traced, call, code):
    traced.traced.arm(at=1, fault="error", code=code, calls=[call], under=str(traced.data / "audit"))
    # Somebody's first look.
    assert web.get(traced, "studies").status == 503
    assert traced.traced.disarm()["fired"]
    # The disk is well again, and the trail still is not: nobody knows what of it arrived.
    assert find(traced, identifier("STUDY", StudyInstanceUID="")).status == 0xA700
    assert refused(traced)
    # Storing goes on.
    store_all(traced, ct_study(study=2, count=1))
    traced.untraced()
    traced.kill()
    traced.start()
    assert web.get(traced, "studies").status == 200
    traced.command("audit", "verify", check=0)


def test_no_room_for_one_entry_refuses_one_access(traced):
    # The trail's file, for the head beside it may be written at any time, and needs no room.
    trail, = (path for path in (traced.data / "audit").iterdir() if path.name not in ("head", "lock"))
    traced.traced.arm(at=1, fault="error", code=errno.ENOSPC, calls=["pwrite64"], under=str(trail))
    assert web.get(traced, "studies").status == 503
    assert traced.traced.disarm()["fired"]
    assert web.get(traced, "studies").status == 200
    traced.command("audit", "verify", check=0)


def test_a_short_write_is_finished(traced):
    traced.traced.arm(at=1, fault="short", calls=["pwrite64"], under=str(traced.data / "audit"))
    assert web.get(traced, "studies").status == 200
    traced.traced.disarm()
    traced.command("audit", "verify", check=0)


@pytest.fixture
def volume(tmp_path):
    Volume.check_can_mount(tmp_path)
    made = Volume(tmp_path, 192).make()
    yield made
    made.close()


@pytest.fixture
def filled(volume):
    opened = Archive(volume.path / "archive", configuration(audit={"reserveMiB": 1})).start()
    yield opened
    opened.close(check=False)


def test_a_full_disk_refuses_reading_when_the_reserve_is_used_up(volume, filled):
    """Others fill the disk to its last byte: reading goes on in the room that was set aside, then it is refused, and comes back
    with room. Nothing that was answered is missing from the trail."""
    archive = filled
    store_all(archive, ct_study(study=1, count=1))
    assert web.get(archive, "studies?PatientID=FIRST").status == 204
    filler = volume.path / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True)
    assert volume.free() < 65_536
    answered = ["FIRST"]
    fields = "&".join(f"includefield={number:08X}" for number in range(0x00080001, 0x00080001 + 400))
    while True:
        mark = f"M{len(answered)}"
        reply = web.get(archive, f"studies?PatientID={mark}&{fields}")
        if reply.status == 503:
            break
        assert reply.status == 204
        answered.append(mark)
        assert len(answered) < 2000, "the disk is full, and reading goes on without end"
    # The reserve did what it is for.
    assert len(answered) > 30
    assert archive.http("/readyz")[0] == 503
    filler.unlink()
    deadline = time.monotonic() + 20
    while web.get(archive, "studies").status == 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    archive.command("audit", "verify", check=0)
    trail = b"".join(audit.keys(entry) + b"&" for entry in audit.entries(archive, event="query"))
    assert [mark for mark in answered if f"PatientID={mark}&".encode() not in trail] == []
    archive.close()
