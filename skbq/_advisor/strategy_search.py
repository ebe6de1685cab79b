"""Which strategy: screen all, shortlist, compare, measure recall curves, choose.

Each step takes what the one before hands on. :func:`find_strategy` is the whole course.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._quantization.strategy import LITERATURE, Strategy
from .._utils.estimate import Estimate, mean_estimate
from .._utils.parallel import fixed_blocks
from ..metrics._intervals import fidelity_estimate
from .bench import Bench, VectorSet
from .candidates import Kind, bytes_per_row, kind_of
from .choice import MAX_OVERSAMPLING, Choice, Task, choose_option
from .paired_comparison import (
    PairedComparison,
    Recalls,
    compare_groups,
    finalists,
)
from .predicted_fidelity import predict_fidelities
from .recall_curve import (
    CONFIDENCE,
    NEARLY,
    Curve,
    Depths,
    oversampling_grid,
    predicted_curve,
    supported_rows,
)

# The screening: rows and queries.
SCREEN_ROWS = 4000
_SCREEN_QUERIES = 100
_FIDELITY_ROWS = 1000
# Queries that are measured between two looks at what is known.
_BATCH = 1000
# Where queries are too few to tell strategies apart: leave-one-out queries in all.
_MOST_LEFT_OUT = 4000
# Recall curves on rows that do not fit into memory: as many queries as take so many
# multiplications for their exact neighbors (some ten seconds), at least these.
_CURVE_PRODUCTS = 2e11
_FEWEST_CURVE_QUERIES = 200
# Up to that many times such rows, recall is measured with fewer neighbors, before a
# prediction takes over, which rests on the rows in memory alone.
_MOST_TIMES = 3.0
# Scores of a prediction: 160 MB in float64.
_PREDICTION_PAIRS = 20_000_000
_PREDICTION_QUERIES = 300

# Rows that do not fit into memory: budgets beyond the fewest bytes that may do.
_MORE_BUDGETS = 2

_log = logging.getLogger("skbq")


@dataclass(frozen=True)
class Evaluation:
    """What is known of one strategy.

    Attributes
    ----------
    strategy : Strategy
    fidelity : Estimate
        Measured in the screening.
    recall : Estimate
        Without reranking, measured on ``n_rows`` rows in memory and ``n_queries``
        queries.
    n_rows, n_queries : int
    curve : Curve
        Recall by oversampling on all rows that will be searched, as far as it is known.
    compared : bool
        Whether it was measured beyond the screening.
    predicted_fidelity : float
        NaN where it was not computed.
    """

    strategy: Strategy
    fidelity: Estimate
    recall: Estimate
    n_rows: int
    n_queries: int
    curve: Curve
    compared: bool = False
    predicted_fidelity: float = float("nan")


Evaluations = dict[Strategy, Evaluation]


@dataclass(frozen=True)
class Findings:
    """What the search for a strategy found.

    Attributes
    ----------
    evaluations : dict of Strategy to Evaluation
    comparisons : dict of Kind to PairedComparison
        Among strategies of equal memory.
    choice : Choice
    """

    evaluations: Evaluations
    comparisons: dict[Kind, PairedComparison]
    choice: Choice


def find_strategy(
    bench: Bench, data: Bench, strategies: Sequence[Strategy], task: Task
) -> Findings:
    """Measure strategies and choose one.

    Parameters
    ----------
    bench : Bench
        A sample of the rows, in memory.
    data : Bench
        All rows that are searched: ``bench``, or a :class:`DataBench` of more.
    strategies : sequence of Strategy
    task : Task
    """
    evaluations = screen(bench, data, strategies, task)
    comparisons = compare(bench, shortlist(evaluations), own_queries=task.own_queries)
    evaluations |= compared_evaluations(evaluations, comparisons, bench.n_rows)
    chosen = [comparison.chosen for comparison in comparisons.values()]
    if data is not bench:
        chosen = worth_reading(chosen, evaluations, task)
    curves = measure_curves(bench, data, chosen, task)
    for s, curve in curves.items():
        evaluations[s] = replace(evaluations[s], curve=curve)
    code_bytes = {s: bytes_per_row(s, task.n_features, task.metric) for s in chosen}
    return Findings(evaluations, comparisons, choose_option(curves, code_bytes, task))


def screen(
    bench: Bench, data: Bench, strategies: Sequence[Strategy], task: Task
) -> Evaluations:
    """Take a first look at every strategy, on a hundred queries."""
    _log.info(
        "screening %d strategies (search is compiled on first use)",
        len(strategies),
        extra={"done": 0.1},
    )
    if data is not bench or task.expected_rows > NEARLY * bench.n_rows:
        bench = bench.first(SCREEN_ROWS)
    queries = slice(0, min(_SCREEN_QUERIES, len(bench.queries)))
    depths = _depths(bench, task)
    deepest = int(depths.candidates.max())
    search = bench.search(strategies, queries, max(deepest, task.n_neighbors))
    pairs = slice(0, _FIDELITY_ROWS)
    true = -bench.distances(queries, pairs)
    evaluations = {}
    for number, s in enumerate(strategies, 1):
        done = 0.3 + 0.2 * number / len(strategies)
        _log.info(
            "looking at %d of %d: %s",
            number,
            len(strategies),
            s.words,
            extra={"done": done},
        )
        recalls = search.recalls(s, np.array([task.n_neighbors]))[:, 0]
        by_depth = search.recalls(s, depths.candidates, depths.n_neighbors)
        evaluations[s] = Evaluation(
            s,
            fidelity_estimate(true, bench.scores(s, queries, pairs), CONFIDENCE),
            mean_estimate(recalls, CONFIDENCE, bounds=(0, 1)),
            bench.n_rows,
            len(recalls),
            carried_curve(bench, s, queries, depths.curve(by_depth), task),
        )
    return evaluations


def shortlist(evaluations: Evaluations) -> list[list[Strategy]]:
    """Pick those of each kind that may turn out to be the best of it."""
    kinds: dict[Kind, dict[Strategy, float]] = {}
    for s, evaluation in evaluations.items():
        if s != LITERATURE:  # measured for comparison only
            kinds.setdefault(kind_of(s), {})[s] = evaluation.recall.value
    return [finalists(members) for members in kinds.values()]


def compare(
    bench: Bench, groups: Sequence[list[Strategy]], *, own_queries: bool
) -> dict[Kind, PairedComparison]:
    """Compare strategies of equal memory, on as many queries as that takes."""
    left_out = bench.leaving_one_out()
    most = min(len(left_out.queries), _MOST_LEFT_OUT)

    def of_queries(running: list[Strategy]) -> Iterator[Recalls]:
        return _batches(running, bench, len(bench.queries))

    def of_rows(running: list[Strategy]) -> Iterator[Recalls]:
        return _batches(running, left_out, most)

    def of_both(running: list[Strategy]) -> Iterator[Recalls]:
        """Held-out rows first, and then the others: they are of one kind."""
        yield from of_queries(running)
        left = max(_MOST_LEFT_OUT - len(bench.queries), 0)
        yield from _batches(running, left_out, min(most, left))

    compared = (
        compare_groups(groups, of_queries, of_rows)
        if own_queries
        else compare_groups(groups, of_both)
    )
    return {kind_of(c.chosen): c for c in compared}


def _batches(
    running: list[Strategy], bench: Bench, n_queries: int
) -> Iterator[Recalls]:
    k = bench.n_neighbors
    for queries in fixed_blocks(n_queries, _BATCH):
        _log.info("comparing %d strategies", len(running), extra={"done": 0.5})
        search = bench.search(running, queries, k)
        yield {s: search.recalls(s, np.array([k]))[:, 0] for s in running}


def compared_evaluations(
    evaluations: Evaluations, comparisons: dict[Kind, PairedComparison], n_rows: int
) -> Evaluations:
    """Put recalls of the comparison where those of the screening were."""
    recalls = {s: r for c in comparisons.values() for s, r in c.recalls.items()}
    return {
        s: replace(
            evaluations[s],
            recall=mean_estimate(found, CONFIDENCE, bounds=(0, 1)),
            n_rows=n_rows,
            n_queries=len(found),
            compared=True,
        )
        for s, found in recalls.items()
    }


def worth_reading(
    chosen: Sequence[Strategy], evaluations: Evaluations, task: Task
) -> list[Strategy]:
    """Pick what is measured on rows that are read and encoded block by block.

    Of codes of principal axes, where one more takes as long again: around the fewest
    bytes that may reach the target.
    """
    kept = [s for s in chosen if not s.is_pca]
    for is_linear in (True, False):
        family = [s for s in chosen if s.is_pca and s.is_linear_map is is_linear]
        family.sort(key=lambda s: s.width(task.n_features))
        able = [
            number
            for number, s in enumerate(family)
            if evaluations[s].curve.needed(task.target).hopeful <= MAX_OVERSAMPLING
        ]
        first = min(able, default=len(family) - 1)
        kept += family[max(first - 1, 0) : first + _MORE_BUDGETS + 1]
    return kept


def measure_curves(
    bench: Bench, data: Bench, strategies: Sequence[Strategy], task: Task
) -> dict[Strategy, Curve]:
    """Measure recall by oversampling on all rows that are searched.

    All queries ask where the rows are in memory, else as many as a few minutes allow.
    """
    in_memory = data is bench
    depths = _depths(data, task, most_times=NEARLY if in_memory else _MOST_TIMES)
    n_queries = len(bench.queries)
    if not in_memory:
        affordable = int(_CURVE_PRODUCTS / (data.n_rows * task.n_features))
        affordable = max(min(affordable, _BATCH), _FEWEST_CURVE_QUERIES)
        n_queries = min(n_queries, affordable)
    _log.info(
        "recall by oversampling on %s rows", f"{data.n_rows:,}", extra={"done": 0.75}
    )
    recalls: dict[Strategy, list[np.ndarray]] = {s: [] for s in strategies}
    for queries in fixed_blocks(n_queries, _BATCH):
        search = data.search(strategies, queries, int(depths.candidates.max()))
        for s, found in recalls.items():
            found.append(search.recalls(s, depths.candidates, depths.n_neighbors))
    everything = slice(0, n_queries)
    return {
        s: carried_curve(
            bench, s, everything, depths.curve(np.concatenate(found)), task
        )
        for s, found in recalls.items()
    }


def _depths(bench: Bench, task: Task, **limit: float) -> Depths:
    # To rerank more than half of the rows is no search by codes.
    most = max(bench.n_rows // 2, task.n_neighbors)
    grid = oversampling_grid(task.n_neighbors, min(most, task.expected_rows))
    return Depths.of(grid, task.n_neighbors, bench.n_rows, task.expected_rows, **limit)


def carried_curve(
    bench: Bench, strategy: Strategy, queries: slice, measured: Curve, task: Task
) -> Curve:
    """Carry a curve to the rows that are expected, if the sample supports that.

    Parameters
    ----------
    bench : Bench
        The sample from which recall on more rows is predicted.
    strategy : Strategy
    queries : slice
        Queries to predict from, or the first of them.
    measured : Curve
        On the rows that there are.
    task : Task

    Returns
    -------
    curve : Curve
        ``measured`` if it holds for ``expected_rows`` already, or if nothing can be
        said of them.
    """
    k, n_rows = task.n_neighbors, len(bench.rows)
    supported = supported_rows(n_rows, k)
    if not measured.n_rows < task.expected_rows <= supported or len(bench.queries) < 2:
        return measured
    most = min(_PREDICTION_QUERIES, max(_PREDICTION_PAIRS // n_rows, 2))
    some = slice(0, min(queries.stop, most))
    rows = slice(0, n_rows)
    predicted = predicted_curve(
        -bench.distances(some, rows),
        bench.scores(strategy, some, rows),
        measured.oversampling,
        k,
        task.expected_rows,
    ).at_most(measured)
    return measured if predicted.says_nothing else predicted


def supported_by(bench: Bench, data: Bench, task: Task) -> int:
    """Return the largest number of rows that recall can be told for."""
    if data is bench:
        return supported_rows(len(bench.rows), task.n_neighbors)
    return max(
        supported_rows(len(bench.rows), task.n_neighbors),
        int(_MOST_TIMES * data.n_rows),
    )


def with_predictions(findings: Findings, rows: VectorSet) -> Findings:
    """Add the predicted fidelity of the strategy chosen for each kind."""
    chosen = [comparison.chosen for comparison in findings.comparisons.values()]
    predicted = predict_fidelities(chosen, rows)
    evaluations = findings.evaluations | {
        s: replace(findings.evaluations[s], predicted_fidelity=value)
        for s, value in predicted.items()
    }
    return replace(findings, evaluations=evaluations)
