# SPDX-License-Identifier: Apache-2.0
"""Inputs that once crashed, and seeds, through every fuzz target in an ordinary build. Tools/fuzz looks for new ones."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SNIMOK_FUZZ_BINARY", ROOT / ".build" / "release" / "snimok-fuzz"))
CRASHES = Path(__file__).parent / "crashes"
# Each must be a target, or its inputs would not be replayed.
CRASHED = sorted(folder.name for folder in CRASHES.iterdir())


def fuzz(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, errors="replace", timeout=250,
                          env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})


def targets():
    if not BINARY.exists():
        return []
    return [line.split("\t")[0] for line in fuzz("list").stdout.splitlines()]


def test_there_are_targets_and_every_crash_is_of_one():
    assert BINARY.exists(), "swift build -c release --product snimok-fuzz"
    assert set(CRASHED) <= set(targets())


@pytest.mark.parametrize("target", targets())
def test_seeds_and_former_crashes_end_well(target, tmp_path):
    made = fuzz("seeds", target, tmp_path / "seeds")
    assert made.returncode == 0, made.stdout + made.stderr
    folders = [folder for folder in (tmp_path / "seeds", CRASHES / target) if folder.exists()]
    done = fuzz("replay", target, *folders)
    inputs = sum(len(list(folder.iterdir())) for folder in folders)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]
    assert f"replayed {inputs} inputs" in done.stdout and inputs > 0
