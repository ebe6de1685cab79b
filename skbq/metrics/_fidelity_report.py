"""Measured fidelity of an index beside the predicted one, and a verdict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from ..theory import RowLaw

# A prediction that is off by less counts as holding, however narrow the interval.
_TOLERANCE = 0.03
_CONFIDENCE = 0.95
_N_BOOTSTRAP = 500
# Lengths that vary less, as a share of their mean, are taken for one length.
_ONE_LENGTH = 0.01
# Rows for the shape of the law of similarities.
_SAMPLE_ROWS = 2000


@dataclass(frozen=True)
class FidelityReport:
    """Fidelity of a fitted index, measured and predicted.

    ``str(report)`` is the verdict in words.

    Attributes
    ----------
    measured : float
        Spearman correlation of code score and true similarity over the pairs drawn.
    low, high : float
        Its 95 % bootstrap interval, rows and queries drawn anew.
    predicted : float
        Fidelity under the normal law of the rows' moments; NaN without a prediction.
    reason : str
        Why there is no prediction; else "".
    """

    measured: float
    low: float
    high: float
    predicted: float
    reason: str = ""

    @property
    def difference(self) -> float:
        """Predicted less measured fidelity."""
        return self.predicted - self.measured

    @property
    def holds(self) -> bool:
        """Whether the prediction is in the interval, or off by 0.03 at most."""
        inside = self.low <= self.predicted <= self.high
        return bool(inside or abs(self.difference) <= _TOLERANCE)

    def __str__(self) -> str:
        measured = (
            f"Measured fidelity {self.measured:.3f} [{self.low:.3f}, {self.high:.3f}]; "
        )
        if self.reason:
            return f"{measured}no prediction: {self.reason}."
        both = f"{measured}predicted {self.predicted:.3f} ({self.difference:+.3f}). "
        if self.low <= self.predicted <= self.high:
            return f"{both}The prediction holds: it lies within the interval."
        if self.holds:
            return f"{both}The prediction holds within {_TOLERANCE}."
        return (
            f"{both}The prediction does not hold: these rows are not as a normal law "
            "of their mean and covariance would have them. Believe the measurement."
        )


def bootstrap_interval(
    similarity: np.ndarray, score: np.ndarray, random_state: Any
) -> tuple[float, float]:
    """Return the interval of Spearman's correlation, rows and queries drawn anew.

    Parameters
    ----------
    similarity, score : ndarray of shape (n_queries, n_rows)

    Notes
    -----
    Pairs share rows, so that rows and queries are resampled, not pairs. Ranks stay
    those among all pairs: redrawing n rows moves them by O(1 / n) only.
    """
    return interval_of_ranks(
        centred_ranks(similarity), centred_ranks(score), random_state
    )


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks less their mean, in the shape of the values."""
    ranks = rankdata(values).reshape(values.shape)
    return ranks - ranks.mean()


def interval_of_ranks(
    a: np.ndarray, b: np.ndarray, random_state: Any
) -> tuple[float, float]:
    """Return :func:`bootstrap_interval` for the centred ranks of both."""
    rng = check_random_state(random_state)
    weights = []
    for n in a.shape:
        drawn = rng.randint(n, size=(_N_BOOTSTRAP, n))
        counts = np.zeros((_N_BOOTSTRAP, n))
        np.add.at(counts, (np.arange(_N_BOOTSTRAP)[:, None], drawn), 1.0 / n)
        weights.append(counts)

    def mean(cells: np.ndarray) -> np.ndarray:
        return np.einsum("kq,kq->k", weights[0] @ cells, weights[1])

    mean_a, mean_b = mean(a), mean(b)
    product = (mean(a * a) - mean_a**2) * (mean(b * b) - mean_b**2)
    correlation = (mean(a * b) - mean_a * mean_b) / np.sqrt(product)
    tail = (1.0 - _CONFIDENCE) / 2
    low, high = np.quantile(correlation, [tail, 1.0 - tail])
    return float(low), float(high)


def predict_index(
    index: Any, quantizer: Any, vectors: np.ndarray, seen: np.ndarray, seed: Any
) -> tuple[float, str]:
    """Predict the fidelity of an index from the moments of rows.

    Parameters
    ----------
    index : BinaryNeighbors
        Its ``metric``, ``query`` and ``code_metric`` count.
    quantizer : object
        The last step before the codes.
    vectors : ndarray of shape (n, p), dtype float64
        Rows whose similarity is the true one; of unit length under "cosine".
    seen : ndarray of shape (n, d)
        The same rows as the quantizer sees them.
    seed : int, RandomState or None
        For the sample of rows.

    Returns
    -------
    predicted : float
        NaN if there is a reason not to predict.
    reason : str
    """
    if not hasattr(quantizer, "step_function"):
        return np.nan, f"{type(quantizer).__name__} has no step_function"
    metric = index.metric
    lengths = np.linalg.norm(vectors, axis=1)
    if metric == "euclidean":
        if lengths.std() > _ONE_LENGTH * lengths.mean():
            return np.nan, "euclidean distances of rows whose lengths differ"
        metric = "cosine"
    seen = np.asarray(seen, dtype=np.float64)
    if not _same_similarity(vectors, seen, metric):
        return np.nan, "a step before the quantizer changes the similarity of rows"
    some = check_random_state(seed).permutation(len(seen))[:_SAMPLE_ROWS]
    law = RowLaw.fit(
        seen.mean(axis=0),
        np.cov(seen.T, bias=True).reshape(seen.shape[1], -1),
        len(seen),
        sample=seen[some],
        metric=metric,
    )
    fidelity = law.predict(quantizer, query=index.query, code_metric=index.code_metric)
    return fidelity.predicted.spearman, ""


def _same_similarity(vectors: np.ndarray, seen: np.ndarray, metric: str) -> bool:
    """Whether the first rows are as similar as they were, but for rounding."""
    some = []
    for rows in (vectors[:100], seen[:100]):
        if metric == "cosine":
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            rows = rows / np.where(length > 0, length, 1.0)
        some.append(rows @ rows.T)
    true, now = some
    return bool(np.abs(true - now).max() <= 1e-3 * np.abs(true).max())
