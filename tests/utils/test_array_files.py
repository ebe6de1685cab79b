"""Arrays are written whole, or an error says that they are not."""

import os
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import BinaryNeighbors
from skbq._utils.array_files import save_array, save_rows

resource = pytest.importorskip("resource")

ARRAYS = {
    "rows": np.arange(30.0).reshape(10, 3),
    "none": np.empty((0, 3), np.float32),
    "no width": np.empty((4, 0), np.float32),
    "number": np.array(7),
    "columns": np.asfortranarray(np.arange(30.0).reshape(10, 3)),
    "every other": np.arange(40, dtype=np.int16)[::2],
    "words": np.array(["a", "bcd", ""]),
    "big-endian": np.arange(5, dtype=">i4"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_files_are_those_of_numpy(tmp_path, name, monkeypatch):
    monkeypatch.setattr("skbq._utils.array_files._CHUNK", 16)
    array = ARRAYS[name]
    save_array(tmp_path / "it.npy", array)
    found = np.load(tmp_path / "it.npy")
    assert found.dtype == array.dtype
    assert_array_equal(found, array)


def test_blocks_become_one_array(tmp_path):
    rows = np.arange(12.0).reshape(6, 2)
    blocks = iter([rows[:4], rows[4:4], rows[4:].astype(np.float64)])
    save_rows(tmp_path / "it.npy", (6, 2), np.dtype("<f4"), blocks)
    found = np.load(tmp_path / "it.npy", mmap_mode="r")
    assert found.dtype == np.float32
    assert_array_equal(found, rows)


@contextmanager
def files_limited_to(n_bytes):
    """Let no file be longer than that, as on a full disk, for the lines within only.

    Not for a whole test: what pytest itself prints may go to a file, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_the_last_bytes_that_do_not_fit(tmp_path, missing):
    """``ndarray.tofile`` says nothing of them."""
    array = np.arange(2000.0)
    save_array(tmp_path / "whole.npy", array)
    size = (tmp_path / "whole.npy").stat().st_size
    with pytest.raises(OSError), files_limited_to(size - missing):
        save_array(tmp_path / "cut.npy", array)


@pytest.mark.parametrize("missing", [1, 100, 5000])
def test_the_last_bytes_of_an_index_that_do_not_fit(tmp_path, rng, missing):
    index = BinaryNeighbors(query="vectors").fit(rng.standard_normal((3000, 20)))
    index.save(tmp_path / "whole.skbq")
    size = (tmp_path / "whole.skbq").stat().st_size
    with pytest.raises(OSError), files_limited_to(size - missing):
        index.save(tmp_path / "cut.skbq")
    assert os.listdir(tmp_path) == ["whole.skbq"]
