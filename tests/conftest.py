"""Settings that must stand before scikit-learn is imported, and shared fixtures."""

import os

# Without it check_array_api_input is skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest

# The laws assert for the tests that call them.
pytest.register_assert_rewrite("laws", "adapters")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session", autouse=True)
def _quick_speeds():
    """Advisors time searches for 1.5 s to report a ratio: here 0.1 s will do."""
    from skbq._advisor import speed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "_SECONDS", 0.1)
        yield


@pytest.fixture(scope="session")
def glosses():
    from skbq.datasets import load_wordnet_minilm

    return load_wordnet_minilm()


@pytest.fixture(scope="session")
def predicted_pearson():
    """``predict_fidelity(...).pearson``, without the pairs that only Spearman needs.

    The step to Spearman takes three quarters of the time, for 250,000 pairs of drawn
    rows; 900 of them leave the rest as it is.
    """
    from skbq.theory import predict_fidelity
    from skbq.theory._fidelity import prediction

    def pearson(*moments, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prediction, "PAIR_ROWS", 60)
            return predict_fidelity(*moments, **options).pearson

    return pearson
