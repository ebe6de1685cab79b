"""From which number of rows search in lists is faster than brute force.

    python benchmarks/break_even.py [--data minilm.npz] [--size 200000x384]
        [--rounds 5] [--out benchmarks/results/break_even.json]

For each number of rows, half as many each time, an index with lists and one without are
built of the first rows of ``matched.py``'s set, 2 bits, reranked fourfold. Lists are
probed as "auto" does. Both search the same 256 queries in turn, in one call and one by
one, on one thread; the ratio is the median over rounds. ``algorithm="auto"`` of
``BinaryNeighbors`` takes lists from where both ratios are above 1.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

from matched import N_SINGLE, K, make_set
from search import describe_machine, write

from skbq import BinaryNeighbors

FEWEST_ROWS = 5_000


def seconds(index, queries, each):
    start = time.perf_counter()
    if each:
        for q in range(N_SINGLE):
            index.kneighbors(queries[q : q + 1], K)
    else:
        index.kneighbors(queries, K)
    return (time.perf_counter() - start) / (N_SINGLE if each else len(queries))


def compare(X, queries, rounds):
    indexes = []
    for algorithm in ("brute", "ivf"):
        index = BinaryNeighbors(
            K,
            query="vectors",
            oversampling=4,
            algorithm=algorithm,
            random_state=0,
            n_jobs=1,
        ).fit(X)
        seconds(index, queries, each=False)
        indexes.append(index)
    lists = indexes[1]
    point = lists.probe_curve_.find(lists.target_recall)
    result = {
        "rows": len(X),
        "probed": lists.n_probes_,
        "share": float(lists.probe_curve_.share[point]),
    }
    for name in ("batch", "single"):
        pairs = [
            [seconds(index, queries, name == "single") for index in indexes]
            for _ in range(rounds)
        ]
        result[name] = [median(a / b for a, b in pairs)]
        result[name] += [min(times) for times in zip(*pairs, strict=True)]
    return result


def report(run):
    yield "# From which number of rows lists pay"
    yield ""
    machine = run["machine"]
    yield (
        "Made by `python benchmarks/break_even.py`; its first lines say how. "
        f"{run['data']}, {run['d']} coordinates; {machine['processor']}, kernels for "
        f"{machine['kernel']}, one thread."
    )
    yield ""
    yield (
        "| rows | lists probed | rows compared | batch: brute, us a query | lists, us "
        "| times faster | single: brute, us | lists, us | times faster |"
    )
    yield "|---:" * 9 + "|"
    for one in run["results"]:
        cells = [f"{one['rows']:,}", str(one["probed"]), f"{one['share']:.1%}"]
        for name in ("batch", "single"):
            ratio, brute, lists = one[name]
            cells += [f"{1e6 * brute:,.0f}", f"{1e6 * lists:,.0f}", f"{ratio:.2f}"]
        yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", default="200000x384", metavar="ROWSxD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    n_rows, d = map(int, arguments.size.split("x"))
    X, queries = make_set(arguments.data, n_rows, d)
    results = []
    while n_rows >= FEWEST_ROWS:
        results.append(compare(X[:n_rows], queries, arguments.rounds))
        print(results[-1], flush=True)
        n_rows //= 2
    run = {
        "data": "generated" if arguments.data is None else arguments.data.stem,
        "d": d,
        "machine": describe_machine(),
        "results": results[::-1],
    }
    lines = "\n".join(report(run)) + "\n"
    if arguments.out:
        write(arguments.out, json.dumps(run, indent=1))
        write(arguments.out.with_suffix(".md"), lines)
    print(lines)


if __name__ == "__main__":
    main()
