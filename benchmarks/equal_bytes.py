"""PCAQuantizer against other codes of the same bytes a row, all bytes counted.

    python benchmarks/equal_bytes.py [SET.npz ...] [--bits 1 2] [--rows 10000]
        [--queries 500] [--families] [--keep FOLDER] [--out TABLE.md]

Needs ``pip install '.[bench]'``; rabitqlib and turbovec are compared where they are
installed. A set holds the arrays ``base`` and ``queries``; the shipped embeddings come
first. ``--keep`` keeps what was found in a folder and takes from there what is kept.
Cosine, asymmetric search, recall@10 of the code alone. With ``--families`` sets are
those that ``_families.py`` generates, which nothing was tuned on.
"""

import argparse
import importlib.util
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
from _sets import describe_run, few_rows
from codes import SEED, Faiss, Skbq, rotated, unit

from skbq import BinaryQuantizer, PCAQuantizer, TwoBitQuantizer
from skbq._utils.estimate import mean_estimate
from skbq._utils.similarity import similarities

K = 10
# Rows and iterations that codebooks of PQ and OPQ are learned in.
PQ_ROWS, PQ_ITERATIONS = 5000, 8
OPQ_ROUNDS = 4
INNER = faiss.METRIC_INNER_PRODUCT


class Found(NamedTuple):
    """Bytes a row, seconds to learn, to encode and to search, recall by query."""

    n_bytes: int
    fit: float
    encode: float
    search: float
    recall: np.ndarray


# Codes: each takes unit-norm rows and gives what has ``bytes_per_row`` and ``search``.


def pre_rotated(rows: np.ndarray, code) -> Faiss:
    d = rows.shape[1]
    rotation = faiss.RandomRotationMatrix(d, d)
    rotation.init(SEED)
    return Faiss(rows, faiss.IndexPreTransform(rotation, code), code)


def rabitq(rows: np.ndarray, bits: int) -> Faiss:
    code = faiss.IndexRaBitQ(rows.shape[1], INNER, bits)
    code.qb = 0
    return pre_rotated(rows, code)


def scalar(rows: np.ndarray, kind: str) -> Faiss:
    kind = getattr(faiss.ScalarQuantizer, kind)
    return pre_rotated(rows, faiss.IndexScalarQuantizer(rows.shape[1], kind, INNER))


def product(rows: np.ndarray, bits: float, *, learn: bool = False) -> Faiss:
    """PQ, after the rotation of OPQ if ``learn``; zeros fill up to whole parts.

    Each part of the coordinates is coded in 8 bits, or, of 3 bits, two of them in 6.
    """
    each, n_bits = (2, 6) if bits == 3 else (int(8 / bits), 8)
    n_parts = -(-rows.shape[1] // each)
    d = n_parts * each
    code = faiss.IndexPQ(d, n_parts, n_bits, INNER)
    settings = code.pq.cp
    settings.niter, settings.min_points_per_centroid = PQ_ITERATIONS, 1
    settings.max_points_per_centroid = -(-PQ_ROWS // 2**n_bits)
    if not learn:
        return Faiss(rows, code, code)
    rotation = faiss.OPQMatrix(d, n_parts)
    inner = faiss.ProductQuantizer(d, n_parts, n_bits)
    inner.cp.min_points_per_centroid = 1
    rotation.pq, rotation.niter = inner, OPQ_ROUNDS
    rotation.niter_pq, rotation.niter_pq_0 = 2, PQ_ITERATIONS
    rotation.max_train_points = PQ_ROWS
    made = Faiss(rows, faiss.IndexPreTransform(rotation, code), code)
    rotation.pq = None  # faiss holds no reference of its own
    return made


def fast_scan(rows: np.ndarray, bits: float) -> Faiss:
    """PQ of four bits for some coordinates, for the scan by vector instructions."""
    each = max(1, int(4 / bits))
    n_codes = -(-rows.shape[1] // each)
    code = faiss.IndexPQFastScan(n_codes * each, n_codes, 4, INNER)
    code.pq.cp.niter = PQ_ITERATIONS
    made = Faiss(rows, code, code)
    made.bytes_per_row = -(-n_codes // 2)
    return made


class TurboVec:
    def __init__(self, rows: np.ndarray, bits: int) -> None:
        turbovec = importlib.import_module("turbovec")
        sample = np.random.default_rng(SEED).permutation(len(rows))[:1024]
        sizes = []
        for part in (rows[: len(rows) // 2], rows):
            self.index = turbovec.TurboQuantIndex(rows.shape[1], bits)
            self.index.calibrate(np.ascontiguousarray(rows[sample]))
            self.index.add(np.ascontiguousarray(part))
            sizes.append(len(self.index.to_bytes()))
        self.bytes_per_row = round((sizes[1] - sizes[0]) / (len(rows) - len(rows) // 2))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(self.index.search(queries, k)[1]).astype(np.int64)


class RabitqLib:
    """Its inverted lists, one list around the mean."""

    def __init__(self, rows: np.ndarray, bits: int) -> None:
        library = importlib.import_module("rabitqlib")
        sizes = []
        for part in (rows[: len(rows) // 2], rows):
            self.index = library.IvfIndex(rows.shape[1], len(part), 1, bits, "ip")
            center = rows.mean(axis=0, keepdims=True)
            lists = np.zeros(len(part), np.uint32)
            self.index.build(np.ascontiguousarray(part), center, lists)
            with tempfile.NamedTemporaryFile() as file:
                self.index.save(file.name)
                sizes.append(Path(file.name).stat().st_size)
        self.bytes_per_row = round((sizes[1] - sizes[0]) / (len(rows) - len(rows) // 2))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(self.index.search(queries, k, 1)[0]).astype(np.int64)


def principal(rows: np.ndarray, n_bytes: int) -> Skbq:
    quantizer = PCAQuantizer(n_bytes=n_bytes, random_state=SEED)
    return Skbq(rows, quantizer, "vectors")


def older(bits: float) -> dict[str, Callable]:
    """Our codes of one depth, with corrections in float32, as they had been."""
    if bits == 1:
        quantizers = {"1 bit": BinaryQuantizer()}
    elif bits == 2:
        best = TwoBitQuantizer(levels="lloyd_max")
        quantizers = {"2 bits": TwoBitQuantizer(), "2 bits, lloyd_max": best}
    else:
        return {}
    codes = {}
    for name, quantizer in quantizers.items():
        for ending, made in (("", quantizer), (", rotated", rotated(quantizer))):
            codes[f"skbq {name}{ending}"] = lambda rows, made=made: Skbq(
                rows, made, "vectors", corrections="exact"
            )
    return codes


def others(bits: float, d: int) -> dict[str, Callable]:
    """Codes of others of about so many bits for each of d coordinates."""
    codes: dict[str, Callable] = {"faiss PQ": lambda rows: product(rows, bits)}
    if bits != 3:  # it codes whole coordinates in four bits
        codes["faiss PQFastScan"] = lambda rows: fast_scan(rows, bits)
    codes["faiss OPQ"] = lambda rows: product(rows, bits, learn=True)
    if bits >= 1:
        codes["faiss RaBitQ"] = lambda rows: rabitq(rows, bits)
        for kind in ("tqmse", "tq", "eden"):
            name = f"QT_{bits}bit_{kind}"
            if hasattr(faiss.ScalarQuantizer, name):
                codes[f"faiss {name}"] = lambda rows, name=name: scalar(rows, name)
    if bits == 4:
        codes["faiss QT_4bit"] = lambda rows: scalar(rows, "QT_4bit")
    if bits >= 1 and importlib.util.find_spec("rabitqlib"):
        codes["rabitqlib"] = lambda rows: RabitqLib(rows, bits)
    if bits >= 2 and d % 8 == 0 and importlib.util.find_spec("turbovec"):
        codes["turbovec"] = lambda rows: TurboVec(rows, bits)
    return codes


# Measuring.


def measure(make: Callable, rows, queries, true) -> Found:
    start = time.perf_counter()
    code = make(rows)
    made = time.perf_counter()
    found = code.search(queries, K)
    done = time.perf_counter()
    limits = np.sort(true, axis=1)[:, [-K]] - 1e-6
    recall = (np.take_along_axis(true, found, axis=1) >= limits).mean(axis=1)
    encode = getattr(code, "encode_seconds", math.nan)
    learn = made - start - (0 if math.isnan(encode) else encode)
    if isinstance(code, Skbq):  # encoded once more, for its time
        learn -= encode
    return Found(code.bytes_per_row, learn, encode, done - made, recall)


def compare(rows, queries, bits: float, kept: Path | None) -> dict[str, Found]:
    """Measure all codes, and ours at the bytes of each; go on from what is kept."""
    rows, queries = unit(rows), unit(queries)
    true = similarities(queries, rows, "cosine")
    found = load(kept) if kept and kept.exists() else {}

    def add(name: str, make: Callable) -> None:
        if name in found:
            return
        found[name] = measure(make, rows, queries, true)
        print(f"  {name}: {found[name].recall.mean():.3f}", flush=True)
        if kept:
            plain = {n: (*of[:4], of[4].tolist()) for n, of in found.items()}
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(plain))

    for name, make in {**others(bits, rows.shape[1]), **older(bits)}.items():
        add(name, make)
    sizes = {of.n_bytes for of in found.values()}
    before = {of.n_bytes for name, of in found.items() if name.startswith("skbq")}
    for n_bytes in sorted({min(sizes), max(sizes), *before}):
        if n_bytes > 3:
            add(f"PCAQuantizer, {n_bytes} bytes", lambda r, b=n_bytes: principal(r, b))
    return found


def load(kept: Path) -> dict[str, Found]:
    stored = json.loads(kept.read_text())
    return {name: Found(*of[:4], np.array(of[4])) for name, of in stored.items()}


def ours_of(found: dict[str, Found], n_bytes: int) -> Found | None:
    """Ours of so many bytes or fewer: the largest that was measured."""
    own = [of for name, of in found.items() if name.startswith("PCAQuantizer")]
    fitting = [of for of in own if of.n_bytes <= n_bytes]
    return max(fitting, key=lambda of: of.n_bytes, default=None)


def gain(found: dict[str, Found], name: str) -> np.ndarray | None:
    """Recall of ours of its bytes or fewer, less that of a code, by query."""
    ours = ours_of(found, found[name].n_bytes)
    return None if ours is None else ours.recall - found[name].recall


def words(gap: np.ndarray | None) -> str:
    if gap is None:
        return ""
    of = mean_estimate(gap, 0.95)
    return f"{of.value:+.3f} [{of.low:+.3f}, {of.high:+.3f}]"


def set_table(found: dict[str, Found]) -> list[str]:
    lines = [
        "| code | bytes | recall@10 | PCAQuantizer of its bytes, less it | learn s "
        "| encode s | search s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, of in sorted(found.items(), key=lambda item: -item[1].recall.mean()):
        own = name.startswith("PCAQuantizer")
        gap = "" if own else words(gain(found, name))
        lines.append(
            f"| {name} | {of.n_bytes} | {of.recall.mean():.3f} | {gap} | {of.fit:.1f} "
            f"| {'' if math.isnan(of.encode) else format(of.encode, '.2f')} "
            f"| {of.search:.2f} |"
        )
    return [*lines, ""]


def least(found: dict[str, Found], own: bool) -> tuple[str, np.ndarray] | None:
    """Return what ours of its bytes beats by least: of ours before, or of others."""
    gaps = {
        name: gain(found, name)
        for name in found
        if name.startswith("skbq") == own and not name.startswith("PCAQuantizer")
    }
    known = {name: gap for name, gap in gaps.items() if gap is not None}
    if not known:
        return None
    name = min(known, key=lambda name: known[name].mean())
    return name, known[name]


def summary(done: dict[tuple[str, float], dict[str, Found]]) -> list[str]:
    lines = [
        "| set | bits | strongest other | ours of its bytes, less it | strongest of "
        "our older codes | ours of its bytes, less it |",
        "|---|---:|---|---:|---|---:|",
    ]
    for (name, bits), found in done.items():
        cells = []
        for own in (False, True):
            strongest = least(found, own)
            cells += (
                ["", ""] if strongest is None else [strongest[0], words(strongest[1])]
            )
        lines.append(f"| {name} | {bits:g} | " + " | ".join(cells) + " |")
    return [*lines, "", *mean_gains(done)]


def mean_gains(done: dict[tuple[str, float], dict[str, Found]]) -> list[str]:
    """Say how much is gained over each kind on average over the sets."""
    lines = []
    for bits in dict.fromkeys(bits for _, bits in done):
        for own, words_of in (
            (False, "the strongest other"),
            (True, "our older codes"),
        ):
            strongest = [least(f, own) for (_, b), f in done.items() if b == bits]
            gaps = [gap.mean() for _, gap in filter(None, strongest)]
            if gaps:
                lines += [
                    f"At {bits:g} bits, over {len(gaps)} sets, ours less {words_of}: "
                    f"{np.mean(gaps):+.3f} on average, {min(gaps):+.3f} at least, "
                    f"{sum(gap >= 0.02 for gap in gaps)} by .02 or more.",
                    "",
                ]
    return lines


def report(names: list[str], done: dict[tuple[str, float], dict[str, Found]]) -> str:
    n_queries = max(len(of.recall) for found in done.values() for of in found.values())
    lines = ["# Codes of equal bytes, ours beside others", "", str(__doc__).strip(), ""]
    lines += [*describe_run(names, SEED), ""]
    lines += [
        f"{n_queries} queries of each set. PQ and OPQ learn from {PQ_ROWS:,} rows in "
        f"{PQ_ITERATIONS} iterations, OPQ in {OPQ_ROUNDS} rounds. RaBitQ and "
        "scalar quantizers get a random rotation first. Seconds are of one run on a "
        "machine that did other work; those of rabitqlib and turbovec to learn hold "
        "encoding, and a second index for the "
        "count of bytes. Bytes are "
        "those of a row; codebooks and rotations are not counted. Differences are "
        "paired, query by query, with intervals at 95 %. Our codes before were those "
        "with corrections of 8 bytes. PCAQuantizer is as it is by default.",
        "",
        "<!-- summary -->",
        "",
        *summary(done),
        "<!-- end -->",
        "",
    ]
    for (name, bits), found in done.items():
        lines += [f"## {name}, {bits:g} bits for each coordinate", ""]
        lines += set_table(found)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET.npz")
    parser.add_argument("--bits", nargs="+", type=float, default=[1, 2])
    parser.add_argument("--rows", type=int, default=10_000, help="rows at most")
    parser.add_argument("--queries", type=int, default=500, help="queries at most")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="write the tables there")
    parser.add_argument("--families", action="store_true", help="generated sets")
    arguments = parser.parse_args()
    done, names = {}, []
    families = arguments.queries if arguments.families else 0
    for name, rows, queries in few_rows(arguments.sets, arguments.rows, SEED, families):
        names.append(name)
        for bits in arguments.bits:
            whole = int(bits) if bits >= 1 else bits
            file = f"{name}-{bits:g}.json".replace(" ", "_")
            kept = arguments.keep and arguments.keep / file
            print(name, bits, flush=True)
            found = compare(rows, queries[: arguments.queries], whole, kept)
            done[name, bits] = found
            if arguments.out:
                arguments.out.write_text(report(names, done))
    if not arguments.out:
        print(report(names, done))


if __name__ == "__main__":
    main()
