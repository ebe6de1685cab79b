"""What theory asks of a quantizer: its step functions of normal coordinates.

Called by both halves of theory, ``_fidelity`` and ``_recall``.
"""

from dataclasses import dataclass

import numpy as np

from .._utils.typing import StepQuantizer
from ._normal import Normal, mean_absolute


@dataclass(frozen=True)
class QuantizerSteps:
    """Step functions that a quantizer makes of normal coordinates.

    ``thresholds`` (d, t) and ``levels`` (t + 1,), t = 1 or 3. If ``by_row``, the outer
    two thresholds are set by each row, at a multiple of its mean absolute deviation,
    and stand here where they concentrate.
    """

    thresholds: np.ndarray
    levels: np.ndarray
    by_row: bool

    @property
    def two_bits(self) -> bool:
        """Whether there is a magnitude bit beside the sign."""
        return len(self.levels) == 4

    @property
    def center(self) -> np.ndarray:
        """The threshold of the sign, (d,)."""
        return self.thresholds[:, len(self.levels) // 2 - 1]

    def row_factor(self, mean: np.ndarray, scale: np.ndarray) -> float:
        """Magnitude threshold over the mean absolute deviation, as a factor."""
        around = Normal.without_covariance(mean - self.center, scale)
        typical = mean_absolute(around).mean()
        half = 0.5 * np.mean(self.thresholds[:, 2] - self.thresholds[:, 0])
        return float(half / typical) if typical > 0 else 1.0


def quantizer_steps(
    quantizer: StepQuantizer, mean: np.ndarray, scale: np.ndarray
) -> QuantizerSteps:
    """Ask a quantizer for its steps, refusing what is no code of one or two bits.

    Raises
    ------
    TypeError
        If it has no step function.
    ValueError
        If that is none of one or two bits.
    """
    if not hasattr(quantizer, "step_function"):
        raise TypeError(
            "quantizer must be a BinaryQuantizer or a TwoBitQuantizer, or have a "
            f"step_function as these do. Got {type(quantizer).__name__} instead."
        )
    thresholds, levels = quantizer.step_function(mean, scale)
    thresholds = np.asarray(thresholds, dtype=np.float64)
    levels = np.asarray(levels, dtype=np.float64)
    if thresholds.shape != (len(mean), len(levels) - 1) or len(levels) not in (2, 4):
        raise ValueError(
            "step_function must return thresholds of shape (d, t) and levels of "
            f"shape (t + 1,), t = 1 or 3. Got {thresholds.shape} and {levels.shape}."
        )
    by_row = len(levels) == 4 and getattr(quantizer, "magnitude", None) == "row"
    return QuantizerSteps(thresholds, levels, by_row)
