"""Search over codes: time of every kind of query, memory of a mapped search."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer

from . import _data

INDEXES = {
    "1 bit, hamming": {"quantizer": BinaryQuantizer()},
    "2 bits, dot": {"quantizer": TwoBitQuantizer()},
    "2 bits, penalty": {"quantizer": TwoBitQuantizer(), "code_metric": "penalty"},
    "1 bit, float": {"quantizer": BinaryQuantizer(), "query": "vectors"},
    "2 bits, float": {"quantizer": TwoBitQuantizer(), "query": "vectors"},
    "1 bit, float, reranked": {
        "quantizer": BinaryQuantizer(),
        "query": "vectors",
        "oversampling": 4,
    },
    "1 bit, float, bound": {
        "quantizer": BinaryQuantizer(),
        "query": "vectors",
        "oversampling": "bound",
    },
}


class Kneighbors:
    params = (list(INDEXES), [1, 256])
    param_names = ("index", "queries")

    def setup(self, name, n_queries):
        X, queries = _data.vectors()
        self.queries = queries[:n_queries]
        self.index = BinaryNeighbors(10, **INDEXES[name]).fit(X)
        self.index.kneighbors(self.queries)  # compile

    def time_kneighbors(self, name, n_queries):
        self.index.kneighbors(self.queries)


class Others:
    def setup(self):
        X, self.queries = _data.vectors()
        self.index = BinaryNeighbors(10, quantizer=BinaryQuantizer()).fit(X)
        self.mask = np.arange(len(X)) % 3 == 0
        found, _ = self.index.kneighbors(self.queries, mask=self.mask)
        self.radius = float(np.median(found))

    def time_mask(self):
        self.index.kneighbors(self.queries, mask=self.mask)

    def time_radius_neighbors(self):
        self.index.radius_neighbors(self.queries, self.radius)

    def time_graph(self):
        self.index.kneighbors_graph(self.queries)


class Mapped:
    """An index that stays on disk."""

    def setup(self):
        X, self.queries = _data.vectors()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "index.skbq"
        BinaryNeighbors(10, quantizer=BinaryQuantizer()).fit(X).save(self.path)

    def teardown(self):
        shutil.rmtree(self.folder)

    def time_load_and_search(self):
        self.peakmem_load_and_search()

    def peakmem_load_and_search(self):
        index = BinaryNeighbors.load(self.path, mmap_mode="r", verify=False)
        index.kneighbors(self.queries)
