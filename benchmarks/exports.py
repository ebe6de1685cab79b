"""Measure the recall of exports on the engines, and write docs/exports/.

    python benchmarks/exports.py A B C      # measure on these sets, keep the rest
    python benchmarks/exports.py every      # every combination of a strategy's parts
    python benchmarks/exports.py A --engine qdrant     # keep what others have reached
    python benchmarks/exports.py            # write the pages from what was measured

Sets: A the shipped rows; B the same plus a constant vector of norm 3, made unit length;
C generated counts like SIFT. The extra "engines" installs what runs. On set C, engines
that can keep queries in floats are also measured so, whatever is recommended.
"""

import argparse
import json
import sys
import tempfile
import warnings
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "exports"))

from engines import (  # noqa: E402
    RUNNABLE,
    STRATEGY,
    asymmetric_export,
    every_strategy,
    generated_counts,
    off_origin,
    own_recall,
    recall,
    uneven_normals,
)

from skbq import QuantizationAdvisor  # noqa: E402
from skbq.datasets import load_wordnet_minilm  # noqa: E402
from skbq.exports import ENGINES, export  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "exports.json"
PAGES = ROOT / "docs" / "exports"
METRICS = ("cosine", "euclidean", "inner_product")
SETS = {
    "A": "the shipped rows, 5,000 of 384 coordinates",
    "B": "the same, off the origin",
    "C": "counts like SIFT, generated, 5,000 of 128 coordinates",
}
FLOAT_QUERIES = ("faiss", "lancedb", "qdrant")
# milvus-lite searches exactly: its recall says nothing of the server's.
EXACT = ("milvus",)


def load(name):
    glosses = load_wordnet_minilm()
    if name == "A":
        return glosses.data, glosses.queries
    if name == "B":
        return off_origin(glosses.data, glosses.queries)
    return generated_counts(5000, 250)


def started(engines):
    """Start engines as far as they are installed; give what runs a program on each."""
    stack, runs = ExitStack(), {}
    for engine in engines:
        modules, start = RUNNABLE[engine]
        if engine not in EXACT and all(map(find_spec, modules)):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            runs[engine] = stack.enter_context(start(folder))
    return stack, runs


def measure(name, engines):
    """Measure engines on one set: rows of a table by engine."""
    vectors, queries = load(name)
    found = {}
    stack, runs = started(engines)
    with stack:
        for metric in METRICS:
            advisor = QuantizationAdvisor(metric=metric, random_state=0)
            advisor.fit(vectors, queries=queries)
            for engine, run in runs.items():
                rows = found.setdefault(engine, [])
                for answer in exports(advisor, engine, name, vectors):
                    with tempfile.TemporaryDirectory() as into:
                        neighbors = run(answer, vectors, queries, into)
                    measured = recall(neighbors, vectors, queries, metric)
                    row = {
                        "set": name,
                        "metric": metric,
                        "strategy": answer.strategy,
                        "promised": str(answer.promise),
                        "low": round(answer.promise.low, 4),
                        "measured": round(measured, 4),
                    }
                    print(engine, *row.values(), sep="\t", flush=True)
                    rows.append(row)
    return found


def exports(advisor, engine, name, vectors):
    """Give what is recommended for an engine, and on set C asymmetric search too."""
    answers = [advisor.export(engine)]
    if name == "C" and engine in FLOAT_QUERIES:
        answers += [asymmetric_export(advisor, engine, b, vectors) for b in (1, 2)]
    return {answer.strategy: answer for answer in answers}.values()


def measure_every(engines):
    """Run every combination; keep the largest loss against skbq by metric."""
    vectors, queries = uneven_normals()
    found = {}
    stack, runs = started(engines)
    with stack:
        for engine, run in runs.items():
            found[engine] = []
            for metric in METRICS:
                losses = []
                for answer, oversampling in every_strategy(engine, metric):
                    with tempfile.TemporaryDirectory() as into:
                        neighbors = run(answer, vectors, queries, into)
                    own = own_recall(answer, metric, oversampling, vectors, queries)
                    measured = recall(neighbors, vectors, queries, metric)
                    losses.append((own - measured, measured, answer.strategy))
                loss, measured, strategy = max(losses)
                row = {
                    "metric": metric,
                    "combinations": len(losses),
                    "largest_loss": round(loss, 4),
                    "measured": round(measured, 4),
                    "strategy": strategy,
                }
                print(engine, *row.values(), sep="\t", flush=True)
                found[engine].append(row)
    return found


def write_pages(results):
    for engine in ENGINES:
        text = "\n".join(page(engine, results))
        (PAGES / f"{engine}.md").write_text(text + "\n")


def page(engine, results):
    answer = export(STRATEGY, engine)
    yield f"# {engine}\n\n{answer.checked}\n"
    yield "## Promised and measured\n"
    rows = [row for name in SETS for row in results.get(name, {}).get(engine, [])]
    if rows:
        yield from table(rows)
        yield from every(results["every"][engine])
    else:
        yield (
            "Its search was not run, so that recall was not measured. Above is said "
            "what the settings were held against. Measure recall once in place.\n"
        )
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


def table(rows):
    yield "| set | metric | strategy | recall promised | measured |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['set']} | {row['metric']} | {row['strategy']} "
            f"| {row['promised']} | {row['measured']:.3f} |"
        )
    known = [name for name in SETS if any(row["set"] == name for row in rows)]
    sets = "; ".join(f"{name}: {SETS[name]}" for name in known)
    yield (
        f"\nRecall@10 of 250 queries. {sets}. Measured by `python "
        f"benchmarks/exports.py {' '.join(known)}`.\n"
    )


def every(rows):
    total = sum(row["combinations"] for row in rows)
    yield (
        f"Every combination of bits, queries, centering, rotation and reranking that "
        f"prints something else was run ({total} programs; 300 generated rows of "
        "uneven norm, 64 coordinates, 100 queries). What it loses most against skbq's "
        "own search by the same strategy, by metric:\n"
    )
    yield "| metric | strategy | measured | loss |"
    yield "|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['metric']} | {row['strategy']} | {row['measured']:.3f} "
            f"| {max(row['largest_loss'], 0):.3f} |"
        )
    yield "\nMeasured by `python benchmarks/exports.py every`.\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="{A,B,C,every}")
    parser.add_argument("--engine", action="append", choices=[*RUNNABLE])
    args = parser.parse_args()
    if unknown := {*args.parts} - {*SETS, "every"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    engines = args.engine or [*RUNNABLE]
    warnings.simplefilter("ignore")
    for part in args.parts:
        if part == "every":
            measured = measure_every(engines)
        else:
            measured = measure(part, engines)
        results = json.loads(RESULTS.read_text())  # as others have left it meanwhile
        results[part] = {**results.get(part, {}), **measured}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if not args.parts:
        write_pages(json.loads(RESULTS.read_text()))
