"""Row statistics of a normal vector: its norm, its mean absolute deviation.

A code may compare coordinates with a number of the row itself: the mean absolute
deviation (the per-row magnitude threshold), or, if rows are scaled to unit length,
the norm. Such a statistic concentrates, and what it changes is of first order in
1 / effective dimension. What that order needs is collected here; equations are those
of the theory chapter of the documentation. Called by :func:`predict_fidelity`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..._utils.parallel import fixed_blocks
from .._normal import MEAN_ABSOLUTE, Normal, mean_absolute
from .._step_functions import hermite_polynomials, series, weighted_hermite

# Values of a block of a (d, d) table: half a megabyte, so that the series, which go
# through it once for each term, run in a second-level cache.
_BLOCK_VALUES = 1 << 16
# Order of the series in the conditional means. Coefficients of abs(y) fall like
# n^-5/4: 0.4 % of its variance is beyond order 24, and is multiplied by rho^25.
N_TERMS = 24
# Standard deviations from the mean up to which the expansions are evaluated: 6e-5 of
# the mass is farther out, where the polynomials grow without bound.
_FARTHEST = 4.0


def row_blocks(n: int) -> Iterator[slice]:
    """Slices of rows such that a block of an (n, n) table stays small."""
    return fixed_blocks(n, max(1, _BLOCK_VALUES // max(n, 1)))


@dataclass(frozen=True)
class RowStatistic:
    """A statistic phi of the row x = mean + e, up to second order.

    ``gradient`` (d,) is E grad phi, ``cross`` (d,) Cov(x, phi) of eq. (2.3), ``third``
    (d, d) Cov(phi, e e') of eq. (2.4). ``conditional`` (n_terms, d) holds the Hermite
    coefficients from order 1 of E(phi | x_i), eq. (2.5); where a coordinate's own
    share in phi has a kink, ``own_center`` says where and ``own_weight`` how much: this
    share is then left out of ``others`` and evaluated exactly.
    """

    mean: float
    variance: float
    gradient: np.ndarray
    cross: np.ndarray
    third: np.ndarray
    conditional: np.ndarray
    others: np.ndarray
    own_center: np.ndarray
    own_weight: float

    def deviation_at(self, normal: Normal, points: np.ndarray) -> np.ndarray:
        """E(phi | x_i = point) - E phi beyond its linear part, (d, t): eq. (2.6)."""
        inverse = normal.inverse_scale[:, None]
        z = (points - normal.mean[:, None]) * inverse
        polynomials = hermite_polynomials(
            np.clip(z, -_FARTHEST, _FARTHEST), len(self.others)
        )
        center = self.own_center[:, None]
        around = Normal.without_covariance(normal.mean - self.own_center, normal.scale)
        own = np.abs(points - center) - mean_absolute(around)[:, None]
        total = np.einsum("ni,nit->it", self.others, polynomials)
        total += self.own_weight * own - self.cross[:, None] * inverse * z
        return np.where(normal.scale[:, None] > 0, total, 0.0)


def absolute_coefficients(normal: Normal) -> np.ndarray:
    """Hermite coefficients of abs(y_i) from order 1, (n_terms, d): eq. (2.10)."""
    z = -normal.mean * normal.inverse_scale
    terms = weighted_hermite(z, N_TERMS - 1)
    n = np.arange(2, N_TERMS + 1)[:, None]
    first = 1.0 - 2.0 * ndtr(z)[None]
    return normal.scale * np.concatenate([first, 2.0 * terms / np.sqrt(n * (n - 1))])


def absolute_curvature(normal: Normal) -> np.ndarray:
    """E of the second derivative of abs(y_i): twice the density at 0, (d,)."""
    inverse = normal.inverse_scale
    return MEAN_ABSOLUTE * np.exp(-0.5 * (normal.mean * inverse) ** 2) * inverse


def mean_deviation(
    normal: Normal,
    center: np.ndarray,
    factor: float,
    relative: Normal | None = None,
    cross: np.ndarray | None = None,
) -> RowStatistic:
    """Statistic factor * mean_j abs(y_j), y_j = x_j - center_j: eq. (2.8).

    If the center itself moves with the row, ``relative`` is the distribution of y and
    ``cross`` (d, d) is Cov(x, y); ``gradient`` is then with respect to y.
    """
    d = len(normal.mean)
    weight = factor / d
    if relative is None or cross is None:
        relative = Normal(normal.mean - center, normal.covariance, normal.scale)
        cross = normal.covariance
    coefficients = absolute_coefficients(relative)
    absolute = mean_absolute(relative)
    gradient = weight * coefficients[0] * relative.inverse_scale
    curvature = weight * absolute_curvature(relative)
    square = relative.scale**2 + relative.mean**2
    variance = np.sum(square - absolute**2)  # of eq. (2.11), i = j
    others = np.empty_like(coefficients)
    for rows in row_blocks(d):
        rho = relative.correlations(rows)
        variance += series(coefficients[:, rows], coefficients, rho).sum()
        rho = cross[rows] * normal.inverse_scale[rows, None] * relative.inverse_scale
        np.einsum("ii->i", rho[:, rows])[:] = 0.0
        power = np.ones_like(rho)
        for n in range(N_TERMS):  # eq. (2.12)
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
        own_center=center,
        own_weight=weight,
    )
