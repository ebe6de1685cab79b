import numpy as np
import pytest
from scipy.stats import norm

from skbq._utils.estimate import Estimate, mean_estimate
from skbq._utils.timing import timed


def test_confidence_is_printed_with_the_interval():
    estimate = Estimate(0.9531, 0.9409, 0.9642, 0.9)
    assert str(estimate) == "0.953 [0.941, 0.964] (90%)"
    assert f"{estimate:.2f}" == "0.95 [0.94, 0.96] (90%)"
    assert f"{estimate}" == str(estimate)
    assert str(Estimate(1, 0, 2, 0.975)) == "1.000 [0.000, 2.000] (97.5%)"
    assert estimate.half_width == pytest.approx(0.01165)
    assert estimate.interval == (0.9409, 0.9642)


def test_mean_is_estimated_by_the_normal_limit(rng):
    values = rng.normal(size=500)
    error = values.std(ddof=1) / 500**0.5
    expected = norm(values.mean(), error).interval(0.9)
    estimate = mean_estimate(values, 0.9)
    assert estimate.value == values.mean()
    assert estimate.interval == pytest.approx(expected)
    assert estimate.confidence == 0.9


def test_interval_covers_the_mean_as_often_as_it_says(rng):
    recalls = rng.binomial(10, 0.9, size=(4000, 300)) / 10
    covered = [
        e.low <= 0.9 <= e.high
        for e in (mean_estimate(r, 0.9, bounds=(0, 1)) for r in recalls)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_one_value_says_nothing_but_its_bounds():
    assert mean_estimate([0.5], 0.9).interval == (-np.inf, np.inf)
    assert mean_estimate([0.5], 0.9, bounds=(0, 1)).interval == (0, 1)


def test_equal_values_are_no_certainty():
    # Wilson's interval of 5 of 5: 1 / (1 + z^2 / n).
    estimate = mean_estimate(np.ones(5), 0.9, bounds=(0, 1))
    assert estimate.interval == pytest.approx((1 / (1 + 1.6448536**2 / 5), 1))
    estimate = mean_estimate(np.zeros(5), 0.9, bounds=(-1, 1))
    assert estimate.low == pytest.approx(-estimate.high)
    assert -1 < estimate.low < -0.3


def test_interval_stays_within_the_bounds():
    estimate = mean_estimate([1.0, 1.0, 0.9], 0.99, bounds=(0, 1))
    assert estimate.high == 1
    assert mean_estimate([1.0, 1.0, 0.9], 0.99).high > 1


def test_interval_of_equal_values_stays_within_the_bounds():
    """To the last digit, for any number of values and of neighbors."""
    for n in range(2, 60):
        for hits in range(11):
            estimate = mean_estimate(np.full(n, hits / 10), 0.95, bounds=(0.0, 1.0))
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_timed_repeats_and_returns_the_result():
    calls = []
    seconds, result = timed(lambda: calls.append(1) or len(calls), at_least=0.01)
    assert result == len(calls) > 1
    assert 0 < seconds < 0.01
