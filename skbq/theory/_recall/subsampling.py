"""Recall inside a sample of rows and inside random subsets of it, in expectation.

A row is a hit of recall@k with K candidates if fewer than k rows are more similar
and fewer than K rows score higher. When every row is kept at random with probability
p, the numbers of kept rows that are ahead in both orders, in similarity alone and in
score alone are independent binomial variables: the expected recall of the thinned
sample needs no resampling (derived for this project, see the theory chapter).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import gammaln

# Fixed: ties are broken by, and blocks of rows are drawn from, one random order.
_ORDER_SEED = 0


@dataclass(frozen=True)
class Ranks:
    """Orders of the rows most similar to each query.

    Attributes
    ----------
    n_rows : int
        Rows of the sample.
    in_score, in_both : ndarray of shape (n_queries, depth)
        For the row of similarity rank a (column a): how many rows of the sample score
        higher, and how many of these are more similar as well.
    in_similarity : ndarray of shape (n_queries, depth)
        How many rows are more similar: a, unless a block of rows is left out.
    kept : ndarray of shape (n_queries, depth)
        Whether the row is part of the sample (False in a block that is left out).
    """

    n_rows: int
    in_score: np.ndarray
    in_both: np.ndarray
    in_similarity: np.ndarray
    kept: np.ndarray


def rank_rows(
    similarities: np.ndarray, scores: np.ndarray, depth: int, n_blocks: int
) -> tuple[Ranks, list[Ranks]]:
    """Rank the ``depth`` most similar rows of each query, and without each block.

    Equal similarities and equal scores are broken by the same random order of the
    rows, which also cuts the rows into blocks.

    Returns
    -------
    whole : Ranks
    without : list of Ranks, one for each of the ``n_blocks`` blocks of rows
    """
    n_queries, n_rows = similarities.shape
    depth = min(depth, n_rows)
    order = np.random.default_rng(_ORDER_SEED).permutation(n_rows)
    block = np.arange(n_rows) * n_blocks // n_rows
    shape = (n_blocks + 1, n_queries, depth)
    score, both, similar = (np.empty(shape, dtype=np.int32) for _ in range(3))
    kept = np.empty(shape, dtype=bool)
    for query in range(n_queries):
        nearest = np.argsort(-similarities[query, order], kind="stable")[:depth]
        by_score = np.argsort(-scores[query, order], kind="stable")
        rank = np.empty(n_rows, dtype=np.int32)
        rank[by_score] = np.arange(n_rows, dtype=np.int32)
        counts = _ahead(rank[nearest], block[nearest], block[by_score], n_blocks)
        score[:, query], both[:, query], similar[:, query] = counts
        kept[0, query] = True
        kept[1:, query] = block[nearest] != np.arange(n_blocks)[:, None]
    sizes = n_rows - np.bincount(block, minlength=n_blocks)
    cuts = [
        Ranks(int(size), score[i], both[i], similar[i], kept[i])
        for i, size in enumerate([n_rows, *sizes])
    ]
    return cuts[0], cuts[1:]


def rank_neighbors(
    similarities: np.ndarray, scores: np.ndarray, n_neighbors: int
) -> np.ndarray:
    """Count the rows that score higher than each of the nearest, without sorting all.

    Returns
    -------
    in_score : ndarray of shape (n_queries, n_neighbors)
        As in `Ranks`, ties included.
    """
    n_queries, n_rows = similarities.shape
    order = np.random.default_rng(_ORDER_SEED).permutation(n_rows)
    in_score = np.empty((n_queries, n_neighbors), dtype=np.int64)
    for query in range(n_queries):
        similar, score = similarities[query, order], scores[query, order]
        last = np.partition(similar, n_rows - n_neighbors)[n_rows - n_neighbors]
        near = np.flatnonzero(similar >= last)
        near = near[np.argsort(-similar[near], kind="stable")[:n_neighbors]]
        in_score[query] = [
            np.count_nonzero(score > score[row])
            + np.count_nonzero(score[:row] == score[row])
            for row in near
        ]
    return in_score


def _ahead(
    rank: np.ndarray, block: np.ndarray, block_by_score: np.ndarray, n_blocks: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows ahead of each of the nearest rows of one query, without each block.

    Returns three (n_blocks + 1, depth) arrays (score, both, similarity); the first
    row counts the whole sample.
    """
    depth = len(rank)
    member = block == np.arange(n_blocks)[:, None]
    deepest = int(rank.max()) + 1
    scored = np.zeros((n_blocks, deepest + 1), dtype=np.int32)
    np.cumsum(
        block_by_score[:deepest] == np.arange(n_blocks)[:, None],
        axis=1,
        out=scored[:, 1:],
    )
    in_score = rank - np.vstack([np.zeros(depth, dtype=np.int32), scored[:, rank]])
    better = np.tril(rank[None, :] < rank[:, None], -1).astype(np.float32)
    both_of_block = better @ member.T.astype(np.float32)
    in_both = better.sum(axis=1) - np.vstack([np.zeros(depth), both_of_block.T])
    similar_of_block = np.cumsum(member, axis=1) - member
    in_similarity = np.arange(depth) - np.vstack(
        [np.zeros(depth, dtype=np.int64), similar_of_block]
    )
    return in_score, in_both, in_similarity


def sample_recall(ranks: Ranks, n_neighbors: int, n_candidates: float) -> np.ndarray:
    """Recall@n_neighbors of each query among its best ``n_candidates`` scores.

    A fractional number of candidates counts the last one in part.
    """
    true = ranks.kept & (ranks.in_similarity < n_neighbors)
    found = np.clip(n_candidates - ranks.in_score, 0.0, 1.0)
    return (true * found).sum(axis=1) / n_neighbors


def thinned_recall(
    ranks: Ranks, n_neighbors: int, n_candidates: int, share: float
) -> np.ndarray:
    """Return the expected recall when each row is kept with probability ``share``.

    Exact up to the rows beyond ``Ranks`` depth (see `thinning_depth`).

    Returns
    -------
    recall : ndarray of shape (n_queries,)
    """
    depth = min(thinning_depth(n_neighbors, share), ranks.in_score.shape[1])
    in_both = ranks.in_both[:, :depth]
    similar_only = ranks.in_similarity[:, :depth] - in_both
    # Rows with so many better scores are never among the candidates.
    hopeless = thinning_depth(n_candidates, share)
    scored_only = np.minimum(ranks.in_score[:, :depth] - in_both, hopeless)
    exactly, at_most = _binomial_tables(n_neighbors, depth, share)
    _, at_most_scored = _binomial_tables(n_candidates, hopeless, share)
    hit = np.zeros(in_both.shape, dtype=np.float32)
    for j in range(n_neighbors):
        hit += (
            exactly[j].take(in_both)
            * at_most[n_neighbors - 1 - j].take(similar_only)
            * at_most_scored[n_candidates - 1 - j].take(scored_only)
        )
    hit *= ranks.kept[:, :depth]
    return share * hit.sum(axis=1, dtype=float) / n_neighbors


def thinning_depth(count: int, share: float) -> int:
    """Rows after which more than ``count`` kept ones are all but certain."""
    return int(np.ceil((count + 6 * np.sqrt(count) + 8) / share))


@lru_cache(maxsize=256)
def _binomial_tables(
    n_counts: int, n_trials: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """P(X = j) and P(X <= j) for X ~ B(m, share), (n_counts, n_trials + 1)."""
    j = np.arange(n_counts)[:, None]
    m = np.arange(n_trials + 1)[None, :]
    missed = np.maximum(m - j, 0)
    log_pmf = gammaln(m + 1) - gammaln(j + 1) - gammaln(missed + 1)
    log_pmf += j * np.log(share) + missed * np.log1p(-share)
    exactly = np.where(m >= j, np.exp(log_pmf), 0.0)
    at_most = np.minimum(np.cumsum(exactly, axis=0), 1.0)
    return exactly.astype(np.float32), at_most.astype(np.float32)
