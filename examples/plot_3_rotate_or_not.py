"""
Rotate at random, or keep the axes?
===================================

One school rotates vectors at random before they are cut to bits, so that all
coordinates carry as much information; the other keeps the axes that a model has
learned. Which is right depends on the vectors. Each point is one set of vectors: the
recall of ten neighbors that a rotation adds (thresholds at the mean, symmetric search,
no reranking, intervals at 95%), against three properties that
:class:`~skbq.HeterogeneityProfiler` reports, and against how flat rows are. The figures
are those of ``benchmarks/design_guide.py``, whose results lie beside it in a checkout.
"""

# %%
# The measurements
# ----------------

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

# Where this file lies, whatever the folder that it is run from; the gallery runs it in
# its own folder, without a name.
here = Path(globals().get("__file__", "plot_3_rotate_or_not.py")).resolve()
results = here.parents[1] / "benchmarks" / "results" / "design_guide.json"
sets = json.loads(results.read_text(encoding="utf-8"))
print(len(sets), "sets of vectors")

# %%
# The picture
# -----------
#
# Sets on which a rotation of one-bit codes changes recall by 0.05 or more are named.
# Bits that say little about 0 (a low sign entropy) are no reason to rotate as long as
# thresholds are at the mean: the lowest gain of all is that of E5, at 0.29 bits. Nor
# are few effective directions. Very unequal standard deviations are. The clearest sign
# is the last: rows of normal coordinates have a flatness of 0.80. Where it is below
# 0.7, most of a row sits in few coordinates, and a rotation spreads it over all.


def properties(figures):
    return {
        "sign entropy, bits": figures["sign entropy"],
        "heterogeneity": figures["heterogeneity"],
        "effective dimension / d": figures["effective dimension"] / figures["d"],
        "flatness of rows, $|x|_1 / (\\sqrt{d} |x|_2)$": figures["L1/L2"],
    }


NAMED = 0.05
COLORS = {"1 bit": "#1b6ca8", "2 bits": "#d1495b"}

names = sorted(
    (n for n in sets if abs(sets[n]["gains"]["rotation, 1 bit"][0]) >= NAMED),
    key=lambda n: -sets[n]["gains"]["rotation, 1 bit"][0],
)
letters = {name: chr(ord("A") + i) for i, name in enumerate(names)}
titles = list(properties(next(iter(sets.values()))["figures"]))
figure, axes = plt.subplots(2, 2, figsize=(8.5, 8), sharey=True)
for axis, title in zip(axes.flat, titles, strict=True):
    for code, marker in (("1 bit", "o"), ("2 bits", "^")):
        x = np.array([properties(s["figures"])[title] for s in sets.values()])
        gains = np.array([s["gains"][f"rotation, {code}"] for s in sets.values()])
        axis.errorbar(
            x,
            gains[:, 0],
            yerr=[gains[:, 0] - gains[:, 1], gains[:, 2] - gains[:, 0]],
            fmt=marker,
            color=COLORS[code],
            markersize=5,
            elinewidth=1,
            alpha=0.8,
            label=code,
        )
    for name, letter in letters.items():
        here = properties(sets[name]["figures"])[title]
        gain = sets[name]["gains"]["rotation, 1 bit"][0]
        axis.annotate(
            letter, (here, gain), (-6, 0), textcoords="offset points", ha="right"
        )
    axis.axhline(0, color="0.5", linewidth=0.8)
    axis.set_xlabel(title)
    axis.margins(x=0.12)
    if title.startswith("heterogeneity"):
        axis.set_xscale("log")
for axis in axes[:, 0]:
    axis.set_ylabel("recall@10 that a rotation adds")
axes[0, 0].legend(loc="upper left")
key = "   ".join(f"{letter} {name}" for name, letter in letters.items())
figure.text(0.5, 0.02, key, ha="center", va="bottom", fontsize=9, wrap=True)
figure.tight_layout(rect=(0, 0.05, 1, 1))
plt.show()
