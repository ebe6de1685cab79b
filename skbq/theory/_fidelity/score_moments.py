"""Fidelity from second moments: an identity, and its inputs under the models.

Called by :func:`predict_fidelity`, :func:`simulated_fidelity` and :class:`RowModel`;
equations are those of the theory chapter of the documentation.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..._utils.deprecation import renamed_attribute
from .._normal import normal_density, standardized
from .._step_functions import step_mean
from .code_moments import CodeModel, Feature
from .row_statistics import row_blocks
from .spearman import Pairs, joint_spearman, spearman_from_pearson
from .unit_vectors import Tilts


@dataclass(frozen=True)
class Fidelity:
    """Predicted correlation of score and true similarity over random pairs.

    Attributes
    ----------
    pearson : float
        Pearson correlation; nan where score or similarity is constant.
    spearman : float
        Spearman correlation, for similarities distributed as in the model or, if a
        ``sample`` is given, as in the sample.
    spearman_normal : float
        Spearman correlation if score and similarity were bivariate normal:
        (6 / pi) arcsin(pearson / 2).
    rotation_std : float
        Standard deviation of ``pearson`` over the rotations drawn; 0 if none.
    """

    pearson: float
    spearman: float
    spearman_normal: float
    rotation_std: float = 0.0

    @property
    def rotation_spread(self) -> float:
        """Old name of ``rotation_std``."""
        return float(renamed_attribute(self, "rotation_std", "rotation_spread"))


@dataclass(frozen=True)
class VectorMoments:
    """Mean (d,) and covariance (d, d) of the vectors whose similarity is ranked."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass
class Sums:
    """Var S, Var B and Cov(B, S) of similarity S and score B.

    S and its covariance with B come in two uncorrelated parts: ``core``, the
    similarity of centered rows, and ``linear``, that of rows with the mean.
    """

    core: float = 0.0
    linear: float = 0.0
    score: float = 0.0
    cross_core: float = 0.0
    cross_linear: float = 0.0

    @classmethod
    def of_pairs(cls, pairs: Pairs, score: np.ndarray) -> Self:
        """Measure them on pairs, given the score of each."""
        score = score - score.mean()
        return cls(
            core=float(pairs.core.var()),
            linear=float(pairs.linear.var()),
            score=float(score.var()),
            cross_core=float(np.mean(score * pairs.core)),
            cross_linear=float(np.mean(score * pairs.linear)),
        )

    @property
    def pearson(self) -> float:
        """Correlation of score and similarity; nan if one of them is constant."""
        product = (self.core + self.linear) * self.score
        if not product > 0:
            return float("nan")
        return float((self.cross_core + self.cross_linear) / np.sqrt(product))

    def spearman(self, pairs: Pairs) -> float:
        """Spearman correlation, from sampled pairs.

        The score follows what a code sees of the centered similarity: not the
        norms of the rows, or only a power of them.
        """
        if not self.score > 0:
            return float("nan")
        seen = pairs.seen
        signal = np.zeros_like(seen)
        explained = 0.0
        if self.core > 0:
            strength = self.cross_core / np.sqrt(self.core) / pairs.agreement
            signal += strength * seen / seen.std()
            explained += strength**2
        if self.linear > 0 and pairs.linear.any():
            strength = self.cross_linear / np.sqrt(self.linear)
            signal += strength * pairs.linear / pairs.linear.std()
            explained += strength**2
        noise = max(1.0 - explained / self.score, 0.0)
        return joint_spearman(pairs.position, signal, noise)


def mean_fidelity(results: list[Sums], pairs: Pairs, nonlinearity: float) -> Fidelity:
    """Return the mean over rotations.

    ``nonlinearity`` is what :meth:`Sums.spearman` misses, eq. (4.9).
    """
    pearson = np.array([sums.pearson for sums in results])
    typical, deviation = float(pearson.mean()), float(pearson.std())
    if not -1.0 <= typical <= 1.0:
        return Fidelity(typical, float("nan"), float("nan"), deviation)
    spearman = np.mean([sums.spearman(pairs) for sums in results]) + nonlinearity
    normal = spearman_from_pearson(typical)
    return Fidelity(typical, float(np.clip(spearman, -1.0, 1.0)), normal, deviation)


def fidelity_sums(
    model: CodeModel,
    weights: list[float],
    vectors: VectorMoments,
    crosses: list[np.ndarray],
    query: str,
) -> Sums:
    """Apply the identity of independent rows to the moments of a model.

    Eq. (1.2) for the similarity, (1.3) for symmetric search, (1.4) for asymmetric
    search; scores with several features add up, eq. (1.12).
    """
    sums = Sums()
    a = vectors.mean
    means = [feature.mean for feature in model.features]
    for rows in row_blocks(len(a)):
        v = vectors.covariance[rows]
        k = model.covariance_rows(rows)
        sums.core += np.sum(v * v)
        sums.linear += 2.0 * a[rows] @ v @ a
        if query == "vectors":
            m, c = means[0], crosses[0][rows]
            sums.cross_core += np.sum(v * c)
            sums.cross_linear += m[rows] @ v @ a + a[rows] @ c @ a
            sums.score += np.sum(v * k[0, 0]) + m[rows] @ v @ m + a[rows] @ k[0, 0] @ a
            continue
        for (f, g), table in k.items():
            weight = weights[f] * weights[g] * (1 if f == g else 2)
            mean_part = 2.0 * means[f][rows] @ table @ means[g]
            sums.score += weight * (np.sum(table**2) + mean_part)
        for weight, mean, cross in zip(weights, means, crosses, strict=True):
            c = cross[rows]
            sums.cross_core += weight * np.sum(c * c)
            sums.cross_linear += 2.0 * weight * (mean[rows] @ c @ a)
    return sums


def normal_cross(model: CodeModel, feature: Feature) -> np.ndarray:
    """Cov(q_i, x_j) of codes with the normal vector itself, (d, d): eq. (2.18)."""
    table = feature.slope[:, None] * model.normal.covariance
    for p, statistic in enumerate(model.thresholds.statistics):
        table += np.multiply.outer(feature.response[p], statistic.cross)
        table += _third_part(model, feature, p)
    return table


def unit_cross(
    model: CodeModel,
    feature: Feature,
    tilts: Tilts,
    vectors: VectorMoments,
    excess: np.ndarray,
    drift: np.ndarray,
) -> np.ndarray:
    """Cov(q_i, f_j) of codes with the vector scaled to unit length, (d, d): eq. (3.8).

    ``excess`` (p, d) and ``drift`` (n_nodes, p) are those of the row statistics,
    eq. (3.9).
    """
    u, weights = tilts.vectors, tilts.root_weights[:, None]
    total = -np.multiply.outer(feature.mean, vectors.mean)
    slopes = np.empty_like(tilts.means)
    levels = np.empty_like(tilts.means)
    means, variances = tilts.means @ u.T, tilts.variances @ (u * u).T
    for n, weight in enumerate(tilts.root_weights):
        steps = _TiltedSteps(model, tilts, n, means[n], variances[n])
        levels[n] = step_mean(steps.z(0.0), feature.levels)
        flux = steps.flux(model.thresholds.loads @ drift[n]) * np.diff(feature.levels)
        slopes[n] = flux.sum(axis=1)
        pulled = np.einsum("it,itp->ip", flux, model.thresholds.loads)
        total -= weight * pulled @ steps.cross.T
    total += (levels * weights).T @ means
    total += (u * ((slopes * weights).T @ tilts.variances)) @ u.T
    for p in range(len(model.thresholds.statistics)):
        total += np.multiply.outer(feature.response[p], excess[p])
        total += tilts.inverse_norm() * _third_part(model, feature, p)
    return total


class _TiltedSteps:
    """Coordinate minus threshold under one tilted normal: mean, scale, covariances.

    Row statistics enter by their linear part, which moves with the tilt, and the
    variance of the rest, which is kept.
    """

    def __init__(
        self,
        model: CodeModel,
        tilts: Tilts,
        n: int,
        mean: np.ndarray,
        variance_of: np.ndarray,
    ) -> None:
        th, u, variance = model.thresholds, tilts.vectors, tilts.variances[n]
        d, p = len(u), len(th.statistics)
        gradients = np.array([s.gradient for s in th.statistics]).reshape(p, d)
        own = gradients @ u
        self.cross = u @ (variance * own).T  # Cov(g, linear part), (d, p)
        moved = tilts.means[n] - tilts.means[0]
        self.points = model.points - mean[:, None]
        self.points += th.loads @ (own @ moved)
        inner = th.covariance - gradients @ model.cross + (variance * own) @ own.T
        step_variance = variance_of[:, None] - 2.0 * np.einsum(
            "itp,ip->it", th.loads, self.cross
        )
        step_variance += np.einsum("itp,pq,itq->it", th.loads, inner, th.loads)
        self.scale = np.sqrt(np.maximum(step_variance, 0.0))

    def z(self, shift: np.ndarray | float) -> np.ndarray:
        """Standardized thresholds."""
        return standardized(self.points + shift, self.scale)

    def flux(self, shift: np.ndarray) -> np.ndarray:
        """Density at the thresholds."""
        density = normal_density(self.z(shift))
        return np.divide(
            density, self.scale, out=np.zeros_like(density), where=self.scale > 0
        )


def _third_part(model: CodeModel, feature: Feature, p: int) -> np.ndarray:
    """Part of Cov(q_i, x_j) from the third cumulant with statistic p, (2.18)."""
    third = model.thresholds.statistics[p].third
    own = third.diagonal() * model.normal.inverse_scale**2
    return feature.slope_response[p][:, None] * (
        third - model.normal.covariance * own[:, None]
    )
