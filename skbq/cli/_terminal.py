"""What commands share: files of vectors, progress on stderr, one-line errors."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from .._utils.parallel import row_blocks

_BAR = 20
# Seconds between two lines of progress where they do not overwrite each other.
_PAUSE = 2.0


class InputError(Exception):
    """Something that the user gave cannot be used; the text is one line."""


def load_vectors(path: str, *, zeros: bool = False) -> np.ndarray:
    """Map a file of vectors into memory, after a look at every row.

    Parameters
    ----------
    path : str
        A .npy file.
    zeros : bool, default=False
        Whether rows may be all zeros, which have no cosine.

    Returns
    -------
    vectors : memmap of shape (n_samples, n_features)
        Floats or signed integers, as stored; finite.

    Raises
    ------
    InputError
        If the file is anything else.
    """
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise InputError(
            f"{path} is not a whole .npy file of numbers, as numpy.save writes them"
        ) from None
    if not isinstance(vectors, np.ndarray):
        raise InputError(
            f"{path} holds several arrays ({', '.join(vectors.files)}); save the one "
            "that holds the embeddings with numpy.save"
        )
    if vectors.dtype.kind not in "fi":
        raise InputError(
            f"{path} holds {vectors.dtype}, but embeddings are floats or signed "
            "integers; save X.astype(numpy.float32) if these are vectors"
        )
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise InputError(
            f"{path} has shape {vectors.shape}, but expected is (rows, coordinates)"
        )
    _refuse_bad_rows(vectors, path, zeros)
    return vectors


def _refuse_bad_rows(vectors: np.ndarray, path: str, zeros: bool) -> None:
    bar = Bar(f"reading {path}:", len(vectors))
    for some in row_blocks(len(vectors), vectors.shape[1] * 8, shares=8):
        block = vectors[some]
        found = [(~np.isfinite(block).all(axis=1), "holds NaN or infinity")]
        if not zeros:
            found.append((~block.any(axis=1), "is all zeros, which have no direction"))
        for bad, what in found:
            if bad.any():
                first = some.start + int(np.flatnonzero(bad)[0])
                raise InputError(f"{path}: row {first} {what}; leave such rows out")
        bar.add(some.stop - some.start)


def progress(text: str) -> None:
    """Say on stderr what is being done; on a terminal over the line before."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text} ...", end="", file=sys.stderr, flush=True)
    else:
        print(f"{text} ...", file=sys.stderr, flush=True)


class Bar:
    """A bar of progress; where lines pile up, a line now and then.

    Parameters
    ----------
    text : str
        What is being done.
    total : int
        How many there are.
    what : str, default="rows"
        Of what.
    """

    def __init__(self, text: str, total: int, what: str = "rows") -> None:
        self._text, self._total, self._what = text, total, what
        self._done = 0
        self._said = float("-inf")

    def add(self, count: int) -> None:
        """Move on by so many."""
        self._done += count
        text = f"{self._text} {self._done:,} of {self._total:,} {self._what}"
        if sys.stderr.isatty():
            filled = _BAR * self._done // self._total
            progress(f"[{'#' * filled:.<{_BAR}}] {text}")
        elif self._done == self._total or time.monotonic() - self._said > _PAUSE:
            self._said = time.monotonic()
            progress(text)


def clear_progress() -> None:
    """Take the line of progress off a terminal."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def print_lines(lines: Sequence[str] | Iterator[str]) -> None:
    """Print lines where progress was shown."""
    text = "\n".join(lines)
    clear_progress()
    print(text, flush=True)


class LoggedProgress(logging.Handler):
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
