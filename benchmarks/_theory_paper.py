"""The rows of arXiv 2605.17524 that can be generated, and its laws."""

import numpy as np
from _theory_parts import Part, bound, marked, table
from _theory_sets import unit
from _theory_simulated import N_PAIR_ROWS, PAPER, SEED, fidelity, levels_of

from skbq import BinaryQuantizer
from skbq.datasets import make_gaussian, make_low_rank_clusters, make_sphere
from skbq.theory import (
    fit_projected_normal,
    fit_scaling_law,
    magnitude_bit_gain,
    predict_fidelity,
    scale_correlation,
    sign_entropy,
)


def self_recall(quantizer, X, drop_self, n_queries=500, k=10):
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


def published_part(n_search):
    """Rows of the paper's tables that can be generated."""
    rows, off, missed, lost = [], [], [], []
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
            off.append(abs(measured - value))
            missed.append(abs(predicted.spearman - measured))
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
            found = self_recall(quantizer, clusters, drop)
            lost.append(abs(found - value))
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
    constants = [gain.isotropic_gain, gain.curvature, gain.two_bits]
    apart = np.abs(np.subtract(constants, [0.1159, 0.0877, 0.9138])).max()
    bounds = [
        bound("Published F, generated anew: largest difference", max(off), 0.005),
        bound("Its predictions: largest difference from measured", max(missed), 0.005),
        bound("Constants of Proposition 5: largest difference", apart, 5e-5),
    ]
    if n_search == 50_000:
        bounds.append(bound("Published recall: largest difference", max(lost), 0.015))
    head = ["quantity", "published", "measured", "predicted"]
    return Part("Published values, generated anew", table(head, rows), bounds)


def flattening_part():
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
    records = {"flattening": [[float(x) for x in row] for row in rows]}
    apart = max(abs(gain - guess) for *_, gain, guess in records["flattening"])
    bounds = [bound("Gain of the second bit: largest difference", apart, 0.01)]
    title = "The second bit as scales are made equal or unequal"
    return Part(title, table(head, rows), bounds, records)


def stress_law(d, linked, rho, rng):
    """Lognormal scales; the largest share one correlation above a background."""
    scale = np.sort(np.exp(0.3 * rng.standard_normal(d)))[::-1]
    correlations = np.full((d, d), 0.05)
    correlations[:linked, :linked] = rho
    np.fill_diagonal(correlations, 1.0)
    return correlations * np.outer(scale, scale)


def linked_part(d=384):
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
        predicted = predict_fidelity(quantizer, np.zeros(d), law, metric="cosine")
        measured = fidelity(quantizer, X)
        return ratio, measured, predicted.spearman, predicted.spearman_normal

    points = np.array([quantities(law) for law in calm])
    zero = np.zeros(len(calm))
    fit = fit_scaling_law(points[:, 0], zero, zero, points[:, 1])
    rows, apart = [], []
    for linked, rho, law in laws:
        ratio, measured, predicted, kruskal = quantities(law)
        apart.append(abs(predicted - measured))
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
                f"{kruskal:.3f}",
                f"{predicted:.3f}",
            ]
        )
    head = ["linked axes", "correlation", "S0", "measured F", "scaling law"]
    head += ["closed form, Kruskal", "closed form, pairs of the law"]
    lines = [
        f"Scaling law fitted on {len(calm)} laws without such a link: rho_0 "
        f"{fit.rho_0:.3f}, strength {fit.strength:.4f}, leave-one-out error "
        f"{fit.mean_absolute_error:.3f}.",
        "",
        *table(head, rows),
    ]
    bounds = [bound("Linked scales: largest difference of F", max(apart), 0.015)]
    return Part("Scales linked with correlations", marked("linked", lines), bounds)
