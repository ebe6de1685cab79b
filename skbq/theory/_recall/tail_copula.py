r"""Recall of noisy scores in the tail, as a function of one number: the noise.

Seen from far out, the similarities of a query's nearest rows are a Poisson process
with exponential spacing scale, and their scores are the same values plus noise
of standard deviation tau in units of that scale. Depths (the expected number of rows
that are better) S in similarity and Y in score then follow the Hüsler-Reiss tail
copula [1]_, which is homogeneous: recall@k with K candidates depends on (tau, k, K)
and on nothing else. This file computes it; ``extrapolation`` inverts it for
:func:`predict_recall`. Equations are those of the theory chapter of the documentation.

References
----------
.. [1] J. Hüsler and R.-D. Reiss, "Maxima of normal random vectors: between
   independence and complete dependence", Statistics & Probability Letters 7
   (1989), 283-286.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, ndtr, ndtri, pdtr

from .._normal import normal_density

# Grid of log(tau): from codes that lose nothing (recall@10 over 0.995) to codes that
# know nothing (below 0.001). Cubic interpolation of the probit over steps of 1/4 is
# right to 1e-3 of recall.
LOG_NOISE = np.linspace(-6.0, 3.0, 37)
_STEP = LOG_NOISE[1] - LOG_NOISE[0]
# Up to here recall@k is integrated exactly; beyond, its 1 / k term is extrapolated
# from here to the limit, eq. (6.7): within 0.004 of recall at k = 40.
_EXACT_NEIGHBORS = 10
# Gauss-Legendre nodes of eq. (6.6), over 16 standard deviations of w and over the
# depths that count.
_RATIO_NODES = np.polynomial.legendre.leggauss(48)
_DEPTH_NODES = np.polynomial.legendre.leggauss(32)
_SPAN = 8.0
# Counts k + 7 sqrt(k) + 8 of a Poisson variable of mean k or less do not occur: 1e-11.
_DEVIATIONS = 7
_FEW = 8
# Probits of recall are kept finite; 1e-12 of recall is beyond any measurement.
_CLIP = 1e-12
# Below the smallest normal number of float64, logarithms would be infinite.
_TINY = 1e-300
# A fraction of a candidate that rounding leaves.
_ROUNDING = 1e-9


def limit_recall(log_noise: np.ndarray, oversampling: float) -> np.ndarray:
    """Recall of k neighbors among oversampling * k candidates for large k.

    The Hüsler-Reiss tail copula at (1, oversampling): eq. (6.5).
    """
    noise = np.exp(log_noise)
    ratio = np.log(oversampling) / noise
    recall = ndtr(ratio - noise / 2) + oversampling * ndtr(-ratio - noise / 2)
    return np.minimum(recall, 1.0)


def tail_recall(
    log_noise: np.ndarray, n_neighbors: int, n_candidates: int
) -> np.ndarray:
    """Recall of the ``n_neighbors`` nearest among ``n_candidates`` rows: eq. (6.6).

    A row at depth S in similarity lies at depth Y = S exp(w) in score, where w is
    normal with mean tau^2/2 and variance tau^2. Given both, the rows that are better
    in similarity and score, in similarity alone and in score alone are independent
    Poisson counts; the row is a hit if fewer than ``n_neighbors`` precede it in
    similarity and fewer than ``n_candidates`` in score.
    """
    noise = np.exp(np.asarray(log_noise))[:, None]
    center = noise**2 / 2
    limit = np.log(n_candidates / n_neighbors)
    low = np.maximum(center - _SPAN * noise, limit - _SPAN)
    high = np.maximum(np.minimum(center + _SPAN * noise, limit + _SPAN), low)
    nodes, weights = _RATIO_NODES
    w = low + (high - low) * (nodes + 1) / 2
    density = normal_density((w - center) / noise) / noise
    density *= weights * (high - low) / 2
    surely_found = ndtr((low - center) / noise)[:, 0]
    both = ndtr(w / noise - noise / 2)
    both += np.exp(w + np.log(np.maximum(ndtr(-w / noise - noise / 2), _TINY)))
    found = _hits(w, np.minimum(both, 1.0), n_neighbors, n_candidates)
    recall = surely_found + (density * found).sum(axis=1) / n_neighbors
    return np.clip(recall, 0.0, 1.0)


def _hits(
    w: np.ndarray, both: np.ndarray, n_neighbors: int, n_candidates: int
) -> np.ndarray:
    """Integrate the hits at ratio exp(w) over the depth S."""
    nodes, weights = _DEPTH_NODES
    deepest = np.minimum(
        n_neighbors + _DEVIATIONS * np.sqrt(n_neighbors) + _FEW,
        (n_candidates + _DEVIATIONS * np.sqrt(n_candidates) + _FEW) * np.exp(-w),
    )[..., None]
    depth = deepest * (nodes + 1) / 2
    n_both = depth * both[..., None]
    n_similar = np.maximum(depth - n_both, _TINY)
    n_scored = np.maximum(depth * np.exp(w)[..., None] - n_both, _TINY)
    similar = _poisson(n_similar, 0)
    scored = _poisson(n_scored, n_candidates - n_neighbors)
    fewer_similar = np.zeros_like(depth)
    fewer_scored = pdtr(n_candidates - n_neighbors, n_scored) - scored
    counts_both = [_poisson(n_both, 0)]
    for j in range(1, n_neighbors):
        counts_both.append(counts_both[-1] * n_both / j)
    total = np.zeros_like(depth)
    # Eq. (6.6): j rows better in both, at most i = n_neighbors - 1 - j in similarity.
    for i, count_both in enumerate(reversed(counts_both)):
        fewer_similar += similar
        fewer_scored += scored
        total += count_both * fewer_similar * fewer_scored
        similar *= n_similar / (i + 1)
        scored *= n_scored / (n_candidates - n_neighbors + i + 1)
    return (total * weights).sum(axis=-1) * deepest[..., 0] / 2


def _poisson(mean: np.ndarray, count: int) -> np.ndarray:
    log_mean = np.log(np.maximum(mean, _TINY))
    return np.exp(count * log_mean - mean - gammaln(count + 1))


@lru_cache(maxsize=4096)
def _exact_table(n_neighbors: int, n_candidates: int) -> np.ndarray:
    recall = tail_recall(LOG_NOISE, n_neighbors, n_candidates)
    table = ndtri(np.clip(recall, _CLIP, 1 - _CLIP))
    table.flags.writeable = False
    return table


@lru_cache(maxsize=4096)
def probit_table(n_neighbors: int, oversampling: float) -> np.ndarray:
    """Probit of recall at every value of `LOG_NOISE`.

    ``oversampling * n_neighbors`` need not be an integer: the table is linear in the
    number of candidates between the integers around it.
    """
    k = min(n_neighbors, _EXACT_NEIGHBORS)
    candidates = oversampling * k
    below = int(np.floor(candidates + _ROUNDING))
    share = max(candidates - below, 0.0)
    table = _exact_table(k, below)
    if share > _ROUNDING:
        table = (1 - share) * table + share * _exact_table(k, below + 1)
    if n_neighbors > k:
        limit = limit_recall(LOG_NOISE, oversampling)
        limit = ndtri(np.clip(limit, _CLIP, 1 - _CLIP))
        table = limit + (table - limit) * k / n_neighbors
    return table


class RecallAndSlope(NamedTuple):
    """Recall, and its derivative by log(tau)."""

    recall: np.ndarray
    slope: np.ndarray


def interpolate(tables: np.ndarray, log_noise: np.ndarray) -> RecallAndSlope:
    """Recall at log(tau), from one table (row) of `probit_table` per value.

    Cubic Hermite interpolation of the probit.
    """
    y = np.clip(log_noise, LOG_NOISE[0], LOG_NOISE[-1] - _ROUNDING)
    left = ((y - LOG_NOISE[0]) / _STEP).astype(int)
    f = (y - LOG_NOISE[left]) / _STEP
    slopes = np.gradient(tables, axis=-1)
    row = np.arange(len(y))
    t0, t1 = tables[row, left], tables[row, left + 1]
    g0, g1 = slopes[row, left], slopes[row, left + 1]
    z = t0 * (1 + 2 * f) * (1 - f) ** 2 + g0 * f * (1 - f) ** 2
    z += t1 * f**2 * (3 - 2 * f) + g1 * f**2 * (f - 1)
    dz = 6 * f * (f - 1) * (t0 - t1) + g0 * (1 - f) * (1 - 3 * f)
    dz += g1 * f * (3 * f - 2)
    return RecallAndSlope(ndtr(z), normal_density(z) * dz / _STEP)
