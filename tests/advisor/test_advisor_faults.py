"""Advice that was wrong, misleading or a traceback once, and must not be again."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skbq import QuantizationAdvisor
from skbq._advisor import sampling, strategy_search
from skbq._advisor.bench import Bench
from skbq._advisor.candidates import all_strategies, bytes_per_row, kind_of
from skbq._advisor.choice import Task, choose_option
from skbq._advisor.recall_curve import Curve, rows_to_support, supported_rows
from skbq._advisor.speed import relative_speeds
from skbq._advisor.suitability import lost_digits
from skbq._quantization.rotation import RandomRotation
from skbq._quantization.strategy import Strategy
from skbq.datasets import make_gaussian

METRICS = ["cosine", "euclidean", "inner_product"]
HELD_OUT = "pass some as queries"


def put_on_bench(rows, queries, metric, k=10):
    rotation = RandomRotation(random_state=0).fit(rows)
    return Bench.of(rows, queries, metric, k, rotation)


def plain_recall(rows, queries, found, metric, k=10):
    """Recall in long doubles, of differences: nothing cancels."""
    x, y = (a.astype(np.longdouble) for a in (rows, queries))
    if metric == "cosine":
        x, y = (a / np.sqrt((a * a).sum(axis=1, keepdims=True)) for a in (x, y))
    hits = []
    for query, near in zip(y, found, strict=True):
        away = (
            -(x - x.mean(axis=0)) @ query
            if metric == "inner_product"
            else np.square(x - query).sum(axis=1)
        )
        hits.append((away[near] <= np.sort(away)[k - 1]).mean())
    return float(np.mean(hits))


def offset(value):
    def make(rng):
        return rng.standard_normal((1500, 24)) + value

    return make


def dominated(rng):
    X = rng.standard_normal((1500, 24))
    X[:, 0] = 1e4 + 0.1 * X[:, 0]
    return X


def tiny(rng):
    return 1e-30 * rng.standard_normal((1500, 24))


@pytest.mark.parametrize(
    ("make", "metric"),
    [
        (offset(100), "cosine"),
        (offset(300), "cosine"),
        (offset(1000), "cosine"),
        (offset(1000), "inner_product"),
        (dominated, "cosine"),
        (dominated, "euclidean"),
        (tiny, "euclidean"),
        (tiny, "inner_product"),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_recall_is_right_where_digits_cancel(rng, make, metric, query):
    """Issue 10.4: .995 was said where .604 is true."""
    X = make(rng).astype(np.float32)
    rows, queries = X[100:], X[:100]
    strategy = Strategy(2, query)
    bench = put_on_bench(rows, queries, metric)
    search = bench.search([strategy], slice(None), 10)
    measured = search.recalls(strategy, np.array([10])).mean()
    index = bench.rows.index(strategy)
    found = index.kneighbors(queries, 10, return_distance=False)
    assert measured == pytest.approx(
        plain_recall(rows, queries, found, metric), abs=0.002
    )


@pytest.mark.parametrize("metric", METRICS)
def test_lost_digits_are_said(rng, metric):
    X = rng.standard_normal((800, 24))

    def said(X, dtype=np.float32):
        rows, queries = X[50:].astype(dtype), X[:50].astype(dtype)
        bench = put_on_bench(rows, queries, metric)
        near = bench.distances(slice(None), slice(None))
        return lost_digits(rows, queries, near, 10, metric, np.dtype(dtype))

    for scale in (1e-20, 1, 1e6):
        assert said(scale * X) == []
    assert said(np.repeat(X[:80], 10, axis=0)) == []
    assert said(np.ones_like(X)) == []
    if metric == "inner_product":
        return  # all rows share what is large: it ranks nothing
    assert said(X + 1000) == []
    assert "cannot be told apart" in said(X + 1e7)[0]
    assert said(X + 1e7, np.float64) == []


# Recall on rows that exist, and on others.


@pytest.fixture(scope="module")
def clusters():
    """Small clusters, which a sample cannot show."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((60, 32))
    labels = rng.integers(60, size=6000)
    X = centers[labels] + 0.15 * rng.standard_normal((6000, 32))
    return X.astype(np.float32)


def test_recall_is_measured_on_all_rows_not_extrapolated(clusters, monkeypatch):
    """Issue 10.5: 1,000,000 rows, a sample of 65,104, ".848 [0, 1]" for .259."""
    monkeypatch.setattr(sampling, "_MAX_ROWS", 700)
    rows, queries = clusters[200:], clusters[:200]
    advisor = QuantizationAdvisor(target_recall=0.9, max_bytes=8, random_state=0)
    advisor.fit(rows, queries=queries)
    chosen = advisor._advice.chosen
    assert (chosen.n_rows, chosen.curve.n_rows) == (700, len(rows))
    assert chosen.curve.depth_ratio == 0
    assert f"on {len(rows):,} rows" in advisor.summary()
    index = advisor.make_estimator().fit(rows)
    found = index.kneighbors(queries, 10, return_distance=False)
    true = plain_recall(rows, queries, found, "cosine")
    assert advisor.recall_ == pytest.approx(true, abs=0.02)
    assert advisor.recall_interval_[1] - advisor.recall_interval_[0] < 0.1


def test_what_the_sample_does_not_support_is_refused(clusters):
    advisor = QuantizationAdvisor(expected_rows=20_000_000, random_state=0)
    advisor.set_params(max_bytes=4).fit(clusters[:1100])
    (said,) = [x for x in advisor.warnings_ if "is not predicted" in x]
    assert "20,000,000 rows is not predicted" in said
    assert f"{supported_rows(900, 10):,} at most" in said
    assert f"{rows_to_support(20_000_000, 10):,} rows or more" in said
    assert "on 900 rows" in advisor.report().split("\n\n")[0].replace("\n ", "")
    assert (advisor.results_["predicted_rows"] <= 1100).all()
    needed = rows_to_support(20_000_000, 10)
    assert supported_rows(needed, 10) >= 20_000_000 > supported_rows(needed - 1, 10)


def test_no_value_is_printed_whose_interval_spans_half_of_the_scale(rng):
    advisor = QuantizationAdvisor(random_state=0)
    with pytest.warns(UserWarning, match="Only 3 rows are left"):
        advisor.fit(rng.standard_normal((5, 8)))
    text = advisor.report() + advisor.report("html") + advisor.summary()
    assert "1.000" not in text
    assert "not known (0.43 to 1.00 at 90%)" in text
    assert text.startswith("Too few rows or queries to recommend")
    assert not advisor.recommended_["suitable"]
    assert any("A few hundred of either" in x for x in advisor.warnings_)


# Tables and speed.


@pytest.fixture(scope="module")
def advised():
    X = make_gaussian(1300, 48, spectrum=0.8, random_state=0).astype(np.float32)
    return QuantizationAdvisor(target_recall=0.9, random_state=0).fit(X)


def test_tables_agree_and_say_what_they_rest_on(advised):
    """Issue 10.11: first looks stood beside final values, unnamed."""
    from skbq._advisor.report import everything, ladder

    rows = {row[0]: row for row in everything(advised._advice)}
    assert len(rows) == 25 + 3  # 48 coordinates
    for row in ladder(advised._advice):
        assert rows[row[0]][: len(row)] == row
        assert rows[row[0]][-1] == "200"  # all queries that were held out
    html = advised.report("html")
    assert '<th scope="col">queries</th>' in html
    assert "were screened and left behind" in html


def test_intervals_are_printed_with_their_confidence(advised):
    for paragraph in advised.report().split("\n\n"):
        for line in paragraph.replace("\n  ", " ").splitlines():
            if line.startswith(("1 bit", "2 bits", "PCA", "strategy")):
                continue  # the head of the table says it
            assert line.count("[") == line.count("%)"), line
    assert "(90%)" in advised.summary()


def test_results_become_a_frame(advised):
    frame = pd.DataFrame(advised.results_)
    assert len(frame) == 28
    assert (frame.measured_recall_low <= frame.measured_recall_high).all()
    with pytest.warns(FutureWarning, match="measured_recall_low"):
        both = advised.results_["measured_recall_interval"]
    assert (both == frame[["measured_recall_low", "measured_recall_high"]]).all(
        axis=None
    )
    with pytest.raises(KeyError):
        advised.results_["nothing_interval"]
    with pytest.warns(FutureWarning, match="'center'"):
        assert advised.recommended_["centre"] == advised.recommended_["center"]


def test_speed_is_a_range(advised):
    results = advised.results_
    speed = results["relative_speed"]
    assert (results["relative_speed_low"] <= speed).all()
    assert (speed <= results["relative_speed_high"]).all()
    assert (results["relative_speed_low"] < results["relative_speed_high"]).any()


def test_searches_take_turns_when_speed_is_measured(rng, monkeypatch):
    from skbq._advisor import speed

    X = rng.standard_normal((60, 16)).astype(np.float32)
    bench = put_on_bench(X[10:], X[:10], "cosine", 3)
    turns = []
    monkeypatch.setattr(
        speed, "_seconds", lambda search, long: turns.append(search) or 1.0
    )
    found = relative_speeds(bench.rows, bench.queries, 3, all_strategies())
    assert list(found) == list(dict.fromkeys(map(kind_of, all_strategies())))
    assert {str(x) for x in found.values()} == {"1-1x"}
    assert len(turns) == 5 * speed._ROUNDS
    assert turns[:5] == turns[5:10]


# Sizes and degenerate rows.


@pytest.mark.parametrize("metric", METRICS)
def test_constant_rows_raise_no_warning_of_numpy(metric):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advisor = QuantizationAdvisor(metric=metric, random_state=0)
        advisor.fit(np.ones((120, 16), np.float32))
    assert any("All rows are the same" in x for x in advisor.warnings_)


def test_many_coordinates_take_the_fast_rotation(rng, monkeypatch):
    """Issue 10.17: d = 65,536 asked for 32 GiB, d = 3,072 took minutes."""
    from skbq._quantization import rotation

    def refuse(*args):
        raise AssertionError("a Haar rotation was drawn")

    monkeypatch.setattr(rotation, "haar_directions", refuse)
    X = rng.standard_normal((40, 20_000)).astype(np.float32)
    advisor = QuantizationAdvisor(n_neighbors=3, random_state=0).fit(X)
    tried = advisor._advice.findings.evaluations
    assert {s.rotation for s in tried if s.rotated} == {"hadamard"}
    assert advisor.profile_.n_features_in_ == 2048
    assert any("2,048 random coordinates" in x for x in advisor.warnings_)


# The curve and the choice.


def test_all_held_out_queries_decide_the_oversampling(advised):
    """Issue 10.21: 300 of them did."""
    assert strategy_search._BATCH >= 1000
    X = make_gaussian(4200, 32, spectrum=0.8, random_state=0).astype(np.float32)
    advisor = QuantizationAdvisor(max_bytes=4, random_state=0).fit(X)
    assert advisor._advice.chosen.curve.n_queries == 420


def curve_that_needs(oversampling):
    grid = np.array([1.0, 2, 4.3, 8, 12, 16, 20, 50])
    recall = np.where(grid >= oversampling, 0.96, 0.5)
    return Curve(grid, recall, recall - 0.005, recall + 0.005, 20_000, 1000)


def choice_of(small, large, rows=20_000):
    task = Task("cosine", 96, 10, 0.95, rows, 384, False)
    coded, floats = Strategy(1), Strategy(1, "vectors")
    curves = {coded: curve_that_needs(small), floats: curve_that_needs(large)}
    n_bytes = {s: bytes_per_row(s, 96, "cosine") for s in curves}
    assert list(n_bytes.values()) == [12, 15]
    return choose_option(curves, n_bytes, task)


def test_of_nearly_equal_memory_the_cheaper_search_is_chosen():
    """Issue 10.21: the seed flipped 12 bytes x 16 and 20 bytes x 4.3."""
    for small in (16, 20, 50):
        choice = choice_of(small, 4.3)
        assert (choice.strategy.query, choice.oversampling) == ("vectors", 4.3)
    close = choice_of(16, 4.3).close
    assert (close.strategy.query, close.oversampling) == ("codes", 16)
    # With less reranking, least memory decides; the other is named.
    choice = choice_of(8, 4.3)
    assert choice.strategy.query == "codes"
    assert choice.close.strategy.query == "vectors"
    # Among very many rows the scan costs more than candidates do.
    assert choice_of(16, 4.3, rows=10_000_000).strategy.query == "codes"
    assert not choice_of(50, 50).reached


# Queries of another kind.


def test_queries_of_another_kind_are_named():
    """Issue 10.22."""
    X = make_gaussian(1400, 32, spectrum=0.8, random_state=0).astype(np.float32)
    advisor = QuantizationAdvisor(max_bytes=4, target_recall=0.5, random_state=0)
    said = "queries are not distributed as the rows"
    advisor.fit(X[:1200], queries=X[1200:])
    assert not any(said in x for x in advisor.warnings_)
    advisor.fit(X[:1200], queries=X[1200:] + np.float32(0.4) * X[:1200].std(axis=0))
    assert any(said in x for x in advisor.warnings_)
    assert said in " ".join(advisor.report().split())
