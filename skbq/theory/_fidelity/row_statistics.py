"""Row statistics of a normal vector: its length, its mean absolute deviation.

A code may compare coordinates with a number of the row itself: the mean absolute
deviation (the per-row magnitude threshold), or, if rows are scaled to unit length,
the length. Such a statistic concentrates, and what it changes is of first order in
1 / effective dimension. What that order needs is collected here (derived for this
project, see the theory chapter of the documentation).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from .step_functions import hermite_polynomials, series, weighted_hermite

_BLOCK_VALUES = 1 << 16  # half a megabyte: the series run in the cache
_N_TERMS = 24


def row_blocks(n: int) -> Iterator[slice]:
    """Slices of rows such that a block of an (n, n) table stays small."""
    step = max(1, _BLOCK_VALUES // max(n, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


@dataclass(frozen=True)
class Normal:
    """N(mean, covariance), with the standard deviations; 0 marks a constant."""

    mean: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray) -> "Normal":
        """Take the scale from the diagonal; rounding noise counts as constant."""
        variance = np.maximum(covariance.diagonal(), 0.0)
        floor = 1e-14 * variance.max(initial=0.0)
        return cls(mean, covariance, np.sqrt(np.where(variance > floor, variance, 0.0)))

    @property
    def inverse_scale(self) -> np.ndarray:
        """1 / scale, 0 for constants."""
        return np.divide(
            1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0
        )

    def correlations(self, rows: slice) -> np.ndarray:
        """Rows of the correlation matrix with 0 on the diagonal."""
        inverse = self.inverse_scale
        rho = self.covariance[rows] * inverse[rows, None] * inverse
        i = np.arange(len(rho))
        rho[i, i + rows.start] = 0.0
        return np.clip(rho, -1.0, 1.0)


@dataclass(frozen=True)
class RowStatistic:
    """A statistic phi of the row x = mean + e, up to second order.

    ``gradient`` (d,) is E grad phi, ``cross`` (d,) Cov(x, phi), ``third`` (d, d)
    Cov(phi, e e'). ``conditional`` (n_terms, d) holds the Hermite coefficients from
    order 1 of E(phi | x_i); where a coordinate's own share in phi has a kink,
    ``own_centre`` says where and ``own_weight`` how much: this share is then left
    out of ``others`` and evaluated exactly.
    """

    mean: float
    variance: float
    gradient: np.ndarray
    cross: np.ndarray
    third: np.ndarray
    conditional: np.ndarray
    others: np.ndarray
    own_centre: np.ndarray
    own_weight: float

    def deviation_at(self, law: Normal, points: np.ndarray) -> np.ndarray:
        """E(phi | x_i = point) - E phi beyond its linear part, (d, t)."""
        inverse = law.inverse_scale[:, None]
        z = (points - law.mean[:, None]) * inverse
        # Farther out there is no mass, but the polynomials grow without bound.
        polynomials = hermite_polynomials(np.clip(z, -4.0, 4.0), len(self.others))
        centre = self.own_centre[:, None]
        around = Normal(law.mean - self.own_centre, law.covariance, law.scale)
        own = np.abs(points - centre) - mean_absolute(around)[:, None]
        total = np.einsum("ni,nit->it", self.others, polynomials)
        total += self.own_weight * own - self.cross[:, None] * inverse * z
        return np.where(law.scale[:, None] > 0, total, 0.0)


def mean_absolute(law: Normal) -> np.ndarray:
    """E abs(y_i), (d,)."""
    z = -law.mean * law.inverse_scale
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    spread = law.mean * (1.0 - 2.0 * ndtr(z)) + 2.0 * law.scale * density
    return np.where(law.scale > 0, spread, np.abs(law.mean))


def absolute_coefficients(law: Normal) -> np.ndarray:
    """Hermite coefficients of abs(y_i) from order 1, (n_terms, d)."""
    z = -law.mean * law.inverse_scale
    terms = weighted_hermite(z, _N_TERMS - 1)
    n = np.arange(2, _N_TERMS + 1)[:, None]
    first = 1.0 - 2.0 * ndtr(z)[None]
    return law.scale * np.concatenate([first, 2.0 * terms / np.sqrt(n * (n - 1))])


def mean_deviation(
    law: Normal,
    centre: np.ndarray,
    factor: float,
    relative: Normal | None = None,
    cross: np.ndarray | None = None,
) -> RowStatistic:
    """Statistic factor * mean_j abs(y_j), y_j = x_j - centre_j.

    If the centre itself moves with the row, ``relative`` is the law of y and
    ``cross`` (d, d) is Cov(x, y); ``gradient`` is then with respect to y.
    """
    d = len(law.mean)
    weight = factor / d
    if relative is None or cross is None:
        relative = Normal(law.mean - centre, law.covariance, law.scale)
        cross = law.covariance
    coefficients = absolute_coefficients(relative)
    absolute = mean_absolute(relative)
    gradient = weight * coefficients[0] * relative.inverse_scale
    # E of the second derivative of abs(y_j): twice the density at 0.
    curvature = weight * np.sqrt(2.0) * coefficients[1] * relative.inverse_scale**2
    square = relative.scale**2 + relative.mean**2
    variance = np.sum(square - absolute**2)
    others = np.empty_like(coefficients)
    for rows in row_blocks(d):
        rho = relative.correlations(rows)
        variance += series(coefficients[:, rows], coefficients, rho).sum()
        rho = cross[rows] * law.inverse_scale[rows, None] * relative.inverse_scale
        np.einsum("ii->i", rho[:, rows])[:] = 0.0
        power = np.ones_like(rho)
        for n in range(_N_TERMS):
            power *= rho
            others[n, rows] = weight * (power @ coefficients[n])
    return RowStatistic(
        mean=factor * absolute.mean(),
        variance=weight**2 * variance,
        gradient=gradient,
        cross=cross @ gradient,
        third=(cross * curvature) @ cross.T,
        conditional=others + weight * coefficients,
        others=others,
        own_centre=centre,
        own_weight=weight,
    )
