"""The command ``skbq merge``."""

import argparse

from .._neighbors.merge import merge_files
from ._options import Commands, add_output, check_output
from ._terminal import checked, print_lines, progress


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    merge = commands.add_parser(
        "merge",
        help="join indexes of shards to one",
        description=(
            "Join index files, in this order, to one. They must share what was "
            "learned: encode the first shard, and the others with --like FIRST."
        ),
    )
    merge.add_argument("indexes", nargs="+", metavar="INDEX")
    add_output(merge, "the index file", required=True)
    merge.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    check_output(args.out, args.indexes, force=args.force)
    progress(f"merging {len(args.indexes)} files")
    n_rows = checked(merge_files, args.indexes, args.out)
    print_lines([f"{args.out}: {n_rows:,} rows of {len(args.indexes)} files"])
