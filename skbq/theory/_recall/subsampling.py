"""Recall inside a sample of rows and inside random subsets of it, in expectation.

A row is a hit of recall@k with K candidates if fewer than k rows are more similar
and fewer than K rows score higher. When every row is kept at random with probability
p, the numbers of kept rows that are ahead in both orders, in similarity alone and in
score alone are independent binomial variables: the expected recall of the subsample
needs no resampling. Called by :func:`predict_recall`; equations are those of the theory
chapter of the documentation.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

# Any, but fixed: ties are broken by, and blocks of rows are drawn from, one random
# order of the rows.
_ORDER_SEED = 0
# Standard deviations, and a few rows more for small counts, after which a count of
# Poisson or binomial type is all but certain to be reached: 1e-9.
_DEVIATIONS = 6
_FEW = 8


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
        ahead = _ahead(rank[nearest], block[nearest], block[by_score], n_blocks)
        score[:, query], both[:, query], similar[:, query] = ahead
        kept[0, query] = True
        kept[1:, query] = block[nearest] != np.arange(n_blocks)[:, None]
    sizes = n_rows - np.bincount(block, minlength=n_blocks)
    whole, *without = [
        Ranks(int(size), score[i], both[i], similar[i], kept[i])
        for i, size in enumerate([n_rows, *sizes])
    ]
    return whole, without


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


class _Ahead(NamedTuple):
    """Rows ahead of each of the nearest rows of one query, (n_blocks + 1, depth) each.

    The first row counts the whole sample, the others leave one block out.
    """

    in_score: np.ndarray
    in_both: np.ndarray
    in_similarity: np.ndarray


def _ahead(
    rank: np.ndarray, block: np.ndarray, block_by_score: np.ndarray, n_blocks: int
) -> _Ahead:
    """Count them from the ranks by score of the rows in order of similarity."""
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
    return _Ahead(in_score, in_both, in_similarity)


def sample_recall(ranks: Ranks, n_neighbors: int, n_candidates: float) -> np.ndarray:
    """Recall@n_neighbors of each query among its best ``n_candidates`` scores.

    A fractional number of candidates counts the last one in part.
    """
    true = ranks.kept & (ranks.in_similarity < n_neighbors)
    found = np.clip(n_candidates - ranks.in_score, 0.0, 1.0)
    return (true * found).sum(axis=1) / n_neighbors


def subsampled_recall(
    ranks: Ranks, n_neighbors: int, n_candidates: int, share: float
) -> np.ndarray:
    """Return the expected recall when each row is kept with probability ``share``.

    Eq. (6.9), exact up to the rows beyond ``Ranks`` depth (see `subsampling_depth`).

    Returns
    -------
    recall : ndarray of shape (n_queries,)
    """
    depth = min(subsampling_depth(n_neighbors, share), ranks.in_score.shape[1])
    in_both = ranks.in_both[:, :depth]
    similar_only = ranks.in_similarity[:, :depth] - in_both
    # Rows with so many better scores are never among the candidates.
    deepest = subsampling_depth(n_candidates, share)
    scored_only = np.minimum(ranks.in_score[:, :depth] - in_both, deepest)
    near = _binomial_tables(n_neighbors, depth, share)
    scored = _binomial_tables(n_candidates, deepest, share)
    hit = np.zeros(in_both.shape, dtype=np.float32)
    for j in range(n_neighbors):
        hit += (
            near.exactly[j].take(in_both)
            * near.at_most[n_neighbors - 1 - j].take(similar_only)
            * scored.at_most[n_candidates - 1 - j].take(scored_only)
        )
    hit *= ranks.kept[:, :depth]
    return share * hit.sum(axis=1, dtype=float) / n_neighbors


def subsampling_depth(count: int, share: float) -> int:
    """Rows after which more than ``count`` kept ones are all but certain."""
    return int(np.ceil((count + _DEVIATIONS * np.sqrt(count) + _FEW) / share))


class _Binomial(NamedTuple):
    """P(X = j) and P(X <= j) for X ~ B(m, share), (n_counts, n_trials + 1)."""

    exactly: np.ndarray
    at_most: np.ndarray


# As many as one prediction asks for: 2 shares, 16 neighbors, 8 oversamplings.
@lru_cache(maxsize=256)
def _binomial_tables(n_counts: int, n_trials: int, share: float) -> _Binomial:
    j = np.arange(n_counts)[:, None]
    m = np.arange(n_trials + 1)[None, :]
    missed = np.maximum(m - j, 0)
    log_pmf = gammaln(m + 1) - gammaln(j + 1) - gammaln(missed + 1)
    log_pmf += j * np.log(share) + missed * np.log1p(-share)
    exactly = np.where(m >= j, np.exp(log_pmf), 0.0)
    at_most = np.minimum(np.cumsum(exactly, axis=0), 1.0)
    return _Binomial(exactly.astype(np.float32), at_most.astype(np.float32))
