"""DriftDisplay: how far each coordinate moved between old rows and new ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from .._advisor.advisor import QuantizationAdvisor
from .._advisor.drift import DriftResult
from .drawing import BLUE, GRAY, GREEN, ORANGE, check_drawn, side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Coordinates that are named in the picture.
_N_NAMED = 3


class DriftDisplay:
    """Picture of drift: changes of all coordinates and bits, in standard errors.

    Left, how the mean and the mean absolute deviation of each coordinate changed;
    right, the share of ones of each bit. What lies beyond the dashed lines is drift at
    the level of the test: for rows like the old ones, any change passes them with
    probability ``alpha`` at most. Make one by :meth:`from_estimator` or
    :meth:`from_result`.

    Parameters
    ----------
    result : DriftResult
        What ``advisor.check_drift(X)`` gave.

    Attributes
    ----------
    axes_ : list of 2 matplotlib Axes
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure

    See Also
    --------
    QuantizationAdvisor.check_drift : The test.

    Examples
    --------
    >>> from skbq import DriftDisplay, QuantizationAdvisor
    >>> from skbq.datasets import make_gaussian
    >>> X = make_gaussian(600, 32, random_state=0)
    >>> advisor = QuantizationAdvisor(target_recall=0.8, random_state=0).fit(X[:400])
    >>> display = DriftDisplay.from_estimator(advisor, X[400:] + 1)
    >>> display.result.drifted
    True
    """

    ax_: "Axes"
    axes_: list["Axes"]

    def __init__(self, *, result: DriftResult) -> None:
        self.result = result

    @classmethod
    def from_estimator(
        cls,
        advisor: QuantizationAdvisor,
        X: ArrayLike,
        *,
        alpha: float = 0.01,
        ax: "Axes | Sequence[Axes] | None" = None,
    ) -> Self:
        """Test new rows with a fitted advisor, and draw the outcome.

        Parameters
        ----------
        advisor : fitted QuantizationAdvisor
        X : array-like of shape (n_samples, n_features)
            New vectors, at least two.
        alpha : float, default=0.01
            Level of the test.
        ax : matplotlib Axes, sequence of 2 of them, or None, default=None
            Where to draw; one is divided in two, None makes a new figure.

        Returns
        -------
        display : DriftDisplay
        """
        check_drawn(advisor, QuantizationAdvisor, "DriftDisplay.from_estimator")
        return cls.from_result(advisor.check_drift(X, alpha=alpha), ax=ax)

    @classmethod
    def from_result(
        cls, result: DriftResult, *, ax: "Axes | Sequence[Axes] | None" = None
    ) -> Self:
        """Draw the outcome of a test.

        Parameters
        ----------
        result : DriftResult
            What ``advisor.check_drift(X)`` gave.
        ax : matplotlib Axes, sequence of 2 of them, or None, default=None
            Where to draw; one is divided in two, None makes a new figure.

        Returns
        -------
        display : DriftDisplay
        """
        check_drawn(result, DriftResult, "DriftDisplay.from_result")
        return cls(result=result).plot(ax=ax)

    def plot(self, *, ax: "Axes | Sequence[Axes] | None" = None) -> Self:
        """Draw both panels.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of 2 of them, or None, default=None
            Where to draw; one is divided in two, None makes a new figure.

        Returns
        -------
        self : DriftDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.axes_ = side_by_side(self, ax, 2)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        found = self.result
        left, right = self.axes_
        _scatter(left, found.mean_changes, "o", BLUE, "mean")
        _scatter(left, found.deviation_changes, "^", ORANGE, "mean absolute deviation")
        _scatter(right, found.bit_changes, "s", GREEN, "share of ones")
        self._name_coordinates(left)
        verdict = "Drift" if found.drifted else "No drift found"
        left.set(xlabel="coordinate", title=f"{verdict} (p = {found.p_value:.3g})")
        right.set(xlabel="bit", title="Bits of the recommended code")
        for panel in self.axes_:
            self._finish(panel)
        return self

    def _name_coordinates(self, ax: "Axes") -> None:
        """Write the numbers of the coordinates that changed most beside them."""
        found = self.result
        if not found.drifted:
            return
        for i in found.coordinates[:_N_NAMED]:
            both = (found.mean_changes[i], found.deviation_changes[i])
            ax.annotate(
                str(i),
                (i, max(both, key=abs)),
                xytext=(5, 2),
                textcoords="offset points",
            )

    def _finish(self, ax: "Axes") -> None:
        """Draw the critical lines; equal limits let the panels be compared."""
        found = self.result
        critical = found.critical_value
        for line in (-critical, critical):
            ax.axhline(line, color=GRAY, linestyle="--", linewidth=1)
        ax.annotate(
            f"level {found.alpha:g}",
            (1, critical),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 3),
            textcoords="offset points",
            ha="right",
            color=GRAY,
        )
        most = max(1.6 * critical, 1.15 * found.statistic)
        ax.set_ylim(-most, most)
        ax.set_ylabel("change (standard errors)")
        ax.legend(loc="lower right", fontsize="small")


def _scatter(
    ax: "Axes", changes: np.ndarray, marker: str, color: str, label: str
) -> None:
    ax.plot(
        np.arange(len(changes)),
        changes,
        marker,
        color=color,
        markersize=4,
        alpha=0.7,
        label=label,
    )
