"""Joining the files of indexes that share what they have learned."""

import json
from collections.abc import Sequence

import numpy as np

from ..codes import with_layout
from .index import BinaryNeighbors
from .row_ids import join_ids
from .state import IndexState, read_index, to_state, write_index

# Attributes with a value for each row, and along which axis.
_BY_ROW = {"_corrections": 1, "_vectors": 0}


def merge_files(paths: Sequence[str], out: str, *, verify: bool = True) -> int:
    """Join the rows of index files, whose quantizers must have learned the same.

    Parameters
    ----------
    paths : sequence of str
        In the order of their rows.
    out : str
        The file that is written.
    verify : bool, default=True
        Whether to compare the checksums of all arrays.

    Returns
    -------
    n_rows : int

    Raises
    ------
    ValueError
        If files cannot be joined, naming the one that differs from the first.
    """
    parts = [
        read_index(path, BinaryNeighbors, mapped=True, verify=verify) for path in paths
    ]
    first, *_ = parts
    for path, part in zip(paths, parts, strict=True):
        if part.attributes.get("_lists") is not None:
            raise ValueError(
                f"{path} has its rows in lists (algorithm='ivf'), which are those of "
                "its rows alone: join files of algorithm='brute', and fit lists then"
            )
        alike = part.codes.layout == first.codes.layout
        if not alike or _shared(part) != _shared(first):
            raise ValueError(
                f"{path} does not share what {paths[0]} has learned, or its settings: "
                f"encode it with --like {paths[0]}"
            )
    counts = [len(part.codes) for part in parts]
    attributes = {**first.attributes, "n_samples_fit_": sum(counts)}
    for name, axis in _BY_ROW.items():
        columns = [part.attributes[name] for part in parts]
        if isinstance(columns[0], tuple):
            attributes[name] = tuple(map(np.concatenate, zip(*columns, strict=True)))
        elif columns[0] is not None:
            attributes[name] = np.concatenate(columns, axis=axis)
    if "_distortion" in attributes:
        distortions = [part.attributes["_distortion"] for part in parts]
        attributes["_distortion"] = max(distortions)
    removed = [part.attributes["_removed"] for part in parts]
    attributes["_removed"] = join_removed(removed, counts)
    ids = [part.attributes.get("_ids") for part in parts]
    attributes["_ids"] = join_ids(ids, counts)
    plain = np.concatenate([np.asarray(part.codes) for part in parts])
    layout = first.codes.layout
    assert layout is not None
    codes = with_layout(plain, layout)
    write_index(out, BinaryNeighbors, IndexState(codes, attributes))
    return len(codes)


def _shared(part: IndexState) -> tuple[str, list[bytes]]:
    """Return what must be the same in indexes that are joined."""
    arrays: list[np.ndarray] = []
    by_row = {*_BY_ROW, "_removed", "_ids", "_distortion", "n_samples_fit_"}
    state = {
        name: to_state(value, arrays)
        for name, value in sorted(part.attributes.items())
        if name not in by_row
    }
    kept = [name for name in _BY_ROW if part.attributes[name] is not None]
    return json.dumps([state, kept]), [a.tobytes() for a in arrays]


def join_removed(
    removed: Sequence[np.ndarray | None], counts: Sequence[int]
) -> np.ndarray | None:
    """Join what says which rows were removed, None where none were.

    Parameters
    ----------
    removed : sequence of bool arrays or None
    counts : sequence of int
        How many rows each part has.
    """
    if all(rows is None for rows in removed):
        return None
    return np.concatenate(
        [
            np.zeros(count, bool) if rows is None else rows
            for rows, count in zip(removed, counts, strict=True)
        ]
    )
