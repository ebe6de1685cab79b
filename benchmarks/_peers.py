"""The libraries that ``search.py`` compares: how each is built of vectors and asked.

A method has ``bytes_per_row``, vectors for reranking included, and ``search(queries, k,
threads)``, which gives rows.
"""

from copy import copy

import faiss
import numkong
import numpy as np
import usearch.index
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer

OVERSAMPLING = 4
INNER = faiss.METRIC_INNER_PRODUCT

BINARY_FLAT = "faiss IndexBinaryFlat"
ONE_BIT = "faiss IndexRaBitQFastScan, 1 bit"
TWO_BITS = "faiss IndexRaBitQFastScan, 2 bits"
HAMMING, DOT, PENALTY = (
    "skbq 1 bit, hamming",
    "skbq 2 bits, dot",
    "skbq 2 bits, penalty",
)
FLOAT_ONE, FLOAT_TWO = "skbq 1 bit, asymmetric search", "skbq 2 bits, asymmetric search"
RERANKED = f"skbq 1 bit, asymmetric search, {OVERSAMPLING}x reranked"


class Skbq:
    """One of the ways to ask a fitted index."""

    def __init__(self, index, **parameters):
        self.index = copy(index).set_params(**parameters)
        self.bytes_per_row = index.codes_[:1].nbytes
        if parameters.get("query") == "vectors":
            self.bytes_per_row = index.bytes_per_row_
        if parameters.get("oversampling"):
            self.bytes_per_row += index.vector_bytes_per_row_

    def search(self, queries, k, threads):
        self.index.n_jobs = threads
        return self.index.kneighbors(queries, k)[1]


class OfCodes:
    """What searches the codes of a ``BinaryQuantizer``."""

    def __init__(self, X):
        self.quantizer = BinaryQuantizer().fit(X[:: max(1, len(X) // 131_072)])
        self.codes = self.encode(X)
        self.bytes_per_row = self.codes.shape[1]

    def encode(self, X):
        return np.asarray(self.quantizer.transform(X))


class FaissBinaryFlat(OfCodes):
    def __init__(self, X):
        super().__init__(X)
        self.index = faiss.IndexBinaryFlat(8 * self.bytes_per_row)
        self.index.add(self.codes)
        del self.codes

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(self.encode(queries), k)[1]


class Usearch(OfCodes):
    def search(self, queries, k, threads):
        matches = usearch.index.search(
            self.codes,
            self.encode(queries),
            k,
            usearch.index.MetricKind.Hamming,
            exact=True,
            threads=threads,
            dtype=usearch.index.ScalarKind.B1,
        )
        return np.atleast_2d(matches.keys).astype(np.int64)


class NumKong(OfCodes):
    """Its packed Hamming distances and numpy's selection; one thread."""

    def __init__(self, X):
        super().__init__(X)
        self.parts = [
            numkong.hammings_pack(self.codes[start : start + 65_536], "uint1")
            for start in range(0, len(X), 65_536)
        ]
        del self.codes

    def search(self, queries, k, threads):
        codes = self.encode(queries)
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


class Faiss:
    def __init__(self, X, index, bytes_per_row):
        self.index, self.bytes_per_row = index, bytes_per_row
        self.index.train(X[:: max(1, len(X) // 100_000)])
        self.index.add(X)

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]


class ScikitLearn:
    def __init__(self, X):
        self.index = NearestNeighbors(algorithm="brute").fit(X)
        self.bytes_per_row = X[:1].nbytes

    def search(self, queries, k, threads):
        with threadpool_limits(threads):
            return self.index.kneighbors(queries, k)[1]


def builders(d):
    """Return functions of the vectors; each gives methods by name."""
    width = -(-d // 8)

    def theirs(name, make, bytes_per_row):
        return lambda X: {name: Faiss(X, make(), bytes_per_row)}

    def of_one_bit(X):
        index = BinaryNeighbors(
            quantizer=BinaryQuantizer(), query="vectors", oversampling=OVERSAMPLING
        ).fit(X)
        return {
            HAMMING: Skbq(index, query="codes", oversampling=None),
            FLOAT_ONE: Skbq(index, query="vectors", oversampling=None),
            RERANKED: Skbq(index, query="vectors", oversampling=OVERSAMPLING),
        }

    def of_two_bits(X):
        index = BinaryNeighbors(quantizer=TwoBitQuantizer()).fit(X)
        metrics = ((DOT, "dot"), (PENALTY, "penalty"))
        return {name: Skbq(index, code_metric=metric) for name, metric in metrics}

    def of_two_bits_and_floats(X):
        quantizer = TwoBitQuantizer(levels="lloyd_max")
        index = BinaryNeighbors(quantizer=quantizer, query="vectors").fit(X)
        return {FLOAT_TWO: Skbq(index, query="vectors")}

    return [
        lambda X: {BINARY_FLAT: FaissBinaryFlat(X)},
        of_one_bit,
        of_two_bits,
        of_two_bits_and_floats,
        lambda X: {"usearch exact b1": Usearch(X)},
        lambda X: {"NumKong packed hamming": NumKong(X)},
        theirs(
            "faiss IndexPQFastScan, bytes of 1 bit",
            lambda: faiss.IndexPQFastScan(d, 2 * width, 4, INNER),
            width,
        ),
        theirs(
            "faiss IndexRaBitQ, 1 bit", lambda: faiss.IndexRaBitQ(d, INNER), width + 8
        ),
        theirs(ONE_BIT, lambda: faiss.IndexRaBitQFastScan(d, INNER), width + 8),
        theirs(
            TWO_BITS,
            lambda: faiss.IndexRaBitQFastScan(d, INNER, 32, 2),
            2 * width + 20,
        ),
        lambda X: {"scikit-learn brute force, floats": ScikitLearn(X)},
    ]


# What each method is held against; all others against IndexBinaryFlat.
REFERENCES = {
    "faiss IndexPQFastScan, bytes of 1 bit": ONE_BIT,
    "faiss IndexRaBitQ, 1 bit": ONE_BIT,
    ONE_BIT: ONE_BIT,
    FLOAT_ONE: ONE_BIT,
    RERANKED: ONE_BIT,
    TWO_BITS: TWO_BITS,
    FLOAT_TWO: TWO_BITS,
}
# So much slower than the rest that they get a sixteenth of the queries.
SLOW = {
    "faiss IndexRaBitQ, 1 bit",
    "usearch exact b1",
    "NumKong packed hamming",
    "scikit-learn brute force, floats",
}


def exact_neighbors(X, queries, k):
    faiss.omp_set_num_threads(faiss.omp_get_max_threads())
    return faiss.knn(queries, X, k, metric=INNER)[1]


def hits(true, found):
    """Return how many of the true rows were found, for each query."""
    return [len(set(a) & set(b)) for a, b in zip(true, found, strict=True)]
