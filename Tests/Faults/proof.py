# SPDX-License-Identifier: Apache-2.0
"""What the proofs share: how much of each is run, by which seed, and where their counts go."""
import json
import os
import random
import time

"""Everything instead of a sample: SNIMOK_FULL=1."""
FULL = os.environ.get("SNIMOK_FULL", "") not in ("", "0")
SEED = int(os.environ.get("SNIMOK_SEED", str(int(time.time()))))


def amount(name, quick, full=None):
    """A number from the environment; else that of the quick or of the full form."""
    return int(os.environ.get(name) or (full if FULL and full is not None else quick))


def chooser(salt):
    """Random choices that SNIMOK_SEED repeats."""
    return random.Random(f"{SEED}.{salt}")


def record(part, **counts):
    """Adds one line of JSON to the file that SNIMOK_PROOF names, for Tools/prove; it follows the tests that passed."""
    path = os.environ.get("SNIMOK_PROOF")
    if path:
        with open(path, "a") as file:
            file.write(json.dumps({"part": part, "seed": SEED, "full": FULL, **counts}) + "\n")
