"""Pictures show the figures they are made of."""

import builtins

import numpy as np
import pytest
from matplotlib import pyplot

from skbq import (
    DriftDisplay,
    FidelityDisplay,
    HeterogeneityDisplay,
    HeterogeneityProfiler,
    QuantizationAdvisor,
    RecallDisplay,
)
from skbq._advisor.bytes_curve import BytesPoint, bytes_curve
from skbq._advisor.drift import compare_rows
from skbq._advisor.recall_curve import Curve
from skbq._utils.estimate import Estimate


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
        f"prediction does not hold ({(~valid).sum()})",
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


def curve(strategy, recalls):
    grid = np.array([1.0, 2.0, 5.0, 10.0])
    value = np.asarray(recalls)
    return Curve(grid, value, value - 0.02, np.minimum(value + 0.02, 1), 1000, 100)


def bytes_point(n_bytes, strategy, query, family, recall):
    estimate = Estimate(recall, recall - 0.02, recall + 0.02, 0.9)
    return BytesPoint(n_bytes, strategy, query, family, estimate, 3.0, estimate)


@pytest.fixture
def measured():
    """What an advisor measured, as far as the display reads it."""
    points = [
        bytes_point(48, "one", "codes", "1 bit", 0.6),
        bytes_point(56, "one float", "vectors", "1 bit", 0.7),
        bytes_point(64, "axes", "vectors", "PCA", 0.75),
        bytes_point(96, "axes, more", "vectors", "PCA", 0.85),
        bytes_point(97, "two", "codes", "2 bits", 0.8),
    ]
    over_bytes = bytes_curve(
        points,
        target_recall=0.9,
        n_neighbors=10,
        n_rows=1000,
        n_queries=100,
        is_measured=True,
    )
    advisor = QuantizationAdvisor()
    advisor.bytes_curve_ = over_bytes
    advisor.recommended_ = {"strategy": "one float"}
    advisor.recall_curves_ = {
        p.strategy: curve(p.strategy, np.linspace(p.recall.value, 1, 4)) for p in points
    }
    return advisor


def test_recall_over_oversampling(measured):
    display = RecallDisplay.from_estimator(measured)
    left, _ = display.axes_
    drawn = {line.get_label(): line for line in left.lines}
    names = [name for name in drawn if not name.startswith("_")]
    # Of the two codes of principal axes the one nearer in bytes to the recommended.
    assert names == ["one (48)", "one float (56)", "axes (64)", "two (97)"]
    bold = drawn["one float (56)"]
    np.testing.assert_array_equal(
        bold.get_ydata(), measured.recall_curves_["one float"].recall
    )
    assert bold.get_linewidth() > drawn["axes (64)"].get_linewidth()
    assert drawn["one (48)"].get_linestyle() == "--"
    assert bold.get_linestyle() == "-"
    assert bold.get_color() == drawn["one (48)"].get_color()
    assert len(left.collections) == 4  # a band around each


def test_recall_over_bytes(measured):
    display = RecallDisplay.from_estimator(measured)
    right = display.axes_[1]
    (best,) = (x for x in right.lines if x.get_drawstyle() == "steps-post")
    np.testing.assert_array_equal(best.get_xdata(), [48, 56, 64, 96, 97])
    np.testing.assert_allclose(best.get_ydata(), [0.6, 0.7, 0.75, 0.85, 0.85])
    legend = [text.get_text() for text in right.get_legend().get_texts()]
    assert legend.count("PCA, asymmetric") == 1
    assert {"1 bit, symmetric", "2 bits, symmetric", "recommended"} <= set(legend)


def test_recall_of_strategies_by_name(measured):
    display = RecallDisplay.from_estimator(measured, strategies=["axes, more"])
    assert [drawn.point.bytes_per_row for drawn in display.curves] == [96]
    with pytest.raises(ValueError, match=r"among.*'one float'.*Got \['three'\]"):
        RecallDisplay.from_estimator(measured, strategies=["three"])


def drift_of(shift):
    rng = np.random.default_rng(0)
    old, new = rng.standard_normal((2, 400, 5))
    new = new + np.array(shift)
    bits = np.concatenate([old, new]) > 0
    return compare_rows(old, new, bits, 0.01, 199, np.random.RandomState(0))


def test_drift_shows_what_moved_and_names_it():
    result = drift_of([0, 0, 1.0, 0, 0])
    display = DriftDisplay.from_result(result)
    left, right = display.axes_
    means, deviations, *lines = left.lines
    np.testing.assert_array_equal(means.get_ydata(), result.mean_changes)
    np.testing.assert_array_equal(deviations.get_ydata(), result.deviation_changes)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), result.bit_changes)
    assert [line.get_ydata()[0] for line in lines] == [
        -result.critical_value,
        result.critical_value,
    ]
    assert "Drift (p = " in left.get_title()
    assert "2" in [text.get_text() for text in left.texts]
    low, high = left.get_ylim()
    assert low < -result.critical_value
    assert high > result.statistic


def test_no_drift_names_nothing():
    display = DriftDisplay.from_result(drift_of([0] * 5))
    assert "No drift found" in display.ax_.get_title()
    assert [text.get_text() for text in display.ax_.texts] == ["level 0.01"]


def test_drift_of_new_rows(measured, monkeypatch):
    levels = []

    def check_drift(X, alpha):
        levels.append(alpha)
        return drift_of(X)

    monkeypatch.setattr(measured, "check_drift", check_drift, raising=False)
    display = DriftDisplay.from_estimator(measured, [1.0] * 5, alpha=0.05)
    assert display.result.drifted
    assert levels == [0.05]
