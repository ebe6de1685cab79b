"""Measured fidelity of an index beside the predicted one, and a verdict."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.utils import check_random_state

from .._html.page import Fact, piece
from .._utils.estimate import Estimate
from .._utils.similarity import EQUAL_NORMS, similarities
from .._utils.typing import Metric, RandomState
from ..theory import RowModel

# A prediction that is off by less counts as holding, however narrow the interval.
_TOLERANCE = 0.03
# A step that keeps similarities, such as a rotation in float32, changes those of a
# hundred rows by less than this share of the largest.
_COMPARED_ROWS = 100
_ROUNDING = 1e-3
# Rows for the shape of the distribution of similarities.
_SAMPLE_ROWS = 2000


@dataclass(frozen=True)
class FidelityReport:
    """Fidelity of a fitted index, measured and predicted.

    ``str(report)`` is the verdict in words.

    Attributes
    ----------
    fidelity : Estimate
        Spearman correlation of code score and true similarity over the pairs drawn,
        with its 95% interval over other draws of rows and queries; its three numbers
        are also ``measured``, ``low`` and ``high``.
    predicted : float
        Fidelity of normal rows with the moments of these; NaN without a prediction.
    reason : str
        Why there is no prediction; else "".
    """

    fidelity: Estimate
    predicted: float
    reason: str = ""

    @property
    def measured(self) -> float:
        """Fidelity of the pairs drawn."""
        return self.fidelity.value

    @property
    def low(self) -> float:
        """Lower limit of the interval."""
        return self.fidelity.low

    @property
    def high(self) -> float:
        """Upper limit of the interval."""
        return self.fidelity.high

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
        measured = f"Measured fidelity {self.fidelity}; "
        if self.reason:
            return f"{measured}no prediction: {self.reason}."
        predicted = f"predicted {self.predicted:.3f} ({self.difference:+.3f})"
        return f"{measured}{predicted}. {self._verdict()}"

    def _verdict(self) -> str:
        if self.low <= self.predicted <= self.high:
            return "The prediction holds: it lies within the interval."
        if self.holds:
            return f"The prediction holds within {_TOLERANCE}."
        return (
            "The prediction does not hold: these rows do not behave like normal "
            "ones of their mean and covariance. Believe the measurement."
        )

    def _repr_html_(self) -> str:
        limits = f"{self.low:.3f} to {self.high:.3f} at {self.fidelity.confidence:.0%}"
        figures = [Fact("measured fidelity", f"{self.measured:.3f}", limits)]
        verdict = f"No prediction: {self.reason}."
        if not self.reason:
            verdict = self._verdict()
            figures += [
                Fact("predicted fidelity", f"{self.predicted:.3f}"),
                Fact("predicted less measured", f"{self.difference:+.3f}"),
            ]
        is_good = self.holds or bool(self.reason)
        return piece("result.html", verdict=verdict, is_good=is_good, figures=figures)


class CodeDistance(Protocol):
    """What an index compares codes by."""

    metric: Metric
    query: str
    code_metric: str


def predict_index(
    index: CodeDistance,
    quantizer: object,
    vectors: np.ndarray,
    seen: np.ndarray,
    seed: RandomState,
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
    norms = np.linalg.norm(vectors, axis=1)
    if metric == "euclidean":
        if norms.std() > EQUAL_NORMS * norms.mean():
            return np.nan, "euclidean distances of rows whose norms differ"
        metric = "cosine"
    if not _same_similarity(vectors, seen, metric):
        return np.nan, "a step before the quantizer changes the similarity of rows"
    some = check_random_state(seed).permutation(len(seen))[:_SAMPLE_ROWS]
    model = RowModel.fit(
        seen.mean(axis=0),
        np.cov(seen.T, bias=True).reshape(seen.shape[1], -1),
        len(seen),
        sample=seen[some],
        metric=metric,
    )
    fidelity = model.predict(
        quantizer, query=index.query, code_metric=index.code_metric
    )
    return fidelity.predicted.spearman, ""


def _same_similarity(vectors: np.ndarray, seen: np.ndarray, metric: str) -> bool:
    """Whether the first rows are as similar as they were, but for rounding."""
    first = (rows[:_COMPARED_ROWS] for rows in (vectors, seen))
    true, now = (similarities(rows, rows, metric) for rows in first)
    return bool(np.abs(true - now).max() <= _ROUNDING * np.abs(true).max())
