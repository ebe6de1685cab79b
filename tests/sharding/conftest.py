"""What indexes of many files are tried on, beside the rows of each test module."""

import pytest
from helpers import queries_near


@pytest.fixture(scope="module")
def queries(X):
    return queries_near(X)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"
