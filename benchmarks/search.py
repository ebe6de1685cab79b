"""Search over codes, side by side with other libraries in one run.

    python benchmarks/search.py [--rows 1000000] [--dims 768] [--threads 1 2]
        [--queries 1 256] [--k 10 100] [--rounds 5] [--float] [--out TABLE.md]

Needs ``pip install '.[bench]'``. Vectors are drawn in low-rank clusters (the paper's
Synthetic-LR), of unit length; recall@k is against exact search by cosine. In every
round each method searches the same queries once, in turn; the ratio of queries
per second is taken within a round, against faiss IndexBinaryFlat for codes and against
faiss IndexRaBitQFastScan of the same bits for float queries, and its median, smallest
and largest value are given. Bytes are those for each row, vectors for reranking
included. Peak memory of a search is measured by ``--memory METHOD`` in a process of its
own.
"""

import argparse
import platform
import resource
import time
from pathlib import Path

import faiss
import numkong
import numpy as np
import usearch.index
from _sets import describe_run
from sklearn.neighbors import NearestNeighbors

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq.datasets import make_low_rank_clusters

SEED = 0
OVERSAMPLING = 4


def draw(n_rows, d, n_queries):
    X = make_low_rank_clusters(
        n_rows + n_queries, d, dtype="float32", random_state=SEED
    )
    return X[:n_rows], X[n_rows:]


class Skbq:
    def __init__(self, X, quantizer, **parameters):
        self.index = BinaryNeighbors(quantizer=quantizer, **parameters).fit(X)
        vectors = self.index.vector_bytes_per_row_
        self.bytes_per_row = self.index.bytes_per_row_ + vectors

    def search(self, queries, k, threads):
        return self.index.set_params(n_jobs=threads).kneighbors(queries, k)[1]


class FaissBinaryFlat:
    def __init__(self, X):
        self.quantizer = BinaryQuantizer().fit(X)
        self.index = faiss.IndexBinaryFlat(-(-X.shape[1] // 8) * 8)
        self.index.add(np.asarray(self.quantizer.transform(X)))
        self.bytes_per_row = self.index.code_size

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        codes = np.asarray(self.quantizer.transform(queries))
        return self.index.search(codes, k)[1]


class Faiss:
    def __init__(self, X, index, bytes_per_row):
        self.index, self.bytes_per_row = index, bytes_per_row
        self.index.train(X[:: max(1, len(X) // 100_000)])
        self.index.add(X)

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]


class Usearch:
    def __init__(self, X):
        self.quantizer = BinaryQuantizer().fit(X)
        self.codes = np.asarray(self.quantizer.transform(X))
        self.bytes_per_row = self.codes.shape[1]

    def search(self, queries, k, threads):
        matches = usearch.index.search(
            self.codes,
            np.asarray(self.quantizer.transform(queries)),
            k,
            usearch.index.MetricKind.Hamming,
            exact=True,
            threads=threads,
            dtype=usearch.index.ScalarKind.B1,
        )
        return np.atleast_2d(matches.keys).astype(np.int64)


class NumKong:
    """Its packed Hamming distances and numpy's selection; one thread."""

    def __init__(self, X):
        self.quantizer = BinaryQuantizer().fit(X)
        codes = np.asarray(self.quantizer.transform(X))
        self.parts = [
            numkong.hammings_pack(codes[start : start + 65_536], "uint1")
            for start in range(0, len(codes), 65_536)
        ]
        self.bytes_per_row = codes.shape[1]

    def search(self, queries, k, threads):
        codes = np.asarray(self.quantizer.transform(queries))
        near, rows, first = [], [], 0
        for part in self.parts:
            distances = np.asarray(numkong.hammings_packed(codes, part))
            some = min(k, distances.shape[1])
            best = np.argpartition(distances, some - 1, axis=1)[:, :some]
            near.append(np.take_along_axis(distances, best, axis=1))
            rows.append(best + first)
            first += distances.shape[1]
        near, rows = np.concatenate(near, axis=1), np.concatenate(rows, axis=1)
        order = np.argsort(near, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, axis=1)


class ScikitLearn:
    def __init__(self, X):
        self.index = NearestNeighbors(algorithm="brute").fit(X)
        self.bytes_per_row = X[:1].nbytes

    def search(self, queries, k, threads):
        return self.index.set_params(n_jobs=threads).kneighbors(queries, k)[1]


def methods(d):
    """Return, by name: what makes it of vectors, and what it is held against."""
    width, inner = -(-d // 8), faiss.METRIC_INNER_PRODUCT
    codes, one, two = (
        "faiss IndexBinaryFlat",
        "faiss IndexRaBitQFastScan, 1 bit",
        "faiss IndexRaBitQFastScan, 2 bits",
    )
    floats = {"query": "vectors"}

    def ours(quantizer, **parameters):
        return lambda X: Skbq(X, quantizer, **parameters)

    def theirs(make, bytes_per_row):
        return lambda X: Faiss(X, make(), bytes_per_row)

    return {
        codes: (FaissBinaryFlat, codes),
        "skbq 1 bit, hamming": (ours(BinaryQuantizer()), codes),
        "skbq 2 bits, dot": (ours(TwoBitQuantizer()), codes),
        "skbq 2 bits, penalty": (ours(TwoBitQuantizer(), code_metric="penalty"), codes),
        "usearch exact b1": (Usearch, codes),
        "NumKong packed hamming": (NumKong, codes),
        "faiss IndexPQFastScan, bytes of 1 bit": (
            theirs(lambda: faiss.IndexPQFastScan(d, 2 * width, 4, inner), width),
            one,
        ),
        "faiss IndexRaBitQ, 1 bit": (
            theirs(lambda: faiss.IndexRaBitQ(d, inner), width + 8),
            one,
        ),
        one: (
            theirs(lambda: faiss.IndexRaBitQFastScan(d, inner), width + 8),
            one,
        ),
        "skbq 1 bit, float queries": (ours(BinaryQuantizer(), **floats), one),
        two: (
            theirs(lambda: faiss.IndexRaBitQFastScan(d, inner, 32, 2), 2 * width + 20),
            two,
        ),
        "skbq 2 bits, float queries": (
            ours(TwoBitQuantizer(levels="lloyd_max"), **floats),
            two,
        ),
        f"skbq 1 bit, float queries, {OVERSAMPLING}x reranked": (
            ours(BinaryQuantizer(), oversampling=OVERSAMPLING, **floats),
            one,
        ),
        "scikit-learn brute force, floats": (ScikitLearn, codes),
    }


def exact_neighbors(X, queries, k):
    index = faiss.IndexFlatIP(X.shape[1])
    faiss.omp_set_num_threads(2)
    index.add(X)
    return index.search(queries, k)[1]


def recall(true, found):
    hits = [len(set(a) & set(b)) for a, b in zip(true, found, strict=True)]
    return np.mean(hits) / true.shape[1]


def compare(built, queries, k, threads, rounds):
    """Return queries per second by method, one figure for each round."""
    speeds = {name: [] for name in built}
    for method in built.values():
        method.search(queries, k, threads)
    for _ in range(rounds):
        for name, method in built.items():
            start = time.perf_counter()
            method.search(queries, k, threads)
            speeds[name].append(len(queries) / (time.perf_counter() - start))
    return {name: np.array(values) for name, values in speeds.items()}


def row(name, reference, speeds, method, found, true):
    ratio = speeds[name] / speeds[reference]
    return (
        f"| {name} | {recall(true, found):.3f} | {method.bytes_per_row:,} "
        f"| {np.median(speeds[name]):,.0f} "
        f"| {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f}) |"
    )


def run(arguments):
    for d in arguments.dims:
        X, queries = draw(arguments.rows, d, max(arguments.queries))
        true = exact_neighbors(X, queries, max(arguments.k))
        listed = methods(d)
        if not arguments.float:
            del listed["scikit-learn brute force, floats"]
        built, seconds = {}, []
        for name, (make, _) in listed.items():
            start = time.perf_counter()
            built[name] = make(X)
            seconds.append(f"{name} {time.perf_counter() - start:.1f} s")
        yield f"\n## {arguments.rows:,} rows of {d} coordinates\n"
        yield f"Built in: {'; '.join(seconds)}.\n"
        for threads in arguments.threads:
            for n_queries in arguments.queries:
                for k in arguments.k:
                    some = queries[:n_queries]
                    speeds = compare(built, some, k, threads, arguments.rounds)
                    yield f"### {n_queries} queries, k = {k}, {threads} threads\n"
                    yield "| method | recall | bytes/row | queries/s | ratio |"
                    yield "|---|---:|---:|---:|---|"
                    for name, (_, reference) in listed.items():
                        found = built[name].search(some, k, threads)
                        yield row(
                            name,
                            reference,
                            speeds,
                            built[name],
                            found,
                            true[:n_queries, :k],
                        )
                    yield ""


def peak_memory(arguments):
    (d,) = arguments.dims
    X, queries = draw(arguments.rows, d, max(arguments.queries))
    method = methods(d)[arguments.memory][0](X)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    method.search(queries, arguments.k[0], arguments.threads[0])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield f"{arguments.memory}: a search adds {(after - before) / 1024:.0f} MiB at peak"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, nargs="+", default=[768])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--queries", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--k", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--float", action="store_true", help="scikit-learn's too")
    parser.add_argument("--memory", metavar="METHOD")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        "# Search over codes",
        "",
        "Made by `python benchmarks/search.py`; its first lines say how.",
        f"{platform.processor() or platform.machine()}, faiss {faiss.__version__}, "
        f"usearch {usearch.__version__}, NumKong {numkong.__version__}.",
        *describe_run([], SEED),
    ]
    print(*lines, sep="\n")
    for line in peak_memory(arguments) if arguments.memory else run(arguments):
        lines.append(line)
        print(line, flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
