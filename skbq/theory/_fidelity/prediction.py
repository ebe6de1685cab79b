"""Predicted fidelity of a quantizer on normal vectors, scaled to unit length or not."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._validation import check_choice, check_moments
from .code_moments import CodeModel, Thresholds
from .quantizer_model import code_steps, row_factor, score_features, set_by_row
from .rotated_moments import check_rotation, haar_covariances
from .row_statistics import Normal, mean_deviation
from .score_moments import (
    Fidelity,
    Sums,
    VectorMoments,
    fidelity_sums,
    normal_cross,
    summarise,
    unit_cross,
)
from .simulation import PAIR_ROWS, CodedRows, draw_rows
from .spearman import sample_rows, similarity_pairs
from .unit_vectors import UnitRows

_METRICS = ("inner_product", "cosine")
_QUERIES = ("codes", "vectors")
_CODE_METRICS = ("auto", "hamming", "penalty", "dot")
_SIDES = np.array([-1.0, 0.0, 1.0])


def predict_fidelity(
    quantizer: Any,
    mean: Any,
    covariance: Any,
    *,
    query: str = "codes",
    code_metric: str = "auto",
    metric: str = "inner_product",
    rotation: Any = None,
    centred: bool = False,
    sample: Any = None,
) -> Fidelity:
    """Predict how well codes of normal vectors rank, without encoding anything.

    Parameters
    ----------
    quantizer : object with ``step_function``
        :class:`skbq.BinaryQuantizer` or :class:`skbq.TwoBitQuantizer`, fitted or
        not: its parameters are used, its thresholds are those it would learn from
        vectors of this law.
    mean : array-like of shape (d,)
        Mean of the vectors.
    covariance : array-like of shape (d, d)
        Covariance of the vectors; a coordinate of variance 0 is a constant.
    query : {"codes", "vectors"}, default="codes"
        Whether the query is encoded too, or compared as it is with the codes:
        sum_i x_i q_i(y), without correction.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        Distance between two codes; "auto" is "hamming" for one bit, "dot" for two.
    metric : {"inner_product", "cosine"}, default="inner_product"
        The true similarity. Under "cosine" rows are vectors of the law scaled to
        unit length before the quantizer sees them (the projected normal): for the
        moments of unit rows see :func:`fit_projected_normal`.
    rotation : array-like of shape (d, d), "haar" or None, default=None
        Orthogonal matrix R that turns rows x into x R before the quantizer; or
        "haar" for the mean over random rotations.
    centred : bool, default=False
        Take the similarity of rows less their mean (after scaling, under
        "cosine"), for float queries too.
    sample : array-like of shape (n, d), default=None
        Rows (some hundreds do) whose similarities are used in the step from Pearson
        to Spearman in place of those that the law has: real data have more pairs that
        are much alike.

    Returns
    -------
    Fidelity
        Object with ``pearson`` and ``spearman``.

    Raises
    ------
    ValueError
        If a parameter is not one of the above, the moments are not such, or
        ``query="vectors"`` comes with "penalty" or "hamming" of two bits, which are
        defined between codes only.

    Notes
    -----
    With q(x) the codes, m and K their mean and covariance, C = Cov(q, x), the
    moments of similarity and score over independent pairs are sums over m, K, C,
    mean and covariance. For step functions of normal variables these are Hermite
    series in the correlations (the arcsine law for one bit at the median), exact
    for "inner_product" and for one bit at 0 under "cosine". A magnitude threshold
    that is the row's own mean deviation, and thresholds other than 0 under
    "cosine", which move with the length of the unscaled row, are treated to first
    order in 1 / effective dimension. Derived for this project, see the theory
    chapter of the documentation.

    Spearman's correlation has no closed form unless similarities are normal. It is
    Pearson's carried over by the similarities of pairs (see
    :func:`spearman_from_pearson`), plus what that misses on 1,000 rows which are drawn
    from the law and coded; its standard error is below 0.005.

    ``rotation="haar"`` averages the prediction for rotations drawn with a fixed
    seed, fewer in higher dimension, where one rotation is like another; products
    of random signs and cosine transforms take the place of Haar rotations above
    1,024 coordinates.

    The prediction is one for normal vectors. On data far from that (see
    ``gaussian_pass_rate_`` of :class:`skbq.HeterogeneityProfiler`) it can be off by
    any amount; a correlation above 1 in absolute value, which an indefinite
    ``covariance`` can lead to, is returned as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer, TwoBitQuantizer
    >>> from skbq.theory import predict_fidelity
    >>> d = 256
    >>> one = predict_fidelity(BinaryQuantizer(), np.zeros(d), np.eye(d))
    >>> round(one.pearson, 4), round(2 / np.pi, 4)
    (0.6366, 0.6366)
    >>> two = predict_fidelity(TwoBitQuantizer(), np.zeros(d), np.eye(d))
    >>> round(two.pearson, 2)
    0.87
    """
    mean, covariance = check_moments(mean, covariance)
    check_choice(query, "query", _QUERIES)
    check_choice(metric, "metric", _METRICS)
    check_choice(code_metric, "code_metric", _CODE_METRICS)
    turned = _rotated(mean, covariance, rotation)
    results = [
        closed_sums(quantizer, mu, sigma, query, code_metric, metric, centred)
        for mu, sigma in turned
    ]
    # One rotation is enough to see how scores bend.
    mu, sigma = turned[0]
    drawn = CodedRows(draw_rows(mu, sigma, metric, PAIR_ROWS), centred)
    powers = drawn.powers(quantizer, query, metric)
    pairs = similarity_pairs(drawn.rows, metric, centred, powers)
    bend = drawn.bend(quantizer, query, code_metric, pairs)
    if sample is not None:
        pairs = similarity_pairs(sample_rows(sample, mean), metric, centred, powers)
    return summarise(results, pairs, bend)


def closed_sums(
    quantizer: Any,
    mean: np.ndarray,
    covariance: np.ndarray,
    query: str,
    code_metric: str,
    metric: str,
    centred: bool = False,
) -> Sums:
    """Moments of similarity and score of pairs of rows of N(mean, covariance)."""
    law = Normal.of(mean, covariance)
    if not law.scale.any():
        return Sums()  # nothing varies, and nothing is ranked
    if metric == "inner_product":
        return _product_sums(quantizer, law, query, code_metric, centred)
    quantizer, law = _without_constants(quantizer, law)
    return _cosine_sums(quantizer, law, query, code_metric, centred)


def isotropic_fidelity(quantizer: Any) -> float:
    """Correlation of a code with a standard normal coordinate, squared: eta.

    eta = c_1^2 / Var q, with c_1 = E x q(x): the fidelity of coded queries on
    isotropic vectors of high dimension, and the constant of
    :func:`rotated_fidelity`.

    Parameters
    ----------
    quantizer : object with ``step_function``
        A quantizer, fitted or not.

    Returns
    -------
    float
        2 / pi for one bit at the median.

    Examples
    --------
    >>> from skbq import BinaryQuantizer, TwoBitQuantizer
    >>> from skbq.theory import isotropic_fidelity
    >>> round(isotropic_fidelity(BinaryQuantizer()), 4)
    0.6366
    >>> round(isotropic_fidelity(TwoBitQuantizer(levels="lloyd_max")), 4)
    0.8825
    """
    zero, one = np.zeros(1), np.ones(1)
    thresholds, levels = code_steps(quantizer, zero, one)
    law = Normal.of(zero, np.ones((1, 1)))
    model = CodeModel(law, Thresholds.constant(thresholds), [levels])
    variance = model.covariance_rows(slice(0, 1))[0, 0][0, 0]
    return float(model.features[0].slope[0] ** 2 / variance)


def _product_sums(
    quantizer: Any, law: Normal, query: str, code_metric: str, centred: bool
) -> Sums:
    steps, levels = code_steps(quantizer, law.mean, law.scale)
    features, weights = score_features(levels, query, code_metric)
    if set_by_row(quantizer, levels):
        centre = steps[:, 1]
        statistic = mean_deviation(law, centre, row_factor(steps, law.mean, law.scale))
        thresholds = Thresholds(
            np.repeat(centre[:, None], 3, axis=1),
            np.broadcast_to(_SIDES[None, :, None], (len(centre), 3, 1)),
            [statistic],
            np.array([[statistic.variance]]),
        )
    else:
        thresholds = Thresholds.constant(steps)
    model = CodeModel(law, thresholds, features)
    crosses = [normal_cross(model, feature) for feature in model.features]
    vectors = VectorMoments(law.mean, law.covariance)
    return _sums(model, weights, vectors, crosses, query, centred)


@dataclass(frozen=True)
class _Part:
    """A quantizer seen from some of its coordinates."""

    quantizer: Any
    part: np.ndarray
    mean: np.ndarray

    @property
    def magnitude(self) -> Any:
        return getattr(self.quantizer, "magnitude", None)

    def step_function(self, mean: Any, scale: Any) -> tuple[np.ndarray, np.ndarray]:
        all_means, all_scales = self.mean.copy(), np.zeros(len(self.mean))
        all_means[self.part], all_scales[self.part] = mean, scale
        thresholds, levels = self.quantizer.step_function(all_means, all_scales)
        return np.asarray(thresholds)[self.part], levels


def _without_constants(quantizer: Any, law: Normal) -> tuple[Any, Normal]:
    """Leave out coordinates that never vary, whose codes rank nothing.

    Scaled to unit length a constant varies a little, by the length of its row: as
    rounding noise, in which correlations with other coordinates mean nothing.
    """
    floor = 1e-5 * np.sqrt(np.mean(law.scale**2))
    live = law.scale > floor
    if live.all():
        return quantizer, law
    covariance = law.covariance[np.ix_(live, live)]
    part = _Part(quantizer, np.flatnonzero(live), law.mean)
    return part, Normal.of(law.mean[live], covariance)


def _cosine_sums(
    quantizer: Any, law: Normal, query: str, code_metric: str, centred: bool
) -> Sums:
    rows = UnitRows(law)
    scale = np.sqrt(np.maximum(rows.covariance.diagonal(), 0.0))
    steps, levels = code_steps(quantizer, rows.mean, scale)
    features, weights = score_features(levels, query, code_metric)
    factor = (
        row_factor(steps, rows.mean, scale) if set_by_row(quantizer, levels) else 0.0
    )
    thresholds, excess, drift = rows.thresholds(steps, factor)
    model = CodeModel(law, thresholds, features)
    vectors = VectorMoments(rows.mean, rows.covariance)
    crosses = [
        unit_cross(model, feature, rows.tilts, vectors, excess, drift)
        for feature in model.features
    ]
    return _sums(model, weights, vectors, crosses, query, centred)


def _sums(
    model: CodeModel,
    weights: list[float],
    vectors: VectorMoments,
    crosses: list[np.ndarray],
    query: str,
    centred: bool,
) -> Sums:
    if centred:
        vectors = replace(vectors, mean=np.zeros_like(vectors.mean))
    return fidelity_sums(model, weights, vectors, crosses, query)


def _rotated(mean: np.ndarray, covariance: np.ndarray, rotation: Any) -> Any:
    if rotation is None:
        return [(mean, covariance)]
    if isinstance(rotation, str):
        check_choice(rotation, "rotation", ("haar",))
        return haar_covariances(mean, covariance)
    matrix = check_rotation(rotation, len(mean))
    return [(mean @ matrix, matrix.T @ covariance @ matrix)]
