"""The command ``skbq encode``."""

import argparse
import logging

from .._advisor.candidates import make_index
from .._quantization.strategy import Strategy
from ._options import ONE_A_ROW, Commands, add_metric, checked, keep_inputs
from ._terminal import (
    Bar,
    InputError,
    LoggedProgress,
    load_vectors,
    print_lines,
    progress,
)


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    encode = commands.add_parser(
        "encode",
        help="write an index of codes",
        description="Encode the rows of a file of any size into an index file.",
    )
    encode.add_argument("file", metavar="FILE.npy", help=ONE_A_ROW)
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
    add_metric(encode)
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
    encode.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.lloyd_max and args.bits == 1:
        raise InputError("--lloyd-max is for two bits: leave it out, or use --bits 2")
    keep_inputs(args.out, args.file)
    X = load_vectors(args.file, zeros=args.metric != "cosine")
    levels = "lloyd_max" if args.lloyd_max else (1, 3)
    strategy = Strategy(args.bits, args.query, args.rotate, args.threshold, levels)
    index = make_index(
        strategy, 10, metric=args.metric, oversampling=args.oversampling, n_jobs=-1
    )
    progress(f"learning from {len(X):,} rows")
    with LoggedProgress(logging.DEBUG, Bar("encoding", len(X))):
        checked(index.fit, X)
    progress(f"writing {args.out}")
    checked(index.save, args.out)
    kept = index.vector_bytes_per_row_
    print_lines(
        [
            f"{args.out}: {len(X):,} rows, {strategy.words}, {index.bytes_per_row_} "
            "bytes a row" + (f" and {kept} of the vector" if kept else "")
        ]
    )
