"""Predicted against measured fidelity, every strategy on every set."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

# Scripts of figures run in their own folder.
results = Path("../../benchmarks/results/theory.json")
compared = json.loads(results.read_text())["sets"]["records"]["fidelity"]

_, ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")
for i, name in enumerate(dict.fromkeys(one["set"] for one in compared)):
    for valid in (True, False):
        some = [one for one in compared if one["set"] == name and one["valid"] == valid]
        ax.plot(
            [one["measured"] for one in some],
            [one["predicted_fidelity"] for one in some],
            "o" if valid else "x",
            color=f"C{i}",
            ms=5,
            mfc="none",
            label=name if valid else None,
        )
ax.axline((0, 0), slope=1, color="0.6", lw=0.8, zorder=0)
ax.plot([], [], "x", color="0.3", label="prediction does not hold")
ax.set(
    xlabel="measured fidelity F",
    ylabel="predicted fidelity F",
    xlim=(-0.05, 1.02),
    ylim=(0.15, 1.02),
)
ax.legend(fontsize="small")
