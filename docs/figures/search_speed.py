"""Recall against speed of every method, one thread, batches of queries."""

import json
from itertools import count
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt

# Scripts of figures run in their own folder.
sets = json.loads(Path("../../benchmarks/results/search.json").read_text())
most = max((one for one in sets.values() if one["d"] == 768), key=lambda s: s["rows"])
cell = max(
    (c for c in most["cells"] if c["threads"] == 1 and c["k"] == 10),
    key=lambda c: c["queries"],
)

_, ax = plt.subplots(figsize=(8.2, 4.4), layout="constrained")
numbers = {True: count(), False: count()}
for name, result in sorted(cell["results"].items(), key=lambda item: item[0]):
    ours = name.startswith("skbq")
    ax.plot(
        median(result["queries_per_s"]),
        result["recall"],
        "osD^vP*Xh"[next(numbers[ours])],
        color="C3" if ours else "0.35",
        ms=9 if ours else 7,
        mfc="C3" if ours else "none",
        ls="",
        label=name,
    )
ax.set(
    xscale="log",
    xlabel=f"queries per second, one thread, batches of {cell['queries']}",
    ylabel="recall@10",
    title=f"{most['rows']:,} rows of {most['d']} coordinates",
)
ax.grid(alpha=0.3)
ax.figure.legend(loc="outside right upper", fontsize="small", frameon=False)
