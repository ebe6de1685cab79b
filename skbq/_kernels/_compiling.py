"""One place that says how kernels are compiled."""

import os
from typing import Any

import numba


def _nothing() -> None: ...


def _can_cache() -> bool:
    """Tell whether numba finds a folder to keep compiled kernels in.

    Where neither the package nor the home folder can be written, numba refuses
    ``cache=True`` at decoration, which would break the import.
    """
    if os.environ.get("SKBQ_NUMBA_CACHE", "1") == "0":
        return False
    try:
        numba.njit(cache=True)(_nothing)
    except RuntimeError:
        return False
    return True


# Threads share a kernel (nogil); parallelism is joblib's, never numba's, whose
# workqueue layer kills the process when two Python threads call it.
kernel: Any = numba.njit(nogil=True, cache=_can_cache())
