"""Unit norm, similarity and exact distance of vectors: the one home of each.

Two ways to the same distances. :func:`distances` and :func:`similarities` compare all
pairs by matrix products, for ground truth. :func:`distances_to` and
:func:`distances_of_pairs` compare given pairs one by one: a pair's distance then has
the same last bit whatever it is computed with, which search needs.

All are computed in float64, and differences where the digits of products would cancel.
"""

import numpy as np

from .._kernels.memory import read_only
from .._kernels.vector_ops import (
    METRIC_NUMBERS,
    as_stored,
    pair_distances,
    scale_to_unit,
)
from .parallel import row_blocks
from .validation import float_rows

# Euclidean distances of vectors whose norms vary by less than this share of their mean
# rank pairs as cosines do, to two digits of fidelity.
EQUAL_NORMS = 0.01
# Temporary bytes for each coordinate of a pair whose row is copied.
_COPY_BYTES = 16


def unit_norm(X: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Divide rows by their norms; rows of zeros stay.

    Norms are taken in float64, and neither overflow nor vanish.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    dtype : type, default=None
        float32 or float64. None: float64 stays, as do 64-bit integers become it; all
        else becomes float32.

    Returns
    -------
    rows : ndarray of shape (n_samples, n_features)
    """
    rows = float_rows(X)
    out = np.empty_like(rows, dtype=dtype)
    scale_to_unit(read_only(rows), out)
    return out


def scaled_rows(X: np.ndarray, metric: str) -> np.ndarray:
    """Return rows as floats, of unit norm under "cosine"."""
    return unit_norm(X) if metric == "cosine" else float_rows(X)


def distances(
    queries: np.ndarray,
    rows: np.ndarray,
    metric: str,
    *,
    squared: bool = False,
    dtype: type = np.float64,
) -> np.ndarray:
    """Return the exact distance of each query to each row.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_features)
    rows : ndarray of shape (n_rows, n_features)
        Of any norm: under "cosine" both are scaled here.
    metric : {"cosine", "euclidean", "inner_product"}
    squared : bool, default=False
        Whether to leave euclidean distances squared.
    dtype : type, default=numpy.float64
        Of the result; all is computed in float64.

    Returns
    -------
    distances : ndarray of shape (n_queries, n_rows)
        cosine: 1 - cosine similarity, 1 where either is zero; euclidean;
        inner_product: -<x, y>. The first two are never negative.

    Notes
    -----
    Under "cosine" and "euclidean" the mean of the rows is taken off both sides first:
    far from the origin, and of nearly parallel vectors, the digits of products would
    cancel.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[3.0, 4.0], [8.0, 6.0]])
    >>> distances(rows[:1], rows, "cosine").round(3)
    array([[0.  , 0.04]])
    >>> distances(rows[:1], rows, "euclidean").round(3)
    array([[0.   , 5.385]])
    """
    if metric == "cosine":
        queries, rows = (unit_norm(x, np.float64) for x in (queries, rows))
    y = np.asarray(queries, np.float64)
    out: np.ndarray = np.empty((len(y), len(rows)), dtype)
    shift = np.zeros(y.shape[1])
    if metric != "inner_product":
        shift = rows.mean(axis=0, dtype=np.float64)
    y = y - shift
    half_squares = np.square(y).sum(axis=1)[:, np.newaxis] / 2
    for some in row_blocks(len(rows), 16 * (y.shape[1] + len(y)), shares=8):
        block = rows[some] - shift
        products = y @ block.T
        if metric == "inner_product":
            out[:, some] = np.negative(products, out=products)
            continue
        near = np.square(block).sum(axis=1) / 2 + half_squares - products
        np.maximum(near, 0, out=near)
        if metric == "euclidean":
            near *= 2
            out[:, some] = near if squared else np.sqrt(near, out=near)
        else:
            out[:, some] = near
    if metric == "cosine":  # of a vector of zeros
        out[~queries.any(axis=1)] = 1
        out[:, ~rows.any(axis=1)] = 1
    return out


def similarities(
    queries: np.ndarray, rows: np.ndarray, metric: str, *, dtype: type = np.float64
) -> np.ndarray:
    """Return the exact similarity of each query to each row, larger for nearer.

    Parameters
    ----------
    queries, rows, metric, dtype : as in :func:`distances`

    Returns
    -------
    similarities : ndarray of shape (n_queries, n_rows)
        cosine: cosine similarity; euclidean: minus the squared distance;
        inner_product: <x, y>.
    """
    near = distances(queries, rows, metric, squared=True, dtype=dtype)
    np.negative(near, out=near)
    if metric == "cosine":
        near += 1
    return near


def distances_to(vectors: np.ndarray, query: np.ndarray, metric: str) -> np.ndarray:
    """Return the exact distances of one query to some rows, in float64.

    A pair's distance has the same last bit whichever rows it is computed with.

    Returns
    -------
    distances : ndarray of shape (n_samples,)
        As those of :func:`distances`.
    """
    rows = np.arange(len(vectors))[np.newaxis]
    return distances_of_pairs(vectors, np.asarray(query)[np.newaxis], rows, metric)[0]


def distances_of_pairs(
    vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray, metric: str
) -> np.ndarray:
    """Return the exact distances of each query to rows of its own, in float64.

    Parameters
    ----------
    vectors : ndarray of shape (n_samples, n_features)
        Of any type, in any order; only the rows that are named are read.
    queries : ndarray of shape (n_queries, n_features)
    rows : ndarray of shape (n_queries, n_rows), dtype int64
        Row numbers of ``vectors``; -1 where there is none.
    metric : {"cosine", "euclidean", "inner_product"}

    Returns
    -------
    distances : ndarray of shape (n_queries, n_rows)
        As those of :func:`distances`; infinity where there is no row.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.eye(3)
    >>> distances_of_pairs(X, X[:2], np.array([[0, 1], [2, -1]]), "euclidean")
    array([[0.        , 1.41421356],
           [1.41421356,        inf]])
    """
    out = np.empty(rows.shape)
    y = read_only(np.asarray(queries, np.float64))
    number = METRIC_NUMBERS[metric]
    stored = as_stored(vectors)
    if stored is not None:
        pair_distances(stored, y, read_only(rows), number, out)
        return out
    for some in row_blocks(len(rows), rows.shape[1] * y.shape[1] * _COPY_BYTES):
        for part in row_blocks(rows.shape[1], y.shape[1] * _COPY_BYTES):
            block = rows[some, part]
            copied = float_rows(vectors[np.maximum(block, 0).ravel()])
            places = np.where(block < 0, -1, np.arange(block.size).reshape(block.shape))
            near = np.empty(block.shape)
            pair_distances(read_only(copied), y[some], read_only(places), number, near)
            out[some, part] = near
    return out
