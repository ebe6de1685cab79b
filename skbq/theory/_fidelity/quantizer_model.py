"""What the theory asks of a quantizer: its steps, and what pairs are scored by."""

from typing import Any

import numpy as np

from .code_moments import normal_density, standardised
from .row_statistics import Normal, mean_absolute


def code_steps(
    quantizer: Any, mean: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    thresholds, levels = quantizer.step_function(mean, scale)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    levels = np.asarray(levels, dtype=np.float64)
    if thresholds.shape != (len(mean), len(levels) - 1) or len(levels) not in (2, 4):
        raise ValueError(
            "step_function must return thresholds of shape (d, t) and levels of "
            f"shape (t + 1,), t = 1 or 3. Got {thresholds.shape} and {levels.shape}."
        )
    return thresholds, levels


def score_features(
    levels: np.ndarray, query: str, code_metric: str
) -> tuple[list[np.ndarray], list[float]]:
    """Features whose weighted products of pairs sum up to the score."""
    two_bits = len(levels) == 4
    if code_metric == "auto":
        code_metric = "dot"  # of one bit: d - 2 hamming
    if query == "vectors":
        if code_metric == "penalty" or (code_metric == "hamming" and two_bits):
            raise ValueError(
                f"code_metric={code_metric!r} compares two codes; with "
                "query='vectors' leave it 'auto'."
            )
        return [levels], [1.0]
    if code_metric == "dot":
        return [levels], [1.0]
    signs = np.sign(np.arange(len(levels)) - (len(levels) - 1) / 2)
    if not two_bits:  # penalty and hamming both count differing signs
        return [signs], [1.0]
    strong = np.array([1.0, -1.0, -1.0, 1.0])
    if code_metric == "hamming":
        return [signs, strong], [1.0, 1.0]
    size = np.array([2.0, 1.0, 1.0, 2.0])
    return [signs * size, size], [0.5, -0.5]


def set_by_row(quantizer: Any, levels: np.ndarray) -> bool:
    return len(levels) == 4 and getattr(quantizer, "magnitude", None) == "row"


def length_power(quantizer: Any, law: Normal) -> float:
    """Elasticity of the code's response to the vector in the vector's length.

    With thresholds z in standard deviations, c_1 = sum of jumps * phi(z) grows with
    the scale like sum of jumps * z^2 phi(z).
    """
    steps, levels = code_steps(quantizer, law.mean, law.scale)
    if len(levels) == 2 or set_by_row(quantizer, levels):
        return 0.0
    z = standardised(steps - law.mean[:, None], law.scale[:, None] + 0.0 * steps)
    flux = normal_density(z) * np.diff(levels)
    bend = np.where(flux > 0, flux * np.where(np.isfinite(z), z, 0.0) ** 2, 0.0)
    return float(min(bend.sum() / flux.sum(), 1.0)) if flux.sum() > 0 else 0.0


def row_factor(thresholds: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> float:
    """Magnitude threshold over the mean absolute deviation, as a factor."""
    centre = thresholds[:, 1]
    around = Normal(mean - centre, np.empty((0, 0)), scale)
    typical = mean_absolute(around).mean()
    half = 0.5 * np.mean(thresholds[:, 2] - thresholds[:, 0])
    return float(half / typical) if typical > 0 else 1.0
