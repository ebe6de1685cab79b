"""The command ``skbq search``."""

import argparse
from collections.abc import Iterator

import numpy as np

from .._neighbors.index import BinaryNeighbors
from ._options import ONE_A_ROW, Commands, add_neighbors, checked, keep_inputs
from ._terminal import Bar, InputError, load_vectors, print_lines

# Queries that are searched between two looks at the bar of progress.
_BATCH = 1000


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    search = commands.add_parser(
        "search",
        help="find the nearest rows of queries in an index",
        description=(
            "Print the nearest rows of each query, one a line: query, rank, row and "
            "distance, parted by tabs. The index stays on disk and is read as needed."
        ),
    )
    search.add_argument("index", metavar="INDEX", help="written by skbq encode")
    search.add_argument("queries", metavar="QUERIES.npy", help=ONE_A_ROW)
    add_neighbors(search)
    search.add_argument(
        "--out", metavar="ROWS.npy", help="write row numbers there, print nothing"
    )
    search.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    keep_inputs(args.out, args.index, args.queries)
    try:
        index = BinaryNeighbors.load(args.index, mmap_mode="r", verify=False)
    except OSError as error:
        message = f"cannot read {args.index}: {error.strerror or error}"
        raise InputError(message) from None
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from None
    queries = load_vectors(args.queries, zeros=index.metric != "cosine")
    found = _search(index, queries, args.neighbors)
    if args.out is None:
        for start, distances, rows in found:
            print_lines(_as_lines(start, distances, rows))
        return
    everything = np.concatenate([rows for _, _, rows in found])
    try:
        with open(args.out, "wb") as file:
            np.save(file, everything)
    except OSError as error:
        message = f"cannot write {args.out}: {error.strerror or error}"
        raise InputError(message) from None
    print_lines([f"{args.out}: {everything.shape[0]:,} x {everything.shape[1]} rows"])


def _search(
    index: BinaryNeighbors, queries: np.ndarray, k: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Search batch by batch; yield the first query's number, distances and rows."""
    bar = Bar("searching", len(queries), "queries")
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        answer = checked(index.kneighbors, batch, k)
        bar.add(len(batch))
        yield start, *answer


def _as_lines(start: int, distances: np.ndarray, rows: np.ndarray) -> Iterator[str]:
    for query, pairs in enumerate(zip(distances, rows, strict=True), start):
        for rank, (distance, row) in enumerate(zip(*pairs, strict=True), 1):
            yield f"{query}\t{rank}\t{row}\t{distance:.6g}"
