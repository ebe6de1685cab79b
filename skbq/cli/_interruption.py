"""Ctrl-C, also where Python would lose it.

A KeyboardInterrupt that is raised inside of a function that C calls is printed and
dropped. LLVM calls such functions whenever it has compiled a kernel, and since Python
looks at signals only between its own steps, one that came during the compilation is
nearly always raised there.
"""

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds until an interruption that would be lost is tried again.
_LATER = 0.02


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C, postponed while LLVM calls Python.

    Only in the main thread, and only where nobody else handles Ctrl-C.
    """
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _is_in_llvm(frame):
        raise KeyboardInterrupt
    later = threading.Timer(_LATER, _interrupt_again)
    later.daemon = True
    later.start()


def _interrupt_again() -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # wakes it, should it sleep
    else:
        _thread.interrupt_main()


def _is_in_llvm(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("llvmlite."):
            return True
        frame = frame.f_back
    return False
