"""Invariances of the predictions, and of the quick laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq.theory import (
    bit_agreement,
    effective_dimension,
    fit_scaling_law,
    isotropic_fidelity,
    magnitude_bit_gain,
    one_sided_fidelity,
    predict_fidelity,
    rotated_fidelity,
    scale_correlation,
    scaling_law,
    sign_entropy,
    stein_signal,
)

QUANTIZERS = [
    BinaryQuantizer(),
    BinaryQuantizer("zero"),
    TwoBitQuantizer(),
    TwoBitQuantizer("zero", magnitude="coordinate"),
]
few = settings(max_examples=10, deadline=None, derandomize=True)
quantizers = st.sampled_from(QUANTIZERS)
metrics = st.sampled_from(["inner_product", "cosine"])
queries = st.sampled_from(["codes", "vectors"])


@st.composite
def moments(draw_):
    d = draw_(st.integers(6, 20))
    rng = np.random.default_rng(draw_(st.integers(0, 1000)))
    root = rng.standard_normal((d, draw_(st.integers(d, 3 * d))))
    scale = np.exp(draw_(st.floats(0, 0.6)) * rng.standard_normal(d))
    covariance = root @ root.T / root.shape[1] * np.outer(scale, scale)
    mean = draw_(st.floats(0, 1)) * rng.standard_normal(d)
    return mean, covariance


@pytest.fixture(scope="session")
def pearson(predicted_pearson):
    return predicted_pearson


@few
@given(moments(), quantizers, metrics, queries, st.floats(1e-3, 1e3))
def test_scale_does_not_matter(pearson, law, quantizer, metric, query, factor):
    mean, covariance = law
    options = {"metric": metric, "query": query}
    assert pearson(quantizer, factor * mean, factor**2 * covariance, **options) == (
        pytest.approx(pearson(quantizer, mean, covariance, **options), abs=1e-7)
    )


@few
@given(moments(), quantizers, metrics, queries, st.randoms(use_true_random=False))
def test_order_and_sign_of_coordinates_do_not_matter(
    pearson, law, quantizer, metric, query, random
):
    mean, covariance = law
    order = list(range(len(mean)))
    random.shuffle(order)
    signs = np.array([random.choice([-1.0, 1.0]) for _ in order])
    mixed = (covariance * np.outer(signs, signs))[np.ix_(order, order)]
    options = {"metric": metric, "query": query}
    assert pearson(quantizer, (signs * mean)[order], mixed, **options) == (
        pytest.approx(pearson(quantizer, mean, covariance, **options), abs=1e-7)
    )


@few
@given(st.integers(2, 40), quantizers, metrics, queries, st.integers(0, 99))
def test_rotation_of_isotropic_vectors_changes_nothing(
    pearson, d, quantizer, metric, query, s
):
    q = np.linalg.qr(np.random.default_rng(s).standard_normal((d, d)))[0]
    options = {"metric": metric, "query": query}
    zero, eye = np.zeros(d), np.eye(d)
    assert pearson(quantizer, zero, eye, rotation=q, **options) == (
        pytest.approx(pearson(quantizer, zero, eye, **options), abs=1e-6)
    )


@few
@given(moments())
def test_asymmetric_search_ranks_better(pearson, law):
    _, covariance = law
    mean = np.zeros(len(covariance))
    for quantizer in (QUANTIZERS[0], TwoBitQuantizer(magnitude="coordinate")):
        coded = pearson(quantizer, mean, covariance)
        assert coded < pearson(quantizer, mean, covariance, query="vectors")


@few
@given(st.integers(2, 40), st.floats(0, 0.8), queries)
def test_more_bits_rank_better(pearson, d, rho, query):
    """Coordinates of one scale and one correlation: 1 bit, (1, 3), Lloyd-Max."""
    covariance = np.full((d, d), rho) + (1 - rho) * np.eye(d)
    fidelities = [
        pearson(quantizer, np.zeros(d), covariance, query=query)
        for quantizer in (
            BinaryQuantizer(),
            TwoBitQuantizer(magnitude="coordinate"),
            TwoBitQuantizer(magnitude="coordinate", levels="lloyd_max"),
        )
    ]
    assert fidelities == sorted(set(fidelities))


@few
@given(moments(), quantizers, metrics, queries)
def test_predictions_are_correlations(law, quantizer, metric, query):
    result = predict_fidelity(quantizer, *law, metric=metric, query=query)
    assert -1.0 <= result.spearman <= 1.0
    assert abs(result.spearman - result.spearman_normal) < 0.2


def test_magnitude_bit_constants():
    result = magnitude_bit_gain(0.0)
    assert result.gain == pytest.approx(0.1159, abs=5e-5)
    assert result.curvature == pytest.approx(0.0877, abs=5e-5)
    assert result.two_bits == pytest.approx(0.9138, abs=5e-5)
    with pytest.raises(ValueError, match="cv"):
        magnitude_bit_gain(-0.1)


def test_magnitude_bit_expansion_follows_the_exact_form():
    rng = np.random.default_rng(0)
    scale = 1 + 0.05 * rng.standard_normal(100_000)
    cv = scale.std() / scale.mean()
    one, two = one_sided_fidelity(scale)
    result = magnitude_bit_gain(cv)
    assert one == pytest.approx(result.one_bit, abs=1e-5)
    assert two == pytest.approx(result.two_bits, abs=1e-4)


def test_one_sided_fidelity_is_a_correlation_of_code_and_value():
    rng = np.random.default_rng(1)
    scale = np.exp(0.3 * rng.standard_normal(64))
    X = rng.standard_normal((20_000, 64)) * scale
    sign = np.where(X > 0, 1.0, -1.0)
    strong = 1 + (np.abs(X) > np.sqrt(2 / np.pi) * scale.mean())
    for code, expected in zip(
        (sign, sign * strong), one_sided_fidelity(scale), strict=True
    ):
        measured = np.corrcoef(code.ravel(), X.ravel())[0, 1]
        assert measured == pytest.approx(expected, abs=0.003)


@few
@given(st.floats(0.05, 1.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_rotation_law_falls_with_dimension_and_rises_with_eta(eta, low, high):
    low, high = sorted((low, high))
    assert rotated_fidelity(eta, high) <= rotated_fidelity(eta, low) + 1e-12
    assert rotated_fidelity(eta, low) <= rotated_fidelity(eta, low, query="vectors")
    assert rotated_fidelity(1.0, low) == pytest.approx(1.0)


def test_rotation_formula_is_exact_for_isotropic_vectors(pearson):
    eta = isotropic_fidelity(BinaryQuantizer())
    for query in ("codes", "vectors"):
        assert rotated_fidelity(eta, 1.0, query=query) == pytest.approx(
            pearson(BinaryQuantizer(), np.zeros(50), np.eye(50), query=query)
        )
    with pytest.raises(ValueError, match="dimension_ratio"):
        rotated_fidelity(0.5, 1.5)


@few
@given(moments())
def test_effective_dimension_is_between_one_and_d(law):
    _, covariance = law
    assert 1 <= effective_dimension(covariance) <= len(covariance) + 1e-9


def test_sign_entropy_counts_bits():
    assert sign_entropy([0.0, 0.0], [1.0, 2.0]) == pytest.approx(1.0)
    assert sign_entropy([3.0], [0.0]) == 0.0
    rng = np.random.default_rng(0)
    p = np.mean(rng.normal(0.5, 1.0, 1_000_000) > 0)
    expected = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    assert sign_entropy([0.5], [1.0]) == pytest.approx(expected, abs=1e-3)


def test_stein_signal_is_the_covariance_of_signs():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    mean = 0.5 * rng.standard_normal(6)
    X = mean + rng.standard_normal((400_000, 6)) @ root.T
    signal = stein_signal(mean, root @ root.T)
    S = np.where(X > 0, 1.0, -1.0)
    cross = (S - S.mean(axis=0)).T @ (X - X.mean(axis=0)) / len(X)
    assert signal.total == pytest.approx(np.sum(cross**2), rel=0.02)
    off = np.sum(cross**2) - np.sum(cross.diagonal() ** 2)
    assert signal.share == pytest.approx(off / np.sum(cross**2), abs=0.01)


def test_scale_correlation_sees_which_coordinates_are_linked():
    d = 60
    scale = np.linspace(1, 2, d)
    for linked, sign in ((slice(40, None), 1), (slice(0, 20), -1)):
        rho = np.full((d, d), 0.05)
        rho[linked, linked] = 0.6
        np.fill_diagonal(rho, 1.0)
        value = scale_correlation(rho * np.outer(scale, scale))
        assert sign * value > 0.4
    assert np.isnan(scale_correlation(np.eye(4)))


def test_bit_agreement_after_rotation():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 30))
    cosine = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
    directions = rng.standard_normal((30, 100_000))
    agreed = np.mean((x @ directions > 0) == (y @ directions > 0))
    assert agreed == pytest.approx(bit_agreement(cosine), abs=0.005)
    with pytest.raises(ValueError, match="cosine"):
        bit_agreement(1.1)


def test_scaling_law_fit_and_its_error():
    rng = np.random.default_rng(0)
    r, m, v = rng.uniform(0.1, 1.2, (3, 12)) * np.array([[1], [0.3], [0.2]])
    fidelity = scaling_law(r, m, v, rho_0=0.62, strength=0.2)
    exact = fit_scaling_law(r, m, v, fidelity)
    assert exact.rho_0 == pytest.approx(0.62, abs=1e-6)
    assert exact.mean_absolute_error < 1e-6
    noisy = fit_scaling_law(r, m, v, fidelity + 0.01 * rng.standard_normal(12))
    assert np.abs(noisy.leave_one_out).mean() > np.abs(noisy.residuals).mean()
    assert noisy.mean_absolute_error < 0.02


def test_scaling_law_alarms_beyond_one():
    assert np.isnan(scaling_law(4.0, 0.0, 0.0, rho_0=0.6, strength=0.1))
    with pytest.raises(ValueError, match="n >= 3"):
        fit_scaling_law([1.0], [0.0], [0.0], [0.5])
