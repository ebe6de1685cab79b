"""Exact moments of a normal vector scaled to unit length (projected normal).

With |g|^-1 = pi^-1/2 int_0^inf t^-1/2 exp(-t |g|^2) dt, and |g|^-2 the same without
root and factor, every expectation becomes an integral over normal laws with
covariance Sigma_t = (Sigma^-1 + 2 t)^-1: one dimension, one eigendecomposition
(derived for this project, see the theory chapter of the documentation).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from .code_moments import Thresholds
from .row_statistics import Normal, RowStatistic, mean_absolute, mean_deviation

_N_NODES = 48


@dataclass(frozen=True)
class Tilts:
    """Quadrature nodes in t, in the eigenbasis of the covariance.

    ``vectors`` (d, d); ``variances`` and ``means`` (n, d) of the tilted laws in that
    basis; ``root_weights`` and ``weights`` (n,) integrate functions times 1 / |g|
    and 1 / |g|^2.
    """

    vectors: np.ndarray
    variances: np.ndarray
    means: np.ndarray
    root_weights: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, spectrum: np.ndarray, vectors: np.ndarray) -> "Tilts":
        """Set up the nodes for N(mean, vectors diag(spectrum) vectors')."""
        centre = mean @ vectors
        energy = centre @ centre + spectrum.sum()
        y, step = np.linspace(np.log(1e-7), np.log(400.0), _N_NODES, retstep=True)
        t = np.exp(y) / energy
        shrink = 1.0 / (1.0 + 2.0 * np.multiply.outer(t, spectrum))
        log_mass = 0.5 * np.log(shrink).sum(axis=1) - t * (shrink @ centre**2)
        mass = np.exp(log_mass) * t * step
        mass[[0, -1]] *= 0.5
        root = mass / np.sqrt(np.pi * t)
        # Below the first node the integrand of the root is its value at 0.
        first = np.array([2.0 * np.sqrt(t[0] / np.pi)])
        return cls(
            vectors,
            np.concatenate([spectrum[None], shrink * spectrum]),
            np.concatenate([centre[None], shrink * centre]),
            np.concatenate([first, root]),
            np.concatenate([t[:1], mass]),
        )

    def mean(self) -> np.ndarray:
        """E f of the unit vector f, (d,)."""
        return self.vectors @ (self.root_weights @ self.means)

    def second_moment(self) -> np.ndarray:
        """E f f', (d, d)."""
        weighted = self.vectors * (self.weights @ self.variances)
        means = self.means @ self.vectors.T
        return weighted @ self.vectors.T + (means.T * self.weights) @ means

    def vector_cross(self) -> np.ndarray:
        """E g f', (d, d), g the vector before scaling."""
        weighted = self.vectors * (self.root_weights @ self.variances)
        means = self.means @ self.vectors.T
        return weighted @ self.vectors.T + (means.T * self.root_weights) @ means

    def inverse_length(self) -> float:
        """E 1 / |g|."""
        return float(self.root_weights.sum())


class UnitRows:
    """Rows g / |g|, g ~ N(mean, covariance): moments, and statistics of thresholds.

    Thresholds are on the unit vectors; on g they are multiplied by the length
    |g|, a row statistic. ``excess`` and ``drift`` of a statistic are what its part
    beyond the linear one does: Cov(statistic, f), (d,), and its expectation under
    each tilted law, (n_nodes,).
    """

    def __init__(self, law: Normal) -> None:
        self.law = law
        spectrum, vectors = np.linalg.eigh(law.covariance)
        self.tilts = Tilts.of(law.mean, np.maximum(spectrum, 0.0), vectors)
        self.mean = self.tilts.mean()
        self.covariance = self.tilts.second_moment() - np.multiply.outer(
            self.mean, self.mean
        )
        self.cross = self.tilts.vector_cross()  # E g f'
        self.length = self._length()
        self.cross -= np.multiply.outer(law.mean, self.mean)

    def _length(self) -> RowStatistic:
        law, a = self.law, self.mean
        cov, inverse = law.covariance, self.tilts.inverse_length()
        mean = float(np.trace(self.cross))
        # The Hessian of the length is (I - f f') / |g|; f f' by its expectation.
        outer = self.covariance + np.multiply.outer(a, a)
        third = inverse * (cov @ cov - cov @ outer @ cov)
        conditional = np.zeros((24, len(a)))
        conditional[0] = cov @ a * law.inverse_scale
        conditional[1] = third.diagonal() * law.inverse_scale**2 / np.sqrt(2.0)
        return RowStatistic(
            mean=mean,
            variance=law.mean @ law.mean + np.sum(law.scale**2) - mean**2,
            gradient=a,
            cross=cov @ a,
            third=third,
            conditional=conditional,
            others=conditional,
            own_centre=np.zeros_like(a),
            own_weight=0.0,
        )

    def thresholds(
        self, steps: np.ndarray, factor: float
    ) -> tuple[Thresholds, np.ndarray, np.ndarray]:
        """Thresholds on g for thresholds ``steps`` (d, t) on the unit vectors.

        A ``factor`` other than 0 puts the outer two at factor times the row's mean
        absolute deviation. Also returns excess (p, d) and drift (n_nodes, p).
        """
        d, n_steps = steps.shape
        nodes = len(self.tilts.means)
        centre = steps[:, 1] if factor else steps[:, 0]
        if not steps.any() or (factor and not centre.any()):
            statistics, loads = [], np.zeros((d, n_steps, 0))
            parts = [np.zeros((0, d)), np.zeros((nodes, 0))]
            covariance = np.zeros((0, 0))
        else:
            base = np.repeat(centre[:, None], 3, axis=1) if factor else steps
            statistics, loads = [self.length], base[:, :, None]
            parts = [self.length_excess()[None], self.length_drift()[:, None]]
            covariance = np.array([[self.length.variance]])
        if factor:
            deviation, excess, drift, cross = self.deviation(centre, factor)
            covariance = np.pad(covariance, (0, 1), constant_values=cross)
            covariance[-1, -1] = deviation.variance
            sides = np.broadcast_to(np.array([[[-1.0], [0.0], [1.0]]]), (d, 3, 1))
            loads = np.concatenate([loads, sides], axis=2)
            statistics = [*statistics, deviation]
            parts = [np.vstack([parts[0], excess]), np.column_stack([parts[1], drift])]
        th = Thresholds(np.zeros_like(steps), loads, statistics, covariance)
        return th, parts[0], parts[1]

    def length_excess(self) -> np.ndarray:
        """Excess of the length: Cov(|g|, f) is exactly mean - E|g| E f."""
        whole = self.law.mean - self.length.mean * self.mean
        return whole - self.length.gradient @ self.cross

    def length_drift(self) -> np.ndarray:
        """Drift of the length."""
        v, m = self.tilts.variances, self.tilts.means
        energy = v.sum(axis=1) + (m * m).sum(axis=1)
        spread = 4.0 * (v * m * m).sum(axis=1) + 2.0 * (v * v).sum(axis=1)
        length = np.sqrt(energy - spread / (4.0 * energy))
        return length - length[0] - self._linear(self.length.gradient)

    def _linear(self, gradient: np.ndarray) -> np.ndarray:
        return (self.tilts.means - self.tilts.means[0]) @ (
            gradient @ self.tilts.vectors
        )

    def deviation(
        self, threshold: np.ndarray, factor: float
    ) -> tuple[RowStatistic, np.ndarray, np.ndarray, float]:
        """Statistic factor * mean_j abs(y_j), y_j = g_j - threshold_j |g|.

        Returns the statistic, its excess, its drift, and its covariance with the
        length.
        """
        law, length = self.law, self.length
        left = np.multiply.outer(length.cross, threshold)
        inner = law.covariance - left
        cov = inner - left.T + length.variance * np.multiply.outer(threshold, threshold)
        y = Normal.of(law.mean - threshold * length.mean, cov)
        base = mean_deviation(law, threshold * length.mean, factor, y, inner)
        pull = -float(threshold @ base.gradient)  # response to the length
        statistic = replace(
            base,
            gradient=base.gradient + pull * length.gradient,
            third=base.third + pull * length.third,
            conditional=base.conditional
            + pull * np.concatenate([0 * base.conditional[:1], length.conditional[1:]]),
            others=base.others
            + pull * np.concatenate([0 * base.others[:1], length.others[1:]]),
        )
        excess, drift = self._deviation_parts(y, threshold, factor, statistic)
        excess += pull * self.length_excess()
        drift += pull * self.length_drift()
        return statistic, excess, drift, self._with_length(y, base, factor, pull)

    def _with_length(
        self, y: Normal, base: RowStatistic, factor: float, pull: float
    ) -> float:
        """Cov(statistic, length) to second order."""
        length = self.length
        bend = np.exp(-0.5 * (y.mean * y.inverse_scale) ** 2) * y.inverse_scale
        bend *= factor / len(y.mean) * np.sqrt(2.0 / np.pi)
        linear = length.gradient @ base.cross
        curved = length.variance - length.gradient @ length.cross
        return float(linear + 0.5 * bend @ length.third.diagonal() + pull * curved)

    def _deviation_parts(
        self, y: Normal, threshold: np.ndarray, factor: float, statistic: RowStatistic
    ) -> tuple[np.ndarray, np.ndarray]:
        """Excess and drift of mean_j abs(y_j) with y linear in g."""
        tilts, u, d = self.tilts, self.tilts.vectors, len(threshold)
        g = self.length.gradient @ u
        square = u * u
        slack = self.length.variance - self.length.gradient @ self.length.cross
        whole, levels = np.zeros(d), np.zeros(len(tilts.means))
        for n, (v, m) in enumerate(zip(tilts.variances, tilts.means, strict=True)):
            moved = u @ m - threshold * (self.length.mean + g @ (m - tilts.means[0]))
            spread = square @ v - 2.0 * threshold * (u @ (v * g))
            spread += threshold**2 * (g @ (v * g) + slack)
            scale = np.sqrt(np.maximum(spread, 0.0))
            law = Normal(moved, y.covariance, scale)
            levels[n] = mean_absolute(law).mean()
            sign = 1.0 - 2.0 * ndtr(-moved * law.inverse_scale)
            back = sign @ u / d - g * (threshold @ sign) / d
            whole += tilts.root_weights[n] * (u @ (levels[n] * m + v * back))
        excess = factor * (whole - levels[0] * self.mean)
        excess -= statistic.gradient @ self.cross
        drift = factor * (levels - levels[0]) - self._linear(statistic.gradient)
        return excess, drift
