"""The indexes that ``matched.py`` compares.

A method has ``settings``, which raise recall in their order, ``set(setting)``,
``search(queries, k, threads)``, which gives rows, and ``n_bytes()``: those that are
searched, and those of vectors that only reranking reads.
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
# Fine steps, so that methods are compared at nearly the same recall.
LISTS = [1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112]
LISTS += [128, 160, 192, 224, 256, 320, 384, 512, 768, 1024]
WIDTHS = [10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192]
WIDTHS += [256, 384, 512]
# Of graphs: edges of a row on the base level are twice as many.
DEGREE, CONSTRUCTION = 16, 64
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
            n_probes=1,
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
        n, index = self.index.n_samples_fit_, self.index
        return n * index.bytes_per_row_, n * index.vector_bytes_per_row_


def saved_bytes(save):
    """Return the size of what a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        save(str(path))
        return path.stat().st_size


class Faiss:
    """``knob`` is the parameter that the settings are of."""

    def __init__(self, X, index, knob, settings):
        self.index, self.knob, self.settings = index, knob, settings
        faiss.omp_set_num_threads(ALL)
        self.index.train(X[:: max(1, len(X) // 50_000)])
        self.index.add(X)
        self.reranked_bytes = X.nbytes
        if hasattr(self.index, "k_factor"):
            self.index.k_factor = OVERSAMPLING

    def set(self, setting):
        faiss.ParameterSpace().set_index_parameter(self.index, self.knob, setting)

    def search(self, queries, k, threads):
        faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]

    def n_bytes(self):
        index, vectors = self.index, 0
        if hasattr(index, "k_factor"):
            index, vectors = index.base_index, self.reranked_bytes
        return saved_bytes(lambda path: faiss.write_index(index, path)), vectors


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
        searched = saved_bytes(lambda path: faiss.write_index_binary(self.index, path))
        return searched, self.X.nbytes


class Usearch:
    def __init__(self, X, dtype):
        from usearch.index import Index

        self.settings = WIDTHS[13:] if dtype == "b1" else WIDTHS
        self.dtype, self.X = dtype, X
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
        return self.index.serialized_length, vectors


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
        return sum(array.nbytes for array in arrays), 0


class Hnswlib:
    settings = WIDTHS

    def __init__(self, X):
        import hnswlib

        self.index = hnswlib.Index("ip", X.shape[1])
        self.index.init_index(len(X), DEGREE, CONSTRUCTION, random_seed=0)
        self.index.add_items(X, num_threads=ALL)

    def set(self, setting):
        self.index.set_ef(setting)

    def search(self, queries, k, threads):
        return self.index.knn_query(queries, k, num_threads=threads)[0].astype(np.int64)

    def n_bytes(self):
        return self.index.index_file_size(), 0


class ScalableVS:
    """Vamana of Intel's Scalable Vector Search over floats."""

    settings = WIDTHS

    def __init__(self, X):
        import svs

        parameters = svs.VamanaBuildParameters(
            alpha=0.95, graph_max_degree=2 * DEGREE, window_size=CONSTRUCTION
        )
        kind = svs.DistanceType.MIP
        self.index = svs.Vamana.build(parameters, X, kind, num_threads=ALL)
        self.bytes = X.nbytes + 4 * (2 * DEGREE + 1) * len(X)

    def set(self, setting):
        self.index.search_window_size = setting

    def search(self, queries, k, threads):
        if self.index.num_threads != threads:
            self.index.num_threads = threads
        return self.index.search(queries, k)[0].astype(np.int64)

    def n_bytes(self):
        return self.bytes, 0


class Rabitqlib:
    """RaBitQ's own library: lists of 1 bit with vectors to rerank, or a graph."""

    def __init__(self, X, graph, n_clusters):
        import rabitqlib

        n, d = X.shape
        self.X, self.graph, self.settings = X, graph, WIDTHS if graph else LISTS
        few = n_clusters <= 64  # as its documentation recommends
        kind = rabitqlib.RaBitQKMeans if few else rabitqlib.QGKMeans
        clusters = kind(d, n_clusters, num_threads=ALL)
        clusters.train(X)
        if graph:
            bits = 8  # its default
            self.index = rabitqlib.HnswIndex(
                *(d, n, DEGREE, CONSTRUCTION, bits), metric="ip"
            )
        else:
            vectors = 32  # 1 bit, and the vectors
            self.index = rabitqlib.IvfIndex(d, n, n_clusters, vectors, "ip")
        self.index.build(X, clusters.centroids, clusters.assignments, num_threads=ALL)

    def set(self, setting):
        self.setting = setting

    def search(self, queries, k, threads):
        found = self.index.search(queries, k, self.setting, num_threads=threads)[0]
        return found.astype(np.int64)

    def n_bytes(self):
        total = saved_bytes(self.index.save)
        vectors = 0 if self.graph else self.X.nbytes
        return total - vectors, vectors


def builders(d, n):
    """Return functions of the vectors by name, those of peers that are installed."""
    n_lists = choose_n_lists(n)  # as many as ours

    def in_lists(code):
        def make(X):
            index = faiss.index_factory(d, f"IVF{n_lists},{code},RFlat", INNER)
            return Faiss(X, index, "nprobe", LISTS)

        return make

    def hnsw(X):
        index = faiss.IndexHNSWFlat(d, DEGREE, INNER)
        index.hnsw.efConstruction = CONSTRUCTION
        return Faiss(X, index, "efSearch", WIDTHS)

    def binary_hnsw(d):
        index = faiss.IndexBinaryHNSW(d, DEGREE)
        index.hnsw.efConstruction = CONSTRUCTION
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
            FaissBinary,
            make=binary_hnsw,
            knob="efSearch",
            settings=WIDTHS[13:],
        ),
        "faiss IndexHNSWFlat": hnsw,
    }
    if "usearch" not in MISSING:
        made["usearch f32"] = partial(Usearch, dtype="f32")
        made["usearch b1, reranked"] = partial(Usearch, dtype="b1")
    if "hnswlib" not in MISSING:
        made["hnswlib"] = Hnswlib
    if "rabitqlib" not in MISSING:
        lists = partial(Rabitqlib, graph=False, n_clusters=n_lists)
        made["rabitqlib IVF, 1 bit, reranked"] = lists
        made["rabitqlib HNSW, 8 bits"] = partial(Rabitqlib, graph=True, n_clusters=16)
    if "svs" not in MISSING:
        made["scalable-vs Vamana"] = ScalableVS
    if "pynndescent" not in MISSING:
        made["pynndescent"] = Pynndescent
    return made
