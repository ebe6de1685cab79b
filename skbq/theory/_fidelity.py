"""Predicted fidelity of a quantizer on normal vectors, scaled to unit length or not."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._codes import CodeModel, Thresholds, normal_density, standardised
from ._inputs import check_choice, check_moments
from ._moments import Sums, VectorMoments, fidelity_sums, normal_cross, unit_cross
from ._rotations import haar_covariances
from ._rows import Normal, mean_absolute, mean_deviation
from ._spearman import (
    sample_rows,
    similarity_pairs,
    spearman_from_pearson,
)
from ._sphere import UnitRows

_METRICS = ("inner_product", "cosine")
_QUERIES = ("codes", "vectors")
_CODE_METRICS = ("auto", "hamming", "penalty", "dot")
_SIDES = np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True)
class Fidelity:
    """Predicted correlation of score and true similarity over random pairs.

    Attributes
    ----------
    pearson : float
        Pearson correlation; nan where score or similarity is constant.
    spearman : float
        Spearman correlation: ``spearman_normal``, or, if a ``sample`` is given, that
        for similarities distributed as in the sample.
    spearman_normal : float
        Spearman correlation if score and similarity were bivariate normal:
        (6 / pi) arcsin(pearson / 2).
    rotation_spread : float
        Standard deviation of ``pearson`` over the rotations drawn; 0 if none.
    """

    pearson: float
    spearman: float
    spearman_normal: float
    rotation_spread: float = 0.0


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
        to Spearman: similarities of real data are seldom normal, and Kruskal's
        formula, the default, is then up to some 0.05 off, or more.

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
    results = []
    for mu, sigma in _rotated(mean, covariance, rotation):
        law = results_law = Normal.of(mu, sigma)
        if metric == "cosine":
            live, varying = _without_constants(quantizer, law)
            results.append(_cosine_sums(live, varying, query, code_metric, centred))
        else:
            results.append(_product_sums(quantizer, law, query, code_metric, centred))
    power = length_power(quantizer, results_law)
    powers = (1.0 if query == "vectors" else power, power)
    return _summary(results, mean, metric, centred, sample, powers)


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


def code_steps(
    quantizer: Any, mean: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    thresholds, levels = quantizer.step_function(mean, scale)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    levels = np.asarray(levels, dtype=np.float64)
    if thresholds.shape != (len(mean), len(levels) - 1) or len(levels) not in (2, 4):
        raise ValueError(
            "step_function must return thresholds of shape (d, t) and levels of "
            f"shape (t + 1,), t = 1 or 3. Got {thresholds.shape} and {levels.shape}."
        )
    return thresholds, levels


def score_features(
    levels: np.ndarray, query: str, code_metric: str
) -> tuple[list[np.ndarray], list[float]]:
    """Features whose weighted products of pairs sum up to the score."""
    two_bits = len(levels) == 4
    if code_metric == "auto":
        code_metric = "dot"  # of one bit: d - 2 hamming
    if query == "vectors":
        if code_metric == "penalty" or (code_metric == "hamming" and two_bits):
            raise ValueError(
                f"code_metric={code_metric!r} compares two codes; with "
                "query='vectors' leave it 'auto'."
            )
        return [levels], [1.0]
    if code_metric == "dot":
        return [levels], [1.0]
    signs = np.sign(np.arange(len(levels)) - (len(levels) - 1) / 2)
    if not two_bits:  # penalty and hamming both count differing signs
        return [signs], [1.0]
    strong = np.array([1.0, -1.0, -1.0, 1.0])
    if code_metric == "hamming":
        return [signs, strong], [1.0, 1.0]
    size = np.array([2.0, 1.0, 1.0, 2.0])
    return [signs * size, size], [0.5, -0.5]


def set_by_row(quantizer: Any, levels: np.ndarray) -> bool:
    return len(levels) == 4 and getattr(quantizer, "magnitude", None) == "row"


def length_power(quantizer: Any, law: Normal) -> float:
    """Elasticity of the code's response to the vector in the vector's length.

    With thresholds z in standard deviations, c_1 = sum of jumps * phi(z) grows with
    the scale like sum of jumps * z^2 phi(z).
    """
    steps, levels = code_steps(quantizer, law.mean, law.scale)
    if len(levels) == 2 or set_by_row(quantizer, levels):
        return 0.0
    z = standardised(steps - law.mean[:, None], law.scale[:, None] + 0.0 * steps)
    flux = normal_density(z) * np.diff(levels)
    bend = np.where(flux > 0, flux * np.where(np.isfinite(z), z, 0.0) ** 2, 0.0)
    return float(min(bend.sum() / flux.sum(), 1.0)) if flux.sum() > 0 else 0.0


def row_factor(thresholds: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> float:
    """Magnitude threshold over the mean absolute deviation, as a factor."""
    centre = thresholds[:, 1]
    around = Normal(mean - centre, np.empty((0, 0)), scale)
    typical = mean_absolute(around).mean()
    half = 0.5 * np.mean(thresholds[:, 2] - thresholds[:, 0])
    return float(half / typical) if typical > 0 else 1.0


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


def _summary(
    results: list[Sums],
    mean: np.ndarray,
    metric: str,
    centred: bool,
    sample: Any,
    powers: tuple[float, float],
) -> Fidelity:
    pearson = np.array([sums.pearson for sums in results])
    typical = float(pearson.mean())
    if not -1.0 <= typical <= 1.0:
        nan = float("nan")
        return Fidelity(typical, nan, nan, float(pearson.std()))
    normal = spearman = spearman_from_pearson(typical)
    if sample is not None:
        # Scaled to unit length, rows hardly differ in length, and codes see them all.
        powers = (1.0, 1.0) if metric == "cosine" else powers
        pairs = similarity_pairs(sample_rows(sample, mean), metric, centred, powers)
        spearman = float(np.mean([sums.spearman(pairs) for sums in results]))
    return Fidelity(typical, spearman, normal, float(pearson.std()))


def _rotated(mean: np.ndarray, covariance: np.ndarray, rotation: Any) -> Any:
    if rotation is None:
        return [(mean, covariance)]
    if isinstance(rotation, str):
        check_choice(rotation, "rotation", ("haar",))
        return haar_covariances(mean, covariance)
    matrix = check_rotation(rotation, len(mean))
    return [(mean @ matrix, matrix.T @ covariance @ matrix)]


def check_rotation(rotation: Any, d: int) -> np.ndarray:
    """Return an orthogonal matrix (d, d) as float64, refusing what is not one."""
    matrix = np.asarray(rotation, dtype=np.float64)
    if matrix.shape != (d, d) or not np.allclose(
        matrix @ matrix.T, np.eye(d), atol=1e-4
    ):
        raise ValueError(
            "rotation must be None, 'haar' or an orthogonal matrix of shape "
            f"{(d, d)}. Got an array of shape {matrix.shape}."
        )
    return matrix
