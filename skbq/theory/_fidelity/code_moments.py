"""Means and covariances of codes of normal vectors.

Called by :func:`predict_fidelity`; equations are those of the theory chapter of the
documentation.
"""

from dataclasses import dataclass, field

import numpy as np

from .._normal import (
    Normal,
    finite_or_zero,
    normal_density,
    reciprocal,
    standardized,
)
from .._step_functions import hermite_coefficients, step_covariance, step_mean
from .row_statistics import RowStatistic

_UNIT_STEP = np.array([0.0, 1.0])
# A variance of coordinate less threshold below this share of the largest variance is
# rounding noise, as in `Normal.of`.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Thresholds:
    """Thresholds fixed + sum_p loads[:, :, p] * statistic_p of a row: eq. (2.1).

    ``fixed`` (d, t), ``loads`` (d, t, p), ``covariance`` (p, p) of the statistics.
    """

    fixed: np.ndarray
    loads: np.ndarray
    statistics: list[RowStatistic]
    covariance: np.ndarray

    @classmethod
    def constant(cls, fixed: np.ndarray) -> "Thresholds":
        """Thresholds that do not depend on the row."""
        return cls(fixed, np.zeros((*fixed.shape, 0)), [], np.zeros((0, 0)))

    def typical(self) -> np.ndarray:
        """Thresholds at the mean of the statistics, (d, t)."""
        return self.fixed + self.loads @ np.array([s.mean for s in self.statistics])


@dataclass(frozen=True)
class Feature:
    """Levels (t + 1,) of one step function of the codes, and its response.

    Expectations over the distribution of the coordinate: ``mean`` of the levels,
    ``slope`` of the derivative; for each row statistic (p, d): ``response`` of the mean
    to it, ``slope_response`` of the slope, ``joint`` Cov(level, statistic) and
    ``joint_slope``, the same for level times (x_i - mean_i) / variance, both beyond
    the linear part of the statistic: eq. (2.13) to (2.15).
    """

    levels: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    response: np.ndarray
    slope_response: np.ndarray
    joint: np.ndarray
    joint_slope: np.ndarray


@dataclass(frozen=True)
class CodeModel:
    """Steps of x_i at sum-of-statistics thresholds, as steps of normal variables.

    Coordinate i minus its threshold k is taken as normal, jointly over i, k and the
    statistics, with the variance of eq. (2.2); what this misses in first order is
    shifted into the thresholds (``points``, eq. (2.7)) or corrected in
    ``covariance_rows`` (eq. (2.17)).
    """

    normal: Normal
    thresholds: Thresholds
    levels: list[np.ndarray]
    points: np.ndarray = field(init=False)  # (d, t)
    scale: np.ndarray = field(init=False)  # (d, t) of coordinate minus threshold
    z: np.ndarray = field(init=False)
    features: list[Feature] = field(init=False)

    def __post_init__(self) -> None:
        th, normal = self.thresholds, self.normal
        typical = th.typical()
        shift = np.zeros_like(typical)
        for p, statistic in enumerate(th.statistics):
            shift += th.loads[:, :, p] * statistic.deviation_at(normal, typical)
        variance = (normal.scale**2)[:, None] + self._threshold_variance()
        floor = _ROUNDING * normal.scale.max() ** 2
        variance = np.where(variance > floor, variance, 0.0)
        set_ = object.__setattr__
        set_(self, "points", typical + shift)
        set_(self, "scale", np.sqrt(variance))
        set_(self, "z", standardized(self.points - normal.mean[:, None], self.scale))
        set_(self, "features", [self._feature(levels) for levels in self.levels])

    def _threshold_variance(self) -> np.ndarray:
        th = self.thresholds
        cross = self.cross
        linear = np.einsum("itp,ip->it", th.loads, cross)
        return np.einsum("itp,pq,itq->it", th.loads, th.covariance, th.loads) - (
            2.0 * linear
        )

    @property
    def cross(self) -> np.ndarray:
        """Cov(x, statistics), (d, p)."""
        statistics = self.thresholds.statistics
        if not statistics:
            return np.zeros((len(self.normal.mean), 0))
        return np.stack([s.cross for s in statistics], axis=1)

    def _feature(self, levels: np.ndarray) -> Feature:
        th, jumps = self.thresholds, np.diff(levels)
        density = normal_density(self.z)
        inverse = reciprocal(self.scale)
        flux = density * inverse
        tilt = np.where(density > 0, density * finite_or_zero(self.z), 0.0) * inverse**2
        loads = np.moveaxis(th.loads, 2, 0)
        joint, joint_slope = self._joint(levels)
        return Feature(
            levels,
            step_mean(self.z, levels),
            flux @ jumps,
            -(flux * loads) @ jumps,
            -(tilt * loads) @ jumps,
            joint,
            joint_slope,
        )

    def _joint(self, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        th, normal = self.thresholds, self.normal
        if not th.statistics:
            return np.zeros((0, len(normal.mean))), np.zeros((0, len(normal.mean)))
        n_terms = len(th.statistics[0].conditional)
        shift = th.typical() - normal.mean[:, None]
        z = standardized(shift, normal.scale[:, None] + np.zeros_like(shift))
        c = hermite_coefficients(z, levels, n_terms + 1)
        n = np.arange(2, n_terms + 1)[:, None]
        # Coefficients of level times standardized coordinate, from order 2.
        product = np.sqrt(n) * c[:-2] + np.sqrt(n + 1) * c[2:]
        tails = np.stack([s.conditional[1:] for s in th.statistics])
        return (
            np.einsum("ni,pni->pi", c[1:-1], tails),
            np.einsum("ni,pni->pi", product, tails) * normal.inverse_scale,
        )

    def covariance_rows(self, rows: slice) -> dict[tuple[int, int], np.ndarray]:
        """Blocks of Cov(feature_f, feature_g) for f <= g, rows of the first."""
        pairs = [
            (f, g) for f in range(len(self.levels)) for g in range(f, len(self.levels))
        ]
        if self.thresholds.statistics:
            tables = self._jittered_rows(rows, pairs)
        else:
            rho = self.normal.correlations(rows)
            tables = {
                (f, g): step_covariance(
                    self.z[rows], self.z, self.levels[f], self.levels[g], rho
                )
                for f, g in pairs
            }
        for (f, g), table in tables.items():
            first, second = self.features[f], self.features[g]
            i = np.arange(len(table))
            both = step_mean(self.z[rows], first.levels * second.levels)
            table[i, i + rows.start] = both - first.mean[rows] * second.mean[rows]
        return tables

    def _jittered_rows(
        self, rows: slice, pairs: list[tuple[int, int]]
    ) -> dict[tuple[int, int], np.ndarray]:
        """Off-diagonal blocks when thresholds move with the row: eq. (2.16)."""
        tables = {pair: self._correction(rows, *pair) for pair in pairs}
        n_steps = self.z.shape[1]
        for k in range(n_steps):
            for m in range(n_steps):
                rho = self._step_correlations(rows, k, m)
                table = step_covariance(
                    self.z[rows, k : k + 1],
                    self.z[:, m : m + 1],
                    _UNIT_STEP,
                    _UNIT_STEP,
                    rho,
                )
                for f, g in pairs:
                    jumps = np.diff(self.levels[f])[k] * np.diff(self.levels[g])[m]
                    if jumps:
                        tables[f, g] += jumps * table
        return tables

    def _step_correlations(self, rows: slice, k: int, m: int) -> np.ndarray:
        th, cross = self.thresholds, self.cross
        left, right = th.loads[rows, k], th.loads[:, m]
        rho = self.normal.covariance[rows] - cross[rows] @ right.T - left @ cross.T
        rho += left @ th.covariance @ right.T
        inverse = reciprocal(self.scale)
        rho *= inverse[rows, k, None] * inverse[:, m]
        i = np.arange(len(rho))
        rho[i, i + rows.start] = 0.0
        return np.clip(rho, -1.0, 1.0)

    def _correction(self, rows: slice, f: int, g: int) -> np.ndarray:
        """First-order part that joint normality misses: eq. (2.17), term by term."""
        first, second = self.features[f], self.features[g]
        cov = self.normal.covariance[rows]
        table = np.zeros_like(cov)
        for p, statistic in enumerate(self.thresholds.statistics):
            table += np.multiply.outer(first.joint[p, rows], second.response[p])
            table += np.multiply.outer(first.response[p, rows], second.joint[p])
            own = statistic.third.diagonal() * self.normal.inverse_scale**2
            mixed = statistic.third[rows] - cov * (own[rows, None] + own)
            left, right = first.slope_response[p, rows], second.slope_response[p]
            table += mixed * np.multiply.outer(left, second.slope)
            table += mixed * np.multiply.outer(first.slope[rows], right)
            table += cov * np.multiply.outer(left, second.joint_slope[p])
            table += cov * np.multiply.outer(first.joint_slope[p, rows], right)
        return table
