"""Other libraries behind the door of :mod:`adapters`; those that are not installed are
left out.

Vectors whose width is no multiple of 8 are given zeros behind for those that need it.
faiss and usearch number rows anew when some are removed, or do not remove: there
``remove`` is what the library calls so.
"""

import contextlib
from itertools import pairwise

import numpy as np
from adapters import Bits, can
from transformers_packing import quantization_module

_SEARCH = can("search threads add save")


def peers():
    """Return the adapters of the peers that are installed."""
    found = []
    for library in (_faiss_peers, _usearch_peers, _sentence_transformers_peers):
        with contextlib.suppress(ImportError):
            found += library()
    return found


def pad_to_bytes(X):
    """Give vectors zeros behind, to a width that is a multiple of 8."""
    return np.pad(X, ((0, 0), (0, -X.shape[1] % 8)))


class Peer:
    """What all adapters of peers share."""

    tolerance = 0.0
    metric = "euclidean"
    code_metric = "hamming"

    def __repr__(self):
        return self.name


def _packed(index, X):
    if isinstance(X, Bits):
        return np.packbits(np.ascontiguousarray(X.signs), axis=1)
    return index.encode(X)


# faiss


def _faiss_peers():
    import faiss

    class BinaryIndex:
        """Packed signs in an index of class ``kind``."""

        def __init__(self, build, rows):
            self._build = build
            codes = _packed(self, rows)
            self.index, self.lists = build(8 * codes.shape[1], len(codes))
            self.index.train(codes)
            self.index.add(codes)

        def encode(self, X):
            X = np.asarray(X, np.float32)
            width, X = -(-X.shape[1] // 8), pad_to_bytes(X)
            out = np.empty((len(X), width), np.uint8)
            faiss.real_to_binary(
                X.size,
                faiss.swig_ptr(np.ascontiguousarray(X)),
                faiss.swig_ptr(out),
            )
            return out

        def search(self, queries, k, *, mask=None, threads=1, probes=None):
            faiss.omp_set_num_threads(threads)
            options = {}
            if mask is not None:
                ids = np.flatnonzero(mask)
                options["params"] = faiss.SearchParameters(
                    sel=faiss.IDSelectorBatch(ids)
                )
            if self.lists:
                self.index.nprobe = probes or self.lists
            found, rows = self.index.search(_packed(self, queries), k, **options)
            return found.astype(float), rows

        def within(self, queries, radius):
            # faiss takes what is nearer than the radius, the boundary left out.
            limits, found, rows = self.index.range_search(
                _packed(self, queries), int(radius) + 1
            )
            for start, stop in pairwise(limits):
                near, where = found[start:stop], rows[start:stop]
                order = np.lexsort((where, near))
                yield near[order].astype(float), where[order]

        def refit(self, rows):
            return BinaryIndex(self._build, rows)

        def add(self, rows):
            self.index.add(_packed(self, rows))

        def remove(self, rows):
            self.index.remove_ids(np.asarray(rows, np.int64))

        def save(self, path):
            faiss.write_index_binary(self.index, str(path))

        def load(self, path):
            other = object.__new__(BinaryIndex)
            other._build, other.lists = self._build, self.lists
            other.index = faiss.read_index_binary(str(path))
            return other

    def flat(d, n):
        return faiss.IndexBinaryFlat(d), 0

    def ivf(d, n):
        lists = min(3, n)
        index = faiss.index_binary_factory(d, f"BIVF{lists}")
        index.cp.min_points_per_centroid = 1  # or it warns on stderr
        return index, lists

    class Binary(Peer):
        def __init__(self, name, abilities, build):
            self.name, self.can, self._build = name, can(abilities), build

        def fit(self, rows):
            return BinaryIndex(self._build, rows)

    class FloatIndex:
        """Vectors in an index that a factory makes."""

        def __init__(self, peer, rows, trained=None):
            self.peer = peer
            rows = np.ascontiguousarray(rows, np.float32)
            self.index = peer.build(rows.shape[1]) if trained is None else trained
            if trained is None:
                self.index.train(rows)
            self.index.add(rows)

        def encode(self, X):
            return self.index.sa_encode(np.ascontiguousarray(X, np.float32))

        def search(self, queries, k, *, mask=None, threads=1):
            faiss.omp_set_num_threads(threads)
            queries = np.ascontiguousarray(queries, np.float32)
            options = {}
            if mask is not None:
                chosen = faiss.IDSelectorBatch(np.flatnonzero(mask))
                options["params"] = self.peer.parameters(sel=chosen)
            found, rows = self.index.search(queries, k, **options)
            found = found.astype(float)
            return (np.sqrt(np.maximum(found, 0)) if self.peer.squared else found), rows

        def oversampled(self, oversampling):
            other = object.__new__(FloatIndex)
            other.peer, other.index = self.peer, faiss.clone_index(self.index)
            other.index.k_factor = oversampling
            return other

        def refit(self, rows):
            empty = faiss.clone_index(self.index)
            empty.reset()
            return FloatIndex(self.peer, rows, empty)

        def add(self, rows):
            self.index.add(np.ascontiguousarray(rows, np.float32))

        def remove(self, rows):
            self.index.remove_ids(np.asarray(rows, np.int64))

        def save(self, path):
            faiss.write_index(self.index, str(path))

        def load(self, path):
            other = object.__new__(FloatIndex)
            other.peer, other.index = self.peer, faiss.read_index(str(path))
            return other

    class Float(Peer):
        def __init__(self, name, abilities, build, *, squared=False, parameters=None):
            self.name, self.can, self.build = name, can(abilities), build
            self.squared = squared
            self.parameters = parameters or faiss.SearchParameters
            self.tolerance = 1e-5

        def fit(self, rows):
            return FloatIndex(self, rows)

    class Rotation(Peer):
        name, can = "faiss RandomRotationMatrix", can("rotate")

        def fit(self, rows):
            d = rows.shape[1]
            transform = faiss.RandomRotationMatrix(d, d)
            transform.init(1)
            self.rotate = lambda X: transform.apply(np.ascontiguousarray(X, np.float32))
            return self

    signs = "one bit hamming own signs scale free bits codes encode radius remove "
    words = " ".join(sorted(_SEARCH))
    found = [
        Binary("faiss IndexBinaryFlat", f"{words} mask {signs}", flat),
        Binary("faiss IndexBinaryIVF", f"{words} probes {signs}", ivf),
        Float(
            "faiss IndexLSH",
            f"{words} remove one bit hamming codes own signs scale free encode",
            lambda d: faiss.IndexLSH(d, d, False, False),
        ),
        Float(
            "faiss IndexRaBitQ",
            f"{words} mask remove encode",
            lambda d: faiss.IndexRaBitQ(d),
            squared=True,
            parameters=faiss.RaBitQSearchParameters,
        ),
        Float(
            "faiss IndexRefineFlat of IndexRaBitQ",
            f"{words} floats stages rerank",
            lambda d: faiss.index_factory(d, "RaBitQ,RFlat"),
            squared=True,
        ),
        Rotation(),
    ]
    return found


# usearch


def _usearch_peers():
    from usearch.index import Index, MetricKind, ScalarKind, search

    class Exact:
        """``usearch.index.search(exact=True)`` over packed signs."""

        def __init__(self, rows):
            self.codes = _packed(self, rows)

        def encode(self, X):
            return np.packbits(np.asarray(X) > 0, axis=1)

        def search(self, queries, k, *, threads=1):
            matches = search(
                self.codes,
                _packed(self, queries),
                k,
                MetricKind.Hamming,
                exact=True,
                threads=threads,
                dtype=ScalarKind.B1,
            )
            return _table(matches, k)

        def refit(self, rows):
            return Exact(rows)

        def add(self, rows):
            self.codes = np.concatenate([self.codes, _packed(self, rows)])

    class Graph:
        """``usearch.index.Index`` (HNSW) over packed signs."""

        def __init__(self, rows, index=None):
            if index is None:
                codes = _packed(self, rows)
                self.width = codes.shape[1]
                self.index = self._empty()
                self.index.add(np.arange(len(codes)), codes)
            else:
                self.index = index

        def _empty(self):
            return Index(
                ndim=8 * self.width, metric=MetricKind.Hamming, dtype=ScalarKind.B1
            )

        def encode(self, X):
            return np.packbits(np.asarray(X) > 0, axis=1)

        def search(self, queries, k, *, threads=1):
            matches = self.index.search(_packed(self, queries), k, threads=threads)
            return _table(matches, k)

        def refit(self, rows):
            return Graph(rows)

        def add(self, rows):
            codes, n = _packed(self, rows), self.index.size
            self.index.add(np.arange(n, n + len(codes)), codes)

        def remove(self, rows):
            self.index.remove(np.asarray(rows))

        def save(self, path):
            self.index.save(str(path))

        def load(self, path):
            return Graph(None, Index.restore(str(path)))

    def _table(matches, k):
        keys = np.atleast_2d(matches.keys).astype(np.int64)
        found = np.atleast_2d(matches.distances).astype(float)
        if hasattr(matches, "counts") and np.ndim(matches.counts):
            for row, count in enumerate(matches.counts):
                keys[row, count:], found[row, count:] = -1, np.inf
        short = ((0, 0), (0, k - keys.shape[1]))
        return (
            np.pad(found, short, constant_values=np.inf),
            np.pad(keys, short, constant_values=-1),
        )

    class Usearch(Peer):
        def __init__(self, name, abilities, build):
            self.name, self.can, self.fit = name, can(abilities), build

    words = "search threads add one bit hamming own signs scale free bits codes encode "
    return [
        Usearch("usearch, exact", words, Exact),
        Usearch("usearch Index", words + "save remove", Graph),
    ]


# sentence-transformers


def _sentence_transformers_peers():
    import faiss

    module = quantization_module()

    class Searched:
        """``quantize_embeddings`` and ``semantic_search_faiss``."""

        def __init__(self, rows, rescore, multiplier=2):
            self._rescore, self._multiplier = rescore, multiplier
            self._count = len(rows)
            self.index, self._codes = None, self.encode(rows)

        def encode(self, X):
            return module.quantize_embeddings(pad_to_bytes(np.asarray(X)), "ubinary")

        def search(self, queries, k, *, threads=1):
            faiss.omp_set_num_threads(threads)
            queries = pad_to_bytes(np.asarray(queries, np.float32))
            if not self._rescore:
                queries = self.encode(queries)
            hits, _, self.index = module.semantic_search_faiss(
                queries,
                corpus_embeddings=self._codes if self.index is None else None,
                corpus_index=self.index,
                corpus_precision="ubinary",
                top_k=k,
                rescore=self._rescore,
                rescore_multiplier=self._multiplier,
                output_index=True,
            )
            found = np.full((len(hits), k), np.inf)
            rows = np.full((len(hits), k), -1)
            for i, hit in enumerate(hits):
                for j, entry in enumerate(hit[:k]):
                    score = entry["score"]
                    found[i, j] = -score if self._rescore else score
                    rows[i, j] = entry["corpus_id"]
            return found, rows

        def refit(self, rows):
            return Searched(rows, self._rescore, self._multiplier)

        def oversampled(self, oversampling):
            other = object.__new__(Searched)
            vars(other).update(vars(self), _multiplier=int(np.ceil(oversampling)))
            return other

    class SentenceTransformers(Peer):
        def __init__(self, name, abilities, rescore):
            self.name, self.can, self._rescore = name, can(abilities), rescore
            self.tolerance = 1e-5 if rescore else 0.0

        def fit(self, rows):
            return Searched(rows, self._rescore)

    packed = "search encode one bit signs "
    return [
        SentenceTransformers(
            "sentence-transformers ubinary",
            packed + "threads codes hamming own scale free",
            False,
        ),
        SentenceTransformers(
            "sentence-transformers ubinary, rescored", "search threads stages", True
        ),
    ]
