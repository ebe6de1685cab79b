import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from skbq.datasets import (
    load_wordnet_minilm,
    make_gaussian,
    make_low_rank_clusters,
    make_sphere,
)
from skbq.datasets._generators import _zipf_labels


def sign_fidelity(X, n=1500):
    """Spearman correlation of sign agreement and inner product over pairs."""
    rows, others = X[:n], X[n : 2 * n]
    agreement = np.where(rows > 0, 1.0, -1.0) @ np.where(others > 0, 1.0, -1.0).T
    return spearmanr((rows @ others.T).ravel(), agreement.ravel()).statistic


def test_wordnet_minilm_is_complete_and_of_unit_length():
    bunch = load_wordnet_minilm()
    for rows, n in [(bunch.data, 5000), (bunch.queries, 250)]:
        assert rows.shape == (n, 384)
        assert rows.dtype == np.float32
        assert rows.flags.c_contiguous
        assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=2e-7)
    assert len(bunch.texts) == len(bunch.lemmas) == 5000
    assert len(bunch.query_texts) == len(bunch.query_lemmas) == 250
    assert len(set(bunch.texts)) == 5000
    assert not set(bunch.texts) & set(bunch.query_texts)
    assert all(type(text) is str and text for text in bunch.texts)


def test_wordnet_minilm_names_its_licences():
    description = load_wordnet_minilm().DESCR
    assert "WordNet 3.0, Copyright 2006" in description
    assert "Apache License 2.0" in description


def test_wordnet_minilm_neighbors_have_kindred_meaning():
    bunch = load_wordnet_minilm()
    moralist = bunch.lemmas.index("moralist")
    similarity = bunch.data @ bunch.data[moralist]
    nearest = np.argsort(-similarity)[1:4]
    assert any("moral" in bunch.texts[i] or "ethic" in bunch.texts[i] for i in nearest)


@pytest.mark.parametrize("make", [make_sphere, make_low_rank_clusters, make_gaussian])
def test_generators_are_seeded_and_typed(make):
    X = make(50, 80, random_state=3)
    assert X.shape == (50, 80)
    assert X.dtype == np.float64
    assert_array_equal(X, make(50, 80, random_state=3))
    assert_array_equal(X, make(50, 80, random_state=np.random.RandomState(3)))
    assert not np.array_equal(X, make(50, 80, random_state=4))
    single = make(50, 80, random_state=3, dtype=np.float32)
    assert_array_equal(single, X.astype(np.float32))


@pytest.mark.parametrize("make", [make_sphere, make_low_rank_clusters, make_gaussian])
@pytest.mark.parametrize("sizes", [(0, 80), (5, 0)])
def test_generators_refuse_empty_sizes(make, sizes):
    with pytest.raises(ValueError, match=r"must be an int in the range \[1, inf\)"):
        make(*sizes)


def test_sphere_has_the_known_sign_fidelity():
    X = make_sphere(3000, 768, random_state=0)
    assert_allclose(np.linalg.norm(X, axis=1), 1.0)
    # Kruskal's (6 / pi) arcsin(rho / 2) at Pearson's rho = 2 / pi.
    assert_allclose(sign_fidelity(X), 6 / np.pi * np.arcsin(1 / np.pi), atol=0.005)


def test_zipf_labels_follow_the_rejection_rule():
    labels = _zipf_labels(np.random.RandomState(0), 200_000, 256, 1.2)
    u = 1.0 - np.random.RandomState(1).random_sample(200_000)
    naive = np.floor(u ** (-1 / 1.2))
    naive = naive[naive < 256]
    assert labels.min() == 1
    assert labels.max() == 255
    for k in [1, 2, 3, 10, 100]:
        assert_allclose((labels >= k).mean(), (naive >= k).mean(), atol=0.005)


def test_low_rank_clusters_have_the_published_figures():
    # Published for this set: CV 0.071, H 0.981, mean SNR 0.167, fidelity 0.929;
    # the tolerance covers the spread between seeds.
    X = make_low_rank_clusters(10_000, random_state=0, dtype=np.float32)
    assert_allclose(np.linalg.norm(X, axis=1), 1.0, rtol=1e-6)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    assert_allclose(scale.std() / scale.mean(), 0.071, atol=0.005)
    assert_allclose(np.mean(np.abs(mean / scale)), 0.167, atol=0.02)
    ones = (X > 0).mean(axis=0)
    entropy = -ones * np.log2(ones) - (1 - ones) * np.log2(1 - ones)
    assert_allclose(entropy.mean(), 0.981, atol=0.005)
    assert_allclose(sign_fidelity(X), 0.929, atol=0.01)


@pytest.mark.parametrize("correlated", [True, False])
def test_gaussian_rows_have_the_returned_moments(correlated):
    made = make_gaussian(
        200_000,
        6,
        spectrum=[3.0, 2.0, 1.0, 0.5, 0.25, 0.0],
        mean=np.arange(6.0),
        correlated=correlated,
        return_model=True,
        random_state=0,
    )
    assert_array_equal(made.mean, np.arange(6.0))
    assert_allclose(made.data.mean(axis=0), made.mean, atol=0.02)
    assert_allclose(np.cov(made.data.T), made.covariance, atol=0.03)
    eigenvalues = np.linalg.eigvalsh(made.covariance)[::-1]
    assert_allclose(eigenvalues, [3.0, 2.0, 1.0, 0.5, 0.25, 0.0], atol=1e-12)
    off_diagonal = made.covariance - np.diag(made.covariance.diagonal())
    assert (np.abs(off_diagonal).max() > 0.1) == correlated


def test_gaussian_power_law_has_mean_one():
    made = make_gaussian(
        5, 40, spectrum=1.5, correlated=False, return_model=True, random_state=0
    )
    variances = made.covariance.diagonal()
    assert_allclose(variances.mean(), 1.0)
    assert_allclose(variances / variances[0], np.arange(1, 41.0) ** -1.5)


@pytest.mark.parametrize("spectrum", [0.0, 1.0])
@pytest.mark.parametrize("cv", [0.0, 0.01, 0.4, 3.0])
def test_gaussian_heterogeneity_is_exact(spectrum, cv):
    made = make_gaussian(
        5,
        64,
        spectrum=spectrum,
        heterogeneity=cv,
        mean=-0.3,
        return_model=True,
        random_state=0,
    )
    scales = np.sqrt(made.covariance.diagonal())
    assert_allclose(scales.std() / scales.mean(), cv, atol=1e-9)
    assert_allclose(np.mean(scales**2), 1.0)
    assert_allclose(made.mean, -0.3 * scales)


def test_gaussian_heterogeneity_keeps_correlations():
    def correlation(covariance):
        scales = np.sqrt(covariance.diagonal())
        return covariance / np.outer(scales, scales)

    plain, scaled = (
        make_gaussian(
            5, 20, spectrum=1.0, heterogeneity=cv, return_model=True, random_state=0
        )
        for cv in (None, 0.5)
    )
    assert_allclose(
        correlation(plain.covariance), correlation(scaled.covariance), atol=1e-12
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spectrum": -1.0}, "'spectrum' parameter"),
        ({"spectrum": [1.0, 2.0]}, r"10 finite eigenvalues.*shape \(2,\)"),
        ({"spectrum": [-1.0] * 10}, "finite eigenvalues"),
        ({"mean": [1.0]}, r"'mean' parameter.*shape \(1,\)"),
        ({"mean": np.nan}, "'mean' parameter"),
        ({"heterogeneity": -0.1}, "'heterogeneity' parameter"),
        ({"heterogeneity": 5.0}, "at most 2.7 for n_features=10"),
        ({"spectrum": [0.0] * 10, "heterogeneity": 0.1}, "spectrum of zeros"),
        ({"spectrum": 1.0, "heterogeneity": 0.1, "correlated": False}, "Got both"),
    ],
)
def test_gaussian_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        make_gaussian(10, 10, **options)


@pytest.mark.parametrize(
    "options", [{"rank": 81}, {"n_clusters": 1}, {"exponent": 0.0}, {"noise": -1.0}]
)
def test_low_rank_clusters_refuse(options):
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter"):
        make_low_rank_clusters(10, 80, **options)
