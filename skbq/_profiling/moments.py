"""Statistics of rows that come in blocks: moments, a random sample, normality."""

from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
from scipy.special import log_ndtr

from .._utils.parallel import fixed_blocks, row_blocks

# Rows whose float64 copy is held at a time.
_BLOCK_ROWS = 2048


@dataclass(eq=False)
class Moments:
    """Sums over rows from which everything but normality follows."""

    n: int
    mean: np.ndarray
    comoment: np.ndarray  # sum over rows of (x - mean)(x - mean)'
    low: np.ndarray
    high: np.ndarray
    n_positive: np.ndarray
    norm_mean: float
    norm_comoment: float

    @classmethod
    def of_block(cls, block: np.ndarray) -> Self:
        """Return the moments of a block of float64 rows, which is overwritten."""
        low, high = block.min(axis=0), block.max(axis=0)
        # The rounded mean of equal values may differ from them.
        mean = np.where(low == high, low, block.mean(axis=0))
        n_positive = (block > 0).sum(axis=0)
        norms = np.sqrt(np.einsum("ij,ij->i", block, block))
        norm_mean = float(norms.mean())
        block -= mean
        return cls(
            n=len(block),
            mean=mean,
            comoment=block.T @ block,
            low=low,
            high=high,
            n_positive=n_positive,
            norm_mean=norm_mean,
            norm_comoment=float(np.square(norms - norm_mean).sum()),
        )

    @classmethod
    def of_rows(cls, X: np.ndarray) -> Self:
        """Return the moments of rows, which are read block by block."""
        blocks = (
            cls.of_block(np.array(X[rows], dtype=np.float64, order="C"))
            for rows in fixed_blocks(len(X), _BLOCK_ROWS)
        )
        return reduce(cls.merge, blocks)

    @classmethod
    def merge_all(cls, parts: list[Self]) -> Self:
        """Return the moments of several sets of rows."""
        return reduce(cls.merge, parts)

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets of rows (Chan et al. 1983)."""
        n = self.n + other.n
        share = other.n / n
        shift = other.mean - self.mean
        norm_shift = other.norm_mean - self.norm_mean
        comoment = self.comoment + other.comoment
        comoment += np.outer(shift * (self.n * share), shift)
        return type(self)(
            n=n,
            mean=self.mean + share * shift,
            comoment=comoment,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            n_positive=self.n_positive + other.n_positive,
            norm_mean=self.norm_mean + share * norm_shift,
            norm_comoment=self.norm_comoment
            + other.norm_comoment
            + self.n * share * norm_shift**2,
        )


@dataclass(eq=False)
class Reservoir:
    """A random subset of rows that depends on row numbers and the seed alone.

    Each row has a key, a hash of its number and the seed; the rows of the smallest
    keys stay, in the order of their numbers.
    """

    seed: int
    size: int
    keys: np.ndarray
    rows: np.ndarray

    def add(self, X: np.ndarray, first_row: int) -> Self:
        """Return the reservoir after rows ``first_row``, ``first_row + 1``, ..."""
        keys = np.concatenate([self.keys, _row_keys(first_row, len(X), self.seed)])
        kept = np.arange(len(keys))
        if len(keys) > self.size:
            kept = np.sort(np.argpartition(keys, self.size)[: self.size])
        n_old = np.searchsorted(kept, len(self.keys))
        old = self.rows[kept[:n_old]]
        new = X[kept[n_old:] - len(self.keys)]
        rows = np.concatenate([old, new]) if len(old) else new
        return type(self)(self.seed, self.size, keys[kept], rows)


def _row_keys(first_row: int, n_rows: int, seed: int) -> np.ndarray:
    """Hash row numbers: the finaliser of SplitMix64, one to one on 64 bits.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014.
    """
    keys = np.arange(first_row, first_row + n_rows, dtype=np.uint64)
    keys += np.uint64(seed) << np.uint64(32)
    keys += np.uint64(1)
    keys *= np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def anderson_darling(X: np.ndarray) -> np.ndarray:
    """Return A*^2 of each column against a normal of estimated mean and variance.

    ``A*^2 = A^2 (1 + 0.75/n + 2.25/n^2)``, the standard deviation with n - 1.
    NaN for a column that is constant, or whose deviation is too small for a float.
    """
    n, d = X.shape
    statistic = np.full(d, np.nan)
    weights = (2.0 * np.arange(1, n + 1) - 1.0) / n
    for columns in row_blocks(d, n * 32):
        z = np.sort(X[:, columns].astype(np.float64), axis=0)
        varies = np.flatnonzero(z[0] < z[-1])
        if varies.size == 0:
            continue
        z = z[:, varies]
        z -= z.mean(axis=0)
        spread = z.std(axis=0, ddof=1)
        z, varies = z[:, spread > 0] / spread[spread > 0], varies[spread > 0]
        squared = -n - weights @ (log_ndtr(z) + log_ndtr(-z[::-1]))
        statistic[columns][varies] = squared * (1 + 0.75 / n + 2.25 / n**2)
    return statistic
