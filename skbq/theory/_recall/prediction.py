"""Predicted recall of code search, and the oversampling that a recall asks for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from .extrapolation import Extrapolation, Measurement

_MIN_ROWS = 100
_MIN_QUERIES = 2


@dataclass(frozen=True)
class RecallPrediction:
    """Predicted recall of code search, one value per oversampling.

    Attributes
    ----------
    recall : ndarray of shape (n_oversamplings,)
        Expected share of the true nearest neighbours among the candidates.
    interval : ndarray of shape (n_oversamplings, 2)
        Lower and upper limit at the confidence asked for.
    standard_error : ndarray of shape (n_oversamplings,)
        Of ``recall``: queries, rows and model together.
    oversampling : ndarray of shape (n_oversamplings,)
        Candidates per neighbour.
    n_neighbors, expected_rows : int
        The k and the number of rows that the prediction is for.
    depth_ratio : float
        How much deeper than one row of the sample per query the prediction looks:
        ``expected_rows / (n_neighbors * n_rows)``. Above 1 it rests on the trend
        inside the sample, and structure that the sample cannot show (small clusters
        of near-duplicates) is missed.
    measured : bool
        Whether the sample was all the rows, so that nothing was predicted.
    """

    recall: np.ndarray
    interval: np.ndarray
    standard_error: np.ndarray
    oversampling: np.ndarray
    n_neighbors: int
    expected_rows: int
    depth_ratio: float
    measured: bool


@dataclass(frozen=True)
class OversamplingPrediction:
    """Candidates per neighbour that reach a recall.

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
    """

    oversampling: float
    expected: float
    interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]
    target_recall: float


def predict_recall(
    similarities: Any,
    scores: Any,
    *,
    n_neighbors: int = 10,
    oversampling: Any = 1,
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
        Candidates per neighbour, at least 1; ``oversampling * n_neighbors`` is
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
    similarity and its noisy score follow the Hüsler-Reiss law [1]_, whose one
    parameter is fitted as a smooth function of depth (k / rows), k and oversampling
    and carried to the size asked for. The interval is for what as many queries of the
    same population measure: it joins the spread over queries, over ten blocks of rows
    (jackknife) and the freedom that the fit leaves. Equal scores are broken at
    random, from a fixed seed.

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
    c = np.atleast_1d(np.asarray(oversampling, dtype=float))
    if c.ndim != 1 or c.size == 0 or not np.all(np.isfinite(c)) or c.min() < 1:
        raise ValueError(
            "oversampling must be a number or a 1-d array of numbers, all at least 1. "
            f"Got {oversampling!r}."
        )
    model, n_rows, n_searched = _model(
        similarities, scores, n_neighbors, expected_rows, confidence
    )
    candidates = np.minimum(np.ceil(c * n_neighbors - 1e-9), n_searched)
    recall, error = model.evaluate(candidates)
    # More candidates never lose a neighbour.
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
    )


def oversampling_for(
    target_recall: float,
    similarities: Any,
    scores: Any,
    *,
    n_neighbors: int = 10,
    expected_rows: int | None = None,
    confidence: float = 0.9,
    max_oversampling: float = 100,
) -> OversamplingPrediction:
    """Predict how many candidates per neighbour reach a recall.

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
    ValueError
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
    if not 0 < target_recall < 1:
        raise ValueError(f"target_recall must lie in (0, 1). Got {target_recall!r}.")
    if not 1 <= max_oversampling < np.inf:
        raise ValueError(
            "max_oversampling must be a finite number of at least 1. "
            f"Got {max_oversampling!r}."
        )
    similarities, scores = _check_pairs(similarities, scores)
    model, _, n_searched = _model(
        similarities, scores, n_neighbors, expected_rows, confidence
    )
    most = min(int(np.ceil(max_oversampling * n_neighbors - 1e-9)), n_searched)

    def bounds(candidates: int) -> tuple[float, float, float]:
        recall, error = model.evaluate(np.array([float(candidates)]))
        low, high = _limits(recall, error, confidence)[0]
        return float(low), float(recall[0]), float(high)

    safe, expected, hopeful = (
        _smallest(lambda m, i=i: bounds(m)[i] >= target_recall, n_neighbors, most)
        for i in range(3)
    )
    low, recall, high = bounds(most if safe is None else safe)
    as_ratio = [np.inf if m is None else m / n_neighbors for m in (safe, expected)]
    best = np.inf if hopeful is None else hopeful / n_neighbors
    return OversamplingPrediction(
        oversampling=as_ratio[0],
        expected=as_ratio[1],
        interval=(best, as_ratio[0]),
        recall=recall,
        recall_interval=(low, high),
        target_recall=float(target_recall),
    )


def _smallest(reached: Any, low: int, high: int) -> int | None:
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


def _check_pairs(similarities: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    pairs = []
    for name, values in (("similarities", similarities), ("scores", scores)):
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


def _model(
    similarities: np.ndarray,
    scores: np.ndarray,
    n_neighbors: int,
    expected_rows: int | None,
    confidence: float,
) -> tuple[Extrapolation | Measurement, int, int]:
    """Check the parameters; return the model, the sample's rows and all rows."""
    n_rows = similarities.shape[1]
    n_searched = n_rows if expected_rows is None else expected_rows
    if n_searched < n_rows:
        raise ValueError(
            f"expected_rows must be at least the {n_rows} rows of the sample. "
            f"Got {expected_rows!r}."
        )
    if not 1 <= n_neighbors <= n_rows:
        raise ValueError(
            f"n_neighbors must lie in [1, {n_rows}], the rows of the sample. "
            f"Got {n_neighbors!r}."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1). Got {confidence!r}.")
    if n_searched == n_rows:
        return Measurement(similarities, scores, n_neighbors), n_rows, n_rows
    if n_rows < _MIN_ROWS:
        raise ValueError(
            f"At least {_MIN_ROWS} sampled rows are needed to predict recall on "
            f"{n_searched} rows. Got {n_rows}."
        )
    model = Extrapolation(similarities, scores, n_neighbors, n_searched)
    return model, n_rows, n_searched
