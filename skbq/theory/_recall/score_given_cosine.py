r"""Scores of near neighbours under the Gaussian model: nothing built, nothing measured.

A pair (x, y) at cosine c is modelled as two draws of N(mean, Sigma) with
cross-covariance c Sigma. With u = (x + y) / sqrt(2 (1 + c)) and
w = (x - y) / sqrt(2 (1 - c)), independent and both N(0, Sigma), everything is a
Hermite expansion in (u, w). What ranks rows is the score *given* the realised cosine,
so its covariance with the cosine is taken out. Derived for this project, see the
theory chapter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

_SQRT_2PI = np.sqrt(2 * np.pi)
_N_COSINES = 33
_LARGEST_COSINE = 0.9995
_ANGLE_NODES = np.polynomial.legendre.leggauss(24)
_N_TERMS = 12
# Grid of a standard normal for the one expectation without a closed form.
_NORMAL_GRID = np.linspace(-7.0, 7.0, 421)
_QUERIES = ("codes", "vectors", "corrected")


@dataclass(frozen=True)
class LocalLaw:
    """Law of a score given the cosine of its pair, both about the mean.

    Attributes
    ----------
    mean, variance : ndarray
        Of the score, for each cosine asked for. With coded queries the variance is
        that among the rows of one query: what a query's own code adds to all rows of
        a cosine alike does not reorder them.
    """

    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class _Steps:
    """Step functions of standardised coordinates: thresholds (d, t), jumps, scales."""

    z: np.ndarray
    levels: np.ndarray
    scale: np.ndarray
    per_row: bool

    @property
    def jumps(self) -> np.ndarray:
        return np.diff(self.levels)

    @property
    def density(self) -> np.ndarray:
        return np.exp(-0.5 * self.z**2) / _SQRT_2PI


def local_law(
    quantizer: Any, mean: Any, covariance: Any, cosine: Any, *, query: str = "codes"
) -> LocalLaw:
    r"""Mean and variance of a pair's score given its cosine, from the model alone.

    Parameters
    ----------
    quantizer : object
        Offers ``step_function(mean, scale) -> (thresholds, levels)``. Thresholds at
        the mean are assumed to be what makes the codes good; a magnitude threshold
        per row is recognised by ``quantizer.magnitude == "row"``.
    mean : array-like of shape (n_features,)
        Mean of the vectors.
    covariance : array-like of shape (n_features, n_features)
        Their covariance.
    cosine : array-like
        Cosines of pairs of vectors, taken about the mean, any shape.
    query : {"codes", "vectors", "corrected"}, default="codes"
        ``"codes"``: the score is the product of the two codes, summed over
        coordinates. ``"vectors"``: the centred query times the code of the row, as it
        is, for queries and rows of typical length. ``"corrected"``: that, divided by
        the row's product with its own code, an unbiased estimate of the cosine.

    Returns
    -------
    LocalLaw
        ``mean`` and ``variance``, of the shape of ``cosine``.

    Raises
    ------
    ValueError
        If a shape does not fit, ``query`` is unknown or every coordinate is constant.

    Notes
    -----
    With T = trace(Sigma), K the covariance of the codes, D = diag(c_1 / sigma) their
    regression on the vectors and G = trace(D Sigma), the float query has

    .. math:: \operatorname{Var}(\hat c \mid c) = \frac{1 - c^2}{G^2}
       \left(\operatorname{tr}(\Sigma K)
       - \frac{\operatorname{tr}(\Sigma D \Sigma)^2}{\operatorname{tr}\Sigma^2}\right)

    when corrected. Terms of fourth order in the correlations are left out. The law
    is that of Gaussian vectors: trust it where the coordinates pass a normality
    check.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> from skbq.theory import local_law
    >>> law = local_law(BinaryQuantizer(), np.zeros(64), np.eye(64), [0.0, 0.5, 0.9])
    >>> law.mean.round(1)
    array([ 0. , 21.3, 45.6])
    """
    mean, covariance = _check_moments(mean, covariance)
    cosine = np.asarray(cosine, dtype=float)
    if query not in _QUERIES:
        raise ValueError(f"query must be one of {_QUERIES}. Got {query!r}.")
    steps, covariance = _steps(quantizer, mean, covariance)
    largest = np.arcsin(_LARGEST_COSINE)
    angles = np.linspace(-largest, largest, _N_COSINES)
    laws = [_LAWS[query](steps, covariance)(np.sin(angle)) for angle in angles]
    means, variances = np.array(laws).T
    angle = np.arcsin(np.clip(cosine, -_LARGEST_COSINE, _LARGEST_COSINE))
    spread = np.interp(angle, angles, np.sqrt(np.maximum(variances, 0.0)))
    return LocalLaw(np.interp(angle, angles, means), spread**2)


def model_scores(
    quantizer: Any,
    mean: Any,
    covariance: Any,
    cosines: Any,
    *,
    query: str = "codes",
    similarities: Any = None,
    scales: Any = 1.0,
    random_state: int = 0,
) -> np.ndarray:
    """Draw the scores that the Gaussian model expects for given similarities.

    Together with `predict_recall` this predicts recall before anything is encoded:
    ``predict_recall(similarities, model_scores(...))``.

    Parameters
    ----------
    quantizer, mean, covariance
        As in `local_law`.
    cosines : array-like of shape (n_queries, n_rows)
        Cosines of held-out queries and rows, taken about the mean.
    query : {"codes", "corrected"}, default="codes"
        Whether the query is encoded too, or its corrected estimate of the true
        similarity is ranked.
    similarities : array-like of shape (n_queries, n_rows), default=None
        The similarities that the corrected estimate aims at. None: ``cosines``.
    scales : array-like that broadcasts to (n_queries, n_rows), default=1.0
        Lengths about the mean of query times row: the size of one unit of cosine in
        ``similarities``.
    random_state : int, default=0
        Seed of the noise.

    Returns
    -------
    scores : ndarray of shape (n_queries, n_rows)
        Independent normal draws, with the mean and variance of the local law.

    Raises
    ------
    ValueError
        As `local_law`, and for a query that is neither of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq import BinaryQuantizer
    >>> from skbq.theory import model_scores, predict_recall
    >>> rng = np.random.default_rng(0)
    >>> cosines = 0.1 * rng.normal(size=(50, 1000)).clip(-5, 5)
    >>> moments = np.zeros(96), np.eye(96)
    >>> coded = model_scores(BinaryQuantizer(), *moments, cosines)
    >>> floats = model_scores(BinaryQuantizer(), *moments, cosines, query="corrected")
    >>> better = predict_recall(cosines, floats).recall
    >>> bool(better[0] > predict_recall(cosines, coded).recall[0])
    True
    """
    if query not in ("codes", "corrected"):
        raise ValueError(f'query must be "codes" or "corrected". Got {query!r}.')
    cosines = np.asarray(cosines, dtype=float)
    law = local_law(quantizer, mean, covariance, cosines, query=query)
    # A stream of its own: data are often generated from the same small seeds.
    noise = np.random.default_rng([random_state, 1]).standard_normal(cosines.shape)
    noise *= np.sqrt(law.variance)
    if query == "codes":
        return law.mean + noise
    aim = cosines if similarities is None else np.asarray(similarities, dtype=float)
    return aim + np.asarray(scales, dtype=float) * noise


def _check_moments(mean: Any, covariance: Any) -> tuple[np.ndarray, np.ndarray]:
    mean = np.asarray(mean, dtype=float)
    covariance = np.asarray(covariance, dtype=float)
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ValueError(
            "mean must have the shape (d,) and covariance (d, d). "
            f"Got {mean.shape} and {covariance.shape}."
        )
    return mean, covariance


def _steps(
    quantizer: Any, mean: np.ndarray, covariance: np.ndarray
) -> tuple[_Steps, np.ndarray]:
    """Standardise the step functions; leave constant coordinates out."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    alive = scale > 1e-9 * max(scale.max(initial=0.0), 1e-300)
    if not alive.any():
        raise ValueError("Every coordinate is constant: there is nothing to rank.")
    thresholds, levels = quantizer.step_function(mean, scale)
    z = (np.asarray(thresholds, dtype=float) - mean[:, None])[alive]
    levels = np.asarray(levels, dtype=float)
    per_row = len(levels) == 4 and getattr(quantizer, "magnitude", None) == "row"
    steps = _Steps(z / scale[alive, None], levels, scale[alive], per_row)
    return steps, covariance[np.ix_(alive, alive)]


def _expected(steps: _Steps, levels: np.ndarray) -> np.ndarray:
    return levels[0] + ndtr(-steps.z) @ np.diff(levels)


def _given(steps: _Steps, at: np.ndarray, c: float) -> np.ndarray:
    """Return the expected code of y in every coordinate given x = at, (d, m)."""
    away = (steps.z[:, None, :] - c * at[..., None]) / np.sqrt(1 - c * c)
    return steps.levels[0] + ndtr(-away) @ steps.jumps


def _joint_density(z: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Bivariate normal density at all pairs of thresholds, (m, d, t, t) for c (m,)."""
    c = c[:, None, None, None]
    a, b = z[None, :, :, None], z[None, :, None, :]
    rest = 1 - c * c
    quadratic = (a * a - 2 * c * a * b + b * b) / rest
    return np.exp(-0.5 * quadratic) / (2 * np.pi * np.sqrt(rest))


def _product_mean(steps: _Steps, levels: np.ndarray, c: float) -> np.ndarray:
    """E[q(x) q(y)] for every coordinate: Plackett's integral over the correlation."""
    nodes, weights = _ANGLE_NODES
    angle = np.arcsin(c) * (nodes + 1) / 2
    weights = weights * np.arcsin(c) / 2 * np.cos(angle)
    jumps = np.diff(levels)
    density = _joint_density(steps.z, np.sin(angle))
    slope = np.einsum("mdjk,j,k->md", density, jumps, jumps)
    return _expected(steps, levels) ** 2 + weights @ slope


def _coded(steps: _Steps, covariance: np.ndarray) -> Any:
    """Mean, and variance within a query, of the product of two codes."""
    scale, jumps, density = steps.scale, steps.jumps, steps.density
    squared = (covariance / np.outer(scale, scale)) ** 2
    energy = squared @ scale**2
    norm = (covariance**2).sum()

    def at(c: float) -> tuple[float, float]:
        rest = np.sqrt(1 - c * c)
        mean = _product_mean(steps, steps.levels, c)
        slope = np.einsum(
            "djk,j,k->d", _joint_density(steps.z, np.array([c]))[0], jumps, jumps
        )
        other = _given(steps, steps.z, c)
        # E[q''(y) q(x)] = -sum_k jump_k d/dt [phi(t) E(q(x) | y = t)] at t_k.
        bend = ((steps.z * other - _given_slope(steps, c)) * density) @ jumps
        # Coefficients of H_1(x) H_1(e) and H_2(e), with y = c x + rest e.
        mixed, noise = rest * (slope + c * bend), rest**2 * bend / np.sqrt(2)
        pull = _row_pull(steps, other) if steps.per_row else np.zeros_like(scale)
        mixed = mixed + pull * c * rest * np.sqrt(2 / np.pi)
        noise = noise + pull * rest**2 / np.sqrt(np.pi)
        variance = _product_mean(steps, steps.levels**2, c) + pull**2
        variance = (variance + _within(steps, pull, c)).sum()
        variance += mixed @ squared @ mixed - mixed @ mixed
        variance += noise @ squared @ noise - noise @ noise
        with_cosine = (rest * mixed - c / np.sqrt(2) * noise) @ energy
        explained = with_cosine**2 / (norm * (c * c / 2 + rest**2))
        return mean.sum(), variance - explained

    return at


def _within(steps: _Steps, pull: np.ndarray, c: float) -> np.ndarray:
    """Second moment of q(x) q(y) + pull abs(y) around its mean given x.

    Without the terms E[q(x)^2 q(y)^2] and pull^2, which have closed forms. On a grid
    of x, once for all coordinates whose thresholds agree to 0.01.
    """
    kinds, which = np.unique(steps.z.round(2), axis=0, return_inverse=True)
    kind = _Steps(kinds, steps.levels, np.ones(len(kinds)), steps.per_row)
    x, rest = _NORMAL_GRID, np.sqrt(1 - c * c)
    weight = np.exp(-0.5 * x**2) * (x[1] - x[0]) / _SQRT_2PI
    code = kind.levels[0] + (x[:, None] > kinds[:, None, :]) @ kind.jumps
    given = code * _given(kind, np.broadcast_to(x, code.shape), c)
    within = -(given**2) @ weight
    if not steps.per_row:
        return within[which.ravel()]
    away = c * x / rest
    length = rest * np.sqrt(2 / np.pi) * np.exp(-0.5 * away**2)
    length += c * x * (2 * ndtr(away) - 1)
    # E[q(x) q(y) abs(y)] is E[q(x) q(y) abs(x)].
    joint = given @ (weight * (np.abs(x) - length))
    return within[which.ravel()] + pull * (
        2 * joint[which.ravel()] - pull * (length**2 @ weight)
    )


def _given_slope(steps: _Steps, c: float) -> np.ndarray:
    """Differentiate E(q(y) | x = t) by t at the thresholds, (d, t)."""
    rest = np.sqrt(1 - c * c)
    away = (steps.z[:, None, :] - c * steps.z[..., None]) / rest
    return np.exp(-0.5 * away**2) @ steps.jumps * c / (rest * _SQRT_2PI)


def _row_pull(steps: _Steps, other: np.ndarray) -> np.ndarray:
    """Effect on the score of one standardised abs(x_j) through the row's threshold."""
    moved = steps.density * other * steps.jumps / steps.scale[:, None]
    return (moved[:, 0] - moved[:, -1]).sum() * steps.scale / len(steps.scale)


def _float_moments(
    steps: _Steps, covariance: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Return G, tr(Sigma K), tr(Sigma D Sigma)^2 / tr Sigma^2 and two more of x q(x).

    These are Cov(x'q, x'x) and Var(x'q), of the row's product with its own code.
    """
    coefficients = _coefficients(steps)
    scale = steps.scale
    correlation = covariance / np.outer(scale, scale)
    levels_variance = _expected(steps, steps.levels**2)
    levels_variance = levels_variance - _expected(steps, steps.levels) ** 2
    noise, power = 0.0, np.ones_like(correlation)
    for c_n in coefficients:
        power = power * correlation
        noise += c_n @ (covariance * power) @ c_n
        noise -= (c_n**2) @ scale**2
    noise += levels_variance @ scale**2
    along = (coefficients[0] / scale) @ (covariance**2).sum(axis=1)
    # Second Hermite coefficient and variance of z q(z).
    second = np.sqrt(3) * coefficients[2] + np.sqrt(2) * coefficients[0]
    square = (_second_moment(steps) - coefficients[0] ** 2) @ scale**2
    own = second * scale
    if steps.per_row:
        pull = _row_pull(steps, steps.scale[:, None] * steps.z)
        own = own + pull / np.sqrt(np.pi)
        joint = _signed_square(steps) - coefficients[0] * np.sqrt(2 / np.pi)
        square += 2 * (pull * scale) @ joint + (1 - 2 / np.pi) * pull @ pull
    squared = correlation**2
    product_variance = square + own @ squared @ own - own @ own
    product_length = np.sqrt(2) * own @ squared @ scale**2
    return (
        float(coefficients[0] @ scale),
        float(noise),
        float(along),
        float(product_length),
        float(product_variance),
    )


def _coefficients(steps: _Steps) -> np.ndarray:
    """Hermite coefficients c_1, ..., c_n of every step function, (n, d)."""
    before, now = np.zeros_like(steps.z), steps.density
    out = [now @ steps.jumps]
    for n in range(1, _N_TERMS):
        before, now = (
            now,
            (steps.z * now - np.sqrt(n - 1) * before) / np.sqrt(n),
        )
        out.append(now @ steps.jumps / np.sqrt(n + 1))
    return np.array(out)


def _second_moment(steps: _Steps) -> np.ndarray:
    """E[z^2 q(z)^2] for every coordinate."""
    upper = ndtr(-steps.z) + steps.z * steps.density
    return steps.levels[0] ** 2 + upper @ np.diff(steps.levels**2)


def _signed_square(steps: _Steps) -> np.ndarray:
    """E[z abs(z) q(z)] for every coordinate."""
    upper = ndtr(-np.abs(steps.z)) + np.abs(steps.z) * steps.density
    return upper @ steps.jumps


def _float(steps: _Steps, covariance: np.ndarray) -> Any:
    """Mean and variance of the centred query times the row's code."""
    gain, noise, along, length, own = _float_moments(steps, covariance)
    norm = (covariance**2).sum()

    def at(c: float) -> tuple[float, float]:
        rest = 1 - c * c
        variance = c * c * own + rest * noise
        explained = (c * c * length / 2 + rest * along) ** 2 / norm
        return c * gain, variance - explained

    return at


def _corrected(steps: _Steps, covariance: np.ndarray) -> Any:
    """Mean and variance of the corrected estimate of the cosine."""
    gain, noise, along, _, _ = _float_moments(steps, covariance)
    share = (noise - along**2 / (covariance**2).sum()) / gain**2
    return lambda c: (c, (1 - c * c) * share)


_LAWS = {"codes": _coded, "vectors": _float, "corrected": _corrected}
