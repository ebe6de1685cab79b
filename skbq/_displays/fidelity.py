"""FidelityDisplay: predicted ranking fidelity against the measured one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from .._profiling.profiler import HeterogeneityProfiler
from .drawing import BLUE, GRAY, ORANGE, check_drawn, one_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of error bars, as everywhere in the advisor.
_CONFIDENCE = 0.9


class FidelityDisplay:
    """Picture of predicted against measured ranking fidelity, strategy by strategy.

    On the diagonal a prediction is exact. A filled circle is a prediction that agrees
    with the sample, a cross one that does not hold for these vectors. Bars
    are the measured value's interval. Make one by :meth:`from_estimator` or
    :meth:`from_predictions`.

    Parameters
    ----------
    measured, predicted : array-like of shape (n_strategies,)
        Spearman correlations.
    valid : array-like of shape (n_strategies,), dtype bool
        Whether each prediction holds.
    half_width : array-like of shape (n_strategies,), default=None
        Half width of the interval of each measured value.
    names : sequence of str, default=None
        Strategies in words.
    confidence : float, default=0.9
        Level of the intervals.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    HeterogeneityProfiler.predict_fidelity : The table that is drawn.

    Examples
    --------
    >>> from skbq import FidelityDisplay, HeterogeneityProfiler
    >>> from skbq.datasets import make_gaussian
    >>> X = make_gaussian(1000, 32, random_state=0)
    >>> profiler = HeterogeneityProfiler(random_state=0).fit(X)
    >>> display = FidelityDisplay.from_estimator(profiler)
    >>> display.ax_.get_xlabel()
    'measured fidelity'
    """

    ax_: "Axes"

    def __init__(
        self,
        *,
        measured: ArrayLike,
        predicted: ArrayLike,
        valid: ArrayLike,
        half_width: ArrayLike | None = None,
        names: Sequence[str] | None = None,
        confidence: float = _CONFIDENCE,
    ) -> None:
        self.measured = np.asarray(measured, dtype=np.float64)
        self.predicted = np.asarray(predicted, dtype=np.float64)
        self.valid = np.asarray(valid, dtype=bool)
        self.half_width = None if half_width is None else np.asarray(half_width)
        self.names = names
        self.confidence = confidence

    @classmethod
    def from_estimator(
        cls,
        profiler: HeterogeneityProfiler,
        *,
        metric: Literal["cosine", "euclidean", "inner_product"] = "cosine",
        ax: "Axes | None" = None,
    ) -> Self:
        """Predict with a fitted profiler, check on its sample, and draw both.

        Parameters
        ----------
        profiler : fitted HeterogeneityProfiler
        metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
            What the vectors are compared by.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : FidelityDisplay
        """
        check_drawn(profiler, HeterogeneityProfiler, "FidelityDisplay.from_estimator")
        return cls.from_predictions(profiler.predict_fidelity(metric=metric), ax=ax)

    @classmethod
    def from_predictions(
        cls, table: Mapping[str, ArrayLike], *, ax: "Axes | None" = None
    ) -> Self:
        """Draw a table that :meth:`HeterogeneityProfiler.predict_fidelity` gave.

        Parameters
        ----------
        table : mapping of str to array-like
            With ``predicted_fidelity``, ``sampled_fidelity``, ``standard_error``,
            ``valid`` and ``strategy``; a DataFrame of it, too.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : FidelityDisplay

        Raises
        ------
        TypeError
            If the table is no mapping.
        ValueError
            If a column is missing.
        """
        if not hasattr(table, "keys"):
            raise TypeError(
                "FidelityDisplay.from_predictions draws a mapping of columns. Got "
                f"{type(table).__name__}."
            )
        needed = (
            "sampled_fidelity",
            "predicted_fidelity",
            "valid",
            "standard_error",
            "strategy",
        )
        missing = [name for name in needed if name not in table]
        if missing:
            raise ValueError(
                f"The table lacks {missing}: pass what predict_fidelity() gives. Got "
                f"the columns {list(table)}."
            )
        display = cls(
            measured=table["sampled_fidelity"],
            predicted=table["predicted_fidelity"],
            valid=table["valid"],
            half_width=ndtri(0.5 + _CONFIDENCE / 2)
            * np.asarray(table["standard_error"], dtype=np.float64),
            names=[str(name) for name in np.asarray(table["strategy"])],
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw predicted against measured fidelity.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self : FidelityDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        ax = one_axes(self, ax)
        self.ax_, self.figure_ = ax, ax.figure
        low = min(self.measured.min(), self.predicted.min())
        ax.axline((low, low), slope=1, color=GRAY, linewidth=1, zorder=0)
        kinds = (
            (self.valid, "o", BLUE, "prediction holds"),
            (~self.valid, "x", ORANGE, "prediction does not hold"),
        )
        for rows, marker, color, label in kinds:
            if not rows.any():
                continue
            ax.errorbar(
                self.measured[rows],
                self.predicted[rows],
                xerr=None if self.half_width is None else self.half_width[rows],
                fmt=marker,
                color=color,
                markersize=6,
                elinewidth=1,
                label=f"{label} ({rows.sum()})",
            )
        title = "Ranking fidelity (Spearman)"
        if self.half_width is not None:
            title += f", {self.confidence:.0%} intervals"
        ax.set(xlabel="measured fidelity", ylabel="predicted fidelity", title=title)
        ax.set_aspect("equal", adjustable="datalim")
        ax.legend(loc="upper left")
        return self
