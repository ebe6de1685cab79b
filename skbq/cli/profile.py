"""The command ``skbq profile``."""

import argparse
import json
from textwrap import fill

import numpy as np

from .._profiling.profiler import HeterogeneityProfiler
from .._utils.parallel import row_blocks
from ._inputs import add_inputs, load_vectors
from ._options import Commands, add_force, check_output, jsonable, write_text
from ._terminal import Bar, InputError, checked, print_lines

# Any, but fixed: the same command gives the same profile.
_SEED = 0
# Columns of a text.
_WIDTH = 80


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    profile = commands.add_parser(
        "profile",
        help="measure what decides how well binary codes work",
        description="Measure vectors of files of any size, block by block.",
    )
    add_inputs(profile)
    profile.add_argument("--html", metavar="REPORT.html", help="write a report as HTML")
    add_force(profile)
    profile.add_argument("--json", action="store_true", help="print figures as JSON")
    profile.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    check_output(args.html, args.files, force=args.force)
    X = load_vectors(
        args.files,
        column=args.column,
        ids=args.ids,
        skip_invalid=args.skip_invalid,
        zeros=True,
    )
    if len(X) < 2:
        raise InputError(f"{args.files[0]} has one row, of which nothing varies")
    profiler = HeterogeneityProfiler(random_state=_SEED)
    bar = Bar("profiling", len(X))
    for rows in row_blocks(len(X), X.shape[1] * 8, shares=8):
        checked(profiler.partial_fit, X[rows])
        bar.add(rows.stop - rows.start)
    if args.html is not None:
        title = f"Profile of {', '.join(args.files)}"
        write_text(args.html, profiler._report_page(title))
    if not args.json:
        lines = profiler.report().splitlines()
        print_lines([fill(line, _WIDTH, subsequent_indent="  ") for line in lines])
        return
    figures = {
        name: jsonable(value)
        for name, value in vars(profiler).items()
        if name.endswith("_") and np.ndim(value) == 0
    }
    print_lines([json.dumps(figures, indent=1)])
