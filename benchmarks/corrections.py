"""What fewer bytes of corrections cost: recall with float16 ones less that with exact.

    python benchmarks/corrections.py [SET.npz ...]

Codes of PCAQuantizer of 1, 2 and 4 bits, asymmetric search by cosine, recall@10 without
reranking. The last column has no corrections at all. A set holds the arrays ``base``
and ``queries``; the shipped embeddings come first.
"""

import argparse
from pathlib import Path

import numpy as np
from _sets import load_sets

from skbq import BinaryNeighbors, PCAQuantizer

K = 10


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def sums_of(quantizer, rows):
    """Return <a, a> and <q, a> of rows, block by block."""
    blocks = [
        quantizer._encode_with_sums(
            np.ascontiguousarray(rows[start : start + 2048])
        ).sums
        for start in range(0, len(rows), 2048)
    ]
    return np.concatenate(blocks, axis=1)[:2]


def recalls(rows, queries, bits):
    """Return recall of exact, float16 and no corrections."""
    index = BinaryNeighbors(
        quantizer=PCAQuantizer(bits, exponent=1, random_state=0), query="vectors"
    ).fit(rows)
    quantizer = index.quantizer_
    squares, along = sums_of(quantizer, rows)
    values = index.codes_.unpack()
    centered = (queries - quantizer.mean_).astype(np.float32)
    products = quantizer._project(centered) @ values.T
    scale, offset = index._rows.corrections.decoded()
    estimates = (
        squares / 2 - squares / along * products,
        offset + scale * products,
        -products,
    )
    true = queries @ rows.T
    limits = np.sort(true, axis=1)[:, [-K]] - 1e-6
    for distances in estimates:
        found = np.argpartition(distances, K, axis=1)[:, :K]
        yield (np.take_along_axis(true, found, axis=1) >= limits).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", type=Path, metavar="SET.npz")
    arguments = parser.parse_args()
    print("| set | bits | exact | float16 less exact | none less exact |")
    print("|---|---:|---:|---:|---:|")
    for name, rows, queries in (*load_sets([]), *load_sets(arguments.sets)):
        for bits in (1, 2, 4):
            exact, short, none = recalls(unit(rows), unit(queries), bits)
            changes = f"{short - exact:+.4f} | {none - exact:+.4f}"
            print(f"| {name} | {bits} | {exact:.4f} | {changes} |", flush=True)


if __name__ == "__main__":
    main()
