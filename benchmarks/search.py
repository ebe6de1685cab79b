"""Search over codes, side by side with other libraries in one run.

    python benchmarks/search.py [--out benchmarks/results/search.json]
        [--sizes 1000000x768 ...] [--threads 1 2] [--queries 1 256] [--k 10 100]
        [--rounds 3] [--render]

Needs ``pip install '.[bench]'``; the whole takes a quarter of an hour on two cores and
up to 6 GiB. Each size (rows x coordinates) is measured by itself, written at once, and
takes the place of the same size in the file: run some sizes anew by ``--sizes``. The
tables and the targets go beside the file, as ``.md``; ``--render`` only writes these.

Vectors are drawn in low-rank clusters (the paper's Synthetic-LR), of unit length;
recall@k is against exact search by cosine. In every round each method searches the same
queries once, in turn: a batch in one call, or 16 queries one by one. Methods that are
far slower than the rest get a sixteenth of them. The ratio of queries per second is
taken within a round, against faiss IndexBinaryFlat for codes and against faiss
IndexRaBitQFastScan of the same bits for asymmetric search; its median, smallest and
largest value are given. Bytes are those for each row, vectors for reranking included.
Peak memory is what the largest search adds while it runs, by Linux' high-water mark.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import tempfile
import threading
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

# Threads of one library must not spin while another's are timed.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import faiss
import numpy as np
from _peers import (
    BINARY_FLAT,
    INNER,
    REFERENCES,
    SLOW,
    builders,
    exact_neighbors,
    hits,
)
from _search_report import report
from sklearn import config_context

from skbq import BinaryNeighbors, BinaryQuantizer
from skbq._kernels.simd import INSTRUCTIONS
from skbq.datasets import make_low_rank_clusters

SEED = 0
SIZES = ["100000x768", "1000000x128", "1000000x384", "1000000x768", "250000x1536"]
SINGLE_QUERIES = 16
SLOW_SHARE = 16
# MiB that a search over a memory-mapped file is given.
WORKING_MEMORY = 64
FLAGS = ("avx2", "avx512bw", "avx512_vpopcntdq", "avx512_vbmi", "asimd", "sve")
PACKAGES = ("skbq", "numpy", "scikit-learn", "numba", "faiss-cpu", "usearch", "numkong")


def describe_machine():
    info = {}
    with contextlib.suppress(OSError):  # Linux only
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            info[key.strip()] = value.strip()
    features = info.get("flags", info.get("Features", "")).split()
    return {
        "processor": info.get("model name", platform.processor()),
        "features": [flag for flag in FLAGS if flag in features],
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        ),
        "kernel": INSTRUCTIONS,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


# Memory, on Linux.


def memory(field):
    """Return a field of the process's status in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def added_at_peak(call):
    """Return how many MiB more than before are resident while ``call`` runs."""
    with contextlib.suppress(OSError, AttributeError):  # give back what is free
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        call()
        return memory("VmHWM") - before
    except OSError:
        return None


def anonymous_at_peak(call):
    """Return the same without the pages of mapped files, looked at every 0.5 ms."""
    try:
        before = highest = memory("RssAnon")
    except OSError:
        return None
    done = threading.Event()

    def watch():
        nonlocal highest
        while not done.wait(0.0005):
            highest = max(highest, memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return highest - before


# Measuring.


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def build(X, d):
    methods, built = {}, {}
    for make in builders(d):
        faiss.omp_set_num_threads(1)
        start = time.perf_counter()
        made = make(X)
        spent = time.perf_counter() - start
        methods |= made
        built["; ".join(made)] = spent
        print(f"  {'; '.join(made)}: {spent:.1f} s", flush=True)
    return methods, built


def ask(method, queries, k, threads, *, single):
    if not single:
        return method.search(queries, k, threads)
    rows = [method.search(queries[[q]], k, threads) for q in range(len(queries))]
    return np.concatenate(rows)


def compare(methods, queries, true, k, threads, rounds, *, single):
    """Return recall and, for each round, queries per second of every method."""
    asked = {
        name: len(queries) // SLOW_SHARE if name in SLOW else len(queries)
        for name in methods
    }
    if single:
        asked = {name: max(2, n) for name, n in asked.items()}
    results = {name: {"asked": n, "queries_per_s": []} for name, n in asked.items()}
    for method in methods.values():  # compile, and touch the memory
        method.search(queries[: 1 if single else 32], k, threads)
    for _ in range(rounds):
        for name, method in methods.items():
            some = queries[: asked[name]]
            start = time.perf_counter()
            found = ask(method, some, k, threads, single=single)
            spent = time.perf_counter() - start
            results[name]["queries_per_s"].append(round(len(some) / spent, 2))
            found = hits(true[: len(some), :k], found)
            results[name]["recall"] = float(np.mean(found) / k)
            results[name]["hits"] = " ".join(map(str, found))
    return results


def compare_fits(X, rounds):
    """Return seconds, one thread each, of our fit and of IndexRaBitQ.add."""
    times = {"skbq fit, 1 bit": [], "faiss IndexRaBitQ.add": []}
    peer = faiss.IndexRaBitQ(X.shape[1], INNER)
    faiss.omp_set_num_threads(1)
    peer.train(X[:: max(1, len(X) // 100_000)])
    index = BinaryNeighbors(quantizer=BinaryQuantizer(), n_jobs=1).fit(X[:100])
    for _ in range(rounds):
        times["skbq fit, 1 bit"].append(seconds(lambda: index.fit(X)))
        peer.reset()
        times["faiss IndexRaBitQ.add"].append(seconds(lambda: peer.add(X)))
    return times


def search_mapped(X, queries):
    """Return what a search over a memory-mapped file adds in anonymous memory."""
    index = BinaryNeighbors(10, quantizer=BinaryQuantizer(), query="vectors").fit(X)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.skbq"
        index.save(path)
        del index
        mapped = BinaryNeighbors.load(path, mmap_mode="r", verify=False)
        mapped.kneighbors(queries[:2])
        with config_context(working_memory=WORKING_MEMORY):
            added = anonymous_at_peak(partial(mapped.kneighbors, queries))
        size = path.stat().st_size / 2**20
        del mapped
    return {"added_mib": added, "file_mib": size, "working_memory": WORKING_MEMORY}


def measure(size, arguments):
    rows, d = (int(number) for number in size.split("x"))
    n_queries = max(arguments.queries)
    X = make_low_rank_clusters(rows + n_queries, d, dtype="float32", random_state=SEED)
    X, queries = X[:rows], X[rows:]
    true = exact_neighbors(X, queries, max(arguments.k))
    fits, mapped = compare_fits(X, arguments.rounds), search_mapped(X, queries)
    methods, built = build(X, d)
    cells = []
    for threads in arguments.threads:
        for k in arguments.k:
            for n in arguments.queries:
                single = n == 1
                some = queries[: SINGLE_QUERIES if single else n]
                results = compare(
                    methods, some, true, k, threads, arguments.rounds, single=single
                )
                cells.append(
                    {"threads": threads, "k": k, "queries": n, "results": results}
                )
                print(f"  {n} queries, k = {k}, {threads} threads", flush=True)
    most = (max(arguments.k), max(arguments.threads))
    peaks = {}
    for name, method in methods.items():
        some = queries[: n_queries // (SLOW_SHARE if name in SLOW else 1)]
        peaks[name] = added_at_peak(partial(method.search, some, *most))
    return {
        "rows": rows,
        "d": d,
        "machine": describe_machine(),
        "references": {name: REFERENCES.get(name, BINARY_FLAT) for name in methods},
        "bytes_per_row": {name: m.bytes_per_row for name, m in methods.items()},
        "built_s": built,
        "peak_mib": peaks,
        "fit_s": fits,
        "mapped": mapped,
        "cells": cells,
    }


def write(path, text):
    """Write a file at once, so that a run that is cut leaves a whole one."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxD")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--render", action="store_true", help="of --out, unmeasured")
    arguments = parser.parse_args()
    out, sets = arguments.out, {}
    if out and out.exists():
        sets = json.loads(out.read_text())
    for size in [] if arguments.render else arguments.sizes:
        start = time.perf_counter()
        print(size, flush=True)
        sets[size] = measure(size, arguments)
        print(f"  {time.perf_counter() - start:.0f} s in all\n", flush=True)
        if out:
            write(out, json.dumps(sets, indent=1))
    text = report(sets)
    if out:
        write(out.with_suffix(".md"), text)
    print(text)


if __name__ == "__main__":
    main()
