"""What commands share: progress on stderr, and errors of one line."""

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Characters, so that the text beside the bar fits 80 columns.
_BAR = 20
# Seconds between two lines of progress where they do not overwrite each other.
_PAUSE = 2.0


class InputError(Exception):
    """Something that the user gave cannot be used; the text is one line."""


# Parameters of the library by the option that sets them.
_FLAGS = {
    "algorithm": "--algorithm",
    "n_neighbors": "--neighbors",
    "target_recall": "--target-recall",
    "max_bytes": "--max-bytes",
    "n_bytes": "--n-bytes",
    "exponent": "--exponent",
    "prefer": "--prefer",
    "expected_rows": "--expected-rows",
    "oversampling": "--oversampling",
    "metric": "--metric",
    "query": "--query",
    "bits": "--bits",
}


def checked(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the library, whose refusals are the user's to read.

    Its warnings are not shown: reports hold those that matter.

    Raises
    ------
    InputError
        One line that names options and files.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)
    except OSError as error:
        if error.filename is None:
            raise InputError(str(error)) from None
        reason = error.strerror or error
        raise InputError(f"cannot read {error.filename}: {reason}") from None
    except (ValueError, TypeError, ImportError) as error:
        raise InputError(in_options(" ".join(str(error).split()))) from None


def in_options(message: str) -> str:
    """Say a message of the library in the words of the command line.

    Examples
    --------
    >>> from skbq.cli._terminal import in_options
    >>> in_options("The 'oversampling' parameter of BinaryNeighbors must be a float.")
    '--oversampling must be a float.'
    >>> in_options("max_bytes=1 is less than any code takes.")
    '--max-bytes 1 is less than any code takes.'
    """
    names = "|".join(_FLAGS)
    message = re.sub(
        rf"The '({names})' parameter of \w+", lambda m: _FLAGS[m[1]], message
    )
    message = re.sub(rf"\b({names})=", lambda m: f"{_FLAGS[m[1]]} ", message)
    return re.sub(rf"'?\b(?<!-)({names})\b'?", lambda m: _FLAGS[m[1]], message)


_is_quiet = False


def set_quiet(is_quiet: bool) -> None:
    """Say nothing of progress, or do so again."""
    global _is_quiet
    _is_quiet = is_quiet


def progress(text: str) -> None:
    """Say on stderr what is being done; on a terminal over the line before."""
    if _is_quiet:
        return
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
        self._done = min(self._done + count, self._total)
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
    """Shows what the library logs as progress, for a while: steps, or rows on a bar.

    Every command shows steps, among them that kernels are compiled; what counts rows
    adds a bar.
    """

    def __init__(self, bar: Bar | None = None) -> None:
        super().__init__(logging.INFO if bar is None else logging.DEBUG)
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        rows = getattr(record, "rows", 0)
        if self._bar is None:
            progress(record.getMessage())
        elif rows:
            self._bar.add(rows)

    def __enter__(self) -> None:
        self._logger = logging.getLogger("skbq")
        self._before = self._logger.level
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before)
