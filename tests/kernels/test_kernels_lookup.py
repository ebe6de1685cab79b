"""The look-up scan against its slow twin, bit for bit, and its compiled form."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import naive_lookup as naive
import numpy as np
import pytest
from llvmlite import binding, ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.testing import assert_array_equal

from skbq._kernels import (
    dispatch,
    exact_distances,
    jit,
    list_ranking,
    simd,
    table_lookup,
)
from skbq._kernels.rounded_tables import empty_tables, round_tables
from skbq._kernels.tiles import ENTRIES
from skbq._neighbors import brute_force

HAMMING, HAMMING_2 = (0, 1), (0, 1, 0, 1, 2, 1)
PENALTY, DOT = (0, 0, 0, 1, 2, 4), (8, 6, 0, 10, 12, 18)
LOW, HIGH = 0.4528, 1.5104  # no unit divides their products
FINE_DOT = tuple(HIGH**2 - x for x in (LOW**2, LOW * HIGH, HIGH**2)) + tuple(
    HIGH**2 + x for x in (LOW**2, LOW * HIGH, HIGH**2)
)
COSTS = {1: [HAMMING, (0, 2), (0.5, 0.1)], 2: [HAMMING_2, PENALTY, DOT, FINE_DOT]}
LEVELS = {1: [None], 2: [(1, 3), (0.0, 1.0), (LOW, HIGH)]}

needs_compiler = pytest.mark.skipif(
    bool(config.DISABLE_JIT), reason="too slow in plain Python, or about compiled code"
)
WIDTHS = [7, 65] if config.DISABLE_JIT else range(1, 201)
# Plain Python integers of numpy overflow aloud where compiled ones wrap.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


class Compared(NamedTuple):
    """Plain arrays as what a search compares."""

    codes: np.ndarray
    n_queries: int
    scan: Callable


def between_codes(codes, queries, costs, d):
    def scan(some):
        return dispatch.between_codes(codes, queries[some], costs, d)

    return Compared(codes, len(queries), scan)


def from_vectors(codes, values, levels, offset, scale):
    least = np.full(len(values), -np.inf)

    def scan(some):
        return dispatch.from_vectors(
            codes, values[some], levels, offset, scale, least[some]
        )

    return Compared(codes, len(values), scan)


def nearest(compared, k, *, left_out=None, mask=None):
    return brute_force.nearest(compared, k, brute_force.Eligible(left_out, mask))


def within(compared, radii, *, left_out=None, mask=None):
    radii = np.broadcast_to(np.asarray(radii, np.float64), compared.n_queries)
    eligible = brute_force.Eligible(left_out, mask)
    distances, rows = brute_force.within(compared, radii, eligible)
    starts = np.cumsum([0, *map(len, rows)])
    return np.concatenate(distances), np.concatenate(rows), starts


def make_codes(rng, n, d, bits):
    """Random codes; half of the rows are copies of others, so that distances tie."""
    dtype = np.uint8 if bits == 1 else np.uint16
    planes = np.packbits(rng.random((bits, n, d)) > 0.4, axis=2).astype(dtype)
    codes = planes[0] if bits == 1 else planes[0] | planes[1] << 8
    return codes[rng.integers(0, max(1, n // 2), n)] if n > 1 else codes


def make_scales(rng, n, sign):
    """Offsets and scales: of one sign but for a few, zeros among them."""
    scale = sign * rng.random(n).astype(np.float32)
    scale[::7], scale[3::11] = 0, -sign
    return rng.standard_normal(n).astype(np.float32), scale


def assert_nearest(scan, distances, k, **counting):
    expected = naive.nearest(distances, k, **counting)
    for got, value in zip(nearest(scan, k, **counting), expected, strict=True):
        assert_array_equal(got, value)


def assert_within(scan, distances, radii, **counting):
    expected = naive.within(distances, radii, **counting)
    for got, value in zip(within(scan, radii, **counting), expected, strict=True):
        assert_array_equal(got, value)


@pytest.mark.parametrize("bits", [1, 2])
def test_codes_of_all_widths(rng, bits):
    for d in WIDTHS:
        n, n_queries = int(rng.integers(1, 140)), int(rng.integers(1, 10))
        codes, queries = (make_codes(rng, m, d, bits) for m in (n, n_queries))
        costs = COSTS[bits][d % len(COSTS[bits])]
        rows = naive.unpack(codes, d), naive.unpack(queries, d)
        distances = naive.code_distances(*rows, costs)
        scan = between_codes(codes, queries, costs, d)
        assert_nearest(scan, distances, int(rng.integers(1, n + 1)))
        assert_within(scan, distances, np.quantile(distances, 0.3, axis=1))


@pytest.mark.parametrize("bits", [1, 2])
def test_float_queries_of_all_widths(rng, bits):
    for d in WIDTHS:
        n, n_queries = int(rng.integers(1, 140)), int(rng.integers(1, 10))
        codes = make_codes(rng, n, d, bits)
        queries = rng.standard_normal((n_queries, d)).astype(np.float32)
        levels = LEVELS[bits][d % len(LEVELS[bits])]
        offset, scale = make_scales(rng, n, 1 if d % 3 else -1)
        distances = naive.estimates(
            naive.unpack(codes, d), queries, levels or (1, 1), offset, scale
        )
        scan = from_vectors(codes, queries, levels, offset, scale)
        assert_nearest(scan, distances, int(rng.integers(1, n + 1)))
        assert_within(scan, distances, np.quantile(distances, 0.3, axis=1))


@needs_compiler
@pytest.mark.parametrize("d", [50, 64, 128, 1000, 1024])
@pytest.mark.parametrize("n_queries", [1, 2, 3, 4])
@pytest.mark.parametrize("costs", [HAMMING, (3, 1), (0.5, 0.25)])
def test_few_queries(rng, d, n_queries, costs):
    codes, queries = (make_codes(rng, n, d, 1) for n in (100, n_queries))
    rows = naive.unpack(codes, d), naive.unpack(queries, d)
    distances = naive.code_distances(*rows, costs)
    shifted = np.empty(codes.size + 1, np.uint8)[1:].reshape(codes.shape)
    shifted[:] = codes  # no word starts at a multiple of 8 bytes
    for same in (codes, shifted):
        scan = between_codes(same, queries, costs, d)
        assert_nearest(scan, distances, 40, mask=np.arange(100) > 30)
        assert_within(scan, distances, np.median(distances, axis=1))


@needs_compiler
@pytest.mark.parametrize("d", [1000, 4096, 65_536])
@pytest.mark.parametrize("bits", [1, 2])
def test_sums_do_not_overflow(rng, d, bits):
    # Query 0 and row 0 differ everywhere, with all magnitudes strong.
    codes, queries = (make_codes(rng, m, d, bits) for m in (70, 5))
    full = (1 << 8 * bits) - 1
    codes[0], queries[0] = full, full & ~255 if bits == 2 else 0
    unpacked = naive.unpack(codes, d), naive.unpack(queries, d)
    for costs in COSTS[bits]:
        distances = naive.code_distances(*unpacked, costs)
        assert distances[0, 0] == d * costs[-1]
        assert_nearest(between_codes(codes, queries, costs, d), distances, 70)
    values = rng.standard_normal((5, d)).astype(np.float32)
    values[1] *= 1e-20
    values[2, ::100] *= 1e6
    values[3] = 0
    offset, scale = make_scales(rng, 70, -1)
    distances = naive.estimates(unpacked[0], values, (LOW, HIGH), offset, scale)
    if bits == 2:
        scan = from_vectors(codes, values, (LOW, HIGH), offset, scale)
        assert_nearest(scan, distances, 10)


@needs_compiler
@pytest.mark.parametrize("d", [1, 8, 60, 505, 768, 3000, 65_536])
@pytest.mark.parametrize(("bits", "costs"), [(1, HAMMING), (1, (1, 3)), (2, HAMMING_2)])
def test_differing_bits_of_many_rows(rng, d, bits, costs):
    """More rows than one plane holds, more patterns than one segment, many queries."""
    n, n_queries = (1300, 9) if d < 10_000 else (70, 8)
    codes, queries = (make_codes(rng, m, d, bits) for m in (n, n_queries))
    queries[0], queries[1] = codes[n // 2], ~codes[0]
    if d % 8:  # padding is 0
        queries[1, -1] &= (0xFF << -d % 8 & 0xFF) * (1 if bits == 1 else 0x101)
    rows = naive.unpack(codes, d), naive.unpack(queries, d)
    distances = naive.code_distances(*rows, costs)
    assert distances[1, 0] == d * (costs[1] if bits == 1 else costs[4])
    scan = between_codes(codes, queries, costs, d)
    assert_nearest(scan, distances, 50)
    assert_nearest(scan, distances, 5, mask=rng.random(n) > 0.9)
    assert_within(scan, distances, np.quantile(distances, 0.2, axis=1))


@needs_compiler
@pytest.mark.parametrize("order", ["as they come", "nearest last", "nearest first"])
@pytest.mark.parametrize("bits", [1, 2])
def test_many_tiles(rng, order, bits):
    n, d = 5000, 40
    codes = make_codes(rng, n, d, bits)
    queries = make_codes(rng, 7, d, bits)
    rows = naive.unpack(codes, d)
    distances = naive.code_distances(rows, naive.unpack(queries, d), COSTS[bits][1])
    if order != "as they come":
        sign = 1 if order == "nearest first" else -1
        codes = np.ascontiguousarray(codes[np.argsort(sign * distances[0])])
        rows = naive.unpack(codes, d)
        distances = naive.code_distances(rows, naive.unpack(queries, d), COSTS[bits][1])
    scan = between_codes(codes, queries, COSTS[bits][1], d)
    assert_nearest(scan, distances, 300)
    values = rng.standard_normal((7, d)).astype(np.float32)
    offset, scale = make_scales(rng, n, -1)
    scan = from_vectors(codes, values, LEVELS[bits][0], offset, scale)
    levels = LEVELS[bits][0] or (1, 1)
    assert_nearest(scan, naive.estimates(rows, values, levels, offset, scale), 300)


def make_both(rng, n=200, d=77, n_queries=9, bits=2):
    """Return a scan of each kind and its distances."""
    codes, queries = (make_codes(rng, m, d, bits) for m in (n, n_queries))
    values = rng.standard_normal((n_queries, d)).astype(np.float32)
    offset, scale = make_scales(rng, n, -1)
    rows, costs = naive.unpack(codes, d), COSTS[bits][1]
    levels = LEVELS[bits][0]
    return [
        (
            between_codes(codes, queries, costs, d),
            naive.code_distances(rows, naive.unpack(queries, d), costs),
        ),
        (
            from_vectors(codes, values, levels, offset, scale),
            naive.estimates(rows, values, levels or (1, 1), offset, scale),
        ),
    ]


@needs_compiler
def test_what_does_not_count(rng):
    mask = rng.random(200) > 0.9
    left_out = np.argmax(mask) + np.arange(9) - 1
    for scan, distances in make_both(rng):
        radii = np.full(9, np.median(distances))
        for counting in (
            {"left_out": left_out},
            {"mask": mask},
            {"mask": mask, "left_out": left_out},
            {"mask": np.zeros(200, bool)},
        ):
            assert_nearest(scan, distances, 30, **counting)  # more than the mask has
            assert_within(scan, distances, radii, **counting)


@needs_compiler
def test_radii(rng):
    for scan, distances in make_both(rng):
        for radius in (-1e9, -0.5, 0.0, 0.5, 7.999, 8.0, np.median(distances), np.inf):
            assert_within(scan, distances, np.full(9, radius))
        assert_array_equal(within(scan, 8.0)[1], within(scan, np.full(9, 8.0))[1])
        # The edge belongs to the radius; many rows need more than their first room.
        for rank in (0, 3, 150):
            edges = np.sort(distances, axis=1)[:, rank]
            assert_within(scan, distances, edges)
            assert_within(scan, distances, np.nextafter(edges, -np.inf))


@needs_compiler
def test_result_of_a_query_is_its_own(rng):
    codes, queries = (make_codes(rng, n, 100, 1) for n in (3000, 21))
    values = rng.standard_normal((21, 100)).astype(np.float32)
    offset, scale = make_scales(rng, 3000, 1)

    def scans(rows, some):
        yield between_codes(codes[rows], queries[some], HAMMING, 100)
        yield from_vectors(codes[rows], values[some], None, offset[rows], scale[rows])

    everything = slice(None)
    for i, scan in enumerate(scans(everything, everything)):
        distances, rows = nearest(scan, 15)
        for some in (slice(0, 1), slice(3, 9), slice(20, 21)):
            part = nearest(list(scans(everything, some))[i], 15)
            assert_array_equal(part[0], distances[some])
            assert_array_equal(part[1], rows[some])
        low = nearest(list(scans(slice(0, 1001), everything))[i], 15)
        high = nearest(list(scans(slice(1001, None), everything))[i], 15)
        both = np.hstack([low[0], high[0]]), np.hstack([low[1], high[1] + 1001])
        order = np.lexsort((both[1], both[0]))[:, :15]
        assert_array_equal(np.take_along_axis(both[0], order, 1), distances)
        assert_array_equal(np.take_along_axis(both[1], order, 1), rows)


@needs_compiler
def test_tables_are_made_in_parts(rng, monkeypatch):
    parts = make_both(rng)
    expected = [nearest(scan, 5) for scan, _ in parts]
    monkeypatch.setattr("skbq._kernels.dispatch._TABLE_BYTES", 1)
    monkeypatch.setattr("skbq._kernels.dispatch._FLOAT_TABLE_BYTES", 1)
    for (scan, _), (distances, rows) in zip(parts, expected, strict=True):
        assert_array_equal(nearest(scan, 5)[0], distances)
        assert_array_equal(nearest(scan, 5)[1], rows)


@needs_compiler
@pytest.mark.parametrize("bits", [1, 2])
def test_kinds_of_arrays(rng, bits, tmp_path):
    codes = make_codes(rng, 300, 77, bits)
    values = rng.standard_normal((3, 77)).astype(np.float32)
    offset, scale = make_scales(rng, 300, 1)
    expected = nearest(from_vectors(codes, values, (1, 3), offset, scale), 9)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    strided = np.repeat(codes, 2, axis=0)[::2]
    for other in (mapped, strided, np.asfortranarray(codes)):
        found = nearest(from_vectors(other, values, (1, 3), offset, scale), 9)
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])
    values.flags.writeable = offset.flags.writeable = scale.flags.writeable = False
    found = nearest(from_vectors(codes, values, (1, 3), offset, scale), 9)
    assert_array_equal(found[1], expected[1])


@needs_compiler
def test_infinite_offsets_and_mixed_sizes(rng):
    codes = make_codes(rng, 500, 64, 1)
    values = rng.standard_normal((6, 64)).astype(np.float32)
    offset, scale = make_scales(rng, 500, -1)
    offset[5:9], offset[9] = np.inf, 1e30
    scale[100:130] *= 1e8
    rows = naive.unpack(codes, 64)
    distances = naive.estimates(rows, values, (1, 1), offset, scale)
    assert_nearest(from_vectors(codes, values, None, offset, scale), distances, 60)


@pytest.mark.parametrize("group", [2, 8, 12, 30])
@pytest.mark.parametrize("reach", [-1.0, 0.0, 1.0, 9.0])
def test_rounded_tables_bound_from_below(rng, group, reach):
    raw = rng.standard_normal((3, 50, ENTRIES)) * rng.lognormal(0, 2, (3, 50, 1))
    raw = raw.astype(np.float32)
    raw[1, ::3], raw[2] = 0.25, 0
    rounded = empty_tables(3, 50, group)
    round_tables(raw, group, reach, rounded)
    tables, bounds, shifts = rounded
    assert shifts.max() <= 2
    assert tables.max() <= 127
    places = rng.integers(0, ENTRIES, (1000, 50))
    places[0] = 0
    for q in range(3):
        exact = raw[q, np.arange(50), places].sum(axis=1, dtype=np.float64)
        entries = tables[q, np.arange(50), places].astype(int)
        groups = np.add.reduceat(entries, np.arange(0, 50, group), axis=1)
        total = (np.minimum(groups, 255) << shifts[q]).sum(axis=1)
        step, base = bounds[q].astype(np.float64)
        assert (base + step * total <= exact).all()
        # Not needlessly low either: within a step for each table, if none is cut off.
        if reach == 9.0 and entries.max() < 127:
            steps = np.repeat(step * (1 << shifts[q]), group)[:50]
            assert (exact - base - step * total <= steps.sum() + 1e-5).all()


@needs_compiler
@pytest.mark.parametrize("k", [1, 40, 250, 900])
@pytest.mark.parametrize("order", ["as they come", "nearest last", "all alike"])
def test_limit_of_the_first_tile(rng, k, order):
    """Ties, masks and rows left out do not fall to the limit that is sought first."""
    n = 3000
    codes = make_codes(rng, n, 24, 2)
    values = rng.standard_normal((5, 24)).astype(np.float32)
    offset, scale = make_scales(rng, n, -1)
    if order == "all alike":
        codes[:], offset[:], scale[:] = codes[0], 0.5, -1
    pair = naive.unpack(codes, 24), values
    distances = naive.estimates(*pair, (LOW, HIGH), offset, scale)
    if order == "nearest last":
        last = np.argsort(-distances[0], kind="stable")
        codes, offset, scale = codes[last], offset[last], scale[last]
        distances = distances[:, last]
    scan = from_vectors(codes, values, (LOW, HIGH), offset, scale)
    assert_nearest(scan, distances, k)
    few = np.arange(n) % 3 == 0
    left_out = np.argmin(distances, axis=1)
    assert_nearest(scan, distances, k, mask=few, left_out=left_out)
    # Fewer rows count than are asked for.
    none = np.arange(n) >= n - 5
    assert_nearest(scan, distances, 5, mask=none)


@needs_compiler
@pytest.mark.parametrize("bits", [1, 2])
def test_tables_of_values_bound_from_below(rng, bits):
    """Sums in float32 are not above exact ones; and rounding alone is between them."""
    d, n = 50, 400
    values = rng.standard_normal((6, d)).astype(np.float32)
    values[1] *= 1e-20
    values[2, ::7] *= 1e6
    values[3], values[4, 1:] = 0, 0
    values[5] += 1000
    codes = make_codes(rng, n, d, bits)
    zeros, ones = np.zeros(n, np.float32), np.ones(n, np.float32)
    scan = dispatch.from_vectors(codes, values, (LOW, HIGH), zeros, ones, zeros[:6])
    numbers = dispatch._numbers(scan.codes, bits)
    tables = scan.tables.reshape(6, numbers.shape[1], -1).astype(int)
    low = (LOW, HIGH) if bits == 2 else (LOW, LOW)
    rows = naive.unpack(codes, d)
    exact = naive.estimates(rows, values, low, zeros, ones)
    for q in range(6):
        entries = tables[q, np.arange(numbers.shape[1]), numbers]
        groups = np.add.reduceat(entries, np.arange(0, numbers.shape[1], 8), axis=1)
        step, base = scan.bounds.queries[q].astype(np.float64)
        shifts = scan.bounds.shifts[q]
        total = (np.minimum(groups, 255) << shifts).sum(axis=1)
        assert (base + step * total <= exact[q]).all()
        whole = groups.max(axis=1) <= 255
        steps = step * np.repeat(1 << shifts, 8)[: numbers.shape[1]]
        room = steps.sum() + 1e-4 * np.abs(values[q]).sum()
        cut = entries.max(axis=1) == 127
        assert (exact[q] - base - step * total <= room)[whole & ~cut].all()


@needs_compiler
@pytest.mark.parametrize("size", [1e-44, 1e-35, 1e-20, 1e20, 1e30, 3e38])
@pytest.mark.parametrize("bits", [1, 2])
def test_sizes_of_float_queries(rng, bits, size):
    """Where float32 tables would overflow or vanish, rows are evaluated instead."""
    codes = make_codes(rng, 300, 40, bits)
    values = (rng.uniform(-1, 1, (3, 40)) * size).astype(np.float32)
    offset, scale = np.zeros(300, np.float32), -np.ones(300, np.float32)
    levels = None if bits == 1 else (0.5, 1.0)
    distances = naive.estimates(
        naive.unpack(codes, 40), values, levels or (1, 1), offset, scale
    )
    assert_nearest(from_vectors(codes, values, levels, offset, scale), distances, 20)


# Instruction sets.


def test_forced_instructions():
    available = simd.available_instructions()
    assert available[-1] == "portable"
    assert simd.choose_instructions(None) == available[0]
    assert simd.choose_instructions("portable") == "portable"
    for name in {"avx512", "avx2", "neon", "sse9"} - set(available):
        with pytest.raises(ValueError, match=f"SKBQ_KERNEL .*portable.*Got '{name}'"):
            simd.choose_instructions(name)


def digest_of_results():
    digest = hashlib.sha256()
    for n, bits in ((200, 1), (2500, 2)):
        for scan, distances in make_both(np.random.default_rng(n), n, bits=bits):
            for result in (*nearest(scan, 20), *within(scan, np.median(distances))):
                digest.update(result.tobytes())
    return digest.hexdigest()


RESULTS = """
import sys
sys.path.insert(0, {tests!r})
import test_kernels_lookup as tests
print(tests.simd.INSTRUCTIONS, tests.digest_of_results())
"""


def run_python(source, **environment):
    result = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.exhaustive
@needs_compiler
def test_results_do_not_depend_on_the_instructions():
    source, expected = RESULTS.format(tests=os.path.dirname(__file__)), None
    for name in set(simd.available_instructions()) - {simd.INSTRUCTIONS}:
        expected = expected or digest_of_results()
        assert run_python(source, SKBQ_KERNEL=name) == [name, expected]


@pytest.mark.parametrize(
    ("instructions", "triple", "features", "expected"),
    [
        ("avx2", "x86_64-unknown-linux-gnu", "+avx2", r"vpshufb\t.*%ymm"),
        ("avx512", "x86_64-unknown-linux-gnu", "+avx512bw", r"vpshufb\t.*%zmm"),
        ("avx512vbmi", "x86_64-unknown-linux-gnu", "+avx512vbmi", r"vpermb\t.*%zmm"),
        (
            "neon",
            "aarch64-unknown-linux-gnu",
            "+neon",
            r"tbl\tv\d+\.16b, \{ ?v\d+",
        ),
        ("neon", "arm64-apple-macosx", "+neon", r"tbl\.16b\tv\d+, \{ ?v\d+"),
    ],
)
def test_look_up_compiles_to_its_instruction(instructions, triple, features, expected):
    entries = 64 if instructions == "avx512vbmi" else 16
    index = ir.VectorType(ir.IntType(8), 64)
    kinds = [ir.VectorType(ir.IntType(8), entries), index]

    def emit(builder, *values):
        return table_lookup.emit_lookup(builder, instructions, *values)

    assembly = compiled_for(triple, features, emit, kinds, index)
    width = table_lookup._LOOKUPS[instructions][1]
    assert len(re.findall(expected, assembly)) == 64 // width


def compiled_for(triple, features, emit, kinds, found):
    """Return what another machine does for vectors of some kinds that are loaded."""
    module = ir.Module()
    kind = ir.FunctionType(found, [kind.as_pointer() for kind in kinds])
    function = ir.Function(module, kind, "emitted")
    builder = ir.IRBuilder(function.append_basic_block())
    values = [
        builder.load(place, align=1, typ=target)
        for place, target in zip(function.args, kinds, strict=True)
    ]
    builder.ret(emit(builder, *values))
    for initialize in ("all_targets", "all_asmprinters"):
        getattr(binding, f"initialize_{initialize}")()
    target = binding.Target.from_triple(triple)
    machine = target.create_target_machine(features=features, opt=3)
    return machine.emit_assembly(binding.parse_assembly(str(module)))


@pytest.mark.parametrize(
    ("instructions", "triple", "features", "expected"),
    [
        ("avx2", "x86_64-unknown-linux-gnu", "+avx2", r"vpmaddwd\t"),
        ("neon", "aarch64-unknown-linux-gnu", "+neon", r"\tmul\t|\tsmull2?\t"),
    ],
)
def test_products_compile_to_their_instruction(
    instructions, triple, features, expected
):
    kinds = [
        ir.VectorType(ir.IntType(bits), 16 if bits == 32 else 64)
        for bits in (32, 8, 16)
    ]

    def emit(builder, *values):
        return list_ranking.emit_sums_of_products(builder, instructions, *values)

    assembly = compiled_for(triple, features, emit, kinds, kinds[0])
    assert len(re.findall(expected, assembly)) == (4 if instructions == "avx2" else 8)


@needs_compiler
def test_products_of_arm_are_as_defined(rng):
    """They are made of what every machine has."""

    @intrinsic
    def add_products(typing, sums, x, y):
        def emit(context, builder, signature, args):
            start, places = ir.Constant(ir.IntType(64), 0), []
            for kind, array in zip(signature.args, args, strict=True):
                bits = kind.dtype.bitwidth
                target = ir.VectorType(ir.IntType(bits), 16 if bits == 32 else 64)
                given = (kind, array, start, target)
                places.append((simd.pointer(context, builder, *given), target))
            values = [builder.load(place, align=1, typ=kind) for place, kind in places]
            total = list_ranking.emit_sums_of_products(builder, "neon", *values)
            builder.store(total, places[0][0], align=1)
            return context.get_dummy_value()

        return types.void(sums, x, y), emit

    @njit
    def run(sums, x, y):
        add_products(sums, x, y)

    x = rng.integers(-127, 128, 64).astype(np.int8)
    y = rng.integers(-127, 128, 64).astype(np.int16)
    x[:20], y[:20] = -127, 127
    sums = np.arange(16, dtype=np.int32)
    run(sums, x, y)
    assert sums.sum() == 120 + x.astype(int) @ y


@pytest.mark.parametrize(
    ("instructions", "features", "expected"),
    [
        ("avx2", "+avx2", r"vblendvpd\t.*ymm"),
        ("avx512", "+avx512f,+avx512vl,+avx512dq,+avx512bw", r"kmov[bdw]\t"),
        ("neon", "", r"(?:bsl|bit|bif)\t"),
    ],
)
def test_terms_compile_to_few_instructions(instructions, features, expected):
    """Bits choose terms by the instruction that is for it."""
    doubles = ir.VectorType(ir.DoubleType(), 8)
    kinds = [ir.IntType(64), doubles, doubles]

    def emit(builder, word, *terms):
        return exact_distances.emit_terms(builder, instructions, word, 2, terms)

    triple = "aarch64-linux-gnu" if instructions == "neon" else "x86_64-linux-gnu"
    assembly = compiled_for(triple, features, emit, kinds, doubles)
    assert len(re.findall(expected, assembly)) == 4 // (1 + (instructions != "neon"))


@needs_compiler
def test_terms_by_masks_are_those_by_signs(rng):
    """The form for AVX-512 gives the same on every machine."""

    def forms_of(instructions):
        @intrinsic
        def fill(typing, words, terms, out):
            def emit(context, builder, signature, args):
                doubles = ir.VectorType(ir.DoubleType(), 8)
                kinds = [ir.IntType(64), ir.ArrayType(doubles, 2), doubles]
                word, some, place = (
                    simd.pointer(context, builder, kind, array, ir.IntType(64)(0), of)
                    for kind, array, of in zip(signature.args, args, kinds, strict=True)
                )
                word = builder.load(word, typ=kinds[0])
                some = builder.load(some, align=8, typ=kinds[1])
                some = [builder.extract_value(some, i) for i in range(2)]
                found = exact_distances.emit_terms(builder, instructions, word, 4, some)
                builder.store(found, place, align=8)
                return context.get_dummy_value()

            return types.void(words, terms, out), emit

        return njit(lambda words, terms, out: fill(words, terms, out))

    forms = [forms_of(name) for name in ("avx512", "avx2")]
    for word in rng.integers(2**63, size=50, dtype=np.uint64):
        words, terms, found = (
            np.array([word]),
            rng.normal(size=(2, 8)),
            np.zeros((2, 8)),
        )
        for form, out in zip(forms, found, strict=True):
            form(words, terms, out)
        signs, strong = int(word) >> 32 & 255, int(word) >> 40 & 255
        chosen = [terms[strong >> j & 1, j] * (signs >> j & 1 or -1) for j in range(8)]
        np.testing.assert_array_equal(found, [chosen, chosen])


@pytest.mark.parametrize("features", ["+avx2", "+avx2,+avx512f,+avx512vl"])
def test_look_up_of_floats_compiles_to_few_instructions(features):
    kinds = [ir.VectorType(ir.FloatType(), 16), ir.VectorType(ir.IntType(32), 8)]
    emit, found = exact_distances.emit_float_lookup, ir.VectorType(ir.FloatType(), 8)
    assembly = compiled_for("x86_64-unknown-linux-gnu", features, emit, kinds, found)
    assert len(re.findall(r"vperm(?:ps|d)\t", assembly)) == 2


AVX512 = """
import numpy as np
from skbq._kernels import simd, table_lookup
tile, tables = np.zeros((1, 4, 64), np.uint8), np.zeros((16, 16), np.uint8)
table_lookup._sum_four.compile(tuple(map(
    __import__("numba").typeof,
    (tile, tables, None, None, (0, 1, 2, 3), 2, np.zeros((4, 64), np.int32)),
)))
(assembly,) = table_lookup._sum_four.inspect_asm().values()
print(simd.INSTRUCTIONS, "zmm" in assembly and "vpshufb" in assembly)
"""


@pytest.mark.exhaustive
@needs_compiler
@pytest.mark.skipif(
    "avx2" not in simd.available_instructions(), reason="compiles for x86"
)
def test_whole_scan_compiles_for_avx512():
    environment = {
        "NUMBA_CPU_NAME": "icelake-server",
        "NUMBA_CPU_FEATURES": "+avx2,+avx512f,+avx512bw,+avx512vl",
        "SKBQ_KERNEL": "",
        "SKBQ_NUMBA_CACHE": "0",
    }
    assert run_python(AVX512, **environment) == ["avx512", "True"]


@needs_compiler
def test_kept_kernels_are_those_of_all_sources():
    """An edit of any file of kernels, not only a kernel's own, makes it anew."""
    file = getattr(table_lookup.scan_exact._cache, "_cache_file", None)
    if file is None:
        pytest.skip("compiled kernels are not kept here")
    assert file._source_stamp[1] == jit._SOURCES


@needs_compiler
def test_import_compiles_nothing():
    source = """
from skbq._kernels import dispatch, popcount, table_lookup
kernels = [x for part in (popcount, table_lookup, dispatch) for x in vars(part).values()
           if hasattr(x, "signatures")]
print(len(kernels) > 10, sum(len(x.signatures) for x in kernels))
"""
    assert run_python(source) == ["True", "0"]
