"""RecallDisplay: what recall more reading and more bytes of a row buy."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from .._advisor.advisor import QuantizationAdvisor
from .._advisor.bytes_curve import FAMILIES, BytesCurve, BytesPoint
from .._advisor.recall_curve import Curve
from .drawing import GRAY, PALETTE, check_drawn, side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Marks of a decade, evenly spaced on a logarithmic axis.
_TICKS = (1, 2, 5)


class DrawnCurve(NamedTuple):
    """Recall of a strategy by oversampling, and what the strategy takes."""

    point: BytesPoint
    curve: Curve


class RecallDisplay:
    """Picture of recall: against oversampling, and against bytes of a row.

    Left, what reranking buys: recall with so many candidates read for each neighbor,
    of a strategy for each kind of code, near in bytes to the recommended one, with
    intervals. Right, what memory buys: recall without reranking of every strategy that
    was compared, with intervals; the line is the best at or below so many bytes, the
    ring is around the recommended code. Colors tell codes apart; dashed lines and
    hollow points are symmetric search (queries are encoded too), solid and filled ones
    asymmetric search. Make one by :meth:`from_estimator`.

    Parameters
    ----------
    curves : sequence of DrawnCurve
        Strategies of the left panel, with their recall by oversampling.
    bytes_curve : BytesCurve
        Recall over bytes, as ``advisor.bytes_curve_`` is.
    recommended : str, default=None
        The recommended strategy in words, which is drawn to be found first.

    Attributes
    ----------
    axes_ : list of 2 matplotlib Axes
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure

    See Also
    --------
    QuantizationAdvisor : Measures what is drawn.

    Examples
    --------
    >>> from skbq import QuantizationAdvisor, RecallDisplay
    >>> from skbq.datasets import make_gaussian
    >>> X = make_gaussian(400, 32, random_state=0)
    >>> advisor = QuantizationAdvisor(target_recall=0.8, random_state=0).fit(X)
    >>> display = RecallDisplay.from_estimator(advisor)
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['oversampling', 'bytes per row']
    """

    ax_: "Axes"
    axes_: list["Axes"]

    def __init__(
        self,
        *,
        curves: Sequence[DrawnCurve],
        bytes_curve: BytesCurve,
        recommended: str | None = None,
    ) -> None:
        self.curves = curves
        self.bytes_curve = bytes_curve
        self.recommended = recommended

    @classmethod
    def from_estimator(
        cls,
        advisor: QuantizationAdvisor,
        *,
        strategies: Sequence[str] | None = None,
        ax: "Axes | Sequence[Axes] | None" = None,
    ) -> Self:
        """Draw what a fitted advisor measured.

        Parameters
        ----------
        advisor : fitted QuantizationAdvisor
        strategies : sequence of str, default=None
            Those of the left panel, in words, of
            ``advisor.bytes_curve_.columns()["strategy"]``. None: of each kind of code
            and of search the one that is nearest in bytes to the recommended one.
        ax : matplotlib Axes, sequence of 2 of them, or None, default=None
            Where to draw; one is divided in two, None makes a new figure.

        Returns
        -------
        display : RecallDisplay

        Raises
        ------
        TypeError
            If strategies are no sequence of str.
        ValueError
            If there are none, or one is not among those compared.
        """
        check_drawn(advisor, QuantizationAdvisor, "RecallDisplay.from_estimator")
        bytes_curve = advisor.bytes_curve_
        recommended = advisor.recommended_["strategy"]
        if strategies is None:
            points = bytes_curve.near(recommended)
        else:
            points = _named(strategies, bytes_curve)
        curves = [DrawnCurve(p, advisor.recall_curves_[p.strategy]) for p in points]
        display = cls(curves=curves, bytes_curve=bytes_curve, recommended=recommended)
        return display.plot(ax=ax)

    def plot(self, *, ax: "Axes | Sequence[Axes] | None" = None) -> Self:
        """Draw both panels.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of 2 of them, or None, default=None
            Where to draw; one is divided in two, None makes a new figure.

        Returns
        -------
        self : RecallDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.axes_ = side_by_side(self, ax, 2, size=(5.4, 5.2))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self._draw_oversampling(self.axes_[0])
        self._draw_bytes(self.axes_[1])
        return self

    def _draw_oversampling(self, ax: "Axes") -> None:
        for point, curve in self.curves:
            color = _color(point)
            ax.plot(
                curve.oversampling,
                curve.recall,
                color=color,
                linestyle="--" if point.query == "codes" else "-",
                linewidth=3 if point.strategy == self.recommended else 1.5,
                label=f"{point.strategy} ({point.bytes_per_row})",
            )
            ax.fill_between(
                curve.oversampling, curve.low, curve.high, color=color, alpha=0.15, lw=0
            )
        self._finish(ax, "oversampling", "What reranking buys", target_at="right")
        # Below, as names are long and curves take the corners.
        ax.legend(
            title="strategy (bytes per row)",
            loc="upper left",
            bbox_to_anchor=(0, -0.15),
            fontsize="small",
            frameon=False,
        )

    def _draw_bytes(self, ax: "Axes") -> None:
        best = self.bytes_curve
        ax.step(best.bytes_per_row, best.recall, where="post", color=GRAY, linewidth=1)
        said = set()
        for point in best.measured:
            search = "symmetric" if point.query == "codes" else "asymmetric"
            kind = f"{point.family}, {search}"
            low, high = point.recall.interval
            ax.errorbar(
                [point.bytes_per_row],
                [point.recall.value],
                yerr=[[point.recall.value - low], [high - point.recall.value]],
                fmt="o",
                color=_color(point),
                markerfacecolor="none" if point.query == "codes" else _color(point),
                elinewidth=1,
                label="_" * (kind in said) + kind,
            )
            said.add(kind)
            if point.strategy == self.recommended:
                ax.plot(
                    [point.bytes_per_row],
                    [point.recall.value],
                    "o",
                    markersize=13,
                    markerfacecolor="none",
                    color=GRAY,
                    label="recommended",
                )
        title = "What memory buys, without reranking"
        self._finish(ax, "bytes per row", title, target_at="left")
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.15),
            fontsize="small",
            frameon=False,
            ncols=2,
        )

    def _finish(
        self,
        ax: "Axes",
        xlabel: str,
        title: str,
        *,
        target_at: Literal["left", "right"],
    ) -> None:
        """Name the axes, and mark the target; round numbers along a log scale."""
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        target = self.bytes_curve.target_recall
        ax.axhline(target, color=GRAY, linestyle=":", linewidth=1)
        ax.annotate(
            f"target {target:g}",
            (0.01 if target_at == "left" else 0.99, target),
            xycoords=("axes fraction", "data"),
            xytext=(0, -3),
            textcoords="offset points",
            ha=target_at,
            va="top",
            color=GRAY,
        )
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=_TICKS))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(top=1.01)
        ax.set(
            xlabel=xlabel,
            ylabel=f"recall@{self.bytes_curve.n_neighbors}",
            title=title,
        )


def _color(point: BytesPoint) -> str:
    return PALETTE[FAMILIES.index(point.family)]


def _named(strategies: Sequence[str], bytes_curve: BytesCurve) -> list[BytesPoint]:
    is_many = isinstance(strategies, Iterable) and not isinstance(strategies, str)
    if not is_many or not all(isinstance(name, str) for name in strategies):
        raise TypeError(
            "The 'strategies' parameter of RecallDisplay.from_estimator must be a "
            f"sequence of str. Got {strategies!r} instead."
        )
    known = {point.strategy: point for point in bytes_curve.measured}
    wrong = [name for name in strategies if name not in known]
    if wrong or not list(strategies):
        raise ValueError(
            "strategies must be among those that were compared, one at least: "
            f"{list(known)}. Got {wrong}."
        )
    return [known[name] for name in strategies]
