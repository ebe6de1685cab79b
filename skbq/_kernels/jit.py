"""One place that says how kernels are compiled, and where they are kept."""

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import event

# A compiled function is called as the function that it was made of.
_Function = TypeVar("_Function", bound=Callable[..., object])

# The instruction set that the tests force: see ``vectors``.
FORCED = os.environ.get("SKBQ_KERNEL")


def _nothing() -> None: ...


def _can_cache() -> bool:
    """Tell whether numba finds a folder to keep compiled kernels in.

    Where neither the package nor the home folder can be written, numba refuses
    ``cache=True`` at decoration, which would break the import; of a package in an
    archive it fails at the first call only. Forced instruction sets are not kept, since
    the cache would not see the choice.
    """
    off = os.environ.get("SKBQ_NUMBA_CACHE", "1") == "0"
    if FORCED or off or numba.config.DISABLE_JIT:
        return False
    try:
        folder = numba.njit(cache=True)(_nothing).stats.cache_path
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):
        return False


def _hash_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_CACHE = _can_cache()
_SOURCES = _hash_sources()


class _CompilationNotice(event.Listener):
    """Says, once in a process, why the first call takes so long.

    numba tells of a kernel that it compiles, not of one that it finds kept.
    """

    said = False

    def on_start(self, event: event.Event) -> None:
        """Say it if the function is one of ours."""
        module = event.data["dispatcher"].py_func.__module__
        if self.said or not module.startswith(__package__):
            return
        self.said = True
        kept = "which are then kept" if _CACHE else "as they cannot be kept here"
        text = f"compiling kernels, {kept}: some seconds"
        log = logging.getLogger("skbq")
        log.info(text)
        # Who types into a notebook or a console waits; a program has its log.
        if hasattr(sys, "ps1") and not log.isEnabledFor(logging.INFO):
            print(f"skbq: {text}", file=sys.stderr, flush=True)

    def on_end(self, event: event.Event) -> None:
        """Say nothing."""


event.register("numba:compile", _CompilationNotice())


def kernel(function: _Function) -> _Function:
    """Compile a function at its first call, or take it from numba's cache.

    Threads share a kernel (nogil); parallelism is that of Python's threads, never
    numba's, whose workqueue layer kills the process when two of them call it.
    """
    compiled = numba.njit(nogil=True, cache=_CACHE)(function)
    # numba takes a kept kernel for fresh while its own file is the same, though it
    # calls functions of other files: make it a matter of all of them.
    file: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, _SOURCES)
        _outlive_damage(file)
    return compiled


def _outlive_damage(file: Any) -> None:
    """Make kept kernels that cannot be read count as not there.

    numba would raise what unpickling raises, at every call from then on. What is not
    there it compiles and keeps anew.
    """
    load_index, load_data = file._load_index, file._load_data

    def index() -> object:
        try:
            return load_index()
        except Exception:  # unpickling damaged bytes raises anything
            return {}

    def data(name: str) -> object:
        try:
            return load_data(name)
        except Exception as error:
            raise OSError(f"{name} is damaged") from error

    file._load_index, file._load_data = index, data


# Vectors stay in registers, and arrays uncounted, where calls are inlined.
inlined: Callable[[_Function], _Function] = numba.njit(nogil=True, forceinline=True)
