"""Vectors that the suite measures on."""

import numpy as np

from skbq.datasets import make_low_rank_clusters

ROWS, D, QUERIES = 100_000, 768, 256


def vectors():
    """Return rows and queries, float32."""
    X = make_low_rank_clusters(ROWS + QUERIES, D, dtype=np.float32, random_state=0)
    return X[:ROWS], X[ROWS:]
