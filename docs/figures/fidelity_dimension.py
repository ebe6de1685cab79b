"""Fidelity against effective dimension, on the axes and after a rotation."""

import matplotlib.pyplot as plt
import numpy as np

from skbq import BinaryQuantizer
from skbq.theory import effective_dimension, predict_fidelity, rotated_fidelity

d = 256
rng = np.random.default_rng(0)
turned = np.linalg.qr(rng.standard_normal((d, d)))[0]
share, on_axes, after = [], [], []
for exponent in np.linspace(0, 1.4, 15):
    spectrum = np.arange(1, d + 1.0) ** -exponent
    uneven = np.diag(spectrum)
    mixed = (turned * spectrum) @ turned.T
    share.append(effective_dimension(uneven) / d)
    for covariance, fidelities in ((uneven, on_axes), (mixed, after)):
        fidelities.append(
            predict_fidelity(BinaryQuantizer(), np.zeros(d), covariance).pearson
        )

_, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
ax.plot(share, on_axes, "o", color="C3", label="uneven variances, no correlation")
ax.plot(share, after, "o", color="C0", label="the same vectors, rotated at random")
grid = np.linspace(min(share), 1, 200)
eta = 2 / np.pi
ax.plot(grid, eta * np.sqrt(grid), color="C3", lw=1)
ax.plot(grid, [rotated_fidelity(eta, x) for x in grid], color="C0", lw=1)
ax.annotate(
    r"$\frac{2}{\pi}\sqrt{d_\mathrm{eff}/d}$", (0.46, 0.33), color="C3", fontsize=13
)
ax.annotate(
    r"$[1 + (\pi^2/4 - 1)\, d_\mathrm{eff}/d]^{-1/2}$", (0.42, 0.81), color="C0"
)
ax.set(
    xlabel="effective dimension / dimension",
    ylabel="Pearson fidelity of one-bit codes",
    ylim=(0, 1),
)
ax.legend(loc="lower right")
