"""The common half of the quantizers: thresholds, cell means, codes in blocks."""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from .._kernels.memory import read_only
from .._kernels.vector_ops import add_to_cells
from .._utils.parallel import even_slices, fixed_blocks, row_blocks, run_threads
from .._utils.params import as_real_array, check_option
from .._utils.typing import Threshold, VectorsLike
from .._utils.validation import (
    BLOCK_ROWS,
    DocLinkMixin,
    check_vectors,
    float_blocks,
    float_rows,
)
from ..codes import (
    CodeArray,
    code_bytes,
    code_width,
    describe_codes,
    empty_codes,
    is_codes,
)
from .correction_range import is_looked_at, learn_range, sum_codes


def column_sums(X: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Sum ``of(block)`` over all rows, in float64."""
    total = np.zeros(X.shape[1])
    for _, block in float_blocks(X):
        total += of(block).sum(axis=0, dtype=np.float64)
    return total


def column_medians(X: np.ndarray) -> np.ndarray:
    """Medians of columns, each half way between two distinct values of its column.

    A median that is itself one of the values would make the bit of that row depend on
    the last digit of whatever computed it. Where the middle value is repeated, the
    side that splits the rows more evenly is taken. A constant column gives its value.
    """
    n, d = X.shape
    medians = np.empty(d)
    for columns in row_blocks(d, n * 24):
        values = float_rows(X[:, columns]).astype(np.float64)
        values.partition([(n - 1) // 2, n // 2], axis=0)
        low, high = values[(n - 1) // 2], values[n // 2]
        below = np.where(values < high, values, -np.inf).max(axis=0)
        above = np.where(values > low, values, np.inf).min(axis=0)
        upper_split = np.abs(2 * (values > low).sum(axis=0) - n)
        lower_split = np.abs(2 * (values < high).sum(axis=0) - n)
        up = np.isfinite(above) & ((upper_split <= lower_split) | ~np.isfinite(below))
        left = np.where(up, low, np.where(np.isfinite(below), below, low))
        right = np.where(up, above, high)
        medians[columns] = left / 2 + right / 2
    return medians


class EncodedBlock(NamedTuple):
    """Codes of rows, and sums for their corrections.

    ``sums``: float64 (4, n_rows), <a, a>, <a, a> / f, <a, c> and <x, x> with the mean
    c, a = x - c and the factor f by which the estimate multiplies products with the
    code's values q; with that of RaBitQ the second is <q, a>.
    """

    codes: CodeArray
    sums: np.ndarray


class VectorEncoder(
    DocLinkMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """What turns vectors into codes, block by block."""

    n_features_in_: int

    def __init_subclass__(cls, **kwargs: object) -> None:
        # No output setting wraps codes in a frame.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    @abstractmethod
    def _encode(self, block: np.ndarray) -> CodeArray:
        """Encode a block of float rows in C order."""

    def transform(self, X: VectorsLike) -> CodeArray:
        """Encode vectors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.

        Returns
        -------
        codes : CodeArray of shape (n_samples, ceil(n_features / 8))
        """
        check_is_fitted(self)
        X = check_vectors(self, X, reset=False)
        codes = empty_codes(len(X), like=self._encode(float_rows(X, slice(0, 1))))

        def fill(part: slice) -> None:
            for rows, block in float_blocks(X[part]):
                codes[part][rows] = self._encode(block)

        run_threads(fill, even_slices(len(X), self._count_threads(len(X))))
        return codes

    def _count_threads(self, n_rows: int) -> int:
        """Return how many threads are worth while to encode so many rows."""
        return 1

    def _check_own_codes(self, X: object) -> None:
        """Refuse what is no codes that this estimator, fitted, makes."""
        check_is_fitted(self)
        name = type(self).__name__
        if not is_codes(X):
            raise ValueError(
                f"{name}.inverse_transform takes the codes that transform gives, or "
                "packed bits wrapped by skbq.as_codes(X, n_features="
                f"{self.n_features_in_}). Got {type(X).__name__} instead."
            )
        expected = self._encode(np.zeros((1, self.n_features_in_), np.float32))
        if X.layout != expected.layout:
            other = " with other levels or scales"
            same_words = describe_codes(X) == describe_codes(expected)
            raise ValueError(
                f"X holds {describe_codes(X)}{other * same_words}, but this {name} "
                f"makes {describe_codes(expected)}."
            )

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing: codes stay a CodeArray under every output setting.

        Parameters
        ----------
        transform : str or None
            Ignored.

        Returns
        -------
        self : object
        """
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


class CorrectingEncoder(VectorEncoder):
    """What encodes vectors and, at once, computes what asymmetric search needs of them.

    ``mean_`` is what vectors are centered by.
    """

    mean_: np.ndarray

    @abstractmethod
    def _encode_with_sums(self, block: np.ndarray) -> EncodedBlock:
        """Encode a block of float rows in C order."""

    @abstractmethod
    def _project(self, centered: np.ndarray) -> np.ndarray:
        """Return the coordinates that codes keep of centered float32 vectors."""


class Quantizer(VectorEncoder):
    """The shared half of the quantizers by thresholds: thresholds and cell means.

    A subclass gives the hooks below. The *cells* of a coordinate are the values that
    its code can take, from the lowest to the highest.
    """

    _bits: int
    threshold: Threshold

    @abstractmethod
    def _check_parameters(self) -> None:
        """Refuse parameters that make no sense."""

    @abstractmethod
    def _learn(self, X: np.ndarray) -> None:
        """Learn what else than ``thresholds_`` the code needs."""

    def fit(self, X: VectorsLike, y: object = None) -> Self:
        """Learn thresholds and reconstruction values.

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
        self._fit_more(check_vectors(self, X, reset=True), first=True)
        return self

    def fit_transform(self, X: VectorsLike, y: object = None) -> CodeArray:
        """Learn from vectors and encode them, each once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Vectors.
        y : None
            Ignored.

        Returns
        -------
        codes : CodeArray of shape (n_samples, ceil(n_features / 8))
        """
        return self._fit_more(check_vectors(self, X, reset=True), first=True)

    def _fit_more(self, X: np.ndarray, *, first: bool) -> CodeArray:
        """Learn from rows and return their codes, which the cell means need."""
        self._check_parameters()
        shape = (2 * self._bits, X.shape[1])
        if first:
            self.n_samples_seen_ = 0
            self._n_features_out = code_width(X.shape[1])
            self._lowest = np.full(X.shape[1], np.inf)
            self._highest = np.full(X.shape[1], -np.inf)
            self._value_sums = np.zeros(X.shape[1])
            self._cell_counts = np.zeros(shape, np.int64)
            self._cell_sums = np.zeros(shape)
        self.n_samples_seen_ += len(X)
        self._lowest = np.minimum(self._lowest, X.min(axis=0))
        self._highest = np.maximum(self._highest, X.max(axis=0))
        self.thresholds_ = self._learn_thresholds(X)
        self._learn(X)
        codes = self._learn_cell_means(X)
        if first:
            some = is_looked_at(len(X))
            with np.errstate(over="ignore", invalid="ignore"):
                sums = sum_codes(codes[some], X[some], self.thresholds_)
                self._correction_range = learn_range(sums, codes[some])
        return codes

    def _learn_thresholds(self, X: np.ndarray) -> np.ndarray:
        if not isinstance(self.threshold, str):
            numbers = as_real_array(self.threshold, "threshold")
            if numbers.ndim > 1 or numbers.size not in (1, X.shape[1]):
                raise ValueError(
                    f"The 'threshold' parameter of {type(self).__name__} must be one "
                    f"number or {X.shape[1]} numbers, one for each coordinate. "
                    f"Got an array of shape {numbers.shape} instead."
                )
            return np.broadcast_to(numbers, X.shape[1]).copy()
        if self.threshold == "zero":
            return np.zeros(X.shape[1])
        if self.threshold == "median":
            return column_medians(X)
        self._value_sums += column_sums(X, lambda block: block)
        # The mean of a constant column may be rounded below its value.
        constant = self._lowest == self._highest
        means = self._value_sums / self.n_samples_seen_
        return np.where(constant, self._lowest, means)

    def _above(self, block: np.ndarray) -> np.ndarray:
        """Tell which coordinates of a block are above their thresholds.

        A float32 value is compared as the equal float64 value is: x > t holds for the
        same x if t is rounded down, but not if it is rounded up.
        """
        if len(block) == 1:  # as a single query is, which is soon float64
            return block > self.thresholds_
        limits = self.thresholds_.astype(block.dtype)
        below = np.nextafter(limits, -np.inf, dtype=block.dtype)
        return block > np.where(limits > self.thresholds_, below, limits)

    def _learn_cell_means(self, X: np.ndarray) -> CodeArray:
        cells = self._cell_counts, self._cell_sums
        codes: CodeArray | None = None
        for rows, block in float_blocks(X):
            some = self._encode(block)
            codes = empty_codes(len(X), like=some) if codes is None else codes
            codes[rows] = some
            plain = read_only(code_bytes(some))
            add_to_cells(plain, self._bits, read_only(block), *cells)
        assert codes is not None
        means = self._cell_sums / np.maximum(self._cell_counts, 1)
        # From the threshold outwards, an empty cell takes the value before it.
        half = self._bits
        for cells_outwards in (range(half, 2 * half), range(half - 1, -1, -1)):
            inner = self.thresholds_
            for cell in cells_outwards:
                means[cell] = np.where(self._cell_counts[cell], means[cell], inner)
                inner = means[cell]
        self.cell_means_ = means.astype(np.float32)
        return codes

    def inverse_transform(self, X: CodeArray) -> np.ndarray:
        """Reconstruct vectors: each coordinate the mean of its cell at fit.

        A cell that was empty at fit takes the value of the cell between it and the
        threshold, or the threshold.

        Parameters
        ----------
        X : CodeArray of shape (n_samples, ceil(n_features / 8))
            Codes that this quantizer made.

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features), dtype float32
        """
        self._check_own_codes(X)
        vectors = np.empty((len(X), X.n_features), np.float32)
        coordinates = np.arange(X.n_features)
        for rows in fixed_blocks(len(X), BLOCK_ROWS):
            positive, strong = X[rows].unpack_bits()
            cells = positive.astype(np.intp)
            if strong is not None:
                cells = np.where(positive, 2 + strong, 1 - strong.astype(np.intp))
            vectors[rows] = self.cell_means_[cells, coordinates]
        return vectors


def check_threshold(quantizer: Quantizer) -> None:
    """Refuse a ``threshold`` that is neither an option nor finite numbers."""
    options = ["mean", "median", "zero"]
    if isinstance(quantizer.threshold, str):
        check_option(quantizer.threshold, "threshold", quantizer, options, "numbers")
        return
    try:
        numbers = as_real_array(quantizer.threshold, "threshold")
        finite = bool(np.isfinite(numbers).all())
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise ValueError(
            f"The 'threshold' parameter of {type(quantizer).__name__} must be one of "
            f"{options} or finite numbers. Got {quantizer.threshold!r} instead."
        )


def model_thresholds(
    threshold: Threshold, mean: ArrayLike, scale: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the model's mean and scale as float64 and the threshold it leads to.

    For coordinates that are N(mean_i, scale_i^2), independent of any fit.
    """
    mean, scale = as_real_array(mean, "mean"), as_real_array(scale, "scale")
    for values, name in ((mean, "mean"), (scale, "scale")):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite. Got {values} instead.")
    if isinstance(threshold, str):
        level = np.zeros_like(mean) if threshold == "zero" else mean.copy()
    else:
        level = np.broadcast_to(np.asarray(threshold, np.float64), mean.shape).copy()
    return mean, scale, level
