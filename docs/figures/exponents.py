"""Recall by exponent of PCAQuantizer, set by set, with both schools beside."""

import json
from pathlib import Path

import matplotlib.pyplot as plt

# Scripts of figures run in their own folder.
results = json.loads(Path("../../benchmarks/results/exponents.json").read_text())
colors = {"1": "C0", "2": "C1"}
schools = {"axes": "s", "rotated": "D"}

names = list(dict.fromkeys(key.rsplit(" ", 1)[0] for key in results))
fig, panels = plt.subplots(
    -(-len(names) // 3), 3, figsize=(7.2, 7.2), sharex=True, layout="constrained"
)
for ax, name in zip(panels.ravel(), names, strict=False):
    for bits, color in colors.items():
        one = results.get(f"{name} {bits}")
        if one is None:
            continue
        exponents = [float(p) for p in one["recalls"]]
        ax.plot(exponents, list(one["recalls"].values()), "o-", color=color, ms=3)
        ax.plot(one["chosen"], one["auto"], "*", color=color, ms=11, mec="k")
        ax.axvline(one["predicted"], color=color, ls=":" if bits == "1" else "--", lw=1)
        for school, marker in schools.items():
            recall, _ = one["schools"][school]
            ax.plot(2.3, recall, marker, color=color, mfc="none", ms=6)
    ax.set_title(name, fontsize="small")
    ax.set_xlim(-0.1, 2.5)
    ax.tick_params(labelsize="small")
for ax in panels.ravel()[len(names) :]:
    ax.set_axis_off()
for ax in panels[:, 0]:
    ax.set_ylabel("recall@10", fontsize="small")
for ax in panels[-1]:
    ax.set_xlabel("exponent p", fontsize="small")
labels = {
    "1 bit": {"color": "C0", "marker": "o", "ms": 3},
    "2 bits": {"color": "C1", "marker": "o", "ms": 3},
    '"auto"': {"color": "0.5", "marker": "*", "ls": "", "mec": "k", "ms": 9},
    "predicted best": {"color": "k", "ls": ":"},
    "axes kept": {"color": "k", "marker": "s", "ls": "", "mfc": "none"},
    "rotated": {"color": "k", "marker": "D", "ls": "", "mfc": "none"},
}
handles = [plt.Line2D([], [], label=label, **style) for label, style in labels.items()]
fig.legend(handles=handles, loc="outside lower center", ncols=6, fontsize="small")
