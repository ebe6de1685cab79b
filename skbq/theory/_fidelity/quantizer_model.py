"""What pairs of codes are scored by, and how much of a vector's norm a code sees.

Called by :func:`predict_fidelity`, :func:`simulated_fidelity` and :class:`RowModel`;
equations are those of the theory chapter of the documentation.
"""

from typing import NamedTuple

import numpy as np

from .._normal import Normal, finite_or_zero, normal_density, standardized
from .._quantizer_steps import QuantizerSteps


class ScoreFeatures(NamedTuple):
    """Features of a code whose weighted products over pairs sum up to the score.

    ``levels`` holds the values (t + 1,) of each feature, ``weights`` one number each:
    eq. (1.12).
    """

    levels: list[np.ndarray]
    weights: list[float]


def score_features(levels: np.ndarray, query: str, code_metric: str) -> ScoreFeatures:
    """Write a code metric as sum of weighted products, refusing what is undefined.

    Raises
    ------
    ValueError
        For asymmetric search with a metric between two codes.
    """
    two_bits = len(levels) == 4
    if code_metric == "auto":
        code_metric = "dot"  # of one bit: d - 2 hamming
    if query == "vectors":
        if code_metric == "penalty" or (code_metric == "hamming" and two_bits):
            raise ValueError(
                f"code_metric={code_metric!r} compares two codes; with "
                "query='vectors' leave it 'auto'."
            )
        return ScoreFeatures([levels], [1.0])
    if code_metric == "dot":
        return ScoreFeatures([levels], [1.0])
    signs = np.sign(np.arange(len(levels)) - (len(levels) - 1) / 2)
    if not two_bits:  # penalty and hamming both count differing signs
        return ScoreFeatures([signs], [1.0])
    high = np.array([1.0, -1.0, -1.0, 1.0])
    if code_metric == "hamming":
        return ScoreFeatures([signs, high], [1.0, 1.0])
    size = np.array([2.0, 1.0, 1.0, 2.0])
    return ScoreFeatures([signs * size, size], [0.5, -0.5])


def norm_power(steps: QuantizerSteps, normal: Normal) -> float:
    """Elasticity of the code's response to the vector in the vector's norm: (4.8).

    With thresholds z in standard deviations, c_1 = sum of jumps * phi(z) grows with
    the scale like sum of jumps * z^2 phi(z).
    """
    if not steps.two_bits or steps.by_row:
        return 0.0
    shift = steps.thresholds - normal.mean[:, None]
    z = standardized(shift, normal.scale[:, None] + np.zeros_like(shift))
    flux = normal_density(z) * np.diff(steps.levels)
    growth = flux * finite_or_zero(z) ** 2
    return float(min(growth.sum() / flux.sum(), 1.0)) if flux.sum() > 0 else 0.0
