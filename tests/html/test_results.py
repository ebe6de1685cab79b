"""Results and profiles as HTML say what their text says."""

import numpy as np
import pytest

from skbq import BinaryNeighbors, BinaryQuantizer, HeterogeneityProfiler
from skbq._advisor.drift import compare_rows
from skbq.exports import ENGINES, export
from skbq.metrics import RankingFidelityScorer
from skbq.metrics._fidelity_report import FidelityReport

RECOMMENDATION = {
    "center": True,
    "rotate": False,
    "bits": 1,
    "query": "codes",
    "oversampling": 4.0,
    "metric": "cosine",
    "n_features": 384,
    "n_neighbors": 10,
}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((300, 12)).astype(np.float32)


def test_profile(X):
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    shown, page = profiler._repr_html_(), profiler.report("html")
    for html in (shown, page):
        for line in profiler.report().splitlines():
            assert line in html
        assert html.count('role="img"') == 2
    assert page.startswith("<!DOCTYPE html>")
    assert "<dt>random_state</dt><dd>0</dd>" in page
    assert "<html" not in shown
    assert "HeterogeneityProfiler" in HeterogeneityProfiler()._repr_html_()
    with pytest.raises(ValueError, match="'format'"):
        profiler.report("pdf")


def test_profile_of_vectors_without_variance():
    page = HeterogeneityProfiler().fit(np.ones((5, 3))).report("html")
    assert "3 of them never vary" in page
    assert "<svg viewBox" not in page


def test_fidelity_report(X):
    index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X)
    report = RankingFidelityScorer(random_state=0).report(index, X)
    html = report._repr_html_()
    assert f"{report.measured:.3f}" in html
    assert f"{report.predicted:.3f}" in html
    assert "skbq-bad" not in html.split("</style>")[1]
    missed = FidelityReport(report.fidelity, report.high + 0.2)._repr_html_()
    assert "Believe the measurement" in missed
    assert "skbq-bad" in missed.split("</style>")[1]
    assert (
        "No prediction: why."
        in FidelityReport(report.fidelity, np.nan, "why")._repr_html_()
    )


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_drift(X, shift):
    old, new = X[:150], X[150:] + np.float32(shift)
    bits = np.concatenate([old, new]) > 0
    rng = np.random.RandomState(0)
    html = compare_rows(old, new, bits, 0.01, 199, rng)._repr_html_()
    assert ("Drift: new rows do not fit" in html) == (shift > 0)
    assert ("most changed" in html) == (shift > 0)
    assert "against 150 old" in html


@pytest.mark.parametrize("engine", ENGINES)
def test_export(engine):
    answer = export(RECOMMENDATION, engine)
    html = answer._repr_html_()
    assert html.count("<pre") == sum(
        map(bool, (answer.schema, answer.insert, answer.query, answer.python))
    )
    for title in ("Done by", "To be done by you", "Good to know", "Checked"):
        assert (title in str(answer)) == (title in html)
