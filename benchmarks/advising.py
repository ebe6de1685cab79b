"""Time and memory that the advisor takes.

    python benchmarks/advising.py [--rows 100000] [--dims 768] [--map]
        [--picture CURVE.png]

Vectors are drawn in low-rank clusters (the paper's Synthetic-LR) by another process,
so that peak memory is that of the fit, the vectors included; with ``--map`` they are
read from a memory-mapped file. Other programs on the machine slow the fit down: the
processor time and the load are printed beside the seconds. Then comes the curve over
bytes: for each number of bytes of a row the best recall without reranking, and the
least oversampling for the target; ``--picture`` draws it.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from skbq import QuantizationAdvisor, RecallDisplay
from skbq._advisor.bytes_curve import BytesCurve
from skbq.datasets import make_low_rank_clusters


def draw(path: str, n_rows: int, d: int) -> None:
    X = make_low_rank_clusters(n_rows, d, dtype="float32", random_state=0)
    np.save(path, X)


def gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"


def say_curve(curve: BytesCurve) -> None:
    """Print what each number of bytes buys at best."""
    print(f"bytes  recall  oversampling for {curve.target_recall:g}")
    for n_bytes, recall, oversampling in zip(
        curve.bytes_per_row, curve.recall, curve.oversampling, strict=True
    ):
        print(f"{n_bytes:5}  {recall:.3f}  {oversampling:12g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--picture", metavar="FILE", help="draw the curve over bytes")
    parser.add_argument("--draw", metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = arguments.rows, arguments.dims
    if arguments.draw:
        draw(arguments.draw, *size)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "vectors.npy")
        command = [sys.executable, __file__, "--draw", path]
        command += ["--rows", str(size[0]), "--dims", str(size[1])]
        subprocess.run(command, check=True)
        X = np.load(path, mmap_mode="r" if arguments.map else None)
        wall, cpu = time.perf_counter(), time.process_time()
        advisor = QuantizationAdvisor(random_state=0).fit(X)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        threads = max(pool["num_threads"] for pool in threadpool_info())
        print(
            f"{size[0]:,} x {size[1]} float32 ({gib(X.nbytes)}): {wall:.0f} s, "
            f"{cpu:.0f} s of processor time, peak memory {gib(peak)}, {threads} "
            f"threads, load {os.getloadavg()[0]:.1f}"
        )
        print(f"{advisor.recommended_['strategy']}, recall {advisor.recall_:.3f}")
        say_curve(advisor.bytes_curve_)
        if arguments.picture:
            display = RecallDisplay.from_estimator(advisor)
            display.figure_.savefig(arguments.picture)
        del X


if __name__ == "__main__":
    main()
