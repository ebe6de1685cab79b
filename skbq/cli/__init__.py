"""The ``skbq`` command: main, which parses, calls and reports what cannot be used.

Each command has a file of its own, with ``add`` (its options) and ``run``.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from . import advise, completion, demo, encode, merge, plan, profile, search
from ._interruption import interruptible
from ._options import fill_in_options
from ._terminal import InputError, LoggedProgress, clear_progress, set_quiet

_COMMANDS = (demo, advise, profile, encode, search, merge, plan, completion)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None means those of the process.

    Returns
    -------
    status : int
        0, or 2 if something given cannot be used, or 1 for a bug in skbq, or 130 after
        Ctrl-C.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    if not words:
        parser.print_help()
        return 0
    args = parser.parse_args(fill_in_options(words))
    set_quiet(args.quiet)
    try:
        with interruptible(), LoggedProgress():
            args.run(args)
        sys.stdout.flush()
    except InputError as error:
        clear_progress()
        print(f"skbq {args.command}: error: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        clear_progress()
        why = str(error) or "there is no more"
        print(f"skbq {args.command}: error: memory: {why}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, as in `skbq demo | head`, has enough
        _drop_output()
    except OSError as error:  # of stdout: those of files are InputErrors
        _drop_output()
        clear_progress()
        reason = error.strerror or error
        print(
            f"skbq {args.command}: error: cannot write the output: {reason}",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        if os.environ.get("SKBQ_DEBUG"):
            raise
        clear_progress()
        print(
            f"skbq {args.command}: error: {type(error).__name__}: {error} (a bug in "
            "skbq, please report it; SKBQ_DEBUG=1 shows where)",
            file=sys.stderr,
        )
        return 1
    return 0


def _drop_output() -> None:
    """Let what Python still writes at its end go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="skbq", description="Binary quantization of embeddings.")
    parser.add_argument("--version", action="version", version=f"skbq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add(commands)
    for command in commands.choices.values():
        command.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return parser
