"""How many true neighbors a search finds: the one home of recall and of its ties."""

import numpy as np
from numpy.typing import ArrayLike

from .._utils.parallel import row_blocks
from .._utils.params import as_real_array, check_real
from .._utils.similarity import distances

# Distances that are equal in exact arithmetic differ by less than this share of the
# query's largest distance, where _utils.similarity computes them: sums of 10^4
# products in float64, of vectors about their mean. Rounding must not turn ties into
# misses, and a larger tolerance would count rows that are farther.
TIE_TOLERANCE = 1e-12


def tie_limits(
    kth_distances: np.ndarray,
    largest_distances: np.ndarray,
    *,
    rtol: float = TIE_TOLERANCE,
    atol: float = 0.0,
) -> np.ndarray:
    """Return the distance up to which a row counts as a true neighbor.

    Parameters
    ----------
    kth_distances : ndarray of shape (n_queries,)
        Exact distance of each query's k-th nearest row.
    largest_distances : ndarray of shape (n_queries,)
        Its largest distance in magnitude, which the rounding goes with.
    rtol, atol : float

    Returns
    -------
    limits : ndarray of shape (n_queries,)
    """
    return kth_distances + rtol * largest_distances + atol


def neighbor_recall(
    true_distances: ArrayLike,
    found_distances: ArrayLike,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> float:
    """Return the share of found rows that are as near as the true neighbors.

    A found row counts if it is no farther than the k-th true neighbor. Where several
    rows are equally far, any of them is right: neighbors are compared by distance,
    not by row number.

    Parameters
    ----------
    true_distances : array-like of shape (n_queries, k)
        Exact distances of the k nearest rows of each query, in any order.
    found_distances : array-like of shape (n_queries, k)
        Exact distances (not those between codes) of the k different rows that were
        found. Infinity stands for a row that was not found.
    rtol, atol : float, default=1e-6 and 1e-8
        A row farther than the k-th true neighbor by at most
        ``rtol * largest + atol`` counts still, where ``largest`` is the largest
        absolute distance given for the query: rounding must not turn ties into
        misses. Set ``atol`` lower if all distances are very small.

    Returns
    -------
    recall : float
        Recall at k, between 0 and 1, the mean over queries.

    Raises
    ------
    ValueError
        If the shapes differ or are not 2-d, distances are NaN, or either holds
        integers, which row numbers are.

    See Also
    --------
    NeighborRecallScorer : The same of a fitted index.

    Examples
    --------
    >>> from skbq.metrics import neighbor_recall
    >>> neighbor_recall([[0.1, 0.2], [0.3, 0.3]], [[0.2, 0.4], [0.3, 0.3]])
    0.75
    """
    check_real(rtol, "rtol", "neighbor_recall", low=0)
    check_real(atol, "atol", "neighbor_recall", low=0)
    true = as_real_array(true_distances, "true_distances")
    found = as_real_array(found_distances, "found_distances")
    for name, given in (("true", true_distances), ("found", found_distances)):
        _refuse_row_numbers(np.asarray(given), f"{name}_distances")
    if true.ndim != 2 or true.shape != found.shape or true.size == 0:
        raise ValueError(
            "true_distances and found_distances must have the same shape "
            f"(n_queries, k). Got {true.shape} and {found.shape} instead."
        )
    if not np.isfinite(true).all() or np.isnan(found).any():
        raise ValueError(
            "Distances must not be NaN, and the true ones not infinite either."
        )
    finite = np.where(np.isinf(found), 0.0, np.abs(found))
    largest = np.maximum(np.abs(true).max(axis=1), finite.max(axis=1))
    limits = tie_limits(true.max(axis=1), largest, rtol=rtol, atol=atol)
    return float((found <= limits[:, np.newaxis]).mean())


def _refuse_row_numbers(given: np.ndarray, name: str) -> None:
    if given.dtype.kind in "iub":
        raise ValueError(
            f"{name} holds integers ({given.dtype}), as row numbers are; recall is "
            "counted by exact distances. Pass the first of what kneighbors returns, "
            f"or {name}.astype(float) if these really are distances."
        )


def recall_of_rows(vectors: np.ndarray, found: np.ndarray, metric: str) -> float:
    """Return the recall of rows found among the vectors, each itself left out.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    found : ndarray of shape (n, k), dtype int64
        The k rows that were found for each row.
    metric : {"cosine", "euclidean", "inner_product"}

    Returns
    -------
    recall : float
    """
    n, k = found.shape
    hits = 0
    for rows in row_blocks(n, 4 * 8 * n):
        near = distances(vectors[rows], vectors, metric, squared=True)
        near_found = np.take_along_axis(near, found[rows], axis=1)
        largest = np.abs(near).max(axis=1)
        numbers = np.arange(rows.start, rows.stop)
        near[numbers - rows.start, numbers] = np.inf
        near.partition(k - 1, axis=1)
        limits = tie_limits(near[:, k - 1], largest)
        hits += int(np.count_nonzero(near_found <= limits[:, np.newaxis]))
    return hits / found.size
