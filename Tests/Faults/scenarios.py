# SPDX-License-Identifier: Apache-2.0
"""Operations that are interrupted or made to fail at each of their system calls, and what must hold afterwards.

A further operation is a further entry of SCENARIOS: what the archive holds before (`prepare`), what is done (`act`), or
the subcommand that is run without a server (`command`), or what the start finds (`remains`). What has been promised is kept in `Promises`, and `check` holds
the archive to it.
"""
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.error import URLError

from harness import web, wire
from harness.archive import Archive, configuration
from harness.samples import ROOT_UID, tiny

STUDY = f"{ROOT_UID}.77"


class Refused(Exception):
    """A subcommand or a request that was not answered with success."""


BROKEN = (OSError, EOFError, URLError, wire.Closed, wire.Aborted, wire.Rejected, Refused)


def small(number):
    """One block of the log."""
    return tiny(f"{STUDY}.1.{number}", STUDY, f"{STUDY}.1", size=1000)


def blocks(number):
    """Many blocks; the payload begins at one of its own."""
    return tiny(f"{STUDY}.2.{number}", STUDY, f"{STUDY}.2", size=130_000)


def large(number):
    """Longer than the 1 MiB that the scenarios set as the limit of what goes into the log itself."""
    made = tiny(f"{STUDY}.3.{number}", STUDY, f"{STUDY}.3", size=120_000)
    made.data += b"\xe1\x7f\x10\x00OB\0\0" + (3 << 20).to_bytes(4, "little") + bytes(3 << 20)
    return made


class Promises:
    """What the archive has acknowledged: instances that must be there, and instances that must not."""

    def __init__(self, stored=()):
        self.stored = {instance.sop_instance: instance for instance in stored}
        self.gone = {}
        # Under way: there or not, but whole.
        self.open = {}
        self.statuses = []

    def copy(self):
        other = Promises(self.stored.values())
        other.gone = dict(self.gone)
        return other

    def store(self, archive, *instances):
        """Stores over one association; remembers what was acknowledged."""
        for instance in instances:
            if instance.sop_instance not in self.stored:
                self.open[instance.sop_instance] = instance
        with wire.Requestor(archive, [(wire.CT, (wire.EXPLICIT,))]) as requestor:
            for instance in instances:
                status = requestor.store(instance)[wire.STATUS]
                self.statuses.append(status)
                if status == wire.SUCCESS:
                    self.confirm(instance)

    def confirm(self, instance):
        self.open.pop(instance.sop_instance, None)
        self.stored[instance.sop_instance] = instance

    def delete(self, instances, how):
        """Deletes by `how()`, which returns when the deletion is acknowledged."""
        for instance in instances:
            self.open[instance.sop_instance] = self.stored.pop(instance.sop_instance)
        how()
        for instance in instances:
            self.gone[instance.sop_instance] = self.open.pop(instance.sop_instance)

    def undelete(self, instances, how):
        for instance in instances:
            self.open[instance.sop_instance] = self.gone.pop(instance.sop_instance)
        how()
        for instance in instances:
            self.confirm(instance)


def store(*instances):
    return lambda archive, promises: promises.store(archive, *instances)


def together(*instances):
    """Each over an association of its own, at the same time: one batch, or a few."""
    def act(archive, promises):
        with ThreadPoolExecutor(len(instances)) as threads:
            for done in [threads.submit(promises.store, archive, instance) for instance in instances]:
                done.result()
    return act


def stow(*instances):
    def act(archive, promises):
        promises.open.update({instance.sop_instance: instance for instance in instances})
        reply = web.stow(archive, instances)
        told = reply.media == web.JSON
        confirmed = web.stored(reply) if told else []
        reasons = [reason for _, reason in web.failed(reply)] if told else [reply.status]
        promises.statuses += [wire.SUCCESS] * len(confirmed) + reasons
        for instance in instances:
            if instance.sop_instance in confirmed:
                promises.confirm(instance)
    return act


def ask(archive, *words):
    """A subcommand beside the running server, or without one; its output."""
    done = archive.command(*words, with_config=True)
    if done.returncode:
        raise Refused(f"{words} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def delete(*instances):
    """One by one, by command line."""
    def act(archive, promises):
        for instance in instances:
            promises.delete([instance], lambda: ask(archive, "delete", "--instance", instance.sop_instance))
    return act


def delete_series(*instances):
    """All of a series, over HTTP."""
    def act(archive, promises):
        def request():
            target = web.path_of(instances[0]).split("/instances")[0]
            reply = web.request(archive, "DELETE", target)
            if reply.status != 204:
                raise Refused(f"{reply.status} {reply.body[:200]!r}")
        promises.delete(instances, request)
    return act


def undelete(*instances):
    """Takes back the first deletion that the archive knows."""
    def act(archive, promises):
        number = ask(archive, "deletions").split("\t")[0]
        promises.undelete(instances, lambda: ask(archive, "undelete", number))
    return act


def compact(archive, promises):
    ask(archive, "compact", "--all")


def check_files(archive):
    """A start leaves nothing unfinished, and of each segment one generation."""
    assert not list(archive.data.rglob("*.seg.new")), "a half-written segment is left"
    numbers = [path.name.split("-")[1] for path in archive.segments()]
    assert len(numbers) == len(set(numbers)), f"two generations of a segment are left: {archive.segments()}"


def compact_again(archive, promises):
    """What a compaction left unfinished does not stand in the way of the next, nothing is dropped twice, and all that is
    garbage goes at last."""
    check_files(archive)
    compact(archive, promises)
    check_promises(archive, promises)
    verified = archive.verify("--full", check=None)
    assert verified.returncode == 0, f"verify after compaction: {verified.stdout[-1500:]}{verified.stderr[-1500:]}"
    check_files(archive)
    said = archive.command("compact", "--all", check=0, with_config=True).stdout
    assert said.startswith("compacted 0 "), f"garbage is left by a compaction of all: {said}"
    alive = sum(len(instance.data) > 1 << 20 for instance in promises.stored.values())
    files = [path for folder in ("large", "incoming") for path in (archive.data / folder).rglob("*") if path.is_file()]
    assert len(files) == alive, f"{len(files)} files of large objects, {alive} instances in them"


@dataclass
class Scenario:
    name: str
    # Stored before, in an archive whose copy is used each time.
    prepare: list = field(default_factory=list)
    act: Callable | None = None
    # Instead of `act`: a subcommand of snimok without a server, and the instances that it stores: (archive) -> words.
    command: Callable | None = None
    stores: list = field(default_factory=list)
    # Instead of either: the start of the server, on what a crash left behind: (data directory).
    remains: Callable | None = None
    # Of those stored before, deleted again before.
    deleted: list = field(default_factory=list)
    # The configuration of the storage.
    storage: dict = field(default_factory=dict)
    # Whether it stores: what errors must lead to is said for that (test_errors.py).
    is_store: bool = True
    # Something else that must hold afterwards: (archive, promises).
    check: Callable | None = None

    def configuration(self):
        return configuration(storage={"largeObjectMiB": 1, **self.storage}, dicomweb={"allowDelete": True})

    def template(self, directory):
        """The archive that the scenario begins with, stopped."""
        archive = Archive(directory, self.configuration()).start()
        promises = Promises()
        try:
            if self.prepare:
                promises.store(archive, *self.prepare)
            assert set(promises.statuses) <= {wire.SUCCESS}
            delete(*self.deleted)(archive, promises)
            archive.stop()
        finally:
            archive.kill()
        return archive, promises


def imported(archive):
    folder = archive.directory / "files"
    for number, instance in enumerate([small(40), blocks(41), large(42)]):
        if not (folder / f"{number}.dcm").exists():
            instance.write(folder / f"{number}.dcm")
    return ["import", folder, "--config", archive.config_file]


def remains_of_a_crash(data):
    """A torn last write, a large object that was being received, and a finished one that no record names."""
    with open(sorted((data / "segments").glob("*.seg"))[-1], "ab") as file:
        file.write(b"SNRC" + bytes(9000))
    (data / "incoming" / "4711.part").write_bytes(bytes(100_000))
    (data / "incoming" / f"{'ab' * 32}-{4711:016x}.dcm").write_bytes(bytes(100_000))


SEGMENTS = [blocks(number) for number in range(10, 29)]

SCENARIOS = [
    Scenario("the first instance of an archive", act=store(small(1))),
    Scenario("an instance of many blocks", [small(1)], store(blocks(2))),
    Scenario("a large object", [small(1)], store(large(3))),
    Scenario("an instance that begins a new segment", SEGMENTS[:9], store(blocks(19)), storage={"segmentMiB": 1}),
    Scenario("the same instance again", [small(1), blocks(2)], store(small(1))),
    Scenario("three associations at a time", [small(1)], together(small(21), blocks(22), small(23))),
    Scenario("one association, one behind the other", [small(1)], store(small(24), blocks(25), small(26))),
    Scenario("STOW-RS of two instances", [small(1)], stow(small(31), blocks(32))),
    Scenario("import without a server", [small(1)], command=imported, stores=[small(40), blocks(41), large(42)],
             is_store=False),
    Scenario("start after a crash", [small(1), blocks(2), large(3)], remains=remains_of_a_crash, is_store=False),
    Scenario("rebuild of the catalog", [small(1), blocks(2), large(3), small(4)], command=lambda archive: ["rebuild"],
             deleted=[small(4)], is_store=False),
    Scenario("deletion by command line", [small(1), small(2), large(3)], delete(small(1), large(3)), is_store=False),
    Scenario("deletion of a series over HTTP", [small(1), small(2), blocks(2)], delete_series(small(1), small(2)),
             is_store=False),
    Scenario("a deletion taken back", [small(1), small(2)], undelete(small(1)), deleted=[small(1)], is_store=False),
    Scenario("compaction beside the server", [*SEGMENTS, large(3), large(4)], compact, deleted=[*SEGMENTS[1:6], large(3)],
             storage={"segmentMiB": 1, "deletionGraceDays": 0}, check=compact_again, is_store=False),
    Scenario("compaction without a server", SEGMENTS, command=lambda archive: [
        "compact", "--all", "--config", archive.config_file], deleted=SEGMENTS[1:6],
             storage={"segmentMiB": 1, "deletionGraceDays": 0}, check=compact_again, is_store=False),
]


# What must hold

def fetched(archive, instance):
    """An instance's data set as the archive serves it."""
    reply = web.get(archive, web.path_of(instance), accept=web.related(web.DICOM, transfer_syntax="*"))
    return web.read_part10(reply.part().body).data


def listed(archive, study=STUDY):
    reply = web.get(archive, f"studies/{study}/instances")
    return [] if reply.status == 404 else [web.value(row, "00080018") for row in reply.rows()]


def check_promises(archive, promises, study=STUDY):
    """What was acknowledged is there with its bytes, what is listed is whole, nothing else is listed."""
    found = listed(archive, study)
    assert len(found) == len(set(found)), "an instance is listed twice"
    lost = set(promises.stored) - set(found)
    assert not lost, f"acknowledged and lost: {sorted(lost)}"
    assert not set(found) & set(promises.gone), f"deleted and back: {sorted(set(found) & set(promises.gone))}"
    known = {**promises.stored, **promises.open}
    assert set(found) <= set(known), f"never sent: {sorted(set(found) - set(known))}"
    for uid in found:
        assert fetched(archive, known[uid]) == known[uid].data, f"{uid} has other bytes"


def check_recovered(archive, promises, scenario=None):
    """After a start: the promises hold, the archive verifies, and it takes again what it had not acknowledged."""
    check_promises(archive, promises)
    verified = archive.verify("--full", check=None)
    assert verified.returncode == 0, f"verify: {verified.returncode}\n{verified.stdout[-1500:]}{verified.stderr[-1500:]}"
    again = list(promises.open.values())
    if again:
        promises.store(archive, *again)
        assert not promises.open, f"not taken again: {promises.statuses}"
    check_promises(archive, promises)
    if scenario is not None and scenario.check:
        scenario.check(archive, promises)
