"""Predicted recall: exact parts against simulation, predictions against measurement."""

import numpy as np
import pytest

from skbq.theory import (
    model_scores,
    oversampling_for,
    predict_recall,
    score_given_cosine,
)
from skbq.theory._recall.subsampling import (
    _ORDER_SEED,
    rank_neighbors,
    rank_rows,
    sample_recall,
    subsampled_recall,
    subsampling_depth,
)
from skbq.theory._recall.tail_copula import (
    LOG_NOISE,
    interpolate,
    limit_recall,
    probit_table,
    tail_recall,
)


def naive_recall(similarities, scores, k, candidates):
    """Recall of each query by two full sorts; ties by column."""
    recall = []
    for s, b in zip(similarities, scores, strict=True):
        true = set(np.argsort(-s, kind="stable")[:k])
        found = set(np.argsort(-b, kind="stable")[:candidates])
        recall.append(len(true & found) / k)
    return np.array(recall)


def one_bit_pairs(n_queries, n_rows, seed, d=48):
    """Inner products of Gaussian vectors and the scores of their signs."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, d + 1) ** -0.3
    mixing = np.linalg.qr(np.random.default_rng(0).normal(size=(d, d)))[0]
    rows = rng.normal(size=(n_rows, d)) * spread @ mixing
    queries = rng.normal(size=(n_queries, d)) * spread @ mixing
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ rows.T, np.sign(queries) @ np.sign(rows).T


@pytest.fixture(scope="module")
def full_pairs():
    return one_bit_pairs(150, 8000, seed=1)


@pytest.fixture(scope="module")
def sampled_pairs(full_pairs):
    columns = np.random.default_rng(2).choice(8000, 2500, replace=False)
    return full_pairs[0][:, columns], full_pairs[1][:, columns]


class TestTail:
    @pytest.mark.parametrize("noise", [0.2, 1.0, 2.0])
    @pytest.mark.parametrize(("k", "candidates"), [(1, 1), (3, 6), (10, 10)])
    def test_matches_simulation(self, noise, k, candidates):
        rng = np.random.default_rng(0)
        n_trials = 2000
        depth = np.cumsum(rng.exponential(size=(n_trials, 800)), axis=1)
        score = np.log(depth) - noise * rng.normal(size=depth.shape)
        last = np.partition(score, candidates - 1, axis=1)[:, [candidates - 1]]
        hits = (score[:, :k] <= last).mean(axis=1)
        predicted = tail_recall(np.array([np.log(noise)]), k, candidates)[0]
        assert abs(hits.mean() - predicted) < 4 * hits.std() / np.sqrt(n_trials)

    @pytest.mark.parametrize("oversampling", [1.0, 2.0, 8.0])
    def test_large_k_reaches_the_limit(self, oversampling):
        log_noise = np.log([0.3, 1.0, 2.0])
        exact = tail_recall(log_noise, 40, int(40 * oversampling))
        assert np.abs(exact - limit_recall(log_noise, oversampling)).max() < 0.012
        table = np.tile(probit_table(40, oversampling), (3, 1))
        np.testing.assert_allclose(interpolate(table, log_noise)[0], exact, atol=4e-3)

    def test_monotone_in_noise_and_candidates(self):
        one, two = probit_table(5, 1.0), probit_table(5, 2.0)
        assert np.all(np.diff(one) <= 0)
        assert np.all(two >= one - 1e-9)
        between = probit_table(5, 1.5)
        assert np.all((between >= one - 1e-9) & (between <= two + 1e-9))

    def test_derivative(self):
        y = np.linspace(-2.2, 1.7, 14)
        tables = np.tile(probit_table(7, 2.0), (len(y), 1))
        slope = interpolate(tables, y)[1]
        up, down = (interpolate(tables, y + h)[0] for h in (1e-5, -1e-5))
        np.testing.assert_allclose(slope, (up - down) / 2e-5, atol=1e-6)

    def test_extremes(self):
        recall = tail_recall(LOG_NOISE, 10, 10)
        assert recall[0] > 0.995
        assert recall[-1] < 1e-3


class TestSubsampling:
    @pytest.mark.parametrize("ties", [False, True])
    @pytest.mark.parametrize(("k", "candidates"), [(1, 1), (4, 8), (10, 30)])
    def test_matches_resampling(self, k, candidates, ties):
        rng = np.random.default_rng(3)
        n_rows, share, n_trials = 400, 0.25, 1500
        similarities = rng.normal(size=(2, n_rows))
        scores = similarities + 0.7 * rng.normal(size=(2, n_rows))
        if ties:
            scores = np.round(2 * scores)
        ranks, _ = rank_rows(similarities, scores, subsampling_depth(k, share), 4)
        expected = subsampled_recall(ranks, k, candidates, share)
        order = np.random.default_rng(_ORDER_SEED).permutation(n_rows)
        drawn = np.empty((n_trials, 2))
        for trial in range(n_trials):
            kept = order[rng.random(n_rows) < share]
            drawn[trial] = naive_recall(
                similarities[:, kept], scores[:, kept], k, candidates
            )
        error = drawn.std(axis=0) / np.sqrt(n_trials)
        assert np.all(np.abs(drawn.mean(axis=0) - expected) < 4 * error)

    def test_keeping_nearly_all_is_the_sample(self, sampled_pairs):
        ranks, _ = rank_rows(*sampled_pairs, 200, 4)
        np.testing.assert_allclose(
            subsampled_recall(ranks, 10, 20, 1 - 1e-9),
            sample_recall(ranks, 10, 20),
            atol=1e-5,
        )

    def test_blocks_left_out(self):
        rng = np.random.default_rng(4)
        similarities = rng.normal(size=(5, 300))
        scores = np.round(2 * (similarities + rng.normal(size=(5, 300))))
        whole, without = rank_rows(similarities, scores, 150, 6)
        order = np.random.default_rng(_ORDER_SEED).permutation(300)
        np.testing.assert_array_equal(
            sample_recall(whole, 10, 25),
            naive_recall(similarities[:, order], scores[:, order], 10, 25),
        )
        for block, ranks in enumerate(without):
            kept = order[np.arange(300) * 6 // 300 != block]
            assert ranks.n_rows == 250
            np.testing.assert_array_equal(
                sample_recall(ranks, 10, 25),
                naive_recall(similarities[:, kept], scores[:, kept], 10, 25),
            )

    @pytest.mark.parametrize("k", [1, 10, 60])
    def test_nearest_alone_rank_as_among_all(self, k):
        rng = np.random.default_rng(4)
        scores = rng.integers(20, size=(5, 60))
        for similarities in (rng.normal(size=(5, 60)), rng.integers(9, size=(5, 60))):
            whole, _ = rank_rows(similarities, scores, k, 1)
            alone = rank_neighbors(similarities, scores, k)
            np.testing.assert_array_equal(alone, whole.in_score)

    def test_fractional_candidates(self, sampled_pairs):
        ranks, _ = rank_rows(*sampled_pairs, 10, 1)
        np.testing.assert_allclose(
            sample_recall(ranks, 10, 12.5),
            (sample_recall(ranks, 10, 12) + sample_recall(ranks, 10, 13)) / 2,
        )


class TestPredictRecall:
    oversampling = np.array([1, 2, 5, 10])

    def test_all_rows_are_measured(self, sampled_pairs):
        prediction = predict_recall(*sampled_pairs, oversampling=self.oversampling)
        assert prediction.measured
        expected = [
            naive_recall(*sampled_pairs, 10, 10 * c).mean() for c in self.oversampling
        ]
        # Equal scores are broken in another order here.
        np.testing.assert_allclose(prediction.recall, expected, atol=0.01)
        n_rows = sampled_pairs[0].shape[1]
        same = predict_recall(
            *sampled_pairs, oversampling=self.oversampling, expected_rows=n_rows
        )
        np.testing.assert_array_equal(same.recall, prediction.recall)

    def test_predicts_what_is_measured(self, full_pairs, sampled_pairs):
        measured = predict_recall(*full_pairs, oversampling=self.oversampling)
        predicted = predict_recall(
            *sampled_pairs, oversampling=self.oversampling, expected_rows=8000
        )
        assert not predicted.measured
        one = predicted.estimates[1]
        assert (one.value, *one.interval) == (
            predicted.recall[1],
            *predicted.interval[1],
        )
        assert one.confidence == predicted.confidence == 0.9
        assert np.abs(predicted.recall - measured.recall).max() < 0.04
        assert np.all(predicted.interval[:, 0] <= measured.recall)
        assert np.all(measured.recall <= predicted.interval[:, 1])

    @pytest.mark.parametrize("k", [1, 3, 50])
    def test_other_k(self, full_pairs, sampled_pairs, k):
        measured = predict_recall(
            *full_pairs, n_neighbors=k, oversampling=self.oversampling
        )
        predicted = predict_recall(
            *sampled_pairs,
            n_neighbors=k,
            oversampling=self.oversampling,
            expected_rows=8000,
        )
        assert np.all(predicted.interval[:, 0] <= measured.recall + 0.01)
        assert np.all(measured.recall <= predicted.interval[:, 1] + 0.01)

    def test_intervals_cover(self):
        """Over several samples, at least the share stated, less chance."""
        inside = []
        for seed in range(6):
            full = one_bit_pairs(60, 4000, seed=10 + seed)
            sample = full[0][:, :1200], full[1][:, :1200]
            measured = predict_recall(*full, oversampling=self.oversampling).recall
            predicted = predict_recall(
                *sample, oversampling=self.oversampling, expected_rows=4000
            )
            low, high = predicted.interval.T
            inside.append((low <= measured) & (measured <= high))
        assert np.mean(inside) >= 0.85

    def test_monotone_in_oversampling(self, sampled_pairs):
        c = np.array([20.0, 1.0, 1.5, 3.3, 8.0, 50.0, 100.0, 800.0])
        recall = predict_recall(
            *sampled_pairs, oversampling=c, expected_rows=8000
        ).recall
        assert np.all(np.diff(recall[np.argsort(c)]) >= 0)
        assert recall[-1] == 1.0

    def test_interval(self, sampled_pairs):
        def at(confidence, expected_rows=20_000):
            return predict_recall(
                *sampled_pairs, expected_rows=expected_rows, confidence=confidence
            )

        narrow, wide = at(0.5), at(0.99)
        np.testing.assert_array_equal(narrow.recall, wide.recall)
        assert wide.interval[0, 0] < narrow.interval[0, 0] < narrow.recall[0]
        assert narrow.recall[0] < narrow.interval[0, 1] < wide.interval[0, 1]
        # Uncertainty grows with the size that is predicted; recall falls.
        far = at(0.9, 1_000_000)
        assert far.standard_error[0] > at(0.9).standard_error[0]
        assert far.recall[0] < at(0.9).recall[0]
        assert far.depth_ratio == 1_000_000 / (10 * 2500)

    def test_only_order_counts(self, sampled_pairs):
        similarities, scores = sampled_pairs
        plain = predict_recall(similarities, scores, expected_rows=8000)
        bent = predict_recall(
            np.exp(3 * similarities), 2 * scores + 7, expected_rows=8000
        )
        np.testing.assert_array_equal(plain.recall, bent.recall)

    def test_extreme_codes(self, sampled_pairs):
        similarities, _ = sampled_pairs
        perfect = predict_recall(similarities, similarities, expected_rows=8000)
        assert perfect.recall[0] > 0.99
        noise = np.random.default_rng(0).normal(size=similarities.shape)
        useless = predict_recall(similarities, noise, expected_rows=8000)
        assert useless.recall[0] < 0.02
        constant = predict_recall(
            similarities, np.zeros_like(similarities), expected_rows=8000
        )
        assert constant.recall[0] < 0.02

    def test_near_duplicates(self):
        """Equal rows are equal in both orders and take the same places."""
        rng = np.random.default_rng(5)
        values = np.repeat(rng.normal(size=(20, 300)), 4, axis=1)
        prediction = predict_recall(values, values, expected_rows=5000)
        assert prediction.recall[0] > 0.99

    def test_leaves_input_alone(self, sampled_pairs):
        copies = [values.copy() for values in sampled_pairs]
        for values in copies:
            values.flags.writeable = False
        predict_recall(*copies, expected_rows=8000)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"scores": np.zeros((5, 299))}, "of one shape"),
            ({"scores": np.zeros(300)}, r"shape \(n_queries, n_rows\)"),
            ({"scores": np.full((5, 300), np.nan)}, "NaN"),
            ({"scores": np.zeros((5, 300), dtype=complex)}, "real numbers"),
            ({"oversampling": 0.5}, "at least 1"),
            ({"oversampling": []}, "at least 1"),
            (
                {"expected_rows": 10},
                r"'expected_rows' .* an int in the range \[300, inf\)",
            ),
            ({"n_neighbors": 0}, r"'n_neighbors' .* an int in the range \[1, 300\]"),
            ({"n_neighbors": 301}, r"'n_neighbors' .* an int in the range \[1, 300\]"),
            ({"confidence": 1.0}, r"'confidence' .* a float in the range \(0.0, 1.0\)"),
        ],
    )
    def test_refuses(self, change, message):
        values = np.random.default_rng(0).normal(size=(5, 300))
        arguments = {"similarities": values, "scores": values, "expected_rows": 900}
        with pytest.raises((TypeError, ValueError), match=message):
            predict_recall(**(arguments | change))

    def test_refuses_tiny_samples(self):
        values = np.random.default_rng(0).normal(size=(5, 60))
        with pytest.raises(ValueError, match="At least 100 sampled rows"):
            predict_recall(values, values, expected_rows=900)
        with pytest.raises(ValueError, match="At least 2 queries"):
            predict_recall(values[:1], values[:1])

    def test_clusters_of_near_copies_widen_the_interval(self):
        """Clusters of eight, a quarter of the rows seen: recall bends with depth."""
        rng = np.random.default_rng(5)
        spread = np.arange(1, 49) ** -0.3
        centers = rng.normal(size=(1000, 48))
        X = centers[rng.integers(0, 1000, 8150)] + 0.1 * rng.normal(size=(8150, 48))
        X *= spread
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        pairs = X[:150] @ X[150:].T, np.sign(X[:150]) @ np.sign(X[150:]).T
        columns = rng.choice(8000, 2000, replace=False)
        oversampling = [1, 2, 5]
        measured = predict_recall(*pairs, oversampling=oversampling).recall
        predicted, plain = (
            predict_recall(
                *(p[:, columns] for p in some),
                oversampling=oversampling,
                expected_rows=8000,
            )
            for some in (pairs, one_bit_pairs(150, 8000, seed=1))
        )
        low, high = predicted.interval.T
        assert np.all((low <= measured) & (measured <= high + 0.02))
        assert np.all(predicted.standard_error > 1.5 * plain.standard_error)


class TestOversamplingFor:
    @pytest.mark.parametrize("target", [0.6, 0.8, 0.9])
    def test_reaches_the_target(self, full_pairs, sampled_pairs, target):
        needed = oversampling_for(target, *sampled_pairs, expected_rows=8000)
        assert needed.interval[0] <= needed.expected <= needed.oversampling
        assert needed.interval[1] == needed.oversampling
        assert needed.recall_interval[0] >= target
        assert needed.estimate.interval == needed.recall_interval
        measured = predict_recall(*full_pairs, oversampling=needed.oversampling)
        assert measured.recall[0] >= target
        true = oversampling_for(target, *full_pairs).expected
        assert needed.interval[0] <= true <= needed.oversampling

    def test_is_the_smallest(self, sampled_pairs):
        needed = oversampling_for(0.8, *sampled_pairs, expected_rows=8000)
        below = needed.oversampling - 0.1
        one_less = predict_recall(
            *sampled_pairs, oversampling=below, expected_rows=8000
        )
        assert one_less.interval[0, 0] < 0.8

    def test_out_of_reach(self, sampled_pairs):
        needed = oversampling_for(
            0.99, *sampled_pairs, expected_rows=8000, max_oversampling=1.5
        )
        assert needed.oversampling == needed.expected == np.inf
        assert needed.recall_interval[0] < 0.99

    @pytest.mark.parametrize("target", [0.0, 1.0, np.nan])
    def test_refuses_targets(self, sampled_pairs, target):
        with pytest.raises(
            ValueError, match=r"'target_recall' .* a float in the range \(0.0, 1.0\)"
        ):
            oversampling_for(target, *sampled_pairs)

    @pytest.mark.parametrize("largest", [0.5, np.inf])
    def test_refuses_limits(self, sampled_pairs, largest):
        with pytest.raises(
            ValueError, match=r"'max_oversampling' .* a float in the range \[1.0, inf\)"
        ):
            oversampling_for(0.9, *sampled_pairs, max_oversampling=largest)


class OneBit:
    """Signs about the mean."""

    def step_function(self, mean, scale):
        return np.asarray(mean)[:, None], np.array([-1.0, 1.0])

    def encode(self, x):
        return np.where(x > 0, 1.0, -1.0)


class TwoBit:
    """Signs and strong coordinates, above the mean absolute value."""

    def __init__(self, magnitude):
        self.magnitude = magnitude

    def _limits(self, scale):
        limits = np.sqrt(2 / np.pi) * np.asarray(scale)
        return np.full_like(limits, limits.mean()) if self._per_row() else limits

    def _per_row(self):
        return self.magnitude == "row"

    def step_function(self, mean, scale):
        steps = self._limits(scale)[:, None] * np.array([-1.0, 0.0, 1.0])
        return np.asarray(mean)[:, None] + steps, np.array([-3.0, -1.0, 1.0, 3.0])

    def encode(self, x, scale=None):
        limit = self._limits(scale)
        if self._per_row():
            limit = np.abs(x).mean(axis=-1, keepdims=True)
        return np.where(x > 0, 1.0, -1.0) * np.where(np.abs(x) > limit, 3.0, 1.0)


def encode(quantizer, x, scale):
    return (
        quantizer.encode(x)
        if isinstance(quantizer, OneBit)
        else quantizer.encode(x, scale)
    )


def mixing_matrix(d, seed=0):
    """Power-law spectrum in a random basis, then unequal scales."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
    spectrum = np.arange(1, d + 1) ** -0.4
    return spectrum[:, None] * basis * np.exp(0.25 * rng.normal(size=d))


def residual_moments(score, cosine, c):
    """Mean and variance of a score at the cosine c, by a line through the cosine."""
    line = np.polyfit(cosine - c, score, 1)
    return line[1], np.var(score - np.polyval(line, cosine - c))


QUANTIZERS = [OneBit(), TwoBit("row"), TwoBit("coordinate")]


class TestScoreGivenCosine:
    @pytest.mark.parametrize("quantizer", QUANTIZERS)
    @pytest.mark.parametrize("c", [0.0, 0.5, 0.9])
    def test_coded_query_matches_simulation(self, quantizer, c):
        d, rng = 128, np.random.default_rng(1)
        mixing = mixing_matrix(d)
        covariance = mixing.T @ mixing
        scale = np.sqrt(np.diag(covariance))
        found = []
        for _ in range(60):
            x = rng.normal(size=d) @ mixing
            y = c * x + np.sqrt(1 - c * c) * rng.normal(size=(300, d)) @ mixing
            cosine = y @ x / np.linalg.norm(x) / np.linalg.norm(y, axis=1)
            codes = encode(quantizer, np.vstack([x, y]), scale)
            found.append(residual_moments(codes[1:] @ codes[0], cosine, c))
        scores = score_given_cosine(quantizer, np.zeros(d), covariance, [c])
        mean, variance = np.mean(found, axis=0)
        error = np.std(found, axis=0)[0] / np.sqrt(len(found))
        assert abs(scores.mean[0] - mean) < 3 * error + 0.01 * mean
        assert scores.variance[0] == pytest.approx(variance, rel=0.15)

    @pytest.mark.parametrize("quantizer", QUANTIZERS)
    @pytest.mark.parametrize("c", [0.0, 0.5, 0.9])
    def test_float_query_matches_simulation(self, quantizer, c):
        d, rng = 128, np.random.default_rng(2)
        mixing = mixing_matrix(d)
        covariance = mixing.T @ mixing
        x = rng.normal(size=(8000, d)) @ mixing
        y = c * x + np.sqrt(1 - c * c) * rng.normal(size=x.shape) @ mixing
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        cosine = (x * y).sum(axis=1) / lengths
        codes = encode(quantizer, x, np.sqrt(np.diag(covariance)))
        raw = (y * codes).sum(axis=1)
        corrected = raw / (x * codes).sum(axis=1)
        corrected *= np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        for query, score in (("vectors", raw), ("corrected", corrected)):
            scores = score_given_cosine(
                quantizer, np.zeros(d), covariance, [c], query=query
            )
            mean, variance = residual_moments(score, cosine, c)
            assert scores.mean[0] == pytest.approx(mean, rel=0.03, abs=0.2)
            assert scores.variance[0] == pytest.approx(variance, rel=0.2)

    def test_corrected_query_of_very_unequal_scales(self):
        """Eq. (5.17): without its last term the variance is a sixth too small."""
        d, c, rng = 256, 0.9, np.random.default_rng(0)
        scale = np.exp(np.linspace(0.0, 3.0, d))
        x = rng.normal(size=(20_000, d)) * scale
        y = c * x + np.sqrt(1 - c * c) * rng.normal(size=x.shape) * scale
        codes = OneBit().encode(x)
        lengths = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
        score = (y * codes).sum(axis=1) / (x * codes).sum(axis=1)
        score *= lengths[0] / lengths[1]
        cosine = (x * y).sum(axis=1) / (lengths[0] * lengths[1])
        scores = score_given_cosine(
            OneBit(), np.zeros(d), np.diag(scale**2), [c], query="corrected"
        )
        _, variance = residual_moments(score, cosine, c)
        assert scores.variance[0] == pytest.approx(variance, rel=0.04)

    def test_isotropic_signs_are_exact(self):
        """Mean d (2/pi) arcsin c; no correlation between coordinates matters."""
        scores = score_given_cosine(
            OneBit(), np.zeros(64), np.eye(64), [-0.6, 0.0, 0.6]
        )
        np.testing.assert_allclose(
            scores.mean, 128 / np.pi * np.arcsin([-0.6, 0.0, 0.6]), atol=0.15
        )
        # At c = 0 every sign is free, less what the cosine already says.
        assert scores.variance[1] == pytest.approx(
            64 * (1 - (2 / np.pi) ** 2), rel=1e-3
        )

    def test_invariances(self):
        covariance = mixing_matrix(24).T @ mixing_matrix(24)
        cosine = np.linspace(-0.5, 0.95, 7)
        order = np.random.default_rng(0).permutation(24)
        for quantizer in QUANTIZERS:
            scores = score_given_cosine(quantizer, np.zeros(24), covariance, cosine)
            for other in (4 * covariance, covariance[np.ix_(order, order)]):
                same = score_given_cosine(quantizer, np.ones(24), other, cosine)
                np.testing.assert_allclose(same.mean, scores.mean, rtol=1e-6, atol=1e-8)
                np.testing.assert_allclose(same.variance, scores.variance, rtol=1e-6)

    def test_constant_coordinates_are_left_out(self):
        covariance = np.diag([1.0, 0.0, 2.0, 1.0])
        scores = score_given_cosine(OneBit(), np.zeros(4), covariance, [0.5])
        less = score_given_cosine(
            OneBit(), np.zeros(3), np.diag([1.0, 2.0, 1.0]), [0.5]
        )
        np.testing.assert_allclose(scores.variance, less.variance)

    def test_refuses(self):
        with pytest.raises(ValueError, match=r"covariance shape \(d, d\)"):
            score_given_cosine(OneBit(), np.zeros(3), np.eye(4), [0.5])
        with pytest.raises(ValueError, match="'query' .* must be one of"):
            score_given_cosine(OneBit(), np.zeros(3), np.eye(3), [0.5], query="float")
        with pytest.raises(ValueError, match="Every coordinate is constant"):
            score_given_cosine(OneBit(), np.zeros(3), np.zeros((3, 3)), [0.5])
        with pytest.raises(ValueError, match=r"\['codes', 'corrected'\]"):
            model_scores(OneBit(), np.zeros(3), np.eye(3), [[0.5]], query="vectors")

    @pytest.mark.parametrize("quantizer", QUANTIZERS[:2])
    def test_recall_from_the_model_alone(self, quantizer):
        """Nothing encoded for the prediction, within 0.05 of what codes reach."""
        d, rng = 96, np.random.default_rng(3)
        mixing = mixing_matrix(d)
        covariance = mixing.T @ mixing
        x, y = (rng.normal(size=(n, d)) @ mixing for n in (100, 5000))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y /= np.linalg.norm(y, axis=1, keepdims=True)
        cosines, c = x @ y.T, [1, 2, 5, 10]
        scale = np.sqrt(np.diag(covariance / np.trace(covariance)))
        row_codes = encode(quantizer, y, scale)
        coded = encode(quantizer, x, scale) @ row_codes.T
        corrected = x @ row_codes.T / (y * row_codes).sum(axis=1)
        for query, scores in (("codes", coded), ("corrected", corrected)):
            # One draw of the noise moves the recall of 100 queries by 0.03.
            known = quantizer, np.zeros(d), covariance, cosines
            draws = [
                model_scores(*known, query=query, random_state=seed)
                for seed in range(2)
            ]
            predicted = np.mean(
                [predict_recall(cosines, s, oversampling=c).recall for s in draws],
                axis=0,
            )
            measured = predict_recall(cosines, scores, oversampling=c).recall
            assert np.abs(predicted - measured).max() < 0.05
