"""The normal vector behind unit rows: fit of the projected normal by moments."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import check_moments
from .unit_vectors import Tilts

_TOLERANCE = 3e-4
_MAX_ITERATIONS = 40
_PATIENCE = 4
_GAIN = 0.02  # an iteration that gains less, as a share of the error, counts as none
_NEARLY_CONSTANT = 1e-3  # of the root mean square of the scales


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
        Frobenius norm of the covariance of unit rows that the fit leaves, as a
        share of that covariance. Above 0.01 the fit does not close: the length of
        g is then not that of a normal vector, and predictions are less certain.
    n_iter : int
        Iterations done.
    """

    mean: np.ndarray
    covariance: np.ndarray
    residual: float
    n_iter: int


def fit_projected_normal(mean: Any, covariance: Any) -> ProjectedNormal:
    """Find the normal law whose directions have this mean and covariance.

    Parameters
    ----------
    mean : array-like of shape (d,)
        Mean of rows of unit length.
    covariance : array-like of shape (d, d)
        Covariance of rows of unit length.

    Returns
    -------
    ProjectedNormal
        ``mean`` and ``covariance`` are what :func:`predict_fidelity` takes with
        ``metric="cosine"``.

    Raises
    ------
    ValueError
        If the moments are not those of unit rows: abs(mean)^2 + trace must be 1.

    Notes
    -----
    A fixed point from the moments themselves: the residuals are added, those along
    the mean amplified by 1 / (1 - abs(mean)^2), and the covariance is kept positive
    semidefinite; the best iterate is returned. Unit rows have moments that their
    normal vector does not share, so putting in the rows' own moments for it costs up
    to 0.02 in fidelity, and more if the mean lies along a dominant direction
    (derived for this project, see the theory chapter of the documentation). One
    eigendecomposition of a (d, d) matrix for each iteration.

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
    if abs(energy - 1.0) > 0.01:
        raise ValueError(
            "The moments of unit rows were expected, abs(mean)^2 + trace(covariance) "
            f"= 1. Got {energy:.4g}; scale the rows to unit length first."
        )
    # Nearly constant coordinates would be lost in the rounding of the others, and
    # do not matter for the length: they keep their mean and variance, alone.
    scale = np.sqrt(np.maximum(v.diagonal(), 0.0))
    live = scale > _NEARLY_CONSTANT * np.sqrt(np.mean(scale**2))
    inside = np.ix_(live, live)
    mu, sigma, residual, n_iter = _fixed_point(a[live], v[inside])
    mean, covariance = a.copy(), np.diag(v.diagonal())
    mean[live], covariance[inside] = mu, sigma
    return ProjectedNormal(mean, covariance, residual, n_iter)


def _fixed_point(
    a: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Mean, covariance, residual and number of iterations."""
    lowest, stale, n_iter, step = np.inf, 0, 0, 1.0
    mu, spectrum, vectors = a, *_positive(v)
    best = (mu, spectrum, vectors, v)
    while n_iter < _MAX_ITERATIONS:
        n_iter += 1
        mu, spectrum = _unit_energy(mu, spectrum)
        tilts = Tilts.of(mu, spectrum, vectors)
        left_mean, left, error = _residuals(tilts, a, v, mu)
        stale = 0 if error < (1.0 - _GAIN) * lowest else stale + 1
        if error < lowest:
            lowest, best = error, (mu, spectrum, vectors, left)
        else:
            step = 0.5  # the response is not as linear as a whole step takes it
        if error < _TOLERANCE or stale >= _PATIENCE:
            break
        sigma = (vectors * spectrum) @ vectors.T + step * _amplify(left, mu)
        mu = mu + left_mean
        spectrum, vectors = _positive(sigma)
    mu, spectrum, vectors, left = best
    residual = float(np.linalg.norm(left) / np.linalg.norm(v))
    return mu, (vectors * spectrum) @ vectors.T, residual, n_iter


def _positive(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectrum, vectors = np.linalg.eigh(sigma)
    return np.maximum(spectrum, 0.0), vectors


def _unit_energy(mu: np.ndarray, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    energy = mu @ mu + spectrum.sum()
    return mu / np.sqrt(energy), spectrum / energy


def _residuals(
    tilts: Tilts, a: np.ndarray, v: np.ndarray, mu: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what the law leaves of mean and covariance, and how much that matters."""
    mean = tilts.mean()
    left = v - tilts.second_moment() + np.multiply.outer(mean, mean)
    error = np.linalg.norm(left) / np.linalg.norm(v)
    along = a @ v @ a
    if along > 0:
        error += 0.1 * (mu @ mu) * abs(a @ left @ a) / along
    return a - mean, left, float(error)


def _amplify(left: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Inverse of the linear response: the part along the mean is shrunk most."""
    kappa = mu @ mu
    if kappa == 0:
        return left
    gain = min(1.0 / max(1.0 - kappa, 1e-12), 4.0) - 1.0
    pulled = np.multiply.outer(left @ mu, mu) * (gain / kappa)
    core = (mu @ left @ mu) * (gain / kappa) ** 2
    return left + pulled + pulled.T + core * np.multiply.outer(mu, mu)
