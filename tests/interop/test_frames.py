"""Frames, tables and arrays of other libraries on the way in and out."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    HeterogeneityProfiler,
    RandomRotation,
    as_codes,
    open_vectors,
)

N_FEATURES = 12


@pytest.fixture
def X(rng):
    return rng.standard_normal((60, N_FEATURES)).astype(np.float32)


@pytest.fixture
def codes(X):
    return BinaryQuantizer().fit(X).transform(X)


def wide_frame(library, X):
    names = [f"x{i}" for i in range(X.shape[1])]
    if library == "pandas":
        return pytest.importorskip("pandas").DataFrame(X, columns=names)
    return pytest.importorskip("polars").DataFrame(X, schema=names)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_numbers(X, library):
    frame = wide_frame(library, X)
    index = BinaryNeighbors(3, quantizer=BinaryQuantizer()).fit(frame)
    assert list(index.feature_names_in_) == list(frame.columns)
    expected = BinaryNeighbors(3, quantizer=BinaryQuantizer()).fit(X)
    assert_array_equal(index.kneighbors(frame), expected.kneighbors(X))
    with pytest.raises(ValueError, match="feature names"):
        index.kneighbors(frame[list(frame.columns)[::-1]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    "estimator", [RandomRotation(random_state=0), HeterogeneityProfiler()], ids=repr
)
def test_frames_out(X, library, estimator):
    frame = wide_frame(library, X)
    out = estimator.set_output(transform=library).fit(frame).transform(frame)
    assert type(out) is type(frame)
    estimator.set_output(transform="default")
    assert_array_equal(out.to_numpy(), estimator.fit(X).transform(X))


def test_codes_in_a_parquet_file(X, codes, tmp_path):
    """A code is one value of fixed size: the file says so, other programs read it."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    kind = pa.binary(codes.shape[1])
    column = pa.array([row.tobytes() for row in np.asarray(codes)], kind)
    parquet.write_table(pa.table({"code": column}), tmp_path / "codes.parquet")
    read = parquet.read_table(tmp_path / "codes.parquet")["code"].combine_chunks()
    assert read.type == kind
    packed = np.frombuffer(read.buffers()[1], np.uint8).reshape(len(read), -1)
    again = as_codes(packed, n_features=N_FEATURES)
    assert_array_equal(again, codes)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_codes_in_a_column_of_bytes(codes, library):
    values = [row.tobytes() for row in np.asarray(codes)]
    column = pytest.importorskip(library).Series(values)
    packed = np.frombuffer(b"".join(column), np.uint8).reshape(len(column), -1)
    assert_array_equal(as_codes(packed, n_features=N_FEATURES), codes)


def test_parquet_with_identifiers(X, tmp_path):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"key": [f"doc{i}" for i in range(60)], "embedding": X})
    frame.write_parquet(tmp_path / "rows.parquet")
    rows = open_vectors(tmp_path / "rows.parquet", column="embedding", ids="key")
    found = BinaryNeighbors(2, quantizer=BinaryQuantizer()).fit(rows).kneighbors(X)[1]
    assert rows.ids is not None
    assert [rows.ids[i] for i in found[:3, 0]] == ["doc0", "doc1", "doc2"]


# dask arrays


@pytest.fixture
def chunked(X):
    return pytest.importorskip("dask.array").from_array(X, chunks=(25, N_FEATURES))


def test_dask_arrays_come_in(X, chunked):
    index = BinaryNeighbors(3, quantizer=BinaryQuantizer()).fit(chunked)
    expected = BinaryNeighbors(3, quantizer=BinaryQuantizer()).fit(X)
    assert_array_equal(index.codes_, expected.codes_)
    assert_array_equal(index.kneighbors(chunked), expected.kneighbors(X))


def test_dask_blocks_are_encoded_one_by_one(X, chunked, codes):
    quantizer = BinaryQuantizer()
    for block in chunked.blocks:
        quantizer.partial_fit(block.compute())
    lazy = chunked.map_blocks(
        lambda block: np.asarray(quantizer.transform(block)),
        dtype=np.uint8,
        chunks=(chunked.chunks[0], codes.shape[1:]),
    )
    assert_array_equal(as_codes(lazy.compute(), n_features=N_FEATURES), codes)
