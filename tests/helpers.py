"""What tests of several rooms need: pipelines, exact distances, equal answers."""

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline

from skbq import RandomRotation, TwoBitQuantizer


def rotated(quantizer=None, method="haar"):
    """A random rotation before a quantizer, of two bits by default."""
    rotation = RandomRotation(method, random_state=0)
    return make_pipeline(rotation, quantizer or TwoBitQuantizer())


def rows_with_ties():
    """700 rows, 20 of them twice, so that shards hold rows equally near."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 20)) * np.geomspace(3, 0.3, 20)
    X[300:320] = X[:20]
    return X.astype(np.float32)


def queries_near(X):
    """Every ninth row, moved a little."""
    return X[::9] + np.float32(0.01)


def true_distances(rows, queries, metric):
    """All distances in float64, (n_queries, n_rows), as numpy writes them."""
    rows, queries = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "euclidean":
        return np.linalg.norm(queries[:, None] - rows[None], axis=2)
    products = queries @ rows.T
    if metric == "inner_product":
        return -products
    norms = [np.linalg.norm(x, axis=1) for x in (queries, rows)]
    return 1 - products / (norms[0][:, None] * norms[1])


def share_found(rows, expected):
    """The mean share of the expected rows of each query that were found."""
    hits = [len(set(a) & set(b)) for a, b in zip(rows, expected, strict=True)]
    return np.mean(hits) / expected.shape[1]


def check_same(found, expected):
    """Two answers hold equal arrays."""
    for mine, theirs in zip(found, expected, strict=True):
        assert_array_equal(mine, theirs)


def check_equal(index, one, queries, **options):
    """Two indexes find the same 7 neighbors at the same distances."""
    check_same(*(i.kneighbors(queries, 7, **options) for i in (index, one)))
