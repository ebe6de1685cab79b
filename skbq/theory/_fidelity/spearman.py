"""From Pearson to Spearman fidelity, for similarities of any distribution.

Called by :func:`predict_fidelity`, :func:`simulated_fidelity` and :class:`RowModel`;
equations are those of the theory chapter of the documentation.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr
from scipy.stats import rankdata

from ..._utils.params import as_real_array
from ..._utils.similarity import scaled_rows
from ..._utils.statistics import correlation
from .._closed_forms import kruskal

# Quantiles that stand for the distribution of similarities. The double sum over them
# is a midpoint rule in both ranks: with 400, Kruskal's value of a normal distribution
# is met to 2e-4; its cost grows with the square.
_N_QUANTILES = 400
# Fewer similarities have no distribution to speak of.
_FEWEST_SIMILARITIES = 10
# Fewer rows leave fewer than 100 pairs of the two halves.
_FEWEST_ROWS = 20
# A noise of exactly 0 would make the step of a distribution function infinite.
_LEAST_NOISE = 1e-12


def spearman_from_pearson(
    pearson: float, similarities: ArrayLike | None = None
) -> float:
    """Spearman correlation of score and similarity, given the Pearson one.

    Parameters
    ----------
    pearson : float
        Pearson correlation of score and similarity.
    similarities : array-like, default=None
        A sample of similarities of random pairs, or their quantiles; only the shape
        of their distribution matters, not its location and scale. None takes score and
        similarity as bivariate normal: (6 / pi) arcsin(pearson / 2) [1]_.

    Returns
    -------
    float

    Notes
    -----
    If the score B is normal given the similarity S, with mean b(S) and variance
    v(S), and S'' is an independent copy of S with distribution function F, then the
    Spearman correlation is

        12 E[ F(S) Phi( (b(S) - b(S'')) / sqrt(v(S) + v(S'')) ) ] - 3.

    Here b is linear and v constant, as the Pearson correlation says, and S runs
    over 400 quantiles. For a normal S this is Kruskal's formula (equations 4.1 to 4.5
    of the theory chapter of the documentation, derived for this project).

    References
    ----------
    .. [1] W. H. Kruskal, "Ordinal measures of association", Journal of the American
       Statistical Association 53 (1958), 814-861.

    Examples
    --------
    >>> from skbq.theory import spearman_from_pearson
    >>> round(spearman_from_pearson(0.8), 3)
    0.786
    >>> import numpy as np
    >>> heavy = np.random.default_rng(0).standard_t(3, size=100_000)
    >>> round(spearman_from_pearson(0.8, heavy), 2)
    0.69
    """
    if np.ndim(as_real_array(pearson, "pearson")):
        raise TypeError(f"pearson must be one number. Got {pearson!r} instead.")
    if not -1.0 <= pearson <= 1.0:
        return float("nan")
    if similarities is None:
        return float(kruskal(pearson))
    values = as_real_array(similarities, "similarities").ravel()
    if len(values) < _FEWEST_SIMILARITIES or not np.isfinite(values).all():
        raise ValueError(
            f"similarities must be at least {_FEWEST_SIMILARITIES} finite numbers. Got "
            f"{len(values)} values, {np.count_nonzero(~np.isfinite(values))} of them "
            "not finite."
        )
    scale = values.std()
    if scale == 0:
        return float("nan")
    rank = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    s = (np.quantile(values, rank) - values.mean()) / scale
    noise = np.sqrt(max(2.0 * (1.0 - pearson**2), _LEAST_NOISE))
    above = ndtr(pearson * np.subtract.outer(s, s) / noise)
    return float(12.0 * np.mean(rank[:, None] * above) - 3.0)


def joint_spearman(
    position: np.ndarray, signal: np.ndarray, noise_share: float
) -> float:
    """Spearman correlation of similarity and score over sampled pairs: eq. (4.7).

    ``position`` is the similarity's rank as a share of the pairs. The score is
    ``signal``, a function of the pair, plus independent normal noise that is
    ``noise_share`` of the score's variance.
    """
    scale = signal.std()
    if scale == 0 or not 0.0 <= noise_share < 1.0:
        return float("nan")
    signal = (signal - signal.mean()) * (np.sqrt(1.0 - noise_share) / scale)
    rank = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    points = np.quantile(signal, rank)
    noise = np.sqrt(max(2.0 * noise_share, _LEAST_NOISE))
    # P(another score < this one), on the quantiles of the signal.
    above = ndtr(np.subtract.outer(points, points) / noise).mean(axis=1)
    score_rank = np.interp(signal, points, above)
    return float(12.0 * np.mean(position * score_rank) - 3.0)


def sample_rows(sample: ArrayLike, mean: np.ndarray) -> np.ndarray:
    """Check a sample of rows."""
    rows = as_real_array(sample, "sample")
    if rows.ndim != 2 or rows.shape[1] != len(mean) or len(rows) < _FEWEST_ROWS:
        raise ValueError(
            f"sample must have shape (n, {len(mean)}) with n >= "
            f"{_FEWEST_ROWS}. Got {rows.shape}."
        )
    if not np.isfinite(rows).all():
        raise ValueError("sample must be finite.")
    return rows


class NormPowers(NamedTuple):
    """Powers of the norms of two centered rows in their score.

    0 for a code that does not see the norm, 1 for a vector as it is.
    """

    left: float
    right: float


@dataclass(frozen=True)
class Pairs:
    """Similarities of pairs of rows: eq. (4.6).

    ``core`` that of the centered rows, ``linear`` the part of the mean, ``seen``
    what codes see of the core: norms to the powers that reach the code.
    """

    core: np.ndarray
    linear: np.ndarray
    seen: np.ndarray

    @cached_property
    def position(self) -> np.ndarray:
        """Rank of each similarity, as a share of the number of pairs."""
        return rankdata(self.core + self.linear) / len(self.core)

    @cached_property
    def agreement(self) -> float:
        """Correlation of the core with what codes see of it."""
        return correlation(self.seen, self.core)


def similarity_pairs(
    rows: np.ndarray, metric: str, centered: bool, powers: NormPowers
) -> Pairs:
    """Similarities of half of the rows with the other half."""
    rows = scaled_rows(rows, metric)
    mean = rows.mean(axis=0)
    rows = rows - mean
    left, right = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    core = left @ right.T
    linear = np.zeros_like(core)
    if not centered:
        linear = np.add.outer(left @ mean, right @ mean)
    seen = core * np.multiply.outer(
        _norms(left) ** (powers.left - 1.0), _norms(right) ** (powers.right - 1.0)
    )
    return Pairs(core.ravel(), linear.ravel(), seen.ravel())


def _norms(rows: np.ndarray) -> np.ndarray:
    """Norms, 1 for rows of zeros."""
    norm = np.linalg.norm(rows, axis=1)
    return np.where(norm > 0, norm, 1.0)
