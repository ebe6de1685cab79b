"""Open files by their endings: one file, several, a pattern or a folder."""

import glob
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .._utils.params import check_bool, check_option
from .._utils.stored_rows import Part, StoredRows
from .._utils.typing import METRICS, Metric
from . import _arrays, _tables
from ._invalid import find_invalid

Reader = Callable[[str, str | None, str | None], Part]

KINDS: dict[str, Reader] = {
    ".npy": _arrays.read_npy,
    ".npz": _arrays.read_npz,
    ".parquet": _tables.read_parquet,
    ".arrow": _tables.read_arrow,
    ".feather": _tables.read_arrow,
    ".jsonl": _tables.read_jsonl,
    ".ndjson": _tables.read_jsonl,
    ".csv": _tables.read_csv,
    ".tsv": _tables.read_csv,
    ".h5": _arrays.read_h5,
    ".hdf5": _arrays.read_h5,
    ".safetensors": _arrays.read_safetensors,
    ".fvecs": _arrays.read_vecs,
    ".bvecs": _arrays.read_vecs,
    ".ivecs": _arrays.read_vecs,
    ".fbin": _arrays.read_bin,
    ".u8bin": _arrays.read_bin,
    ".i8bin": _arrays.read_bin,
}


def open_vectors(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    column: str | None = None,
    ids: str | None = None,
    skip_invalid: bool = False,
    metric: Metric = "cosine",
) -> StoredRows:
    """Open vectors in files, to be read block by block.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, folders (their files of known kinds in the order of names) or patterns
        such as ``"shards/*.parquet"``. Rows are counted through in this order. Kinds
        are told by their ending: .npy, .npz, .parquet, .arrow, .feather (and folders
        that Hugging Face datasets saved), .jsonl, .csv, .tsv, .h5, .safetensors, and
        .fvecs, .bvecs, .ivecs, .fbin, .u8bin, .i8bin of ANN benchmarks.
    column : str, default=None
        The column, array or data set that holds the vectors; None means the only one.
    ids : str, default=None
        A column of identifiers, one for each row and none twice.
    skip_invalid : bool, default=False
        Whether to read all rows at once and leave out those that estimators refuse:
        rows with NaN or infinity, and, where ``metric`` is "cosine", rows of zeros.
        ``row_numbers`` and ``ids`` of the result say which rows are left.
    metric : {"cosine", "euclidean", "inner_product"}, default="cosine"
        What rows will be compared by; it matters to ``skip_invalid`` alone.

    Returns
    -------
    rows : StoredRows of shape (n_samples, n_features)
        Every estimator takes it as X. bfloat16, text and unsigned bytes of .bvecs and
        .u8bin come as float32; all else in its own type.

    Raises
    ------
    TypeError
        If an option is of a wrong type.
    ValueError
        If a file is of no known kind, is damaged, has no such column, or differs from
        the others in width or type, or if no row can be used.
    OSError
        If a file is not there or cannot be read.
    ImportError
        If the library for a kind is missing: ``pip install skbq[files]``.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skbq import BinaryNeighbors, open_vectors
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for shard in range(2):
    ...         X = rng.standard_normal((100, 16)).astype(np.float32)
    ...         np.save(os.path.join(folder, f"{shard}.npy"), X)
    ...     rows = open_vectors(folder)
    ...     rows.shape, BinaryNeighbors().fit(rows).n_samples_fit_
    ((200, 16), 200)
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not isinstance(paths, Sequence) or not all(
        isinstance(path, str | os.PathLike) for path in paths
    ):
        raise TypeError(
            "paths must be a path, or a list of paths: files, folders or patterns. Got "
            f"{type(paths).__name__} instead."
        )
    if not paths:
        raise ValueError("paths must name at least one file. Got an empty list.")
    check_option(metric, "metric", "open_vectors", METRICS)
    check_bool(skip_invalid, "skip_invalid", "open_vectors")
    names = [name for path in paths for name in list_files(os.fspath(path))]
    parts = [_reader(name)(name, column, ids) for name in names]
    _check_alike(parts)
    rows = StoredRows(parts)
    if not skip_invalid:
        return rows
    invalid = find_invalid(rows, zeros=metric != "cosine").all
    if len(invalid) == len(rows):
        raise ValueError(f"{names[0]}: no row can be used")
    return rows.without(invalid) if invalid.size else rows


def _reader(path: str) -> Reader:
    if not os.path.exists(path):
        raise FileNotFoundError(2, "No such file or directory", path)
    reader = KINDS.get(Path(path).suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path} is of no kind that is read here; these are: {', '.join(KINDS)}"
        )
    return reader


def list_files(path: str) -> list[str]:
    """List the files of a folder or a pattern; a file is listed alone."""
    if os.path.isdir(path):
        found = _files_of_folder(Path(path))
        if not found:
            known = ", ".join(KINDS)
            raise ValueError(
                f"{path} is a folder without files of these kinds: {known}"
            )
        return found
    if glob.has_magic(path) and not os.path.exists(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise ValueError(f"no file matches {path}")
        return found
    return [path]


def _files_of_folder(folder: Path) -> list[str]:
    splits = folder / "dataset_dict.json"  # of datasets.DatasetDict.save_to_disk
    if splits.is_file():
        names = json.loads(splits.read_text()).get("splits", [])
        known = ", ".join(str(folder / name) for name in names)
        raise ValueError(f"{folder} holds splits of a dataset; choose one: {known}")
    state = folder / "state.json"  # of datasets.Dataset.save_to_disk
    if state.is_file():
        listed = json.loads(state.read_text()).get("_data_files", [])
        return [str(folder / file["filename"]) for file in listed]
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in KINDS)
    return [str(file) for file in files]


def _check_alike(parts: Sequence[Part]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.shape[1] != first.shape[1]:
            raise ValueError(
                f"{part.name} has {part.shape[1]} coordinates, but {first.name} has "
                f"{first.shape[1]}"
            )
        if part.dtype != first.dtype:
            raise ValueError(
                f"{part.name} holds {part.dtype}, but {first.name} holds "
                f"{first.dtype}: save them in one type"
            )
    for part in parts:
        if part.ids is not None and len(part.ids) != part.shape[0]:
            raise ValueError(
                f"{part.name} has {len(part.ids)} identifiers for {part.shape[0]} rows"
            )
    if first.ids is not None:
        values, counts = np.unique(
            np.concatenate([part.ids for part in parts]).astype(str), return_counts=True
        )
        if (counts > 1).any():
            twice = values[counts > 1]
            raise ValueError(
                f"identifiers must differ, but {len(twice)} come more than once, first "
                f"{str(twice[0])!r}"
            )
