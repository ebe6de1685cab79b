"""Types that several rooms name: options, what goes in, what a quantizer offers."""

from collections.abc import Sequence
from typing import Literal, Protocol, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.floating]
# Vectors as public methods take them. Frames of pandas and polars, Arrow tables,
# tensors, rows in files and arrays of codes are among these: all have ``__array__``.
VectorsLike: TypeAlias = ArrayLike | Sequence[ArrayLike]
# What JSON holds.
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
# What vectors are compared by, everywhere.
Metric = Literal["cosine", "euclidean", "inner_product"]
METRICS: tuple[Metric, ...] = get_args(Metric)
# What is compared with the indexed codes, and how two codes are compared.
Query = Literal["codes", "vectors"]
CodeMetric = Literal["auto", "hamming", "penalty", "dot"]
# Whether all rows are compared, or those in the nearest lists.
Algorithm = Literal["brute", "ivf", "auto"]
# What an edge of a graph weighs: 1, or its distance.
GraphMode = Literal["connectivity", "distance"]
# What each coordinate is compared with: numbers, or where they come from.
Threshold = Literal["mean", "median", "zero"] | ArrayLike
# Values of a low and of a high magnitude of two bits.
Levels = tuple[float, float] | Literal["lloyd_max"]
# How many times as many candidates as neighbors are reranked; None: no reranking.
Oversampling = float | Literal["bound"] | None
# What a report is written as.
ReportFormat = Literal["text", "html"]
REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
# What scikit-learn's check_random_state takes.
RandomState = int | np.random.RandomState | None


class VectorQuantizer(Protocol):
    """An estimator that turns vectors into codes, as an index takes it.

    A quantizer, or a Pipeline or FrozenEstimator that ends in one.
    """

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the parameters, for ``sklearn.base.clone``."""
        ...

    def fit(self, X: VectorsLike, y: None = None) -> Self:
        """Learn from vectors."""
        ...

    def transform(self, X: VectorsLike) -> np.ndarray:
        """Return the codes of vectors."""
        ...


class StepQuantizer(Protocol):
    """A quantizer whose code of one coordinate is a step function of its value.

    All that theory asks of a quantizer. One with ``magnitude == "row"`` sets the outer
    thresholds of each row to a multiple of the row's mean absolute deviation; what it
    offers here is then the value around which they concentrate.
    """

    def step_function(
        self, mean: ArrayLike, scale: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return thresholds (d, t) and levels (t + 1,) of normal coordinates."""
        ...
