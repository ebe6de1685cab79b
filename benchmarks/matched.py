"""Indexes that compare a part of the rows, at equal recall, in one run.

    python benchmarks/matched.py [--data minilm.npz] [--size 200000x384]
        [--target 0.95] [--threads 1 2] [--rounds 3] [--only WORD ...]
        [--out benchmarks/results/matched.json] [--render]

Needs ``pip install '.[bench]'``; what else is not installed is named in the table.
Each method is built with all threads, then its setting (lists probed, nodes looked at)
is raised until recall@10 against exact cosine reaches the target, over 256 queries;
``--only`` leaves those whose names hold a word. In every round the methods search the
same queries in turn: 256 in one call, and 64 one by one. The ratio is taken within a
round against our lists of 2 bits. Bytes are those of the saved index for each row,
vectors for reranking included. Where a method reranks, it does so with four times k;
where both sides are codes of one bit, with ten times.

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
N_QUERIES = 256
N_SINGLE = 64
N_NEAR = 20


def nearest_rows(queries, rows, k):
    import faiss

    faiss.omp_set_num_threads(os.cpu_count())
    return faiss.knn(queries, rows, k, metric=faiss.METRIC_INNER_PRODUCT)


def resample(sources, base, n, rng):
    """Draw new vectors around sources, as the first lines of this file say."""
    near = nearest_rows(sources, base, N_NEAR + 1)[1][:, 1:]
    which = rng.integers(0, len(sources), n)
    a, b = (base[near[which, rng.integers(0, N_NEAR, n)]] for _ in range(2))
    gap = a - b
    noise = rng.standard_normal(gap.shape).astype(np.float32)
    noise *= np.linalg.norm(gap, axis=1, keepdims=True) / gap.shape[1] ** 0.5 / 10
    return unit_norm(sources[which] + np.float32(0.7) * gap + noise)


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


def build(X, only):
    methods, built = {}, {}
    for name, make in builders(X.shape[1], len(X)).items():
        if only and not any(word in name for word in only) and name != OURS:
            continue
        start = time.perf_counter()
        made = {}
        peak = added_at_peak(lambda make=make, made=made: made.update(it=make(X)))
        methods[name] = made["it"]
        built[name] = {"s": time.perf_counter() - start, "peak_mib": peak}
        print(f"  {name}: {built[name]['s']:.1f} s", flush=True)
    return methods, built


def measure(arguments):
    n_rows, d = map(int, arguments.size.split("x"))
    X, queries = make_set(arguments.data, n_rows, d)
    near, true = nearest_rows(queries, X, K)
    print(f"cosine of queries to their nearest row: median {np.median(near[:, 0]):.3f}")
    methods, built = build(X, arguments.only)
    results = {}
    for name, method in methods.items():
        curve = tune(method, queries, true, arguments.target)
        results[name] = {
            "curve": curve,
            "setting": curve[-1][0],
            "recall": curve[-1][1],
            "bytes_per_row": method.n_bytes() / n_rows,
            **built[name],
            "queries_per_s": {},
        }
        print(f"  {name}: {curve[-1]}", flush=True)
    kinds = [("batch", t) for t in arguments.threads] + [("single", 1)]
    for kind, threads in kinds:
        for name in methods:
            results[name]["queries_per_s"][f"{kind}, {threads}"] = []
        for _ in range(arguments.rounds):
            for name, method in methods.items():
                some = queries if kind == "batch" else queries[:N_SINGLE]
                ask = method.search if kind == "batch" else None
                start = time.perf_counter()
                if ask is None:
                    search_each(method, some, threads)
                else:
                    ask(some, K, threads)
                spent = time.perf_counter() - start
                speed = results[name]["queries_per_s"][f"{kind}, {threads}"]
                speed.append(len(some) / spent)
    return {
        "rows": n_rows,
        "d": d,
        "data": "generated" if arguments.data is None else arguments.data.stem,
        "nearest_cosine": float(np.median(near[:, 0])),
        "target": arguments.target,
        "missing": MISSING,
        "machine": describe_machine(),
        "results": results,
    }


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
    machine = run["machine"]
    yield ""
    yield (
        f"**{run['rows']:,} rows of {run['d']} coordinates, {run['data']}**, recall@10 "
        f"of {run['target']} wanted; cosine of queries to their nearest row "
        f"{run['nearest_cosine']:.3f}. {machine['processor']}, kernels for "
        f"{machine['kernel']}. Not available here: {', '.join(run['missing']) or '-'}."
    )
    yield ""
    kinds = list(next(iter(run["results"].values()))["queries_per_s"])
    heads = [f"{kind} thread{'s' * (kind[-1] != '1')}" for kind in kinds]
    yield "| method | setting | recall | built, s | adds, MiB | bytes/row | " + (
        " | ".join(f"{head}, q/s | ratio" for head in heads) + " |"
    )
    yield "|---|---|---:|---:|---:|---:|" + "---:|---|" * len(kinds)
    ours = run["results"][OURS]["queries_per_s"]
    for name, one in run["results"].items():
        peak = "" if one["peak_mib"] is None else f"{one['peak_mib']:,.0f}"
        cells = [
            f"{name} | {one['setting']} | {one['recall']:.3f} | {one['s']:.1f} "
            f"| {peak} | {one['bytes_per_row']:,.0f}"
        ]
        for kind in kinds:
            mine = one["queries_per_s"][kind]
            ratios = [a / b for a, b in zip(mine, ours[kind], strict=True)]
            cells.append(
                f"{median(mine):,.0f} | {median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )
        yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", default="200000x384", metavar="ROWSxD")
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="WORD")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--render", action="store_true", help="of --out, unmeasured")
    arguments = parser.parse_args()
    out, runs = arguments.out, []
    if out and out.exists():
        runs = json.loads(out.read_text())
    if not arguments.render:
        runs.append(measure(arguments))
    if out:
        write(out, json.dumps(runs, indent=1))
        write(out.with_suffix(".md"), report(runs))
    print(report(runs))


if __name__ == "__main__":
    main()
