"""What displays share: colors, axes to draw on, what to say without matplotlib."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito ("Color universal design", 2008): told apart by all kinds of color
# vision, and with enough contrast on white and on black alike.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GRAY = "0.5"
PALETTE = (BLUE, ORANGE, GREEN, PINK, "#56B4E9", "#E69F00")


def check_drawn(given: object, kind: type, method: str) -> None:
    """Refuse what a display cannot draw.

    Parameters
    ----------
    given : object
        What was passed.
    kind : type
        What can be drawn.
    method : str
        Who draws.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is an estimator that is not fitted.
    """
    if not isinstance(given, kind):
        fitted = "a fitted " if hasattr(kind, "fit") else "a "
        raise TypeError(
            f"{method} draws {fitted}{kind.__name__}. Got {type(given).__name__}."
        )
    if hasattr(kind, "fit"):
        check_is_fitted(given)


def require_matplotlib(display: object) -> None:
    """Refuse to plot where matplotlib is missing.

    Raises
    ------
    ImportError
        Naming the extra that brings it.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError(
            f"{type(display).__name__}.plot needs matplotlib. "
            "Install it with: pip install 'skbq[plot]'"
        ) from None


def _check_axes(display: object, axes: Sequence[object]) -> None:
    from matplotlib.axes import Axes

    for ax in axes:
        if not isinstance(ax, Axes):
            raise TypeError(
                f"{type(display).__name__} draws on Axes of matplotlib. Got "
                f"{type(ax).__name__} as ax."
            )


def one_axes(display: object, ax: "Axes | None") -> "Axes":
    """Return the axes to draw on, new ones if none are given."""
    require_matplotlib(display)
    if ax is not None:
        _check_axes(display, [ax])
        return ax
    from matplotlib import pyplot

    _, ax = pyplot.subplots(figsize=(6.4, 4.8), layout="constrained")
    return ax


def side_by_side(
    display: object,
    ax: "Axes | Sequence[Axes] | None",
    count: int,
    size: tuple[float, float] = (4.2, 3.6),
) -> list["Axes"]:
    """Return ``count`` axes in a row: new ones, those given, or parts of the one given.

    New ones are of ``size``, in inches.

    Raises
    ------
    TypeError
        If what is given are no axes.
    ValueError
        If several axes are given, but not ``count`` of them.
    """
    require_matplotlib(display)
    from matplotlib import pyplot
    from matplotlib.axes import Axes

    if ax is None:
        width, height = size
        whole = (width * count, height)
        _, axes = pyplot.subplots(1, count, figsize=whole, layout="constrained")
        return list(axes)
    if isinstance(ax, Axes):
        figure, place = ax.figure, ax.get_subplotspec()
        if place is None:
            raise ValueError(
                f"{type(display).__name__} draws {count} panels and cannot divide axes "
                f"that are no subplot. Pass {count} axes, or leave ax=None."
            )
        ax.set_axis_off()
        grid = place.subgridspec(1, count, wspace=0.35)
        return [figure.add_subplot(grid[0, i]) for i in range(count)]
    if not isinstance(ax, Iterable):
        _check_axes(display, [ax])
    axes = list(ax)
    if len(axes) != count:
        raise ValueError(
            f"{type(display).__name__} draws {count} panels. Got {len(axes)} axes: "
            f"pass {count}, one, or None."
        )
    _check_axes(display, axes)
    return axes
