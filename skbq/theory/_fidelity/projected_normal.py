"""The normal vector behind unit-norm vectors: fit of the projected normal by moments.

Called by :class:`RowModel`, hence by the profiler, the advisor and the report of
fidelity; equations are those of the theory chapter of the documentation.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_moments
from .unit_vectors import Tilts

# Error (3.19) at which the moments are met: it moves a fidelity by less than 1e-4.
_TOLERANCE = 3e-4
# Most sets close within 25 iterations; those that do not close stop by patience.
_MAX_ITERATIONS = 40
# Iterations without gain after which the best one is returned. One that gains less
# than 2 % of the error counts as none: the iterates of a fit that does not close creep.
_PATIENCE = 4
_GAIN = 0.02
# A larger step is as much as the linear response (3.17) can be trusted with: it is
# 1 / (1 - kappa), which has no bound.
_LARGEST_GAIN = 4.0
# Weight of the error along the mean, which decides Cov(B, S) where kappa is large, in
# the error of the fit: a tenth, so that it breaks ties and does not lead.
_MEAN_WEIGHT = 0.1
# Largest part of the energy 1 that rounding and a sample's mean may be off by.
_ENERGY_TOLERANCE = 0.01
# Scales below this share of their root mean square: their squares are below 1e-6 of
# the others, as small as the rounding of float32 rows.
_NEARLY_CONSTANT = 1e-3


@dataclass(frozen=True)
class ProjectedNormal:
    """Fitted N(mean, covariance) whose direction g / abs(g) has the given moments.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Mean of g. The scale of g is free: E abs(g)^2 = 1.
    covariance : ndarray of shape (d, d)
        Covariance of g.
    residual : float
        Frobenius norm of the covariance of unit-norm vectors that the fit leaves, as a
        share of that covariance. Above 0.01 the fit does not close: the norm of
        g is then not that of a normal vector, and predictions are less certain.
    n_iter : int
        Iterations done.
    """

    mean: np.ndarray
    covariance: np.ndarray
    residual: float
    n_iter: int


def fit_projected_normal(mean: ArrayLike, covariance: ArrayLike) -> ProjectedNormal:
    """Find the normal distribution whose directions have this mean and covariance.

    Parameters
    ----------
    mean : array-like of shape (d,)
        Mean of unit-norm vectors.
    covariance : array-like of shape (d, d)
        Covariance of unit-norm vectors.

    Returns
    -------
    ProjectedNormal
        ``mean`` and ``covariance`` are what :func:`predict_fidelity` takes with
        ``metric="cosine"``.

    Raises
    ------
    ValueError
        If the moments are not those of unit-norm vectors: abs(mean)^2 + trace must
        be 1.

    Notes
    -----
    A fixed point from the moments themselves: the residuals are added, those along
    the mean amplified by 1 / (1 - abs(mean)^2), and the covariance is kept positive
    semidefinite; the best iterate is returned (equations 3.16 to 3.19 of the theory
    chapter of the documentation, derived for this project). Unit-norm vectors have
    moments that their normal vector does not share: with the vectors' own moments in
    its place what lies along the mean would be shrunk twice, which matters most where
    the mean lies along a dominant direction. One eigendecomposition of a (d, d) matrix
    for each iteration.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import fit_projected_normal
    >>> X = np.random.default_rng(0).normal([1.0, 0, 0, 0], 0.5, size=(50_000, 4))
    >>> unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    >>> fit = fit_projected_normal(unit.mean(axis=0), np.cov(unit.T))
    >>> bool(fit.residual < 0.01)
    True
    >>> round(float(fit.mean[0] / np.sqrt(fit.covariance[1, 1])), 1)
    2.0
    """
    a, v = check_moments(mean, covariance)
    energy = a @ a + np.trace(v)
    if abs(energy - 1.0) > _ENERGY_TOLERANCE:
        raise ValueError(
            "The moments of unit-norm vectors were expected, abs(mean)^2 + trace "
            f"(covariance) = 1. Got {energy:.4g}; scale the rows to unit length first."
        )
    # Nearly constant coordinates would be lost in the rounding of the others, and
    # do not matter for the norm: they keep their mean and variance, alone.
    scale = np.sqrt(np.maximum(v.diagonal(), 0.0))
    live = scale > _NEARLY_CONSTANT * np.sqrt(np.mean(scale**2))
    inside = np.ix_(live, live)
    fit = _fixed_point(a[live], v[inside])
    of_all_mean, of_all = a.copy(), np.diag(v.diagonal())
    of_all_mean[live], of_all[inside] = fit.mean, fit.covariance
    return ProjectedNormal(of_all_mean, of_all, fit.residual, fit.n_iter)


class _Residuals(NamedTuple):
    """What a projected normal leaves of mean and covariance, and how much it matters.

    ``error`` is eq. (3.19).
    """

    mean: np.ndarray
    covariance: np.ndarray
    error: float


def _fixed_point(a: np.ndarray, v: np.ndarray) -> ProjectedNormal:
    """Iterate eq. (3.18) from the moments themselves; return the best iterate."""
    lowest, stale, n_iter, step = np.inf, 0, 0, 1.0
    mu, spectrum, vectors = a, *_positive(v)
    best = (mu, spectrum, vectors, v)
    while n_iter < _MAX_ITERATIONS:
        n_iter += 1
        mu, spectrum = _unit_energy(mu, spectrum)
        tilts = Tilts.of(mu, spectrum, vectors)
        left = _residuals(tilts, a, v, mu)
        stale = 0 if left.error < (1.0 - _GAIN) * lowest else stale + 1
        if left.error < lowest:
            lowest, best = left.error, (mu, spectrum, vectors, left.covariance)
        else:
            step = 0.5  # the response is not as linear as a whole step takes it
        if left.error < _TOLERANCE or stale >= _PATIENCE:
            break
        sigma = (vectors * spectrum) @ vectors.T
        sigma += step * _amplify(left.covariance, mu)
        mu = mu + left.mean
        spectrum, vectors = _positive(sigma)
    mu, spectrum, vectors, remainder = best
    residual = float(np.linalg.norm(remainder) / np.linalg.norm(v))
    sigma = (vectors * spectrum) @ vectors.T
    return ProjectedNormal(mu, sigma, residual, n_iter)


def _positive(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectrum, vectors = np.linalg.eigh(sigma)
    return np.maximum(spectrum, 0.0), vectors


def _unit_energy(mu: np.ndarray, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    energy = mu @ mu + spectrum.sum()
    return mu / np.sqrt(energy), spectrum / energy


def _residuals(
    tilts: Tilts, a: np.ndarray, v: np.ndarray, mu: np.ndarray
) -> _Residuals:
    mean = tilts.mean()
    left = v - tilts.second_moment() + np.multiply.outer(mean, mean)
    error = np.linalg.norm(left) / np.linalg.norm(v)
    along = a @ v @ a
    if along > 0:
        error += _MEAN_WEIGHT * (mu @ mu) * abs(a @ left @ a) / along
    return _Residuals(a - mean, left, float(error))


def _amplify(left: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Inverse of the linear response, (3.17): the part along the mean shrank most."""
    kappa = mu @ mu
    if kappa == 0:
        return left
    gain = min(1.0 / max(1.0 - kappa, 1e-12), _LARGEST_GAIN) - 1.0
    pulled = np.multiply.outer(left @ mu, mu) * (gain / kappa)
    core = (mu @ left @ mu) * (gain / kappa) ** 2
    return left + pulled + pulled.T + core * np.multiply.outer(mu, mu)
