"""Slices, threads and working memory: the only module that uses joblib.

joblib says how many threads ``n_jobs`` stands for. They are Python's own, which start
in a fraction of a millisecond where joblib's take ten or more.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from joblib import effective_n_jobs
from sklearn import config_context, get_config

_CACHE_BYTES = 2**20


def row_blocks(
    n_rows: int, bytes_per_row: float, *, shares: int = 1
) -> Iterator[slice]:
    """Cut rows into blocks that fit scikit-learn's ``working_memory`` setting.

    Parameters
    ----------
    n_rows : int
    bytes_per_row : float
        Memory that the temporary arrays need for one row, in bytes.
    shares : int, default=1
        Number of threads that share the working memory.
    """
    budget = get_config()["working_memory"] * 2**20 / shares
    return fixed_blocks(n_rows, max(1, int(budget // max(bytes_per_row, 1))))


def cache_blocks(n_rows: int, bytes_per_row: float) -> Iterator[slice]:
    """Cut rows into blocks that stay within a second-level cache."""
    return fixed_blocks(n_rows, max(16, int(_CACHE_BYTES // max(bytes_per_row, 1))))


def fixed_blocks(n_rows: int, block_rows: int) -> Iterator[slice]:
    """Cut rows into blocks of ``block_rows``, the last one shorter."""
    for start in range(0, n_rows, block_rows):
        yield slice(start, min(start + block_rows, n_rows))


def count_jobs(n_jobs: int | None) -> int:
    """Return the number of threads that ``n_jobs`` stands for, as in scikit-learn."""
    return effective_n_jobs(n_jobs)


def even_slices(n: int, parts: int) -> list[slice]:
    """Cut a range into at most ``parts`` slices of nearly equal length."""
    parts = max(1, min(parts, n))
    ends = [n * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def run_threads(function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    """Call ``function`` on every part, each in a thread, results in order.

    Kernels release the interpreter lock, so that threads share arrays and start at
    once.
    """
    if len(parts) == 1:
        return [function(parts[0])]
    settings = get_config()  # of this thread: others start with the defaults

    def run(part: Any) -> Any:
        with config_context(**settings):
            return function(part)

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(run, parts))


def map_slices(
    function: Callable[[slice], Any], n_rows: int, n_jobs: int | None
) -> list[Any]:
    """Call ``function`` on even slices of rows, one for each thread, in order."""
    return run_threads(function, even_slices(n_rows, count_jobs(n_jobs)))
