"""What rooms share: correlations, random directions, old names, open intervals."""

import sys
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import spearmanr

from skbq._utils.deprecation import UNUSED, renamed_object, renamed_parameter
from skbq._utils.orthogonal import haar_directions
from skbq._utils.params import check_real
from skbq._utils.statistics import correlation, rank_correlation


def test_rank_correlation_is_spearmans(rng):
    a = rng.integers(9, size=200)
    b = a + rng.integers(9, size=200)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, -np.exp(a)) == pytest.approx(-1)


@pytest.mark.parametrize("function", [correlation, rank_correlation])
def test_correlations_with_what_never_varies(function):
    assert np.isnan(function(np.ones(5), np.arange(5.0)))
    assert np.isnan(function(np.arange(5.0), np.ones(5)))
    assert np.isnan(function(np.ones(1), np.ones(1)))


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_directions_are_orthonormal_and_have_no_favorite_sign(source):
    q = haar_directions(source(0), 9, 4)
    np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-12)
    rng = source(1)
    # Without the signs of R's diagonal LAPACK makes nearly all of these negative.
    positive = sum(haar_directions(rng, 3)[0, 0] > 0 for _ in range(400))
    assert 150 < positive < 250


def test_an_old_parameter_is_taken_with_a_warning():
    assert renamed_parameter(1, UNUSED, "new", "old", "f") == 1
    with pytest.warns(FutureWarning, match="'old' of f is now 'new'"):
        assert renamed_parameter(1, 2, "new", "old", "f") == 2


def test_an_old_object_is_found_with_a_warning(monkeypatch):
    module = ModuleType("some_module")
    module.new = object()
    monkeypatch.setitem(sys.modules, "some_module", module)
    with pytest.warns(FutureWarning, match="some_module.old is now some_module.new"):
        assert renamed_object("some_module", "old", {"old": "new"}) is module.new
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        renamed_object("some_module", "other", {"old": "new"})


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_an_open_interval_is_without_its_ends(value):
    limits = {"low": 0.0, "high": 1.0, "closed_low": False, "closed_high": False}
    assert check_real(0.5, "share", "f", **limits) == 0.5
    with pytest.raises(ValueError, match=r"a float in the range \(0.0, 1.0\)"):
        check_real(value, "share", "f", **limits)
