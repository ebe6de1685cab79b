import copy
import itertools
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skbq import CodeArray, as_codes
from skbq.codes import MixedDepths, fill_bytes, is_codes, pack_codes, squared_lengths


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


@pytest.mark.parametrize("counts", [None, {1: 5, 4: 2}], ids=["planes", "mixed"])
def test_concatenated_codes_are_codes_again(codes, rng, counts):
    codes = codes if counts is None else make_mixed(rng, counts)[0]
    joined = as_codes(np.concatenate([codes[:7], codes[7:]]), layout=codes.layout)
    assert is_codes(joined)
    assert joined.layout == codes.layout
    assert_array_equal(joined.unpack(), codes.unpack())


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
            (np.zeros((2, 9), np.uint8), 9, None, r"pass array.astype\(bool\)"),
            (np.zeros((2, 8), bool), 9, None, r"must be \(n_samples, 9\)"),
            (np.full((2, 1), 2**60), 9, None, r"64 bits.*view\(np.uint8\)\[:, :2\]"),
            ([[1, 256]], 9, None, "values from 1 to 256"),
            ([[-1, 200]], 9, None, "values from -1 to 200"),
            ([b"abc", b"ab"], 20, None, r"must have 3 bytes each. Got \[2, 3\]"),
            (["YWI="], 9, None, "b64decode"),
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


# Codes of mixed depth.

LEVELS = {
    1: np.array([-0.8, 0.8]),
    2: np.array([-1.5, -0.5, 0.5, 1.5]),
    4: np.sort(np.random.default_rng(1).normal(size=16)),
    8: np.linspace(-3, 2, 256),
}


def make_layout(rng, counts, n_features=None, **options):
    """Return a layout with so many coordinates of each depth."""
    depths = np.repeat([8, 4, 2, 1], [counts.get(b, 0) for b in (8, 4, 2, 1)])
    scales = rng.uniform(0.5, 2, len(depths))
    n_features = n_features or len(depths) + 3
    return MixedDepths(n_features, depths, LEVELS, scales, **options)


def make_mixed(rng, counts, n=20, **options):
    layout = make_layout(rng, counts, **options)
    numbers = rng.integers(0, 2 ** layout.depths.astype(int), (n, layout.n_values))
    return layout.pack(numbers.astype(np.uint8)), numbers


COUNTS = [
    {1: 1},
    {1: 13},
    {2: 5},
    {4: 3},
    {8: 2},
    {4: 1, 1: 1},
    {4: 3, 2: 5, 1: 7},
    {8: 1, 4: 2, 2: 3, 1: 6},
    {4: 40, 2: 31, 1: 90},
]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("deep_below", [False, True])
def test_values_of_mixed_depths(rng, counts, deep_below):
    codes, numbers = make_mixed(rng, counts, deep_below=deep_below)
    layout = codes.layout
    assert is_codes(codes)
    assert codes.dtype == np.uint8
    n_nibbles = sum(-(-n * b // 4) for b, n in counts.items())
    assert codes.shape[1] == layout.width == -(-n_nibbles // 2)
    assert codes.bits == sum(b * n for b, n in counts.items()) / layout.n_features
    expected = [
        [
            LEVELS[b][number] * scale
            for number, b, scale in zip(row, layout.depths, layout.scales, strict=True)
        ]
        for row in numbers
    ]
    np.testing.assert_allclose(codes.unpack(), expected, rtol=1e-6, atol=1e-6)
    assert codes.unpack().dtype == np.float32
    norms = np.square(codes.unpack(), dtype=float).sum(axis=1)
    np.testing.assert_allclose(squared_lengths(codes), norms)


def test_one_bit_for_all_is_that_of_packbits(rng):
    positive = rng.random((9, 21)) > 0.5
    layout = MixedDepths(30, [1] * 21, LEVELS)
    assert_array_equal(layout.pack(positive.view(np.uint8)), pack_codes(positive))


def test_deep_coordinates_are_spread_over_the_row(rng):
    layout = make_layout(rng, {4: 16, 1: 192})  # 16 nibbles and 48
    deep = layout.depths[layout.line_coordinates[:, 0]] == 4
    assert_array_equal(deep.reshape(8, 8).sum(axis=1), np.full(8, 2))
    below = make_layout(rng, {4: 16, 1: 192}, deep_below=True)
    deep = below.depths[below.line_coordinates[:, 0]] == 4
    assert_array_equal(deep.reshape(8, 4, 2).sum(axis=1), np.tile([0, 2], (8, 1)))
    assert below != layout


@pytest.mark.parametrize("counts", COUNTS)
def test_deeper_half_is_below(rng, counts):
    layout = make_layout(rng, counts, deep_below=True)
    upper, lower = layout.line_coordinates[::2], layout.line_coordinates[1::2]
    depths = [
        np.where(half < 0, 0, layout.depths[half]).max(axis=1)
        for half in (upper, lower)
    ]
    assert depths[0].max() <= depths[1].min() or len(counts) == 1
    assert pickle.loads(pickle.dumps(layout)).deep_below


def test_both_halves_of_eight_bits(rng):
    layout = make_layout(rng, {8: 3, 4: 2, 1: 9})
    for i, (upper, lower) in enumerate(layout.split_lines):
        assert_array_equal(layout.line_coordinates[upper], [i, -1, -1, -1])
        assert_array_equal(layout.line_coordinates[lower], [-1, i, -1, -1])
    assert make_layout(rng, {4: 2, 1: 9}).split_lines.shape == (0, 2)


@pytest.mark.parametrize("name", KEEPS_CODES)
def test_rows_of_mixed_depth_stay_codes(rng, name):
    codes, _ = make_mixed(rng, COUNTS[6])
    kept = KEEPS_CODES[name](codes)
    assert is_codes(kept)
    assert kept.layout == codes.layout
    assert kept.levels.keys() == codes.levels.keys()


def test_mixed_depths_in_memory_maps(rng, tmp_path):
    codes, _ = make_mixed(rng, COUNTS[6])
    joblib.dump(codes, tmp_path / "codes.joblib")
    loaded = joblib.load(tmp_path / "codes.joblib", mmap_mode="r")
    assert isinstance(loaded.base, np.memmap)
    assert loaded.layout == codes.layout
    np.save(tmp_path / "codes.npy", codes)
    plain = np.load(tmp_path / "codes.npy", mmap_mode="r")
    wrapped = as_codes(plain, layout=codes.layout)
    assert_array_equal(wrapped.unpack(), codes.unpack())


def test_mixed_depths_have_no_planes(rng):
    codes, _ = make_mixed(rng, COUNTS[6])
    for ask in (lambda: codes.signs, lambda: codes.magnitudes, codes.unpack_bits):
        with pytest.raises(ValueError, match=r"no planes.*unpack\(\)"):
            ask()


def test_layouts_are_equal_if_they_mean_the_same(rng):
    layout = make_layout(np.random.default_rng(0), COUNTS[6])
    same = make_layout(np.random.default_rng(0), COUNTS[6])
    assert layout == same
    assert hash(layout) == hash(same)
    assert layout == pickle.loads(pickle.dumps(layout))
    assert layout != make_layout(np.random.default_rng(1), COUNTS[6])
    assert make(rng, 2).layout == make(rng, 2).layout
    assert make(rng, 2).layout != make(rng, 2, levels=(1.0, 2.0)).layout
    assert make(rng, 1).layout != make(rng, 2).layout
    assert make(rng, 1, d=13).layout != make(rng, 1, d=14).layout


WRONG_LAYOUTS = {
    "rising depths": ({"depths": [1, 2]}, "deepest first"),
    "three bits": ({"depths": [3]}, "8, 4, 2 or 1"),
    "none": ({"depths": []}, "8, 4, 2 or 1"),
    "levels missing": ({"levels": {1: LEVELS[1]}}, "4 rising levels"),
    "falling levels": ({"levels": {2: [3, 2, 1, 0]}}, "4 rising levels"),
    "uneven levels": (
        {"depths": [8], "levels": {8: np.arange(256) ** 2}},
        "evenly spaced",
    ),
    "scales": ({"scales": [1.0]}, "2 positive numbers"),
    "scale 0": ({"scales": [1.0, 0.0]}, "2 positive numbers"),
    "features": ({"n_features": 0}, "at least 1"),
}


@pytest.mark.parametrize("name", WRONG_LAYOUTS)
def test_layouts_that_make_no_sense(name):
    change, message = WRONG_LAYOUTS[name]
    arguments = {"n_features": 5, "depths": [2, 2], "levels": LEVELS, **change}
    with pytest.raises(ValueError, match=message):
        MixedDepths(**arguments)


def test_what_as_codes_refuses_of_a_layout(rng):
    codes, _ = make_mixed(rng, {4: 1, 2: 1})
    plain, layout = np.asarray(codes), codes.layout
    with pytest.raises(TypeError, match="MixedDepths or the layout of other codes"):
        as_codes(plain, layout=13)
    with pytest.raises(ValueError, match="leave these out"):
        as_codes(plain, layout=layout, levels=(1, 3))
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(n_samples, 1\)"):
        as_codes(np.hstack([plain, plain]), layout=layout)
    with pytest.raises(ValueError, match="belong to no coordinate"):
        as_codes(plain | 1, layout=layout)
    assert as_codes(plain, 5, layout=layout).layout is layout
    of_one_bit = make(rng, 1)
    again = as_codes(np.asarray(of_one_bit), layout=of_one_bit.layout)
    assert_array_equal(again.unpack(), of_one_bit.unpack())


# What other libraries do with codes.


def test_joblib_hash_sees_what_codes_mean(rng):
    one = make(rng, 1)
    two = make(rng, 2, levels=(1.0, 3.0))
    plain, (mixed, _) = np.asarray(two), make_mixed(rng, COUNTS[6])
    others = MixedDepths(mixed.n_features, mixed.layout.depths, LEVELS)
    alike = [
        as_codes(np.asarray(one), n_features=13),
        as_codes(np.asarray(one) & 0xF0, n_features=12),
        as_codes(np.asarray(one) & 0xF0, n_features=13),
        as_codes(plain, 13, levels=(1, 3)),
        as_codes(plain, 13, levels=(1, 2)),
        mixed,
        as_codes(np.asarray(mixed), layout=others),
    ]
    hashes = [joblib.hash(codes) for codes in alike]
    assert len(set(hashes)) == len(hashes)
    assert [joblib.hash(pickle.loads(pickle.dumps(codes))) for codes in alike] == hashes
    assert tuple(one.strides) == np.asarray(one).strides


def test_codes_cannot_be_called(codes):
    with pytest.raises(TypeError, match="as_codes"):
        CodeArray(np.asarray(codes))


PACKED = {
    "lists": lambda P, B: P.tolist(),
    "int64": lambda P, B: P.astype(np.int64),
    "uint64": lambda P, B: P.astype(np.uint64),
    "list of bytes": lambda P, B: [bytes(row) for row in P],
    "array of bytes": lambda P, B: np.array([bytes(row) for row in P], object),
    "fixed bytes": lambda P, B: np.array([bytes(row) for row in P]),
    "one block of bytes": lambda P, B: P.tobytes(),
    "bytearray": lambda P, B: bytearray(P.tobytes()),
    "void": lambda P, B: P.view("V3")[:, 0],
    "offset-binary": lambda P, B: (P ^ 128).view(np.int8),
    "offset-binary lists": lambda P, B: (P.astype(int) - 128).tolist(),
    "bool": lambda P, B: B,
    "lists of bool": lambda P, B: B.tolist(),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_bits_of_others(rng, name):
    bits = rng.random((6, 20)) > 0.5
    bits[0, 8:] = False  # numpy strips zeros at the end of fixed bytes
    packed = np.packbits(bits, axis=1)
    codes = as_codes(PACKED[name](packed, bits), 20)
    assert codes.dtype == np.uint8
    assert_array_equal(codes.unpack(), np.where(bits, 1, -1))


def test_two_bits_from_lists(rng):
    words = rng.integers(0, 2**16, (5, 2), dtype=np.uint16)
    codes = as_codes(words.tolist(), 16, (1, 2))
    assert codes.dtype == np.uint16
    assert_array_equal(np.asarray(codes), words)


def test_mixed_depths_from_lists_and_bytes(rng):
    codes, _ = make_mixed(rng, COUNTS[6])
    plain = np.asarray(codes)
    for packed in (plain.tolist(), [bytes(row) for row in plain], plain.tobytes()):
        assert_array_equal(as_codes(packed, layout=codes.layout), codes)


def test_printed_codes_say_what_they_are(rng, codes):
    text = repr(codes)
    n_bytes = codes[:1].nbytes
    kind = f"{codes.bits}-bit codes of {codes.n_features} coordinates"
    assert f"{len(codes)} rows of {n_bytes} bytes, {kind}" in text
    assert str(codes[0, 0]) in text
    assert repr(codes[0]).startswith("array(")
    assert "0 rows" in repr(codes[:0])


def test_printed_codes_of_mixed_depth(rng):
    layout = MixedDepths(4, [2, 1, 1], {2: [-3, -1, 1, 3], 1: [-1, 1]})
    codes = as_codes(np.array([[0b1100_0100]], np.uint8), layout=layout)
    assert "1 of 2 bits, 2 of 1 bit, of 4 coordinates" in repr(codes)


@pytest.mark.parametrize("levels", [None, (1.0, 3.0), (0.5, 2.0), (0.0, 1.0)])
def test_squared_lengths_are_those_of_the_values(rng, levels):
    codes = make(rng, 1 if levels is None else 2, d=21, levels=levels)
    expected = np.square(codes.unpack(), dtype=float).sum(axis=1)
    assert_array_equal(squared_lengths(codes), expected)
    assert len(set(expected)) > 1 or levels is None


def test_bytes_are_filled():
    """For all small numbers of coordinates of each depth, by counting slots."""
    for eight, four, two, one in itertools.product(range(2), range(3), range(4), [3]):
        given = {8: eight, 4: four, 2: two, 1: one}
        given = {depth: count for depth, count in given.items() if count or depth < 3}

        def nibbles(two, one, given=given):
            pairs = -(-two // 2)
            return 2 * given.get(8, 0) + given.get(4, 0) + pairs + -(-one // 4)

        n_bytes = max(1, (2 * eight + four) // 2 + 1)
        kept = two - (two % 2 and nibbles(two, one) > 2 * n_bytes)
        left = 2 * n_bytes - nibbles(kept, 0)
        if left < 0:
            continue
        for n_axes in (eight + four + two, eight + four + two + 3, 60):
            ones = min(4 * left, n_axes - eight - four - kept)
            expected = [8] * eight + [4] * four + [2] * kept + [1] * ones
            expected += [0] * (n_axes - len(expected))
            assert fill_bytes(given, n_bytes, n_axes).tolist() == expected


def test_numbers_of_levels_that_are_not_there(rng):
    layout = MixedDepths(4, [4, 1], {4: np.arange(16.0), 1: [-1, 1]})
    assert layout.pack(np.array([[15, 1]], np.uint8)).unpack().tolist() == [[15, 1]]
    for bad in ([[16, 1]], [[3, 2]]):
        with pytest.raises(ValueError, match="beyond the levels"):
            layout.pack(np.array(bad, np.uint8))
    for bad in (np.zeros((1, 3), np.uint8), np.zeros((1, 2)), np.zeros(2, np.uint8)):
        with pytest.raises(ValueError, match="must be uint8 of shape"):
            layout.pack(bad)


# Edges of what is taken, and of what layouts hold.


@pytest.mark.parametrize("counts", COUNTS)
def test_arrays_of_a_layout(rng, counts):
    layout = make_layout(rng, counts)
    starts, depths, levels, edges, level_starts = layout.level_arrays
    assert depths.tolist() == sorted(counts, reverse=True)
    assert starts.tolist() == [0, *np.cumsum([counts[b] for b in depths])]
    assert level_starts.tolist() == [0, *np.cumsum([2**b for b in depths[:-1]])]
    expected = [LEVELS[depth] for depth in depths]
    np.testing.assert_allclose(levels, np.concatenate(expected), rtol=1e-6)
    between = [[*(of[:-1] + np.diff(of) / 2), np.inf] for of in expected]
    np.testing.assert_allclose(edges, np.concatenate(between), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counts", [*COUNTS, {1: 70}, {4: 24, 1: 192}])
def test_nibbles_of_a_layout(rng, counts):
    """As the file format has them: by depth, then every so-manyth beside the first."""
    layout, lines, i = make_layout(rng, counts), [], 0
    for depth in sorted(counts, reverse=True):
        if depth == 8:
            for k in range(i, i + counts[8]):
                lines += [[k, -1, -1, -1], [-1, k, -1, -1]]
        else:
            last = i + counts[depth]
            for k in range(i, last, 4 // depth):
                line = [*range(k, min(k + 4 // depth, last))]
                lines.append(line + [-1] * (4 - len(line)))
        i += counts[depth]
    lines += [[-1] * 4] * (len(lines) % 2)
    if len(counts) > 1:
        step = -(-len(lines) // 8)
        lines = [line for first in range(step) for line in lines[first::step]]
    assert layout.line_coordinates.tolist() == lines


def test_bytes_are_filled_without_pairs():
    assert fill_bytes({1: 30}, 1, 20).tolist() == [1] * 8 + [0] * 12
    assert fill_bytes({4: 6, 1: 3}, 4, 40).tolist() == [4] * 6 + [1] * 8 + [0] * 26


def test_edges_of_bytes():
    for given, expected in (
        ([[0, 1]], [[0, 1]]),
        ([[0, 255]], [[0, 255]]),
        ([[-128, 127]], [[0, 255]]),
        ([[-1, 0]], [[127, 128]]),
    ):
        assert as_codes(given, 16).tolist() == expected
        assert as_codes(given, 16).dtype == np.uint8
    assert as_codes([[65535]], 8, (1, 3)).tolist() == [[65535]]
    for given, levels in (
        ([[-1, 128]], None),
        ([[-129, 0]], None),
        ([[256, 0]], None),
        ([[65536, 0]], (1, 3)),
        (np.array([[1, 2]], object), None),
    ):
        with pytest.raises(ValueError, match="Codes must be uint8"):
            as_codes(given, 16, levels)
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        as_codes([[-1]], layout=MixedDepths(2, [1, 1], LEVELS))


def test_words_are_told_by_their_number():
    words = np.full((2, 3), 2**60)
    with pytest.raises(ValueError, match=r"words of 64 bits.*\[:, :17\]"):
        as_codes(words, 130)
    with pytest.raises(ValueError, match="with values from"):
        as_codes(words, 128)


def test_padding_is_in_the_last_byte():
    for d in (9, 20, 63):
        faulty = np.zeros((1, -(-d // 8)), np.uint8)
        assert as_codes(faulty, d).layout.padding[:-1].max() == 0
        faulty[0, -1] = 1
        with pytest.raises(ValueError, match="padding bits"):
            as_codes(faulty, d)


@pytest.mark.parametrize("levels", [(False, True), ("1", "3"), (1, 1), (True, 3)])
def test_levels_are_two_numbers_that_rise(levels):
    with pytest.raises(ValueError, match="0 <= low < high"):
        as_codes(np.zeros((1, 1), np.uint16), 8, levels)


def test_levels_of_a_depth_rise():
    with pytest.raises(ValueError, match="2 rising levels"):
        MixedDepths(2, [1, 1], {1: [1, 1]})


def test_an_array_without_layout_is_no_codes():
    bare = np.zeros((2, 2), np.uint8).view(CodeArray)
    assert bare.n_features == 0
    assert not is_codes(bare)
    assert is_codes(pack_codes(np.ones((1, 1), bool)))


def test_the_warning_names_the_line_that_passed_codes(codes):
    from sklearn.utils import check_array

    def estimator(X):
        return check_array(X)

    with pytest.warns(UserWarning, match="CodeUnpacker") as caught:
        estimator(codes)
    assert caught[0].filename == __file__
    with pytest.raises(AttributeError, match="no attribute 'iloc'"):
        codes.iloc  # noqa: B018


@pytest.mark.parametrize("counts", COUNTS)
def test_padding_is_what_no_number_sets(rng, counts):
    layout = make_layout(rng, counts)
    most = (2 ** layout.depths.astype(int) - 1).astype(np.uint8)
    [full] = np.asarray(layout.pack(most[np.newaxis]))
    assert_array_equal(layout.padding, ~full)


def test_halves_of_bytes_with_sums():
    """Four bits have 16 levels of any distance: no sums of what two pairs say."""
    for counts, expected in (
        ({1: 9}, True),
        ({4: 8, 1: 32}, False),
        ({8: 1, 4: 1}, False),
        ({2: 3}, True),
        ({4: 2}, False),
    ):
        depths = np.repeat([*counts], [*counts.values()])
        layout = MixedDepths(50, depths, LEVELS)
        upper = layout.line_coordinates[::2]
        assert layout.has_sums_above == (
            not (layout.depths[upper[upper >= 0]] == 4).any()
        )
        assert layout.has_sums_above == expected
