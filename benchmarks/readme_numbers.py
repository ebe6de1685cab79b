"""Measure what README.md reports: recall, memory and speed of every strategy.

Run it as ``python benchmarks/readme_numbers.py``; it prints a table in Markdown. With
``--write README.md`` it puts the table between that file's two "numbers" comments.
"""

import argparse
import os
import platform
from importlib.metadata import version
from pathlib import Path

from skbq._comparison import STRATEGIES, measure
from skbq.datasets import load_wordnet_minilm

BEGIN = "<!-- numbers: made by benchmarks/readme_numbers.py -->\n"
END = "<!-- end of numbers -->\n"
K = 10
OVERSAMPLING = 4


def processor():
    """Name the processor, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


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
        f"which then take {glosses.data[:1].nbytes} bytes a row more. Bytes, build "
        "time and queries per second are those without reranking.",
        "",
        f"| strategy | query | recall@{K} | reranked | bytes/row | build, s "
        "| queries/s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for m in measure(
        STRATEGIES, glosses.data, glosses.queries, k=K, oversampling=OVERSAMPLING
    ):
        lines.append(
            f"| {m.strategy} | {m.query} | {m.recall:.3f} | {m.recall_reranked:.3f} "
            f"| {m.bytes_per_row} | {m.build_s:.2f} | {m.qps:,.0f} |"
        )
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("scikit-learn", "numpy", "numba")
    )
    lines += [
        "",
        f"Made by `python benchmarks/readme_numbers.py` on {os.cpu_count()} processors "
        f"({processor()}) with Python {platform.python_version()}, {packages}. So few "
        "rows say little about speed at millions; recall, too, falls as rows are "
        "added. `skbq demo --data FILE.npy` measures yours.",
    ]
    return "\n".join(lines) + "\n"


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
