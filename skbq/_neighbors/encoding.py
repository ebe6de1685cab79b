"""From vectors to what an index keeps: codes, and corrections for float queries."""

import logging
from typing import Any

import numpy as np
from sklearn import config_context

from .._kernels.memory import read_only
from .._kernels.vector_ops import correct_rows
from .._quantization.base import Quantizer
from .._quantization.steps import apply_steps, split_quantizer
from .._utils.parallel import cache_blocks, map_slices
from .._utils.similarity import scaled_rows
from .._utils.validation import float_dtype, float_rows
from ..codes import CodeArray, code_bytes, empty_codes, is_codes, squared_lengths

# Rows that a quantizer learns from at most: with 2^17 of them a mean is off by 0.3 %
# of a standard deviation.
_FIT_ROWS = 2**17
# Vectors encoded at a time, as float32: what stays within a second-level cache.
_BLOCK_BYTES = 2**20

_log = logging.getLogger("skbq")


def rows_to_learn_from(X: np.ndarray, metric: str) -> np.ndarray:
    """Return rows to fit a quantizer on: all, or a random sample where they are many.

    Under "cosine" scaled to unit length. The sample is the same at every fit, and never
    the head of the array, which may be sorted.
    """
    if len(X) <= _FIT_ROWS:
        return scaled_rows(X, metric)
    rows = np.random.default_rng(0).choice(len(X), _FIT_ROWS, replace=False)
    rows.sort()
    sample = np.empty((_FIT_ROWS, X.shape[1]), float_dtype(X))
    for part in cache_blocks(_FIT_ROWS, X[:1].nbytes):
        sample[part] = scaled_rows(X[rows[part]], metric)
    return sample


def encode_rows(
    quantizer: Any,
    X: np.ndarray,
    metric: str,
    *,
    corrections: bool = False,
    n_jobs: int | None = None,
) -> tuple[CodeArray, np.ndarray | None]:
    """Encode rows block by block, in threads.

    Parameters
    ----------
    quantizer : fitted estimator
        A quantizer or a Pipeline that ends in one.
    X : ndarray of shape (n_samples, n_features)
        May be a memory map; blocks of it are read.
    metric : {"cosine", "euclidean", "inner_product"}
    corrections : bool, default=False
        Whether to give the corrections of float queries, else None.

    Returns
    -------
    codes : CodeArray of shape (n_samples, ceil(d / 8))
    corrections : ndarray of shape (2 or 3, n_samples), dtype float32, or None
        Scale and offset of each row: the estimated distance is ``offset + scale *
        <query less c, code values>`` and a number that depends on the query alone.
        Under "inner_product" also the row's length about c, which the error bound
        needs and other metrics can tell from the first two.
    """
    before, last = split_quantizer(quantizer)
    if corrections:
        check_has_thresholds(last)

    def encode(rows: slice) -> tuple[CodeArray, np.ndarray]:
        seen = apply_steps(before, scaled_rows(X[rows], metric))
        if isinstance(last, Quantizer):  # what comes in has been checked
            return last._encode(float_rows(seen)), seen
        with config_context(transform_output="default"):
            codes = last.transform(seen)
        if not is_codes(codes):
            raise TypeError(
                "The quantizer of BinaryNeighbors must turn vectors into codes, "
                f"but {last!r} gave {type(codes).__name__}. End it with a "
                "BinaryQuantizer or TwoBitQuantizer."
            )
        return codes, seen

    block_rows = max(16, _BLOCK_BYTES // (4 * X.shape[1]) // 16 * 16)
    first = slice(0, min(block_rows, len(X)))
    done = encode(first)
    codes = empty_codes(len(X), like=done[0])
    kept = np.empty((2 + (metric == "inner_product"), len(X)), np.float32)

    def fill(part: slice) -> None:
        for start in range(part.start, part.stop, block_rows):
            rows = slice(start, min(start + block_rows, part.stop))
            codes[rows], seen = done if rows == first else encode(rows)
            if corrections:
                numbers = _corrections(codes[rows], seen, last.thresholds_, metric)
                with np.errstate(over="ignore"):
                    kept[:, rows] = numbers
                if not np.isfinite(kept[:, rows]).all():
                    raise ValueError(
                        "The rows are too long for query='vectors', which keeps "
                        "float32 numbers of each: scale X down."
                    )
            n_rows = rows.stop - rows.start
            _log.debug("encoded %d rows", n_rows, extra={"rows": n_rows})

    # One block, which is done, needs no threads.
    map_slices(fill, len(X), n_jobs if len(X) > block_rows else 1)
    return codes, (kept if corrections else None)


def check_has_thresholds(last: Any) -> None:
    """Refuse a quantizer that float queries cannot be centred for."""
    if not hasattr(last, "thresholds_"):
        raise TypeError(
            "query='vectors' needs a quantizer with thresholds_, such as "
            f"BinaryQuantizer or TwoBitQuantizer. Got {last!r} instead."
        )


def _corrections(
    codes: CodeArray, rows: np.ndarray, c: np.ndarray, metric: str
) -> tuple[np.ndarray, ...]:
    """Return scale, offset (and length) of rows, given as the quantizer saw them."""
    low, high = codes.levels or (1.0, 1.0)
    sums = np.empty((3, len(rows)))
    seen, packed = read_only(float_rows(rows)), read_only(code_bytes(codes))
    correct_rows(seen, packed, codes.bits, read_only(c), low, high, sums)
    length, along, shift = sums
    f = np.divide(length, along, out=np.zeros(len(rows)), where=along > 0)
    if metric == "euclidean":
        return -2 * f, length
    offset = -shift
    return (-f, offset) if metric == "cosine" else (-f, offset, np.sqrt(length))


def estimate_spread(
    codes: CodeArray, corrections: np.ndarray, c: np.ndarray, metric: str
) -> np.ndarray:
    """Return how far estimates of a row spread, for queries of unit length about c.

    With o the cosine between a row a = x - c and its code q, the error of the
    estimated inner product is ``|a| sqrt(1 - o^2) / o`` times the component of the
    query along a direction that a random rotation makes random (RaBitQ, theorem 3.2).
    Written with f = |a|^2 / <q, a> this is ``sqrt(f^2 |q|^2 - |a|^2)``.

    Returns
    -------
    spread : ndarray of shape (n_samples,), dtype float64
        Of the distance; of the squared one under "euclidean".
    """
    scale, offset = corrections[:2].astype(np.float64)
    if metric == "euclidean":
        squared_length, f = offset, -scale / 2
    elif metric == "cosine":  # 1 = |a + c|^2
        squared_length, f = 1 + 2 * offset - np.square(c).sum(), -scale
    else:
        squared_length, f = np.square(corrections[2].astype(np.float64)), -scale
    code_length = squared_lengths(codes)
    spread = np.sqrt(np.maximum(f * f * code_length - squared_length, 0))
    return 2 * spread if metric == "euclidean" else spread


def centred_queries(
    quantizer: Any, X: np.ndarray, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Prepare float queries for the corrected estimate.

    Returns
    -------
    queries : ndarray of shape (n_queries, d), dtype float32
        As the quantizer sees them, less its thresholds c.
    constants : ndarray of shape (n_queries,), dtype float64
        What the distance estimate still lacks: <c, y> and the like.
    """
    before, last = split_quantizer(quantizer)
    c = last.thresholds_
    y = apply_steps(before, scaled_rows(X, metric)).astype(np.float64)
    if metric == "euclidean":
        with np.errstate(over="ignore"):
            constants = np.square(y - c).sum(axis=1)
    else:
        constants = (metric == "cosine") - (y * c).sum(axis=1)
    with np.errstate(over="ignore"):
        centred = (y - c).astype(np.float32)
    if not (np.isfinite(centred).all() and np.isfinite(constants).all()):
        raise ValueError(
            "The queries are too long for query='vectors', which compares them in "
            "float32: scale them, and the rows, down."
        )
    return centred, constants
