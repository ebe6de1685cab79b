"""How vectors enter: the door of every estimator, and floats in blocks."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeGuard

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from ..codes import is_codes
from .containers import as_matrix, name_rows
from .parallel import cache_blocks, fixed_blocks
from .stored_rows import StoredRows
from .typing import VectorsLike

# Rows converted to floats at a time: a block of 768 coordinates stays in the cache.
BLOCK_ROWS = 256
# Integers are looked at in this many rows, evenly spaced, to tell whether they are
# packed bits.
_LOOKED_AT = 1000
# Bytes of packed signs have their highest bit set as often as not, counts and the like
# rarely; rows of fewer bytes than four say too little.
_PACKED_SHARE = 0.05
_PACKED_WIDTH = 4
# The share of values beyond -64 and 63: about a half of packed signs, 0.05 of
# normal values that were scaled to have a standard deviation of 32, 0.29 at 60.
_OFFSET_SHARE = 0.3


_PLAIN_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class DocLinkMixin:
    """Where the link of an estimator's notebook display leads."""

    _doc_link_module = "skbq"
    _doc_link_template = (
        "https://skbq.readthedocs.io/generated/{estimator_module}.{estimator_name}.html"
    )


def check_vectors(
    estimator: BaseEstimator,
    X: VectorsLike,
    *,
    reset: bool,
    min_samples: int = 1,
    finite: bool = True,
) -> np.ndarray:
    """Let vectors in: the one door of every estimator that takes floats.

    Columns of vectors come in too: :func:`~skbq._utils.containers.as_matrix`.
    ``finite=False`` leaves NaN and infinity to be refused by :func:`check_rows`, where
    rows are read block by block later.

    Returns
    -------
    X : ndarray or StoredRows of shape (n_samples, n_features)
        float16, float32, float64 or signed integers, as given: convert blocks of it
        with :func:`float_rows`.

    Raises
    ------
    ValueError
        For codes and other unsigned integers, NaN, infinity, masked values, dates,
        wrong width, sparse, complex, 1-d or empty input.

    Warns
    -----
    UserWarning
        For integers that look like packed bits.
    """
    name = type(estimator).__name__
    if not reset and _is_plain(X, estimator) and len(X) >= min_samples:
        _refuse_non_finite(X, name)
        return X
    if is_codes(X):
        raise ValueError(
            f"{name} takes vectors, but X holds codes already ({X.bits} bits for each "
            f"of {X.n_features} coordinates). Pass the vectors that were encoded."
        )
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"{name} got a masked array, whose masked values would count as they are. "
            "Fill them in by X.filled(...), or drop their rows."
        )
    X = as_matrix(X)
    refuse_unsigned(X, name)
    _refuse_bytes(X, name)
    stored = X if isinstance(X, StoredRows) else None
    rows = validate_data(
        estimator,
        X if stored is None else _stand_in(stored),
        reset=reset,
        dtype="numeric",
        ensure_min_samples=1 if stored is not None else min_samples,
        ensure_all_finite=False,
    )
    if stored is not None:
        _refuse_few(stored, min_samples, name)
        rows = stored if stored.array is None or not finite else stored.array
    refuse_unsigned(rows, name)
    if rows.dtype.kind not in "bif":
        raise ValueError(
            f"{name} takes numbers. Got an array of dtype {rows.dtype} instead."
        )
    if finite:
        _refuse_non_finite(rows, name)
    if looks_packed(rows):
        warnings.warn(_PACKED.format(name=name, dtype=rows.dtype), stacklevel=3)
    return rows.astype(np.float32) if rows.dtype.kind == "b" else rows


def _is_plain(X: object, estimator: BaseEstimator) -> TypeGuard[np.ndarray]:
    """Tell whether X needs no other check than for NaN and infinity.

    That is so for floats of the width that the estimator knows, if it knows no names.
    scikit-learn's checks cost a single query more than its search.
    """
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in _PLAIN_FLOATS
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
    )


def _stand_in(X: StoredRows) -> np.ndarray:
    """Return one row of the width of X, so that the others stay in their files."""
    return np.ones((1, X.shape[1]), X.dtype)


def _refuse_few(X: StoredRows, min_samples: int, name: str) -> None:
    if len(X) < min_samples:
        raise ValueError(
            f"Found array with {len(X)} sample(s) (shape={X.shape}) while a minimum of "
            f"{min_samples} is required by {name}."
        )


_PACKED = (
    "{name} takes X as vectors of {dtype}, but its values look like bytes of packed "
    "bits. If they are codes, pass skbq.as_codes(X, n_features=...); if they are "
    "vectors, pass X.astype(np.float32)."
)


def looks_packed(X: np.ndarray) -> bool:
    """Tell whether integers look like packed bits instead of coordinates.

    That is so for integers from 0 to 255 of which many are above 127, as lists of APIs
    hold them, and for those that fill -128 to 127 evenly, as offset-binary codes do
    (bytes less 128). Both are signs of coordinates eight by eight.
    """
    if X.dtype.kind != "i" or X.shape[1] < _PACKED_WIDTH:
        return False
    values = X[:: -(-len(X) // _LOOKED_AT)]
    low, high = values.min(), values.max()
    if low < 0:
        beyond = np.mean((values < -64) | (values > 63))
        return bool(low >= -128 and high <= 127 and beyond > _OFFSET_SHARE)
    return bool(high <= 255 and np.mean(values > 127) > _PACKED_SHARE)


def _refuse_bytes(X: object, name: str) -> None:
    """Refuse rows of bytes, and words without a type that numpy knows."""
    packed = isinstance(X, np.ndarray) and X.dtype.kind in "SV"
    if isinstance(X, list | tuple | np.ndarray) and len(X):
        packed |= isinstance(X[0], bytes | bytearray | memoryview)
    if not packed:
        return
    raise ValueError(
        f"{name} takes numbers, but X holds bytes. If they are packed bits, pass "
        "skbq.as_codes(X, n_features=...); if they are bfloat16 that was saved by "
        "numpy, pass X.view(ml_dtypes.bfloat16)."
    )


def _refuse_non_finite(X: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, naming the rows; X is read block by block."""
    if X.dtype.kind != "f" or (len(X) == 1 and np.isfinite(X).all()):
        return
    faulty = faulty_rows(X, lambda block: ~np.isfinite(block).all(axis=1))
    if not faulty.size:
        return
    what = "NaN" if np.isnan(X[faulty[:5]]).any() else "infinity"
    raise ValueError(
        f"Input X contains {what}, which {name} does not accept: {_say(X, faulty)}. "
        "Drop these rows, or fill them in."
    )


def _say(X: np.ndarray | StoredRows, rows: np.ndarray) -> str:
    """Name rows, and the file of rows that are in one."""
    return X.name_rows(rows) if isinstance(X, StoredRows) else name_rows(rows)


def faulty_rows(
    X: np.ndarray, faulty: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the numbers of the rows for which ``faulty(block)`` is true."""
    if isinstance(X, StoredRows):
        blocks = X.map_blocks(lambda block: np.flatnonzero(faulty(block)))
        found = [first + rows for first, rows in blocks]
    else:
        found = [
            rows.start + np.flatnonzero(faulty(X[rows]))
            for rows in cache_blocks(len(X), X[:1].nbytes)
        ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def refuse_unsigned(X: object, name: str) -> None:
    """Refuse unsigned integers that do not say what they are.

    Raises
    ------
    ValueError
        Naming the ways out.
    """
    dtype = getattr(X, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind != "u":
        return
    raise ValueError(
        f"{name} got a plain array of dtype {dtype}, which may be codes or vectors. "
        "For codes pass skbq.as_codes(X, n_features=...); for vectors pass "
        "X.astype(np.float32)"
        + (
            "; for bfloat16 stored as uint16 pass "
            "(X.astype(np.uint32) << 16).view(np.float32)."
            if dtype == np.uint16
            else "."
        )
    )


def check_lengths(X: np.ndarray, metric: str) -> None:
    """Refuse rows without a direction, under "cosine".

    Zeros of integers are let through: rounding may have taken their direction away.

    Raises
    ------
    ValueError
        Naming the rows.
    """
    if metric != "cosine" or X.dtype.kind == "i" or (len(X) == 1 and X.any()):
        return
    zero = faulty_rows(X, lambda block: np.logical_not(block.any(axis=1)))
    if zero.size:
        raise ValueError(_NO_DIRECTION.format(rows=_say(X, zero)))


def check_rows(
    X: np.ndarray | StoredRows, rows: np.ndarray, metric: str, name: str = "the index"
) -> None:
    """Refuse those of some rows that hold NaN or infinity, or no direction.

    Raises
    ------
    ValueError
        Naming the rows, and the file that they are in.
    """
    block = np.asarray(X[rows])
    if block.dtype.kind == "f":
        bad = ~np.isfinite(block).all(axis=1)
        if bad.any():
            what = "NaN" if np.isnan(block).any() else "infinity"
            raise ValueError(
                f"Input X contains {what}, which {name} does not accept: "
                f"{_say(X, rows[bad])}. Drop these rows, or fill them in."
            )
    zero = ~block.any(axis=1)
    if metric == "cosine" and block.dtype.kind != "i" and zero.any():
        raise ValueError(_NO_DIRECTION.format(rows=_say(X, rows[zero])))


_NO_DIRECTION = (
    "X has rows of zeros, whose cosine to anything is undefined: {rows}. Drop them, or "
    "use metric='euclidean' or 'inner_product'."
)


def float_dtype(X: np.ndarray) -> np.dtype:
    """Return the float type in which ``X`` is computed with.

    float32 and float64 stay; 64-bit integers and longer floats become float64, all else
    float32.
    """
    wide = X.dtype.kind in "if" and X.dtype.itemsize >= 8
    return np.dtype(np.float64 if wide else np.float32)


def float_rows(X: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
    """Return some rows in C order, in the type given by :func:`float_dtype`."""
    return np.ascontiguousarray(X[rows], dtype=float_dtype(X))


def float_blocks(X: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Go through all rows in small blocks of floats."""
    for rows in fixed_blocks(len(X), BLOCK_ROWS):
        yield rows, float_rows(X, rows)
