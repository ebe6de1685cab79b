"""The command ``skbq demo``: recall, bytes per vector and queries per second."""

import argparse
import dataclasses
import json
import os
import shutil
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._advisor import QuantizationAdvisor
from ..datasets import load_wordnet_minilm
from ._inputs import load_vectors, note
from ._options import Commands
from ._terminal import InputError, print_lines, progress
from .comparison import EXACT, STRATEGIES, Measurement, measure, nearest_side_by_side

# Recall@10 is the field's measure, and 4 candidates for each an engine's usual start.
_K = 10
_OVERSAMPLING = 4
# Rows of a file that the demo measures on, and those that it holds out of them.
_MAX_ROWS = 100_000
_MIN_ROWS = 2 * _K
_MAX_QUERIES = 250
_SEED = 0
# Columns of the text where there is no terminal that says how many it has.
_WIDTH = 80


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser(
        "demo",
        help="measure one and two bits on real embeddings",
        description=(
            "Search 5,000 embeddings of dictionary glosses, or rows of your own, by "
            "floats and by codes, and print recall, bytes per vector and queries per "
            "second of each."
        ),
    )
    demo.add_argument(
        "--data",
        metavar="FILE",
        help=(
            "embeddings of your own, one a row; a tenth of the rows (at most "
            f"{_MAX_QUERIES}) is held out at random as queries, and of more than "
            f"{_MAX_ROWS:,} rows a random {_MAX_ROWS:,} are used"
        ),
    )
    demo.add_argument(
        "--show",
        metavar="N",
        type=int,
        default=0,
        help="the held-out query whose neighbors are shown, from 0 (default: 0)",
    )
    # The old name of --show, accepted for one release.
    demo.add_argument("--query", type=int, dest="old_show", help=argparse.SUPPRESS)
    demo.add_argument("--json", action="store_true", help="print the table as JSON")
    demo.set_defaults(run=run)


@dataclass(frozen=True)
class _Sample:
    """Vectors to search, held-out queries, and what to call each of them."""

    vectors: np.ndarray
    queries: np.ndarray
    names: Sequence[str]
    query_names: Sequence[str]


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.old_show is not None:
        note("--query N is now --show N, and goes with the next release")
        args.show = args.old_show
    progress("loading embeddings")
    sample = _glosses() if args.data is None else _hold_out(args.data)
    n_queries = len(sample.queries)
    if not 0 <= args.show < n_queries:
        raise InputError(
            f"--show must name a query between 0 and {n_queries - 1}, as {n_queries} "
            f"are held out. Got {args.show}."
        )
    if not args.json:
        progress("searching the first query")
        print_lines(_side_by_side(sample, args.show))
    measured = []
    steps = measure(
        STRATEGIES, sample.vectors, sample.queries, k=_K, oversampling=_OVERSAMPLING
    )
    for number, strategy in enumerate(STRATEGIES, 1):
        query = "" if strategy is EXACT else f", queries as {strategy.query}"
        progress(f"measuring {number} of {len(STRATEGIES)}: {strategy.name}{query}")
        measured.append(next(steps))
    if args.json:
        print_lines([json.dumps([dataclasses.asdict(m) for m in measured], indent=1)])
    else:
        print_lines(_table(measured, sample))
        if args.data is None:
            line = verdict(sample.vectors, sample.queries)
        else:  # advise holds rows out itself
            line = verdict(load_vectors(args.data), None)
        print_lines(["", textwrap.fill(line, _WIDTH, subsequent_indent="  ")])


def _glosses() -> _Sample:
    glosses = load_wordnet_minilm()

    def names(lemmas: list[str], texts: list[str]) -> list[str]:
        return [f"{a}: {b}" for a, b in zip(lemmas, texts, strict=True)]

    return _Sample(
        glosses.data,
        glosses.queries,
        names(glosses.lemmas, glosses.texts),
        names(glosses.query_lemmas, glosses.query_texts),
    )


def _hold_out(path: str) -> _Sample:
    """Draw rows of a file, and queries that are not among them."""
    stored = load_vectors(path)
    n = min(len(stored), _MAX_ROWS)
    if n < _MIN_ROWS:
        raise InputError(
            f"{path} has {n} rows, too few for recall@{_K}: at least {_MIN_ROWS} are "
            "needed"
        )
    drawn = np.random.default_rng(_SEED).permutation(len(stored))[:n]
    n_queries = min(_MAX_QUERIES, n // 10)
    rows, queries = np.sort(drawn[n_queries:]), np.sort(drawn[:n_queries])
    wide = stored.dtype.itemsize > 4
    dtype = np.float64 if wide else np.float32
    return _Sample(
        stored[rows].astype(dtype),
        stored[queries].astype(dtype),
        [f"row {i}" for i in rows],
        [f"row {i}" for i in queries],
    )


def _side_by_side(sample: _Sample, number: int) -> Iterator[str]:
    """Lay out the nearest rows of one query, by floats and by codes."""
    vectors = sample.vectors
    by_floats, by_codes, code_bytes = nearest_side_by_side(
        vectors, sample.queries[number]
    )
    width = (min(shutil.get_terminal_size((_WIDTH, 24)).columns, 120) - 3) // 2
    yield from textwrap.wrap(
        f"Held-out query {number}, {sample.query_names[number]}", 2 * width + 3
    )
    yield ""
    yield (
        f"{f'float search, {vectors[:1].nbytes} bytes a row':{width}}   "
        f"{code_bytes}-byte codes, 1 bit of {vectors.shape[1]}"
    )
    for rank, rows in enumerate(zip(by_floats, by_codes, strict=True), 1):
        left, right = (_wrapped(f"{rank}. {sample.names[r]}", width) for r in rows)
        if rows[1] in by_floats:
            right[0] = right[0].replace(". ", ".*", 1)
        for i in range(max(len(left), len(right))):
            cells = [side[i] if i < len(side) else "" for side in (left, right)]
            yield f"{cells[0]:{width}}   {cells[1]}".rstrip()
    both = len(set(by_floats) & set(by_codes))
    yield f"{both} of the 5 are the same (*)."
    yield ""


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="   ", max_lines=3)


_HEADER = (
    "strategy            query    recall@10  reranked  bytes/row  build s  queries/s"
)


def _table(measured: list[Measurement], sample: _Sample) -> Iterator[str]:
    n, d = sample.vectors.shape
    yield f"{len(sample.queries)} held-out queries among {n:,} rows of {d} coordinates"
    yield _HEADER
    for m in measured:
        yield (
            f"{m.strategy:<19} {m.query:<7}  {m.recall:>9.3f}  "
            f"{m.recall_reranked:>8.3f}  {m.bytes_per_row:>9}  {m.build_s:>7.2f}  "
            f"{m.qps:>9,.0f}"
        )
    for text in (
        f"reranked: the best {_K} of {_OVERSAMPLING * _K} candidates, by the vectors, "
        f"which are {sample.vectors[:1].nbytes} bytes/row more",
        "build and queries/s: without reranking, after compilation, on "
        f"{os.cpu_count()} processors",
    ):
        yield textwrap.fill(text, _WIDTH, subsequent_indent="  ")


def verdict(X: ArrayLike, queries: np.ndarray | None) -> str:
    """Say in a line what ``skbq advise`` recommends for the same vectors.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    queries : ndarray of shape (n_queries, n_features) or None
        None: rows are held out.

    Returns
    -------
    line : str
    """
    advisor = QuantizationAdvisor(n_neighbors=_K, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # advise says them all
        advisor.fit(X, queries=queries)
    return f"Verdict: {advisor.summary()}"
