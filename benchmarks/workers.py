"""Time encoding and searching on one and on two workers of dask.

Run it as ``python benchmarks/workers.py``. Each worker is a process of one thread.
Vectors are generated in the workers and held there, so that encoding is timed without
the making of rows; a batch of float queries is searched over all shards. The best of
three runs each; the last column is how many times faster two workers are.
"""

import argparse
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from skbq import BinaryQuantizer, RandomRotation, distributed

D = 256


def best(function, runs=3):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def seconds(n_workers, n_rows, n_queries):
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
        return best(lambda: index.fit(X)), best(lambda: index.kneighbors(queries))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--queries", type=int, default=1000)
    args = parser.parse_args()
    one, two = (seconds(n, args.rows, args.queries) for n in (1, 2))
    print(f"{args.rows:,} x {D}, {args.queries:,} queries; seconds")
    print(f"{'':<10}{'1 worker':>10}{'2 workers':>11}{'gain':>7}")
    for name, a, b in zip(("encode", "search"), one, two, strict=True):
        print(f"{name:<10}{a:>10.2f}{b:>11.2f}{a / b:>7.2f}")


if __name__ == "__main__":
    main()
