"""Whether new rows still look like those that a quantizer was chosen for."""

from dataclasses import dataclass

import numpy as np

from .._html.page import Fact, piece
from .._utils.statistics import binary_entropy

# Values farther out count as that many standard deviations: one wild row is no drift.
_FARTHEST = 5.0
_N_NAMED = 5
_REMEDY = (
    "Fit the advisor again and build the index anew with thresholds of the new rows."
)


@dataclass(frozen=True)
class DriftResult:
    """Outcome of :meth:`QuantizationAdvisor.check_drift`.

    Attributes
    ----------
    drifted : bool
        Whether ``p_value`` is at most ``alpha``.
    p_value : float
        Probability of so large a statistic if new rows are like the old ones.
    alpha : float
        Level of the test.
    statistic : float
        Largest change of all coordinates' means, bit shares and mean absolute
        deviations, in standard errors.
    coordinates : ndarray of shape (n_changed,), dtype int64
        Up to five coordinates of the largest changes, the largest first; without
        those of bits if the recommendation rotates.
    sign_entropy : tuple of float
        Mean entropy of a bit at the quantizer's thresholds, in bits: old rows, new
        rows.
    n_reference, n_new : int
        Rows that were compared.
    mean_changes, deviation_changes : ndarray of shape (d,), dtype float64
        Change of each coordinate's mean and of its mean absolute deviation, new less
        old, in standard errors; 0 where nothing varies.
    bit_changes : ndarray of shape (n_bits,), dtype float64
        The same of the share of ones of each bit: of each coordinate, or of what the
        recommendation rotates them to.
    critical_value : float
        What the largest change has to exceed for drift at level ``alpha``.
    """

    drifted: bool
    p_value: float
    alpha: float
    statistic: float
    coordinates: np.ndarray
    sign_entropy: tuple[float, float]
    n_reference: int
    n_new: int
    mean_changes: np.ndarray
    deviation_changes: np.ndarray
    bit_changes: np.ndarray
    critical_value: float

    def __str__(self) -> str:
        """Say in words what was found."""
        before, after = self.sign_entropy
        figures = (
            f"p = {self.p_value:.3g} at level {self.alpha:g}; {self.n_new:,} new rows "
            f"against {self.n_reference:,} old ones; a bit carries {after:.3f} bits, "
            f"{before:.3f} before."
        )
        if not self.drifted:
            return f"No drift found: new rows fit the profile ({figures[:-1]})."
        return (
            f"Drift: new rows do not fit the profile ({figures[:-1]}). Most changed: "
            f"coordinates {self.coordinates.tolist()}. {_REMEDY}"
        )

    def _repr_html_(self) -> str:
        before, after = self.sign_entropy
        figures = [
            Fact("p", f"{self.p_value:.3g}", f"drift at {self.alpha:g} or less"),
            Fact(
                "largest change",
                f"{self.statistic:.1f}",
                f"standard errors; {self.critical_value:.1f} are drift",
            ),
            Fact("a bit carries", f"{after:.3f} bits", f"{before:.3f} before"),
            Fact("new rows", f"{self.n_new:,}", f"against {self.n_reference:,} old"),
        ]
        verdict = "No drift found: new rows fit the profile."
        if self.drifted:
            verdict = f"Drift: new rows do not fit the profile. {_REMEDY}"
            figures.insert(
                2, Fact("most changed", _listed(self.coordinates), "coordinates")
            )
        return piece(
            "result.html", verdict=verdict, is_good=not self.drifted, figures=figures
        )


def _listed(numbers: np.ndarray) -> str:
    return ", ".join(map(str, numbers))


def compare_rows(
    reference: np.ndarray,
    new: np.ndarray,
    bits: np.ndarray,
    alpha: float,
    n_permutations: int,
    rng: np.random.RandomState,
    *,
    rotated: bool = False,
) -> DriftResult:
    """Test whether two samples of independent rows come from one distribution.

    The statistic is the largest standardized difference of a mean among all
    coordinates' values, absolute deviations and bits. Its distribution is found by
    permuting rows between the samples, so that the level is right whatever the
    distribution and however coordinates depend on each other.

    Parameters
    ----------
    reference, new : ndarrays of shape (n_reference, d) and (n_new, d)
    bits : ndarray of shape (n_reference + n_new, d), dtype bool
        What the quantizer makes of both.
    alpha : float
    n_permutations : int
    rng : RandomState
    rotated : bool, default=False
        Whether bits are those of rotated rows, whose coordinates have other names.
    """
    n_old = len(reference)
    rows = np.concatenate([reference, new]).astype(np.float64)
    rows -= rows.mean(axis=0)
    spread = rows.std(axis=0)
    rows /= np.where(spread > 0, spread, 1.0)
    np.clip(rows, -_FARTHEST, _FARTHEST, out=rows)
    features = np.hstack([rows, np.abs(rows), bits]).astype(np.float32)
    features -= features.mean(axis=0)
    # Under permutation the mean of one sample fixes that of the other.
    n_new = len(rows) - n_old
    error = features.std(axis=0) * np.sqrt(1 / n_old + 1 / n_new)
    varies = error > 0
    features = features[:, varies] / error[varies]
    d = rows.shape[1]
    columns = np.flatnonzero(varies)
    labels = np.full((n_permutations + 1, len(rows)), -1 / n_old, np.float32)
    labels[0, n_old:] = 1 / n_new
    for row in labels[1:]:
        row[rng.choice(len(rows), n_new, replace=False)] = 1 / n_new
    changes = labels @ features
    signed = np.zeros(len(error))
    signed[varies] = changes[0]
    np.abs(changes, out=changes)
    largest = changes.max(axis=1, initial=0.0)
    # Rounding must not make a permutation that equals the samples look smaller.
    p_value = float((largest >= largest[0] * (1 - 1e-5)).mean())
    order = columns[np.argsort(-changes[0])]
    order = order[order < (2 if rotated else 3) * d] % d
    _, first = np.unique(order, return_index=True)
    return DriftResult(
        drifted=p_value <= alpha,
        p_value=p_value,
        alpha=alpha,
        statistic=float(largest[0]),
        coordinates=order[np.sort(first)][:_N_NAMED],
        sign_entropy=(_bit_entropy(bits[:n_old]), _bit_entropy(bits[n_old:])),
        n_reference=n_old,
        n_new=n_new,
        mean_changes=signed[:d],
        deviation_changes=signed[d : 2 * d],
        bit_changes=signed[2 * d :],
        critical_value=float(np.quantile(largest, 1 - alpha, method="higher")),
    )


def _bit_entropy(bits: np.ndarray) -> float:
    return float(binary_entropy(bits.mean(axis=0)).mean())
