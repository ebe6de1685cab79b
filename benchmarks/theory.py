"""Compare predicted fidelity with simulation, with published values and with data.

    python benchmarks/theory.py [SET.npz | SET.npy ...] [--quick] [--out TABLE.md]

For every file named (an .npz with arrays ``base`` and ``queries``, or an .npy; without
any, the shipped embeddings): predicted and measured fidelity of all strategies side by
side, which predictions are flagged, and recall. Then closed forms against simulated
normal vectors over dimensions, spectra, scales and means; the rows of arXiv 2605.17524
that can be generated; and recall on up to a million generated rows. What must hold is
listed first, with PASS or FAIL.

``--out`` also writes every part, with what the plots of the documentation are drawn
from, as .json; ``--only PART ...`` makes these parts anew and takes the others from
there.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import recall as recall_benchmark
from _sets import describe_run
from _theory_paper import flattening_part, linked_part, published_part
from _theory_parts import Part, bound, marked, table
from _theory_sets import bounds_of, compare_set, rows_of, verdicts
from _theory_simulated import ROWS, SEED, simulation_part

from skbq.datasets import load_wordnet_minilm

PARTS = ("sets", "recall", "large", "simulation", "published", "flattening", "linked")


def rows_in(path):
    arrays = np.load(path)
    return arrays["base"] if path.suffix == ".npz" else arrays


def sets_part(paths):
    """Fidelity of every strategy on every set."""
    named = [(path.stem, rows_in(path)) for path in paths]
    named = named or [("shipped", load_wordnet_minilm().data)]
    descriptions, compared = [], []
    for name, X in named:
        description, rows = compare_set(name, X)
        descriptions.append(description)
        compared += rows
    cells = [
        [f"{v:.3g}" if isinstance(v, float) else v for v in one.values()]
        for one in descriptions
    ]
    head = ["set", "strategy", "measured F (95 % interval)", "predicted F"]
    head += ["difference", "valid"]
    lines = marked("verdicts", [*verdicts(compared), ""])
    lines += table(list(descriptions[0]), cells)
    lines += table(head, rows_of(compared))
    records = {"sets": descriptions, "fidelity": compared}
    bounds = bounds_of(descriptions, compared)
    title = "Sets: predicted and measured (Spearman, cosine)"
    return Part(title, lines, bounds, records)


def recall_part(title, mark, words):
    """Predicted and measured recall@10, by the benchmark that has it in detail."""
    arguments = recall_benchmark.parse(words)
    results = [
        result
        for name, base, queries in recall_benchmark.sets(arguments)
        for result in recall_benchmark.compare(name, base, queries, arguments)
    ]
    legend, _, *rows = recall_benchmark.summaries(results)
    # On a page with that of the sets, the legend need not be given twice.
    lines = marked(mark, [legend, "", *rows])
    if mark == "large":
        lines = [legend, "", *marked(mark, rows)]
    lines += [*recall_benchmark.details(results), ""]
    what = title.split(":")[0]
    predicted, inside, model = recall_benchmark.figures_of(results)
    bounds = [
        bound(f"{what}: intervals of 90 % cover", inside.mean(), 0.85, least=True)
    ]
    if mark == "recall":  # what is asked of samples that are not much too small
        bounds.append(
            bound(f"{what}: recall from a sample, mean error", predicted.mean(), 0.015)
        )
        if len(model):
            what += ", coordinates look normal"
            bounds.append(
                bound(f"{what}: recall from moments, largest error", model.max(), 0.05)
            )
    return Part(title, lines, bounds)


def makers(arguments):
    """Return what makes each part, by name, in the order of the table."""
    paths = [str(path) for path in arguments.sets]
    largest = "100000" if arguments.quick else "1000000"
    more = ["--generated", "--largest", largest, "--samples", "1"]
    more += ["--rows", "5000", "20000", "50000"]
    dimensions = [d for d in ROWS if d <= 256 or not arguments.quick]
    return {
        "sets": lambda: sets_part(arguments.sets),
        "recall": lambda: recall_part(
            "Sets: recall@10, predicted from a sample", "recall", paths
        ),
        "large": lambda: recall_part(
            f"Generated rows, up to {int(largest):,}: recall@10", "large", more
        ),
        "simulation": lambda: simulation_part(dimensions),
        "published": lambda: published_part(10_000 if arguments.quick else 50_000),
        "flattening": flattening_part,
        "linked": linked_part,
    }


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="small dimensions only")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    return parser.parse_args()


def text_of(parts):
    """Put the parts together, what must hold first."""
    bounds = [row for part in parts for row in part.bounds]
    head = ["what", "found", "bound", ""]
    lines = ["# Predicted against measured fidelity", ""]
    lines += marked("bounds", table(head, bounds))
    for part in parts:
        lines += [f"## {part.title}", "", *part.lines, part.made, ""]
    return "\n".join(lines)


def main():
    arguments = parse()
    records = arguments.out and arguments.out.with_suffix(".json")
    kept = json.loads(records.read_text()) if records and records.exists() else {}
    names = [path.stem for path in arguments.sets] or ["shipped"]
    parts = {}
    for name, make in makers(arguments).items():
        if name in arguments.only:
            started = time.perf_counter()
            parts[name] = make()
            about = describe_run(names if name in ("sets", "recall") else [], SEED)
            about[0] += f" {time.perf_counter() - started:.0f} s."
            parts[name].made = "\n".join(about)
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
        elif name in kept:
            parts[name] = Part(**kept[name])
    text = text_of(parts.values())
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
        kept = {name: asdict(part) for name, part in parts.items()}
        records.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
