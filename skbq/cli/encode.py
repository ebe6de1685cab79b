"""The command ``skbq encode``."""

import argparse
import os
import tempfile
from collections.abc import Iterator

import numpy as np
from sklearn.frozen import FrozenEstimator

from .._advisor.candidates import make_index
from .._neighbors.index import BinaryNeighbors
from .._neighbors.row_ids import pack_ids
from .._quantization.pca import CORRECTION_BYTES, PCAQuantizer, RotationMethod
from .._quantization.rotation import rotation_method
from .._quantization.strategy import ROTATION_SEED, Strategy
from .._utils.array_files import save_rows
from .._utils.parallel import row_blocks
from .._utils.stored_rows import StoredRows
from ..exports import TARGETS, Prepare, write_for
from ._inputs import add_inputs, load_vectors
from ._lists import say_lists
from ._options import (
    ROTATIONS,
    Commands,
    add_metric,
    add_no_verify,
    add_output,
    check_folder,
    check_output,
)
from ._shards import add_shards, encode_shards, is_folder, refuse_shard_options
from ._terminal import Bar, InputError, LoggedProgress, checked, print_lines, progress

# Any: the same command gives the same lists.
_LISTS_SEED = 0


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    encode = commands.add_parser(
        "encode",
        help="write an index of codes",
        description=(
            "Encode the rows of files of any size into one index file; or, where OUT "
            "ends in / or is a folder, into many files that are searched as one; or "
            "into what another engine reads."
        ),
    )
    add_inputs(encode)
    add_output(
        encode, "the index file, or a folder: OUT/; with --to a new one", required=True
    )
    encode.add_argument(
        "--to",
        choices=TARGETS,
        metavar="ENGINE",
        help=(
            "write one-bit codes as another engine reads them, with a program that "
            f"searches: {', '.join(TARGETS)}"
        ),
    )
    bits = "bits of each coordinate (default: 2; with --to 1, the only choice)"
    encode.add_argument("--bits", type=int, choices=[1, 2], help=bits)
    encode.add_argument(
        "--n-bytes",
        type=int,
        metavar="B",
        help=(
            "instead of --bits: bytes of a row, spent on principal axes by their "
            "variance (PCA codes), corrections of asymmetric search included"
        ),
    )
    encode.add_argument(
        "--exponent",
        type=float,
        metavar="P",
        help="PCA codes: bits follow the variance to this power (default: tried out)",
    )
    encode.add_argument(
        "--max-depth",
        type=int,
        choices=[1, 2, 4, 8],
        default=8,
        help="PCA codes: most bits that an axis gets (default: 8)",
    )
    cut = "what coordinates are compared with (default: mean)"
    encode.add_argument(
        "--threshold", choices=["mean", "zero"], default="mean", help=cut
    )
    encode.add_argument(
        "--rotate",
        choices=ROTATIONS,
        metavar="METHOD",
        help=(
            "rotate at random first: haar, dct or hadamard (without a METHOD: haar, or "
            "hadamard for many coordinates)"
        ),
    )
    encode.add_argument(
        "--lloyd-max",
        action="store_true",
        help="two bits with the levels of least squared error",
    )
    add_metric(encode)
    encode.add_argument(
        "--query",
        choices=["codes", "vectors"],
        default="codes",
        help=(
            "symmetric search, where queries are encoded too, or asymmetric search, "
            "where they stay floats (default: codes)"
        ),
    )
    encode.add_argument(
        "--oversampling",
        type=float,
        metavar="C",
        help="keep the vectors in the index, to rerank C candidates for each neighbor",
    )
    encode.add_argument(
        "--algorithm",
        choices=["brute", "ivf", "auto"],
        help=(
            "ivf: put rows into inverted lists, of which a search compares the nearest "
            "(skbq advise says from how many rows on that pays); auto: where there are "
            "many rows that lists separate (default: brute, or that of --like)"
        ),
    )
    encode.add_argument(
        "--like",
        metavar="INDEX",
        help=(
            "take all settings, and what was learned, from this index, so that both "
            "can be merged"
        ),
    )
    add_shards(encode)
    add_no_verify(encode, "which the index of --like or --append is held against")
    encode.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    if args.to is not None:
        _check_engine(args)
    args.bits = args.bits or (2 if args.to is None else 1)
    if args.lloyd_max and args.bits == 1:
        raise InputError("--lloyd-max is for two bits: leave it out, or use --bits 2")
    if args.n_bytes is None and args.exponent is not None:
        raise InputError("--exponent is for PCA codes: pass --n-bytes too")
    if args.to is None and is_folder(args.out):
        encode_shards(args, _new_index)
        return
    refuse_shard_options(args)
    if args.to is None:
        check_output(args.out, [*args.files, args.like], force=args.force)
    else:
        check_folder(args.out, force=args.force)
    like = None
    if args.like is not None:
        verify = not args.no_verify
        like = checked(BinaryNeighbors.load, args.like, mmap_mode="r", verify=verify)
    metric = args.metric if like is None else like.metric
    rows = load_vectors(
        args.files,
        column=args.column,
        ids=args.ids,
        skip_invalid=args.skip_invalid,
        zeros=metric != "cosine",
    )
    with tempfile.TemporaryDirectory(
        prefix=f".{os.path.basename(args.out)}.", dir=os.path.dirname(args.out) or "."
    ) as folder:
        index = _encode(args, rows, like, folder)
        progress(f"writing {args.out}")
        if args.to is not None:
            print_lines(_write_for(args.to, args.out, index, rows))
            return
        checked(index.save, args.out, vectors=args.vectors)
    kept = index.vector_bytes_per_row_
    print_lines(
        [
            f"{args.out}: {len(rows):,} rows, {_words(args, index)}, "
            f"{index.bytes_per_row_} bytes per vector"
            + (f", and {kept:,} for the vector itself" if kept else ""),
            *say_lists(index),
        ]
    )


def _check_engine(args: argparse.Namespace) -> None:
    """Refuse what no engine could search."""
    if args.bits == 2 or args.lloyd_max:
        raise InputError(f"--to {args.to} takes one bit: leave out two bits")
    if args.algorithm not in (None, "brute"):
        raise InputError(
            f"--to {args.to} writes codes, which that engine compares or lists itself: "
            "leave out --algorithm"
        )
    if args.query == "vectors":
        raise InputError(
            f"--to {args.to} is for symmetric search, where queries are encoded too: "
            "leave out --query vectors"
        )


def _write_for(
    target: str, folder: str, index: BinaryNeighbors, rows: StoredRows
) -> list[str]:
    """Write what an engine reads, and say which files these are."""
    if isinstance(index.oversampling, str):
        raise InputError(
            f"--to {target} reranks a number of candidates: the index of --like has "
            f"oversampling={index.oversampling!r}"
        )
    prepare = checked(Prepare.from_quantizer, index.quantizer_, metric=index.metric)
    files = checked(
        write_for,
        target,
        folder,
        index.codes_,
        prepare=prepare,
        vectors=None if index.oversampling is None else rows,
        oversampling=index.oversampling,
        ids=rows.ids if rows.ids is not None else rows.row_numbers,
        metric=index.metric,
    )
    names = ", ".join(path.name for path in files[1:])
    return [
        f"{files[0]}: {len(rows):,} rows for {target}",
        f"beside it, to search and to encode queries: {names}",
    ]


def _encode(
    args: argparse.Namespace,
    rows: StoredRows,
    like: BinaryNeighbors | None,
    folder: str,
) -> BinaryNeighbors:
    """Return the index; vectors to keep lie in the folder if no file is that."""
    if like is None:
        index = _new_index(args, rows.shape[1])
    else:
        index = _in_lists(_alike(like), args)
    index.set_params(n_jobs=-1 if rows.is_mapped else 1)
    X: StoredRows | np.ndarray = rows
    if index.oversampling is not None and rows.array is None:
        X = _as_one_file(rows, os.path.join(folder, "rows.npy"))
    progress(f"learning from {len(rows):,} rows")
    with LoggedProgress(Bar("encoding", len(rows))):
        checked(index.fit, X)
    if like is not None:
        index.quantizer, index.quantizer_ = like.quantizer, like.quantizer_
    ids = rows.ids if rows.ids is not None else rows.row_numbers
    if ids is not None:
        index._ids = pack_ids(ids)
    return index.set_params(n_jobs=None)


def _new_index(args: argparse.Namespace, n_features: int) -> BinaryNeighbors:
    rotation = args.rotate
    if rotation in (None, "auto"):
        rotation = rotation_method(n_features)
    if args.n_bytes is not None:
        return _in_lists(_new_pca_index(args, rotation), args)
    strategy = Strategy(
        args.bits,
        args.query,
        args.rotate is not None,
        args.threshold,
        "lloyd_max" if args.lloyd_max else (1, 3),
        rotation=rotation,
    )
    index = make_index(strategy, 10, metric=args.metric, oversampling=args.oversampling)
    return _in_lists(index, args)


def _in_lists(index: BinaryNeighbors, args: argparse.Namespace) -> BinaryNeighbors:
    """Let an unfitted index put its rows into lists, if that is asked for."""
    if args.algorithm is None:
        return index
    return index.set_params(algorithm=args.algorithm, random_state=_LISTS_SEED)


def _new_pca_index(
    args: argparse.Namespace, rotation: RotationMethod
) -> BinaryNeighbors:
    corrections = 0 if args.query == "vectors" else CORRECTION_BYTES
    quantizer = PCAQuantizer(
        n_bytes=args.n_bytes + corrections,
        exponent="auto" if args.exponent is None else args.exponent,
        max_depth=args.max_depth,
        rotation=rotation,
        random_state=ROTATION_SEED,
        correction_bytes="auto" if args.query == "vectors" else CORRECTION_BYTES,
    )
    return BinaryNeighbors(
        10,
        quantizer=quantizer,
        metric=args.metric,
        query=args.query,
        oversampling=args.oversampling,
    )


def _alike(like: BinaryNeighbors) -> BinaryNeighbors:
    """Return an unfitted index that encodes with what another has learned."""
    parameters = like.get_params(deep=False)
    parameters["quantizer"] = FrozenEstimator(like.quantizer_)
    return BinaryNeighbors(**parameters)


def _as_one_file(rows: StoredRows, path: str) -> np.ndarray:
    """Copy rows of several files into one, block by block."""
    bar = Bar("gathering", len(rows))

    def blocks() -> Iterator[np.ndarray]:
        for part in row_blocks(len(rows), rows.shape[1] * 8, shares=8):
            yield rows[part]
            bar.add(part.stop - part.start)

    save_rows(path, rows.shape, rows.dtype, blocks())
    return np.load(path, mmap_mode="r")


def _words(args: argparse.Namespace, index: BinaryNeighbors) -> str:
    bits = index.codes_.bits
    search = "symmetric" if index.query == "codes" else "asymmetric"
    rotated = "" if args.rotate is None else ", rotated"
    return f"{bits:.3g} bit{'s' * (bits != 1)}{rotated}, {search} search"
