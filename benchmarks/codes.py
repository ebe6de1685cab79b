"""Codes of equal bytes, side by side: those of skbq and the strongest of others.

    python benchmarks/codes.py [SET.npz ...] [--keep FOLDER] [--out TABLE.md]

Needs ``pip install '.[bench]'``. A set holds the arrays ``base`` and ``queries``; the
shipped embeddings come first. ``--keep`` keeps what was found on each set in a folder,
and takes from there what is kept already, so that a long run can be made in parts.
Cosine, recall@10 on all rows: by the code alone, and after 30, 50 or 100 candidates of
the code were reranked with the vectors (oversampling 3, 5, 10). Nothing here is timed.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from _sets import describe_run, load_sets
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    QuantizationAdvisor,
    RandomRotation,
    TwoBitQuantizer,
)
from skbq._utils.estimate import mean_estimate
from skbq._utils.similarity import similarities

K = 10
OVERSAMPLING = np.array([1, 3, 5, 10])
SEED = 0
# Learning codebooks takes long: iterations of k-means, and for OPQ rounds and rows.
PQ_ITERATIONS = 10
OPQ_ROUNDS = 5
OPQ_ROWS = 5000
ITQ_ROUNDS = 8
# Levels and thresholds of least squared error for N(0, 1): Max (1960), table I.
LLOYD_MAX = {
    1: np.array([-0.7979, 0.7979]),
    2: np.array([-1.5104, -0.4528, 0.4528, 1.5104]),
}


class Scored:
    """Search by a function that scores queries against all rows at once."""

    def __init__(self, scores: Callable, bytes_per_row: int) -> None:
        self.scores, self.bytes_per_row = scores, bytes_per_row

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        scores = -self.scores(queries).astype(np.float32)
        return np.argsort(scores, axis=1, kind="stable")[:, :k]


class Skbq:
    def __init__(self, rows: np.ndarray, quantizer, query: str, **parameters) -> None:
        index = BinaryNeighbors(quantizer=quantizer, query=query, **parameters)
        self.index = index.fit(rows)
        self.bytes_per_row = self.index.bytes_per_row_
        start = time.perf_counter()
        self.index.quantizer_.transform(rows)
        self.encode_seconds = time.perf_counter() - start

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.kneighbors(queries, k, return_distance=False)


class Faiss:
    def __init__(self, rows: np.ndarray, index, code) -> None:
        self.index, self.bytes_per_row = index, code.code_size
        self.width = index.d
        self.index.train(self.padded(rows))
        start = time.perf_counter()
        self.index.add(self.padded(rows))
        self.encode_seconds = time.perf_counter() - start

    def padded(self, x: np.ndarray) -> np.ndarray:
        return np.pad(x, ((0, 0), (0, self.width - x.shape[1])))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(self.padded(queries), k)[1]


def rabitq(rows: np.ndarray, bits: int, query_bits: int) -> Faiss:
    """RaBitQ after a random rotation, as its paper asks; it centers by itself."""
    d = rows.shape[1]
    code = faiss.IndexRaBitQ(d, faiss.METRIC_INNER_PRODUCT, bits)
    code.qb = query_bits if bits == 1 else 4  # no matter for 2 bits, and fast
    rotation = faiss.RandomRotationMatrix(d, d)
    rotation.init(SEED)
    return Faiss(rows, faiss.IndexPreTransform(rotation, code), code)


def product_quantizer(rows: np.ndarray, per_byte: int, rotate: bool = False) -> Faiss:
    """PQ of one byte for some coordinates; zeros fill up where they do not divide d."""
    n_bytes = -(-rows.shape[1] // per_byte)
    d = n_bytes * per_byte
    code = faiss.IndexPQ(d, n_bytes, 8, faiss.METRIC_INNER_PRODUCT)
    code.pq.cp.min_points_per_centroid = 1  # no warnings of few rows
    code.pq.cp.niter = PQ_ITERATIONS
    if not rotate:
        return Faiss(rows, code, code)
    rotation, inner = faiss.OPQMatrix(d, n_bytes), faiss.ProductQuantizer(d, n_bytes, 8)
    inner.cp.min_points_per_centroid = 1
    rotation.pq, rotation.niter, rotation.niter_pq_0 = inner, OPQ_ROUNDS, PQ_ITERATIONS
    rotation.max_train_points = OPQ_ROWS
    made = Faiss(rows, faiss.IndexPreTransform(rotation, code), code)
    rotation.pq = None  # faiss holds no reference of its own
    return made


def centred_product_quantizer(rows: np.ndarray, per_byte: int) -> Scored:
    """PQ of centered rows, the product with the center kept exactly (4 bytes a row).

    The codes are those of PQ, which moves with its rows; what is gained is that the
    part of a query along the center does not multiply their errors.
    """
    center = rows.mean(axis=0)
    made = product_quantizer(rows - center, per_byte)
    restored = made.index.reconstruct_n(0, len(rows))[:, : rows.shape[1]]
    along = rows @ center
    return Scored(lambda q: (q - center) @ restored.T + along, made.bytes_per_row + 4)


class IterativeRotation(TransformerMixin, BaseEstimator):
    """The rotation that iterative quantization (Gong et al. 2013) learns."""

    _last: tuple = (None, None)  # two codes of a set share what takes long

    def fit(self, X: np.ndarray, y=None) -> "IterativeRotation":
        key = X.shape, X[0].tobytes()
        if key != self._last[0]:
            type(self)._last = key, self._learn(X)
        self.matrix_ = self._last[1]
        return self

    def _learn(self, X: np.ndarray) -> np.ndarray:
        d = X.shape[1]
        learner = faiss.ITQMatrix(d)
        learner.max_iter = ITQ_ROUNDS
        some = np.random.default_rng(SEED).permutation(len(X))[: 4 * d]
        learner.train(np.ascontiguousarray(X[some] - X.mean(axis=0), np.float32))
        return faiss.vector_to_array(learner.A).reshape(d, d).T.copy()

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X @ self.matrix_


def turboquant(rows: np.ndarray, bits: int, sketch: bool) -> Scored:
    """TurboQuant (Zandieh et al. 2025): fixed levels of rotated unit vectors.

    With ``sketch``, its variant for inner products: one bit less for the levels, and
    the signs of a Gaussian sketch of what they leave, with its length (4 bytes).
    """
    d = rows.shape[1]
    rotation = RandomRotation(random_state=SEED).fit(rows[:1])
    levels = LLOYD_MAX[bits - sketch]
    rotated = rotation.transform(rows) * d**0.5
    restored = levels[np.digitize(rotated, (levels[1:] + levels[:-1]) / 2)]
    restored = (restored / d**0.5).astype(np.float32)
    n_bytes = -(-bits * d // 8)
    if not sketch:
        return Scored(lambda q: rotation.transform(q) @ restored.T, n_bytes)
    left = rotated / d**0.5 - restored
    gaussian = np.random.default_rng(SEED).standard_normal((d, d)).astype(np.float32)
    signs = np.where(left @ gaussian > 0, 1, -1).astype(np.float32)
    lengths = np.linalg.norm(left, axis=1) * (np.pi / 2) ** 0.5 / d

    def scores(queries: np.ndarray) -> np.ndarray:
        q = rotation.transform(queries)
        return q @ restored.T + (q @ gaussian @ signs.T) * lengths

    return Scored(scores, n_bytes + 4)


def optimized_scalar(rows: np.ndarray, bits: int, query_bits: int) -> Scored:
    """Elasticsearch's BBQ (1 bit) and Lucene's relative of 2 bits.

    Rows and queries are centered by the mean of all rows (a segment) and rounded to
    steps between two limits of each vector's own, as Lucene's OptimizedScalarQuantizer
    does. The score is the inner product of what the codes restore, and exact in what
    the center adds; 14 bytes a row are kept for that.
    """
    center = rows.mean(axis=0)
    restored = restore(rows - center, bits)
    along = rows @ center

    def scores(queries: np.ndarray) -> np.ndarray:
        # <q, center> is the same for all rows of a query.
        return restore(queries - center, query_bits) @ restored.T + along

    return Scored(scores, -(-bits * rows.shape[1] // 8) + 14)


def restore(x: np.ndarray, bits: int, weight: float = 0.1) -> np.ndarray:
    """Round each vector to 2**bits steps between limits found by coordinate descent.

    The loss is that of Guo et al. (2020), squared errors along the vector counting
    1 - weight and all others ``weight``.
    """
    x = x.astype(np.float64)
    steps = 2**bits - 1
    half = {1: 0.798, 2: 1.493, 4: 2.514}[bits]
    lowest, highest = x.min(axis=1), x.max(axis=1)
    mean, spread = x.mean(axis=1), x.std(axis=1)
    low = np.clip(mean - half * spread, lowest, highest)
    high = np.clip(mean + half * spread, lowest, highest)
    norms = np.maximum(np.square(x).sum(axis=1), 1e-30)

    def shares(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        width = np.where(high > low, high - low, 1)[:, None]
        inside = np.clip((x - low[:, None]) / width, 0, 1)
        return np.floor(inside * steps + 0.5) / steps

    def rounded(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return low[:, None] + (high - low)[:, None] * shares(low, high)

    def loss(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        error = x - rounded(low, high)
        along = np.einsum("nd,nd->n", x, error)
        squared = np.einsum("nd,nd->n", error, error)
        return (1 - weight) * along**2 / norms + weight * squared

    best, running = loss(low, high), np.ones(len(x), dtype=bool)
    scale = (1 - weight) / norms
    for _ in range(5):
        s = shares(low, high)
        t = 1 - s
        tx, sx = np.einsum("nd,nd->n", x, t), np.einsum("nd,nd->n", x, s)
        m0 = scale * tx * tx + weight * np.einsum("nd,nd->n", t, t)
        m1 = scale * tx * sx + weight * np.einsum("nd,nd->n", s, t)
        m2 = scale * sx * sx + weight * np.einsum("nd,nd->n", s, s)
        det = m0 * m2 - m1 * m1
        running &= det != 0
        det = np.where(det != 0, det, 1)
        low_, high_ = (m2 * tx - m1 * sx) / det, (m0 * sx - m1 * tx) / det
        new = loss(low_, high_)
        running &= new <= best
        low, high = np.where(running, low_, low), np.where(running, high_, high)
        best = np.where(running, new, best)
    return rounded(low, high).astype(np.float32)


class SentenceTransformers:
    """Its semantic_search_faiss with "ubinary": symmetric search, then a second look.

    The candidates (``rescore_multiplier`` for each neighbor) are sorted by the float
    query's product with their bits, which needs no vectors.
    """

    def __init__(self, rows: np.ndarray, multiplier: int) -> None:
        self.index = BinaryNeighbors(quantizer=BinaryQuantizer("zero")).fit(rows)
        self.bits, self.multiplier = rows > 0, multiplier
        self.bytes_per_row = self.index.bytes_per_row_

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        found = self.index.kneighbors(queries, k, return_distance=False)
        for rows, query in zip(found, queries, strict=True):
            first = rows[: self.multiplier * K]
            order = np.argsort(-(self.bits[first] @ query), kind="stable")
            first[:] = first[order]
        return found


def rotated(quantizer):
    return make_pipeline(RandomRotation(random_state=SEED), quantizer)


Codes = dict[str, Callable[[np.ndarray], object]]
# A set, bits, bytes and recall of each query by oversampling of each code, and which
# code of ours the advisor takes, if of these bits.
Entry = tuple[str, int, dict[str, tuple[int, np.ndarray]], str]


def our_codes(bits: int) -> Codes:
    """Return the codes of skbq that differ in more than a detail."""
    if bits == 1:
        quantizers = {
            "threshold zero": BinaryQuantizer("zero"),
            "axes": BinaryQuantizer(),
            "rotated": rotated(BinaryQuantizer()),
        }
    else:
        best = TwoBitQuantizer(levels="lloyd_max")
        quantizers = {
            "axes": TwoBitQuantizer(),
            "rotated": rotated(TwoBitQuantizer()),
            "lloyd_max, axes": best,
            "lloyd_max, rotated": rotated(best),
        }
    codes: Codes = {
        f"skbq {name}, {kind} queries": (
            lambda rows, q=quantizer, query=query: Skbq(
                rows, q, query, corrections="exact"
            )
        )
        for query, kind in (("codes", "coded"), ("vectors", "float"))
        for name, quantizer in quantizers.items()
    }
    # Of as many bytes as the others' asymmetric search, which keep 8 of corrections.
    codes["skbq PCAQuantizer, asymmetric search"] = lambda rows: Skbq(
        rows,
        PCAQuantizer(n_bytes=-(-bits * rows.shape[1] // 8) + 8, random_state=SEED),
        "vectors",
    )
    return codes


def other_codes(bits: int) -> Codes:
    """Return codes of others of as many bits for each coordinate."""
    per_byte = 8 // bits
    codes: Codes = {
        "faiss RaBitQ, asymmetric search": lambda rows: rabitq(rows, bits, 0),
        "TurboQuant, asymmetric search": lambda rows: turboquant(rows, bits, False),
        "Elasticsearch BBQ, 4-bit queries"
        if bits == 1
        else "Lucene OSQ, 4-bit queries": lambda rows: optimized_scalar(rows, bits, 4),
        "faiss PQ": lambda rows: product_quantizer(rows, per_byte),
        "faiss PQ, centered": lambda rows: centred_product_quantizer(rows, per_byte),
        "faiss OPQ": lambda rows: product_quantizer(rows, per_byte, rotate=True),
    }
    if bits == 2:
        paper = TwoBitQuantizer("zero", magnitude="row", levels=(1, 2))
        codes["TurboQuant with sketch, asymmetric search"] = lambda rows: turboquant(
            rows, 2, True
        )
        codes["QuIVer penalty, symmetric search"] = lambda rows: Skbq(
            rows, paper, "codes", code_metric="penalty"
        )
        return codes
    codes["faiss RaBitQ, 4-bit queries"] = lambda rows: rabitq(rows, 1, 4)
    learned = make_pipeline(IterativeRotation(), BinaryQuantizer())
    for query, kind in (("codes", "coded"), ("vectors", "float")):
        codes[f"ITQ rotation, {kind} queries"] = lambda rows, query=query: Skbq(
            rows, learned, query
        )
    for times in (2, 4):
        name = f"sentence-transformers, multiplier {times}"
        codes[name] = lambda rows, times=times: SentenceTransformers(rows, times)
    return codes


def unit(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def measure(codes: Codes, rows: np.ndarray, queries: np.ndarray, true: np.ndarray):
    """Return bytes per row, and recall of each query by oversampling, of each code."""
    deepest = min(K * int(OVERSAMPLING[-1]), len(rows))
    limits = np.sort(true, axis=1)[:, -K] - 1e-9  # ties count
    figures = {}
    for name, make in codes.items():
        start = time.perf_counter()
        code = make(rows)
        found = code.search(queries, deepest)
        near = np.take_along_axis(true, found, axis=1)
        hits = np.cumsum(near >= limits[:, None], axis=1)
        depths = np.minimum(K * OVERSAMPLING, deepest)
        recall = np.minimum(hits[:, depths - 1], K) / K
        figures[name] = code.bytes_per_row, recall
        seconds = time.perf_counter() - start
        print(f"  {name}: {recall[:, 0].mean():.3f}, {seconds:.0f} s", flush=True)
    return figures


def best_of_other_half(ours: list[np.ndarray]) -> np.ndarray:
    """Recall of our best code, chosen for each half of the queries on the other.

    A maximum over the same queries would flatter it.
    """
    stacked = np.array(ours)
    out = np.empty(stacked.shape[1])
    for here in (0, 1):
        best = stacked[:, 1 - here :: 2].mean(axis=1).argmax()
        out[here::2] = stacked[best, here::2]
    return out


def difference(
    other: np.ndarray, ours: list[np.ndarray], in_short: bool = False
) -> str:
    if not ours:
        return ""
    gap = mean_estimate(other - best_of_other_half(ours), 0.95)
    mean, low, high = gap.value, gap.low, gap.high
    text = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
    if in_short:
        text = f"{mean:+.3f}" if low > 0 or high < 0 else f"({mean:+.3f})"
    return f"**{text}**" if low > 0 else text


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def write_set(name: str, bits: int, figures: dict, advised: str) -> list[str]:
    ours = {n: f for n, f in figures.items() if n.startswith("skbq")}
    rows = []
    for code, (n_bytes, recall) in figures.items():
        cells = [code + (" (advised)" if code == advised else ""), str(n_bytes)]
        cells += [f"{value:.3f}" for value in recall.mean(axis=0)]
        fitting = [r[:, 0] for b, r in ours.values() if b <= n_bytes]
        everything = [r[:, 0] for _, r in ours.values()]
        cells += (
            ["", ""]
            if code in ours
            else [difference(recall[:, 0], x) for x in (fitting, everything)]
        )
        rows.append(cells)
    header = ["code", "bytes/row", "alone", "reranked 3x", "5x", "10x"]
    header += ["less our best of its bytes or fewer", "less our best of its bits"]
    return [f"### {name}, {bits} bit{'s' * (bits > 1)}", "", *table(header, rows)]


def write_summary(done: list[Entry], bits: int, equal_bytes: bool) -> list[str]:
    """Put recall of the best of skbq and what others add to it side by side."""
    rows, names = [], []
    for name, some_bits, figures, _ in done:
        if some_bits != bits:
            continue
        ours = {n: f for n, f in figures.items() if n.startswith("skbq")}
        others = {n: f for n, f in figures.items() if n not in ours}
        names = list(others)
        least = min(b for b, _ in ours.values())
        most = least if equal_bytes else np.inf
        best = best_of_other_half([r[:, 0] for b, r in ours.values() if b <= most])
        cells = [name, f"{best.mean():.3f}"]
        for n_bytes, recall in others.values():
            most = max(n_bytes, least) if equal_bytes else np.inf
            fitting = [r[:, 0] for b, r in ours.values() if b <= most]
            cells.append(difference(recall[:, 0], fitting, in_short=True))
        rows.append(cells)
    title = f"{'equal bytes' if equal_bytes else 'summary'} of {bits}"
    header = ["set", "skbq, symmetric search" if equal_bytes else "skbq", *names]
    return [f"<!-- {title} -->", "", *table(header, rows), "<!-- end -->", ""]


def advised_code(rows: np.ndarray, queries: np.ndarray) -> str:
    """Return the name of our code that the advisor recommends, after its bits."""
    advisor = QuantizationAdvisor(random_state=SEED).fit(rows, queries=queries)
    advice = advisor.recommended_
    if advice["code"] != "coordinates":  # which this table does not hold
        return f"0: {advice['strategy']}"
    parts = ["rotated" if advice["rotate"] else "axes"]
    if advice["bits"] == 1 and not advice["center"] and not advice["rotate"]:
        parts = ["threshold zero"]
    if advice["bits"] == 2 and "lloyd_max" in advice["strategy"]:
        parts.insert(0, "lloyd_max")
    kind = "coded" if advice["query"] == "codes" else "float"
    return f"{advice['bits']}: skbq {', '.join(parts)}, {kind} queries"


def report(names: list[str], done: list[Entry]) -> str:
    lines = ["# Codes of equal bytes", "", str(__doc__).strip(), ""]
    lines += [*describe_run(names, SEED), "", NOTES, ""]
    for bits in (1, 2):
        plural = "s" * (bits > 1)
        lines += [f"## Alone, {bits} bit{plural} for each coordinate", ""]
        lines += write_summary(done, bits, equal_bytes=False)
        lines += ["The same, less our best code of as many bytes or fewer:", ""]
        lines += write_summary(done, bits, equal_bytes=True)
    lines += ["## Each set", ""]
    for entry in done:
        lines += write_set(*entry)
    return "\n".join(lines)


NOTES = f"""\
Differences are recall@{K} of the code alone less that of our best code, query by query;
bold where the other code is better beyond the interval at 95%, in parentheses where
that holds 0. The tables of each set give the intervals. Our best is chosen for each
half of the queries on the other half. "Of its bits" allows our codes the 8 bytes of
corrections that asymmetric search needs, "of its bytes or fewer" does not: codes that
take 8 bytes a row less are held against our symmetric search then. "(advised)" is what
the advisor, given the rows and every other query, recommends for recall@{K} 0.95 after
reranking (thresholds aside); it may recommend the other number of bits.

Bytes are those for each row; codebooks of PQ (256 d numbers) and rotations (d x d) are
not counted, nor are vectors for reranking. PQ learns in {PQ_ITERATIONS} iterations, OPQ
its rotation in {OPQ_ROUNDS} rounds on {OPQ_ROWS:,} rows, ITQ in {ITQ_ROUNDS} on 4 d
rows. "PQ, centered" keeps the product of each row with the mean exactly. RaBitQ gets a
random rotation first; with 2 bits faiss searches asymmetrically in any case.
sentence-transformers sorts its candidates by the float query's product with their bits,
which needs no vectors and is its "alone" here. Levels of TurboQuant are fixed and its
rows not centered, as published. Codes of Elasticsearch, Lucene, TurboQuant and
sentence-transformers are written here in numpy after their publications and sources;
those of faiss are its own."""


def compare(name: str, rows: np.ndarray, queries: np.ndarray) -> list[Entry]:
    """Measure all codes of one set, and ask the advisor which of ours it takes."""
    print(name, flush=True)
    rows, queries = unit(rows), unit(queries)
    true = similarities(queries, rows, "cosine")
    advised_bits, _, advised = advised_code(rows, queries[::2]).partition(": ")
    entries = []
    for bits in (1, 2):
        figures = measure({**our_codes(bits), **other_codes(bits)}, rows, queries, true)
        entries.append(
            (name, bits, figures, advised if int(advised_bits) == bits else "")
        )
    return entries


def save(entries: list[Entry], path: Path) -> None:
    """Keep what was found; recall of a query as neighbors of K."""
    kept = [
        (
            *of,
            {n: (b, np.rint(r * K).astype(int).tolist()) for n, (b, r) in f.items()},
            a,
        )
        for *of, f, a in entries
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept))


def load(path: Path) -> list[Entry]:
    return [
        (
            name,
            bits,
            {n: (b, np.array(r) / K) for n, (b, r) in figures.items()},
            advised,
        )
        for name, bits, figures, advised in json.loads(path.read_text())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET.npz")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="write the tables there")
    arguments = parser.parse_args()
    done: list[Entry] = []
    names = []
    for name, rows, queries in (*load_sets([]), *load_sets(arguments.sets)):
        kept = arguments.keep and arguments.keep / f"{name}.json"
        if kept and kept.exists():
            entries = load(kept)
        else:
            entries = compare(name, rows, queries)
            if kept:
                save(entries, kept)
        names.append(name)
        done += entries
        if arguments.out:  # after each set, so that nothing is lost
            arguments.out.write_text(report(names, done))
    if not arguments.out:
        print(report(names, done))


if __name__ == "__main__":
    main()
