"""Normal vectors, and what is known of one normal coordinate.

Called by both halves of theory, ``_fidelity`` and ``_recall``; equations are those of
the theory chapter of the documentation.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr

SQRT_2PI = np.sqrt(2.0 * np.pi)
# Mean absolute value of a standard normal variable.
MEAN_ABSOLUTE = np.sqrt(2.0 / np.pi)
# A variance below this share of the largest is what rounding leaves of a constant:
# float64 carries 2e-16 of the squares that a variance is the difference of.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Normal:
    """N(mean, covariance), with the standard deviations; 0 marks a constant."""

    mean: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray) -> Self:
        """Take the scale from the diagonal; rounding noise counts as constant."""
        variance = np.maximum(covariance.diagonal(), 0.0)
        floor = _ROUNDING * variance.max(initial=0.0)
        return cls(mean, covariance, np.sqrt(np.where(variance > floor, variance, 0.0)))

    @classmethod
    def without_covariance(cls, mean: np.ndarray, scale: np.ndarray) -> Self:
        """Coordinates one by one, where correlations do not matter."""
        return cls(mean, np.empty((0, 0)), scale)

    @property
    def inverse_scale(self) -> np.ndarray:
        """1 / scale, 0 for constants."""
        return reciprocal(self.scale)

    def correlations(self, rows: slice) -> np.ndarray:
        """Rows of the correlation matrix with 0 on the diagonal."""
        inverse = self.inverse_scale
        rho = self.covariance[rows] * inverse[rows, None] * inverse
        i = np.arange(len(rho))
        rho[i, i + rows.start] = 0.0
        return np.clip(rho, -1.0, 1.0)


def reciprocal(values: np.ndarray) -> np.ndarray:
    """1 / values, 0 where they are not above 0."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)


def normal_density(z: np.ndarray) -> np.ndarray:
    """Density of the standard normal distribution, 0 at infinity."""
    return np.exp(-0.5 * finite_or_zero(z) ** 2) * np.isfinite(z) / SQRT_2PI


def finite_or_zero(z: np.ndarray) -> np.ndarray:
    """Replace infinity by 0, where a density of 0 multiplies it."""
    return np.where(np.isfinite(z), z, 0.0)


def standardized(shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Shift / scale; for scale 0 infinite, and above only if the shift is negative."""
    safe = np.where(scale > 0, scale, 1.0)
    return np.where(scale > 0, shift / safe, np.where(shift < 0, -np.inf, np.inf))


def mean_absolute(normal: Normal) -> np.ndarray:
    """E abs(y_i) of every coordinate, (d,): eq. (2.9)."""
    z = -normal.mean * normal.inverse_scale
    density = np.exp(-0.5 * z * z) / SQRT_2PI
    mean = normal.mean * (1.0 - 2.0 * ndtr(z)) + 2.0 * normal.scale * density
    return np.where(normal.scale > 0, mean, np.abs(normal.mean))
