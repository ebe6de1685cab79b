"""One answer from many shards: that of one index of all their rows, bit for bit.

Shards share what was learned, so that a row has the same distance in its shard as it
would have among all rows. Each stage of a search asks every shard for its best rows
and merges them by (distance, row): the candidates by code first; then, with reranking,
the nearest of *all* candidates by exact distance. Had each shard reranked its own, more
rows would be reranked than one index does, and the answer would be another.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial, reduce
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from .._neighbors.brute_force import Eligible, NearRows, Neighbors, sort_neighbors
from .._neighbors.calibration import FoundRows, ProbeCurve, measure_curve
from .._neighbors.file_format import FileError, FileMark
from .._neighbors.index import BinaryNeighbors
from .._neighbors.index_search import IndexSearch, Queries
from .._neighbors.indexed_rows import IndexedRows
from .._neighbors.inverted_lists import Lists
from .._neighbors.list_search import Probes, RankedLists
from .._utils.parallel import fixed_blocks, row_blocks
from .._utils.stored_rows import release_pages
from .manifest import CHANGED, ShardRecord, check_mark, first_rows

# Temporary bytes of a candidate while those of shards are merged.
_CANDIDATE_BYTES = 128
# Scattered rows of a mapped file that are read before their pages are let go of: each
# maps 64 KiB, 256 MiB in all.
_MAPPED_ROWS = 4096
# Opened shards that a process remembers; each takes a memory map and a header.
_OPENED = 1024
# Something that an engine will know: a value, or a promise of one.
Promise = Any


class Engine(Protocol):
    """Where functions are called: in this process, or by dask."""

    def call(
        self,
        function: Callable[..., object],
        *args: object,
        near: str | None = None,
    ) -> Promise:
        """Call a function on values and promises, near what it reads if possible."""
        ...

    def merge(
        self, function: Callable[[list[Any]], object], parts: Iterable[Promise]
    ) -> Promise:
        """Merge parts, in order, some at a time."""
        ...

    def result(self, promise: Promise) -> Any:
        """Wait for a value."""
        ...


class InProcess:
    """Call at once; shards one after the other, each in threads of its own."""

    def call(
        self,
        function: Callable[..., object],
        *args: object,
        near: str | None = None,
    ) -> Promise:
        """Call a function."""
        return function(*args)

    def merge(
        self, function: Callable[[list[Any]], object], parts: Iterable[Promise]
    ) -> Promise:
        """Merge each part as it comes, so that few are in memory."""
        return reduce(lambda merged, part: function([merged, part]), parts)

    def result(self, promise: Promise) -> Promise:
        """Return the value."""
        return promise


@dataclass(frozen=True)
class FileShard:
    """Rows in an index file, opened where they are searched.

    Attributes
    ----------
    path : str
    mark : FileMark
        What the file must have.
    n_rows : int
        How many rows it must have.
    """

    path: str
    mark: FileMark
    n_rows: int

    @classmethod
    def of(cls, record: ShardRecord, folder: Path) -> Self:
        """Return the shard that a manifest lists."""
        return cls(str(folder / record.file), record.mark, record.rows)

    def open(self) -> BinaryNeighbors:
        """Map the file.

        Raises
        ------
        FileError
            If it is another file than was encoded.
        """
        index = _open(self.path, self.mark)
        if len(index._rows) != self.n_rows:
            raise FileError(CHANGED.format(path=self.path))
        return index

    def open_rows(self, kind: tuple[object, ...]) -> IndexedRows:
        """Map the rows, which kernels read as they would those of another index.

        Raises
        ------
        FileError
            If the file is another, or its rows are of another kind.
        """
        rows = self.open()._rows
        if _kind(rows) != kind:
            raise FileError(CHANGED.format(path=self.path))
        return rows


def _kind(rows: IndexedRows) -> tuple[object, ...]:
    """Return what the rows of all shards share: codes, corrections, vectors' width."""
    kept, vectors = rows.corrections, rows.vectors
    return (
        rows.codes.layout,
        None if kept is None else (kept.kind, len(kept.columns)),
        None if vectors is None else vectors.shape[1],
        None if rows.lists is None else len(rows.lists),
    )


@lru_cache(_OPENED)
def _open(path: str, mark: FileMark) -> BinaryNeighbors:
    check_mark(path, mark)
    return BinaryNeighbors.load(path, mmap_mode="r", verify=False)


class Shard(NamedTuple):
    """Some of the rows, and the number of the first.

    ``rows``: IndexedRows, a FileShard, or a promise of one. ``place``: the worker that
    held the rows when they were encoded, if one did.
    """

    rows: Promise
    first_row: int
    n_rows: int
    place: str | None = None

    def slice_mask(self, mask: np.ndarray | None) -> np.ndarray | None:
        """Return the part of a mask that is about these rows."""
        if mask is None:
            return None
        return mask[self.first_row : self.first_row + self.n_rows]


# Stages on one shard, called where its rows are.


def file_shards(records: Sequence[ShardRecord], folder: Path) -> tuple[Shard, ...]:
    """Return the shards that files of a folder hold, in the order of their rows."""
    return tuple(
        Shard(FileShard.of(record, folder), first, record.rows)
        for record, first in zip(records, first_rows(records), strict=False)
    )


def _numbered(found: Neighbors, first_row: int) -> Neighbors:
    found.rows[found.rows >= 0] += first_row
    return found


def _own(rows: np.ndarray, first_row: int, n_rows: int) -> np.ndarray:
    """Return which rows are of a shard, by their numbers there; -1 for others."""
    own = (first_row <= rows) & (rows < first_row + n_rows)
    return np.where(own, rows - first_row, -1)


@dataclass(frozen=True)
class Asked:
    """What is asked of all shards, with all that can be made of it beforehand.

    Attributes
    ----------
    template : IndexSearch
        How shards are searched; of rows it has none, nor an encoder.
    kind : tuple
        What the rows of shards must be like.
    queries : Queries
    own : ndarray of shape (n_queries,), dtype int64, or None
        Rows that the queries are and that are left out, by their numbers among all;
        None: others.
    ranked : RankedLists or None
        The lists that are probed; None: all.
    """

    template: Callable[..., IndexSearch]
    kind: tuple[object, ...]
    queries: Queries
    own: np.ndarray | None = None
    ranked: RankedLists | None = None

    def search(self, rows: IndexedRows | FileShard) -> IndexSearch:
        """Return what searches a shard."""
        if isinstance(rows, FileShard):
            rows = rows.open_rows(self.kind)
        return self.template(rows=rows)

    def eligible(
        self, rows: IndexedRows, first_row: int, mask: np.ndarray | None
    ) -> Eligible:
        """Return which rows of a shard count."""
        own = None if self.own is None else _own(self.own, first_row, len(rows))
        return Eligible(own, rows.mask(mask))


def find_candidates(
    rows: IndexedRows | FileShard,
    first_row: int,
    asked: Asked,
    depth: int,
    clip: bool,
    mask: np.ndarray | None,
) -> Neighbors:
    """Find the rows of a shard that are nearest by code."""
    search = asked.search(rows)
    eligible = asked.eligible(search.rows, first_row, mask)
    found = search.candidates(asked.queries, depth, eligible, asked.ranked, clip=clip)
    return _numbered(found, first_row)


def count_listed(
    rows: IndexedRows | FileShard,
    first_row: int,
    asked: Asked,
    mask: np.ndarray | None,
) -> np.ndarray:
    """Count the rows of each list of a shard: all of them, and those that count."""
    kept = asked.search(rows).rows
    lists, mask = kept.lists, kept.mask(mask)
    assert lists is not None
    if mask is None:
        return np.stack([lists.sizes, lists.sizes])
    numbers = lists.lists_of(np.flatnonzero(mask))
    return np.stack([lists.sizes, np.bincount(numbers, minlength=len(lists))])


def find_lists(
    rows: IndexedRows | FileShard, first_row: int, asked: Asked, numbers: np.ndarray
) -> np.ndarray:
    """Return the lists that rows of a shard are in, -1 for others."""
    kept = asked.search(rows).rows
    own = _own(numbers, first_row, len(kept))
    assert kept.lists is not None
    return np.where(own >= 0, kept.lists.lists_of(np.maximum(own, 0)), -1)


def rerank(
    rows: IndexedRows | FileShard,
    first_row: int,
    asked: Asked,
    candidates: Neighbors,
    k: int,
) -> Neighbors:
    """Find the k nearest of the candidates that are in a shard."""
    search = asked.search(rows)
    own = _own(candidates.rows, first_row, len(search.rows))
    parts = []
    for some in fixed_blocks(len(own), max(1, _MAPPED_ROWS // own.shape[1])):
        parts.append(search.rerank(asked.queries.of(some), own[some], k))
        release_pages(search.rows.vectors)
    return _numbered(
        Neighbors(*map(np.concatenate, zip(*parts, strict=True))), first_row
    )


def rerank_within_bound(
    rows: IndexedRows | FileShard,
    first_row: int,
    asked: Asked,
    candidates: Neighbors,
    best: Neighbors,
    k: int,
    mask: np.ndarray | None,
) -> Neighbors:
    """Find the k nearest of all rows of a shard that may be near enough."""
    search = asked.search(rows)
    own = _own(candidates.rows, first_row, len(search.rows))
    farthest = best.distances.max(axis=1)
    eligible = asked.eligible(search.rows, first_row, mask)
    best = search.rerank_within_bound(asked.queries, own, farthest, k, eligible)
    release_pages(search.rows.vectors)
    return _numbered(best, first_row)


def find_within(
    rows: IndexedRows | FileShard,
    first_row: int,
    asked: Asked,
    radius: float,
    mask: np.ndarray | None,
) -> NearRows:
    """Find all rows of a shard within a radius."""
    search = asked.search(rows)
    near = search.radius_neighbors(asked.queries, radius, search.rows.mask(mask))
    return NearRows(near.distances, [found + first_row for found in near.rows])


def bound_below(
    rows: IndexedRows | FileShard, first_row: int, asked: Asked, found: Neighbors
) -> np.ndarray:
    """Return lower bounds of the distances of rows of a shard, -inf for others."""
    search = asked.search(rows)
    own = _own(found.rows, first_row, len(search.rows))
    near = Neighbors(found.distances, np.maximum(own, 0))
    bounds = search.lower_bounds(asked.queries, near)
    return np.where(own >= 0, bounds, -np.inf)


# Merging


@dataclass(frozen=True)
class KeepNearest:
    """Keep the k nearest rows of parts; a function that workers can be sent."""

    k: int

    def __call__(self, parts: list[Neighbors]) -> Neighbors:
        distances = np.concatenate([part.distances for part in parts], axis=1)
        rows = np.concatenate([part.rows for part in parts], axis=1)
        return sort_neighbors(Neighbors(distances, rows), self.k)


def merge_near(parts: list[NearRows]) -> NearRows:
    """Put the rows of shards behind each other, query by query."""
    distances = zip(*(part.distances for part in parts), strict=True)
    rows = zip(*(part.rows for part in parts), strict=True)
    return NearRows([*map(np.concatenate, distances)], [*map(np.concatenate, rows)])


def add_counts(parts: list[np.ndarray]) -> np.ndarray:
    """Add up counts."""
    return np.sum(parts, axis=0)


def merge_bounds(parts: list[np.ndarray]) -> np.ndarray:
    """Take each number from the shard that has the row."""
    return np.maximum.reduce(parts)


@dataclass(frozen=True)
class ShardedSearch:
    """How many shards are searched as one index: stands where an IndexSearch does.

    Attributes
    ----------
    template : IndexSearch
        What shards share; of its rows only what kind they are.
    shards : sequence of Shard
    engine : Engine
    lists : Lists or None
        The lists that shards share, with the sizes that they have in all of them.
    counts : ndarray of shape (n_lists,) or None
        How many of their rows count where there is no mask.
    probes : Probes or None
        The lists that a query probes; None: all.
    """

    template: IndexSearch
    shards: Sequence[Shard]
    engine: Engine
    lists: Lists | None = None
    counts: np.ndarray | None = None
    probes: Probes | None = None

    def kneighbors(
        self, X: np.ndarray, k: int, mask: np.ndarray | None, *, clip: bool = False
    ) -> Neighbors:
        """Return the k nearest rows of each query, as IndexSearch does."""
        depth = self._depth(k)
        counts = None
        if self.lists is not None and self.probes is not None:
            counts = self.counts if mask is None else self.count_listed(mask)[1]
        parts = [
            self._nearest(X[some], k, depth, mask, clip, counts=counts)
            for some in self._blocks(X, depth)
        ]
        return Neighbors(*map(np.concatenate, zip(*parts, strict=True)))

    def measure_probes(
        self,
        X: np.ndarray,
        k: int,
        mask: np.ndarray | None,
        own: np.ndarray | None = None,
    ) -> ProbeCurve:
        """Measure the share of the nearest rows in lists, as IndexSearch does."""
        assert self.lists is not None
        depth, parts, order = self._depth(k), [], []
        looked_at = self.template.looked_at(k, self._n_rows)
        for some in self._blocks(X, looked_at):
            left_out = None if own is None else own[some]
            if looked_at == k:
                near = self._nearest(X[some], k, depth, mask, False, own=left_out)
                parts.append((near.rows, near.rows))
            else:
                parts.append(self._look_at(X[some], looked_at, mask, left_out))
            ranked = self.template.rank(X[some], self.lists, len(self.lists))
            order.append(ranked[0])
        found = FoundRows.joined(parts, k, depth)
        rows = self.engine.call(_same, found.by_code)
        each = self._asking(Queries(X[:1], None))(find_lists, rows)
        numbers = self.engine.result(self.engine.merge(merge_bounds, each))
        return measure_curve(self.lists, np.concatenate(order), found, numbers)

    def _look_at(
        self, X: np.ndarray, n: int, mask: np.ndarray | None, own: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows nearest by code in all lists, and again by distance."""
        ask = self._asking(self.template.prepare(X), own)
        masks = [shard.slice_mask(mask) for shard in self.shards]
        parts = ask(find_candidates, n, False, each=masks)
        by_code = self.engine.merge(KeepNearest(n), parts)
        by_distance = self.engine.merge(KeepNearest(n), ask(rerank, by_code, n))
        # Asked for one by one, the first would be computed twice.
        return self.engine.result(self.engine.call(_rows_of, by_code, by_distance))

    def count_listed(self, mask: np.ndarray | None) -> np.ndarray:
        """Count the rows of each list: all of them, and those that count."""
        masks = [shard.slice_mask(mask) for shard in self.shards]
        nobody = Queries(np.empty((0, 0)), None)
        parts = self._asking(nobody)(count_listed, each=masks)
        return self.engine.result(self.engine.merge(add_counts, parts))

    def _depth(self, k: int) -> int:
        return self.template.depth(k, self._n_rows)

    @property
    def _n_rows(self) -> int:
        return sum(shard.n_rows for shard in self.shards)

    def _blocks(self, X: np.ndarray, depth: int) -> Iterator[slice]:
        return row_blocks(len(X), 8 * X.shape[1] + _CANDIDATE_BYTES * depth, shares=8)

    def _nearest(
        self,
        X: np.ndarray,
        k: int,
        depth: int,
        mask: np.ndarray | None,
        clip: bool,
        *,
        counts: np.ndarray | None = None,
        own: np.ndarray | None = None,
    ) -> Neighbors:
        engine, oversampling = self.engine, self.template.oversampling
        ranked = None if counts is None else self._rank(X, depth, counts)
        queries = self.template.prepare(X)
        ask = self._asking(queries, own, ranked)
        masks = [shard.slice_mask(mask) for shard in self.shards]
        parts = ask(find_candidates, depth, clip, each=masks)
        found = engine.merge(KeepNearest(depth), parts)
        if oversampling is None:
            return self.template.finish(queries, engine.result(found))
        best = engine.merge(KeepNearest(k), ask(rerank, found, k))
        if oversampling == "bound":
            parts = ask(rerank_within_bound, found, best, k, each=masks)
            best = engine.merge(KeepNearest(k), parts)
        return engine.result(best)

    def _rank(self, X: np.ndarray, depth: int, counts: np.ndarray) -> RankedLists:
        """Rank lists, once for all shards, with as many rows that count as wanted.

        One index goes on to further lists while it has found too few rows. How many
        rows of a list count is known, so that here all are probed at once.
        """
        lists, probes = self.lists, self.probes
        assert lists is not None
        assert probes is not None
        rank = self.template.rank
        order, stop = rank(X, lists, probes.n_lists, probes.budget)
        # What stands behind those that count is nothing.
        counting = np.arange(order.shape[1]) < stop[:, np.newaxis]
        order = np.where(counting, order, 0)
        reached = np.where(counting, counts[order], 0).sum(axis=1)
        (few,) = np.nonzero((reached < depth) & (stop < len(lists)))
        if few.size:
            every, _ = rank(X[few], lists, len(lists))
            reached = np.cumsum(counts[every], axis=1)
            enough = (reached < depth).sum(axis=1) + 1
            stop[few] = np.maximum(stop[few], np.minimum(enough, len(lists)))
            width = int(stop.max())
            wide = np.zeros((len(order), width), np.int32)
            wide[:, : order.shape[1]] = order[:, :width]
            wide[few] = every[:, :width]
            order = wide
        return RankedLists(np.ascontiguousarray(order[:, : int(stop.max())]), stop)

    def radius_neighbors(
        self, X: np.ndarray, radius: float, mask: np.ndarray | None
    ) -> NearRows:
        """Return all rows within a radius of each query, in order of rows."""
        masks = [shard.slice_mask(mask) for shard in self.shards]
        queries = Queries(X, None)
        if self.template.oversampling is None:
            queries = self.template.prepare(X)
        parts = self._asking(queries)(find_within, radius, each=masks)
        return self.engine.result(self.engine.merge(merge_near, parts))

    def lower_bounds(self, X: np.ndarray, neighbors: Neighbors) -> np.ndarray:
        """Return what true distances are above, given estimates and their rows."""
        found = self.engine.call(_same, neighbors)
        parts = self._asking(self.template.prepare(X))(bound_below, found)
        bounds = self.engine.result(self.engine.merge(merge_bounds, parts))
        return np.where(neighbors.rows >= 0, bounds, np.inf)

    def _asking(
        self,
        queries: Queries,
        own: np.ndarray | None = None,
        ranked: RankedLists | None = None,
    ) -> Callable[..., Iterator[Promise]]:
        """Return what calls a stage on all shards, whose answers come in order."""
        call, template = self.engine.call, self.template
        names = [f.name for f in fields(template) if f.name not in ("rows", "encoder")]
        given = {name: getattr(template, name) for name in names}
        make = partial(IndexSearch, encoder=None, **given)
        asked = call(_same, Asked(make, _kind(template.rows), queries, own, ranked))

        def ask(
            stage: Callable[..., object],
            *args: object,
            each: Sequence[object] | None = None,
        ) -> Iterator[Promise]:
            for number, shard in enumerate(self.shards):
                own = () if each is None else (each[number],)
                given = (shard.rows, shard.first_row, asked, *args, *own)
                yield call(stage, *given, near=shard.place)

        return ask


def _rows_of(*found: Neighbors) -> tuple[np.ndarray, ...]:
    return tuple(neighbors.rows for neighbors in found)


def _same(value: object) -> object:
    """Return a value: a task that many others take it from."""
    return value
