"""Encoding rows into shards like others: codes in memory, or files."""

import copy
import os
from pathlib import Path

import numpy as np
from sklearn.base import clone

from .._neighbors.encoding import Encoder, fit_first_rows
from .._neighbors.file_format import read_mark
from .._neighbors.float_queries import OutOfReachError
from .._neighbors.index import BinaryNeighbors
from .._neighbors.indexed_rows import IndexedRows
from .._neighbors.row_ids import pack_ids
from .._quantization.quantizers import TwoBitQuantizer
from .._utils.stored_rows import StoredRows
from ..codes import CodeArray, describe_codes, is_codes, with_layout
from .cutting import checksum_rows
from .manifest import ShardRecord

Rows = np.ndarray | StoredRows
_LEARNED = "learned.skbq"


def shard_name(number: int) -> str:
    """Return the name of the file of a shard."""
    return f"shard-{number:05d}.skbq"


def write_learned(learned: BinaryNeighbors, folder: Path) -> ShardRecord:
    """Write what all shards of a folder share."""
    path = folder / _LEARNED
    save_whole(learned, path)
    return ShardRecord(path.name, *read_mark(path), len(learned._rows))


def learn_from(index: BinaryNeighbors, X: Rows) -> BinaryNeighbors:
    """Fit the quantizer of an index as its ``fit`` would; return it with a few rows.

    Parameters
    ----------
    index : BinaryNeighbors
        Not fitted; it stays as it is.
    X : array or StoredRows of shape (n_samples, n_features)
        Vectors or codes.

    Returns
    -------
    learned : BinaryNeighbors
        Its rows are those that the index would have encoded first.
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
    return learned


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
    # A shard has no lists of its own: all its rows are compared.
    index = copy.copy(learned).set_params(algorithm="brute")
    vars(index).pop("_curve", None)
    index._rows = encode_like(learned, X, n_jobs)
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
