"""Encoding rows into shards like others: codes in memory, or files."""

import copy
import os
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._kernels.list_ranking import ListTree
from .._neighbors.calibration import CALIBRATION_ROWS, probe_all
from .._neighbors.encoding import Encoder, fit_first_rows
from .._neighbors.file_format import read_mark
from .._neighbors.float_queries import OutOfReachError
from .._neighbors.index import BinaryNeighbors
from .._neighbors.indexed_rows import IndexedRows
from .._neighbors.inverted_lists import (
    Lists,
    assign_lists,
    choose_n_lists,
    learn_lists,
    shard_lists,
)
from .._neighbors.merge import join_removed
from .._neighbors.row_ids import join_ids, pack_ids
from .._quantization.quantizers import TwoBitQuantizer
from .._utils.parallel import fixed_blocks
from .._utils.stored_rows import StoredRows, blocks_released
from ..codes import CodeArray, describe_codes, empty_codes, is_codes, with_layout
from .cutting import checksum_rows
from .manifest import ShardRecord

Rows = np.ndarray | StoredRows
_LEARNED = "learned.skbq"
#: The same, once it was measured how many lists must be probed.
MEASURED = "learned.1.skbq"
# Rows that lists learn from: all up to here, as one index of them would. Of more a
# sample of so many, or of so many for each list.
_LIST_ROWS = 2**17
_ROWS_OF_LIST = 32
# Of these, rows that are encoded at a time.
_SAMPLE_BLOCK = 2**14


def shard_name(number: int) -> str:
    """Return the name of the file of a shard."""
    return f"shard-{number:05d}.skbq"


def write_learned(
    learned: BinaryNeighbors, folder: Path, name: str = _LEARNED
) -> ShardRecord:
    """Write what all shards of a folder share."""
    path = folder / name
    save_whole(learned, path)
    return ShardRecord(path.name, *read_mark(path), len(learned._rows))


def learn_from(
    index: BinaryNeighbors, X: Rows, n_jobs: int | None = None
) -> BinaryNeighbors:
    """Fit the quantizer of an index as its ``fit`` would; return it with a few rows.

    Of an index with lists these are learned too.

    Parameters
    ----------
    index : BinaryNeighbors
        Not fitted; it stays as it is.
    X : array or StoredRows of shape (n_samples, n_features)
        Vectors or codes.

    Returns
    -------
    learned : BinaryNeighbors
        Its rows are those that the index would have encoded first; with lists, those
        that recall is measured with, whose numbers are their identifiers.
    """
    learned = copy.copy(index)
    if is_codes(X):
        learned.n_features_in_ = X.n_features
        learned.quantizer_ = None
        learned._rows = IndexedRows(X[:1].copy())
    else:
        quantizer = (
            TwoBitQuantizer() if index.quantizer is None else clone(index.quantizer)
        )
        first = fit_first_rows(
            quantizer,
            X,  # type: ignore[arg-type]
            index.metric,
            corrections=index._correction_kind,
        )
        learned.n_features_in_ = X.shape[1]
        learned.quantizer_ = quantizer
        kept = None if index.oversampling is None else X[first.numbers]
        learned._rows = IndexedRows(*first.encoded, kept)
    learned._metric = index.metric
    if index.algorithm == "ivf":
        _learn_lists(learned, X, n_jobs)
    return learned


def _learn_lists(learned: BinaryNeighbors, X: Rows, n_jobs: int | None) -> None:
    """Learn lists of codes of a sample of all rows, and draw rows to measure with."""
    random_state = check_random_state(learned.random_state)
    n = len(X)
    n_lists = choose_n_lists(n) if learned.n_lists == "auto" else learned.n_lists
    numbers = _sample_numbers(n, max(_LIST_ROWS, _ROWS_OF_LIST * n_lists))
    codes = _codes_of(learned, X, numbers, n_jobs)
    order = random_state.permutation(len(numbers))
    tree = learn_lists(codes, min(n_lists, n), random_state, n_jobs, order).tree
    own = np.sort(numbers[order[-CALIBRATION_ROWS:]])
    rows = encode_like(learned, X[own], n_jobs)
    lists = assign_lists(tree, rows.codes, n_jobs)
    learned._rows = rows.in_lists(lists)
    learned._ids = pack_ids(own)
    learned._curve = probe_all(len(lists))


def _sample_numbers(n: int, n_sample: int) -> np.ndarray:
    """Return the numbers of all rows, or of a sample of them, ascending."""
    if n <= n_sample:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, n_sample, replace=False))


def _codes_of(
    learned: BinaryNeighbors, X: Rows, numbers: np.ndarray, n_jobs: int | None
) -> CodeArray:
    """Return codes of rows, block by block."""
    if is_codes(X) and len(X) == len(numbers):
        return X
    codes = empty_codes(len(numbers), like=learned._rows.codes)
    blocks = fixed_blocks(len(numbers), _SAMPLE_BLOCK)
    for block in blocks_released(X, blocks, numbers):
        codes[block] = encode_like(learned, X[numbers[block]], n_jobs).codes
    return codes


def index_of_shard(learned: BinaryNeighbors, rows: IndexedRows) -> BinaryNeighbors:
    """Return the index that a file of a shard holds."""
    index = copy.copy(learned)
    for name in ("_ids", "_curve"):
        index.__dict__.pop(name, None)
    index._rows = rows
    if rows.lists is not None:
        # Alone it has no tree to rank lists by, and compares all of its rows.
        index._curve = probe_all(len(rows.lists))
    return index


def encode_like(
    learned: BinaryNeighbors, X: Rows, n_jobs: int | None = None
) -> IndexedRows:
    """Encode rows with what was learned.

    Raises
    ------
    ValueError
        If rows are of another width or kind, or (OutOfReachError, which names them)
        far beyond those that corrections were learned from.
    """
    rows = _encode_like(learned, X, n_jobs)
    lists = learned._rows.lists
    if lists is None:
        return rows
    return rows.in_lists(shard_lists(lists.tree, rows.codes, n_jobs))


def _encode_like(
    learned: BinaryNeighbors, X: Rows, n_jobs: int | None = None
) -> IndexedRows:
    if learned.quantizer_ is None:
        return IndexedRows(_check_layout(learned, X))
    like = learned._rows.corrections
    encoder = Encoder(learned.quantizer_, learned.metric)
    try:
        encoded = encoder.encode_rows(
            X,  # type: ignore[arg-type]
            like=like,
            n_jobs=n_jobs,
        )
    except OutOfReachError as error:
        if isinstance(X, StoredRows):
            raise OutOfReachError(error.rows, X.name_rows(error.rows)) from None
        raise
    if learned._rows.vectors is None:
        return IndexedRows(*encoded)
    if isinstance(X, StoredRows):
        X = X[:] if X.array is None else X.array
    return IndexedRows(*encoded, X)


def _check_layout(learned: BinaryNeighbors, X: Rows) -> CodeArray:
    kind = learned._rows.codes
    assert kind.layout is not None
    if type(X) is np.ndarray and (X.dtype, X.shape[1:]) == (kind.dtype, kind.shape[1:]):
        return with_layout(X, kind.layout)  # dask moved it, as a plain array
    if not is_codes(X) or X.layout != kind.layout:
        what = describe_codes(X) if is_codes(X) else f"an array of {X.dtype}"
        raise ValueError(
            f"A shard holds {what}, but the first one {describe_codes(kind)}. Encode "
            "all with the same fitted quantizer."
        )
    return X


def join_listed(
    learned: BinaryNeighbors, parts: list[BinaryNeighbors], tree: ListTree
) -> BinaryNeighbors:
    """Return one index of the rows of shards, in the lists that these share."""
    rows = [part._rows for part in parts]
    flat = [part.without_lists() for part in rows]
    numbers = [part.lists.lists_of(np.arange(len(part))) for part in rows]  # type: ignore[union-attr]
    layout, kept = flat[0].codes.layout, flat[0].corrections
    assert layout is not None
    codes = np.concatenate([np.asarray(part.codes) for part in flat])
    if kept is not None:
        pairs = [part.corrections.columns for part in flat]  # type: ignore[union-attr]
        columns = [*map(np.concatenate, zip(*pairs, strict=True))]
        distortions = [part.corrections.distortion for part in flat]  # type: ignore[union-attr]
        kept = kept.with_columns(columns, max(distortions))
    vectors, counts = None, [len(part) for part in flat]
    if flat[0].vectors is not None:
        vectors = np.concatenate([part.vectors for part in flat])
    removed = join_removed([part.removed for part in flat], counts)
    whole = IndexedRows(with_layout(codes, layout), kept, vectors, removed)
    index = copy.copy(learned)
    index._rows = whole.in_lists(Lists.of_rows(tree, np.concatenate(numbers)))
    ids = join_ids([getattr(part, "_ids", None) for part in parts], counts)
    index.__dict__.pop("_ids", None)
    if ids is not None:
        index._ids = ids
    return index


def write_shard(
    learned: BinaryNeighbors,
    X: Rows,
    path: str | os.PathLike[str],
    source: str = "",
    n_jobs: int | None = None,
    *,
    refer: bool = False,
) -> ShardRecord:
    """Encode rows into a file, which appears once it is whole.

    Raises
    ------
    ValueError
        If a row cannot be encoded, naming it and its file.
    OSError
        If the file cannot be written, such as where the disk is full.
    """
    checksum = checksum_rows(X, learned.metric)
    index = index_of_shard(learned, encode_like(learned, X, n_jobs))
    ids = None
    if isinstance(X, StoredRows):
        ids = X.ids if X.ids is not None else X.row_numbers
    if ids is not None:
        index._ids = pack_ids(ids)
    save_whole(index, path, refer=refer)
    mark = read_mark(path)
    name = Path(path).name
    return ShardRecord(name, *mark, len(X), 0, source, checksum)


def save_whole(
    index: BinaryNeighbors, path: str | os.PathLike[str], *, refer: bool = False
) -> None:
    """Save an index; an error of the disk names the file, and what is whole."""
    try:
        index.save(path, vectors="refer" if refer else "copy")
    except OSError as error:
        reason = error.strerror or error
        text = f"cannot write {os.fspath(path)}: {reason}. Files before it are whole"
        raise OSError(error.errno, text) from error
