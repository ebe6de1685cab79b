"""``skbq encode`` into a folder: many files that are searched as one index."""

import argparse
import os
from collections.abc import Callable

from .._neighbors.index import BinaryNeighbors
from .._readers import open_vectors
from .._sharding.index import ShardedNeighbors
from .._sharding.manifest import NAME
from .._utils.stored_rows import StoredRows
from ._inputs import load_vectors
from ._lists import say_lists
from ._terminal import Bar, InputError, LoggedProgress, checked, print_lines, progress


def add_shards(encode: argparse.ArgumentParser) -> None:
    """Add the options of many files."""
    encode.add_argument(
        "--vectors",
        choices=["copy", "refer"],
        default="copy",
        help=(
            "with --oversampling: copy the vectors into the index, or refer to the "
            "file that they are in (.npy, .fbin and the like; default: copy)"
        ),
    )
    encode.add_argument(
        "--shard-rows",
        type=int,
        metavar="N",
        help="most rows in a file of the folder (default: what takes 256 MiB)",
    )
    encode.add_argument(
        "--resume",
        action="store_true",
        help="continue a run that was stopped: finished shards are kept",
    )
    encode.add_argument(
        "--append",
        action="store_true",
        help="add the rows to the index in the folder, encoded as its rows were",
    )


def is_folder(out: str) -> bool:
    """Tell whether an output is a folder."""
    return out.endswith(("/", os.sep)) or os.path.isdir(out)


def refuse_shard_options(args: argparse.Namespace) -> None:
    """Refuse options of folders where the output is a file."""
    for option, value in (
        ("--shard-rows", args.shard_rows is not None),
        ("--resume", args.resume),
        ("--append", args.append),
    ):
        if value:
            raise InputError(f"{option} is for a folder: write -o {args.out}/")


def encode_shards(
    args: argparse.Namespace,
    new_index: Callable[[argparse.Namespace, int], BinaryNeighbors],
) -> None:
    """Run the command."""
    _check_folder(args)
    if args.append:
        verify = not args.no_verify
        index = checked(ShardedNeighbors.load, args.out, verify=verify)
        rows = _open_rows(args, index.metric)
    else:
        rows = _open_rows(args, args.metric)
        index = ShardedNeighbors(folder=args.out, resume=args.resume)
        made = new_index(args, rows.shape[1])
        index.set_params(**index._parameters_of(made))
    index.set_params(
        shard_rows="auto" if args.shard_rows is None else args.shard_rows,
        vectors=args.vectors,
        n_jobs=-1 if rows.is_mapped else 1,
    )
    progress(f"learning from {len(rows):,} rows")
    with LoggedProgress(Bar("encoding", len(rows))):
        checked(index.partial_fit if args.append else index.fit, rows)
    kept = index.vector_bytes_per_row_ if args.vectors == "copy" else 0
    n_shards = len(index.shard_files_)
    print_lines(
        [
            f"{args.out}: {index.n_samples_fit_:,} rows in {n_shards} "
            f"shard{'s' * (n_shards != 1)}, {index.bytes_per_row_} bytes per vector"
            + (f", and {kept:,} for the vector itself" if kept else ""),
            *say_lists(index),
        ]
    )


def _check_folder(args: argparse.Namespace) -> None:
    """Refuse options that make no sense, and a folder that must not be written to."""
    if args.like is not None:
        raise InputError(
            "--like is for files: shards in a folder share what was learned; add "
            "files to them with --append"
        )
    if args.append and args.algorithm is not None:
        raise InputError(
            "--append goes on with the lists that the folder has, or without: leave "
            "out --algorithm"
        )
    if args.resume and args.append:
        raise InputError("--resume goes on with a run, --append adds: choose one")
    folder = args.out.rstrip("/" + os.sep) or args.out
    parent = os.path.dirname(os.path.abspath(folder))
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f"cannot write {folder}: it is a file")
    if not os.path.isdir(parent):
        raise InputError(f"cannot write {folder}: there is no folder {parent}")
    if args.resume or args.append or not os.path.isdir(folder):
        return
    if os.listdir(folder):
        if not args.force or not os.path.exists(os.path.join(folder, NAME)):
            raise InputError(
                f"{args.out} is not empty; --resume goes on there, --append adds to "
                "it, --force writes over an index there"
            )
        _remove_index(folder)


def _remove_index(folder: str) -> None:
    """Remove the files of an index, and nothing else."""
    for name in os.listdir(folder):
        if name == NAME or name.endswith(".skbq") or name.startswith(f".{NAME}"):
            os.unlink(os.path.join(folder, name))


def _open_rows(args: argparse.Namespace, metric: str) -> StoredRows:
    """Open the files; each row is looked at as it is encoded, or is left out now."""
    if args.skip_invalid:
        return load_vectors(
            args.files,
            column=args.column,
            ids=args.ids,
            skip_invalid=True,
            zeros=metric != "cosine",
        )
    return checked(open_vectors, args.files, column=args.column, ids=args.ids)
