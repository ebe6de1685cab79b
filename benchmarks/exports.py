"""Measure the recall of exports on the engines, and write docs/exports/.

    python benchmarks/exports.py            # measure all engines that are installed
    python benchmarks/exports.py --pages    # write the pages from the last measurement

Three sets: the shipped rows; the same plus a constant vector of norm 3, made unit
length; and generated counts like SIFT. The extra "engines" installs most engines.
"""

import argparse
import json
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "exports"))

from engines import RUNNABLE, generated_counts, off_origin, recall  # noqa: E402

from skbq import QuantizationAdvisor  # noqa: E402
from skbq.datasets import load_wordnet_minilm  # noqa: E402
from skbq.exports import ENGINES, export  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "exports.json"
PAGES = ROOT / "docs" / "exports"
METRICS = ("cosine", "euclidean", "inner_product")
SETS = {
    "A": "the shipped rows",
    "B": "the same, off the origin",
    "C": "counts like SIFT, generated",
}


def measure():
    glosses = load_wordnet_minilm()
    data = {
        "A": (glosses.data, glosses.queries),
        "B": off_origin(glosses.data, glosses.queries),
        "C": generated_counts(5000, 250),
    }
    advisors = {}
    for name, (vectors, queries) in data.items():
        for metric in METRICS:
            advisor = QuantizationAdvisor(metric=metric, random_state=0)
            advisors[name, metric] = advisor.fit(vectors, queries=queries)
    found = {}
    for engine, (modules, start) in RUNNABLE.items():
        if engine == "milvus" or not all(map(find_spec, modules)):
            continue  # milvus-lite searches exactly
        with tempfile.TemporaryDirectory() as folder, start(folder) as run:
            found[engine] = []
            for (name, metric), advisor in advisors.items():
                answer = advisor.export(engine)
                with tempfile.TemporaryDirectory() as into:
                    neighbors = run(answer, *data[name], into)
                row = {
                    "set": name,
                    "metric": metric,
                    "strategy": answer.strategy,
                    "promised": str(answer.promise),
                    "measured": round(recall(neighbors, *data[name], metric), 4),
                }
                print(engine, *row.values(), sep="\t", flush=True)
                found[engine].append(row)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


# What is true of results/exports.json as it stands; `measure` makes it obsolete.
ORIGIN = (
    "Measured by single runs of these steps on an earlier state of the code, not yet "
    "by `python benchmarks/exports.py`, which measures anew."
)
EXAMPLE = {
    "center": True,
    "rotate": True,
    "bits": 1,
    "query": "codes",
    "oversampling": 5.0,
    "metric": "cosine",
    "n_features": 384,
    "n_neighbors": 10,
}


def write_pages():
    measured = json.loads(RESULTS.read_text())
    for engine in ENGINES:
        text = "\n".join(page(engine, measured.get(engine)))
        (PAGES / f"{engine}.md").write_text(text + "\n")


def page(engine, rows):
    answer = export(EXAMPLE, engine)
    yield f"# {engine}\n\n{answer.checked}\n"
    yield "## Promised and measured\n"
    if rows is None:
        yield (
            "This engine was not run; above is said what its settings were compared "
            "with. Measure recall once in place.\n"
        )
    else:
        yield "| set | metric | strategy | recall promised | measured |"
        yield "|---|---|---|---|---|"
        for row in rows:
            yield (
                f"| {row['set']} | {row['metric']} | {row['strategy']} "
                f"| {row['promised']} | {row['measured']:.3f} |"
            )
        sets = "; ".join(f"{name}: {words}" for name, words in SETS.items())
        yield f"\nRecall@10 after reranking. {sets}. {ORIGIN}\n"
    yield f"## Settings\n\nFor {answer.strategy}; cosine; 384 coordinates.\n"
    parts = (
        ("Schema", answer.schema),
        ("Insert", answer.insert),
        ("Query", answer.query),
    )
    for title, part in parts:
        if part:  # plain text: lexers know no shell within SQL
            yield f"### {title}\n\n```text\n{part}\n```\n"
    yield f"### All of it in Python\n\n```{{code-block}} python\n{answer.python}\n```\n"
    for title, lines in (
        (f"Done by {engine}", answer.applied_by_engine),
        ("To be done by you", answer.applied_by_user),
        ("Good to know", answer.notes),
        ("What it cannot do of this strategy", answer.cannot),
    ):
        if lines:
            listed = "\n".join(f"* {line}" for line in lines)
            yield f"## {title}\n\n{listed}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", action="store_true")
    if not parser.parse_args().pages:
        warnings.simplefilter("ignore")
        measure()
    write_pages()
