# SPDX-License-Identifier: Apache-2.0
"""How fast instances are taken: against peers with stock tools, against the machine with the load generator."""
import json
import subprocess
import threading
import time

from bench import SLICE_BYTES, median, say, size, spread, timed, tool_environment, warm


def store(bench):
    """Stock `storescu` against the archives and an acceptor that discards."""
    lines = [
        "## Storing CT slices with `storescu`", "",
        "512 × 512 pixels of 16 bits; DCMTK's tool as it is, and where it says so with its Nagle's algorithm off. "
        "Medians, with the lowest and the highest run in brackets. Snimok ÷: Snimok's rate divided by that server's.",
        "", "| Associations | Slices | Server | Seconds | Slices/s | Server CPU s/GB | Peak RSS, MB | Snimok ÷ |",
        "|---|---:|---|---:|---:|---:|---:|---:|"]
    first, seconds = case(bench, "1", 1, 400, False)
    lines += first
    lines += case(bench, "1, Nagle off", 1, 400, True)[0]
    lines += case(bench, "5", 5, 2000, False)[0]
    steps = [bench.append(SLICE_BYTES, 400)[0] for _ in range(bench.repetitions)]
    direct = [bench.append(SLICE_BYTES, 400, direct="yes")[0] for _ in range(bench.repetitions)]
    null, own = median(seconds["Null acceptor"]), median(seconds["Snimok"])
    bound = null + 400 * median(steps) / 1e3
    lines += [
        "", f"One association against the machine: the null acceptor's {null:.2f} s + 400 × {median(steps):.2f} ms (the "
        f"median append and fdatasync of {SLICE_BYTES / 1e6:.3f} MB) = {bound:.2f} s; Snimok takes "
        f"{own / bound:.2f} × that. Past the page cache the median append and fdatasync takes {median(direct):.2f} ms."]
    return lines


def case(bench, name, associations, count, no_delay):
    each = count // associations
    folders = [bench.prepare(f"ct-{each}-{seed}", "--instances", each, "--seed", seed)
               for seed in range(1, associations + 1)]
    for folder in folders:
        warm(folder)
    gigabytes = sum(map(size, folders)) / 1e9
    runs, makers = {}, [*bench.archives(), bench.null_acceptor]
    for repetition in range(bench.repetitions):
        for make in bench.rotated(makers, repetition):
            with make() as server:
                runs.setdefault(server.name, []).append(run(server, folders, count, no_delay))
                say(f"{name} association(s), {server.name}: {runs[server.name][-1][0]:.2f} s")
    lines = []
    seconds = {name: [taken[0] for taken in taken_runs] for name, taken_runs in runs.items()}
    for server, taken in runs.items():
        took, cpu, peak = zip(*taken)
        lines.append(
            f"| {name} | {count} | {server} | {spread(took, 2)} | {count / median(took):.0f} "
            f"| {median(cpu) / gigabytes:.2f} | {max(peak) / 1e6:.0f} | {median(took) / median(seconds['Snimok']):.2f} |")
    bench.figures[f"store {name}"] = {server: count / median(took) for server, took in seconds.items()}
    return lines, seconds


def run(server, folders, expected, no_delay):
    """Seconds, processor seconds and the highest resident set of sending the folders at the same time."""
    before = server.cpu_seconds()
    seconds = timed(
        [["/usr/bin/storescu", "-aec", server.ae_title, "+sd", "+r", "127.0.0.1", server.dicom_port, folder]
         for folder in folders], tool_environment(no_delay))
    # What is left to be done after the last answer belongs to the work as well.
    time.sleep(1)
    cpu = server.cpu_seconds() - before
    stored = server.instances()
    if stored is not None and stored != expected:
        raise SystemExit(f"{server.name} has {stored} of {expected} instances")
    return seconds, cpu, server.peak()


# Against the machine


def throughput(bench):
    """The load generator with 1 to 16 associations; at 8, beside the limits of the machine."""
    instances = 200
    lines = [
        "## Storing with the load generator", "",
        f"CT slices, {instances} to a study, two studies an association, no further operations in flight.", "",
        "| Associations | MB/s | Slices/s | p50, ms | p99, ms | Server CPU s/GB | Generator CPU s/GB |",
        "|---:|---:|---:|---:|---:|---:|---:|"]
    best = None
    for associations in (1, 2, 4, 8, 16):
        reports, cpu = [], []
        for repetition in range(bench.repetitions):
            with bench.snimok() as server:
                before = server.cpu_seconds()
                reports.append(bench.load(
                    server, "--associations", associations, "--studies", 2 * associations, "--instances", instances,
                    "--seed", repetition))
                cpu.append((server.cpu_seconds() - before) / (reports[-1]["bytes"] / 1e9))
        rates = [report["megabytesPerSecond"] for report in reports]
        own = [(r["cpuSecondsUser"] + r["cpuSecondsSystem"]) / (r["bytes"] / 1e9) for r in reports]
        bench.figures.setdefault("throughput", {})[associations] = median(rates)
        say(f"{associations} associations: {median(rates):.0f} MB/s")
        lines.append(
            f"| {associations} | {spread(rates, 0)} | {median([r['instancesPerSecond'] for r in reports]):.0f} "
            f"| {median([r['latencyMilliseconds']['p50'] for r in reports]):.1f} "
            f"| {median([r['latencyMilliseconds']['p99'] for r in reports]):.1f} | {spread(cpu, 2)} "
            f"| {median(own):.2f} |")
        if associations == 8:
            best = median(rates)
    return lines + ["", *limits(bench, best)]


def limits(bench, rate):
    writers = [bench.append(4 << 20, 200)[1] for _ in range(bench.repetitions)]
    direct = [bench.append(4 << 20, 200, direct="yes")[1] for _ in range(bench.repetitions)]
    hashes = [hash_beside_generator(bench) for _ in range(bench.repetitions)]
    alone = [bench.limit("hash", bytes=SLICE_BYTES, seconds=1)["megabytesPerSecond"] for _ in range(bench.repetitions)]
    loop = [bench.limit("loopback", seconds=1)["megabytesPerSecond"] for _ in range(bench.repetitions)]
    return [
        "| Limit, measured in the same run | MB/s | Snimok with 8 associations ÷ |", "|---|---:|---:|",
        f"| one writer that appends 4 MiB and syncs each time | {spread(writers, 0)} | {rate / median(writers):.2f} |",
        f"| the same past the page cache | {spread(direct, 0)} | {rate / median(direct):.2f} |",
        f"| the hash alone, beside the generator and a null acceptor | {spread(hashes, 0)} "
        f"| {rate / median(hashes):.2f} |",
        f"| the hash alone | {spread(alone, 0)} | {rate / median(alone):.2f} |",
        f"| a loopback connection | {spread(loop, 0)} | {rate / median(loop):.2f} |"]


def hash_beside_generator(bench):
    """MB/s of the hash while the generator feeds an acceptor that discards."""
    with bench.null_acceptor() as server:
        stop = threading.Event()

        def feed():
            while not stop.is_set():
                bench.load(server, "--associations", 8, "--studies", 16, "--instances", 200)

        feeder = threading.Thread(target=feed)
        feeder.start()
        time.sleep(0.5)
        figures = bench.limit("hash", bytes=SLICE_BYTES, seconds=2)
        stop.set()
        feeder.join()
    return figures["megabytesPerSecond"]


def tiny(bench):
    """Instances of 100 bytes of pixels: what an instance costs that has next to no bytes."""
    lines = ["## Tiny instances", "",
             "100 bytes of pixels, 8 associations, 1,000 instances to a study.", "",
             "| Operations in flight | Instances/s | p50, ms | p99, ms | Server CPU, µs an instance |",
             "|---:|---:|---:|---:|---:|"]
    for window in (1, 16):
        reports, cpu = [], []
        for repetition in range(bench.repetitions):
            with bench.snimok() as server:
                before = server.cpu_seconds()
                reports.append(bench.load(
                    server, "--associations", 8, "--studies", 16, "--instances", 1000, "--pixel-bytes", 100,
                    "--window", window, "--seed", repetition))
                cpu.append((server.cpu_seconds() - before) / reports[-1]["acknowledged"] * 1e6)
        lines.append(
            f"| {window} | {spread([r['instancesPerSecond'] for r in reports], 0)} "
            f"| {median([r['latencyMilliseconds']['p50'] for r in reports]):.2f} "
            f"| {median([r['latencyMilliseconds']['p99'] for r in reports]):.2f} | {spread(cpu, 0)} |")
    return lines


def latency(bench):
    """Open loop: instances are sent when they are due, and wait in the figures too."""
    rate = bench.figures.get("throughput", {}).get(8, 600)
    lines = [
        "## Latency at a fixed rate", "",
        "CT slices over 8 associations, each sent when it is due, whether the archive keeps up or not; latency counts "
        "from then.", "", "| Rate | p50, ms | p90, ms | p99, ms | p99.9, ms |", "|---|---:|---:|---:|---:|"]
    for name, megabytes in (("half of the rate above", rate / 2), ("100 MB/s", 100)):
        per_second = max(1, round(megabytes * 1e6 / SLICE_BYTES))
        reports = []
        for repetition in range(bench.repetitions):
            with bench.snimok() as server:
                studies = max(8, per_second * 5 // 200)
                reports.append(bench.load(
                    server, "--associations", 8, "--studies", studies, "--instances", 200, "--rate", per_second,
                    "--seed", repetition))
        figures = [[r["latencyMilliseconds"][key] for r in reports] for key in ("p50", "p90", "p99", "p999")]
        lines.append(f"| {name}: {megabytes:.0f} MB/s | " + " | ".join(spread(values, 2) for values in figures) + " |")
    return lines


def crowd(bench):
    """200 associations of 106 titles with objects of mixed sizes, while others ask and fetch."""
    seconds, titles = 20, 106
    sizes = ["512", "131072", "524288", "2097152"]
    with bench.snimok(dicom={"associationsMaximum": 400, "associationsPerPeerMaximum": 400}) as server:
        bench.load(server, "--associations", 4, "--studies", 200, "--instances", 2, "--pixel-bytes", 100)
        to = ["--to", f"127.0.0.1:{server.dicom_port}", "--json"]
        loader = str(bench.binaries / "snimok-load")
        # In a region the senders have machines of their own: here they yield to the archive and to the one that measures.
        # What each sends takes about as long as the others': the same bytes a second for each.
        senders = [subprocess.Popen(
            ["nice", "-n", "10", loader, *to, "--calling", f"HOSPITAL{number}", "--associations", str(2 if number < 200 - titles else 1),
             "--studies", "2" if number < 200 - titles else "1", "--instances", str(counts(sizes[number % 4])),
             "--pixel-bytes", sizes[number % 4], "--seed", str(100 + number)], stdout=subprocess.PIPE, text=True)
            for number in range(titles)]
        asker = subprocess.Popen(
            [loader, *to, "--calling", "VIEWER", "--find", "id", "--associations", "20", "--queries", "4000",
             "--studies", "200", "--instances", "2", "--pixel-bytes", "100"], stdout=subprocess.PIPE, text=True)
        fetchers = [threading.Thread(target=fetch, args=(bench, server, seconds)) for _ in range(10)]
        for thread in fetchers:
            thread.start()
        reports = [json.loads(process.communicate()[0]) for process in senders]
        answer = json.loads(asker.communicate()[0])
        for thread in fetchers:
            thread.join()
    lost = sum(report["instances"] - report["acknowledged"] for report in reports)
    lines = [
        "## A crowd", "",
        f"{titles} calling titles with 200 associations store objects of 0.5 KB to 2 MB, 20 associations query by patient "
        f"id, 10 fetch studies.", "",
        f"- instances not acknowledged: {lost}; queries not answered: {4000 - answer['queries']}",
        f"- query latency: p50 {answer['latencyMilliseconds']['p50']:.1f} ms, "
        f"p99 {answer['latencyMilliseconds']['p99']:.1f} ms"]
    for index, pixel_bytes in enumerate(sizes):
        rates = [report["instancesPerSecond"] / (2 if number < 200 - titles else 1)
                 for number, report in enumerate(reports) if number % 4 == index]
        lines.append(
            f"- senders of {int(pixel_bytes) / 1000:.1f} KB: {median(rates):.1f} instances/s an association, the slowest "
            f"{min(rates) / median(rates):.2f} of the median")
    return lines


def counts(pixel_bytes):
    return {"512": 100, "131072": 60, "524288": 30, "2097152": 15}[pixel_bytes]


def fetch(bench, server, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        target = bench.work / f"crowd-{threading.get_ident()}"
        target.mkdir(exist_ok=True)
        subprocess.run(
            ["nice", "-n", "10", "/usr/bin/getscu", "-S", "-aec", server.ae_title, "-od", str(target),
             "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={server.some_study()}", "127.0.0.1", str(server.dicom_port)], check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2)
