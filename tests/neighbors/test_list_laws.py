"""Laws of inverted lists over all metrics and codes, and what a file's search reads."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import check_same
from numpy.testing import assert_array_equal

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    PCAQuantizer,
    TwoBitQuantizer,
)
from skbq._neighbors import index as index_module
from skbq.datasets import make_sphere

METRICS = ["cosine", "euclidean", "inner_product"]
QUANTIZERS = {
    "1 bit": BinaryQuantizer(),
    "2 bits": TwoBitQuantizer(),
    "mixed depths": PCAQuantizer(3, random_state=0),
}
FEW_ROWS = "ignore:lists do not separate your rows:UserWarning"


@pytest.fixture(scope="module")
def vectors():
    """Clusters, rows that are there twice, and rows of another length."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(9, 24))
    X = centers[rng.integers(9, size=400)] + 0.6 * rng.normal(size=(400, 24))
    X[300:330] = X[:30]
    return (X * rng.uniform(0.5, 2, size=(400, 1))).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors):
    rng = np.random.default_rng(1)
    near = vectors[:20] + 0.2 * rng.normal(size=(20, 24))
    return np.concatenate([vectors[:5], near]).astype(np.float32)


@pytest.mark.parametrize("oversampling", [None, 3])
@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("code", QUANTIZERS)
def test_all_lists_are_brute_force(vectors, queries, code, metric, query, oversampling):
    make = {
        "quantizer": QUANTIZERS[code],
        "metric": metric,
        "query": query,
        "oversampling": oversampling,
    }
    brute = BinaryNeighbors(**make).fit(vectors)
    index = BinaryNeighbors(**make, algorithm="ivf", n_lists=12, n_probes=1.0)
    index.set_params(random_state=0).fit(vectors)
    assert index.n_lists_ > 6
    mask = np.random.default_rng(2).random(400) < 0.3
    for k in (1, 7, 90):
        check_same(brute.kneighbors(queries, k), index.kneighbors(queries, k))
        one = brute.kneighbors(queries, k, mask=mask)
        check_same(one, index.kneighbors(queries, k, mask=mask))
    for each in (brute, index):
        each.remove(np.arange(40, 200)).partial_fit(vectors[40:60])
    check_same(brute.kneighbors(queries, 7), index.kneighbors(queries, 7))


@pytest.mark.parametrize("code", ["1 bit", "2 bits"])
def test_negated_and_permuted_coordinates_change_nothing(vectors, queries, code, rng):
    """Of two bits too, where negation complements both bits of a coordinate."""
    signs, order = rng.choice([-1, 1], size=24), rng.permutation(24)
    # Halves of odd numbers: no coordinate is at a threshold.
    rows, given = (np.floor(4 * x) / 4 + 1 / 8 for x in (vectors, queries))
    rows = np.concatenate([rows, -rows])  # so that cells are alike on both sides

    def search(turn):
        quantizer = QUANTIZERS[code].set_params(threshold="zero")
        index = BinaryNeighbors(
            6,
            quantizer=quantizer,
            metric="euclidean",  # unit norms would be rounded by the order of sums
            algorithm="ivf",
            n_lists=20,
            n_probes=2,
            random_state=0,
        ).fit(turn(rows))
        return *index.kneighbors(turn(given)), index.list_sizes_

    check_same(search(lambda x: x), search(lambda x: (x * signs)[:, order]))


@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_a_query_goes_on_until_enough_rows_count(vectors, queries, query, rng):
    index = BinaryNeighbors(
        5, query=query, algorithm="ivf", n_lists=12, n_probes=1, random_state=0
    ).fit(vectors)
    allowed = np.sort(rng.permutation(400)[:6])
    mask = np.zeros(400, bool)
    mask[allowed] = True
    _, rows = index.kneighbors(queries, 5, mask=mask)
    assert np.isin(rows, allowed).all()
    _, rows = index.kneighbors(queries, 8, mask=mask)
    assert_array_equal(np.sort(rows[:, :6], axis=1), np.tile(allowed, (25, 1)))
    assert (rows[:, 6:] == -1).all()
    index.remove(np.setdiff1d(np.arange(400), allowed))
    assert_array_equal(index.kneighbors(queries, 6)[1], rows[:, :6])


def test_calibration_names_queries_that_lists_do_not_part(vectors):
    index = BinaryNeighbors(
        metric="euclidean", algorithm="ivf", n_lists=12, random_state=0
    ).fit(vectors)
    other = np.asarray(make_sphere(100, 24, random_state=0))
    with pytest.warns(UserWarning, match="lists do not separate your rows: to find 95"):
        index.calibrate(other)
    index.set_params(n_probes=2).calibrate(other)  # a number of lists was chosen


def test_transformer_decides_by_the_number_of_rows(vectors, monkeypatch):
    make = {"n_neighbors": 4, "algorithm": "auto", "random_state": 0}
    plain = BinaryNeighborsTransformer(4).fit(vectors)
    few = BinaryNeighborsTransformer(**make).fit(vectors)
    assert not hasattr(few, "n_lists_")
    assert (few.transform(vectors) != plain.transform(vectors)).nnz == 0
    monkeypatch.setattr(index_module, "_ROWS_FOR_LISTS", 400)
    many = BinaryNeighborsTransformer(**make, target_recall=0.5).fit(vectors)
    assert many.n_lists_ > 1
    assert many.list_sizes_.sum() == 400
    assert many.probe_curve_.n_queries == 256


# What a search of a file reads.


def mapped_bytes(path):
    """Return how much of a mapped file this process has touched, or pages beside it."""
    total, is_ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            is_ours = line.endswith(str(path))
        elif is_ours and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux counts")
@pytest.mark.filterwarnings(FEW_ROWS)
def test_a_mapped_search_touches_the_lists_that_it_probes(tmp_path, rng):
    centers = rng.normal(size=(64, 256))
    X = centers[rng.integers(64, size=24_000)] + 0.5 * rng.normal(size=(24_000, 256))
    index = BinaryNeighbors(
        5, algorithm="ivf", n_lists=64, n_probes=1, random_state=0
    ).fit(X.astype(np.float32))
    path = tmp_path / "index.skbq"
    index.save(path)
    n_bytes = index.codes_.nbytes
    loaded = BinaryNeighbors.load(path, mmap_mode="r", verify=False)
    before = mapped_bytes(path)
    _, rows = loaded.kneighbors(X[7:8])
    assert rows[0, 0] == 7
    touched = mapped_bytes(path) - before
    assert 0 < touched < 0.3 * n_bytes
    loaded.set_params(algorithm="brute").kneighbors(X[7:8])
    assert mapped_bytes(path) > 0.9 * n_bytes  # loading touched some of it
