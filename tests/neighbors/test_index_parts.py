"""Parts of an index, called as they are: rooms, lists and what they take."""

from weakref import ref

import numpy as np
import pytest
from helpers import check_same
from numpy.testing import assert_array_equal
from sklearn import config_context

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq._neighbors.growable import extend
from skbq._neighbors.inverted_lists import (
    _centroid_scale,
    _Clustering,
    fit_together,
    learn_lists,
    pack_lists,
    whole_values,
)
from skbq.codes import pack_codes

LISTS = {"algorithm": "ivf", "n_lists": 6, "n_probes": 1, "random_state": 0}
FEW_ROWS = "ignore:.*rows:UserWarning"


@pytest.fixture
def X(rng):
    return rng.standard_normal((90, 12)).astype(np.float32)


# Room for more rows.


def test_room_is_filled_before_rows_are_copied():
    room = {}
    old = np.arange(10)
    one = extend(room, "it", old, np.array([10]))
    assert_array_equal(one, np.arange(11))
    two = extend(room, "it", one, np.array([11, 12]))
    assert_array_equal(two, np.arange(13))
    assert np.may_share_memory(one, two)
    assert len(room["it"]) == 11 + 5


def test_room_that_was_left_behind_is_replaced():
    room = {}
    first = extend(room, "it", np.zeros(4), np.ones(1))
    other = extend(room, "it", np.full(4, 7.0), np.full(1, 8.0))
    assert_array_equal(first, [0, 0, 0, 0, 1])
    assert_array_equal(other, [7, 7, 7, 7, 8])
    # Of a wider type, or of more rows than there is room for, as well.
    wider = extend(room, "it", other.astype(np.float32), np.full(1, 1e-300))
    assert wider.dtype == np.float64
    assert wider[-1] == 1e-300
    many = extend(room, "it", wider, np.arange(50.0))
    assert_array_equal(many[:6], wider)
    assert_array_equal(many[6:], np.arange(50.0))


# Values of codes as whole numbers.


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((1.0, 3.0), (1, 3)),
        ((1.0, 15.0), (1, 15)),
        ((1.0, 16.0), (8, 127)),
        ((0.5, 1.5), (42, 127)),
        ((0.4528, 1.5104), (38, 127)),
        ((3.0, 100.0), (4, 127)),
    ],
)
def test_whole_values_of_two_bits(levels, expected):
    positive = np.array([[True, True, False, False]])
    strong = np.array([[False, True, False, True]])
    low, high = expected
    values = whole_values(pack_codes(positive, strong, levels))
    assert_array_equal(values, [[low, high, -low, -high]])


def test_whole_values_of_one_bit():
    values = whole_values(pack_codes(np.array([[True, False, True]])))
    assert_array_equal(values, [[1, -1, 1]])


@pytest.mark.parametrize(
    ("levels", "scale"),
    [(None, 127), ((1.0, 3.0), 42), ((1.0, 15.0), 8), ((0.4528, 1.5104), 1)],
)
def test_centroids_fill_a_byte(levels, scale):
    bits = np.array([[True, False]])
    codes = pack_codes(bits) if levels is None else pack_codes(bits, bits, levels)
    assert _centroid_scale(codes) == scale


# Lists.


@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("removed", [False, True])
def test_probing_goes_on_until_enough_rows_count(X, query, removed):
    brute = BinaryNeighbors(query=query).fit(X)
    index = BinaryNeighbors(query=query, **LISTS).fit(X)
    mask = np.arange(90) % 9 == 2
    if removed:
        for one in (brute, index):
            one.remove(np.flatnonzero(~mask))
    else:
        brute_found = brute.kneighbors(X[:5], 10, mask=mask)
        check_same(index.kneighbors(X[:5], 10, mask=mask), brute_found)
    _, rows = index.kneighbors(X[:5], 3, mask=None if removed else mask)
    assert np.isin(rows, np.flatnonzero(mask)).all()
    assert all(len(set(found)) == 3 for found in rows)


def test_long_lists_are_split(rng):
    """None has more than one and a half times as many rows as wanted."""
    clustering = _Clustering(42)
    values = rng.integers(-3, 4, (200, 8)).astype(np.int8)
    values[:5] = 3
    parts = clustering.split(values, 20.0, np.random.RandomState(0))
    sizes = np.bincount(clustering.nearest(values, np.array(parts)))
    assert len(parts) >= 10
    assert sizes.max() <= 40
    # Rows that are alike stay together, however many.
    [one] = clustering.split(values[:5], 2.0, np.random.RandomState(0))
    assert_array_equal(one, 42 * values[0])


def test_lists_that_are_long_among_all_rows_are_split(rng):
    """Half of the rows are alike, and too few of them in the sample."""
    bits = rng.random((4000, 24)) > 0.5
    bits[::2, :16] = True
    codes = pack_codes(bits)
    lists = learn_lists(codes, 40, np.random.RandomState(0))
    assert lists.sizes.max() <= 2 * 4000 / 40


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_radius_of_rows_among_themselves_block_by_block(X, metric):
    """Each leaves itself out, in whatever block of rows it is."""
    index = BinaryNeighbors(metric=metric, oversampling=2).fit(X)
    whole = index.radius_neighbors(radius=1.2)
    with config_context(working_memory=0.001):
        parts = index.radius_neighbors(radius=1.2)
    for q in range(90):
        assert q not in parts[1][q]
        assert_array_equal(parts[0][q], whole[0][q])
        assert_array_equal(parts[1][q], whole[1][q])


def test_one_cluster_is_the_mean(rng):
    values = rng.integers(-3, 4, (7, 5)).astype(np.int8)
    [centroid] = _Clustering(42).learn(values, 1, np.random.RandomState(0))
    assert_array_equal(centroid, np.rint(42 * values.sum(axis=0) / 7))


def packed_lists(X):
    codes = BinaryQuantizer().fit_transform(X)
    lists = learn_lists(codes, 6, np.random.RandomState(0))
    return list(pack_lists(lists.with_added(codes[:4]))), codes.n_features


ALTERED = {
    "a type": lambda p: p.__setitem__(0, p[0].astype(np.int16)),
    "a dimension": lambda p: p.__setitem__(3, p[3][:, np.newaxis]),
    "parents of another width": lambda p: p.__setitem__(0, p[0][:, 1:]),
    "centroids of another width": lambda p: p.__setitem__(2, p[2][:, 1:]),
    "a parent without children": lambda p: p.__setitem__(1, p[1][:-1]),
    "a list without an end": lambda p: p.__setitem__(3, p[3][:-1]),
    "a row less": lambda p: p.__setitem__(4, p[4][:-1]),
    "an added row less": lambda p: p.__setitem__(5, p[5][:-1]),
    "children that begin late": lambda p: p[1].__setitem__(0, 1),
    "children that end early": lambda p: p[1].__setitem__(-1, p[1][-1] - 1),
    "lists that begin late": lambda p: p[3].__setitem__(0, 1),
    "lists that end early": lambda p: p[3].__setitem__(-1, p[3][-1] - 1),
    "falling ends": lambda p: p[3].__setitem__(1, p[3][2] + 1),
    "a row twice": lambda p: p[4].__setitem__(0, p[4][1]),
    "a row that is not there": lambda p: p[4].__setitem__(0, len(p[4])),
    "a list that is not there": lambda p: p[5].__setitem__(0, len(p[2])),
}


@pytest.mark.parametrize("what", ALTERED)
def test_altered_lists_are_told(X, what):
    packed, n_values = packed_lists(X)
    assert fit_together(tuple(packed), n_values, 94)
    assert not fit_together(tuple(packed), n_values + 1, 94)
    copies = [part.copy() for part in packed]
    ALTERED[what](copies)
    assert not fit_together(tuple(copies), n_values, 94)


def test_lists_of_a_shard_have_no_tree(X):
    packed, n_values = packed_lists(X)
    none = np.empty((0, n_values), np.int8)
    shard = [none, np.zeros(1, np.int64), none, *packed[3:5], packed[5][:0]]
    assert fit_together(tuple(shard), n_values, 90)
    assert not fit_together((*shard[:5], packed[5]), n_values, 94)
    assert not fit_together((packed[0], *shard[1:]), n_values, 90)


# What an index takes.


@pytest.mark.parametrize(
    ("quantizer", "query", "corrections", "n_bytes"),
    [
        (BinaryQuantizer(), "codes", True, 2),
        (TwoBitQuantizer(), "codes", True, 4),
        (BinaryQuantizer(), "vectors", True, 5),
        (BinaryQuantizer(), "vectors", "exact", 10),
        (BinaryQuantizer(), "vectors", False, 2),
    ],
)
def test_bytes_of_a_row(X, quantizer, query, corrections, n_bytes):
    make = {"quantizer": quantizer, "query": query, "corrections": corrections}
    assert BinaryNeighbors(**make).fit(X).bytes_per_row_ == n_bytes
    index = BinaryNeighbors(**make, **LISTS).fit(X)
    rows = index._rows
    lines = rows.lists.segments_with_lines(rows.codes)[0].lines
    assert rows.lists.count_line_bytes(rows.codes) == lines.nbytes
    listed = -(-(rows.lists.nbytes + lines.nbytes) // 90)
    decoded = 8 if query == "vectors" and corrections != "exact" else 0
    assert index.bytes_per_row_ == n_bytes + listed + decoded


@pytest.mark.parametrize("algorithm", ["brute", "ivf"])
@pytest.mark.parametrize("corrections", [True, False, "exact"])
def test_added_rows_get_corrections_of_their_own(X, algorithm, corrections):
    make = {"query": "vectors", "corrections": corrections, "algorithm": algorithm}
    if algorithm == "ivf":
        make |= {**LISTS, "n_probes": 1000}
    index = BinaryNeighbors(**make).fit(X[:60])
    index.partial_fit(X[60:])
    alone = BinaryNeighbors(
        quantizer=index.quantizer_, query="vectors", corrections=corrections
    )
    whole = alone.fit(X[:60]).partial_fit(X[60:])
    check_same(index.kneighbors(X, 20), whole.kneighbors(X, 20))
    if corrections:
        columns = [len(column) for column in index._rows.corrections.columns]
        assert set(columns) == {90}


def test_rows_of_no_length_are_not_added(X):
    index = BinaryNeighbors(metric="cosine").fit(X)
    with pytest.raises(ValueError, match="zero"):
        index.partial_fit(np.zeros((1, 12), np.float32))
    assert index.n_samples_fit_ == 90


# What is kept between searches.


def count_checks(monkeypatch):
    calls = []
    check = BinaryNeighbors._check_ready
    monkeypatch.setattr(
        BinaryNeighbors, "_check_ready", lambda self: calls.append(1) or check(self)
    )
    return calls


def test_attributes_are_checked_once(X, monkeypatch):
    index = BinaryNeighbors(query="vectors", **LISTS).fit(X)
    before, calls = dict(vars(index)), count_checks(monkeypatch)
    first = index.kneighbors(X[:3])
    check_same(index.kneighbors(X[:3]), first)
    index.radius_neighbors(X[:3], 0.5)
    index.kneighbors_graph(X[:3])
    assert len(calls) == 1
    assert vars(index) == before
    index.set_params(n_probes=2)
    index.kneighbors(X[:3])
    assert len(calls) == 2


def test_nothing_old_is_searched(X):
    index = BinaryNeighbors(query="vectors", n_neighbors=2).fit(X[:60])
    index.kneighbors(X[:3])
    index.remove([0])
    assert 0 not in index.kneighbors(X[:1])[1]
    index.partial_fit(X[60:])
    assert index.kneighbors(X[70:71])[1][0, 0] == 70
    fitted_again = index.fit(X[::-1]).kneighbors(X)
    check_same(
        fitted_again, BinaryNeighbors(query="vectors").fit(X[::-1]).kneighbors(X, 2)
    )
    index.metric = "euclidean"
    with pytest.raises(ValueError, match="was set after fit"):
        index.kneighbors(X[:3])


def test_what_is_kept_goes_with_its_index(X):
    index = BinaryNeighbors(query="vectors").fit(X)
    index.kneighbors(X[:3])
    rows, index = ref(index._rows), None
    assert rows() is None
