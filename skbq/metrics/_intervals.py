"""Intervals of what is measured on pairs of rows."""

import numpy as np
from scipy.special import ndtri

from .._utils.estimate import Estimate
from .._utils.statistics import rank_correlation_of_pairs


def fidelity_estimate(
    similarity: np.ndarray, score: np.ndarray, confidence: float = 0.95
) -> Estimate:
    """Estimate Spearman's correlation over all pairs of a query and a row.

    Parameters
    ----------
    similarity, score : ndarrays of shape (n_queries, n_rows)
    confidence : float, default=0.95

    Returns
    -------
    fidelity : Estimate
        The interval is that over other draws of queries and of rows. All is NaN where
        one side does not vary.
    """
    measured = rank_correlation_of_pairs(similarity, score)
    half_width = float(ndtri(0.5 + confidence / 2)) * measured.standard_error
    return Estimate(
        measured.value,
        max(measured.value - half_width, -1.0),
        min(measured.value + half_width, 1.0),
        confidence,
    )
