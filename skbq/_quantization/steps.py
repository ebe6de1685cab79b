"""The steps of a quantizer that is a Pipeline: what comes before its last one."""

from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


def split_quantizer(quantizer: Any) -> tuple[Any, Any]:
    """Part a fitted quantizer into what comes before its last step, and that step."""
    if isinstance(quantizer, FrozenEstimator):
        return split_quantizer(quantizer.estimator)
    if not isinstance(quantizer, Pipeline):
        return None, quantizer
    inner, last = split_quantizer(quantizer[-1])
    before = quantizer[:-1] if len(quantizer) > 1 else None
    if before is not None and inner is not None:
        return Pipeline([("before", before), ("inner", inner)]), last
    return (inner if before is None else before), last


def apply_steps(before: Any, rows: np.ndarray) -> np.ndarray:
    """Apply the steps before a quantizer, as arrays whatever the output setting."""
    if before is None:
        return rows
    with config_context(transform_output="default"):
        return np.asarray(before.transform(rows))
