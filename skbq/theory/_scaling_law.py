"""The scaling law of fidelity in the off-diagonal ratio, with two constants.

For readers: nothing of skbq calls it.
"""

from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from .._utils.params import as_real_array, check_real
from ._closed_forms import kruskal

# Two constants need three data sets to leave one out.
_FEWEST_SETS = 3


@overload
def scaling_law(
    off_diagonal_ratio: float,
    snr_mean: float,
    snr_std: float,
    *,
    rho_0: float,
    strength: float,
) -> float: ...


@overload
def scaling_law(
    off_diagonal_ratio: ArrayLike,
    snr_mean: ArrayLike,
    snr_std: ArrayLike,
    *,
    rho_0: float,
    strength: float,
) -> float | np.ndarray: ...


def scaling_law(
    off_diagonal_ratio: ArrayLike,
    snr_mean: ArrayLike,
    snr_std: ArrayLike,
    *,
    rho_0: float,
    strength: float,
) -> float | np.ndarray:
    """Fidelity (Spearman) by the two-parameter scaling law of mean-field type.

    Parameters
    ----------
    off_diagonal_ratio : array-like of float
        r: Frobenius norm of the off-diagonal part of the covariance over that of
        its diagonal.
    snr_mean, snr_std : array-like of float
        Mean m and standard deviation v over coordinates of abs(mean / scale).
    rho_0, strength : float
        The two constants, fitted over data sets by :func:`fit_scaling_law`.

    Returns
    -------
    float or ndarray
        (6 / pi) arcsin((rho_0 + strength r^2 A^2) / 2) with
        A = (1 + 2 v^2)^-1/2 exp(-m^2 / (1 + 2 v^2)); nan where the argument is not
        within [-1, 1] of a correlation: the scaling law does not apply there, which
        is an alarm, not a perfect score.

    Raises
    ------
    TypeError, ValueError
        If a constant is not a finite number.

    References
    ----------
    .. [1] Xiao, W., arXiv 2605.17524, 2026, Proposition 6.

    Examples
    --------
    >>> from skbq.theory import scaling_law
    >>> round(scaling_law(1.0, 0.2, 0.1, rho_0=0.6, strength=0.1), 3)
    0.673
    >>> scaling_law(5.0, 0.0, 0.0, rho_0=0.6, strength=0.1)
    nan
    """
    rho_0, strength = (
        check_real(value, name, "scaling_law", low=-np.inf)
        for value, name in ((rho_0, "rho_0"), (strength, "strength"))
    )
    values = kruskal(rho_0 + strength * _signal(off_diagonal_ratio, snr_mean, snr_std))
    return float(values) if values.ndim == 0 else values


@dataclass(frozen=True)
class ScalingFit:
    """Constants of the scaling law, and how well it predicts what it has not seen.

    Attributes
    ----------
    rho_0, strength : float
        The constants.
    residuals : ndarray of shape (n,)
        Fidelity less fitted fidelity.
    leave_one_out : ndarray of shape (n,)
        Fidelity of each data set less its prediction from the others; nan where
        that prediction is nan.
    mean_absolute_error : float
        Mean of the absolute ``leave_one_out`` errors, nan if any is.
    """

    rho_0: float
    strength: float
    residuals: np.ndarray
    leave_one_out: np.ndarray
    mean_absolute_error: float


def fit_scaling_law(
    off_diagonal_ratio: ArrayLike,
    snr_mean: ArrayLike,
    snr_std: ArrayLike,
    fidelity: ArrayLike,
) -> ScalingFit:
    """Fit the two constants of :func:`scaling_law` over data sets.

    Parameters
    ----------
    off_diagonal_ratio, snr_mean, snr_std : array-like of shape (n,)
        As for :func:`scaling_law`, one number for each data set, n >= 3.
    fidelity : array-like of shape (n,)
        Measured fidelity (Spearman), within [-1, 1].

    Returns
    -------
    ScalingFit

    Examples
    --------
    >>> import numpy as np
    >>> from skbq.theory import fit_scaling_law, scaling_law
    >>> r = np.array([0.2, 0.6, 1.0, 1.4])
    >>> m, v = np.full(4, 0.2), np.full(4, 0.1)
    >>> fit = fit_scaling_law(r, m, v, scaling_law(r, m, v, rho_0=0.6, strength=0.1))
    >>> round(fit.rho_0, 3), round(fit.strength, 3)
    (0.6, 0.1)
    """
    signal = np.atleast_1d(_signal(off_diagonal_ratio, snr_mean, snr_std))
    target = np.atleast_1d(as_real_array(fidelity, "fidelity"))
    if signal.ndim != 1 or signal.shape != target.shape or len(signal) < _FEWEST_SETS:
        raise ValueError(
            "All arguments must have shape (n,), n >= 3. Got "
            f"{signal.shape} and {target.shape}."
        )
    if not (np.isfinite(signal).all() and np.all(np.abs(target) <= 1.0)):
        raise ValueError("Arguments must be finite and fidelity within [-1, 1].")
    constants = _fit(signal, target)
    left_out = np.empty(len(target))
    for i in range(len(target)):
        others = np.arange(len(target)) != i
        left_out[i] = target[i] - _fitted(
            signal[i], _fit(signal[others], target[others])
        )
    return ScalingFit(
        float(constants[0]),
        float(constants[1]),
        target - _fitted(signal, constants),
        left_out,
        float(np.mean(np.abs(left_out))),
    )


def _signal(ratio: ArrayLike, snr_mean: ArrayLike, snr_std: ArrayLike) -> np.ndarray:
    """r^2 A^2 of each data set."""
    given = {"off_diagonal_ratio": ratio, "snr_mean": snr_mean, "snr_std": snr_std}
    ratio, m, std = (as_real_array(values, name) for name, values in given.items())
    for name, values in zip(given, (ratio, m, std), strict=True):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite. Got {given[name]!r} instead.")
    widening = 1.0 + 2.0 * std**2
    return np.asarray(ratio**2 * np.exp(-2.0 * m**2 / widening) / widening)


def _fitted(signal: np.ndarray, constants: np.ndarray) -> np.ndarray:
    return kruskal(constants[0] + constants[1] * np.asarray(signal))


def _fit(signal: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares in fidelity, started from the linear fit in correlation."""
    rho = 2.0 * np.sin(np.pi * target / 6.0)
    design = np.stack([np.ones_like(signal), signal], axis=1)
    start = np.linalg.lstsq(design, rho, rcond=None)[0]

    def error(constants: np.ndarray) -> np.ndarray:
        # Beyond 1 the arcsine is continued by its tangent, so that the fit can
        # come back.
        values = constants[0] + constants[1] * signal
        inner = np.clip(values, -1.0, 1.0)
        slope = 6.0 / np.pi / np.sqrt(3.0)
        fitted = 6.0 / np.pi * np.arcsin(inner / 2.0) + slope * (values - inner)
        return fitted - target

    return np.asarray(least_squares(error, start).x)
