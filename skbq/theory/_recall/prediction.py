"""Predicted recall of code search, and the oversampling that a recall asks for.

:func:`predict_recall` is called by the advisor's curve of recall;
:func:`oversampling_for` by nothing of skbq. Equations are those of the theory chapter
of the documentation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from ..._utils.estimate import Estimate
from ..._utils.params import as_real_array, check_int, check_real
from .extrapolation import Extrapolation, Measurement

# Fewer rows have no depth at which recall could be measured and extrapolated.
_MIN_ROWS = 100
# One query has no variance.
_MIN_QUERIES = 2
# A fraction of a candidate that rounding leaves.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class RecallPrediction:
    """Predicted recall of code search, one value per oversampling.

    Attributes
    ----------
    recall : ndarray of shape (n_oversamplings,)
        Expected share of the true nearest neighbors among the candidates.
    interval : ndarray of shape (n_oversamplings, 2)
        Lower and upper limit at the ``confidence``.
    standard_error : ndarray of shape (n_oversamplings,)
        Of ``recall``: queries, rows and model together.
    oversampling : ndarray of shape (n_oversamplings,)
        Candidates per neighbor.
    n_neighbors, expected_rows : int
        The k and the number of rows that the prediction is for.
    depth_ratio : float
        How much deeper than one row of the sample per query the prediction looks:
        ``expected_rows / (n_neighbors * n_rows)``. Above 1 it rests on the trend
        inside the sample, and structure that the sample cannot show (small clusters
        of near-duplicates) is missed.
    measured : bool
        Whether the sample was all the rows, so that nothing was predicted.
    confidence : float
        Coverage of ``interval``.
    estimates : list of Estimate
        ``recall`` with its interval and confidence, one for each oversampling.
    """

    recall: np.ndarray
    interval: np.ndarray
    standard_error: np.ndarray
    oversampling: np.ndarray
    n_neighbors: int
    expected_rows: int
    depth_ratio: float
    measured: bool
    confidence: float = 0.9

    @property
    def estimates(self) -> list[Estimate]:
        """Recall, its interval and the confidence, one for each oversampling."""
        return [
            Estimate(float(recall), float(low), float(high), self.confidence)
            for recall, (low, high) in zip(self.recall, self.interval, strict=True)
        ]


@dataclass(frozen=True)
class OversamplingPrediction:
    """Candidates per neighbor that reach a recall.

    Attributes
    ----------
    oversampling : float
        The smallest whose lower limit of recall reaches the target; infinite if none
        up to the largest allowed does.
    expected : float
        The smallest whose expected recall reaches the target.
    interval : tuple of float
        The smallest whose upper limit reaches the target, and ``oversampling``.
    recall : float
        Expected recall at ``oversampling`` (at the largest allowed, if infinite).
    recall_interval : tuple of float
        Its limits.
    target_recall : float
        The target.
    confidence : float
        Coverage of both intervals.
    estimate : Estimate
        ``recall`` with its interval and confidence.
    """

    oversampling: float
    expected: float
    interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]
    target_recall: float
    confidence: float = 0.9

    @property
    def estimate(self) -> Estimate:
        """Expected recall at ``oversampling``, its interval and the confidence."""
        return Estimate(self.recall, *self.recall_interval, self.confidence)


def predict_recall(
    similarities: ArrayLike,
    scores: ArrayLike,
    *,
    n_neighbors: int = 10,
    oversampling: ArrayLike = 1,
    expected_rows: int | None = None,
    confidence: float = 0.9,
) -> RecallPrediction:
    """Predict recall@k of code search on many rows from a random sample of them.

    The search takes the ``oversampling * n_neighbors`` rows of the best scores and
    ranks them by their true similarity; recall is the share of the true
    ``n_neighbors`` nearest rows among these candidates.

    Parameters
    ----------
    similarities : array-like of shape (n_queries, n_rows)
        True similarities, larger for closer rows, of held-out queries to a random
        sample of the rows. Only their order within a query counts. 200 queries and
        5,000 rows are a good size.
    scores : array-like of shape (n_queries, n_rows)
        Scores of the codes for the same pairs, larger for closer rows.
    n_neighbors : int, default=10
        The k of recall@k.
    oversampling : float or array-like of shape (n_oversamplings,), default=1
        Candidates per neighbor, at least 1; ``oversampling * n_neighbors`` is
        rounded up.
    expected_rows : int, default=None
        Rows that are searched, at least ``n_rows``. None: ``n_rows``, and recall is
        measured instead of predicted.
    confidence : float, default=0.9
        Coverage of the interval.

    Returns
    -------
    RecallPrediction
        Arrays of one entry per oversampling.

    Raises
    ------
    TypeError
        If a count is not an integer, or ``confidence`` not a real number.
    ValueError
        If shapes differ, values are not finite, there are fewer than 2 queries or
        (where recall is predicted) 100 rows, or a parameter is out of its range.

    See Also
    --------
    oversampling_for : The oversampling that reaches a recall.

    Notes
    -----
    Recall inside the sample is measured at several k and oversamplings, also, in
    exact expectation, after keeping every row with probability 1/4. In the tail a
    similarity and its noisy score follow the Hüsler-Reiss copula [1]_, whose one
    parameter is fitted as a smooth function of depth (k / rows), k and oversampling
    and carried to the size asked for. The interval is for what as many queries of the
    same population measure: it joins the variance over queries, over ten blocks of rows
    (jackknife) and the freedom that the fit leaves. Equal scores are broken at
    random, from a fixed seed. Page 6 of the theory chapter of the documentation derives
    all of it.

    A sample of a tenth of the rows (``depth_ratio`` near 1, at k = 10) shows rows as
    near as the neighbors asked for; a smaller one extrapolates, with intervals that
    grow. Clusters of near copies about as large as k look smaller in a sample: recall
    may then be predicted too low, and the interval may miss it.

    References
    ----------
    .. [1] J. Hüsler and R.-D. Reiss, "Maxima of normal random vectors: between
       independence and complete dependence", Statistics & Probability Letters 7
       (1989), 283-286.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import predict_recall
    >>> rng = np.random.default_rng(0)
    >>> similarities = rng.normal(size=(100, 2000))
    >>> scores = similarities + 0.3 * rng.normal(size=(100, 2000))
    >>> prediction = predict_recall(
    ...     similarities, scores, oversampling=[1, 4], expected_rows=10_000
    ... )
    >>> prediction.recall.round(2)
    array([0.6 , 0.94])
    """
    similarities, scores = _check_pairs(similarities, scores)
    c = np.atleast_1d(as_real_array(oversampling, "oversampling"))
    if c.ndim != 1 or c.size == 0 or not np.all(np.isfinite(c)) or c.min() < 1:
        raise ValueError(
            "oversampling must be a number or a 1-d array of numbers, all at least 1. "
            f"Got {oversampling!r}."
        )
    model = _recall_model(
        similarities, scores, n_neighbors, expected_rows, confidence, "predict_recall"
    )
    n_rows, n_searched = similarities.shape[1], model.n_searched
    candidates = np.minimum(np.ceil(c * n_neighbors - _ROUNDING), n_searched)
    recall, error = model.evaluate(candidates)
    # More candidates never lose a neighbor.
    order = np.argsort(candidates, kind="stable")
    recall[order] = np.maximum.accumulate(recall[order])
    return RecallPrediction(
        recall=recall,
        interval=_limits(recall, error, confidence),
        standard_error=error,
        oversampling=c,
        n_neighbors=n_neighbors,
        expected_rows=n_searched,
        depth_ratio=n_searched / (n_neighbors * n_rows),
        measured=n_searched == n_rows,
        confidence=confidence,
    )


def oversampling_for(
    target_recall: float,
    similarities: ArrayLike,
    scores: ArrayLike,
    *,
    n_neighbors: int = 10,
    expected_rows: int | None = None,
    confidence: float = 0.9,
    max_oversampling: float = 100,
) -> OversamplingPrediction:
    """Predict how many candidates per neighbor reach a recall.

    Parameters
    ----------
    target_recall : float
        Recall to reach, in (0, 1).
    similarities, scores, n_neighbors, expected_rows, confidence
        As in `predict_recall`.
    max_oversampling : float, default=100
        The largest that is considered.

    Returns
    -------
    OversamplingPrediction
        The smallest oversampling whose lower limit of recall reaches the target, and
        the range of the smallest that does.

    Raises
    ------
    TypeError, ValueError
        As `predict_recall`, and if a parameter is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import oversampling_for
    >>> rng = np.random.default_rng(0)
    >>> similarities = rng.normal(size=(100, 2000))
    >>> scores = similarities + 0.3 * rng.normal(size=(100, 2000))
    >>> needed = oversampling_for(
    ...     0.9, similarities, scores, expected_rows=10_000
    ... )
    >>> needed.expected < needed.oversampling < 8
    True
    """
    owner = "oversampling_for"
    target_recall = _check_share(target_recall, "target_recall", owner)
    check_real(max_oversampling, "max_oversampling", owner, low=1.0)
    similarities, scores = _check_pairs(similarities, scores)
    model = _recall_model(
        similarities, scores, n_neighbors, expected_rows, confidence, owner
    )
    most = int(np.ceil(max_oversampling * n_neighbors - _ROUNDING))
    most = min(most, model.n_searched)

    def bounds(candidates: int) -> _Bounds:
        recall, error = model.evaluate(np.array([float(candidates)]))
        low, high = _limits(recall, error, confidence)[0]
        return _Bounds(float(low), float(recall[0]), float(high))

    def smallest(limit: int) -> int | None:
        """Fewest candidates whose low (0), expected (1) or high (2) value reaches."""
        return _smallest(lambda m: bounds(m)[limit] >= target_recall, n_neighbors, most)

    safe, expected, hopeful = smallest(0), smallest(1), smallest(2)
    best, middle, worst = (
        np.inf if m is None else m / n_neighbors for m in (hopeful, expected, safe)
    )
    low, recall, high = bounds(most if safe is None else safe)
    return OversamplingPrediction(
        oversampling=worst,
        expected=middle,
        interval=(best, worst),
        recall=recall,
        recall_interval=(low, high),
        target_recall=target_recall,
        confidence=confidence,
    )


class _Bounds(NamedTuple):
    """Lower limit, expected value and upper limit of recall."""

    low: float
    expected: float
    high: float


def _smallest(reached: Callable[[int], bool], low: int, high: int) -> int | None:
    """Smallest integer in [low, high] where ``reached``, None if there is none."""
    if not reached(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _limits(recall: np.ndarray, error: np.ndarray, confidence: float) -> np.ndarray:
    half_width = ndtri(0.5 + confidence / 2) * error
    limits = np.stack([recall - half_width, recall + half_width], axis=1)
    return np.clip(limits, 0.0, 1.0)


def _check_share(value: float, name: str, owner: str) -> float:
    """Return a share strictly between 0 and 1."""
    return check_real(
        value, name, owner, low=0.0, high=1.0, closed_low=False, closed_high=False
    )


def _check_pairs(
    similarities: ArrayLike, scores: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    pairs = []
    for name, values in (("similarities", similarities), ("scores", scores)):
        as_real_array(values, name, None)
        array = np.asarray(values)
        if array.ndim != 2:
            raise ValueError(
                f"{name} must have the shape (n_queries, n_rows). Got {array.ndim} "
                "dimension(s)."
            )
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} must be real numbers. Got {array.dtype}.")
        if array.dtype.kind != "f":
            array = array.astype(np.float64)
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} must be finite: it holds NaN or infinity.")
        pairs.append(array)
    if pairs[0].shape != pairs[1].shape:
        raise ValueError(
            "similarities and scores must be of the same pairs, hence of one shape. "
            f"Got {pairs[0].shape} and {pairs[1].shape}."
        )
    if pairs[0].shape[0] < _MIN_QUERIES:
        raise ValueError(
            f"At least {_MIN_QUERIES} queries are needed for an interval. "
            f"Got {pairs[0].shape[0]}."
        )
    return pairs[0], pairs[1]


def _recall_model(
    similarities: np.ndarray,
    scores: np.ndarray,
    n_neighbors: int,
    expected_rows: int | None,
    confidence: float,
    owner: str,
) -> Extrapolation | Measurement:
    """Check the parameters; measure if the sample is all rows, else extrapolate."""
    n_rows = similarities.shape[1]
    n_searched = n_rows if expected_rows is None else expected_rows
    check_int(n_searched, "expected_rows", owner, low=n_rows)
    check_int(n_neighbors, "n_neighbors", owner, low=1, high=n_rows)
    _check_share(confidence, "confidence", owner)
    if n_searched == n_rows:
        return Measurement(similarities, scores, n_neighbors)
    if n_rows < _MIN_ROWS:
        raise ValueError(
            f"At least {_MIN_ROWS} sampled rows are needed to predict recall on "
            f"{n_searched} rows. Got {n_rows}."
        )
    return Extrapolation(similarities, scores, n_neighbors, n_searched)
