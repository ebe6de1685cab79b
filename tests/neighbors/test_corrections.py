"""What asymmetric search keeps of each row: in few bytes, exactly, or not at all."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.frozen import FrozenEstimator

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    PCAQuantizer,
    TwoBitQuantizer,
)
from skbq._neighbors.merge import merge_files
from skbq._utils.typing import METRICS

QUANTIZERS = [
    BinaryQuantizer(),
    TwoBitQuantizer(),
    PCAQuantizer(1, exponent=1, random_state=0, correction_bytes=3),
    PCAQuantizer(3, exponent=1, random_state=0, correction_bytes=3),
]
PREDICTED = PCAQuantizer(1, exponent=1, random_state=0, correction_bytes=0)


def make_rows(seed, n, heavy=False):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, 48)) * np.linspace(1, 0.1, 48) + 0.2
    return rows * rng.lognormal(0, 1.5, (n, 1)) if heavy else rows


def fit(rows, **parameters):
    return BinaryNeighbors(10, query="vectors", **parameters).fit(rows)


def estimates(index, queries):
    """All estimated distances, in order of rows."""
    distances, rows = index.kneighbors(queries, index.n_samples_fit_)
    return np.take_along_axis(distances, np.argsort(rows, axis=1), axis=1)


def shared(found, expected):
    """How many neighbors of a query are among the expected ones."""
    pairs = zip(found, expected, strict=True)
    return np.mean([len(set(a) & set(b)) for a, b in pairs])


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_short_ones_round_little(quantizer, metric, heavy):
    rows, queries = make_rows(0, 1500, heavy), make_rows(1, 40)
    short, exact = (
        estimates(
            fit(rows, quantizer=quantizer, metric=metric, corrections=kept), queries
        )
        for kept in (True, "exact")
    )
    off = np.median(np.abs(short - exact), axis=1)
    assert (off < 1e-2 * exact.std(axis=1)).all()
    assert shared(*(np.argsort(x, axis=1)[:, :10] for x in (short, exact))) > 9.8


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_without_any_bytes_are_those_of_the_code(quantizer, metric):
    rows, queries = make_rows(0, 1500), make_rows(1, 40)
    index = fit(rows, quantizer=quantizer, metric=metric, corrections=False)
    assert index.bytes_per_row_ == index.codes_.itemsize * index.codes_.shape[1]
    exact = fit(rows, quantizer=quantizer, metric=metric, corrections="exact")
    found = [of.kneighbors(queries)[1] for of in (index, exact)]
    assert shared(*found) > 4  # of 10 among 1500


def test_bounds_need_them():
    rows = make_rows(0, 300)
    index = fit(rows, corrections=False)
    with pytest.raises(ValueError, match="Leave corrections=True"):
        index.kneighbors(rows[:3], return_bound=True)
    with pytest.raises(ValueError, match="Leave corrections=True"):
        index.set_params(oversampling="bound").fit(rows)


@pytest.mark.parametrize("corrections", [True, False, "exact"])
@pytest.mark.parametrize("quantizer", [TwoBitQuantizer(), QUANTIZERS[2], PREDICTED])
def test_shards_of_one_quantizer_are_the_whole(tmp_path, quantizer, corrections):
    """Numbers round alike wherever a row is: added later, or in a file of its own."""
    rows, queries = make_rows(0, 900), make_rows(1, 30)
    frozen = FrozenEstimator(quantizer.fit(rows[:500]))
    parameters = {"quantizer": frozen, "metric": "euclidean"}
    parameters["corrections"] = corrections
    whole = fit(rows, **parameters)
    added = fit(rows[:200], **parameters).partial_fit(rows[200:])
    for start in (0, 450):
        fit(rows[start : start + 450], **parameters).save(tmp_path / f"{start}")
    merge_files([tmp_path / "0", tmp_path / "450"], tmp_path / "merged")
    merged = BinaryNeighbors.load(tmp_path / "merged")
    for index in (added, merged, pickle.loads(pickle.dumps(whole))):
        assert index.bytes_per_row_ == whole.bytes_per_row_
        for got, expected in zip(
            index.kneighbors(queries), whole.kneighbors(queries), strict=True
        ):
            assert_array_equal(got, expected)


def test_a_quantizer_of_other_rows():
    """Where rows are beyond what the quantizer saw, ranges are those of the rows."""
    rows, queries = make_rows(0, 900), make_rows(1, 30)
    frozen = FrozenEstimator(BinaryQuantizer("zero").fit(rows * 1e-9))
    short, exact = (
        fit(rows, quantizer=frozen, metric="euclidean", corrections=kept)
        for kept in (True, "exact")
    )
    assert_allclose(estimates(short, queries), estimates(exact, queries), rtol=0.01)
    with pytest.raises(ValueError, match="Fit again .* corrections='exact'"):
        short.partial_fit(1e9 * rows)
    exact.partial_fit(1e9 * rows)
    assert exact.n_samples_fit_ == 1800


def test_a_row_that_is_the_mean():
    rows = np.vstack([make_rows(0, 300), np.zeros((1, 48))])
    index = fit(rows, quantizer=BinaryQuantizer("zero"), metric="euclidean")
    queries = make_rows(1, 5)
    norms = np.linalg.norm(queries, axis=1)
    assert_allclose(estimates(index, queries)[:, -1], norms, rtol=2e-3)


@pytest.mark.parametrize("kept", [True, False, "exact"])
def test_graphs_take_them(kept):
    graph = BinaryNeighborsTransformer(
        n_neighbors=5, query="vectors", corrections=kept
    ).fit_transform(make_rows(0, 200))
    assert graph.shape == (200, 200)


def test_what_is_refused():
    rows = make_rows(0, 200)
    for value, error in (("short", ValueError), (None, TypeError), (2, TypeError)):
        with pytest.raises(error, match=r"'corrections'.*'exact'.*or True or False"):
            fit(rows, corrections=value)
    index = fit(rows).set_params(corrections="exact")
    with pytest.raises(ValueError, match="was set after fit, which kept short ones"):
        index.kneighbors(rows[:2])
