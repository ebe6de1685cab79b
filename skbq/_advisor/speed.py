"""How fast codes are searched, beside exact search of the vectors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from .._quantization.strategy import Strategy
from .._utils.similarity import scaled_rows
from .bench import VectorSet
from .candidates import Kind, kind_of

# Queries, and rows that they search at most.
_N_QUERIES = 64
_MAX_ROWS = 20_000
# All kinds of search take turns, so that other programs disturb them alike: so many
# rounds. All rounds together are to take that long, in which searches are repeated.
_ROUNDS = 7
_SECONDS = 1.5


@dataclass(frozen=True)
class RelativeSpeed:
    """Queries per second, as multiples of exact search in floats.

    Attributes
    ----------
    median, low, high : float
        Of the rounds that were measured; the lowest and the highest of them.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.2g}-{self.high:.2g}x"


def relative_speeds(
    rows: VectorSet,
    queries: VectorSet,
    n_neighbors: int,
    strategies: Iterable[Strategy],
) -> dict[Kind, RelativeSpeed]:
    """Measure the search of codes without reranking, after compilation.

    One strategy of each kind searches up to 20,000 rows on all processors, without the
    rotation of its queries.

    Parameters
    ----------
    rows, queries : VectorSet
    n_neighbors : int
    strategies : iterable of Strategy
        The first of each kind is taken, which the rows may be indexed by already.
    """
    if len(rows) > _MAX_ROWS:
        first = rows.vectors[:_MAX_ROWS]
        rows = VectorSet(first, rows.metric, rows.rotation, learned=rows)
    searches: dict[Kind | None, Callable[[], object]] = {
        None: partial(
            _exact_search,
            scaled_rows(rows.vectors, rows.metric),
            scaled_rows(queries.vectors[:_N_QUERIES], rows.metric),
            n_neighbors,
            rows.metric,
        )
    }
    for strategy in strategies:
        index = rows.index(strategy)
        asked = queries.seen_by(strategy)[:_N_QUERIES]
        searches.setdefault(
            kind_of(strategy), partial(index.kneighbors, asked, n_neighbors)
        )
    for search in searches.values():
        search()  # compiles
    long = _SECONDS / (_ROUNDS * len(searches))
    rounds = [
        {kind: _seconds(search, long) for kind, search in searches.items()}
        for _ in range(_ROUNDS)
    ]
    speeds = {}
    for name in searches:
        if name is not None:
            ratios = [seconds[None] / seconds[name] for seconds in rounds]
            speeds[name] = RelativeSpeed(
                float(np.median(ratios)), min(ratios), max(ratios)
            )
    return speeds


def _seconds(search: Callable[[], object], long: float) -> float:
    """Return the mean seconds of a search, repeated for so long."""
    start, count = perf_counter(), 0
    while (seconds := perf_counter() - start) < long or not count:
        search()
        count += 1
    return seconds / count


def _exact_search(
    rows: np.ndarray, queries: np.ndarray, n_neighbors: int, metric: str
) -> np.ndarray:
    """Search by one matrix product in the type of the vectors, as floats are best."""
    near = rows @ queries.T
    if metric == "euclidean":
        near -= np.einsum("ij,ij->i", rows, rows)[:, np.newaxis] / 2
    place = len(rows) - n_neighbors
    best = np.argpartition(near, place, axis=0)[place:]
    return np.take_along_axis(best, np.argsort(np.take_along_axis(near, best, 0), 0), 0)
