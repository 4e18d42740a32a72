# SPDX-License-Identifier: Apache-2.0
"""Takes each sync and each checksum test out of the log, one at a time, and expects the simulation to notice.

    Tests/Faults/mutants.py [--states N] [--json FILE] [--seed S] [NAME ...]

Each mutant is built in a copy of the working tree under a temporary folder; the tree itself is not touched. First the
copy is proved as it is. Ends with 1 if that fails, or if a mutant survives.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOG = "Storage/BlobLog/"

# Name; file; text that stands in it once; what stands there instead.
MUTANTS = [
    # Syncs.
    (
        "batch not synced",
        LOG + "LogWriter.swift",
        "            try segment.output.synchronizeData()\n",
        "",
    ),
    (
        "new segment's block not synced",
        LOG + "Segment.swift",
        "            try file.synchronize()\n",
        "",
    ),
    (
        "new segment's name not synced",
        LOG + "Segment.swift",
        "            try directory.volume.synchronizeDirectory(directory.segments)\n",
        "",
    ),
    (
        "large file not synced",
        LOG + "LargeObjectFile.swift",
        "            try file.synchronize()\n",
        "",
    ),
    (
        "large file's name not synced",
        LOG + "LargeObjectFile.swift",
        "            try directory.volume.synchronizeDirectory(directory.incoming)\n",
        "",
    ),
    (
        "cut in recovery not synced",
        LOG + "Recovery.swift",
        "            try file.synchronize()\n",
        "",
    ),
    (
        "tail not synced before it is compared",
        LOG + "Recovery.swift",
        "        if direct != nil { try cached.synchronizeData() }\n",
        "",
    ),
    (
        "tail not synced after it is written again",
        LOG + "Recovery.swift",
        "        if direct == nil { try cached.synchronizeData() }\n",
        "",
    ),
    (
        "tail not written again where it cannot be compared",
        LOG + "Recovery.swift",
        "                try cached.write(UnsafeRawBufferPointer(left), at: start)\n",
        "                _ = start\n",
    ),
    (
        "format file not synced",
        "Sources/Platform/Volume.swift",
        "        try file.synchronize()\n",
        "",
    ),
    (
        "format file's name not synced",
        "Sources/Platform/Volume.swift",
        "        try synchronizeDirectory(FileSystem.parent(of: path))\n",
        "",
    ),
    (
        "names above the archive not synced",
        LOG + "DataDirectory.swift",
        "        try wrappingSystemErrors { () throws(SystemError) in try makeNameDurable(path, volume) }\n",
        "",
    ),
    (
        "format file's name not synced before folders are made",
        LOG + "DataDirectory.swift",
        "                try wrappingSystemErrors { () throws(SystemError) in try volume.synchronizeDirectory(path) }\n",
        "",
    ),
    (
        "folders' names not synced",
        LOG + "DataDirectory.swift",
        "            }\n            try volume.synchronizeDirectory(path)\n",
        "            }\n",
    ),
    # Checksums.
    (
        "header's checksum not tested",
        LOG + "RecordHeader.swift",
        "        guard bytes.part(240..<256).elementsEqual(checksum) else { return nil }\n",
        "        _ = checksum\n",
    ),
    (
        "provenance and index not tested",
        LOG + "LogReader.swift",
        "guard Checksum.compute(metadata) == header.metadataChecksum else {",
        "guard metadata.count >= 0 else {",
    ),
    (
        "chunks not tested",
        LOG + "LogReader.swift",
        "guard chunk.index < index.checksums.count, index.checksums[chunk.index] == Checksum.compute(part) else {",
        "guard part.count >= 0 else {",
    ),
    (
        "blob id not tested in recovery",
        LOG + "Recovery.swift",
        "            if record.header.hasContent { try record.verify() }\n",
        "",
    ),
    (
        "segment's block not tested",
        LOG + "Segment.swift",
        "Array(block[80..<96]) == HeaderChecksum.compute(Array(block[0..<80])),\n",
        "block.count == 96,\n",
    ),
    (
        "record's place not in its checksum",
        LOG + "Segment.swift",
        "        input.appendLittleEndian(offset)\n",
        "        _ = offset\n",
    ),
    (
        "record found inside a payload is taken for one",
        LOG + "Segment.swift",
        "        return HeaderChecksum.compute(input, key: secret)\n",
        "        return HeaderChecksum.compute(bytes)\n",
    ),
    # Rules.
    (
        "tail adopted from the page cache after a failed sync",
        LOG + "Recovery.swift",
        "                    memcmp(left.baseAddress!, right.baseAddress!, count) == 0\n",
        "                    count > 0\n",
    ),
    (
        "last batch adopted with gaps",
        LOG + "Recovery.swift",
        "guard record.header.sequence == expected, try isOnDevice(record)",
        "guard try isOnDevice(record)",
    ),
    (
        "last batch adopted without a look",
        LOG + "Recovery.swift",
        "        let good = try goodCount(of: batch, after: end.sequence)\n",
        "        let good = batch.count\n",
    ),
    (
        "end of the log not cut",
        LOG + "Recovery.swift",
        "            if size > end.endOffset { try file.truncate(to: end.endOffset) }\n",
        "",
    ),
    (
        "unreadable end cut",
        LOG + "Recovery.swift",
        "            $0.isUnreadable && ($0.segment",
        "            $0.segment == 0 && ($0.segment",
    ),
    (
        "tail that cannot be synced or read cut",
        LOG + "Recovery.swift",
        '            if error.isUnreadable { throw .unreadableEnd("\\(error)") }\n',
        "",
    ),
    (
        "segment with a damaged block cut",
        LOG + "Recovery.swift",
        "        _ = try reader.segment(writer: writer, number: end.segment)\n",
        "",
    ),
    (
        "segment with a damaged block removed",
        LOG + "Recovery.swift",
        "            if size > UInt64(Segment.blockBytes) { _ = try reader.segment(writer: writer, number: number) }\n",
        "            _ = size\n",
    ),
    (
        "large file of an unreadable record given up",
        LOG + "BlobLog.swift",
        "hasGaps || isReferenced(blobID, number)",
        "isReferenced(blobID, number)",
    ),
    (
        "appending goes on after a failed sync",
        LOG + "LogWriter.swift",
        "            failure = error\n            throw error\n        }\n    }\n\n    /// Takes",
        "            throw error\n        }\n    }\n\n    /// Takes",
    ),
    (
        "rest of a batch without room not cut",
        LOG + "LogWriter.swift",
        "            try segment.file.truncate(to: endOffset)\n",
        "",
    ),
]


def scratch(folder):
    """A copy of the tree, without what was built in it: that is bound to its place."""
    target = Path(folder) / "tree"
    for name in ("Package.swift", "Sources", "Storage", "Tools", "Tests"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True)
        elif source.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def build(tree):
    command = ["swift", "build", "-c", "release", "--product", "snimok-prove"]
    result = subprocess.run(["nice", "-n", "10", *command], cwd=tree, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"cannot build:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")


def simulate(tree, states, seed):
    """What broke, the seed and the state; None if nothing did."""
    tool = tree / ".build/release/snimok-prove"
    command = [str(tool), "simulate", "--states", str(states), "--seed", str(seed)]
    result = subprocess.run(["nice", "-n", "10", *command], capture_output=True, text=True, timeout=1800)
    if result.returncode == 0:
        return None
    found = re.search(r"^state (\d+), seed (\d+): (.*)$", result.stdout, re.MULTILINE)
    if not found:
        return {"check": f"ended with {result.returncode}", "seed": seed, "state": None}
    return {"check": found[3], "seed": int(found[2]), "state": int(found[1])}


def general(check):
    """A violation without the numbers of the case."""
    return re.sub(r"\d+(\.\.<\d+)?", "N", re.sub(r"\b[0-9a-f]{16,}\b", "…", check))


def prove(tree, mutant, states, seed):
    _, file, old, new = mutant
    path = tree / file
    text = path.read_text()
    path.write_text(text.replace(old, new))
    try:
        build(tree)
        return simulate(tree, states, seed)
    finally:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=100_000, help="looked at for each mutant (100000)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the mutants whose name contains one of these")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if not arguments.names or any(word in m[0] for word in arguments.names)]
    for name, file, old, _ in MUTANTS:
        count = (ROOT / file).read_text().count(old)
        if count != 1:
            raise SystemExit(f"mutant {name!r}: its text stands {count} times in {file}, not once")
    with tempfile.TemporaryDirectory(prefix="snimok-mutants-") as folder:
        tree = scratch(folder)
        build(tree)
        control = simulate(tree, arguments.states, arguments.seed)
        if control:
            print(f"without a mutant: {control}", flush=True)
            return 1
        print(f"without a mutant {arguments.states} states pass, seed {arguments.seed}", flush=True)
        results = []
        for mutant in chosen:
            caught = prove(tree, mutant, arguments.states, arguments.seed)
            results.append({"name": mutant[0], "caught": caught is not None, **(caught or {})})
            if caught:
                print(
                    f"caught {mutant[0]} by: {general(caught['check'])} (seed {caught['seed']}, state {caught['state']})",
                    flush=True,
                )
            else:
                print(f"SURVIVED {mutant[0]} (seed {arguments.seed})", flush=True)
    survivors = sum(not result["caught"] for result in results)
    if arguments.json:
        report = {"states": arguments.states, "seed": arguments.seed, "mutants": results}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(results) - survivors} of {len(results)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
