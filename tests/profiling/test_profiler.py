from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm, spearmanr
from sklearn.base import clone

from skbq._profiling.moments import Reservoir, anderson_darling
from skbq._profiling.profiler import HeterogeneityProfiler
from skbq.codes import as_codes
from skbq.datasets import load_wordnet_minilm, make_gaussian

FIGURES = [
    "heterogeneity_",
    "sign_entropy_",
    "predicted_sign_entropy_",
    "snr_mean_",
    "snr_std_",
    "off_diagonal_ratio_",
    "effective_dimension_",
    "effective_rank_",
    "norm_cv_",
    "gaussian_pass_rate_",
    "scale_correlation_",
]
ARRAYS = ["mean_", "scale_", "covariance_", "constant_features_"]


@cache
def glosses():
    return load_wordnet_minilm().data


@cache
def skewed():
    """Correlated rows with a mean, uneven scales, and two constant columns."""
    X = make_gaussian(
        3000, 24, spectrum=0.7, heterogeneity=0.5, mean=0.3, random_state=0
    )
    X[:, 5] = np.exp(X[:, 5])
    X[:, 7] = 0.1
    X[:, 11] = 0.0
    return X


def entropy(p):
    p = np.clip(p, 1e-300, 1 - 1e-16)
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


def test_figures_agree_with_their_definitions():
    X = skewed()
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    covariance = np.cov(X.T, ddof=0)
    assert_allclose(profiler.mean_, X.mean(axis=0), atol=1e-14)
    assert_allclose(profiler.scale_, X.std(axis=0), atol=1e-14)
    assert_allclose(profiler.covariance_, covariance, atol=1e-13)
    assert_array_equal(profiler.constant_features_, [7, 11])
    assert profiler.mean_[7] == 0.1
    assert_array_equal(profiler.scale_[[7, 11]], 0.0)
    scale = X.std(axis=0)
    assert_allclose(profiler.heterogeneity_, scale.std() / scale.mean())
    assert_allclose(
        profiler.sign_entropy_, entropy((X > 0).mean(axis=0)).mean(), atol=1e-12
    )
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert_allclose(
        profiler.effective_dimension_, eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    )
    assert_allclose(profiler.effective_rank_, eigenvalues.sum() / eigenvalues.max())
    on_diagonal = np.diag(covariance.diagonal())
    assert_allclose(
        profiler.off_diagonal_ratio_,
        np.linalg.norm(covariance - on_diagonal) / np.linalg.norm(on_diagonal),
    )
    norms = np.linalg.norm(X, axis=1)
    assert_allclose(profiler.norm_cv_, norms.std() / norms.mean())


def test_figures_without_the_constant_columns():
    X = np.delete(skewed(), [7, 11], axis=1)
    profiler = HeterogeneityProfiler(random_state=0).fit(skewed())
    snr = np.abs(X.mean(axis=0) / X.std(axis=0))
    assert_allclose(profiler.snr_mean_, snr.mean())
    assert_allclose(profiler.snr_std_, snr.std())
    correlation = np.abs(np.corrcoef(X.T))
    coupling = (correlation.sum(axis=1) - 1) / (len(correlation) - 1)
    expected = spearmanr(X.std(axis=0), coupling).statistic
    assert_allclose(profiler.scale_correlation_, expected)


def test_predicted_entropy_is_that_of_gaussian_rows():
    X = make_gaussian(100_000, 8, mean=np.linspace(-2, 2, 8), random_state=0)
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    assert_allclose(profiler.predicted_sign_entropy_, profiler.sign_entropy_, atol=2e-3)
    assert profiler.sign_entropy_ < 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [1, 7, 1000, 2999])
def test_chunks_give_the_same_as_the_whole(chunk, dtype):
    n = 200 if chunk == 1 else 3000
    X = (skewed()[:n] + 100.0).astype(dtype)
    whole = HeterogeneityProfiler(random_state=0).fit(X)
    chunked = HeterogeneityProfiler(random_state=0)
    for start in range(0, n, chunk):
        chunked.partial_fit(X[start : start + chunk])
    assert chunked.n_samples_seen_ == whole.n_samples_seen_ == n
    for name in FIGURES + ARRAYS:
        left, right = getattr(chunked, name), getattr(whole, name)
        assert_allclose(left, right, rtol=1e-10, atol=1e-10, err_msg=name)
    assert chunked.gaussian_pass_rate_ == whole.gaussian_pass_rate_


def test_moments_survive_a_large_offset():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((5000, 4))
    X = noise + 1e6
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    assert_allclose(profiler.covariance_, np.cov(noise.T, ddof=0), rtol=0, atol=1e-8)


def test_fit_forgets_and_partial_fit_remembers():
    X = skewed()
    profiler = HeterogeneityProfiler(random_state=0).fit(X + 5.0).fit(X)
    assert profiler.n_samples_seen_ == 3000
    assert_allclose(profiler.mean_, X.mean(axis=0), atol=1e-14)
    profiler.partial_fit(X)
    assert profiler.n_samples_seen_ == 6000
    assert_allclose(profiler.mean_, X.mean(axis=0), atol=1e-14)


def test_a_bad_chunk_changes_nothing():
    X = skewed()
    profiler = HeterogeneityProfiler(random_state=0).partial_fit(X)
    before = profiler.covariance_.copy()
    bad = X.copy()
    bad[-1, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        profiler.partial_fit(bad)
    with pytest.raises(ValueError, match="features"):
        profiler.partial_fit(X[:, :3])
    assert profiler.n_samples_seen_ == 3000
    assert_array_equal(profiler.covariance_, before)


def test_the_sample_is_random_and_does_not_depend_on_chunks():
    X = np.arange(10_000.0)[:, None]

    def sample(chunk, seed):
        reservoir = Reservoir(
            seed, 2000, np.empty(0, dtype=np.uint64), np.empty((0, 0))
        )
        for start in range(0, len(X), chunk):
            reservoir = reservoir.add(X[start : start + chunk], start)
        return reservoir.rows[:, 0]

    whole = sample(len(X), 1)
    assert len(np.unique(whole)) == 2000
    for chunk in (900, 2000, 3333):
        assert_array_equal(sample(chunk, 1), whole)
    assert len(np.intersect1d(whole, sample(len(X), 2))) < 600
    # A fifth of each tenth, up to five standard deviations.
    assert np.abs(np.histogram(whole, bins=10)[0] - 200).max() < 65


@pytest.mark.parametrize("n", [2, 8, 500])
def test_anderson_darling_is_the_corrected_statistic(n):
    X = np.random.default_rng(n).gamma(2.0, size=(n, 5))
    X[:, 2] = 1.0 / 3.0
    statistic = anderson_darling(X)
    assert np.isnan(statistic[2])
    for j in (0, 1, 3, 4):
        z = np.sort((X[:, j] - X[:, j].mean()) / X[:, j].std(ddof=1))
        expected = _plain_anderson_darling(z) * (1 + 0.75 / n + 2.25 / n**2)
        assert_allclose(statistic[j], expected, rtol=1e-10)


def _plain_anderson_darling(z):
    n = len(z)
    total = sum(
        (2 * i - 1) * (norm.logcdf(z[i - 1]) + norm.logsf(z[n - i]))
        for i in range(1, n + 1)
    )
    return -n - total / n


def test_pass_rate_is_nominal_for_normal_rows_and_zero_for_skewed_ones():
    X = make_gaussian(2000, 800, random_state=0)
    rate = HeterogeneityProfiler(random_state=0).fit(X).gaussian_pass_rate_
    assert 0.93 < rate < 0.97
    profiler = HeterogeneityProfiler(random_state=0).fit(np.exp(X[:, :50]))
    assert profiler.gaussian_pass_rate_ == 0.0
    assert profiler.normality_sample_size_ == 2000


def test_pass_rate_uses_a_fixed_number_of_rows():
    X = glosses()
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    assert profiler.normality_sample_size_ == 2000
    again = HeterogeneityProfiler(random_state=0).fit(X)
    assert again.gaussian_pass_rate_ == profiler.gaussian_pass_rate_
    assert HeterogeneityProfiler().fit(X[:300]).normality_sample_size_ == 300


def test_transform_passes_vectors_through():
    profiler = HeterogeneityProfiler(random_state=0).fit(skewed())
    for X in (skewed(), skewed().astype(np.float32), np.ones((3, 24), np.int8)):
        out = profiler.transform(X)
        assert out is X
    assert clone(profiler).random_state == 0


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.float32])
def test_other_dtypes_are_measured_as_their_values(dtype):
    X = (skewed() * 10).astype(dtype)
    profiler = HeterogeneityProfiler(random_state=0).fit(X)
    assert_allclose(profiler.covariance_, np.cov(X.astype(float).T, ddof=0), atol=1e-11)
    memory = np.asfortranarray(X)
    memory.flags.writeable = False
    again = HeterogeneityProfiler(random_state=0).fit(memory)
    assert_array_equal(again.covariance_, profiler.covariance_)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 2), np.uint8), "may be codes or vectors"),
        (as_codes(np.zeros((5, 2), np.uint8), n_features=16), "holds codes already"),
        (np.zeros((1, 3)), "1 sample"),
    ],
)
def test_bad_input_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        HeterogeneityProfiler().fit(X)


def test_what_has_no_meaning_is_nan_and_raises_no_warning():
    constant = HeterogeneityProfiler().fit(np.full((4, 3), 0.1))
    for name in ["heterogeneity_", "snr_mean_", "gaussian_pass_rate_"]:
        assert np.isnan(getattr(constant, name))
    assert constant.sign_entropy_ == 0.0
    assert constant.report() == (
        "4 vectors of 3 coordinates. 3 of them never vary: their bits say nothing."
    )
    single = HeterogeneityProfiler().fit(np.array([[1.0], [2.0], [-1.0]]))
    assert single.off_diagonal_ratio_ == 0.0
    assert np.isnan(single.scale_correlation_)
    tiny = HeterogeneityProfiler().fit(np.array([[1.0, 1e-200], [2.0, 0.0]]))
    assert np.isfinite(tiny.snr_mean_)
    one_row = HeterogeneityProfiler().partial_fit([[1.0, 2.0]])
    assert_array_equal(one_row.constant_features_, [0, 1])


def test_report_names_figures_and_remedies():
    text = HeterogeneityProfiler(random_state=0).fit(glosses()).report()
    assert text.startswith("5,000 vectors of 384 coordinates. 2 of them never vary")
    for word in [
        "Signs",
        "Heterogeneity",
        "Dimension",
        "Norms",
        "Normality",
        "2,000 rows",
    ]:
        assert word in text
    assert "let the quantizer center" not in text
    shifted = HeterogeneityProfiler(random_state=0).fit(glosses() + 0.1).report()
    assert "let the quantizer center" in shifted
    uneven = make_gaussian(500, 20, heterogeneity=0.6, random_state=0)
    text = HeterogeneityProfiler(random_state=0).fit(uneven).report()
    assert "try RandomRotation" in text
    assert "choose the metric on purpose" in text
