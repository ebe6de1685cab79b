r"""Scores of near neighbors under the normal model: nothing built, nothing measured.

A pair (x, y) at cosine c is modeled as two draws of N(mean, Sigma) with
cross-covariance c Sigma: y = c x + sqrt(1 - c^2) e about the mean, e independent of x
and both N(0, Sigma). Every score is then a Hermite expansion in (x, e). What ranks rows
is the score *given* the realized cosine, so what the cosine explains is taken out.

For readers: nothing of skbq calls it. ``c``, ``rest`` and the names of moments are
those of page 5 of the theory chapter of the documentation, where the equations are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ..._utils.params import as_real_array, check_int, check_option
from ..._utils.typing import StepQuantizer
from .._normal import MEAN_ABSOLUTE, normal_density
from .._quantizer_steps import quantizer_steps
from .._step_functions import (
    hermite_coefficients,
    joint_density,
    orthant_covariance,
    step_mean,
)
from .._validation import check_cosine, check_moments

# Moments are computed at 33 angles arcsin(c), over which mean and standard deviation
# are smooth, and interpolated linearly: within 0.1 % of the range of the mean, and
# 0.4 % of the largest standard deviation.
_N_COSINES = 33
# At a cosine of 1 densities are infinite. 0.9995 is an angle of 2 degrees.
_LARGEST_COSINE = 0.9995
# Orders of the code's series in the correlations: the squared coefficients beyond hold
# 15 % of a sign's variance, and are multiplied by rho^13.
_N_TERMS = 12
# Grid of a standard normal for the one expectation without a closed form: steps of
# 1/30, over which a step of the code moves by 1/60 at most.
_NORMAL_GRID = np.linspace(-7.0, 7.0, 421)
# Coordinates whose thresholds agree to this many digits share that expectation.
_DIGITS = 2
# A scale below this share of the largest is that of a constant.
_NEARLY_CONSTANT = 1e-9


@dataclass(frozen=True)
class ScoreGivenCosine:
    """Distribution of a score given the cosine of its pair, both about the mean.

    Attributes
    ----------
    mean, variance : ndarray
        Of the score, for each cosine asked for. In symmetric search the variance is
        that among the rows of one query: what a query's own code adds to all rows of
        a cosine alike does not reorder them.
    """

    mean: np.ndarray
    variance: np.ndarray


def score_given_cosine(
    quantizer: StepQuantizer,
    mean: ArrayLike,
    covariance: ArrayLike,
    cosine: ArrayLike,
    *,
    query: str = "codes",
) -> ScoreGivenCosine:
    r"""Mean and variance of a pair's score given its cosine, from the model alone.

    Parameters
    ----------
    quantizer : object with ``step_function``
        Offers ``step_function(mean, scale) -> (thresholds, levels)``. Thresholds at
        the mean are assumed to be what makes the codes good; a magnitude threshold
        per row is recognized by ``quantizer.magnitude == "row"``.
    mean : array-like of shape (n_features,)
        Mean of the vectors.
    covariance : array-like of shape (n_features, n_features)
        Their covariance.
    cosine : array-like
        Cosines of pairs of vectors, taken about the mean, any shape.
    query : {"codes", "vectors", "corrected"}, default="codes"
        ``"codes"``: symmetric search, the score is the product of the two codes, summed
        over coordinates. ``"vectors"``: asymmetric search, the centered query times the
        code of the row, as it is, for queries and rows of typical norm.
        ``"corrected"``: that, divided by the row's product with its own code, an
        unbiased estimate of the cosine.

    Returns
    -------
    ScoreGivenCosine
        ``mean`` and ``variance``, of the shape of ``cosine``.

    Raises
    ------
    TypeError
        If ``query`` is not a string.
    ValueError
        If a shape does not fit, ``query`` is unknown or every coordinate is constant.

    Notes
    -----
    With T = trace(Sigma), K the covariance of the codes, D = diag(c_1 / sigma) their
    regression on the vectors and G = trace(D Sigma), the corrected asymmetric score has

    .. math:: \operatorname{Var}(\hat c \mid c) = \frac{1 - c^2}{G^2}
       \left(\operatorname{tr}(\Sigma K)
       - \frac{\operatorname{tr}(\Sigma D \Sigma)^2}{\operatorname{tr}\Sigma^2}\right).

    Terms of fourth order in the correlations are left out. The distribution is that of
    normal vectors: trust it where the coordinates pass a normality check. Page 5 of
    the theory chapter of the documentation derives it.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> from skbq.theory import score_given_cosine
    >>> moments = np.zeros(64), np.eye(64)
    >>> scores = score_given_cosine(BinaryQuantizer(), *moments, [0.0, 0.5, 0.9])
    >>> scores.mean.round(1)
    array([ 0. , 21.3, 45.6])
    """
    mean, covariance = check_moments(mean, covariance)
    cosine = check_cosine(cosine)
    check_option(query, "query", "score_given_cosine", list(_MODELS))
    pair = _PairModel.of(quantizer, mean, covariance)
    largest = np.arcsin(_LARGEST_COSINE)
    angles = np.linspace(-largest, largest, _N_COSINES)
    moments_at = _MODELS[query](pair)
    moments = [moments_at(float(np.sin(angle))) for angle in angles]
    means, variances = np.array(moments).T
    angle = np.arcsin(np.clip(cosine, -_LARGEST_COSINE, _LARGEST_COSINE))
    scale = np.interp(angle, angles, np.sqrt(np.maximum(variances, 0.0)))
    return ScoreGivenCosine(np.interp(angle, angles, means), scale**2)


def model_scores(
    quantizer: StepQuantizer,
    mean: ArrayLike,
    covariance: ArrayLike,
    cosines: ArrayLike,
    *,
    query: str = "codes",
    similarities: ArrayLike | None = None,
    scales: ArrayLike = 1.0,
    random_state: int = 0,
) -> np.ndarray:
    """Draw the scores that the normal model expects for given similarities.

    Together with `predict_recall` this predicts recall before anything is encoded:
    ``predict_recall(similarities, model_scores(...))``.

    Parameters
    ----------
    quantizer, mean, covariance
        As in `score_given_cosine`.
    cosines : array-like of shape (n_queries, n_rows)
        Cosines of held-out queries and rows, taken about the mean.
    query : {"codes", "corrected"}, default="codes"
        Symmetric search, or asymmetric search by the corrected estimate of the true
        similarity.
    similarities : array-like of shape (n_queries, n_rows), default=None
        The similarities that the corrected estimate aims at. None: ``cosines``.
    scales : array-like that broadcasts to (n_queries, n_rows), default=1.0
        Norms about the mean of query times row: the size of one unit of cosine in
        ``similarities``.
    random_state : int, default=0
        Seed of the noise.

    Returns
    -------
    scores : ndarray of shape (n_queries, n_rows)
        Independent normal draws, with the mean and variance of `score_given_cosine`.

    Raises
    ------
    TypeError, ValueError
        As `score_given_cosine`, and for a query that is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> from skbq.theory import model_scores, predict_recall
    >>> rng = np.random.default_rng(0)
    >>> cosines = 0.1 * rng.normal(size=(50, 1000)).clip(-5, 5)
    >>> known = BinaryQuantizer(), np.zeros(96), np.eye(96), cosines
    >>> symmetric, asymmetric = (
    ...     predict_recall(cosines, model_scores(*known, query=query)).recall[0]
    ...     for query in ("codes", "corrected")
    ... )
    >>> bool(asymmetric > symmetric)
    True
    """
    check_option(query, "query", "model_scores", ["codes", "corrected"])
    check_int(random_state, "random_state", "model_scores", low=0)
    cosines = check_cosine(cosines)
    sizes = as_real_array(scales, "scales")
    aim = cosines
    if similarities is not None:
        aim = as_real_array(similarities, "similarities")
    for values, name in ((aim, "similarities"), (sizes, "scales")):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite: NaN or infinity is none.")
    scores = score_given_cosine(quantizer, mean, covariance, cosines, query=query)
    # A stream of its own: data are often generated from the same small seeds.
    noise = np.random.default_rng([random_state, 1]).standard_normal(cosines.shape)
    noise *= np.sqrt(scores.variance)
    if query == "codes":
        return scores.mean + noise
    return aim + sizes * noise


class _Moments(NamedTuple):
    """Mean and variance of a score given the cosine."""

    mean: float
    variance: float


@dataclass(frozen=True)
class _PairModel:
    """Pairs of normal vectors, and step functions of their standardized coordinates.

    ``z`` (d, t) standardized thresholds, ``scale`` (d,), without constant coordinates;
    ``squared`` (d, d) squared correlations.
    """

    z: np.ndarray
    levels: np.ndarray
    by_row: bool
    scale: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(
        cls, quantizer: StepQuantizer, mean: np.ndarray, covariance: np.ndarray
    ) -> "_PairModel":
        scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        live = scale > _NEARLY_CONSTANT * scale.max(initial=0.0)
        if not live.any():
            raise ValueError("Every coordinate is constant: there is nothing to rank.")
        steps = quantizer_steps(quantizer, mean, scale)
        z = (steps.thresholds - mean[:, None])[live] / scale[live, None]
        inside = covariance[np.ix_(live, live)]
        return cls(z, steps.levels, steps.by_row, scale[live], inside)

    @property
    def jumps(self) -> np.ndarray:
        return np.diff(self.levels)

    @property
    def density(self) -> np.ndarray:
        return normal_density(self.z)

    @property
    def correlation(self) -> np.ndarray:
        return self.covariance / np.outer(self.scale, self.scale)

    @property
    def square(self) -> float:
        """Tr Sigma^2."""
        return float((self.covariance**2).sum())

    def given(self, at: np.ndarray, c: float) -> np.ndarray:
        """E(q(y) | x = at) in every coordinate, (d, m)."""
        away = (self.z[:, None, :] - c * at[..., None]) / np.sqrt(1 - c * c)
        return self.levels[0] + ndtr(-away) @ self.jumps

    def given_slope(self, c: float) -> np.ndarray:
        """Differentiate E(q(y) | x = t) by t at the thresholds, (d, t)."""
        rest = np.sqrt(1 - c * c)
        away = (self.z[:, None, :] - c * self.z[..., None]) / rest
        return normal_density(away) @ self.jumps * c / rest

    def row_pull(self, other: np.ndarray) -> np.ndarray:
        """Response of the score to one standardized abs(y_j), (d,): eq. (5.9).

        It acts through the row's threshold. ``other`` (d, t) is what the other side of
        the pair is expected to be where the row's coordinate is at the threshold.
        """
        moved = self.density * other * self.jumps / self.scale[:, None]
        return (moved[:, 0] - moved[:, -1]).sum() * self.scale / len(self.scale)


def _symmetric(pair: _PairModel) -> Callable[[float], _Moments]:
    """Mean, and variance within a query, of the product of two codes."""
    z, jumps, density = pair.z, pair.jumps, pair.density
    h, k = z[:, :, None], z[:, None, :]
    squared = pair.correlation**2
    energy = squared @ pair.scale**2

    def at(c: float) -> _Moments:
        rest = np.sqrt(1 - c * c)
        joint = orthant_covariance(h, k, c)
        mean = _product_mean(pair, pair.levels, joint)  # eq. (5.3)
        other = pair.given(z, c)
        first = np.einsum("djk,j,k->d", joint_density(h, k, c), jumps, jumps)
        # eq. (5.5), (5.6): E q'(x) q'(y) and E q(x) q''(y).
        second = ((z * other - pair.given_slope(c)) * density) @ jumps
        mixed, noise = rest * (first + c * second), rest**2 * second / np.sqrt(2)
        pull = pair.row_pull(other) if pair.by_row else np.zeros_like(pair.scale)
        # eq. (5.10): what the row's threshold adds to both.
        mixed = mixed + pull * c * rest * MEAN_ABSOLUTE
        noise = noise + pull * rest**2 / np.sqrt(np.pi)
        # eq. (5.7): coordinates alone, then what their correlations add.
        own = _product_mean(pair, pair.levels**2, joint) + pull**2
        variance = (own + _within(pair, pull, c)).sum()
        variance += mixed @ squared @ mixed - mixed @ mixed
        variance += noise @ squared @ noise - noise @ noise
        # eq. (5.8): what the realized cosine explains.
        with_cosine = (rest * mixed - c / np.sqrt(2) * noise) @ energy
        explained = with_cosine**2 / (pair.square * (c * c / 2 + rest**2))
        return _Moments(mean.sum(), variance - explained)

    return at


def _product_mean(
    pair: _PairModel, levels: np.ndarray, joint: np.ndarray
) -> np.ndarray:
    """E q(x) q(y) for every coordinate, from the covariances of its steps: (5.3)."""
    jumps = np.diff(levels)
    return step_mean(pair.z, levels) ** 2 + np.einsum("djk,j,k->d", joint, jumps, jumps)


def _within(pair: _PairModel, pull: np.ndarray, c: float) -> np.ndarray:
    """Second moment of q(x) q(y) + pull abs(y) around its mean given x: eq. (5.11).

    Without the terms E[q(x)^2 q(y)^2] and pull^2, which have closed forms. On a grid
    of x, once for all coordinates whose thresholds agree to 0.01.
    """
    kinds, which = np.unique(pair.z.round(_DIGITS), axis=0, return_inverse=True)
    kind = _PairModel(kinds, pair.levels, pair.by_row, np.ones(len(kinds)), np.eye(0))
    x, rest = _NORMAL_GRID, np.sqrt(1 - c * c)
    weight = normal_density(x) * (x[1] - x[0])
    code = kind.levels[0] + (x[:, None] > kinds[:, None, :]) @ kind.jumps
    given = code * kind.given(np.broadcast_to(x, code.shape), c)
    within = -(given**2) @ weight
    if not pair.by_row:
        return within[which.ravel()]
    away = c * x / rest
    size = 2 * rest * normal_density(away) + c * x * (2 * ndtr(away) - 1)  # E abs(y)
    # E[q(x) q(y) abs(y)] is E[q(x) q(y) abs(x)].
    joint = given @ (weight * (np.abs(x) - size))
    return within[which.ravel()] + pull * (
        2 * joint[which.ravel()] - pull * (size**2 @ weight)
    )


class _AsymmetricMoments(NamedTuple):
    """Moments of a row's code with the row and with an independent vector e.

    ``gain`` G = E y'q(y) and ``noise`` tr(Sigma K) = Var e'q(y): eq. (5.13). ``along``
    tr(Sigma D Sigma), the covariance of e'q(y) and e'y: eq. (5.14). ``own_with_square``
    Cov(y'q, y'y) and ``own_variance`` Var y'q: eq. (5.15).
    """

    gain: float
    noise: float
    along: float
    own_with_square: float
    own_variance: float


def _asymmetric_moments(pair: _PairModel) -> _AsymmetricMoments:
    scale, covariance, correlation = pair.scale, pair.covariance, pair.correlation
    coefficients = hermite_coefficients(pair.z, pair.levels, _N_TERMS)
    variance = step_mean(pair.z, pair.levels**2) - step_mean(pair.z, pair.levels) ** 2
    noise, power = variance @ scale**2, np.ones_like(correlation)
    for c_n in coefficients:
        power = power * correlation
        noise += c_n @ (covariance * power) @ c_n - (c_n**2) @ scale**2
    along = (coefficients[0] / scale) @ (covariance**2).sum(axis=1)
    # Second Hermite coefficient, and variance, of z q(z).
    second = np.sqrt(3) * coefficients[2] + np.sqrt(2) * coefficients[0]
    own_variance = (_square_moment(pair) - coefficients[0] ** 2) @ scale**2
    own = second * scale
    if pair.by_row:
        pull = pair.row_pull(scale[:, None] * pair.z)
        own = own + pull / np.sqrt(np.pi)
        joint = _signed_square_moment(pair) - coefficients[0] * MEAN_ABSOLUTE
        own_variance += 2 * (pull * scale) @ joint
        own_variance += (1 - MEAN_ABSOLUTE**2) * pull @ pull
    squared = correlation**2
    own_variance += own @ squared @ own - own @ own
    own_with_square = np.sqrt(2) * own @ squared @ scale**2
    return _AsymmetricMoments(
        gain=float(coefficients[0] @ scale),
        noise=float(noise),
        along=float(along),
        own_with_square=float(own_with_square),
        own_variance=float(own_variance),
    )


def _square_moment(pair: _PairModel) -> np.ndarray:
    """E[z^2 q(z)^2] for every coordinate."""
    upper = ndtr(-pair.z) + pair.z * pair.density
    return pair.levels[0] ** 2 + upper @ np.diff(pair.levels**2)


def _signed_square_moment(pair: _PairModel) -> np.ndarray:
    """E[z abs(z) q(z)] for every coordinate."""
    upper = ndtr(-np.abs(pair.z)) + np.abs(pair.z) * pair.density
    return upper @ pair.jumps


def _asymmetric(pair: _PairModel) -> Callable[[float], _Moments]:
    """Mean and variance of the centered query times the row's code: (5.12), (5.16)."""
    m = _asymmetric_moments(pair)

    def at(c: float) -> _Moments:
        rest = 1 - c * c
        variance = c * c * m.own_variance + rest * m.noise
        with_cosine = c * c * m.own_with_square / 2 + rest * m.along
        return _Moments(c * m.gain, variance - with_cosine**2 / pair.square)

    return at


def _corrected(pair: _PairModel) -> Callable[[float], _Moments]:
    """Mean and variance of the corrected estimate of the cosine: eq. (5.17)."""
    m = _asymmetric_moments(pair)
    size, total = np.sqrt(pair.square), (pair.scale**2).sum()
    free = (m.noise - m.along**2 / pair.square) / m.gain**2
    # What the query's own length and the row's code share: 0 for equal variances.
    shared = float(m.along / (m.gain * size) - size / total) ** 2
    return lambda c: _Moments(c, (1 - c * c) * (free + c * c * shared))


_MODELS: dict[str, Callable[[_PairModel], Callable[[float], _Moments]]] = {
    "codes": _symmetric,
    "vectors": _asymmetric,
    "corrected": _corrected,
}
