"""What fewer bytes of corrections cost: recall with short ones, or none, less exact.

    python benchmarks/corrections.py [SET.npz ...] [--out TABLE.md]

Asymmetric search by cosine, recall@10 without reranking, by ``corrections=True`` (3
bytes a row), "exact" (8 bytes) and False (none). Differences are paired, query by
query, with intervals at 95 %. A set holds the arrays ``base`` and ``queries``; the
shipped embeddings come first.
"""

import argparse
from pathlib import Path

import numpy as np
from _sets import describe_run, load_sets

from skbq import BinaryNeighbors, BinaryQuantizer, PCAQuantizer, TwoBitQuantizer
from skbq._utils.estimate import mean_estimate
from skbq._utils.similarity import similarities

K = 10
SEED = 0
QUANTIZERS = {
    "BinaryQuantizer": BinaryQuantizer(),
    "TwoBitQuantizer": TwoBitQuantizer(),
    **{
        f"PCAQuantizer({bits})": PCAQuantizer(bits, random_state=SEED)
        for bits in (1, 2, 4)
    },
}


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recalls(rows, queries, quantizer):
    """Return recall of each query by exact, short and no corrections."""
    true = similarities(queries, rows, "cosine")
    limits = np.sort(true, axis=1)[:, [-K]] - 1e-6
    quantizer = quantizer.fit(rows)
    for corrections in ("exact", True, False):
        index = BinaryNeighbors(
            K, quantizer=quantizer, query="vectors", corrections=corrections
        ).fit(rows)
        found = index.kneighbors(queries, return_distance=False)
        yield (np.take_along_axis(true, found, axis=1) >= limits).mean(axis=1)


def difference(less, exact):
    gap = mean_estimate(less - exact, 0.95)
    return f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


def table(sets):
    """Yield the lines of the table, set by set."""
    yield "| set | code | exact | short less exact | none less exact |"
    yield "|---|---|---:|---:|---:|"
    for name, rows, queries in sets:
        for code, quantizer in QUANTIZERS.items():
            exact, short, none = recalls(unit(rows), unit(queries), quantizer)
            changes = f"{difference(short, exact)} | {difference(none, exact)}"
            yield f"| {name} | {code} | {exact.mean():.4f} | {changes} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET.npz")
    parser.add_argument("--out", type=Path, help="write the table there")
    arguments = parser.parse_args()
    sets = [*load_sets([]), *(load_sets(arguments.sets) if arguments.sets else [])]
    lines = ["# Corrections of fewer bytes", "", str(__doc__).strip(), ""]
    lines += [*describe_run([name for name, *_ in sets], SEED), ""]
    for line in table(sets):
        print(line, flush=True)
        lines.append(line)
    if arguments.out:
        arguments.out.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
