"""Charts of curves and points, laid out for the template that writes them as SVG.

Lines are told apart by color and dash, points by color and fill, so that no reading
hangs on color alone. Text and axes take the color of the page around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor, log10

import numpy as np
from numpy.typing import ArrayLike

# Of the drawing, in units that a phone of 390 px shows at 0.8 px each: text of 14 stays
# readable there.
WIDTH, HEIGHT = 460.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 12.0, 48.0
# More marks than about five collide on a phone.
_N_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes
    ----------
    label : str
    low, high : float
        Its ends.
    is_log : bool
        Whether its scale is logarithmic.
    """

    label: str
    low: float
    high: float
    is_log: bool = False

    @classmethod
    def around(cls, label: str, values: ArrayLike, *, is_log: bool = False) -> "Axis":
        """Make an axis that holds all finite values, with some air."""
        finite = np.asarray(values, dtype=np.float64).ravel()
        finite = finite[np.isfinite(finite)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        if is_log:
            return cls(label, float(low) / 1.15, float(high) * 1.15, True)
        air = 0.04 * (high - low) or 0.5
        return cls(label, float(low - air), float(high + air))

    def share(self, values: ArrayLike) -> np.ndarray:
        """Return how far along the axis values are, from 0 to 1."""
        v = np.asarray(values, dtype=np.float64)
        if self.is_log:
            low, high, v = log10(self.low), log10(self.high), np.log10(v)
        else:
            low, high = self.low, self.high
        return (v - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return round numbers along the axis."""
        if self.is_log:
            first, last = floor(log10(self.low)), floor(log10(self.high))
            round_numbers = [
                m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)
            ]
            inside = [t for t in round_numbers if self.low <= t <= self.high]
            if len(inside) > 1:
                return inside
            return [self.low, self.high]
        step = 10 ** floor(log10((self.high - self.low) / _N_TICKS))
        for m in (1, 2, 5, 10):
            if (self.high - self.low) / (m * step) <= _N_TICKS + 1:
                step *= m
                break
        first = int(np.ceil(self.low / step - 1e-9))
        last = int(np.floor(self.high / step + 1e-9))
        return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class Series:
    """A curve, or points.

    Attributes
    ----------
    name : str
        For the legend; "" leaves it out.
    x, y : array-like of float of shape (n_points,)
    low, high : array-like of float of shape (n_points,), or None
        Limits: a band around a curve, a bar through a point.
    color : int
        Its number among the colors, from 0 to 3; 4 is that of the text.
    is_light : bool
        Dashed, or hollow.
    is_line : bool
        A curve; else points.
    is_marked : bool
        Drawn larger, to be found first.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    color: int = 0
    is_light: bool = False
    is_line: bool = True
    is_marked: bool = False


@dataclass(frozen=True)
class Guide:
    """A dashed line across the chart, at one value of one axis.

    ``at_start`` says whether a label of a level line stands at its left end.
    """

    value: float
    label: str
    is_vertical: bool = False
    at_start: bool = False


@dataclass(frozen=True)
class Tick:
    """Where a tick is drawn, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes
    ----------
    title : str
        What it shows.
    caption : str
        How to read it.
    description : str
        The same in words and figures, for those who do not see it.
    x, y : Axis
    series : sequence of Series
    guides : sequence of Guide
    """

    title: str
    caption: str
    description: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    guides: Sequence[Guide] = field(default_factory=tuple)

    width, height = WIDTH, HEIGHT
    left, right, top = _LEFT, WIDTH - _RIGHT, _TOP
    bottom = HEIGHT - _BOTTOM

    def x_at(self, values: ArrayLike) -> np.ndarray:
        """Return where values of x are drawn."""
        return self.left + self.x.share(values) * (self.right - self.left)

    def y_at(self, values: ArrayLike) -> np.ndarray:
        """Return where values of y are drawn; what is beyond an end, at that end."""
        share = np.clip(self.y.share(values), 0.0, 1.0)
        return self.bottom - share * (self.bottom - self.top)

    @property
    def x_ticks(self) -> list[Tick]:
        """Ticks of x, few enough for their numbers to stand side by side."""
        found = [Tick(float(self.x_at(t)), f"{t:g}") for t in self.x.ticks()]
        return _apart(found)

    @property
    def y_ticks(self) -> list[Tick]:
        """Ticks of y."""
        return [Tick(float(self.y_at(t)), f"{t:.4g}") for t in self.y.ticks()]

    @property
    def legend(self) -> list[Series]:
        """The series that have a name."""
        return [series for series in self.series if series.name]

    def path(self, series: Series) -> str:
        """Return a curve as the ``d`` of an SVG path."""
        return "M" + "L".join(self._points(series.x, series.y))

    def band(self, series: Series) -> str:
        """Return the limits of a curve as the ``d`` of a closed SVG path."""
        assert series.low is not None
        assert series.high is not None
        there = self._points(series.x, series.low)
        back = self._points(series.x, series.high)[::-1]
        return "M" + "L".join([*there, *back]) + "Z"

    def places(self, series: Series) -> list[dict[str, float]]:
        """Return where each point of a series is drawn, and its limits."""
        y = np.asarray(series.y, dtype=np.float64)
        low = y if series.low is None else series.low
        high = y if series.high is None else series.high
        return [
            dict(zip(("x", "y", "low", "high"), map(_round, place), strict=True))
            for place in zip(
                self.x_at(series.x),
                self.y_at(y),
                self.y_at(low),
                self.y_at(high),
                strict=True,
            )
        ]

    def guide(self, guide: Guide) -> dict[str, float]:
        """Return the ends of a guide."""
        if guide.is_vertical:
            x = _round(float(self.x_at(guide.value)))
            return {"x1": x, "x2": x, "y1": self.top, "y2": self.bottom}
        y = _round(float(self.y_at(guide.value)))
        return {"x1": self.left, "x2": self.right, "y1": y, "y2": y}

    def _points(self, x: ArrayLike, y: ArrayLike) -> list[str]:
        return [
            f"{_round(a):g} {_round(b):g}"
            for a, b in zip(self.x_at(x), self.y_at(y), strict=True)
        ]


def _round(value: float) -> float:
    return round(float(value), 1)


# Units between two numbers below an axis.
_APART = 34.0


def _apart(ticks: list[Tick]) -> list[Tick]:
    """Leave out ticks that would stand too near to the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at >= _APART:
            kept.append(tick)
    return kept
