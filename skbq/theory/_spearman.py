"""From Pearson to Spearman fidelity: Kruskal's formula, and one for any similarity."""

from typing import Any

import numpy as np
from scipy.linalg import cholesky
from scipy.special import ndtr
from scipy.stats import rankdata

_N_QUANTILES = 400
_N_ROWS = 1000


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
    similarity: np.ndarray, signal: np.ndarray, noise_share: float
) -> float:
    """Spearman correlation of similarity and score over sampled pairs.

    The score is ``signal``, a function of the pair, plus independent normal noise
    that is ``noise_share`` of the score's variance.
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
    position = rankdata(similarity) / len(similarity)
    return float(12.0 * np.mean(position * score_rank) - 3.0)


def model_rows(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Draw rows of the normal law, (n, d), with a fixed seed."""
    normal = np.random.default_rng(0).standard_normal((_N_ROWS, len(mean)))
    jitter = 1e-10 * max(float(covariance.diagonal().max()), 1e-300)
    try:
        root = cholesky(covariance + jitter * np.eye(len(mean)), lower=True)
    except np.linalg.LinAlgError:
        spectrum, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(spectrum, 0.0))
    return mean + normal @ root.T


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


def similarity_parts(rows: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of pairs of rows: of the centred rows, and the part of the mean."""
    if metric == "cosine":
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(length > 0, length, 1.0)
    mean = rows.mean(axis=0)
    centred = rows - mean
    left, right = centred[: len(rows) // 2], centred[len(rows) // 2 :]
    linear = np.add.outer(left @ mean, right @ mean)
    return (left @ right.T).ravel(), linear.ravel()
