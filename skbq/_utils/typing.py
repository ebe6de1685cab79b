"""Types that several rooms name: what a quantizer has to offer."""

from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
# What vectors are compared by, everywhere.
Metric = Literal["cosine", "euclidean", "inner_product"]
METRICS: tuple[Metric, ...] = get_args(Metric)
# How many times as many candidates as neighbors are reranked; None: no reranking.
Oversampling = float | Literal["bound"] | None
# What scikit-learn's check_random_state takes.
RandomState = int | np.random.RandomState | None


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
