"""The index on a cluster of dask: the same answers, on more machines."""

from ._index import BinaryNeighbors

__all__ = ["BinaryNeighbors"]
