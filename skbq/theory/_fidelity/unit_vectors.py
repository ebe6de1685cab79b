"""Exact moments of a normal vector scaled to unit length (projected normal).

With |g|^-1 = pi^-1/2 int_0^inf t^-1/2 exp(-t |g|^2) dt, and |g|^-2 the same without
root and factor, every expectation becomes an integral over normal distributions with
covariance Sigma_t = (Sigma^-1 + 2 t)^-1: one dimension, one eigendecomposition.
Called by :func:`predict_fidelity` and :func:`fit_projected_normal`; equations are
those of the theory chapter of the documentation.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from .._normal import Normal, mean_absolute
from .code_moments import Thresholds
from .row_statistics import (
    N_TERMS,
    RowStatistic,
    absolute_curvature,
    mean_deviation,
)

# Trapezoid in the logarithm of t E |g|^2, eq. (3.7). Below the first node the weight
# exp(-t |g|^2) is 1 to 1e-7; beyond the last it is exp(-400 |g|^2 / E |g|^2), below
# 1e-7 for norms over a fifth of the typical one. 48 nodes are 0.47 apart: first moments
# are right to 1e-6, second ones to 1e-9, of vectors of unit length.
_N_NODES = 48
_LOWEST_NODE = 1e-7
_HIGHEST_NODE = 400.0


@dataclass(frozen=True)
class Tilts:
    """Quadrature nodes in t, in the eigenbasis of the covariance.

    ``vectors`` (d, d); ``variances`` and ``means`` (n, d) of the tilted normals in that
    basis, eq. (3.3); ``root_weights`` and ``weights`` (n,) integrate functions times
    1 / |g| and 1 / |g|^2, eq. (3.7). The first node is t = 0.
    """

    vectors: np.ndarray
    variances: np.ndarray
    means: np.ndarray
    root_weights: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, spectrum: np.ndarray, vectors: np.ndarray) -> "Tilts":
        """Set up the nodes for N(mean, vectors diag(spectrum) vectors')."""
        center = mean @ vectors
        energy = center @ center + spectrum.sum()
        ends = np.log(_LOWEST_NODE), np.log(_HIGHEST_NODE)
        y, step = np.linspace(*ends, _N_NODES, retstep=True)
        t = np.exp(y) / energy
        shrink = 1.0 / (1.0 + 2.0 * np.multiply.outer(t, spectrum))
        log_mass = 0.5 * np.log(shrink).sum(axis=1) - t * (shrink @ center**2)
        mass = np.exp(log_mass) * t * step
        mass[[0, -1]] *= 0.5
        root = mass / np.sqrt(np.pi * t)
        # Below the first node the integrand of the root is its value at 0.
        first = np.array([2.0 * np.sqrt(t[0] / np.pi)])
        return cls(
            vectors,
            np.concatenate([spectrum[None], shrink * spectrum]),
            np.concatenate([center[None], shrink * center]),
            np.concatenate([first, root]),
            np.concatenate([t[:1], mass]),
        )

    def mean(self) -> np.ndarray:
        """E f of the unit vector f, (d,): eq. (3.4)."""
        return self.vectors @ (self.root_weights @ self.means)

    def second_moment(self) -> np.ndarray:
        """E f f', (d, d): eq. (3.5)."""
        weighted = self.vectors * (self.weights @ self.variances)
        means = self.means @ self.vectors.T
        return weighted @ self.vectors.T + (means.T * self.weights) @ means

    def vector_cross(self) -> np.ndarray:
        """E g f', (d, d), g the vector before scaling: eq. (3.6)."""
        weighted = self.vectors * (self.root_weights @ self.variances)
        means = self.means @ self.vectors.T
        return weighted @ self.vectors.T + (means.T * self.root_weights) @ means

    def inverse_norm(self) -> float:
        """E 1 / |g|."""
        return float(self.root_weights.sum())


class ThresholdModel(NamedTuple):
    """Thresholds of unit vectors, as thresholds that move with the normal vector.

    ``excess`` (p, d) and ``drift`` (n_nodes, p) of the statistics say what their parts
    beyond the linear one do, eq. (3.9): Cov(statistic, f), and the expectation under
    each tilted normal.
    """

    thresholds: Thresholds
    excess: np.ndarray
    drift: np.ndarray


class UnitDeviation(NamedTuple):
    """The mean absolute deviation of a unit vector, times the norm: eq. (3.13).

    ``excess`` (d,) and ``drift`` (n_nodes,) as in `ThresholdModel`; ``norm_cross`` is
    Cov(statistic, norm).
    """

    statistic: RowStatistic
    excess: np.ndarray
    drift: np.ndarray
    norm_cross: float


class UnitVectors:
    """Vectors f = g / |g|, g ~ N(mean, covariance): moments, and their thresholds.

    Thresholds are on the unit vectors; on g they are multiplied by the norm |g|, a row
    statistic.
    """

    def __init__(self, normal: Normal) -> None:
        self.normal = normal
        spectrum, vectors = np.linalg.eigh(normal.covariance)
        self.tilts = Tilts.of(normal.mean, np.maximum(spectrum, 0.0), vectors)
        self.mean = self.tilts.mean()
        self.covariance = self.tilts.second_moment() - np.multiply.outer(
            self.mean, self.mean
        )
        self.cross = self.tilts.vector_cross()  # E g f'
        self.norm = self._norm_statistic()
        self.cross -= np.multiply.outer(normal.mean, self.mean)

    def _norm_statistic(self) -> RowStatistic:
        """Describe the norm |g| as a row statistic: eq. (3.10), (3.11)."""
        normal, a = self.normal, self.mean
        cov, inverse = normal.covariance, self.tilts.inverse_norm()
        mean = float(np.trace(self.cross))
        # The Hessian of the norm is (I - f f') / |g|; f f' by its expectation.
        outer = self.covariance + np.multiply.outer(a, a)
        third = inverse * (cov @ cov - cov @ outer @ cov)
        conditional = np.zeros((N_TERMS, len(a)))
        conditional[0] = cov @ a * normal.inverse_scale
        conditional[1] = third.diagonal() * normal.inverse_scale**2 / np.sqrt(2.0)
        return RowStatistic(
            mean=mean,
            variance=normal.mean @ normal.mean + np.sum(normal.scale**2) - mean**2,
            gradient=a,
            cross=cov @ a,
            third=third,
            conditional=conditional,
            others=conditional,
            own_center=np.zeros_like(a),
            own_weight=0.0,
        )

    def threshold_model(self, steps: np.ndarray, factor: float) -> ThresholdModel:
        """Thresholds on g for thresholds ``steps`` (d, t) on the unit vectors.

        A ``factor`` other than 0 puts the outer two at factor times the row's mean
        absolute deviation.
        """
        d, n_steps = steps.shape
        nodes = len(self.tilts.means)
        center = steps[:, 1] if factor else steps[:, 0]
        if not steps.any() or (factor and not center.any()):
            statistics, loads = [], np.zeros((d, n_steps, 0))
            excess, drift = np.zeros((0, d)), np.zeros((nodes, 0))
            covariance = np.zeros((0, 0))
        else:
            base = np.repeat(center[:, None], 3, axis=1) if factor else steps
            statistics, loads = [self.norm], base[:, :, None]
            excess, drift = self.norm_excess()[None], self.norm_drift()[:, None]
            covariance = np.array([[self.norm.variance]])
        if factor:
            own = self.deviation(center, factor)
            covariance = np.pad(covariance, (0, 1), constant_values=own.norm_cross)
            covariance[-1, -1] = own.statistic.variance
            sides = np.broadcast_to(np.array([[[-1.0], [0.0], [1.0]]]), (d, 3, 1))
            loads = np.concatenate([loads, sides], axis=2)
            statistics = [*statistics, own.statistic]
            excess = np.vstack([excess, own.excess])
            drift = np.column_stack([drift, own.drift])
        thresholds = Thresholds(np.zeros_like(steps), loads, statistics, covariance)
        return ThresholdModel(thresholds, excess, drift)

    def norm_excess(self) -> np.ndarray:
        """Excess of the norm: Cov(|g|, f) is exactly mean - E|g| E f, eq. (3.12)."""
        whole = self.normal.mean - self.norm.mean * self.mean
        return whole - self.norm.gradient @ self.cross

    def norm_drift(self) -> np.ndarray:
        """Drift of the norm, eq. (3.12)."""
        v, m = self.tilts.variances, self.tilts.means
        energy = v.sum(axis=1) + (m * m).sum(axis=1)
        energy_variance = 4.0 * (v * m * m).sum(axis=1) + 2.0 * (v * v).sum(axis=1)
        norm = np.sqrt(energy - energy_variance / (4.0 * energy))
        return norm - norm[0] - self._linear(self.norm.gradient)

    def _linear(self, gradient: np.ndarray) -> np.ndarray:
        return (self.tilts.means - self.tilts.means[0]) @ (
            gradient @ self.tilts.vectors
        )

    def deviation(self, threshold: np.ndarray, factor: float) -> UnitDeviation:
        """Statistic factor * mean_j abs(y_j), y_j = g_j - threshold_j |g|: (3.13)."""
        normal, norm = self.normal, self.norm
        left = np.multiply.outer(norm.cross, threshold)
        inner = normal.covariance - left
        cov = inner - left.T + norm.variance * np.multiply.outer(threshold, threshold)
        y = Normal.of(normal.mean - threshold * norm.mean, cov)
        base = mean_deviation(normal, threshold * norm.mean, factor, y, inner)
        pull = -float(threshold @ base.gradient)  # response to the norm
        statistic = replace(
            base,
            gradient=base.gradient + pull * norm.gradient,
            third=base.third + pull * norm.third,
            conditional=base.conditional
            + pull * np.concatenate([0 * base.conditional[:1], norm.conditional[1:]]),
            others=base.others
            + pull * np.concatenate([0 * base.others[:1], norm.others[1:]]),
        )
        excess, drift = self._deviation_parts(y, threshold, factor, statistic)
        return UnitDeviation(
            statistic,
            excess + pull * self.norm_excess(),
            drift + pull * self.norm_drift(),
            self._with_norm(y, base, factor, pull),
        )

    def _with_norm(
        self, y: Normal, base: RowStatistic, factor: float, pull: float
    ) -> float:
        """Cov(statistic, norm) to second order: eq. (3.15)."""
        norm = self.norm
        curvature = factor / len(y.mean) * absolute_curvature(y)
        linear = norm.gradient @ base.cross
        curved = norm.variance - norm.gradient @ norm.cross
        return float(linear + 0.5 * curvature @ norm.third.diagonal() + pull * curved)

    def _deviation_parts(
        self, y: Normal, threshold: np.ndarray, factor: float, statistic: RowStatistic
    ) -> tuple[np.ndarray, np.ndarray]:
        """Excess and drift of mean_j abs(y_j) with y linear in g: eq. (3.14)."""
        tilts, u, d = self.tilts, self.tilts.vectors, len(threshold)
        g = self.norm.gradient @ u
        square = u * u
        slack = self.norm.variance - self.norm.gradient @ self.norm.cross
        whole, levels = np.zeros(d), np.zeros(len(tilts.means))
        for n, (v, m) in enumerate(zip(tilts.variances, tilts.means, strict=True)):
            moved = u @ m - threshold * (self.norm.mean + g @ (m - tilts.means[0]))
            variance = square @ v - 2.0 * threshold * (u @ (v * g))
            variance += threshold**2 * (g @ (v * g) + slack)
            scale = np.sqrt(np.maximum(variance, 0.0))
            tilted = Normal.without_covariance(moved, scale)
            levels[n] = mean_absolute(tilted).mean()
            sign = 1.0 - 2.0 * ndtr(-moved * tilted.inverse_scale)
            back = sign @ u / d - g * (threshold @ sign) / d
            whole += tilts.root_weights[n] * (u @ (levels[n] * m + v * back))
        excess = factor * (whole - levels[0] * self.mean)
        excess -= statistic.gradient @ self.cross
        drift = factor * (levels - levels[0]) - self._linear(statistic.gradient)
        return excess, drift
