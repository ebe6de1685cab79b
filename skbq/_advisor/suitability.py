"""Signs that vectors are not made for one or two bits, in plain words."""

import numpy as np
from scipy.stats import beta

from .._profiling.profiler import HeterogeneityProfiler

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


def doubts(
    profile: HeterogeneityProfiler,
    rows: np.ndarray,
    similarities: np.ndarray,
    n_neighbors: int,
    metric: str,
) -> list[str]:
    """List what speaks against codes of one or two bits, whatever was measured.

    Parameters
    ----------
    profile : fitted HeterogeneityProfiler
    rows : ndarray of shape (n_rows, d)
    similarities : ndarray of shape (n_queries, n_some_rows)
        Of queries to some of the rows.
    n_neighbors : int
    metric : {"cosine", "euclidean", "inner_product"}
    """
    d = rows.shape[1]
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
        similarities, n_neighbors, effective
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
        copies = _near_copies(similarities, metric)
        if copies > _MANY_EQUAL:
            found.append(
                f"{copies:.0%} of the queries find near copies of themselves. Such "
                "neighbors are found by any code: recall says little of queries that "
                "have none. Remove near duplicates, or pass queries without copies."
            )
    return found


def _near_copies(similarities: np.ndarray, metric: str) -> float:
    """Return the share of queries with a row that is nearly equal."""
    squared = (1.0 if metric == "cosine" else 0.0) - similarities
    limit = _NEARLY_EQUAL * np.median(squared, axis=1)
    return float((squared.min(axis=1) < limit).mean())


def _by_chance(similarities: np.ndarray, n_neighbors: int, dimension: float) -> bool:
    """Whether the k-th nearest row stands out as one of isotropic vectors would.

    Their cosine t has (1 + t) / 2 distributed as Beta((d - 1) / 2, (d - 1) / 2).
    """
    n_rows = similarities.shape[1]
    if n_neighbors >= n_rows // 4:
        return False
    spread = similarities.std(axis=1)
    k_th = np.partition(similarities, n_rows - n_neighbors, axis=1)[:, -n_neighbors]
    height = (k_th - similarities.mean(axis=1)) / np.where(spread > 0, spread, 1.0)
    half = max(dimension - 1, 1) / 2
    by_chance = 2 * beta.ppf(1 - n_neighbors / n_rows, half, half) - 1
    return float(np.median(height)) < _CHANCE * by_chance * dimension**0.5
