"""Fidelity on rows drawn from a law: for scores without a closed form."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import rankdata

from .._validation import check_choice, check_moments
from .quantizer_model import (
    code_steps,
    length_power,
    row_factor,
    score_features,
    set_by_row,
)
from .rotated_moments import check_rotation
from .row_statistics import Normal
from .score_moments import Fidelity, Sums, summarise
from .spearman import Pairs, sample_rows, similarity_pairs

# Rows half of which are paired with the other half.
PAIR_ROWS = 1000
_MOST_ROWS = 8192
_VALUES = 2**23  # of the rows: 64 MB
_FEWEST_ROWS = 2048
_SEED = (2605, 17524)
# Scales below this share of their root mean square are those of constants.
_CONSTANT = 1e-5


def simulated_fidelity(
    quantizer: Any,
    mean: Any,
    covariance: Any,
    *,
    query: str = "codes",
    code_metric: str = "auto",
    metric: str = "inner_product",
    rotation: Any = None,
    sample: Any = None,
) -> Fidelity:
    """Predict how codes of normal vectors rank, by coding vectors drawn from the law.

    The counterpart of the closed forms of :func:`predict_fidelity`: up to its standard
    error, which is below 0.003, right for thresholds and lengths that move with the
    row in whatever dimension. And it knows the corrected estimate that
    :class:`skbq.BinaryNeighbors` ranks by with ``query="vectors"``: with c the
    thresholds, a = x - c and q the code of x, <x, y> is estimated by
    <c, x> + <c, y - c> + <q, y - c> abs(a)^2 / <q, a> [1]_.

    Parameters
    ----------
    quantizer : object with ``step_function``
        A quantizer, fitted or not: its thresholds are those it would learn.
    mean : array-like of shape (d,)
        Mean of the normal law that rows and queries follow.
    covariance : array-like of shape (d, d)
        Its covariance.
    query : {"codes", "vectors"}, default="codes"
        Whether the query is coded too, or compared as it is, with the correction.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        As in :func:`predict_fidelity`.
    metric : {"inner_product", "cosine"}, default="inner_product"
        Under "cosine" vectors of the law are scaled to unit length first.
    rotation : array-like of shape (d, d) or None, default=None
        Orthogonal matrix R that turns rows x into x R before the quantizer.
    sample : array-like of shape (n, d), default=None
        Rows whose similarities are used in the step from Pearson to Spearman.

    Returns
    -------
    Fidelity
        ``rotation_spread`` is 0.

    Raises
    ------
    ValueError
        If an argument is not one of the above.

    Notes
    -----
    The correlation over all pairs of the drawn rows follows from sums over d x d
    matrices (see :func:`pairwise_fidelity`). 8,192 rows are drawn, fewer above 1,024
    coordinates, with a fixed seed.

    References
    ----------
    .. [1] J. Gao and C. Long, "RaBitQ: Quantizing High-Dimensional Vectors with a
       Theoretical Error Bound for Approximate Nearest Neighbor Search", SIGMOD 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> from skbq.theory import simulated_fidelity
    >>> d = 64
    >>> law = np.zeros(d), np.eye(d)
    >>> coded = simulated_fidelity(BinaryQuantizer(), *law).pearson
    >>> bool(abs(coded - 2 / np.pi) < 0.003)
    True
    >>> asked = simulated_fidelity(BinaryQuantizer(), *law, query="vectors").pearson
    >>> bool(abs(asked - np.sqrt(2 / np.pi)) < 0.01)  # exact for d without end
    True
    """
    mean, covariance = check_moments(mean, covariance)
    check_choice(query, "query", ("codes", "vectors"))
    check_choice(metric, "metric", ("inner_product", "cosine"))
    rows = draw_rows(mean, covariance, metric)
    if rotation is not None:
        rows = rows @ check_rotation(rotation, len(mean))
    asked = "corrected" if query == "vectors" else "codes"
    few, drawn = CodedRows(rows[:PAIR_ROWS]), CodedRows(rows)
    powers = few.powers(quantizer, asked, metric)
    pairs = similarity_pairs(few.rows, metric, False, powers)
    bend = few.bend(quantizer, asked, code_metric, pairs)
    if sample is not None:
        pairs = similarity_pairs(sample_rows(sample, mean), metric, False, powers)
    return summarise([drawn.sums(quantizer, asked, code_metric)], pairs, bend)


def draw_rows(
    mean: np.ndarray, covariance: np.ndarray, metric: str, n_rows: int | None = None
) -> np.ndarray:
    """Draw rows of N(mean, covariance), of unit length under "cosine"."""
    d = len(mean)
    if n_rows is None:
        n_rows = int(np.clip(_VALUES // d, _FEWEST_ROWS, _MOST_ROWS))
    scale = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    live = np.flatnonzero(scale > _CONSTANT * np.sqrt(np.mean(scale**2)))
    normal = np.random.default_rng(_SEED).standard_normal((n_rows, len(live)))
    varying = mean[live] + normal @ _root(covariance[np.ix_(live, live)]).T
    size = 1.0
    if metric == "cosine":
        length = np.sqrt(
            np.square(varying).sum(axis=1) + mean @ mean - mean[live] @ mean[live]
        )
        length = np.where(length > 0, length, 1.0)
        varying /= length[:, None]
        size = length.mean()
    rows = np.tile(mean / size, (n_rows, 1))
    rows[:, live] = varying
    return rows


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix R with R R' = covariance, or nearly so if it is indefinite."""
    jitter = 1e-12 * np.trace(covariance)
    try:
        return np.linalg.cholesky(covariance + jitter * np.eye(len(covariance)))
    except np.linalg.LinAlgError:
        spectrum, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(spectrum, 0.0))


@dataclass(frozen=True)
class CodedRows:
    """Rows to be coded, and moments of their similarity over pairs of rows.

    ``similarity`` and ``core`` hold mean and variance of <x, y> and of <x - m, y - m>,
    m the mean. Queries are "codes", "vectors" as they are (less their mean, if
    ``centred``), or "corrected".
    """

    rows: np.ndarray
    centred: bool = False

    @cached_property
    def mean(self) -> np.ndarray:
        return self.rows.mean(axis=0)

    @cached_property
    def scale(self) -> np.ndarray:
        return self.rows.std(axis=0)

    @cached_property
    def similarity(self) -> tuple[float, float]:
        return _mean_and_variance(self.rows, self.rows)

    @cached_property
    def core(self) -> tuple[float, float]:
        return _mean_and_variance(self.rows - self.mean, self.rows - self.mean)

    def powers(self, quantizer: Any, query: str, metric: str) -> tuple[float, float]:
        """Powers of the lengths of query and row that reach the score."""
        if metric == "cosine" or query == "corrected":
            # Unit rows hardly differ in length, and codes see them all.
            return 1.0, 1.0
        law = Normal(self.mean, np.empty((0, 0)), self.scale)
        power = length_power(quantizer, law)
        return (1.0 if query == "vectors" else power), power

    def bend(self, quantizer: Any, query: str, code_metric: str, pairs: Pairs) -> float:
        """Spearman fidelity of pairs less what their moments say of it.

        ``pairs`` are those of the rows: halves, as :func:`similarity_pairs` has them.
        """
        score = self._pair_scores(quantizer, query, code_metric)
        guess = Sums.of_pairs(pairs, score).spearman(pairs)
        bend = _rank_correlation(rankdata(score), pairs.position) - guess
        return bend if np.isfinite(bend) else 0.0

    def sampled_fidelity(
        self, quantizer: Any, query: str, code_metric: str
    ) -> tuple[float, float]:
        """Spearman fidelity of one half of the rows with the other; standard error.

        Pairs share rows: the error is that of the means over the pairs of each row.
        """
        ranks = rankdata(self._pair_scores(quantizer, query, code_metric))
        found = _rank_correlation(ranks, self.similarity_ranks)
        if not np.isfinite(found):
            return found, float("nan")
        a, b = (
            ((r - r.mean()) / r.std()).reshape(len(self.rows) // 2, -1)
            for r in (ranks, self.similarity_ranks)
        )
        influence = a * b - found / 2 * (a**2 + b**2)
        means = influence.mean(axis=0), influence.mean(axis=1)
        return found, float(np.sqrt(sum(m.var() / len(m) for m in means)))

    def sums(self, quantizer: Any, query: str, code_metric: str) -> Sums:
        """Moments of score and similarity over all pairs of different rows."""
        return self._sums(*self._sides(quantizer, query, code_metric))

    def _pair_scores(self, quantizer: Any, query: str, code_metric: str) -> np.ndarray:
        """Score one half of the rows against the other, flat."""
        left, right = self._sides(quantizer, query, code_metric)
        half = len(self.rows) // 2
        return (left[:half] @ right[half:].T).ravel()

    def _sides(
        self, quantizer: Any, query: str, code_metric: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return left and right whose products are the score."""
        if query == "codes":
            return self._coded(quantizer, code_metric)
        places, levels, centre = self._places(quantizer)
        score_features(levels, "vectors", code_metric)  # refuses what it cannot be
        if query == "vectors":
            asked = self.rows - self.mean if self.centred else self.rows
            return asked, levels[places]
        return self._corrected(levels[places], centre)

    @cached_property
    def similarity_ranks(self) -> np.ndarray:
        """Ranks of the similarities of one half of the rows with the other, flat."""
        half = len(self.rows) // 2
        return rankdata((self.rows[:half] @ self.rows[half:].T).ravel())

    def _places(self, quantizer: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which level each coordinate takes, the levels, and the thresholds."""
        steps, levels = code_steps(quantizer, self.mean, self.scale)
        centre = steps[:, len(levels) // 2 - 1]
        around = self.rows - centre
        if len(levels) == 2:
            return (around > 0).astype(np.int8), levels, centre
        size = np.abs(around)
        limit = steps[:, 2] - centre
        if set_by_row(quantizer, levels):
            factor = row_factor(steps, self.mean, self.scale)
            limit = factor * size.mean(axis=1, keepdims=True)
        strong = size > limit
        return np.where(around > 0, 2 + strong, 1 - strong), levels, centre

    def _coded(self, quantizer: Any, code_metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return left and right whose products are the score of two codes."""
        places, levels, _ = self._places(quantizer)
        features, weights = score_features(levels, "codes", code_metric)
        left = np.hstack([feature[places] for feature in features])
        if weights == [1.0]:
            return left, left
        signs = [w * f[places] for f, w in zip(features, weights, strict=True)]
        return left, np.hstack(signs)

    def _corrected(
        self, codes: np.ndarray, centre: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return left and right whose products are the corrected estimate of <x, y>."""
        around = self.rows - centre
        along = np.einsum("nd,nd->n", codes, around)
        length = np.einsum("nd,nd->n", around, around)
        factor = np.divide(length, along, out=np.zeros_like(along), where=along > 0)
        codes = codes * factor[:, None]
        # <left_x, right_y> = <x - c, code of y> + <c, x - c> + <c, y - c>
        shift, one = (around @ centre)[:, None], np.ones((len(around), 1))
        return np.hstack([around, shift, one]), np.hstack([codes, one, shift])

    def _sums(self, left: np.ndarray, right: np.ndarray) -> Sums:
        """Moments of <left_x, right_y> and similarity over pairs x != y."""
        mean, variance = _mean_and_variance(left, right)
        crosses = []
        table = left.T @ self.rows
        other = table if right is left else right.T @ self.rows
        for shift, (of_similarity, _) in (
            (np.zeros_like(self.mean), self.similarity),
            (self.mean, self.core),
        ):
            a = table - np.multiply.outer(left.sum(axis=0), shift)
            b = other - np.multiply.outer(right.sum(axis=0), shift)
            rows = self.rows - shift
            own = np.einsum("nd,nd->n", left, right)
            own = own @ np.einsum("nd,nd->n", rows, rows)
            n = len(rows)
            product = (np.vdot(a, b) - own) / (n * (n - 1))
            crosses.append(float(product - mean * of_similarity))
        return Sums(
            core=self.core[1],
            linear=max(self.similarity[1] - self.core[1], 0.0),
            score=variance,
            cross_core=crosses[1],
            cross_linear=crosses[0] - crosses[1],
        )


def _mean_and_variance(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Mean and variance of <left_x, right_y> over pairs x != y."""
    pairs = len(left) * (len(left) - 1)
    own = np.einsum("nd,nd->n", left, right)
    mean = (left.sum(axis=0) @ right.sum(axis=0) - own.sum()) / pairs
    table = left.T @ left
    square = np.vdot(table, table if right is left else right.T @ right) - own @ own
    return float(mean), float(square / pairs - mean**2)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
