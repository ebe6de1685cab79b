"""Pictures show the figures they are made of."""

import builtins

import numpy as np
import pytest
from matplotlib import pyplot

from skbq import FidelityDisplay, HeterogeneityDisplay, HeterogeneityProfiler


@pytest.fixture(scope="module")
def profiler():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 6)) * [3, 2, 1, 1, 0.5, 0] + [0, 0, 5, 0, 0, 1]
    return HeterogeneityProfiler(random_state=0).fit(X)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def test_heterogeneity_panels(profiler):
    display = HeterogeneityDisplay.from_estimator(profiler)
    scales, signs, directions = (ax.lines[0].get_ydata() for ax in display.axes_)
    np.testing.assert_allclose(scales, np.sort(profiler.scale_)[::-1])
    assert signs.mean() == pytest.approx(profiler.sign_entropy_)
    assert directions[-1] == pytest.approx(1)
    eigenvalues = np.linalg.eigvalsh(profiler.covariance_)[::-1]
    np.testing.assert_allclose(directions[0], eigenvalues[0] / eigenvalues.sum())
    marked = display.axes_[2].lines[1].get_xdata()[0]
    assert marked == pytest.approx(profiler.effective_dimension_)
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure


def test_heterogeneity_on_axes_given(profiler):
    figure, ax = pyplot.subplots()
    one = HeterogeneityDisplay.from_estimator(profiler, ax=ax)
    assert one.figure_ is figure
    assert len(one.axes_) == 3
    _, three = pyplot.subplots(1, 3)
    assert HeterogeneityDisplay.from_estimator(profiler, ax=three).axes_ == list(three)
    with pytest.raises(ValueError, match="3 panels. Got 2 axes"):
        one.plot(ax=list(three[:2]))
    with pytest.raises(ValueError, match="no subplot"):
        one.plot(ax=pyplot.figure().add_axes((0, 0, 1, 1)))


def test_vectors_without_variance():
    profiler = HeterogeneityProfiler().fit(np.ones((5, 3)))
    display = HeterogeneityDisplay.from_estimator(profiler)
    assert display.axes_[2].get_title() == "No variance"


def test_fidelity_shows_what_holds_and_what_does_not(profiler):
    table = profiler.predict_fidelity()
    table["valid"] = np.arange(len(table["valid"])) % 4 > 0
    display = FidelityDisplay.from_predictions(table)
    holds, fails = (c.lines[0] for c in display.ax_.containers)
    valid = table["valid"]
    np.testing.assert_array_equal(holds.get_xdata(), table["sampled_fidelity"][valid])
    np.testing.assert_array_equal(
        fails.get_ydata(), table["predicted_fidelity"][~valid]
    )
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [
        f"prediction holds ({valid.sum()})",
        f"not to be believed here ({(~valid).sum()})",
    ]
    assert "90% intervals" in display.ax_.get_title()


def test_fidelity_on_axes_given(profiler):
    _, ax = pyplot.subplots()
    display = FidelityDisplay.from_estimator(profiler, ax=ax)
    assert display.ax_ is ax


def test_fidelity_names_missing_columns():
    with pytest.raises(ValueError, match=r"lacks \['sampled_fidelity'.*\['valid'\]"):
        FidelityDisplay.from_predictions({"valid": [True]})


def test_the_extra_is_named_where_matplotlib_is_missing(profiler, monkeypatch):
    display = HeterogeneityDisplay.from_estimator(profiler)
    find = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"HeterogeneityDisplay.*skbq\[plot\]"):
        display.plot()
