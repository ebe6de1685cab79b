"""Closed forms and predictors over plain arrays: fidelity and recall of codes.

Nothing here imports another part of the package, and nothing is an estimator.
"""

from ._local_law import LocalLaw, local_law, model_scores
from ._recall import (
    OversamplingPrediction,
    RecallPrediction,
    oversampling_for,
    predict_recall,
)

__all__ = [
    "LocalLaw",
    "OversamplingPrediction",
    "RecallPrediction",
    "local_law",
    "model_scores",
    "oversampling_for",
    "predict_recall",
]
