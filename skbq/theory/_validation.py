"""Checks of moments, which all of theory takes. Options: ``_utils/params.py``."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._utils.params import as_real_array

# Asymmetry, and variances below 0, up to this share of the largest variance are what
# sums in float32 leave.
_ROUNDING = 1e-6


class Moments(NamedTuple):
    """Mean (d,) and covariance (d, d), dtype float64."""

    mean: np.ndarray
    covariance: np.ndarray


def check_moments(mean: ArrayLike, covariance: ArrayLike) -> Moments:
    """Return mean (d,) and covariance (d, d) as float64, refusing what is not one."""
    mean, covariance = (
        as_real_array(mean, "mean"),
        as_real_array(covariance, "covariance"),
    )
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        raise ValueError(
            "mean must have shape (d,) and covariance shape (d, d). Got "
            f"{mean.shape} and {covariance.shape}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean and covariance must be finite.")
    scale = covariance.diagonal()
    bound = _ROUNDING * max(float(scale.max()), 0.0)
    asymmetry = np.abs(covariance - covariance.T).max()
    if scale.min() < -bound or asymmetry > bound:
        raise ValueError(
            "covariance must be symmetric with a diagonal >= 0. Got a diagonal down "
            f"to {scale.min():.3g} and an asymmetry of {asymmetry:.3g}."
        )
    return Moments(mean, covariance)


def check_covariance(covariance: ArrayLike) -> np.ndarray:
    """Return a covariance (d, d) as float64, refusing what is not one."""
    covariance = as_real_array(covariance, "covariance")
    if covariance.ndim != 2:
        raise ValueError(
            f"covariance must have shape (d, d). Got {covariance.shape} instead."
        )
    return check_moments(np.zeros(len(covariance)), covariance).covariance


def check_cosine(cosine: ArrayLike) -> np.ndarray:
    """Return cosines as float64, refusing what is none; rounding may lead beyond 1."""
    cosine = as_real_array(cosine, "cosine")
    if not (np.abs(cosine) <= 1 + _ROUNDING).all():
        raise ValueError("cosine must hold numbers from -1 to 1.")
    return cosine
