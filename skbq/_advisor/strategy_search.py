"""The course of a study: look at all strategies, settle the promising, decide."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .._quantization.strategy import LITERATURE, Strategy
from .._utils.parallel import fixed_blocks
from ..theory import RowLaw
from .bench import Bench, best_rows, fidelity, mean_interval, similarities, timed
from .candidates import make_index
from .leave_one_out import RowsAsking
from .paired_comparison import Settled, choose, finalists, settle
from .recall_curve import CONFIDENCE, Curve, oversampling_grid, recall_curve

MAX_OVERSAMPLING = 20
# The first look: rows and queries.
SCREEN_ROWS = 4000
_SCREEN_QUERIES = 100
_FIDELITY_ROWS = 1000
# The curve of a settled strategy rests on that many queries.
_CURVE_QUERIES = 300
# Queries that ask between two looks at what is known, if their scores are not more
# than these in number (100 MB).
_BATCH = 1000
_BATCH_SCORES = 25_000_000
# Where queries are too few to tell strategies apart, that many in all, rows included.
_MOST_ASKING = 4000
# Queries for a look at speed, and rows that they search at most.
_SPEED_QUERIES = 64
_SPEED_ROWS = 20_000
_SPEED_SECONDS = 0.03
# Rows for the moments of predictions, and for the similarities of pairs.
_LAW_ROWS = 20_000
_LAW_SAMPLE = 2000
_FEWEST_LAW_ROWS = 20

_log = logging.getLogger("skbq")

# Strategies of equal memory: bits and kind of query.
Kind = tuple[int, str]
Batches = Iterator[dict[Strategy, np.ndarray]]


@dataclass(frozen=True)
class Evaluation:
    """What is known of one strategy.

    ``fidelity`` and ``recall`` (without reranking) are measured: value, lower and
    upper limit; ``n_rows`` is that of ``recall``, ``found`` its value for each query.
    ``predicted_fidelity`` is NaN where it was not computed.
    """

    strategy: Strategy
    fidelity: tuple[float, float, float]
    recall: tuple[float, float, float]
    found: np.ndarray
    n_rows: int
    curve: Curve
    predicted_fidelity: float = float("nan")


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes
    ----------
    evaluations : dict of Strategy to Evaluation
    settled : dict of Kind to Settled
        Of the kinds that were promising.
    first_sight : dict of Kind to Strategy
        Of the other kinds: what the first look alone would choose.
    chosen : Strategy
    oversampling : float or None
        None if no reranking is needed.
    reached : bool
        Whether the target recall is.
    """

    evaluations: dict[Strategy, Evaluation]
    settled: dict[Kind, Settled]
    first_sight: dict[Kind, Strategy]
    chosen: Strategy
    oversampling: float | None
    reached: bool


@dataclass(frozen=True)
class Task:
    """What is asked for; ``own_queries`` if the user's own queries ask."""

    n_neighbors: int
    target: float
    expected_rows: int
    code_bytes: dict[Kind, int]
    vector_bytes: int
    own_queries: bool


def kind_of(strategy: Strategy) -> Kind:
    """Return what strategies of equal memory share."""
    return strategy.bits, strategy.query


def bytes_per_row(strategy: Strategy, bench: Bench) -> int:
    """Return the memory that is searched for each row."""
    return (
        make_index(strategy, 1, metric=bench.metric).fit(bench.rows[:2]).bytes_per_row_
    )


class Study:
    """Measurements of strategies, each made when it is needed.

    Parameters
    ----------
    first_look, whole : Bench
        Some rows and queries, and all of them; may be one and the same.
    strategies : list of Strategy
    task : Task
    """

    def __init__(
        self, first_look: Bench, whole: Bench, strategies: list[Strategy], task: Task
    ) -> None:
        self._whole, self._task = whole, task
        self._grid = oversampling_grid(task.n_neighbors, task.expected_rows)
        self._settled: dict[Kind, Settled] = {}
        self._evaluations: dict[Strategy, Evaluation] = {}
        self._measured: set[Strategy] = set()  # curves, on all rows
        some = slice(0, min(_SCREEN_QUERIES, len(first_look.queries)))
        truth = first_look.truth(some)
        self.similarities = truth.similarities
        for number, s in enumerate(strategies, 1):
            _log.info("looking at %d of %d: %s", number, len(strategies), s.words)
            scores = first_look.scores(s, some)
            found = truth.found(scores, np.array([task.n_neighbors]))[:, 0]
            pairs = slice(None), slice(0, _FIDELITY_ROWS)
            self._evaluations[s] = Evaluation(
                s,
                fidelity(truth.similarities[pairs], scores[pairs], CONFIDENCE),
                mean_interval(found, CONFIDENCE),
                found,
                len(first_look.rows),
                recall_curve(truth, scores, self._grid, task.expected_rows),
            )

    def decide(self) -> Findings:
        """Find the cheapest strategy that reaches the target, or the best one."""
        target = self._task.target
        for (_, limit), kinds in self._options():
            able = [s for kind in kinds if (s := self._able(kind, limit))]
            if able:
                chosen = max(able, key=lambda s: self._evaluations[s].recall[0])
                safe = self._evaluations[chosen].curve.needed(target)[2]
                return self._findings(chosen, None if safe == 1 else safe, True)
        largest = min(MAX_OVERSAMPLING, self._grid[-1])
        best = max(self._allowed(), key=lambda e: (e.curve.at(largest)[0], e.recall[0]))
        kind = kind_of(best.strategy)
        return self._findings(self._settle(kind).chosen, float(largest), False)

    def _able(self, kind: Kind, limit: float) -> Strategy | None:
        """Settle on a strategy of a kind; None if it needs more oversampling."""
        target, members = self._task.target, self._members(kind)
        if min(e.curve.needed(target)[0] for e in members) > limit:
            return None
        if kind not in self._settled and not self._promises(members, limit):
            return None
        chosen = self._settle(kind).chosen
        safe = self._evaluations[chosen].curve.needed(target)[2]
        return chosen if safe <= limit else None

    def _promises(self, members: list[Evaluation], limit: float) -> bool:
        """Whether the best at first sight reaches the target on all rows.

        A few queries say so before many compare it with the others.
        """
        best = max(members, key=lambda e: e.recall[0]).strategy
        self._measure_curve(best)
        return self._evaluations[best].curve.needed(self._task.target)[1] <= limit

    def _findings(
        self, chosen: Strategy, oversampling: float | None, reached: bool
    ) -> Findings:
        first_sight = {
            kind: choose({e.strategy: e.found for e in self._members(kind)}).chosen
            for kind in {kind_of(e.strategy) for e in self._allowed()}
            - {*self._settled}
        }
        return Findings(
            self._evaluations,
            self._settled,
            first_sight,
            chosen,
            oversampling,
            reached,
        )

    def _allowed(self) -> list[Evaluation]:
        return [e for s, e in self._evaluations.items() if s != LITERATURE]

    def _members(self, kind: Kind) -> list[Evaluation]:
        return [e for e in self._allowed() if kind_of(e.strategy) == kind]

    def _options(self) -> list[tuple[tuple[int, float], list[Kind]]]:
        """List bytes per row and largest oversampling, with kinds, cheapest first.

        A search without reranking (oversampling 1) needs no vectors.
        """
        options: dict[tuple[int, float], list[Kind]] = {}
        for kind in dict.fromkeys(kind_of(e.strategy) for e in self._allowed()):
            code = self._task.code_bytes[kind]
            with_vectors = code + self._task.vector_bytes
            for n_bytes, limit in ((code, 1.0), (with_vectors, MAX_OVERSAMPLING)):
                options.setdefault((n_bytes, limit), []).append(kind)
        return sorted(options.items())

    def _settle(self, kind: Kind) -> Settled:
        """Choose among strategies of equal memory, on all rows."""
        if kind not in self._settled:
            first = {e.strategy: e.recall[0] for e in self._members(kind)}
            running = finalists(first)
            _log.info("comparing %d strategies on all queries", len(running))
            settled = (
                settle(running, self._of_queries, self._of_rows)
                if self._task.own_queries
                else settle(running, self._of_all)
            )
            self._settled[kind] = settled
            for strategy, found in settled.found.items():
                self._evaluations[strategy] = replace(
                    self._evaluations[strategy],
                    recall=mean_interval(found, CONFIDENCE),
                    found=found,
                    n_rows=len(self._whole.rows),
                )
            self._measure_curve(settled.chosen)
        return self._settled[kind]

    def _of_queries(self, running: list[Strategy]) -> Batches:
        return self._batches(running, self._whole, len(self._whole.queries))

    def _of_rows(self, running: list[Strategy]) -> Batches:
        rows = RowsAsking(self._whole)
        return self._batches(running, rows, min(len(rows.rows), _MOST_ASKING))

    def _of_all(self, running: list[Strategy]) -> Batches:
        """Let held-out rows ask, and then the others: they are of one kind."""
        yield from self._of_queries(running)
        rows = RowsAsking(self._whole)
        left = max(_MOST_ASKING - len(self._whole.queries), 0)
        yield from self._batches(running, rows, min(len(rows.rows), left))

    def _batches(self, running: list[Strategy], bench: Bench, count: int) -> Batches:
        depth = np.array([self._task.n_neighbors])
        size = min(_BATCH, max(_BATCH_SCORES // len(bench.rows), 1))
        for some in fixed_blocks(count, size):
            truth = bench.truth(some)
            yield {s: truth.found(bench.scores(s, some), depth)[:, 0] for s in running}

    def _measure_curve(self, strategy: Strategy) -> None:
        if strategy in self._measured:
            return
        self._measured.add(strategy)
        _log.info("recall by oversampling: %s", strategy.words)
        some = slice(0, _CURVE_QUERIES)
        scores = self._whole.scores(strategy, some)
        curve = recall_curve(
            self._whole.truth(some), scores, self._grid, self._task.expected_rows
        )
        self._evaluations[strategy] = replace(self._evaluations[strategy], curve=curve)


def predict_fidelities(findings: Findings, bench: Bench, metric: str) -> None:
    """Predict the fidelity of the best strategy of each kind, from moments.

    The law is that of the rows' moments (:class:`skbq.theory.RowLaw`). There is no
    prediction under "euclidean", nor from fewer than 20 rows.
    """
    rows = np.asarray(bench.rows[:_LAW_ROWS], dtype=np.float64)
    if metric == "euclidean" or len(rows) < _FEWEST_LAW_ROWS:
        return
    mean, covariance = rows.mean(axis=0), np.atleast_2d(np.cov(rows.T, bias=True))
    sample = rows[:_LAW_SAMPLE]
    law = RowLaw.fit(mean, covariance, len(rows), sample=sample, metric=metric)
    laws = {False: law, True: law.rotated(bench.rotation.matrix())}
    best = {k: settled.chosen for k, settled in findings.settled.items()}
    for strategy in {**findings.first_sight, **best}.values():
        _log.info("predicting fidelity: %s", strategy.words)
        quantizer = strategy.make_quantizer(rotate=False)
        law = laws[strategy.rotated]
        predicted = law.predict(quantizer, query=strategy.query).predicted.spearman
        findings.evaluations[strategy] = replace(
            findings.evaluations[strategy], predicted_fidelity=predicted
        )


def relative_speeds(bench: Bench, kinds: list[Kind]) -> dict[Kind, float]:
    """Measure queries per second, as multiples of exact search in floats.

    The plain code of each kind searches up to 20,000 rows without reranking, on all
    processors, after compilation.
    """
    rows, queries = (
        np.where(x.any(axis=1, keepdims=True), x, 1)  # an index refuses zeros
        for x in (bench.rows[:_SPEED_ROWS], bench.queries[:_SPEED_QUERIES])
    )
    k = bench.n_neighbors

    def exact() -> Any:
        return best_rows(similarities(queries, rows, bench.metric), k)

    exact_s = _after_compilation(exact)
    speeds = {}
    for kind in kinds:
        index = make_index(Strategy(*kind), k, metric=bench.metric, n_jobs=-1).fit(rows)
        speeds[kind] = exact_s / _after_compilation(partial(index.kneighbors, queries))
    return speeds


def _after_compilation(function: Callable[[], Any]) -> float:
    function()
    return timed(function, at_least=_SPEED_SECONDS)[0]
