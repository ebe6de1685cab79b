"""The command ``skbq search``."""

import argparse
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np

from .._neighbors.index import BinaryNeighbors
from .._neighbors.row_ids import ids_of
from .._sharding.index import ShardedNeighbors
from .._utils.array_files import save_array
from .._utils.stored_rows import StoredRows
from ._inputs import FILES, add_columns, load_vectors
from ._lists import say_lists
from ._options import Commands, add_neighbors, add_no_verify, add_output, check_output
from ._terminal import Bar, InputError, checked, print_lines, progress

# Queries that are searched between two looks at the bar of progress.
_BATCH = 1000
_ENDINGS = (".npy", ".npz", ".csv", ".tsv")


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    search = commands.add_parser(
        "search",
        help="find the nearest rows of queries in an index",
        description=(
            "Print the nearest rows of each query, one a line: query, rank, row and "
            "distance, separated by tabs. Rows and queries that have identifiers are "
            "printed by them. The index stays on disk and is read as needed."
        ),
    )
    search.add_argument(
        "index", metavar="INDEX", help="file or folder written by skbq encode"
    )
    search.add_argument("files", nargs="+", metavar="FILE", help=f"queries; {FILES}")
    add_columns(search)
    add_neighbors(search)
    search.add_argument(
        "--oversampling",
        type=float,
        metavar="C",
        help="rerank C candidates for each neighbor (default: as encoded)",
    )
    search.add_argument(
        "--algorithm",
        choices=["brute", "ivf"],
        help="compare all rows, or those in the nearest lists (default: as saved)",
    )
    search.add_argument(
        "--mask",
        metavar="MASK.npy",
        help="rows that may be found: a bool for each row, or row numbers",
    )
    add_output(
        search,
        "write to this file instead: row numbers (.npy), rows and distances (.npz), "
        "or the lines (.csv, .tsv)",
    )
    add_no_verify(search, "for which the whole index is read first")
    search.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    check_output(args.out, [args.index, args.mask, *args.files], force=args.force)
    if args.out is not None and not args.out.endswith(_ENDINGS):
        raise InputError(f"--out must end in one of {', '.join(_ENDINGS)}")
    index = _load_index(args.index, verify=not args.no_verify)
    _set_oversampling(index, args)
    _set_algorithm(index, args)
    for line in say_lists(index):
        progress(line)
    mask = _load_mask(args.mask, index.n_samples_fit_)
    queries = load_vectors(
        args.files,
        column=args.column,
        ids=args.ids,
        skip_invalid=args.skip_invalid,
        zeros=index.metric != "cosine",
    )
    if queries.shape[1] != index.n_features_in_:
        raise InputError(
            f"{args.files[0]} has {queries.shape[1]} features, but {args.index} has "
            f"{index.n_features_in_} features"
        )
    if args.neighbors > index.n_samples_fit_:
        raise InputError(
            f"--neighbors {args.neighbors} is more than the {index.n_samples_fit_:,} "
            f"rows of {args.index}"
        )
    found = _search(index, queries, args.neighbors, mask)
    if args.out is None:
        names = _Names.of(queries, index)
        for batch in found:
            print_lines("\t".join(line) for line in _lines(batch, names))
        return
    _write(args.out, list(found), _Names.of(queries, index))
    print_lines([f"{args.out}: {len(queries):,} x {args.neighbors} rows"])


def _load_index(path: str, *, verify: bool) -> BinaryNeighbors:
    """Open an index file, or a folder of shards."""
    if os.path.isdir(path):
        return checked(ShardedNeighbors.load, path, verify=verify)
    return checked(BinaryNeighbors.load, path, mmap_mode="r", verify=verify)


def _set_oversampling(index: BinaryNeighbors, args: argparse.Namespace) -> None:
    if args.oversampling is None:
        return
    if not index.vector_bytes_per_row_:
        raise InputError(
            f"--oversampling needs vectors, and {args.index} keeps none: encode with "
            "--oversampling"
        )
    index.set_params(oversampling=args.oversampling)


def _set_algorithm(index: BinaryNeighbors, args: argparse.Namespace) -> None:
    if args.algorithm is None:
        return
    if args.algorithm == "ivf" and not hasattr(index, "n_lists_"):
        raise InputError(
            f"--algorithm ivf needs rows in lists, and {args.index} has none: encode "
            "with --algorithm ivf"
        )
    index.set_params(algorithm=args.algorithm)


def _load_mask(path: str | None, n_rows: int) -> np.ndarray | None:
    """Read which rows may be found."""
    if path is None:
        return None
    given = np.asarray(checked(np.load, path, allow_pickle=False))
    if given.dtype == bool and given.shape == (n_rows,):
        return given
    numbers = given.dtype.kind in "iu" and given.ndim == 1 and given.size
    if not (numbers and given.min() >= 0 and given.max() < n_rows):
        raise InputError(
            f"{path} must hold a bool for each of the {n_rows:,} rows, or row numbers; "
            f"it holds {given.dtype} of shape {given.shape}"
        )
    mask = np.zeros(n_rows, bool)
    mask[given] = True
    return mask


class _Batch(NamedTuple):
    """Answers to some queries, the first of which has the number ``start``."""

    start: int
    distances: np.ndarray
    rows: np.ndarray


def _search(
    index: BinaryNeighbors, queries: StoredRows, k: int, mask: np.ndarray | None
) -> Iterator[_Batch]:
    """Search batch by batch."""
    bar = Bar("searching", len(queries), "queries")
    for start in range(0, len(queries), _BATCH):
        block = queries[start : start + _BATCH]
        distances, rows = checked(index.kneighbors, block, k, mask=mask)
        bar.add(len(block))
        yield _Batch(start, distances, rows)


class _Names(NamedTuple):
    """Identifiers of queries and rows; None where their number is the name."""

    queries: np.ndarray | None
    rows: Callable[[Iterable[int]], list[int | str]] | None

    @classmethod
    def of(cls, queries: StoredRows, index: BinaryNeighbors) -> "_Names":
        names = queries.ids if queries.ids is not None else queries.row_numbers
        if isinstance(index, ShardedNeighbors):
            return cls(names, index.ids_of if index.has_ids else None)
        packed = getattr(index, "_ids", None)
        return cls(names, None if packed is None else partial(ids_of, packed))


def _lines(batch: _Batch, names: _Names) -> Iterator[list[str]]:
    """Yield query, rank, row and distance; a row that is not there is left out."""
    pairs = zip(batch.distances, batch.rows, strict=True)
    for query, (distances, rows) in enumerate(pairs, batch.start):
        name = query if names.queries is None else names.queries[query]
        there = rows >= 0
        ids = rows[there] if names.rows is None else names.rows(rows[there])
        found = zip(ids, distances[there], strict=True)
        for rank, (row, distance) in enumerate(found, 1):
            yield [str(name), str(rank), str(row), f"{distance:.6g}"]


class _Arrays(TypedDict):
    rows: np.ndarray
    distances: np.ndarray
    ids: NotRequired[np.ndarray]


def _write(path: str, batches: list[_Batch], names: _Names) -> None:
    rows = np.concatenate([batch.rows for batch in batches])
    try:
        if path.endswith(".npy"):
            save_array(path, rows)
        elif path.endswith(".npz"):
            distances = np.concatenate([b.distances for b in batches])
            arrays: _Arrays = {"rows": rows, "distances": distances}
            if names.rows is not None:
                ids = names.rows(rows.clip(0).ravel())
                arrays["ids"] = np.array(ids).reshape(rows.shape)
            np.savez(path, **arrays)
        else:
            with open(path, "w", newline="", encoding="utf-8") as file:
                delimiter = "\t" if path.endswith(".tsv") else ","
                writer = csv.writer(file, delimiter=delimiter)
                writer.writerow(["query", "rank", "row", "distance"])
                for batch in batches:
                    writer.writerows(_lines(batch, names))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
