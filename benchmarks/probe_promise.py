"""Whether lists find what "auto" promises: for rows held out, and for given queries.

    python benchmarks/probe_promise.py [A.npz B.npz ...] [--seeds 3] [--check]
        [--out benchmarks/results/probe_promise.json]

Each .npz holds ``base`` and ``queries``; the shipped embeddings are always there. 500
rows of the base, drawn at random, are held out, and indexes with lists are fitted to
the rest: of one bit with symmetric and of two with asymmetric search, reranked
fourfold. They measure on 256 rows how many lists ``n_probes="auto"`` must probe for
each target. Recall@10 against brute force of the same index is then measured

- on the rows held out, which are like the fitted ones: what the promise is for;
- on the given queries, which need not be (the cosine to the nearest row is printed for
  either kind: where it differs, queries are of another kind);
- on one half of the given queries, after ``calibrate`` with the other half.

*Kept* says in how many of the seeds recall reached the target, or was below it by less
than the half width of its own 95% interval. With ``--check`` the program fails if
recall over all seeds, of rows held out or after ``calibrate``, is below a target by
more than that.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from _sets import describe_run, load_sets
from search import write

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq._utils.estimate import mean_estimate
from skbq._utils.similarity import unit_norm

K = 10
HELD_OUT = 500
TARGETS = [0.9, 0.95, 0.99]
KINDS = {
    "held_out": "rows held out",
    "given": "given queries",
    "calibrated": "given queries, after `calibrate`",
}
CODES = {
    "1 bit": (BinaryQuantizer(), "codes"),
    "2 bits, asymmetric": (TwoBitQuantizer(), "vectors"),
}
# Descriptors of images are compared by euclidean distance.
EUCLIDEAN = ["sift_128", "gist_960"]


def recalls(true, found):
    hits = [len(set(a) & set(b)) for a, b in zip(true, found, strict=True)]
    return np.array(hits) / true.shape[1]


def ask(index, queries):
    """Return recall of queries in the lists probed, and its half width."""
    found = index.kneighbors(queries, return_distance=False)
    index.set_params(algorithm="brute")
    true = index.kneighbors(queries, return_distance=False)
    index.set_params(algorithm="ivf")
    each = recalls(true, found)
    return float(each.mean()), mean_estimate(each, 0.95).half_width


def measure(name, base, queries, n_seeds):
    metric = "euclidean" if name in EUCLIDEAN else "cosine"
    for words, (quantizer, query) in CODES.items():
        points = {target: [] for target in TARGETS}
        for seed in range(n_seeds):
            order = np.random.default_rng(seed).permutation(len(base))
            held_out, rows = base[order[:HELD_OUT]], base[order[HELD_OUT:]]
            index = BinaryNeighbors(
                K,
                quantizer=quantizer,
                metric=metric,
                query=query,
                oversampling=4,
                algorithm="ivf",
                random_state=seed,
                n_jobs=1,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # lists that do not pay
                index.fit(rows)
                for target in TARGETS:
                    points[target].append(found_by(index, target, held_out, queries))
                index.calibrate(queries[::2])
                for target in TARGETS:
                    index.set_params(target_recall=target)
                    recalibrated = {"calibrated": ask(index, queries[1::2])}
                    points[target][-1] |= recalibrated
        for target, seeds in points.items():
            yield {
                "set": name,
                "rows": len(base) - HELD_OUT,
                "queries": len(queries),
                "codes": words,
                "target": target,
                "cosines": nearest_cosines(held_out, queries, rows),
                "seeds": seeds,
            }


def found_by(index, target, held_out, queries):
    index.set_params(target_recall=target)
    curve = index.probe_curve_
    point = curve.find(target)
    return {
        "promised": curve.recall[point].value,
        "share": float(curve.share[point]),
        "held_out": ask(index, held_out),
        "given": ask(index, queries),
    }


def nearest_cosines(held_out, queries, rows):
    """Return the median cosine to the nearest row, of rows held out and of queries."""
    rows = unit_norm(rows)
    return [
        float(np.median((unit_norm(x) @ rows.T).max(axis=1)))
        for x in (held_out, queries)
    ]


def summary(one, kind):
    """Return mean recall, the least of the seeds, and in how many it was kept."""
    found, half_widths = np.array([seed[kind] for seed in one["seeds"]]).T
    kept = int((found + half_widths >= one["target"]).sum())
    return found.mean(), found.min(), kept, half_widths.mean()


def is_broken(one, kind):
    mean, _, _, half_width = summary(one, kind)
    return mean + half_width < one["target"]


def report(results, names):
    yield "# What lists promise, and what they find"
    yield ""
    yield (
        "Made by `python benchmarks/probe_promise.py`; its first lines say how. Recall "
        "is that of brute force of the same index: mean of the seeds, least of them in "
        "brackets, and in how many the promise was kept."
    )
    yield ""
    yield from describe_run(names)
    yield ""
    yield "<!-- tables -->"
    yield ""
    n = sum(len(one["seeds"]) for one in results)
    told = []
    for kind, words in KINDS.items():
        kept = sum(summary(one, kind)[2] for one in results)
        told.append(f"{kept} for {words}")
    yield f"Of {n} promises were kept: {'; '.join(told)}."
    yield ""
    yield (
        "| set | rows | nearest cosine: held out, given | codes | target | rows "
        f"compared | {' | '.join(KINDS.values())} |"
    )
    yield "|---|---:|---:|---|---:|---:|---|---|---|"
    for one in results:
        share = np.mean([seed["share"] for seed in one["seeds"]])
        cosines = ", ".join(f"{x:.2f}" for x in one["cosines"])
        cells = [
            *(one["set"], f"{one['rows']:,}", cosines, one["codes"]),
            *(str(one["target"]), f"{share:.1%}"),
        ]
        for kind in KINDS:
            mean, least, kept, _ = summary(one, kind)
            cells.append(f"{mean:.3f} ({least:.3f}), {kept} of {len(one['seeds'])}")
        yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = []
    sets = [*load_sets([]), *(load_sets(arguments.files) if arguments.files else ())]
    for name, rows, queries in sets:
        results += measure(name, rows, queries, arguments.seeds)
        print(name, flush=True)
    lines = "\n".join(report(results, [name for name, *_ in sets])) + "\n"
    if arguments.out:
        write(arguments.out, json.dumps(results, indent=1))
        write(arguments.out.with_suffix(".md"), lines)
    print(lines)
    broken = [
        (one["set"], one["codes"], one["target"], kind)
        for one in results
        for kind in ("held_out", "calibrated")
        if is_broken(one, kind)
    ]
    if arguments.check and broken:
        raise SystemExit(f"promises were broken: {broken}")


if __name__ == "__main__":
    main()
