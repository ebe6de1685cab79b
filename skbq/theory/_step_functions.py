"""Step functions of normal variables: moments, Hermite coefficients, covariances.

A quantizer turns coordinate i into a step function q_i: levels l_0, ..., l_t on
the intervals cut by thresholds t_1 < ... < t_t. Everything that the closed forms
need about q_i under N(mean_i, scale_i^2) is here, in arrays of one column per
coordinate. Called by both halves of theory, ``_fidelity`` and ``_recall``; equations
are those of the theory chapter of the documentation.
"""

import numpy as np
from scipy.special import ndtr

from ._normal import SQRT_2PI

# Above this correlation the Hermite series needs too many terms (34 at it), and the
# exact one-dimensional integral takes over.
_SERIES_LIMIT = 0.8
# A covariance of levels 1 apart is then right to 3e-6, of at most 0.25.
_SERIES_TOLERANCE = 3e-6
# Most terms that are looked through for the tolerance: 0.8^200 is 4e-20.
_MOST_TERMS = 200
# Gauss-Legendre nodes of Plackett's integral: right to 1e-11 at a correlation of 0.999
# and to 1e-9 at 1, for thresholds up to 3 standard deviations out.
_PLACKETT_NODES = 40
# The density exp(-z^2 / 2) is 1e-266 here, and z^2 is still far from overflow.
_FARTHEST = 35.0


def step_mean(z: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the expected level, (d,), from standardized thresholds (d, t): (1.6)."""
    return levels[0] + ndtr(-z) @ np.diff(levels)


def weighted_hermite(z: np.ndarray, n_terms: int) -> np.ndarray:
    """Return phi(z) He_n(z) / sqrt(n!) for n = 0, ..., n_terms - 1.

    The three-term recurrence runs on the product with the density, which neither
    overflows for large n nor for infinite z, where every term is 0.
    """
    far = ~(np.abs(z) < _FARTHEST)
    bounded = np.where(far, 0.0, z)
    terms = np.zeros((n_terms, *z.shape))
    terms[0] = np.where(far, 0.0, np.exp(-0.5 * bounded**2) / SQRT_2PI)
    if n_terms > 1:
        terms[1] = bounded * terms[0]
    for n in range(1, n_terms - 1):
        terms[n + 1] = (bounded * terms[n] - np.sqrt(n) * terms[n - 1]) / np.sqrt(n + 1)
    return terms


def hermite_coefficients(z: np.ndarray, levels: np.ndarray, n_terms: int) -> np.ndarray:
    """Coefficients c_1, ..., c_n_terms of a step function, (n_terms, d): (1.7)."""
    terms = weighted_hermite(z, n_terms) @ np.diff(levels)
    return terms / np.sqrt(np.arange(1, n_terms + 1))[:, None]


def hermite_polynomials(z: np.ndarray, n_terms: int) -> np.ndarray:
    """Evaluate normalized Hermite polynomials of order 1, ..., n_terms at z."""
    values = np.empty((n_terms + 1, *z.shape))
    values[0] = 1.0
    values[1] = z
    for n in range(1, n_terms):
        values[n + 1] = (z * values[n] - np.sqrt(n) * values[n - 1]) / np.sqrt(n + 1)
    return values[1:]


def n_series_terms(largest: float) -> int:
    """Terms after which the series in a correlation <= largest is exact enough.

    The squared coefficients of a step function fall like n^-1.5.
    """
    bound = min(max(largest, 1e-3), _SERIES_LIMIT)
    n = np.arange(1, _MOST_TERMS)
    return int(n[bound**n / n**1.5 < _SERIES_TOLERANCE][0])


def series(left: np.ndarray, right: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """sum_n left[n - 1, i] right[n - 1, j] rho[i, j]^n by Horner's rule, n >= 1.

    Mehler's series, eq. (1.8). Functions that are all odd or all even need every
    second order only.
    """
    total = np.zeros_like(rho)
    used = left.any(axis=1) & right.any(axis=1)
    orders = np.flatnonzero(used) + 1
    if not len(orders):
        return total
    stride = 2 if len(np.unique(orders % 2)) == 1 else 1
    lowest = orders[0] if stride == 1 else 2 - orders[0] % 2
    power = rho * rho if stride == 2 else rho
    term = np.empty_like(rho)
    for order in range(orders[-1], lowest - 1, -stride):
        total *= power
        total += np.multiply(left[order - 1][:, None], right[order - 1], out=term)
    for _ in range(lowest):
        total *= rho
    return total


def joint_density(h: np.ndarray, k: np.ndarray, rho: np.ndarray | float) -> np.ndarray:
    """Density at (h, k) of two standard normals with correlation rho, abs(rho) < 1."""
    rest = 1.0 - np.square(rho)
    form = (h * h - 2.0 * rho * h * k + k * k) / rest
    return np.exp(-0.5 * form) / (2.0 * np.pi * np.sqrt(rest))


def orthant_covariance(
    h: np.ndarray, k: np.ndarray, rho: np.ndarray | float
) -> np.ndarray:
    """Cov(1[u > h], 1[v > k]) of standard normals with correlation rho.

    Plackett's integral of the bivariate density over the correlation, eq. (1.10), with
    r = sin(theta), by Gauss-Legendre nodes: exact for abs(rho) = 1 as well.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_PLACKETT_NODES)
    half = 0.5 * np.arcsin(np.clip(rho, -1.0, 1.0))
    finite = np.isfinite(h) & np.isfinite(k)
    a, b = np.where(finite, h, 0.0), np.where(finite, k, 0.0)
    total = np.zeros(np.broadcast_shapes(a.shape, np.shape(rho)))
    for node, weight in zip(nodes, weights, strict=True):
        theta = half * (1.0 + node)
        form = a * a + b * b - 2.0 * a * b * np.sin(theta)
        total += weight * np.exp(-0.5 * form / np.cos(theta) ** 2)
    return np.where(finite, total * half / (2.0 * np.pi), 0.0)


def step_covariance(
    z_rows: np.ndarray,
    z: np.ndarray,
    levels_rows: np.ndarray,
    levels: np.ndarray,
    rho: np.ndarray,
) -> np.ndarray:
    """Cov(q_i, q'_j) for rows i and columns j with correlations rho (rows, d).

    Hermite series (1.8) up to abs(rho) = 0.8, the exact integral (1.10) for larger
    ones, the arcsine (1.11) for one bit at the median.
    """
    jumps_rows, jumps = np.diff(levels_rows), np.diff(levels)
    if z.shape[1] == 1 and not z_rows.any() and not z.any():
        return jumps_rows[0] * jumps[0] / (2 * np.pi) * np.arcsin(np.clip(rho, -1, 1))
    high = np.abs(rho) > _SERIES_LIMIT
    low = np.where(high, 0.0, rho)
    n_terms = n_series_terms(float(np.abs(low).max(initial=0.0)))
    total = series(
        hermite_coefficients(z_rows, levels_rows, n_terms),
        hermite_coefficients(z, levels, n_terms),
        low,
    )
    if high.any():
        i, j = np.nonzero(high)
        total[i, j] = sum(
            jumps_rows[a]
            * jumps[b]
            * orthant_covariance(z_rows[i, a], z[j, b], rho[i, j])
            for a in range(len(jumps_rows))
            for b in range(len(jumps))
        )
    return total
