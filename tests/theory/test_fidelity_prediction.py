"""Predictions for given rows: denoised moments, drawn rows, the profiler's table."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    HeterogeneityProfiler,
    RandomRotation,
    TwoBitQuantizer,
)
from skbq.datasets import load_wordnet_minilm, make_gaussian
from skbq.theory import (
    RowModel,
    denoised_covariance,
    effective_dimension,
    predict_fidelity,
    simulated_fidelity,
)

D = 48


@pytest.fixture(scope="module")
def law():
    model = make_gaussian(
        50,
        D,
        spectrum=0.6,
        heterogeneity=0.3,
        mean=0.4,
        return_model=True,
        random_state=3,
    )
    return model.mean, model.covariance


@pytest.fixture(scope="module")
def glosses():
    return load_wordnet_minilm().data


@pytest.fixture(scope="module")
def table(glosses):
    return HeterogeneityProfiler(random_state=0).fit(glosses).predict_fidelity()


def test_denoising_leaves_the_diagonal_and_takes_out_noise():
    rng = np.random.default_rng(0)
    scale = np.exp(0.3 * rng.standard_normal(80))
    noisy = np.cov((rng.standard_normal((200, 80)) * scale).T)
    clean = denoised_covariance(noisy, 200)
    np.testing.assert_array_equal(clean.diagonal(), noisy.diagonal())
    true = effective_dimension(np.diag(scale**2))
    # At 200 rows the sample's is near 1 / (1 / 66 + 1 / 200) = 50.
    assert effective_dimension(noisy) < 0.8 * true
    assert effective_dimension(clean) == pytest.approx(true, rel=0.1)


def test_denoising_keeps_what_is_no_noise(law):
    _, covariance = law
    np.testing.assert_allclose(
        denoised_covariance(covariance, 10**6), covariance, rtol=1e-3
    )


def test_denoising_refuses_one_row():
    with pytest.raises(ValueError, match=r"\[2, inf\)"):
        denoised_covariance(np.eye(3), 1)


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("code_metric", ["dot", "hamming", "penalty"])
@pytest.mark.parametrize(
    "quantizer",
    [
        BinaryQuantizer(),
        TwoBitQuantizer("zero", magnitude="coordinate"),
        TwoBitQuantizer(levels="lloyd_max"),
    ],
)
def test_drawn_rows_agree_with_the_closed_form(law, quantizer, code_metric, metric):
    known = {"code_metric": code_metric, "metric": metric}
    drawn = simulated_fidelity(quantizer, *law, **known).pearson
    closed = predict_fidelity(quantizer, *law, **known).pearson
    assert drawn == pytest.approx(closed, abs=0.008)


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("quantizer", [BinaryQuantizer("zero"), TwoBitQuantizer()])
def test_float_queries_are_those_of_the_index(law, quantizer, metric):
    """Predicted from the law alone, measured through a fitted index on other rows."""
    mean, covariance = law
    rng = np.random.default_rng(7)
    X = rng.multivariate_normal(mean, covariance, size=3000)
    index = BinaryNeighbors(quantizer=quantizer, metric=metric, query="vectors")
    distances, order = index.fit(X[:2000]).kneighbors(X[2000:], n_neighbors=2000)
    score = np.empty_like(distances)
    np.put_along_axis(score, order, -distances, axis=1)
    if metric == "cosine":
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    measured = np.corrcoef((X[2000:] @ X[:2000].T).ravel(), score.ravel())[0, 1]
    predicted = simulated_fidelity(
        quantizer, mean, covariance, query="vectors", metric=metric
    )
    assert predicted.pearson == pytest.approx(measured, abs=0.01)


def test_isotropic_vectors_do_not_see_a_rotation(law):
    rotation = RandomRotation(random_state=1).fit(np.eye(D)).matrix()
    isotropic = np.zeros(D), np.eye(D)
    one = simulated_fidelity(TwoBitQuantizer(), *isotropic)
    other = simulated_fidelity(TwoBitQuantizer(), *isotropic, rotation=rotation)
    assert one.pearson == pytest.approx(other.pearson, abs=0.005)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"rotation": np.ones((D, D))}, "orthogonal"),
        ({"metric": "euclidean"}, "'metric' .* must be one of"),
        ({"query": "float"}, "'query' .* must be one of"),
        ({"query": "vectors", "code_metric": "penalty"}, "compares two codes"),
    ],
)
def test_drawn_rows_refuse(law, known, message):
    with pytest.raises(ValueError, match=message):
        simulated_fidelity(TwoBitQuantizer(), *law, **known)


def test_the_law_of_rotated_rows_measures_rotated_rows(glosses):
    X = glosses[:1000]
    rotation = RandomRotation(random_state=0).fit(X)
    known = X.mean(axis=0), np.cov(X.T), len(X)
    law = RowModel.fit(*known, sample=X).rotated(rotation.matrix())
    quantizer = TwoBitQuantizer(threshold="zero")
    levels = quantizer.fit_transform(rotation.transform(X)).unpack().astype(float)
    true = X[:500] @ X[500:].T
    expected = spearmanr(true.ravel(), (levels[:500] @ levels[500:].T).ravel())
    assert law.predict(quantizer).sampled == pytest.approx(expected.statistic, abs=1e-3)


@pytest.mark.exhaustive
def test_the_standard_error_is_the_spread_over_samples():
    """Over 30 samples of a law: within a third of their standard deviation."""
    mean, covariance = np.full(24, 0.3), np.diag(np.arange(1.0, 25) ** -1)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        X = rng.multivariate_normal(mean, covariance, size=400)
        law = RowModel.fit(mean, covariance, 10**6, sample=X, metric="inner_product")
        checked = law.predict(BinaryQuantizer("zero"))
        found.append((checked.sampled, checked.standard_error))
    sampled, errors = np.transpose(found)
    assert np.mean(errors) == pytest.approx(sampled.std(ddof=1), rel=0.34)


@pytest.mark.exhaustive
def test_the_table_has_every_strategy_once(table):
    assert {len(column) for column in table.values()} == {24}
    settings = ("threshold", "rotate", "bits", "query", "code_metric")
    assert len(set(zip(*(table[name] for name in settings), strict=True))) == 24
    assert len(set(table["strategy"])) == 24


@pytest.mark.exhaustive
def test_real_embeddings_are_predicted(table):
    """All are valid on the shipped glosses, and within 0.02 of a measurement."""
    assert table["valid"].all()
    assert (table["reason"] == "").all()
    gaps = table["predicted_fidelity"] - table["sampled_fidelity"]
    assert np.abs(gaps).max() < 0.02


@pytest.mark.exhaustive
def test_more_bits_and_float_queries_rank_better(table):
    def fidelity(**wanted):
        chosen = np.ones(24, dtype=bool)
        for name, value in wanted.items():
            chosen &= table[name] == value
        return table["predicted_fidelity"][chosen]

    for threshold in ("mean", "zero"):
        for rotate in (False, True):
            place = {"threshold": threshold, "rotate": rotate, "code_metric": "auto"}
            one, one_asked = (
                fidelity(bits=1, query=q, **place) for q in ("codes", "vectors")
            )
            two, two_asked = (
                fidelity(bits=2, query=q, **place) for q in ("codes", "vectors")
            )
            assert one < two < two_asked
            assert one < one_asked < two_asked


def test_rows_unlike_the_law_are_flagged_with_a_reason():
    """Squared normal coordinates: all positive, so that signs about 0 say nothing."""
    X = make_gaussian(1000, 32, spectrum=0.5, random_state=0) ** 2 + 0.01
    table = HeterogeneityProfiler(random_state=0).fit(X).predict_fidelity()
    axes = ~table["rotate"] & (table["bits"] == 1) & (table["query"] == "codes")
    assert not table["valid"][axes].any()
    assert all("look normal" in reason for reason in table["reason"][axes])
    unsure = np.array([bool(reason) for reason in table["reason"]])
    np.testing.assert_array_equal(table["valid"], ~unsure)


def test_rows_in_chunks_predict_the_same(glosses):
    # Which rows are sampled of more is a test of the profiler.
    X = glosses[:700, :40]
    whole, chunked = (HeterogeneityProfiler(random_state=0) for _ in range(2))
    for start in range(0, len(X), 300):
        chunked.partial_fit(X[start : start + 300])
    tables = [p.predict_fidelity() for p in (whole.fit(X), chunked)]
    for name in ("predicted_fidelity", "sampled_fidelity"):
        # Rounding may move a drawn coordinate over its threshold.
        np.testing.assert_allclose(*(table[name] for table in tables), atol=1e-3)


def test_few_rows_are_not_called_valid(glosses):
    X = glosses[:60, :40]
    table = HeterogeneityProfiler(random_state=0).fit(X).predict_fidelity()
    assert not table["valid"].any()
    assert all("60 rows are too few" in reason for reason in table["reason"])


def test_what_cannot_be_predicted_is_refused(glosses):
    with pytest.raises(ValueError, match="at least 20 rows"):
        HeterogeneityProfiler().fit(glosses[:10]).predict_fidelity()
    X = glosses[:300] * np.arange(1, 301)[:, None]
    with pytest.raises(ValueError, match="norms differ"):
        HeterogeneityProfiler().fit(X).predict_fidelity(metric="euclidean")
    with pytest.raises(ValueError, match="metric"):
        HeterogeneityProfiler().fit(X).predict_fidelity(metric="dot")


@pytest.mark.exhaustive
def test_unit_rows_rank_alike_by_euclidean_distance(glosses):
    few = HeterogeneityProfiler(random_state=0).fit(glosses[:400, :32])
    with pytest.raises(ValueError, match="norms differ"):
        few.predict_fidelity(metric="euclidean")
    X = glosses[:400, :32] / np.linalg.norm(glosses[:400, :32], axis=1)[:, None]
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    tables = [profiler.predict_fidelity(metric=m) for m in ("cosine", "euclidean")]
    np.testing.assert_array_equal(*(t["predicted_fidelity"] for t in tables))
