"""Fitted estimators through the libraries that store and send Python objects."""

import io

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    CodeArray,
    PCAQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)

ESTIMATORS = {
    "one bit": BinaryNeighbors(3, quantizer=BinaryQuantizer()),
    "asymmetric, reranked": BinaryNeighbors(
        3, quantizer=BinaryQuantizer(), query="vectors", oversampling=2
    ),
    "rotated": BinaryNeighbors(
        3, quantizer=make_pipeline(RandomRotation(random_state=0), TwoBitQuantizer())
    ),
    "transform coding": BinaryNeighbors(
        3, quantizer=PCAQuantizer(1.5, random_state=0), query="vectors"
    ),
}


@pytest.fixture
def X(rng):
    return rng.standard_normal((80, 20)).astype(np.float32)


def through_joblib(estimator, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    return joblib.load(tmp_path / "estimator.joblib")


def through_a_memory_map(estimator, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    return joblib.load(tmp_path / "estimator.joblib", mmap_mode="r")


def through_cloudpickle(estimator, tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")
    return cloudpickle.loads(cloudpickle.dumps(estimator))


def through_skops(estimator, tmp_path):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(estimator)
    names = skops.get_untrusted_types(data=data)
    # Nothing but skbq and what it stands on asks for trust.
    assert {name.split(".")[0] for name in names} <= {"skbq", "numpy", "sklearn"}
    return skops.loads(data, trusted=names)


WAYS = [through_joblib, through_a_memory_map, through_cloudpickle, through_skops]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__[8:])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_answers_are_the_same(X, tmp_path, way, name):
    index = ESTIMATORS[name].fit(X)
    again = way(index, tmp_path)
    assert isinstance(again.codes_, CodeArray)
    for got, expected in zip(again.kneighbors(X), index.kneighbors(X), strict=True):
        assert_array_equal(got, expected)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__[8:])
def test_pipelines(X, tmp_path, way):
    flat = make_pipeline(TwoBitQuantizer(), BinaryNeighborsTransformer(3)).fit(X)
    again = way(flat, tmp_path)
    assert_array_equal(again.transform(X).toarray(), flat.transform(X).toarray())


def test_functions_that_hold_an_index(X):
    """A worker is sent a closure over the index, as dask and Spark do."""
    cloudpickle = pytest.importorskip("cloudpickle")
    index = BinaryNeighbors(1, quantizer=BinaryQuantizer()).fit(X)
    buffer = io.BytesIO(cloudpickle.dumps(lambda rows: index.kneighbors(rows)[1]))
    assert_array_equal(cloudpickle.load(buffer)(X)[:, 0], np.arange(len(X)))
