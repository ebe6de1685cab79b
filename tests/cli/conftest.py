"""Files that commands are tried on."""

import numpy as np
import pytest


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((330, 16)) * np.geomspace(2, 0.5, 16)).astype("f4")


@pytest.fixture
def folder(tmp_path, monkeypatch, X):
    """A fresh folder with shards and queries, as working directory."""
    np.save(tmp_path / "a0.npy", X[:200])
    np.save(tmp_path / "a1.npy", X[200:300])
    np.save(tmp_path / "queries.npy", X[300:])
    monkeypatch.chdir(tmp_path)
    return tmp_path
