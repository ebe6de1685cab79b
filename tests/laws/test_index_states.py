"""An index that is added to, removed from, masked, saved and loaded, against a list.

The list holds every row ever added and whether it is still there. What the index finds
is compared with a full sort of distances that plain numpy makes of the list.
"""

import copy
import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from adapters import IN_LISTS
from helpers import rotated, true_distances
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from numpy.testing import assert_allclose, assert_array_equal
from profiles import chosen_profile, law_settings
from sklearn.frozen import FrozenEstimator

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer, TwoBitQuantizer

# Cases are small on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:The quantizer learned from:UserWarning")
SEEDS = st.integers(0, 2**32 - 1)
PROFILE = chosen_profile()


PCA = PCAQuantizer(2.0, random_state=0)
# Codes given, one and two bits, every distance of codes, float queries, reranking,
# mixed depths, lists.
INDEXES = {
    "flat": BinaryNeighbors(),
    "hamming": BinaryNeighbors(quantizer=BinaryQuantizer()),
    "dot": BinaryNeighbors(metric="euclidean"),
    "penalty": BinaryNeighbors(
        quantizer=rotated(TwoBitQuantizer(levels=(1, 2)), "hadamard"),
        code_metric="penalty",
    ),
    "two bits hamming": BinaryNeighbors(code_metric="hamming", n_jobs=2),
    "float queries": BinaryNeighbors(query="vectors"),
    "rotated float queries": BinaryNeighbors(
        quantizer=rotated(TwoBitQuantizer(levels=(1, 2)), "hadamard"),
        query="vectors",
        metric="inner_product",
    ),
    "reranked": BinaryNeighbors(oversampling=1e6, metric="euclidean"),
    "reranked float queries": BinaryNeighbors(query="vectors", oversampling=1e6),
    "principal axes": BinaryNeighbors(quantizer=PCA, metric="euclidean"),
    "hamming in lists": BinaryNeighbors(quantizer=BinaryQuantizer(), **IN_LISTS),
    "float queries in lists": BinaryNeighbors(query="vectors", **IN_LISTS),
    "principal axes in lists": BinaryNeighbors(
        quantizer=PCA, query="vectors", metric="inner_product", **IN_LISTS
    ),
    "reranked in lists": BinaryNeighbors(oversampling=1e6, **IN_LISTS),
}
CODE_METRIC = {
    "flat": "dot",
    "hamming": "hamming",
    "dot": "dot",
    "penalty": "penalty",
    "two bits hamming": "hamming",
    "hamming in lists": "hamming",
}


def code_distances(rows, queries, metric, levels):
    """All distances of unpacked codes, by definition."""
    q, r = queries[:, None, :], rows[None, :, :]
    if metric == "dot":
        return (max(levels) ** 2 - q * r).sum(axis=2)
    differ = (q > 0) != (r > 0)
    if levels[0] == levels[1]:  # one bit
        return differ.sum(axis=2).astype(float)
    strong_q, strong_r = np.abs(q) == levels[1], np.abs(r) == levels[1]
    if metric == "hamming":
        return (differ * 1.0 + (strong_q != strong_r)).sum(axis=2)
    return (differ * (1.0 + strong_q) * (1.0 + strong_r)).sum(axis=2)


class IndexStates(RuleBasedStateMachine):
    """The index and the list, changed together and compared."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.index = None

    def teardown(self):
        shutil.rmtree(self.folder)

    @initialize(name=st.sampled_from(sorted(INDEXES)), seed=SEEDS)
    def fit(self, name, seed):
        self.name, self.d = name, 1 + seed % 21
        self.vectors = np.empty((0, self.d), np.float32)
        self.kept = np.empty(0, bool)
        first = self.draw(seed, 3 + seed % 9)
        self.index = copy.deepcopy(INDEXES[name])
        self.quantizer = TwoBitQuantizer().fit(first)
        self.index.fit(self.given(first))
        self.remember(first)

    # Drawing rows, and what the list knows.

    def draw(self, seed, n):
        """Rows of small whole numbers, so that many distances are tied."""
        rng = np.random.default_rng(seed)
        rows = rng.integers(-3, 4, (n, self.d)).astype(np.float32)
        rows[:, 0] += rows.any(axis=1) == 0  # no row of zeros
        if len(self.vectors) and seed % 3 == 0:  # a duplicate of an older row
            rows[-1] = self.vectors[rng.integers(len(self.vectors))]
        return rows

    def given(self, rows):
        return self.quantizer.transform(rows) if self.name == "flat" else rows

    def remember(self, rows):
        self.vectors = np.concatenate([self.vectors, rows])
        self.kept = np.concatenate([self.kept, np.ones(len(rows), bool)])

    def distances(self, queries):
        """Distances of the list's rows, and how closely they can be known."""
        index = self.index
        if self.name in CODE_METRIC:
            if self.name == "flat":
                rows, asked = (
                    self.quantizer.transform(x) for x in (self.vectors, queries)
                )
            else:
                rows, asked = self.encoded(self.vectors), self.encoded(queries)
            levels = rows.levels or (1.0, 1.0)
            unpacked = rows.unpack(), asked.unpack()
            return code_distances(*unpacked, CODE_METRIC[self.name], levels), 0
        if index.oversampling is not None:
            return true_distances(self.vectors, queries, index.metric), 1e-5
        # Estimates: what an index of just these rows, encoded alike, gives.
        fresh = copy.deepcopy(INDEXES[self.name])
        fresh.set_params(quantizer=FrozenEstimator(index.quantizer_))
        fresh.fit(self.vectors)
        found, rows = fresh.kneighbors(queries, len(self.vectors))
        table = np.empty_like(found)
        np.put_along_axis(table, rows, found, axis=1)
        return table, 0

    def encoded(self, X):
        if self.index.metric == "cosine":
            X = X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
        return self.index.quantizer_.transform(X.astype(np.float32))

    def compare(self, queries, allowed, k, found, rows):
        table, tolerance = self.distances(queries)
        for distances, nearest, row in zip(table, found, rows, strict=True):
            candidates = np.flatnonzero(allowed)
            order = candidates[np.lexsort((candidates, distances[candidates]))][:k]
            there = len(order)
            assert_array_equal(row[there:], -1)
            assert_array_equal(nearest[there:], np.inf)
            if tolerance:
                assert_allclose(nearest[:there], distances[order], atol=tolerance)
                assert_allclose(nearest[:there], distances[row[:there]], atol=tolerance)
                assert len(set(row[:there])) == there
                assert allowed[row[:there]].all()
            else:
                assert_array_equal(row[:there], order)
                assert_array_equal(nearest[:there], distances[order])

    # What can happen to an index.

    @rule(seed=SEEDS, n=st.integers(1, 6))
    def add(self, seed, n):
        rows = self.draw(seed, n)
        self.index.partial_fit(self.given(rows))
        self.remember(rows)

    @precondition(lambda self: self.kept.sum() > 1)
    @rule(data=st.data())
    def remove(self, data):
        there = np.flatnonzero(self.kept).tolist()
        rows = data.draw(
            st.lists(st.sampled_from(there), max_size=len(there) - 1, unique=True)
        )
        self.index.remove(np.array(rows, dtype=np.int64))
        self.kept[rows] = False

    @precondition(lambda self: not self.kept.all())
    @rule(data=st.data())
    def remove_again_is_refused(self, data):
        gone = data.draw(st.sampled_from(np.flatnonzero(~self.kept).tolist()))
        there = int(np.flatnonzero(self.kept)[0])
        with pytest.raises(ValueError, match="cannot be removed"):
            self.index.remove([there, gone])

    @rule(seed=SEEDS)
    def bad_rows_are_refused_and_change_nothing(self, seed):
        rows = self.draw(seed, 3)
        wide = np.concatenate([rows, rows], axis=1)
        nan = rows.copy()
        nan[1, 0] = np.nan
        refused = [wide, nan]
        if self.name == "flat":
            refused = [nan, TwoBitQuantizer().fit_transform(wide)]
        for bad in refused:
            with pytest.raises(ValueError):
                self.index.partial_fit(bad)

    @rule(path=st.sampled_from(["a.skbq", "b.skbq"]), mapped=st.booleans())
    def save_and_load(self, path, mapped):
        self.index.save(self.folder / path)
        self.index = type(self.index).load(
            self.folder / path, mmap_mode="r" if mapped else None
        )

    @rule(how=st.sampled_from([copy.deepcopy, copy.copy, "pickle"]))
    def copied(self, how):
        """A copy goes on as the index would; what happens to it is its own."""
        former, before = self.index, self.index.n_samples_fit_
        if how == "pickle":
            self.index = pickle.loads(pickle.dumps(former))
        else:
            self.index = how(former)
        former.partial_fit(self.given(self.draw(0, 2)))
        former.remove(np.flatnonzero(self.kept)[:1])
        assert self.index.n_samples_fit_ == before

    # What can be asked of it.

    @rule(seed=SEEDS, n=st.integers(1, 4), data=st.data())
    def search(self, seed, n, data):
        queries = self.draw(seed, n)
        k = data.draw(st.integers(1, int(self.kept.sum())))
        answer = self.index.kneighbors(self.given(queries), k)
        self.compare(queries, self.kept, k, *answer)

    @rule(seed=SEEDS, share=st.sampled_from([0.0, 0.2, 0.8]), data=st.data())
    def masked_search(self, seed, share, data):
        queries = self.draw(seed, 2)
        mask = np.random.default_rng(seed).random(len(self.kept)) < share
        k = data.draw(st.integers(1, int(self.kept.sum())))
        answer = self.index.kneighbors(self.given(queries), k, mask=mask)
        self.compare(queries, self.kept & mask, k, *answer)

    @rule(seed=SEEDS)
    def search_within_a_radius(self, seed):
        queries = self.draw(seed, 2)
        table, tolerance = self.distances(queries)
        radius = np.median(table[:, self.kept]) + tolerance
        found, rows = self.index.radius_neighbors(self.given(queries), radius)
        for distances, near, row in zip(table, found, rows, strict=True):
            inside = np.flatnonzero(self.kept & (distances <= radius - 2 * tolerance))
            outside = ~self.kept | (distances > radius + 2 * tolerance)
            assert set(inside) <= set(row)
            assert not outside[row].any()
            assert_allclose(near, distances[row], atol=tolerance)

    @rule(extra=st.integers(1, 3))
    def too_many_neighbors_are_refused(self, extra):
        k = int(self.kept.sum()) + extra
        with pytest.raises(ValueError, match="n_neighbors"):
            self.index.kneighbors(self.given(self.vectors[:1]), k)

    @invariant()
    def counts_rows(self):
        if self.index is not None:
            assert self.index.n_samples_fit_ == len(self.kept) == len(self.index.codes_)


TestIndexStates = IndexStates.TestCase
TestIndexStates.settings = law_settings(
    PROFILE.machine_examples, stateful_step_count=PROFILE.machine_steps
)
