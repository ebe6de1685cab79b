"""Print what a start costs: the import, and the first search with and without a cache.

Run it as ``python benchmarks/import_time.py``. What importing skbq adds to importing
scikit-learn and numba is the median over fresh processes, which take turns. The first
search is timed from the import on, fitting 1,000 vectors included: once in a process
that finds no compiled kernels, then in others that find those of the first.
"""

import os
import statistics
import subprocess
import sys
import tempfile

BASE = "import sklearn, numba"
REPEATS = 9
SEARCH = """
import numpy as np
X = np.random.default_rng(0).standard_normal((1000, 768), np.float32)
index = skbq.BinaryNeighbors(quantizer=skbq.{quantizer}(), query={query!r}).fit(X)
index.kneighbors(X[:{n_queries}])
"""
SEARCHES = {
    "1 bit, one query": ("BinaryQuantizer", "codes", 1),
    "1 bit, 256 queries": ("BinaryQuantizer", "codes", 256),
    "2 bits, 256 queries": ("TwoBitQuantizer", "codes", 256),
    "1 bit, 256 float queries": ("BinaryQuantizer", "vectors", 256),
    "2 bits, 256 float queries": ("TwoBitQuantizer", "vectors", 256),
}


def seconds(code, **environment):
    timed = (
        f"import time\nt = time.perf_counter()\n{code}\nprint(time.perf_counter() - t)"
    )
    done = subprocess.run(
        [sys.executable, "-c", timed],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return float(done.stdout)


def import_times():
    base, added = [], []
    for _ in range(REPEATS):
        base.append(seconds(BASE))
        added.append(seconds(f"{BASE}; t = time.perf_counter(); import skbq"))
    print(f"{BASE}: {statistics.median(base):.2f} s")
    low, *_, high = sorted(added)
    median = statistics.median(added)
    print(f"import skbq adds {median:.2f} s ({low:.2f} to {high:.2f} s)\n")


def first_searches():
    print(f"{'first search':>26} {'no cache':>9} {'cached':>9}")
    for name, (quantizer, query, n_queries) in SEARCHES.items():
        search = SEARCH.format(quantizer=quantizer, query=query, n_queries=n_queries)
        code = f"{BASE}; import skbq; t = time.perf_counter()\n{search}"
        with tempfile.TemporaryDirectory() as folder:
            cold = seconds(code, NUMBA_CACHE_DIR=folder)
            warm = [seconds(code, NUMBA_CACHE_DIR=folder) for _ in range(3)]
        print(f"{name:>26} {cold:7.1f} s {statistics.median(warm):7.2f} s", flush=True)


if __name__ == "__main__":
    import_times()
    first_searches()
