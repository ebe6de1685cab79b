"""The command ``skbq plan``."""

import argparse
import inspect
import json
from dataclasses import asdict

from .._sharding.capacity import plan_capacity
from .._utils.typing import METRICS
from ._options import Commands
from ._terminal import checked, print_lines

# Options that are numbers, as plan_capacity has them, and what help says of each.
_NUMBERS = {
    "bits": (float, "bits of a coordinate"),
    "n_neighbors": (int, "neighbors of a query"),
    "oversampling": (float, "keep the vectors, and rerank C candidates a neighbor"),
    "vector_bytes": (int, "bytes of a vector"),
    "probed_share": (float, "with lists: share of the rows that a query compares"),
    "n_copies": (int, "copies of all files"),
    "memory_gb": (float, "memory of a machine for codes"),
    "n_cores": (int, "cores of a machine"),
    "latency_ms": (float, "longest time for the scan of a query"),
    "scan_gb_per_second": (float, "codes that a core scans for a query"),
    "encode_rows_per_second": (float, "rows that a core encodes"),
    "read_gb_per_second": (float, "what a machine reads in sequence"),
    "random_reads_per_second": (float, "vectors that a machine reads in any order"),
    "shard_rows": (int, "rows of a shard"),
}
_CHOICES: dict[str, list[str]] = {
    "code": ["coordinates", "pca"],
    "query": ["codes", "vectors"],
    "metric": list(METRICS),
}


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    plan = commands.add_parser(
        "plan",
        help="plan memory, disk, machines and hours for many rows",
        description=(
            "Compute what an index of so many rows needs, from your numbers; measure "
            "speeds on your machines and pass them. GB are 10^9 bytes."
        ),
    )
    plan.add_argument("rows", type=_whole, metavar="ROWS", help="such as 1e9")
    plan.add_argument("features", type=_whole, metavar="FEATURES", help="coordinates")
    parameters = inspect.signature(plan_capacity).parameters
    for name, choices in _CHOICES.items():
        default = parameters[name].default
        words = f"default: {default}"
        plan.add_argument(_flag(name), choices=choices, default=default, help=words)
    for name, (kind, words) in _NUMBERS.items():
        default = parameters[name].default
        said = "none" if default is None else f"{default:,}"
        plan.add_argument(
            _flag(name),
            type=kind,
            default=default,
            metavar="N",
            help=f"{words} (default: {said})",
        )
    plan.add_argument("--json", action="store_true", help="print all as JSON")
    plan.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    options = {
        name: getattr(args, _flag(name).strip("-").replace("-", "_"))
        for name in (*_CHOICES, *_NUMBERS)
    }
    plan = checked(plan_capacity, args.rows, args.features, **options)
    print_lines([json.dumps(asdict(plan), indent=1) if args.json else str(plan)])


def _flag(name: str) -> str:
    return "--" + name.removeprefix("n_").replace("_", "-")


def _whole(text: str) -> int:
    """Read a whole number, also as 1e9."""
    number = float(text)
    if number != int(number):
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(number)
