"""Time encoding and searching on one and on two workers of dask.

    python benchmarks/workers.py --out benchmarks/results/workers

Each worker is a process of one thread. Vectors are generated in the workers and held
there, so that encoding is timed without the making of rows; batches of float queries
are searched over all shards. Two clusters are there, of one worker and of two, and take
turns: what else the machine does slows both. The median and the range of several runs;
the last column is how many times faster two workers are. Client and scheduler share the
processors with the workers, and a search has a fixed cost. Linux only.

Each worker holds as many partitions, and stealing is off: of eight partitions on two
workers dask moved one now and then, and five take a quarter longer than four.
"""

import argparse
import json
import os
import resource
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from skbq import BinaryQuantizer, RandomRotation, distributed

D = 256


def processor_seconds():
    """Return what all processors worked since they were started, and what we did."""
    own = sum(
        used.ru_utime + used.ru_stime
        for used in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )
    with open("/proc/stat") as stat:
        ticks = [int(number) for number in stat.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), own


@contextmanager
def held(n_workers, n_rows, quantizer):
    """Give an index of vectors that workers hold, and these."""
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        # As many partitions on each worker, see above.
        rng, workers = da.random.default_rng(0), [*client.nthreads()]
        parts = []
        for number in range(8):
            shape = (n_rows // 8, D)
            part = rng.standard_normal(shape, dtype=np.float32, chunks=shape)
            place = workers[number % n_workers]
            parts.append(client.persist(part, workers=[place]))
        X = client.persist(da.concatenate(parts))
        wait(X)
        make = {"quantizer": quantizer, "query": "vectors", "client": client}
        index = distributed.BinaryNeighbors(10, **make).fit(X)
        index.kneighbors(np.ones((64, D), np.float32))  # compiles
        yield index, X


def measure(n_rows, batches, runs):
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import make_pipeline

    queries = np.random.default_rng(1).standard_normal((max(batches), D), np.float32)
    quantizer = make_pipeline(RandomRotation(random_state=0), BinaryQuantizer())
    # Learning is one process's work; here only what is spread is timed.
    frozen = FrozenEstimator(quantizer.fit(queries))
    times = {}
    with held(1, n_rows, frozen) as one, held(2, n_rows, frozen) as two:
        for _ in range(runs):
            for n_workers, (index, X) in {1: one, 2: two}.items():
                steps = {f"encode {n_rows:,} rows": partial(index.fit, X)} | {
                    f"search for {n:,} queries": partial(index.kneighbors, queries[:n])
                    for n in batches
                }
                for step, call in steps.items():
                    start = time.perf_counter()
                    call()
                    spent = time.perf_counter() - start
                    times.setdefault(step, {1: [], 2: []})[n_workers].append(spent)
    return times


def as_table(report):
    lines = [
        f"{report['rows']:,} x {D} float32 to rotated codes of one bit, on "
        f"{report['processors']} processors, of which other programs used "
        f"{report['used_by_others']:.2f} meanwhile; seconds, the median and range of "
        f"{report['runs']} runs.",
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
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--queries", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="written with endings .json and .md")
    args = parser.parse_args()
    dask.config.set({"distributed.scheduler.work-stealing": False})
    start, before = time.perf_counter(), processor_seconds()
    times = measure(args.rows, args.queries, args.runs)
    busy, own = np.subtract(processor_seconds(), before)
    report = {
        "rows": args.rows,
        "queries": args.queries,
        "processors": os.cpu_count(),
        "used_by_others": (busy - own) / (time.perf_counter() - start),
        "runs": args.runs,
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
