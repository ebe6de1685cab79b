"""From vectors to what an index keeps: codes, and corrections for float queries."""

import logging
from typing import NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from .._quantization.base import CorrectingEncoder, VectorEncoder
from .._quantization.correction_range import Prediction, scaled_range, sum_codes
from .._quantization.steps import apply_steps, fit_steps, split_quantizer
from .._utils.parallel import (
    cache_blocks,
    count_workers,
    even_slices,
    fixed_blocks,
    map_slices,
    map_workers,
)
from .._utils.similarity import scaled_rows
from .._utils.stored_rows import blocks_released
from .._utils.validation import check_rows, float_dtype, float_rows
from ..codes import CodeArray, empty_codes, is_codes
from .float_queries import (
    CenteredQueries,
    CorrectionKind,
    Corrections,
    OutOfReachError,
    center_queries,
    check_has_thresholds,
    choose_unit,
    correct_codes,
    measure_distortion,
)

# What a quantizer learns from at most, as rows and as numbers, which are copied to
# floats: with 2^14 rows a mean is off by 0.8% of a standard deviation. Of very long
# rows at least a few hundred.
_FIT_ROWS = 2**17
_FIT_NUMBERS = 2**24
_FEWEST_FIT_ROWS = 512
# Pieces that each worker of dask is sent, so that none waits long for another, and the
# most bytes of one.
_PARTS_PER_WORKER = 4
_PART_BYTES = 2**25
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

    def center(
        self, seen: np.ndarray, unit: float = 1.0, *, corrected: bool = True
    ) -> CenteredQueries:
        """Prepare float queries for the estimate, as the quantizer sees them."""
        centered = center_queries(
            seen, self.mean, self.metric, unit, corrected=corrected
        )
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
        corrections: CorrectionKind | None = None,
        like: Corrections | None = None,
        n_jobs: int | None = None,
    ) -> EncodedRows:
        """Encode rows block by block, in threads.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            May be a memory map; blocks of it are read.
        corrections : {"exact", "short", "none"}, default=None
            What asymmetric search keeps of each row; None: it is not asked for.
        like : Corrections, default=None
            Those of rows that these will be added to, whose kind counts.

        Returns
        -------
        encoded : EncodedRows
        """
        blocks = _blocks(*X.shape)
        wanted = corrections is not None or like is not None
        if len(blocks) == 1 and not wanted:  # as a single query is
            codes = self.encode(self.see(X))
            if len(codes) > 1:
                _log_encoded(len(codes))
            return EncodedRows(codes, None)
        filling = _Filling(self, len(X), corrections, like)
        filling.put(blocks[0], X[blocks[0]])
        # One block, which is done, needs no threads.
        if len(blocks) > 1:
            _fill(filling, X, blocks[1:], None, n_jobs)
        return filling.encoded


def kind_kept(kind: CorrectionKind, quantizer: BaseEstimator) -> CorrectionKind:
    """Return the kind that is kept if ``kind`` is wanted: none where codes tell all."""
    is_none = kind == "short" and getattr(quantizer, "correction_bytes_", None) == 0
    return "none" if is_none else kind


def prediction_of(quantizer: BaseEstimator) -> Prediction | None:
    """Return what a fitted quantizer's codes say of corrections, if anything."""
    kept = getattr(quantizer, "_prediction", None)
    return None if kept is None else Prediction(*kept)


def fit_encode(
    quantizer: BaseEstimator,
    X: np.ndarray,
    metric: str,
    *,
    corrections: CorrectionKind | None = None,
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
    sample = _fit_on_sample(quantizer, X, metric)
    encoder, numbers = Encoder(quantizer, metric), sample.numbers
    filling = _Filling(encoder, len(X), corrections)
    for block in _blocks(*sample.rows.shape):
        rows = block if numbers is None else numbers[block]
        sample.put_into(filling, rows, block)
    del sample
    if numbers is None:
        return filling.encoded
    others = np.delete(np.arange(len(X)), numbers)
    _fill(filling, X, _blocks(len(others), X.shape[1]), others, n_jobs)
    return filling.encoded


class FirstRows(NamedTuple):
    """The rows that an index encodes first, and which rows of the data they are."""

    numbers: np.ndarray
    encoded: EncodedRows


def fit_first_rows(
    quantizer: BaseEstimator,
    X: np.ndarray,
    metric: str,
    *,
    corrections: CorrectionKind | None = None,
) -> FirstRows:
    """Fit a quantizer as :func:`fit_encode` does, and encode its first block alone.

    Shards whose rows are encoded ``like`` these have the codes and corrections of one
    index of all rows, bit for bit.

    Raises
    ------
    ValueError
        If a row that is learned from cannot be encoded, naming it.
    """
    if isinstance(quantizer, FrozenEstimator):
        first = _blocks(*X.shape)[0]
        numbers = np.arange(first.start, first.stop)
        block = _checked_rows(X, numbers, X[first], metric)
        encoder = Encoder(quantizer, metric)
        filling = _Filling(encoder, len(block), corrections, is_counted=False)
        filling.put(slice(0, len(block)), block)
        return FirstRows(numbers, filling.encoded)
    sample = _fit_on_sample(quantizer, X, metric, checked=True)
    first = _blocks(*sample.rows.shape)[0]
    encoder = Encoder(quantizer, metric)
    filling = _Filling(encoder, first.stop, corrections, is_counted=False)
    sample.put_into(filling, first, first)
    numbers = np.arange(len(X)) if sample.numbers is None else sample.numbers
    return FirstRows(numbers[first], filling.encoded)


class _FitSample(NamedTuple):
    """What a quantizer was fitted on, as it came, as it was seen, and in codes."""

    numbers: np.ndarray | None
    rows: np.ndarray
    seen: np.ndarray
    codes: CodeArray | None

    def put_into(
        self, filling: "_Filling", rows: slice | np.ndarray, block: slice
    ) -> None:
        """Fill in a block of the sample, whose rows have numbers of their own."""
        codes = None if self.codes is None else self.codes[block]
        filling.put(rows, self.rows[block], self.seen[block], codes)


def _fit_on_sample(
    quantizer: BaseEstimator, X: np.ndarray, metric: str, *, checked: bool = False
) -> _FitSample:
    numbers = _sample_numbers(*X.shape)
    sample = _scaled_sample(X, numbers, metric)
    if checked:
        everyone = np.arange(len(X)) if numbers is None else numbers
        _checked_rows(X, everyone, sample, metric)
    with config_context(transform_output="default"):
        seen, result = fit_steps(quantizer, sample)
    _, last = split_quantizer(quantizer)
    codes = None if result is None else _check_result(result, last)
    return _FitSample(numbers, sample, seen, codes)


def _checked_rows(
    X: np.ndarray, numbers: np.ndarray, rows: np.ndarray, metric: str
) -> np.ndarray:
    """Return rows that are finite and, under "cosine", not zero, or name the others."""
    bad = ~np.isfinite(rows).all(axis=1)
    if metric == "cosine" and X.dtype.kind == "f":
        bad |= ~rows.any(axis=1)
    if bad.any():
        check_rows(X, numbers[bad], metric)
    return rows


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
    if getattr(X, "gathers_at_once", False):  # from the workers of a cluster
        return scaled_rows(X[numbers], metric)
    sample = np.empty((len(numbers), X.shape[1]), float_dtype(X))
    # Pages beside each row are mapped with it.
    for part in blocks_released(X, cache_blocks(len(numbers), X[:1].nbytes), numbers):
        sample[part] = scaled_rows(X[numbers[part]], metric)
    return sample


def _blocks(n_rows: int, width: int) -> list[slice]:
    """Cut rows into blocks that fit the cache."""
    size = max(16, _BLOCK_BYTES // (4 * width) // 16 * 16)
    return list(fixed_blocks(n_rows, size))


def _fill(
    filling: "_Filling",
    X: np.ndarray,
    blocks: list[slice],
    numbers: np.ndarray | None,
    n_jobs: int | None,
) -> None:
    """Fill in blocks of rows, or of those of some numbers, in threads or by workers."""
    n_workers = count_workers(n_jobs)
    if n_workers:
        _fill_by_workers(filling, X, blocks, numbers, n_workers)
        return

    def fill(part: slice) -> None:
        for block in blocks_released(X, blocks[part], numbers):
            rows = block if numbers is None else numbers[block]
            filling.put(rows, X[rows])

    map_slices(fill, len(blocks), n_jobs)


def _fill_by_workers(
    filling: "_Filling",
    X: np.ndarray,
    blocks: list[slice],
    numbers: np.ndarray | None,
    n_workers: int,
) -> None:
    """Send rows to workers, and fill in what comes back."""
    n_bytes = X.shape[0] * X.shape[1] * X.dtype.itemsize
    n_parts = max(_PARTS_PER_WORKER * n_workers, n_bytes // _PART_BYTES)
    rows: list[slice | np.ndarray] = []
    for part in even_slices(len(blocks), n_parts):
        some = slice(blocks[part.start].start, blocks[part.stop - 1].stop)
        rows.append(some if numbers is None else numbers[some])
    calls = ((*filling.settings, np.asarray(X[where])) for where in rows)
    for where, filled in zip(rows, map_workers(_encode_part, calls), strict=True):
        filling.take(where, filled)


def _log_encoded(n_rows: int) -> None:
    _log.debug("encoded %d rows", n_rows, extra={"rows": n_rows})


class _Filled(NamedTuple):
    """What a worker fills in: plain codes, exact corrections, <q, a>, distortion."""

    codes: np.ndarray
    corrections: list[np.ndarray]
    along: np.ndarray
    distortion: float


def _encode_part(
    encoder: Encoder,
    kind: CorrectionKind | None,
    like: Corrections | None,
    unit: float,
    X: np.ndarray,
) -> _Filled:
    filling = _Filling(encoder, len(X), kind, like, unit)
    for block in _blocks(*X.shape):
        filling.put(block, X[block])
    return filling.filled


class _Filling:
    """Codes and corrections that are filled block by block.

    The first block decides the kind of the codes. Corrections are made short once all
    rows are there.
    """

    def __init__(
        self,
        encoder: Encoder,
        n_rows: int,
        kind: CorrectionKind | None,
        like: Corrections | None = None,
        unit: float | None = None,
        *,
        is_counted: bool = True,
    ) -> None:
        # Rows that are encoded again later count then.
        self._is_counted = is_counted
        self._wanted = kind is not None or like is not None
        if self._wanted and not isinstance(encoder.last, CorrectingEncoder):
            check_has_thresholds(encoder.last)
        self._encoder, self._n_rows = encoder, n_rows
        self._kind = None if kind is None else kind_kept(kind, encoder.last)
        self._like = like
        self._unit = unit if like is None else like.unit
        self._codes: CodeArray | None = None
        self._exact: Corrections | None = None
        self._along = np.empty(n_rows if self._wanted else 0)
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
            self._prepare(codes, seen)
        assert self._codes is not None
        self._codes[block] = codes
        if self._wanted:
            unit = self._unit or 1.0
            if sums is None:
                sums = sum_codes(codes, seen, encoder.mean, unit)
            else:
                sums *= np.array([[unit * unit], [unit], [unit * unit], [unit * unit]])
            self._correct(block, sums)
            if encoder.before is not None:
                change = measure_distortion(rows, seen, encoder.metric)
                self._distortions.append(change)
        if self._is_counted:
            _log_encoded(len(codes))

    def _prepare(self, codes: CodeArray, seen: np.ndarray) -> None:
        """Choose the unit, and make room for all rows."""
        encoder = self._encoder
        self._codes = empty_codes(self._n_rows, like=codes)
        if not self._wanted:
            return
        if self._unit is None:
            self._unit = choose_unit(seen, encoder.mean, encoder.metric)
        exact = Corrections.empty(self._n_rows, encoder.metric, self._unit)
        if isinstance(encoder.last, CorrectingEncoder):
            exact = exact._replace(norms=None)  # there is no bound to keep them for
        self._exact = exact._replace(metric=encoder.metric)

    def _correct(self, block: slice | np.ndarray, sums: np.ndarray) -> None:
        assert self._exact is not None
        some = self._exact.of(slice(0, 0))
        room = [np.empty(sums.shape[1], np.float32) for _ in some.columns]
        some = some.with_columns(room)
        correct_codes(sums, self._encoder.metric, some)
        for column, values in zip(self._exact.columns, some.columns, strict=True):
            column[block] = values
        self._along[block] = sums[1]

    @property
    def settings(
        self,
    ) -> tuple[Encoder, CorrectionKind | None, Corrections | None, float]:
        """What another one is made with that fills in other rows."""
        like = None if self._like is None else self._like.of(slice(0, 0))
        return self._encoder, self._kind, like, self._unit or 1.0

    @property
    def filled(self) -> _Filled:
        """What was filled in, for :meth:`take` of another one."""
        columns = [] if self._exact is None else list(self._exact.columns)
        codes = np.asarray(self._codes)
        return _Filled(codes, columns, self._along, max(self._distortions))

    def take(self, rows: slice | np.ndarray, filled: _Filled) -> None:
        """Fill in some rows that were encoded elsewhere."""
        assert self._codes is not None
        self._codes[rows] = filled.codes
        if self._exact is not None:
            columns = zip(self._exact.columns, filled.corrections, strict=True)
            for column, values in columns:
                column[rows] = values
            self._along[rows] = filled.along
        self._distortions.append(filled.distortion)
        _log_encoded(len(filled.codes))

    @property
    def encoded(self) -> EncodedRows:
        """What was filled."""
        assert self._codes is not None
        if not self._wanted:
            return EncodedRows(self._codes, None)
        kept = self._finish()
        corrections = kept.with_columns(kept.columns, max(self._distortions))
        return EncodedRows(self._codes, corrections)

    def _finish(self) -> Corrections:
        """Return corrections of the kind that is wanted."""
        exact, like = self._exact, self._like
        assert exact is not None
        assert self._codes is not None
        kind = self._kind if like is None else like.kind
        if kind == "exact":
            return exact
        if like is not None and kind == "float16":
            return exact.to_float16(like)
        if like is not None:
            assert like.ranges is not None
            return self._coded(exact, like.ranges)
        ranges = getattr(self._encoder.last, "_correction_range", None)
        if ranges is not None:
            try:
                return self._coded(exact, scaled_range(ranges, exact.unit))
            except OutOfReachError:
                pass
        return self._coded(exact, exact.own_ranges(self._along, self._codes))

    def _coded(self, exact: Corrections, ranges: np.ndarray) -> Corrections:
        kind = self._kind if self._like is None else self._like.kind
        if kind == "none":
            prediction = prediction_of(self._encoder.last)
            return exact.without_numbers(ranges, self._encoder.metric, prediction)
        return exact.shortened(self._along, ranges, self._encoder.metric)
