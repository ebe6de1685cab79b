"""Inverted lists: rows whose codes are alike stand side by side.

Lists are learned from codes alone, by k-means on whole numbers in two levels:
*parents*, and the lists of each. A row belongs to the nearest list of the parents that
are nearest to its code; a query probes first the list that a row of its code would be
in, and then others from near to far. All of it is exact arithmetic, so that lists are
the same bytes for any number of threads and any machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import NamedTuple, Self

import numpy as np

from .._kernels.dispatch import bits_of_nibbles, lines_of_lists
from .._kernels.inverted_lists import ListedRows
from .._kernels.list_ranking import (
    WEIGHT_PARTS,
    ListQueries,
    ListTree,
    assign_rows,
    fill_whole_values,
    nearest_centroid,
    rank_lists,
    round_queries,
    sum_values,
)
from .._kernels.memory import read_only
from .._kernels.simd import BLOCK
from .._kernels.tiles import count_lines, tile_width
from .._utils.parallel import fixed_blocks, map_slices
from ..codes import CodeArray, MixedDepths, code_bytes

# Lists of all rows as a multiple of the square root of their number, and the fewest
# rows that a list has on average: for shorter ones reading a query's tables costs more
# than comparing rows.
_LISTS_PER_ROOT = 4
_FEWEST_ROWS = 64
# Rows that a list learns from on average, and those that a parent does.
_SAMPLE_ROWS = 32
_PARENT_SAMPLE_ROWS = 256
# More lists than these are in two levels.
_ONE_LEVEL = 256
_ITERATIONS = 8
# Longer lists are split, as multiples of the mean: in the sample, which is smaller, and
# among all rows.
_LONG_IN_SAMPLE = 1.5
_LONG = 2.0
# Rounds of splitting lists of all rows, each of which compares all rows again.
_SPLITTING_ROUNDS = 2
# A row is in the nearest list of so many parents.
NEAR_PARENTS = 4
# More than all rows.
_NO_BUDGET = 2**62
# The largest number that centroids hold.
_LARGEST = 127
# Levels that are such numbers, or fewer, stay as they are; others are scaled to more.
_SMALL_LEVEL = 15
# Rows whose values are unpacked at a time.
_BLOCK_ROWS = 2048


def whole_values(codes: CodeArray) -> np.ndarray:
    """Return the values of codes as whole numbers of at most 127.

    Levels that are small whole numbers stay. Others are scaled to 127 and rounded.

    Returns
    -------
    values : int8 array of shape (n_rows, n_values)
    """
    layout = codes.layout
    assert layout is not None
    if isinstance(layout, MixedDepths):
        values = codes.unpack()
        values *= np.float32(_value_factor(codes)[0])
        np.rint(values, out=values)
        return values.astype(np.int8, order="C")
    low, high = _whole_levels(layout.levels)
    whole = np.empty((len(codes), layout.n_values), np.int8)
    fill_whole_values(read_only(code_bytes(codes)), layout.bits, low, high, whole)
    return whole


@lru_cache
def _whole_levels(levels: tuple[float, float] | None) -> tuple[int, int]:
    """Return the levels of codes of one or two bits as whole numbers."""
    pair = np.array(levels or (1.0, 1.0))
    factor = _plane_factor(levels)[0]
    low, high = np.rint(pair.astype(np.float32) * np.float32(factor))
    return int(low), int(high)


@lru_cache
def _plane_factor(levels: tuple[float, float] | None) -> tuple[float, int]:
    """Do what :func:`_value_factor` does for codes of one or two bits."""
    pair = np.array(levels or (1.0, 1.0))
    largest = float(pair.max())
    if largest <= _SMALL_LEVEL and (pair == np.rint(pair)).all():
        return 1.0, int(largest)
    return _LARGEST / largest, _LARGEST


def list_queries(codes: CodeArray, vectors: np.ndarray | None = None) -> ListQueries:
    """Return what lists are ranked by for queries.

    Parameters
    ----------
    codes : CodeArray of shape (n_queries, width)
        Their codes.
    vectors : float32 array of shape (n_queries, n_values), default=None
        What the values of rows' codes are multiplied with, by which lists are ranked
        better than by codes; None: codes are all that is known.
    """
    values, scale = whole_values(codes), _centroid_scale(codes)
    if vectors is None:
        weights = np.full(len(values), scale * WEIGHT_PARTS)
        return ListQueries(values, values, weights)
    rounded, weights = np.empty_like(values), np.empty(len(values), np.int64)
    round_queries(read_only(vectors), values, scale, rounded, weights)
    return ListQueries(values, rounded, weights)


def _centroid_scale(codes: CodeArray) -> int:
    """Return how many times means of values centroids are."""
    return _LARGEST // _value_factor(codes)[1]


def _value_factor(codes: CodeArray) -> tuple[float, int]:
    """Return what values are multiplied by, and the largest whole number then."""
    layout = codes.layout
    assert layout is not None
    if not isinstance(layout, MixedDepths):
        return _plane_factor(layout.levels)
    largest = layout.largest_value
    return _LARGEST / largest if largest > 0 else 1.0, _LARGEST


def choose_n_lists(n_rows: int) -> int:
    """Return the number of lists for so many rows, a power of two."""
    wanted = min(_LISTS_PER_ROOT * n_rows**0.5, n_rows / _FEWEST_ROWS)
    return 1 << max(0, round(float(np.log2(max(wanted, 1.0)))))


_NO_LINES = np.empty((0, 0, 0), np.uint8)
_NO_BLOCKS = read_only(np.empty(0, np.int64))


# Learning.


class _Centroids(NamedTuple):
    """``values``: int8 (n, n_values); ``squares``: int64 (n,), their squared norms."""

    values: np.ndarray
    squares: np.ndarray


def _as_centroids(values: np.ndarray) -> _Centroids:
    wide = values.astype(np.int64)
    squares = (wide * wide).sum(axis=1)
    # Read-only, as those of a file are: kernels are compiled for one type of array.
    return _Centroids(read_only(values.astype(np.int8, copy=False)), read_only(squares))


@dataclass(frozen=True)
class _Clustering:
    """k-means on whole numbers; centroids are ``scale`` times means, rounded."""

    scale: int

    def learn(
        self, values: np.ndarray, n: int, random_state: np.random.RandomState
    ) -> np.ndarray:
        """Return centroids of at most n clusters, int8 (n_clusters, n_values)."""
        n = min(n, len(values))
        first = random_state.permutation(len(values))[:n]
        centroids = (self.scale * values[first]).astype(np.int8)
        for _ in range(_ITERATIONS if n > 1 else 1):
            moved = self._means(values, self.nearest(values, centroids), len(centroids))
            if np.array_equal(moved, centroids):
                break
            centroids = moved
        return centroids

    def nearest(self, values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        """Return the number of the nearest centroid of each row."""
        numbers = np.empty(len(values), np.int64)
        nearest_centroid(values, *_as_centroids(centroids), self.scale, numbers)
        return numbers

    def _means(self, values: np.ndarray, numbers: np.ndarray, n: int) -> np.ndarray:
        """Return the centroids of clusters, without those that have no rows."""
        sums, counts = np.zeros((n, values.shape[1]), np.int64), np.zeros(n, np.int64)
        sum_values(values, numbers, sums, counts)
        there = counts > 0
        means = self.scale * sums[there] / counts[there, np.newaxis]
        return np.rint(means).astype(np.int8)

    def split(
        self, values: np.ndarray, most: float, random_state: np.random.RandomState
    ) -> list[np.ndarray]:
        """Halve rows until no part has more than ``most``, or its rows are alike."""
        waiting, done = [np.arange(len(values))], []
        while waiting:
            rows = waiting.pop()
            pair = self.learn(values[rows], 2, random_state)
            numbers = self.nearest(values[rows], pair)
            sizes = np.bincount(numbers, minlength=len(pair))
            if len(pair) == 1 or sizes.min() == 0:
                alone = np.zeros(len(rows), np.int64)
                done.append(self._means(values[rows], alone, 1)[0])
                continue
            for number, centroid in enumerate(pair):
                if sizes[number] > most:
                    waiting.append(rows[numbers == number])
                else:
                    done.append(centroid)
        return done


def learn_lists(
    codes: CodeArray,
    n_lists: int,
    random_state: np.random.RandomState,
    n_jobs: int | None = None,
    order: np.ndarray | None = None,
) -> "Lists":
    """Learn lists and put rows into them.

    Parameters
    ----------
    codes : CodeArray of shape (n_rows, width)
    n_lists : int
        About so many: long lists are split, and empty ones are left out.
    random_state : RandomState
    n_jobs : int, default=None
    order : int array of shape (n_rows,), default=None
        All rows in a random order; None: it is drawn first. Lists learn from the first
        of them. The last are those to measure recall with: a row that lists learned
        from is nearer to its centroid than any other row, and finds more.

    Returns
    -------
    lists : Lists
        Of all rows.
    """
    clustering = _Clustering(_centroid_scale(codes))
    n_sample = min(len(codes), max(_SAMPLE_ROWS * n_lists, _PARENT_SAMPLE_ROWS))
    if order is None:
        order = random_state.permutation(len(codes))
    some = np.sort(order[:n_sample])
    tree = _learn_tree(
        whole_values(codes[some]), n_lists, clustering, random_state, n_jobs
    )
    numbers = _assign(codes, tree, n_jobs)
    most = _LONG * len(codes) / n_lists
    for _ in range(_SPLITTING_ROUNDS):
        grown = _split_long(codes, tree, numbers, most, clustering, random_state)
        if len(grown.centroids) == len(tree.centroids):
            break
        tree, numbers = grown, _assign(codes, grown, n_jobs)
    tree, numbers = _without_empty(tree, numbers)
    return Lists.of_rows(tree, numbers)


def _learn_tree(
    values: np.ndarray,
    n_lists: int,
    clustering: _Clustering,
    random_state: np.random.RandomState,
    n_jobs: int | None,
) -> ListTree:
    """Learn parents, and lists of each from the rows that are nearest to it."""
    n_parents = round(n_lists**0.5) if n_lists > _ONE_LEVEL else 1
    few = values[: _PARENT_SAMPLE_ROWS * n_parents]
    if len(few) < len(values):
        few = values[random_state.permutation(len(values))[: len(few)]]
    parents = clustering.learn(few, n_parents, random_state)
    nearest = np.concatenate(
        map_slices(
            lambda part: clustering.nearest(values[part], parents), len(values), n_jobs
        )
    )
    seeds = random_state.randint(2**31, size=len(parents))
    per_list = len(values) / n_lists

    def learn(part: slice) -> list[np.ndarray]:
        return [
            _learn_children(
                values[nearest == p],
                per_list,
                clustering,
                np.random.RandomState(seeds[p]),
            )
            for p in range(part.start, part.stop)
        ]

    parts = map_slices(learn, len(parents), n_jobs)
    return _make_tree(parents, [c for part in parts for c in part], clustering.scale)


def _learn_children(
    values: np.ndarray,
    per_list: float,
    clustering: _Clustering,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Learn the lists of one parent, of about ``per_list`` rows each."""
    if len(values) == 0:
        return np.empty((0, values.shape[1]), np.int8)
    n = max(1, round(len(values) / per_list))
    centroids = clustering.learn(values, n, random_state)
    numbers = clustering.nearest(values, centroids)
    parts = []
    for number, centroid in enumerate(centroids):
        own = numbers == number
        if own.sum() > max(2.0, _LONG_IN_SAMPLE * per_list):
            most = max(1.0, _LONG_IN_SAMPLE * per_list)
            parts += clustering.split(values[own], most, random_state)
        else:
            parts.append(centroid)
    return np.array(parts)


def _make_tree(parents: np.ndarray, children: list[np.ndarray], scale: int) -> ListTree:
    starts = np.concatenate([[0], np.cumsum([len(c) for c in children])])
    return make_tree(parents, starts.astype(np.int64), np.concatenate(children), scale)


def make_tree(
    parents: np.ndarray, children: np.ndarray, centroids: np.ndarray, scale: int
) -> ListTree:
    """Return a tree of its arrays, as :class:`ListTree` names them."""
    of_lists = _as_centroids(centroids)
    return ListTree(*_as_centroids(parents), read_only(children), *of_lists, scale)


def _assign(codes: CodeArray, tree: ListTree, n_jobs: int | None) -> np.ndarray:
    """Return the list of each row, int64."""
    numbers = np.empty(len(codes), np.int64)

    def assign(part: slice) -> None:
        for some in _blocks(part):
            values = whole_values(codes[some])
            assign_rows(values, tree, NEAR_PARENTS, numbers[some])

    map_slices(assign, len(codes), n_jobs if len(codes) > _BLOCK_ROWS else 1)
    return numbers


def _blocks(part: slice) -> Iterator[slice]:
    for some in fixed_blocks(part.stop - part.start, _BLOCK_ROWS):
        yield slice(part.start + some.start, part.start + some.stop)


def _split_long(
    codes: CodeArray,
    tree: ListTree,
    numbers: np.ndarray,
    most: float,
    clustering: _Clustering,
    random_state: np.random.RandomState,
) -> ListTree:
    """Split the lists that have more than ``most`` rows, where these differ."""
    sizes = np.bincount(numbers, minlength=len(tree.centroids))
    if sizes.max() <= most:
        return tree
    order = np.argsort(numbers, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    children = []
    for first, stop in zip(tree.children[:-1], tree.children[1:], strict=True):
        own = []
        for number in range(first, stop):
            if sizes[number] <= most:
                own.append(tree.centroids[number])
                continue
            rows = order[starts[number] : starts[number + 1]]
            # A part of a list with very many rows has as many in a sample of them.
            n = min(len(rows), 16 * _PARENT_SAMPLE_ROWS)
            some = np.sort(random_state.permutation(len(rows))[:n])
            values = whole_values(codes[rows[some]])
            share = most * n / len(rows)
            own += clustering.split(values, max(1.0, share / 1.5), random_state)
        children.append(np.array(own).reshape(-1, tree.centroids.shape[1]))
    return _make_tree(tree.parents, children, tree.scale)


def _without_empty(tree: ListTree, numbers: np.ndarray) -> tuple[ListTree, np.ndarray]:
    """Leave out lists without rows; parents stay, for rows to be assigned alike."""
    there = np.bincount(numbers, minlength=len(tree.centroids)) > 0
    before = np.concatenate([[0], np.cumsum(there)])
    smaller = make_tree(
        tree.parents, before[tree.children], tree.centroids[there], tree.scale
    )
    return smaller, before[numbers]


# Rows in lists.


@dataclass(frozen=True)
class Lists:
    """Which rows are in which list. Changes give a new object.

    Codes of the *listed* rows are stored list after list. Rows that were added since
    are behind them, in order of their numbers, until so many come that all are listed
    again.

    Attributes
    ----------
    tree : ListTree
    starts : ndarray of shape (n_lists + 1,), dtype int64
        Where the listed rows of each list are stored.
    order : ndarray of shape (n_listed,), dtype uint32
        The number of each listed row, ascending in a list.
    added : ndarray of shape (n_added,), dtype uint32
        The list of each row behind them.
    """

    tree: ListTree
    starts: np.ndarray
    order: np.ndarray
    added: np.ndarray
    # The codes of listed rows as lines: they stay the same as rows are added.
    _lines: list[ListedRows] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of_rows(cls, tree: ListTree, numbers: np.ndarray) -> Self:
        """List all rows, given the list of each."""
        n_lists = len(tree.centroids)
        order = np.argsort(numbers, kind="stable").astype(np.uint32)
        sizes = np.bincount(numbers, minlength=n_lists)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(tree, starts, order, np.empty(0, np.uint32))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def n_rows(self) -> int:
        """Number of rows, added ones included."""
        return len(self.order) + len(self.added)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of rows of each list, added ones included."""
        return np.diff(self.starts) + np.bincount(self.added, minlength=len(self))

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        tree = sum(part.nbytes for part in self.tree if isinstance(part, np.ndarray))
        return tree + self.starts.nbytes + self.order.nbytes + self.added.nbytes

    @classmethod
    def of_sizes(cls, tree: ListTree, sizes: np.ndarray) -> Self:
        """Return lists that know how many rows they have, but not which.

        Many indexes share them: :meth:`rank` is all that they are for.
        """
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        unknown = np.broadcast_to(np.uint32(0), int(starts[-1]))
        return cls(tree, starts, unknown, np.empty(0, np.uint32))

    # Storage and numbers of rows.

    @cached_property
    def places(self) -> np.ndarray:
        """Where each listed row is stored."""
        places = np.empty(len(self.order), np.uint32)
        places[self.order] = np.arange(len(self.order), dtype=np.uint32)
        return places

    def places_of(self, rows: np.ndarray) -> np.ndarray:
        """Return where rows are stored, given their numbers."""
        rows, n = np.asarray(rows), len(self.order)
        listed = self.places[np.minimum(rows, n - 1)]
        return np.where(rows < n, listed, rows).astype(np.int64)

    def rows_at(self, places: np.ndarray) -> np.ndarray:
        """Return the numbers of rows, given where they are stored."""
        places, n = np.asarray(places), len(self.order)
        listed = self.order[np.minimum(places, n - 1)]
        return np.where(places < n, listed, places).astype(np.int64)

    def lists_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the list of each row, given their numbers."""
        places, n = self.places_of(rows), len(self.order)
        numbers = np.searchsorted(self.starts, places, side="right") - 1
        if len(self.added):
            later = self.added[np.maximum(places - n, 0)]
            numbers = np.where(places < n, numbers, later)
        return numbers

    @cached_property
    def segments(self) -> list[ListedRows]:
        """The rows of all lists, as scans take them."""
        starts, order = read_only(self.starts), read_only(self.order)
        segments = [ListedRows(starts, order, True, _NO_LINES, _NO_BLOCKS)]
        if len(self.added):
            order = np.argsort(self.added, kind="stable") + len(self.order)
            sizes = np.bincount(self.added, minlength=len(self))
            starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            rows = read_only(order.astype(np.uint32))
            starts = read_only(starts)
            segments.append(ListedRows(starts, rows, False, _NO_LINES, _NO_BLOCKS))
        return segments

    def segments_with_lines(self, codes: CodeArray) -> list[ListedRows]:
        """Return the same with the lines of codes, which are made once."""
        if not self._lines:
            first = self.segments[0]
            self._lines.append(lines_of_lists(codes, first, _line_bits(codes)))
        return [self._lines[0], *self.segments[1:]]

    def count_line_bytes(self, codes: CodeArray) -> int:
        """Return the memory that lines take, whether or not they were made."""
        n_blocks = int((-(-np.diff(self.starts) // BLOCK)).sum())
        width = codes.itemsize * codes.shape[1]
        n_lines = count_lines(width, _line_bits(codes))
        return n_blocks * BLOCK * int(tile_width(n_lines))

    def __getstate__(self) -> dict[str, object]:
        # What follows from the rest is not worth saving.
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**state, "_lines": []}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update({"_lines": [], **state})

    # Adding rows.

    def with_added(self, codes: CodeArray, n_jobs: int | None = None) -> Self:
        """Add rows behind the others, each to its nearest list."""
        self._refuse_no_tree()
        numbers = _assign(codes, self.tree, n_jobs).astype(np.uint32)
        return replace(self, added=np.concatenate([self.added, numbers]))

    def merged(self) -> Self:
        """List the rows that were added with the others, by their numbers."""
        numbers = np.empty(self.n_rows, np.int64)
        numbers[self.order] = np.repeat(np.arange(len(self)), np.diff(self.starts))
        numbers[len(self.order) :] = self.added
        return self.of_rows(self.tree, numbers)

    # Probing.

    def rank(
        self, queries: ListQueries, n_wanted: int, budget: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the lists that queries probe, in that order.

        Parameters
        ----------
        queries : ListQueries
            As :func:`list_queries` gives them.
        n_wanted : int
            The most lists of a query.
        budget : int, default=None
            The lists end with that by which so many rows are in them; None: all.

        Returns
        -------
        lists : int32 array of shape (n_queries, n_wanted)
        counts : int64 array of shape (n_queries,)
            How many of them count.
        """
        self._refuse_no_tree()
        n = len(queries.weights)
        lists = np.empty((n, min(n_wanted, len(self))), np.int32)
        counts = np.empty(n, np.int64)
        rows = _NO_BUDGET if budget is None else budget
        rank_lists(queries, self.tree, NEAR_PARENTS, self.sizes, rows, lists, counts)
        return lists, counts

    def _refuse_no_tree(self) -> None:
        """Refuse what the lists of a shard cannot do.

        Raises
        ------
        ValueError
        """
        if not len(self.tree.centroids):
            raise ValueError(
                "This file is a shard of an index, whose lists are in another file: "
                "open the folder by ShardedNeighbors.load(folder). Alone it is "
                "searched with n_probes='auto', which compares all of its rows."
            )


def assign_lists(tree: ListTree, codes: CodeArray, n_jobs: int | None = None) -> Lists:
    """Put rows into lists that were learned already; lists may be without rows."""
    return Lists.of_rows(tree, _assign(codes, tree, n_jobs))


def shard_lists(tree: ListTree, codes: CodeArray, n_jobs: int | None = None) -> Lists:
    """Put rows of a shard into lists that others share, whose tree is elsewhere."""
    lists = assign_lists(tree, codes, n_jobs)
    width = tree.centroids.shape[1]
    none = np.empty((0, width), np.int8)
    return replace(lists, tree=make_tree(none, np.zeros(1, np.int64), none, tree.scale))


def _line_bits(codes: CodeArray) -> int:
    """Return what kernels call the bits of codes."""
    layout = codes.layout
    if isinstance(layout, MixedDepths):
        return bits_of_nibbles(layout.has_sums_above)
    return codes.itemsize


# As arrays of a file.


def pack_lists(lists: Lists) -> tuple[np.ndarray, ...]:
    """Return lists as arrays."""
    tree = lists.tree
    return (
        *(tree.parents, tree.children, tree.centroids),
        *(lists.starts, lists.order, lists.added),
    )


def unpack_lists(packed: tuple[np.ndarray, ...], codes: CodeArray) -> Lists:
    """Undo :func:`pack_lists`, given the codes that are in the lists."""
    parents, children, centroids, starts, order, added = packed
    tree = make_tree(parents, children, centroids, _centroid_scale(codes))
    return Lists(tree, starts, order, added)


def fit_together(packed: tuple[np.ndarray, ...], n_values: int, n_rows: int) -> bool:
    """Tell whether arrays are those of lists of so many rows."""
    parents, children, centroids, starts, order, added = packed
    n_learned = n_lists = len(centroids)
    kinds = [array.dtype.str[1:] for array in packed]
    if kinds != ["i1", "i8", "i1", "i8", "u4", "u4"]:
        return False
    if [array.ndim for array in packed] != [2, 1, 2, 1, 1, 1]:
        return False
    if n_lists == 0:  # of a shard, whose tree is in another file
        if len(parents) or len(added):
            return False
        n_lists = len(starts) - 1
    widths = parents.shape[1] == centroids.shape[1] == n_values
    lengths = len(children) == len(parents) + 1 and len(starts) == n_lists + 1
    all_rows = len(order) + len(added) == n_rows and len(order) > 0
    if not (widths and lengths and all_rows):
        return False
    for ends, total in ((children, n_learned), (starts, len(order))):
        if ends[0] != 0 or ends[-1] != total or (np.diff(ends) < 0).any():
            return False
    if order.max() >= len(order) or added.max(initial=0) >= n_lists:
        return False
    return bool((np.bincount(order, minlength=len(order)) == 1).all())
