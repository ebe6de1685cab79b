"""QuantizationAdvisor: which quantization for these vectors, and how sure."""

import logging
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state, estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from .._neighbors.index import BinaryNeighbors
from .._profiling.profiler import HeterogeneityProfiler
from .._quantization.rotation import RandomRotation
from .._quantization.strategy import ROTATION_SEED, Strategy
from .._utils.params import check_int, check_option, check_real
from .._utils.similarity import scaled_rows
from .._utils.validation import DocLinkMixin, check_lengths, check_vectors
from ..exports import Export, export
from .bench import Bench
from .candidates import all_strategies, make_index
from .drift import DriftResult, compare_rows
from .recall_curve import NEARLY
from .report import as_html, as_text, say_outcome
from .results import Advice, recommendation, results_table
from .sampling import Sample, draw_sample
from .strategy_search import (
    SCREEN_ROWS,
    Study,
    Task,
    bytes_per_row,
    kind_of,
    predict_fidelities,
    relative_speeds,
)
from .suitability import doubts

_METRICS = ["cosine", "euclidean", "inner_product"]
_MIN_ROWS = 4
# Rows of either kind that a check of drift compares at most.
_DRIFT_ROWS = 2000
_PERMUTATIONS = 999

_ROWS_ASK = (
    "Rows that were held out asked for their neighbors. Real queries often differ from "
    "rows (questions from passages, another prompt) and are then harder: pass some as "
    "queries."
)

_log = logging.getLogger("skbq")


class QuantizationAdvisor(DocLinkMixin, BaseEstimator):
    """Choose how to quantize vectors, by measuring on rows that are held out.

    One bit or two, thresholds at the mean or at zero, rotated or not, coded or float
    queries, which levels, and how many candidates to rerank: all are tried on a random
    sample, the promising ones are compared on more rows and queries, and the one of
    least memory that reaches the recall asked for is recommended. What is not better
    than the plain code beyond its interval is not recommended.

    Parameters
    ----------
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        What makes rows near.
    n_neighbors : int, default=10
        The k of recall@k. Of few rows fewer neighbors are asked for.
    target_recall : float, default=0.95
        Recall@k to reach, after reranking where that is needed; in (0, 1).
    max_bytes : int, default=None
        Memory for each row that is searched, in bytes: code and corrections, without
        the vectors that reranking reads, which may stay on a disk. None: no limit.
    expected_rows : int, default=None
        Number of rows that will be searched one day, if not those of X.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws of rows and queries.

    Attributes
    ----------
    results_ : dict of arrays, one entry for each strategy
        The table; see Notes.
    recommended_ : dict
        The recommendation, as :func:`skbq.exports.export` takes it: "centre",
        "rotate", "bits", "query", "levels", "oversampling", "metric", "n_features",
        "n_neighbors"; and "strategy" (in words), "quantizer" (unfitted),
        "bytes_per_row", "bytes_per_row_with_vectors", "suitable" (whether the target
        is reached).
    oversampling_ : float or None
        Candidates to rerank for each neighbor; None if the codes alone reach the
        target.
    recall_ : float
        Recall@k to expect from the recommendation.
    recall_interval_ : tuple of float
        Its limits at 90 %.
    warnings_ : list of str
        What you should know, in plain words; empty if all is well.
    profile_ : HeterogeneityProfiler
        Fitted on the sampled rows (of unit length under "cosine").
    n_neighbors_ : int
        The k that was used.
    expected_rows_ : int
        Number of rows that the recall is for.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    BinaryNeighbors : The index that is recommended.
    HeterogeneityProfiler : The figures behind the advice.
    skbq.exports.export : Settings of vector databases.

    Notes
    -----
    Entries of ``results_``; intervals have shape (n_strategies, 2):

    - "strategy", "bits", "query", "rotate", "threshold", "levels", "params" (for
      :class:`BinaryNeighbors`);
    - "predicted_fidelity": of the best strategy of each amount of memory, by
      :func:`skbq.theory.predict_fidelity` for normal vectors with the mean and
      covariance of the rows, float queries without correction; NaN for the others
      and under "euclidean";
    - "measured_fidelity": Spearman's correlation of score and similarity over pairs of
      a query and a row, and "measured_fidelity_interval";
    - "measured_recall" without reranking, "measured_recall_interval", on
      "measured_rows" rows and "measured_queries" queries; "compared" says which
      strategies were measured on more than the first sample;
    - "predicted_recall" without reranking on ``expected_rows_`` rows and
      "predicted_recall_interval";
    - "oversampling" that reaches the target for sure and "oversampling_interval"
      (where upper and lower limit of recall reach it), infinite if more than 50;
    - "recall_reranked" with that oversampling (20 at most) and
      "recall_reranked_interval";
    - "bytes_per_row" and "bytes_per_row_with_vectors";
    - "relative_speed": queries per second of the plain code of the same bits and kind
      of query, as multiples of exact search in floats, measured.

    Rows and queries are drawn at random. Queries are given, or a tenth of the rows
    (more of few rows) held out from those that are searched; up to 100,000 rows and 25
    million numbers are searched. Recall on up to 1.5 times as many rows is measured
    with as many times fewer neighbors, which lie as deep among the rows that are there;
    on more rows it is predicted by :func:`skbq.theory.predict_recall`. Intervals are at
    90 %.

    Differences between strategies are known to a half-width of 0.005 (at 95 %) or as
    well as all queries tell; then rows ask, each left out of its own neighbors, up to
    4,000. Beside queries of the user's own, rows decide only among strategies that
    those queries cannot tell apart. What is not better than a simpler strategy beyond
    its interval is not chosen.

    An oversampling above 20 is not recommended. If none up to that reaches the target,
    ``warnings_`` says so, and the recommendation is what comes nearest.

    Steps of the fit are logged at level INFO to the logger "skbq".

    Examples
    --------
    >>> from skbq import QuantizationAdvisor
    >>> from skbq.datasets import load_wordnet_minilm
    >>> glosses = load_wordnet_minilm()
    >>> advisor = QuantizationAdvisor(random_state=0)
    >>> advisor = advisor.fit(glosses.data, queries=glosses.queries)
    >>> advisor.recommended_["strategy"], advisor.recommended_["bytes_per_row"]
    ('1 bit, coded queries', 48)
    >>> index = advisor.make_estimator().fit(glosses.data)
    """

    results_: dict[str, Any]
    warnings_: list[str]
    _advice: Advice
    _reference: np.ndarray

    def __init__(
        self,
        metric: str = "cosine",
        n_neighbors: int = 10,
        target_recall: float = 0.95,
        max_bytes: int | None = None,
        expected_rows: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.target_recall = target_recall
        self.max_bytes = max_bytes
        self.expected_rows = expected_rows
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, queries: Any = None) -> Self:
        """Measure strategies and choose one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors, at least four; may be a memory map.
        y : None
            Ignored.
        queries : array-like of shape (n_queries, n_features), default=None
            Real queries, at least two, which recall is then measured on: they often
            differ from the rows. None: rows that are held out.

        Returns
        -------
        self : object
        """
        self._check_parameters()
        X = check_vectors(self, X, reset=True, min_samples=_MIN_ROWS)
        check_lengths(X, self.metric)
        if queries is not None:
            queries = check_vectors(self, queries, reset=False)
            check_lengths(queries, self.metric)
            if len(queries) < 2:
                raise ValueError(
                    f"queries must be at least two rows. Got {len(queries)}."
                )
        rng = check_random_state(self.random_state)
        self.expected_rows_ = self.expected_rows or len(X)
        _log.info("drawing rows and queries")
        sample = draw_sample(X, queries, self.expected_rows_, rng)
        self.warnings_ = [] if queries is not None else [_ROWS_ASK]
        self.n_neighbors_ = self._count_neighbors(sample)
        whole = self._bench(sample, len(sample.rows))
        first_look = whole
        extrapolated = self.expected_rows_ > NEARLY * len(sample.rows)
        if extrapolated and len(sample.rows) > SCREEN_ROWS:
            first_look = self._bench(sample, SCREEN_ROWS)
        _log.info("profiling %d rows", len(sample.rows))
        self.profile_ = HeterogeneityProfiler(random_state=rng.randint(2**31 - 1))
        self.profile_.fit(whole.rows)
        advice = self._study(first_look, whole, X[:1].nbytes, queries is not None)
        self._set_advice(advice, whole)
        self._reference = whole.rows[:_DRIFT_ROWS].astype(np.float32)
        self._seed = int(rng.randint(2**31 - 1))
        return self

    def _check_parameters(self) -> None:
        check_option(self.metric, "metric", self, _METRICS)
        check_int(self.n_neighbors, "n_neighbors", self, low=1)
        check_real(self.target_recall, "target_recall", self, low=0, high=1)
        if not 0 < self.target_recall < 1:
            raise ValueError(
                "The 'target_recall' parameter of QuantizationAdvisor must lie "
                f"strictly between 0 and 1. Got {self.target_recall!r} instead."
            )
        if self.max_bytes is not None:
            check_int(self.max_bytes, "max_bytes", self, low=1)
        if self.expected_rows is not None:
            check_int(self.expected_rows, "expected_rows", self, low=_MIN_ROWS)

    def _count_neighbors(self, sample: Sample) -> int:
        """Return k, smaller than asked for if there are few rows."""
        k = min(self.n_neighbors, max(len(sample.rows) // 2, 1))
        if k < self.n_neighbors:
            text = (
                f"Only {len(sample.rows)} rows are left to search: neighbors are "
                f"counted up to {k} instead of {self.n_neighbors}."
            )
            self.warnings_.append(text)
            warnings.warn(text, UserWarning, stacklevel=3)
        return k

    def _bench(self, sample: Sample, n_rows: int) -> Bench:
        rotation = RandomRotation(random_state=ROTATION_SEED)
        return Bench(
            sample.rows[:n_rows],
            sample.queries,
            self.metric,
            self.n_neighbors_,
            rotation.fit(sample.rows[:1]),
        )

    def _study(
        self, first_look: Bench, whole: Bench, vector_bytes: int, own_queries: bool
    ) -> Advice:
        kinds = list(dict.fromkeys(map(kind_of, all_strategies())))
        code_bytes = {kind: bytes_per_row(Strategy(*kind), whole) for kind in kinds}
        most = self.max_bytes or np.inf
        allowed = [s for s in all_strategies() if code_bytes[kind_of(s)] <= most]
        if not allowed:
            raise ValueError(
                f"max_bytes={self.max_bytes} is less than the smallest code of "
                f"{self.n_features_in_} coordinates needs, "
                f"{min(code_bytes.values())} bytes a row."
            )
        task = Task(
            self.n_neighbors_,
            self.target_recall,
            self.expected_rows_,
            code_bytes,
            vector_bytes,
            own_queries,
        )
        study = Study(first_look, whole, allowed, task)
        findings = study.decide()
        predict_fidelities(findings, whole, self.metric)
        _log.info("measuring speed")
        speeds = relative_speeds(whole, list(dict.fromkeys(map(kind_of, allowed))))
        self.warnings_ += doubts(
            self.profile_,
            first_look.rows,
            study.similarities,
            self.n_neighbors_,
            self.metric,
        )
        return Advice(task, findings, speeds, self.metric, self.n_features_in_)

    def _set_advice(self, advice: Advice, whole: Bench) -> None:
        self._advice = advice
        self.results_ = results_table(advice)
        self.recommended_ = recommendation(advice)
        self.oversampling_ = advice.findings.oversampling
        value, low, high = advice.recall
        self.recall_, self.recall_interval_ = value, (low, high)
        self.warnings_ += say_outcome(advice)
        # The view of the rows that bits are taken from, for checks of drift.
        quantizer = clone(self.recommended_["quantizer"])
        self._quantizer = quantizer.fit(whole.rows, None)

    def make_estimator(self) -> BinaryNeighbors:
        """Make the recommended index, ready to fit.

        Returns
        -------
        index : BinaryNeighbors
            Unfitted.
        """
        check_is_fitted(self)
        findings = self._advice.findings
        return make_index(
            findings.chosen,
            self.n_neighbors_,
            metric=self.metric,
            oversampling=findings.oversampling,
        )

    def report(self, format: str = "text") -> str:
        """Say what was found, what it costs and how sure it is.

        Parameters
        ----------
        format : {"text", "html"}, default="text"

        Returns
        -------
        report : str
        """
        check_is_fitted(self)
        check_option(format, "format", "report", ["text", "html"])
        write = as_html if format == "html" else as_text
        return write(self._advice, self.profile_.report(), self.warnings_)

    def export(self, engine: str) -> Export:
        """Give settings of a vector database or library for the recommendation.

        Parameters
        ----------
        engine : str
            One of :data:`skbq.exports.ENGINES`.

        Returns
        -------
        export : Export
            What to paste, what the product cannot do, what you must do yourself.
        """
        check_is_fitted(self)
        return export(self.recommended_, engine)

    def check_drift(self, X: Any, *, alpha: float = 0.01) -> DriftResult:
        """Test whether new rows still fit the rows that the advice is for.

        Means and absolute deviations of all coordinates are compared, and the shares of
        ones among the bits that the recommended quantizer gives. The test permutes rows
        between old and new ones (999 times), so that its level holds for rows that are
        drawn independently, whatever their distribution: it errs with probability
        ``alpha`` at most. Rows of one document or one hour are not independent: pass
        rows drawn from many.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            New vectors, at least two; of more than 2,000 a random 2,000 are used.
        alpha : float, default=0.01
            Level of the test, at least 0.001.

        Returns
        -------
        result : DriftResult
            With ``drifted``, ``p_value``; printing it shows it in words.

        Examples
        --------
        >>> from skbq import QuantizationAdvisor
        >>> from skbq.datasets import make_gaussian
        >>> X = make_gaussian(2000, 64, random_state=0)
        >>> advisor = QuantizationAdvisor(random_state=0).fit(X[:1000])
        >>> advisor.check_drift(X[1000:]).drifted
        False
        >>> advisor.check_drift(X[1000:] + 0.3).drifted
        True
        """
        check_is_fitted(self)
        alpha = check_real(alpha, "alpha", "check_drift", low=0.001, high=0.5)
        X = check_vectors(self, X, reset=False, min_samples=2)
        check_lengths(X, self.metric)
        rng = np.random.RandomState(self._seed)
        numbers = np.sort(rng.permutation(len(X))[:_DRIFT_ROWS])
        new, old = scaled_rows(X[numbers], self.metric), self._reference
        codes = [self._quantizer.transform(rows).unpack() for rows in (old, new)]
        return compare_rows(
            old,
            new,
            np.concatenate(codes) > 0,
            alpha,
            _PERMUTATIONS,
            rng,
            rotated=self.recommended_["rotate"],
        )

    def _repr_html_(self) -> str:
        if hasattr(self, "results_"):
            return self.report(format="html")
        return estimator_html_repr(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
