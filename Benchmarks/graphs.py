# SPDX-License-Identifier: Apache-2.0
"""The two graphs in README, from the figures of a run: graphs.py RESULTS.json."""
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


def throughput(figures, path):
    fig, axes = plt.subplots(figsize=(6, 3.2), dpi=120)
    counts = [int(count) for count in figures]
    axes.plot(counts, list(figures.values()), marker="o", color="#1f5f8b")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, counts)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("associations at the same time")
    axes.set_ylabel("MB/s, durable")
    axes.set_title("Ingest of CT slices")
    finish(fig, axes, path)


def queries(figures, path):
    fig, axes = plt.subplots(figsize=(6, 3.2), dpi=120)
    for name, values in figures.items():
        axes.plot([int(count) for count in values], list(values.values()), marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("studies in the catalog")
    axes.set_ylabel("p99 of C-FIND, ms")
    axes.set_title("Query latency")
    axes.legend(fontsize=8, frameon=False)
    finish(fig, axes, path)


def finish(fig, axes, path):
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    fig.tight_layout()
    fig.savefig(path)
    plt.close(fig)


def draw(figures, folder):
    """Those graphs for which there are figures."""
    if figures.get("throughput"):
        throughput(figures["throughput"], folder / "ingest.png")
    if figures.get("query"):
        queries(figures["query"], folder / "queries.png")


draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[1]).parent)
