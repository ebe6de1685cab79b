import copy
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import CodeArray, as_codes
from skbq.codes import is_codes, pack_codes


def make(rng, bits, n=20, d=13, levels=(1.0, 3.0)):
    positive = rng.random((n, d)) > 0.5
    if bits == 1:
        return pack_codes(positive)
    return pack_codes(positive, rng.random((n, d)) > 0.5, levels)


@pytest.fixture(params=[1, 2])
def codes(request, rng):
    return make(rng, request.param)


@pytest.mark.parametrize("d", [*range(1, 34), 200, 768])
@pytest.mark.parametrize("bits", [1, 2])
def test_layout_is_that_of_packbits(rng, d, bits):
    positive = rng.random((3, d)) > 0.5
    strong = rng.random((3, d)) > 0.5
    codes = pack_codes(positive, *([strong, (1.0, 3.0)] if bits == 2 else []))
    assert codes.shape == (3, -(-d // 8))
    assert codes.dtype == (np.uint8 if bits == 1 else np.uint16)
    assert codes.flags.c_contiguous
    assert_array_equal(codes.signs, np.packbits(positive, axis=1))
    got_positive, got_strong = codes.unpack_bits()
    assert_array_equal(got_positive, positive)
    if bits == 1:
        assert codes.magnitudes is None
        assert got_strong is None
        assert codes.levels is None
    else:
        assert_array_equal(codes.magnitudes, np.packbits(strong, axis=1))
        assert_array_equal(got_strong, strong)
        assert_array_equal(np.asarray(codes) & 0xFF, np.packbits(positive, axis=1))
    size = np.where(strong, 3, 1) if bits == 2 else 1
    expected = np.where(positive, size, -size)
    assert_array_equal(codes.unpack(), expected)
    assert codes.unpack().dtype == np.float32


def test_fortran_ordered_bits_are_packed_in_c_order(rng):
    positive = np.asfortranarray(rng.random((9, 20)) > 0.5)
    codes = pack_codes(positive)
    assert codes.flags.c_contiguous
    assert_array_equal(codes, pack_codes(np.ascontiguousarray(positive)))


KEEPS_CODES = {
    "slice": lambda c: c[2:5],
    "list": lambda c: c[[3, 1]],
    "mask": lambda c: c[np.arange(len(c)) % 2 == 0],
    "ellipsis": lambda c: c[1:3, ...],
    "all columns": lambda c: c[1:3, :],
    "copy": lambda c: c.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda c: pickle.loads(pickle.dumps(c)),
}


@pytest.mark.parametrize("name", KEEPS_CODES)
def test_rows_stay_codes(codes, name):
    kept = KEEPS_CODES[name](codes)
    assert is_codes(kept)
    assert (kept.n_features, kept.bits) == (codes.n_features, codes.bits)
    assert kept.levels == codes.levels


GIVES_PLAIN = {
    "astype": lambda c: c.astype(c.dtype),
    "some columns": lambda c: c[:, :1],
    "columns in another order": lambda c: c[:, ::-1],
    "chosen columns": lambda c: c[:, [1, 0]],
    "one row": lambda c: c[0],
    "new axis": lambda c: c[None],
    "transpose": lambda c: c.T,
    "reshape": lambda c: c.reshape(-1),
    "ravel": lambda c: c.ravel(),
    "take": lambda c: np.take(c, [1, 0], axis=1),
    "sort": lambda c: np.sort(c, axis=1),
    "xor": lambda c: c ^ c,
    "invert": lambda c: ~c,
    "add": lambda c: c + 1,
    "equal": lambda c: c == c,
    "concatenate": lambda c: np.concatenate([c, c]),
    "asarray": np.asarray,
    "sum": lambda c: c.sum(axis=0),
}


@pytest.mark.parametrize("name", GIVES_PLAIN)
def test_everything_else_is_plain(codes, name):
    plain = GIVES_PLAIN[name](codes)
    assert type(plain) is np.ndarray


def test_square_transpose_is_not_taken_for_codes(rng):
    codes = make(rng, 1, n=2, d=13)
    assert not is_codes(codes.T)
    assert not is_codes(codes.view(np.int8))


def test_joblib_memory_map_stays_codes(codes, tmp_path):
    joblib.dump(codes, tmp_path / "codes.joblib")
    loaded = joblib.load(tmp_path / "codes.joblib", mmap_mode="r")
    assert is_codes(loaded)
    assert isinstance(loaded.base, np.memmap)
    assert loaded.levels == codes.levels
    assert_array_equal(loaded.unpack(), codes.unpack())


def test_in_place_assignment_keeps_codes(codes):
    codes[0] = codes[1]
    assert is_codes(codes)
    assert_array_equal(codes[:1], codes[1:2])


class TestAsCodes:
    def test_round_trip(self, codes):
        again = as_codes(np.asarray(codes), codes.n_features, codes.levels)
        assert isinstance(again, CodeArray)
        assert np.shares_memory(again, codes)
        assert_array_equal(again.unpack(), codes.unpack())

    def test_default_levels(self):
        assert as_codes(np.zeros((1, 1), np.uint16), 3).levels == (1.0, 3.0)

    @pytest.mark.parametrize(
        ("array", "n_features", "levels", "message"),
        [
            (np.zeros((2, 2), np.int8), 9, None, "int8 .* shifted by 128"),
            (np.zeros((2, 2)), 9, None, "Got dtype float64"),
            (np.zeros((2, 2), np.uint8), 20, None, r"must have shape \(n_samples, 3\)"),
            (np.zeros(2, np.uint8), 9, None, r"Got shape \(2,\)"),
            (np.zeros((2, 2), np.uint8), 0, None, "at least 1. Got 0"),
            (np.zeros((2, 2), np.uint8), 9.0, None, "Got 9.0"),
            (np.zeros((2, 2), np.uint8), True, None, "Got True"),
            (np.zeros((2, 2), np.uint8), 9, (1, 3), "one bit have no levels"),
            (np.zeros((2, 2), np.uint16), 9, (3, 1), "0 <= low < high"),
            (np.zeros((2, 2), np.uint16), 9, (1, 2, 3), "0 <= low < high"),
            (np.zeros((2, 2), np.uint16), 9, (1, np.inf), "0 <= low < high"),
            (np.full((2, 2), 1, np.uint8), 9, None, "2 rows, first .0, 1."),
            (np.full((2, 2), 1 << 8, np.uint16), 9, None, "padding bits"),
        ],
    )
    def test_refused(self, array, n_features, levels, message):
        with pytest.raises(ValueError, match=message):
            as_codes(array, n_features, levels)
