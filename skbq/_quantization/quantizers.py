"""Quantizers: one or two bits for each coordinate of a vector."""

from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf
from sklearn.utils.metaestimators import available_if

from .._utils.params import check_option
from .._utils.typing import Levels, Threshold, VectorsLike
from .._utils.validation import check_vectors
from ..codes import CodeArray, check_levels, pack_codes
from .base import (
    Quantizer,
    check_threshold,
    column_sums,
    model_thresholds,
)

_Fitted = TypeVar("_Fitted", bound=Quantizer)

# The four-level quantizer of least squared error for a standard normal coordinate
# (Max 1960, "Quantizing for minimum distortion", table I; Lloyd 1982).
_LLOYD_MAX_LEVELS = (0.4528, 1.5104)
_LLOYD_MAX_THRESHOLD = 0.9816  # in standard deviations
_LLOYD_MAX_ROW_FACTOR = 1.2302  # in mean absolute deviations: 0.9816 / sqrt(2 / pi)
# A coordinate that is this much smaller than the average one is dead: what varies in
# it is rounding, of single floats of the size of the others.
_LIVE_SHARE = 1e-5


class BinaryQuantizer(Quantizer):
    """Keep one bit of each coordinate: whether it is above its threshold.

    The bit is 1 where ``x > threshold``, strictly, so that a coordinate that equals
    its threshold, as every value of a constant column does, gives 0.

    Read more in the :ref:`User Guide <guide-choices>`.

    Parameters
    ----------
    threshold : {"mean", "median", "zero"} or array-like of float, default="mean"
        Threshold of each coordinate: its mean or median over the rows seen at fit, 0,
        or numbers of your own (one, or one for each coordinate). A median lies half
        way between two distinct values.

    Attributes
    ----------
    thresholds_ : ndarray of shape (n_features,), dtype float64
        Threshold of each coordinate.
    cell_means_ : ndarray of shape (2, n_features), dtype float32
        Mean of the values that got bit 0 and bit 1 at fit; what ``inverse_transform``
        gives back.
    n_samples_seen_ : int
        Number of rows learned from.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    TwoBitQuantizer : Also keeps whether a magnitude is high.
    BinaryNeighbors : Searches codes.

    Notes
    -----
    The mean is the default threshold since a coordinate that is far from centered gives
    nearly the same bit to every row. Over eight sets of real vectors ``recall@10`` of
    symmetric search is 0.51 on average with the mean, 0.50 with the median and 0.39
    with zero, which is about equal on five sets and far worse on three
    (``benchmarks/results/quantizer_defaults.md``).

    Search and theory count a bit as +1 or -1; only ``inverse_transform`` uses the
    means of the cells. After ``partial_fit`` with ``threshold="mean"`` these are means
    over cells as they were when each chunk came.

    References
    ----------
    .. [1] Charikar, M. "Similarity estimation techniques from rounding algorithms",
       STOC 2002.
    .. [2] Xiao, W. "Covariance Structure and Coordinate Heterogeneity Govern Binary
       Quantization of Contrastive Embeddings", arXiv 2605.17524, 2026.

    Examples
    --------
    >>> from skbq import BinaryQuantizer
    >>> X = [[0.0, 1.0, 5.0], [1.0, 3.0, 5.0], [2.0, 2.5, 5.0]]
    >>> quantizer = BinaryQuantizer().fit(X)
    >>> quantizer.transform(X).unpack()
    array([[-1., -1., -1.],
           [-1.,  1., -1.],
           [ 1.,  1., -1.]], dtype=float32)
    """

    _bits = 1

    def __init__(self, threshold: Threshold = "mean") -> None:
        self.threshold = threshold

    def _check_parameters(self) -> None:
        check_threshold(self)

    def _learn(self, X: np.ndarray) -> None:
        pass

    def _encode(self, block: np.ndarray) -> CodeArray:
        return pack_codes(self._above(block))

    def _can_learn_in_chunks(self) -> bool:
        return not _is(self.threshold, "median")

    @available_if(_can_learn_in_chunks)
    def partial_fit(self, X: VectorsLike, y: object = None) -> Self:
        """Learn from a chunk of rows; not for ``threshold="median"``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        return _fit_chunk(self, X)

    def step_function(
        self, mean: ArrayLike, scale: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Describe the code of Gaussian coordinates as a step function.

        Parameters
        ----------
        mean, scale : array-like of shape (n_features,)
            Mean and standard deviation of each coordinate.

        Returns
        -------
        thresholds : ndarray of shape (n_features, 1)
            Where the value steps up.
        levels : ndarray of shape (2,)
            The values: -1 and 1.

        Examples
        --------
        >>> from skbq import BinaryQuantizer
        >>> BinaryQuantizer().step_function([0.5, 0.0], [1.0, 2.0])
        (array([[0.5],
               [0. ]]), array([-1.,  1.]))
        """
        _, _, level = model_thresholds(self.threshold, mean, scale)
        return level[:, None], np.array([-1.0, 1.0])


class TwoBitQuantizer(Quantizer):
    """Keep two bits of each coordinate: its sign, and whether its magnitude is high.

    With ``a = x - threshold`` the sign bit is 1 where ``a > 0`` and the magnitude bit
    is 1 where ``abs(a)`` is above the magnitude threshold, both strictly.

    Read more in the :ref:`User Guide <guide-choices>`.

    Parameters
    ----------
    threshold : {"mean", "median", "zero"} or array-like of float, default="mean"
        As for :class:`BinaryQuantizer`.
    magnitude : {"row", "coordinate"}, default="row"
        Magnitude threshold: the mean of ``abs(a)`` over the row itself, or the mean of
        ``abs(a)`` of the coordinate over the rows seen at fit. Coordinates that were
        constant at fit, but for rounding, are left out of the row's mean, unless
        ``threshold="zero"``.
    levels : tuple of float or "lloyd_max", default=(1, 3)
        Values of a low and of a high magnitude in the "dot" score and in
        reconstructed float scores. "lloyd_max" is (0.4528, 1.5104), the levels of
        least squared error for a normal coordinate, with the magnitude threshold at
        0.9816 standard deviations (row: 1.2302 times the mean absolute deviation).

    Attributes
    ----------
    thresholds_ : ndarray of shape (n_features,), dtype float64
        Threshold of each coordinate.
    magnitude_thresholds_ : ndarray of shape (n_features,), dtype float64, or None
        Magnitude threshold of each coordinate; None for ``magnitude="row"``.
    levels_ : tuple of float
        The two levels.
    cell_means_ : ndarray of shape (4, n_features), dtype float32
        Mean of the high negative, low negative, low positive and high positive
        values at fit; what ``inverse_transform`` gives back.
    n_samples_seen_ : int
        Number of rows learned from.
    n_features_in_ : int
        Number of coordinates.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had names at fit.

    See Also
    --------
    BinaryQuantizer : Half the memory.
    BinaryNeighbors : Searches codes.

    Notes
    -----
    The defaults were chosen on eight sets of real vectors
    (``benchmarks/results/quantizer_defaults.md``), by ``recall@10`` of symmetric
    search, averaged: 0.642 with them; 0.518 with ``threshold="zero"``, 0.617 with
    "median", 0.590 with ``magnitude="coordinate"``, 0.622 with levels (1, 2), 0.641
    with (1, 4). "lloyd_max" ranks a little better still (0.653; in asymmetric search
    0.757 against 0.737), but distances of codes are whole numbers with (1, 3) only.

    ``TwoBitQuantizer(threshold="zero", magnitude="row", levels=(1, 2))`` is the
    sign-magnitude code of [1]_. The mean absolute deviation of a row is the mean of
    its ``abs(a)``, in the type of X and in C order.

    References
    ----------
    .. [1] Xiao, W. "Covariance Structure and Coordinate Heterogeneity Govern Binary
       Quantization of Contrastive Embeddings", arXiv 2605.17524, 2026, section 3.
    .. [2] Max, J. "Quantizing for minimum distortion", IRE Transactions on
       Information Theory 6, 1960.

    Examples
    --------
    >>> from skbq import TwoBitQuantizer
    >>> quantizer = TwoBitQuantizer(threshold="zero", levels=(1, 2))
    >>> quantizer.fit_transform([[0.1, -0.2, 3.0], [1.0, -1.0, 4.0]]).unpack()
    array([[ 1., -1.,  2.],
           [ 1., -1.,  2.]], dtype=float32)
    """

    _bits = 2

    def __init__(
        self,
        threshold: Threshold = "mean",
        magnitude: Literal["row", "coordinate"] = "row",
        levels: Levels = (1, 3),
    ) -> None:
        self.threshold = threshold
        self.magnitude = magnitude
        self.levels = levels

    def _check_parameters(self) -> None:
        check_threshold(self)
        check_option(self.magnitude, "magnitude", self, ["row", "coordinate"])
        if isinstance(self.levels, str):
            check_option(self.levels, "levels", self, ["lloyd_max"], "two numbers")
        else:
            check_levels(self.levels, type(self).__name__)

    def _learn(self, X: np.ndarray) -> None:
        lloyd_max = _is(self.levels, "lloyd_max")
        self.levels_ = check_levels(
            _LLOYD_MAX_LEVELS if lloyd_max else self.levels, type(self).__name__
        )
        self._row_factor = _LLOYD_MAX_ROW_FACTOR if lloyd_max else 1.0
        self.magnitude_thresholds_ = None
        if self.magnitude == "row":
            c = self.thresholds_
            live = self._counted(np.maximum(self._highest - c, c - self._lowest))
            self._live = None if live.all() else np.flatnonzero(live)
            return
        if self.n_samples_seen_ == len(X):
            self._deviation_sums = np.zeros(X.shape[1])
        deviation = np.square if lloyd_max else np.abs
        self._deviation_sums += column_sums(
            X, lambda block: deviation(block.astype(np.float64) - self.thresholds_)
        )
        spread = self._deviation_sums / self.n_samples_seen_
        self.magnitude_thresholds_ = (
            _LLOYD_MAX_THRESHOLD * np.sqrt(spread) if lloyd_max else spread
        )

    def _counted(self, size: np.ndarray) -> np.ndarray:
        """Tell which coordinates vary enough to count in a row's average.

        ``size`` is how far each is from its threshold. One that is constant would
        lower the average of all rows; if all are alike, all count. About zero all
        count as well: that is the code of the paper.
        """
        live = size > _LIVE_SHARE * size.mean()
        if _is(self.threshold, "zero") or not live.any():
            return np.ones(len(size), bool)
        return live

    def _encode(self, block: np.ndarray) -> CodeArray:
        return pack_codes(self._above(block), self._strong(block), self.levels_)

    def _strong(self, block: np.ndarray) -> np.ndarray:
        """Tell which coordinates are far from their thresholds.

        A float64 row whose values are float32 ones is measured as such, so that equal
        values have equal codes whatever their type.
        """
        if block.dtype != np.float64:
            return self._far(block)
        with np.errstate(over="ignore"):
            single = block.astype(np.float32)
        equal = (single == block).all(axis=1)
        strong = np.empty(block.shape, bool)
        strong[equal] = self._far(single[equal])
        strong[~equal] = self._far(block[~equal])
        return strong

    def _far(self, block: np.ndarray) -> np.ndarray:
        deviation = block - self.thresholds_.astype(block.dtype)
        size = np.abs(deviation, out=deviation)
        if self.magnitude_thresholds_ is None:
            live = getattr(self, "_live", None)
            counted = size if live is None else np.ascontiguousarray(size[:, live])
            limit = counted.mean(axis=1, keepdims=True)
            limit *= block.dtype.type(self._row_factor)
        else:
            limit = self.magnitude_thresholds_.astype(block.dtype)
        return size > limit

    def _can_learn_in_chunks(self) -> bool:
        moving = _is(self.threshold, "mean") and self.magnitude != "row"
        return not (_is(self.threshold, "median") or moving)

    @available_if(_can_learn_in_chunks)
    def partial_fit(self, X: VectorsLike, y: object = None) -> Self:
        """Learn from a chunk of rows.

        Not for ``threshold="median"``, nor for ``threshold="mean"`` together with
        ``magnitude="coordinate"``, whose deviations need the final mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.
        y : None
            Ignored.

        Returns
        -------
        self : object
        """
        return _fit_chunk(self, X)

    def step_function(
        self, mean: ArrayLike, scale: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Describe the code of Gaussian coordinates as a step function.

        For ``magnitude="row"`` the row's threshold is replaced by the value around
        which it concentrates, the mean over coordinates of E abs(a).

        Parameters
        ----------
        mean, scale : array-like of shape (n_features,)
            Mean and standard deviation of each coordinate.

        Returns
        -------
        thresholds : ndarray of shape (n_features, 3)
            Where the value steps up.
        levels : ndarray of shape (4,)
            The values: minus high, minus low, low, high.

        Examples
        --------
        >>> from skbq import TwoBitQuantizer
        >>> thresholds, levels = TwoBitQuantizer().step_function([0.0], [1.0])
        >>> thresholds.round(3), levels
        (array([[-0.798,  0.   ,  0.798]]), array([-3., -1.,  1.,  3.]))
        """
        mean, scale, level = model_thresholds(self.threshold, mean, scale)
        lloyd_max = _is(self.levels, "lloyd_max")
        low, high = check_levels(
            _LLOYD_MAX_LEVELS if lloyd_max else self.levels, type(self).__name__
        )
        if self.magnitude == "row":
            size = _mean_deviation(mean - level, scale)
            limit = np.full_like(mean, size[self._counted(size)].mean())
            limit *= _LLOYD_MAX_ROW_FACTOR if lloyd_max else 1.0
        elif lloyd_max:
            limit = _LLOYD_MAX_THRESHOLD * np.hypot(scale, mean - level)
        else:
            limit = _mean_deviation(mean - level, scale)
        thresholds = np.stack([level - limit, level, level + limit], axis=1)
        return thresholds, np.array([-high, -low, low, high], dtype=np.float64)


def _is(value: object, option: str) -> bool:
    return isinstance(value, str) and value == option


def _fit_chunk(quantizer: _Fitted, X: VectorsLike) -> _Fitted:
    first = not hasattr(quantizer, "thresholds_")
    quantizer._fit_more(check_vectors(quantizer, X, reset=first), first=first)
    return quantizer


def _mean_deviation(mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """E abs(a) of a ~ N(mean, scale^2)."""
    z = np.divide(mean, scale, out=np.zeros_like(mean), where=scale > 0)
    spread = scale * np.sqrt(2 / np.pi) * np.exp(-z * z / 2)
    return np.where(scale > 0, spread + mean * erf(z / np.sqrt(2)), np.abs(mean))
