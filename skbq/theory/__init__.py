"""Closed forms and predictors over plain arrays: fidelity and recall of codes.

Nothing here imports another part of the package, and nothing is an estimator.
"""

from ._recall import (
    OversamplingPrediction,
    RecallPrediction,
    oversampling_for,
    predict_recall,
)

__all__ = [
    "OversamplingPrediction",
    "RecallPrediction",
    "oversampling_for",
    "predict_recall",
]
