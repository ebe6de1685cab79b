"""What the figures of a profiler mean for binary codes, in words."""

from typing import TYPE_CHECKING

from .._utils.similarity import EQUAL_NORMS
from .fidelity_table import NORMAL_SHARE

if TYPE_CHECKING:
    from .profiler import HeterogeneityProfiler

# Where the words change: judged by eye, and no result hangs on them. A bit of 0.9 bits
# of entropy is set in 68% or in 32% of the rows.
_MUCH_ENTROPY = 0.9
_MUCH_COUPLING = 0.15
_MUCH_HETEROGENEITY = 0.2


def describe(profiler: "HeterogeneityProfiler") -> list[str]:
    """Put the figures of a fitted profiler into words, a line for each property."""
    d, n_constant = profiler.n_features_in_, profiler.constant_features_.size
    head = f"{profiler.n_samples_seen_:,} vectors of {d} coordinates."
    if n_constant:
        head += f" {n_constant} of them never vary: their bits say nothing."
    if not profiler.scale_.any():
        return [head]
    return [
        head,
        _say_signs(profiler),
        _say_heterogeneity(profiler),
        _say_dimension(profiler),
        _say_norms(profiler),
        _say_normality(profiler),
    ]


def _say_signs(profiler: "HeterogeneityProfiler") -> str:
    entropy, predicted = profiler.sign_entropy_, profiler.predicted_sign_entropy_
    text = (
        f"Signs: a sign about 0 carries {entropy:.3f} bits on average (normal "
        f"coordinates of these moments: {predicted:.3f}); means are "
        f"{profiler.snr_mean_:.2f} standard deviations away from 0. "
    )
    if entropy < _MUCH_ENTROPY:
        return text + "Many of the bits are lost: let the quantizer center them."
    return text + "Few of the bits are lost, centered or not."


def _say_heterogeneity(profiler: "HeterogeneityProfiler") -> str:
    text = (
        f"Heterogeneity: the standard deviations of the coordinates differ by "
        f"{profiler.heterogeneity_:.1%} of their mean. "
    )
    coupling = profiler.scale_correlation_
    if coupling > _MUCH_COUPLING:
        text += (
            f"Coordinates of large variance are also the correlated ones (rank "
            f"correlation {coupling:.2f}): rules that average over coordinates err "
            "more. "
        )
    if profiler.heterogeneity_ > _MUCH_HETEROGENEITY:
        return text + "One bit counts all alike: try RandomRotation."
    return text + "There is little for a rotation to even out."


def _say_dimension(profiler: "HeterogeneityProfiler") -> str:
    effective = profiler.effective_dimension_
    return (
        f"Dimension: the variance is spread as over {effective:.1f} of "
        f"{profiler.n_features_in_} directions (effective rank "
        f"{profiler.effective_rank_:.1f}, off-diagonal ratio "
        f"{profiler.off_diagonal_ratio_:.2f}). The smaller that share, the more the "
        "coordinates repeat each other and the better codes of rotated vectors keep "
        "the order of pairs."
    )


def _say_norms(profiler: "HeterogeneityProfiler") -> str:
    text = f"Norms: they vary by {profiler.norm_cv_:.1%} of their mean. "
    if profiler.norm_cv_ < EQUAL_NORMS:
        return text + "Cosine, euclidean and inner product rank nearly alike."
    return text + (
        "Cosine, euclidean and inner product rank differently, and codes keep "
        "directions better than norms: choose the metric on purpose."
    )


def _say_normality(profiler: "HeterogeneityProfiler") -> str:
    rate = profiler.gaussian_pass_rate_
    text = (
        f"Normality: {rate:.0%} of the coordinates pass a test on "
        f"{profiler.normality_sample_size_:,} rows (95% would if all were normal). "
    )
    if rate < NORMAL_SHARE:
        return text + "Measure before trusting predictions for normal vectors."
    return text + "Predictions for normal vectors are a first guide."
