"""Compare predicted fidelity with simulation, with published values and with data.

    python benchmarks/theory.py [SET.npz | SET.npy ...] [--quick] [--out TABLE.md]

For every file named (an .npz with arrays ``base`` and ``queries``, or an .npy; without
any, the shipped embeddings): predicted and measured fidelity of all strategies side by
side, which predictions are flagged, and recall. Then closed forms against simulated
normal vectors over dimensions, spectra, scales and means; and the rows of arXiv
2605.17524 that can be generated. ``--out`` also writes what the plots of the
documentation are drawn from, as .json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import recall as recall_benchmark
from _sets import describe_run
from _theory_sets import compare_set, rows_of, unit, verdicts
from scipy.stats import spearmanr

from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq.datasets import (
    load_wordnet_minilm,
    make_gaussian,
    make_low_rank_clusters,
    make_sphere,
)
from skbq.theory import (
    effective_dimension,
    fit_projected_normal,
    fit_scaling_law,
    magnitude_bit_gain,
    pairwise_fidelity,
    predict_fidelity,
    scale_correlation,
    sign_entropy,
)

SEED = 0
PAPER = TwoBitQuantizer(threshold="zero", levels=(1, 2))
STRATEGIES = {
    "1 bit": (BinaryQuantizer(), "codes", "auto"),
    "1 bit, float query": (BinaryQuantizer(), "vectors", "auto"),
    "1 bit, at 0": (BinaryQuantizer("zero"), "codes", "auto"),
    "2 bits per coordinate": (TwoBitQuantizer(magnitude="coordinate"), "codes", "auto"),
    "2 bits per row": (TwoBitQuantizer(), "codes", "auto"),
    "2 bits per row, float query": (TwoBitQuantizer(), "vectors", "auto"),
    "2 bits per row, at 0": (TwoBitQuantizer("zero"), "codes", "auto"),
    "penalty per row": (TwoBitQuantizer(levels=(1, 2)), "codes", "penalty"),
}
ROWS = {16: 30_000, 64: 30_000, 256: 20_000, 768: 40_000, 3072: 6_000}
N_PAIR_ROWS = 3_000  # Spearman and penalty: pairs of half of these with the others


def levels_of(quantizer, X):
    return quantizer.fit(X).transform(X).unpack().astype(np.float64)


def halves(X):
    return X[: len(X) // 2], X[len(X) // 2 :]


def scores(levels, vectors, query, code_metric):
    """Similarities of pairs of codes, or of vectors with codes, flat."""
    left, right = halves(levels)
    if query == "vectors":
        left = halves(vectors)[0]
    score = left @ right.T
    if code_metric == "penalty":
        score -= np.abs(left) @ np.abs(right).T
    return score.ravel()


def measured_pearson(levels, X, query, code_metric):
    if code_metric != "penalty":
        return pairwise_fidelity(levels, X, query=query)
    left, right = halves(X[: 2 * N_PAIR_ROWS])
    score = scores(levels[: 2 * N_PAIR_ROWS], X, query, code_metric)
    return np.corrcoef(score, (left @ right.T).ravel())[0, 1]


def simulate(d, spectrum, heterogeneity, mean):
    """Predicted less measured Pearson fidelity of every strategy."""
    model = make_gaussian(
        ROWS[d],
        d,
        spectrum=spectrum,
        heterogeneity=heterogeneity,
        mean=mean,
        return_model=True,
        random_state=SEED,
    )
    differences = []
    for quantizer, query, code_metric in STRATEGIES.values():
        levels = levels_of(quantizer, model.data)
        measured = measured_pearson(levels, model.data, query, code_metric)
        predicted = predict_fidelity(
            quantizer,
            model.mean,
            model.covariance,
            query=query,
            code_metric=code_metric,
        )
        differences.append(predicted.pearson - measured)
    ratio = effective_dimension(model.covariance)
    return ratio, differences


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def simulation_table(dimensions):
    rows, worst = [], np.zeros((len(dimensions), len(STRATEGIES)))
    for i, d in enumerate(dimensions):
        for spectrum in (0.0, 0.5, 1.0):
            for heterogeneity, mean in ((None, 0.0), (0.4, 0.0), (0.4, 0.5)):
                if d > 1000 and not (spectrum == 0.5 and mean):  # one is enough
                    continue
                d_eff, differences = simulate(d, spectrum, heterogeneity, mean)
                worst[i] = np.maximum(worst[i], np.abs(differences))
                rows.append(
                    [d, spectrum, heterogeneity or "as it is", mean, f"{d_eff:.0f}"]
                    + [f"{x:+.4f}" for x in differences]
                )
    head = ["d", "spectrum exponent", "CV of scales", "mean / scale", "d_eff"]
    lines = table([*head, *STRATEGIES], rows)
    lines += ["Largest absolute difference:", ""]
    summary = [
        [d, *(f"{x:.4f}" for x in row)]
        for d, row in zip(dimensions, worst, strict=True)
    ]
    return lines + table(["d", *STRATEGIES], summary)


def fidelity(quantizer, X, code_metric="auto"):
    """Measured Spearman fidelity of cosines on a part of the rows."""
    X = X[:N_PAIR_ROWS]
    levels = levels_of(quantizer, X)
    left, right = halves(X)
    true = (left @ right.T).ravel()
    return spearmanr(true, scores(levels, X, "codes", code_metric)).statistic


def recall(quantizer, X, drop_self, n_queries=500, k=10):
    """recall@10 of codes; queries are rows of the base."""
    levels = levels_of(quantizer, X).astype(np.float32)
    X = X.astype(np.float32)
    queries = np.random.default_rng(SEED).choice(len(X), n_queries, replace=False)
    shares = []
    for q in queries:
        true, score = X @ X[q], levels @ levels[q]
        if drop_self:
            true[q] = score[q] = -np.inf
        nearest = np.argpartition(-true, k)[:k]
        # Ties among scores by the lower row index.
        found = np.lexsort((np.arange(len(X)), -score))[:k]
        shares.append(len(np.intersect1d(nearest, found)) / k)
    return np.mean(shares)


def published_table(n_search):
    """Rows of the paper's tables that can be generated."""
    rows = []
    sphere = make_sphere(6000, 768, random_state=SEED)
    clusters = make_low_rank_clusters(n_search, 768, random_state=SEED)
    cells = (("1 bit", BinaryQuantizer("zero"), "auto"), ("dot", PAPER, "dot"))
    cells += (("penalty", PAPER, "penalty"),)
    published = {
        "Sphere": (0.619, 0.823, 0.790),
        "Synthetic-LR": (0.929, 0.977, 0.972),
    }
    for (name, values), X in zip(published.items(), (sphere, clusters), strict=True):
        # The sphere's moments are known; 6,000 rows in 768 dimensions would say that
        # its directions are less alike than they are.
        moments = (np.zeros(768), np.eye(768) / 768)
        if name != "Sphere":
            moments = X.mean(axis=0), np.cov(X.T)
        fit = fit_projected_normal(*moments)
        for (score, quantizer, code_metric), value in zip(cells, values, strict=True):
            predicted = predict_fidelity(
                quantizer,
                fit.mean,
                fit.covariance,
                metric="cosine",
                code_metric=code_metric,
                sample=X[-800:],
            )
            measured = fidelity(quantizer, X, code_metric)
            rows.append(
                [
                    f"{name}: F, {score}",
                    value,
                    f"{measured:.3f}",
                    f"{predicted.spearman:.3f}",
                ]
            )
    scale = clusters.std(axis=0)
    share = (clusters > 0).mean(axis=0)
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    rows.append(
        ["Synthetic-LR: CV of scales", 0.071, f"{scale.std() / scale.mean():.3f}", ""]
    )
    predicted = sign_entropy(clusters.mean(axis=0), scale)
    rows.append(
        [
            "Synthetic-LR: sign entropy",
            0.981,
            f"{entropy.mean():.3f}",
            f"{predicted:.3f}",
        ]
    )
    for drop, values in ((False, (0.448, 0.652)), (True, (0.392, 0.614))):
        for (score, quantizer, _), value in zip(cells[:2], values, strict=True):
            label = "without" if drop else "with"
            found = recall(quantizer, clusters, drop)
            rows.append(
                [
                    f"Synthetic-LR: recall@10, {score}, {label} the row itself",
                    value,
                    f"{found:.3f}",
                    "",
                ]
            )
    gain = magnitude_bit_gain(0.0)
    rows.append(["Proposition 5: Delta_0", 0.1159, "", f"{gain.isotropic_gain:.4f}"])
    rows.append(["Proposition 5: K", 0.0877, "", f"{gain.curvature:.4f}"])
    rows.append(["Proposition 5: rho_2, isotropic", 0.9138, "", f"{gain.two_bits:.4f}"])
    return table(["quantity", "published", "measured", "predicted"], rows)


def intervention_table():
    """Scale the axes towards their mean scale and away: the second bit's gain."""
    rows = []
    base = make_gaussian(
        6000, 256, spectrum=0.5, heterogeneity=0.2, mean=0.2, random_state=SEED
    )
    scale = base.std(axis=0)
    for exponent in (2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0):
        X = unit(base * (scale / scale.mean()) ** (exponent - 1.0))
        fit = fit_projected_normal(X.mean(axis=0), np.cov(X.T))
        now = X.std(axis=0)
        cells = []
        for quantizer, code_metric in (
            (BinaryQuantizer("zero"), "auto"),
            (PAPER, "penalty"),
        ):
            predicted = predict_fidelity(
                quantizer,
                fit.mean,
                fit.covariance,
                metric="cosine",
                code_metric=code_metric,
            )
            cells.append((fidelity(quantizer, X, code_metric), predicted.spearman))
        (one, one_p), (two, two_p) = cells
        rows.append(
            [
                f"{now.std() / now.mean():.3f}",
                f"{one:.3f}",
                f"{two - one:.3f}",
                f"{two_p - one_p:.3f}",
            ]
        )
    head = ["CV of scales", "F, 1 bit", "gain of the 2nd bit (penalty)", "predicted"]
    return table(head, rows), [[float(x) for x in row] for row in rows]


def stress_law(d, linked, rho, rng):
    """Lognormal scales; the largest share one correlation above a background."""
    scale = np.sort(np.exp(0.3 * rng.standard_normal(d)))[::-1]
    correlations = np.full((d, d), 0.05)
    correlations[:linked, :linked] = rho
    np.fill_diagonal(correlations, 1.0)
    return correlations * np.outer(scale, scale)


def stress_table(d=384):
    """S0: scales linked with correlations; scaling law and closed form against it."""
    rng = np.random.default_rng(SEED)
    calm = [stress_law(d, 0, 0.0, rng)]
    laws = [
        (linked, rho, stress_law(d, linked, rho, rng))
        for linked in (32, 128)
        for rho in (0.1, 0.3, 0.6, 0.9)
    ]
    for background in (0.02, 0.035, 0.065, 0.08):
        law = stress_law(d, 0, 0.0, rng)
        diagonal = law.diagonal().copy()
        law *= background / 0.05
        np.fill_diagonal(law, diagonal)
        calm.append(law)
    quantizer = BinaryQuantizer("zero")

    def quantities(law):
        off = law - np.diag(law.diagonal())
        ratio = np.linalg.norm(off) / np.linalg.norm(law.diagonal())
        normal = np.random.default_rng(SEED).standard_normal((N_PAIR_ROWS, d))
        X = unit(normal @ np.linalg.cholesky(law).T)
        predicted = predict_fidelity(
            quantizer, np.zeros(d), law, metric="cosine", sample=X[:800]
        )
        return ratio, fidelity(quantizer, X), predicted.spearman

    points = np.array([quantities(law) for law in calm])
    zero = np.zeros(len(calm))
    fit = fit_scaling_law(points[:, 0], zero, zero, points[:, 1])
    rows = []
    for linked, rho, law in laws:
        ratio, measured, predicted = quantities(law)
        rho_law = fit.rho_0 + fit.strength * ratio**2
        alarm = (
            "above 1" if rho_law > 1 else f"{6 / np.pi * np.arcsin(rho_law / 2):.3f}"
        )
        rows.append(
            [
                linked,
                rho,
                f"{scale_correlation(law):.2f}",
                f"{measured:.3f}",
                alarm,
                f"{predicted:.3f}",
            ]
        )
    head = ["linked axes", "correlation", "S0", "measured F", "scaling law"]
    return [
        f"Scaling law fitted on {len(calm)} laws without such a link: rho_0 "
        f"{fit.rho_0:.3f}, strength {fit.strength:.4f}, leave-one-out error "
        f"{fit.mean_absolute_error:.3f}.",
        "",
        *table([*head, "closed form"], rows),
    ]


def marked(name, lines):
    """Lines between marks, which the documentation finds them by."""
    return [f"<!-- {name} -->", "", *lines, "", f"<!-- end of {name} -->", ""]


def rows_in(path):
    arrays = np.load(path)
    return arrays["base"] if path.suffix == ".npz" else arrays


def sets_tables(named):
    """Lines on every set, and the records behind them."""
    descriptions, compared = [], []
    for name, X in named:
        description, rows = compare_set(name, X)
        descriptions.append(description)
        compared += rows
    cells = [
        [f"{v:.3g}" if isinstance(v, float) else v for v in one.values()]
        for one in descriptions
    ]
    head = ["set", "strategy", "measured F (95 % interval)", "predicted F"]
    head += ["difference", "valid"]
    lines = marked("verdicts", [*verdicts(compared), ""])
    lines += table(list(descriptions[0]), cells)
    return [*lines, *table(head, rows_of(compared))], descriptions, compared


def recall_lines(paths):
    """Predicted and measured recall@10, by the benchmark that has it in detail."""
    arguments = recall_benchmark.parse([str(path) for path in paths])
    results = [
        result
        for name, base, queries in recall_benchmark.sets(arguments)
        for result in recall_benchmark.compare(name, base, queries, arguments)
    ]
    return marked("recall", recall_benchmark.summaries(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="d up to 256 only")
    parser.add_argument("--no-recall", dest="recall", action="store_false")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    started = time.perf_counter()
    named = [(path.stem, rows_in(path)) for path in arguments.sets]
    named = named or [("shipped", load_wordnet_minilm().data)]
    on_sets, descriptions, compared = sets_tables(named)
    recall_part = recall_lines(arguments.sets) if arguments.recall else []
    print(f"sets done after {time.perf_counter() - started:.0f} s", flush=True)
    dimensions = [d for d in ROWS if d <= 256 or not arguments.quick]
    simulated = simulation_table(dimensions)
    print(f"simulation done after {time.perf_counter() - started:.0f} s", flush=True)
    lines = ["# Predicted against measured fidelity", ""]
    lines += describe_run([name for name, _ in named], SEED)
    lines += ["", "## Sets: predicted and measured (Spearman, cosine)", "", *on_sets]
    if recall_part:
        lines += ["## Sets: recall@10, predicted from a sample", "", *recall_part, ""]
    lines += ["## Closed forms less simulation (Pearson)", "", *simulated]
    lines += ["## Published values, generated anew", ""]
    lines += published_table(10_000 if arguments.quick else 50_000)
    intervention, steps = intervention_table()
    lines += ["## The second bit as scales are made equal or unequal", ""]
    lines += intervention
    lines += ["## Scales linked with correlations", "", *stress_table()]
    lines += [f"Made in {time.perf_counter() - started:.0f} s."]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
        records = {"sets": descriptions, "fidelity": compared, "flattening": steps}
        arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1))


if __name__ == "__main__":
    main()
