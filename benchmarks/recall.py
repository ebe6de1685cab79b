"""Compare predicted recall@10 with the recall that is measured on all rows.

    python benchmarks/recall.py [SET.npz | SET.npy ...] [--generated] [--out TABLE.md]

An .npz file holds arrays ``base`` and ``queries``; of an .npy file 500 random rows
become queries. Without any, the shipped embeddings are used. ``--generated`` adds
generated sets, searched at 20,000, 100,000 and ``--largest`` rows. Similarity is the
cosine; codes are centered, of 1 and 2 bits, for symmetric and asymmetric search.

Form b predicts from the similarities and scores of 200 queries to 5,000 sampled rows.
Form a sees no scores: it draws them from the Gaussian local law. Both are compared with
what the same queries measure on all rows.
"""

import argparse
from pathlib import Path

import numpy as np
from _sets import describe_run
from scipy.special import log_ndtr

from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq.datasets import (
    load_wordnet_minilm,
    make_gaussian,
    make_low_rank_clusters,
    make_sphere,
)
from skbq.theory import model_scores, oversampling_for, predict_recall

K = 10
OVERSAMPLING = [1, 2, 5, 10]
# Every number of candidates up to 100 per neighbor.
GRID = np.arange(K, 100 * K + 1) / K
TARGETS = [0.8, 0.9, 0.95]
CONFIDENCE = 0.9
CHUNK = 50_000
QUANTIZERS = {"1 bit": BinaryQuantizer(), "2 bits": TwoBitQuantizer()}


def unit(x):
    """Rows of length 1, float32; rows of zeros are left out."""
    x = np.asarray(x, dtype=np.float32)
    x = x[np.abs(x).max(axis=1) > 0]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def load(path, seed):
    """Name, base and queries of one file."""
    arrays = np.load(path)
    if path.suffix == ".npz":
        return path.stem, unit(arrays["base"]), unit(arrays["queries"])
    order = np.random.default_rng(seed).permutation(len(arrays))
    return path.stem, unit(arrays[order[500:]]), unit(arrays[order[:500]])


def generated(largest, seed):
    """Name, base and queries of each generated set, at each size."""
    makers = {
        "gaussian-128": lambda n: make_gaussian(
            n, 128, spectrum=0.8, heterogeneity=0.3, dtype="float32", random_state=seed
        ),
        "low-rank-256": lambda n: make_low_rank_clusters(
            n, 256, dtype="float32", random_state=seed
        ),
        "sphere-64": lambda n: make_sphere(n, 64, dtype="float32", random_state=seed),
    }
    for name, make in makers.items():
        rows = unit(make(largest + 500))
        for size in sorted({min(n, largest) for n in (20_000, 100_000, largest)}):
            yield name, rows[500 : 500 + size], rows[:500]


def chunks(base):
    """Yield slices of the rows, and the rows."""
    for start in range(0, len(base), CHUNK):
        yield slice(start, start + CHUNK), base[start : start + CHUNK]


def all_similarities(base, queries):
    similarities = np.empty((len(queries), len(base)), dtype=np.float32)
    for place, rows in chunks(base):
        similarities[:, place] = queries @ rows.T
    return similarities


def all_scores(base, queries, quantizer):
    """Scores of symmetric and of corrected asymmetric search, by kind of query."""
    quantizer = quantizer.fit(base)
    center = base.mean(axis=0)
    away = queries - center
    coded = quantizer.transform(queries).unpack().astype(np.float32)
    shape = len(queries), len(base)
    scores = {kind: np.empty(shape, np.float32) for kind in ("codes", "vectors")}
    for place, rows in chunks(base):
        codes = quantizer.transform(rows).unpack().astype(np.float32)
        offset = rows - center
        gain = (offset**2).sum(axis=1) / (codes * offset).sum(axis=1)
        scores["codes"][:, place] = coded @ codes.T
        estimate = (away @ codes.T) * gain + offset @ center
        scores["vectors"][:, place] = estimate + (queries @ center)[:, None]
    return scores


def gaussian_pass_rate(x):
    """Share of coordinates below the 5 % limit of Anderson and Darling (0.752)."""
    x = x[:, x.std(axis=0) > 1e-6]
    z = np.sort((x - x.mean(axis=0)) / x.std(axis=0, ddof=1), axis=0)
    n = len(z)
    weight = (2 * np.arange(1, n + 1) - 1)[:, None] / n
    statistic = -n - (weight * (log_ndtr(z) + log_ndtr(-z[::-1]))).sum(axis=0)
    return np.mean(statistic * (1 + 0.75 / n + 2.25 / n**2) < 0.752)


def model_only(quantizer, query, queries, rows, similarities, n_searched):
    """Form a: recall from the moments of the sample, with no code score."""
    mean, covariance = rows.mean(axis=0), np.cov(rows.T, dtype=float)
    a, b = queries - mean, rows - mean
    scales = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    scores = model_scores(
        quantizer,
        mean,
        covariance,
        (a @ b.T) / scales,
        query="codes" if query == "codes" else "corrected",
        similarities=similarities,
        scales=scales,
    )
    return predict_recall(
        similarities,
        scores,
        n_neighbors=K,
        oversampling=OVERSAMPLING,
        expected_rows=n_searched,
    ).recall


def compare(name, base, queries, arguments):
    """Results of one set: one dict per code, query and sample."""
    rng = np.random.default_rng(arguments.seed)
    chosen = np.sort(
        rng.choice(len(queries), min(arguments.queries, len(queries)), replace=False)
    )
    queries = queries[chosen]
    similarities = all_similarities(base, queries)
    # A sample that is most of the rows measures, and leaves nothing to predict.
    sizes = [n for n in arguments.rows if n <= len(base) // 4]
    samples = [
        np.sort(rng.choice(len(base), n_sampled, replace=False))
        for n_sampled in sizes or [min(arguments.rows[0], len(base) * 3 // 4)]
        for _ in range(arguments.samples)
    ]
    passed = gaussian_pass_rate(base[rng.permutation(len(base))[:2000]])
    shared = {"k": K, "n": len(base)}
    for bits, quantizer in QUANTIZERS.items():
        for query, scores in all_scores(base, queries, quantizer).items():
            measured = predict_recall(
                similarities, scores, n_neighbors=K, oversampling=GRID
            ).recall
            truth = measured[np.searchsorted(GRID, OVERSAMPLING)]
            needed = [GRID[measured >= t].min(initial=np.inf) for t in TARGETS]
            for rows in samples:
                sample = similarities[:, rows], scores[:, rows]
                settings = {"n_neighbors": K, "expected_rows": len(base)}
                predicted = predict_recall(
                    *sample,
                    oversampling=OVERSAMPLING,
                    confidence=CONFIDENCE,
                    **settings,
                )
                plain = predict_recall(
                    *sample, n_neighbors=K, oversampling=OVERSAMPLING
                )
                model = None
                if arguments.model:
                    model = model_only(
                        quantizer, query, queries, base[rows], sample[0], len(base)
                    )
                yield shared | {
                    "set": name,
                    "sampled": len(rows),
                    "codes": f"{bits}, {query}",
                    "measured": truth,
                    "predicted": predicted.recall,
                    "interval": predicted.interval,
                    "sample": plain.recall,
                    "model": model,
                    "pass": passed,
                    "needed": needed,
                    "found": [
                        oversampling_for(t, *sample, confidence=CONFIDENCE, **settings)
                        for t in TARGETS
                    ],
                }


def figures(values):
    return " ".join(f"{v:.3f}" for v in values)


def detail(result):
    """One line of the table: a code on a set, its first sample."""
    low, high = result["interval"].T
    half = (high - low) / 2
    model = "" if result["model"] is None else figures(result["model"])
    cells = [
        *place_of(result),
        result["codes"],
        figures(result["measured"]),
        figures(result["predicted"]),
        figures(half),
        model,
    ]
    return "| " + " | ".join(cells) + " |"


def place_of(result):
    """Set (words, which may wrap), rows and sampled rows."""
    name = result["set"].replace("_", " ")
    return name, f"{result['n']:,}", f"{result['sampled']:,}"


def mean_and_largest(errors):
    return f"{errors.mean():.4f} ({errors.max():.3f})"


def summary(cells, results):
    """Errors and coverages over codes, oversamplings and samples of one set."""
    truth, predicted, plain = (
        np.array([r[key] for r in results])
        for key in ("measured", "predicted", "sample")
    )
    low, high = np.moveaxis(np.array([r["interval"] for r in results]), -1, 0)
    _, covered, _ = figures_of(results)
    pairs = [
        (found.oversampling, need)
        for r in results
        for found, need in zip(r["found"], r["needed"], strict=True)
        if np.isfinite(need)
    ]
    enough = np.mean([found >= need for found, need in pairs]) if pairs else np.nan
    ratios = [found / need for found, need in pairs if np.isfinite(found)]
    ratio = np.median(ratios) if ratios else np.nan
    model = ""
    if results[0]["model"] is not None:
        model = mean_and_largest(np.abs([r["model"] for r in results] - truth))
    cells = [
        *cells,
        f"{np.abs(plain - truth).mean():.4f}",
        mean_and_largest(np.abs(predicted - truth)),
        f"{covered.mean():.3f}",
        f"{(high - low).mean() / 2:.3f}",
        f"{enough:.2f} ({ratio:.2f})",
        f"{np.mean([r['pass'] for r in results]):.2f}",
        model,
    ]
    return "| " + " | ".join(cells) + " |"


def parse(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--generated", action="store_true")
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, nargs="+", default=[5000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--no-model", dest="model", action="store_false")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args(words)


def sets(arguments):
    """Name, base and queries of what was asked for."""
    if not arguments.sets and not arguments.generated:
        shipped = load_wordnet_minilm()
        yield "shipped", unit(shipped.data), unit(shipped.queries)
    for path in arguments.sets:
        yield load(path, arguments.seed)
    if arguments.generated:
        yield from generated(arguments.largest, arguments.seed)


def summaries(results):
    """Lines on errors and coverages, by set and over all."""
    groups = {}
    for result in results:
        groups.setdefault(place_of(result), []).append(result)
    return [
        "Mean absolute errors (the largest in brackets) over codes, queries, "
        "oversamplings and samples of rows. Unchanged: recall@10 inside the "
        "sample, taken for that of all rows. Half: half the width of the 90 % "
        "interval. Enough: share of the targets 0.8, 0.9, 0.95 that the oversampling "
        "of `oversampling_for` reaches, and its median ratio to the smallest that "
        "does. Normal: share of coordinates that pass Anderson-Darling on 2,000 rows; "
        "below 0.5 form a, from the moments alone, is not to be trusted.",
        "",
        "| set | rows | sampled | unchanged | form b | covered | half | enough "
        "| normal | form a |",
        "|---" * 10 + "|",
        *(summary(cells, group) for cells, group in groups.items()),
        summary(("all", "", ""), results),
    ]


def figures_of(results):
    """Errors from samples, whether intervals cover, errors from moments if normal."""
    truth, predicted = (
        np.array([r[key] for r in results]) for key in ("measured", "predicted")
    )
    low, high = np.moveaxis(np.array([r["interval"] for r in results]), -1, 0)
    covered = (low - 1e-9 <= truth) & (truth <= high + 1e-9)
    model = [
        np.abs(r["model"] - r["measured"])
        for r in results
        if r["model"] is not None and r["pass"] >= 0.5
    ]
    return np.abs(predicted - truth), covered, np.array(model)


def details(results):
    """Lines of a table, one for each set and code: its first sample."""
    first = {(*place_of(r), r["codes"]): r for r in reversed(results)}
    places = list(dict.fromkeys(place_of(r) for r in results))
    return [
        "Oversampling 1, 2, 5, 10. Half: half the width of the 90 % interval. Form a: "
        "from the moments alone.",
        "",
        "| set | rows | sampled | codes, query | measured | predicted (form b) | half "
        "| form a |",
        "|---" * 8 + "|",
        *map(
            detail,
            sorted(reversed(first.values()), key=lambda r: places.index(place_of(r))),
        ),
    ]


def main():
    arguments = parse()
    results = []
    for name, base, queries in sets(arguments):
        results += compare(name, base, queries, arguments)
        print(f"{name} done", flush=True)
    lines = ["# Recall@10 of code search: predicted from a sample, and measured", ""]
    lines += describe_run([path.stem for path in arguments.sets], arguments.seed)
    lines += ["", *details(results), "", *summaries(results)]
    print(*lines, sep="\n")
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
