"""Inverted lists on the command line: what a search compares, in words."""

from .._neighbors.calibration import describe_lack_of_structure
from .._neighbors.index import BinaryNeighbors


def say_lists(index: BinaryNeighbors) -> list[str]:
    """Say what share of the rows a search compares, and what it finds.

    Nothing is said of an index without lists, or that does without them.
    """
    if index.algorithm == "brute" or not hasattr(index, "n_lists_"):
        return []
    curve, n_probes = index.probe_curve_, index.n_probes_
    line = f"{index.n_lists_:,} lists, of which a query probes "
    if not isinstance(n_probes, int):
        return [f"{line}those that hold {n_probes:.2g} of the rows"]
    line += f"{n_probes:,}"
    if index.n_probes != "auto" or not curve.n_queries:
        return [line]
    point = curve.find(index.target_recall)
    lines = [
        f"{line}: of {index.n_samples_fit_:,} rows {curve.share[point]:.2%} are "
        f"compared, and {curve.recall[point]:.3f} of the neighbors that brute force "
        f"gives are found (measured with {curve.n_queries:,} queries like the rows)"
    ]
    lack = describe_lack_of_structure(curve, index.target_recall)
    return lines if lack is None else [*lines, lack]
