"""How vectors enter: the door of every estimator, and floats in blocks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from ..codes import is_codes
from .parallel import cache_blocks, fixed_blocks

# Rows converted to floats at a time: a block of 768 coordinates stays in the cache.
BLOCK_ROWS = 256


class DocLinkMixin:
    """Where the link of an estimator's notebook display leads."""

    _doc_link_module = "skbq"
    _doc_link_template = (
        "https://skbq.readthedocs.io/generated/{estimator_module}.{estimator_name}.html"
    )


def check_vectors(
    estimator: BaseEstimator, X: Any, *, reset: bool, min_samples: int = 1
) -> np.ndarray:
    """Let vectors in: the one door of every estimator that takes floats.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        float16, float32, float64 or signed integers, as given: convert blocks of it
        with :func:`float_rows`.

    Raises
    ------
    ValueError
        For codes and other unsigned integers, NaN, infinity, masked values, dates,
        wrong width, sparse, complex, 1-d or empty input.
    """
    name = type(estimator).__name__
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
    refuse_unsigned(X, name)
    X = validate_data(
        estimator,
        X,
        reset=reset,
        dtype="numeric",
        ensure_min_samples=min_samples,
        ensure_all_finite=False,
    )
    refuse_unsigned(X, name)
    if X.dtype.kind not in "bif":
        raise ValueError(
            f"{name} takes numbers. Got an array of dtype {X.dtype} instead."
        )
    _refuse_non_finite(X, name)
    return X.astype(np.float32) if X.dtype.kind == "b" else X


def _refuse_non_finite(X: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, naming the rows; X is read block by block."""
    if X.dtype.kind != "f":
        return
    for rows in cache_blocks(len(X), X[:1].nbytes):
        finite = np.isfinite(X[rows])
        if finite.all():
            continue
        faulty = rows.start + np.flatnonzero(~finite.all(axis=1))
        what = "NaN" if np.isnan(X[rows]).any() else "infinity"
        raise ValueError(
            f"Input X contains {what}, which {name} does not accept: row "
            f"{faulty[:5].tolist()} (the first of them). Drop these rows, or fill them "
            "in."
        )


def refuse_unsigned(X: Any, name: str) -> None:
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
    if metric != "cosine" or X.dtype.kind == "i":
        return
    for rows in cache_blocks(len(X), X[:1].nbytes):
        zero = rows.start + np.flatnonzero(~X[rows].any(axis=1))
        if zero.size:
            raise ValueError(
                "X has rows of zeros, whose cosine to anything is undefined: "
                f"row {zero[:5].tolist()} (the first of them). Drop them, or use "
                "metric='euclidean' or 'inner_product'."
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
