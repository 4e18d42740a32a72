# SPDX-License-Identifier: Apache-2.0
"""kill -9 before each system call of an operation, one after the other: what was acknowledged is there and right.

The server runs below tracer.py, which counts the calls of all its threads from the moment at which the operation begins
until it is answered, and kills at the chosen one. A sample by seed without SNIMOK_FULL=1; SNIMOK_BOUNDARIES is its size.
"""
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from proof import FULL, SEED, amount, chooser, record
from scenarios import BROKEN, SCENARIOS, check_recovered
from tracing import TracedCase, check_can_trace

SAMPLE = amount("SNIMOK_BOUNDARIES", 48)
# These change nothing but the process itself; a sample leaves them out.
INNER = {"mprotect", "mmap", "munmap", "madvise", "futex", "rt_sigprocmask", "setsockopt", "epoll_wait", "epoll_ctl",
         "rseq", "getrandom", "fcntl", "eventfd2"}


class Case(TracedCase):
    def run(self, at=None, keep=False):
        """Does the operation, killed before call number `at`; what was counted. Then the archive must have recovered."""
        archive, promises = self.copy()
        plan = dict(at=at, fault="kill" if at else None, record=at is None)
        try:
            way = self._command if self.scenario.command else self._start if self.scenario.remains else self._serve
            counted = way(archive, promises, plan)
            if at is None:
                assert not promises.open, f"not acknowledged though nothing was killed: {promises.statuses}"
            archive.untraced()
            archive.start(timeout=30)
            check_recovered(archive, promises, self.scenario)
            assert not archive.partial_files()
        except AssertionError as error:
            raise AssertionError(f"{self.scenario.name}, killed before call {at} (SNIMOK_SEED={SEED}): {error}\n"
                                 + archive.log_text()) from error
        finally:
            archive.kill()
            archive.traced.close()
        return counted

    def _serve(self, archive, promises, plan):
        archive.start(timeout=30)
        archive.traced.arm(**plan)
        try:
            self.scenario.act(archive, promises)
        except BROKEN:
            assert plan["at"], "the operation failed though nothing was killed"
        return self._end(archive)

    @staticmethod
    def _end(archive):
        """What was counted; the server is gone then, if it was not before."""
        counted = archive.traced.disarm() if archive.process.poll() is None else archive.traced.result()
        archive.kill()
        return counted

    def _start(self, archive, promises, plan):
        self.scenario.remains(archive.data)
        archive.wrapper = archive.traced.held
        archive.launch()
        archive.traced.arm(after=str(archive.data), **plan)
        deadline = time.monotonic() + 60
        while archive.process.poll() is None and not archive.ready.is_set():
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.002)
        assert archive.ready.is_set() or plan["at"], "it did not start though nothing was killed"
        return self._end(archive)

    def _command(self, archive, promises, plan):
        promises.open.update({instance.sop_instance: instance for instance in self.scenario.stores})
        code, output, counted = archive.run_armed(*self.scenario.command(archive), **plan)
        assert code == (137 if counted["fired"] else 0), f"ended with {code}:\n{output[-1500:]}"
        if code == 0:
            for instance in self.scenario.stores:
                promises.confirm(instance)
        return counted


def sample(case):
    """The calls to kill at: by seed, those that reach outside of the process, of each kind one before there are two."""
    kinds = defaultdict(list)
    for number, (name, path) in enumerate(case.run()["seen"], 1):
        if name not in INNER:
            kinds[name, Path(path).parts[-2:]].append(number)
    chosen = chooser(case.scenario.name)
    for numbers in kinds.values():
        chosen.shuffle(numbers)
    order = list(kinds)
    chosen.shuffle(order)
    turns = [kinds[kind][turn] for turn in range(max(map(len, kinds.values()))) for kind in order if turn < len(kinds[kind])]
    return sorted(turns[:max(1, round(SAMPLE / len(SCENARIOS)))])


@pytest.mark.limit(7200 if FULL else 300)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_nothing_acknowledged_is_lost_whatever_call_is_the_last(scenario, tmp_path, capsys):
    check_can_trace()
    case = Case(scenario, tmp_path)
    killed = Counter()
    if FULL:
        # Threads do not run alike each time, so the end is where several runs in a row came to theirs.
        at = ended = 0
        while ended < 3:
            at += 1
            fired = case.run(at)["fired"]
            ended = 0 if fired else ended + 1
            killed.update([fired[0]] if fired else [])
    else:
        for at in sample(case):
            fired = case.run(at)["fired"]
            killed.update([fired[0]] if fired else [])
    assert killed, "nothing was killed"
    record("boundaries", scenario=scenario.name, killed=killed.total(), lost=0)
    with capsys.disabled():
        print(f"\n{scenario.name}: killed before {killed.total()} calls{'' if FULL else ' by seed'} "
              f"(SNIMOK_SEED={SEED}), nothing lost; most often before "
              + ", ".join(f"{name} ({count})" for name, count in killed.most_common(5)))
