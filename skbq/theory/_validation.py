"""Checks of the arguments that the functions of this package share."""

from typing import Any

import numpy as np


def check_moments(mean: Any, covariance: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and covariance (d, d) as float64, refusing what is not one."""
    mean, covariance = _real(mean, "mean"), _real(covariance, "covariance")
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or not len(mean):
        raise ValueError(
            "mean must have shape (d,) and covariance shape (d, d). Got "
            f"{mean.shape} and {covariance.shape}."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean and covariance must be finite.")
    scale = covariance.diagonal()
    bound = 1e-6 * max(float(scale.max()), 0.0)
    asymmetry = np.abs(covariance - covariance.T).max()
    if scale.min() < -bound or asymmetry > bound:
        raise ValueError(
            "covariance must be symmetric with a diagonal >= 0. Got a diagonal down "
            f"to {scale.min():.3g} and an asymmetry of {asymmetry:.3g}."
        )
    return mean, covariance


def check_covariance(covariance: Any) -> np.ndarray:
    """Return a covariance (d, d) as float64, refusing what is not one."""
    covariance = _real(covariance, "covariance")
    if covariance.ndim != 2:
        raise ValueError(
            f"covariance must have shape (d, d). Got {covariance.shape} instead."
        )
    return check_moments(np.zeros(len(covariance)), covariance)[1]


def _real(values: Any, name: str) -> np.ndarray:
    """Return float64, refusing complex numbers, of which half would be lost."""
    if values is None or np.iscomplexobj(values):
        raise TypeError(
            f"{name} must be an array of real numbers. Got "
            f"{'None' if values is None else 'complex numbers'} instead."
        )
    return np.asarray(values, dtype=np.float64)


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Refuse a value that is not one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}. Got {value!r}.")
    return str(value)
