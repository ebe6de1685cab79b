"""How long a call takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(function: Callable[[], T], *, at_least: float = 0.0) -> tuple[float, T]:
    """Return the seconds of the fastest run, which others disturb least, and a result.

    Runs are repeated until ``at_least`` seconds are over.
    """
    times: list[float] = []
    while not times or sum(times) < at_least:
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result
