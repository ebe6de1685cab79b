"""Measure what each parameter of the quantizers adds, to choose the defaults.

    python benchmarks/quantizer_defaults.py SET.npz ... [--out TABLE.md]

Each set is an .npz file with arrays ``base`` and ``queries``; without any, the shipped
embeddings are used. Printed is recall@10 before reranking (cosine, all rows), for coded
and for float queries, with the baseline BinaryQuantizer("zero") first.
"""

import argparse
from pathlib import Path

import numpy as np
from _sets import describe_run, load_sets
from sklearn.neighbors import NearestNeighbors

from skbq import BinaryNeighbors, BinaryQuantizer, TwoBitQuantizer
from skbq.metrics import neighbor_recall

K = 10
QUANTIZERS = {
    "1 bit, zero": BinaryQuantizer("zero"),
    "1 bit, median": BinaryQuantizer("median"),
    "1 bit, mean": BinaryQuantizer("mean"),
    "2 bits, zero, row, (1, 2)": TwoBitQuantizer("zero", "row", (1, 2)),
    "2 bits, zero, row, (1, 3)": TwoBitQuantizer("zero", "row", (1, 3)),
    "2 bits, mean, row, (1, 2)": TwoBitQuantizer("mean", "row", (1, 2)),
    "2 bits, mean, row, (1, 3)": TwoBitQuantizer("mean", "row", (1, 3)),
    "2 bits, mean, row, (1, 4)": TwoBitQuantizer("mean", "row", (1, 4)),
    "2 bits, mean, row, lloyd_max": TwoBitQuantizer("mean", "row", "lloyd_max"),
    "2 bits, median, row, (1, 3)": TwoBitQuantizer("median", "row", (1, 3)),
    "2 bits, mean, coordinate, (1, 3)": TwoBitQuantizer("mean", "coordinate", (1, 3)),
    "2 bits, mean, coordinate, lloyd_max": TwoBitQuantizer(
        "mean", "coordinate", "lloyd_max"
    ),
}


def measure(base, queries, quantizer, query):
    exact = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute")
    exact.fit(base)
    true, _ = exact.kneighbors(queries)
    index = BinaryNeighbors(K, quantizer=quantizer, query=query, n_jobs=2).fit(base)
    rows = index.kneighbors(queries, return_distance=False)
    unit = base / np.linalg.norm(base, axis=1, keepdims=True)
    unit_queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    found = 1 - np.einsum("qd,qkd->qk", unit_queries, unit[rows])
    return neighbor_recall(true, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sets = list(load_sets(arguments.sets))
    lines = [
        "| codes, query | " + " | ".join(name for name, _, _ in sets) + " | mean |",
        "|---" * (len(sets) + 2) + "|",
    ]
    print(*lines, sep="\n", flush=True)
    for query in ("codes", "vectors"):
        for name, quantizer in QUANTIZERS.items():
            recalls = [measure(X, Y, quantizer, query) for _, X, Y in sets]
            figures = [*recalls, np.mean(recalls)]
            cells = " | ".join(f"{r:.3f}" for r in figures)
            lines.append(f"| {name}; {query} | {cells} |")
            print(lines[-1], flush=True)
    if arguments.out:
        header = [
            "# Defaults of the quantizers",
            "",
            "Recall@10 before reranking, cosine. Made by",
            "`python benchmarks/quantizer_defaults.py SET.npz ... --out TABLE.md`",
            "",
            *describe_run([name for name, _, _ in sets]),
            "",
        ]
        arguments.out.write_text("\n".join(header + lines) + "\n")


if __name__ == "__main__":
    main()
