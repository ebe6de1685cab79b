"""Search of PCAQuantizer's codes, flat and nested: answers, and what is refused."""

import dataclasses
import pickle

import numpy as np
import pytest
from helpers import share_found, true_distances
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    PCAQuantizer,
    RandomRotation,
    TwoBitQuantizer,
    as_codes,
)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    spread = np.linspace(1, 0.05, 40)
    return rng.standard_normal((1500, 40)) * spread + 0.3


@pytest.fixture(scope="module")
def queries():
    rng = np.random.default_rng(1)
    return rng.standard_normal((60, 40)) * np.linspace(1, 0.05, 40) + 0.3


def estimates(index, rows, queries):
    """The corrected estimate, straight from its formula."""
    quantizer, metric = index.quantizer_, index.metric
    if metric == "cosine":
        rows, queries = (
            x / np.linalg.norm(x, axis=1)[:, None] for x in (rows, queries)
        )
    c, components = quantizer.mean_, quantizer.components_.astype(float)
    a, b = rows - c, queries - c
    code = index.codes_.unpack().astype(float)
    along = (code * (a @ components.T)).sum(axis=1)
    t = quantizer.correction_strength_
    f = (1 - t) * along / (code * code).sum(axis=1) + t * (a * a).sum(axis=1) / along
    products = f * ((b @ components.T) @ code.T)
    if metric == "inner_product":
        return -products - a @ c - (queries @ c)[:, None]
    squares = (a * a).sum(axis=1) + (b * b).sum(axis=1)[:, None] - 2 * products
    return squares / 2 if metric == "cosine" else np.sqrt(np.maximum(squares, 0))


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("bits", [0.5, 1, 3])
def test_float_queries_find_what_the_formula_says(rows, queries, metric, bits):
    quantizer = PCAQuantizer(bits, exponent=1, random_state=0, correction_bytes=3)
    index = BinaryNeighbors(10, quantizer=quantizer, metric=metric, query="vectors")
    distances, found = index.fit(rows).kneighbors(queries)
    expected = estimates(index, rows, queries)
    room = 2e-3 * np.abs(expected).max()
    assert_allclose(np.take_along_axis(expected, found, axis=1), distances, atol=room)
    assert_allclose(np.sort(expected, axis=1)[:, :10], distances, atol=room)


def recall(index, rows, queries, metric="cosine"):
    true = true_distances(rows, queries, metric)
    near = np.argsort(true, axis=1)[:, :10]
    found = index.kneighbors(queries, 10, return_distance=False)
    return share_found(found, near)


def test_more_neighbors_than_with_as_many_bits_for_all(rows, queries):
    recalls = [
        recall(
            BinaryNeighbors(quantizer=quantizer, query=query).fit(rows), rows, queries
        )
        for query in ("vectors", "codes")
        for quantizer in (PCAQuantizer(1, random_state=0), BinaryQuantizer())
    ]
    assert recalls[0] > recalls[1] + 0.1
    assert recalls[2] > recalls[3] + 0.1


def test_reranked_distances_are_exact(rows, queries):
    quantizer = PCAQuantizer(2, random_state=0)
    index = BinaryNeighbors(
        10, quantizer=quantizer, query="vectors", oversampling=10
    ).fit(rows)
    distances, found = index.kneighbors(queries)
    true = true_distances(rows, queries, "cosine")
    assert_allclose(np.take_along_axis(true, found, axis=1), distances, atol=1e-6)
    assert recall(index, rows, queries) > 0.95


def test_codes_are_compared_by_the_cosine_of_their_values(rows, queries):
    quantizer = PCAQuantizer(1, exponent=1, random_state=0).fit(rows)
    flat = BinaryNeighbors(10).fit(quantizer.transform(rows))
    distances, found = flat.kneighbors(quantizer.transform(queries))
    values, asked = (quantizer.transform(x).unpack() for x in (rows, queries))
    expected = true_distances(values.astype(float), asked.astype(float), "cosine")
    assert_allclose(np.take_along_axis(expected, found, axis=1), distances, atol=1e-6)
    assert_allclose(np.sort(expected, axis=1)[:, :10], distances, atol=1e-6)
    near, where = flat.radius_neighbors(quantizer.transform(queries), 0.5)
    for q in range(len(queries)):
        assert abs((expected[q] <= 0.5).sum() - len(where[q])) <= 1
        assert (near[q] <= 0.5).all()


def test_flat_and_nested_find_the_same(rows, queries):
    steps = (Normalizer(), PCAQuantizer(1, random_state=0))
    flat = make_pipeline(*steps, BinaryNeighbors(5)).fit(rows)
    nested = BinaryNeighbors(5, quantizer=make_pipeline(*steps)).fit(rows)
    found = flat[-1].kneighbors(flat[:-1].transform(queries))
    for got, expected in zip(found, nested.kneighbors(queries), strict=True):
        assert_array_equal(got, expected)
    assert len(nested.kneighbors()[0]) == len(rows)


@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_answers_do_not_depend_on_batches_and_threads(rows, queries, query):
    quantizer = PCAQuantizer(1, random_state=0)
    index = BinaryNeighbors(10, quantizer=quantizer, query=query).fit(rows)
    threaded = BinaryNeighbors(10, quantizer=quantizer, query=query, n_jobs=2).fit(rows)
    assert_array_equal(index.codes_, threaded.codes_)
    distances, found = index.kneighbors(queries)
    assert_array_equal(threaded.kneighbors(queries)[1], found)
    for some in (slice(0, 1), slice(7, 9)):
        part = index.kneighbors(queries[some])
        assert_array_equal(part[0], distances[some])
        assert_array_equal(part[1], found[some])
    again = pickle.loads(pickle.dumps(index)).kneighbors(queries)
    assert_array_equal(again[0], distances)


def test_codes_do_not_depend_on_threads():
    """Of several blocks of rows, which threads share."""
    X = np.random.default_rng(2).standard_normal((30_000, 40))
    X *= np.geomspace(2, 0.1, 40)
    quantizer = FrozenEstimator(PCAQuantizer(1, random_state=0).fit(X[:5000]))
    one, *others = (
        BinaryNeighbors(quantizer=quantizer, query="vectors", n_jobs=n).fit(X)
        for n in (1, 2, 3)
    )
    for other in others:
        assert np.asarray(other.codes_).tobytes() == np.asarray(one.codes_).tobytes()
        assert_array_equal(other.kneighbors(X[:9]), one.kneighbors(X[:9]))


def test_rows_that_are_added_are_encoded_alike(rows, queries):
    quantizer = PCAQuantizer(1, random_state=0).fit(rows)
    whole = BinaryNeighbors(10).fit(quantizer.transform(rows))
    parts = BinaryNeighbors(10).fit(quantizer.transform(rows[:700]))
    parts.partial_fit(quantizer.transform(rows[700:]))
    asked = quantizer.transform(queries)
    for got, expected in zip(
        parts.kneighbors(asked), whole.kneighbors(asked), strict=True
    ):
        assert_array_equal(got, expected)


def test_graph(rows):
    graph = BinaryNeighborsTransformer(
        n_neighbors=5, quantizer=PCAQuantizer(1, random_state=0)
    ).fit_transform(rows)
    assert graph.shape == (len(rows), len(rows))
    assert (graph.getnnz(axis=1) == 6).all()


def test_what_is_refused(rows):
    quantizer = PCAQuantizer(1, random_state=0)
    for metric in ("hamming", "penalty"):
        with pytest.raises(ValueError, match="compared by 'dot'"):
            BinaryNeighbors(quantizer=quantizer, code_metric=metric).fit(rows)
        with pytest.raises(ValueError, match="compared by 'dot'"):
            BinaryNeighbors(code_metric=metric).fit(quantizer.fit_transform(rows))
    index = BinaryNeighbors(quantizer=quantizer, query="vectors", oversampling="bound")
    with pytest.raises(ValueError, match="oversampling=4 instead"):
        index.fit(rows)
    index = BinaryNeighbors(quantizer=quantizer, query="vectors").fit(rows)
    with pytest.raises(ValueError, match="alike in all directions"):
        index.kneighbors(rows[:3], return_bound=True)
    codes = quantizer.fit_transform(rows)
    flat = BinaryNeighbors().fit(codes)
    others = PCAQuantizer(1, random_state=1).fit_transform(2 * rows)
    with pytest.raises(ValueError, match="Encode both with the same fitted"):
        flat.kneighbors(others)
    with pytest.raises(ValueError, match="fitted on codes of mixed depth"):
        flat.kneighbors(BinaryQuantizer().fit_transform(rows))
    as_one_bit = as_codes(np.asarray(codes), n_features=8 * codes.shape[1])
    with pytest.raises(ValueError, match="holds 1-bit codes"):
        flat.kneighbors(as_one_bit)


# Bytes, and files.


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("kept", [0, 3, "auto"])
def test_bytes_of_a_row_are_those_asked_for(rows, metric, kept):
    quantizer = PCAQuantizer(
        n_bytes=12, exponent=1, random_state=0, correction_bytes=kept
    )
    index = BinaryNeighbors(quantizer=quantizer, metric=metric, query="vectors")
    index.fit(rows)
    assert index.bytes_per_row_ == 12 == index.quantizer_.n_bytes_
    fitted = index.quantizer_
    if kept != "auto":
        assert fitted.correction_bytes_ == kept
    assert index.codes_.shape == (len(rows), 12 - fitted.correction_bytes_)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_corrections_that_codes_predict(rows, queries, metric, tmp_path):
    """Without a byte of them, more is found than where all rows share a scale."""
    if metric == "cosine":
        rows = rows + 0.5  # so that <q, c> says much of <a, c>
    quantizer = PCAQuantizer(n_bytes=8, random_state=0, correction_bytes=0)
    index = BinaryNeighbors(10, quantizer=quantizer, metric=metric, query="vectors")
    index.fit(rows)
    assert index._rows.corrections.kind == "none"
    found = recall(index, rows, queries, metric)
    exact = clone(index).set_params(corrections="exact").fit(rows)
    # Norms say much, which codes know best where all are 1.
    less = 0.1 if metric == "cosine" else 0.2
    assert found > recall(exact, rows, queries, metric) - less
    shared = clone(index).fit(rows)
    kept = shared._rows.corrections._replace(prediction=None)
    shared._rows = dataclasses.replace(shared._rows, corrections=kept)
    # Inner products of queries that are not centered need no offsets.
    more = 0 if metric == "inner_product" else 0.02
    assert found > recall(shared, rows, queries, metric) + more
    # The same from a file, in rows added later, at any scale, and one by one.
    index.save(tmp_path / "index")
    parts = clone(index).set_params(quantizer=FrozenEstimator(index.quantizer_))
    parts.fit(rows[:400]).partial_fit(rows[400:])
    near = index.kneighbors(queries)
    for other in (BinaryNeighbors.load(tmp_path / "index"), parts):
        assert other.bytes_per_row_ == 8
        for got, expected in zip(other.kneighbors(queries), near, strict=True):
            assert_array_equal(got, expected)
    for got, expected in zip(index.kneighbors(queries[5:6]), near, strict=True):
        assert_array_equal(got[0], expected[5])
    if metric == "euclidean":
        small = clone(index).fit(1e-20 * rows).kneighbors(1e-20 * queries)
        assert np.mean(small[1] == near[1]) > 0.97
        assert_allclose(small[0], 1e-20 * near[0], rtol=1e-2)


def test_auto_spends_short_rows_on_codes():
    """Where 3 bytes are a quarter of a row, more bytes of code find more."""
    rng = np.random.default_rng(0)
    spread = np.linspace(1, 0.6, 96)
    X = rng.standard_normal((2000, 96)) * spread + 0.1
    X /= np.linalg.norm(X, axis=1)[:, None]
    short, long = (
        PCAQuantizer(n_bytes=n, random_state=0, exponent=1).fit(X) for n in (8, 48)
    )
    assert short.correction_bytes_ == 0
    assert short.layout_.width == 8
    assert long.n_bytes_ == 48


@pytest.mark.parametrize("scale", [1e-12, 1e6])
def test_short_corrections_at_every_scale(rows, queries, scale):
    quantizer = PCAQuantizer(1, exponent=1, random_state=0, correction_bytes=3)
    found = [
        BinaryNeighbors(10, quantizer=quantizer, metric="euclidean", query="vectors")
        .fit(factor * rows)
        .kneighbors(factor * queries)
        for factor in (1.0, scale)
    ]
    assert np.mean(found[0][1] == found[1][1]) > 0.97
    assert_allclose(found[1][0], scale * found[0][0], rtol=1e-2)


def test_rows_added_later_keep_the_rounding(rows, queries):
    quantizer = PCAQuantizer(1, random_state=0, correction_bytes=3).fit(rows)
    quantizer = FrozenEstimator(quantizer)
    whole = BinaryNeighbors(
        10, quantizer=quantizer, metric="euclidean", query="vectors"
    )
    parts = clone(whole).fit(rows[:700]).partial_fit(rows[700:])
    whole.fit(rows)
    assert parts.bytes_per_row_ == whole.bytes_per_row_
    near, far = (index.kneighbors(queries) for index in (whole, parts))
    assert np.mean(near[1] == far[1]) > 0.97
    with pytest.raises(ValueError, match="far longer than the first"):
        parts.partial_fit(1e8 * rows)


@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_files(rows, queries, tmp_path, query, mmap_mode):
    steps = make_pipeline(RandomRotation(random_state=0), PCAQuantizer(random_state=0))
    index = BinaryNeighbors(quantizer=steps, query=query).fit(rows)
    index.save(tmp_path / "index.skbq")
    loaded = BinaryNeighbors.load(tmp_path / "index.skbq", mmap_mode=mmap_mode)
    assert loaded.codes_.layout == index.codes_.layout
    assert loaded.bytes_per_row_ == index.bytes_per_row_
    for got, expected in zip(
        loaded.kneighbors(queries), index.kneighbors(queries), strict=True
    ):
        assert_array_equal(got, expected)
    loaded.partial_fit(queries)
    assert loaded.n_samples_fit_ == len(rows) + len(queries)


def test_files_of_codes_and_their_version(rows, tmp_path):
    codes = PCAQuantizer(1, random_state=0).fit_transform(rows)
    BinaryNeighbors().fit(codes).save(tmp_path / "mixed.skbq")
    loaded = BinaryNeighbors.load(tmp_path / "mixed.skbq")
    assert_array_equal(loaded.kneighbors(codes[:3])[1][:, 0], [0, 1, 2])
    BinaryNeighbors().fit(rows).save(tmp_path / "two_bits.skbq")
    versions = [
        int.from_bytes((tmp_path / f"{name}.skbq").read_bytes()[8:12], "little")
        for name in ("mixed", "two_bits")
    ]
    assert versions == [2, 1]


def test_files_whose_layout_is_another(rows, tmp_path):
    quantizer = PCAQuantizer(1, exponent=1, correction_bytes=3, random_state=0)
    index = BinaryNeighbors(quantizer=quantizer).fit(rows)
    layout = index.codes_.layout
    layout.scales[0] *= 2
    index.quantizer_.layout_ = clone(quantizer).fit(rows * 2).layout_
    index.save(tmp_path / "index.skbq")
    with pytest.raises(ValueError, match="codes are not those of the quantizer"):
        BinaryNeighbors.load(tmp_path / "index.skbq")


@pytest.mark.parametrize(
    "quantizer", [PCAQuantizer(1, random_state=0), BinaryQuantizer(), TwoBitQuantizer()]
)
def test_skops(rows, queries, quantizer):
    skops = pytest.importorskip("skops.io")
    index = BinaryNeighbors(quantizer=quantizer, query="vectors").fit(rows)
    data = skops.dumps(index)
    loaded = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    for got, expected in zip(
        loaded.kneighbors(queries), index.kneighbors(queries), strict=True
    ):
        assert_array_equal(got, expected)
