"""What readers share: parts of arrays, missing libraries, small floats."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Protocol

import numpy as np

from .._utils.stored_rows import Part


class Stored(Protocol):
    """An array, in memory or in a file, that is read where it is sliced."""

    @property
    def dtype(self) -> np.dtype: ...
    @property
    def ndim(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


# Rows of a file without chunks of its own that are converted at a time.
_CHUNK_BYTES = 2**24


def need(library: str, kind: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    ImportError
        Naming the library and the extra.
    """
    try:
        return importlib.import_module(library)
    except ImportError:
        name = library.partition(".")[0]
        raise ImportError(
            f"reading {kind} needs {name}: pip install {name}, or skbq[files]"
        ) from None


def array_part(path: str, array: np.ndarray, ids: np.ndarray | None = None) -> Part:
    """Return the rows of an array, mapped or in memory.

    bfloat16, which numpy stores as two bytes without a type, and unsigned bytes of
    files that hold nothing but vectors (``widen``) are converted as they are read.
    """
    check_shape(path, array.shape)
    if array.dtype.kind == "V" and array.dtype.itemsize == 2 and not array.dtype.names:
        return converted_part(path, array, lambda rows: _bfloat16(array[rows]), ids)
    check_dtype(path, array.dtype)
    return Part(
        path,
        (len(array), array.shape[1]),
        array.dtype,
        lambda start, stop: array[start:stop],
        np.array([0, len(array)]),
        array,
        ids,
    )


def converted_part(
    path: str,
    array: Stored,
    convert: Callable[[slice], np.ndarray],
    ids: np.ndarray | None = None,
) -> Part:
    """Return rows that become float32 as they are read."""
    n, d = array.shape[:2]
    step = max(1, _CHUNK_BYTES // (4 * d))
    return Part(
        path,
        (n, d),
        np.dtype(np.float32),
        lambda start, stop: convert(slice(start, stop)),
        np.append(np.arange(0, n, step), n),
        ids=ids,
    )


def _bfloat16(array: np.ndarray) -> np.ndarray:
    high = np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16
    return high.view(np.float32)


def check_shape(path: str, shape: tuple[int, ...]) -> None:
    """Refuse what is no matrix."""
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"{path} has shape {tuple(shape)}, but expected is (rows, coordinates)"
        )


def check_dtype(path: str, dtype: np.dtype) -> None:
    """Refuse what is no number, or may be packed bits."""
    if dtype.kind not in "fi":
        raise ValueError(
            f"{path} holds {dtype}, but embeddings are floats or signed integers; save "
            "X.astype(numpy.float32) if these are vectors"
            + (
                ", X.view(ml_dtypes.bfloat16) if they are bfloat16 in uint16"
                if dtype == np.uint16
                else ""
            )
        )


def choose(path: str, names: Iterable[str], wanted: str | None, what: str) -> str:
    """Return the name that is wanted, or the only one.

    Raises
    ------
    ValueError
        Listing the names.
    """
    names = list(names)
    listed = ", ".join(names)
    if wanted is not None:
        if wanted not in names:
            raise ValueError(f"{path} has no {wanted!r}; there are: {listed}")
        return wanted
    if len(names) != 1:
        some = f"several {what} ({listed})" if names else f"no {what}"
        raise ValueError(f"{path} holds {some}; name one with --column")
    return names[0]


def no_columns(path: str, column: str | None, ids: str | None) -> None:
    """Refuse names where a file has none."""
    for option, name in (("--column", column), ("--ids", ids)):
        if name is not None:
            raise ValueError(f"{path} has no columns, so that {option} means nothing")


def as_ids(values: Sequence[object] | np.ndarray) -> np.ndarray:
    """Return identifiers as int64, or as text."""
    array = np.asarray(values)
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return np.array([str(value) for value in values], dtype=object)
