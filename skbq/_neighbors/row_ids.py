"""Identifiers of rows, as arrays that a file holds and that are read where needed."""

from collections.abc import Iterable

import numpy as np

# int64 numbers; or text in UTF-8, one after the other, and where each ends.
PackedIds = np.ndarray | tuple[np.ndarray, np.ndarray]


def pack_ids(ids: np.ndarray) -> PackedIds:
    """Pack int64 or text, one for each row."""
    if ids.dtype != object:
        return ids.astype(np.int64)
    texts = [str(text).encode() for text in ids]
    return np.frombuffer(b"".join(texts), np.uint8), np.cumsum([len(t) for t in texts])


def ids_of(packed: PackedIds | None, rows: Iterable[int]) -> list[int | str]:
    """Return the identifiers of rows; rows added without one keep their number."""
    if packed is None:
        return [int(row) for row in rows]
    if not isinstance(packed, tuple):
        return [int(packed[row]) if row < len(packed) else int(row) for row in rows]
    text, ends = packed
    found: list[int | str] = []
    for row in rows:
        if row >= len(ends):
            found.append(int(row))
            continue
        start = int(ends[row - 1]) if row else 0
        found.append(text[start : int(ends[row])].tobytes().decode(errors="replace"))
    return found


def join_ids(parts: list[PackedIds | None], counts: list[int]) -> PackedIds | None:
    """Join the identifiers of several indexes; if some have none, all lose them.

    Raises
    ------
    ValueError
        If some are text and others numbers.
    """
    kept = [part for part in parts if part is not None]
    if len(kept) < len(parts):
        return None
    rows = [ids_of(part, range(n)) for part, n in zip(kept, counts, strict=True)]
    if len({isinstance(part, tuple) for part in kept}) > 1:
        raise ValueError("some indexes have identifiers of text, others of numbers")
    return pack_ids(
        np.array([i for part in rows for i in part], dtype=object)
        if isinstance(kept[0], tuple)
        else np.array([i for part in rows for i in part])
    )
