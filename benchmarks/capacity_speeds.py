"""Measure what ``skbq.plan_capacity`` assumes of a core: scanning and encoding.

Run it as ``python benchmarks/capacity_speeds.py``. One thread, generated rows of 768
coordinates; the median and the range of seven runs. Speeds of disks are the user's own:
what ``plan_capacity`` takes for them is an assumption and said to be one.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer, TwoBitQuantizer

D = 768
RUNS = 7
BLOCK = 50_000
RESULTS = Path(__file__).parent / "results" / "capacity_speeds.json"


def timed(function):
    """Return the seconds of each run, after one that compiles."""
    function()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return np.array(seconds)


def summary(values):
    """Return the median and the range."""
    return {
        "median": round(float(np.median(values)), 2),
        "range": [round(float(values.min()), 2), round(float(values.max()), 2)],
    }


def measure(n_rows):
    rng = np.random.default_rng(0)
    block = rng.standard_normal((BLOCK, D), np.float32)
    found = {}
    for name, quantizer, query in (
        ("1 bit, symmetric", BinaryQuantizer(), "codes"),
        ("1 bit, asymmetric", BinaryQuantizer(), "vectors"),
        ("2 bits, asymmetric", TwoBitQuantizer(), "vectors"),
        ("PCA codes, 1 bit", PCAQuantizer(1.0, random_state=0), "vectors"),
    ):
        frozen = FrozenEstimator(quantizer.fit(block))
        index = BinaryNeighbors(10, quantizer=frozen, query=query, metric="euclidean")
        encoding = timed(lambda q=quantizer: q.transform(block[:5000]))
        index.fit(block)
        while index.n_samples_fit_ < n_rows:
            # The same rows again: the scan reads codes whatever they are.
            index.partial_fit(block)
        code_bytes = index.codes_.nbytes
        scanning = timed(lambda i=index: i.kneighbors(block[:1] + 0.1))
        found[name] = {
            "scan_gb_per_second": summary(code_bytes / 1e9 / scanning),
            "encode_rows_per_second": summary(5000 / encoding),
        }
        print(name, json.dumps(found[name]), flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    found = {"rows": args.rows, "coordinates": D, "speeds": measure(args.rows)}
    args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
