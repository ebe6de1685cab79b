"""Columns of vectors, whatever library holds them, and bits taken for vectors."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    HeterogeneityProfiler,
    QuantizationAdvisor,
    RandomRotation,
    TwoBitQuantizer,
)
from skbq._utils.containers import as_matrix

ml_dtypes = pytest.importorskip("ml_dtypes")
pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

COLUMNS = {
    "polars array": lambda X: pl.Series("e", X),
    "polars list": lambda X: pl.Series("e", X.tolist()),
    "polars chunks": lambda X: pl.concat(
        [pl.Series("e", X[:9]), pl.Series("e", X[9:])], rechunk=False
    ),
    "polars frame": lambda X: pl.DataFrame({"e": X}),
    "pandas arrays": lambda X: pd.Series(list(X.astype(float)), index=range(7, 47)),
    "pandas lists": lambda X: pd.Series(X.tolist()),
    "pandas frame": lambda X: pd.DataFrame({"e": X.tolist()}),
    "pandas Arrow": lambda X: pd.Series(
        pa.array(X.tolist()), dtype=pd.ArrowDtype(pa.list_(pa.float64()))
    ),
    "Arrow fixed-size": lambda X: pa.FixedSizeListArray.from_arrays(
        pa.array(np.r_[X[:1], X].ravel()), X.shape[1]
    ).slice(1),
    "Arrow list": lambda X: pa.array([[0.0], *X.tolist()]).slice(1),
    "Arrow chunks": lambda X: pa.chunked_array(
        [pa.array(X[:9].tolist()), pa.array(X[9:].tolist())]
    ),
    "Arrow table": lambda X: pa.table({"e": pa.array(X.tolist())}),
    "objects": lambda X: np.array([*X, None], object)[:-1],
    "list of arrays": list,
}


@pytest.fixture
def X(rng):
    return rng.standard_normal((40, 8)).astype(np.float32)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_vectors(X, name):
    column = COLUMNS[name](X)
    X = X.astype(np.asarray(as_matrix(column)).dtype)  # numbers of Python are float64
    expected = BinaryNeighbors(query="vectors").fit(X)
    fitted = BinaryNeighbors(query="vectors").fit(column)
    assert_array_equal(fitted.codes_, expected.codes_)
    assert not hasattr(fitted, "feature_names_in_")
    assert_array_equal(expected.kneighbors(column), expected.kneighbors(X))
    assert_array_equal(fitted.kneighbors(X), expected.kneighbors(X))


@pytest.mark.parametrize("name", ["polars array", "polars frame", "Arrow fixed-size"])
@pytest.mark.parametrize(
    "estimator",
    [BinaryQuantizer(), TwoBitQuantizer(), RandomRotation(), HeterogeneityProfiler()],
    ids=lambda e: type(e).__name__,
)
def test_every_estimator_has_the_same_door(X, estimator, name):
    column = COLUMNS[name](X)
    expected = (
        estimator.set_params(
            **dict.fromkeys({"random_state"} & set(estimator.get_params()), 0)
        )
        .fit(X)
        .transform(X)
    )
    assert_array_equal(estimator.transform(column), expected)
    assert_array_equal(estimator.fit(column).transform(column), expected)


def test_advisor_takes_columns(rng):
    X = rng.standard_normal((150, 8))
    advisor = QuantizationAdvisor(n_neighbors=3, target_recall=0.3, random_state=0)
    advisor.fit(pd.Series(list(X[:100])), queries=pl.Series(X[100:]))
    expected = advisor.recall_
    assert advisor.fit(X[:100], queries=X[100:]).recall_ == expected


def test_small_floats(X):
    small = X.astype(ml_dtypes.bfloat16)
    wide = small.astype(np.float32)
    index = BinaryNeighbors().fit(small)
    expected = BinaryNeighbors().fit(wide).kneighbors(wide)
    assert_array_equal(index.kneighbors(small), expected)
    stored = small.view("V2")  # what numpy.load makes of a file of bfloat16
    with pytest.raises(ValueError, match=r"X.view\(ml_dtypes.bfloat16\)"):
        BinaryNeighbors().fit(stored)


RAGGED = "row 1 has .*2.* row 0 has .*3"
SEVERAL = r"\['e'\] holds vectors.*X\['e'\]"
FAULTY = [
    (lambda: pl.Series([[1.0, 2.0, 3.0], [4.0, 5.0]]), RAGGED),
    (lambda: pd.Series([[1.0, 2, 3], [4.0, 5]]), RAGGED),
    (lambda: pa.array([[1.0, 2, 3], [4.0, 5]]), RAGGED),
    (lambda: [[1.0, 2, 3], [4.0, 5]], RAGGED),
    (lambda: pl.Series([[1.0, 2.0], None]), r"no vector in row \[1\]"),
    (lambda: pa.array([[1.0, 2], None]), r"no vector in row \[1\]"),
    (lambda: pd.Series([[1.0, 2], None]), "[Rr]ow 1 of X is missing"),
    (
        lambda: pd.DataFrame({"i": [1], "e": [[1.0]]}),
        r"\['e'\] holds vectors.*X\['e'\]",
    ),
    (
        lambda: pl.DataFrame({"i": [1], "e": [[1.0]]}),
        r"\['e'\] holds vectors.*X\['e'\]",
    ),
    (lambda: pa.table({"i": [1], "e": [[1.0]]}), SEVERAL),
    (lambda: pl.Series([[1.0, None], [2.0, 3.0]]), r"NaN.*row \[0\]"),
]


@pytest.mark.parametrize(("make", "message"), FAULTY)
def test_faulty_columns(make, message):
    with pytest.raises(ValueError, match=message):
        BinaryNeighbors().fit(make())


def test_lazy_frames_are_collected_first():
    with pytest.raises(TypeError, match=r"X.collect\(\)"):
        BinaryNeighbors().fit(pl.LazyFrame({"e": [[1.0]]}))


class Tensor:
    """What is needed of a tensor of torch, which is too large for a test."""

    __module__ = "torch"
    dtype = "torch.float32"

    def __init__(self, X, device="cpu"):
        self._X, self._device = X, device

    def detach(self):
        return self

    def float(self):
        return Tensor(np.asarray(self._X, np.float32), self._device)

    def __array__(self, dtype=None, copy=None):
        if self._device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if self._X.dtype == ml_dtypes.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._X


def test_tensors(X):
    assert_array_equal(as_matrix(Tensor(X)), X)
    small = Tensor(X.astype(ml_dtypes.bfloat16))
    small.dtype = "torch.bfloat16"
    assert_array_equal(as_matrix(small), X.astype(ml_dtypes.bfloat16))
    with pytest.raises(TypeError, match=r"X.detach\(\).cpu\(\)"):
        BinaryNeighbors().fit(Tensor(X, "cuda"))


def test_several_faulty_rows_are_named_and_counted(X):
    X[10:30] = np.nan
    with pytest.raises(ValueError, match=r"row \[10, 11, 12, 13, 14\] and 15 more"):
        BinaryNeighbors().fit(X)
    X[10:30] = 0
    with pytest.raises(ValueError, match=r"row \[10, 11, 12, 13, 14\] and 15 more"):
        BinaryNeighbors().fit(X)


# Packed bits that come as if they were vectors.


@pytest.fixture
def packed(rng):
    return np.packbits(rng.standard_normal((60, 64)) > 0, axis=1)


PACKED = {
    "lists": np.ndarray.tolist,
    "int64": lambda P: P.astype(np.int64),
    "int16": lambda P: P.astype(np.int16),
    "offset-binary": lambda P: (P ^ 128).view(np.int8),
    "offset-binary lists": lambda P: (P ^ 128).view(np.int8).tolist(),
    "pandas": lambda P: pd.Series(P.tolist()),
    "polars": lambda P: pl.Series(P.tolist()),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_bits_are_warned_of(packed, name):
    with pytest.warns(UserWarning, match=r"packed bits.*skbq.as_codes\(X"):
        index = BinaryNeighbors().fit(PACKED[name](packed))
    with pytest.warns(UserWarning, match="packed bits"):
        index.kneighbors(PACKED[name](packed[:1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda P: [bytes(row) for row in P],
        lambda P: pd.Series([bytes(row) for row in P]),
        lambda P: pl.Series([bytes(row) for row in P]),
        lambda P: pa.array([bytes(row) for row in P]),
        lambda P: P.view("V8")[:, 0],
        lambda P: pl.Series(P),
        lambda P: pd.Series(list(P)),
    ],
)
def test_packed_bytes_are_refused(packed, make):
    with pytest.raises(ValueError, match=r"skbq.as_codes\(X"):
        BinaryNeighbors().fit(make(packed))


def test_integers_that_are_vectors_are_let_in(rng, recwarn):
    normal = np.clip(rng.standard_normal((50, 32)) * 36, -128, 127)
    BinaryNeighbors().fit(normal.astype(np.int8))  # scalar quantization
    BinaryNeighbors().fit(normal.astype(np.int8).tolist())
    BinaryNeighbors().fit((normal * 3).astype(np.int32))
    BinaryNeighbors().fit(rng.poisson(3, (50, 32)))  # counts
    BinaryNeighbors().fit((normal.clip(0) * 2).astype(np.float32))
    assert not recwarn
