"""Time encoding and searching on one and on two workers of dask.

    python benchmarks/workers.py --out benchmarks/results/workers

Each worker is a process of one thread. Vectors are generated in the workers and held
there, so that encoding is timed without the making of rows; a batch of float queries is
searched over all shards. The median and the range of several runs, in turn with one
worker and with two; the last column is how many times faster two workers are.
"""

import argparse
import json
import os
import time
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from skbq import BinaryQuantizer, RandomRotation, distributed

D = 256


def timed(function, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def seconds(n_workers, n_rows, n_queries, runs):
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import make_pipeline

    queries = np.random.default_rng(1).standard_normal((n_queries, D), np.float32)
    quantizer = make_pipeline(RandomRotation(random_state=0), BinaryQuantizer())
    # Learning is one process's work; here only what is spread is timed.
    frozen = FrozenEstimator(quantizer.fit(queries))
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster),
    ):
        rng = da.random.default_rng(0)
        chunks = (n_rows // 8, D)
        X = rng.standard_normal((n_rows, D), dtype=np.float32, chunks=chunks).persist()
        wait(X)
        index = distributed.BinaryNeighbors(10, quantizer=frozen, query="vectors")
        index.fit(X).kneighbors(queries[:64])  # compiles
        return {
            "encode": timed(lambda: index.fit(X), runs),
            "search": timed(lambda: index.kneighbors(queries), runs),
        }


def measure(n_rows, n_queries, rounds, runs):
    times = {step: {1: [], 2: []} for step in ("encode", "search")}
    for _ in range(rounds):
        for n_workers in (1, 2):
            for step, found in seconds(n_workers, n_rows, n_queries, runs).items():
                times[step][n_workers] += found
    return times


def as_table(report):
    lines = [
        f"{report['rows']:,} x {D} float32, {report['queries']:,} queries, on "
        f"{report['processors']} processors (load average {report['load_before']:.1f} "
        f"before, {report['load_after']:.1f} after); seconds, the median and the range "
        f"of {report['runs']} runs.",
        "",
        "| | 1 worker | 2 workers | gain |",
        "|---|---|---|---|",
    ]
    for step, times in report["seconds"].items():
        cells = [
            f"{np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
            for found in times.values()
        ]
        lines.append(f"| {step} | {' | '.join(cells)} | {report['gain'][step]:.2f} |")
    return "\n".join([*lines, ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2, help="with new workers")
    parser.add_argument("--runs", type=int, default=3, help="of each round")
    parser.add_argument("--out", type=Path, help="written with endings .json and .md")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    times = measure(args.rows, args.queries, args.rounds, args.runs)
    report = {
        "rows": args.rows,
        "queries": args.queries,
        "processors": os.cpu_count(),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "runs": args.rounds * args.runs,
        "seconds": times,
        "gain": {
            step: float(np.median(found[1]) / np.median(found[2]))
            for step, found in times.items()
        },
    }
    print(as_table(report))
    if args.out:
        args.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(as_table(report))


if __name__ == "__main__":
    main()
