"""What a profile shows as HTML: figures, pictures, and what they mean."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._html.charts import Axis, Chart, Guide, Series
from .._html.page import Fact
from .._utils.statistics import principal_variances
from .description import describe

if TYPE_CHECKING:
    from .profiler import HeterogeneityProfiler

# Points of a curve: more than a screen shows would only make the page heavier.
_N_POINTS = 160


def profile_values(profiler: "HeterogeneityProfiler") -> dict[str, object]:
    """Return what the template ``profile.html`` shows of a fitted profiler."""
    head, *texts = describe(profiler)
    return {
        "head": head,
        "texts": texts,
        "figures": _figures(profiler) if texts else [],
        "charts": profile_charts(profiler) if texts else [],
    }


def _figures(profiler: "HeterogeneityProfiler") -> list[Fact]:
    return [
        Fact(
            "effective dimension",
            f"{profiler.effective_dimension_:.0f}",
            f"of {profiler.n_features_in_:,} coordinates",
        ),
        Fact(
            "heterogeneity",
            f"{profiler.heterogeneity_:.2f}",
            "standard deviation over mean of the coordinates' own",
        ),
        Fact(
            "sign entropy",
            f"{profiler.sign_entropy_:.3f}",
            "bits of a sign about 0, at most 1",
        ),
        Fact("norms vary by", f"{profiler.norm_cv_:.1%}", "of their mean"),
        Fact(
            "normal coordinates",
            f"{profiler.gaussian_pass_rate_:.0%}",
            "95% would pass the test if all were",
        ),
    ]


def profile_charts(profiler: "HeterogeneityProfiler") -> list[Chart]:
    """Draw the coordinates' standard deviations and the share of principal axes."""
    scale = np.sort(profiler.scale_)[::-1]
    variance = principal_variances(profiler.covariance_)
    share = np.cumsum(variance) / variance.sum()
    effective = profiler.effective_dimension_
    scales, shares = _thinned(scale), _thinned(share)
    coordinates = Axis("coordinate, widest first", 1, max(len(scale), 2))
    return [
        Chart(
            "Standard deviation of each coordinate",
            "Flat: coordinates vary alike, and a bit of each says as much. Steep: a "
            "rotation evens them out.",
            f"Standard deviations of {len(scale):,} coordinates, from {scale[0]:.3g} "
            f"down to {scale[-1]:.3g}, {scale.mean():.3g} on average.",
            coordinates,
            Axis("standard deviation", 0.0, float(scale[0]) * 1.05),
            [Series("", *scales)],
            [Guide(float(scale.mean()), "mean")],
        ),
        Chart(
            "Share of variance in principal directions",
            "The earlier it rises, the more the coordinates repeat each other.",
            f"Cumulative share of variance over {len(scale):,} principal directions: "
            f"{_share_at(share, 0.1):.0%} lies in the first tenth of them; the "
            f"effective dimension is {effective:.0f}.",
            Axis("principal direction", 1, max(len(scale), 2)),
            Axis("cumulative share", 0.0, 1.02),
            [Series("", *shares)],
            [Guide(effective, "effective dimension", is_vertical=True)],
        ),
    ]


class _Curve(NamedTuple):
    rank: np.ndarray
    values: np.ndarray


def _thinned(values: np.ndarray) -> _Curve:
    """Return some of many values with their ranks, the first and the last included."""
    shown = np.linspace(0, len(values) - 1, min(_N_POINTS, len(values))).astype(int)
    return _Curve(shown + 1, values[shown])


def _share_at(share: np.ndarray, part: float) -> float:
    return float(share[max(round(part * len(share)) - 1, 0)])
