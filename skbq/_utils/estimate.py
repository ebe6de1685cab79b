"""An estimate with its confidence interval: the one type of everything that has one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

# An interval that is wider says nothing about recall.
WIDEST = 0.5


@dataclass(frozen=True)
class Estimate:
    """A value that was measured or predicted, and the interval that it lies in.

    ``str(estimate)`` is such as ``0.953 [0.941, 0.964] (90%)``, and a format for
    numbers goes for all three: ``f"{estimate:.2f}"``.

    Attributes
    ----------
    value : float
    low, high : float
        Limits of the confidence interval.
    confidence : float
        Probability that the interval covers the true value, in (0, 1).
    """

    value: float
    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def interval(self) -> tuple[float, float]:
        """Both limits."""
        return self.low, self.high

    def __str__(self) -> str:
        return format(self, ".3f")

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        value, low, high = (format(x, spec) for x in (self.value, *self.interval))
        return f"{value} [{low}, {high}] ({100 * self.confidence:g}%)"


def say_recall(recall: Estimate) -> str:
    """Print recall with its interval, or the interval alone if that says little."""
    if recall.high - recall.low > WIDEST:
        return (
            f"not known ({recall.low:.2f} to {recall.high:.2f} at "
            f"{100 * recall.confidence:g}%)"
        )
    return f"{recall:.3f}"


def mean_estimate(
    values: ArrayLike,
    confidence: float,
    *,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Estimate the mean of what independent queries give, by the normal limit.

    Parameters
    ----------
    values : array-like of shape (n_queries,)
        At least one.
    confidence : float
        Of the interval, in (0, 1).
    bounds : tuple of float, default=(-inf, inf)
        Limits of a single value, such as (0, 1) of recall. The interval stays within
        them, and is all of them for one value.

    Returns
    -------
    estimate : Estimate

    Notes
    -----
    Values that are all equal show no spread, which does not make their mean certain:
    with finite bounds, the interval is then Wilson's score interval of a proportion.
    """
    values = np.asarray(values, dtype=np.float64)
    n, mean, (lowest, highest) = len(values), float(values.mean()), bounds
    if n < 2:
        return Estimate(mean, lowest, highest, confidence)
    z = float(ndtri(0.5 + confidence / 2))
    deviation = float(values.std(ddof=1))
    if deviation == 0 and np.isfinite(highest - lowest):
        low, high = _wilson_interval((mean - lowest) / (highest - lowest), n, z)
        # Rounding may lead beyond the bounds by a last digit.
        return Estimate(
            mean,
            min(max(lowest + low * (highest - lowest), lowest), mean),
            max(min(lowest + high * (highest - lowest), highest), mean),
            confidence,
        )
    half_width = z * deviation / n**0.5
    return Estimate(
        mean,
        max(mean - half_width, lowest),
        min(mean + half_width, highest),
        confidence,
    )


def _wilson_interval(share: float, n: int, z: float) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927, JASA 22, p. 209)."""
    center = share + z * z / (2 * n)
    half_width = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    weight = 1 + z * z / n
    return (center - half_width) / weight, (center + half_width) / weight
