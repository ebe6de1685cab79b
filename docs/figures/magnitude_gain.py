"""What the second bit adds, against the variation of the coordinates' scales."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtri

from skbq.theory import magnitude_bit_gain, one_sided_fidelity

# Scripts of figures run in their own folder.
results = Path("../../benchmarks/results/theory.json")
steps = np.array(json.loads(results.read_text())["flattening"]["records"]["flattening"])

normal = ndtri((np.arange(512) + 0.5) / 512)
varied, gains = [], []
for deviation in np.linspace(0, 0.6, 31):
    scale = np.exp(deviation * normal)
    varied.append(scale.std() / scale.mean())
    one, two = one_sided_fidelity(scale)
    gains.append(two - one)

_, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
cv = np.linspace(0, max(varied), 61)
flat = magnitude_bit_gain(0.0)
left.plot(varied, gains, label="lognormal scales")
left.plot(
    cv,
    flat.isotropic_gain + flat.curvature * cv**2,
    "--",
    label=r"$0.1159 + 0.0877\,\mathrm{CV}^2$",
)
left.set(
    title="Asymmetric search, axes uncorrelated",
    xlabel="coefficient of variation of the scales",
    ylabel="gain in Pearson correlation",
)
left.legend()
right.plot(steps[:, 0], steps[:, 2], "o", label="measured")
right.plot(steps[:, 0], steps[:, 3], lw=1, label="predicted")
right.set(
    title="Symmetric search, scales pulled together",
    xlabel="coefficient of variation of the scales",
    ylabel="gain in F, by penalty",
)
right.legend()
