"""Files that commands read: options, and rows that are looked at once."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from .._readers import find_invalid, open_vectors
from .._utils.stored_rows import StoredRows
from .._utils.validation import looks_packed
from ._terminal import Bar, InputError, checked, clear_progress

# Rows that a warning looks at.
_LOOKED_AT = 1000

FILES = (
    "embeddings: .npy, .npz, .parquet, .arrow, .feather, .jsonl, .csv, .h5, "
    ".safetensors, .fvecs, .fbin and their like; several files, a folder or a pattern "
    "are read as one"
)


def add_inputs(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add files of vectors, and what is read of them."""
    if required:
        command.add_argument("files", nargs="+", metavar="FILE", help=FILES)
    else:
        command.add_argument(
            *("files",),
            nargs="*",
            metavar="FILE",
            help=f"{FILES} (default: the 5,000 glosses that come with skbq)",
        )
    add_columns(command)


def add_columns(command: argparse.ArgumentParser) -> None:
    """Add what is read of files."""
    command.add_argument(
        "--column",
        metavar="NAME",
        help="the column or array that holds the vectors (default: the only one)",
    )
    command.add_argument(
        "--ids", metavar="NAME", help="a column of identifiers, which results show"
    )
    command.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out rows with NaN or infinity, and those of zeros under cosine",
    )


def load_vectors(
    paths: str | Sequence[str],
    *,
    column: str | None = None,
    ids: str | None = None,
    skip_invalid: bool = False,
    zeros: bool = False,
) -> StoredRows:
    """Open files of vectors, after a look at every row.

    Parameters
    ----------
    paths : str or sequence of str
        Files, folders or patterns.
    column, ids : str, default=None
        Columns of the vectors and of identifiers.
    skip_invalid : bool, default=False
        Whether to leave out rows that cannot be used, instead of refusing them.
    zeros : bool, default=False
        Whether rows may be all zeros, which have no cosine.

    Returns
    -------
    vectors : StoredRows of shape (n_samples, n_features)
        Floats or signed integers, as stored; finite.

    Raises
    ------
    InputError
        If the files are anything else.
    """
    rows = checked(open_vectors, paths, column=column, ids=ids)
    name = rows.where(0)[0]
    bar = Bar(f"reading {name}:", len(rows))
    invalid = checked(find_invalid, rows, zeros=zeros, on_block=bar.add)
    for bad, what in zip(invalid, (_NOT_FINITE, _ZEROS), strict=True):
        if bad.size and not skip_invalid:
            raise InputError(
                f"{rows.name_rows(bad)} {what[bad.size > 1]}; leave such rows out: "
                "--skip-invalid"
            )
    out = invalid.all
    if out.size == len(rows):
        raise InputError(f"{name}: no row can be used")
    if out.size:
        rows = rows.without(out)
        note(f"{name}: {out.size:,} invalid rows are left out")
    if looks_packed(np.asarray(rows[:: -(-len(rows) // _LOOKED_AT)])):
        note(
            f"{name} holds {rows.dtype} that looks like packed bits, and is taken for "
            "vectors; codes go through skbq.as_codes in Python"
        )
    return rows


def note(text: str) -> None:
    """Say on stderr what the user should know, --quiet or not."""
    clear_progress()
    print(f"warning: {text}", file=sys.stderr, flush=True)


_NOT_FINITE = ("holds NaN or infinity", "hold NaN or infinity")
_ZEROS = ("is all zeros, which have no direction", "are all zeros without a direction")
