"""Scorers of fitted indexes, for ``scoring=`` of scikit-learn's searches."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted

from .._quantization.steps import apply_steps, split_quantizer
from .._utils.params import check_int
from .._utils.similarity import scaled_rows, similarities
from .._utils.typing import Oversampling, RandomState
from ._fidelity_report import CodeDistance, FidelityReport, predict_index
from ._intervals import fidelity_estimate
from ._ranking import ranking_fidelity
from ._recall import recall_of_rows


class _Index(CodeDistance, Protocol):
    """What scorers ask of a BinaryNeighbors, which stands beside this room."""

    quantizer: FrozenEstimator | None
    oversampling: Oversampling

    def set_params(self, **params: object) -> object: ...
    def fit(self, X: ArrayLike) -> "_Index": ...
    @overload
    def kneighbors(
        self, X: ArrayLike, n_neighbors: int
    ) -> tuple[np.ndarray, np.ndarray]: ...
    @overload
    def kneighbors(
        self, *, n_neighbors: int, return_distance: Literal[False]
    ) -> np.ndarray: ...


# Rows whose two halves shape the distribution of similarities.
_FEWEST_TO_PREDICT = 40


@dataclass(frozen=True)
class RankingFidelityScorer:
    """Score a fitted index by how its code distances rank pairs of test rows.

    The index's own distance between codes (or, with ``query="vectors"``, between
    queries in float32 and codes) is ranked against the similarity of its ``metric``,
    for ``n_pairs`` pairs: one random half of the rows is encoded and indexed, the other
    half asks. What was learned in training (thresholds, rotations) stays; reranking is
    left out. In a pipeline the similarity is that of the vectors that enter it.

    Read more in the :ref:`User Guide <guide-measuring>`.

    Parameters
    ----------
    n_pairs : int, default=250_000
        Number of pairs, at least 4: m rows against m others, m its square root, or
        half of the test rows if there are fewer.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw. Pass an int to compare all candidates of a search on the
        same rows.

    ``report`` measures and predicts with an interval and a verdict; ``scores`` gives
    both figures to a search by several metrics.

    See Also
    --------
    NeighborRecallScorer : Recall of the nearest rows instead.
    ranking_fidelity : The figure, for pairs of your own.

    Notes
    -----
    The pairs share rows, so that the error falls with m, not with ``n_pairs``: twice
    the rows (four times the pairs) about halve its variance. With the default its
    standard deviation over 20 draws, one-bit codes, was 0.004 for MiniLM embeddings
    of glosses, 0.010 for those of E5 and 0.012 for SIFT.

    Cosine similarity with a row of zeros counts as 0, where the index takes such rows.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
    >>> from skbq.datasets import load_wordnet_minilm
    >>> from skbq.metrics import RankingFidelityScorer
    >>> search = GridSearchCV(
    ...     BinaryNeighbors(),
    ...     {"quantizer": [BinaryQuantizer(), TwoBitQuantizer()]},
    ...     scoring=RankingFidelityScorer(random_state=0),
    ...     cv=2,
    ... ).fit(load_wordnet_minilm().data)
    >>> search.best_params_
    {'quantizer': TwoBitQuantizer()}
    """

    n_pairs: int = 250_000
    random_state: RandomState = None

    @property
    def __name__(self) -> str:
        """What scikit-learn's displays call the score."""
        return "ranking_fidelity"

    def __call__(self, estimator: BaseEstimator, X: ArrayLike, y: None = None) -> float:
        """Return the ranking fidelity of a fitted index on test rows.

        Parameters
        ----------
        estimator : fitted BinaryNeighbors, or Pipeline that ends in one
        X : array-like of shape (n_samples, n_features)
            Test vectors, at least 4.
        y : None
            Ignored.

        Returns
        -------
        fidelity : float
        """
        return ranking_fidelity(*self._similarity_and_score(estimator, X))

    def scores(
        self, estimator: BaseEstimator, X: ArrayLike, y: None = None
    ) -> dict[str, float]:
        """Return measured and predicted fidelity, for scoring by several metrics.

        Parameters
        ----------
        estimator : fitted BinaryNeighbors, or Pipeline that ends in one
        X : array-like of shape (n_samples, n_features)
            Test vectors, at least 40.
        y : None
            Ignored.

        Returns
        -------
        scores : dict
            ``fidelity`` as measured, ``predicted_fidelity``, and ``gap``, the predicted
            less the measured one; NaN where nothing can be predicted.

        Examples
        --------
        >>> from sklearn.model_selection import GridSearchCV
        >>> from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
        >>> from skbq.datasets import load_wordnet_minilm
        >>> from skbq.metrics import RankingFidelityScorer
        >>> search = GridSearchCV(
        ...     BinaryNeighbors(),
        ...     {"quantizer": [BinaryQuantizer(), TwoBitQuantizer()]},
        ...     scoring=RankingFidelityScorer(random_state=0).scores,
        ...     refit="predicted_fidelity",
        ...     cv=2,
        ... ).fit(load_wordnet_minilm().data)
        >>> search.best_params_
        {'quantizer': TwoBitQuantizer()}
        >>> bool(abs(search.cv_results_["mean_test_gap"]).max() < 0.02)
        True
        """
        measured = self(estimator, X)
        predicted, _ = self._predict(estimator, X)
        return {
            "fidelity": measured,
            "predicted_fidelity": predicted,
            "gap": predicted - measured,
        }

    def report(
        self, estimator: BaseEstimator, X: ArrayLike, y: None = None
    ) -> FidelityReport:
        """Return the fidelity measured on test rows beside the predicted one.

        Parameters
        ----------
        estimator : fitted BinaryNeighbors, or Pipeline that ends in one
        X : array-like of shape (n_samples, n_features)
            Test vectors, at least 40. The prediction is made from their mean and
            covariance.
        y : None
            Ignored.

        Returns
        -------
        report : FidelityReport
            Print it for the verdict in words.

        Examples
        --------
        >>> from skbq import BinaryNeighbors, BinaryQuantizer
        >>> from skbq.datasets import load_wordnet_minilm
        >>> from skbq.metrics import RankingFidelityScorer
        >>> X = load_wordnet_minilm().data
        >>> index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X[:4000])
        >>> report = RankingFidelityScorer(random_state=0).report(index, X[4000:])
        >>> report.low < report.measured < report.high
        True
        >>> report.holds
        True
        """
        similarity, score = self._similarity_and_score(estimator, X)
        measured = fidelity_estimate(similarity, score)
        return FidelityReport(measured, *self._predict(estimator, X))

    def _similarity_and_score(
        self, estimator: BaseEstimator, X: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both for pairs of test rows, (n_queries, n_rows)."""
        n_pairs = check_int(self.n_pairs, "n_pairs", self, low=4)
        encoder, index = _frozen_index(estimator, self)
        n_samples = _count_rows(X, 4, self)
        m = min(isqrt(n_pairs), n_samples // 2)
        rows, queries = train_test_split(
            X,
            train_size=m,
            test_size=m,
            random_state=check_random_state(self.random_state),
        )
        if index.quantizer is not None:
            index.set_params(oversampling=None)
        index.fit(encoder(rows))
        distances, order = index.kneighbors(encoder(queries), n_neighbors=m)
        score = np.empty((m, m))
        np.put_along_axis(score, order, -distances, axis=1)
        vectors = _float_rows(queries), _float_rows(rows)
        return similarities(*vectors, index.metric), score

    def _predict(self, estimator: BaseEstimator, X: ArrayLike) -> tuple[float, str]:
        """Return the fidelity predicted from moments of test rows, or why not."""
        encoder, index = _frozen_index(estimator, self)
        _count_rows(X, _FEWEST_TO_PREDICT, self)
        vectors = scaled_rows(_float_rows(X), index.metric)
        if index.quantizer is None:  # flat: the encoder ends in the quantizer
            steps, rows = estimator[:-1], X
        else:
            steps = index.quantizer.estimator
            rows = scaled_rows(_float_rows(encoder(X)), index.metric)
        before, quantizer = split_quantizer(steps)
        seen = np.asarray(apply_steps(before, rows), dtype=np.float64)
        return predict_index(index, quantizer, vectors, seen, self.random_state)


@dataclass(frozen=True)
class NeighborRecallScorer:
    """Score a fitted index by the recall of its nearest test rows.

    Leave-one-out: every test row asks for its neighbors among the other test rows,
    and what is found is compared with the exact neighbors under the index's
    ``metric`` by :func:`neighbor_recall`. What was learned in training (thresholds,
    rotations) stays; ``oversampling`` and reranking are used as the index sets them.
    In a pipeline the exact neighbors are those of the vectors that enter it.

    Read more in the :ref:`User Guide <guide-measuring>`.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of neighbors k, less than the number of test rows.

    See Also
    --------
    RankingFidelityScorer : The ranking of all pairs instead.
    neighbor_recall : The figure, for distances of your own.

    Notes
    -----
    All pairs of test rows are compared exactly, in blocks: O(n_samples^2 n_features)
    work. Recall falls with the number of rows that are searched, so that a test fold
    of 1,000 rows gives a higher one than an index of a million.

    Examples
    --------
    >>> from skbq import BinaryNeighbors
    >>> from skbq.datasets import load_wordnet_minilm
    >>> from skbq.metrics import NeighborRecallScorer
    >>> X = load_wordnet_minilm().data
    >>> index = BinaryNeighbors(oversampling=4).fit(X[:4000])
    >>> NeighborRecallScorer()(index, X[4000:]) > 0.95
    True
    """

    n_neighbors: int = 10

    @property
    def __name__(self) -> str:
        """What scikit-learn's displays call the score."""
        return "neighbor_recall"

    def __call__(self, estimator: BaseEstimator, X: ArrayLike, y: None = None) -> float:
        """Return the recall of a fitted index on test rows.

        Parameters
        ----------
        estimator : fitted BinaryNeighbors, or Pipeline that ends in one
        X : array-like of shape (n_samples, n_features)
            Test vectors.
        y : None
            Ignored.

        Returns
        -------
        recall : float
        """
        k = check_int(self.n_neighbors, "n_neighbors", self, low=1)
        encoder, index = _frozen_index(estimator, self)
        _count_rows(X, k + 1, self)
        if index.quantizer is not None and index.oversampling is None:
            # The vectors must be kept for a float query to leave itself out; to
            # rerank k candidates leaves the same k.
            index.set_params(oversampling=1 if index.query == "vectors" else None)
        found = index.fit(encoder(X)).kneighbors(n_neighbors=k, return_distance=False)
        return recall_of_rows(_float_rows(X), found, index.metric)


def _frozen_index(
    estimator: BaseEstimator, scorer: object
) -> tuple[Callable[[ArrayLike], ArrayLike], _Index]:
    """Return what a fitted index does before its search, and an unfitted search.

    The search learns nothing when fitted again: it is given codes, or its quantizer
    is frozen. Its ``quantizer`` is None in the first case only.
    """
    before, last = None, estimator
    if isinstance(estimator, Pipeline):
        last = estimator[-1]
        before = estimator[:-1] if len(estimator) > 1 else None
    if not hasattr(last, "kneighbors") or not hasattr(last, "quantizer"):
        raise TypeError(
            f"{type(scorer).__name__} scores a fitted BinaryNeighbors, or a Pipeline "
            f"that ends in one. Got {estimator!r} instead."
        )
    check_is_fitted(last)
    if last.quantizer_ is None and before is None:
        raise ValueError(
            f"{type(scorer).__name__} needs vectors to compare with, but this "
            f"{type(last).__name__} was fitted on codes. Score the pipeline of "
            "quantizer and index, or give the index a quantizer."
        )
    index = clone(last)
    if last.quantizer_ is not None:
        index.set_params(quantizer=FrozenEstimator(last.quantizer_))
    return (lambda X: X) if before is None else before.transform, index


def _float_rows(X: ArrayLike) -> np.ndarray:
    return check_array(X, dtype=np.float64)


def _count_rows(X: ArrayLike, needed: int, scorer: object) -> int:
    n = _num_samples(X)
    if n < needed:
        raise ValueError(
            f"{type(scorer).__name__} needs at least {needed} test rows. Got {n}: use "
            "fewer folds, more rows, or fewer neighbors."
        )
    return n
