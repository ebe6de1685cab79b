"""Codes, distances and files of fixed inputs are what they were."""

import hashlib
import json

import make_golden
import numpy as np
import pytest
from make_golden import CASES, FILES, QUANTIZERS, SAVED, make_case, make_file, slug
from numpy.testing import assert_allclose, assert_array_equal

from skbq import BinaryNeighbors
from skbq._neighbors import file_format

# Numbers that kernels and numpy sum in an order of the processor's: float queries and
# reranking. Codes and their distances are exact.
EXACT = {"hamming", "penalty", "dot"}
CHANGED = (
    "codes, distances or files have changed: if that is meant, see the docstring of "
    "tests/golden/make_golden.py, and write it into CHANGES"
)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_codes_and_distances(name):
    stored = json.loads((CASES / f"{slug(name)}.json").read_text(encoding="utf-8"))
    made = make_case(name)
    assert made.keys() == stored.keys()
    assert made["codes"] == stored["codes"], CHANGED
    assert made["dtype"] == stored["dtype"]
    for kind in make_golden.kinds_of(name):
        found, expected = made[kind]["distances"], stored[kind]["distances"]
        if kind in EXACT and "Lloyd" not in name:
            assert_array_equal(found, expected, CHANGED)
        else:
            assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=CHANGED)
        assert_array_equal(made[kind]["rows"], stored[kind]["rows"], CHANGED)


def golden_files():
    return sorted(FILES.glob("*.skbq"))


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_stored_files_are_read(path, mmap_mode):
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"]
    index = BinaryNeighbors.load(path, mmap_mode=mmap_mode)
    found, rows = index.kneighbors(make_golden.vectors()[1])
    assert_array_equal(rows, about["rows"])
    assert_allclose(found, about["distances"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(SAVED.keys() - make_golden.READ_ONLY))
def test_arrays_are_written_as_they_were(name):
    content, _ = make_file(name)
    path = FILES / f"v{make_golden.version_of(content)}_{slug(name)}.skbq"
    stored = make_golden.arrays_of(path.read_bytes())
    assert make_golden.arrays_of(content) == stored, CHANGED


def test_every_version_of_the_format_has_files():
    versions = {make_golden.version_of(path.read_bytes()) for path in golden_files()}
    assert versions == set(range(1, file_format._VERSION + 1))


def test_golden_files_are_small():
    files = [path for folder in (CASES, FILES) for path in folder.iterdir()]
    assert len(files) == len(QUANTIZERS) + 2 * len(golden_files())
    assert sum(path.stat().st_size for path in files) < 150_000


def test_vectors_are_the_same_everywhere():
    X, Y = make_golden.vectors()
    digest = hashlib.sha256(X.astype("<f4").tobytes() + Y.astype("<f4").tobytes())
    assert digest.hexdigest()[:16] == "8cfce86fbb7fe1b6"
    assert np.unique(X * 16 % 1).tolist() == [0.0]
