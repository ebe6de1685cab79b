"""Settings that must stand before scikit-learn is imported, and shared fixtures."""

import os

# Without it check_array_api_input is skipped.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def glosses():
    from skbq.datasets import load_wordnet_minilm

    return load_wordnet_minilm()
