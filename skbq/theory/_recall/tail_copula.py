r"""Recall of noisy scores in the tail, as a function of one number: the noise.

Seen from far out, the similarities of a query's nearest rows are a Poisson process
with exponential spacing scale, and their scores are the same values plus noise
of standard deviation tau in units of that scale. Depths (the expected number of rows
that are better) S in similarity and Y in score then follow the Hüsler-Reiss tail
copula [1]_, which is homogeneous: recall@k with K candidates depends on (tau, k, K)
and on nothing else. This file computes it; ``_recall`` inverts it.

References
----------
.. [1] J. Hüsler and R.-D. Reiss, "Maxima of normal random vectors: between
   independence and complete dependence", Statistics & Probability Letters 7
   (1989), 283-286.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaln, ndtr, ndtri, pdtr

# Grid of log(tau): from codes that lose nothing to codes that know nothing.
LOG_NOISE = np.linspace(-6.0, 3.0, 37)
_STEP = LOG_NOISE[1] - LOG_NOISE[0]
# Up to here recall@k is integrated exactly; beyond, its 1 / k term is extrapolated.
_EXACT_NEIGHBORS = 10
_RATIO_NODES = np.polynomial.legendre.leggauss(48)
_DEPTH_NODES = np.polynomial.legendre.leggauss(32)
_SPAN = 8.0
_CLIP = 1e-12


def limit_recall(log_noise: np.ndarray, oversampling: float) -> np.ndarray:
    """Recall of k neighbours among oversampling * k candidates for large k.

    The Hüsler-Reiss tail copula at (1, oversampling).
    """
    noise = np.exp(log_noise)
    ratio = np.log(oversampling) / noise
    recall = ndtr(ratio - noise / 2) + oversampling * ndtr(-ratio - noise / 2)
    return np.minimum(recall, 1.0)


def tail_recall(
    log_noise: np.ndarray, n_neighbors: int, n_candidates: int
) -> np.ndarray:
    """Recall of the first ``n_neighbors`` among the best ``n_candidates`` scores.

    A row at depth S in similarity lies at depth Y = S exp(w) in score, where w is
    normal with mean tau^2/2 and variance tau^2. Given both, the rows that are better
    in similarity and score, in similarity alone and in score alone are independent
    Poisson counts; the row is a hit if fewer than ``n_neighbors`` precede it in
    similarity and fewer than ``n_candidates`` in score.
    """
    noise = np.exp(np.asarray(log_noise))[:, None]
    centre = noise**2 / 2
    limit = np.log(n_candidates / n_neighbors)
    low = np.maximum(centre - _SPAN * noise, limit - _SPAN)
    high = np.maximum(np.minimum(centre + _SPAN * noise, limit + _SPAN), low)
    nodes, weights = _RATIO_NODES
    w = low + (high - low) * (nodes + 1) / 2
    density = np.exp(-0.5 * ((w - centre) / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
    density *= weights * (high - low) / 2
    surely_found = ndtr((low - centre) / noise)[:, 0]
    both = ndtr(w / noise - noise / 2)
    both += np.exp(w + np.log(np.maximum(ndtr(-w / noise - noise / 2), 1e-300)))
    found = _hits(w, np.minimum(both, 1.0), n_neighbors, n_candidates)
    recall = surely_found + (density * found).sum(axis=1) / n_neighbors
    return np.clip(recall, 0.0, 1.0)


def _hits(
    w: np.ndarray, both: np.ndarray, n_neighbors: int, n_candidates: int
) -> np.ndarray:
    """Integrate the hits at ratio exp(w) over the depth S."""
    nodes, weights = _DEPTH_NODES
    deepest = np.minimum(
        n_neighbors + 7 * np.sqrt(n_neighbors) + 8,
        (n_candidates + 7 * np.sqrt(n_candidates) + 8) * np.exp(-w),
    )[..., None]
    depth = deepest * (nodes + 1) / 2
    n_both = depth * both[..., None]
    n_similar = np.maximum(depth - n_both, 1e-300)
    n_scored = np.maximum(depth * np.exp(w)[..., None] - n_both, 1e-300)
    similar = _poisson(n_similar, 0)
    scored = _poisson(n_scored, n_candidates - n_neighbors)
    fewer_similar = np.zeros_like(depth)
    fewer_scored = pdtr(n_candidates - n_neighbors, n_scored) - scored
    counts_both = [_poisson(n_both, 0)]
    for j in range(1, n_neighbors):
        counts_both.append(counts_both[-1] * n_both / j)
    total = np.zeros_like(depth)
    # j rows better in both: at most i = n_neighbors - 1 - j more in similarity.
    for i, count_both in enumerate(reversed(counts_both)):
        fewer_similar += similar
        fewer_scored += scored
        total += count_both * fewer_similar * fewer_scored
        similar *= n_similar / (i + 1)
        scored *= n_scored / (n_candidates - n_neighbors + i + 1)
    return (total * weights).sum(axis=-1) * deepest[..., 0] / 2


def _poisson(mean: np.ndarray, count: int) -> np.ndarray:
    log_mean = np.log(np.maximum(mean, 1e-300))
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
    below = int(np.floor(candidates + 1e-9))
    share = max(candidates - below, 0.0)
    table = _exact_table(k, below)
    if share > 1e-9:
        table = (1 - share) * table + share * _exact_table(k, below + 1)
    if n_neighbors > k:
        limit = limit_recall(LOG_NOISE, oversampling)
        limit = ndtri(np.clip(limit, _CLIP, 1 - _CLIP))
        table = limit + (table - limit) * k / n_neighbors
    return table


def interpolate(
    tables: np.ndarray, log_noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and its derivative by log(tau), from one table (row) per value.

    Cubic Hermite interpolation of the probit.
    """
    y = np.clip(log_noise, LOG_NOISE[0], LOG_NOISE[-1] - 1e-9)
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
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return ndtr(z), density * dz / _STEP
