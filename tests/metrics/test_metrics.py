import pickle
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    ValidationCurveDisplay,
    train_test_split,
)
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

from skbq import BinaryNeighbors, BinaryQuantizer, RandomRotation, TwoBitQuantizer
from skbq.datasets import load_wordnet_minilm, make_gaussian
from skbq.metrics import (
    NeighborRecallScorer,
    RankingFidelityScorer,
    neighbor_recall,
    ranking_fidelity,
)
from skbq.metrics._intervals import fidelity_estimate

METRICS = ["cosine", "euclidean", "inner_product"]


@cache
def glosses():
    return load_wordnet_minilm().data[:1200]


@cache
def embeddings():
    return load_wordnet_minilm().data


@cache
def uneven():
    """Rows of different lengths and a mean, where metrics and centring matter."""
    return make_gaussian(
        600, 40, spectrum=0.8, mean=0.5, random_state=0, dtype=np.float32
    )


def similarity(metric, A, B):
    A, B = A.astype(float), B.astype(float)
    if metric == "cosine":
        A = A / np.linalg.norm(A, axis=1, keepdims=True)
        B = B / np.linalg.norm(B, axis=1, keepdims=True)
    if metric == "euclidean":
        return -np.linalg.norm(A[:, None] - B, axis=2)
    return A @ B.T


def true_neighbors(metric, X, k):
    similarities = similarity(metric, X, X)
    np.fill_diagonal(similarities, -np.inf)
    return -np.sort(-similarities, axis=1)[:, :k]


# Functions.


def test_ranking_fidelity_is_spearman_with_average_ranks():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((30, 20)).round(1)
    score = (true + rng.standard_normal(true.shape)).round()
    expected = spearmanr(true.ravel(), score.ravel()).statistic
    assert_allclose(ranking_fidelity(true, score), expected)
    assert_allclose(ranking_fidelity(true, np.exp(true)), 1.0)
    assert_allclose(ranking_fidelity([1, 2, 3], [3, 2, 1]), -1.0)


@pytest.mark.parametrize(
    ("true", "score", "message"),
    [
        ([1.0, 1.0], [1.0, 2.0], "true_similarity has the same value for all of 2"),
        ([1.0, 2.0], [3.0, 3.0], "score has the same value"),
        ([], [], "all of 0 pairs"),
        ([1.0, np.nan], [1.0, 2.0], "true_similarity holds NaN"),
        ([1.0, 2.0], [1.0, np.inf], "score holds NaN or infinity"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "same shape"),
    ],
)
def test_ranking_fidelity_refuses(true, score, message):
    with pytest.raises(ValueError, match=message):
        ranking_fidelity(true, score)


def test_neighbor_recall_counts_ties_as_found():
    true = [[0.1, 0.2, 0.2], [-3.0, -2.0, -1.0]]
    assert neighbor_recall(true, true) == 1.0
    assert neighbor_recall(true, [[0.2, 0.2, 0.2], [-1.0, -1.0, -1.0]]) == 1.0
    assert neighbor_recall(true, [[0.1, 0.3, 0.4], [-2.0, 0.0, 5.0]]) == 2 / 6
    assert neighbor_recall(true, [[0.1, np.inf, 0.2], [np.inf] * 3]) == 2 / 6
    assert neighbor_recall([[3.0, 1.0]], [[2.0, 3.0]]) == 1.0


def test_neighbor_recall_has_the_stated_tolerance():
    assert neighbor_recall([[100.0]], [[100.00009]]) == 1.0
    assert neighbor_recall([[100.0]], [[100.00011]]) == 0.0
    assert neighbor_recall([[0.0]], [[0.9e-8]]) == 1.0
    assert neighbor_recall([[0.0]], [[1.1e-8]]) == 0.0
    assert neighbor_recall([[1e-9]], [[5e-9]], atol=0.0) == 0.0
    assert neighbor_recall([[1.0]], [[1.0 + 1e-9]], rtol=0.0, atol=0.0) == 0.0


@pytest.mark.parametrize(
    ("true", "found", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], r"same shape .* \(1, 2\) and \(1, 1\)"),
        ([1.0], [1.0], "same shape"),
        (np.empty((0, 3)), np.empty((0, 3)), "same shape"),
        ([[np.nan]], [[1.0]], "must not be NaN"),
        ([[np.inf]], [[1.0]], "must not be NaN"),
        ([[1.0]], [[np.nan]], "must not be NaN"),
    ],
)
def test_neighbor_recall_refuses(true, found, message):
    with pytest.raises(ValueError, match=message):
        neighbor_recall(true, found)


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, bool])
def test_neighbor_recall_refuses_row_numbers(dtype):
    rows = np.array([[3, 1], [0, 2]])
    message = r"holds integers .*, as row numbers are; .*astype\(float\)"
    with pytest.raises(ValueError, match="true_distances " + message):
        neighbor_recall(rows.astype(dtype), rows * 1.0)
    with pytest.raises(ValueError, match="found_distances " + message):
        neighbor_recall(rows * 1.0, rows.astype(dtype))
    assert neighbor_recall(rows * 1.0, rows * 1.0) == 1.0


def test_error_of_a_fidelity_is_that_of_other_draws():
    """1.96 standard errors are what the fidelities of other rows and queries show."""
    X = make_gaussian(60 * 120, 24, spectrum=0.8, random_state=0)
    draws = [
        (x[:60] @ x[60:].T, np.sign(x[:60]) @ np.sign(x[60:]).T)
        for x in X.reshape(60, 120, 24)
    ]
    estimates = [fidelity_estimate(*pairs) for pairs in draws]
    values = np.array([e.value for e in estimates])
    assert_allclose(values[0], ranking_fidelity(*draws[0]))
    widths = np.array([e.half_width for e in estimates])
    assert_allclose(widths.mean(), 1.96 * values.std(), rtol=0.3)
    covered = [e.low <= values.mean() <= e.high for e in estimates]
    assert np.mean(covered) > 0.85
    constant = fidelity_estimate(draws[0][0], np.ones((60, 60)))
    assert np.isnan([constant.value, constant.half_width]).all()


# Scorers against the same computed step by step.


def split(X, m, seed):
    return train_test_split(
        X, train_size=m, test_size=m, random_state=np.random.RandomState(seed)
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 2])
def test_fidelity_of_nested_codes(bits, metric):
    X, test = uneven()[:300], uneven()[300:]
    quantizer = BinaryQuantizer() if bits == 1 else TwoBitQuantizer(levels=(1, 2))
    index = BinaryNeighbors(quantizer=quantizer, metric=metric).fit(X)
    scorer = RankingFidelityScorer(n_pairs=10_000, random_state=3)
    rows, queries = split(test, 100, 3)

    def seen(A):
        if metric == "cosine":
            A = A / np.linalg.norm(A, axis=1, keepdims=True)
        return index.quantizer_.transform(A).unpack().astype(float)

    score = seen(queries) @ seen(rows).T
    expected = spearmanr(similarity(metric, queries, rows).ravel(), score.ravel())
    assert_allclose(scorer(index, test), expected.statistic, atol=1e-3)


def test_fidelity_of_float_queries_ranks_the_estimates():
    X, test = uneven()[:300], uneven()[300:]
    index = BinaryNeighbors(quantizer=BinaryQuantizer(), query="vectors").fit(X)
    rows, queries = split(test, 150, 0)
    again = BinaryNeighbors(
        quantizer=FrozenEstimator(index.quantizer_), query="vectors"
    ).fit(rows)
    distances, order = again.kneighbors(queries, n_neighbors=150)
    true = np.take_along_axis(similarity("cosine", queries, rows), order, axis=1)
    expected = spearmanr(true.ravel(), -distances.ravel()).statistic
    scorer = RankingFidelityScorer(random_state=0)
    assert_allclose(scorer(index, test), expected)
    coded = clone(index).set_params(query="codes").fit(X)
    assert scorer(index, test) > scorer(coded, test) + 0.05


def test_fidelity_ignores_reranking_and_recall_does_not():
    X, test = glosses()[:800], glosses()[800:]
    plain = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(X)
    reranked = BinaryNeighbors(quantizer=BinaryQuantizer(), oversampling=5).fit(X)
    fidelity = RankingFidelityScorer(random_state=0)
    assert fidelity(plain, test) == fidelity(reranked, test)
    recall = NeighborRecallScorer()
    assert recall(reranked, test) > recall(plain, test) + 0.1
    everything = clone(reranked).set_params(oversampling=40).fit(X)
    assert recall(everything, test) == 1.0


def test_fidelity_of_a_pipeline_is_against_the_vectors_that_enter():
    X, test = uneven()[:300], uneven()[300:]
    pipe = make_pipeline(
        PCA(8, random_state=0), BinaryQuantizer(), BinaryNeighbors(metric="euclidean")
    ).fit(X)
    rows, queries = split(test, 100, 1)
    codes = [pipe[:-1].transform(A).unpack() for A in (queries, rows)]
    expected = spearmanr(
        similarity("euclidean", queries, rows).ravel(), (codes[0] @ codes[1].T).ravel()
    )
    scorer = RankingFidelityScorer(n_pairs=10_000, random_state=1)
    assert_allclose(scorer(pipe, test), expected.statistic)


def _halve(X):
    return X / 2


def test_an_index_with_its_own_quantizer_may_end_a_pipeline():
    X, test = uneven()[:300], uneven()[300:]
    scorers = [RankingFidelityScorer(random_state=0), NeighborRecallScorer()]
    alone = BinaryNeighbors(metric="inner_product").fit(X / 2)
    pipe = make_pipeline(FunctionTransformer(_halve), clone(alone))
    pipe.fit(X)
    for scorer in scorers:
        assert_allclose(scorer(pipe, test), scorer(alone, test / 2))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("options", [{}, {"query": "vectors"}, {"oversampling": 2}])
def test_recall_of_nested_search(metric, options):
    X, test = uneven()[:300], uneven()[300:]
    index = BinaryNeighbors(metric=metric, **options).fit(X)
    again = clone(index).set_params(quantizer=FrozenEstimator(index.quantizer_))
    again.set_params(oversampling=options.get("oversampling", 1)).fit(test)
    found = again.kneighbors(n_neighbors=7, return_distance=False)
    if not options:  # without reranking codes decide, ties included
        again.set_params(oversampling=None).fit(test)
        found = again.kneighbors(n_neighbors=7, return_distance=False)
    similarities = similarity(metric, test, test)
    expected = neighbor_recall(
        -true_neighbors(metric, test, 7),
        -np.take_along_axis(similarities, found, axis=1),
    )
    assert 0.2 < expected < 1.0
    assert_allclose(NeighborRecallScorer(n_neighbors=7)(index, test), expected)


def test_recall_of_a_flat_pipeline():
    X, test = glosses()[:800], glosses()[800:]
    pipe = make_pipeline(
        RandomRotation(random_state=0), TwoBitQuantizer(), BinaryNeighbors()
    ).fit(X)
    codes = pipe[:-1].transform(test)
    found = BinaryNeighbors().fit(codes).kneighbors(None, 10)[1]
    true = NearestNeighbors(metric="cosine").fit(test).kneighbors(None, 10)[1]
    by_number = np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)]
    )
    assert_allclose(NeighborRecallScorer()(pipe, test), by_number)


def test_duplicates_are_as_good_as_each_other():
    X = np.repeat(uneven()[:40], 15, axis=0)
    for metric in METRICS[:2]:
        index = BinaryNeighbors(metric=metric).fit(X)
        assert NeighborRecallScorer(n_neighbors=10)(index, X) == 1.0


def test_recall_does_not_depend_on_the_blocks():
    index = BinaryNeighbors(metric="euclidean").fit(uneven())
    whole = NeighborRecallScorer()(index, uneven())
    with config_context(working_memory=0.1):
        assert_allclose(NeighborRecallScorer()(index, uneven()), whole)


def test_scorers_keep_what_was_learned():
    X, test = uneven()[:300], uneven()[300:] + 3.0
    index = BinaryNeighbors(quantizer=BinaryQuantizer(), metric="euclidean").fit(X)
    thresholds = index.quantizer_.thresholds_.copy()
    codes = index.codes_
    far = RankingFidelityScorer(random_state=0)(index, test)
    NeighborRecallScorer()(index, test)
    assert_array_equal(index.quantizer_.thresholds_, thresholds)
    assert index.codes_ is codes
    relearned = clone(index).fit(test)
    assert RankingFidelityScorer(random_state=0)(relearned, test) > far + 0.1


def test_scores_repeat_with_a_seed():
    index = BinaryNeighbors().fit(glosses())
    scorer = RankingFidelityScorer(n_pairs=400, random_state=0)
    assert scorer(index, glosses()) == scorer(index, glosses())
    other = RankingFidelityScorer(n_pairs=400, random_state=1)
    assert scorer(index, glosses()) != other(index, glosses())
    assert isinstance(scorer(index, glosses()), float)
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert repr(scorer) == "RankingFidelityScorer(n_pairs=400, random_state=0)"


# In searches.

NESTED = (
    BinaryNeighbors(),
    {
        "quantizer": [
            BinaryQuantizer(),
            make_pipeline(RandomRotation(random_state=0), TwoBitQuantizer()),
        ]
    },
)
FLAT = (
    make_pipeline(Normalizer(), TwoBitQuantizer(), BinaryNeighbors()),
    {"twobitquantizer": [BinaryQuantizer(), TwoBitQuantizer()]},
)
SCORING = {
    "fidelity": RankingFidelityScorer(n_pairs=40_000, random_state=0),
    "recall": NeighborRecallScorer(),
}


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(("estimator", "grid"), [NESTED, FLAT], ids=["nested", "flat"])
def test_grid_search_over_the_quantizer(estimator, grid, routing):
    with config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            estimator,
            grid,
            scoring=SCORING,
            refit="recall",
            cv=2,
            n_jobs=2,
            error_score="raise",
        ).fit(glosses())
    for name in SCORING:
        one_bit, two_bits = search.cv_results_[f"mean_test_{name}"]
        assert one_bit + 0.05 < two_bits < 1.0
    assert search.best_index_ == 1
    assert search.best_estimator_ is not None


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_scorers_take_frames(output):
    X = pd.DataFrame(uneven()).add_prefix("x")
    flat = make_pipeline(
        RandomRotation(random_state=0), BinaryQuantizer(), BinaryNeighbors()
    )
    nested = BinaryNeighbors(quantizer=flat[:-1])
    scorers = [RankingFidelityScorer(random_state=0), NeighborRecallScorer()]
    for estimator in (nested, flat):
        with config_context(transform_output=output):
            estimator.fit(X)
            scores = [scorer(estimator, X) for scorer in scorers]
        plain = clone(estimator).fit(X.to_numpy())
        assert scores == [scorer(plain, X.to_numpy()) for scorer in scorers]


@pytest.mark.parametrize(
    "scorer",
    [RankingFidelityScorer(), NeighborRecallScorer()],
    ids=["fidelity", "recall"],
)
def test_scorers_refuse_what_they_cannot_score(scorer):
    X = uneven()
    name = type(scorer).__name__
    with pytest.raises(TypeError, match=f"{name} scores a fitted BinaryNeighbors"):
        scorer(PCA().fit(X), X)
    with pytest.raises(TypeError, match=f"{name} scores a fitted BinaryNeighbors"):
        scorer(NearestNeighbors().fit(X), X)
    on_codes = BinaryNeighbors().fit(BinaryQuantizer().fit_transform(X))
    with pytest.raises(ValueError, match="was fitted on codes"):
        scorer(on_codes, X)
    with pytest.raises(ValueError, match=r"needs at least \d+ test rows. Got 3"):
        scorer(BinaryNeighbors().fit(X), X[:3])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (2.5, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("many", TypeError),
    ],
)
def test_scorers_refuse_counts(value, error):
    index = BinaryNeighbors().fit(uneven())
    with pytest.raises(error, match=r"'n_pairs' parameter.*\[4, inf\)"):
        RankingFidelityScorer(n_pairs=value)(index, uneven())
    with pytest.raises(error, match=r"'n_neighbors' parameter.*\[1, inf\)"):
        NeighborRecallScorer(n_neighbors=value)(index, uneven())


def test_scorers_have_a_name_for_displays():
    """scikit-learn's displays ask a scorer for its ``__name__``."""
    for scorer, name in (
        (RankingFidelityScorer(n_pairs=2500, random_state=0), "Ranking fidelity"),
        (NeighborRecallScorer(), "Neighbor recall"),
    ):
        display = ValidationCurveDisplay.from_estimator(
            BinaryNeighbors(),
            uneven()[:200],
            None,
            param_name="n_neighbors",
            param_range=[5, 10],
            scoring=scorer,
            cv=2,
        )
        assert display.score_name == name


REPORTED = [
    BinaryNeighbors(quantizer=BinaryQuantizer()),
    BinaryNeighbors(
        quantizer=make_pipeline(RandomRotation(random_state=0), TwoBitQuantizer()),
        query="vectors",
        oversampling=4,
    ),
    make_pipeline(
        Normalizer(),
        RandomRotation(random_state=0),
        TwoBitQuantizer(),
        BinaryNeighbors(code_metric="penalty"),
    ),
]


@pytest.mark.parametrize("estimator", REPORTED, ids=["nested", "float", "flat"])
def test_report_measures_and_predicts(estimator):
    scorer = RankingFidelityScorer(n_pairs=90_000, random_state=0)
    estimator = clone(estimator).fit(embeddings()[:3000])
    report = scorer.report(estimator, embeddings()[3000:])
    assert report.measured == scorer(estimator, embeddings()[3000:])
    assert report.low < report.measured < report.high
    assert abs(report.difference) < 0.02
    assert report.holds
    assert "holds" in str(report)
    assert scorer.scores(estimator, embeddings()[3000:]) == {
        "fidelity": report.measured,
        "predicted_fidelity": report.predicted,
        "gap": report.difference,
    }


@pytest.mark.exhaustive
def test_interval_of_a_report_covers_other_draws():
    """Nineteen in twenty intervals should hold what other rows show on average."""
    index = BinaryNeighbors(quantizer=BinaryQuantizer()).fit(embeddings()[:1000])
    parts = [embeddings()[start : start + 400] for start in range(1000, 5000, 400)]
    reports = [RankingFidelityScorer(random_state=0).report(index, X) for X in parts]
    mean = np.mean([report.measured for report in reports])
    assert sum(r.low <= mean <= r.high for r in reports) >= 8


def test_report_says_that_a_prediction_fails():
    """All coordinates positive: signs about 0 say less than a normal law expects."""
    X = np.square(embeddings()[:, :64]) + 1e-4
    index = BinaryNeighbors(quantizer=BinaryQuantizer("median")).fit(X)
    tilted = BinaryNeighbors(quantizer=BinaryQuantizer("zero")).fit(X - 1e-3)
    report = RankingFidelityScorer(random_state=0).report(tilted, X - 1e-3)
    assert not report.holds
    assert "does not hold" in str(report)
    assert RankingFidelityScorer(random_state=0).report(index, X).predicted > 0


def test_report_without_a_prediction_says_why():
    scorer = RankingFidelityScorer(random_state=0)
    scaled = make_pipeline(StandardScaler(), BinaryQuantizer(), BinaryNeighbors())
    report = scorer.report(scaled.fit(embeddings()), embeddings())
    assert np.isnan(report.predicted)
    assert not report.holds
    assert "no prediction: a step before the quantizer changes" in str(report)
    lengths = embeddings() * np.linspace(1, 2, len(embeddings()))[:, None]
    euclidean = BinaryNeighbors(quantizer=BinaryQuantizer(), metric="euclidean")
    assert "norms differ" in str(scorer.report(euclidean.fit(lengths), lengths))


@pytest.mark.exhaustive
def test_a_grid_search_by_several_metrics_finds_what_theory_finds():
    search = GridSearchCV(
        BinaryNeighbors(query="vectors"),
        {"quantizer": [BinaryQuantizer(), TwoBitQuantizer("zero"), TwoBitQuantizer()]},
        scoring=RankingFidelityScorer(random_state=0).scores,
        refit="fidelity",
        cv=2,
    ).fit(embeddings()[:2000])
    results = search.cv_results_
    assert np.abs(results["mean_test_gap"]).max() < 0.01
    order = [results[f"rank_test_{n}"] for n in ("fidelity", "predicted_fidelity")]
    np.testing.assert_array_equal(*order)
