"""The advisor: what it measures, how it decides, what it says."""

import logging
import pickle
import sys
from dataclasses import replace
from html import escape, unescape

import numpy as np
import pandas as pd
import pytest
from helpers import true_distances
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import skbq
from skbq import (
    BinaryNeighbors,
    QuantizationAdvisor,
    RandomRotation,
    TwoBitQuantizer,
)
from skbq._advisor import sampling
from skbq._advisor.bench import Bench, Candidates, Search, Truth
from skbq._advisor.candidates import (
    BUDGETS,
    all_strategies,
    bytes_per_row,
    linear_map_budgets,
    make_index,
    pca_budgets,
    pca_strategies,
)
from skbq._advisor.drift import compare_rows
from skbq._advisor.list_advice import COSTS, advise_lists
from skbq._advisor.paired_comparison import (
    choose,
    compare_groups,
    finalists,
    mean_difference,
)
from skbq._advisor.recall_curve import (
    Depths,
    Needed,
    measured_curve,
    oversampling_grid,
    predicted_curve,
)
from skbq._advisor.suitability import doubts
from skbq._profiling.profiler import HeterogeneityProfiler
from skbq._quantization.pca import SharedAxes
from skbq._quantization.strategy import LITERATURE, Strategy
from skbq._utils.similarity import distances
from skbq.datasets import make_gaussian, make_sphere
from skbq.exports import ENGINES
from skbq.metrics import neighbor_recall, ranking_fidelity
from skbq.metrics._intervals import fidelity_estimate

FEW_ROWS = "ignore:Only .* rows are left to search:UserWarning"


# scikit-learn's checks fit on few rows.
@pytest.mark.exhaustive
@pytest.mark.filterwarnings(FEW_ROWS)
@parametrize_with_checks([QuantizationAdvisor(random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings(FEW_ROWS)
@pytest.mark.filterwarnings(
    "ignore:X (does not have valid|has) feature names:UserWarning"
)
def test_column_names_are_checked():
    estimator_checks.check_dataframe_column_names_consistency(
        "QuantizationAdvisor", QuantizationAdvisor(random_state=0)
    )


@pytest.fixture(scope="module")
def advised(glosses):
    """An advisor fitted on the shipped embeddings and real queries."""
    advisor = QuantizationAdvisor(random_state=0)
    return advisor.fit(glosses.data, queries=glosses.queries)


@pytest.fixture(scope="module")
def uniform(glosses):
    """The same of codes with as many bits for every coordinate."""
    advisor = QuantizationAdvisor(random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skbq._advisor.advisor.tries_pca", lambda *sizes: False)
        return advisor.fit(glosses.data, queries=glosses.queries)


# What is measured.


@pytest.fixture(scope="module")
def small():
    rows = make_gaussian(700, 40, spectrum=0.7, mean=0.4, random_state=1)
    return rows[100:].astype(np.float32), rows[:100].astype(np.float32)


def unit(x, metric):
    return x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x


def put_on_bench(rows, queries, metric="cosine", k=10):
    rotation = RandomRotation(random_state=0).fit(rows)
    return Bench.of(rows, queries, metric, k, rotation)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_distances_of_a_bench_are_exact(small, metric):
    near = put_on_bench(*small, metric).distances(slice(None), slice(None))
    exact = true_distances(*(unit(x, metric) for x in small), metric)
    if metric == "euclidean":
        exact = np.square(exact)
    np.testing.assert_allclose(near, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(1),
        Strategy(2, rotated=True),
        Strategy(2, "vectors", levels="lloyd_max"),
    ],
    ids=lambda s: s.words,
)
@pytest.mark.parametrize("oversampling", [None, 3])
def test_what_is_measured_is_what_the_index_finds(
    small, metric, strategy, oversampling
):
    rows, queries = small
    k = 10
    bench = put_on_bench(rows, queries, metric, k)
    depth = np.array([k if oversampling is None else k * oversampling])
    search = bench.search([strategy], slice(None), int(depth[0]))
    found = search.recalls(strategy, depth)[:, 0]
    index = make_index(strategy, k, metric=metric, oversampling=oversampling).fit(rows)
    nearest = index.kneighbors(queries, return_distance=False)
    distances = true_distances(rows, queries, metric)
    expected = neighbor_recall(
        np.sort(distances, axis=1)[:, :k], np.take_along_axis(distances, nearest, 1)
    )
    # Float scores that are equal but for rounding may come in another order.
    assert found.mean() == pytest.approx(expected, abs=0.004)


def recall_of(near, order, k, depth):
    """Recall where codes rank rows in the given order."""
    near, order = np.asarray(near, float), np.asarray(order)
    exact = np.take_along_axis(near, order, axis=1)
    candidates = Candidates(np.sort(order), order, exact)
    truth = Truth.nothing(len(near), k).with_rows(near[:, :7]).with_rows(near[:, 7:])
    search = Search(truth, {Strategy(1): candidates})
    return search.recalls(Strategy(1), np.array([depth]))[:, 0]


def test_recall_counts_ties_as_found():
    near = 1 - np.repeat(np.eye(4), 5, axis=1)
    order = np.argsort(near - np.linspace(0, 0.1, 20), axis=1)
    assert (recall_of(near, order, 3, 3) == 1).all()
    assert (recall_of(near, order[:, ::-1], 3, 3) == 0).all()


def test_recall_does_not_depend_on_blocks(small, monkeypatch):
    """Rows in blocks, queries in batches: the same candidates, the same truth."""
    from skbq._advisor import bench as module

    rows, queries = small
    strategies = [Strategy(1), Strategy(2, "vectors", rotated=True)]
    bench, depths = put_on_bench(rows, queries), np.array([10, 35])
    search = bench.search(strategies, slice(None), 35)
    monkeypatch.setattr(module, "_BLOCK_VALUES", 70 * rows.shape[1])
    monkeypatch.setattr(module, "_PAIRS", 1700)
    data = module.whole_data(bench, rows, np.arange(len(rows)))
    assert len(list(data.blocks())) > 5
    for strategy in strategies:
        whole = search.recalls(strategy, depths)
        parts = [
            data.search(strategies, queries, 35).recalls(strategy, depths)
            for queries in (slice(0, 33), slice(33, 100))
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_fidelity_and_its_interval(rng):
    true = rng.standard_normal((40, 90))
    scores = true + rng.standard_normal((40, 90))
    found = fidelity_estimate(true, scores, 0.9)
    assert found.value == pytest.approx(ranking_fidelity(true, scores))
    assert found.low < found.value < found.high
    assert np.isnan(fidelity_estimate(true, np.ones_like(true), 0.9).value)


def test_interval_of_fidelity_covers_in_repetitions():
    """Pairs share rows and queries, which the interval must know of."""
    quantizer = Strategy(1).make_quantizer()
    values = []
    for seed in range(40):
        x = np.random.default_rng(seed).standard_normal((260, 30)) * np.geomspace(
            1, 5, 30
        )
        bits = np.sign(quantizer.fit(x).transform(x).unpack())
        true, scores = x[:60] @ x[60:].T, bits[:60] @ bits[60:].T
        values.append(fidelity_estimate(true, scores, 0.9))
    center = np.mean([v.value for v in values])
    hits = np.mean([v.low <= center <= v.high for v in values])
    assert 0.8 <= hits <= 1


def test_strategies_and_their_names():
    listed = all_strategies()
    assert len(set(listed)) == len({s.words for s in listed}) == 25
    assert LITERATURE in listed
    assert Strategy(1).words == "1 bit, symmetric search"
    rotated = Strategy(2, "vectors", True, "zero", "lloyd_max")
    assert rotated.words == (
        "2 bits, threshold zero, levels lloyd_max, rotated, asymmetric search"
    )
    assert [Strategy(1).complexity, rotated.complexity] == [0, 3]


# Samples.


def test_sample_is_random_disjoint_and_seeded():
    X = np.arange(3000.0)[:, None] @ np.ones((1, 2)) + 1
    first, again, other = (
        sampling.draw_sample(X, None, 10_000, np.random.RandomState(seed))
        for seed in (0, 0, 1)
    )
    assert (first.rows == again.rows).all()
    assert (first.queries == again.queries).all()
    assert (first.rows != other.rows).any()
    assert len(first.queries) == 300
    both = np.concatenate([first.rows[:, 0], first.queries[:, 0]])
    assert sorted(both) == sorted(X[:, 0])
    # Not the head: any part of a sorted array is drawn from all over it.
    assert abs(np.mean(first.queries[:, 0]) - 1500) < 200
    np.testing.assert_array_equal(X[first.numbers], first.rows)


def test_sample_with_queries_and_bounds(monkeypatch):
    monkeypatch.setattr(sampling, "_MAX_QUERIES", 7)
    X, queries = np.ones((50, 2), np.float16), np.zeros((20, 2))
    sample = sampling.draw_sample(X, queries, 30, np.random.RandomState(0))
    assert sample.rows.shape == (30, 2)
    assert sample.rows.dtype == np.float32
    assert sample.queries.shape == (7, 2)
    monkeypatch.setattr(sampling, "_MAX_VALUES", 40)
    assert (
        len(sampling.draw_sample(X, queries, 30, np.random.RandomState(0)).rows) == 20
    )
    monkeypatch.setattr(sampling, "_MAX_ROWS", 15)
    assert (
        len(sampling.draw_sample(X, queries, 30, np.random.RandomState(0)).rows) == 15
    )


@pytest.mark.parametrize(
    ("n", "held_out"), [(4, 2), (40, 10), (800, 200), (10**6, 4000)]
)
def test_number_of_held_out_rows(n, held_out):
    assert sampling.count_held_out(n) == held_out


# Curves.


def test_grid_holds_whole_numbers_of_candidates():
    grid = oversampling_grid(10, 10_000)
    assert {1, 2, 3, 5, 20, 50} <= set(grid)
    np.testing.assert_allclose(grid * 10, np.round(grid * 10))
    assert oversampling_grid(10, 35)[-1] == 3.5
    assert oversampling_grid(1, 1).tolist() == [1]


def curve_on(bench, strategy, grid, expected_rows):
    depths = Depths.of(grid, bench.n_neighbors, bench.n_rows, expected_rows)
    search = bench.search([strategy], slice(None), int(depths.candidates.max()))
    return depths.curve(search.recalls(strategy, depths.candidates, depths.n_neighbors))


def test_measured_curve_and_what_it_needs(small):
    rows, queries = small
    bench = put_on_bench(rows, queries)
    curve = curve_on(bench, Strategy(2), oversampling_grid(10, len(rows)), len(rows))
    assert (np.diff(curve.recall) >= 0).all()
    assert ((curve.low <= curve.recall) & (curve.recall <= curve.high)).all()
    needed = curve.needed(0.9)
    assert 1 <= needed.hopeful <= needed.expected <= needed.safe < 20
    assert curve.at(needed.expected).value >= 0.9
    assert curve.needed(1.1) == Needed(np.inf, np.inf, np.inf)
    assert curve.at(1.0).value == curve.recall[0]
    assert curve.at(1.0).confidence == 0.9
    assert (curve.n_rows, curve.n_queries) == (600, 100)


def test_perfect_recall_of_few_queries_is_not_certain():
    curve = measured_curve(np.array([1.0]), np.ones((2, 1)), 3)
    assert curve.low[0] < 0.5
    assert curve.says_nothing
    assert not measured_curve(np.array([1.0]), np.ones((300, 1)), 3).says_nothing


def test_nearly_as_many_rows_are_measured_at_the_same_depth():
    X = make_gaussian(6300, 64, spectrum=0.8, random_state=4).astype(np.float32)
    rows, queries = X[300:], X[:300]
    grid = oversampling_grid(10, len(rows))
    near, measured = (
        curve_on(put_on_bench(rows[:n], queries), Strategy(1), grid, 6000)
        for n in (4500, 6000)
    )
    assert near.n_rows == 6000
    assert abs(near.recall - measured.recall).max() < 0.03
    assert near.needed(0.85).safe >= measured.needed(0.85).expected


def test_predicted_curve_holds_on_all_rows():
    """A quarter of the rows predicts what all of them give."""
    X = make_gaussian(8200, 64, spectrum=0.8, random_state=3).astype(np.float32)
    rows, queries = X[200:], X[:200]
    grid = oversampling_grid(10, len(rows))
    part, whole = (put_on_bench(rows[:n], queries) for n in (2000, 8000))
    everything = slice(None)
    for strategy in (Strategy(1), Strategy(2, "vectors")):
        predicted = predicted_curve(
            -part.distances(everything, everything),
            part.scores(strategy, everything, everything),
            grid,
            10,
            8000,
        )
        measured = curve_on(whole, strategy, grid, 8000)
        assert predicted.n_rows == 8000
        assert abs(predicted.recall - measured.recall).max() < 0.04
        assert predicted.needed(0.95).safe >= measured.needed(0.95).expected


# Decisions.


def found_with(rng, mean, n=2000):
    return np.clip(mean + 0.1 * rng.standard_normal(n), 0, 1)


def test_choice_starts_at_the_baseline_and_takes_what_is_significantly_better(rng):
    plain, zero = Strategy(2), Strategy(2, threshold="zero")
    levels, rotated = Strategy(2, levels="lloyd_max"), Strategy(2, rotated=True)
    base = found_with(rng, 0.6)
    found = {
        plain: base,
        zero: base - 0.02,
        levels: base + 0.03 + 0.01 * rng.standard_normal(2000),
        rotated: base + 0.03 + 0.2 * rng.standard_normal(2000),
    }
    compared = choose(found)
    assert compared.baseline == plain
    assert compared.chosen == levels
    assert compared.gain.low > 0
    assert compared.rival == rotated
    found[rotated] = base + 0.05
    assert choose(found).chosen == rotated
    found[levels] = found[rotated] = base + 0.2 * rng.standard_normal(2000)
    compared = choose(found)
    assert compared.chosen == plain
    assert compared.rival_gain.low <= 0


def test_queries_are_added_until_the_interval_is_narrow(rng):
    plain, rotated = Strategy(1), Strategy(1, rotated=True)
    n_batches = 0

    def measure(running):
        nonlocal n_batches
        for _ in range(50):
            n_batches += 1
            base = rng.uniform(0, 1, 100)
            noise = 0.1 * rng.standard_normal(100)
            yield {s: base + (s.rotated * noise) for s in running}

    compared = compare_groups([[plain, rotated]], measure)[0]
    assert compared.chosen == plain
    assert compared.rival_gain.half_width <= 0.005
    # 1.96 * 0.1 / sqrt(n) = 0.005 at n = 1537
    assert 12 <= n_batches <= 19


def test_strategies_that_are_behind_are_dropped(rng):
    plain = Strategy(2)
    others = [Strategy(2, rotated=True), Strategy(2, levels="lloyd_max")]
    seen = []

    def measure(running):
        for _ in range(4):
            seen.append(list(running))
            base = rng.uniform(0, 1, 200)
            gains = {plain: 0, others[0]: 0.1, others[1]: -0.3}
            noise = {s: 0.1 * rng.standard_normal(200) for s in running}
            yield {s: base + gains[s] + noise[s] for s in running}

    compared = compare_groups([[plain, *others]], measure)[0]
    assert seen[0] == [plain, *others]
    assert seen[1] == [plain, others[0]]
    assert compared.chosen == others[0]
    assert len(compared.recalls[others[1]]) == 200


def differ(rng, running, gain, n_queries):
    """Recalls of a batch, those of rotated codes higher by a noisy gain."""
    base = rng.uniform(0, 1, n_queries)
    return {
        s: base + s.rotated * (gain + 0.1 * rng.standard_normal(n_queries))
        for s in running
    }


@pytest.mark.parametrize("gain", [0.0, 0.02])
def test_leave_one_out_queries_decide_where_queries_are_too_few(rng, gain):
    plain, rotated = Strategy(1), Strategy(1, rotated=True)

    def queries(running):
        yield differ(rng, running, 0.0, 60)

    def rows(running):
        for _ in range(8):
            yield differ(rng, running, gain, 500)

    alone = compare_groups([[plain, rotated]], queries)[0]
    assert alone.chosen == plain
    assert alone.leave_one_out is None
    compared = compare_groups([[plain, rotated]], queries, rows)[0]
    assert compared.chosen == (rotated if gain else plain)
    assert compared.chosen == compared.leave_one_out.chosen
    # What is said of the queries stays said of the queries alone.
    assert len(compared.recalls[rotated]) == 60
    assert compared.gain == mean_difference(
        compared.recalls[compared.chosen], compared.recalls[plain]
    )
    assert len(compared.leave_one_out.recalls[rotated]) >= 1500


def test_leave_one_out_queries_have_no_say_where_queries_decide(rng):
    plain, rotated = Strategy(1), Strategy(1, rotated=True)

    def queries(running):
        yield differ(rng, running, -0.2, 200)

    def rows(running):
        raise AssertionError("rows were queries")
        yield

    compared = compare_groups([[plain, rotated]], queries, rows)[0]
    assert compared.chosen == plain
    assert compared.leave_one_out is None


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize(
    "strategy",
    [Strategy(1, rotated=True), Strategy(2, "vectors")],
    ids=lambda s: s.words,
)
def test_leave_one_out_queries_leave_themselves_out(small, metric, strategy):
    rows, queries = small
    k = 5
    bench = put_on_bench(rows, queries, metric, k)
    left_out = bench.leaving_one_out()
    some = slice(40, 60)
    numbers = np.arange(40, 60)
    near = left_out.distances(some, slice(None))
    assert np.isinf(near[np.arange(20), numbers]).all()
    search = left_out.search([strategy], some, 30)
    candidates = search.candidates[strategy]
    assert candidates.rows.shape == (20, 30)
    assert (candidates.rows != numbers[:, None]).all()
    # The others are as if the row had been a query all along.
    index = make_index(strategy, 31, metric=metric).fit(rows)
    for row, number in zip(candidates.rows, numbers, strict=True):
        apart = index.kneighbors(rows[number : number + 1], return_distance=False)[0]
        assert row.tolist() == apart[apart != number][:30].tolist()
    exact = true_distances(*(unit(x, metric) for x in (rows, rows[some])), metric)
    exact[np.arange(20), numbers] = np.inf
    for row, found in zip(exact, near, strict=True):
        assert set(np.argsort(row)[:k]) == set(np.argsort(found)[:k])
    # The bench itself is as it was.
    assert np.isfinite(bench.distances(slice(None), slice(None))).all()


def test_finalists_are_plain_or_near_the_best():
    members = {s: 0.5 for s in all_strategies() if (s.bits, s.query) == (2, "codes")}
    members[Strategy(2, rotated=True)] = 0.6
    assert finalists(members) == [
        Strategy(2),
        Strategy(2, threshold="zero"),
        Strategy(2, rotated=True),
    ]


def test_gate_errs_rarely_where_nothing_differs():
    """Equal strategies: the gate lets one through in 2.5 % of cases or so."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        base = rng.uniform(0, 1, 400)
        found = {
            s: base + 0.15 * rng.standard_normal(400)
            for s in (Strategy(1), Strategy(1, rotated=True))
        }
        wrong += choose(found).chosen.rotated
    assert wrong <= 16  # 7.5 expected; P(more than 16) is below 0.002


def test_difference_of_one_query_says_nothing():
    one = mean_difference(np.ones(1), np.zeros(1))
    assert (one.low, one.high) == (-1, 1)
    assert mean_difference(np.ones(9), np.zeros(9)).half_width == 0


# The estimator.


@pytest.mark.parametrize(("which", "n_bytes"), [("advised", 16), ("uniform", 48)])
def test_recommendation_holds_on_the_shipped_embeddings(
    request, glosses, which, n_bytes
):
    advised = request.getfixturevalue(which)
    index = advised.make_estimator()
    assert isinstance(index, BinaryNeighbors)
    assert index.n_neighbors == 10
    rows = index.fit(glosses.data).kneighbors(glosses.queries, return_distance=False)
    distances = true_distances(glosses.data, glosses.queries, "cosine")
    recall = neighbor_recall(
        np.sort(distances, axis=1)[:, :10], np.take_along_axis(distances, rows, 1)
    )
    assert recall >= 0.95
    assert recall == pytest.approx(advised.recall_, abs=0.005)
    assert advised.recommended_["suitable"]
    assert advised.recommended_["bytes_per_row"] == index.bytes_per_row_ == n_bytes
    with_vectors = advised.recommended_["bytes_per_row_with_vectors"]
    assert with_vectors == index.bytes_per_row_ + index.vector_bytes_per_row_
    assert advised.oversampling_ == index.oversampling
    assert advised.warnings_ == []


def test_results_are_a_table(advised):
    results = advised.results_
    assert {len(column) for column in results.values()} == {25 + 4 + 9}
    for name in ("measured_fidelity", "measured_recall", "predicted_recall"):
        low, high = results[f"{name}_low"], results[f"{name}_high"]
        assert ((low <= results[name]) & (results[name] <= high)).all(), name
    assert (results["oversampling_low"] <= results["oversampling_high"]).all()
    assert (results["recall_reranked"] >= results["predicted_recall"]).all()
    assert (results["relative_speed"] > 0).all()
    uniform = {48, 51, 96, 99}
    assert set(results["bytes_per_row"]) == uniform | set(BUDGETS)
    assert np.isfinite(results["predicted_fidelity"]).sum() == 4
    frame = pd.DataFrame(results)
    assert frame.shape == (38, len(results))
    assert frame.strategy.is_unique
    for params in results["params"]:
        BinaryNeighbors(**params)


def test_same_seed_same_advice(small):
    first, second = (
        QuantizationAdvisor(random_state=3).fit(small[0]) for _ in range(2)
    )
    assert first.oversampling_ == second.oversampling_
    np.testing.assert_array_equal(
        first.results_["measured_recall"], second.results_["measured_recall"]
    )


@pytest.mark.parametrize("metric", ["euclidean", "inner_product"])
def test_other_metrics(small, metric):
    advisor = QuantizationAdvisor(metric=metric, target_recall=0.8, random_state=0)
    advisor.fit(small[0])
    assert advisor.make_estimator().metric == metric
    assert advisor.recommended_["metric"] == metric
    names, sizes = advisor.results_["strategy"], advisor.results_["bytes_per_row"]
    for strategy in (Strategy(1, "vectors"), Strategy(2)):
        index = make_index(strategy, 1, metric=metric).fit(small[0][:3])
        assert sizes[names == strategy.words] == index.bytes_per_row_


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
@pytest.mark.parametrize("d", [7, 64, 385])
def test_bytes_of_a_row_are_those_of_the_index(rng, metric, d):
    rows = rng.standard_normal((d + 3, d))
    pca = pca_strategies(SharedAxes(rows, 0), d)
    assert bool(pca) == (d > 7)
    for strategy in [*all_strategies(), *pca]:
        index = make_index(strategy, 1, metric=metric).fit(rows)
        assert bytes_per_row(strategy, d, metric) == index.bytes_per_row_


@pytest.mark.exhaustive
def test_of_equal_bytes_the_better_code_is_taken(monkeypatch):
    """At 24 coordinates 1 bit with corrections takes as much as 2 bits without."""
    monkeypatch.setattr("skbq._advisor.advisor.tries_pca", lambda *sizes: False)
    X = make_gaussian(2500, 24, spectrum=0.8, random_state=0).astype(np.float32)
    advisor = QuantizationAdvisor(target_recall=0.9, random_state=0).fit(X)
    results = advisor.results_
    same = results["compared"] & (results["bytes_per_row"] == 6)
    assert {*zip(results["bits"][same], results["query"][same], strict=True)} == {
        (1, "vectors"),
        (2, "codes"),
    }
    recommended = advisor.recommended_
    assert recommended["bytes_per_row"] == 6
    assert (recommended["bits"], recommended["query"]) == (2, "codes")
    recall = dict(zip(results["strategy"], results["measured_recall"], strict=True))
    assert (
        recall["2 bits, symmetric search"] > recall["1 bit, asymmetric search"] + 0.05
    )


def test_low_target_needs_no_reranking(small):
    advisor = QuantizationAdvisor(target_recall=0.2, random_state=0).fit(small[0])
    assert advisor.oversampling_ is None
    assert advisor.make_estimator().oversampling is None
    recommended = advisor.recommended_
    assert recommended["bytes_per_row_with_vectors"] == recommended["bytes_per_row"]
    assert "Reranking: none is needed." in advisor.report()


def test_max_bytes_bounds_what_is_searched(small):
    advisor = QuantizationAdvisor(max_bytes=7, random_state=0).fit(small[0])
    assert set(advisor.results_["bytes_per_row"]) == {5, 7}
    with pytest.raises(ValueError, match="max_bytes=4 is less than .* 5 bytes a row"):
        QuantizationAdvisor(max_bytes=4).fit(small[0][:90])  # too few rows for axes


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product"])
def test_half_a_bit_for_each_coordinate_is_measured(small, metric):
    """Issue 11.6: it was refused."""
    n_bytes = small[0].shape[1] // 16
    advisor = QuantizationAdvisor(metric=metric, max_bytes=n_bytes, random_state=0)
    advisor.fit(small[0])
    assert advisor.recommended_["strategy"] == "PCA to 16 bits, symmetric search"
    assert advisor.recommended_["bytes_per_row"] == n_bytes == 2
    index = advisor.make_estimator().fit(small[0])
    assert index.bytes_per_row_ == 2
    rows = index.kneighbors(small[1], return_distance=False)
    distances = true_distances(small[0], small[1], metric)
    recall = neighbor_recall(
        np.sort(distances, axis=1)[:, :10], np.take_along_axis(distances, rows, 1)
    )
    assert recall == pytest.approx(advisor.recall_, abs=0.08)  # fewer rows in fit


def test_a_target_out_of_reach_is_said_plainly():
    X = make_sphere(3000, 24, random_state=0).astype(np.float32)
    advisor = QuantizationAdvisor(target_recall=0.999, random_state=0)
    advisor.set_params(max_bytes=3).fit(X)
    assert not advisor.recommended_["suitable"]
    text = "\n".join(advisor.warnings_)
    assert "Do not quantize these vectors to 1-2 bits" in text
    assert "pass some as queries" in text
    assert "isotropic noise" in text
    assert "24 coordinates only" in text
    assert advisor.report().startswith("Target not reached; nearest to it: 1 bit")
    assert text.splitlines()[0] in " ".join(advisor.report().split())
    assert advisor.oversampling_ == 20


@pytest.mark.exhaustive
def test_more_expected_rows_need_more_candidates(small):
    few, many = (
        QuantizationAdvisor(expected_rows=n, random_state=0).fit(small[0])
        for n in (None, 10_000)
    )
    assert many.expected_rows_ == 10_000
    assert (
        many.results_["predicted_recall"] < few.results_["predicted_recall"]
    ).mean() > 0.9
    assert any("rests on a trend" in text for text in many.warnings_)
    fewer = QuantizationAdvisor(expected_rows=300, random_state=0).fit(small[0])
    assert fewer.results_["measured_rows"].max() == 300


def test_few_rows_shrink_k_and_warn(rng):
    X = rng.standard_normal((12, 5))
    with pytest.warns(UserWarning, match=r"Only 9 rows .* up to 4 instead of 10"):
        advisor = QuantizationAdvisor(random_state=0).fit(X)
    assert advisor.n_neighbors_ == advisor.make_estimator().n_neighbors == 4
    assert any("Only 9 rows" in text for text in advisor.warnings_)


@pytest.mark.exhaustive
def test_rows_held_out_do_not_make_the_others_few(small):
    advisor = QuantizationAdvisor(n_neighbors=1, random_state=0).fit(small[0])
    assert not any("rests on a trend" in text for text in advisor.warnings_)


def test_expected_rows_of_few_rows_cannot_be_predicted(rng):
    advisor = QuantizationAdvisor(n_neighbors=2, expected_rows=10**6, random_state=0)
    advisor.fit(rng.standard_normal((60, 8)))
    assert any("is not predicted" in text for text in advisor.warnings_)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"metric": "hamming"}, "'metric'"),
        ({"n_neighbors": 0}, "'n_neighbors'"),
        ({"target_recall": 1.0}, "strictly between 0 and 1"),
        ({"target_recall": 0}, "strictly between 0 and 1"),
        ({"max_bytes": 0}, "'max_bytes'"),
        ({"expected_rows": 2}, "'expected_rows'"),
    ],
)
def test_bad_parameters(small, parameters, match):
    with pytest.raises(ValueError, match=match):
        QuantizationAdvisor(**parameters).fit(small[0])


def test_bad_rows_are_named(small):
    X = small[0].copy()
    X[17] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*row \[17\]"):
        QuantizationAdvisor().fit(X)
    X[17] = 0
    with pytest.raises(ValueError, match=r"row \[17\]"):
        QuantizationAdvisor().fit(X)
    with pytest.raises(ValueError, match=r"row \[17\]"):
        QuantizationAdvisor().fit(small[0], queries=X)
    with pytest.raises(ValueError, match="at least two rows"):
        QuantizationAdvisor().fit(small[0], queries=small[1][:1])
    with pytest.raises(ValueError, match="features"):
        QuantizationAdvisor().fit(small[0], queries=small[1][:, :5])


def test_pickle_clone_and_memory_map(small, tmp_path):
    np.save(tmp_path / "x.npy", small[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    advisor = QuantizationAdvisor(random_state=0, target_recall=0.9).fit(mapped)
    again = pickle.loads(pickle.dumps(advisor))
    assert again.report() == advisor.report()
    assert not hasattr(clone(advisor), "results_")
    in_memory = QuantizationAdvisor(random_state=0, target_recall=0.9).fit(small[0])
    assert in_memory.recommended_["strategy"] == advisor.recommended_["strategy"]


# Reports and exports.


def test_report_in_words(uniform):
    text = uniform.report()
    assert text.startswith("Recommended: 1 bit, symmetric search\nReranking: ")
    assert "Memory: 48 bytes a row" in text
    assert max(map(len, text.splitlines())) <= 80
    text = " ".join(text.split())
    assert "the smallest code that reaches recall@10 of 0.95" in text
    assert "- A random rotation: " in text
    assert "on 4,000 leave-one-out queries" in text
    assert "the simpler code is kept" in text
    assert "Heterogeneity:" in text
    with pytest.raises(ValueError, match="'format'"):
        uniform.report("pdf")


def test_report_in_html(uniform):
    """A piece for notebooks, and a page of its own with the settings of engines."""
    shown, page = uniform._repr_html_(), uniform.report(format="html")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in shown
    for html in (shown, page):
        assert html.count("<table>") == html.count("</table>") == 2
        assert html.count("<tr") == 1 + 4 + 1 + 25
        assert html.count('class="skbq-marked"') == 2
        assert "Recommended: 1 bit, symmetric search" in html
        assert "index = BinaryNeighbors(" in html
        assert html.count('role="img"') == 4
        for warning in uniform.warnings_:
            assert escape(warning, quote=False) in html
    assert all(f"<summary>{engine}" in page for engine in ENGINES)
    assert "<summary>qdrant" not in shown
    assert f"skbq {skbq.__version__}" in page
    assert "<dt>target_recall</dt><dd>0.95</dd>" in page
    assert uniform._repr_mimebundle_()["text/html"] == shown
    assert "QuantizationAdvisor" in QuantizationAdvisor()._repr_html_()


def test_html_report_where_an_engine_can_do_nothing(small):
    advisor = QuantizationAdvisor("inner_product", random_state=0).fit(small[0])
    page = advisor.report("html")
    assert page.count(": not possible</summary>") > 0


def test_python_of_the_report_builds_the_recommended_index(uniform):
    from skbq._advisor.html_report import python_code

    for index in (
        uniform.make_estimator(),
        BinaryNeighbors(
            quantizer=make_pipeline(
                RandomRotation(random_state=0), TwoBitQuantizer(levels="lloyd_max")
            ),
            query="vectors",
        ),
    ):
        code, names = python_code(index), {}
        exec(code.split("index.fit")[0], names)
        assert repr(names["index"]) == repr(index)


def test_exports(advised, uniform):
    for advisor in (advised, uniform):
        settings = advisor.export("pgvector").settings
        assert "bit(384)" in settings
        assert "59" in settings  # candidates that are reranked


def test_share_in_lists_is_what_an_index_in_lists_finds(advised, glosses):
    """The lists that were advised hold the exact neighbors of the user's queries."""
    advice = advised.lists_
    assert advice.own_queries
    assert (advice.n_rows, advice.n_queries) == (5000, 250)
    assert advice.separates
    assert advice.recall.low >= 0.95
    assert 0 < advice.share < advice.part_share <= 1
    index = advised.make_estimator().set_params(
        algorithm="ivf", n_probes=advice.share, random_state=0, oversampling=20
    )
    _, found = index.fit(glosses.data).kneighbors(glosses.queries)
    rows, queries = unit(glosses.data, "cosine"), unit(glosses.queries, "cosine")
    true = np.argsort(-queries @ rows.T, axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) for a, b in zip(true, found, strict=True)])
    assert recall / 10 == pytest.approx(advice.recall.value, abs=0.02)


def test_rows_from_which_lists_pay(advised):
    advice = advised.lists_
    for kind in ("single", "batch"):
        n, cost = advice.pays_from(kind), COSTS[advice.query][kind]
        for rows, faster in ((1.1 * n, True), (n / 1.2, False)):
            compared = cost.per_row * advice.share_at(rows) * rows
            assert (cost.fixed_rows + compared < rows) == faster
    assert advice.share_at(advice.n_rows) == pytest.approx(advice.share)
    assert advice.share_at(advice.part_rows) == pytest.approx(advice.part_share)
    shares = [advice.share_at(n) for n in (10, 10**3, 10**5, 10**7)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    # Rows that lists separate no better where there are more.
    flat = replace(advice, part_share=advice.share)
    assert flat.share_at(10**9) == pytest.approx(flat.share)


def test_lists_in_words(advised, monkeypatch):
    text = " ".join(advised.report().split())
    assert "Many rows - A query that probes inverted lists (algorithm='ivf')" in text
    assert "measured on 5,000 sampled rows, with 250 queries of yours" in text
    assert "For 5,000 rows use algorithm='brute'." in text
    page = unescape(advised.report("html"))
    assert all(sentence in page for sentence in advised.lists_.sentences())
    more = replace(advised.lists_, expected_rows=10_000_000)
    said = " ".join(more.sentences())
    assert (
        f"that is {round(1e7 * more.share):,} at most; {more.rows_compared:,}" in said
    )
    assert "algorithm='ivf' pays for your 10,000,000." in said
    assert more.rows_compared < 1e7 * more.share
    told = more.to_dict()
    assert told["pays_from_single"] == more.pays_from("single")
    assert told["rows_compared"] == more.rows_compared
    slow = replace(more, share=0.5, part_share=0.5, query="codes")
    assert slow.pays_from("batch") is None
    assert "one by one, but not in batches, by the costs" in slow.sentences()[1]
    monkeypatch.setitem(COSTS["codes"], "single", COSTS["codes"]["batch"])
    assert "too much for lists to be faster at any number" in slow.sentences()[1]


def test_rows_that_lists_do_not_separate():
    X = np.asarray(make_sphere(2500, 96, random_state=0))
    bench = put_on_bench(X, X[:5])
    advice = advise_lists(bench, Strategy(2), 0.95, 10**6, own_queries=False)
    assert not advice.own_queries
    assert advice.n_queries == 256
    assert not advice.separates
    assert advice.pays_from("batch") is None
    (sentence,) = advice.sentences()
    assert sentence.startswith("Lists do not separate your rows: to find 95% you must")
    assert "with 256 of them as queries, each left out" in sentence
    assert sentence.endswith("Use algorithm='brute'.")


def test_few_rows_cannot_tell_whether_lists_pay(small):
    bench = put_on_bench(*small)
    advice = advise_lists(bench, Strategy(1), 0.95, 10**6, own_queries=True)
    assert not advice.is_known
    assert advice.rows_compared is advice.pays_from("single") is None
    assert advice.to_dict()["separated"] is None
    assert "600 sampled rows are too few" in advice.sentences()[0]


def test_report_of_principal_axes(advised):
    text = " ".join(advised.report().split())
    assert "Recommended: PCA codes of 16 bytes, asymmetric search" in text
    assert "Memory: 16 bytes a row" in text
    assert "the knee among codes that reach recall@10 of 0.95" in text
    assert "which skbq searches and other engines do not" in text
    assert max(map(len, advised.report().splitlines())) <= 110


# Recall over bytes.


def test_curve_over_bytes_never_falls(advised):
    curve = advised.bytes_curve_
    assert curve.bytes_per_row.tolist() == sorted({*BUDGETS, 51, 99})
    assert len(curve.recall) == len(curve.oversampling) == len(curve.bytes_per_row)
    assert (np.diff(curve.recall) >= 0).all()
    assert (np.diff(curve.oversampling) <= 0).all()
    assert (curve.n_rows, curve.n_queries) == (5000, 250)
    assert (curve.target_recall, curve.n_neighbors) == (0.95, 10)
    assert curve.is_measured
    for point, n_bytes in zip(curve.best_recall, curve.bytes_per_row, strict=True):
        within = [p for p in curve.measured if p.bytes_per_row <= n_bytes]
        assert point in within
        assert point.recall.value == max(p.recall.value for p in within)
        assert point.recall.low <= point.recall.value <= point.recall.high
    families = {p.family: p.query for p in curve.measured if "PCA" in p.family}
    assert families == {"PCA": "vectors", "PCA, 1 bit": "codes"}
    assert curve.at(40) == curve.at(32)
    assert curve.at(40).bytes_per_row <= 32
    with pytest.raises(ValueError, match="Nothing of at most 7 bytes"):
        curve.at(7)
    frame = pd.DataFrame(curve.columns())
    assert len(frame) == len(curve.measured)
    assert (frame.recall_low <= frame.recall_high).all()


def test_curves_by_oversampling_have_the_strategies_names(advised):
    assert list(advised.recall_curves_) == list(advised.results_["strategy"])
    curve = advised.recall_curves_[advised.recommended_["strategy"]]
    assert curve.at(advised.oversampling_).value == advised.recall_
    assert (curve.n_rows, curve.n_queries) == (5000, 250)


def test_more_bytes_on_principal_axes_find_more(advised):
    pca = [p for p in advised.bytes_curve_.measured if p.family == "PCA"]
    assert [p.bytes_per_row for p in pca] == list(BUDGETS)
    assert (np.diff([p.recall.value for p in pca]) > 0).all()
    uniform = [p for p in advised.bytes_curve_.measured if "bit" in p.family]
    for point in uniform:
        within = [p.recall.value for p in pca if p.bytes_per_row <= point.bytes_per_row]
        if point.bytes_per_row >= 48:
            assert max(within) > point.recall.value + 0.02


def test_budgets_of_a_dimension():
    assert pca_budgets(384) == list(BUDGETS)
    assert pca_budgets(24) == [8]
    assert pca_budgets(2048) == [32, 48, 64, 96, 128, 192, 256, 512]
    assert pca_budgets(384, 40) == [8, 16, 24, 32, 40]
    assert pca_budgets(40, 3) == []
    assert linear_map_budgets(384) == [8, 16, 24, 32]
    assert linear_map_budgets(100, 6) == [6]
    assert linear_map_budgets(64) == []


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_axes_are_shared_as_each_quantizer_finds_them(small, metric):
    rows = unit(small[0], metric)
    for strategy in pca_strategies(SharedAxes(rows, 0), rows.shape[1]):
        shared = SharedAxes(rows, 0).fit(strategy.make_quantizer())
        alone = strategy.make_quantizer().fit(rows)
        assert shared.layout_ == alone.layout_
        np.testing.assert_array_equal(shared.components_, alone.components_)
        np.testing.assert_array_equal(shared.transform(rows), alone.transform(rows))


def test_rows_of_few_directions_get_fewer_bytes(rng):
    X = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 64))
    advisor = QuantizationAdvisor(target_recall=0.5, random_state=0)
    advisor.fit(X.astype(np.float32))
    pca = [p for p in advisor.bytes_curve_.measured if "PCA" in p.family]
    assert all(p.bytes_per_row <= 8 for p in pca)


def test_speed_is_preferred_within_the_memory(small):
    found = {
        prefer: QuantizationAdvisor(
            target_recall=0.8, prefer=prefer, max_bytes=9, random_state=0
        ).fit(small[0])
        for prefer in ("memory", "speed")
    }
    costs = {
        prefer: (a._advice.findings.choice.option, a.recommended_["bytes_per_row"])
        for prefer, a in found.items()
    }
    (least, fewest), (fastest, n_bytes) = costs["memory"], costs["speed"]
    assert fewest <= n_bytes <= 9
    assert fastest.cost <= least.cost
    assert "searched fastest" in " ".join(found["speed"].report().split())
    with pytest.raises(ValueError, match="'prefer'"):
        QuantizationAdvisor(prefer="money").fit(small[0])


# Progress.


def test_verbose_prints_steps(small, capsys):
    QuantizationAdvisor(random_state=0, max_bytes=5, verbose=2).fit(small[0])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[QuantizationAdvisor]") for line in lines)
    text = "\n".join(lines)
    assert "looking at 1 of" in text
    assert "measuring speed" in text
    QuantizationAdvisor(random_state=0, max_bytes=5).fit(small[0])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "")
    with pytest.raises(ValueError, match="'verbose'"):
        QuantizationAdvisor(verbose=-1).fit(small[0])


def test_verbose_shows_a_bar_if_there_is_tqdm(small, capsys, monkeypatch):
    advisor = QuantizationAdvisor(random_state=0, max_bytes=5, verbose=1)
    advisor.fit(small[0])
    out, err = capsys.readouterr()
    assert "100%" in err
    assert "QuantizationAdvisor: done" in err
    assert out == ""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    advisor.fit(small[0])
    out, err = capsys.readouterr()
    assert "[QuantizationAdvisor]" in out
    assert err == ""


def test_progress_leaves_the_logger_as_it_was(small):
    logger = logging.getLogger("skbq")
    before = (logger.level, list(logger.handlers))
    with pytest.raises(ValueError, match="max_bytes=1 is less"):
        QuantizationAdvisor(max_bytes=1, verbose=2).fit(small[0][:50])
    assert (logger.level, list(logger.handlers)) == before


def test_results_become_a_frame_in_one_call(advised, monkeypatch):
    frame = advised.results_.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame.strategy.tolist() == list(advised.results_["strategy"])
    rows = advised.results_.rows()
    assert rows[3]["strategy"] == frame.strategy[3]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas.*results_\.rows"):
        advised.results_.to_frame()


# Doubts.


def doubts_of(X):
    unit_rows = unit(X, "cosine")
    profile = HeterogeneityProfiler(random_state=0).fit(unit_rows)
    near = distances(unit_rows[:50], unit_rows[50:], "cosine")
    return "\n".join(doubts(profile, unit_rows[50:], near, 10, "cosine"))


def test_good_vectors_raise_no_doubts(glosses):
    assert doubts_of(glosses.data[:2000]) == ""


def test_doubts(rng):
    noise = rng.standard_normal((1500, 100))
    assert "isotropic noise" in doubts_of(noise)
    low = rng.standard_normal((1500, 3)) @ rng.standard_normal((3, 100))
    assert "low effective dimension" in doubts_of(low)
    assert "100 coordinates" not in doubts_of(noise)
    half = np.hstack([noise[:, :70], np.zeros((1500, 30))])
    assert "30 of 100 coordinates never vary" in doubts_of(half)
    assert "copies of others" in doubts_of(np.repeat(noise[:300], 5, axis=0))
    assert "All rows are the same" in doubts_of(np.ones((200, 100)))
    nearly = np.tile(noise[:300], (5, 1)) + 1e-4 * rng.standard_normal((1500, 100))
    assert "100% of the queries find near copies" in doubts_of(nearly)
    assert "copies" not in doubts_of(noise)


def test_doubts_of_short_vectors(rng):
    """What cannot be otherwise of 12 coordinates is not said of them."""
    noise = rng.standard_normal((1500, 12))
    assert "isotropic noise" in doubts_of(noise)
    clusters = noise[:40][rng.integers(40, size=1500)] + 0.3 * noise
    text = doubts_of(clusters)
    assert "12 coordinates only" in text
    assert "low effective dimension" not in text
    assert "isotropic noise" not in text


# Drift.


def drift(reference, new, seed=0, alpha=0.05, n_permutations=199):
    bits = np.concatenate([reference, new]) > reference.mean(axis=0)
    rng = np.random.RandomState(seed)
    return compare_rows(reference, new, bits, alpha, n_permutations, rng)


def test_level_of_the_drift_test():
    """Correlated, heavy-tailed, sparse coordinates: p-values are still uniform."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((12, 30))
    p_values = []
    for seed in range(300):
        rows = rng.standard_t(3, size=(160, 12)) @ mixing
        rows[:, :5] = rng.random((160, 5)) < 0.02
        p_values.append(drift(rows[:100], rows[100:], seed, n_permutations=99).p_value)
    below = [np.mean(np.array(p_values) <= level) for level in (0.05, 0.2, 0.5)]
    # Within four standard errors of the level; ties only make p larger.
    assert below[0] <= 0.05 + 4 * (0.05 * 0.95 / 300) ** 0.5
    assert abs(below[1] - 0.2) <= 4 * (0.2 * 0.8 / 300) ** 0.5
    assert abs(below[2] - 0.5) <= 4 * (0.5 * 0.5 / 300) ** 0.5


@pytest.mark.parametrize("change", ["mean", "spread", "bits"])
def test_power_of_the_drift_test(change):
    rng = np.random.default_rng(1)
    reference, new = rng.standard_normal((800, 40)), rng.standard_normal((400, 40))
    if change == "mean":
        new[:, 7] += 0.5
    elif change == "spread":
        new[:, 7] *= 1.6
    else:
        new[:, 7] = np.abs(new[:, 7])
    result = drift(reference, new, alpha=0.01)
    assert result.drifted
    assert result.coordinates[0] == 7
    changes = [result.mean_changes, result.deviation_changes, result.bit_changes]
    assert [x.shape for x in changes] == [(40,)] * 3
    largest = np.abs(changes).max(axis=0)
    assert largest.argmax() == 7
    assert largest.max() == pytest.approx(result.statistic)
    assert largest.max() > result.critical_value > np.sort(largest)[-2]
    if change == "mean":
        assert result.mean_changes[7] == pytest.approx(
            (new[:, 7].mean() - reference[:, 7].mean()) / (1 / 800 + 1 / 400) ** 0.5,
            rel=0.1,
        )
    assert "Drift: new rows do not fit" in str(result)


@pytest.mark.exhaustive
def test_drift_of_one_coordinate_under_a_rotation(rng):
    """A rotation spreads it over all bits, none of which shows it."""
    X = rng.standard_normal((3000, 64)) * np.geomspace(6, 0.2, 64)
    advisor = QuantizationAdvisor(target_recall=0.5, random_state=0).fit(X[:2000])
    assert advisor.recommended_["rotate"]
    assert not advisor.check_drift(X[2000:]).drifted
    X[2000:, 50] += 0.5 * X[:, 50].std()
    result = advisor.check_drift(X[2000:])
    assert result.drifted
    assert result.coordinates[0] == 50


def test_drift_of_an_advisor(advised, glosses):
    same = advised.check_drift(glosses.data[::7])
    assert not same.drifted
    assert "No drift found" in str(same)
    assert same.alpha == 0.01
    shifted = glosses.data[:300] + np.float32(0.05)
    result = advised.check_drift(shifted)
    assert result.drifted
    assert result.p_value == pytest.approx(0.001)
    assert result.sign_entropy[1] < result.sign_entropy[0]
    with pytest.raises(ValueError, match="alpha"):
        advised.check_drift(shifted, alpha=0)
    with pytest.raises(ValueError, match="features"):
        advised.check_drift(shifted[:, :5])


def test_drift_of_few_and_constant_rows():
    assert not drift(np.ones((10, 3)), np.ones((4, 3))).drifted
    result = drift(np.zeros((30, 3)), np.ones((30, 3)))
    assert result.drifted
    # Of two rows nothing can be sure at any level.
    assert not drift(np.zeros((2, 3)), np.ones((2, 3))).drifted
