"""Columns of vectors, from whatever library, as matrices.

A data frame holds embeddings as *one column of vectors*, which numpy sees as a
one-dimensional array of objects. Here such columns become arrays of shape
(n_samples, n_features). No library is imported: a container of a library exists only
where that library has been imported already.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .dask_rows import of_array
from .typing import VectorsLike

# An object of a library that is not imported here, and so without a type.
_Container: TypeAlias = Any

# Floats of ml_dtypes, which numpy holds as bytes without a meaning ("V").
_SMALL_FLOATS = ("bfloat16", "float8_", "float6_", "float4_")


def as_matrix(X: VectorsLike) -> VectorsLike:
    """Return a column of vectors as an array; anything else as it came.

    Parameters
    ----------
    X : object
        A Series of lists or arrays (pandas, polars), a frame whose only column is one,
        an Arrow list array, chunked array or table of one column, an array of dask, an
        object array of vectors, an array of bfloat16 or another small float of
        ml_dtypes, or a tensor of torch on the CPU.

    Returns
    -------
    X : object
        An ndarray of shape (n_samples, n_features) if X was one of these. The type of
        its values is kept, but for small floats, which become float32.

    Raises
    ------
    ValueError
        If a row is missing or rows differ in length, naming the row; if one of several
        columns holds vectors.
    TypeError
        If a tensor cannot be read from here.
    """
    library = type(X).__module__.partition(".")[0]
    if library == "torch":
        return _of_tensor(X)
    if library == "dask":
        return of_array(X)
    if library in _OF_LIBRARY:
        X = _OF_LIBRARY[library](X)
    elif isinstance(X, list | tuple):
        return _of_list(X)
    if isinstance(X, np.ndarray):
        if X.dtype == object and X.ndim == 1 and any(map(_is_vector, X)):
            return X if isinstance(X[0], bytes) else stack_rows(X)
        if X.dtype.name.startswith(_SMALL_FLOATS):
            return X.astype(np.float32)
    return X


def stack_rows(rows: Sequence[ArrayLike] | np.ndarray) -> np.ndarray:
    """Stack vectors of equal length.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        Naming the first row that is missing, is no vector or has another length.
    """
    vectors = [np.asarray(row) for row in rows]
    for number, vector in enumerate(vectors):
        if vector.ndim == 0:
            raise ValueError(
                f"Row {number} of X is missing: it holds {rows[number]!r} instead of a "
                "vector. Drop such rows."
            )
        if vector.shape != vectors[0].shape:
            raise ValueError(
                f"The rows of X must have one length, but row {number} has shape "
                f"{vector.shape} and row 0 has shape {vectors[0].shape}."
            )
    return np.stack(vectors)


def _of_list(X: Sequence[ArrayLike]) -> VectorsLike:
    """Make a list of numbers an array; if its rows differ, say which does."""
    try:
        array = np.asarray(X)
    except (ValueError, TypeError):
        stack_rows(X)
        return X
    return array if array.dtype.kind in "biufc" else X


def _of_tensor(X: _Container) -> np.ndarray:
    try:
        X = X.detach()
        return np.asarray(X.float() if "bfloat16" in str(X.dtype) else X)
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"A tensor of torch must be on the CPU to be read as an array ({error}). "
            "Pass X.detach().cpu().float().numpy()."
        ) from None


# pandas


def _of_pandas(X: _Container) -> VectorsLike:
    if X.ndim == 1:
        return _objects(X) if _holds_vectors_pandas(X) else X
    if not hasattr(X, "columns") or not len(X):
        return X
    columns = [X.iloc[:, i] for i in range(X.shape[1])]
    held = [i for i, c in enumerate(columns) if _holds_vectors_pandas(c)]
    if not held:
        return X
    _only_column([str(name) for name in X.columns], held)
    return _objects(columns[0])


def _objects(series: _Container) -> np.ndarray:
    return np.asarray(series.array, dtype=object)


def _holds_vectors_pandas(series: _Container) -> bool:
    if series.dtype.kind != "O":
        return False
    present = series.dropna()
    return len(present) > 0 and _is_vector(present.iloc[0])


def _is_vector(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray | bytes)


# polars


def _of_polars(X: _Container) -> VectorsLike:
    if hasattr(X, "collect"):
        raise TypeError("X is a LazyFrame of polars: pass X.collect().")
    if hasattr(X, "get_columns"):
        columns = X.get_columns()
        held = [i for i, c in enumerate(columns) if _holds_vectors_polars(c)]
        if not held:
            return X
        _only_column(X.columns, held)
        X = columns[0]
    if not _holds_vectors_polars(X):
        return X
    _refuse_missing(X.is_null().to_numpy())
    if type(X.dtype).__name__ == "Binary":
        return X.to_numpy()
    if type(X.dtype).__name__ == "List":  # those of an Array have one length
        _refuse_ragged(X.list.len().to_numpy())
    # Chunks, and rows that were taken out, are gone after explode.
    return X.explode().to_numpy().reshape(len(X), -1)


def _holds_vectors_polars(series: _Container) -> bool:
    return type(series.dtype).__name__ in ("List", "Array", "Binary")


# Arrow


def _of_arrow(X: _Container) -> VectorsLike:
    if hasattr(X, "column_names"):
        held = [i for i, c in enumerate(X.columns) if _holds_vectors_arrow(c)]
        if not held:
            return X
        _only_column(X.column_names, held)
        X = X.column(0)
    if not _holds_vectors_arrow(X):
        return X
    chunks = getattr(X, "chunks", [X])
    _refuse_missing(X.is_null().to_numpy(zero_copy_only=False))
    if "binary" in str(X.type):
        return X.to_numpy(zero_copy_only=False)
    lengths = [_arrow_lengths(chunk) for chunk in chunks]
    _refuse_ragged(np.concatenate([np.empty(0, np.int64), *lengths]))
    parts = [c.flatten().to_numpy(zero_copy_only=False) for c in chunks if len(c)]
    if not parts:
        return np.empty((0, 0))
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return values.reshape(len(X), -1)


def _holds_vectors_arrow(array: _Container) -> bool:
    return str(array.type).startswith(("list", "large_list", "fixed_size", "binary"))


def _arrow_lengths(chunk: _Container) -> np.ndarray:
    fixed = getattr(chunk.type, "list_size", None)
    if fixed is not None:
        return np.full(len(chunk), fixed)
    return np.diff(chunk.offsets.to_numpy())


_OF_LIBRARY = {"pandas": _of_pandas, "polars": _of_polars, "pyarrow": _of_arrow}


# What is wrong with columns.


def _only_column(names: Sequence[str], held: list[int]) -> None:
    """Refuse to choose among columns."""
    if len(names) == 1:
        return
    vectors = [names[i] for i in held]
    raise ValueError(
        f"X has {len(names)} columns, of which {vectors} hold{'s' * (len(held) == 1)} "
        f"vectors. Pass that column alone: X[{vectors[0]!r}]."
    )


def _refuse_missing(missing: np.ndarray) -> None:
    rows = np.flatnonzero(missing)
    if rows.size:
        raise ValueError(
            f"X holds no vector in {name_rows(rows)}: the value is null. Drop such "
            "rows."
        )


def _refuse_ragged(lengths: np.ndarray) -> None:
    other = np.flatnonzero(lengths != lengths[:1])
    if other.size:
        raise ValueError(
            f"The rows of X must have one length, but row {other[0]} has "
            f"{lengths[other[0]]} numbers and row 0 has {lengths[0]}."
        )


def name_rows(rows: np.ndarray) -> str:
    """Name rows for a message: five of them, and how many more there are.

    Examples
    --------
    >>> import numpy as np
    >>> from skbq._utils.containers import name_rows
    >>> name_rows(np.array([4])), name_rows(np.arange(10, 30))
    ('row [4]', 'row [10, 11, 12, 13, 14] and 15 more')
    """
    more = f" and {len(rows) - 5:,} more" if len(rows) > 5 else ""
    return f"row {rows[:5].tolist()}{more}"
