"""Charts draw values where they belong, and say in words what they show."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skbq._html.charts import Axis, Chart, Guide, Series
from skbq._html.page import piece


def chart(series, **axes):
    x = axes.get("x", Axis("bytes", 1, 100, is_log=True))
    return Chart("a < b", "caption", "described", x, Axis("recall", 0.0, 1.0), series)


def test_values_lie_between_the_ends_of_the_axes():
    drawn = chart([])
    assert_allclose(drawn.x_at([1, 10, 100]), np.linspace(drawn.left, drawn.right, 3))
    assert_allclose(drawn.y_at([0, 0.5, 1]), np.linspace(drawn.bottom, drawn.top, 3))
    assert_allclose(drawn.y_at([-1, 2]), [drawn.bottom, drawn.top])


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", 0.63, 1.005), [0.7, 0.8, 0.9, 1]),
        (Axis("", 1, 384), [100, 200, 300]),
        (Axis("", 1, 50, is_log=True), [1, 2, 5, 10, 20, 50]),
        (Axis("", 41, 49, is_log=True), [41, 49]),
    ],
)
def test_ticks_are_round(axis, expected):
    assert_allclose(axis.ticks(), expected)


def test_numbers_below_an_axis_stand_apart():
    ticks = chart([], x=Axis("", 1, 1e5, is_log=True)).x_ticks
    assert np.diff([tick.at for tick in ticks]).min() > 30


def test_axes_hold_values_that_are_equal_or_missing():
    assert Axis.around("", [2.0, 2.0]).low < 2 < Axis.around("", [2.0, 2.0]).high
    assert Axis.around("", [np.nan]).high > Axis.around("", [np.inf]).low


def test_svg_of_curves_and_points():
    x = [1, 10, 100]
    drawn = chart(
        [
            Series(
                "curve", x, [0, 0.5, 1], [0, 0.4, 0.9], [0.1, 0.6, 1], is_marked=True
            ),
            Series("point", [10], [0.5], [0.4], [0.6], 1, is_light=True, is_line=False),
        ]
    )
    html = piece("profile.html", head="h", figures=[], charts=[drawn], texts=[])
    (line,) = re.findall(r'skbq-line skbq-strong" d="M([^"]+)"', html)
    points = np.array([pair.split() for pair in line.split("L")], dtype=float)
    assert_allclose(points[:, 0], drawn.x_at(x), atol=0.06)
    assert html.count('class="skbq-band"') == html.count('class="skbq-bar"') == 1
    assert html.count("<circle") == 2  # the point, and that of the legend
    assert 'aria-label="described"' in html
    assert "a &lt; b" in html
    assert "<script" not in html


def test_guides():
    drawn = chart([])
    across = drawn.guide(Guide(0.5, ""))
    assert across["y1"] == across["y2"] == pytest.approx(drawn.y_at(0.5), abs=0.06)
    up = drawn.guide(Guide(10, "", is_vertical=True))
    assert up["x1"] == up["x2"] == pytest.approx(drawn.x_at(10), abs=0.06)
