"""Encode and search more vectors than fit into memory; write peak memory and speed.

    python benchmarks/out_of_core.py --rows 10000000 --out results/out_of_core

writes float16 vectors of 768 coordinates to a temporary folder (15 GB for 10 million;
``--folder`` says where), block by block: low-rank Gaussian rows with noise. Then a
fresh process encodes them into a folder of shards, and another one searches that,
memory-mapped. Each is watched: the peak of its resident memory, and of the part of it
that is not backed by files (RssAnon), which the system cannot take back. Linux only.

``--limit 2`` gives each process no more than 2 GiB of data (RLIMIT_DATA): it would fail
with MemoryError, not swap. Resident memory, pages of mapped files included, is held
against the same limit at the end.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

D = 768
FILE_ROWS = 500_000
BLOCK = 10_000
QUERIES = 1000
GIB = 2**30
SEED = 0


def low_rank(rng, rows, basis):
    factors = rng.standard_normal((rows, len(basis)), np.float32)
    return factors @ basis + 0.5 * rng.standard_normal((rows, D), np.float32)


def generate(folder, n_rows):
    rng = np.random.default_rng(SEED)
    basis = rng.standard_normal((64, D), np.float32) / 8
    start = time.perf_counter()
    for number, first in enumerate(range(0, n_rows, FILE_ROWS)):
        rows = min(FILE_ROWS, n_rows - first)
        path = folder / f"{number:04d}.npy"
        with open(path, "wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (rows, D)}
            np.lib.format.write_array_header_1_0(file, header)
            for begin in range(0, rows, BLOCK):
                block = low_rank(rng, min(BLOCK, rows - begin), basis)
                file.write(block.astype(np.float16).tobytes())
    np.save(folder / "queries.npy", low_rank(rng, QUERIES, basis))
    return time.perf_counter() - start


class Watch:
    """The largest resident memory of this process, in bytes, while in the context."""

    def __init__(self):
        self.resident = self.anonymous = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self._done.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            sizes = {line.split(":")[0]: line.split()[1:2] for line in lines}
            anonymous, file = (int(sizes[k][0]) * 1024 for k in ("RssAnon", "RssFile"))
            self.resident = max(self.resident, anonymous + file)
            self.anonymous = max(self.anonymous, anonymous)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def encode(folder, index):
    from skbq import BinaryQuantizer, ShardedNeighbors, open_vectors

    rows = open_vectors(str(folder / "0*.npy"))
    sharded = ShardedNeighbors(
        folder=index,
        quantizer=BinaryQuantizer(),
        query="vectors",
        oversampling=4,
        vectors="refer",
        n_jobs=-1,
    )
    start = time.perf_counter()
    sharded.fit(rows)
    seconds = time.perf_counter() - start
    written = sum(Path(file).stat().st_size for file in sharded.shard_files_)
    return {
        "seconds": seconds,
        "rows_per_second": len(rows) / seconds,
        "n_shards": len(sharded.shard_files_),
        "index_bytes": written,
    }


def search(folder, index):
    from skbq import ShardedNeighbors, open_vectors

    queries = np.load(folder / "queries.npy")
    start = time.perf_counter()
    sharded = ShardedNeighbors.load(index).set_params(n_jobs=-1)
    opened = time.perf_counter() - start
    sharded.kneighbors(queries[:64], 10)  # compiles, and maps all shards
    start = time.perf_counter()
    sharded.kneighbors(queries, 10)
    batch = time.perf_counter() - start
    times = []
    for query in queries[:20]:
        start = time.perf_counter()
        sharded.kneighbors(query[np.newaxis], 10)
        times.append(time.perf_counter() - start)
    rows = open_vectors(str(folder / "0*.npy"))
    numbers = np.sort(np.random.default_rng(SEED).choice(len(rows), 100, False))
    _, nearest = sharded.kneighbors(rows[numbers].astype(np.float32), 1)
    return {
        "open_seconds": opened,
        "stored_rows_that_find_themselves": float(np.mean(nearest[:, 0] == numbers)),
        "queries_per_second": len(queries) / batch,
        "one_query_seconds": float(np.median(times)),
    }


STEPS = {"encode": encode, "search": search}


def run_step(step, folder, index, limit):
    """Run a step in a process of its own, and return what it prints."""
    words = [sys.executable, __file__, "--step", step, "--folder", folder, index]
    words += ["--limit", str(limit)] if limit else []
    done = subprocess.run(
        [str(word) for word in words], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout)


def in_process(step, folder, index, limit):
    if limit:
        size = int(limit * GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    load = os.getloadavg()[0]
    with Watch() as watch:
        figures = STEPS[step](folder, index)
    peaks = {
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "peak_resident_bytes": watch.resident,
        "peak_anonymous_bytes": watch.anonymous,
    }
    print(json.dumps({**figures, **peaks}))


def as_table(report):
    encoding, searching = report["encode"], report["search"]
    size = report["file_bytes"] / 1e9
    lines = [
        f"{report['rows']:,} x {D} float16, {size:.1f} GB, on {report['machine']}; "
        f"one bit, asymmetric search, 4 candidates reranked for each of 10 neighbors.",
        "",
        "| | encode | search |",
        "|---|---|---|",
    ]

    def row(name, key, of=1.0, form="{:,.2f}"):
        cells = [form.format(step[key] / of) for step in (encoding, searching)]
        lines.append(f"| {name} | {' | '.join(cells)} |")

    row("peak resident memory, GiB", "peak_resident_bytes", GIB)
    row("of it not backed by files, GiB", "peak_anonymous_bytes", GIB)
    lines += [
        f"| rows a second | {encoding['rows_per_second']:,.0f} | |",
        f"| shards; GB written | {encoding['n_shards']}; "
        f"{encoding['index_bytes'] / 1e9:.2f} | |",
        f"| milliseconds to open | | {1e3 * searching['open_seconds']:.0f} |",
        f"| queries a second, 1,000 at once | | "
        f"{searching['queries_per_second']:,.0f} |",
        f"| milliseconds for one query | | "
        f"{1e3 * searching['one_query_seconds']:.0f} |",
    ]
    row("load average of the machine before", "load_before", form="{:.1f}")
    row("and after", "load_after", form="{:.1f}")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where vectors are or will be")
    parser.add_argument("--limit", type=float, help="GiB of data for each process")
    parser.add_argument("--out", type=Path, help="written with endings .json and .md")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("index", type=Path, nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        in_process(args.step, args.folder, args.index, args.limit)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "queries.npy").exists():
            seconds = generate(folder, args.rows)
            print(f"generated in {seconds:.0f} s", file=sys.stderr)
        index = Path(temporary) / "index"
        files = list(folder.glob("0*.npy"))
        report = {
            "rows": sum(np.load(f, mmap_mode="r").shape[0] for f in files),
            "file_bytes": sum(file.stat().st_size for file in files),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, "
            f"Python {platform.python_version()}",
            "limit_gib": args.limit,
        }
        for step in STEPS:
            report[step] = run_step(step, folder, index, args.limit)
            print(step, json.dumps(report[step]), file=sys.stderr)
            peak = report[step]["peak_resident_bytes"]
            if args.limit and peak > args.limit * GIB:
                sys.exit(f"{step} took {peak / GIB:.2f} GiB")
    print(as_table(report))
    if args.out:
        args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(as_table(report))


if __name__ == "__main__":
    main()
