"""What commands share: their options, and outputs that keep inputs whole."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ._terminal import InputError

METRICS = ["cosine", "euclidean", "inner_product"]
ONE_A_ROW = "embeddings, one a row"

Commands = Any  # what add_subparsers gives


def add_neighbors(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--neighbors", type=int, default=10, metavar="K", help="default: 10"
    )


def add_metric(command: argparse.ArgumentParser) -> None:
    near = "what makes rows near (default: cosine)"
    command.add_argument("--metric", choices=METRICS, default="cosine", help=near)


def checked(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the library, whose refusals are the user's to read."""
    try:
        return function(*args, **kwargs)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(" ".join(str(error).split())) from None


def keep_inputs(out: str | None, *inputs: str | None) -> None:
    """Refuse to write over a file that is read."""
    for path in inputs:
        there = out and path and Path(out).exists() and Path(path).exists()
        if there and Path(str(out)).samefile(str(path)):
            raise InputError(f"{out} is read and would be written over")


def write_text(path: str, text: str, mode: str = "w") -> None:
    try:
        with open(path, mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def jsonable(value: Any) -> Any:
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
