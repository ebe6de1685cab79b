"""Pages of mapped files: let go of once they were read, and never what was written."""

import mmap
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import BinaryNeighbors, BinaryQuantizer, ShardedNeighbors, open_vectors
from skbq._utils.stored_rows import blocks_released, release_pages

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def mapped_bytes(path):
    """Return how much of a file is in the memory of this process."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            inside = words[-1] == str(path)
        elif inside and words[0] == "Rss:":
            found += 1024 * int(words[1])
    return found


@pytest.fixture
def path(tmp_path, rng):
    """A file of 96 MiB: 196,608 rows of 256 float16."""
    path = tmp_path / "X.npy"
    X = np.lib.format.open_memmap(path, "w+", np.float16, (196_608, 256))
    X[:] = np.tile(rng.standard_normal((4096, 256)).astype(np.float16), (48, 1))
    X.flush()
    return path


@linux
def test_pages_are_let_go_of(path):
    X = np.load(path, mmap_mode="r")
    X.max()
    assert mapped_bytes(path) == pytest.approx(X.nbytes, rel=0.01)
    release_pages(X[: len(X) // 2])
    assert mapped_bytes(path) == pytest.approx(X.nbytes / 2, rel=0.01)
    release_pages(np.asarray(X).T[3:5])
    assert mapped_bytes(path) <= 2 * mmap.PAGESIZE
    assert_array_equal(X[:5], np.load(path)[:5])


def test_what_was_written_stays(path):
    private = np.load(path, mmap_mode="c")
    private[7] = 5
    release_pages(private)
    assert (private[7] == 5).all()
    for other in (np.ones((3, 3)), np.ones((3, 3))[1:], private[:0], None):
        release_pages(other)


@linux
@pytest.mark.parametrize("numbers", [None, np.arange(0, 196_608, 3)])
def test_blocks_are_let_go_of(path, numbers):
    X = np.load(path, mmap_mode="r")
    n = len(X) if numbers is None else len(numbers)
    blocks = [slice(start, min(start + 1000, n)) for start in range(0, n, 1000)]
    seen, most = [], 0
    for block in blocks_released(X, blocks, numbers):
        X[block if numbers is None else numbers[block]].max()
        seen.append(block)
        if len(seen) % 9 == 0:
            most = max(most, mapped_bytes(path))
    assert seen == blocks
    # Pages beside those that are read may be mapped with them.
    assert mapped_bytes(path) < MIB
    assert 16 * MIB < most < 40 * MIB


@linux
@pytest.mark.parametrize(
    "make",
    [
        lambda folder: BinaryNeighbors(
            quantizer=BinaryQuantizer(), oversampling=2, n_jobs=2
        ),
        lambda folder: ShardedNeighbors(
            folder=folder,
            quantizer=BinaryQuantizer(),
            oversampling=2,
            vectors="refer",
            n_jobs=2,
        ),
    ],
    ids=["one index", "shards"],
)
def test_a_fit_holds_little_of_its_file(path, make, tmp_path, monkeypatch):
    from skbq._neighbors import encoding

    most, calls = [], []
    put = encoding._Filling.put

    def watch(*args, **options):
        put(*args, **options)
        calls.append(args)
        if len(calls) % 20 == 0:
            most.append(mapped_bytes(path))

    monkeypatch.setattr(encoding._Filling, "put", watch)
    rows = open_vectors(path)
    index = make(tmp_path / "index").fit(rows)
    assert len(most) > 5
    # Two threads hold 32 MiB each, and what one block is.
    assert max(most) < 72 * MIB
    assert mapped_bytes(path) < MIB
    index.kneighbors(rows[:5].astype(np.float32), 3)


def test_a_fit_widens_a_sample_only(path):
    rows = open_vectors(path)
    index = BinaryNeighbors(quantizer=BinaryQuantizer(), oversampling=2)
    index.fit(rows.span(0, 1000))  # what is made once
    tracemalloc.start()
    try:
        index.fit(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # As float32 all rows would take 192 MiB; 64 MiB of them are learned from.
    assert peak < 100 * MIB
    assert index._rows.vectors is not None
    assert index._rows.vectors.dtype == np.float16
