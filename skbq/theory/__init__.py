"""Closed forms and predictors over plain arrays: fidelity and recall of codes.

Nothing here is an estimator. Quantizers come in through their ``step_function``.
"""

from .._utils.deprecation import renamed_object
from ._closed_forms import (
    MagnitudeGain,
    OneSidedFidelity,
    SteinSignal,
    bit_agreement,
    corrected_error,
    effective_dimension,
    magnitude_bit_gain,
    one_sided_fidelity,
    rotated_fidelity,
    scale_correlation,
    sign_entropy,
    stein_signal,
)
from ._fidelity.covariance_shrinkage import denoised_covariance
from ._fidelity.pairwise import pairwise_fidelity
from ._fidelity.prediction import isotropic_fidelity, predict_fidelity
from ._fidelity.projected_normal import ProjectedNormal, fit_projected_normal
from ._fidelity.row_model import CheckedFidelity, RowModel
from ._fidelity.score_moments import Fidelity
from ._fidelity.simulation import simulated_fidelity
from ._fidelity.spearman import spearman_from_pearson
from ._recall.prediction import (
    OversamplingPrediction,
    RecallPrediction,
    oversampling_for,
    predict_recall,
)
from ._recall.score_given_cosine import (
    ScoreGivenCosine,
    model_scores,
    score_given_cosine,
)
from ._scaling_law import ScalingFit, fit_scaling_law, scaling_law

__all__ = [
    "CheckedFidelity",
    "Fidelity",
    "MagnitudeGain",
    "OneSidedFidelity",
    "OversamplingPrediction",
    "ProjectedNormal",
    "RecallPrediction",
    "RowModel",
    "ScalingFit",
    "ScoreGivenCosine",
    "SteinSignal",
    "bit_agreement",
    "corrected_error",
    "denoised_covariance",
    "effective_dimension",
    "fit_projected_normal",
    "fit_scaling_law",
    "isotropic_fidelity",
    "magnitude_bit_gain",
    "model_scores",
    "one_sided_fidelity",
    "oversampling_for",
    "pairwise_fidelity",
    "predict_fidelity",
    "predict_recall",
    "rotated_fidelity",
    "scale_correlation",
    "scaling_law",
    "score_given_cosine",
    "sign_entropy",
    "simulated_fidelity",
    "spearman_from_pearson",
    "stein_signal",
]

_RENAMED = {
    "LocalLaw": "ScoreGivenCosine",
    "RowLaw": "RowModel",
    "local_law": "score_given_cosine",
}


def __getattr__(name: str) -> object:
    """Find objects by the names that they had before release 0.2."""
    return renamed_object(__name__, name, _RENAMED)
