"""Closed forms of one or two parameters: rotation, magnitude bit, entropy, SimHash.

For readers. ``kruskal`` is called by :func:`spearman_from_pearson` and
:func:`scaling_law`; nothing else of skbq calls any of them.
"""

from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc, ndtr, xlogy

from .._utils.params import as_real_array, check_option, check_real
from .._utils.statistics import rank_correlation
from ._normal import MEAN_ABSOLUTE, normal_density
from ._options import QUERIES
from ._validation import check_covariance, check_moments

# What rounding may add to a ratio of at most 1.
_ROUNDING = 1e-9
# Fewer coordinates always have a rank correlation of -1, 0 or 1.
_FEWEST_COORDINATES = 3
# Mean absolute correlations that differ by less do so by rounding.
_EQUAL_CORRELATIONS = 1e-12


def effective_dimension(covariance: ArrayLike) -> float:
    """tr(Sigma)^2 / tr(Sigma^2): number of directions that share the variance.

    Parameters
    ----------
    covariance : array-like of shape (d, d)

    Returns
    -------
    float
        Between 1 and d; nan for a covariance of 0.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import effective_dimension
    >>> effective_dimension(np.diag([1.0, 1.0, 0.0]))
    2.0
    """
    covariance = check_covariance(covariance)
    square = np.sum(covariance**2)
    return float(np.trace(covariance) ** 2 / square) if square > 0 else float("nan")


@overload
def rotated_fidelity(
    eta: float, dimension_ratio: float, *, query: str = "codes"
) -> float: ...


@overload
def rotated_fidelity(
    eta: ArrayLike, dimension_ratio: ArrayLike, *, query: str = "codes"
) -> float | np.ndarray: ...


def rotated_fidelity(
    eta: ArrayLike, dimension_ratio: ArrayLike, *, query: str = "codes"
) -> float | np.ndarray:
    """Fidelity (Pearson) of a centered code after a random rotation.

    Parameters
    ----------
    eta : array-like of float
        :func:`isotropic_fidelity` of the quantizer, in (0, 1].
    dimension_ratio : array-like of float
        :func:`effective_dimension` over the number of coordinates, in (0, 1].
    query : {"codes", "vectors"}, default="codes"
        Symmetric search, or asymmetric search: the query stays in floating point.

    Returns
    -------
    float or ndarray
        (1 + (eta^-2 - 1) r)^-1/2 for symmetric search, with eta^-1 for asymmetric.

    Notes
    -----
    After a Haar rotation all coordinates have about the same variance, and only
    the effective dimension is left of the covariance (equation 1.14 of the theory
    chapter of the documentation, derived for this project). Slightly optimistic at a
    low ratio: ``predict_fidelity(..., rotation="haar")`` keeps what this quick form
    drops.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import rotated_fidelity
    >>> round(rotated_fidelity(2 / np.pi, 1.0), 4)
    0.6366
    >>> rotated_fidelity(2 / np.pi, np.array([0.1, 0.5])).round(3)
    array([0.934, 0.759])
    """
    check_option(query, "query", "rotated_fidelity", QUERIES)
    eta = as_real_array(eta, "eta")
    ratio = as_real_array(dimension_ratio, "dimension_ratio")
    for values, name in ((eta, "eta"), (ratio, "dimension_ratio")):
        if not np.all((values > 0) & (values <= 1 + _ROUNDING)):
            raise ValueError(f"{name} must lie in (0, 1]. Got {values}.")
    power = 2.0 if query == "codes" else 1.0
    return _scalar((1.0 + (eta**-power - 1.0) * ratio) ** -0.5)


@dataclass(frozen=True)
class MagnitudeGain:
    """What a magnitude bit adds when coordinates differ in scale.

    Attributes
    ----------
    one_bit, two_bits : float
        Correlation of a code with the vector (one-sided fidelity), second-order
        expansion in the coefficient of variation.
    gain : float
        Delta_0 + K cv^2.
    isotropic_gain, curvature : float
        Delta_0 and K.
    """

    one_bit: float
    two_bits: float
    gain: float
    isotropic_gain: float
    curvature: float


class OneSidedFidelity(NamedTuple):
    """Correlation of a code with real values, for one and for two bits.

    Attributes
    ----------
    one_bit, two_bits : float
    """

    one_bit: float
    two_bits: float


def one_sided_fidelity(scale: ArrayLike) -> OneSidedFidelity:
    """Fidelity of one and two bits against real values, given the scales.

    Parameters
    ----------
    scale : array-like of shape (d,)
        Standard deviations of centered, independent coordinates.

    Returns
    -------
    OneSidedFidelity
        ``one_bit, two_bits``: correlations of code and value, pooled over coordinates;
        two bits have levels (1, 2) and the magnitude threshold at the mean absolute
        deviation of an average coordinate (Xiao, arXiv 2605.17524, Proposition 5).

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import one_sided_fidelity
    >>> one, two = one_sided_fidelity(np.ones(8))
    >>> round(one, 4), round(two, 4)
    (0.7979, 0.9138)
    """
    scale = as_real_array(scale, "scale")
    if scale.ndim != 1 or not np.all(scale >= 0) or not scale.any():
        raise ValueError("scale must be 1-d, >= 0 and not all 0.")
    u = scale / scale.mean()
    safe = np.where(u > 0, u, 1.0)
    energy = np.mean(u**2)
    ratio = np.where(u > 0, MEAN_ABSOLUTE / safe, np.inf)
    covariance = MEAN_ABSOLUTE * u * (1.0 + np.exp(-0.5 * ratio**2))
    variance = 1.0 + 3.0 * erfc(ratio / np.sqrt(2.0))
    one = MEAN_ABSOLUTE / np.sqrt(energy)
    two = np.mean(covariance) / np.sqrt(variance.mean() * energy)
    return OneSidedFidelity(float(one), float(two))


def magnitude_bit_gain(cv: float) -> MagnitudeGain:
    """Gain of the second bit as the scales of coordinates differ.

    Parameters
    ----------
    cv : float
        Coefficient of variation of the standard deviations, at least 0.

    Returns
    -------
    MagnitudeGain
        With ``gain`` = 0.1159 + 0.0877 cv^2.

    Notes
    -----
    Second-order expansion of :func:`one_sided_fidelity` in the variance of the scales
    (Xiao, arXiv 2605.17524, Proposition 5); both constants are computed here from
    its derivatives.

    Examples
    --------
    >>> from skbq.theory import magnitude_bit_gain
    >>> result = magnitude_bit_gain(0.3)
    >>> round(result.isotropic_gain, 4), round(result.curvature, 4)
    (0.1159, 0.0877)
    """
    square = check_real(cv, "cv", "magnitude_bit_gain", low=0.0) ** 2
    # Derivatives at u = 1 of C(u) = tau u (1 + exp(-tau^2 / 2u^2)), V(u) = 1 + 3
    # erfc(tau / (u sqrt 2)); E u = 1, so only second ones count: E (u - 1)^2 = cv^2.
    tau = MEAN_ABSOLUTE
    t2, e = tau**2, np.exp(-0.5 * tau**2)
    c0, c2 = tau * (1.0 + e), tau * e * t2 * (t2 - 1.0)
    v0 = 1.0 + 3.0 * erfc(tau / np.sqrt(2.0))
    v2 = 3.0 * t2 * e * (t2 - 2.0)
    isotropic = c0 / np.sqrt(v0)
    second_order = isotropic * (0.5 * c2 / c0 - 0.25 * v2 / v0 - 0.5)
    curvature = second_order + 0.5 * tau
    delta = isotropic - tau
    return MagnitudeGain(
        float(tau * (1.0 - 0.5 * square)),
        float(isotropic + second_order * square),
        float(delta + curvature * square),
        float(delta),
        float(curvature),
    )


def sign_entropy(mean: ArrayLike, scale: ArrayLike) -> float:
    """Mean entropy, in bits, of the sign of normal coordinates.

    Parameters
    ----------
    mean, scale : array-like of shape (d,)
        Mean less threshold, and standard deviation, of each coordinate.

    Returns
    -------
    float
        Mean over coordinates of the binary entropy of Phi(mean / scale), between 0
        and 1; a constant coordinate has 0.

    Examples
    --------
    >>> from skbq.theory import sign_entropy
    >>> sign_entropy([0.0, 5.0], [1.0, 0.0])
    0.5
    """
    mean, scale = _mean_and_scale(mean, scale)
    live = scale > 0
    p = ndtr(np.divide(mean, scale, out=np.full_like(mean, np.inf), where=live))
    entropy = -(xlogy(p, p) + xlogy(1.0 - p, 1.0 - p)) / np.log(2.0)
    return float(entropy.mean())


@dataclass(frozen=True)
class SteinSignal:
    """Squared response of sign bits to the vector, and what correlations add.

    Attributes
    ----------
    total : float
        sum_ij (a_i Sigma_ij)^2, a_i = 2 phi(mean_i / sigma_i) / sigma_i.
    off_diagonal : float
        The part with i != j.
    share : float
        off_diagonal / total.
    """

    total: float
    off_diagonal: float
    share: float


def stein_signal(mean: ArrayLike, covariance: ArrayLike) -> SteinSignal:
    """Signal that sign bits take from their own and from other coordinates.

    Parameters
    ----------
    mean : array-like of shape (d,)
        Mean of the vectors less the threshold.
    covariance : array-like of shape (d, d)
        Covariance of the vectors.

    Returns
    -------
    SteinSignal

    Notes
    -----
    By Stein's lemma Cov(sign x_i, x_j) = a_i Sigma_ij. Weak correlations add up:
    the off-diagonal share is large although single ones are small (Xiao,
    arXiv 2605.17524).

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import stein_signal
    >>> stein_signal(np.zeros(3), np.eye(3)).share
    0.0
    """
    mean, covariance = check_moments(mean, covariance)
    scale = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    live = scale > 0
    safe = np.where(live, scale, 1.0)
    slope = np.where(live, 2.0 * normal_density(mean / safe) / safe, 0.0)
    total = float(slope**2 @ np.sum(covariance**2, axis=1))
    off = total - float(np.sum((slope * scale**2) ** 2))
    return SteinSignal(total, off, off / total if total > 0 else float("nan"))


def scale_correlation(covariance: ArrayLike) -> float:
    """Rank correlation of a coordinate's scale with how correlated it is (S0).

    Parameters
    ----------
    covariance : array-like of shape (d, d)

    Returns
    -------
    float
        Spearman correlation over coordinates of sigma_i and the mean over j != i of
        abs(rho_ij), without constants; nan with fewer than three coordinates or
        where one of the two is the same for all. Near 0, mean-field models such as
        :func:`scaling_law` apply (Xiao, arXiv 2605.17524, diagnostic S0).

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import scale_correlation
    >>> covariance = np.diag([1.0, 2.0, 3.0, 4.0])
    >>> covariance[2, 3] = covariance[3, 2] = 3.0
    >>> covariance[1, 2] = covariance[2, 1] = 0.5
    >>> round(scale_correlation(covariance), 2)
    0.8
    """
    covariance = check_covariance(covariance)
    scale = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    live = scale > 0
    if live.sum() < _FEWEST_COORDINATES:
        return float("nan")
    scale = scale[live]
    rho = np.abs(covariance[np.ix_(live, live)]) / scale[:, None] / scale
    linked = (rho.sum(axis=1) - 1.0) / (len(scale) - 1)
    if np.ptp(linked) <= _EQUAL_CORRELATIONS:
        return float("nan")
    return rank_correlation(scale, linked)


@overload
def bit_agreement(cosine: float) -> float: ...


@overload
def bit_agreement(cosine: ArrayLike) -> float | np.ndarray: ...


def bit_agreement(cosine: ArrayLike) -> float | np.ndarray:
    """Probability that two vectors agree in a sign bit after a random rotation.

    Parameters
    ----------
    cosine : array-like of float
        Cosine of the angle between the vectors, in [-1, 1].

    Returns
    -------
    float or ndarray
        1 - arccos(cosine) / pi (SimHash; Charikar, STOC 2002).

    Examples
    --------
    >>> from skbq.theory import bit_agreement
    >>> bit_agreement(0.0), bit_agreement(1.0)
    (0.5, 1.0)
    """
    cosine = as_real_array(cosine, "cosine")
    if not np.all(np.abs(cosine) <= 1.0):
        raise ValueError("cosine must lie in [-1, 1].")
    return _scalar(1.0 - np.arccos(cosine) / np.pi)


def corrected_error(
    variances: ArrayLike,
    distortions: ArrayLike,
    spectrum: ArrayLike,
    *,
    strength: float = 1.0,
) -> float:
    """Variance of the error of corrected estimates among near neighbors.

    Of codes on principal axes, or any axes along which coordinates are uncorrelated,
    whose levels are the means of their cells: equation (7.7), with the correction where
    it concentrates, (7.5).

    Parameters
    ----------
    variances : array-like of shape (d,)
        Of the rows along the axes.
    distortions : array-like of shape (d,)
        What the code of each coordinate leaves of its variance, from 0 to 1, where it
        is not coded at all.
    spectrum : array-like of shape (d,)
        Mean squares of the differences between near neighbors along the axes.
    strength : float, default=1.0
        Of the correction, from 0 to 1: equation (7.13), where 1 is (7.7).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes differ, numbers are negative, ``strength`` is not from 0 to 1, or
        nothing is coded.

    Examples
    --------
    Bits for the axes along which rows vary:

    >>> from skbq.theory import corrected_error
    >>> half = [0.36, 1.0]
    >>> corrected_error([4, 1], half, [1, 1]) < corrected_error([1, 4], half, [1, 1])
    True
    """
    v, lost, mu = (
        as_real_array(values, name)
        for values, name in (
            (variances, "variances"),
            (distortions, "distortions"),
            (spectrum, "spectrum"),
        )
    )
    if v.ndim != 1 or not v.shape == lost.shape == mu.shape:
        raise ValueError(
            "variances, distortions and spectrum must all have shape (d,). Got "
            f"{v.shape}, {lost.shape} and {mu.shape}."
        )
    if not (np.all(v >= 0) and np.all(mu >= 0) and np.all((lost >= 0) & (lost <= 1))):
        raise ValueError(
            "variances and spectrum must be >= 0, distortions from 0 to 1."
        )
    kept = v @ (1 - lost)
    if not kept > 0:
        raise ValueError("distortions are 1 wherever variances are above 0: no code.")
    check_real(strength, "strength", "corrected_error", low=0, high=1)
    excess = strength * (v.sum() / kept - 1)
    return float(mu @ (v * lost) + excess**2 * (mu @ (v * (1 - lost))))


def kruskal(pearson: ArrayLike) -> np.ndarray:
    """Spearman correlation of bivariate normal variables, nan beyond -1 and 1.

    (6 / pi) arcsin(pearson / 2): eq. (4.5).
    """
    pearson = np.asarray(pearson, dtype=np.float64)
    valid = np.abs(pearson) <= 1.0
    inside = np.where(valid, pearson, 0.0)
    return np.where(valid, 6.0 / np.pi * np.arcsin(inside / 2.0), np.nan)


def _mean_and_scale(mean: ArrayLike, scale: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = as_real_array(mean, "mean"), as_real_array(scale, "scale")
    if not np.isfinite(mean).all():
        raise ValueError(f"mean must be finite. Got {mean} instead.")
    if mean.ndim != 1 or mean.shape != scale.shape or not np.all(scale >= 0):
        raise ValueError(
            "mean and scale must both have shape (d,), scale >= 0. Got "
            f"{mean.shape} and {scale.shape}."
        )
    return mean, scale


def _scalar(values: np.ndarray) -> float | np.ndarray:
    return float(values) if values.ndim == 0 else values
