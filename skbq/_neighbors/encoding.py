"""From vectors to what an index keeps: codes, and corrections for float queries."""

import logging
from typing import NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from .._quantization.base import CorrectingEncoder, VectorEncoder
from .._quantization.steps import apply_steps, fit_steps, split_quantizer
from .._utils.parallel import cache_blocks, fixed_blocks, map_slices
from .._utils.similarity import scaled_rows
from .._utils.validation import float_dtype, float_rows
from ..codes import CodeArray, MixedDepths, empty_codes, is_codes
from .float_queries import (
    CenteredQueries,
    Corrections,
    center_queries,
    check_has_thresholds,
    choose_unit,
    correct_codes,
    measure_distortion,
    sum_codes,
)

# What a quantizer learns from at most, as rows and as numbers, which are copied to
# floats: with 2^14 rows a mean is off by 0.8 % of a standard deviation. Of very long
# rows at least a few hundred.
_FIT_ROWS = 2**17
_FIT_NUMBERS = 2**24
_FEWEST_FIT_ROWS = 512
# Vectors encoded at a time, as float32: what stays within a second-level cache.
_BLOCK_BYTES = 2**20

_log = logging.getLogger("skbq")


class EncodedRows(NamedTuple):
    """Rows in codes, with what asymmetric search needs of them, if it was wanted."""

    codes: CodeArray
    corrections: Corrections | None


class Encoder:
    """A fitted quantizer and the metric that its codes stand for.

    Parameters
    ----------
    quantizer : fitted estimator
        A quantizer or a Pipeline that ends in one.
    metric : {"cosine", "euclidean", "inner_product"}
    """

    def __init__(self, quantizer: BaseEstimator, metric: str) -> None:
        self.metric = metric
        self.before, self.last = split_quantizer(quantizer)

    def see(self, X: np.ndarray) -> np.ndarray:
        """Return rows as the quantizer sees them."""
        return apply_steps(self.before, scaled_rows(X, self.metric))

    def encode(self, seen: np.ndarray) -> CodeArray:
        """Encode rows as the quantizer sees them."""
        if isinstance(self.last, VectorEncoder):  # what comes in has been checked
            return self.last._encode(float_rows(seen))
        with config_context(transform_output="default"):
            codes = self.last.transform(seen)
        return _check_result(codes, self.last)

    def center(self, X: np.ndarray, unit: float = 1.0) -> CenteredQueries:
        """Prepare float queries for the estimate."""
        centered = center_queries(self.see(X), self.mean, self.metric, unit)
        if isinstance(self.last, CorrectingEncoder):
            return centered._replace(values=self.last._project(centered.values))
        return centered

    @property
    def mean(self) -> np.ndarray:
        """What vectors are centered by for the estimate."""
        last = self.last
        return last.mean_ if isinstance(last, CorrectingEncoder) else last.thresholds_

    def encode_rows(
        self,
        X: np.ndarray,
        *,
        corrections: bool = False,
        like: Corrections | None = None,
        n_jobs: int | None = None,
    ) -> EncodedRows:
        """Encode rows block by block, in threads.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            May be a memory map; blocks of it are read.
        corrections : bool, default=False
            Whether to give the corrections of float queries, else None.
        like : Corrections, default=None
            Those of rows that these will be added to; None: there are none.

        Returns
        -------
        encoded : EncodedRows
        """
        blocks = _blocks(*X.shape)
        if len(blocks) == 1 and not corrections:  # as a single query is
            return EncodedRows(self.encode(self.see(X)), None)
        filling = _Filling(self, len(X), corrections, like)
        filling.put(blocks[0], X[blocks[0]])

        def fill(part: slice) -> None:
            for block in blocks[1:][part]:
                filling.put(block, X[block])

        # One block, which is done, needs no threads.
        map_slices(fill, len(blocks) - 1, n_jobs if len(blocks) > 1 else 1)
        return filling.encoded


def fit_encode(
    quantizer: BaseEstimator,
    X: np.ndarray,
    metric: str,
    *,
    corrections: bool = False,
    n_jobs: int | None = None,
) -> EncodedRows:
    """Fit a quantizer on rows and encode them, each row scaled and encoded once.

    Parameters
    ----------
    quantizer : estimator
        Changed: fitted on all rows, or on a random sample where they are many. The
        sample is the same at every fit, and never the head of the array, which may be
        sorted.
    X, metric, corrections, n_jobs : as for :class:`Encoder`

    Returns
    -------
    encoded : EncodedRows
    """
    if isinstance(quantizer, FrozenEstimator):
        encoder = Encoder(quantizer, metric)
        return encoder.encode_rows(X, corrections=corrections, n_jobs=n_jobs)
    numbers = _sample_numbers(*X.shape)
    sample = _scaled_sample(X, numbers, metric)
    with config_context(transform_output="default"):
        seen, result = fit_steps(quantizer, sample)
    encoder = Encoder(quantizer, metric)
    codes = None if result is None else _check_result(result, encoder.last)
    filling = _Filling(encoder, len(X), corrections)
    for block in _blocks(*sample.shape):
        rows = block if numbers is None else numbers[block]
        made = None if codes is None else codes[block]
        filling.put(rows, sample[block], seen[block], made)
    if numbers is None:
        return filling.encoded
    del sample, seen, result, codes
    others = np.delete(np.arange(len(X)), numbers)
    blocks = _blocks(len(others), X.shape[1])

    def fill(part: slice) -> None:
        for block in blocks[part]:
            filling.put(others[block], X[others[block]])

    map_slices(fill, len(blocks), n_jobs)
    return filling.encoded


def _check_result(codes: object, quantizer: BaseEstimator) -> CodeArray:
    if not is_codes(codes):
        raise TypeError(
            "The quantizer of BinaryNeighbors must turn vectors into codes, "
            f"but {quantizer!r} gave {type(codes).__name__}. End it with a "
            "BinaryQuantizer or TwoBitQuantizer."
        )
    return codes


def _sample_numbers(n: int, d: int) -> np.ndarray | None:
    """Return the numbers of the rows to learn from, ascending; None: all."""
    most = min(_FIT_ROWS, max(_FEWEST_FIT_ROWS, _FIT_NUMBERS // d))
    if n <= most:
        return None
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _scaled_sample(
    X: np.ndarray, numbers: np.ndarray | None, metric: str
) -> np.ndarray:
    """Return rows as floats, of unit norm under "cosine", read block by block."""
    if numbers is None:
        return scaled_rows(X, metric)
    sample = np.empty((len(numbers), X.shape[1]), float_dtype(X))
    for part in cache_blocks(len(numbers), X[:1].nbytes):
        sample[part] = scaled_rows(X[numbers[part]], metric)
    return sample


def _blocks(n_rows: int, width: int) -> list[slice]:
    """Cut rows into blocks that fit the cache."""
    size = max(16, _BLOCK_BYTES // (4 * width) // 16 * 16)
    return list(fixed_blocks(n_rows, size))


class _Filling:
    """Codes and corrections that are filled block by block.

    The first block decides the kind of the codes and of the corrections: those of codes
    of mixed depth are float16, which changed recall by .003 at most on five sets
    (``benchmarks/results/corrections.md``).
    """

    def __init__(
        self,
        encoder: Encoder,
        n_rows: int,
        corrections: bool,
        like: Corrections | None = None,
    ) -> None:
        if corrections and not isinstance(encoder.last, CorrectingEncoder):
            check_has_thresholds(encoder.last)
        self._encoder, self._n_rows, self._like = encoder, n_rows, like
        self._unit = 1.0 if like is None else like.unit
        self._wanted = corrections
        self._codes: CodeArray | None = None
        self._corrections: Corrections | None = None
        self._distortions = [0.0]

    def put(
        self,
        block: slice | np.ndarray,
        X: np.ndarray,
        seen: np.ndarray | None = None,
        codes: CodeArray | None = None,
    ) -> None:
        """Encode some rows, unless that has been done, and keep what they give."""
        encoder = self._encoder
        rows = X
        if seen is None:
            rows = scaled_rows(X, encoder.metric)
            seen = apply_steps(encoder.before, rows)
        sums = None
        if codes is None and isinstance(encoder.last, CorrectingEncoder):
            codes, sums = encoder.last._encode_with_sums(float_rows(seen))
        elif codes is None:
            codes = encoder.encode(seen)
        if self._codes is None:
            self._codes = self._prepare(codes, seen)
        self._codes[block] = codes
        if self._wanted:
            unit = self._unit
            assert unit is not None
            some = Corrections.empty(len(codes), encoder.metric, unit)
            if sums is None:
                sums = sum_codes(codes, seen, encoder.mean, unit)
            else:
                sums *= np.array([[unit * unit], [unit], [unit * unit], [unit * unit]])
            correct_codes(sums, encoder.metric, some)
            if self._corrections is None:
                kind = self._kind_of(some, codes)
                self._corrections = kind.with_room(self._n_rows)
            self._corrections.fill(block, some)
            if encoder.before is not None:
                change = measure_distortion(rows, seen, encoder.metric)
                self._distortions.append(change)
        _log.debug("encoded %d rows", len(codes), extra={"rows": len(codes)})

    def _prepare(self, codes: CodeArray, seen: np.ndarray) -> CodeArray:
        """Choose the unit, and return room for all codes."""
        if self._wanted and self._like is None:
            self._unit = choose_unit(seen, self._encoder.mean, self._encoder.metric)
        return empty_codes(self._n_rows, like=codes)

    def _kind_of(self, first: Corrections, codes: CodeArray) -> Corrections:
        """Return what corrections are kept as, given those of the first block."""
        if self._like is not None:
            return self._like
        is_mixed = isinstance(codes.layout, MixedDepths)
        return first.shortened() if is_mixed else first

    @property
    def encoded(self) -> EncodedRows:
        """What was filled."""
        assert self._codes is not None
        if not self._wanted:
            return EncodedRows(self._codes, None)
        kept = self._corrections
        assert kept is not None
        corrections = kept.with_columns(kept.columns, max(self._distortions))
        return EncodedRows(self._codes, corrections)
