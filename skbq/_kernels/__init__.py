"""Compiled loops. Arrays in, the caller's arrays filled; no exceptions, no threads.

Nothing is compiled on import: a kernel is compiled at its first call and kept in
numba's cache, unless the environment variable ``SKBQ_NUMBA_CACHE`` is 0.
"""
