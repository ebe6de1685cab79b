"""Embeddings that ship with the package, and generators of made ones."""

from ._generators import make_gaussian, make_low_rank_clusters, make_sphere
from ._wordnet import load_wordnet_minilm

__all__ = [
    "load_wordnet_minilm",
    "make_gaussian",
    "make_low_rank_clusters",
    "make_sphere",
]
