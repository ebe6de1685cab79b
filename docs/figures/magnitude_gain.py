"""What the second bit adds, against the variation of the coordinates' scales."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skbq.theory import magnitude_bit_gain

results = Path(__file__).parents[2] / "benchmarks" / "results" / "theory.json"
steps = np.array(json.loads(results.read_text())["flattening"])

_, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
cv = np.linspace(0, 0.6, 61)
gains = [magnitude_bit_gain(x) for x in cv]
left.plot(cv, [g.two_bits - g.one_bit for g in gains], label="exact")
flat = magnitude_bit_gain(0.0)
left.plot(
    cv,
    flat.isotropic_gain + flat.curvature * cv**2,
    "--",
    label=r"$0.1159 + 0.0877\,\mathrm{CV}^2$",
)
left.set(
    title="One-sided model",
    xlabel="coefficient of variation of the scales",
    ylabel="gain in Pearson correlation",
)
left.legend()
right.plot(steps[:, 0], steps[:, 2], "o", label="measured")
right.plot(steps[:, 0], steps[:, 3], lw=1, label="predicted")
right.set(
    title="Scales made equal or unequal, coded queries",
    xlabel="coefficient of variation of the scales",
    ylabel="gain in fidelity F, by penalty",
)
right.legend()
