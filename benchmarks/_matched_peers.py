"""The indexes that ``matched.py`` compares.

A method has ``settings``, which raise recall in their order, ``set(setting)``,
``search(queries, k, threads)``, which gives rows, and ``n_bytes()``.
"""

import os
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import faiss
import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq._neighbors.brute_force import rerank
from skbq._neighbors.inverted_lists import choose_n_lists

OVERSAMPLING = 4
# Codes of one bit on both sides need more candidates.
OF_SIGNS = 10
INNER = faiss.METRIC_INNER_PRODUCT
OURS = "skbq ivf, 2 bits"
ALL = os.cpu_count()
LISTS = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024]
WIDTHS = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
PEERS = ["usearch", "pynndescent", "hnswlib", "svs", "rabitqlib"]
MISSING = [name for name in PEERS if find_spec(name) is None]


class Skbq:
    def __init__(self, X, quantizer, algorithm, n_lists="auto"):
        self.settings = LISTS if algorithm == "ivf" else [None]
        self.index = BinaryNeighbors(
            quantizer=quantizer,
            query="vectors",
            oversampling=OVERSAMPLING,
            algorithm=algorithm,
            n_lists=n_lists,
            random_state=0,
            n_jobs=ALL,
        ).fit(X)

    def set(self, setting):
        if setting is not None:
            self.index.set_params(n_probes=setting)

    def search(self, queries, k, threads):
        self.index.n_jobs = threads
        return self.index.kneighbors(queries, k, return_distance=False)

    def n_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index.skbq"
            self.index.save(path)
            return path.stat().st_size


class Faiss:
    """``knob`` is the parameter that the settings are of."""

    def __init__(self, X, index, knob, settings):
        self.index, self.knob, self.settings = index, knob, settings
        faiss.omp_set_num_threads(ALL)
        self.index.train(X[:: max(1, len(X) // 50_000)])
        self.index.add(X)
        if hasattr(self.index, "k_factor"):
            self.index.k_factor = OVERSAMPLING

    def set(self, setting):
        faiss.ParameterSpace().set_index_parameter(self.index, self.knob, setting)

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]

    def n_bytes(self):
        return faiss.serialize_index(self.index).nbytes


class FaissBinary:
    """Candidates by signs, reranked by our kernel for all of ``BinaryNeighbors``."""

    def __init__(self, X, make, knob, settings):
        self.X, self.knob, self.settings = X, knob, settings
        self.quantizer = BinaryQuantizer().fit(X[:: max(1, len(X) // 50_000)])
        codes = np.asarray(self.quantizer.transform(X))
        faiss.omp_set_num_threads(ALL)
        self.index = make(8 * codes.shape[1])
        self.index.train(codes[:: max(1, len(X) // 50_000)])
        self.index.add(codes)

    def set(self, setting):
        owner = self.index.hnsw if self.knob == "efSearch" else self.index
        setattr(owner, self.knob, setting)

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        codes = np.asarray(self.quantizer.transform(queries))
        candidates = self.index.search(codes, OF_SIGNS * k)[1]
        found = rerank(self.X, queries, candidates, "cosine", k, n_jobs=threads)
        return found.rows

    def n_bytes(self):
        return faiss.serialize_index_binary(self.index).nbytes + self.X.nbytes


class Usearch:
    def __init__(self, X, dtype):
        from usearch.index import Index

        self.settings, self.dtype, self.X = WIDTHS, dtype, X
        self.quantizer = BinaryQuantizer().fit(X[:: max(1, len(X) // 50_000)])
        metric = "hamming" if dtype == "b1" else "cos"
        self.index = Index(ndim=X.shape[1], metric=metric, dtype=dtype)
        self.index.add(np.arange(len(X)), self.encode(X), threads=ALL)

    def encode(self, X):
        return np.asarray(self.quantizer.transform(X)) if self.dtype == "b1" else X

    def set(self, setting):
        self.index.expansion_search = setting

    def search(self, queries, k, threads):
        n = OF_SIGNS * k if self.dtype == "b1" else k
        found = self.index.search(self.encode(queries), n, threads=threads)
        rows = np.atleast_2d(found.keys).astype(np.int64)
        if self.dtype != "b1":
            return rows
        return rerank(self.X, queries, rows, "cosine", k, n_jobs=threads).rows

    def n_bytes(self):
        vectors = self.X.nbytes if self.dtype == "b1" else 0
        return self.index.serialized_length + vectors


class Pynndescent:
    """Its ``epsilon``, from which the width of the search follows; one thread."""

    settings = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)

    def __init__(self, X):
        from pynndescent import NNDescent

        self.X = X
        self.index = NNDescent(X, metric="cosine", n_jobs=ALL, random_state=0)
        self.index.prepare()

    def set(self, setting):
        self.epsilon = setting

    def search(self, queries, k, threads):
        return self.index.query(queries, k, epsilon=self.epsilon)[0]

    def n_bytes(self):
        graph = self.index._search_graph
        arrays = (graph.data, graph.indices, graph.indptr, self.X)
        return sum(array.nbytes for array in arrays)


def builders(d, n):
    """Return functions of the vectors by name, those of peers that are installed."""
    n_lists = choose_n_lists(n)  # as many as ours

    def in_lists(code):
        def make(X):
            index = faiss.index_factory(d, f"IVF{n_lists},{code},RFlat", INNER)
            return Faiss(X, index, "nprobe", LISTS)

        return make

    def hnsw(X):
        index = faiss.IndexHNSWFlat(d, 16, INNER)
        index.hnsw.efConstruction = 64
        return Faiss(X, index, "efSearch", WIDTHS)

    def binary_hnsw(d):
        index = faiss.IndexBinaryHNSW(d, 16)
        index.hnsw.efConstruction = 64
        return index

    def binary_lists(d):
        binary_lists.quantizer = faiss.IndexBinaryFlat(d)  # kept: faiss does not
        return faiss.IndexBinaryIVF(binary_lists.quantizer, d, n_lists)

    one, two = BinaryQuantizer(), TwoBitQuantizer(levels="lloyd_max")
    made = {
        OURS: partial(Skbq, quantizer=two, algorithm="ivf"),
        "skbq ivf, 1 bit": partial(Skbq, quantizer=one, algorithm="ivf"),
        "skbq brute force, 2 bits": partial(Skbq, quantizer=two, algorithm="brute"),
        "skbq brute force, 1 bit": partial(Skbq, quantizer=one, algorithm="brute"),
        "faiss IVF,RaBitQfs,RFlat": in_lists("RaBitQfs"),
        "faiss IVF,RaBitQfs2,RFlat": in_lists("RaBitQfs2"),
        "faiss IVF,PQfs,RFlat": in_lists(f"PQ{d // 4}x4fs"),
        "faiss IndexBinaryIVF, reranked": partial(
            FaissBinary, make=binary_lists, knob="nprobe", settings=LISTS
        ),
        "faiss IndexBinaryHNSW, reranked": partial(
            FaissBinary, make=binary_hnsw, knob="efSearch", settings=WIDTHS[6:]
        ),
        "faiss IndexHNSWFlat": hnsw,
    }
    if "usearch" not in MISSING:
        made["usearch f32"] = partial(Usearch, dtype="f32")
        made["usearch b1, reranked"] = partial(Usearch, dtype="b1")
    if "pynndescent" not in MISSING:
        made["pynndescent"] = Pynndescent
    return made
