"""Measure what README.md reports: recall and memory of every strategy.

Run it as ``python benchmarks/readme_numbers.py``; it prints a table in Markdown. With
``--write README.md`` it puts the table between that file's two "numbers" comments.
"""

import argparse
import textwrap
from importlib.metadata import version
from pathlib import Path

from skbq._quantization.strategy import Strategy
from skbq.cli.comparison import STRATEGIES, measure
from skbq.datasets import load_wordnet_minilm

BEGIN = "<!-- numbers: made by benchmarks/readme_numbers.py -->\n"
END = "<!-- end of numbers -->\n"
K = 10
OVERSAMPLING = 4
# Bytes of codes of principal axes: less than half of those of one bit, as many, and as
# many as of two.
CODE_BYTES = (21, 48, 96)


def report():
    glosses = load_wordnet_minilm()
    n_queries, n_rows = len(glosses.queries), len(glosses.data)
    # Recall of one query lies between 0 and 1, so its variance is at most 1/4.
    error = (0.25 / n_queries) ** 0.5
    lines = [
        f"The {n_rows:,} shipped embeddings of {glosses.data.shape[1]} coordinates "
        f"(all-MiniLM-L6-v2) and {n_queries} held-out queries: the share of the true "
        f"{K} nearest rows found (standard error at most {error:.2f}), by codes alone "
        f"and after {OVERSAMPLING * K} candidates were reranked with the vectors, "
        f"which then take {glosses.data[:1].nbytes} bytes a row more.",
        "",
        f"| strategy | query | bytes/row | recall@{K} | reranked |",
        "|---|---|---:|---:|---:|",
    ]
    bits = 8 / glosses.data.shape[1]
    principal = [Strategy(bits * n, "vectors", code_bytes=n) for n in CODE_BYTES]
    for m in measure(
        [*STRATEGIES, *principal],
        glosses.data,
        glosses.queries,
        k=K,
        oversampling=OVERSAMPLING,
    ):
        lines.append(
            f"| {m.strategy} | {m.query} | {m.bytes_per_row} | {m.recall:.3f} "
            f"| {m.recall_reranked:.3f} |"
        )
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("scikit-learn", "numpy", "numba")
    )
    lines += [
        "",
        "Recall falls as rows are added, and other embeddings lose more or less: "
        "measure yours. Speed depends on the machine: `skbq demo` prints it for yours. "
        f"Made by `python benchmarks/readme_numbers.py` with {packages}.",
    ]
    return "\n".join(textwrap.fill(x, 88) if x[:1] != "|" else x for x in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", metavar="FILE", type=Path)
    path = parser.parse_args().write
    table = report()
    print(table)
    if path is not None:
        before, rest = path.read_text().split(BEGIN)
        _, after = rest.split(END)
        path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    main()
