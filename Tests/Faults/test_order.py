"""The order of system calls: write < fdatasync < answer, for every instance, and fdatasync < catalog, which never has what a
power cut could still take; what is new in a directory is synced there first, be it a segment, a large object or the archive's
folders themselves.

The server runs under strace, and its trace is judged. Each instance is recognised by its SOP Instance UID, which stands
in the bytes written and again in the C-STORE response.
"""
import re
import subprocess
import threading
from dataclasses import dataclass

import pytest

from harness import web, wire
from harness.archive import Archive, configuration
from harness.clients import find, identifier
from harness.samples import ROOT_UID, tiny
from harness.tools import program

CALLS = ("openat,creat,write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range,rename,renameat,"
         "renameat2,sendto,sendmsg,link,linkat,mkdir,mkdirat")
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
SENDS = WRITES | {"sendto", "sendmsg"}
SYNCS = {"fsync", "fdatasync"}


@dataclass
class Call:
    name: str
    text: str
    begun: int
    ended: int

    @property
    def path(self):
        """The file behind the call's descriptor, as `strace -y` shows it."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""

    @property
    def succeeded(self):
        return re.search(r"= \d", self.text.rsplit(")", 1)[-1]) is not None


def parse(lines):
    """Calls with the line numbers at which they began and ended; unfinished ones are joined with their end."""
    calls, open_calls = [], {}
    for number, line in enumerate(lines):
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", rest)
        if resumed:
            begun, name, text = open_calls.pop(thread, (None, None, None))
            if begun is not None and name == resumed[1]:
                calls.append(Call(name, text + resumed[2], begun, number))
            continue
        started = re.match(r"(\w+)\((.*)", rest)
        if not started:
            continue
        if rest.endswith("<unfinished ...>"):
            open_calls[thread] = (number, started[1], started[2].removesuffix("<unfinished ...>"))
        else:
            calls.append(Call(started[1], started[2], number, number))
    return sorted(calls, key=lambda call: call.begun)


def traced(directory, work, **sections):
    """Runs the server under strace while `work(archive)` uses it; the calls it made."""
    strace = program("strace", "strace")
    if subprocess.run([strace, "-f", "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here (no ptrace permission)")
    trace = directory / "trace"
    wrapper = [strace, "-f", "-y", "-qq", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", trace]
    archive = Archive(directory, configuration(**sections), wrapper)
    try:
        archive.start()
        work(archive)
        archive.stop()
    finally:
        archive.kill()
    return archive, parse(trace.read_text(errors="replace").splitlines())


def judge(archive, calls, instances):
    """Asserts the order for each instance; the segments that were written."""
    logs = (str(archive.data / "segments"), str(archive.data / "large"))
    written_paths = set()
    for instance in instances:
        uid = re.compile(re.escape(instance.sop_instance) + r"(?![0-9.])")
        writes = [call for call in calls if call.name in WRITES and call.path.startswith(logs)
                  and uid.search(call.text)]
        answers = [call for call in calls if call.name in SENDS and not call.path.startswith("/")
                   and uid.search(call.text)]
        assert len(answers) == 1, f"{len(answers)} answers with {instance.sop_instance} in the trace"
        assert writes, f"{instance.sop_instance} was answered without having been written"
        write, answer = writes[0], answers[0]
        written_paths.add(write.path)
        syncs = [call for call in calls if call.name in SYNCS and call.path == write.path
                 and call.begun > write.ended and call.ended < answer.begun and call.succeeded]
        assert syncs, (f"{instance.sop_instance}: written at line {write.ended} of the trace, answered at line "
                       f"{answer.begun}, and no fdatasync of {write.path} between them")
        created = [call for call in calls if call.name == "openat" and "O_CREAT" in call.text
                   and f"<{write.path}>" in call.text.rsplit("= ", 1)[-1]]
        catalog = str(archive.data / "catalog.db")
        rows = [call for call in calls if call.name in WRITES and call.path.startswith(catalog)
                and instance.sop_instance in call.text]
        assert rows, f"{instance.sop_instance} never came into the catalog"
        # Behind a UID stands a number there, of which a byte may look like a digit: those are left out.
        assert all(call.begun > syncs[0].ended for call in rows if uid.search(call.text)), (
            f"{instance.sop_instance} was in the catalog before it was durable")
        if created:
            folder = write.path.rsplit("/", 1)[0]
            block = next(call for call in calls if call.name in WRITES and call.path == write.path)
            assert any(call.name in SYNCS and call.path == write.path and block.ended < call.begun
                       and call.ended < write.begun and call.succeeded for call in calls), (
                f"the block of {write.path} was not synced before its first record")
            assert any(call.name in SYNCS and call.path == folder and call.begun > created[0].ended
                       and call.ended < answer.begun and call.succeeded for call in calls), (
                f"{write.path} was created, but {folder} was not synced before {instance.sop_instance} was answered")
    return written_paths


def sample(number, size=2000):
    study = f"{ROOT_UID}.88"
    return tiny(f"{study}.1.{number}", study, f"{study}.1", size=size)


def test_each_store_is_written_and_synced_before_its_answer(tmp_path):
    instances = [sample(number) for number in range(1, 31)]

    def work(archive):
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
            for instance in instances:
                assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS

    archive, calls = traced(tmp_path, work)
    judge(archive, calls, instances)


def test_the_order_holds_for_stores_of_many_associations_in_one_batch(tmp_path):
    instances = [sample(number) for number in range(1, 81)]

    def work(archive):
        failures = []

        def client(part):
            try:
                with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))], timeout=120) as requestor:
                    for instance in part:
                        assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS
            except Exception as error:  # told below, in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=client, args=(instances[start::8],)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures[0]

    archive, calls = traced(tmp_path, work)
    judge(archive, calls, instances)


def test_a_new_segment_is_in_its_synced_directory_before_its_first_answer(tmp_path):
    instances = [sample(number, size=60000) for number in range(1, 61)]

    def work(archive):
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
            for instance in instances:
                assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS

    archive, calls = traced(tmp_path, work, storage={"segmentMiB": 1})
    assert len(judge(archive, calls, instances)) >= 3, "the segments did not change, so nothing was shown"


def test_the_order_holds_for_stow(tmp_path):
    instances = [sample(number) for number in range(1, 4)]

    def work(archive):
        for instance in instances:
            assert web.stow(archive, [instance]).status == 200

    archive, calls = traced(tmp_path, work)
    judge(archive, calls, instances)


def test_the_folders_of_a_new_archive_are_synced_before_its_first_answer(tmp_path):
    def work(archive):
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
            assert requestor.store(sample(1))[wire.STATUS] == wire.SUCCESS

    archive, calls = traced(tmp_path, work)
    answer = next(call for call in calls if call.name in SENDS and not call.path.startswith("/")
                  and sample(1).sop_instance in call.text)
    # Pictures that can be made again are left out.
    made = {re.search(r'"([^"]*)"', call.text)[1]: call for call in calls
            if call.name.startswith("mkdir") and call.succeeded and not call.text.count("/previews")}
    assert {str(archive.data), *(str(archive.data / name) for name in ("segments", "large", "incoming"))} <= set(made)
    missing = []
    for path, call in made.items():
        parent = path.rstrip("/").rsplit("/", 1)[0]
        if not any(other.name in SYNCS and other.path == parent and call.ended < other.begun
                   and other.ended < answer.begun and other.succeeded for other in calls):
            missing.append(path)
    assert not missing, f"made, and not synced in the folder above before the first answer: {missing}"


def test_a_large_object_is_synced_renamed_and_referenced_before_its_answer(tmp_path):
    large = tiny(f"{ROOT_UID}.88.2.1", f"{ROOT_UID}.88", f"{ROOT_UID}.88.2", size=120_000)
    # Private data makes it large; its size is beyond what is gathered in memory.
    large.data += b"\xe1\x7f\x10\x00OB\0\0" + (3 << 20).to_bytes(4, "little") + bytes(3 << 20)

    def work(archive):
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))], timeout=120) as requestor:
            assert requestor.store(large)[wire.STATUS] == wire.SUCCESS

    archive, calls = traced(tmp_path, work, storage={"largeObjectMiB": 1})
    folder = str(archive.data / "incoming")
    renames = [call for call in calls if call.name.startswith("rename") and ".part" in call.text and call.succeeded]
    assert renames, "a large object is received under another name"
    rename = renames[0]
    answer = next(call for call in calls if call.name in SENDS and not call.path.startswith("/")
                  and large.sop_instance in call.text)
    last_write = [call for call in calls if call.name in WRITES and call.path.startswith(folder)][-1]
    synced = [call for call in calls if call.name in SYNCS and call.path == last_write.path]
    assert any(last_write.ended < call.begun and call.ended < rename.begun for call in synced), "synced before its name"
    assert any(call.name in SYNCS and call.path == folder and rename.ended < call.begun and call.ended < answer.begun
               for call in calls), "the directory is synced after the rename"
    segments = str(archive.data / "segments")
    reference = next(call for call in calls if call.name in WRITES and call.path.startswith(segments)
                     and large.sop_instance in call.text)
    assert reference.begun > rename.ended
    assert any(call.name in SYNCS and call.path == reference.path and reference.ended < call.begun
               and call.ended < answer.begun for call in calls), "the reference is synced before the answer"


def test_a_resend_is_answered_only_after_its_sighting_is_synced(tmp_path):
    instance = sample(1)

    def work(archive):
        for _ in range(2):
            with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
                assert requestor.store(instance)[wire.STATUS] == wire.SUCCESS

    archive, calls = traced(tmp_path, work)
    answers = [call for call in calls if call.name in SENDS and not call.path.startswith("/")
               and instance.sop_instance in call.text]
    assert len(answers) == 2
    first, second = answers
    writes = [call for call in calls if call.name in WRITES and call.path.startswith(str(archive.data / "segments"))
              and first.ended < call.begun and call.ended < second.begun]
    assert writes, "no sighting was written"
    assert any(call.name in SYNCS and call.path == writes[-1].path and writes[-1].ended < call.begun
               and call.ended < second.begun and call.succeeded for call in calls)


@pytest.mark.parametrize("fault", ["fdatasync:error=EIO:when=3+", "fdatasync:error=ENOSPC:when=3+"])
def test_a_failed_sync_is_never_answered_with_success_and_never_retried(fault, tmp_path):
    strace = program("strace", "strace")
    if subprocess.run([strace, "-f", "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here (no ptrace permission)")
    wrapper = [strace, "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject={fault}",
               "-P", tmp_path / "data" / "segments" / "00000001-00000001.seg", "-o", tmp_path / "trace"]
    archive = Archive(tmp_path, configuration(), wrapper)
    confirmed, refused = [], 0
    try:
        archive.start()
        # strace counts calls for each thread, and the thread that syncs may be an association's: one for them all.
        requestor = wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))])
        for number in range(1, 12):
            try:
                status = requestor.store(sample(number))[wire.STATUS]
            except (wire.Closed, wire.Aborted, wire.Rejected, OSError):
                status = None
            if status == wire.SUCCESS:
                assert not refused, "after a failed sync the volume accepts nothing more"
                confirmed.append(number)
            else:
                assert status is None or status in (0x0110, 0xA700), f"{status:04X}H"
                refused += 1
        assert refused, "the injected error reached nobody"
        if archive.process.poll() is None:
            wire.echo(archive)
    finally:
        archive.kill()
    archive.wrapper = []
    archive.start()
    found = find(archive, identifier("IMAGE", StudyInstanceUID=f"{ROOT_UID}.88", SeriesInstanceUID=f"{ROOT_UID}.88.1",
                                     SOPInstanceUID="")).values("SOPInstanceUID")
    for number in confirmed:
        assert sample(number).sop_instance in found
    archive.verify("--full")
    archive.close()
