"""What the laws are held against: ways to encode and search, behind one small door.

An adapter says in ``can`` what it does; a law that needs more is not asked of it:

========== ==================================================================
codes      distances are those between codes
bits       rows and queries are codes, given unpacked as :class:`Bits`
search     it searches
encode     ``encode(X)`` gives packed codes
one bit    of one bit for each coordinate, in the order of ``numpy.packbits``
hamming    distances count the bits that differ
signs      the bit of a coordinate is ``x > 0``
centered   it is ``x > center``, which the index has
scale free the length of a query does not matter
own        no row is nearer to a stored row than itself
floats     distances are those of the vectors
stages     candidates are ranked again; ``oversampled(c)`` takes more of them
rerank     and that by the distances of their vectors
probes     ``search(..., probes=p)`` looks into p lists only
shards     ``sharded(rows, n, folder)`` gives an index of files of n rows
others     threads, blocks, mask, add, remove, save, self, radius, layouts
========== ==================================================================

``fit(rows)`` gives what answers ``search(queries, k)``: distances, ascending, and rows,
-1 where there are none; its ``refit(rows)`` indexes other rows and learns nothing.
"""

import copy
from dataclasses import dataclass

import numpy as np
from helpers import rotated
from hypothesis import reject
from sklearn import config_context
from sklearn.frozen import FrozenEstimator

from skbq import (
    BinaryNeighbors,
    BinaryQuantizer,
    PCAQuantizer,
    RandomRotation,
    ShardedNeighbors,
    TwoBitQuantizer,
    as_codes,
)


@dataclass(frozen=True)
class Bits:
    """Unpacked codes: signs, and for two bits magnitudes, bool of shape (n, d)."""

    signs: np.ndarray
    magnitudes: np.ndarray | None = None
    levels: tuple = (1, 3)

    def __len__(self):
        return len(self.signs)

    def __getitem__(self, rows):
        return self.changed(lambda plane: plane[rows])

    def changed(self, change):
        """Apply the same change to both planes."""
        strong = None if self.magnitudes is None else change(self.magnitudes)
        return Bits(change(self.signs), strong, self.levels)

    def as_codes(self):
        d = self.signs.shape[1]
        packed = np.packbits(self.signs, axis=1)
        if self.magnitudes is None:
            return as_codes(packed, d)
        strong = np.packbits(self.magnitudes, axis=1).astype(np.uint16) << 8
        return as_codes(packed | strong, d, self.levels)


class SkbqIndex:
    """A fitted ``BinaryNeighbors``."""

    def __init__(self, index):
        self.index = index

    def encode(self, X):
        return np.asarray(self.index.quantizer_.transform(X))

    def search(self, queries, k, *, mask=None, threads=None, block=None, probes=None):
        index = copy.copy(self.index).set_params(n_jobs=threads)
        if probes is not None:
            index.set_params(n_probes=probes)
        with config_context(working_memory=block or 1024):
            return index.kneighbors(_given(queries), k, mask=mask)

    @property
    def lists(self):
        return self.index.n_lists_

    @property
    def center(self):
        return self.index.quantizer_.thresholds_

    def within(self, queries, radius):
        """Distances and rows of all that are no farther, sorted by both."""
        found = self.index.radius_neighbors(_given(queries), radius, sort_results=True)
        return list(zip(*found, strict=True))

    def oversampled(self, oversampling):
        return SkbqIndex(copy.copy(self.index).set_params(oversampling=oversampling))

    def refit(self, rows):
        index, parameters = self.index, self.index.get_params(deep=False)
        if index.quantizer_ is not None:
            parameters["quantizer"] = FrozenEstimator(index.quantizer_)
        return SkbqIndex(type(index)(**parameters).fit(_given(rows)))

    def sharded(self, rows, shard_rows, folder):
        parameters = ShardedNeighbors._parameters_of(self.index)
        if self.index.quantizer_ is not None:
            parameters["quantizer"] = FrozenEstimator(self.index.quantizer_)
        index = ShardedNeighbors(folder=folder, shard_rows=shard_rows, **parameters)
        return SkbqIndex(index.fit(_given(rows)))

    def add(self, rows):
        self.index.partial_fit(_given(rows))

    def remove(self, rows):
        self.index.remove(rows)

    def save(self, path):
        self.index.save(path)

    def load(self, path):
        return SkbqIndex(type(self.index).load(path))


def _given(rows):
    return rows.as_codes() if isinstance(rows, Bits) else rows


class Skbq:
    """A ``BinaryNeighbors`` with given parameters."""

    tolerance = 0.0

    def __init__(self, name, can, **parameters):
        self.name, self.can = f"skbq {name}", can
        self.index = BinaryNeighbors(**parameters)
        self.code_metric = self.index.code_metric
        if self.code_metric == "auto":
            self.code_metric = "hamming" if "one bit" in can else "dot"

    def __repr__(self):
        return self.name

    def fit(self, rows):
        return SkbqIndex(copy.deepcopy(self.index).fit(_given(rows)))

    @property
    def metric(self):
        return self.index.metric


class OnAxes(Skbq):
    """One with codes of principal axes.

    Their distances are floats: which of two codes is the query may change a last digit.
    """

    def fit(self, rows):
        try:
            return super().fit(rows)
        except ValueError as error:
            # Rows that vary in few directions cannot fill the bits, which is said.
            if "directions only" not in str(error):
                raise
            reject()


def can(words):
    """Return what an adapter can do, from one line of it."""
    names = words.replace("one bit", "one_bit").replace("scale free", "scale_free")
    return frozenset(name.replace("_", " ") for name in names.split())


ALL = can("search threads blocks mask add remove save self radius layouts shards")
FLAT = ALL - {"layouts"} | can("codes bits")
CODED = ALL | can("codes encode")
ONE_BIT = can("one bit hamming own")


# All lists are probed where a law does not say how many.
IN_LISTS = {"algorithm": "ivf", "n_lists": 3, "n_probes": 10**6, "random_state": 0}
PCA = PCAQuantizer(2.0, random_state=0)

SKBQ = [
    Skbq("1-bit codes", FLAT | ONE_BIT),
    Skbq("2-bit codes, hamming", FLAT | {"own"}, code_metric="hamming"),
    Skbq("2-bit codes, penalty", FLAT | {"own"}, code_metric="penalty"),
    Skbq("2-bit codes, dot", FLAT),
    Skbq(
        "1 bit",
        CODED | ONE_BIT | {"centered"},
        quantizer=BinaryQuantizer(),
        metric="euclidean",
    ),
    Skbq(
        "1 bit, cosine",
        CODED - {"encode"} | ONE_BIT | {"scale free"},
        quantizer=BinaryQuantizer(),
    ),
    Skbq(
        "1 bit, signs",
        CODED | ONE_BIT | can("signs scale free"),
        quantizer=BinaryQuantizer(threshold="zero"),
        metric="euclidean",
    ),
    Skbq("2 bits, dot", CODED, metric="euclidean"),
    Skbq(
        "2 bits by coordinate, hamming",
        CODED | {"own"},
        quantizer=TwoBitQuantizer("median", "coordinate"),
        code_metric="hamming",
        metric="euclidean",
    ),
    Skbq(
        "2 bits rotated, penalty",
        CODED - {"encode"} | can("own scale free"),
        quantizer=rotated(TwoBitQuantizer(levels=(1, 2))),
        code_metric="penalty",
    ),
    Skbq(
        "1 bit, float queries",
        ALL - {"self"} | {"scale free"},
        quantizer=BinaryQuantizer(),
        query="vectors",
    ),
    Skbq(
        "2 bits rotated, float queries",
        ALL - {"self"},
        quantizer=rotated(TwoBitQuantizer(), "hadamard"),
        query="vectors",
        metric="euclidean",
    ),
    Skbq(
        "2 bits, float queries, inner product",
        ALL - {"self"},
        query="vectors",
        metric="inner_product",
    ),
    Skbq(
        "1 bit reranked",
        ALL | can("floats stages rerank scale free"),
        quantizer=BinaryQuantizer(),
        oversampling=2,
    ),
    Skbq(
        "2 bits, float queries, reranked",
        ALL | can("floats stages rerank"),
        query="vectors",
        oversampling=1.5,
        metric="euclidean",
    ),
    Skbq(
        "2 bits, float queries, exact corrections",
        ALL - {"self"},
        query="vectors",
        corrections="exact",
    ),
    OnAxes("principal axes", ALL, quantizer=PCA),
    OnAxes(
        "principal axes, float queries",
        ALL - {"self"} | {"encode"},
        quantizer=PCA,
        query="vectors",
        metric="euclidean",
    ),
    OnAxes(
        "principal axes in lists, float queries",
        ALL - {"self"} | {"probes"},
        quantizer=PCA,
        query="vectors",
        **IN_LISTS,
    ),
    Skbq("1-bit codes in lists", FLAT | ONE_BIT | {"probes"}, **IN_LISTS),
    Skbq("2-bit codes in lists, dot", FLAT | {"probes"}, **IN_LISTS),
    Skbq(
        "2 bits in lists, float queries",
        ALL - {"self"} | {"probes"},
        query="vectors",
        metric="euclidean",
        **IN_LISTS,
    ),
    Skbq(
        "1 bit in lists, reranked",
        ALL | can("floats stages rerank scale free"),
        quantizer=BinaryQuantizer(),
        oversampling=2,
        **IN_LISTS,
    ),
]


class SkbqRotation:
    """A ``RandomRotation``."""

    can = can("rotate")
    tolerance = 0.0

    def __init__(self, method):
        self.name, self._method = f"skbq rotation, {method}", method

    def __repr__(self):
        return self.name

    def fit(self, rows):
        self.rotate = RandomRotation(self._method, random_state=0).fit(rows).transform
        return self


SKBQ += [SkbqRotation(method) for method in ("haar", "dct", "hadamard")]
