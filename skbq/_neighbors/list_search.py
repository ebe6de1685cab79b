"""Search in inverted lists: which lists a query probes, and their nearest rows.

A query probes so many lists, or lists with so many rows. It goes on to further ones
while fewer rows count than are wanted. What it finds depends on the rows of the lists
that it probes, and on nothing else: not on other queries, on threads, or on whether
added rows have been listed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .._kernels.dispatch import ListScan
from .._kernels.inverted_lists import ListedRows, Probed
from .._kernels.list_ranking import ListQueries
from .._kernels.result_heap import Allowed, Found, sort_heaps
from .._utils.parallel import map_slices
from .brute_force import (
    EVERY_ROW,
    Comparison,
    Eligible,
    Neighbors,
    batches,
    count_queries_of,
    empty_heaps,
    nothing_found,
)
from .inverted_lists import Lists


@dataclass(frozen=True)
class Probes:
    """How many lists a query probes.

    Attributes
    ----------
    n_lists : int
        At most so many,
    budget : int or None
        and until so many rows are in them.
    """

    n_lists: int
    budget: int | None = None


@dataclass(frozen=True)
class RankedLists:
    """The lists that queries probe, ranked elsewhere: these and no further ones.

    Attributes
    ----------
    order : int32 array of shape (n_queries, n_wanted)
    stop : int64 array of shape (n_queries,)
        How many of them each query probes.
    """

    order: np.ndarray
    stop: np.ndarray

    def __getitem__(self, queries: slice) -> Self:
        return type(self)(self.order[queries], self.stop[queries])


def nearest_in_lists(
    comparison: Comparison,
    ranked_by: Callable[[slice], ListQueries],
    lists: Lists,
    segments: Sequence[ListedRows],
    probes: Probes | RankedLists | None,
    k: int,
    eligible: Eligible = EVERY_ROW,
    *,
    n_jobs: int | None = None,
) -> Neighbors:
    """Find the k nearest rows of every query in the lists that it probes.

    Parameters
    ----------
    comparison : Comparison
        Of codes as they are stored.
    ranked_by : callable
        Gives what lists are ranked by for some queries; not called where all lists are
        probed, or where they were ranked elsewhere.
    lists : Lists
    segments : sequence of ListedRows
        The rows in them.
    probes : Probes, RankedLists or None
        None: all lists.
    k : int, at least 1
    eligible : Eligible
    n_jobs : int, default=None

    Returns
    -------
    neighbors : Neighbors
        Equal distances in order of rows.
    """
    found = nothing_found(comparison.n_queries, k)
    size = count_queries_of(comparison.codes)

    def search(part: slice) -> None:
        for some in batches(part, size):
            if isinstance(probes, RankedLists):
                ranked = _Ranked.given(lists, probes[some])
            elif probes is None:
                ranked = _Ranked.all_of(lists, some.stop - some.start)
            else:
                ranked = _Ranked(lists, ranked_by(some), probes)
            scan = comparison.list_scan(some)
            allowed = eligible.numbered(some)
            distances, rows = found.distances[some], found.rows[some]
            _search_batch(ranked, scan, segments, allowed, empty_heaps(distances, rows))
            if scan.units is not None:
                distances[:] = scan.units.distances(distances)

    map_slices(search, comparison.n_queries, n_jobs)
    return found


class _Ranked:
    """The lists of some queries in the order in which they are probed.

    ``stop``: int64 (n_queries,), how many of them each query probes.
    """

    def __init__(self, lists: Lists, queries: ListQueries, probes: Probes) -> None:
        self._queries, self.lists, self.goes_on = queries, lists, True
        self.order, self.stop = lists.rank(queries, probes.n_lists, probes.budget)

    @classmethod
    def all_of(cls, lists: Lists, n_queries: int) -> Self:
        """Return all lists, which are probed in any order."""
        order = np.tile(np.arange(len(lists), dtype=np.int32), (n_queries, 1))
        return cls.given(lists, RankedLists(order, np.full(n_queries, len(lists))))

    @classmethod
    def given(cls, lists: Lists, given: RankedLists) -> Self:
        """Return lists that were ranked elsewhere."""
        ranked = cls.__new__(cls)
        ranked.lists, ranked.goes_on = lists, False
        ranked.order, ranked.stop = given.order, given.stop
        return ranked

    def rank_all(self, queries: np.ndarray) -> None:
        """Rank all lists, of some queries."""
        order = np.zeros((len(self.order), len(self.lists)), np.int32)
        some = self._queries.of(queries)
        order[queries] = self.lists.rank(some, len(self.lists))[0]
        self.order = order


def _search_batch(
    ranked: _Ranked,
    scan: ListScan,
    segments: Sequence[ListedRows],
    allowed: Allowed,
    heaps: Found,
) -> None:
    """Search the lists of some queries."""
    probed = Probed(ranked.order, np.zeros(len(ranked.stop), np.int64), ranked.stop)
    for segment in segments:
        scan.run_lists(segment, probed, allowed, heaps)
    if ranked.goes_on:
        _go_on(ranked, scan, segments, allowed, heaps)
    sort_heaps(heaps)


def _go_on(
    ranked: _Ranked,
    scan: ListScan,
    segments: Sequence[ListedRows],
    allowed: Allowed,
    heaps: Found,
) -> None:
    """Search further lists, one at a time, where fewer than k rows count.

    So more probes never end with fewer lists.
    """
    n_lists, done, has_all = len(ranked.lists), ranked.stop, False
    # That no row is missing is the rule, and soon seen.
    while (last := heaps.rows[heaps.starts[:-1]]).min() < 0:
        missing = (last < 0) & (done < n_lists)
        if not missing.any():
            return
        if not has_all:
            ranked.rank_all(np.flatnonzero(missing))
            has_all = True
        stop = np.where(missing, np.minimum(done + 1, n_lists), done)
        for segment in segments:
            scan.run_lists(segment, Probed(ranked.order, done, stop), allowed, heaps)
        done = stop
