"""Generators of embeddings whose statistics are known."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from sklearn.utils import Bunch, check_random_state

from .._utils.orthogonal import haar_directions
from .._utils.params import as_real_array, check_bool, check_int, check_real
from .._utils.typing import RandomState

Floats = NDArray[np.float64]

# Rows drawn at a time, in float64: millions of them fit into memory as float32.
_BLOCK_ROWS = 16_384


def _check_sizes(owner: str, n_samples: object, n_features: object) -> tuple[int, int]:
    return (
        check_int(n_samples, "n_samples", owner, low=1),
        check_int(n_features, "n_features", owner, low=1),
    )


def _float_type(dtype: DTypeLike, owner: str) -> np.dtype:
    """Return a type of floats, refusing what would round all numbers or is no type."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind != "f":
        raise TypeError(
            f"The 'dtype' parameter of {owner} must be a type of floats, such as "
            f"np.float32. Got {dtype!r} instead."
        )
    return found


def _scale_rows_to_unit(rows: Floats) -> Floats:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_sphere(
    n_samples: int = 1000,
    n_features: int = 768,
    *,
    dtype: DTypeLike = np.float64,
    random_state: RandomState = None,
) -> NDArray[np.floating]:
    """Draw vectors uniformly from the unit sphere.

    The case without structure: no mean, no heterogeneity, no correlation. The
    ranking fidelity of one-bit codes is (6 / pi) arcsin(1 / pi) = 0.619 here.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=768
        Number of columns.
    dtype : {np.float64, np.float32}, default=np.float64
        Type of the result. The draw itself is made in float64, so that both
        types give the same vectors.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.

    See Also
    --------
    make_gaussian : Vectors of given mean and covariance.

    Examples
    --------
    >>> from skbq.datasets import make_sphere
    >>> make_sphere(100, 16, random_state=0).shape
    (100, 16)
    """
    n, d = _check_sizes("make_sphere", n_samples, n_features)
    dtype = _float_type(dtype, "make_sphere")
    rng = check_random_state(random_state)
    rows = _scale_rows_to_unit(rng.standard_normal((n, d)))
    return rows.astype(dtype, copy=False)


def _zipf_labels(
    rng: np.random.RandomState, n: int, n_clusters: int, exponent: float
) -> NDArray[np.intp]:
    """Return ``floor(u ** (-1 / exponent))`` for u uniform, given it is < n_clusters.

    To reject the larger indices is to draw u above ``n_clusters ** -exponent``,
    which needs no loop. The index is at least 1, so of `n_clusters` centroids
    the one numbered 0 is never drawn.
    """
    smallest = float(n_clusters) ** -exponent
    u = smallest + (1.0 - smallest) * (1.0 - rng.random_sample(n))
    labels = np.floor(u ** (-1.0 / exponent)).astype(np.intp)
    return np.minimum(labels, n_clusters - 1)  # rounding at u = smallest


def make_low_rank_clusters(
    n_samples: int = 1000,
    n_features: int = 768,
    *,
    rank: int = 64,
    n_clusters: int = 256,
    exponent: float = 1.2,
    spread: float = 0.30,
    noise: float = 0.05,
    dtype: DTypeLike = np.float64,
    random_state: RandomState = None,
) -> NDArray[np.floating]:
    """Draw unit vectors clustered in a low-dimensional subspace.

    With the default parameters this is the set "Synthetic-LR" of [1]_: random
    directions W (orthonormal, `n_features` by `rank`) and unit centroids c in
    R^rank; each row is ``W (c + spread * g) + noise * h`` scaled to unit length,
    g and h standard normal, where the centroid's index is
    ``floor(u ** (-1 / exponent))`` for uniform u, drawn again while it is
    `n_clusters` or more. A few clusters hold most rows: the first 56 % of them
    under the defaults.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=768
        Number of columns.
    rank : int, default=64
        Dimension of the subspace, at most `n_features`.
    n_clusters : int, default=256
        Bound on the centroid's index, which starts at 1: `n_clusters` - 1
        clusters can be drawn.
    exponent : float, default=1.2
        Decay of the cluster sizes: the index is k or more with probability
        about ``k ** -exponent``.
    spread : float, default=0.3
        Standard deviation within a cluster, per direction of the subspace.
    noise : float, default=0.05
        Standard deviation of the noise, per column.
    dtype : {np.float64, np.float32}, default=np.float64
        Type of the result. The draw itself is made in float64, so that both
        types give the same vectors.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw: of directions, centroids and rows.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Rows of unit length.

    Notes
    -----
    Directions and centroids are drawn first. To get queries from the same
    clusters, make all rows in one call and split them.

    References
    ----------
    .. [1] W. Xiao, "Covariance Structure and Coordinate Heterogeneity Govern
       Binary Quantization of Contrastive Embeddings", arXiv:2605.17524, 2026.

    Examples
    --------
    >>> from skbq.datasets import make_low_rank_clusters
    >>> make_low_rank_clusters(100, random_state=0).shape
    (100, 768)
    """
    owner = "make_low_rank_clusters"
    n, d = _check_sizes(owner, n_samples, n_features)
    dtype = _float_type(dtype, owner)
    rank = check_int(rank, "rank", owner, low=1, high=d)
    n_clusters = check_int(n_clusters, "n_clusters", owner, low=2)
    exponent = check_real(exponent, "exponent", owner, low=0.0, closed_low=False)
    spread = check_real(spread, "spread", owner, low=0.0)
    noise = check_real(noise, "noise", owner, low=0.0)
    rng = check_random_state(random_state)
    directions = haar_directions(rng, d, rank)
    centroids = _scale_rows_to_unit(rng.standard_normal((n_clusters, rank)))
    latent = centroids[_zipf_labels(rng, n, n_clusters, exponent)]
    latent += spread * rng.standard_normal((n, rank))
    X = np.empty((n, d), dtype)
    for start in range(0, n, _BLOCK_ROWS):
        some = slice(start, min(start + _BLOCK_ROWS, n))
        rows = rng.standard_normal((some.stop - start, d))
        rows *= noise
        rows += latent[some] @ directions.T
        X[some] = _scale_rows_to_unit(rows)
    return X


def _eigenvalues(spectrum: float | ArrayLike, d: int) -> Floats:
    """Return the eigenvalues: an array as given, or a power law of mean 1."""
    if np.ndim(spectrum) == 0:
        exponent = check_real(spectrum, "spectrum", "make_gaussian", low=0.0)
        values = np.arange(1, d + 1, dtype=np.float64) ** -exponent
        return values / values.mean()
    values = as_real_array(spectrum, "spectrum")
    if values.shape != (d,) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"The 'spectrum' parameter of make_gaussian must be a number or {d} "
            f"finite eigenvalues >= 0 (n_features={d}). Got an array of shape "
            f"{values.shape} instead."
        )
    return values


def _mean_vector(mean: float | ArrayLike, scales: Floats) -> Floats:
    """Return the mean: an array as given, or a multiple of each coordinate's scale."""
    if np.ndim(mean) == 0:
        ratio = check_real(mean, "mean", "make_gaussian", low=-np.inf)
        return ratio * scales
    values = as_real_array(mean, "mean")
    if values.shape != scales.shape or not np.isfinite(values).all():
        raise ValueError(
            "The 'mean' parameter of make_gaussian must be a number or "
            f"{len(scales)} finite numbers (n_features={len(scales)}). Got an array "
            f"of shape {values.shape} instead."
        )
    return values


def _heterogeneous_scales(rng: np.random.RandomState, cv: float, d: int) -> Floats:
    """Return d scales whose std / mean is exactly `cv`, mean square 1, shuffled.

    They are the quantiles of a lognormal distribution, whose one parameter is
    solved for: positive at any `cv`, unlike a normal distribution's.
    """
    z = ndtri((np.arange(d) + 0.5) / d)

    def excess(sigma: float) -> float:
        scales = np.exp(sigma * (z - z[-1]))
        return float(scales.std() / scales.mean() - cv)

    # Far out, the largest scale is all there is: cv = sqrt(d - 1).
    limit = np.sqrt(d - 1)
    if cv > 0.9 * limit:
        raise ValueError(
            "The 'heterogeneity' parameter of make_gaussian must be at most "
            f"{0.9 * limit:.3g} for n_features={d}. Got {cv!r} instead."
        )
    top = 1.0
    while excess(top) < 0:
        top *= 2.0
    sigma = brentq(excess, 0.0, top, xtol=1e-14) if cv > 0 else 0.0
    scales = np.exp(sigma * (z - z[-1]))
    return rng.permutation(scales / np.sqrt(np.mean(scales**2)))


def _mixing_matrix(
    rng: np.random.RandomState,
    eigenvalues: Floats,
    heterogeneity: float | None,
    correlated: bool,
) -> Floats:
    """Return A, the covariance being A A'; as a vector where A is diagonal."""
    root = np.sqrt(eigenvalues)
    d = len(root)
    if correlated:
        mixing = haar_directions(rng, d, d) * root
        scales = np.sqrt(np.einsum("ij,ij->i", mixing, mixing))
    else:
        mixing = scales = root
    if heterogeneity is None:
        return mixing
    total = np.sqrt(np.mean(scales**2))
    wanted = total * _heterogeneous_scales(rng, heterogeneity, d)
    return mixing * (wanted / scales)[:, None] if correlated else wanted


def make_gaussian(
    n_samples: int = 1000,
    n_features: int = 128,
    *,
    spectrum: float | ArrayLike = 0.0,
    heterogeneity: float | None = None,
    mean: float | ArrayLike = 0.0,
    correlated: bool = True,
    return_model: bool = False,
    dtype: DTypeLike = np.float64,
    random_state: RandomState = None,
) -> NDArray[np.floating] | Bunch:
    r"""Draw Gaussian vectors of chosen spectrum, heterogeneity and mean.

    The covariance is made in two steps. First the spectrum, on random axes or on
    the coordinate axes: :math:`\Sigma_0 = Q \Lambda Q'`, with Q from the Haar
    measure (`correlated=True`) or the identity. Then, if `heterogeneity` is a
    number, each coordinate is scaled anew, so that std / mean of the standard
    deviations is exactly that number; the correlations stay, and so does the sum
    of the variances.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=128
        Number of columns, d.
    spectrum : float or array-like of shape (n_features,), default=0.0
        A number is the exponent a >= 0 of a power law: eigenvalues proportional
        to i ** -a, i = 1..d, of mean 1. An array holds the eigenvalues
        themselves. They are those of the covariance before it is scaled to
        `heterogeneity`.
    heterogeneity : float or None, default=None
        Coefficient of variation of the coordinates' standard deviations: their
        population standard deviation over their mean. They are lognormal
        quantiles in random order. None: the standard deviations that the
        spectrum gives.
    mean : float or array-like of shape (n_features,), default=0.0
        A number is the ratio of mean to standard deviation, the same in every
        coordinate. An array holds the means themselves.
    correlated : bool, default=True
        Whether the principal axes are random. If not, the covariance is diagonal
        and the eigenvalues, in their order, are the variances; then
        `heterogeneity` can be given only with a flat spectrum.
    return_model : bool, default=False
        Whether to return the true mean and covariance too.
    dtype : {np.float64, np.float32}, default=np.float64
        Type of the rows. The draw itself is made in float64, so that both types
        give the same vectors.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw: of axes, scales and rows.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), or :class:`~sklearn.utils.Bunch`
        The rows; with ``return_model=True`` a Bunch of ``data`` (the rows),
        ``mean`` of shape (n_features,) and ``covariance`` of shape
        (n_features, n_features), the last two in float64.

    See Also
    --------
    make_sphere : Unit vectors without structure.
    make_low_rank_clusters : Unit vectors in clusters.

    Examples
    --------
    >>> from skbq.datasets import make_gaussian
    >>> made = make_gaussian(
    ...     100, 16, heterogeneity=0.4, mean=0.2, return_model=True, random_state=0
    ... )
    >>> made.data.shape, made.covariance.shape
    ((100, 16), (16, 16))
    >>> scale = made.covariance.diagonal() ** 0.5
    >>> print(f"{scale.std() / scale.mean():.3f}")
    0.400
    """
    owner = "make_gaussian"
    n, d = _check_sizes(owner, n_samples, n_features)
    dtype = _float_type(dtype, owner)
    check_bool(correlated, "correlated", owner)
    check_bool(return_model, "return_model", owner)
    eigenvalues = _eigenvalues(spectrum, d)
    if heterogeneity is not None:
        heterogeneity = check_real(heterogeneity, "heterogeneity", owner, low=0.0)
        if not eigenvalues.any():
            raise ValueError("make_gaussian cannot scale a spectrum of zeros.")
        if not correlated and np.ptp(eigenvalues) > 0:
            raise ValueError(
                "make_gaussian with correlated=False takes the variances from "
                "'spectrum' or from 'heterogeneity'. Got both: leave one out, or "
                "set correlated=True."
            )
    rng = check_random_state(random_state)
    mixing = _mixing_matrix(rng, eigenvalues, heterogeneity, correlated)
    scales = np.linalg.norm(mixing, axis=1) if correlated else mixing
    center = _mean_vector(mean, scales)
    rows = rng.standard_normal((n, d))
    rows = rows @ mixing.T if correlated else rows * mixing
    rows += center
    data = rows.astype(dtype, copy=False)
    if not return_model:
        return data
    covariance = mixing @ mixing.T if correlated else np.diag(mixing**2)
    return Bunch(data=data, mean=center, covariance=covariance)
