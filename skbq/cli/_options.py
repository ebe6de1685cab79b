"""Options that commands share, and outputs that keep inputs whole."""

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from .._readers import list_files
from .._utils.typing import METRICS
from ._terminal import InputError

ROTATIONS = ["auto", "haar", "dct", "hadamard"]


class Commands(Protocol):
    """What add_subparsers gives."""

    @property
    def choices(self) -> Mapping[str, argparse.ArgumentParser]:
        """The parsers of all commands by name."""

    def add_parser(
        self, name: str, *, help: str, description: str
    ) -> argparse.ArgumentParser:
        """Add a command."""


def add_neighbors(command: argparse.ArgumentParser) -> None:
    """Add how many neighbors to find."""
    command.add_argument(
        "--neighbors",
        type=int,
        default=10,
        metavar="K",
        help="neighbors of each query (default: 10)",
    )


def add_metric(command: argparse.ArgumentParser) -> None:
    """Add what makes rows near."""
    near = "similarity that decides which rows are near (default: cosine)"
    command.add_argument("--metric", choices=METRICS, default="cosine", help=near)


def add_output(
    command: argparse.ArgumentParser, help: str, *, required: bool = False
) -> None:
    """Add where to write, and permission to overwrite."""
    command.add_argument("-o", "--out", metavar="OUT", required=required, help=help)
    add_force(command)


def add_force(command: argparse.ArgumentParser) -> None:
    """Add permission to overwrite."""
    command.add_argument("--force", action="store_true", help="overwrite what exists")


def add_no_verify(command: argparse.ArgumentParser, when: str) -> None:
    """Add leave to read an index without its checksums, and say when they are read."""
    command.add_argument(
        "--no-verify", action="store_true", help=f"skip the checksums, {when}"
    )


def fill_in_options(words: list[str]) -> list[str]:
    """Let ``--rotate`` stand without a method, before a file as well."""
    following = [*words[1:], ""]
    return [
        "--rotate=auto" if word == "--rotate" and after not in ROTATIONS else word
        for word, after in zip(words, following, strict=True)
    ]


def check_output(
    out: str | None, inputs: Iterable[str | None], *, force: bool = False
) -> None:
    """Refuse, before any work, an output that cannot or must not be written.

    Raises
    ------
    InputError
        If its folder is not there, if it is one of the inputs by whatever path, or if
        it exists and ``force`` is not given.
    """
    if out is None:
        return
    _check_parent(out)
    if os.path.isdir(out):
        raise InputError(f"cannot write {out}: it is a folder")
    for path in inputs:
        if path is not None and any(_same(out, file) for file in _files(path)):
            raise InputError(f"{out} is read and would be written over")
    if os.path.lexists(out) and not force:
        raise InputError(f"{out} exists; --force writes over it")


def _check_parent(out: str) -> None:
    folder = os.path.dirname(out) or "."
    if not os.path.isdir(folder):
        raise InputError(f"cannot write {out}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write {out}: no permission to write in {folder}")


def check_folder(folder: str | None, *, force: bool = False) -> None:
    """Refuse, before any work, a folder that has something in it.

    Raises
    ------
    InputError
        If the folder around it is not there, it is a file, or it is not empty and
        ``force`` is not given.
    """
    if folder is None:
        return
    folder = folder.rstrip(os.sep) or folder
    _check_parent(folder)
    if not os.path.lexists(folder):
        return
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is a file, not a folder: name a new one")
    if os.listdir(folder) and not force:
        raise InputError(
            f"{folder} exists and is no empty folder: name a new one, or write over "
            "files in it with --force"
        )


def _files(path: str) -> list[str]:
    """List what a path stands for; what is wrong with it is said when it is read."""
    try:
        return list_files(path)
    except ValueError:
        return []


def _same(out: str, path: str) -> bool:
    """Tell whether two paths are one file, by links as well."""
    if os.path.exists(out) and os.path.exists(path):
        return os.path.samefile(out, path)
    return os.path.realpath(out) == os.path.realpath(path)


def write_text(path: str, text: str) -> None:
    """Write a file as a whole."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def jsonable(value: object) -> object:
    """Turn a value into what JSON has; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | tuple | list):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)
