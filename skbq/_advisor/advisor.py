"""QuantizationAdvisor: which quantization for these vectors, and how sure."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Self, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._html.page import HTMLReportMixin, page, piece
from .._neighbors.index import BinaryNeighbors
from .._profiling.profiler import HeterogeneityProfiler
from .._quantization.base import Quantizer
from .._quantization.rotation import RandomRotation, rotation_method
from .._quantization.strategy import ROTATION_SEED, Strategy
from .._utils.params import check_int, check_option, check_real
from .._utils.progress import ShownProgress
from .._utils.similarity import scaled_rows
from .._utils.typing import METRICS, REPORT_FORMATS, Metric, RandomState, ReportFormat
from .._utils.validation import DocLinkMixin, check_lengths, check_vectors
from ..exports import Export, export_best
from .bench import Bench, whole_data
from .bytes_curve import BytesCurve
from .candidates import (
    all_strategies,
    bytes_per_row,
    make_index,
    pca_strategies,
    tries_pca,
)
from .choice import PREFERENCES, Prefer, Task
from .drift import DriftResult, compare_rows
from .exporting import export_candidates
from .html_report import EngineSettings, advice_values, engine_settings
from .list_advice import ListAdvice, advise_lists
from .recall_curve import Curve
from .report import as_text, say_outcome, verdict
from .results import (
    Advice,
    ResultsTable,
    recall_over_bytes,
    recommendation,
    results_table,
)
from .sampling import Sample, draw_sample
from .speed import relative_speeds
from .strategy_search import find_strategy, supported_by, with_predictions
from .suitability import doubts, lost_digits

# Two rows to learn from, and two whose nearest neighbor can be right or wrong.
_MIN_ROWS = 4
# Rows of either kind that a check of drift compares at most.
_DRIFT_ROWS = 2000
# With the data's own order 1,000: the least p-value is a tenth of the level below.
_PERMUTATIONS = 999

# Level of the tests of drift.
_ALPHA = 0.01
# The eigenvalues of the covariance of more coordinates take longer than all the rest.
_PROFILED_FEATURES = 2048
# Queries and rows that signs of unsuitable vectors are looked for among.
_DOUBT_QUERIES, _DOUBT_ROWS = 100, 4000

_HELD_OUT = (
    "Recall was measured on rows that were held out as queries. Real queries often "
    "differ from rows (questions from passages, another prompt) and are then harder: "
    "pass some as queries."
)

_log = logging.getLogger("skbq")


class QuantizationAdvisor(HTMLReportMixin, DocLinkMixin, BaseEstimator):
    """Choose how to quantize vectors, by measuring on queries that are held out.

    It chooses how many bytes a row takes, spent on principal axes
    (:class:`PCAQuantizer`) or as one or two bits for every coordinate; thresholds at
    the mean or at zero; a rotation or none; levels; symmetric or asymmetric search
    (queries are encoded too, or stay in float32); and how many candidates to rerank.
    All strategies are screened on a random sample, the promising ones are compared on
    more queries, and the knee of memory and reranking that reaches the target recall is
    recommended. Among codes of equal
    memory, what is not significantly better than the baseline code is not recommended.

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
        the vectors that reranking reads, which may stay on disk. None: no limit.
    expected_rows : int, default=None
        Number of rows that will be searched eventually, if not those of X.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws of rows and queries.
    prefer : {"memory", "speed"}, default="memory"
        What decides among codes that reach the target with an oversampling of 20 or
        less: the knee of least memory, or the fastest search within ``max_bytes``.
    verbose : int, default=0
        1 shows the progress of the fit, by a bar of tqdm where that is installed; more
        than 1 prints every step with the seconds that have passed.

    Attributes
    ----------
    results_ : dict of arrays, one entry for each strategy
        The table; see Notes. ``results_.to_frame()`` makes it a DataFrame of pandas,
        ``results_.rows()`` a list of dicts.
    bytes_curve_ : BytesCurve
        Recall without reranking, and the oversampling for the target, over bytes of a
        row: ``measured`` holds a point with its interval for each amount of memory
        (``bytes_per_row``, ``strategy``, ``query``, ``family``, ``recall``,
        ``oversampling``, ``recall_reranked``), ``best_recall`` and
        ``least_oversampling`` the best at or below each number of bytes, ``at(n)`` the
        best within n bytes.
    recall_curves_ : dict of str to Curve
        Recall by oversampling of each strategy in words: arrays ``oversampling``,
        ``recall``, ``low``, ``high`` (at 90%), and ``n_rows``, ``n_queries``.
    recommended_ : dict
        The recommendation, as :func:`skbq.exports.export` takes it: "center",
        "rotate", "bits", "query", "levels", "oversampling", "metric", "n_features",
        "n_neighbors"; and "strategy" (in words), "code" ("coordinates", or "principal
        axes", which no other engine takes), "quantizer" (unfitted), "bytes_per_row",
        "bytes_per_row_with_vectors", "suitable" (whether the target is reached).
    oversampling_ : float or None
        Candidates to rerank for each neighbor; None if the codes alone reach the
        target.
    recall_ : float
        Recall@k to expect from the recommendation.
    recall_interval_ : tuple of float
        Its limits at 90%.
    lists_ : ListAdvice
        Whether inverted lists (``algorithm="ivf"``) pay: ``share`` of the sampled rows
        that a query compares for ``target_recall`` of the nearest ones, ``separates``,
        ``rows_compared`` among those expected, ``pays_from("single")`` and
        ``pays_from("batch")``, the number of rows from which lists are faster, and
        ``sentences()``.
    warnings_ : list of str
        What you should know, in plain words; empty if all is well.
    profile_ : HeterogeneityProfiler
        Fitted on the sampled rows (of unit norm under "cosine"); of more than 2,048
        coordinates, on a random 2,048 of them.
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
    Columns of ``results_``, which ``pandas.DataFrame`` takes as it is. Limits of the
    90% interval of a figure are in the columns of its name with "_low" and "_high":

    - "strategy", "bits", "query", "rotate", "threshold", "levels", "params" (for
      :class:`BinaryNeighbors`);
    - "predicted_fidelity": of the best strategy of each amount of memory, by
      :func:`skbq.theory.predict_fidelity` for normal vectors with the mean and
      covariance of the rows, queries in float32 without correction; NaN for the others,
      under "euclidean" and for more than 1,024 coordinates;
    - "measured_fidelity": Spearman's correlation of score and similarity over pairs of
      a query and a row;
    - "measured_recall" without reranking, on "measured_rows" rows in memory and
      "measured_queries" queries; "compared" says which strategies were measured beyond
      the screening of 100 queries;
    - "predicted_recall" without reranking on "predicted_rows" rows, which are
      ``expected_rows_`` unless the sample supports no prediction for so many;
    - "oversampling" whose lower limit of recall reaches the target, infinite if more
      than 50; "oversampling_low" is the one whose upper limit does;
    - "recall_reranked" with that oversampling (20 at most);
    - "bytes_per_row" and "bytes_per_row_with_vectors";
    - "relative_speed": queries per second of the baseline code of the same bits and
      kind of query, as multiples of exact search in floats: median, lowest and highest
      of seven rounds.

    Rows and queries are drawn at random. Queries are given, or a tenth of the rows
    (more of few rows) is held out. Strategies are compared on at most 100,000 rows and
    25 million numbers in memory. The recall of the best ones is then measured on *all*
    rows, which are read once, block by block; truth is by exact distances in float64.

    Recall on more rows than there are is predicted. Up to 1.5 times as many rows (3
    times where they do not fit into memory), it is measured with as many times fewer
    neighbors, which lie as deep among the rows that are there; beyond, it is that of
    :func:`skbq.theory.predict_recall`, up to ``4 * n_neighbors`` times the rows in
    memory. Farther nothing is predicted: ``warnings_`` says how many rows would
    support it, and all figures are for the rows that there are. No figure is printed
    whose interval spans half of the scale.

    Differences between strategies are known to a half-width of 0.005 (at 95%) or as
    well as all queries tell; then up to 4,000 rows are leave-one-out queries. Beside
    queries of the user's own, these decide only among strategies that the queries
    cannot tell apart.

    Codes of principal axes are tried at 8, 16, 24, 32, 48, 64, 96, 128 and 192 bytes of
    a row, corrections included, as far as these are between an eighth of a bit and four
    bits for each coordinate, and at ``max_bytes``: for vectors of at most 4,096
    coordinates and at least 100 rows. Below one bit for each coordinate, one bit for
    each of the strongest axes, rotated, is tried too: a linear map, whose signs any
    engine that compares bits can be given.

    The knee: least memory is recommended, unless it takes an oversampling above 10.
    More is then taken where a query reads less than 3/4 as much (all codes, and a page
    of 4 KiB for each candidate) and candidates fall at least as much as memory grows.
    Speed is judged by what a query reads, a byte of look-up tables counted as two of
    popcount. The report names what comes close.

    An oversampling above 20 is not recommended. If none up to that reaches the target,
    ``warnings_`` says so, and the recommendation is what comes nearest.

    Lists are learned from the recommended codes of the sampled rows, and of a quarter
    of them, to see how the share that is compared falls. Up to 256 queries ask for
    their nearest rows by exact distance: your own, or else sampled rows, each left out.

    Steps of the fit are logged at level INFO to the logger "skbq", which ``verbose``
    shows.

    Examples
    --------
    >>> from skbq import QuantizationAdvisor
    >>> from skbq.datasets import make_gaussian
    >>> X = make_gaussian(600, 32, random_state=0)
    >>> advisor = QuantizationAdvisor(random_state=0).fit(X)
    >>> advisor.recommended_["strategy"], advisor.recommended_["bytes_per_row"]
    ('PCA codes of 8 bytes, asymmetric search', 8)
    >>> index = advisor.make_estimator().fit(X)
    """

    results_: ResultsTable
    bytes_curve_: BytesCurve
    recall_curves_: dict[str, Curve]
    warnings_: list[str]
    lists_: ListAdvice
    _advice: Advice
    _reference: np.ndarray
    _last_step: Quantizer

    def __init__(
        self,
        metric: Metric = "cosine",
        n_neighbors: int = 10,
        target_recall: float = 0.95,
        max_bytes: int | None = None,
        expected_rows: int | None = None,
        random_state: RandomState = None,
        *,
        prefer: Prefer = "memory",
        verbose: int = 0,
    ) -> None:
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.target_recall = target_recall
        self.max_bytes = max_bytes
        self.expected_rows = expected_rows
        self.random_state = random_state
        self.prefer = prefer
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        *,
        queries: ArrayLike | None = None,
    ) -> Self:
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
        with ShownProgress(type(self).__name__, int(self.verbose)):
            self._measure(X, queries)
        return self

    def _measure(self, X: np.ndarray, queries: np.ndarray | None) -> None:
        """Measure strategies of vectors that were checked, and choose one."""
        rng = check_random_state(self.random_state)
        self.expected_rows_ = self.expected_rows or len(X)
        self.warnings_ = [] if queries is not None else [_HELD_OUT]
        _log.info("drawing rows and queries", extra={"done": 0.0})
        sample = draw_sample(X, queries, self.expected_rows_, rng)
        self.n_neighbors_ = self._count_neighbors(len(sample.rows))
        task = Task(
            self.metric,
            self.n_features_in_,
            self.n_neighbors_,
            self.target_recall,
            self.expected_rows_,
            X[:1].nbytes,
            queries is not None,
            self.prefer,
        )
        bench = self._bench(sample)
        strategies = self._allowed_strategies(bench)
        data = bench if sample.is_whole else whole_data(bench, X, sample.searched)
        findings = find_strategy(bench, data, strategies, task)
        findings = with_predictions(findings, bench.rows)
        _log.info("measuring speed", extra={"done": 0.9})
        speeds = relative_speeds(
            bench.rows, bench.queries, self.n_neighbors_, strategies
        )
        self._profile(bench, rng)
        self.warnings_ += self._doubts(bench, X.dtype)
        _log.info("putting rows into lists", extra={"done": 0.97})
        lists = advise_lists(
            bench,
            findings.choice.strategy,
            self.target_recall,
            self.expected_rows_,
            own_queries=queries is not None,
        )
        advice = Advice(
            task,
            findings,
            speeds,
            supported_by(bench, data, task),
            {
                s: bench.rows.axes.fit(s.make_quantizer())
                for s in strategies
                if s.is_linear_map
            },
            lists,
        )
        self._set_advice(advice)
        self._keep_for_drift(bench, rng)
        if queries is not None:
            self.warnings_ += self._say_other_queries(bench)

    def _check_parameters(self) -> None:
        check_option(self.metric, "metric", self, METRICS)
        check_option(self.prefer, "prefer", self, PREFERENCES)
        check_int(self.n_neighbors, "n_neighbors", self, low=1)
        check_real(self.target_recall, "target_recall", self, low=0, high=1)
        if not 0 < self.target_recall < 1:
            raise ValueError(
                "The 'target_recall' parameter of QuantizationAdvisor must lie "
                f"strictly between 0 and 1. Got {self.target_recall!r} instead."
            )
        if not isinstance(self.verbose, bool):
            check_int(self.verbose, "verbose", self, low=0)
        if self.max_bytes is not None:
            check_int(self.max_bytes, "max_bytes", self, low=1)
        if self.expected_rows is not None:
            check_int(self.expected_rows, "expected_rows", self, low=_MIN_ROWS)

    def _count_neighbors(self, n_rows: int) -> int:
        """Return k, smaller than asked for if there are few rows."""
        k = min(self.n_neighbors, max(n_rows // 2, 1))
        if k < self.n_neighbors:
            text = (
                f"Only {n_rows} rows are left to search: neighbors are counted up to "
                f"{k} instead of {self.n_neighbors}."
            )
            self.warnings_.append(text)
            warnings.warn(text, UserWarning, stacklevel=3)
        return k

    def _allowed_strategies(self, bench: Bench) -> list[Strategy]:
        """List the strategies within ``max_bytes``."""
        d, most = self.n_features_in_, self.max_bytes
        rotation = rotation_method(d)
        strategies = all_strategies(rotation)
        if tries_pca(len(bench.rows), d):
            _log.info("spending bits on principal axes", extra={"done": 0.02})
            strategies += pca_strategies(bench.rows.axes, d, most, rotation)
        if most is None:
            return strategies
        n_bytes = {s: bytes_per_row(s, d, self.metric) for s in strategies}
        allowed = [s for s in strategies if n_bytes[s] <= most]
        if not allowed:
            raise ValueError(
                f"max_bytes={most} is less than the smallest code of {d} "
                f"coordinates needs, {min(n_bytes.values())} bytes a row."
            )
        return allowed

    def _bench(self, sample: Sample) -> Bench:
        rotation = RandomRotation(
            rotation_method(self.n_features_in_), random_state=ROTATION_SEED
        )
        return Bench.of(
            sample.rows,
            sample.queries,
            self.metric,
            self.n_neighbors_,
            rotation.fit(sample.rows[:1]),
        )

    def _profile(self, bench: Bench, rng: np.random.RandomState) -> None:
        """Profile the sampled rows; of very many coordinates, some of them."""
        rows = scaled_rows(bench.rows.vectors, self.metric)
        _log.info("profiling %d rows", len(rows), extra={"done": 0.95})
        seed = rng.randint(2**31 - 1)
        if self.n_features_in_ > _PROFILED_FEATURES:
            drawn = rng.permutation(self.n_features_in_)[:_PROFILED_FEATURES]
            rows = rows[:, np.sort(drawn)]
            self.warnings_.append(
                f"The profile is that of {_PROFILED_FEATURES:,} random coordinates."
            )
        self.profile_ = HeterogeneityProfiler(random_state=seed).fit(rows)

    def _doubts(self, bench: Bench, dtype: np.dtype) -> list[str]:
        """List what speaks against codes, whatever was measured."""
        queries = slice(0, min(_DOUBT_QUERIES, len(bench.queries)))
        rows = slice(0, min(_DOUBT_ROWS, len(bench.rows)))
        near = bench.distances(queries, rows)
        vectors = bench.rows.vectors[rows]
        lost = lost_digits(
            vectors,
            bench.queries.vectors[queries],
            near,
            self.n_neighbors_,
            self.metric,
            dtype,
        )
        return lost + doubts(
            self.profile_,
            scaled_rows(vectors, self.metric),
            near,
            self.n_neighbors_,
            self.metric,
        )

    def _set_advice(self, advice: Advice) -> None:
        self._advice = advice
        self.results_ = results_table(advice)
        self.bytes_curve_ = recall_over_bytes(advice)
        self.recall_curves_ = {
            strategy.words: evaluation.curve
            for strategy, evaluation in advice.findings.evaluations.items()
        }
        self.recommended_ = recommendation(advice)
        self.oversampling_ = advice.findings.choice.oversampling
        self.recall_ = advice.recall.value
        self.recall_interval_ = advice.recall.interval
        self.lists_ = advice.lists
        self.warnings_ += say_outcome(advice)

    def _keep_for_drift(self, bench: Bench, rng: np.random.RandomState) -> None:
        """Keep rows, and the quantizer whose bits a check of drift compares."""
        chosen = self._advice.findings.choice.strategy
        self._last_step = cast(Quantizer, bench.rows.index(chosen).quantizer_)
        self._rotation = bench.rows.rotation if chosen.rotated else None
        self._bits_are_of_axes = chosen.rotated or chosen.is_pca
        rows = scaled_rows(bench.rows.vectors, self.metric)
        self._mean = rows.mean(axis=0, dtype=np.float64)
        reference = bench.rows.vectors[:_DRIFT_ROWS]
        self._reference = scaled_rows(reference, self.metric).astype(np.float32)
        self._seed = int(rng.randint(2**31 - 1))

    def _say_other_queries(self, bench: Bench) -> list[str]:
        """Say so if the user's queries are no draws of the rows."""
        queries = scaled_rows(bench.queries.vectors, self.metric)
        drift = self._compare_with_reference(queries, _ALPHA)
        if not drift.drifted:
            return []
        return [
            "The queries are not distributed as the rows are (drift test, p = "
            f"{drift.p_value:.3g}). Recall was measured on these queries and holds for "
            "queries of their kind; rows as queries would promise another recall."
        ]

    def make_estimator(self) -> BinaryNeighbors:
        """Make the recommended index, ready to fit.

        Returns
        -------
        index : BinaryNeighbors
            Unfitted.
        """
        check_is_fitted(self)
        choice = self._advice.findings.choice
        return make_index(
            choice.strategy,
            self.n_neighbors_,
            metric=self.metric,
            oversampling=choice.oversampling,
        )

    def summary(self) -> str:
        """Say the recommendation in one sentence.

        Returns
        -------
        summary : str
        """
        check_is_fitted(self)
        return verdict(self._advice)

    def report(self, format: ReportFormat = "text") -> str:
        """Say what was found, what it costs and how sure it is.

        Parameters
        ----------
        format : {"text", "html"}, default="text"
            "html": a page of its own, with pictures and settings to copy, to be written
            to a file.

        Returns
        -------
        report : str
        """
        check_is_fitted(self)
        check_option(format, "format", "report", REPORT_FORMATS)
        if format == "text":
            return as_text(self._advice, self.profile_.report(), self.warnings_)
        return self._report_page("How to quantize these vectors")

    def _report_page(
        self, title: str, engine: str | None = None, command: str = ""
    ) -> str:
        """Return the report as a page, with the settings of one engine unfolded.

        ``command`` is what builds the recommended index on the command line.
        """
        engines = engine_settings(self._advice, engine)
        values = self._report_values(engines, command)
        return page("advice.html", title=title, parameters=self.get_params(), **values)

    def _report_piece(self) -> str:
        return piece("advice.html", **self._report_values())

    def _report_values(
        self, engines: Sequence[EngineSettings] = (), command: str = ""
    ) -> dict[str, object]:
        index = self.make_estimator()
        return advice_values(
            self._advice, self.profile_, self.warnings_, index, engines, command
        )

    def export(self, engine: str) -> Export:
        """Give settings of a vector database or library that it runs as they are.

        Of the strategies that were measured, the best one that the engine can run is
        taken: the recommended one if it can, with its own oversampling and the recall
        that was measured or predicted for it.

        Parameters
        ----------
        engine : str
            One of :data:`skbq.exports.ENGINES`.

        Returns
        -------
        export : Export
            What to paste, what recall to expect, what you must do yourself; its
            ``prepare`` is fitted.

        Raises
        ------
        TypeError
            If ``engine`` is not a string.
        ValueError
            If it is unknown, lacks the metric or the dimensions, or can run none of
            the strategies.

        Examples
        --------
        >>> from skbq import QuantizationAdvisor
        >>> from skbq.datasets import make_gaussian
        >>> X = make_gaussian(600, 32, random_state=0)
        >>> advisor = QuantizationAdvisor(random_state=0).fit(X)
        >>> answer = advisor.export("duckdb")
        >>> answer.save("settings")  # doctest: +SKIP
        """
        check_is_fitted(self)
        found = export_candidates(self._advice)
        answer = export_best(found.strategies, engine, found.recommended)
        answer.prepare.fit_mean(self._mean)
        return replace(answer, example=self._reference)

    def check_drift(self, X: ArrayLike, *, alpha: float = 0.01) -> DriftResult:
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
        >>> X = make_gaussian(600, 32, random_state=0)
        >>> advisor = QuantizationAdvisor(random_state=0).fit(X[:300])
        >>> advisor.check_drift(X[300:]).drifted
        False
        >>> advisor.check_drift(X[300:] + 1.0).drifted
        True
        """
        check_is_fitted(self)
        alpha = check_real(alpha, "alpha", "check_drift", low=0.001, high=0.5)
        X = check_vectors(self, X, reset=False, min_samples=2)
        check_lengths(X, self.metric)
        return self._compare_with_reference(X, alpha)

    def _compare_with_reference(self, X: np.ndarray, alpha: float) -> DriftResult:
        """Test whether rows are draws of what the rows of fit were drawn from."""
        rng = np.random.RandomState(self._seed)
        numbers = np.sort(rng.permutation(len(X))[:_DRIFT_ROWS])
        old, new = self._reference, scaled_rows(X[numbers], self.metric)
        bits = []
        for rows in (old, new):
            seen = rows if self._rotation is None else self._rotation.transform(rows)
            bits.append(self._last_step.transform(seen).unpack() > 0)
        return compare_rows(
            old,
            new,
            np.concatenate(bits),
            alpha,
            _PERMUTATIONS,
            rng,
            rotated=self._bits_are_of_axes,
        )
