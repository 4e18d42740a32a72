# SPDX-License-Identifier: Apache-2.0
"""What those who store notice of space that is given back."""
import subprocess
import time

from bench import SLICE_BYTES, median, say, spread
from servers import STUDY_UID

STUDIES, INSTANCES = 16, 200
LOAD = ["--associations", 8, "--studies", 8, "--instances", INSTANCES]


def reclaim(bench):
    """8 associations store CT slices while every second study of 16 was deleted, first alone, then beside the compaction."""
    rates, latencies, seconds = {"alone": [], "beside": []}, {"alone": [], "beside": []}, []
    for repetition in range(bench.repetitions):
        with bench.snimok(storage={"deletionGraceDays": 0}) as server:
            bench.load(server, "--associations", 8, "--studies", STUDIES, "--instances", INSTANCES)
            # Half of what stands in each segment: each association stored one study after the other.
            for uid in server.found(STUDY_UID)[::2]:
                run(server, "delete", "--study", uid).wait()

            def load(kind, seed):
                report = bench.load(server, *LOAD, "--seed", 1000 * repetition + seed)
                if report["acknowledged"] != report["instances"]:
                    raise SystemExit(f"{report['acknowledged']} of {report['instances']} instances acknowledged")
                return kind, report["megabytesPerSecond"], report["latencyMilliseconds"]["p99"]

            found = [load("alone", seed) for seed in range(2, 5)]
            start = time.monotonic()
            compaction = run(server, "compact", "--all")
            time.sleep(0.5)
            seed = 10
            while compaction.poll() is None:
                seed += 1
                answer = load("beside", seed)
                if compaction.poll() is None:
                    found.append(answer)
            seconds.append(time.monotonic() - start)
            if compaction.returncode != 0:
                raise SystemExit("the compaction failed")
            for kind, rate, p99 in found:
                rates[kind].append(rate)
                latencies[kind].append(p99)
            say(f"alone {median(rates['alone']):.0f} MB/s, beside {median(rates['beside']):.0f} MB/s, {seconds[-1]:.1f} s")
    freed = STUDIES // 2 * INSTANCES * SLICE_BYTES
    return [
        "## Space given back", "",
        f"{STUDIES} studies of {INSTANCES} CT slices, every second one deleted for good; 8 associations store further ones before "
        f"and while `snimok compact --all` copies what is left at its default rate. {freed / 1e9:.2f} GB came back in "
        f"{spread(seconds, 1)} s.", "",
        "| | MB/s | p99, ms |", "|---|---:|---:|",
        *(f"| {kind} | {spread(rates[kind], 0)} | {spread(latencies[kind], 1)} |" for kind in rates),
        f"| beside ÷ alone | {median(rates['beside']) / median(rates['alone']):.2f} "
        f"| {median(latencies['beside']) / median(latencies['alone']):.2f} |"]


def run(server, *words):
    return subprocess.Popen(
        [str(server.binary), *words, "--data", str(server.directory / "data")], stdout=subprocess.DEVNULL)
