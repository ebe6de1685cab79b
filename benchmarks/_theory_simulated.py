"""Closed forms of fidelity against simulated normal vectors."""

import numpy as np
from _theory_parts import Part, bound, table
from scipy.stats import spearmanr

from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq.datasets import make_gaussian
from skbq.theory import effective_dimension, pairwise_fidelity, predict_fidelity

SEED = 0
PAPER = TwoBitQuantizer(threshold="zero", levels=(1, 2))
# Quantizer, query, comparison of codes; the bound on the Pearson difference, and the
# smallest dimension that it is asked of.
STRATEGIES = {
    "1 bit": (BinaryQuantizer(), "codes", "auto", 0.005, 16),
    "1 bit, asymmetric": (BinaryQuantizer(), "vectors", "auto", 0.005, 16),
    "1 bit, at 0": (BinaryQuantizer("zero"), "codes", "auto", 0.005, 16),
    "2 bits per coordinate": (
        TwoBitQuantizer(magnitude="coordinate"),
        "codes",
        "auto",
        0.005,
        16,
    ),
    "2 bits per row": (TwoBitQuantizer(), "codes", "auto", 0.012, 64),
    "2 bits per row, asymmetric": (TwoBitQuantizer(), "vectors", "auto", 0.012, 64),
    "2 bits per row, at 0": (TwoBitQuantizer("zero"), "codes", "auto", 0.012, 64),
    "penalty per row": (TwoBitQuantizer(levels=(1, 2)), "codes", "penalty", 0.01, 16),
}
ROWS = {16: 30_000, 64: 30_000, 256: 20_000, 768: 20_000, 3072: 8_000}
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


def fidelity(quantizer, X, code_metric="auto", query="codes"):
    """Measured Spearman fidelity of inner products on a part of the rows."""
    X = X[:N_PAIR_ROWS]
    levels = levels_of(quantizer, X)
    left, right = halves(X)
    true = (left @ right.T).ravel()
    return spearmanr(true, scores(levels, X, query, code_metric)).statistic


def measured_pearson(levels, X, query, code_metric):
    if code_metric != "penalty":
        return pairwise_fidelity(levels, X, query=query)
    left, right = halves(X[: 2 * N_PAIR_ROWS])
    score = scores(levels[: 2 * N_PAIR_ROWS], X, query, code_metric)
    return np.corrcoef(score, (left @ right.T).ravel())[0, 1]


def simulate(d, spectrum, heterogeneity, mean):
    """Predicted less measured fidelity of every strategy.

    Pearson; Spearman as predicted; Spearman by Kruskal's formula; (3, n_strategies).
    """
    model = make_gaussian(
        ROWS[d],
        d,
        spectrum=spectrum,
        heterogeneity=heterogeneity,
        mean=mean,
        return_model=True,
        random_state=SEED,
    )
    X, differences = model.data, []
    for quantizer, query, code_metric, *_ in STRATEGIES.values():
        pearson = measured_pearson(levels_of(quantizer, X), X, query, code_metric)
        spearman = fidelity(quantizer, X, code_metric, query)
        predicted = predict_fidelity(
            quantizer,
            model.mean,
            model.covariance,
            query=query,
            code_metric=code_metric,
        )
        differences.append(
            [
                predicted.pearson - pearson,
                predicted.spearman - spearman,
                predicted.spearman_normal - spearman,
            ]
        )
    return effective_dimension(model.covariance), np.transpose(differences)


def laws(dimensions):
    """Yield dimension, exponent of the spectrum, CV of scales and mean over scale."""
    for d in dimensions:
        for spectrum in (0.0, 0.5, 1.0):
            for heterogeneity, mean in ((None, 0.0), (0.4, 0.0), (0.4, 0.5)):
                if d < 1000 or (spectrum == 0.5 and mean):  # one large law is enough
                    yield d, spectrum, heterogeneity, mean


def simulation_part(dimensions):
    rows, worst = [], {d: np.zeros((3, len(STRATEGIES))) for d in dimensions}
    for d, spectrum, heterogeneity, mean in laws(dimensions):
        d_eff, differences = simulate(d, spectrum, heterogeneity, mean)
        worst[d] = np.maximum(worst[d], np.abs(differences))
        rows.append(
            [d, spectrum, heterogeneity or "as it is", mean, f"{d_eff:.0f}"]
            + [f"{x:+.4f}" for x in differences[0]]
        )
    head = ["d", "spectrum exponent", "CV of scales", "mean / scale", "d_eff"]
    counts = ", ".join(f"{ROWS[d]:,} of d = {d}" for d in dimensions) + "."
    lines = ["Predicted less measured Pearson correlation. Rows drawn: " + counts, ""]
    lines += table([*head, *STRATEGIES], rows)
    titles = (
        "Largest absolute difference, Pearson:",
        f"Spearman, {N_PAIR_ROWS:,} rows:",
        "Spearman if similarities were normal (Kruskal's formula):",
    )
    for i, title in enumerate(titles):
        summary = [[d, *(f"{x:.4f}" for x in worst[d][i])] for d in dimensions]
        lines += [title, "", *table(["d", *STRATEGIES], summary)]
    bounds = []
    for j, (name, (*_, limit, smallest)) in enumerate(STRATEGIES.items()):
        found = max(worst[d][0, j] for d in dimensions if d >= smallest)
        what = f"Simulation, {name}, d from {smallest} to {max(dimensions):,}"
        bounds.append(bound(f"{what}: largest difference", found, limit))
    return Part("Closed forms less simulation", lines, bounds)
