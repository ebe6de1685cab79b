"""Float tables rounded to 8 bits, with a bound of the error."""

from collections.abc import Callable

import numpy as np

from .jit import kernel
from .memory import aligned_copy
from .tiles import ENTRIES

# Float tables that are made at a time.
_FLOAT_TABLE_BYTES = 2**20
# Lines whose rounded entries are added in 8 bits: more of them need fewer
# instructions and give looser bounds, so more rows to evaluate.
ROUNDED_GROUP = 8
# The sum of a group may reach at least this many standard deviations above its mean
# before it is cut off. Near rows stay below; a short reach makes the rounding finer.
_REACH = 1.0


def rounded(
    raw: Callable[[slice], np.ndarray], n_queries: int, n_lines: int
) -> tuple[np.ndarray, np.ndarray]:
    """Round float tables to 8 bits, a few queries at a time.

    Parameters
    ----------
    raw : callable
        slice of queries -> float64 tables (n_queries, n_lines, ENTRIES)

    Returns
    -------
    tables : uint8 array of shape (n_queries * n_lines, ENTRIES)
    bounds : float32 array of shape (n_queries, 2)
        The first field of ``Bounds``.
    """
    tables = aligned_copy(np.zeros((n_queries, n_lines, ENTRIES), np.uint8))
    bounds = np.empty((n_queries, 2), np.float32)
    step = max(1, _FLOAT_TABLE_BYTES // (8 * ENTRIES * n_lines))
    for start in range(0, n_queries, step):
        some = slice(start, start + step)
        round_tables(raw(some), ROUNDED_GROUP, _REACH, tables[some], bounds[some])
    return tables.reshape(-1, ENTRIES), bounds


@kernel
def _least(table):
    least = table[0]
    for entry in table:
        least = min(least, entry)
    return least


@kernel
def _finest_step(raw, group, reach):
    """Return the step by which rounded tables reach as far as they must in 8 bits.

    The sum of a group of tables above its least value must reach its mean plus
    ``reach`` standard deviations, over random bits, or its largest value.
    """
    n_entries, farthest = raw.shape[1], 0.0
    for start in range(0, raw.shape[0], group):
        mean = variance = full = 0.0
        for p in range(start, min(start + group, raw.shape[0])):
            low, total, squares, most = _least(raw[p]), 0.0, 0.0, 0.0
            for c in range(n_entries):
                above = raw[p, c] - low
                total += above
                squares += above * above
                most = max(most, above)
            mean += total / n_entries
            variance += squares / n_entries - (total / n_entries) ** 2
            full += most
        wanted = mean + reach * np.sqrt(max(variance, 0.0))
        farthest = max(farthest, min(full, wanted))
    return np.float64(np.float32(farthest / 255))


@kernel
def round_tables(raw, group, reach, tables, bounds):
    """Round float tables to 7 bits.

    An entry is the nearest number of steps above the least value of its table. The sum
    of entries, groups of which stop at 255, is then below the float sum but for what
    rounding has added: at most, table by table, the largest such error.

    Parameters
    ----------
    raw : float64 array (n_queries, n_lines, ENTRIES)
    group : int
        Number of lines whose entries are added in 8 bits.
    reach : float
        As in ``_finest_step``.
    tables : uint8 array (n_queries, n_lines, ENTRIES)
        Filled.
    bounds : float32 array (n_queries, 2)
        Filled with step and base: sums of ``raw`` are at least ``base + step * sum``.
    """
    n_entries = raw.shape[2]
    for q in range(raw.shape[0]):
        step = _finest_step(raw[q], group, reach)
        inverse = 1 / step if step > 0 else 0.0
        base = largest = 0.0
        for p in range(raw.shape[1]):
            low, added, most = _least(raw[q, p]), 0.0, 0.0
            for c in range(n_entries):
                above = raw[q, p, c] - low
                entry = min(np.floor(above * inverse + 0.5), 127.0)
                tables[q, p, c] = np.uint8(entry)
                added = max(added, step * entry - above)
                most = max(most, abs(raw[q, p, c]))
            base += low - added
            largest += most
        # Room for the float32 arithmetic of ``mask_near``: its intermediate values
        # are below 4 * largest, and each rounds by 2^-24 of itself.
        bounds[q, 0], bounds[q, 1] = step, base - largest * 2.0**-18
