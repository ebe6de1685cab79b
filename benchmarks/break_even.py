"""From which number of rows search in lists is faster than brute force.

    python benchmarks/break_even.py [--data minilm.npz] [--size 200000x384]
        [--rounds 5] [--out benchmarks/results/break_even.json] [--render]

For each number of rows, half as many each time, an index with lists and one without are
built of the first rows of ``matched.py``'s set: codes of 2 bits with asymmetric search
("vectors"), and of 1 bit with symmetric search ("codes"), reranked fourfold. Lists are
probed as "auto" does. Both search the same 256 queries in turn, in one call, and 64 one
by one, on one thread; the ratio is the median over rounds. ``algorithm="auto"`` of
``BinaryNeighbors`` takes lists from where all ratios are above 1 (``_ROWS_FOR_LISTS``).

The costs that the advisor reckons with (``COSTS`` of ``skbq/_advisor/list_advice.py``)
are fitted to such times: brute force takes ``a + c N``, over the numbers of rows above,
and lists of the most rows take ``a + c (fixed_rows + per_row n)`` where they compare n
of them, over a few numbers of lists. So ``fixed_rows`` is what lists cost beside
comparing, as brute force over so many rows, and ``per_row`` what a row in a list costs,
as a multiple. Least squares of relative errors.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
from matched import N_SINGLE, K, make_set
from search import describe_machine, write

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer

FEWEST_ROWS = 5_000
# Shares of the rows that lists compare where their cost is fitted.
SHARES = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16]
CODES = {"vectors": TwoBitQuantizer(), "codes": BinaryQuantizer()}


def seconds(index, queries, each):
    start = time.perf_counter()
    if each:
        for q in range(N_SINGLE):
            index.kneighbors(queries[q : q + 1], K)
    else:
        index.kneighbors(queries, K)
    return (time.perf_counter() - start) / (N_SINGLE if each else len(queries))


def compare(query, X, queries, rounds):
    indexes = []
    for algorithm in ("brute", "ivf"):
        index = BinaryNeighbors(
            K,
            quantizer=CODES[query],
            query=query,
            oversampling=4,
            algorithm=algorithm,
            random_state=0,
            n_jobs=1,
        ).fit(X)
        for each in (True, False):  # compiled, and warm
            seconds(index, queries, each)
        indexes.append(index)
    lists = indexes[1]
    point = lists.probe_curve_.find(lists.target_recall)
    result = {
        "query": query,
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
    result["by_share"] = seconds_by_share(lists, queries, rounds)
    return result


def seconds_by_share(index, queries, rounds):
    """Return the number of rows compared and seconds of a query, batch and single."""
    curve, found = index.probe_curve_, []
    for share in SHARES:
        point = int(np.abs(curve.share - share).argmin())
        index.set_params(n_probes=int(curve.n_probes[point]))
        times = [
            [seconds(index, queries, each) for each in (False, True)]
            for _ in range(rounds)
        ]
        compared = float(curve.share[point]) * index.n_samples_fit_
        found.append([compared, *np.min(times, axis=0)])
    index.set_params(n_probes="auto")
    return found


def line(x, y):
    """Return intercept and slope of the line of least squares of relative errors."""
    columns = np.stack([np.ones(len(x)), x], axis=1)
    return np.linalg.lstsq(columns / y[:, np.newaxis], np.ones(len(x)), rcond=None)[0]


def costs(results, kind):
    """Return fixed rows and cost per row of lists, as the first lines say."""
    rows = np.array([one["rows"] for one in results])
    brute = np.array([one[kind][1] for one in results])
    start, per_row = line(rows, brute)
    compared, batch, single = np.array(results[-1]["by_share"]).T
    fixed, per_listed = line(compared, single if kind == "single" else batch)
    return (fixed - start) / per_row, per_listed / per_row


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
    yield "<!-- tables -->"
    for query in CODES:
        results = [one for one in run["results"] if one["query"] == query]
        yield ""
        yield (
            "**2 bits, asymmetric search**"
            if query == "vectors"
            else "**1 bit, symmetric search**"
        )
        yield ""
        yield (
            "| rows | lists probed | rows compared | batch: brute, us a query | lists, "
            "us | times faster | single: brute, us | lists, us | times faster |"
        )
        yield "|---:" * 9 + "|"
        for one in results:
            cells = [f"{one['rows']:,}", str(one["probed"]), f"{one['share']:.1%}"]
            for name in ("batch", "single"):
                ratio, brute, lists = one[name]
                cells += [f"{1e6 * brute:,.0f}", f"{1e6 * lists:,.0f}", f"{ratio:.2f}"]
            yield f"| {' | '.join(cells)} |"
        yield ""
        told = []
        for kind in ("single", "batch"):
            fixed, per_row = costs(results, kind)
            told.append(
                f"{kind}, {fixed:,.0f} rows beside comparing, and {per_row:.2f} times "
                "as much a row"
            )
        yield f"Lists cost, in rows of brute force: {'; '.join(told)}."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", default="200000x384", metavar="ROWSxD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--render", action="store_true", help="of --out, unmeasured")
    arguments = parser.parse_args()
    if arguments.render:
        run = json.loads(arguments.out.read_text())
    else:
        run = measure(arguments)
    lines = "\n".join(report(run)) + "\n"
    if arguments.out:
        write(arguments.out, json.dumps(run, indent=1))
        write(arguments.out.with_suffix(".md"), lines)
    print(lines)


def measure(arguments):
    n_rows, d = map(int, arguments.size.split("x"))
    X, queries = make_set(arguments.data, n_rows, d)
    results = []
    while n_rows >= FEWEST_ROWS:
        for query in CODES:
            one = compare(query, X[:n_rows], queries, arguments.rounds)
            print(one, flush=True)
            results.append(one)
        n_rows //= 2
    return {
        "data": "generated" if arguments.data is None else arguments.data.stem,
        "d": d,
        "machine": describe_machine(),
        "results": results[::-1],
    }


if __name__ == "__main__":
    main()
