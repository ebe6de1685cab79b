"""From Pearson to Spearman fidelity: Kruskal's formula, and one for any similarity."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata

_N_QUANTILES = 400


def spearman_from_pearson(pearson: float, similarities: Any = None) -> float:
    """Spearman correlation of score and similarity, given the Pearson one.

    Parameters
    ----------
    pearson : float
        Pearson correlation of score and similarity.
    similarities : array-like, default=None
        A sample of similarities of random pairs, or their quantiles; only the shape
        of their law matters, not its location and scale. None takes score and
        similarity as bivariate normal: (6 / pi) arcsin(pearson / 2) (Kruskal 1958).

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
    over 400 quantiles. For a normal S this is Kruskal's formula (derived for this
    project, see the theory chapter of the documentation).

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
    if not -1.0 <= pearson <= 1.0:
        return float("nan")
    if similarities is None:
        return float(6.0 / np.pi * np.arcsin(pearson / 2.0))
    values = np.asarray(similarities, dtype=np.float64).ravel()
    if len(values) < 10 or not np.isfinite(values).all():
        raise ValueError(
            "similarities must be at least 10 finite numbers. Got "
            f"{len(values)} values, {np.count_nonzero(~np.isfinite(values))} of them "
            "not finite."
        )
    spread = values.std()
    if spread == 0:
        return float("nan")
    rank = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    s = (np.quantile(values, rank) - values.mean()) / spread
    noise = np.sqrt(max(2.0 * (1.0 - pearson**2), 1e-12))
    above = ndtr(pearson * np.subtract.outer(s, s) / noise)
    return float(12.0 * np.mean(rank[:, None] * above) - 3.0)


def joint_spearman(
    position: np.ndarray, signal: np.ndarray, noise_share: float
) -> float:
    """Spearman correlation of similarity and score over sampled pairs.

    ``position`` is the similarity's rank as a share of the pairs. The score is
    ``signal``, a function of the pair, plus independent normal noise that is
    ``noise_share`` of the score's variance.
    """
    spread = signal.std()
    if spread == 0 or not 0.0 <= noise_share < 1.0:
        return float("nan")
    signal = (signal - signal.mean()) * (np.sqrt(1.0 - noise_share) / spread)
    rank = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    points = np.quantile(signal, rank)
    noise = np.sqrt(max(2.0 * noise_share, 1e-12))
    # P(another score < this one), on the quantiles of the signal.
    above = ndtr(np.subtract.outer(points, points) / noise).mean(axis=1)
    score_rank = np.interp(signal, points, above)
    return float(12.0 * np.mean(position * score_rank) - 3.0)


def sample_rows(sample: Any, mean: np.ndarray) -> np.ndarray:
    """Check a sample of rows."""
    rows = np.asarray(sample, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(mean) or len(rows) < 20:
        raise ValueError(
            f"sample must have shape (n, {len(mean)}) with n >= 20. Got {rows.shape}."
        )
    if not np.isfinite(rows).all():
        raise ValueError("sample must be finite.")
    return rows


@dataclass(frozen=True)
class Pairs:
    """Similarities of pairs of rows.

    ``core`` that of the centred rows, ``linear`` the part of the mean, ``seen``
    what codes see of the core: lengths to the powers that reach the code.
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
        return float(np.corrcoef(self.seen, self.core)[0, 1])


def similarity_pairs(
    rows: np.ndarray, metric: str, centred: bool, powers: tuple[float, float]
) -> Pairs:
    """Similarities of half of the rows with the other half.

    ``powers`` are those of the two rows' lengths, after centring, in the score: 0
    for codes that do not see the length, 1 for vectors as they are.
    """
    if metric == "cosine":
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(length > 0, length, 1.0)
    mean = rows.mean(axis=0)
    rows = rows - mean
    left, right = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    core = left @ right.T
    linear = np.zeros_like(core)
    if not centred:
        linear = np.add.outer(left @ mean, right @ mean)
    seen = core * np.multiply.outer(
        _lengths(left) ** (powers[0] - 1.0), _lengths(right) ** (powers[1] - 1.0)
    )
    return Pairs(core.ravel(), linear.ravel(), seen.ravel())


def _lengths(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1)
    return np.where(length > 0, length, 1.0)
