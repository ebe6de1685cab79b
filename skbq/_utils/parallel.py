"""Slices, threads and working memory: the only module that uses joblib.

joblib says how many threads ``n_jobs`` stands for. They are Python's own, which start
in a fraction of a millisecond where joblib's take ten or more.

BLAS has threads of its own. On top of ours they would be more than processors, and
for small products they wait for each other longer than they compute, above all on a
busy machine (``benchmarks/blas_threads.py`` times it on yours).
:data:`one_blas_thread` limits them.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from threadpoolctl import LibController, ThreadpoolController

# What a second-level cache holds beside the arrays that are read along.
_CACHE_BYTES = 2**20

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class _OneBlasThread:
    """A context in which BLAS uses one thread, for the whole process.

    Threads may enter at different times: the first one in limits, and the last one out
    restores what was set before. It may be entered again inside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._libraries: list[LibController] = []
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._limit()
            self._depth += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._restore()

    def n_threads(self) -> int:
        """Return how many threads BLAS uses now: 1 inside of the context."""
        with self._lock:
            if self._depth:
                return 1
            return max((lib.get_num_threads() for lib in self._find()), default=1)

    def _find(self) -> list[LibController]:
        # Those of numpy and scipy, which are loaded by now: to look takes milliseconds.
        if not self._libraries:
            blas = ThreadpoolController().select(user_api="blas")
            self._libraries = blas.lib_controllers
        return self._libraries

    def _limit(self) -> None:
        self._before = [library.get_num_threads() for library in self._find()]
        self._set([1] * len(self._before))

    def _restore(self) -> None:
        self._set(self._before)

    def _set(self, n_threads: list[int]) -> None:
        for library, n in zip(self._find(), n_threads, strict=True):
            library.set_num_threads(n)
            # Recent versions let only the thread that set a limit change it until it
            # gives way; here the last one out may be another.
            give_way = getattr(library, "clear_controlling_thread", None)
            if give_way is not None:
                give_way()

    def restart(self) -> None:
        """Forget, in a forked process, the threads that did not come along."""
        self._lock = threading.Lock()
        if self._depth:
            self._depth = 0
            self._restore()


one_blas_thread = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_blas_thread.restart)


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
    if n_rows <= 1:  # cannot be cut
        return fixed_blocks(n_rows, 1)
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
    """Return the number of threads that ``n_jobs`` stands for, as in scikit-learn.

    Backends of processes would count, and warn of, processes: here are only threads.
    """
    if n_jobs == 1:
        return 1
    backend, configured = get_active_backend()
    if n_jobs is None and configured == 1:
        return 1
    if not getattr(backend, "uses_threads", False):
        with parallel_config("threading"):
            return effective_n_jobs(configured if n_jobs is None else n_jobs)
    return effective_n_jobs(n_jobs)


def even_slices(n: int, parts: int) -> list[slice]:
    """Cut a range into at most ``parts`` slices of nearly equal length."""
    parts = max(1, min(parts, n))
    ends = [n * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def run_threads(
    function: Callable[[_Part], _Result], parts: Sequence[_Part]
) -> list[_Result]:
    """Call ``function`` on every part, each in a thread, results in order.

    Kernels release the interpreter lock, so that threads share arrays and start at
    once. BLAS uses one thread meanwhile.
    """
    if len(parts) == 1:
        return [function(parts[0])]
    settings = get_config()  # of this thread: others start with the defaults

    def run(part: _Part) -> _Result:
        with config_context(**settings):
            return function(part)

    with one_blas_thread, ThreadPoolExecutor(max(1, len(parts))) as pool:
        return list(pool.map(run, parts))


def map_slices(
    function: Callable[[slice], _Result], n_rows: int, n_jobs: int | None
) -> list[_Result]:
    """Call ``function`` on even slices of rows, one for each thread, in order."""
    if n_rows <= 1:  # as a single query, to whom the number of threads is nothing
        return [function(slice(0, n_rows))]
    return run_threads(function, even_slices(n_rows, count_jobs(n_jobs)))


def count_workers(n_jobs: int | None) -> int:
    """Return to how many processes of dask joblib sends work; 0: to none.

    That is asked for by ``parallel_config(backend="dask")``. Other backends of joblib
    have no workers elsewhere: threads of this process do what they would.
    """
    backend, _ = get_active_backend()
    if n_jobs == 1 or type(backend).__name__ != "DaskDistributedBackend":
        return 0
    return effective_n_jobs(-1 if n_jobs is None else n_jobs)


def map_workers(
    function: Callable[..., _Result], calls: Iterable[tuple[object, ...]]
) -> Iterator[_Result]:
    """Call ``function`` in the workers of dask, results in order as they come."""
    parallel = Parallel(return_as="generator")
    yield from parallel(delayed(function)(*arguments) for arguments in calls)
