# SPDX-License-Identifier: Apache-2.0
"""The log on a simulated disk that loses, reorders and tears what was not synced: a seed of its own in each run, printed so
that what it shows can be shown again. SNIMOK_STATES sets how many crash states; the full proof is 10,000,000.
"""
import os
import subprocess

import pytest

from harness.archive import BINARY
from proof import SEED, record

STATES = int(os.environ.get("SNIMOK_STATES", "100000"))


@pytest.mark.limit(120 + STATES // 500)
def test_no_crash_state_loses_what_was_acknowledged(capsys):
    tool = BINARY.parent / "snimok-prove"
    done = subprocess.run(
        [tool, "simulate", "--states", str(STATES), "--seed", str(SEED), "--threads", str(os.cpu_count() or 1)],
        capture_output=True, text=True, timeout=110 + STATES // 500)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    with capsys.disabled():
        print(f"\n{last}")
    assert done.returncode == 0 and last.endswith(" 0 lost"), done.stdout[-4000:] + done.stderr[-2000:]
    record("simulation", states=STATES, seed=SEED, lost=0)
