"""Predicted fidelity of a quantizer on normal vectors, scaled to unit length or not.

``closed_sums`` is called by :class:`RowModel`; :func:`predict_fidelity` itself by
nothing of skbq, :func:`isotropic_fidelity` neither. Equations are those of the theory
chapter of the documentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..._utils.deprecation import UNUSED, renamed_parameter
from ..._utils.params import check_bool, check_option
from ..._utils.typing import StepQuantizer
from .._normal import Normal
from .._options import CODE_METRICS, METRICS, QUERIES
from .._quantizer_steps import quantizer_steps
from .._validation import check_moments
from .code_moments import CodeModel, Thresholds
from .quantizer_model import ScoreFeatures, score_features
from .rotated_moments import check_rotation, haar_covariances
from .row_statistics import mean_deviation
from .score_moments import (
    Fidelity,
    Sums,
    VectorMoments,
    fidelity_sums,
    mean_fidelity,
    normal_cross,
    unit_cross,
)
from .simulation import NEARLY_CONSTANT, PAIR_ROWS, CodedRows, draw_rows
from .spearman import sample_rows, similarity_pairs
from .unit_vectors import UnitVectors

# The three thresholds of two bits: below, at and above the center.
_SIDES = np.array([-1.0, 0.0, 1.0])


def predict_fidelity(
    quantizer: StepQuantizer,
    mean: ArrayLike,
    covariance: ArrayLike,
    *,
    query: str = "codes",
    code_metric: str = "auto",
    metric: str = "inner_product",
    rotation: ArrayLike | str | None = None,
    centered: bool = False,
    sample: ArrayLike | None = None,
    centred: bool | str = UNUSED,
) -> Fidelity:
    """Predict how well codes of normal vectors rank, without encoding anything.

    Parameters
    ----------
    quantizer : object with ``step_function``
        :class:`skbq.BinaryQuantizer` or :class:`skbq.TwoBitQuantizer`, fitted or
        not: its parameters are used, its thresholds are those it would learn from
        these vectors.
    mean : array-like of shape (d,)
        Mean of the vectors.
    covariance : array-like of shape (d, d)
        Covariance of the vectors; a coordinate of variance 0 is a constant.
    query : {"codes", "vectors"}, default="codes"
        "codes" is symmetric search: the query is encoded too. "vectors" is asymmetric
        search: the query stays in floating point, and the score is sum_i x_i q_i(y),
        without correction.
    code_metric : {"auto", "hamming", "penalty", "dot"}, default="auto"
        Distance between two codes; "auto" is "hamming" for one bit, "dot" for two.
    metric : {"inner_product", "cosine"}, default="inner_product"
        The true similarity. Under "cosine" rows are normal vectors scaled to unit
        length before the quantizer sees them (the projected normal): for the moments
        of unit-norm vectors see :func:`fit_projected_normal`.
    rotation : array-like of shape (d, d), "haar" or None, default=None
        Orthogonal matrix R that turns rows x into x R before the quantizer; or
        "haar" for the mean over random rotations.
    centered : bool, default=False
        Take the similarity of rows less their mean (after scaling, under
        "cosine"), in asymmetric search too.
    sample : array-like of shape (n, d), default=None
        Rows (some hundreds do) whose similarities are used in the step from Pearson
        to Spearman in place of those of the model: real data have more pairs that are
        much alike.
    centred : bool
        Old name of ``centered``.

    Returns
    -------
    Fidelity
        Object with ``pearson`` and ``spearman``.

    Raises
    ------
    TypeError
        If an option is not a string.
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
    "cosine", which move with the norm of the unscaled row, are treated to first
    order in 1 / effective dimension. The theory chapter of the documentation derives
    all of it: pages 1 to 4.

    Spearman's correlation has no closed form unless similarities are normal. It is
    Pearson's carried over by the similarities of pairs (see
    :func:`spearman_from_pearson`), plus what that misses on 1,000 rows which are drawn
    from the model and coded; its standard error is below 0.005.

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
    owner = "predict_fidelity"
    mean, covariance = check_moments(mean, covariance)
    check_option(query, "query", owner, QUERIES)
    check_option(metric, "metric", owner, METRICS)
    check_option(code_metric, "code_metric", owner, CODE_METRICS)
    centered = renamed_parameter(centered, centred, "centered", "centred", owner)
    check_bool(centered, "centered", "predict_fidelity")
    rotated = _rotated(mean, covariance, rotation)
    results = [
        closed_sums(quantizer, normal, query, code_metric, metric, centered)
        for normal in rotated
    ]
    # One rotation is enough to see how far scores are from linear.
    drawn = CodedRows(draw_rows(rotated[0], metric, PAIR_ROWS), centered)
    powers = drawn.powers(quantizer, query, metric)
    pairs = similarity_pairs(drawn.rows, metric, centered, powers)
    nonlinearity = drawn.nonlinearity(quantizer, query, code_metric, pairs)
    if sample is not None:
        pairs = similarity_pairs(sample_rows(sample, mean), metric, centered, powers)
    return mean_fidelity(results, pairs, nonlinearity)


def closed_sums(
    quantizer: StepQuantizer,
    normal: Normal,
    query: str,
    code_metric: str,
    metric: str,
    centered: bool = False,
) -> Sums:
    """Moments of similarity and score of pairs of normal rows, in closed form."""
    if not normal.scale.any():
        return Sums()  # nothing varies, and nothing is ranked
    if metric == "inner_product":
        return _product_sums(quantizer, normal, query, code_metric, centered)
    quantizer, normal = _without_constants(quantizer, normal)
    return _cosine_sums(quantizer, normal, query, code_metric, centered)


def isotropic_fidelity(quantizer: StepQuantizer) -> float:
    """Correlation of a code with a standard normal coordinate, squared: eta.

    eta = c_1^2 / Var q, with c_1 = E x q(x): the fidelity of symmetric search on
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
    standard = Normal.of(np.zeros(1), np.ones((1, 1)))
    steps = quantizer_steps(quantizer, standard.mean, standard.scale)
    model = CodeModel(standard, Thresholds.constant(steps.thresholds), [steps.levels])
    variance = model.covariance_rows(slice(0, 1))[0, 0][0, 0]
    return float(model.features[0].slope[0] ** 2 / variance)


def _product_sums(
    quantizer: StepQuantizer,
    normal: Normal,
    query: str,
    code_metric: str,
    centered: bool,
) -> Sums:
    steps = quantizer_steps(quantizer, normal.mean, normal.scale)
    features = score_features(steps.levels, query, code_metric)
    if steps.by_row:
        center = steps.center
        factor = steps.row_factor(normal.mean, normal.scale)
        statistic = mean_deviation(normal, center, factor)
        thresholds = Thresholds(
            np.repeat(center[:, None], 3, axis=1),
            np.broadcast_to(_SIDES[None, :, None], (len(center), 3, 1)),
            [statistic],
            np.array([[statistic.variance]]),
        )
    else:
        thresholds = Thresholds.constant(steps.thresholds)
    model = CodeModel(normal, thresholds, features.levels)
    crosses = [normal_cross(model, feature) for feature in model.features]
    vectors = VectorMoments(normal.mean, normal.covariance)
    return _sums(model, features, vectors, crosses, query, centered)


@dataclass(frozen=True)
class _PartQuantizer:
    """A quantizer seen from some of its coordinates."""

    quantizer: StepQuantizer
    part: np.ndarray
    mean: np.ndarray

    @property
    def magnitude(self) -> str | None:
        return getattr(self.quantizer, "magnitude", None)

    def step_function(
        self, mean: ArrayLike, scale: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        all_means, all_scales = self.mean.copy(), np.zeros(len(self.mean))
        all_means[self.part], all_scales[self.part] = mean, scale
        thresholds, levels = self.quantizer.step_function(all_means, all_scales)
        return np.asarray(thresholds)[self.part], levels


def _without_constants(
    quantizer: StepQuantizer, normal: Normal
) -> tuple[StepQuantizer, Normal]:
    """Leave out coordinates that never vary, whose codes rank nothing.

    Scaled to unit length a constant varies a little, by the norm of its row: as
    rounding noise, in which correlations with other coordinates mean nothing.
    """
    floor = NEARLY_CONSTANT * np.sqrt(np.mean(normal.scale**2))
    live = normal.scale > floor
    if live.all():
        return quantizer, normal
    covariance = normal.covariance[np.ix_(live, live)]
    part = _PartQuantizer(quantizer, np.flatnonzero(live), normal.mean)
    return part, Normal.of(normal.mean[live], covariance)


def _cosine_sums(
    quantizer: StepQuantizer,
    normal: Normal,
    query: str,
    code_metric: str,
    centered: bool,
) -> Sums:
    unit = UnitVectors(normal)
    scale = np.sqrt(np.maximum(unit.covariance.diagonal(), 0.0))
    steps = quantizer_steps(quantizer, unit.mean, scale)
    features = score_features(steps.levels, query, code_metric)
    factor = steps.row_factor(unit.mean, scale) if steps.by_row else 0.0
    thresholds, excess, drift = unit.threshold_model(steps.thresholds, factor)
    model = CodeModel(normal, thresholds, features.levels)
    vectors = VectorMoments(unit.mean, unit.covariance)
    crosses = [
        unit_cross(model, feature, unit.tilts, vectors, excess, drift)
        for feature in model.features
    ]
    return _sums(model, features, vectors, crosses, query, centered)


def _sums(
    model: CodeModel,
    features: ScoreFeatures,
    vectors: VectorMoments,
    crosses: list[np.ndarray],
    query: str,
    centered: bool,
) -> Sums:
    if centered:
        vectors = replace(vectors, mean=np.zeros_like(vectors.mean))
    return fidelity_sums(model, features.weights, vectors, crosses, query)


def _rotated(
    mean: np.ndarray, covariance: np.ndarray, rotation: ArrayLike | str | None
) -> Sequence[Normal]:
    if rotation is None:
        return [Normal.of(mean, covariance)]
    if isinstance(rotation, str):
        also = "None or an orthogonal matrix"
        check_option(rotation, "rotation", "predict_fidelity", ["haar"], also)
        return haar_covariances(mean, covariance)
    matrix = check_rotation(rotation, len(mean))
    return [Normal.of(mean @ matrix, matrix.T @ covariance @ matrix)]
