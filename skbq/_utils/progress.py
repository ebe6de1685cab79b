"""Progress of a long fit, as ``verbose`` asks for it: a bar of tqdm, or lines.

Steps are logged to the logger "skbq", with the share that is done by then as ``done``.
"""

import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

_LOGGER = logging.getLogger("skbq")


class _Bar(Protocol):
    """What is used of a bar of tqdm."""

    n: float

    def set_description_str(self, desc: str, refresh: bool = True) -> None:
        """Write what is being done."""

    def refresh(self) -> object:
        """Draw it anew."""

    def close(self) -> None:
        """Leave it as it is."""


class ShownProgress(logging.Handler):
    """Shows what is logged while it is entered, if ``verbose``.

    Parameters
    ----------
    owner : str
        Name of the estimator, as scikit-learn writes it before each line.
    verbose : int
        0: nothing; 1: a bar of tqdm (of notebooks, in a notebook), or lines where it
        is not installed; more: lines with the seconds that have passed.
    """

    def __init__(self, owner: str, verbose: int) -> None:
        super().__init__(logging.INFO)
        self._owner, self._verbose = owner, verbose
        self._bar: _Bar | None = None

    def __enter__(self) -> Self:
        self._start, self._level = time.perf_counter(), _LOGGER.level
        if self._verbose:
            self._bar = _new_bar(self._owner) if self._verbose == 1 else None
            _LOGGER.addHandler(self)
            if not _LOGGER.isEnabledFor(logging.INFO):
                _LOGGER.setLevel(logging.INFO)
        return self

    def emit(self, record: logging.LogRecord) -> None:
        """Show a step."""
        text, done = record.getMessage(), getattr(record, "done", None)
        if self._bar is None:
            seconds = time.perf_counter() - self._start
            print(f"[{self._owner}] {seconds:5.1f} s: {text}", flush=True)
            return
        if done is not None:
            self._bar.n = round(100 * done)
        self._bar.set_description_str(f"{self._owner}: {text}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: "TracebackType | None",
    ) -> None:
        if not self._verbose:
            return
        _LOGGER.removeHandler(self)
        _LOGGER.setLevel(self._level)
        if self._bar is not None:
            if error is None:
                self._bar.n = 100
                self._bar.set_description_str(f"{self._owner}: done")
            self._bar.close()


def _new_bar(owner: str) -> _Bar | None:
    """Return a bar of a hundred steps; None where tqdm is not installed."""
    try:
        with warnings.catch_warnings():
            # In a notebook without widgets the bar is one of text, which is fine.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    bar: _Bar = tqdm(
        total=100,
        desc=owner,
        bar_format="{l_bar}{bar}| {elapsed}",
        file=sys.stderr,
        leave=True,
    )
    return bar
