"""How well a score ranks pairs of vectors."""

import numpy as np
from numpy.typing import ArrayLike

from .._utils.params import as_real_array
from .._utils.statistics import rank_correlation


def ranking_fidelity(true_similarity: ArrayLike, score: ArrayLike) -> float:
    """Return Spearman's rank correlation of a score with the true similarity.

    Parameters
    ----------
    true_similarity : array-like of any shape
        Similarity of each pair of vectors, larger for more alike. Equal values share
        their mean rank.
    score : array-like of the same shape
        What a code gives for the same pairs, larger for more alike: pass distances
        with a minus sign.

    Returns
    -------
    fidelity : float
        Between -1 and 1; 1 if the score ranks all pairs as they are.

    Raises
    ------
    ValueError
        If the shapes differ, values are not finite, or one side is constant, which
        ranks nothing.

    See Also
    --------
    RankingFidelityScorer : The same of a fitted index.

    Examples
    --------
    >>> from skbq.metrics import ranking_fidelity
    >>> print(f"{ranking_fidelity([0.1, 0.5, 0.9, 0.7], [3, 4, 8, 8]):.3f}")
    0.949
    """
    sides = []
    for name, values in (("true_similarity", true_similarity), ("score", score)):
        side = as_real_array(values, name)
        if not np.isfinite(side).all():
            raise ValueError(f"{name} holds NaN or infinity; pass finite values.")
        if side.size == 0 or np.ptp(side) == 0:
            raise ValueError(
                f"{name} has the same value for all of {side.size} pairs, which "
                "leaves nothing to rank."
            )
        sides.append(side)
    if sides[0].shape != sides[1].shape:
        raise ValueError(
            "true_similarity and score must have the same shape. "
            f"Got {sides[0].shape} and {sides[1].shape} instead."
        )
    return rank_correlation(*(side.ravel() for side in sides))
