"""The command ``skbq merge``."""

import argparse
import os

from .._neighbors.merge import merge_files
from .._sharding.index import ShardedNeighbors
from ._options import Commands, add_no_verify, add_output, check_output
from ._terminal import checked, print_lines, progress


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    merge = commands.add_parser(
        "merge",
        help="join index files into one",
        description=(
            "Join index files into one, in this order; a folder stands for its shards. "
            "They must share what was learned: encode into a folder, or encode the "
            "first file, and the others with --like FIRST."
        ),
    )
    given = "index files, or folders of shards"
    merge.add_argument("indexes", nargs="+", metavar="INDEX", help=given)
    add_output(merge, "the index file", required=True)
    add_no_verify(merge, "which all files are held against")
    merge.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    verify = not args.no_verify
    paths = [path for index in args.indexes for path in _files(index, verify=verify)]
    check_output(args.out, paths, force=args.force)
    progress(f"merging {len(paths)} files")
    n_rows = checked(merge_files, paths, args.out, verify=verify)
    print_lines([f"{args.out}: {n_rows:,} rows of {len(paths)} files"])


def _files(index: str, *, verify: bool) -> list[str]:
    """List the shards of a folder; a file is listed alone."""
    if not os.path.isdir(index):
        return [index]
    return checked(ShardedNeighbors.load, index, verify=verify).shard_files_
