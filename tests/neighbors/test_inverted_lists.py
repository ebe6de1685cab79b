"""Search in inverted lists, held against brute force and against plain numpy."""

import hashlib
import pickle
import warnings

import numpy as np
import pytest
from helpers import check_same, share_found
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    PCAQuantizer,
    TwoBitQuantizer,
    as_codes,
)
from skbq._kernels.list_ranking import nearest_centroid
from skbq._neighbors import index as index_module
from skbq._neighbors import inverted_lists
from skbq._neighbors.inverted_lists import choose_n_lists, learn_lists, list_queries
from skbq.datasets import make_sphere

LISTS = {"algorithm": "ivf", "n_lists": 40, "random_state": 0}
QUERIES = 60
INDEXES = {
    "hamming": {"quantizer": BinaryQuantizer()},
    "dot": {"metric": "euclidean"},
    "penalty": {"code_metric": "penalty"},
    "two bits hamming": {"code_metric": "hamming"},
    "uneven levels": {"quantizer": TwoBitQuantizer(levels="lloyd_max")},
    "one bit, floats": {"quantizer": BinaryQuantizer(), "query": "vectors"},
    "floats": {"query": "vectors", "metric": "euclidean"},
    "inner product": {"query": "vectors", "metric": "inner_product"},
    "reranked": {"query": "vectors", "oversampling": 3},
    "mixed depths": {"quantizer": PCAQuantizer(2, random_state=0), "query": "vectors"},
    "mixed depths, codes": {"quantizer": PCAQuantizer(2, random_state=0)},
}


@pytest.fixture(scope="module")
def vectors():
    """Clusters of a few sizes, with rows that are there twice."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(30, 48))
    X = centers[rng.integers(30, size=2000)] + 0.7 * rng.normal(size=(2000, 48))
    X[1500:1550] = X[:50]
    return np.round(X, 2).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors):
    rng = np.random.default_rng(1)
    X = vectors[rng.integers(len(vectors), size=QUERIES)]
    return X + 0.3 * rng.normal(size=X.shape).astype(np.float32)


def pair(vectors, n_probes=10**6, **parameters):
    """The same index with brute force and with lists."""
    brute = BinaryNeighbors(8, **parameters).fit(vectors)
    index = BinaryNeighbors(8, **parameters, **LISTS, n_probes=n_probes)
    return brute, index.fit(vectors)


@pytest.mark.parametrize("kind", INDEXES)
def test_all_lists_probed_are_brute_force(vectors, queries, kind, rng):
    brute, index = pair(vectors, **INDEXES[kind])
    assert_array_equal(np.asarray(brute.codes_), np.asarray(index.codes_))
    mask = rng.random(len(vectors)) < 0.02
    for k in (1, 8, 300):
        check_same(brute.kneighbors(queries, k), index.kneighbors(queries, k))
        found = index.kneighbors(queries, k, mask=mask)
        check_same(brute.kneighbors(queries, k, mask=mask), found)
    gone = rng.permutation(len(vectors))[:900]
    check_same(
        brute.remove(gone).kneighbors(queries), index.remove(gone).kneighbors(queries)
    )
    if kind != "floats" and INDEXES[kind].get("query") == "codes":
        check_same(brute.kneighbors(), index.kneighbors())


def test_rows_themselves_are_queries(vectors):
    brute, index = pair(vectors, query="vectors", oversampling=2)
    check_same(brute.kneighbors(), index.kneighbors())
    brute, index = pair(vectors)
    check_same(brute.kneighbors(), index.kneighbors())


@pytest.mark.parametrize("kind", ["dot", "floats", "reranked", "mixed depths, codes"])
def test_radius_is_exact_with_one_probe(vectors, queries, kind, rng):
    brute, index = pair(vectors, n_probes=1, **INDEXES[kind])
    radius = float(np.median(brute.kneighbors(queries, 30)[0][:, -1]))
    mask = rng.random(len(vectors)) < 0.5
    for given in (queries, None) if kind == "dot" else (queries,):
        one = brute.radius_neighbors(given, radius, mask=mask)
        other = index.radius_neighbors(given, radius, mask=mask)
        for mine, theirs in zip(one, other, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["dot", "uneven levels", "reranked", "mixed depths"])
def test_same_for_any_cut(vectors, queries, kind):
    _, index = pair(vectors, n_probes=5, **INDEXES[kind])
    whole = index.kneighbors(queries)
    for n_jobs in (2, 5):
        check_same(whole, index.set_params(n_jobs=n_jobs).kneighbors(queries))
        twin = clone(index).fit(vectors)
        assert_array_equal(twin.list_sizes_, index.list_sizes_)
        check_same(whole, twin.kneighbors(queries))
    index.set_params(n_jobs=None)
    singles = [index.kneighbors(queries[q : q + 1]) for q in range(QUERIES)]
    check_same(whole, [np.concatenate(x) for x in zip(*singles, strict=True)])
    order = np.random.default_rng(0).permutation(QUERIES)
    distances, rows = index.kneighbors(queries[order])
    check_same((whole[0][order], whole[1][order]), (distances, rows))


@pytest.mark.parametrize("kind", ["hamming", "dot", "floats"])
def test_recall_never_falls(vectors, queries, kind):
    brute, index = pair(vectors, **INDEXES[kind])
    k = 8
    _, expected = brute.kneighbors(queries, k)
    before = np.zeros(QUERIES)
    for n_probes in (1, 2, 3, 5, 9, 17, 33, 10**6):
        _, rows = index.set_params(n_probes=n_probes).kneighbors(queries, k)
        shared = [len(set(a) & set(b)) for a, b in zip(expected, rows, strict=True)]
        assert (shared >= before).all()
        before = np.array(shared)
    assert (before == k).all()
    before = np.full((QUERIES, k), np.inf)
    for share in (0.01, 0.03, 0.1, 0.3, 1.0):
        distances, _ = index.set_params(n_probes=share).kneighbors(queries, k)
        assert (distances <= before).all()
        before = distances


@pytest.mark.parametrize("kind", ["hamming", "floats", "reranked"])
def test_row_finds_itself_with_one_probe(vectors, kind):
    """Duplicates included: the list of a row is the first that its code probes."""
    _, index = pair(vectors, n_probes=1, **INDEXES[kind])
    brute = BinaryNeighbors(8, **INDEXES[kind]).fit(vectors)
    copies = np.flatnonzero((brute.codes_ == brute.codes_[3]).all(axis=1))
    assert len(copies) > 1
    _, expected = brute.kneighbors(vectors[:200], 1)
    itself = expected[:, 0] == np.arange(200)
    _, rows = index.kneighbors(vectors[:200], 1)
    assert_array_equal(rows[itself, 0], np.arange(200)[itself])
    _, rows = index.kneighbors(vectors[3:4], len(copies))
    if kind == "hamming":
        assert_array_equal(rows[0], copies)


def test_a_row_is_in_the_list_that_its_code_probes_first(vectors):
    _, index = pair(vectors)
    lists = index._rows.lists
    first = lists.rank(list_queries(index.codes_), 1)[0][:, 0]
    assert_array_equal(first, lists.lists_of(np.arange(len(vectors))))
    assert (np.diff(lists.order[lists.starts[3] : lists.starts[4]]) > 0).all()


def naive_order(code, vector, lists):
    """The lists of a query in the order in which they are probed, by definition."""
    tree, near = lists.tree, inverted_lists.NEAR_PARENTS
    values = inverted_lists.whole_values(code)[0].astype(np.int64)

    def distances(centroids):
        return ((values * tree.scale - centroids.astype(np.int64)) ** 2).sum(axis=1)

    parents = np.argsort(distances(tree.parents), kind="stable")
    of_list = distances(tree.centroids)
    groups = [np.arange(tree.children[p], tree.children[p + 1]) for p in parents]
    nearest = np.sort(np.concatenate(groups[:near]))
    place = near
    while len(nearest) == 0:
        nearest, place = groups[place], place + 1
    own = nearest[np.argmin(of_list[nearest])]
    if vector is not None:  # a quarter longer than the code, in parts of 256
        y = np.rint(vector * (127 / np.abs(vector).max().astype(np.float64)))
        length = np.sqrt((values @ values) / (y @ y))
        weight = np.rint(tree.scale * 256 * 1.25 * length).astype(np.int64)
        wide = tree.centroids.astype(np.int64)
        of_list = 256 * (wide**2).sum(axis=1)
        of_list = of_list - 2 * weight * (wide @ y.astype(np.int64))
    order = np.argsort(of_list, kind="stable")
    return np.concatenate([[own], order[order != own]])


@pytest.mark.parametrize("are_floats", [False, True])
@pytest.mark.parametrize("quantizer", [BinaryQuantizer(), TwoBitQuantizer()])
def test_order_of_lists_is_as_defined(
    vectors, queries, quantizer, are_floats, monkeypatch
):
    monkeypatch.setattr(inverted_lists, "_ONE_LEVEL", 8)
    codes = quantizer.fit_transform(vectors)
    lists = learn_lists(codes, 100, np.random.RandomState(0))
    assert len(lists.tree.parents) > 8
    codes = quantizer.transform(queries)
    y = queries - quantizer.thresholds_.astype(np.float32) if are_floats else None
    given = list_queries(codes, y)
    order, counts = lists.rank(given, len(lists))
    assert (counts == len(lists)).all()
    for q in range(QUERIES):
        vector = None if y is None else y[q]
        assert_array_equal(order[q], naive_order(codes[q : q + 1], vector, lists))
        assert_array_equal(lists.rank(given.of([q]), len(lists))[0][0], order[q])
    for n in (1, 2, 7, 50):
        assert_array_equal(lists.rank(given, n)[0], order[:, :n])
    some, counts = lists.rank(given, len(lists), budget=200)
    for q in range(QUERIES):
        assert_array_equal(some[q, : counts[q]], order[q, : counts[q]])
        rows = np.cumsum(lists.sizes[order[q]])
        assert counts[q] == np.argmax(rows >= 200) + 1


@pytest.mark.parametrize("width", [5, 63, 64, 65, 100, 127, 192])
@pytest.mark.parametrize("n_rows", [1, 3, 4, 6])
def test_nearest_centroids_are_as_defined(width, n_rows, rng):
    """Of numbers as far from zero as may be, in vectors and in what is left."""
    values = rng.integers(-127, 128, (n_rows, width)).astype(np.int8)
    centroids = rng.integers(-127, 128, (9, width)).astype(np.int8)
    values[0], centroids[3] = 127, -127
    centroids[8] = centroids[2]
    for scale in (1, 42):
        wide = centroids.astype(np.int64)
        squares = (wide**2).sum(axis=1)
        products = values.astype(np.int64) @ wide.T
        expected = np.argmin(squares - 2 * scale * products, axis=1)
        found = np.empty(n_rows, np.int64)
        nearest_centroid(values, centroids, squares, scale, found)
        assert_array_equal(found, expected)


def test_parents_without_lists_are_passed_over(vectors, queries, monkeypatch):
    monkeypatch.setattr(inverted_lists, "_ONE_LEVEL", 8)
    codes = TwoBitQuantizer().fit_transform(vectors)
    lists = learn_lists(codes, 100, np.random.RandomState(0))
    tree = lists.tree
    children = tree.children.copy()
    children[:-1] = 0  # all lists are those of the last parent
    tree = tree._replace(children=children)
    few = inverted_lists.Lists(tree, lists.starts, lists.order, lists.added)
    order, _ = few.rank(list_queries(codes[:QUERIES]), len(few))
    assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(len(few)), (60, 1)))
    assert_array_equal(few.with_added(codes[:QUERIES]).added, order[:, 0])


def test_flipped_and_permuted_coordinates_change_nothing(rng):
    signs = rng.random((1500, 64)) < 0.5
    signs[:, 32:] ^= signs[:, :32] & (rng.random((1500, 32)) < 0.9)
    given = rng.random((40, 64)) < 0.5

    def search(rows, queries):
        index = BinaryNeighbors(5, **LISTS, n_probes=3)
        index.fit(as_codes(np.packbits(rows, axis=1), 64))
        assert 20 < index.n_lists_ < 80
        found = index.kneighbors(as_codes(np.packbits(queries, axis=1), 64))
        return *found, index.list_sizes_

    plain = search(signs, given)
    flip, order = rng.random(64) < 0.5, rng.permutation(64)
    check_same(plain, search(signs ^ flip, given ^ flip))
    check_same(plain, search(signs[:, order], given[:, order]))


@pytest.mark.parametrize("kind", INDEXES)
def test_added_rows_do_not_depend_on_when_they_are_listed(vectors, queries, kind):
    first, later = vectors[:1800], vectors[1800:]
    _, index = pair(first, n_probes=4, **INDEXES[kind])
    index.partial_fit(later[:10]).partial_fit(later[10:])
    assert len(index._rows.lists.added) == 200
    before = index.kneighbors(queries)
    assert (before[1] >= 1800).any()
    codes = index.codes_
    behind = index._rows
    merged = behind.lists.merged()
    index._rows = behind._stored_from(behind.lists.places_of(merged.order), merged)
    assert len(merged.added) == 0
    check_same(before, index.kneighbors(queries))
    assert_array_equal(index.codes_, codes)
    brute = BinaryNeighbors(8, **INDEXES[kind]).fit(first).partial_fit(later)
    check_same(
        brute.kneighbors(queries), index.set_params(n_probes=1.0).kneighbors(queries)
    )


def test_many_added_rows_are_listed(vectors, queries):
    brute, index = pair(vectors[:1500])
    for start in range(1500, 2000, 50):
        index.partial_fit(vectors[start : start + 50])
    lists = index._rows.lists
    assert len(lists.order) > 1500
    assert len(lists.added) <= 250
    assert index.list_sizes_.sum() == 2000
    brute.partial_fit(vectors[1500:])
    check_same(brute.kneighbors(queries), index.kneighbors(queries))
    check_same(brute.kneighbors(), index.kneighbors())


@pytest.mark.parametrize("kind", ["dot", "reranked", "mixed depths"])
@pytest.mark.parametrize("mapped", [None, "r"])
def test_saved_and_loaded(vectors, queries, kind, mapped, tmp_path):
    _, index = pair(vectors[:1900], n_probes="auto", **INDEXES[kind])
    index.partial_fit(vectors[1900:]).remove([5, 1950])
    index.save(tmp_path / "index.skbq")
    loaded = BinaryNeighbors.load(tmp_path / "index.skbq", mmap_mode=mapped)
    check_same(index.kneighbors(queries), loaded.kneighbors(queries))
    assert loaded.n_probes_ == index.n_probes_
    assert str(loaded.probe_curve_) == str(index.probe_curve_)
    if mapped is None:
        assert loaded.bytes_per_row_ == index.bytes_per_row_
    else:  # what lists are turned into for speed is made of codes in memory only
        assert loaded.bytes_per_row_ < index.bytes_per_row_
    again = pickle.loads(pickle.dumps(index))
    check_same(index.kneighbors(queries), again.kneighbors(queries))
    loaded.partial_fit(vectors[:400])
    check_same(
        index.partial_fit(vectors[:400]).kneighbors(queries), loaded.kneighbors(queries)
    )


def test_files_without_lists_stay_readable_by_earlier_versions(vectors, tmp_path):
    BinaryNeighbors().fit(vectors).save(tmp_path / "index.skbq")
    content = (tmp_path / "index.skbq").read_bytes()
    assert content[8:12] == (1).to_bytes(4, "little")
    assert b"algorithm" not in content[:2000]
    pair(vectors)[1].save(tmp_path / "index.skbq")
    assert (tmp_path / "index.skbq").read_bytes()[8] == 3


def test_lists_are_the_same_bytes_for_a_seed(vectors):
    """Pinned: whole numbers give the same lists on every machine."""
    rng = np.random.RandomState(0)
    bits = rng.randint(0, 2, size=(3000, 64)).astype(bool)
    bits[:, 32:] = bits[:, :32] ^ (rng.random_sample((3000, 32)) < 0.2)
    codes = as_codes(np.packbits(bits, axis=1), 64)
    digests = set()
    for n_jobs in (1, 2, 4):
        lists = learn_lists(codes, 300, np.random.RandomState(1), n_jobs)
        assert len(lists.tree.parents) > 1
        digest = hashlib.sha256()
        for part in inverted_lists.pack_lists(lists):
            digest.update(part.tobytes())
        digests.add(digest.hexdigest()[:16])
    assert digests == {"d0fa1d29846fdf98"}


# Calibration.


def test_auto_keeps_its_promise(glosses):
    rows, held_out = glosses.data, glosses.queries
    brute = BinaryNeighbors(10, query="vectors", oversampling=4).fit(rows)
    index = BinaryNeighbors(
        10, query="vectors", oversampling=4, algorithm="ivf", random_state=0
    ).fit(rows)
    _, expected = brute.kneighbors(held_out)
    for target in (0.8, 0.9, 0.95):
        index.set_params(target_recall=target)
        _, found = index.kneighbors(held_out)
        shared = [len(set(a) & set(b)) for a, b in zip(expected, found, strict=True)]
        assert np.mean(shared) / 10 >= target - 0.01
    curve = index.probe_curve_
    assert (np.diff([estimate.value for estimate in curve.recall]) >= 0).all()
    assert curve.share[-1] == 1
    assert curve.n_probes[-1] == index.n_lists_
    assert all(e.low <= e.value <= e.high for e in curve.recall)
    assert "rows compared" in str(curve)


@pytest.mark.parametrize(
    ("quantizer", "query", "oversampling"),
    [
        (TwoBitQuantizer(), "vectors", 2),
        # Codes that rank badly: reranking puts rows before those of brute force that
        # these did not rerank, since their codes were farther.
        (BinaryQuantizer(), "codes", 4),
        (BinaryQuantizer(), "codes", None),
    ],
)
def test_curve_is_what_searches_find(rng, quantizer, query, oversampling):
    """Leave-one-out recall of real searches, at each number of lists."""
    X = rng.normal(size=(2000, 24)).astype(np.float32)
    _, index = pair(X, quantizer=quantizer, query=query, oversampling=oversampling)
    curve = index.probe_curve_
    own = np.sort(_calibration_rows(index, len(X)))
    _, expected = index.kneighbors(n_neighbors=10)
    for point in (4, 9, 14, len(curve.n_probes) - 2):
        index.set_params(n_probes=int(curve.n_probes[point]))
        _, found = index.kneighbors(n_neighbors=10)
        shared = share_found(found[own], expected[own])
        assert shared == pytest.approx(curve.recall[point].value, abs=1e-12)


def _calibration_rows(index, n):
    """Return the last rows of the order that fit drew."""
    return np.random.RandomState(0).permutation(n)[-index_module.CALIBRATION_ROWS :]


def test_rows_measure_what_other_vectors_find(rng):
    """Lists do not learn from the rows that measure them.

    Those would find .022 more than other vectors here.
    """
    X = rng.normal(size=(4000, 32)).astype(np.float32)
    rows, others = X[:3000], X[3000:]
    pairs = []
    for seed in range(3):
        brute, index = pair(rows, n_probes=4, quantizer=BinaryQuantizer())
        index.set_params(random_state=seed).fit(rows)
        expected = brute.kneighbors(others, 10, return_distance=False)
        found = index.kneighbors(others, 10, return_distance=False)
        point = np.searchsorted(index.probe_curve_.n_probes, 4)
        promise = index.probe_curve_.recall[point].value
        pairs.append((share_found(found, expected), promise))
    measured, promised = np.mean(pairs, axis=0)
    assert promised == pytest.approx(measured, abs=0.012)


def test_calibrate_goes_by_the_queries_given(vectors, rng):
    _, index = pair(vectors, n_probes="auto")
    near = index.n_probes_
    far = rng.normal(size=(100, 48))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index.calibrate(far)
    assert index.n_probes_ > near
    assert index.probe_curve_.n_queries == 100


def test_structureless_rows_are_named():
    X = make_sphere(4000, 256, random_state=0).data
    index = BinaryNeighbors(10, algorithm="ivf", n_lists=64, random_state=0)
    with pytest.warns(UserWarning, match="lists do not separate your rows: to find 95"):
        index.fit(X)
    assert index.probe_curve_.share[index.probe_curve_.find(0.95)] > 0.5


def test_auto_is_brute_below_its_number_of_rows(vectors, monkeypatch):
    index = BinaryNeighbors(algorithm="auto", random_state=0).fit(vectors)
    assert not hasattr(index, "n_lists_")
    monkeypatch.setattr(index_module, "_ROWS_FOR_LISTS", 2000)
    assert index.fit(vectors).n_lists_ >= choose_n_lists(2000)
    sphere = make_sphere(2000, 64, random_state=0).data
    assert not hasattr(index.fit(sphere), "n_lists_")
    check_same(
        index.kneighbors(sphere[:9]),
        BinaryNeighbors().fit(sphere).kneighbors(sphere[:9]),
    )
    assert not hasattr(
        index.set_params(oversampling="bound", query="vectors").fit(vectors), "n_lists_"
    )


# Odd rows.


@pytest.mark.parametrize(
    "X",
    [
        np.ones((300, 8)),
        np.repeat(np.eye(8), [1000, 1, 1, 2, 3, 1, 1, 1], axis=0),
        np.sort(np.random.default_rng(0).normal(size=(500, 3)), axis=0),
        np.random.default_rng(0).normal(size=(3, 8)),
        np.random.default_rng(0).normal(size=(1, 8)),
    ],
    ids=["all equal", "one row a thousand times", "sorted", "few rows", "one row"],
)
def test_odd_rows(X):
    X = X + 1e-3
    brute = BinaryNeighbors(1, metric="euclidean").fit(X)
    for n_lists in (1, 50):
        index = BinaryNeighbors(
            1, metric="euclidean", algorithm="ivf", n_lists=n_lists, random_state=0
        ).set_params(n_probes=1)
        index.fit(X).kneighbors(X)
        assert 1 <= index.n_lists_ <= min(len(X), 2 * n_lists + 8)
        assert index.list_sizes_.sum() == len(X)
        assert (index.list_sizes_ > 0).all()
        index.set_params(n_probes=1.0)
        check_same(brute.kneighbors(X), index.kneighbors(X))


def test_long_lists_are_split(rng):
    """Most rows in one cluster, as of data with a few giant ones."""
    X = rng.normal(size=(4000, 32)) * 0.3
    X[:3000] += 3
    X[3000:] += 5 * rng.normal(size=(1000, 32))
    index = BinaryNeighbors(
        5, algorithm="ivf", n_lists=50, n_probes=1, metric="euclidean", random_state=0
    ).fit(X)
    assert index.list_sizes_.max() <= 3 * 4000 / 50


def test_number_of_lists():
    assert [choose_n_lists(n) for n in (1, 64, 200, 10_000)] == [1, 1, 4, 128]
    assert choose_n_lists(200_000) in (1024, 2048)
    assert choose_n_lists(1_000_000) == 4096


# Parameters.


def test_lists_only_where_asked_for(vectors):
    index = BinaryNeighbors().fit(vectors)
    for name in ("n_lists_", "n_probes_", "list_sizes_", "probe_curve_"):
        assert not hasattr(index, name)
    with pytest.raises(ValueError, match="was set after fit, which made no lists"):
        index.set_params(algorithm="ivf").kneighbors(vectors[:2])
    with pytest.raises(AttributeError, match="set algorithm='ivf' and fit"):
        index.set_params(algorithm="brute").calibrate(vectors[:5])


def test_brute_after_fit_compares_all(vectors, queries):
    brute, index = pair(vectors, n_probes=1)
    assert (index.kneighbors(queries)[0] > brute.kneighbors(queries)[0]).any()
    index.set_params(algorithm="brute")
    check_same(brute.kneighbors(queries), index.kneighbors(queries))


def test_transformer_takes_the_same(vectors):
    graph = BinaryNeighborsTransformer(5, **LISTS, n_probes=1.0).fit_transform(vectors)
    expected = BinaryNeighborsTransformer(5).fit_transform(vectors)
    assert_array_equal(graph.toarray(), expected.toarray())


def test_bytes_tell_the_lists(vectors):
    brute, index = pair(vectors)
    more = index.bytes_per_row_ - brute.bytes_per_row_
    index.kneighbors(vectors[:1])
    lines = index._rows.listed[0].lines.nbytes
    assert lines > 0
    assert more == -(-(index._rows.lists.nbytes + lines) // len(vectors))


def test_probes_are_measured_with_rows_that_are_there(vectors):
    """Where few rows are left, not more neighbors are looked for than there are."""
    index = BinaryNeighbors(8, **{**LISTS, "n_lists": 3}, n_probes=2).fit(vectors[:30])
    index.remove(np.arange(26)).calibrate(vectors[:40])
    assert index.probe_curve_.recall[-1].value == 1
