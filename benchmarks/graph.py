"""A graph over codes, beside inverted lists and brute force, at equal recall.

    python benchmarks/graph.py [--data minilm.npz] [--size 200000x384]
        [--rounds 3] [--quiet] [--out benchmarks/results/graph.json] [--render]

Would ``algorithm="graph"`` pay? This is a prototype of it, as far as a search needs it:

- *Candidates* of a row: the 64 nearest by code (two bits, "dot") in the lists that it
  probes, found by the kernels for batches.
- *Robust prune* with alpha 1.0: of the candidates, from near to far, one is kept if it
  is nearer to the row than to all that were kept before; 32 at most. Edges are then
  made both ways, and pruned again where there are more than 32.
- *Search*: the rows nearest to the centroids of all lists are compared; a beam of the
  nearest rows so far starts at four of them. The nearest one that was not yet left is
  left along its edges, until none is. Codes are compared by counting bits.
- The best 40 of the beam are reranked, as those of the lists are.

The set, exact neighbors and queries are those of ``matched.py``. The graph takes the
place of ``nearest_in_lists`` in a call of the same index: checks, encoding and
reranking are the same to the line, and cost the graph the same. "Inside" is the time
spent in that one function: what remains if all the rest cost nothing. Settings are
swept (lists probed; width of the beam), and seconds at a recall are interpolated
between the two settings next to it, in logarithms. All times are medians over rounds in
which both take turns, on one thread.
"""

import argparse
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numba
import numpy as np
from matched import K, make_set, nearest_rows, recall
from numba.extending import intrinsic
from search import describe_machine, write

from skbq import BinaryNeighbors, TwoBitQuantizer
from skbq._neighbors import index_search
from skbq._neighbors.brute_force import Neighbors
from skbq._neighbors.inverted_lists import whole_values

DEGREE = 32
N_CANDIDATES = 64
N_STARTS = 4
PROBES_OF_BUILD = 24
BLOCK = 20_000
PROBES = [2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384]
WIDTHS = [40, 48, 64, 96, 128, 192, 256, 384, 512]
TARGETS = [0.95, 0.97, 0.98, 0.99]


# Codes as words: a value of two bits is 2 (2 h + l) - 3.


@intrinsic
def count_ones(typingctx, word):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return numba.int64(numba.uint64), generate


@numba.njit(cache=True, nogil=True)
def pack(values, words, sums):
    """Fill words, uint64 (n, 2 n_words), and sums of 2 h + l, of int8 values."""
    n_words = words.shape[1] // 2
    for row in range(len(values)):
        total = 0
        for f in range(values.shape[1]):
            number = (values[row, f] + 3) >> 1
            total += number
            words[row, f >> 6] |= np.uint64(number >> 1) << np.uint64(f & 63)
            words[row, n_words + (f >> 6)] |= np.uint64(number & 1) << np.uint64(f & 63)
        sums[row] = total


@numba.njit(cache=True, nogil=True, inline="always")
def product(words, a, others, b):
    """Return the sum of products of the numbers 2 h + l of two codes."""
    n, high, mixed, low = words.shape[1] // 2, 0, 0, 0
    for w in range(n):
        h, other_h = words[a, w], others[b, w]
        l, other_l = words[a, n + w], others[b, n + w]  # noqa: E741
        high += count_ones(h & other_h)
        mixed += count_ones(h & other_l) + count_ones(l & other_h)
        low += count_ones(l & other_l)
    return 4 * high + 2 * mixed + low


@numba.njit(cache=True, nogil=True)
def squared_distance(codes, a, b):
    """Return half of the squared euclidean distance of two codes, less a constant."""
    words, sums, squares = codes
    dot = 4 * product(words, a, words, b) - 6 * (sums[a] + sums[b])
    return squares[a] + squares[b] - 2 * dot


# Building.


@numba.njit(cache=True, nogil=True)
def prune(codes, row, candidates, edges):
    """Fill the edges of a row from candidates, -1 for none."""
    far = np.empty(len(candidates), np.int64)
    for i in range(len(candidates)):
        far[i] = squared_distance(codes, row, candidates[i])
    n = 0
    for i in np.argsort(far, kind="mergesort"):
        one, keeps = candidates[i], candidates[i] != row
        for e in range(n):
            if edges[e] == one or squared_distance(codes, edges[e], one) < far[i]:
                keeps = False
                break
        if keeps:
            edges[n] = one
            n += 1
            if n == len(edges):
                break
    edges[n:] = -1


@numba.njit(cache=True, nogil=True)
def prune_all(codes, first, candidates, edges):
    for i in range(len(candidates)):
        prune(codes, first + i, candidates[i], edges[first + i])


@numba.njit(cache=True, nogil=True)
def add_reverse(codes, edges, sources, starts):
    """Add to each row the rows that have an edge to it; prune where there are many."""
    most = edges.shape[1]
    for row in range(len(edges)):
        own = edges[row]
        n = int((own >= 0).sum())
        union = np.empty(n + starts[row + 1] - starts[row], np.int64)
        union[:n] = own[:n]
        size = n
        for source in sources[starts[row] : starts[row + 1]]:
            if not (own[:n] == source).any():
                union[size] = source
                size += 1
        if size <= most:
            own[:size] = union[:size]
        else:
            prune(codes, row, union[:size], own)


# Searching.


@numba.njit(cache=True, nogil=True)
def insert(far, row, beam, rows, left, size):
    """Put a row into the beam by (distance, row); return its place, or -1."""
    last = min(size, len(beam) - 1)
    if size == len(beam) and (far, row) >= (beam[last], rows[last]):
        return -1
    place = last
    while place > 0 and (far, row) < (beam[place - 1], rows[place - 1]):
        beam[place], rows[place] = beam[place - 1], rows[place - 1]
        left[place] = left[place - 1]
        place -= 1
    beam[place], rows[place], left[place] = far, row, False
    return place


@numba.njit(cache=True, nogil=True)
def search(graph, query, width, seen, stamp, out_far, out_rows):
    """Fill the nearest rows of one query; return how many rows were compared."""
    words, sums, edges, entries = graph
    beam, rows = np.empty(width, np.int64), np.empty(width, np.int64)
    left = np.zeros(width, np.bool_)
    ahead = np.empty(edges.shape[1], np.int64)
    # Of the entries, the nearest ones.
    size = 0
    starts = beam[:N_STARTS], rows[:N_STARTS], left[:N_STARTS]
    for row in entries:
        far = 6 * sums[row] - 4 * product(words, row, query, 0)
        if insert(far, row, *starts, size) >= 0:
            size = min(size + 1, N_STARTS)
    for i in range(size):
        seen[rows[i]] = stamp
    compared, place = len(entries), 0
    while place < size:
        if left[place]:
            place += 1
            continue
        left[place] = True
        n = 0
        for row in edges[rows[place]]:
            if row < 0:
                break
            if seen[row] != stamp:
                seen[row] = stamp
                ahead[n] = row
                n += 1
        compared += n
        nearest = place + 1
        for row in ahead[:n]:
            far = 6 * sums[row] - 4 * product(words, row, query, 0)
            at = insert(far, row, beam, rows, left, size)
            if at >= 0:
                size = min(size + 1, width)
                nearest = min(nearest, at)
        place = nearest
    n = min(len(out_rows), size)
    out_far[:n], out_rows[:n] = beam[:n], rows[:n]
    return compared


@numba.njit(cache=True, nogil=True)
def search_all(graph, queries, width, seen, stamp, out_far, out_rows):
    compared = 0
    for q in range(len(queries)):
        far, rows = out_far[q], out_rows[q]
        compared += search(graph, queries[q : q + 1], width, seen, stamp + q, far, rows)
    return compared


class Graph:
    """Edges between rows that are near by code."""

    def __init__(self, X, lists_index):
        start = time.perf_counter()
        codes = lists_index.codes_
        self.words = self.empty_words(len(codes), codes.n_features)
        self.sums = np.empty(len(codes), np.int64)
        squares = np.empty(len(codes), np.int64)
        for some in self.blocks(len(codes)):
            values = whole_values(codes[some])
            pack(values, self.words[some], self.sums[some])
            squares[some] = np.square(values, dtype=np.int64).sum(axis=1)
        own = self.words, self.sums, squares
        self.edges = np.full((len(X), DEGREE), -1, np.int32)
        self.seconds = {"codes": time.perf_counter() - start}
        start = time.perf_counter()
        between = 0.0
        for some in self.blocks(len(X)):
            found = lists_index.kneighbors(X[some], N_CANDIDATES, return_distance=False)
            again = time.perf_counter()
            prune_all(own, some.start, found, self.edges)
            between += time.perf_counter() - again
        self.seconds["candidates"] = time.perf_counter() - start - between
        start = time.perf_counter()
        source, slot = np.nonzero(self.edges >= 0)
        target = self.edges[source, slot]
        order = np.argsort(target, kind="stable")
        starts = np.zeros(len(X) + 1, np.int64)
        np.cumsum(np.bincount(target, minlength=len(X)), out=starts[1:])
        add_reverse(own, self.edges, source[order], starts)
        self.seconds["edges"] = time.perf_counter() - start + between
        self.entries = self.nearest_to_centroids(lists_index, codes)
        self.seen, self.stamp = np.zeros(len(X), np.uint32), 0
        self.width, self.compared = WIDTHS[0], 0

    @staticmethod
    def blocks(n):
        return [slice(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]

    @staticmethod
    def empty_words(n, d):
        """Return words of codes, whose registers of 512 bits are whole."""
        return np.zeros((n, 16 * -(-d // 512)), np.uint64)

    @staticmethod
    def nearest_to_centroids(index, codes):
        lists = index._rows.lists
        entries = []
        for number, centroid in enumerate(lists.tree.centroids.astype(np.int64)):
            rows = lists.order[lists.starts[number] : lists.starts[number + 1]]
            entries.append(rows[np.argmax(whole_values(codes[rows]) @ centroid)])
        return np.array(entries, np.int64)

    def nearest(self, comparison, ranked_by, lists, segments, probes, k, *others, **_):
        """Stand in for ``nearest_in_lists``."""
        n = comparison.n_queries
        values = ranked_by(slice(0, n)).codes
        words, sums = self.empty_words(n, values.shape[1]), np.empty(n, np.int64)
        pack(values, words, sums)
        found = Neighbors(np.full((n, k), np.inf), np.full((n, k), -1))
        graph = self.words, self.sums, self.edges, self.entries
        width = max(self.width, k)
        self.compared += search_all(
            graph, words, width, self.seen, self.stamp + 1, *found
        )
        self.stamp += n
        return found


# Measuring.


class Timed:
    """A function that adds up the seconds of its calls."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *args, **named):
        start = time.perf_counter()
        result = self.function(*args, **named)
        self.seconds += time.perf_counter() - start
        return result


@contextmanager
def in_place_of_lists(function):
    """Let an index call a function where it would search lists."""
    name = "nearest_in_lists"
    before = getattr(index_search, name)
    setattr(index_search, name, Timed(function))
    try:
        yield getattr(index_search, name)
    finally:
        setattr(index_search, name, before)


def ask(index, queries, single):
    """Return seconds of a query, in a call and inside, and the rows found."""
    timed = index_search.nearest_in_lists
    timed.seconds, start = 0.0, time.perf_counter()
    if single:
        found = [
            index.kneighbors(queries[q : q + 1], K, return_distance=False)
            for q in range(len(queries))
        ]
    else:
        found = [index.kneighbors(queries, K, return_distance=False)]
    spent = time.perf_counter() - start
    return spent / len(queries), timed.seconds / len(queries), np.concatenate(found)


def measure(arguments):
    n_rows, d = map(int, arguments.size.split("x"))
    load = 0.0 if arguments.quiet else os.getloadavg()[1]
    X, queries = make_set(arguments.data, n_rows, d)
    near, true = nearest_rows(queries, X, K)
    start = time.perf_counter()
    of_codes = BinaryNeighbors(
        N_CANDIDATES,
        quantizer=TwoBitQuantizer(),
        algorithm="ivf",
        n_probes=PROBES_OF_BUILD,
        random_state=0,
        n_jobs=1,
    ).fit(X)
    built = {"lists": time.perf_counter() - start}
    graph = Graph(X, of_codes)
    built |= graph.seconds
    print({name: round(s, 1) for name, s in built.items()}, flush=True)
    index = BinaryNeighbors(
        K,
        quantizer=TwoBitQuantizer(),
        query="vectors",
        oversampling=4,
        algorithm="ivf",
        random_state=0,
        n_jobs=1,
    ).fit(X)
    index.set_params(algorithm="brute")
    brute = ceiling(index, queries, true)
    index.set_params(algorithm="ivf", n_probes=1)
    lists = index_search.nearest_in_lists
    curves = {"lists": {}, "graph": {}}
    with in_place_of_lists(graph.nearest):
        index.kneighbors(queries[:1])  # compiles
    for _ in range(arguments.rounds):
        for name, function, settings in (
            ("lists", lists, PROBES),
            ("graph", graph.nearest, WIDTHS),
        ):
            with in_place_of_lists(function):
                for setting in settings:
                    index.set_params(n_probes=setting if name == "lists" else 1)
                    graph.width, graph.compared = setting, 0
                    point = curves[name].setdefault(setting, {})
                    for kind in ("single", "batch"):
                        call, inside, found = ask(index, queries, kind == "single")
                        point.setdefault(kind, []).append([call, inside])
                    point["recall"] = recall(true, found)
                    if name == "graph":
                        point["compared"] = graph.compared / 2 / len(queries)
    return {
        "rows": n_rows,
        "d": d,
        "data": "generated" if arguments.data is None else arguments.data.stem,
        "nearest_cosine": float(np.median(near[:, 0])),
        "built": built,
        "edge_bytes": 4 * DEGREE,
        "mean_degree": float((graph.edges >= 0).sum(axis=1).mean()),
        "n_lists": index.n_lists_,
        "brute": brute,
        "curves": curves,
        "machine": describe_machine(),
        "load": load if load > 0.5 else None,
    }


def ceiling(index, queries, true):
    """Return what comparing all codes finds, and seconds of a query."""
    result = {}
    for kind in ("single", "batch"):
        with in_place_of_lists(index_search.nearest_in_lists):
            ask(index, queries[:8], kind == "single")
            call, inside, found = ask(index, queries, kind == "single")
        result[kind] = [call, inside]
        result["recall"] = recall(true, found)
    return result


def seconds_at(curve, target, kind, part):
    """Interpolate seconds between the settings around a recall; None: not reached."""
    points = [
        (point["recall"], float(np.median(np.array(point[kind])[:, part])))
        for point in curve.values()
    ]
    reached = next((i for i, (r, _) in enumerate(points) if r >= target), None)
    if reached is None:
        return None
    if reached == 0:
        return points[0][1]
    (low, fast), (high, slow) = points[reached - 1 : reached + 1]
    share = (target - low) / (high - low)
    return float(np.exp(np.log(fast) * (1 - share) + np.log(slow) * share))


def report(runs):
    yield "# A graph over codes, beside lists"
    yield ""
    yield (
        "Made by `python benchmarks/graph.py`; its first lines say how. Microseconds "
        "of a query on one thread at recall@10 against exact cosine: in a call, and "
        "inside the search for candidates."
    )
    yield ""
    yield "<!-- tables -->"
    for run in runs:
        yield from run_lines(run)


def run_lines(run):
    machine, built = run["machine"], run["built"]
    rest = built["codes"] + built["candidates"] + built["edges"]
    brute = run["brute"]
    yield ""
    load = "" if run["load"] is None else f", other programs: load {run['load']:.1f}"
    yield (
        f"**{run['rows']:,} rows of {run['d']} coordinates, {run['data']}**; cosine of "
        f"queries to their nearest row {run['nearest_cosine']:.3f}. "
        f"{machine['processor']}, kernels for {machine['kernel']}{load}. "
        f"{run['n_lists']:,} lists are built in {built['lists']:.1f} s; the graph in "
        f"{rest:.1f} s more ({built['candidates']:.1f} of them for candidates), with "
        f"{run['edge_bytes']} bytes of edges a row, for {DEGREE} of them "
        f"({run['mean_degree']:.1f} are used). Brute force has recall "
        f"{brute['recall']:.3f} and takes {1e6 * brute['single'][0]:,.0f} us single, "
        f"{1e6 * brute['batch'][0]:,.0f} us in a batch of 256. The graph with the "
        f"narrowest beam, {WIDTHS[0]}, has recall "
        f"{next(iter(run['curves']['graph'].values()))['recall']:.3f}."
    )
    yield ""
    yield (
        "| recall | single: lists | graph | times faster | inside: lists | graph | "
        "times faster | batch: lists | graph | times faster |"
    )
    yield "|---:" * 10 + "|"
    for target in TARGETS:
        cells = [f"{target:.2f}"]
        for kind, part in (("single", 0), ("single", 1), ("batch", 0)):
            pair = [
                seconds_at(run["curves"][name], target, kind, part)
                for name in ("lists", "graph")
            ]
            cells += ["-" if s is None else f"{1e6 * s:,.0f}" for s in pair]
            cells.append("-" if None in pair else f"{pair[0] / pair[1]:.2f}")
        yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", default="200000x384", metavar="ROWSxD")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quiet", action="store_true", help="nothing else runs")
    parser.add_argument("--render", action="store_true", help="of --out, unmeasured")
    arguments = parser.parse_args()
    out, runs = arguments.out, []
    if out and out.exists():
        runs = json.loads(out.read_text())
    if not arguments.render:
        run = json.loads(json.dumps(measure(arguments)))
        same = ("rows", "d", "data")
        runs = [r for r in runs if any(r[key] != run[key] for key in same)] + [run]
    lines = "\n".join(report(runs)) + "\n"
    if out:
        write(out, json.dumps(runs, indent=1))
        write(out.with_suffix(".md"), lines)
    print(lines)


if __name__ == "__main__":
    main()
