"""scikit-learn's own checks, on every configuration that takes another path."""

import pytest
from helpers import rotated
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbq import (
    BinaryNeighbors,
    BinaryNeighborsTransformer,
    BinaryQuantizer,
    CodeUnpacker,
    HeterogeneityProfiler,
    PCAQuantizer,
    RandomRotation,
    TwoBitQuantizer,
)

QUANTIZERS = [
    BinaryQuantizer(),
    BinaryQuantizer("median"),
    BinaryQuantizer("zero"),
    BinaryQuantizer(0.5),
    TwoBitQuantizer(),
    TwoBitQuantizer("median", "coordinate"),
    TwoBitQuantizer("zero", levels=(1, 2)),
    TwoBitQuantizer(magnitude="coordinate", levels="lloyd_max"),
    PCAQuantizer(random_state=0),
    PCAQuantizer(2.5, exponent=1, rotation=None),
    PCAQuantizer(n_bytes=4, max_depth=8, rotation="hadamard", random_state=0),
]
VECTORS = [
    RandomRotation(random_state=0),
    RandomRotation("dct", random_state=0),
    RandomRotation("hadamard", random_state=0),
    HeterogeneityProfiler(random_state=0),
    CodeUnpacker(),
]
NEIGHBORS = [
    BinaryNeighbors(),
    BinaryNeighbors(quantizer=BinaryQuantizer(), code_metric="dot"),
    BinaryNeighbors(code_metric="penalty", metric="euclidean"),
    BinaryNeighbors(query="vectors", metric="inner_product"),
    BinaryNeighbors(
        quantizer=rotated(TwoBitQuantizer()), query="vectors", oversampling=3, n_jobs=2
    ),
    BinaryNeighborsTransformer(),
    BinaryNeighborsTransformer(mode="connectivity", quantizer=BinaryQuantizer()),
    BinaryNeighborsTransformer(query="vectors", oversampling=2, metric="euclidean"),
]
PIPELINES = [
    rotated(TwoBitQuantizer()),
    make_pipeline(TwoBitQuantizer(), CodeUnpacker()),
    make_pipeline(
        HeterogeneityProfiler(random_state=0),
        RandomRotation(random_state=0),
        TwoBitQuantizer(),
        BinaryNeighbors(),
    ),
]


def expected_failures(estimator):
    if not isinstance(estimator, Pipeline):
        return {}
    reason = "scikit-learn's Pipeline fits its steps in place"
    return {
        "check_estimators_overwrite_params": reason,
        "check_dont_overwrite_parameters": reason,
    }


@parametrize_with_checks(
    [*QUANTIZERS, *VECTORS, *NEIGHBORS, *PIPELINES],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# Checks of the same module that check_estimator leaves out.
FURTHER = [
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
]
# These need output in frames, which codes never take (see test_quantizers.py).
FRAMES = [name for name in FURTHER if "output_transform" in name]


# The checks fit on a frame and transform an array on purpose.
@pytest.mark.filterwarnings(
    "ignore:X (does not have valid|has) feature names:UserWarning"
)
@pytest.mark.parametrize("estimator", VECTORS, ids=str)
@pytest.mark.parametrize("name", FURTHER)
def test_further_checks_of_transformers(estimator, name):
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", QUANTIZERS[:5:4], ids=str)
@pytest.mark.parametrize("name", sorted(set(FURTHER) - set(FRAMES)))
def test_further_checks_of_quantizers(estimator, name):
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", NEIGHBORS, ids=str)
def test_further_checks_of_neighbors(estimator):
    estimator_checks.check_dataframe_column_names_consistency(
        type(estimator).__name__, clone(estimator)
    )
