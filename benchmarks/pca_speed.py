"""How fast PCAQuantizer learns and encodes, and how fast its codes are searched.

    python benchmarks/pca_speed.py [--rows 20000] [--dims 768] [--wide 4096]
        [--searched 50000] [--searched-dims 384] [--parts PART ...] [--out TABLE.md]

Rows are normal, their variances fall as rank^-0.8 in a random basis. Learning and
encoding use the threads that BLAS may use. Search: cosine, one thread, codes of as many
bytes in all as one bit for each coordinate and its corrections take; batches of 256
queries, and single ones; recall is not looked at. Wide rows are learned by a process of
its own, whose peak memory is given, the rows included. Times are the least of some
runs, those of search in processor time; the load of the machine before is given.
``--parts`` measures some alone, so that a long run can be made in parts.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _sets import describe_run

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer
from skbq._utils.parallel import one_blas_thread

SEED = 0
BATCH = 256
OVERSAMPLING = 4
PARTS = ["learning", "searching", "wide"]


def draw(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(SEED)
    basis = np.linalg.qr(rng.standard_normal((d, d)).astype(np.float32))[0]
    scales = np.arange(1, d + 1, dtype=np.float32) ** -0.4
    rows = (rng.standard_normal((n, d), np.float32) * scales) @ basis
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def least_seconds(call: Callable, times: int, clock: Callable) -> float:
    seconds = []
    for _ in range(times):
        start = clock()
        call()
        seconds.append(clock() - start)
    return min(seconds)


def learning(n: int, d: int) -> list[str]:
    lines = [
        "| bits | fit, s | encode, rows/s | rows/s of processor time, one thread |",
        "|---:|---:|---:|---:|",
    ]
    rows = draw(n, d)
    for bits in (1, 2):
        quantizer = PCAQuantizer(bits, random_state=SEED)
        fit = least_seconds(partial(quantizer.fit, rows), 2, time.perf_counter)
        transform = partial(quantizer.transform, rows)
        encode = least_seconds(transform, 3, time.perf_counter)
        with one_blas_thread:  # and so one of ours
            alone = least_seconds(transform, 2, time.thread_time)
        speeds = f"{n / encode:,.0f} | {n / alone:,.0f}"
        lines.append(f"| {bits} | {fit:.1f} | {speeds} |")
    return [f"## {n:,} rows of {d}", "", *lines, ""]


def searching(n: int, d: int) -> list[str]:
    both = draw(n + BATCH, d)
    rows, queries = both[:n], both[n:]
    n_bytes = -(-d // 8) + 3
    settings = {"n_bytes": n_bytes, "exponent": 1, "random_state": SEED}
    codes = {
        "1 bit": BinaryQuantizer(),
        "PCAQuantizer": PCAQuantizer(correction_bytes=3, **settings),
        "PCAQuantizer, correction_bytes=0": PCAQuantizer(
            correction_bytes=0, **settings
        ),
    }
    lines = [
        "| code | bytes | batch, us a query | reranked | single, us | reranked |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, quantizer in codes.items():
        times = []
        for n_queries, repeats in ((BATCH, 7), (1, 60)):
            for oversampling in (None, OVERSAMPLING):
                index = BinaryNeighbors(
                    10,
                    quantizer=quantizer,
                    query="vectors",
                    oversampling=oversampling,
                    n_jobs=1,
                ).fit(rows)
                some = queries[:n_queries]
                index.kneighbors(some)
                search = partial(index.kneighbors, some)
                seconds = least_seconds(search, repeats, time.thread_time)
                times.append(f"{1e6 * seconds / n_queries:.0f}")
        lines.append(f"| {name} | {index.bytes_per_row_} | {' | '.join(times)} |")
    return [f"## Searching {n:,} rows of {d}", "", *lines, ""]


def wide(n: int, d: int) -> str:
    rows = draw(n, d)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    PCAQuantizer(1, random_state=SEED).fit(rows)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (
        f"{seconds:.1f} s; peak memory {peak / 2**20:.2f} GiB, {before / 2**20:.2f} "
        f"before, of which the rows are {rows.nbytes / 2**30:.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--wide", type=int, default=4096, metavar="DIMS")
    parser.add_argument("--searched", type=int, default=50_000, metavar="ROWS")
    parser.add_argument("--searched-dims", type=int, default=384, metavar="DIMS")
    parser.add_argument("--only-wide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, help="write the tables there")
    arguments = parser.parse_args()
    if arguments.only_wide:
        print(wide(arguments.rows, arguments.wide))
        return
    PCAQuantizer(random_state=SEED).fit_transform(draw(300, 64))  # compiles kernels
    lines = ["# Speed of PCAQuantizer", "", str(__doc__).strip(), ""]
    lines += [*describe_run([], SEED), f"{os.cpu_count()} cores."]
    lines += [f"Load before: {os.getloadavg()[0]:.1f}.", ""]
    if "learning" in arguments.parts:
        lines += learning(arguments.rows, arguments.dims)
    if "searching" in arguments.parts:
        lines += searching(arguments.searched, arguments.searched_dims)
    if "wide" in arguments.parts:
        command = [sys.executable, __file__, "--only-wide"]
        command += ["--rows", str(arguments.rows), "--wide", str(arguments.wide)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        title = f"## Learning from {arguments.rows:,} rows of {arguments.wide}, 1 bit"
        lines += [title, "", done.stdout.strip(), ""]
    text = "\n".join(lines)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
