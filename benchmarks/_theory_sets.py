"""Predicted and measured fidelity of every strategy on sets of embeddings."""

import time

import numpy as np
from _theory_parts import bound
from scipy.stats import kurtosis
from sklearn.frozen import FrozenEstimator

from skbq import BinaryNeighbors, HeterogeneityProfiler
from skbq._profiling.fidelity_table import predicted_strategies
from skbq.metrics._intervals import fidelity_estimate

SEED = 0
N_ROWS = 1_500  # against as many queries


def unit(X):
    X = np.asarray(X, dtype=np.float32)
    X = X[X.any(axis=1)]
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def score_of(strategy, X, queries, rows):
    """Return what a search that learned from X ranks by, (n_queries, n_rows)."""
    quantizer = strategy.make_quantizer().fit(X)
    index = BinaryNeighbors(
        len(rows),
        quantizer=FrozenEstimator(quantizer),
        query=strategy.query,
        code_metric=strategy.code_metric,
    )
    distances, order = index.fit(rows).kneighbors(queries)
    score = np.empty_like(distances, dtype=np.float64)
    np.put_along_axis(score, order, -distances, axis=1)
    return score


def describe(name, X, profiler, similarity):
    """Return what the theory looks at, of one set."""
    mean = profiler.mean_
    energy = mean @ mean / (mean @ mean + np.trace(profiler.covariance_))
    return {
        "set": name,
        "rows": len(X),
        "d": X.shape[1],
        "effective dimension": profiler.effective_dimension_,
        "heterogeneity": profiler.heterogeneity_,
        "sign entropy": profiler.sign_entropy_,
        "mean energy": energy,
        "S0": profiler.scale_correlation_,
        "normal": profiler.gaussian_pass_rate_,
        "kurtosis": kurtosis(similarity, axis=None) + 3,
    }


def compare_set(name, X):
    """Return a description of the set, and a dict for each strategy."""
    X = unit(X)
    profiler = HeterogeneityProfiler(random_state=SEED).fit(X)
    started = time.perf_counter()
    table = profiler.predict_fidelity()
    seconds = time.perf_counter() - started
    order = np.random.default_rng(SEED).permutation(len(X))
    half = min(N_ROWS, len(X) // 2)
    queries, rows = X[order[:half]], X[order[half : 2 * half]]
    similarity = queries.astype(np.float64) @ rows.T
    compared = []
    for i, strategy in enumerate(predicted_strategies()):
        score = score_of(strategy, X, queries, rows)
        measured = fidelity_estimate(similarity, score)
        compared.append(
            {name: table[name][i].item() for name in NUMBERS}
            | {name: table[name][i] for name in WORDS}
            | {"set": name, "measured": measured.value}
            | {"low": measured.low, "high": measured.high}
        )
    print(f"{name}: predicted in {seconds:.0f} s", flush=True)
    return describe(name, X, profiler, similarity), compared


NUMBERS = ("predicted_fidelity", "sampled_fidelity", "valid", "rotate", "bits")
WORDS = ("strategy", "threshold", "query", "code_metric", "reason")


def rows_of(compared):
    """Lines of a table, one for each set and strategy."""
    for one in compared:
        difference = one["predicted_fidelity"] - one["measured"]
        yield [
            one["set"],
            one["strategy"],
            f"{one['measured']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            f"{one['predicted_fidelity']:.3f}",
            f"{difference:+.3f}",
            "yes" if one["valid"] else f"no: {one['reason']}",
        ]


def errors(compared, **wanted):
    """Absolute differences of strategies with these settings."""
    return np.array(
        [
            abs(one["predicted_fidelity"] - one["measured"])
            for one in compared
            if all(one[name] == value for name, value in wanted.items())
        ]
    )


def verdicts(compared):
    """Lines that say how far the predictions hold."""
    centered = errors(compared, valid=True, threshold="mean")
    valid, flagged = (errors(compared, valid=v) for v in (True, False))
    everything = errors(compared)
    lines = [
        f"- {len(valid)} of {len(everything)} predictions are flagged valid.",
        f"- Centered and valid: mean absolute difference {centered.mean():.4f}.",
        f"- Valid: mean absolute difference {valid.mean():.4f}, largest "
        f"{valid.max():.4f}; {np.count_nonzero(valid > 0.03)} above 0.03.",
    ]
    if len(flagged):
        lines.append(
            f"- Flagged: largest difference {flagged.max():.3f}; "
            f"{np.count_nonzero(flagged <= 0.03)} of {len(flagged)} were within 0.03 "
            "after all."
        )
    for name in dict.fromkeys(one["set"] for one in compared):
        raw = errors(compared, set=name, threshold="zero")
        lines.append(f"- {name}, not centered: largest difference {raw.max():.3f}.")
    return lines


def bounds_of(descriptions, compared):
    """List what must hold of the predictions."""
    valid = errors(compared, valid=True)
    centered = errors(compared, valid=True, threshold="mean")
    bounds = [
        bound("Sets: valid and centered, mean difference of F", centered.mean(), 0.015),
        bound("Sets: valid, largest difference of F", valid.max(), 0.03),
    ]
    for one in descriptions:
        # Elsewhere normal laws are not the ones to ask, and are flagged.
        if one["normal"] > 0.5:
            raw = errors(compared, set=one["set"], threshold="zero").max()
            what = f"{one['set']} looks normal, not centered: largest difference of F"
            bounds.append(bound(what, raw, 0.03))
    return bounds
