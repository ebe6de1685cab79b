"""The commands ``skbq advise``, ``profile``, ``encode`` and ``search``."""

import argparse
import dataclasses
import json
import logging
import shlex
import warnings
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from .._advisor import QuantizationAdvisor
from .._advisor.candidates import make_index
from .._neighbors.index import BinaryNeighbors
from .._profiling.profiler import HeterogeneityProfiler
from .._quantization.strategy import Strategy
from .._utils.parallel import row_blocks
from ..datasets import load_wordnet_minilm
from ..exports import ENGINES
from ._terminal import Bar, InputError, load_vectors, print_lines, progress

_METRICS = ["cosine", "euclidean", "inner_product"]
_SEED = 0
_SHIPPED = (
    "Embeddings of 5,000 WordNet glosses (shipped, all-MiniLM-L6-v2), and 250 to ask."
)
# Queries that are searched between two looks at the bar of progress.
_BATCH = 1000
# Columns of a text.
_WIDTH = 88
_ONE_A_ROW = "embeddings, one a row"

Commands = Any  # what add_subparsers gives


def add_commands(commands: Commands) -> None:
    """Add the commands of this file to the parser's."""
    _add_advise(commands)
    _add_profile(commands)
    _add_encode(commands)
    _add_search(commands)


def _add_neighbors(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--neighbors", type=int, default=10, metavar="K", help="default: 10"
    )


def _add_metric(command: argparse.ArgumentParser) -> None:
    near = "what makes rows near (default: cosine)"
    command.add_argument("--metric", choices=_METRICS, default="cosine", help=near)


def _checked(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the library, whose refusals are the user's to read."""
    try:
        return function(*args, **kwargs)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(" ".join(str(error).split())) from None


def _keep_inputs(out: str | None, *inputs: str | None) -> None:
    """Refuse to write over a file that is read."""
    for path in inputs:
        there = out and path and Path(out).exists() and Path(path).exists()
        if there and Path(str(out)).samefile(str(path)):
            raise InputError(f"{out} is read and would be written over")


# skbq advise


def _add_advise(commands: Commands) -> None:
    advise = commands.add_parser(
        "advise",
        help="choose how to quantize vectors, with recall measured on them",
        description=(
            "Measure strategies of one and two bits on a random sample of the vectors "
            "and recommend the one of least memory that reaches the recall asked for."
        ),
    )
    advise.add_argument(
        "file",
        nargs="?",
        metavar="FILE.npy",
        help=f"{_ONE_A_ROW} (default: those of 5,000 glosses that are shipped)",
    )
    advise.add_argument(
        "--queries",
        metavar="Q.npy",
        help="real queries, on which recall is measured (default: rows held out)",
    )
    reach = "recall@K to reach (default: 0.95)"
    advise.add_argument(
        "--target-recall", type=float, default=0.95, metavar="R", help=reach
    )
    _add_neighbors(advise)
    _add_metric(advise)
    advise.add_argument(
        "--expected-rows",
        type=int,
        metavar="N",
        help="rows that will be searched one day (default: those of the file)",
    )
    advise.add_argument(
        "--max-bytes",
        type=int,
        metavar="B",
        help="memory for each row that is searched, without vectors for reranking",
    )
    advise.add_argument(
        "--export",
        choices=ENGINES,
        metavar="ENGINE",
        help=f"settings of a product: {', '.join(ENGINES)}",
    )
    advise.add_argument("--html", metavar="REPORT.html", help="write the report there")
    advise.add_argument("--json", action="store_true", help="print all as JSON")
    advise.set_defaults(run=_run_advise)


def _run_advise(args: argparse.Namespace) -> None:
    _keep_inputs(args.html, args.file, args.queries)
    if args.html is not None:
        _write(args.html, "", "a")  # refused now rather than after the work
    progress("loading embeddings")
    zeros = args.metric != "cosine"
    queries = None
    if args.queries is not None:
        queries = load_vectors(args.queries, zeros=zeros)
    if args.file is None:
        glosses = load_wordnet_minilm()
        X = glosses.data
        queries = glosses.queries if queries is None else queries
    else:
        X = load_vectors(args.file, zeros=zeros)
    advisor = QuantizationAdvisor(
        metric=args.metric,
        n_neighbors=args.neighbors,
        target_recall=args.target_recall,
        max_bytes=args.max_bytes,
        expected_rows=args.expected_rows,
        random_state=_SEED,
    )
    with _Steps(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the report says them all
        _checked(advisor.fit, X, queries=queries)
    if args.html is not None:
        _write(args.html, _page(advisor, args.file or "glosses of WordNet (shipped)"))
    if args.json:
        print_lines([json.dumps(_as_json(advisor, args.export), indent=1)])
        return
    lines = [advisor.report()]
    if args.file is None:
        lines.insert(0, f"{_SHIPPED}\n")
        lines += ["", "Of your own vectors", "skbq advise FILE.npy --queries Q.npy"]
    else:
        lines += ["", "Encode with", _encode_command(advisor, args.file)]
    if args.export is not None:
        lines += ["", str(advisor.export(args.export))]
    print_lines(lines)


class _Steps(logging.Handler):
    """Shows what the library logs as progress, for a while; rows on a bar."""

    def __init__(self, level: int, bar: Bar | None = None) -> None:
        super().__init__(level)
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        rows = getattr(record, "rows", 0)
        if rows and self._bar is not None:
            self._bar.add(rows)
        elif not rows:
            progress(record.getMessage())

    def __enter__(self) -> None:
        self._logger = logging.getLogger("skbq")
        self._before = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before)


def _page(advisor: QuantizationAdvisor, name: str) -> str:
    style = (
        "body{font-family:sans-serif;max-width:60em;margin:2em auto}"
        "td,th{padding:.2em .6em;text-align:left}tr:nth-child(even){background:#eee}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>skbq advise</title><style>{style}</style></head><body>\n"
        f"<h1>Quantization of {escape(name)}</h1>\n"
        f"{advisor.report(format='html')}\n</body></html>\n"
    )


def _write(path: str, text: str, mode: str = "w") -> None:
    try:
        with open(path, mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def _as_json(advisor: QuantizationAdvisor, engine: str | None) -> dict[str, Any]:
    results = advisor.results_
    table = [
        {name: _plain(column[row]) for name, column in results.items()}
        for row in range(len(results["strategy"]))
    ]
    found = {
        "recommended": {k: _plain(v) for k, v in advisor.recommended_.items()},
        "recall": advisor.recall_,
        "recall_interval": _plain(advisor.recall_interval_),
        "expected_rows": advisor.expected_rows_,
        "warnings": advisor.warnings_,
        "results": table,
    }
    if engine is not None:
        found["export"] = dataclasses.asdict(advisor.export(engine))
    return found


def _plain(value: Any) -> Any:
    """Turn a value into what JSON has; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)


def _encode_command(advisor: QuantizationAdvisor, path: str) -> str:
    """Return the command that builds the recommended index."""
    chosen = advisor.recommended_
    words = ["skbq", "encode", path, "OUT", "--bits", str(chosen["bits"])]
    words += ["--metric", chosen["metric"], "--query", chosen["query"]]
    words += ["--threshold", "mean" if chosen["centre"] else "zero"]
    if chosen["rotate"]:
        words.append("--rotate")
    if chosen["strategy"].count("lloyd_max"):
        words.append("--lloyd-max")
    if chosen["oversampling"] is not None:
        words += ["--oversampling", f"{chosen['oversampling']:g}"]
    return shlex.join(words)


# skbq profile


def _add_profile(commands: Commands) -> None:
    profile = commands.add_parser(
        "profile",
        help="measure what decides how well binary codes work",
        description="Measure vectors of a file of any size, block by block.",
    )
    profile.add_argument("file", metavar="FILE.npy", help=_ONE_A_ROW)
    profile.add_argument("--json", action="store_true", help="print figures as JSON")
    profile.set_defaults(run=_run_profile)


def _run_profile(args: argparse.Namespace) -> None:
    X = load_vectors(args.file, zeros=True)
    if len(X) < 2:
        raise InputError(f"{args.file} has one row, of which nothing varies")
    profiler = HeterogeneityProfiler(random_state=_SEED)
    bar = Bar("profiling", len(X))
    for rows in row_blocks(len(X), X.shape[1] * 8, shares=8):
        _checked(profiler.partial_fit, X[rows])
        bar.add(rows.stop - rows.start)
    if not args.json:
        lines = profiler.report().splitlines()
        print_lines([fill(line, _WIDTH, subsequent_indent="  ") for line in lines])
        return
    figures = {
        name: _plain(value)
        for name, value in vars(profiler).items()
        if name.endswith("_") and np.ndim(value) == 0
    }
    print_lines([json.dumps(figures, indent=1)])


# skbq encode


def _add_encode(commands: Commands) -> None:
    encode = commands.add_parser(
        "encode",
        help="write an index of codes",
        description="Encode the rows of a file of any size into an index file.",
    )
    encode.add_argument("file", metavar="FILE.npy", help=_ONE_A_ROW)
    encode.add_argument("out", metavar="OUT", help="the index file")
    bits = "of each coordinate (default: 2)"
    encode.add_argument("--bits", type=int, choices=[1, 2], default=2, help=bits)
    cut = "what coordinates are compared with (default: mean)"
    encode.add_argument(
        "--threshold", choices=["mean", "zero"], default="mean", help=cut
    )
    encode.add_argument("--rotate", action="store_true", help="rotate at random before")
    encode.add_argument(
        "--lloyd-max",
        action="store_true",
        help="two bits with the levels of least squared error",
    )
    _add_metric(encode)
    kinds = "whether queries are coded or stay floats (default: codes)"
    encode.add_argument(
        "--query", choices=["codes", "vectors"], default="codes", help=kinds
    )
    encode.add_argument(
        "--oversampling",
        type=float,
        metavar="C",
        help="keep the vectors in the index, to rerank C candidates for each neighbor",
    )
    encode.set_defaults(run=_run_encode)


def _run_encode(args: argparse.Namespace) -> None:
    if args.lloyd_max and args.bits == 1:
        raise InputError("--lloyd-max is for two bits: leave it out, or use --bits 2")
    _keep_inputs(args.out, args.file)
    X = load_vectors(args.file, zeros=args.metric != "cosine")
    levels = "lloyd_max" if args.lloyd_max else (1, 3)
    strategy = Strategy(args.bits, args.query, args.rotate, args.threshold, levels)
    index = make_index(
        strategy, 10, metric=args.metric, oversampling=args.oversampling, n_jobs=-1
    )
    progress(f"learning from {len(X):,} rows")
    with _Steps(logging.DEBUG, Bar("encoding", len(X))):
        _checked(index.fit, X)
    progress(f"writing {args.out}")
    _checked(index.save, args.out)
    kept = index.vector_bytes_per_row_
    print_lines(
        [
            f"{args.out}: {len(X):,} rows, {strategy.words}, {index.bytes_per_row_} "
            "bytes a row" + (f" and {kept} of the vector" if kept else "")
        ]
    )


# skbq search


def _add_search(commands: Commands) -> None:
    search = commands.add_parser(
        "search",
        help="find the nearest rows of queries in an index",
        description=(
            "Print the nearest rows of each query, one a line: query, rank, row and "
            "distance, parted by tabs. The index stays on disk and is read as needed."
        ),
    )
    search.add_argument("index", metavar="INDEX", help="written by skbq encode")
    search.add_argument("queries", metavar="QUERIES.npy", help=_ONE_A_ROW)
    _add_neighbors(search)
    search.add_argument(
        "--out", metavar="ROWS.npy", help="write row numbers there, print nothing"
    )
    search.set_defaults(run=_run_search)


def _run_search(args: argparse.Namespace) -> None:
    _keep_inputs(args.out, args.index, args.queries)
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
        answer = _checked(index.kneighbors, batch, k)
        bar.add(len(batch))
        yield start, *answer


def _as_lines(start: int, distances: np.ndarray, rows: np.ndarray) -> Iterator[str]:
    for query, pairs in enumerate(zip(distances, rows, strict=True), start):
        for rank, (distance, row) in enumerate(zip(*pairs, strict=True), 1):
            yield f"{query}\t{rank}\t{row}\t{distance:.6g}"
