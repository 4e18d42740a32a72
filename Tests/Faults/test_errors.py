# SPDX-License-Identifier: Apache-2.0
"""EIO, ENOSPC, EINTR and short writes at each call of a store, a deletion or a compaction that touches the data directory.

Whatever call fails: success is only said of what is so after the next start, and reading goes on. When it was a store,
storing stops after EIO, and /readyz and the log say why; after ENOSPC storing goes on by itself; EINTR and short writes
are nothing to speak of.
A sample by seed without SNIMOK_FULL=1; SNIMOK_ERRORS is its size.
"""
import errno
import time
from collections import Counter

import pytest

from harness import wire
from proof import FULL, SEED, amount, chooser, record
from scenarios import BROKEN, SCENARIOS, Refused, check_promises, check_recovered, small
from tracing import TracedCase, check_can_trace

SAMPLE = amount("SNIMOK_ERRORS", 64)
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
SYNCS = {"fsync", "fdatasync"}
NAMES = {"rename", "renameat", "renameat2", "unlink", "mkdir", "link"}
CHANGES = WRITES | SYNCS | NAMES | {"creat", "ftruncate", "fallocate"}
CALLS = sorted(CHANGES | {"open", "openat", "pread64", "read", "statfs", "fstat", "sync_file_range"})
# What can meet each fault; None: every call.
CHANCES = {"EIO": None, "ENOSPC": CHANGES, "EINTR": None, "short": WRITES}
SERVED = [scenario for scenario in SCENARIOS if scenario.act]
SHOWN = 200
FAILED, NO_ROOM = 0x0110, 0xA700
REFUSED = "refused"


class Case(TracedCase):
    def run(self, at=None, fault=None):
        """Does the operation while call number `at` meets `fault`, and judges what follows; the call, if it was reached."""
        archive, promises = self.copy()
        plan = dict(at=at, calls=CALLS, under=str(archive.data), record=at is None)
        if fault is not None:
            plan |= dict(fault="short") if fault == "short" else dict(fault="error", code=getattr(errno, fault))
        counted = None
        try:
            archive.start(timeout=30)
            before = len(archive.log)
            archive.traced.arm(**plan)
            try:
                self.scenario.act(archive, promises)
            except Refused:
                promises.statuses.append(REFUSED)
            except BROKEN:
                promises.statuses.append(None)
            counted = archive.traced.disarm()
            assert archive.process.poll() is None, "the server ended"
            if counted["fired"]:
                self._judge(archive, promises, fault, counted["fired"], before)
            archive.kill()
            archive.untraced()
            archive.start(timeout=30)
            check_recovered(archive, promises, self.scenario)
        except AssertionError as error:
            name, path = counted and counted["fired"] or ("", "")
            raise AssertionError(f"{fault} at call {at}, {name} of {path.removeprefix(str(archive.data))} "
                                 f"(SNIMOK_SEED={SEED}): {error}\n" + archive.log_text(20)) from error
        finally:
            archive.kill()
            archive.traced.close()
        return counted

    def _judge(self, archive, promises, fault, call, before):
        """What the server that met the fault does from there on."""
        name, path = call
        refused = [status for status in promises.statuses if status != wire.SUCCESS]
        if path.startswith(f"{archive.data}/audit/"):
            return self._judge_trail(archive, promises, refused)
        # Reading goes on in any case.
        check_promises(archive, promises)
        code, reason = archive.http("/readyz")
        if fault in ("EINTR", "short"):
            assert not refused, f"refused with {refused}"
        if not refused or not self.scenario.is_store:
            # What else is to follow from a failed deletion or compaction is theirs to say.
            assert code == 200 or refused, f"all was done, but /readyz says {code} {reason}"
        elif fault == "ENOSPC" and name in CHANGES:
            assert set(refused) <= {NO_ROOM, 507}, [status and f"{status:04X}" for status in refused]
            assert code == 200, f"{code} {reason}"
        elif name in CHANGES:
            assert set(refused) <= {FAILED, 503, None}, [status and f"{status:04X}" for status in refused]
            assert code == 503 and len(reason.split()) > 3, f"/readyz says {code} {reason!r} after a failed {name} of {path}"
            archive.wait_for_log("storing stops", since=before)
        probe = small(900)
        deadline = time.monotonic() + 10
        while True:
            try:
                promises.store(archive, probe)
            except BROKEN:
                promises.statuses.append(None)
            # What is known about free space stays known for a moment.
            if promises.statuses[-1] != NO_ROOM or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if code == 200:
            assert promises.statuses[-1] == wire.SUCCESS, f"ready, and refuses with {promises.statuses[-1]}"
        else:
            assert promises.statuses[-1] == FAILED, f"{promises.statuses[-1]} after storing stopped"

    def _judge_trail(self, archive, promises, refused):
        """Of the audit trail: storing needs no entry and goes on; reading may be refused, and then it is said
        (`test_audit_errors.py` has what else follows)."""
        assert not (refused and self.scenario.is_store), f"stores refused with {refused}"
        code, reason = archive.http("/readyz")
        assert code == 200 or "audit trail" in reason, f"/readyz says {code} {reason!r}"
        promises.store(archive, small(900))
        assert promises.statuses[-1] == wire.SUCCESS, f"{promises.statuses[-1]} while only the trail had failed"


def cases(scenario, calls):
    """(call, fault): all that can be, by seed, of each kind of call one before there are two."""
    possible = [(number, fault, name, path) for number, (name, path) in enumerate(calls, 1) for fault in CHANCES
                if CHANCES[fault] is None or name in CHANCES[fault]]
    if FULL:
        return [case[:2] for case in possible]
    chosen = chooser(scenario.name)
    chosen.shuffle(possible)
    turns, met = [], Counter()
    for number, fault, name, path in possible:
        kind = (fault, name, path.rsplit("/", 1)[-1].split("-")[0])
        turns.append((met[kind], name not in CHANGES, len(turns), number, fault))
        met[kind] += 1
    return [turn[3:] for turn in sorted(turns)]


@pytest.mark.limit(7200 if FULL else 300)
@pytest.mark.parametrize("scenario", SERVED, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_no_error_is_answered_with_success_for_what_is_not_there(scenario, tmp_path, capsys):
    check_can_trace()
    case = Case(scenario, tmp_path)
    injected, failures = Counter(), []
    # How many calls there are hangs on what comes together; one that is not reached is made up for by another, to an end.
    wanted = max(1, round(SAMPLE / len(SERVED)))
    for number, (at, fault) in enumerate(cases(scenario, case.run()["seen"])):
        if not FULL and (injected.total() + len(failures) >= wanted or number >= 4 * wanted):
            break
        try:
            fired = case.run(at, fault)["fired"]
            injected.update([fault] if fired else [])
        except AssertionError as error:
            failures.append(str(error))
    record("errors", scenario=scenario.name, injected=injected.total(), failed=len(failures), **injected)
    with capsys.disabled():
        print(f"\n{scenario.name}: {injected.total()} faults{'' if FULL else ' by seed'} (SNIMOK_SEED={SEED}): "
              + ", ".join(f"{name} {count}" for name, count in sorted(injected.items())))
    lines = "\n".join(failure.split("\n")[0] for failure in failures[:SHOWN])
    assert not failures, f"{len(failures)} faults went wrong:\n{lines}\n\nThe first of them: {failures[0]}"
    assert injected
