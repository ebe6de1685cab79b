"""What fit does with each row: scaled once, encoded once, never copied wholesale."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skbq import BinaryNeighbors, BinaryQuantizer, RandomRotation, TwoBitQuantizer
from skbq._neighbors import encoding
from skbq._utils import similarity

QUANTIZERS = {
    "plain": TwoBitQuantizer(),
    "rotated": make_pipeline(RandomRotation(random_state=0), TwoBitQuantizer()),
    "nested": make_pipeline(Normalizer(), make_pipeline(TwoBitQuantizer())),
    "median": make_pipeline(TwoBitQuantizer("median")),
    "frozen at the end": make_pipeline(
        RandomRotation(random_state=0),
        FrozenEstimator(TwoBitQuantizer("zero").fit(np.ones((1, 16)))),
    ),
}


@pytest.fixture
def X(rng):
    return rng.standard_normal((3000, 16)).astype(np.float32)


@pytest.fixture
def counts(monkeypatch):
    """Rows that were scaled to unit norm, and rows that were encoded."""
    counts = {"scaled": 0, "encoded": 0}
    scale, encode = similarity.scale_to_unit, TwoBitQuantizer._encode

    def counted_scale(rows, out):
        counts["scaled"] += len(rows)
        scale(rows, out)

    def counted_encode(self, block):
        counts["encoded"] += len(block)
        return encode(self, block)

    monkeypatch.setattr(similarity, "scale_to_unit", counted_scale)
    monkeypatch.setattr(TwoBitQuantizer, "_encode", counted_encode)
    return counts


@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("sampled", [False, True])
def test_each_row_is_scaled_and_encoded_once(
    X, counts, monkeypatch, name, query, sampled
):
    if sampled:
        monkeypatch.setattr(encoding, "_FIT_ROWS", 1000)
    index = BinaryNeighbors(quantizer=QUANTIZERS[name], query=query).fit(X)
    spare = 1 if "frozen" in name else 0  # its transform tries the first row
    assert counts["scaled"] == 3000
    assert 3000 <= counts["encoded"] <= 3000 + spare
    rows = similarity.unit_norm(X)
    assert_array_equal(index.codes_, index.quantizer_.transform(rows))
    frozen = FrozenEstimator(index.quantizer_)
    again = BinaryNeighbors(quantizer=frozen, query=query).fit(X)
    assert_array_equal(again.codes_, index.codes_)
    for kept, column in zip(
        again._rows.corrections.columns if query == "vectors" else [],
        index._rows.corrections.columns if query == "vectors" else [],
        strict=True,
    ):
        assert_array_equal(kept, column)


def test_codes_of_fit_transform_are_those_of_transform(X):
    for quantizer in (BinaryQuantizer(), TwoBitQuantizer("median", "coordinate")):
        codes = quantizer.fit_transform(X)
        assert_array_equal(codes, quantizer.transform(X))
        assert codes.levels == quantizer.transform(X).levels


@pytest.mark.parametrize("oversampling", [None, 2])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_memory_map_is_not_copied_wholesale(tmp_path, rng, oversampling, metric):
    """Half floats on disk: what is learned from is bounded, not a share of them."""
    n, d = 60_000, 640
    half = np.lib.format.open_memmap(tmp_path / "half.npy", "w+", np.float16, (n, d))
    for rows in range(0, n, 6000):
        half[rows : rows + 6000] = rng.standard_normal((6000, d), np.float32)
    half.flush()
    mapped = np.load(tmp_path / "half.npy", mmap_mode="r")
    index = BinaryNeighbors(3, oversampling=oversampling, metric=metric)
    index.fit(mapped[:100])  # compiles
    tracemalloc.start()
    index.fit(mapped)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 77 MB on disk; 154 MB as float32. 64 MB are learned from, 10 MB are codes.
    assert peak < 100 * 2**20
    assert_array_equal(index.kneighbors(mapped[[5]], 1)[1], [[5]])
