"""CodeUnpacker gives other estimators coordinates instead of packed bytes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skbq import BinaryQuantizer, CodeUnpacker, PCAQuantizer, TwoBitQuantizer


@pytest.fixture
def X(rng):
    return rng.standard_normal((60, 13)).astype(np.float32)


@pytest.mark.parametrize(
    "quantizer",
    [
        BinaryQuantizer(),
        TwoBitQuantizer(levels="lloyd_max"),
        PCAQuantizer(2, random_state=0),
    ],
    ids=str,
)
def test_values_are_those_of_the_codes(X, quantizer):
    codes = quantizer.fit_transform(X)
    unpacker = CodeUnpacker().fit(codes)
    assert_array_equal(unpacker.transform(codes), codes.unpack())
    assert unpacker.n_features_in_ == codes.shape[1]
    assert unpacker.layout_ == codes.layout
    assert len(unpacker.get_feature_names_out()) == codes.unpack().shape[1]


def test_vectors_pass_through(X):
    assert CodeUnpacker().fit_transform(X) is X


def test_a_classifier_sees_coordinates_not_bytes(X):
    X = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    labels = X[:, 3] > 0  # the fourth bit of the first byte
    packed = make_pipeline(BinaryQuantizer("zero"), LogisticRegression())
    unpacked = make_pipeline(
        BinaryQuantizer("zero"), CodeUnpacker(), LogisticRegression()
    )
    assert unpacked.fit(X, labels).score(X, labels) == 1
    with pytest.warns(UserWarning, match="Packed codes"):
        assert packed.fit(X, labels).score(X, labels) < 0.8


def test_frames(X):
    pandas = pytest.importorskip("pandas")
    pipe = make_pipeline(BinaryQuantizer(), CodeUnpacker()).set_output(
        transform="pandas"
    )
    frame = pipe.fit_transform(pandas.DataFrame(X))
    assert list(frame.columns[:2]) == ["codeunpacker0", "codeunpacker1"]
    assert frame.shape == (60, 13)


def test_forgets_what_came_before(X):
    pandas = pytest.importorskip("pandas")
    unpacker = CodeUnpacker().fit(pandas.DataFrame(X).add_prefix("x"))
    codes = BinaryQuantizer().fit_transform(X)
    assert unpacker.fit(codes).transform(codes).shape == X.shape
    assert not hasattr(unpacker, "feature_names_in_")
    assert unpacker.fit(X).layout_ is None


def test_packed_codes_are_warned_of(X):
    """Estimators of scikit-learn would take the bytes for coordinates."""
    for quantizer in (BinaryQuantizer(), TwoBitQuantizer()):
        codes = quantizer.fit(X).transform(X)
        with pytest.warns(UserWarning, match=r"Packed codes .*CodeUnpacker"):
            PCA(1).fit(codes)
        PCA(1).fit(np.asarray(codes))  # who writes this means the bytes
        train_test_split(codes, random_state=0)  # rows of codes are codes
        assert not hasattr(codes, "iloc")
