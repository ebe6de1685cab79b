"""The laws, each once: a function of an adapter and a case, which fails if it breaks.

The first line of each is the law. ``LAWS`` lists them with what an adapter must be able
to do. They were written for skbq; that another library breaks one is no fault of it
where it never promised it, but tells what a reader can rely on.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from adapters import Bits, can
from helpers import true_distances
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal


@dataclass(frozen=True, repr=False)
class Case:
    """Rows and queries to try a law on."""

    kind: str
    rows: np.ndarray
    queries: np.ndarray
    seed: int

    def __repr__(self):
        (n, d), m = self.rows.shape, len(self.queries)
        return f"Case({self.kind}, n={n}, d={d}, queries={m}, seed={self.seed})"

    @property
    def rng(self):
        return np.random.default_rng(self.seed)

    def bits(self, two):
        """The same shapes as codes."""
        rng, levels = self.rng, [(1, 3), (1, 2), (0, 1), (2, 5)][self.seed % 4]
        density = rng.choice([0.1, 0.5])
        planes = [
            (rng.random((2, *X.shape)) < density) for X in (self.rows, self.queries)
        ]
        if self.kind == "duplicates":
            for plane in planes:
                plane[:, 1:] = plane[:, :1]
        return [Bits(p[0], p[1] if two else None, levels) for p in planes]


KINDS = ["whole", "normal", "duplicates", "small", "large", "halves"]


@st.composite
def cases(draw):
    """Draw cases: few rows, odd widths, many ties."""
    if draw(st.integers(0, 4)) == 0:
        n, m, d = (draw(st.integers(1, high)) for high in (8, 3, 12))
        values = st.integers(-2, 2)
        rows, queries = (
            draw(arrays(np.int8, (count, d), elements=values)).astype(np.float32)
            for count in (n, m)
        )
        seed = draw(st.integers(0, 1000))
        return Case("drawn", _with_direction(rows), _with_direction(queries), seed)
    kind = draw(st.sampled_from(KINDS))
    n, m, d = (draw(st.integers(1, high)) for high in (60, 9, 80))
    seed = draw(st.integers(0, 2**32 - 1))
    return make_case(kind, n, m, d, seed)


def make_case(kind, n, m, d, seed):
    """Return the case of these numbers."""
    rng = np.random.default_rng(seed)
    shape = (n + m, d)
    if kind in ("whole", "duplicates", "halves"):
        X = rng.integers(-3, 4, shape).astype(np.float32)
        if kind == "duplicates":
            X = X[rng.integers(0, 3, n + m) % len(X)]
        if kind == "halves":
            X = X / 2 + 0.25
    else:
        X = (rng.standard_normal(shape) + 0.3).astype(np.float32)
        X *= {"normal": 1, "small": 2.0**-20, "large": 2.0**20}[kind]
    X = _with_direction(X)
    return Case(kind, X[:n], X[n:], seed)


def _with_direction(X):
    X[:, 0] += ~X.any(axis=1)
    return X


@dataclass(frozen=True)
class Law:
    """A law and what an adapter must be able to do for it to make sense."""

    check: Callable
    needs: frozenset

    @property
    def name(self):
        return self.check.__name__

    @property
    def text(self):
        return self.check.__doc__.splitlines()[0].rstrip(".")

    def concerns(self, adapter):
        return self.needs <= adapter.can


LAWS: list[Law] = []


def law(needs=""):
    """Make a function a law."""

    def add(check):
        LAWS.append(Law(check, can(needs)))
        return check

    return add


def fitted(adapter, case):
    """Return an index of the case's rows, the rows and the queries."""
    rows, queries = case.rows, case.queries
    if "bits" in adapter.can:
        rows, queries = case.bits(two="one bit" not in adapter.can)
    return adapter.fit(rows), rows, queries


def same(adapter, found, expected):
    """Compare distances and rows; the latter not where rounding may swap them."""
    if adapter.tolerance:
        limits = {"rtol": adapter.tolerance, "atol": adapter.tolerance}
        assert_allclose(found[0], expected[0], **limits)
    else:
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])


def matrix(index, queries, n, **options):
    """All distances, (queries, rows)."""
    found, rows = index.search(queries, n, **options)
    table = np.full((len(queries), n), np.nan)
    np.put_along_axis(table, rows, found, axis=1)
    assert not np.isnan(table).any(), "a search for all rows leaves some out"
    return table


def in_order(table, rows, k):
    """The k nearest of a matrix of distances, ties to the lower of ``rows``."""
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(table, order, axis=1), rows[order]


# Encoding.


@law("encode one bit signs")
def packed_bits_are_signs(adapter, case):
    """Packed codes are the signs in the order of numpy.packbits, padding 0."""
    codes = adapter.fit(case.rows).encode(case.queries)
    assert codes.dtype == np.uint8
    assert_array_equal(codes, np.packbits(case.queries > 0, axis=1))


@law("encode one bit signs")
def negated_vector_has_complemented_code(adapter, case):
    """A negated vector without zeros has the complemented code."""
    X = np.where(case.queries == 0, 1, case.queries)
    index, d = adapter.fit(case.rows), X.shape[1]
    differ = np.bitwise_count(index.encode(X) ^ index.encode(-X)).sum(axis=1)
    assert_array_equal(differ, d)


@law("encode one bit centered")
def negated_centered_row_has_complemented_code(adapter, case):
    """A row mirrored at the center has the complemented code."""
    index = adapter.fit(case.rows)
    center = np.asarray(index.center, np.float64)
    # As large as the center, so that rounding does not make it the center itself.
    away = np.where(case.queries > 0, 1, -1) * (np.abs(center) + 1)
    there, back = (index.encode((center + x).astype(np.float32)) for x in (away, -away))
    differ = np.bitwise_count(there ^ back).sum(axis=1)
    assert_array_equal(differ, away.shape[1])


@law("encode signs")
def scaled_coordinates_keep_codes(adapter, case):
    """Coordinates scaled by positive numbers keep their codes."""
    scale = 2.0 ** case.rng.integers(-3, 4, case.rows.shape[1]).astype(np.float32)
    index = adapter.fit(case.rows)
    assert_array_equal(index.encode(case.queries), index.encode(case.queries * scale))


@law("encode")
def rows_are_encoded_alone(adapter, case):
    """The code of a row does not depend on the rows beside it."""
    index = adapter.fit(case.rows)
    alone = [index.encode(case.rows[i : i + 1]) for i in range(len(case.rows))]
    assert_array_equal(index.encode(case.rows), np.concatenate(alone))


@law("encode")
def float_types_give_equal_codes(adapter, case):
    """float16, float32 and float64 inputs of equal values give equal codes."""
    with np.errstate(over="ignore"):
        half = case.queries.astype(np.float16)
    half = np.where(np.isfinite(half), half, np.float16(1))
    index = adapter.fit(case.rows)
    expected = index.encode(half.astype(np.float64))
    for dtype in (np.float16, np.float32):
        assert_array_equal(index.encode(half.astype(dtype)), expected)


@law("encode layouts")
def layouts_give_equal_codes(adapter, case):
    """Codes do not depend on strides, byte order or write flags."""
    index = adapter.fit(case.rows)
    expected = index.encode(case.queries)
    for name, X in layouts(case.queries):
        assert_array_equal(index.encode(X), expected, name)


def layouts(X):
    """The same values, laid out in other ways."""
    wide = np.zeros((2 * len(X), X.shape[1] + 3), X.dtype)
    wide[::2, 1:-2] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    yield "columns first", np.asfortranarray(X)
    yield "strided", wide[::2, 1:-2]
    yield "reversed", np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    yield "read-only", frozen
    yield "big-endian", X.astype(X.dtype.newbyteorder(">"))
    yield "misaligned", _misaligned(X)


def _misaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)
    out = raw[1:].view(X.dtype).reshape(X.shape)
    out[:] = X
    return out


# Distances of codes.


@law("bits codes")
def xor_mask_changes_nothing(adapter, case):
    """A mask that is XORed to the signs of rows and queries changes no distance."""
    index, rows, queries = fitted(adapter, case)
    mask = case.rng.random(rows.signs.shape[1]) < 0.5

    def masked(bits):
        return Bits(bits.signs ^ mask, bits.magnitudes, bits.levels)

    n = len(rows)
    expected = matrix(index, queries, n)
    assert_array_equal(matrix(adapter.fit(masked(rows)), masked(queries), n), expected)


@law("bits codes")
def permuted_coordinates_change_nothing(adapter, case):
    """Permuted coordinates change no distance."""
    index, rows, queries = fitted(adapter, case)
    order = case.rng.permutation(rows.signs.shape[1])
    changed = [bits.changed(lambda plane: plane[:, order]) for bits in (rows, queries)]
    n = len(rows)
    expected = matrix(index, queries, n)
    assert_array_equal(matrix(adapter.fit(changed[0]), changed[1], n), expected)


@law("bits codes")
def padding_adds_nothing(adapter, case):
    """Coordinates that are 0 in all codes add the same to all distances."""
    index, rows, queries = fitted(adapter, case)
    more = 1 + case.seed % 17
    padded = [
        bits.changed(lambda plane: np.pad(plane, ((0, 0), (0, more))))
        for bits in (rows, queries)
    ]
    n = len(rows)
    difference = matrix(adapter.fit(padded[0]), padded[1], n)
    difference -= matrix(index, queries, n)
    expected = 0.0
    if adapter.code_metric == "dot":
        low, high = rows.levels
        expected = more * (high * high - low * low)
    assert_array_equal(difference, np.full_like(difference, expected))


@law("bits codes")
def distances_are_as_defined(adapter, case):
    """Distances of codes are hamming, penalty and dot by their definitions."""
    index, rows, queries = fitted(adapter, case)
    assert_array_equal(
        matrix(index, queries, len(rows)),
        defined_distances(rows, queries, adapter.code_metric),
    )


def defined_distances(rows, queries, metric):
    """Distances of unpacked codes, from their definitions."""
    differ = queries.signs[:, None] != rows.signs[None]
    if metric == "hamming" and rows.magnitudes is None:
        return differ.sum(axis=2).astype(float)
    m, n = queries.magnitudes[:, None], rows.magnitudes[None]
    if metric == "hamming":
        return differ.sum(axis=2) + (m != n).sum(axis=2).astype(float)
    if metric == "penalty":
        return (differ * (1.0 + m) * (1.0 + n)).sum(axis=2)
    low, high = rows.levels
    product = np.where(m, high, low) * np.where(n, high, low) * 1.0
    return (high * high - np.where(differ, -product, product)).sum(axis=2)


@law("bits codes")
def codes_side_by_side_add(adapter, case):
    """The distance of codes laid side by side is the sum of their distances."""
    index, rows, queries = fitted(adapter, case)
    n, shuffled = len(rows), case.rng.permutation(len(rows))
    wide_rows = Bits(
        np.hstack([rows.signs, rows.signs[shuffled]]),
        None
        if rows.magnitudes is None
        else np.hstack([rows.magnitudes, rows.magnitudes[shuffled]]),
        rows.levels,
    )
    wide_queries = queries.changed(lambda plane: np.hstack([plane, plane]))
    single = matrix(index, queries, n)
    double = matrix(adapter.fit(wide_rows), wide_queries, n)
    assert_array_equal(double, single + single[:, shuffled])


@law("codes")
def codes_are_symmetric(adapter, case):
    """Rows and queries change places without changing a distance."""
    index, rows, queries = fitted(adapter, case)
    there = matrix(index, queries, len(rows))
    back = matrix(index.refit(queries), rows, len(queries))
    assert_array_equal(there, back.T)


@law("codes hamming")
def triangle_inequality(adapter, case):
    """Hamming distances obey the triangle inequality, and are 0 to oneself."""
    index, rows, _ = fitted(adapter, case)
    rows = rows[:12]
    table = matrix(index.refit(rows), rows, len(rows))
    assert_array_equal(np.diag(table), 0)
    assert (table[:, :, None] + table[None] >= table[:, None]).all()


@law("bits codes hamming")
def complemented_query_is_far(adapter, case):
    """The distances of a query and of its complement add up to all bits."""
    index, rows, queries = fitted(adapter, case)
    other = Bits(~queries.signs)
    n, d = rows.signs.shape
    both = matrix(index, queries, n) + matrix(index, other, n)
    assert_array_equal(both, np.full_like(both, d))


@law("own")
def stored_vector_finds_itself(adapter, case):
    """A stored row finds itself, or a row before it that is as near."""
    index, rows, _ = fitted(adapter, case)
    table = matrix(index, rows, len(rows))
    _, found = index.search(rows, 1)
    first = (table == np.diag(table)[:, None]).argmax(axis=1)
    assert_array_equal(np.diag(table), table.min(axis=1))
    assert_array_equal(found[:, 0], first)


# Search.


def depth(case):
    """A number of neighbors, seldom all."""
    return 1 + case.seed % len(case.rows)


@law("search")
def ties_go_to_the_lower_row(adapter, case):
    """Neighbors come by ascending distance, those of equal distance by row."""
    index, rows, queries = fitted(adapter, case)
    k = depth(case)
    found, where = index.search(queries, k)
    assert (np.diff(found, axis=1) >= 0).all()
    tied = np.diff(found, axis=1) == 0
    assert (np.diff(where, axis=1)[tied] > 0).all()
    if "stages" not in adapter.can:
        table = matrix(index, queries, len(rows))
        same(adapter, (found, where), in_order(table, np.arange(len(rows)), k))


@law("search")
def duplicates_are_equally_near(adapter, case):
    """A row that is stored twice is found twice, at one distance."""
    index, rows, queries = fitted(adapter, case)
    n = len(rows)
    twice = np.concatenate([np.arange(n), case.rng.permutation(n)])
    table = matrix(index.refit(rows[twice]), queries, 2 * n)
    assert_array_equal(table[:, n:], table[:, twice[n:]])


@law("search")
def permuted_rows_permute_answers(adapter, case):
    """Permuted rows have the same distances."""
    index, rows, queries = fitted(adapter, case)
    n, order = len(rows), case.rng.permutation(len(rows))
    expected = matrix(index, queries, n)[:, order]
    found = matrix(index.refit(rows[order]), queries, n)
    assert_allclose(found, expected, rtol=adapter.tolerance, atol=adapter.tolerance)


@law("search")
def batches_change_nothing(adapter, case):
    """A query alone has the answer that it has in a batch."""
    index, _, queries = fitted(adapter, case)
    k = depth(case)
    alone = [index.search(queries[[i]], k) for i in range(len(queries))]
    alone = [np.vstack(parts) for parts in zip(*alone, strict=True)]
    same(adapter, index.search(queries, k), alone)


@law("search")
def some_queries_are_a_slice(adapter, case):
    """Some of the queries, in another order, have a slice of the answers."""
    index, _, queries = fitted(adapter, case)
    k, m = depth(case), len(queries)
    some = case.rng.integers(0, m, 2 * m)
    found, rows = index.search(queries, k)
    same(adapter, index.search(queries[some], k), (found[some], rows[some]))


@law("threads")
def threads_change_nothing(adapter, case):
    """The number of threads changes no answer."""
    index, _, queries = fitted(adapter, case)
    k = depth(case)
    expected = index.search(queries, k, threads=1)
    for threads in (2, 3):
        same(adapter, index.search(queries, k, threads=threads), expected)


@law("blocks")
def blocks_change_nothing(adapter, case):
    """The memory that a search may take changes no answer."""
    index, _, queries = fitted(adapter, case)
    k = depth(case)
    expected = index.search(queries, k)
    same(adapter, index.search(queries, k, block=1e-4), expected)


@law("layouts")
def layouts_change_nothing(adapter, case):
    """Strides, byte order and write flags of queries change no answer."""
    index, _, queries = fitted(adapter, case)
    k = depth(case)
    expected = index.search(queries, k)
    for _, X in layouts(queries):
        same(adapter, index.search(X, k), expected)


@law("search")
def fewer_neighbors_are_a_prefix(adapter, case):
    """The nearest k rows are the first of the nearest k + 1."""
    index, rows, queries = fitted(adapter, case)
    if "stages" in adapter.can:
        index = index.oversampled(float(len(rows)))
    k = depth(case)
    found, where = index.search(queries, len(rows))
    same(adapter, index.search(queries, k), (found[:, :k], where[:, :k]))


@law("search")
def fitting_again_changes_nothing(adapter, case):
    """The same rows, fitted twice, give the same answers."""
    index, _, queries = fitted(adapter, case)
    other, _, _ = fitted(adapter, case)
    k = depth(case)
    same(adapter, other.search(queries, k), index.search(queries, k))


@law("scale free")
def scaled_query_changes_nothing(adapter, case):
    """A query that is scaled by a power of two has the same answer."""
    index, queries = adapter.fit(case.rows), case.queries
    k = depth(case)
    scale = 2.0 ** case.rng.integers(-8, 9, (len(queries), 1)).astype(np.float32)
    same(adapter, index.search(queries * scale, k), index.search(queries, k))


@law("mask")
def mask_is_a_subset(adapter, case):
    """A search among some rows is a search of an index of them."""
    index, rows, queries = fitted(adapter, case)
    mask = case.rng.random(len(rows)) < 0.6
    mask[case.seed % len(rows)] = True
    if "stages" in adapter.can:
        index = index.oversampled(float(len(rows)))
    some, k = np.flatnonzero(mask), 1 + case.seed % int(mask.sum())
    found, where = index.refit(rows[some]).search(queries, k)
    same(adapter, index.search(queries, k, mask=mask), (found, some[where]))


@law("remove")
def removed_rows_are_gone(adapter, case):
    """Removed rows are never found; all others keep number and distance."""
    index, rows, queries = fitted(adapter, case)
    n = len(rows)
    gone = np.flatnonzero(case.rng.random(n) < 0.4)[: n - 1]
    kept = np.setdiff1d(np.arange(n), gone)
    if "stages" in adapter.can:
        index = index.oversampled(float(n))
    table = matrix(index, queries, n)
    k = 1 + case.seed % len(kept)
    index.remove(gone)
    same(adapter, index.search(queries, k), in_order(table[:, kept], kept, k))


@law("add")
def chunks_are_the_whole(adapter, case):
    """Rows that are added in chunks are found as if all had been there."""
    index, rows, queries = fitted(adapter, case)
    n, k = len(rows), depth(case)
    cuts = np.sort(case.rng.integers(1, n + 1, 2))
    grown = index.refit(rows[: cuts[0]])
    for start, stop in zip(cuts, [*cuts[1:], n], strict=True):
        if stop > start:
            grown.add(rows[start:stop])
    same(adapter, grown.search(queries, k), index.search(queries, k))


@law("shards")
def shards_are_the_whole(adapter, case):
    """Rows in many files that share a quantizer are found as those of one index."""
    index, rows, queries = fitted(adapter, case)
    n, k = len(rows), depth(case)
    mask = case.rng.random(n) < 0.6
    radius = index.search(queries, n)[0][0, case.seed % n]
    # These folders need not outlive a loss of power, for which saving waits.
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(os, "fsync"):
        many = index.sharded(rows, 1 + n // (1 + case.seed % 4), folder)
        for options in ({}, {"mask": mask}, {"threads": 2}, {"block": 1e-3}):
            expected = index.search(queries, k, **options)
            same(adapter, many.search(queries, k, **options), expected)
        within = (i.within(queries, radius) for i in (many, index))
        for found, expected in zip(*within, strict=True):
            same(adapter, found, expected)


@law("save")
def saved_is_loaded(adapter, case):
    """A saved index gives the same answers when it is loaded."""
    index, rows, queries = fitted(adapter, case)
    k = depth(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        index.save(path)
        loaded = index.load(path)
        same(adapter, loaded.search(queries, k), index.search(queries, k))
        if "add" in adapter.can:
            loaded.add(rows[:3])
            index.add(rows[:3])
            same(adapter, loaded.search(queries, k), index.search(queries, k))


@law("self")
def rows_find_others(adapter, case):
    """Rows that search among themselves find what others would, but themselves."""
    index, rows, _ = fitted(adapter, case)
    n = len(rows)
    if n == 1:
        return
    k = 1 + case.seed % (n - 1)
    if "stages" in adapter.can:
        index = index.oversampled(float(n))
    table = matrix(index, rows, n)
    np.fill_diagonal(table, np.inf)
    same(adapter, index.search(None, k), in_order(table, np.arange(n), k))


@law("radius")
def radius_cuts_the_ranking(adapter, case):
    """All rows within a radius are those of the full ranking, boundary included."""
    index, rows, queries = fitted(adapter, case)
    n = len(rows)
    if "stages" in adapter.can:
        index = index.oversampled(float(n))
    found, where = index.search(queries, n)
    radius = found[0, case.seed % n]
    near = found <= radius
    for i, (distances, inside) in enumerate(index.within(queries, radius)):
        same(adapter, (distances, inside), (found[i][near[i]], where[i][near[i]]))


# Vectors.


@law("floats")
def distances_are_of_vectors(adapter, case):
    """Distances that are called exact are those of the vectors."""
    index, rows, queries = fitted(adapter, case)
    found, where = index.search(queries, depth(case))
    table = true_distances(rows, queries, adapter.metric)
    expected = np.take_along_axis(table, where, axis=1)
    unit = 1 if adapter.metric == "cosine" else np.abs(rows).max()
    assert_allclose(found / unit, expected / unit, atol=2e-6, rtol=2e-6)


@law("rerank")
def full_oversampling_is_exact(adapter, case):
    """Reranking of all rows finds what a search by floats finds."""
    index, rows, queries = fitted(adapter, case)
    k = depth(case)
    found, _ = index.oversampled(float(len(rows))).search(queries, k)
    table = true_distances(rows, queries, adapter.metric)
    unit = 1 if adapter.metric == "cosine" else np.abs(rows).max()
    expected = np.sort(table, axis=1)[:, :k]
    assert_allclose(found / unit, expected / unit, atol=2e-6, rtol=2e-6)


@law("rerank")
def more_oversampling_is_no_worse(adapter, case):
    """No neighbor is farther with more oversampling."""
    index, _, queries = fitted(adapter, case)
    k, last = depth(case), None
    for oversampling in (1.0, 1.5, 2.0, 4.0):
        found, _ = index.oversampled(oversampling).search(queries, k)
        assert last is None or (found <= last).all()
        last = found


@law("probes")
def more_probes_are_no_worse(adapter, case):
    """No neighbor is farther with more probes, and all probes are a full search."""
    index, rows, queries = fitted(adapter, case)
    k, last = depth(case), None
    for probes in range(1, index.lists + 1):
        found, _ = index.search(queries, k, probes=probes)
        assert last is None or (found <= last).all()
        last = found
    table = matrix(index, queries, len(rows), probes=index.lists)
    assert_array_equal(last, np.sort(table, axis=1)[:, :k])


@law("rotate")
def rotation_keeps_distances(adapter, case):
    """A rotation keeps lengths and distances."""
    rotate = adapter.fit(case.rows).rotate
    X, Y = (np.asarray(x, np.float64) for x in (case.queries, rotate(case.queries)))
    unit = np.linalg.norm(X, axis=1).max()
    for a, b in ((X, Y), (X - X[:1], Y - Y[:1])):
        lengths = [np.linalg.norm(x, axis=1) / unit for x in (a, b)]
        assert_allclose(*lengths, atol=2e-6)


@law("rotate")
def rotation_is_linear(adapter, case):
    """A rotation of a scaled vector is the scaled rotation."""
    rotate = adapter.fit(case.rows).rotate
    once, twice = rotate(case.queries), rotate(2 * case.queries)
    assert_array_equal(2 * once, twice)
