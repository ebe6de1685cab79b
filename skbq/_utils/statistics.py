"""Correlations that know what to say of values that do not vary."""

import numpy as np
from scipy.stats import rankdata


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two flat arrays; NaN where one side does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(a, b)[0, 1], -1.0, 1.0))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation, ties by mean rank; NaN where one side does not vary."""
    return correlation(rankdata(a), rankdata(b))
