"""How many bits each principal axis gets, and the levels of so many bits."""

from functools import lru_cache

import numpy as np
from scipy.stats import norm

from ..codes import DEPTHS, code_width, fill_bytes

# Variances below this share of the largest one are rounding.
ROUNDING = 1e-12
# Digits of the levels, in standard deviations, that all machines agree on.
_DIGITS = 7
# How far 256 levels reach: rotated coordinates of unequal variance have numbers of more
# than 6 standard deviations of their mean.
_REACH = 6.0


@lru_cache
def normal_levels(depth: int) -> tuple[float, ...]:
    """Return the 2^depth levels of least squared error for a standard normal number.

    For 1, 2 and 4 bits those of Lloyd and Max (Max 1960, "Quantizing for minimum
    distortion", table I); for 8 bits evenly spaced ones, which reach farther than the
    best: rows beyond them cost more than what lies between.
    """
    if depth == 8:
        return tuple(((np.arange(256) - 127.5) * (_REACH / 128)).tolist())
    count = 2**depth
    levels = norm.ppf((np.arange(count) + 0.5) / count)
    for _ in range(10_000):
        mass, moment = _cells(levels)
        moved = moment / mass
        done = np.abs(moved - levels).max() < 10.0 ** -(_DIGITS + 3)
        levels = moved
        if done:
            break
    return tuple(levels.round(_DIGITS).tolist())


def _cells(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probability and first moment of the numbers nearest to each level."""
    edges = np.r_[-np.inf, (levels[1:] + levels[:-1]) / 2, np.inf]
    return np.diff(norm.cdf(edges)), -np.diff(norm.pdf(edges))


def _distortion(levels: np.ndarray) -> float:
    mass, moment = _cells(levels)
    return float(1 - 2 * levels @ moment + np.square(levels) @ mass)


@lru_cache
def normal_distortion(depth: int) -> float:
    """Return the mean squared error of those levels; 1 without a bit."""
    return 1.0 if depth == 0 else _distortion(np.array(normal_levels(depth)))


def allocate(
    variances: np.ndarray, n_bits: int, exponent: float, max_depth: int
) -> np.ndarray:
    """Give bits to axes where each bit takes away most of the error.

    An axis of variance v at b bits leaves an error of ``v^exponent D(b)``, D the error
    of a standard normal number. D is convex over 0, 1, 2, 4 and 8 bits, so that the
    largest gain per bit comes first (reverse water-filling).

    Parameters
    ----------
    variances : ndarray of shape (n_axes,)
        Falling.
    n_bits : int
        Bits of all axes; what whole nibbles leave over is spent on single bits.
    exponent : float
        1 makes the squared error small, 0 gives all axes the same.
    max_depth : {1, 2, 4, 8}
        Most bits of an axis.

    Returns
    -------
    depths : ndarray of shape (n_axes,), dtype int64
        Bits of each axis, never rising; 0: not kept.
    """
    steps = [0, *sorted(depth for depth in DEPTHS if depth <= max_depth)]
    is_real = variances > ROUNDING * max(variances[0], 0)
    weights = np.where(is_real, np.maximum(variances, 1e-300) ** exponent, 0.0)
    low, high = np.array(steps[:-1]), np.array(steps[1:])
    errors = np.array([normal_distortion(depth) for depth in steps])
    gains = (errors[:-1] - errors[1:]) / (high - low)
    n_axes = len(variances)
    step = np.repeat(np.arange(len(gains)), n_axes)
    order = np.lexsort((step, -(gains[:, None] * weights).ravel()))
    taken = np.cumsum((high - low)[step[order]]) <= n_bits
    counts = np.bincount(step[order][taken], minlength=len(gains))
    at_least = dict(zip(high.tolist(), counts.tolist(), strict=True))
    counts_of = {
        depth: count - at_least.get(2 * depth, 0) for depth, count in at_least.items()
    }
    return fill_bytes(counts_of, code_width(n_bits), n_axes)
