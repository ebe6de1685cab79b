"""Fidelity on rows drawn from the model: for scores without a closed form.

``CodedRows`` and ``draw_rows`` are called by :func:`predict_fidelity` and
:class:`RowModel`; :func:`simulated_fidelity` itself by nothing of skbq. Equations are
those of the theory chapter of the documentation.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from ..._utils.params import check_option
from ..._utils.statistics import RankCorrelation, correlation, correlation_of_ranks
from ..._utils.typing import StepQuantizer
from .._normal import Normal
from .._options import CODE_METRICS, METRICS, QUERIES
from .._quantizer_steps import quantizer_steps
from .._validation import check_moments
from .quantizer_model import norm_power, score_features
from .rotated_moments import SEED, check_rotation
from .score_moments import Fidelity, Sums, mean_fidelity
from .spearman import NormPowers, Pairs, sample_rows, similarity_pairs

# Rows half of which are paired with the other half: 250,000 pairs, whose rank
# correlation has a standard error below 0.005.
PAIR_ROWS = 1000
# Rows whose pairs are summed over, whole: the standard error of a correlation falls
# like 1 / n, not its root, and is below 0.003 with 8,192. Fewer where d is large, so
# that the rows take 64 MB at most, but never fewer than 2,048.
_MOST_ROWS = 8192
_VALUES = 2**23
_FEWEST_ROWS = 2048
# Scales below this share of their root mean square are those of constants: float32
# rows carry 6e-8 of their value.
NEARLY_CONSTANT = 1e-5
# Added to the diagonal, as a share of the trace, so that rounding does not make a
# singular covariance indefinite for the Cholesky decomposition.
_JITTER = 1e-12


def simulated_fidelity(
    quantizer: StepQuantizer,
    mean: ArrayLike,
    covariance: ArrayLike,
    *,
    query: str = "codes",
    code_metric: str = "auto",
    metric: str = "inner_product",
    rotation: ArrayLike | None = None,
    sample: ArrayLike | None = None,
) -> Fidelity:
    """Predict how codes of normal vectors rank, by coding vectors that are drawn.

    The counterpart of the closed forms of :func:`predict_fidelity`: up to its standard
    error, which is below 0.003, right for thresholds and norms that move with the
    row in whatever dimension. And it knows the corrected estimate that
    :class:`skbq.BinaryNeighbors` ranks by with ``query="vectors"``: with c the
    thresholds, a = x - c and q the code of x, <x, y> is estimated by
    <c, x> + <c, y - c> + <q, y - c> abs(a)^2 / <q, a> [1]_.

    Parameters
    ----------
    quantizer : object with ``step_function``
        A quantizer, fitted or not: its thresholds are those it would learn.
    mean : array-like of shape (d,)
        Mean of the normal distribution that rows and queries follow.
    covariance : array-like of shape (d, d)
        Its covariance.
    query : {"codes", "vectors"}, default="codes"
        "codes" is symmetric search; "vectors" is asymmetric search: the query stays in
        floating point, and scores are corrected.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        As in :func:`predict_fidelity`.
    metric : {"inner_product", "cosine"}, default="inner_product"
        Under "cosine" the vectors are scaled to unit length first.
    rotation : array-like of shape (d, d) or None, default=None
        Orthogonal matrix R that turns rows x into x R before the quantizer.
    sample : array-like of shape (n, d), default=None
        Rows whose similarities are used in the step from Pearson to Spearman.

    Returns
    -------
    Fidelity
        ``rotation_std`` is 0.

    Raises
    ------
    TypeError
        If an option is not a string.
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
    >>> moments = np.zeros(d), np.eye(d)
    >>> symmetric = simulated_fidelity(BinaryQuantizer(), *moments)
    >>> bool(abs(symmetric.pearson - 2 / np.pi) < 0.003)
    True
    >>> asymmetric = simulated_fidelity(BinaryQuantizer(), *moments, query="vectors")
    >>> bool(abs(asymmetric.pearson - np.sqrt(2 / np.pi)) < 0.01)  # exact for large d
    True
    """
    owner = "simulated_fidelity"
    mean, covariance = check_moments(mean, covariance)
    check_option(query, "query", owner, QUERIES)
    check_option(metric, "metric", owner, METRICS)
    check_option(code_metric, "code_metric", owner, CODE_METRICS)
    rows = draw_rows(Normal.of(mean, covariance), metric)
    if rotation is not None:
        rows = rows @ check_rotation(rotation, len(mean))
    query = "corrected" if query == "vectors" else "codes"
    few, drawn = CodedRows(rows[:PAIR_ROWS]), CodedRows(rows)
    powers = few.powers(quantizer, query, metric)
    pairs = similarity_pairs(few.rows, metric, False, powers)
    nonlinearity = few.nonlinearity(quantizer, query, code_metric, pairs)
    if sample is not None:
        pairs = similarity_pairs(sample_rows(sample, mean), metric, False, powers)
    sums = drawn.sums(quantizer, query, code_metric)
    return mean_fidelity([sums], pairs, nonlinearity)


def draw_rows(normal: Normal, metric: str, n_rows: int | None = None) -> np.ndarray:
    """Draw normal rows, of unit length under "cosine"; constants stay what they are."""
    mean, covariance, d = normal.mean, normal.covariance, len(normal.mean)
    if n_rows is None:
        n_rows = int(np.clip(_VALUES // d, _FEWEST_ROWS, _MOST_ROWS))
    scale = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    live = np.flatnonzero(scale > NEARLY_CONSTANT * np.sqrt(np.mean(scale**2)))
    standard = np.random.default_rng(SEED).standard_normal((n_rows, len(live)))
    varying = mean[live] + standard @ _root(covariance[np.ix_(live, live)]).T
    typical_norm = 1.0
    if metric == "cosine":
        norm = np.sqrt(
            np.square(varying).sum(axis=1) + mean @ mean - mean[live] @ mean[live]
        )
        norm = np.where(norm > 0, norm, 1.0)
        varying /= norm[:, None]
        typical_norm = norm.mean()
    rows = np.tile(mean / typical_norm, (n_rows, 1))
    rows[:, live] = varying
    return rows


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix R with R R' = covariance, or nearly so if it is indefinite."""
    jitter = _JITTER * np.trace(covariance)
    try:
        return np.linalg.cholesky(covariance + jitter * np.eye(len(covariance)))
    except np.linalg.LinAlgError:
        spectrum, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(spectrum, 0.0))


class MeanAndVariance(NamedTuple):
    """Mean and variance of a number over pairs of different rows."""

    mean: float
    variance: float


class _Sides(NamedTuple):
    """Rows of left and right whose inner products are the score of a pair."""

    left: np.ndarray
    right: np.ndarray


class _Codes(NamedTuple):
    """Which of the levels each coordinate takes, and the thresholds of the signs."""

    indices: np.ndarray
    levels: np.ndarray
    center: np.ndarray


@dataclass(frozen=True)
class CodedRows:
    """Rows to be coded, and moments of their similarity over pairs of rows.

    ``similarity`` and ``core`` hold mean and variance of <x, y> and of <x - m, y - m>,
    m the mean. Queries are "codes", "vectors" as they are (less their mean, if
    ``centered``), or "corrected".
    """

    rows: np.ndarray
    centered: bool = False

    @cached_property
    def mean(self) -> np.ndarray:
        return self.rows.mean(axis=0)

    @cached_property
    def scale(self) -> np.ndarray:
        return self.rows.std(axis=0)

    @cached_property
    def similarity(self) -> MeanAndVariance:
        return _mean_and_variance(self.rows, self.rows)

    @cached_property
    def core(self) -> MeanAndVariance:
        return _mean_and_variance(self.rows - self.mean, self.rows - self.mean)

    def powers(self, quantizer: StepQuantizer, query: str, metric: str) -> NormPowers:
        """Powers of the norms of query and row that reach the score."""
        if metric == "cosine" or query == "corrected":
            # Unit-norm vectors hardly differ in norm about the mean; codes see it all.
            return NormPowers(1.0, 1.0)
        steps = quantizer_steps(quantizer, self.mean, self.scale)
        power = norm_power(steps, Normal.without_covariance(self.mean, self.scale))
        return NormPowers(1.0 if query == "vectors" else power, power)

    def nonlinearity(
        self, quantizer: StepQuantizer, query: str, code_metric: str, pairs: Pairs
    ) -> float:
        """Spearman fidelity of pairs less what their moments say of it: eq. (4.9).

        ``pairs`` are those of the rows: halves, as :func:`similarity_pairs` has them.
        """
        score = self._pair_scores(quantizer, query, code_metric)
        from_moments = Sums.of_pairs(pairs, score).spearman(pairs)
        missed = correlation(rankdata(score), pairs.position) - from_moments
        return missed if np.isfinite(missed) else 0.0

    def sampled_fidelity(
        self, quantizer: StepQuantizer, query: str, code_metric: str
    ) -> RankCorrelation:
        """Spearman fidelity of one half of the rows with the other.

        Pairs share rows: the error is that of the means over the pairs of each row,
        eq. (4.10).
        """
        ranks = rankdata(self._pair_scores(quantizer, query, code_metric))
        half = len(self.rows) // 2
        return correlation_of_ranks(
            ranks.reshape(half, -1), self.similarity_ranks.reshape(half, -1)
        )

    def sums(self, quantizer: StepQuantizer, query: str, code_metric: str) -> Sums:
        """Moments of score and similarity over all pairs of different rows."""
        return self._sums(self._sides(quantizer, query, code_metric))

    def _pair_scores(
        self, quantizer: StepQuantizer, query: str, code_metric: str
    ) -> np.ndarray:
        """Score one half of the rows against the other, flat."""
        left, right = self._sides(quantizer, query, code_metric)
        half = len(self.rows) // 2
        return (left[:half] @ right[half:].T).ravel()

    def _sides(self, quantizer: StepQuantizer, query: str, code_metric: str) -> _Sides:
        codes = self._codes(quantizer)
        features = score_features(
            codes.levels, "codes" if query == "codes" else "vectors", code_metric
        )
        sides = [levels[codes.indices] for levels in features.levels]
        if query == "codes":
            left = np.hstack(sides)
            if features.weights == [1.0]:
                return _Sides(left, left)
            weighted = zip(features.weights, sides, strict=True)
            return _Sides(left, np.hstack([weight * side for weight, side in weighted]))
        if query == "vectors":
            queries = self.rows - self.mean if self.centered else self.rows
            return _Sides(queries, sides[0])
        return self._corrected(sides[0], codes.center)

    @cached_property
    def similarity_ranks(self) -> np.ndarray:
        """Ranks of the similarities of one half of the rows with the other, flat."""
        half = len(self.rows) // 2
        return rankdata((self.rows[:half] @ self.rows[half:].T).ravel())

    def _codes(self, quantizer: StepQuantizer) -> _Codes:
        steps = quantizer_steps(quantizer, self.mean, self.scale)
        center = steps.center
        around = self.rows - center
        if not steps.two_bits:
            return _Codes((around > 0).astype(np.int8), steps.levels, center)
        size = np.abs(around)
        limit = steps.thresholds[:, 2] - center
        if steps.by_row:
            factor = steps.row_factor(self.mean, self.scale)
            limit = factor * size.mean(axis=1, keepdims=True)
        high = size > limit
        return _Codes(np.where(around > 0, 2 + high, 1 - high), steps.levels, center)

    def _corrected(self, codes: np.ndarray, center: np.ndarray) -> _Sides:
        """Sides whose products are the corrected estimate of <x, y>: eq. (7.2)."""
        around = self.rows - center
        along = np.einsum("nd,nd->n", codes, around)
        square = np.einsum("nd,nd->n", around, around)
        factor = np.divide(square, along, out=np.zeros_like(along), where=along > 0)
        codes = codes * factor[:, None]
        # <left_x, right_y> = <x - c, code of y> + <c, x - c> + <c, y - c>
        shift, one = (around @ center)[:, None], np.ones((len(around), 1))
        return _Sides(np.hstack([around, shift, one]), np.hstack([codes, one, shift]))

    def _sums(self, sides: _Sides) -> Sums:
        """Moments of <left_x, right_y> and similarity over pairs x != y."""
        left, right = sides
        score = _mean_and_variance(left, right)
        crosses = []
        table = left.T @ self.rows
        other = table if right is left else right.T @ self.rows
        for shift, similarity in (
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
            crosses.append(float(product - score.mean * similarity.mean))
        return Sums(
            core=self.core.variance,
            linear=max(self.similarity.variance - self.core.variance, 0.0),
            score=score.variance,
            cross_core=crosses[1],
            cross_linear=crosses[0] - crosses[1],
        )


def _mean_and_variance(left: np.ndarray, right: np.ndarray) -> MeanAndVariance:
    """Mean and variance of <left_x, right_y> over pairs x != y: eq. (1.15)."""
    pairs = len(left) * (len(left) - 1)
    own = np.einsum("nd,nd->n", left, right)
    mean = (left.sum(axis=0) @ right.sum(axis=0) - own.sum()) / pairs
    table = left.T @ left
    square = np.vdot(table, table if right is left else right.T @ right) - own @ own
    return MeanAndVariance(float(mean), float(square / pairs - mean**2))
