"""HeterogeneityDisplay: what decides how well binary codes of vectors work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from .._profiling.profiler import HeterogeneityProfiler
from .._utils.statistics import principal_variances
from .drawing import BLUE, GRAY, ORANGE, check_drawn, side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class HeterogeneityDisplay:
    """Picture of how variance is spread over coordinates and over directions.

    Three panels: the standard deviations of the coordinates, largest first, beside
    their mean (flat: homogeneous coordinates); the entropy of each coordinate's sign
    bit about 0, which is 1 for a bit that splits the rows in half; and the cumulative
    share of variance over principal directions, with the effective dimension marked.
    Make one by :meth:`from_estimator`.

    Parameters
    ----------
    scale : ndarray of shape (n_features,)
        Standard deviation of each coordinate.
    sign_entropy : ndarray of shape (n_features,)
        Entropy of each sign bit about 0, in bits.
    explained_variance : ndarray of shape (n_features,)
        Eigenvalues of the covariance, largest first.
    heterogeneity : float
        Standard deviation over mean of ``scale``.
    effective_dimension : float
        ``tr(Sigma)^2 / tr(Sigma^2)``.

    Attributes
    ----------
    axes_ : list of 3 matplotlib Axes
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure

    See Also
    --------
    HeterogeneityProfiler : The figures, and what they mean in words.

    Examples
    --------
    >>> from skbq import HeterogeneityDisplay, HeterogeneityProfiler
    >>> from skbq.datasets import load_wordnet_minilm
    >>> X = load_wordnet_minilm().data
    >>> profiler = HeterogeneityProfiler(random_state=0).fit(X)
    >>> display = HeterogeneityDisplay.from_estimator(profiler)
    >>> len(display.axes_)
    3
    """

    ax_: "Axes"
    axes_: list["Axes"]

    def __init__(
        self,
        *,
        scale: NDArray[np.float64],
        sign_entropy: NDArray[np.float64],
        explained_variance: NDArray[np.float64],
        heterogeneity: float,
        effective_dimension: float,
    ) -> None:
        self.scale = scale
        self.sign_entropy = sign_entropy
        self.explained_variance = explained_variance
        self.heterogeneity = heterogeneity
        self.effective_dimension = effective_dimension

    @classmethod
    def from_estimator(
        cls,
        profiler: HeterogeneityProfiler,
        *,
        ax: "Axes | Sequence[Axes] | None" = None,
    ) -> Self:
        """Draw the figures of a fitted profiler.

        Parameters
        ----------
        profiler : fitted HeterogeneityProfiler
        ax : matplotlib Axes, sequence of 3 of them, or None, default=None
            Where to draw; one is divided in three, None makes a new figure.

        Returns
        -------
        display : HeterogeneityDisplay
        """
        check_drawn(
            profiler, HeterogeneityProfiler, "HeterogeneityDisplay.from_estimator"
        )
        display = cls(
            scale=profiler.scale_,
            sign_entropy=profiler.sign_entropies_,
            explained_variance=principal_variances(profiler.covariance_),
            heterogeneity=profiler.heterogeneity_,
            effective_dimension=profiler.effective_dimension_,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: "Axes | Sequence[Axes] | None" = None) -> Self:
        """Draw the three panels.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of 3 of them, or None, default=None
            Where to draw; one is divided in three, None makes a new figure.

        Returns
        -------
        self : HeterogeneityDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.axes_ = side_by_side(self, ax, 3)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._draw_scales(self.axes_[0])
        self._draw_signs(self.axes_[1])
        self._draw_directions(self.axes_[2])
        return self

    def _draw_scales(self, ax: "Axes") -> None:
        rank = np.arange(1, len(self.scale) + 1)
        ax.plot(rank, np.sort(self.scale)[::-1], color=BLUE)
        ax.axhline(self.scale.mean(), color=GRAY, linestyle="--", linewidth=1)
        ax.annotate(
            "mean", (rank[-1], self.scale.mean()), ha="right", va="bottom", color=GRAY
        )
        ax.set_ylim(bottom=0)
        ax.set(
            xlabel="coordinate, widest first",
            ylabel="standard deviation",
            title=f"Heterogeneity {self.heterogeneity:.2f}",
        )

    def _draw_signs(self, ax: "Axes") -> None:
        rank = np.arange(1, len(self.sign_entropy) + 1)
        ax.plot(rank, np.sort(self.sign_entropy)[::-1], color=BLUE)
        ax.set_ylim(-0.02, 1.05)
        ax.set(
            xlabel="coordinate, most informative first",
            ylabel="entropy of the sign (bits)",
            title=f"Sign entropy {self.sign_entropy.mean():.3f}",
        )

    def _draw_directions(self, ax: "Axes") -> None:
        total = self.explained_variance.sum()
        share = np.cumsum(self.explained_variance) / (total if total > 0 else 1.0)
        ax.plot(np.arange(1, len(share) + 1), share, color=BLUE)
        title = "No variance"
        if np.isfinite(self.effective_dimension):
            ax.axvline(self.effective_dimension, color=ORANGE, linestyle="--")
            title = (
                f"Effective dimension {self.effective_dimension:.0f} of {len(share)}"
            )
        ax.set_ylim(0, 1.05)
        ax.set(
            xlabel="principal direction",
            ylabel="cumulative share of variance",
            title=title,
        )
