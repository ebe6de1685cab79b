"""Signs that vectors are not made for one or two bits, in plain words."""

import numpy as np
from scipy.stats import beta

from .._profiling.profiler import HeterogeneityProfiler
from .._utils.similarity import unit_norm

# Signs along 16 directions have 65,536 values, and 64 signs fill one word: by
# convention, what is shorter is doubted and measured all the same.
_FEW_DIRECTIONS = 16
_FEW_COORDINATES = 64
# Nearest rows that stand out of the others by less than that many times what the
# nearest of as many isotropic vectors of the same effective dimension would.
_CHANCE = 1.15
_ISOTROPIC = 0.8
_MANY_CONSTANT = 0.05
_MANY_EQUAL = 0.1
# A row that much nearer than the median row, in squared distance, is nearly a copy.
_NEARLY_EQUAL = 1e-4
# The order of neighbors is lost where rounding moves them by that share of the gap
# between the k-th and the 2k-th.
_LOST = 0.5
_SAME = 1e-9


def doubts(
    profile: HeterogeneityProfiler,
    rows: np.ndarray,
    near: np.ndarray,
    n_neighbors: int,
    metric: str,
) -> list[str]:
    """List what speaks against codes of one or two bits, whatever was measured.

    Parameters
    ----------
    profile : fitted HeterogeneityProfiler
    rows : ndarray of shape (n_rows, d)
    near : ndarray of shape (n_queries, n_some_rows)
        Exact distances of queries to some of the rows, euclidean ones squared.
    n_neighbors : int
    metric : {"cosine", "euclidean", "inner_product"}
    """
    d = profile.n_features_in_
    found = []
    n_constant = profile.constant_features_.size
    if n_constant == d:
        return ["All rows are the same: there is nothing to search."]
    if n_constant > _MANY_CONSTANT * d:
        found.append(
            f"{n_constant} of {d} coordinates never vary. They cost memory and tell "
            "nothing: drop them."
        )
    if d < _FEW_COORDINATES:
        found.append(
            f"Vectors have {d} coordinates only: codes of one bit can tell few rows "
            "apart, and vectors so short cost little as they are."
        )
    effective = profile.effective_dimension_
    if effective < min(_FEW_DIRECTIONS, (d - n_constant) / 2):
        found.append(
            f"The variance is spread as over {effective:.1f} directions only (low "
            "effective dimension): many bits repeat what others say, so that near rows "
            "share codes and only reranking tells them apart."
        )
    if effective > _ISOTROPIC * (d - n_constant) and _by_chance(
        near, n_neighbors, effective
    ):
        found.append(
            "The vectors look like isotropic noise: the nearest rows are hardly nearer "
            "than chance would have it, so that neighbors themselves mean little."
        )
    equal = 1 - len({row.tobytes() for row in rows}) / len(rows)
    if equal > _MANY_EQUAL:
        found.append(
            f"{equal:.0%} of the sampled rows are copies of others: remove duplicates, "
            "which fill the lists of neighbors."
        )
    elif metric != "inner_product":
        copies = _near_copies(near)
        if copies > _MANY_EQUAL:
            found.append(
                f"{copies:.0%} of the queries find near copies of themselves. Such "
                "neighbors are found by any code: recall says little of queries that "
                "have none. Remove near duplicates, or pass queries without copies."
            )
    return found


def lost_digits(
    rows: np.ndarray,
    queries: np.ndarray,
    near: np.ndarray,
    n_neighbors: int,
    metric: str,
    dtype: np.dtype,
) -> list[str]:
    """Warn if neighbors cannot be told apart in the precision of the input.

    Parameters
    ----------
    rows, queries : ndarrays of shape (n_rows, d) and (n_queries, d)
    near : ndarray of shape (n_queries, n_rows)
        Exact distances, euclidean ones squared.
    n_neighbors : int
    metric : {"cosine", "euclidean", "inner_product"}
    dtype : dtype
        Of the input, whose values were rounded to it. Integers are taken as exact.

    Notes
    -----
    Rounding moves a vector x by about u |x| / sqrt(3) in a random direction, with u
    half the spacing of numbers around 1. Coordinates that are equal in all rows are
    rounded alike and do not count.
    """
    if dtype.kind != "f" or near.shape[1] < 2:
        return []
    if metric == "cosine":
        rows, queries = (unit_norm(x, np.float64) for x in (rows, queries))
    varying = rows[:, np.ptp(rows, axis=0) > 0].astype(np.float64)
    moved = np.sqrt(np.square(varying).sum(axis=1).mean() / 3)
    moved *= np.finfo(dtype).eps / 2
    last = min(2 * n_neighbors, near.shape[1]) - 1
    first = max(min(n_neighbors, last) - 1, 0)
    ordered = np.partition(near, [first, last], axis=1)
    k_th, beyond = ordered[:, first], ordered[:, last]
    # The part of the move along a line, which is what changes a distance or a product.
    error = np.full(len(near), moved * (2 / max(varying.shape[1], 1)) ** 0.5)
    if metric == "inner_product":
        error *= np.linalg.norm(queries.astype(np.float64), axis=1)
    else:
        scale = 2.0 if metric == "cosine" else 1.0  # half squares to squares
        k_th, beyond = (np.sqrt(scale * np.maximum(x, 0)) for x in (k_th, beyond))
        error += moved * np.minimum(moved, k_th) / np.where(k_th > 0, k_th, 1)
    gap = beyond - k_th
    apart = gap > _SAME * np.abs(beyond)  # not copies of one row
    if apart.mean() < 0.5 or np.median((_LOST * gap - error)[apart]) > 0:
        return []
    return [
        f"Neighbors cannot be told apart in the precision of the input ({dtype}): "
        "vectors differ by little more than what rounding has taken from them. "
        "Subtract what all rows have in common before rounding, or store more digits."
    ]


def _near_copies(near: np.ndarray) -> float:
    """Return the share of queries with a row that is nearly equal."""
    limit = _NEARLY_EQUAL * np.median(near, axis=1)
    return float((near.min(axis=1) < limit).mean())


def _by_chance(near: np.ndarray, n_neighbors: int, dimension: float) -> bool:
    """Whether the k-th nearest row stands out as one of isotropic vectors would.

    Their cosine t has (1 + t) / 2 distributed as Beta((d - 1) / 2, (d - 1) / 2).
    """
    n_rows = near.shape[1]
    if n_neighbors >= n_rows // 4:
        return False
    deviation = near.std(axis=1)
    k_th = np.partition(near, n_neighbors - 1, axis=1)[:, n_neighbors - 1]
    height = (near.mean(axis=1) - k_th) / np.where(deviation > 0, deviation, 1.0)
    half = max(dimension - 1, 1) / 2
    by_chance = 2 * beta.ppf(1 - n_neighbors / n_rows, half, half) - 1
    return float(np.median(height)) < _CHANCE * by_chance * dimension**0.5
