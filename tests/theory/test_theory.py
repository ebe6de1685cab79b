"""Closed forms of fidelity against simulation, at fixed seeds."""

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import skbq.theory
from skbq import BinaryQuantizer, TwoBitQuantizer
from skbq.theory import (
    denoised_covariance,
    fit_projected_normal,
    isotropic_fidelity,
    pairwise_fidelity,
    predict_fidelity,
    rotated_fidelity,
    simulated_fidelity,
    spearman_from_pearson,
)

ONE = BinaryQuantizer()
ROW = TwoBitQuantizer()
COORDINATE = TwoBitQuantizer(magnitude="coordinate")
PAPER = TwoBitQuantizer(threshold="zero", levels=(1, 2))


def make_moments(d, *, power=0.8, cv=0.3, energy=0.0, seed=0):
    """Mean and covariance: rotated power law, unequal scales, share of the mean."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((d, d)))[0]
    covariance = (vectors * np.arange(1.0, d + 1) ** -power) @ vectors.T
    scale = np.exp(cv * rng.standard_normal(d))
    covariance *= np.outer(scale, scale)
    mean = rng.standard_normal(d)
    mean *= np.sqrt(energy / (1 - energy) * np.trace(covariance)) / np.linalg.norm(mean)
    return mean, covariance


def draw(mean, covariance, n, seed=1):
    spectrum, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(spectrum, 0))
    normal = np.random.default_rng(seed).standard_normal((n, len(mean)))
    return mean + normal @ root.T


def levels_of(quantizer, X):
    return quantizer.fit(X).transform(X).unpack().astype(np.float64)


def spearman_of_halves(x, y, p, q):
    """Spearman correlation of <x, y> and <p, q> between the two halves of the rows.

    Of every seventh pair: rows are what is scarce, not pairs.
    """
    half = len(x) // 2
    pairs = ((a[:half] @ b[half:].T).ravel()[::7] for a, b in ((x, y), (p, q)))
    return spearmanr(*pairs).statistic


# Standard deviation of the measured Pearson fidelity at 6,000 rows over ten seeds: at
# most 0.002 where the mean holds no energy, 0.004 where it holds 80 %. The prediction
# is within 0.004 (0.006 for float queries at 80 %) of the mean over these seeds.
SPREAD = 0.008


@pytest.mark.parametrize("energy", [0.0, 0.4])
@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize("threshold", ["mean", "zero"])
@pytest.mark.parametrize(
    "make",
    [
        BinaryQuantizer,
        lambda threshold: TwoBitQuantizer(threshold=threshold, magnitude="coordinate"),
        lambda threshold: TwoBitQuantizer(threshold=threshold),
        lambda threshold: TwoBitQuantizer(threshold=threshold, levels="lloyd_max"),
    ],
)
def test_inner_product_agrees_with_simulation(
    make, threshold, query, energy, predicted_pearson
):
    mean, covariance = make_moments(64, energy=energy)
    X = draw(mean, covariance, 6000)
    quantizer = make(threshold=threshold)
    measured = pairwise_fidelity(levels_of(quantizer, X), X, query=query)
    predicted = predicted_pearson(quantizer, mean, covariance, query=query)
    assert abs(predicted - measured) < SPREAD


@pytest.mark.parametrize("energy", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("query", ["codes", "vectors"])
@pytest.mark.parametrize(
    "quantizer",
    [ONE, BinaryQuantizer("zero"), ROW, TwoBitQuantizer("zero"), COORDINATE],
)
def test_cosine_agrees_with_simulation(quantizer, query, energy, predicted_pearson):
    mean, covariance = make_moments(64, energy=energy)
    X = draw(mean, covariance, 6000)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    measured = pairwise_fidelity(levels_of(quantizer, X), X, query=query)
    predicted = predicted_pearson(
        quantizer, mean, covariance, query=query, metric="cosine"
    )
    assert abs(predicted - measured) < 2 * SPREAD


@pytest.mark.parametrize("magnitude", ["row", "coordinate"])
@pytest.mark.parametrize("code_metric", ["penalty", "hamming"])
@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
def test_scores_of_two_planes(magnitude, code_metric, metric, predicted_pearson):
    mean, covariance = make_moments(64, energy=0.3)
    X = draw(mean, covariance, 4000)
    if metric == "cosine":
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    quantizer = TwoBitQuantizer(magnitude=magnitude, levels=(1, 2))
    levels = levels_of(quantizer, X)
    left, right = levels[:2000], levels[2000:]
    if code_metric == "penalty":
        score = left @ right.T - np.abs(left) @ np.abs(right).T
    else:
        strong = 2 * (np.abs(levels) > 1) - 1.0
        score = np.sign(left) @ np.sign(right).T + strong[:2000] @ strong[2000:].T
    measured = np.corrcoef(score.ravel(), (X[:2000] @ X[2000:].T).ravel())[0, 1]
    predicted = predicted_pearson(
        quantizer, mean, covariance, code_metric=code_metric, metric=metric
    )
    assert abs(predicted - measured) < 2 * SPREAD


@pytest.mark.parametrize("d", [16, 32])
def test_row_threshold_in_low_dimension(d, predicted_pearson):
    # Replacing the row's threshold by its mean would be 0.013 to 0.023 off at d = 16.
    for power in (0.0, 0.8):
        mean, covariance = make_moments(d, power=power, cv=0.0)
        X = draw(mean, covariance, 20_000)
        measured = pairwise_fidelity(levels_of(ROW, X), X)
        predicted = predicted_pearson(ROW, mean, covariance)
        assert abs(predicted - measured) < 0.012


@pytest.mark.parametrize("energy", [0.0, 0.5])
@pytest.mark.parametrize("centered", [False, True])
def test_spearman_of_normal_rows_on_the_sphere(energy, centered):
    mean, covariance = make_moments(64, energy=energy)
    X = draw(mean, covariance, 3000)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    codes = levels_of(ONE, X)
    Y = X - X.mean(axis=0) if centered else X
    predicted = predict_fidelity(
        ONE, mean, covariance, metric="cosine", centered=centered, sample=X[:800]
    )
    measured = spearman_of_halves(Y, Y, codes, codes)
    assert abs(predicted.spearman - measured) < 0.02
    assert abs(predicted.spearman_normal - measured) < 0.02


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("query", ["codes", "vectors"])
def test_spearman_needs_no_sample(metric, query):
    """Similarities of few effective dimensions are not normal: Kruskal may be off."""
    mean, covariance = make_moments(32, power=1.5)
    X = draw(mean, covariance, 4000)
    if metric == "cosine":
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    codes = levels_of(ONE, X)
    left = codes if query == "codes" else X
    measured = spearman_of_halves(X, X, left, codes)
    predicted = predict_fidelity(ONE, mean, covariance, metric=metric, query=query)
    assert abs(predicted.spearman - measured) < 0.015
    if metric == "inner_product":
        assert abs(predicted.spearman_normal - measured) > 0.015


def test_linked_scales_bend_the_score():
    """One strong factor: its sign is all that most bits say, however large it is."""
    d, linked = 128, 24
    rho = np.full((d, d), 0.05)
    rho[:linked, :linked] = 0.9
    np.fill_diagonal(rho, 1.0)
    X = draw(np.zeros(d), rho, 3000)
    codes = levels_of(ONE, X)
    measured = spearman_of_halves(X, X, codes, codes)
    for sample in (None, X[:1000]):
        predicted = predict_fidelity(ONE, np.zeros(d), rho, sample=sample)
        assert abs(predicted.spearman - measured) < 0.02


def test_sample_corrects_similarities_that_are_not_normal():
    # Clusters: similarities of a few close pairs and of many far ones.
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((30, 48))
    X = centers[rng.integers(30, size=3000)] + 0.5 * rng.standard_normal((3000, 48))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    codes = levels_of(ONE, X)
    measured = spearman_of_halves(X, X, codes, codes)
    fit = fit_projected_normal(X.mean(axis=0), np.cov(X.T))
    result = predict_fidelity(
        ONE, fit.mean, fit.covariance, metric="cosine", sample=X[:600]
    )
    assert abs(result.spearman - measured) < 0.03
    assert abs(result.spearman_normal - measured) > 0.06


def test_isotropic_constants():
    assert isotropic_fidelity(ONE) == pytest.approx(2 / np.pi, abs=1e-12)
    assert isotropic_fidelity(TwoBitQuantizer(levels=(1, 2))) == pytest.approx(
        0.835, abs=5e-4
    )
    assert isotropic_fidelity(ROW) == pytest.approx(0.872, abs=5e-4)
    assert isotropic_fidelity(TwoBitQuantizer(levels="lloyd_max")) == pytest.approx(
        0.8825, abs=5e-5
    )


def test_sphere_values_of_the_paper():
    # Uniform on the sphere: 0.619 for one bit, dot (1, 2) 0.823, penalty 0.790.
    zero, eye = np.zeros(256), np.eye(256)
    predicted = [
        predict_fidelity(q, zero, eye, metric="cosine", code_metric=m).spearman_normal
        for q, m in ((ONE, "auto"), (PAPER, "dot"), (PAPER, "penalty"))
    ]
    np.testing.assert_allclose(predicted, [0.619, 0.823, 0.790], atol=0.004)


def test_one_bit_centered_is_the_arcsine_law(predicted_pearson):
    _, covariance = make_moments(40)
    scale = np.sqrt(covariance.diagonal())
    rho = covariance / np.outer(scale, scale)
    cross = np.sum(covariance**2 / scale[:, None] ** 2)
    score = np.sum(np.arcsin(np.clip(rho, -1, 1)) ** 2)
    expected = cross / np.sqrt(score * np.sum(covariance**2))
    predicted = predicted_pearson(ONE, np.zeros(40), covariance)
    assert predicted == pytest.approx(expected, rel=1e-7)  # the arcsine of 1 - 1e-16


def test_rotation_matrix_and_haar_mean():
    mean, covariance = make_moments(128, cv=0.5)
    haar = predict_fidelity(ONE, mean, covariance, rotation="haar")
    q = np.linalg.qr(np.random.default_rng(7).standard_normal((128, 128)))[0]
    one = predict_fidelity(ONE, mean, covariance, rotation=q)
    assert one.pearson == pytest.approx(haar.pearson, abs=0.015)
    ratio = np.trace(covariance) ** 2 / np.sum(covariance**2) / 128
    quick = rotated_fidelity(2 / np.pi, ratio)
    assert abs(quick - haar.pearson) < 0.05
    again = predict_fidelity(ONE, mean @ q, q.T @ covariance @ q)
    assert again.pearson == pytest.approx(one.pearson, abs=1e-12)


def test_large_dimension_is_rotated_by_cosine_transforms():
    d = 1030
    covariance = np.diag(np.exp(0.5 * np.random.default_rng(0).standard_normal(d)))
    haar = predict_fidelity(ONE, np.zeros(d), covariance, rotation="haar")
    ratio = np.trace(covariance) ** 2 / np.sum(covariance**2) / d
    assert haar.pearson == pytest.approx(rotated_fidelity(2 / np.pi, ratio), abs=0.003)


def test_fit_finds_the_normal_behind_unit_norm_vectors(predicted_pearson):
    mean, covariance = make_moments(64, energy=0.5)
    X = draw(mean, covariance, 20_000)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    fit = fit_projected_normal(unit.mean(axis=0), np.cov(unit.T))
    assert fit.residual < 0.005
    for quantizer in (BinaryQuantizer("zero"), TwoBitQuantizer("zero")):
        fitted = predicted_pearson(quantizer, fit.mean, fit.covariance, metric="cosine")
        true = predicted_pearson(quantizer, mean, covariance, metric="cosine")
        assert abs(fitted - true) < 0.006


def test_fit_refuses_rows_that_are_not_unit():
    with pytest.raises(ValueError, match="unit"):
        fit_projected_normal(np.zeros(3), np.eye(3))


def test_pairwise_fidelity_is_the_correlation_over_all_pairs():
    X = draw(*make_moments(12, energy=0.3), 60)
    codes = levels_of(PAPER, X)
    off = ~np.eye(60, dtype=bool)
    for query, score in (("codes", codes @ codes.T), ("vectors", X @ codes.T)):
        expected = np.corrcoef(score[off], (X @ X.T)[off])[0, 1]
        assert pairwise_fidelity(codes, X, query=query) == pytest.approx(expected)


def test_dead_coordinates_change_nothing(predicted_pearson):
    mean, covariance = make_moments(48, energy=0.2)
    wide = np.zeros((50, 50))
    wide[:48, :48] = covariance
    more = np.concatenate([mean, np.zeros(2)])
    for quantizer in (ONE, COORDINATE, BinaryQuantizer("zero")):
        for metric in ("inner_product", "cosine"):
            a = predicted_pearson(quantizer, mean, covariance, metric=metric)
            b = predicted_pearson(quantizer, more, wide, metric=metric)
            assert a == pytest.approx(b, abs=1e-8)
    row = predicted_pearson(ROW, more, wide)
    X = draw(more, wide, 8000)
    assert abs(row - pairwise_fidelity(levels_of(ROW, X), X)) < SPREAD


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_rows_that_never_vary_rank_nothing(metric, mean):
    law = np.full(4, mean), np.zeros((4, 4))
    for predict in (predict_fidelity, simulated_fidelity):
        for quantizer in (ONE, ROW):
            result = predict(quantizer, *law, metric=metric)
            assert np.isnan(result.pearson)
            assert np.isnan(result.spearman)


def test_extreme_signal_to_noise_and_correlation(predicted_pearson):
    d = 64
    covariance = np.full((d, d), 0.999) + 0.001 * np.eye(d)
    for quantizer in (ONE, ROW, COORDINATE):
        for mean in (np.zeros(d), np.full(d, 10.0)):
            for metric in ("inner_product", "cosine"):
                assert np.isfinite(
                    predicted_pearson(quantizer, mean, covariance, metric=metric)
                )
    # One common factor: the bits agree all or nearly, sum of arcsines against rho.
    rho = predicted_pearson(ONE, np.zeros(d), covariance)
    arcsine = 2 / np.pi * np.arcsin(0.999)
    assert rho == pytest.approx(2 / np.pi * 0.999 / arcsine, abs=0.002)
    far = predict_fidelity(BinaryQuantizer("zero"), np.full(d, 40.0), np.eye(d))
    assert np.isnan(far.pearson)
    assert np.isnan(far.spearman)


def test_spearman_of_normal_similarities_is_kruskals():
    normal = np.random.default_rng(0).standard_normal(200_000)
    for rho in (0.3, 0.8, 0.97):
        assert spearman_from_pearson(rho, normal) == pytest.approx(
            6 / np.pi * np.arcsin(rho / 2), abs=0.004
        )
    assert np.isnan(spearman_from_pearson(1.2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": "floats"}, "query"),
        ({"metric": "euclidean"}, "metric"),
        ({"code_metric": "l2"}, "code_metric"),
        ({"rotation": np.ones((8, 8))}, "orthogonal"),
        ({"rotation": "dct"}, "rotation"),
        ({"query": "vectors", "code_metric": "penalty"}, "two codes"),
        ({"sample": np.ones((30, 3))}, "sample"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict_fidelity(ROW, np.zeros(8), np.eye(8), **arguments)


@pytest.mark.parametrize(
    ("mean", "covariance"),
    [
        (np.zeros(3), np.eye(4)),
        (np.zeros(3), -np.eye(3)),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])),
        (np.array([np.nan, 0.0]), np.eye(2)),
    ],
)
def test_bad_moments_are_refused(mean, covariance):
    with pytest.raises(ValueError, match="covariance"):
        predict_fidelity(ONE, mean, covariance)


@pytest.mark.parametrize("quantizer", [BinaryQuantizer("zero"), TwoBitQuantizer()])
def test_constant_coordinates_do_not_matter_under_cosine(quantizer, predicted_pearson):
    """Rounding noise of scaled constants once counted as full correlations."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 60))
    covariance = root @ root.T / 60
    mean = 0.1 * rng.normal(size=40)
    live = np.r_[0:10, 11:30, 31:42]
    padded, means = np.zeros((42, 42)), np.zeros(42)
    padded[np.ix_(live, live)], means[live] = covariance, mean
    padded[10, 10], padded[10, 5] = 1e-17, 1e-11
    padded[5, 10] = 1e-11
    alone = predicted_pearson(quantizer, mean, covariance, metric="cosine")
    among = predicted_pearson(quantizer, means, padded, metric="cosine")
    assert abs(alone - among) < 0.01


def test_the_halves_import_nothing_of_each_other():
    """What fidelity and recall share stands below both."""
    folder = Path(skbq.theory.__file__).parent
    for half, other in (("_fidelity", "_recall"), ("_recall", "_fidelity")):
        paths = sorted((folder / half).glob("*.py"))
        assert len(paths) > 3
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom):
                    assert other not in (node.module or ""), path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LocalLaw", "ScoreGivenCosine"),
        ("RowLaw", "RowModel"),
        ("local_law", "score_given_cosine"),
    ],
)
def test_old_names_are_found_with_a_warning(old, new):
    with pytest.warns(FutureWarning, match=f"theory.{old} is now .*theory.{new}"):
        assert getattr(skbq.theory, old) is getattr(skbq.theory, new)
    with pytest.raises(AttributeError, match="no attribute 'NoLaw'"):
        _ = skbq.theory.NoLaw


def test_old_spellings_are_taken_with_a_warning():
    mean, covariance = np.full(8, 0.3), np.eye(8)
    new = predict_fidelity(ONE, mean, covariance, centered=True)
    with pytest.warns(FutureWarning, match="'centred' of predict_fidelity"):
        old = predict_fidelity(ONE, mean, covariance, centred=True)
    assert old == new
    with pytest.warns(FutureWarning, match="rotation_spread is now .*rotation_std"):
        assert new.rotation_spread == new.rotation_std
    X = np.random.default_rng(0).standard_normal((30, 8)) + 1
    with pytest.warns(FutureWarning, match="'centred' of pairwise_fidelity"):
        old = pairwise_fidelity(np.sign(X), X, centred=True)
    assert old == pairwise_fidelity(np.sign(X), X, centered=True)


def test_wrong_types_are_type_errors():
    for function in (predict_fidelity, simulated_fidelity):
        with pytest.raises(TypeError, match="'metric' parameter of"):
            function(ONE, np.zeros(3), np.eye(3), metric=None)
    with pytest.raises(TypeError, match="'n_samples' parameter of"):
        denoised_covariance(np.eye(3), 10.5)


def test_pearson_does_not_depend_on_the_pairs_for_spearman(predicted_pearson):
    known = ROW, *make_moments(16, energy=0.3)
    assert predicted_pearson(*known) == predict_fidelity(*known).pearson
