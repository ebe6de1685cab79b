"""Indexes that compare a part of the rows, at equal recall, in one run.

    python benchmarks/matched.py [--data minilm.npz] [--size 200000x384]
        [--target 0.95] [--threads 1 2] [--rounds 3] [--only WORD ...] [--skip WORD ...]
        [--limit SECONDS] [--out benchmarks/results/matched.json] [--render]

Needs ``pip install '.[bench]'``; of further peers (pynndescent, hnswlib, scalable-vs,
rabitqlib) those are compared that are installed, the others are named in the table.
Each method is built with all threads, then its setting (lists probed, nodes looked at)
is raised until recall@10 against exact cosine reaches the target, over 256 queries. In
every round our lists of 2 bits and the method search the same queries one after the
other: 256 in one call, and 64 one by one. The ratio is taken within a round. So two
indexes are in memory at a time, and the table has the rounds of ours with the first
method.

``--only`` takes the methods whose names hold one of the words, ``--skip`` leaves some
out: at 1,000,000 rows graphs over floats are built for ten minutes each, so that
``--skip HNSW usearch Vamana pynndescent`` keeps hnswlib alone of them. With ``--out``
every method is written down once it is measured: the same command goes on with the
methods that are not there yet, or failed, and a method that ended the process is named
so. After ``--limit`` seconds no further method is begun; a later run takes it.

Bytes are those for each row that a search reads for all of them or to go on (codes,
corrections, lists, edges, and the vectors that a graph over floats compares), and those
of vectors that only reranking reads, which may stay on disk where a method lets them.
Where a method reranks, it does so with four times k; where both sides are codes of one
bit, with ten times.

Rows: with ``--data``, a .npz of ``base`` and ``queries``, each new row is a row x of
``base`` drawn at random, plus 0.7 (a - b), where a and b are two of its 20 nearest rows
drawn at random, plus normal noise of a tenth of the length of a - b, scaled to unit
norm. New queries are made so of ``queries``, whose neighbors are rows of ``base``: no
row that they are made of is in the index. The cosine of queries to their nearest row
is printed, for near copies would flatter graphs. Without ``--data``:
``make_low_rank_clusters``.
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from _matched_peers import MISSING, OURS, builders
from search import added_at_peak, describe_machine, write

from skbq._utils.similarity import unit_norm
from skbq.datasets import make_low_rank_clusters

K = 10
# Of what is written: results of another format are measured anew.
FORMAT = 2
N_QUERIES = 256
N_SINGLE = 64
N_NEAR = 20
# Methods that numba compiles, which few rows let it do.
COMPILED = ("skbq", "pynndescent")
FEW = 2000
# Rows that are drawn at a time.
BLOCK = 100_000


def nearest_rows(queries, rows, k):
    import faiss

    faiss.omp_set_num_threads(os.cpu_count())
    return faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)


def resample(sources, base, n, rng):
    """Draw new vectors around sources, as the first lines of this file say."""
    near = nearest_rows(sources, base, N_NEAR + 1)[1][:, 1:]
    out = np.empty((n, base.shape[1]), np.float32)
    for start in range(0, n, BLOCK):
        some = out[start : start + BLOCK]
        which = rng.integers(0, len(sources), len(some))
        a, b = (base[near[which, rng.integers(0, N_NEAR, len(some))]] for _ in range(2))
        gap = a - b
        noise = rng.standard_normal(gap.shape, np.float32)
        noise *= np.linalg.norm(gap, axis=1, keepdims=True) / gap.shape[1] ** 0.5 / 10
        some[:] = unit_norm(sources[which] + np.float32(0.7) * gap + noise)
    return out


def make_set(path, n_rows, d):
    if path is None:
        X = make_low_rank_clusters(
            n_rows + N_QUERIES, d, dtype="float32", random_state=0
        )
        return X[:n_rows], X[n_rows:]
    rng, arrays = np.random.default_rng(0), np.load(path)
    base, held_out = (
        unit_norm(arrays[name].astype(np.float32)) for name in ("base", "queries")
    )
    return resample(base, base, n_rows, rng), resample(held_out, base, N_QUERIES, rng)


def recall(true, found):
    hits = [len(set(a) & set(b)) for a, b in zip(true, found, strict=True)]
    return float(np.mean(hits)) / true.shape[1]


def search_each(method, queries, threads):
    for q in range(len(queries)):
        method.search(queries[q : q + 1], K, threads)


def tune(method, queries, true, target):
    """Raise the setting until the target is reached; return what was measured."""
    curve = []
    for setting in method.settings:
        method.set(setting)
        curve.append((setting, recall(true, method.search(queries, K, 1))))
        if curve[-1][1] >= target:
            break
    return curve


def build(name, make, X):
    """Return a method, and what it took, compilation left out."""
    made = {}
    if name.startswith(COMPILED):
        make(X[:FEW]).search(X[:8], K, 1)
    start = time.perf_counter()
    peak = added_at_peak(lambda: made.update(it=make(X)))
    return made["it"], {"s": time.perf_counter() - start, "peak_mib": peak}


def speeds_in_turn(methods, queries, threads, rounds):
    """Return queries per second of each method, by kind of call, in every round."""
    kinds = [("batch", t) for t in threads] + [("single", 1)]
    speeds = [{} for _ in methods]
    for kind, n_threads in kinds:
        for method in methods:  # compiled, and warm
            method.search(queries[:8], K, n_threads)
        for _ in range(rounds):
            for method, own in zip(methods, speeds, strict=True):
                start = time.perf_counter()
                if kind == "batch":
                    some = queries
                    method.search(some, K, n_threads)
                else:
                    some = queries[:N_SINGLE]
                    search_each(method, some, n_threads)
                speed = len(some) / (time.perf_counter() - start)
                own.setdefault(f"{kind}, {n_threads}", []).append(speed)
    return speeds


def compare(name, make, ours, X, queries, true, arguments):
    """Build a method, and time it and ours in turn."""
    method, built = build(name, make, X)
    curve = tune(method, queries, true, arguments.target)
    speeds, of_ours = speeds_in_turn(
        [method, ours], queries, arguments.threads, arguments.rounds
    )
    return {
        **told(method, built, curve, len(X)),
        "queries_per_s": speeds,
        "ours_per_s": of_ours,
    }


def told(method, built, curve, n_rows):
    searched, reranked = method.n_bytes()
    return {
        "curve": curve,
        "setting": curve[-1][0],
        "recall": curve[-1][1],
        "bytes_per_row": searched / n_rows,
        "reranked_bytes_per_row": reranked / n_rows,
        **built,
    }


def chosen(names, arguments):
    """List the methods that the command line asks for, ours left out."""

    def holds(name, words):
        return any(word in name for word in words)

    only, skip = arguments.only, arguments.skip or []
    return [
        name
        for name in names
        if name != OURS and (not only or holds(name, only)) and not holds(name, skip)
    ]


def measure(arguments, run, keep):
    """Add to a run the methods that it lacks; ``keep`` is called after each."""
    stop = time.monotonic() + arguments.limit
    X, queries = make_set(arguments.data, run["rows"], run["d"])
    near, true = nearest_rows(queries, X, K)
    print(f"cosine of queries to their nearest row: median {np.median(near[:, 0]):.3f}")
    run |= {
        "nearest_cosine": float(np.median(near[:, 0])),
        "missing": MISSING,
        "machine": describe_machine(),
    }
    results = run["results"]
    made = builders(run["d"], run["rows"])
    done = [name for name, one in results.items() if "queries_per_s" in one]
    todo = [name for name in chosen(made, arguments) if name not in done]
    ours, built = build(OURS, made[OURS], X)
    curve = tune(ours, queries, true, arguments.target)
    results[OURS] = told(ours, built, curve, len(X))
    print(f"  {OURS}: {built['s']:.1f} s, {curve[-1]}", flush=True)
    for name in todo:
        if time.monotonic() > stop:
            results[name] = {"failed": "no time was left"}
            continue
        results[name] = {"failed": "the process ended"}
        keep()
        try:
            results[name] = compare(name, made[name], ours, X, queries, true, arguments)
        except Exception as error:  # whatever a peer raises is reported, not hidden
            results[name] = {"failed": f"{type(error).__name__}: {error}"}
            print(f"  {name}: {results[name]['failed']}", flush=True)
        else:
            one = results[name]
            print(f"  {name}: {one['s']:.1f} s, {one['curve'][-1]}", flush=True)
        keep()
    keep()


def report(runs):
    lines = [
        "# Indexes at equal recall",
        "",
        "Made by `python benchmarks/matched.py`; its first lines say how. Ratios are to"
        f" {OURS}, in the same round: median (smallest to largest).",
        "",
        "<!-- tables -->",
    ]
    for run in runs:
        lines += run_lines(run)
    return "\n".join(lines) + "\n"


def run_lines(run):
    machine, results = run["machine"], dict(run["results"])
    measured = {name: one for name, one in results.items() if "queries_per_s" in one}
    failed = {name: one["failed"] for name, one in results.items() if "failed" in one}
    yield ""
    yield (
        f"**{run['rows']:,} rows of {run['d']} coordinates, {run['data']}**, recall@10 "
        f"of {run['target']} wanted; cosine of queries to their nearest row "
        f"{run['nearest_cosine']:.3f}. {machine['processor']}, kernels for "
        f"{machine['kernel']}. Not available here: {', '.join(run['missing']) or '-'}."
    )
    if failed:
        yield ""
        yield "Not measured: " + "; ".join(f"{n} ({why})" for n, why in failed.items())
    if not measured:
        return
    first = next(iter(measured.values()))
    own = {
        **results[OURS],
        "queries_per_s": first["ours_per_s"],
        "ours_per_s": first["ours_per_s"],
    }
    kinds = list(first["queries_per_s"])
    heads = [f"{kind} thread{'s' * (kind[-1] != '1')}" for kind in kinds]
    yield ""
    yield (
        "| method | setting | recall | built, s | adds, MiB | bytes/row | + vectors | "
        + " | ".join(f"{head}, q/s | ratio" for head in heads)
        + " |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|" + "---:|---|" * len(kinds)
    for name, one in {OURS: own, **measured}.items():
        peak = "" if one["peak_mib"] is None else f"{one['peak_mib']:,.0f}"
        cells = [
            f"{name} | {one['setting']} | {one['recall']:.3f} | {one['s']:.1f}",
            f"{peak} | {one['bytes_per_row']:,.0f}",
            f"{one['reranked_bytes_per_row']:,.0f}",
        ]
        for kind in kinds:
            mine, ours = one["queries_per_s"][kind], one["ours_per_s"][kind]
            ratios = [a / b for a, b in zip(mine, ours, strict=True)]
            cells.append(
                f"{median(mine):,.0f} | {median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
        yield f"| {' | '.join(cells)} |"


def open_run(runs, arguments):
    """Return the run of what the command line asks for, from before if there is one."""
    n_rows, d = map(int, arguments.size.split("x"))
    same = {
        "format": FORMAT,
        "rows": n_rows,
        "d": d,
        "data": "generated" if arguments.data is None else arguments.data.stem,
        "target": arguments.target,
    }
    for run in runs:
        if same.items() <= run.items():
            return run
    runs.append({**same, "results": {}})
    return runs[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", default="200000x384", metavar="ROWSxD")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="WORD")
    parser.add_argument("--skip", nargs="+", metavar="WORD")
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--render", action="store_true", help="of --out, unmeasured")
    arguments = parser.parse_args()
    out, runs = arguments.out, []
    if out and out.exists():
        runs = [r for r in json.loads(out.read_text()) if r.get("format") == FORMAT]

    def keep():
        if out:
            write(out, json.dumps(runs, indent=1))
            write(out.with_suffix(".md"), report(runs))

    if arguments.render:
        keep()
    else:
        measure(arguments, open_run(runs, arguments), keep)
    print(report(runs))


if __name__ == "__main__":
    main()
